//! The commands that configure the host side of an attachment by hand.

use model::CidrBlock;

use crate::desired::{Attachment, AttachmentKind, NamespaceRef};

/// The lines that configure the host side of an attachment, for the user to run: as root on this
/// machine for a namespace, on each host behind it for a NIC or a bridge (there the names in capitals
/// are to be replaced). `cidr` is the block of the subnet.
pub fn host_commands(attachment: &Attachment, cidr: CidrBlock, mtu_bytes: u16) -> Vec<String> {
    let address = attachment
        .host
        .map_or_else(|| "ADDRESS".to_owned(), |host| host.address.to_string());
    let (prefix, interface) = match &attachment.kind {
        AttachmentKind::VethToNamespace { namespace, interface } => {
            let prefix = match namespace {
                NamespaceRef::Name(name) => format!("ip -n {name}"),
                NamespaceRef::Pid(pid) => format!("nsenter --net=/proc/{pid}/ns/net ip"),
            };
            (prefix, interface.as_str())
        }
        AttachmentKind::Nic { .. } | AttachmentKind::VethToBridge { .. } => {
            ("ip".to_owned(), "INTERFACE")
        }
    };
    vec![
        format!("{prefix} link set {interface} mtu {mtu_bytes} up"),
        format!("{prefix} address add {address}/{} dev {interface}", cidr.prefix_len()),
        format!("{prefix} route add default via {} dev {interface}", cidr.gateway_address()),
    ]
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::desired::HostConfig;

    fn commands(kind: AttachmentKind, host: Option<Ipv4Addr>) -> Vec<String> {
        let attachment = Attachment {
            vpc: model::VpcId::from_entropy(1),
            subnet: model::SubnetId::from_entropy(1),
            kind,
            host: host.map(|address| HostConfig { address }),
        };
        host_commands(&attachment, "10.0.1.0/24".parse().unwrap(), 1390)
    }

    #[test]
    fn a_namespace_gets_lines_that_run_as_they_are() {
        let kind = AttachmentKind::VethToNamespace {
            namespace: NamespaceRef::Name("h1".to_owned()),
            interface: "eth0".to_owned(),
        };
        assert_eq!(
            commands(kind, Some(Ipv4Addr::new(10, 0, 1, 5))),
            [
                "ip -n h1 link set eth0 mtu 1390 up",
                "ip -n h1 address add 10.0.1.5/24 dev eth0",
                "ip -n h1 route add default via 10.0.1.1 dev eth0",
            ]
        );
    }

    #[test]
    fn hosts_behind_a_nic_get_lines_with_blanks() {
        let kind = AttachmentKind::Nic { interface: "eth1".to_owned() };
        assert_eq!(
            commands(kind, None),
            [
                "ip link set INTERFACE mtu 1390 up",
                "ip address add ADDRESS/24 dev INTERFACE",
                "ip route add default via 10.0.1.1 dev INTERFACE",
            ]
        );
    }
}
