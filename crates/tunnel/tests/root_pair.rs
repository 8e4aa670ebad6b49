//! Two engines in two network namespaces with real TUN devices and sockets: ping, secrecy on the
//! underlay, bulk TCP. Needs root, `ip` and `/dev/net/tun`.

mod bed;

use std::time::Duration;

use bed::{Bed, Family, Plan, wait_for};
use model::Side;

#[test]
fn root_ping_crosses_and_the_marker_does_not_show_on_the_underlay() {
    let bed = Bed::new("pg", 0);
    let capture = bed.hosts.capture_underlay();
    let marker = *b"peerway-marker-0123456789abcdef!";
    assert_eq!(bed.hosts.exchange(&marker), marker);
    assert!(bed.hosts.ping(), "ping across the peering");
    let frames = capture.finish();
    let wireguard = frames
        .iter()
        .filter(|frame| frame.len() > 46 && frame[42] == 4)
        .count();
    assert!(
        wireguard >= 4,
        "the capture saw {wireguard} transport messages"
    );
    assert!(
        frames
            .iter()
            .all(|frame| frame.windows(32).all(|window| window != marker))
    );
    let status = bed.left.status();
    let (peering, _) = bed.peering(Side::Requester);
    assert!(status.peerings[&peering].sent.packets >= 2);
    assert!(status.peerings[&peering].last_probe.is_some());
    wait_for("the pair's probe", Duration::from_secs(5), || {
        [&bed.left, &bed.right].iter().all(|tunnel| {
            tunnel
                .status()
                .gateways
                .values()
                .all(|pair| pair.rtt.is_some())
        })
    });
}

#[test]
fn root_bulk_tcp_travels_in_batches() {
    let bed = Bed::new("bk", 0);
    let seconds = if cfg!(debug_assertions) { 2 } else { 5 };
    let before = bed.left.status().io;
    let bits = bed.hosts.bulk(Duration::from_secs(seconds));
    let after = bed.left.status().io;
    let per_read = (after.tun_read_segments - before.tun_read_segments) as f64
        / (after.tun_reads - before.tun_reads) as f64;
    let per_send = (after.udp_send_segments - before.udp_send_segments) as f64
        / (after.udp_sends - before.udp_sends) as f64;
    println!(
        "one TCP stream: {:.0} Mbit/s, {per_read:.1} segments per TUN read, {per_send:.1} per UDP send",
        bits / 1e6
    );
    assert!(per_read >= 8.0, "{per_read} segments per TUN read");
    assert!(per_send >= 8.0, "{per_send} segments per UDP send");
    // Unoptimised checksums are many times slower; the bar holds for release builds.
    let bar = if cfg!(debug_assertions) { 20e6 } else { 1e9 };
    assert!(bits >= bar, "{bits} bit/s");
}

#[test]
fn root_caps_hold_at_the_receiver() {
    for mbps in [20, 100] {
        let bed = Bed::new("cp", mbps);
        let bits = bed.hosts.bulk(Duration::from_secs(3));
        // Payload is 1338 of each 1390 bytes of IP: headers 40, timestamps 12.
        let ratio = bits * 1390.0 / 1338.0 / (f64::from(mbps) * 1e6);
        println!(
            "cap {mbps} Mbps: {:+.2} % of IP bytes",
            (ratio - 1.0) * 100.0
        );
        assert!((ratio - 1.0).abs() < 0.03, "{ratio} of {mbps} Mbps");
    }
}

#[test]
fn root_an_ipv6_underlay_carries_the_same() {
    let bed = Bed::build(Plan {
        tag: "v6",
        underlay: Family::V6,
        ..Plan::default()
    });
    assert!(bed.hosts.ping(), "ping across the peering");
    assert!(bed.hosts.bulk(Duration::from_secs(1)) > 20e6);
    let pairs = bed.left.status().gateways;
    assert!(pairs.values().all(|pair| pair.inner_mtu == Some(1370)));
}
