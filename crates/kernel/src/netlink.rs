//! Netlink requests inside a namespace, each from a thread that entered it.

use std::future::Future;
use std::io;

use futures::TryStreamExt;
use rtnetlink::packet_route::link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage};
use rtnetlink::{Error, Handle};

use crate::error::KernelError;
use crate::netns::Namespace;
use crate::observed::LinkKind;

/// Runs netlink requests in a namespace. A socket belongs to the namespace of the thread that opened
/// it, so the whole exchange has a thread and a runtime of its own.
///
/// # Errors
/// What the requests fail with, or that the socket cannot be opened.
pub(crate) fn netlink<T, F, R>(namespace: &Namespace, requests: F) -> Result<T, KernelError>
where
    T: Send,
    F: FnOnce(Handle) -> R + Send,
    R: Future<Output = Result<T, KernelError>>,
{
    namespace.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .map_err(|error| KernelError::io("start a runtime for netlink", error))?;
        runtime.block_on(async {
            let (connection, handle, _) = rtnetlink::new_connection()
                .map_err(|error| KernelError::io("open a netlink socket", error))?;
            tokio::spawn(connection);
            requests(handle).await
        })
    })
}

/// Turns a netlink error into ours, with the errno where the kernel gave one.
pub(crate) fn failed(doing: impl Into<String>, error: &Error) -> KernelError {
    let source = match error {
        Error::NetlinkError(message) => io::Error::from_raw_os_error(message.raw_code().abs()),
        other => io::Error::other(other.to_string()),
    };
    KernelError::Netlink {
        doing: doing.into(),
        source,
    }
}

/// Whether the kernel said that something is already so, or already gone.
pub(crate) fn is_errno(error: &KernelError, expected: &[i32]) -> bool {
    error.errno().is_some_and(|errno| expected.contains(&errno))
}

/// Finds a link by name; `None` when there is none.
pub(crate) async fn find_link(
    handle: &Handle,
    name: &str,
) -> Result<Option<LinkMessage>, KernelError> {
    let found = handle
        .link()
        .get()
        .match_name(name.to_owned())
        .execute()
        .try_next()
        .await;
    match found {
        Ok(message) => Ok(message),
        Err(error) => {
            let error = failed(format!("look {name} up"), &error);
            if is_errno(&error, &[libc::ENODEV]) {
                Ok(None)
            } else {
                Err(error)
            }
        }
    }
}

/// The index of a link.
pub(crate) async fn link_index(
    handle: &Handle,
    place: &Namespace,
    name: &str,
) -> Result<u32, KernelError> {
    find_link(handle, name)
        .await?
        .map(|message| message.header.index)
        .ok_or_else(|| KernelError::NoLink {
            link: name.to_owned(),
            place: place.name().to_owned(),
        })
}

/// The name in a link message.
pub(crate) fn link_name(message: &LinkMessage) -> Option<&str> {
    message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name.as_str()),
            _ => None,
        })
}

/// What kind of link a message describes.
pub(crate) fn link_kind(message: &LinkMessage) -> LinkKind {
    let infos = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            LinkAttribute::LinkInfo(infos) => Some(infos.as_slice()),
            _ => None,
        });
    infos
        .unwrap_or_default()
        .iter()
        .find_map(|info| match info {
            LinkInfo::Kind(InfoKind::Bridge) => Some(LinkKind::Bridge),
            LinkInfo::Kind(InfoKind::Tun) => Some(LinkKind::Tun),
            LinkInfo::Kind(InfoKind::Veth) => Some(LinkKind::Veth),
            _ => None,
        })
        .unwrap_or_default()
}
