//! What the kernel should hold: VPC namespaces with their subnets, and attachments.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use model::{CidrBlock, SubnetId, VpcId};
use serde::{Deserialize, Serialize};

use crate::error::KernelError;
use crate::instance::InstanceId;

/// The TUN device of a VPC namespace, where traffic leaves the VPC.
pub const TUN: &str = "peer0";

/// Everything that one instance wants in the kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KernelDesired {
    /// The VPCs that get a namespace.
    pub vpcs: BTreeMap<VpcId, VpcDesired>,
    /// The attachments, by name.
    pub attachments: BTreeMap<String, Attachment>,
}

impl KernelDesired {
    /// What is wrong with the attachments that cannot be made: a [`KernelError::Attachment`] each.
    pub fn refusals(&self) -> Vec<KernelError> {
        let checked = self.attachments.iter().map(|(name, attachment)| {
            self.subnet_of(attachment)
                .err()
                .map(|reason| KernelError::Attachment {
                    name: name.clone(),
                    reason,
                })
        });
        checked.flatten().collect()
    }

    /// The block of an attachment's subnet, or why the attachment cannot be made.
    pub(crate) fn subnet_of(&self, attachment: &Attachment) -> Result<CidrBlock, String> {
        let Attachment { vpc, subnet, .. } = attachment;
        let wanted = self
            .vpcs
            .get(vpc)
            .ok_or_else(|| format!("this gateway does not carry {vpc}; detach it"))?;
        let block = *wanted
            .subnets
            .get(subnet)
            .ok_or_else(|| format!("{vpc} has no {subnet} here; detach it"))?;
        match attachment.host {
            Some(host) => check_host_address(host.address, block).map(|()| block),
            None => Ok(block),
        }
    }
}

fn check_host_address(address: Ipv4Addr, subnet: CidrBlock) -> Result<(), String> {
    // RFC 3021: a block of two addresses has no network and broadcast address.
    let has_broadcast = subnet.prefix_len() < 31;
    let what = if !subnet.contains_address(address) {
        "lies outside"
    } else if address == subnet.gateway_address() {
        "is the gateway address of"
    } else if has_broadcast && address == subnet.network() {
        "is the network address of"
    } else if has_broadcast && address == subnet.last() {
        "is the broadcast address of"
    } else {
        return Ok(());
    };
    Err(format!(
        "the host address {address} {what} {subnet}; attach again with another address"
    ))
}

/// One VPC's namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VpcDesired {
    /// The VPC's block; what is in no subnet is unreachable.
    pub cidr: CidrBlock,
    /// Its assistant blocks, which are like it.
    pub assistant_cidrs: BTreeSet<CidrBlock>,
    /// The MTU of the TUN device, the bridges and the attachments.
    pub mtu_bytes: u16,
    /// Each subnet gets a bridge that holds its gateway address.
    pub subnets: BTreeMap<SubnetId, CidrBlock>,
}

/// A host's way into a subnet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The VPC.
    #[serde(with = "as_text")]
    pub vpc: VpcId,
    /// The subnet.
    #[serde(with = "as_text")]
    pub subnet: SubnetId,
    /// What is attached.
    pub kind: AttachmentKind,
    /// How to configure the host side; left to the user when absent.
    pub host: Option<HostConfig>,
}

/// What is attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttachmentKind {
    /// A network card or VLAN of the gateway's own namespace. It moves into the VPC, and back with
    /// its old name when it is detached.
    Nic {
        /// Its name.
        interface: String,
    },
    /// A veth pair to another namespace.
    VethToNamespace {
        /// The namespace.
        namespace: NamespaceRef,
        /// The name of the end in there.
        interface: String,
    },
    /// A veth pair whose outer end is a port of a bridge in the gateway's own namespace.
    VethToBridge {
        /// The bridge.
        bridge: String,
    },
}

/// A network namespace of this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NamespaceRef {
    /// By its name under /run/netns.
    Name(String),
    /// That of a process.
    Pid(u32),
}

