//! What crosses arrives as it was, over a lossy, reordering, moving underlay.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use super::{A, B, SOON, frame, open, path, seal};
use crate::TunnelEvent;
use crate::framing::{ETHERTYPE_ARP, Frame};
use crate::gso::VnetHeader;
use crate::packet::{Ipv4Header, write_ipv4_checksum};
use crate::testing::{
    Pair, PeeringSpec, Weather, crossings, gateway_id, ping_packet, tcp_packet, udp_packet,
};

const MARKER: [u8; 32] = *b"a marker that must never be seen";

fn one() -> (PeeringSpec, Pair) {
    let spec = PeeringSpec::default();
    (spec, Pair::established(11, &[spec]))
}

#[test]
fn packets_cross_both_ways_and_the_underlay_shows_none() {
    let (spec, mut pair) = one();
    let there = udp_packet(A, B, 1, 2, &MARKER);
    let back = ping_packet(B, A, 1);
    pair.send(0, spec.vpc(0), &there);
    pair.send(1, spec.vpc(1), &back);
    pair.run(SOON);
    assert_eq!(pair.received(1, spec.vpc(1)), [&there[..]]);
    assert_eq!(pair.received(0, spec.vpc(0)), [&back[..]]);
    for datagram in &pair.record {
        assert!(matches!(datagram.bytes[0], 1..=4) && datagram.bytes[1..4] == [0, 0, 0]);
        assert!(datagram.bytes.windows(32).all(|window| window != MARKER));
    }
    let sent = pair.peering(0, 1).sent;
    assert_eq!((sent.packets, sent.bytes), (1, there.len() as u64));
    assert_eq!(pair.peering(1, 1).received, sent);
}

#[test]
fn both_ends_initiate_at_once_and_agree() {
    let (_, pair) = one();
    let initiations = pair.record.iter().filter(|datagram| datagram.bytes[0] == 1);
    let from: BTreeSet<_> = initiations.map(|datagram| datagram.from).collect();
    assert_eq!(from.len(), 2);
    for end in 0..2 {
        let gateway = gateway_id(1 - end);
        assert!(
            pair.ends[end]
                .events
                .contains(&TunnelEvent::HandshakeCompleted { gateway })
        );
        assert_eq!(crossings(&pair.ends[end].events), 1);
    }
}

#[test]
fn a_super_packet_arrives_as_its_segments() {
    let (spec, mut pair) = one();
    let payload: Vec<u8> = (0..40_000u32).map(|n| (n % 251) as u8).collect();
    let packet = tcp_packet(A, B, 5, 0x10, &payload);
    pair.send_with(
        0,
        spec.vpc(0),
        VnetHeader::tcp_super_packet(20, 40, 1350),
        &packet,
    );
    pair.run(SOON);
    let received = pair.received(1, spec.vpc(1));
    assert_eq!(received.len(), 30);
    let joined: Vec<u8> = received
        .iter()
        .flat_map(|packet| &packet[40..])
        .copied()
        .collect();
    assert_eq!(joined, payload);
    assert_eq!(pair.peering(0, 1).sent.packets, 30);
}

#[test]
fn padding_is_whole_blocks_and_never_past_the_mtu() {
    let (spec, mut pair) = one();
    for size in 0..100 {
        pair.send(0, spec.vpc(0), &udp_packet(A, B, 1, 2, &vec![1; size * 13]));
    }
    pair.send(0, spec.vpc(0), &udp_packet(A, B, 1, 2, &[1; 1362]));
    let data: Vec<_> = pair
        .record
        .iter()
        .filter(|datagram| datagram.bytes[0] == 4)
        .collect();
    assert!(data.iter().any(|datagram| datagram.bytes.len() == 1472));
    let tidy = |length: usize| length.is_multiple_of(16) && length + 28 <= 1500;
    assert!(
        data.iter()
            .all(|datagram| datagram.bytes.len() == 32 || tidy(datagram.bytes.len()))
    );
}

#[test]
fn loss_loses_and_changes_nothing_else() {
    let (spec, mut pair) = one();
    pair.weather.loss_per_mille = 200;
    let sent: Vec<_> = (0..1000u16)
        .map(|n| udp_packet(A, B, n, 2, &n.to_be_bytes()))
        .collect();
    for packet in &sent {
        pair.send(0, spec.vpc(0), packet);
    }
    pair.run(Duration::from_secs(20));
    let received = pair.received(1, spec.vpc(1));
    assert!((700..900).contains(&received.len()), "{}", received.len());
    let mut rest = sent.iter();
    assert!(
        received
            .iter()
            .all(|packet| rest.any(|sent| sent == packet)),
        "in order, unchanged"
    );
    let status = pair.ends[0].engine.status(pair.now);
    assert!(status.gateways[&gateway_id(1)].probes_lost > 0);
}

