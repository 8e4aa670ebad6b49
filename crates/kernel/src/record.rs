//! What a port says of itself: the alias of the link, one line of text. It lets a restarted gateway
//! recognise its attachments, and `clean` put a NIC back without knowing what was desired.

use std::fmt::Write as _;

use crate::desired::{Attachment, AttachmentKind, HostConfig, NamespaceRef};

/// The first word of every record; the number is the version of the form.
const MARK: &str = "peerway1";
/// The longest alias the kernel takes with its terminating zero counted (`IFALIASZ` − 1).
const LONGEST: usize = 254;

/// The record of an attachment, as kept in the alias of its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachmentRecord {
    /// The name of the attachment.
    pub name: String,
    /// What was attached.
    pub kind: AttachmentKind,
    /// The host configuration it was made with.
    pub host: Option<HostConfig>,
    /// For a NIC, how to put it back.
    pub origin: Option<NicOrigin>,
}

/// What a NIC was before it was moved in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NicOrigin {
    /// The inode number of the network namespace it came from.
    pub namespace: u64,
    /// Whether it was administratively up.
    pub is_up: bool,
    /// Its alias; empty when it had none, or one too long to be kept.
    pub alias: String,
}

impl AttachmentRecord {
    pub(crate) fn new(name: &str, attachment: &Attachment) -> AttachmentRecord {
        AttachmentRecord {
            name: name.to_owned(),
            kind: attachment.kind.clone(),
            host: attachment.host,
            origin: None,
        }
    }

    /// Whether the port was made for exactly this attachment. Which subnet it is in is told by its
    /// bridge, not here.
    pub(crate) fn is_of(&self, name: &str, attachment: &Attachment) -> bool {
        self.name == name && self.kind == attachment.kind && self.host == attachment.host
    }

    pub(crate) fn to_alias(&self) -> String {
        let mut text = format!("{MARK} {}", self.name);
        let host = self.host.map_or_else(|| "-".to_owned(), |host| host.address.to_string());
        let written = match &self.kind {
            AttachmentKind::Nic { interface } => write!(text, " nic {interface}"),
            AttachmentKind::VethToNamespace { namespace: NamespaceRef::Name(name), interface } => {
                write!(text, " netns {name} {interface} {host}")
            }
            AttachmentKind::VethToNamespace { namespace: NamespaceRef::Pid(pid), interface } => {
                write!(text, " pid {pid} {interface} {host}")
            }
            AttachmentKind::VethToBridge { bridge } => write!(text, " bridge {bridge}"),
        };
        written.expect("writing to a string cannot fail");
        if let Some(origin) = &self.origin {
            let state = if origin.is_up { "up" } else { "down" };
            write!(text, " {} {state}", origin.namespace).expect("as above");
            if !origin.alias.is_empty() && text.len() + 1 + origin.alias.len() <= LONGEST {
                write!(text, " {}", origin.alias).expect("as above");
            }
        }
        text
    }

    pub(crate) fn from_alias(alias: &str) -> Option<AttachmentRecord> {
        let (MARK, rest) = alias.split_once(' ')? else { return None };
        let (name, rest) = rest.split_once(' ')?;
        let (kind, rest) = rest.split_once(' ')?;
        let (kind, host, origin) = match kind {
            "nic" => {
                let mut words = rest.splitn(4, ' ');
                let interface = words.next()?.to_owned();
                let origin = NicOrigin {
                    namespace: words.next()?.parse().ok()?,
                    is_up: words.next()? == "up",
                    alias: words.next().unwrap_or_default().to_owned(),
                };
                (AttachmentKind::Nic { interface }, None, Some(origin))
            }
            "netns" | "pid" => {
                let [target, interface, host]: [&str; 3] =
                    rest.split(' ').collect::<Vec<_>>().try_into().ok()?;
                let namespace = match kind {
                    "pid" => NamespaceRef::Pid(target.parse().ok()?),
                    _ => NamespaceRef::Name(target.to_owned()),
                };
                let host = match host {
                    "-" => None,
                    address => Some(HostConfig { address: address.parse().ok()? }),
                };
                let interface = interface.to_owned();
                (AttachmentKind::VethToNamespace { namespace, interface }, host, None)
            }
            "bridge" => (AttachmentKind::VethToBridge { bridge: rest.to_owned() }, None, None),
            _ => return None,
        };
        Some(AttachmentRecord { name: name.to_owned(), kind, host, origin })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn record(kind: AttachmentKind) -> AttachmentRecord {
        AttachmentRecord { name: "web-1".to_owned(), kind, host: None, origin: None }
    }

    #[test]
    fn every_kind_of_record_survives_the_alias() {
        let namespace = |namespace| AttachmentKind::VethToNamespace {
            namespace,
            interface: "eth0".to_owned(),
        };
        let nic = AttachmentKind::Nic { interface: "eth1".to_owned() };
        let origin = |alias: &str| {
            Some(NicOrigin { namespace: 4_026_531_833, is_up: true, alias: alias.to_owned() })
        };
        let host = Some(HostConfig { address: Ipv4Addr::new(10, 0, 1, 5) });
        let records = [
            AttachmentRecord { origin: origin(""), ..record(nic.clone()) },
            AttachmentRecord { origin: origin("to the rack"), ..record(nic) },
            record(namespace(NamespaceRef::Name("h1".to_owned()))),
            AttachmentRecord { host, ..record(namespace(NamespaceRef::Pid(77))) },
            record(AttachmentKind::VethToBridge { bridge: "lan".to_owned() }),
        ];
        for record in records {
            assert_eq!(AttachmentRecord::from_alias(&record.to_alias()), Some(record));
        }
    }

    #[test]
    fn an_old_alias_that_does_not_fit_is_not_kept() {
        let origin = Some(NicOrigin { namespace: 1, is_up: false, alias: "x".repeat(250) });
        let nic = AttachmentKind::Nic { interface: "eth1".to_owned() };
        let alias = AttachmentRecord { origin, ..record(nic) }.to_alias();
        assert!(alias.len() <= LONGEST);
        assert_eq!(AttachmentRecord::from_alias(&alias).unwrap().origin.unwrap().alias, "");
    }

    #[test]
    fn other_aliases_are_no_records() {
        for alias in ["", "uplink", "peerway1", "peerway1 a", "peerway1 a nic", "peerway2 a nic e 1 up",
            "peerway1 a nic eth0 x up", "peerway1 a netns h", "peerway1 a pid x eth0 -",
            "peerway1 a netns h eth0 10.0.0", "peerway1 a tap b"]
        {
            assert_eq!(AttachmentRecord::from_alias(alias), None, "{alias}");
        }
    }
}