/// How to configure the host side of an attachment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostConfig {
    /// The host's address; the prefix is the subnet's and the default route its gateway address.
    pub address: Ipv4Addr,
}

/// The name of a subnet's bridge.
pub fn bridge_name(subnet: SubnetId) -> String {
    format!("br-{}", subnet.tail())
}

/// A bridge's MAC address: locally administered, unicast, and the same after every restart, so that
/// hosts need not learn it again.
pub fn bridge_mac(subnet: SubnetId) -> [u8; 6] {
    let [.., a, b, c, d, e] = hash(subnet.tail()).to_be_bytes();
    [0x02, a, b, c, d, e]
}

/// The name of an attachment's port in the VPC namespace: 14 characters, from a hash of the name.
pub fn port_name(attachment: &str) -> String {
    format!("at{:012x}", hash(attachment) & 0xffff_ffff_ffff)
}

/// The name of the outer end of a veth pair that joins a bridge of the host: 14 characters, from a
/// hash of the instance and the name, because several gateways may share the host's namespace.
pub fn outer_name(instance: &InstanceId, attachment: &str) -> String {
    outer_name_of_port(instance, &port_name(attachment))
}

/// The outer end's name, from the port's.
pub(crate) fn outer_name_of_port(instance: &InstanceId, port: &str) -> String {
    let hash = hash(&format!("{instance}:{port}"));
    format!("pw{:012x}", hash & 0xffff_ffff_ffff)
}

// FNV-1a, 64 bits: names only need to be stable and distinct among a host's few attachments.
pub(crate) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The lines that a user runs to configure the host side of an attachment.
pub fn host_commands(attachment: &Attachment, subnet: CidrBlock, mtu_bytes: u16) -> Vec<String> {
    let address = attachment
        .host
        .map_or_else(|| "ADDRESS".to_owned(), |host| host.address.to_string());
    let (prefix, interface) = match &attachment.kind {
        AttachmentKind::VethToNamespace {
            namespace: NamespaceRef::Name(name),
            interface,
        } => (format!("ip netns exec {name} "), interface.as_str()),
        AttachmentKind::VethToNamespace {
            namespace: NamespaceRef::Pid(pid),
            interface,
        } => (format!("nsenter -t {pid} -n "), interface.as_str()),
        AttachmentKind::Nic { .. } | AttachmentKind::VethToBridge { .. } => {
            (String::new(), "INTERFACE")
        }
    };
    [
        format!("ip link set {interface} mtu {mtu_bytes} up"),
        format!(
            "ip addr add {address}/{} dev {interface}",
            subnet.prefix_len()
        ),
        format!("ip route add default via {}", subnet.gateway_address()),
    ]
    .map(|line| format!("{prefix}{line}"))
    .to_vec()
}

mod as_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(from)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_into_the_kernels_fifteen_characters() {
        let subnet = SubnetId::from_entropy(5);
        let [one, two] = [1, 2].map(InstanceId::from_entropy);
        assert_ne!(outer_name(&one, "web"), outer_name(&two, "web"));
        let outer = outer_name(&one, "web");
        for name in [bridge_name(subnet), port_name("web"), outer] {
            assert!(name.len() <= 15, "{name}");
        }
        assert_ne!(port_name("web"), port_name("db"));
        assert_eq!(bridge_mac(subnet)[0] & 0b11, 0b10);
    }

    #[test]
    fn the_lines_for_the_user_name_the_place() {
        let attachment = Attachment {
            vpc: VpcId::from_entropy(1),
            subnet: SubnetId::from_entropy(2),
            kind: AttachmentKind::VethToNamespace {
                namespace: NamespaceRef::Name("web".into()),
                interface: "eth0".into(),
            },
            host: None,
        };
        let lines = host_commands(&attachment, "10.1.1.0/24".parse().unwrap(), 1390);
        assert_eq!(lines[0], "ip netns exec web ip link set eth0 mtu 1390 up");
        assert_eq!(
            lines[2],
            "ip netns exec web ip route add default via 10.1.1.1"
        );
    }
}
