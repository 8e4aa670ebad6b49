//! Caps and speed, judged at the receiving host.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use kernel::netns::Namespace;
use model::Region;

use crate::harness::{GZ_HOST, SH_HOST, TwoRegions, bulk, run_in};

/// Bytes and packets that came in through `eth0`.
pub fn received(host: &Namespace) -> (u64, u64) {
    let text = run_in(host, &["cat", "/proc/net/dev"]);
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("eth0:"))
        .unwrap();
    let fields: Vec<u64> = line
        .split_whitespace()
        .map(|field| field.parse().unwrap())
        .collect();
    (fields[0], fields[1])
}

/// Makes whole packets of everything that a host receives, so that its counters count packets of the
/// wire: without it one super-packet stands for many.
pub fn disable_receive_offload(site: &TwoRegions, host: &str, region: Region) {
    run_in(
        site.lab.host(host),
        &["ethtool", "-K", "eth0", "gro", "off"],
    );
    let vpc = if region == Region::Guangzhou {
        &site.gz.vpc
    } else {
        &site.sh.vpc
    };
    let tail = vpc.strip_prefix("vpc-").unwrap();
    let name = Namespace::list()
        .unwrap()
        .into_iter()
        .find(|name| name.starts_with("pw-") && name.ends_with(tail))
        .unwrap();
    let namespace = Namespace::open(&name).unwrap();
    for line in run_in(&namespace, &["ip", "-o", "link", "show", "type", "veth"]).lines() {
        let device = line.split(": ").nth(1).unwrap().split('@').next().unwrap();
        run_in(
            &namespace,
            &["ethtool", "-K", device, "tso", "off", "gso", "off"],
        );
    }
}

fn measure(site: &TwoRegions, from: &str, to: &str, address: Ipv4Addr) -> f64 {
    let receiver = site.lab.host(to);
    // The transfer runs longer than the measurement, which starts when it has settled.
    std::thread::scope(|scope| {
        scope.spawn(|| bulk(site.lab.host(from), receiver, address, 1));
        std::thread::sleep(Duration::from_millis(1500));
        let (started, before) = (Instant::now(), received(receiver));
        std::thread::sleep(Duration::from_secs(3));
        let (elapsed, after) = (started.elapsed(), received(receiver));
        const ETHERNET_HEADER: u64 = 14;
        let bytes = (after.0 - before.0) - (after.1 - before.1) * ETHERNET_HEADER;
        bytes as f64 * 8e-6 / elapsed.as_secs_f64()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn root_the_cap_holds_within_three_percent_in_both_directions_and_after_a_change() {
    let site = TwoRegions::start(&[]).await;
    let peering = site.peer(20).await;
    disable_receive_offload(&site, "a-sh", Region::Shanghai);
    disable_receive_offload(&site, "a-gz", Region::Guangzhou);
    let check = |cap: f64| {
        for (from, to, address) in [("a-gz", "a-sh", SH_HOST), ("a-sh", "a-gz", GZ_HOST)] {
            let mbps = tokio::task::block_in_place(|| measure(&site, from, to, address));
            println!("{from} to {to}: {mbps:.2} Mbps at a cap of {cap}");
            assert!(
                (mbps / cap - 1.0).abs() <= 0.03,
                "{mbps:.2} Mbps at a cap of {cap}"
            );
        }
    };
    check(20.0);
    let change = [("bandwidth", "100")];
    site.tenant
        .act("gz", "ModifyVpcPeeringConnectionEx", &peering, &change)
        .await
        .unwrap();
    check(100.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn root_bulk_tcp_moves_in_batches_and_reaches_a_gigabit() {
    let site = TwoRegions::start(&[]).await;
    site.peer(0).await;
    let io = async |region| site.lab.gateway(region).status().await.unwrap().io;
    let before = io(Region::Guangzhou).await;
    let result = tokio::task::block_in_place(|| {
        bulk(site.lab.host("a-gz"), site.lab.host("a-sh"), SH_HOST, 1)
    });
    let after = io(Region::Guangzhou).await;
    let mean = |segments: u64, calls: u64| segments as f64 / calls.max(1) as f64;
    let read = mean(
        after.tun_read_segments - before.tun_read_segments,
        after.tun_reads - before.tun_reads,
    );
    let sent = mean(
        after.udp_send_segments - before.udp_send_segments,
        after.udp_sends - before.udp_sends,
    );
    println!(
        "{:.0} Mbps, {read:.1} segments per read, {sent:.1} per send",
        result.ip_mbps()
    );
    assert!(read >= 8.0, "{read:.1} segments per TUN read");
    assert!(sent >= 8.0, "{sent:.1} segments per UDP send");
    // Unoptimised code cannot be held to the rate.
    if !cfg!(debug_assertions) {
        assert!(result.ip_mbps() >= 1000.0, "{:.0} Mbps", result.ip_mbps());
    }
}
