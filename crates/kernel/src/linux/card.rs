//! Network cards: moved into a VPC namespace, and given back as they were.
//!
//! Every state in between survives being killed: the mark is in the alias before the card moves, and
//! goes only when the card is back under its name. A card with a mark in the gateway's own namespace
//! is therefore stranded half-way, and [`restore`] ends its journey.

use std::net::IpAddr;

use futures::TryStreamExt;
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::packet_route::route::RouteAttribute;
use rtnetlink::{Handle, RouteMessageBuilder};

use super::LinuxKernel;
use super::mark::{Card, Mark};
use crate::error::KernelError;
use crate::link::{self, find};
use crate::netlink::{failed, link_kind, link_name, netlink};
use crate::netns::Namespace;
use crate::observed::LinkKind;

/// The mark of ours that a link carries.
pub(super) fn mark_of(message: &LinkMessage) -> Option<Mark> {
    Mark::parse(alias_of(message))
}

fn alias_of(message: &LinkMessage) -> &str {
    let alias = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            LinkAttribute::IfAlias(alias) => Some(alias.as_str()),
            _ => None,
        });
    alias.unwrap_or_default()
}

fn card_of(message: &LinkMessage, name: &str) -> Card {
    let mtu = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            LinkAttribute::Mtu(mtu) => Some(*mtu),
            _ => None,
        });
    Card {
        name: name.to_owned(),
        mtu_bytes: mtu.unwrap_or_default(),
        is_up: message.header.flags.contains(LinkFlags::Up),
        alias: alias_of(message).to_owned(),
    }
}

/// Moves a card into a VPC namespace as a port; it is down there. The mark says for what.
pub(super) fn move_in(
    kernel: &LinuxKernel,
    to: &Namespace,
    interface: &str,
    port: &str,
    mark: Mark,
) -> Result<(), KernelError> {
    let own = &kernel.own;
    let message = find(own, interface)?.ok_or_else(|| KernelError::NoLink {
        link: interface.to_owned(),
        place: "the gateway's namespace".to_owned(),
    })?;
    check_movable(kernel, &message, interface)?;
    let alias = Mark {
        card: Some(card_of(&message, interface)),
        ..mark
    }
    .to_alias();
    let doing = format!("move {interface} into {}", to.name());
    let fd = to.as_raw_fd();
    link::change(own, interface, &doing, |change| change.alias(alias))?;
    // One at a time: a kernel that is asked for both moves first and can then fail to rename.
    let moved = link::change(own, interface, &doing, |change| change.down().name(port))
        .and_then(|()| link::change(own, port, &doing, |change| change.setns_by_fd(fd)));
    moved.inspect_err(|_| {
        for name in [interface, port] {
            if let Err(error) = restore(kernel, name) {
                tracing::warn!(interface, %error, "cannot undo a half-made move");
            }
        }
    })
}

/// Gives a card back to the gateway's own namespace as it was. One that is not there any more is no
/// error.
pub(super) fn give_back(
    kernel: &LinuxKernel,
    vpc: &Namespace,
    port: &str,
) -> Result<(), KernelError> {
    let Some(message) = find(vpc, port)? else {
        return Ok(());
    };
    let card = mark_of(&message).and_then(|mark| mark.card);
    let card = card.ok_or_else(|| KernelError::Refused {
        interface: port.to_owned(),
        reason: format!(
            "what it was is not in its alias any more; move it out of the namespace {} by hand",
            vpc.name()
        ),
    })?;
    check_name_is_free(kernel, &card.name)?;
    let doing = format!("give {} back", card.name);
    let fd = kernel.own.as_raw_fd();
    link::change(vpc, port, &doing, |change| change.nocontroller().down())?;
    link::change(vpc, port, &doing, |change| change.setns_by_fd(fd))?;
    restore(kernel, port)
}

/// Ends the journey of a card of ours that is in the gateway's own namespace: its name, MTU and state
/// first, its alias last. A link without a mark of this instance is left alone.
pub(super) fn restore(kernel: &LinuxKernel, name: &str) -> Result<(), KernelError> {
    let own = &kernel.own;
    let mark = find(own, name)?.as_ref().and_then(mark_of);
    let Some(card) = mark
        .filter(|mark| mark.instance == kernel.instance)
        .and_then(|mark| mark.card)
    else {
        return Ok(());
    };
    let doing = format!("give {} back", card.name);
    if name != card.name {
        check_name_is_free(kernel, &card.name)?;
        link::change(own, name, &doing, |change| change.down().name(&card.name))?;
    }
    link::change(own, &card.name, &doing, |change| {
        let change = change.mtu(card.mtu_bytes);
        if card.is_up {
            change.up()
        } else {
            change.down()
        }
    })?;
    link::change(own, &card.name, &doing, |change| change.alias(card.alias))
}

