//! Hosts of their own behind the VPC namespaces, as tenants have them: a subnet's gateway address
//! between them and the engine.

use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;

use super::{Bed, in_namespace, ip};

/// A host in a subnet, removed at the end.
pub struct Host {
    pub namespace: String,
    pub address: Ipv4Addr,
    pub gateway: Ipv4Addr,
}

impl Host {
    /// Attaches host 9 of a subnet of an end's VPC. Its link carries packets of `mtu`.
    pub fn new(bed: &Bed, end: usize, subnet: u8, mtu: u16) -> Host {
        let vpc = &bed.hosts.names[2 + end];
        let host = Host {
            namespace: format!("{vpc}h{subnet}"),
            address: Ipv4Addr::new(10, 71 + end as u8, subnet, 9),
            gateway: Ipv4Addr::new(10, 71 + end as u8, subnet, 1),
        };
        let (link, mtu) = (format!("h{subnet}"), mtu.to_string());
        let own = host.namespace.as_str();
        ip(&["netns", "add", own]);
        ip(&["-n", own, "link", "set", "lo", "up"]);
        ip(&[
            "-n", vpc, "link", "add", &link, "mtu", &mtu, "type", "veth", "peer", "name", "eth0",
            "mtu", &mtu, "netns", own,
        ]);
        for (namespace, link, address) in [
            (vpc.as_str(), link.as_str(), host.gateway),
            (own, "eth0", host.address),
        ] {
            let address = format!("{address}/24");
            ip(&["-n", namespace, "addr", "add", &address, "dev", link]);
            ip(&["-n", namespace, "link", "set", link, "up"]);
        }
        let gateway = host.gateway.to_string();
        ip(&["-n", own, "route", "add", "default", "via", &gateway]);
        in_namespace(vpc, || {
            fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("forwarding");
            // The engine answers from the gateway address, which is the kernel's own.
            fs::write("/proc/sys/net/ipv4/conf/peer0/accept_local", "1").expect("peer0");
        });
        host
    }

    /// Sends one echo request that makes a packet of so many bytes and returns what `ping` prints.
    pub fn ping(&self, to: &Host, packet_bytes: u16, fragments: Fragments) -> String {
        // What was learnt of the path before must not answer instead of the path.
        ip(&["-n", &self.namespace, "route", "flush", "cache"]);
        let size = (packet_bytes - 28).to_string();
        let output = Command::new("ip")
            .args(["netns", "exec", &self.namespace, "ping", "-n", "-c1", "-W2"])
            .args(["-M", fragments.argument(), "-s", &size])
            .arg(to.address.to_string())
            .output()
            .expect("the programs ip and ping");
        let printed = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&printed).into_owned()
    }
}

/// Whether the sender lets its packets be fragmented on the way.
#[derive(Clone, Copy)]
pub enum Fragments {
    Forbidden,
    Allowed,
}

impl Fragments {
    fn argument(self) -> &'static str {
        match self {
            Fragments::Forbidden => "do",
            Fragments::Allowed => "dont",
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = Command::new("ip")
            .args(["netns", "del", &self.namespace])
            .status();
    }
}
