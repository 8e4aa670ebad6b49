//! A capped peering keeps its rate while strangers throw datagrams at one of its gateways: handshake
//! initiations from nobody, with and without a MAC of the gateway's public key, and noise. Needs root,
//! `ip` and `/dev/net/tun`.

mod bed;

use std::time::Duration;

use bed::Bed;
use bed::flood::{Flood, garbage, garbage_initiations, initiations};
use tunnel::public_key;

const CAP_MBPS: u32 = 100;
const PER_SEC: u32 = 20_000;
const MEASURED: Duration = Duration::from_secs(3);

#[test]
fn root_initiations_from_nobody_take_no_rate_away() {
    check("fi", &["handshake_limited", "handshake_invalid"], |key| {
        initiations(&public_key(key))
    });
}

#[test]
fn root_initiations_without_a_valid_mac_take_no_rate_away() {
    check("fg", &["handshake_invalid"], |_| garbage_initiations());
}

#[test]
fn root_random_datagrams_take_no_rate_away() {
    let causes = ["malformed_datagram", "unknown_peer", "handshake_invalid"];
    check("fr", &causes, |_| garbage(16..1400));
}

// At the sending gateway and at the receiving one, in turn.
fn check(tag: &'static str, causes: &[&str], flood: fn(&[u8; 32]) -> Vec<Vec<u8>>) {
    let bed = Bed::new(tag, CAP_MBPS);
    for end in [0, 1] {
        let tunnel = [&bed.left, &bed.right][end];
        let dropped = || -> u64 {
            let drops = tunnel.status().drops;
            causes.iter().filter_map(|cause| drops.get(cause)).sum()
        };
        let before = dropped();
        let from = &bed.hosts.names[1 - end];
        let flood = Flood::start(from, bed.endpoint(end), PER_SEC, flood(&bed.keys[end]));
        let bits = bed.hosts.bulk(MEASURED);
        let sent = flood.stop();
        let per_sec = sent.datagrams as f64 / sent.elapsed.as_secs_f64();
        let dropped = dropped() - before;
        // Payload is 1338 of each 1390 bytes of IP: headers 40, timestamps 12.
        let share = bits * 1390.0 / 1338.0 / (f64::from(CAP_MBPS) * 1e6);
        println!(
            "end {end}: {:.1} % of the cap under {per_sec:.0} datagrams a second, {dropped} of {} dropped as such",
            share * 100.0,
            sent.datagrams
        );
        assert!(per_sec > 0.9 * f64::from(PER_SEC), "the flood is too thin");
        // What the socket's buffer could not take is lost before it is looked at.
        assert!(dropped > sent.datagrams / 2, "{:?}", tunnel.status().drops);
        assert!(share >= 0.9, "{share} of the cap is left");
    }
}