fn check_name_is_free(kernel: &LinuxKernel, name: &str) -> Result<(), KernelError> {
    match find(&kernel.own, name)? {
        None => Ok(()),
        Some(_) => Err(KernelError::Refused {
            interface: name.to_owned(),
            reason: format!(
                "the card cannot be given back: another interface is called {name}; rename that \
                 one, and the card goes back on the next run"
            ),
        }),
    }
}

/// A card that carries the underlay or the default route stays: moving it would cut the host off. So
/// does one that other links stand on: the kernel would remove them.
fn check_movable(
    kernel: &LinuxKernel,
    message: &LinkMessage,
    interface: &str,
) -> Result<(), KernelError> {
    let refuse = |reason: &str| {
        Err(KernelError::Refused {
            interface: interface.to_owned(),
            reason: reason.to_owned(),
        })
    };
    let index = message.header.index;
    let has_controller = message
        .attributes
        .iter()
        .any(|attribute| matches!(attribute, LinkAttribute::Controller(_)));
    let (addresses, default_devices, links) = netlink(&kernel.own, async |handle| {
        let mut devices = default_route_devices::<std::net::Ipv4Addr>(&handle).await?;
        devices.extend(default_route_devices::<std::net::Ipv6Addr>(&handle).await?);
        let links = link::list(&handle).await?;
        Ok((addresses(&handle, index).await?, devices, links))
    })?;
    let is_underlay = |address: &IpAddr| {
        kernel
            .underlay_address
            .is_some_and(|underlay| underlay == *address)
    };
    if mark_of(message).is_some() {
        return refuse("it is on its way back from a VPC");
    }
    if default_devices.contains(&index) {
        return refuse("it carries a default route of this host");
    }
    if addresses.iter().any(is_underlay) {
        return refuse("it carries the underlay address of this gateway");
    }
    if has_controller {
        return refuse("it is a port of a bridge or bond; take it out of there first");
    }
    let here = links
        .iter()
        .find(|link| stands_on(link, index, Lower::Here));
    let upper = match here {
        Some(upper) => link_name(upper).map(str::to_owned),
        None => attached_upper(kernel, index)?,
    };
    match upper {
        Some(upper) => refuse(&format!(
            "{upper} stands on it and would be lost; detach or remove that first"
        )),
        None => Ok(()),
    }
}

/// The old name of a card in one of our VPC namespaces that stands on this one.
fn attached_upper(kernel: &LinuxKernel, lower: u32) -> Result<Option<String>, KernelError> {
    let names = Namespace::list()?;
    let ours = names
        .iter()
        .filter(|name| kernel.instance.vpc_of(name).is_some());
    for name in ours {
        let links = netlink(&Namespace::open(name)?, async |handle| {
            link::list(&handle).await
        })?;
        let uppers = links
            .iter()
            .filter(|link| stands_on(link, lower, Lower::Elsewhere));
        // Without a mark it came from elsewhere, and so did what it stands on.
        let mut names = uppers.filter_map(|link| Some(mark_of(link)?.card?.name));
        if let Some(upper) = names.next() {
            return Ok(Some(upper));
        }
    }
    Ok(None)
}

/// Where the link is that another stands on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lower {
    /// In the same namespace.
    Here,
    /// In another one.
    Elsewhere,
}

/// Whether a link is a VLAN, macvlan or tunnel over another, or its port.
fn stands_on(link: &LinkMessage, lower: u32, place: Lower) -> bool {
    let mut is_over = false;
    let mut is_port = false;
    let mut lower_place = Lower::Here;
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::Link(index) => is_over = *index == lower,
            LinkAttribute::Controller(index) => is_port = *index == lower,
            LinkAttribute::LinkNetNsId(_) => lower_place = Lower::Elsewhere,
            _ => {}
        }
    }
    // The two ends of a veth pair name each other in the same way.
    let is_peer = link_kind(link) == LinkKind::Veth;
    let is_over = is_over && lower_place == place && !is_peer;
    is_over || (is_port && place == Lower::Here)
}

async fn addresses(handle: &Handle, index: u32) -> Result<Vec<IpAddr>, KernelError> {
    let mut addresses = Vec::new();
    let mut stream = handle
        .address()
        .get()
        .set_link_index_filter(index)
        .execute();
    let listing = |error| failed("list the addresses", &error);
    while let Some(message) = stream.try_next().await.map_err(listing)? {
        addresses.extend(
            message
                .attributes
                .iter()
                .filter_map(|attribute| match attribute {
                    AddressAttribute::Address(address) | AddressAttribute::Local(address) => {
                        Some(*address)
                    }
                    _ => None,
                }),
        );
    }
    Ok(addresses)
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

async fn default_route_devices<F: Family>(handle: &Handle) -> Result<Vec<u32>, KernelError> {
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
