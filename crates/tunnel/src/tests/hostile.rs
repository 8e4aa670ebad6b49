//! Bytes from strangers and from genuine peers gone wrong: never a panic, never a delivery.

use proptest::prelude::*;

use super::{frame, path, seal};
use crate::framing::{ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_PROBE};
use crate::testing::{Pair, PeeringSpec};

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
