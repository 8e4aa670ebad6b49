//! IPv6 inside, under the same rules as IPv4.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::{A, B, SOON, frame, open, path, seal};
use crate::framing::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, Frame};
use crate::gso::VnetHeader;
use crate::mtu::write_icmpv6_checksum;
use crate::packet::{ECN_CE, IpHeader, PROTOCOL_ICMPV6, TCP_SYN, ecn_of, set_ecn};
use crate::testing::{
    Pair, PeeringSpec, ipv6_packet, tcp_packet_v6, transport_checksum_is_right, udp_packet,
    udp_packet_v6,
};

const A6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 5);
const B6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 5);
const ELSEWHERE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 3, 0, 0, 0, 0, 5);

fn spec() -> PeeringSpec {
    PeeringSpec {
        ipv6: true,
        ..PeeringSpec::default()
    }
}

fn one() -> Pair {
    Pair::established(41, &[spec()])
}

#[test]
fn packets_of_both_versions_cross_both_ways() {
    let mut pair = one();
    let there = [
        udp_packet_v6(A6, B6, 1, 2, b"six"),
        udp_packet(A, B, 1, 2, b"four"),
    ];
    let back = udp_packet_v6(B6, A6, 2, 1, b"back");
    for packet in &there {
        pair.send(0, spec().vpc(0), packet);
    }
    pair.send(1, spec().vpc(1), &back);
    pair.run(SOON);
    assert_eq!(
        pair.received(1, spec().vpc(1)),
        [&there[0][..], &there[1][..]]
    );
    assert_eq!(pair.received(0, spec().vpc(0)), [&back[..]]);
    assert_eq!(pair.peering(0, 1).sent.bytes, 51 + 32);
}

#[test]
fn a_super_packet_crosses_as_its_segments() {
    let mut pair = one();
    let payload: Vec<u8> = (0..20_000u32).map(|n| (n % 253) as u8).collect();
    let packet = tcp_packet_v6(A6, B6, 7, 0x10, &payload);
    let vnet = VnetHeader::tcp_super_packet(40, 60, 1310);
    pair.send_with(0, spec().vpc(0), vnet, &packet);
    pair.run(SOON);
    let received = pair.received(1, spec().vpc(1));
    assert_eq!(received.len(), 16);
    assert!(
        received
            .iter()
            .all(|packet| transport_checksum_is_right(packet))
    );
    let joined: Vec<u8> = received
        .iter()
        .flat_map(|packet| &packet[60..])
        .copied()
        .collect();
    assert_eq!(joined, payload);
}

#[test]
fn each_wrong_end_is_dropped_with_its_cause() {
    let mut pair = one();
    for (from, to) in [(ELSEWHERE, B6), (A6, A6), (A6, ELSEWHERE)] {
        pair.send(0, spec().vpc(0), &udp_packet_v6(from, to, 1, 2, b"x"));
    }
    let drops = pair.ends[0].engine.status(pair.now).drops;
    assert_eq!(
        (drops["no_subnet"], drops["inside_vpc"], drops["no_route"]),
        (1, 1, 1)
    );
    // A genuine peer seals what it must not.
    let around = path(&pair, 1);
    for (ethertype, packet) in [
        (ETHERTYPE_IPV6, udp_packet_v6(ELSEWHERE, A6, 1, 2, b"x")),
        (ETHERTYPE_IPV6, udp_packet_v6(B6, ELSEWHERE, 1, 2, b"x")),
        (ETHERTYPE_IPV6, udp_packet(B, A, 1, 2, b"x")),
        (ETHERTYPE_IPV4, udp_packet_v6(B6, A6, 1, 2, b"x")),
    ] {
        let sealed = frame(&around, ethertype, &packet);
        let datagram = seal(&mut pair, 1, &sealed);
        let from = pair.ends[1].address;
        pair.arrive(0, from, 0, &datagram);
    }
    let drops = pair.peering(0, 1).received_drops;
    assert_eq!((drops["wrong_source"], drops["wrong_destination"]), (1, 1));
    assert_eq!(drops["malformed_packet"], 2);
    assert!(pair.ends[0].delivered.is_empty() && pair.ends[1].delivered.is_empty());
}

