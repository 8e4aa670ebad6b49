//! What a gateway wants of the kernel: VPCs with their subnets, and attachments.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::{fmt, str};

use model::{CidrBlock, SubnetId, VpcId};
use serde::{Deserialize, Serialize};

use crate::names;

/// The longest name of an attachment or target namespace, in bytes. Both are written into the port's
/// alias, which holds 254.
const LONGEST_NAME: usize = 64;

/// Everything that one gateway instance wants of the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KernelDesired {
    /// The VPCs to carry.
    pub vpcs: BTreeMap<VpcId, VpcDesired>,
    /// The attachments, by their name: 1 to 64 printable ASCII characters without space.
    pub attachments: BTreeMap<String, Attachment>,
}

/// One VPC as the kernel should have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VpcDesired {
    /// The block of the VPC; what of it is in no subnet is unreachable.
    pub cidr: CidrBlock,
    /// The MTU of `peer0`, the bridges and the veth pairs of attachments, in bytes.
    pub mtu_bytes: u16,
    /// The subnets with their blocks.
    pub subnets: BTreeMap<SubnetId, CidrBlock>,
}

/// A host, or a segment with hosts, as a port of a subnet's bridge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The VPC; its id as text in the serialized form.
    #[serde(with = "as_text")]
    pub vpc: VpcId,
    /// The subnet; its id as text in the serialized form.
    #[serde(with = "as_text")]
    pub subnet: SubnetId,
    /// What is attached.
    pub kind: AttachmentKind,
    /// How to configure the host side, when that is wanted and possible (a veth to a namespace).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostConfig>,
}

/// What is attached to a subnet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttachmentKind {
    /// A NIC or VLAN of the gateway's own namespace, moved in. It comes back under its own name when
    /// it is detached.
    Nic {
        /// Its name in the gateway's own namespace.
        interface: String,
    },
    /// A veth pair to another namespace.
    VethToNamespace {
        /// The namespace of the host side.
        namespace: NamespaceRef,
        /// The interface to make there.
        interface: String,
    },
    /// A veth pair whose outer end joins a bridge of the gateway's own namespace.
    VethToBridge {
        /// That bridge.
        bridge: String,
    },
}

/// A network namespace that is not ours.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NamespaceRef {
    /// By its name below `/run/netns`.
    Name(String),
    /// That of a process. Process ids are used again: the caller answers for this one still being
    /// the process that was meant.
    Pid(u32),
}

/// The configuration of an attachment's host side: this address with the subnet's prefix length, link
/// up, default route to the subnet's gateway address, the VPC's MTU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostConfig {
    /// The address of the host, in the subnet.
    pub address: Ipv4Addr,
}

/// An attachment that cannot be made, whatever the kernel's state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttachmentError {
    /// The attachment's own name is unusable.
    #[error("`{0}` cannot name an attachment (1 to 64 printable ASCII characters, no space)")]
    Name(String),
    /// The subnet is not among those of the VPC at this gateway.
    #[error("subnet {subnet} of {vpc} is not carried by this gateway")]
    UnknownSubnet {
        /// The VPC of the attachment.
        vpc: VpcId,
        /// The subnet of the attachment.
        subnet: SubnetId,
    },
    /// The text cannot name an interface.
    #[error("`{0}` cannot name an interface")]
    InterfaceName(String),
    /// The target is not a namespace that may be attached.
    #[error("`{0}` cannot be attached: it is the namespace of a VPC or no usable name")]
    Target(String),
    /// The address cannot be that of a host of the subnet.
    #[error(
        "{address} cannot be a host of {cidr}: it must lie inside and be neither the first address, \
         the gateway's, nor the last"
    )]
    HostAddress {
        /// The address asked for.
        address: Ipv4Addr,
        /// The block of the subnet.
        cidr: CidrBlock,
    },
    /// Only the host side of a veth to a namespace can be configured from here.
    #[error("the hosts behind a NIC or a bridge cannot be configured from here")]
    HostOutOfReach,
}

impl KernelDesired {
    /// The block of an attachment's subnet, if the attachment can be made at all.
    ///
    /// # Errors
    /// Whatever is wrong in the attachment itself or with its place here.
    pub fn check(&self, name: &str, attachment: &Attachment) -> Result<CidrBlock, AttachmentError> {
        let is_plain = |text: &str| {
            (1..=LONGEST_NAME).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if !is_plain(name) {
            return Err(AttachmentError::Name(name.to_owned()));
        }
        let interface = match &attachment.kind {
            AttachmentKind::Nic { interface }
            | AttachmentKind::VethToNamespace { interface, .. }
            | AttachmentKind::VethToBridge { bridge: interface } => interface,
        };
        if !names::is_interface_name(interface) {
            return Err(AttachmentError::InterfaceName(interface.clone()));
        }
        if let AttachmentKind::VethToNamespace { namespace: NamespaceRef::Name(target), .. } =
            &attachment.kind
        {
            let is_file_name = is_plain(target) && !target.contains('/') && !target.starts_with('.');
            if !is_file_name || names::is_vpc_namespace(target) {
                return Err(AttachmentError::Target(target.clone()));
            }
        }
        let cidr = self
            .vpcs
            .get(&attachment.vpc)
            .and_then(|vpc| vpc.subnets.get(&attachment.subnet))
            .copied()
            .ok_or(AttachmentError::UnknownSubnet {
                vpc: attachment.vpc,
                subnet: attachment.subnet,
            })?;
        if let Some(host) = attachment.host {
            attachment.check_host(host, cidr)?;
        }
        Ok(cidr)
    }
}

impl Attachment {
    fn check_host(&self, host: HostConfig, cidr: CidrBlock) -> Result<(), AttachmentError> {
        match self.kind {
            AttachmentKind::VethToNamespace { .. } => {}
            AttachmentKind::Nic { .. } | AttachmentKind::VethToBridge { .. } => {
                return Err(AttachmentError::HostOutOfReach);
            }
        }
        let address = host.address;
        let taken = [cidr.network(), cidr.gateway_address(), cidr.last()];
        if !cidr.contains_address(address) || taken.contains(&address) {
            return Err(AttachmentError::HostAddress { address, cidr });
        }
        Ok(())
    }
}

impl fmt::Display for NamespaceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "namespace {name}"),
            Self::Pid(pid) => write!(f, "the namespace of process {pid}"),
        }
    }
}

impl fmt::Display for AttachmentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nic { interface } => write!(f, "NIC {interface}"),
            Self::VethToNamespace { namespace, interface } => {
                write!(f, "veth to {interface} in {namespace}")
            }
            Self::VethToBridge { bridge } => write!(f, "veth to bridge {bridge}"),
        }
    }
}

/// Serializes ids as their text.
mod as_text {
    use std::fmt::Display;

    use serde::{Deserialize, Deserializer, Serializer, de};

    use super::str::FromStr;

    pub fn serialize<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}