#[test]
fn reordered_datagrams_arrive_once_each() {
    let (spec, mut pair) = one();
    pair.weather = Weather {
        jitter: Duration::from_millis(20),
        ..pair.weather
    };
    for n in 0..500u16 {
        pair.send(0, spec.vpc(0), &udp_packet(A, B, n, 2, b"x"));
    }
    pair.run(SOON);
    let received = pair.received(1, spec.vpc(1));
    let distinct: BTreeSet<_> = received.iter().collect();
    assert_eq!((received.len(), distinct.len()), (500, 500));
}

#[test]
fn a_replayed_datagram_is_dropped() {
    let (spec, mut pair) = one();
    pair.send(0, spec.vpc(0), &udp_packet(A, B, 1, 2, b"x"));
    pair.run(SOON);
    let drops = |pair: &Pair| {
        pair.ends[1]
            .engine
            .status(pair.now)
            .drops
            .get("replayed")
            .copied()
            .unwrap_or(0)
    };
    let before = drops(&pair);
    let record = pair.record.clone();
    let sent: Vec<_> = record
        .iter()
        .filter(|datagram| datagram.to == 1 && datagram.bytes[0] == 4)
        .collect();
    for datagram in &sent {
        pair.arrive(1, datagram.from, 0, &datagram.bytes);
    }
    assert_eq!(drops(&pair) - before, sent.len() as u64);
    assert_eq!(pair.received(1, spec.vpc(1)).len(), 1);
}

#[test]
fn traffic_goes_on_across_a_rekey() {
    let (spec, mut pair) = one();
    let first = pair
        .record
        .iter()
        .rev()
        .find(|d| d.bytes[0] == 4 && d.to == 1)
        .unwrap()
        .bytes[4..8]
        .to_vec();
    for n in 0..300u16 {
        pair.send(0, spec.vpc(0), &udp_packet(A, B, n, 2, b"x"));
        if n % 100 == 50 {
            let now = pair.now;
            let mut outbox = crate::outbox::Outbox::default();
            let engine = &mut pair.ends[0].engine;
            engine.gateways[0].initiate(&engine.identity, now, &mut outbox);
            let from = pair.ends[0].address;
            pair.arrive(1, from, 0, outbox.underlay_bytes());
        }
        pair.run(Duration::from_millis(1));
    }
    pair.run(SOON);
    assert_eq!(pair.received(1, spec.vpc(1)).len(), 300);
    let last = pair
        .record
        .iter()
        .rev()
        .find(|d| d.bytes[0] == 4 && d.to == 1)
        .unwrap();
    assert_ne!(
        last.bytes[4..8],
        first,
        "another session carries the traffic"
    );
    let drops = pair.ends[1].engine.status(pair.now).drops;
    assert!(drops.is_empty(), "{drops:?}");
}

#[test]
fn the_endpoint_follows_authentic_packets_only() {
    let (spec, mut pair) = one();
    let moved: SocketAddr = "198.51.100.7:4000".parse().unwrap();
    let forged = vec![
        4, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9,
        9, 9,
    ];
    pair.arrive(1, moved, 0, &forged);
    let endpoint = |pair: &Pair| pair.ends[1].engine.endpoints().next().unwrap().1;
    assert_ne!(endpoint(&pair), moved);
    pair.ends[0].address = moved;
    pair.send(0, spec.vpc(0), &udp_packet(A, B, 1, 2, b"x"));
    pair.run(SOON);
    assert_eq!(endpoint(&pair), moved);
    pair.send(1, spec.vpc(1), &udp_packet(B, A, 1, 2, b"back"));
    pair.run(SOON);
    assert_eq!(pair.received(0, spec.vpc(0)).len(), 1);
}

#[test]
fn a_gateway_without_endpoint_is_learnt_when_it_calls() {
    let spec = PeeringSpec::default();
    let mut pair = Pair::new(12, &[spec]);
    pair.ends[1].endpoints.clear();
    pair.configure(1);
    pair.send(1, spec.vpc(1), &udp_packet(B, A, 1, 2, b"x"));
    assert_eq!(pair.peering(1, 1).sent_drops["no_endpoint"], 1);
    pair.configure(0);
    pair.run(SOON);
    assert_eq!(crossings(&pair.ends[1].events), 1);
}

