//! Attachments as users ask for them: checked against the slice, remembered on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use kernel::{Attachment, AttachmentKind, HostConfig, NamespaceRef};
use model::slice::{GatewaySlice, VpcSlice};
use model::{CidrBlock, SubnetId, VpcId, VpcRef};
use serde::{Deserialize, Serialize};

use crate::state::{ATTACHMENTS, StateError, StateFolder};

/// The form of the attachments' file that this software writes.
const VERSION: u32 = 1;
const MAX_NAME_BYTES: usize = 64;
/// The kernel's limit without the final zero (IFNAMSIZ).
const MAX_INTERFACE_BYTES: usize = 15;

/// Asks for a host to be brought into a subnet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachRequest {
    /// A name, unique on this gateway: 1 to 64 letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// The VPC, by either id.
    pub vpc: String,
    /// The subnet, by its unified id or its CIDR block.
    pub subnet: String,
    /// What to attach.
    pub target: AttachTarget,
    /// Whether the gateway configures the host side.
    pub configure: bool,
    /// The host's address; a free one is chosen when `configure` is asked without it.
    pub address: Option<Ipv4Addr>,
}

/// What to attach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttachTarget {
    /// A network card or VLAN of this host; it moves into the VPC.
    Nic {
        /// Its name.
        interface: String,
    },
    /// A veth pair to a network namespace.
    Namespace {
        /// The namespace's name under /run/netns.
        name: String,
        /// The interface to make in there.
        interface: String,
    },
    /// A veth pair to the network namespace of a process.
    Process {
        /// The process.
        pid: u32,
        /// The interface to make in there.
        interface: String,
    },
    /// A veth pair whose outer end joins a bridge of this host.
    Bridge {
        /// The bridge.
        bridge: String,
    },
}

/// What an attach did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachReply {
    /// The VPC.
    pub vpc: String,
    /// The subnet.
    pub subnet: String,
    /// The subnet's CIDR block.
    pub cidr: String,
    /// The host's address, when it was given or chosen.
    pub address: Option<Ipv4Addr>,
    /// The subnet's gateway address.
    pub gateway_address: Ipv4Addr,
    /// The MTU in bytes that the host side should have.
    pub mtu_bytes: u16,
    /// What to run on the host; empty when the gateway configured it.
    pub host_commands: Vec<String>,
}

/// An attachment, as shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachmentView {
    /// The VPC.
    pub vpc: String,
    /// The subnet.
    pub subnet: String,
    /// What is attached.
    pub target: AttachTarget,
    /// The address that the gateway configured on the host.
    pub address: Option<Ipv4Addr>,
    /// Why it is not in force, if it is not.
    pub error: Option<String>,
}

/// Why an attachment is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    /// The name has other characters or another length.
    #[error("`{0}` is not a name for an attachment (1 to 64 letters, digits, `-`, `_` and `.`)")]
    Name(String),
    /// The name is taken.
    #[error("there is an attachment `{0}` already; detach it first or take another name")]
    NameTaken(String),
    /// The same thing is attached already.
    #[error("it is attached already, as `{0}`")]
    TargetTaken(String),
    /// A text that is no VPC id.
    #[error("{0}")]
    VpcId(String),
    /// The gateway does not know the VPC.
    #[error("there is no VPC {vpc} in the region {region} of this gateway")]
    NoVpc {
        /// As it was asked for.
        vpc: String,
        /// The gateway's region.
        region: String,
    },
    /// A text that is neither a unified subnet id nor a CIDR block.
    #[error("`{0}` is neither a subnet id (subnet-xxxxxxxx) nor the CIDR block of a subnet")]
    SubnetId(String),
    /// The VPC has no such subnet.
    #[error("{vpc} has no subnet {subnet}; it has {existing}")]
    NoSubnet {
        /// The VPC.
        vpc: VpcId,
        /// As it was asked for.
        subnet: String,
        /// The subnets that there are.
        existing: String,
    },
    /// A text that cannot name an interface or namespace.
    #[error("`{0}` cannot be the name of an interface or namespace")]
    Interface(String),
    /// The address is none that a host of the subnet can have.
    #[error("{address} cannot be a host's address in {subnet}: {reason}")]
    Address {
        /// The address.
        address: Ipv4Addr,
        /// The subnet's block.
        subnet: CidrBlock,
        /// Why not.
        reason: String,
    },
    /// Every address of the subnet is taken.
    #[error("{0} has no free address")]
    SubnetFull(CidrBlock),
    /// Hosts behind a card or a bridge are out of the gateway's reach.
    #[error(
        "the hosts behind a network card or a bridge cannot be configured from here; leave out \
         --configure and run the printed commands on them"
    )]
    NotConfigurable,
}

