//! Two sites: a gateway with its VPC namespace, and a host behind it. What arrives at a host comes
//! as single packets (no GRO, no super-packets), so its interface counters are exact.

use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Instant;

use crate::bed::{Bed, in_namespace, ip};

const MTU: &str = "1390";
/// Features of a link that are off on a cable.
const WIRE: [&str; 6] = ["tso", "off", "gso", "off", "tx-udp-segmentation", "off"];
const ETHERNET_HEADER: u64 = 14;

/// Engines and hosts, removed at the end.
pub struct Sites {
    bed: Bed,
    pub hosts: Hosts,
}

/// The two hosts at the ends of a path: their namespaces, each with one interface `eth0`.
pub struct Hosts {
    pub names: [String; 2],
    pub addresses: [Ipv4Addr; 2],
}

/// What a host has received, and when it was read.
#[derive(Clone, Copy)]
pub struct Counted {
    at: Instant,
    ip_bytes: u64,
}

impl Counted {
    pub fn bits_per_sec(before: Counted, after: Counted) -> f64 {
        (after.ip_bytes - before.ip_bytes) as f64 * 8.0 / (after.at - before.at).as_secs_f64()
    }
}

impl Sites {
    pub fn new(tag: &'static str, mbps: u32) -> Sites {
        let bed = Bed::new(tag, mbps);
        let names = ["hl", "hr"].map(|part| format!("pwt{tag}{part}{}", std::process::id()));
        let addresses = [[10, 71, 1, 9], [10, 72, 1, 9]].map(Ipv4Addr::from);
        let hosts = Hosts { names, addresses };
        let sites = Sites { bed, hosts };
        for site in 0..2 {
            sites.add_host(site);
        }
        sites
    }

    fn add_host(&self, site: usize) {
        let host = self.hosts.names[site].as_str();
        let vpc = self.bed.hosts.names[2 + site].as_str();
        ip(&["netns", "add", host]);
        ip(&["-n", host, "link", "set", "lo", "up"]);
        ip(&[
            "-n", vpc, "link", "add", "h0", "mtu", MTU, "type", "veth", "peer", "name", "eth0",
            "mtu", MTU, "netns", host,
        ]);
        let [a, b, ..] = self.hosts.addresses[site].octets();
        let gateway = format!("{a}.{b}.1.1");
        ip(&[
            "-n",
            vpc,
            "addr",
            "add",
            &format!("{gateway}/24"),
            "dev",
            "h0",
        ]);
        ip(&["-n", vpc, "link", "set", "h0", "up"]);
        ip(&[
            "-n",
            host,
            "addr",
            "add",
            &format!("{}/24", self.hosts.addresses[site]),
            "dev",
            "eth0",
        ]);
        ip(&["-n", host, "link", "set", "eth0", "up"]);
        ip(&["-n", host, "route", "add", "default", "via", &gateway]);
        in_namespace(vpc, || {
            fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("forwarding");
        });
        // Towards the host only whole packets; from it super-packets, as hosts send them.
        ethtool(vpc, "h0", &WIRE);
        ethtool(host, "eth0", &["gro", "off"]);
    }

    /// What a site's shaper dropped: queues full, queues that stood too long.
    pub fn drops(&self, site: usize) -> (u64, u64) {
        let tunnel = [&self.bed.left, &self.bed.right][site];
        let status = tunnel.status();
        let drops = status
            .peerings
            .values()
            .next()
            .map(|peering| &peering.sent_drops);
        let of = |cause: &str| {
            drops
                .and_then(|drops| drops.get(cause))
                .copied()
                .unwrap_or(0)
        };
        (of("queue_full"), of("queue_delay"))
    }
}

impl Hosts {
    pub fn in_host<T: Send>(&self, site: usize, body: impl FnOnce() -> T + Send) -> T {
        in_namespace(&self.names[site], body)
    }

    /// The IP bytes that a host has received.
    pub fn received(&self, site: usize) -> Counted {
        self.in_host(site, || {
            let text = fs::read_to_string("/proc/thread-self/net/dev").expect("counters");
            let at = Instant::now();
            let line = text
                .lines()
                .find_map(|line| line.trim().strip_prefix("eth0:"));
            let mut fields = line.expect("eth0").split_whitespace();
            let mut number = || fields.next().and_then(|field| field.parse::<u64>().ok());
            let (bytes, packets) = (number().expect("bytes"), number().expect("packets"));
            let ip_bytes = bytes - packets * ETHERNET_HEADER;
            Counted { at, ip_bytes }
        })
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for host in &self.names {
            let _ = Command::new("ip").args(["netns", "del", host]).status();
        }
    }
}

fn ethtool(namespace: &str, link: &str, features: &[&str]) {
    let status = Command::new("ip")
        .args(["netns", "exec", namespace, "ethtool", "-K", link])
        .args(features)
        .status()
        .expect("the ip program");
    assert!(status.success(), "ethtool in {namespace}: {features:?}");
}
