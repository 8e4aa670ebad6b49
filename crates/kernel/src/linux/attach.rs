//! Attachments: network cards moved in and out, veth pairs to other namespaces and to bridges.

use std::net::IpAddr;

use futures::TryStreamExt;
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::link::LinkAttribute;
use rtnetlink::packet_route::route::RouteAttribute;

use super::LinuxKernel;
use crate::desired::{
    AttachmentKind, HostConfig, NamespaceRef, bridge_name, outer_name, port_name,
};
use crate::error::KernelError;
use crate::link;
use crate::netlink::{failed, find_link, is_errno, netlink};
use crate::netns::Namespace;
use crate::step::AttachStep;

/// What the alias of a network card that was moved in begins with; its old name follows. The alias
/// lives in the kernel, so that the card finds its way back even when the state folder is lost.
const ALIAS_PREFIX: &str = "peerway-nic:";

/// The old name in an alias of ours.
pub(super) fn original_name(alias: &str) -> Option<String> {
    alias.strip_prefix(ALIAS_PREFIX).map(str::to_owned)
}

pub(super) fn attach(
    kernel: &LinuxKernel,
    vpc: &Namespace,
    step: &AttachStep,
) -> Result<(), KernelError> {
    let port = port_name(&step.name);
    let outer = match &step.attachment.kind {
        AttachmentKind::Nic { interface } => {
            move_in(kernel, vpc, interface, &port)?;
            None
        }
        AttachmentKind::VethToNamespace {
            namespace,
            interface,
        } => {
            let host = match namespace {
                NamespaceRef::Name(name) => Namespace::open(name)?,
                NamespaceRef::Pid(pid) => Namespace::open_pid(*pid)?,
            };
            link::create_veth_pair(vpc, &port, &host, interface)?;
            Some((host, interface.clone(), None))
        }
        AttachmentKind::VethToBridge { bridge } => {
            let outer = outer_name(&step.name);
            link::create_veth_pair(vpc, &port, &kernel.own, &outer)?;
            Some((kernel.own.clone(), outer, Some(bridge.as_str())))
        }
    };
    let finish = || {
        link::set_mtu(vpc, &port, step.mtu_bytes)?;
        link::set_master(vpc, &port, &bridge_name(step.attachment.subnet))?;
        link::set_up(vpc, &port)?;
        let Some((host, interface, bridge)) = &outer else {
            return Ok(());
        };
        if let Some(bridge) = bridge {
            link::set_master(host, interface, bridge)?;
            return link::set_up(host, interface);
        }
        match step.attachment.host {
            Some(config) => configure_host(host, interface, config, step),
            None => Ok(()),
        }
    };
    // Half an attachment would look like a whole one to the next observation.
    finish().inspect_err(|_| {
        let undone = match &step.attachment.kind {
            AttachmentKind::Nic { interface } => give_back(kernel, vpc, &port, interface),
            AttachmentKind::VethToNamespace { .. } | AttachmentKind::VethToBridge { .. } => {
                link::delete_link(vpc, &port)
            }
        };
        if let Err(error) = undone {
            tracing::warn!(attachment = step.name, %error, "cannot undo half an attachment");
        }
    })
}

fn configure_host(
    host: &Namespace,
    interface: &str,
    config: HostConfig,
    step: &AttachStep,
) -> Result<(), KernelError> {
    link::set_mtu(host, interface, step.mtu_bytes)?;
    link::add_address(
        host,
        interface,
        config.address.into(),
        step.subnet.prefix_len(),
    )?;
    link::set_up(host, interface)?;
    match link::add_default_route(host, step.subnet.gateway_address()) {
        Err(error) if is_errno(&error, &[libc::EEXIST]) => Err(KernelError::Attachment {
            name: step.name.clone(),
            reason: format!(
                "{} has a default route already; attach without configuring the host side and add \
                 the routes you want",
                host.name()
            ),
        }),
        other => other,
    }
}

fn move_in(
    kernel: &LinuxKernel,
    vpc: &Namespace,
    interface: &str,
    port: &str,
) -> Result<(), KernelError> {
    check_movable(kernel, interface)?;
    let alias = format!("{ALIAS_PREFIX}{interface}");
    let doing = format!("move {interface} into {}", vpc.name());
    link::change(&kernel.own, interface, &doing, |change| {
        change.down().alias(alias)
    })?;
    let fd = vpc.as_raw_fd();
    link::change(&kernel.own, interface, &doing, |change| {
        change.name(port).setns_by_fd(fd)
    })
}

