//! Attachments: network cards moved in, veth pairs to other namespaces and to bridges.

use model::VpcId;

use super::mark::Mark;
use super::{LinuxKernel, card};
use crate::desired::{
    AttachmentKind, HostConfig, NamespaceRef, bridge_name, outer_name, outer_name_of_port,
    port_name,
};
use crate::error::KernelError;
use crate::link;
use crate::netlink::{is_errno, link_kind};
use crate::netns::Namespace;
use crate::observed::LinkKind;
use crate::step::AttachStep;

pub(super) fn attach(
    kernel: &LinuxKernel,
    (id, vpc): (VpcId, &Namespace),
    step: &AttachStep,
) -> Result<(), KernelError> {
    let port = port_name(&step.name);
    let mark = Mark {
        instance: kernel.instance.clone(),
        vpc: id,
        made_for: step.fingerprint(),
        card: None,
    };
    let is_card = matches!(step.attachment.kind, AttachmentKind::Nic { .. });
    let outer = match &step.attachment.kind {
        AttachmentKind::Nic { interface } => {
            card::move_in(kernel, vpc, interface, &port, mark.clone())?;
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
            let outer = outer_name(&kernel.instance, &step.name);
            link::create_veth_pair(vpc, &port, &kernel.own, &outer)?;
            Some((kernel.own.clone(), outer, Some(bridge.as_str())))
        }
    };
    let finish = || {
        link::set_mtu(vpc, &port, step.mtu_bytes)?;
        link::set_master(vpc, &port, &bridge_name(step.attachment.subnet))?;
        link::set_up(vpc, &port)?;
        if let Some((host, interface, bridge)) = &outer {
            if let Some(bridge) = bridge {
                link::set_master(host, interface, bridge)?;
                link::set_up(host, interface)?;
            } else if let Some(config) = step.attachment.host {
                configure_host(host, interface, config, step)?;
            }
        }
        if is_card {
            return Ok(());
        }
        // Last: a port without a mark is half an attachment, and the next plan makes it again.
        let doing = format!("mark {port}");
        link::change(vpc, &port, &doing, |change| change.alias(mark.to_alias()))
    };
    finish().inspect_err(|_| {
        let undone = if is_card {
            card::give_back(kernel, vpc, &port)
        } else {
            link::delete_link(vpc, &port)
        };
        if let Err(error) = undone {
            tracing::warn!(attachment = step.name, %error, "cannot undo half an attachment");
        }
    })
}

/// Removes the veth pair of a port. One that is already gone is no error; anything but a veth pair is
/// left alone.
pub(super) fn remove_pair(vpc: &Namespace, port: &str) -> Result<(), KernelError> {
    let Some(message) = link::find(vpc, port)? else {
        return Ok(());
    };
    if link_kind(&message) == LinkKind::Veth {
        return link::delete_link(vpc, port);
    }
    Err(KernelError::Refused {
        interface: port.to_owned(),
        reason: format!(
            "it is no veth pair, and what it was is not in its alias; move it out of the namespace \
             {} by hand",
            vpc.name()
        ),
    })
}

/// Makes the outer end of a port's veth pair a port of a bridge again, and sets it up.
pub(super) fn join_bridge(
    kernel: &LinuxKernel,
    port: &str,
    bridge: &str,
) -> Result<(), KernelError> {
    let outer = outer_name_of_port(&kernel.instance, port);
    link::set_master(&kernel.own, &outer, bridge)?;
    link::set_up(&kernel.own, &outer)
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
