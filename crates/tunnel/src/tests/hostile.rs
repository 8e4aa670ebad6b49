//! Bytes from strangers and from genuine peers gone wrong: never a panic, never a delivery.

use proptest::prelude::*;

use super::{A, B, SOON, frame, path, seal};
use crate::framing::{ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_PROBE};
use crate::testing::{Pair, PeeringSpec, gateway_id, udp_packet};

/// Datagrams that a stranger makes of nothing: random bytes, some of them shaped like each of
/// WireGuard's messages, and cut or changed copies of genuine ones.
#[test]
fn a_million_datagrams_of_strangers_are_dropped_and_counted() {
    // Unoptimised cryptography is slow; release builds send all of them.
    let datagrams = if cfg!(debug_assertions) {
        50_000
    } else {
        1_000_000
    };
    let spec = PeeringSpec::default();
    let mut pair = Pair::established(35, &[spec]);
    pair.send(1, spec.vpc(1), &udp_packet(B, A, 1, 2, &[9; 700]));
    let genuine = pair.record.last().unwrap().bytes.clone();
    pair.run(SOON);
    let before = pair.ends[0].engine.status(pair.now);
    let (probes, delivered) = (
        before.gateways[&gateway_id(1)].received_bytes,
        pair.ends[0].delivered.len(),
    );
    let stranger = "198.51.100.1:9".parse().unwrap();
    let (mut random, mut bytes, mut offered) = (1u64, Vec::new(), 0);
    for _ in 0..datagrams {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let (kind, length, at) = (
            random >> 61,
            (random >> 40) as usize % 1500,
            (random >> 20) as usize,
        );
        bytes.clear();
        if kind < 3 {
            bytes.extend(
                std::iter::successors(Some(random), |word| Some(word.rotate_left(7) ^ 0x9e37))
                    .map(|word| word as u8)
                    .take(length),
            );
        } else if kind < 6 {
            let size = [148, 92, 64][kind as usize - 3];
            bytes.resize(size, random as u8);
            bytes[..4].copy_from_slice(&[kind as u8 - 2, 0, 0, 0]);
        } else {
            bytes.extend_from_slice(&genuine);
            if kind == 6 {
                bytes.truncate(at % genuine.len());
            } else {
                bytes[4 + at % (genuine.len() - 4)] ^= 1 << (random % 8);
            }
        }
        offered += 1;
        let now = pair.now;
        let mut outbox = std::mem::take(&mut pair.outbox);
        pair.ends[0]
            .engine
            .from_underlay(stranger, 0, &bytes, now, &mut outbox);
        assert!(
            outbox.runs.iter().all(|run| run.range.len() == 64),
            "at most a cookie"
        );
        outbox.clear();
        pair.outbox = outbox;
    }
    let status = pair.ends[0].engine.status(pair.now);
    let dropped: u64 = status.drops.values().sum::<u64>() - before.drops.values().sum::<u64>();
    assert_eq!(dropped, offered, "each has one cause: {:?}", status.drops);
    for cause in ["malformed_datagram", "unknown_peer", "decrypt_failed"] {
        assert!(status.drops[cause] > 0, "{cause}");
    }
    assert_eq!(status.gateways[&gateway_id(1)].received_bytes, probes);
    assert_eq!(pair.ends[0].delivered.len(), delivered);
    assert_eq!(
        status.gateways[&gateway_id(1)].endpoint,
        Some(pair.ends[1].address)
    );
    // And the peering goes on.
    pair.send(1, spec.vpc(1), &udp_packet(B, A, 1, 2, b"still there"));
    pair.run(SOON);
    assert_eq!(pair.ends[0].delivered.len(), delivered + 1);
}

#[test]
fn replayed_and_truncated_datagrams_of_a_peer_are_dropped_with_their_cause() {
    let spec = PeeringSpec::default();
    let mut pair = Pair::established(36, &[spec]);
    pair.send(1, spec.vpc(1), &udp_packet(B, A, 1, 2, &[9; 700]));
    let genuine = pair.record.last().unwrap().clone();
    pair.run(SOON);
    let drops = |pair: &Pair| pair.ends[0].engine.status(pair.now).drops;
    for _ in 0..3 {
        pair.arrive(0, genuine.from, 0, &genuine.bytes);
    }
    assert_eq!(drops(&pair)["replayed"], 3);
    for length in [0, 1, 15, 16, 31] {
        pair.arrive(0, genuine.from, 0, &genuine.bytes[..length]);
    }
    assert_eq!(drops(&pair)["malformed_datagram"], 5);
    for length in [32, 100, genuine.bytes.len() - 1] {
        pair.arrive(0, genuine.from, 0, &genuine.bytes[..length]);
    }
    let sum: u64 = drops(&pair).values().sum();
    assert_eq!(sum, 3 + 5 + 3, "{:?}", drops(&pair));
    assert_eq!(pair.received(0, spec.vpc(0)).len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn datagrams_of_strangers_reach_nothing(
        datagrams in proptest::collection::vec((0u8..6, proptest::collection::vec(any::<u8>(), 0..200)), 1..20),
    ) {
        let mut pair = Pair::established(31, &[PeeringSpec::default()]);
        for (kind, mut bytes) in datagrams {
            if bytes.len() > 4 {
                bytes[..4].copy_from_slice(&[kind, 0, 0, 0]);
            }
            pair.arrive(0, "198.51.100.1:9".parse().unwrap(), 3, &bytes);
        }
        prop_assert!(pair.ends[0].delivered.is_empty());
        prop_assert_eq!(pair.ends[0].engine.endpoints().next().unwrap().1, pair.ends[1].address);
    }

    #[test]
    fn handshakes_with_flipped_bits_are_refused(at in 0usize..148, bit in 0u8..8) {
        let mut pair = Pair::new(32, &[PeeringSpec::default()]);
        pair.configure(0);
        pair.configure(1);
        let initiation = pair.record.iter().find(|d| d.to == 0 && d.bytes[0] == 1).unwrap().clone();
        let mut bytes = initiation.bytes;
        bytes[at] ^= 1 << bit;
        // The last 16 bytes are the cookie's MAC, unused without load.
        if at < 132 {
            let sent = pair.record.len();
            pair.arrive(0, initiation.from, 0, &bytes);
            prop_assert_eq!(pair.record.len(), sent, "no answer");
        }
    }

    #[test]
    fn sealed_nonsense_of_a_genuine_peer_reaches_nothing(
        bytes in proptest::collection::vec(any::<u8>(), 0..300), kind in 0usize..4,
    ) {
        let mut pair = Pair::established(33, &[PeeringSpec::default()]);
        let around = path(&pair, 1);
        let plain = match kind {
            0 => bytes,
            1 => frame(&around, ETHERTYPE_IPV4, &bytes),
            2 => frame(&around, ETHERTYPE_PROBE, &bytes),
            _ => frame(&around, ETHERTYPE_ARP, &bytes),
        };
        let datagram = seal(&mut pair, 1, &plain);
        let from = pair.ends[1].address;
        pair.arrive(0, from, 0, &datagram);
        prop_assert!(pair.ends[0].delivered.is_empty());
    }

    #[test]
    fn nonsense_from_a_vpc_reaches_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let spec = PeeringSpec::default();
        let mut pair = Pair::established(34, &[spec]);
        let sent = pair.record.len();
        let mut frame = bytes;
        let now = pair.now;
        let mut outbox = crate::outbox::Outbox::default();
        pair.ends[0].engine.from_tun(spec.vpc(0), &mut frame, now, &mut outbox);
        prop_assert!(outbox.runs.is_empty() && pair.record.len() == sent);
    }
}