#[test]
fn a_restarted_gateway_is_reached_again_soon() {
    let (spec, mut pair) = one();
    let fresh = Pair::new(99, &[spec]);
    let [restarted, _] = fresh.ends;
    pair.ends[0] = restarted;
    // The new engine's clock starts where the pair's is.
    pair.now = pair.now.max(std::time::Instant::now());
    pair.configure(0);
    pair.run(SOON);
    pair.send(1, spec.vpc(1), &udp_packet(B, A, 1, 2, b"x"));
    pair.run(SOON);
    assert_eq!(pair.received(0, spec.vpc(0)).len(), 1);
}

#[test]
fn silence_is_noticed_and_the_next_crossing_is_an_event() {
    let (_, mut pair) = one();
    pair.weather.loss_per_mille = 1000;
    pair.run(Duration::from_secs(10));
    assert!(pair.peering(0, 1).last_probe.unwrap() > Duration::from_secs(8));
    pair.weather.loss_per_mille = 0;
    pair.run(Duration::from_secs(3));
    assert_eq!(crossings(&pair.ends[0].events), 2);
    assert_eq!(pair.peering(0, 1).rtt, Some(Duration::from_millis(10)));
}

#[test]
fn the_same_configuration_again_changes_nothing() {
    let (spec, mut pair) = one();
    pair.send(0, spec.vpc(0), &udp_packet(A, B, 1, 2, b"x"));
    pair.run(SOON);
    let sent = pair.record.len();
    pair.configure(0);
    assert_eq!(pair.record.len(), sent, "no handshake, no probe");
    assert_eq!(pair.peering(0, 1).sent.packets, 1);
}

#[test]
fn congestion_marks_cross_both_layers() {
    let (spec, mut pair) = one();
    let mut capable = udp_packet(A, B, 1, 2, b"x");
    capable[1] = 2;
    write_ipv4_checksum(&mut capable, 20);
    pair.send(0, spec.vpc(0), &capable);
    assert_eq!(
        pair.record.last().unwrap().ecn,
        2,
        "the underlay sees the inner codepoint"
    );
    pair.run(SOON);
    pair.weather.marks_congestion = true;
    pair.send(0, spec.vpc(0), &capable);
    pair.send(0, spec.vpc(0), &udp_packet(A, B, 1, 2, b"not capable"));
    pair.run(SOON);
    let codepoints: Vec<u8> = pair
        .received(1, spec.vpc(1))
        .iter()
        .map(|p| Ipv4Header::parse(p).unwrap().ecn())
        .collect();
    assert_eq!(codepoints, [2, 3]);
    assert_eq!(pair.peering(1, 1).received_drops["ecn_not_capable"], 1);
}

#[test]
fn arp_of_a_linux_end_is_answered_for_our_vpc_only() {
    let (_, mut pair) = one();
    let ours = path(&pair, 1).destination_mac;
    let ask = |pair: &mut Pair, target: [u8; 4]| {
        let mut around = path(pair, 1);
        around.destination_mac = [0xff; 6];
        let mut request = vec![0, 1, 8, 0, 6, 4, 0, 1];
        request.extend_from_slice(&around.source_mac);
        request.extend_from_slice(&B.octets());
        request.extend_from_slice(&[0; 6]);
        request.extend_from_slice(&target);
        let sealed = frame(&around, ETHERTYPE_ARP, &request);
        let datagram = seal(pair, 1, &sealed);
        let (from, count) = (pair.ends[1].address, pair.record.len());
        pair.arrive(0, from, 0, &datagram);
        pair.record[count..].to_vec()
    };
    let answers = ask(&mut pair, A.octets());
    assert_eq!(answers.len(), 1);
    let plain = open(&pair, 1, &answers[0].bytes);
    let reply = Frame::parse(&plain).unwrap();
    assert_eq!((reply.ethertype, reply.source_mac), (ETHERTYPE_ARP, ours));
    assert_eq!(
        plain[reply.payload_start + 8..reply.payload_start + 14],
        ours
    );
    assert!(ask(&mut pair, [10, 3, 0, 1]).is_empty());
    assert_eq!(pair.peering(0, 1).received_drops["unexpected_control"], 1);
}