/// Gives a network card back to the gateway's own namespace, with its old name.
pub(super) fn give_back(
    kernel: &LinuxKernel,
    vpc: &Namespace,
    port: &str,
    interface: &str,
) -> Result<(), KernelError> {
    let doing = format!("give {interface} back");
    let fd = kernel.own.as_raw_fd();
    link::change(vpc, port, &doing, |change| {
        change.nocontroller().down().alias(String::new())
    })?;
    link::change(vpc, port, &doing, |change| {
        change.name(interface).setns_by_fd(fd)
    })
}

/// A card that carries the underlay or the default route stays: moving it would cut the host off.
fn check_movable(kernel: &LinuxKernel, interface: &str) -> Result<(), KernelError> {
    let refuse = |reason: &str| {
        Err(KernelError::Refused {
            interface: interface.to_owned(),
            reason: reason.to_owned(),
        })
    };
    let (index, addresses, default_devices, has_controller) =
        netlink(&kernel.own, async |handle| {
            let message =
                find_link(&handle, interface)
                    .await?
                    .ok_or_else(|| KernelError::NoLink {
                        link: interface.to_owned(),
                        place: "the gateway's namespace".to_owned(),
                    })?;
            let index = message.header.index;
            let has_controller = message
                .attributes
                .iter()
                .any(|attribute| matches!(attribute, LinkAttribute::Controller(_)));
            let mut addresses = Vec::new();
            let mut stream = handle
                .address()
                .get()
                .set_link_index_filter(index)
                .execute();
            let listing = |error| failed("list the addresses", &error);
            while let Some(message) = stream.try_next().await.map_err(listing)? {
                addresses.extend(message.attributes.iter().filter_map(
                    |attribute| match attribute {
                        AddressAttribute::Address(address) | AddressAttribute::Local(address) => {
                            Some(*address)
                        }
                        _ => None,
                    },
                ));
            }
            let mut devices = default_route_devices::<std::net::Ipv4Addr>(&handle).await?;
            devices.extend(default_route_devices::<std::net::Ipv6Addr>(&handle).await?);
            Ok((index, addresses, devices, has_controller))
        })?;
    let is_underlay = |address: &IpAddr| {
        kernel
            .underlay_address
            .is_some_and(|underlay| underlay == *address)
    };
    if default_devices.contains(&index) {
        return refuse("it carries a default route of this host");
    }
    if addresses.iter().any(is_underlay) {
        return refuse("it carries the underlay address of this gateway");
    }
    if has_controller {
        return refuse("it is a port of a bridge or bond; take it out of there first");
    }
    Ok(())
}

/// An address family that routes can be asked for.
trait Family {
    fn all_routes() -> rtnetlink::packet_route::route::RouteMessage;
}

impl Family for std::net::Ipv4Addr {
    fn all_routes() -> rtnetlink::packet_route::route::RouteMessage {
        RouteMessageBuilder::<std::net::Ipv4Addr>::new().build()
    }
}

impl Family for std::net::Ipv6Addr {
    fn all_routes() -> rtnetlink::packet_route::route::RouteMessage {
        RouteMessageBuilder::<std::net::Ipv6Addr>::new().build()
    }
}

async fn default_route_devices<F: Family>(
    handle: &rtnetlink::Handle,
) -> Result<Vec<u32>, KernelError> {
    let mut devices = Vec::new();
    let mut routes = handle.route().get(F::all_routes()).execute();
    let listing = |error| failed("list the routes", &error);
    while let Some(route) = routes.try_next().await.map_err(listing)? {
        if route.header.destination_prefix_length != 0 {
            continue;
        }
        for attribute in &route.attributes {
            match attribute {
                RouteAttribute::Oif(index) => devices.push(*index),
                RouteAttribute::MultiPath(hops) => {
                    devices.extend(hops.iter().map(|hop| hop.interface_index));
                }
                _ => {}
            }
        }
    }
    Ok(devices)
}
