//! Reads back what one instance has in the kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use futures::TryStreamExt;
use model::CidrBlock;
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteType,
};
use rtnetlink::{Handle, RouteMessageBuilder};

use super::card::mark_of;
use super::{LinuxKernel, ROUTE_PROTOCOL};
use crate::desired::outer_name_of_port;
use crate::error::KernelError;
use crate::instance::InstanceId;
use crate::link;
use crate::netlink::{failed, link_kind, link_name, netlink};
use crate::netns::Namespace;
use crate::observed::{
    LinkKind, LinkObserved, Observed, OuterObserved, RouteAction, RouteEntry, Stranded, VpcObserved,
};
use crate::plan::sysctl_paths;

pub(super) fn observe(kernel: &LinuxKernel) -> Result<Observed, KernelError> {
    let own = netlink(&kernel.own, async |handle| link::list(&handle).await)?;
    let mut observed = Observed {
        is_ipv6_missing: !Path::new("/proc/sys/net/ipv6/conf/all/disable_ipv6").exists(),
        stranded: stranded(&kernel.instance, &own),
        ..Observed::default()
    };
    for name in Namespace::list()? {
        let Some(vpc) = kernel.instance.vpc_of(&name) else {
            continue;
        };
        match observe_namespace(&kernel.instance, &name, &own) {
            Ok(found) => {
                observed.vpcs.insert(vpc, found);
            }
            // Left by a crash while it was being made: remove it and make it again.
            Err(error) if error.errno() == Some(libc::EINVAL) => Namespace::delete(&name)?,
            Err(KernelError::NoNamespace(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(observed)
}

fn stranded(instance: &InstanceId, own: &[LinkMessage]) -> BTreeMap<String, Stranded> {
    let of = |message: &LinkMessage| {
        let mark = mark_of(message).filter(|mark| mark.instance == *instance)?;
        let stranded = Stranded {
            vpc: mark.vpc,
            original_name: mark.card?.name,
        };
        Some((link_name(message)?.to_owned(), stranded))
    };
    own.iter().filter_map(of).collect()
}

fn observe_namespace(
    instance: &InstanceId,
    name: &str,
    own: &[LinkMessage],
) -> Result<VpcObserved, KernelError> {
    let namespace = Namespace::open(name)?;
    // A file that is no namespace cannot be entered; find out before a thread depends on it.
    std::thread::scope(|scope| {
        let check = scope.spawn(|| namespace.enter_current_thread());
        check.join().expect("entering does not panic")
    })?;
    let mut found = netlink(&namespace, async |handle| {
        let links = links(&handle, instance, own).await?;
        let names: BTreeMap<u32, String> = links
            .iter()
            .map(|(index, (name, _))| (*index, name.clone()))
            .collect();
        let mut found = VpcObserved {
            routes: routes(&handle, &names).await?,
            ..Default::default()
        };
        let mut addresses = addresses(&handle).await?;
        for (index, (name, mut link)) in links {
            link.addresses = addresses.remove(&index).unwrap_or_default();
            found.links.insert(name, link);
        }
        Ok(found)
    })?;
    let bridges = found
        .links
        .iter()
        .filter(|(_, link)| link.kind == LinkKind::Bridge);
    let paths = sysctl_paths(bridges.map(|(name, _)| name.as_str()));
    found.sysctls = namespace.run(|| read_sysctls(paths));
    Ok(found)
}

fn read_sysctls(paths: Vec<String>) -> BTreeMap<String, String> {
    let read = |path: &String| std::fs::read_to_string(format!("/proc/sys/{path}")).ok();
    paths
        .into_iter()
        .filter_map(|path| read(&path).map(|value| (path, value.trim().to_owned())))
        .collect()
}

async fn links(
    handle: &Handle,
    instance: &InstanceId,
    own: &[LinkMessage],
) -> Result<BTreeMap<u32, (String, LinkObserved)>, KernelError> {
    let messages = link::list(handle).await?;
    let names = names(&messages);
    let link = |message: &LinkMessage| {
        let name = names.get(&message.header.index)?.clone();
        let mut link = describe(message, &names);
        link.outer = outer(instance, &name, message, own);
        Some((message.header.index, (name, link)))
    };
    Ok(messages.iter().filter_map(link).collect())
}

fn names(messages: &[LinkMessage]) -> BTreeMap<u32, String> {
    let name = |message: &LinkMessage| Some((message.header.index, link_name(message)?.to_owned()));
    messages.iter().filter_map(name).collect()
}

/// The outer end of a port: it has the name that we gave it, and the two are each other's peers.
fn outer(
    instance: &InstanceId,
    port: &str,
    message: &LinkMessage,
    own: &[LinkMessage],
) -> Option<OuterObserved> {
    let name = outer_name_of_port(instance, port);
    let outer = own.iter().find(|link| link_name(link) == Some(&name))?;
    let is_pair = link_kind(message) == LinkKind::Veth
        && link_kind(outer) == LinkKind::Veth
        && peer(outer) == Some(message.header.index)
        && peer(message) == Some(outer.header.index);
    let LinkObserved { bridge, is_up, .. } = describe(outer, &names(own));
    is_pair.then_some(OuterObserved { bridge, is_up })
}

fn peer(message: &LinkMessage) -> Option<u32> {
    message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            LinkAttribute::Link(index) => Some(*index),
            _ => None,
        })
}

fn describe(message: &LinkMessage, names: &BTreeMap<u32, String>) -> LinkObserved {
    let mut link = LinkObserved {
        kind: link_kind(message),
        is_up: message.header.flags.contains(LinkFlags::Up),
        ..LinkObserved::default()
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::Mtu(mtu) => link.mtu_bytes = *mtu,
            LinkAttribute::Controller(index) => link.bridge = names.get(index).cloned(),
            _ => {}
        }
    }
    if let Some(mark) = mark_of(message) {
        link.original_name = mark.card.map(|card| card.name);
        link.made_for = Some(mark.made_for);
    }
    link
}

async fn addresses(
    handle: &Handle,
) -> Result<BTreeMap<u32, BTreeSet<(Ipv4Addr, u8)>>, KernelError> {
    let mut addresses: BTreeMap<u32, BTreeSet<(Ipv4Addr, u8)>> = BTreeMap::new();
    let mut messages = handle.address().get().execute();
    loop {
        let next = messages.try_next().await;
        let Some(message) = next.map_err(|error| failed("list the addresses", &error))? else {
            return Ok(addresses);
        };
        let local = message
            .attributes
            .iter()
            .find_map(|attribute| match attribute {
                AddressAttribute::Local(IpAddr::V4(address)) => Some(*address),
                _ => None,
            });
        if let Some(address) = local {
            let entry = (address, message.header.prefix_len);
            addresses
                .entry(message.header.index)
                .or_default()
                .insert(entry);
        }
    }
}

async fn routes(
    handle: &Handle,
    names: &BTreeMap<u32, String>,
) -> Result<BTreeSet<RouteEntry>, KernelError> {
    let filter = RouteMessageBuilder::<Ipv4Addr>::new().build();
    let messages: Vec<RouteMessage> = handle
        .route()
        .get(filter)
        .execute()
        .try_collect()
        .await
        .map_err(|error| failed("list the routes", &error))?;
    Ok(messages
        .iter()
        .filter_map(|message| route(message, names))
        .collect())
}

fn route(message: &RouteMessage, names: &BTreeMap<u32, String>) -> Option<RouteEntry> {
    if message.header.protocol != RouteProtocol::Other(ROUTE_PROTOCOL) {
        return None;
    }
    let mut network = Ipv4Addr::UNSPECIFIED;
    let mut device = None;
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(address)) => network = *address,
            RouteAttribute::Oif(index) => device = names.get(index).cloned(),
            _ => {}
        }
    }
    let destination = CidrBlock::new(network, message.header.destination_prefix_length)?;
    let action = if message.header.kind == RouteType::Unreachable {
        RouteAction::Unreachable
    } else {
        RouteAction::Device(device?)
    };
    Some(RouteEntry {
        destination,
        action,
    })
}
