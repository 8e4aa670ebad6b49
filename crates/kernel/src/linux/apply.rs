//! Applies one step.

use std::net::Ipv4Addr;

use model::VpcId;
use rtnetlink::packet_route::route::{
    RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use rtnetlink::{AddressMessageBuilder, RouteMessageBuilder};

use super::{LinuxKernel, ROUTE_PROTOCOL, UNREACHABLE_METRIC, attach, card, tun};
use crate::error::KernelError;
use crate::link;
use crate::netlink::{failed, is_errno, link_index, netlink};
use crate::netns::Namespace;
use crate::observed::{RouteAction, RouteEntry};
use crate::step::{Change, Step};

pub(super) fn apply(kernel: &LinuxKernel, step: &Step) -> Result<(), KernelError> {
    match step {
        Step::CreateNamespace(vpc) => create_namespace(kernel, *vpc),
        Step::DeleteNamespace(vpc) => Namespace::delete(&kernel.instance.namespace(*vpc)),
        // The namespace that the card was for may be gone.
        Step::In(_, Change::Restore { link, .. }) => card::restore(kernel, link),
        Step::In(vpc, change) => apply_in(kernel, *vpc, &kernel.namespace(*vpc)?, change),
    }
}

fn create_namespace(kernel: &LinuxKernel, vpc: VpcId) -> Result<(), KernelError> {
    match Namespace::create(&kernel.instance.namespace(vpc)) {
        Err(error) if is_errno(&error, &[libc::EEXIST]) => Ok(()),
        other => other.map(drop),
    }
}

fn apply_in(
    kernel: &LinuxKernel,
    vpc: VpcId,
    namespace: &Namespace,
    change: &Change,
) -> Result<(), KernelError> {
    match change {
        Change::SetSysctl { path, value } => namespace.run(|| write_sysctl(path, value)),
        Change::CreateTun => namespace.run(|| tun::open(tun::Persistence::Keep).map(drop)),
        Change::CreateBridge { name, mac } => {
            match link::create_bridge_with_mac(namespace, name, *mac) {
                Err(error) if is_errno(&error, &[libc::EEXIST]) => Ok(()),
                other => other,
            }
        }
        Change::DeleteLink(name) => link::delete_link(namespace, name),
        Change::SetMtu { link, mtu_bytes } => link::set_mtu(namespace, link, *mtu_bytes),
        Change::SetUp(link) => link::set_up(namespace, link),
        Change::SetBridge { link, bridge } => link::set_master(namespace, link, bridge),
        Change::AddAddress {
            link,
            address,
            prefix_len,
        } => link::add_address(namespace, link, (*address).into(), *prefix_len),
        Change::RemoveAddress {
            link,
            address,
            prefix_len,
        } => remove_address(namespace, link, *address, *prefix_len),
        Change::AddRoute(route) => add_route(namespace, route),
        Change::RemoveRoute(route) => remove_route(namespace, route),
        Change::Attach(step) => attach::attach(kernel, (vpc, namespace), step),
        Change::JoinBridge { port, bridge } => attach::join_bridge(kernel, port, bridge),
        Change::Detach {
            port,
            original_name: Some(_),
        } => card::give_back(kernel, namespace, port),
        Change::Detach {
            port,
            original_name: None,
        } => attach::remove_pair(namespace, port),
        Change::Restore { link, .. } => card::restore(kernel, link),
    }
}

// The thread is inside the namespace: /proc/sys/net shows that of the reading thread.
fn write_sysctl(path: &str, value: &str) -> Result<(), KernelError> {
    std::fs::write(format!("/proc/sys/{path}"), value)
        .map_err(|error| KernelError::io(format!("set {path} to {value}"), error))
}

fn remove_address(
    namespace: &Namespace,
    name: &str,
    address: Ipv4Addr,
    prefix_len: u8,
) -> Result<(), KernelError> {
    let removed = netlink(namespace, async |handle| {
        let index = link_index(&handle, namespace, name).await?;
        let message = AddressMessageBuilder::<Ipv4Addr>::new()
            .index(index)
            .address(address, prefix_len)
            .build();
        let doing = format!("remove {address}/{prefix_len} from {name}");
        handle
            .address()
            .del(message)
            .execute()
            .await
            .map_err(|error| failed(doing, &error))
    });
    match removed {
        Err(error) if is_errno(&error, &[libc::EADDRNOTAVAIL]) => Ok(()),
        other => other,
    }
}

fn add_route(namespace: &Namespace, route: &RouteEntry) -> Result<(), KernelError> {
    let added = netlink(namespace, async |handle| {
        let index = match &route.action {
            RouteAction::Device(device) => Some(link_index(&handle, namespace, device).await?),
            RouteAction::Unreachable => None,
        };
        let doing = format!("add the route {route}");
        let request = handle.route().add(message(route, index));
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

fn remove_route(namespace: &Namespace, route: &RouteEntry) -> Result<(), KernelError> {
    let removed = netlink(namespace, async |handle| {
        let request = handle.route().del(message(route, None));
        let doing = format!("remove the route {route}");
        request
            .execute()
            .await
            .map_err(|error| failed(doing, &error))
    });
    match removed {
        Err(error) if is_errno(&error, &[libc::ESRCH]) => Ok(()),
        other => other,
    }
}

fn message(route: &RouteEntry, device: Option<u32>) -> RouteMessage {
    let mut builder = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(route.destination.network(), route.destination.prefix_len())
        .protocol(RouteProtocol::Other(ROUTE_PROTOCOL));
    if let Some(index) = device {
        builder = builder.output_interface(index).scope(RouteScope::Link);
    }
    let mut message = builder.build();
    if route.action == RouteAction::Unreachable {
        message.header.kind = RouteType::Unreachable;
        message
            .attributes
            .push(RouteAttribute::Priority(UNREACHABLE_METRIC));
    }
    message
}
