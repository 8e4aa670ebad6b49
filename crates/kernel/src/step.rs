//! The steps that lead from what is observed to what is desired.

use std::fmt;
use std::net::Ipv4Addr;

use model::{CidrBlock, VpcId};

use crate::desired::{Attachment, AttachmentKind, NamespaceRef, hash};
use crate::observed::{RouteAction, RouteEntry};

/// One change of the kernel. Applying it when it is already done is no error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Makes a VPC's namespace.
    CreateNamespace(VpcId),
    /// Removes a VPC's namespace with everything in it.
    DeleteNamespace(VpcId),
    /// Changes something inside a VPC's namespace.
    In(VpcId, Change),
}

/// A change inside a VPC's namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Writes a sysctl.
    SetSysctl {
        /// The path below /proc/sys.
        path: String,
        /// The value.
        value: String,
    },
    /// Makes the persistent TUN device.
    CreateTun,
    /// Makes a bridge.
    CreateBridge {
        /// Its name.
        name: String,
        /// Its MAC address.
        mac: [u8; 6],
    },
    /// Removes a link.
    DeleteLink(String),
    /// Sets a link's MTU.
    SetMtu {
        /// The link.
        link: String,
        /// Its MTU.
        mtu_bytes: u16,
    },
    /// Sets a link up.
    SetUp(String),
    /// Makes a link a port of a bridge.
    SetBridge {
        /// The link.
        link: String,
        /// The bridge.
        bridge: String,
    },
    /// Adds an address.
    AddAddress {
        /// The link.
        link: String,
        /// The address.
        address: Ipv4Addr,
        /// Its prefix length.
        prefix_len: u8,
    },
    /// Removes an address.
    RemoveAddress {
        /// The link.
        link: String,
        /// The address.
        address: Ipv4Addr,
        /// Its prefix length.
        prefix_len: u8,
    },
    /// Adds a route of ours.
    AddRoute(RouteEntry),
    /// Removes a route of ours.
    RemoveRoute(RouteEntry),
    /// Brings a host in.
    Attach(AttachStep),
    /// Takes a port away: a network card goes back with its old name, a veth pair is removed.
    Detach {
        /// The port's name in the VPC namespace.
        port: String,
        /// The card's old name; a veth pair when absent.
        original_name: Option<String>,
    },
    /// Makes the outer end of a port's veth pair a port of a bridge of the host, and sets it up.
    JoinBridge {
        /// The port's name in the VPC namespace.
        port: String,
        /// The bridge.
        bridge: String,
    },
    /// Finishes giving back a network card that is in the gateway's own namespace again.
    Restore {
        /// Its name there.
        link: String,
        /// The name it had before it was attached.
        original_name: String,
    },
}

/// Everything that bringing a host in needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachStep {
    /// The attachment's name.
    pub name: String,
    /// What is attached.
    pub attachment: Attachment,
    /// The block of the subnet.
    pub subnet: CidrBlock,
    /// The MTU of the port and, when it is configured, of the host side.
    pub mtu_bytes: u16,
}

impl AttachStep {
    /// What a port is made for, in 16 characters: when this changes, the port is made anew.
    pub fn fingerprint(&self) -> String {
        let Attachment { kind, host, .. } = &self.attachment;
        let host = host.filter(|_| matches!(kind, AttachmentKind::VethToNamespace { .. }));
        let host = host.map_or_else(String::new, |host| {
            format!(" with {} in {}", host.address, self.subnet)
        });
        let what = match kind {
            AttachmentKind::Nic { interface } => format!("card {interface}"),
            AttachmentKind::VethToNamespace {
                namespace,
                interface,
            } => format!("{interface} of {namespace}"),
            AttachmentKind::VethToBridge { bridge } => format!("bridge {bridge}"),
        };
        format!("{:016x}", hash(&format!("{what}{host}")))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::CreateNamespace(vpc) => write!(f, "{vpc}: make the namespace"),
            Step::DeleteNamespace(vpc) => write!(f, "{vpc}: remove the namespace"),
            Step::In(vpc, change) => write!(f, "{vpc}: {change}"),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::SetSysctl { path, value } => write!(f, "set {path} to {value}"),
            Change::CreateTun => write!(f, "make the TUN device {}", crate::desired::TUN),
            Change::CreateBridge { name, .. } => write!(f, "make the bridge {name}"),
            Change::DeleteLink(name) => write!(f, "remove the link {name}"),
            Change::SetMtu { link, mtu_bytes } => write!(f, "set the MTU of {link} to {mtu_bytes}"),
            Change::SetUp(link) => write!(f, "set {link} up"),
            Change::SetBridge { link, bridge } => write!(f, "make {link} a port of {bridge}"),
            Change::AddAddress {
                link,
                address,
                prefix_len,
            } => {
                write!(f, "add {address}/{prefix_len} to {link}")
            }
            Change::RemoveAddress {
                link,
                address,
                prefix_len,
            } => {
                write!(f, "remove {address}/{prefix_len} from {link}")
            }
            Change::AddRoute(route) => write!(f, "add the route {route}"),
            Change::RemoveRoute(route) => write!(f, "remove the route {route}"),
            Change::Attach(step) => {
                let what = match &step.attachment.kind {
                    AttachmentKind::Nic { interface } => format!("the interface {interface}"),
                    AttachmentKind::VethToNamespace {
                        namespace,
                        interface,
                    } => {
                        format!("{interface} of {namespace}")
                    }
                    AttachmentKind::VethToBridge { bridge } => format!("the bridge {bridge}"),
                };
                write!(f, "attach {what} as {} to {}", step.name, step.subnet)
            }
            Change::Detach {
                port,
                original_name: Some(name),
            } => {
                write!(f, "detach {port} and give it back as {name}")
            }
            Change::Detach {
                port,
                original_name: None,
            } => write!(f, "detach {port}"),
            Change::JoinBridge { port, bridge } => {
                write!(f, "join the outer end of {port} to the bridge {bridge}")
            }
            Change::Restore {
                link,
                original_name,
            } => write!(f, "restore {link} as {original_name}"),
        }
    }
}

impl fmt::Display for NamespaceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NamespaceRef::Name(name) => write!(f, "namespace {name}"),
            NamespaceRef::Pid(pid) => write!(f, "process {pid}"),
        }
    }
}

impl fmt::Display for RouteEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.action {
            RouteAction::Unreachable => write!(f, "{} unreachable", self.destination),
            RouteAction::Device(device) => write!(f, "{} through {device}", self.destination),
        }
    }
}