#[test]
fn without_ipv6_nothing_of_it_crosses() {
    let mut pair = Pair::established(42, &[PeeringSpec::default()]);
    pair.send(0, spec().vpc(0), &udp_packet_v6(A6, B6, 1, 2, b"x"));
    assert_eq!(pair.ends[0].engine.status(pair.now).drops["inner_ipv6"], 1);
    // One side alone is not enough.
    pair.ends[0].slice.ipv6 = one().ends[0].slice.ipv6.clone();
    pair.ends[0].slice.ipv6.peer_cidrs.clear();
    pair.configure(0);
    pair.send(0, spec().vpc(0), &udp_packet_v6(A6, B6, 1, 2, b"x"));
    assert_eq!(pair.peering(0, 1).sent_drops["inner_ipv6"], 1);
}

#[test]
fn too_big_is_answered_from_the_subnets_gateway() {
    let mut pair = one();
    pair.send(
        0,
        spec().vpc(0),
        &udp_packet_v6(A6, B6, 1, 2, &[0; 1390 - 48]),
    );
    pair.send(
        0,
        spec().vpc(0),
        &udp_packet_v6(A6, B6, 1, 2, &[0; 1391 - 48]),
    );
    pair.run(SOON);
    assert_eq!(pair.received(1, spec().vpc(1)).len(), 1);
    let answers = pair.received(0, spec().vpc(0));
    let header = IpHeader::parse(answers[0]).unwrap();
    let gateway: IpAddr = "2001:db8:1::1".parse().unwrap();
    assert_eq!((header.source, header.destination), (gateway, A6.into()));
    assert_eq!(
        answers[0][40..48],
        [2, 0, answers[0][42], answers[0][43], 0, 0, 5, 110]
    );
    assert!(transport_checksum_is_right(answers[0]));
    assert_eq!(pair.peering(0, 1).sent_drops["too_big"], 1);
}

#[test]
fn below_1280_a_pair_carries_no_ipv6() {
    let mut pair = one();
    pair.set_underlay_mtu(0, 1389);
    pair.send(0, spec().vpc(0), &udp_packet_v6(A6, B6, 1, 2, b"x"));
    pair.send(0, spec().vpc(0), &udp_packet(A, B, 1, 2, b"x"));
    pair.run(SOON);
    assert_eq!(pair.received(1, spec().vpc(1)).len(), 1);
    assert_eq!(pair.peering(0, 1).sent_drops["small_mtu"], 1);
    pair.set_underlay_mtu(0, 1390);
    pair.send(0, spec().vpc(0), &udp_packet_v6(A6, B6, 1, 2, b"x"));
    pair.run(SOON);
    assert_eq!(pair.received(1, spec().vpc(1)).len(), 2);
}

#[test]
fn the_mss_leaves_room_for_the_longer_header() {
    let mut pair = one();
    let mut syn = tcp_packet_v6(A6, B6, 1, TCP_SYN, &[2, 4, 5, 180]);
    // The payload becomes an option; the checksum covers it either way but for the offset.
    syn[52] = 6 << 4;
    let changed = crate::packet::fold(
        crate::packet::pseudo_sum_of(&syn, 6, 24)
            + crate::packet::sum(&syn[40..56])
            + crate::packet::sum(&syn[58..]),
    );
    syn[56..58].copy_from_slice(&(!changed).to_be_bytes());
    assert!(transport_checksum_is_right(&syn));
    pair.send(0, spec().vpc(0), &syn);
    pair.run(SOON);
    let received = pair.received(1, spec().vpc(1));
    assert_eq!(received[0][60..64], [2, 4, 5, 50], "1390 - 60 = 1330");
    assert!(transport_checksum_is_right(received[0]));
}

