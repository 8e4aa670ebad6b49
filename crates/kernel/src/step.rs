//! One change of the kernel, as the plan asks for it.

use std::fmt;
use std::net::Ipv4Addr;

use model::{CidrBlock, SubnetId, VpcId};

use crate::desired::Attachment;
use crate::names::{PEER_DEVICE, bridge_name, port_name};

/// One change of the kernel. Its text form is for logs and dry runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Makes the namespace of a VPC.
    CreateNamespace {
        /// The VPC.
        vpc: VpcId,
    },
    /// Removes the namespace of a VPC with all that is in it; its NICs have been detached before.
    DeleteNamespace {
        /// The VPC.
        vpc: VpcId,
    },
    /// Writes settings, in order.
    SetSysctls {
        /// The VPC.
        vpc: VpcId,
        /// Paths below `/proc/sys` with their values.
        values: Vec<(String, String)>,
    },
    /// Makes the persistent TUN device.
    CreateTun {
        /// The VPC.
        vpc: VpcId,
    },
    /// Makes the bridge of a subnet.
    CreateBridge {
        /// The VPC.
        vpc: VpcId,
        /// The subnet.
        subnet: SubnetId,
        /// Its MAC address.
        mac: [u8; 6],
    },
    /// Removes a bridge or `peer0`.
    DeleteLink {
        /// The VPC.
        vpc: VpcId,
        /// The link.
        link: String,
    },
    /// Sets the MTU of a link.
    SetMtu {
        /// The VPC.
        vpc: VpcId,
        /// The link.
        link: String,
        /// The MTU in bytes.
        mtu_bytes: u16,
    },
    /// Sets the MAC address of a bridge.
    SetMac {
        /// The VPC.
        vpc: VpcId,
        /// The link.
        link: String,
        /// The MAC address.
        mac: [u8; 6],
    },
    /// Sets a link up.
    SetLinkUp {
        /// The VPC.
        vpc: VpcId,
        /// The link.
        link: String,
    },
    /// Adds an address to a link.
    AddAddress {
        /// The VPC.
        vpc: VpcId,
        /// The link.
        link: String,
        /// The address.
        address: Ipv4Addr,
        /// The prefix length, 0 to 32.
        prefix_len: u8,
    },
    /// Removes an address of a link.
    RemoveAddress {
        /// The VPC.
        vpc: VpcId,
        /// The link.
        link: String,
        /// The address.
        address: Ipv4Addr,
        /// The prefix length, 0 to 32.
        prefix_len: u8,
    },
    /// Adds a route, replacing another one to the same destination.
    AddRoute {
        /// The VPC.
        vpc: VpcId,
        /// The route.
        route: VpcRoute,
    },
    /// Removes a route of ours.
    RemoveRoute {
        /// The VPC.
        vpc: VpcId,
        /// The route.
        route: VpcRoute,
    },
    /// Makes an attachment's port and puts it into its bridge.
    Attach {
        /// The name of the attachment.
        name: String,
        /// The attachment.
        attachment: Attachment,
        /// The MTU of the veth pair, in bytes.
        mtu_bytes: u16,
    },
    /// Sets the outer end of an attachment as wanted.
    ConfigureOuter {
        /// The name of the attachment.
        name: String,
        /// The attachment.
        attachment: Attachment,
        /// What to set.
        settings: OuterSettings,
    },
    /// Puts a port into a subnet's bridge and sets it up.
    JoinBridge {
        /// The VPC.
        vpc: VpcId,
        /// The subnet.
        subnet: SubnetId,
        /// The port.
        port: String,
    },
    /// Removes a port: a NIC goes back to where it came from, a veth pair disappears.
    Detach {
        /// The VPC.
        vpc: VpcId,
        /// The port.
        port: String,
    },
}

/// How the outer end of a veth pair should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OuterSettings {
    /// The MTU in bytes.
    pub mtu_bytes: u16,
    /// The bridge of the gateway's own namespace to be a port of, and up.
    pub bridge: Option<String>,
    /// The address and prefix length of the host, and the next hop of its default route; it is set
    /// up too.
    pub host: Option<(Ipv4Addr, u8, Ipv4Addr)>,
}

