//! What the kernel holds of one instance, as far as the plan cares.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use model::{SubnetId, VpcId};

use crate::instance::InstanceId;
use crate::record::AttachmentRecord;
use crate::step::VpcRoute;

/// Everything in the kernel that belongs to one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The owner.
    pub instance: InstanceId,
    /// The VPC namespaces with what they hold.
    pub vpcs: BTreeMap<VpcId, VpcObserved>,
    /// Names below `/run/netns` of VPCs without a namespace behind them, left by a crash.
    pub stale: BTreeSet<VpcId>,
}

impl Observed {
    /// An instance that owns nothing yet.
    pub fn empty(instance: InstanceId) -> Observed {
        Observed { instance, vpcs: BTreeMap::new(), stale: BTreeSet::new() }
    }
}

/// One VPC namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VpcObserved {
    /// Whether `lo` is up.
    pub is_loopback_up: bool,
    /// The TUN device.
    pub peer0: Option<TunObserved>,
    /// The bridges by their subnet.
    pub bridges: BTreeMap<SubnetId, BridgeObserved>,
    /// The ports of attachments, by link name.
    pub ports: BTreeMap<String, PortObserved>,
    /// The routes of the main table that carry our protocol number.
    pub routes: BTreeSet<VpcRoute>,
    /// The settings that the plan may want, by path below `/proc/sys`.
    pub sysctls: BTreeMap<String, String>,
}

/// `peer0` as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TunObserved {
    /// Whether it is a persistent multi-queue TUN device with `vnet_hdr` and without packet info.
    pub is_well_formed: bool,
    /// Administratively up.
    pub is_up: bool,
    /// The MTU in bytes.
    pub mtu_bytes: u32,
}

/// A subnet's bridge as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeObserved {
    /// The MAC address.
    pub mac: [u8; 6],
    /// Administratively up.
    pub is_up: bool,
    /// The MTU in bytes.
    pub mtu_bytes: u32,
    /// The IPv4 addresses with their prefix lengths.
    pub addresses: BTreeSet<(Ipv4Addr, u8)>,
}

/// The port of an attachment as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortObserved {
    /// What the port says of itself; `None` when its making was interrupted.
    pub record: Option<AttachmentRecord>,
    /// The subnet whose bridge it is a port of.
    pub subnet: Option<SubnetId>,
    /// Administratively up.
    pub is_up: bool,
    /// The MTU in bytes.
    pub mtu_bytes: u32,
    /// The other end.
    pub outer: OuterObserved,
}

/// The other end of an attachment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OuterObserved {
    /// There is none to look at: a NIC, or a port without record.
    None,
    /// The namespace it was made in has no name (or process) any more. The pair itself may live on.
    Unreachable,
    /// It is not in the namespace it should be in.
    Missing,
    /// It is where it was made.
    Present(OuterLink),
}

/// The outer end of a veth pair as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OuterLink {
    /// Administratively up.
    pub is_up: bool,
    /// The MTU in bytes.
    pub mtu_bytes: u32,
    /// The bridge it is a port of.
    pub bridge: Option<String>,
    /// The IPv4 addresses with their prefix lengths.
    pub addresses: BTreeSet<(Ipv4Addr, u8)>,
    /// The next hop of the default route through it.
    pub default_via: Option<Ipv4Addr>,
}