#[test]
fn congestion_marks_cross_both_layers() {
    let mut pair = one();
    let mut capable = udp_packet_v6(A6, B6, 1, 2, b"x");
    set_ecn(&mut capable, 2);
    pair.send(0, spec().vpc(0), &capable);
    assert_eq!(pair.record.last().unwrap().ecn, 2);
    pair.run(SOON);
    pair.weather.marks_congestion = true;
    pair.send(0, spec().vpc(0), &capable);
    pair.send(0, spec().vpc(0), &udp_packet_v6(A6, B6, 1, 2, b"x"));
    pair.run(SOON);
    let marks: Vec<u8> = pair
        .received(1, spec().vpc(1))
        .iter()
        .map(|p| ecn_of(p))
        .collect();
    assert_eq!(marks, [2, ECN_CE]);
    assert_eq!(pair.peering(1, 1).received_drops["ecn_not_capable"], 1);
}

#[test]
fn a_cap_counts_both_versions() {
    let capped = PeeringSpec { mbps: 10, ..spec() };
    let mut pair = Pair::established(43, &[capped]);
    let (six, four) = (
        udp_packet_v6(A6, B6, 1, 2, &[0; 952]),
        udp_packet(A, B, 1, 2, &[0; 972]),
    );
    let begin = pair.now;
    while pair.now < begin + Duration::from_secs(2) {
        pair.send(0, capped.vpc(0), &six);
        pair.send(0, capped.vpc(0), &four);
        pair.run(Duration::from_millis(1));
    }
    let received = pair.received(1, capped.vpc(1));
    let bits = received
        .iter()
        .map(|packet| packet.len() as f64 * 8.0)
        .sum::<f64>()
        / 2.0;
    assert!((bits / 10e6 - 1.0).abs() < 0.01, "{bits}");
    let sixes = received.iter().filter(|packet| packet[0] >> 4 == 6).count();
    let share = sixes as f64 / received.len() as f64;
    assert!((share - 0.5).abs() < 0.02, "two flows, {share} of it IPv6");
}

#[test]
fn solicitations_of_a_linux_end_are_answered_for_our_vpc_only() {
    let mut pair = one();
    let ours = path(&pair, 1).destination_mac;
    let ask = |pair: &mut Pair, sender: Ipv6Addr, target: Ipv6Addr, unicast: bool| {
        let mut around = path(pair, 1);
        if !unicast {
            around.destination_mac = [0x33, 0x33, 0xff, 0, 0, 5];
        }
        let mut message = vec![135, 0, 0, 0, 0, 0, 0, 0];
        message.extend_from_slice(&target.octets());
        message.extend_from_slice(&[1, 1]);
        message.extend_from_slice(&around.source_mac);
        let to = "ff02::1:ff00:5".parse().unwrap();
        let mut packet = ipv6_packet(sender, to, PROTOCOL_ICMPV6, &message);
        packet[7] = 255;
        write_icmpv6_checksum(&mut packet);
        let sealed = frame(&around, ETHERTYPE_IPV6, &packet);
        let datagram = seal(pair, 1, &sealed);
        let (from, count) = (pair.ends[1].address, pair.record.len());
        pair.arrive(0, from, 0, &datagram);
        pair.record[count..].to_vec()
    };
    let link_local: Ipv6Addr = "fe80::9".parse().unwrap();
    for (sender, unicast) in [(B6, false), (B6, true), (link_local, false)] {
        let answers = ask(&mut pair, sender, A6, unicast);
        assert_eq!(answers.len(), 1, "{sender} {unicast}");
        let plain = open(&pair, 1, &answers[0].bytes);
        let reply = Frame::parse(&plain).unwrap();
        assert_eq!((reply.ethertype, reply.source_mac), (ETHERTYPE_IPV6, ours));
        let answer = &plain[reply.payload_start..];
        assert_eq!((answer[40], &answer[66..72]), (136, &ours[..]));
    }
    assert!(ask(&mut pair, B6, ELSEWHERE, false).is_empty());
    assert!(ask(&mut pair, ELSEWHERE, A6, false).is_empty());
    assert_eq!(pair.peering(0, 1).received_drops["unexpected_control"], 2);
    assert!(pair.ends[0].delivered.is_empty());
}
