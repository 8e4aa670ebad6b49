//! Links, addresses and routes in any namespace, by name. The VPC namespaces are built with these, and so
//! are the underlays of the demo and the tests.

use std::net::{IpAddr, Ipv4Addr};

use futures::TryStreamExt;
use rtnetlink::packet_route::link::{InfoData, InfoKind, InfoVeth, LinkMessage};
use rtnetlink::{Handle, LinkBridge, LinkMessageBuilder, LinkUnspec, RouteMessageBuilder};

use crate::error::KernelError;
use crate::netlink::{failed, find_link, is_errno, link_index, netlink};
use crate::netns::Namespace;

/// Makes a veth pair, one end in each namespace; both are down.
///
/// # Errors
/// When a name is taken or the kernel refuses.
pub fn create_veth_pair(
    namespace: &Namespace,
    name: &str,
    peer_namespace: &Namespace,
    peer_name: &str,
) -> Result<(), KernelError> {
    let peer = LinkMessageBuilder::<LinkUnspec>::default()
        .name(peer_name)
        .setns_by_fd(peer_namespace.as_raw_fd())
        .build();
    let pair = LinkMessageBuilder::<LinkUnspec>::new_with_info_kind(InfoKind::Veth)
        .name(name)
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
        .build();
    let doing = format!(
        "make the veth pair {name} in {} and {peer_name} in {}",
        namespace.name(),
        peer_namespace.name()
    );
    netlink(namespace, async |handle| {
        handle
            .link()
            .add(pair)
            .execute()
            .await
            .map_err(|error| failed(doing, &error))
    })
}

/// Makes a bridge; it is up.
///
/// # Errors
/// When the name is taken or the kernel refuses.
pub fn create_bridge(namespace: &Namespace, name: &str) -> Result<(), KernelError> {
    add(
        namespace,
        LinkBridge::new(name).build(),
        &format!("make the bridge {name}"),
    )
}

/// Makes a bridge with a MAC address, without multicast snooping: a snooping bridge reports itself to
/// its hosts (224.0.0.106, RFC 4286), who should see nothing but their own traffic.
///
/// # Errors
/// When the name is taken or the kernel refuses.
pub fn create_bridge_with_mac(
    namespace: &Namespace,
    name: &str,
    mac: [u8; 6],
) -> Result<(), KernelError> {
    let bridge = LinkBridge::new(name)
        .address(mac.to_vec())
        .mcast_snooping(false)
        .build();
    add(namespace, bridge, &format!("make the bridge {name}"))
}

fn add(namespace: &Namespace, link: LinkMessage, doing: &str) -> Result<(), KernelError> {
    netlink(namespace, async |handle| {
        handle
            .link()
            .add(link)
            .execute()
            .await
            .map_err(|error| failed(doing, &error))
    })
}

/// Finds a link by name; `None` when there is none.
pub(crate) fn find(namespace: &Namespace, name: &str) -> Result<Option<LinkMessage>, KernelError> {
    netlink(namespace, async |handle| find_link(&handle, name).await)
}

/// All links of a handle's namespace.
pub(crate) async fn list(handle: &Handle) -> Result<Vec<LinkMessage>, KernelError> {
    let links = handle.link().get().execute().try_collect().await;
    links.map_err(|error| failed("list the links", &error))
}

/// Removes a link; one that is already gone is no error.
///
/// # Errors
/// When the kernel refuses.
pub fn delete_link(namespace: &Namespace, name: &str) -> Result<(), KernelError> {
    let removed = netlink(namespace, async |handle| {
        let index = link_index(&handle, namespace, name).await?;
        let request = handle.link().del(index);
        request
            .execute()
            .await
            .map_err(|error| failed(format!("remove {name}"), &error))
    });
    match removed {
        Err(KernelError::NoLink { .. }) => Ok(()),
        Err(error) if is_errno(&error, &[libc::ENODEV]) => Ok(()),
        other => other,
    }
}

/// Changes an existing link.
///
/// # Errors
/// [`KernelError::NoLink`], or that the kernel refuses.
pub(crate) fn change(
    namespace: &Namespace,
    name: &str,
    doing: &str,
    change: impl FnOnce(LinkMessageBuilder<LinkUnspec>) -> LinkMessageBuilder<LinkUnspec> + Send,
) -> Result<(), KernelError> {
    netlink(namespace, async |handle| {
        let index = link_index(&handle, namespace, name).await?;
        set(
            &handle,
            change(LinkUnspec::new_with_index(index)).build(),
            doing,
        )
        .await
    })
}

async fn set(handle: &Handle, message: LinkMessage, doing: &str) -> Result<(), KernelError> {
    handle
        .link()
        .set(message)
        .execute()
        .await
        .map_err(|error| failed(doing, &error))
}

/// Sets a link up.
///
/// # Errors
/// [`KernelError::NoLink`], or that the kernel refuses.
pub fn set_up(namespace: &Namespace, name: &str) -> Result<(), KernelError> {
    change(
        namespace,
        name,
        &format!("set {name} up"),
        LinkMessageBuilder::up,
    )
}

/// Sets a link's MTU, in bytes.
///
/// # Errors
/// [`KernelError::NoLink`], or that the kernel refuses.
pub fn set_mtu(namespace: &Namespace, name: &str, mtu_bytes: u16) -> Result<(), KernelError> {
    change(namespace, name, &format!("set the MTU of {name}"), |link| {
        link.mtu(mtu_bytes.into())
    })
}

/// Makes a link a port of a bridge.
///
/// # Errors
/// [`KernelError::NoLink`] for either, or that the kernel refuses.
pub fn set_master(namespace: &Namespace, name: &str, bridge: &str) -> Result<(), KernelError> {
    netlink(namespace, async |handle| {
        let bridge_index = link_index(&handle, namespace, bridge).await?;
        let index = link_index(&handle, namespace, name).await?;
        let message = LinkUnspec::new_with_index(index)
            .controller(bridge_index)
            .build();
        set(&handle, message, &format!("make {name} a port of {bridge}")).await
    })
}

/// Adds an address; one that is already there is no error.
///
/// # Errors
/// [`KernelError::NoLink`], or that the kernel refuses.
pub fn add_address(
    namespace: &Namespace,
    name: &str,
    address: IpAddr,
    prefix_len: u8,
) -> Result<(), KernelError> {
    let added = netlink(namespace, async |handle| {
        let index = link_index(&handle, namespace, name).await?;
        let request = handle.address().add(index, address, prefix_len);
        let doing = format!("add {address}/{prefix_len} to {name}");
        request
            .execute()
            .await
            .map_err(|error| failed(doing, &error))
    });
    match added {
        Err(error) if is_errno(&error, &[libc::EEXIST]) => Ok(()),
        other => other,
    }
}

/// Adds an IPv4 default route.
///
/// # Errors
/// When the kernel refuses: there is one already, or the next hop is not reachable.
pub fn add_default_route(namespace: &Namespace, via: Ipv4Addr) -> Result<(), KernelError> {
    let route = RouteMessageBuilder::<Ipv4Addr>::new().gateway(via).build();
    netlink(namespace, async |handle| {
        let doing = format!("add the default route via {via} in {}", namespace.name());
        handle
            .route()
            .add(route)
            .execute()
            .await
            .map_err(|error| failed(doing, &error))
    })
}