/// A checked request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checked {
    pub(crate) attachment: Attachment,
    pub(crate) cidr: CidrBlock,
    /// The host's address, configured by us or to be configured by the user.
    pub(crate) address: Option<Ipv4Addr>,
}

/// Checks a request against the slice and the attachments that there are.
///
/// # Errors
/// [`AttachError`], for the first thing that is wrong.
pub(crate) fn check(
    request: &AttachRequest,
    slice: &GatewaySlice,
    existing: &BTreeMap<String, Attachment>,
) -> Result<Checked, AttachError> {
    if !is_name(&request.name, MAX_NAME_BYTES) {
        return Err(AttachError::Name(request.name.clone()));
    }
    if existing.contains_key(&request.name) {
        return Err(AttachError::NameTaken(request.name.clone()));
    }
    let kind = kind(&request.target)?;
    if let Some((name, _)) = existing
        .iter()
        .find(|(_, other)| is_same_place(&other.kind, &kind))
    {
        return Err(AttachError::TargetTaken(name.clone()));
    }
    let is_reachable = matches!(kind, AttachmentKind::VethToNamespace { .. });
    if request.configure && !is_reachable {
        return Err(AttachError::NotConfigurable);
    }
    let (vpc, entry) = find_vpc(&request.vpc, slice)?;
    let (subnet, cidr) = find_subnet(&request.subnet, vpc, entry)?;
    let taken = taken_addresses(existing, subnet);
    let address = match request.address {
        Some(address) => Some(check_address(address, cidr, &taken)?),
        None if request.configure => Some(free_address(cidr, &taken)?),
        None => None,
    };
    let host = address
        .filter(|_| request.configure)
        .map(|address| HostConfig { address });
    Ok(Checked {
        attachment: Attachment {
            vpc,
            subnet,
            kind,
            host,
        },
        cidr,
        address,
    })
}

fn find_vpc<'a>(text: &str, slice: &'a GatewaySlice) -> Result<(VpcId, &'a VpcSlice), AttachError> {
    let reference: VpcRef = text
        .parse()
        .map_err(|error: model::IdError| AttachError::VpcId(error.to_string()))?;
    let found = slice.vpcs.iter().find(|(id, vpc)| match reference {
        VpcRef::Unified(wanted) => **id == wanted,
        VpcRef::Legacy(wanted) => vpc.legacy_id == wanted,
    });
    found
        .map(|(id, vpc)| (*id, vpc))
        .ok_or_else(|| AttachError::NoVpc {
            vpc: text.to_owned(),
            region: slice.region.to_string(),
        })
}

fn find_subnet(
    text: &str,
    vpc: VpcId,
    entry: &VpcSlice,
) -> Result<(SubnetId, CidrBlock), AttachError> {
    let by_id = text.parse::<SubnetId>().ok();
    let by_cidr = text.parse::<CidrBlock>().ok();
    if by_id.is_none() && by_cidr.is_none() {
        return Err(AttachError::SubnetId(text.to_owned()));
    }
    let is_wanted = |id: SubnetId, cidr: CidrBlock| Some(id) == by_id || Some(cidr) == by_cidr;
    let found = entry
        .subnets
        .iter()
        .find(|(id, subnet)| is_wanted(**id, subnet.cidr));
    found.map(|(id, subnet)| (*id, subnet.cidr)).ok_or_else(|| {
        let existing: Vec<String> = entry
            .subnets
            .iter()
            .map(|(id, subnet)| format!("{id} ({})", subnet.cidr))
            .collect();
        let existing = if existing.is_empty() {
            "none".to_owned()
        } else {
            existing.join(", ")
        };
        AttachError::NoSubnet {
            vpc,
            subnet: text.to_owned(),
            existing,
        }
    })
}

fn kind(target: &AttachTarget) -> Result<AttachmentKind, AttachError> {
    let interface = |name: &String| {
        is_name(name, MAX_INTERFACE_BYTES)
            .then(|| name.clone())
            .ok_or_else(|| AttachError::Interface(name.clone()))
    };
    Ok(match target {
        AttachTarget::Nic { interface: name } => AttachmentKind::Nic {
            interface: interface(name)?,
        },
        AttachTarget::Namespace {
            name,
            interface: inner,
        } => {
            if !is_name(name, usize::from(u8::MAX)) {
                return Err(AttachError::Interface(name.clone()));
            }
            AttachmentKind::VethToNamespace {
                namespace: NamespaceRef::Name(name.clone()),
                interface: interface(inner)?,
            }
        }
        AttachTarget::Process {
            pid,
            interface: inner,
        } => AttachmentKind::VethToNamespace {
            namespace: NamespaceRef::Pid(*pid),
            interface: interface(inner)?,
        },
        AttachTarget::Bridge { bridge } => AttachmentKind::VethToBridge {
            bridge: interface(bridge)?,
        },
    })
}

