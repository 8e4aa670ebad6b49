//! What the kernel holds of one instance.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use model::{CidrBlock, VpcId};

/// Everything of one instance, as read back from the kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// The VPC namespaces.
    pub vpcs: BTreeMap<VpcId, VpcObserved>,
    /// Whether the kernel runs without IPv6, so that there are no sysctls of it.
    pub is_ipv6_missing: bool,
    /// The network cards in the gateway's own namespace that are half-way in or out, by the name
    /// that they have there.
    pub stranded: BTreeMap<String, Stranded>,
}

/// A network card that was left half-way into or out of a VPC namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stranded {
    /// The VPC.
    pub vpc: VpcId,
    /// The name it had before.
    pub original_name: String,
}

/// One VPC namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VpcObserved {
    /// Its links by name, the loopback included.
    pub links: BTreeMap<String, LinkObserved>,
    /// The routes that carry our protocol number.
    pub routes: BTreeSet<RouteEntry>,
    /// The sysctls that we set, as far as they exist: path below /proc/sys to value.
    pub sysctls: BTreeMap<String, String>,
}

/// A link in a VPC namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkObserved {
    /// What it is.
    pub kind: LinkKind,
    /// Its MTU.
    pub mtu_bytes: u32,
    /// Whether it is administratively up.
    pub is_up: bool,
    /// The bridge that it is a port of.
    pub bridge: Option<String>,
    /// Its IPv4 addresses with their prefix lengths.
    pub addresses: BTreeSet<(Ipv4Addr, u8)>,
    /// The name that a network card had before it was moved in.
    pub original_name: Option<String>,
    /// The fingerprint of the attachment that a port was made for, when it is wholly made.
    pub made_for: Option<String>,
    /// The other end of the pair, when it is in the gateway's own namespace and ours.
    pub outer: Option<OuterObserved>,
}

/// The outer end of a port's veth pair, in the gateway's own namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OuterObserved {
    /// The bridge that it is a port of.
    pub bridge: Option<String>,
    /// Whether it is administratively up.
    pub is_up: bool,
}

/// What a link is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LinkKind {
    /// A bridge.
    Bridge,
    /// A TUN device.
    Tun,
    /// An end of a veth pair.
    Veth,
    /// Anything else: the loopback, a network card, a VLAN.
    #[default]
    Other,
}

/// A route of ours.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteEntry {
    /// Where it leads.
    pub destination: CidrBlock,
    /// What it does.
    pub action: RouteAction,
}

/// What a route does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RouteAction {
    /// Answers "host unreachable".
    Unreachable,
    /// Sends through a device.
    Device(String),
}