/// A route of a VPC namespace that carries our protocol number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum VpcRoute {
    /// Addresses of the VPC that are in no subnet are unreachable. Its metric is the largest there
    /// is, so that a subnet as large as its VPC wins.
    Unreachable(CidrBlock),
    /// Everything else goes to the engine.
    DefaultToPeer,
    /// A route of ours in a form that we do not want: to this destination, with this metric.
    Stray(CidrBlock, u32),
}

impl Step {
    /// The VPC whose namespace the step works in.
    pub fn vpc(&self) -> VpcId {
        match self {
            Self::CreateNamespace { vpc }
            | Self::DeleteNamespace { vpc }
            | Self::SetSysctls { vpc, .. }
            | Self::CreateTun { vpc }
            | Self::CreateBridge { vpc, .. }
            | Self::DeleteLink { vpc, .. }
            | Self::SetMtu { vpc, .. }
            | Self::SetMac { vpc, .. }
            | Self::SetLinkUp { vpc, .. }
            | Self::AddAddress { vpc, .. }
            | Self::RemoveAddress { vpc, .. }
            | Self::AddRoute { vpc, .. }
            | Self::RemoveRoute { vpc, .. }
            | Self::JoinBridge { vpc, .. }
            | Self::Detach { vpc, .. } => *vpc,
            Self::Attach { attachment, .. } | Self::ConfigureOuter { attachment, .. } => {
                attachment.vpc
            }
        }
    }
}

impl fmt::Display for VpcRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(cidr) => write!(f, "unreachable {cidr}"),
            Self::DefaultToPeer => write!(f, "default dev {PEER_DEVICE}"),
            Self::Stray(cidr, metric) => write!(f, "stray {cidr} metric {metric}"),
        }
    }
}

impl fmt::Display for OuterSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mtu {}", self.mtu_bytes)?;
        if let Some(bridge) = &self.bridge {
            write!(f, ", port of {bridge}")?;
        }
        if let Some((address, prefix_len, gateway)) = self.host {
            write!(f, ", address {address}/{prefix_len}, default via {gateway}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.vpc())?;
        match self {
            Self::CreateNamespace { .. } => write!(f, "create namespace"),
            Self::DeleteNamespace { .. } => write!(f, "delete namespace"),
            Self::SetSysctls { values, .. } => {
                write!(f, "set")?;
                values.iter().try_for_each(|(path, value)| write!(f, " {path}={value}"))
            }
            Self::CreateTun { .. } => write!(f, "create TUN device {PEER_DEVICE}"),
            Self::CreateBridge { subnet, mac, .. } => {
                write!(f, "create bridge {} mac {}", bridge_name(*subnet), Mac(mac))
            }
            Self::DeleteLink { link, .. } => write!(f, "delete link {link}"),
            Self::SetMtu { link, mtu_bytes, .. } => write!(f, "set {link} mtu {mtu_bytes}"),
            Self::SetMac { link, mac, .. } => write!(f, "set {link} mac {}", Mac(mac)),
            Self::SetLinkUp { link, .. } => write!(f, "set {link} up"),
            Self::AddAddress { link, address, prefix_len, .. } => {
                write!(f, "add {address}/{prefix_len} to {link}")
            }
            Self::RemoveAddress { link, address, prefix_len, .. } => {
                write!(f, "remove {address}/{prefix_len} from {link}")
            }
            Self::AddRoute { route, .. } => write!(f, "add route {route}"),
            Self::RemoveRoute { route, .. } => write!(f, "remove route {route}"),
            Self::Attach { name, attachment, mtu_bytes } => {
                let bridge = bridge_name(attachment.subnet);
                let port = port_name(name);
                let kind = &attachment.kind;
                write!(f, "attach {name} ({kind}) as {port} to {bridge} mtu {mtu_bytes}")
            }
            Self::ConfigureOuter { name, settings, .. } => {
                write!(f, "configure the outer end of {name}: {settings}")
            }
            Self::JoinBridge { subnet, port, .. } => {
                write!(f, "put {port} into {}", bridge_name(*subnet))
            }
            Self::Detach { port, .. } => write!(f, "detach {port}"),
        }
    }
}

struct Mac<'a>(&'a [u8; 6]);

impl fmt::Display for Mac<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}