/// The user's words for what is attached.
fn target(kind: &AttachmentKind) -> AttachTarget {
    match kind.clone() {
        AttachmentKind::Nic { interface } => AttachTarget::Nic { interface },
        AttachmentKind::VethToNamespace {
            namespace: NamespaceRef::Name(name),
            interface,
        } => AttachTarget::Namespace { name, interface },
        AttachmentKind::VethToNamespace {
            namespace: NamespaceRef::Pid(pid),
            interface,
        } => AttachTarget::Process { pid, interface },
        AttachmentKind::VethToBridge { bridge } => AttachTarget::Bridge { bridge },
    }
}

// One bridge may lead into several subnets (its VLANs are the host's business), a card or an
// interface of a namespace exists once.
fn is_same_place(one: &AttachmentKind, other: &AttachmentKind) -> bool {
    one == other && !matches!(one, AttachmentKind::VethToBridge { .. })
}

/// A path component and an interface name at once: no slash, no space, neither `.` nor `..`.
fn is_name(text: &str, max_bytes: usize) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=max_bytes).contains(&text.len())
        && text.bytes().all(allowed)
        && text.bytes().any(|byte| byte != b'.')
}

fn taken_addresses(
    existing: &BTreeMap<String, Attachment>,
    subnet: SubnetId,
) -> BTreeSet<Ipv4Addr> {
    let in_subnet = existing
        .values()
        .filter(|attachment| attachment.subnet == subnet);
    in_subnet
        .filter_map(|attachment| Some(attachment.host?.address))
        .collect()
}

fn check_address(
    address: Ipv4Addr,
    subnet: CidrBlock,
    taken: &BTreeSet<Ipv4Addr>,
) -> Result<Ipv4Addr, AttachError> {
    let reason = if !subnet.contains_address(address) {
        "it lies outside"
    } else if address == subnet.gateway_address() {
        "it is the gateway's"
    } else if address == subnet.network() || address == subnet.last() {
        "it is the network's or the broadcast address"
    } else if taken.contains(&address) {
        "another attachment has it"
    } else {
        return Ok(address);
    };
    Err(AttachError::Address {
        address,
        subnet,
        reason: reason.to_owned(),
    })
}

fn free_address(subnet: CidrBlock, taken: &BTreeSet<Ipv4Addr>) -> Result<Ipv4Addr, AttachError> {
    subnet
        .net()
        .hosts()
        .find(|address| check_address(*address, subnet, taken).is_ok())
        .ok_or(AttachError::SubnetFull(subnet))
}

/// How an attachment is shown.
pub(crate) fn view(attachment: &Attachment, error: Option<String>) -> AttachmentView {
    AttachmentView {
        vpc: attachment.vpc.to_string(),
        subnet: attachment.subnet.to_string(),
        target: target(&attachment.kind),
        address: attachment.host.map(|host| host.address),
        error,
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct AttachmentsRecord {
    version: u32,
    attachments: BTreeMap<String, Attachment>,
}

/// Reads the attachments that the state folder remembers.
pub(crate) fn load(folder: &StateFolder) -> Result<BTreeMap<String, Attachment>, StateError> {
    let Some(record) = folder.read_json::<AttachmentsRecord>(ATTACHMENTS)? else {
        return Ok(BTreeMap::new());
    };
    if record.version != VERSION {
        let reason = format!(
            "it has version {}, this gateway reads version {VERSION}",
            record.version
        );
        return Err(folder.damaged(ATTACHMENTS, reason));
    }
    Ok(record.attachments)
}

/// Remembers the attachments.
pub(crate) fn save(
    folder: &StateFolder,
    attachments: &BTreeMap<String, Attachment>,
) -> Result<(), StateError> {
    let record = AttachmentsRecord {
        version: VERSION,
        attachments: attachments.clone(),
    };
    folder.write_json(ATTACHMENTS, &record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{slice, subnet_id, vpc_id};

    fn named_request(name: &str) -> AttachRequest {
        AttachRequest {
            name: name.to_owned(),
            vpc: "gz_vpc_1".to_owned(),
            subnet: "10.1.1.0/24".to_owned(),
            target: AttachTarget::Namespace {
                name: format!("ns-{name}"),
                interface: "eth0".to_owned(),
            },
            configure: true,
            address: None,
        }
    }

    fn checked(request: &AttachRequest) -> Result<Checked, AttachError> {
        check(request, &slice(1), &BTreeMap::new())
    }

    fn refused(change: impl FnOnce(&mut AttachRequest)) -> AttachError {
        let mut request = named_request("web");
        change(&mut request);
        let first = BTreeMap::from([(
            "first".to_owned(),
            checked(&named_request("first")).unwrap().attachment,
        )]);
        check(&request, &slice(1), &first).unwrap_err()
    }

    #[test]
    fn vpc_and_subnet_are_found_by_every_name() {
        for (vpc, subnet) in [
            ("gz_vpc_1".to_owned(), "10.1.1.0/24".to_owned()),
            (vpc_id(1).to_string(), subnet_id(1).to_string()),
        ] {
            let request = AttachRequest {
                vpc,
                subnet,
                ..named_request("web")
            };
            let attachment = checked(&request).unwrap().attachment;
            assert_eq!(
                (attachment.vpc, attachment.subnet),
                (vpc_id(1), subnet_id(1))
            );
        }
    }

    #[test]
    fn a_free_address_is_chosen() {
        let first = checked(&named_request("first")).unwrap();
        assert_eq!(first.address, Some(Ipv4Addr::new(10, 1, 1, 2)));
        let existing = BTreeMap::from([("first".to_owned(), first.attachment)]);
        let second = check(&named_request("second"), &slice(1), &existing).unwrap();
        assert_eq!(second.address, Some(Ipv4Addr::new(10, 1, 1, 3)));
    }

    #[test]
    fn a_full_subnet_is_said_to_be_full() {
        let subnet: CidrBlock = "10.1.1.0/29".parse().unwrap();
        let mut taken = BTreeSet::new();
        for _ in 0..5 {
            taken.insert(free_address(subnet, &taken).unwrap());
        }
        assert_eq!(
            free_address(subnet, &taken),
            Err(AttachError::SubnetFull(subnet))
        );
    }

    #[test]
    fn without_configure_the_host_is_left_alone() {
        let address = Some(Ipv4Addr::new(10, 1, 1, 9));
        let request = AttachRequest {
            configure: false,
            address,
            ..named_request("web")
        };
        let checked = checked(&request).unwrap();
        assert_eq!((checked.attachment.host, checked.address), (None, address));
    }

    #[test]
    fn requests_that_make_no_sense_are_refused() {
        let address = |last| Some(Ipv4Addr::new(10, 1, 1, last));
        assert!(matches!(
            refused(|r| r.name = "a b".into()),
            AttachError::Name(_)
        ));
        assert!(matches!(
            refused(|r| r.name = "first".into()),
            AttachError::NameTaken(_)
        ));
        assert!(matches!(
            refused(|r| r.vpc = "first".into()),
            AttachError::VpcId(_)
        ));
        assert!(matches!(
            refused(|r| r.vpc = "gz_vpc_9".into()),
            AttachError::NoVpc { .. }
        ));
        assert!(matches!(
            refused(|r| r.subnet = "web".into()),
            AttachError::SubnetId(_)
        ));
        assert!(matches!(
            refused(|r| r.subnet = "10.1.2.0/24".into()),
            AttachError::NoSubnet { .. }
        ));
        for last in [0, 1, 2, 255] {
            assert!(matches!(
                refused(|r| r.address = address(last)),
                AttachError::Address { .. }
            ));
        }
        assert!(matches!(
            refused(|r| r.address = Some(Ipv4Addr::new(10, 1, 2, 9))),
            AttachError::Address { .. }
        ));
        assert!(matches!(
            refused(|r| r.target = named_request("first").target),
            AttachError::TargetTaken(_)
        ));
        for interface in ["", "..", "a/b", "sixteen-letters-"] {
            let target = AttachTarget::Nic {
                interface: interface.to_owned(),
            };
            assert!(matches!(
                refused(|r| r.target = target),
                AttachError::Interface(_)
            ));
        }
        let bridge = AttachTarget::Bridge {
            bridge: "br0".to_owned(),
        };
        assert_eq!(refused(|r| r.target = bridge), AttachError::NotConfigurable);
    }

    #[test]
    fn attachments_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let existing = BTreeMap::from([(
            "web".to_owned(),
            checked(&named_request("web")).unwrap().attachment,
        )]);
        save(&StateFolder::open(folder.path()).unwrap(), &existing).unwrap();
        assert_eq!(
            load(&StateFolder::open(folder.path()).unwrap()).unwrap(),
            existing
        );
    }
}
