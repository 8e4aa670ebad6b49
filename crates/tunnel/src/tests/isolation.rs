//! Tenants are kept apart, whatever a genuine peer seals.

use super::{A, B, SOON, frame, path, seal};
use crate::framing::{ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, FramePath};
use crate::testing::{
    Pair, PeeringSpec, block, pair_slice, peering_id, side, tcp_packet, udp_packet,
};

// A genuine peer (end 1) seals one frame: exactly one drop of one cause, and no host sees it.
fn refused(cause: &str, change: impl Fn(&mut FramePath, &mut Vec<u8>, &mut u16)) {
    let mut pair = Pair::established(1, &[PeeringSpec::default()]);
    let mut around = path(&pair, 1);
    let (mut packet, mut ethertype) = (udp_packet(B, A, 1, 2, b"x"), ETHERTYPE_IPV4);
    change(&mut around, &mut packet, &mut ethertype);
    let sealed = frame(&around, ethertype, &packet);
    let datagram = seal(&mut pair, 1, &sealed);
    let from = pair.ends[1].address;
    pair.arrive(0, from, 0, &datagram);
    let status = pair.ends[0].engine.status(pair.now);
    let peering = &status.peerings[&(peering_id(1), side(0))];
    let drops: Vec<_> = status.drops.iter().chain(&peering.received_drops).collect();
    assert_eq!(drops, [(&cause, &1)]);
    assert!(pair.ends[0].delivered.is_empty());
    assert_eq!(peering.received.packets, 0);
}

#[test]
fn each_wrong_field_has_its_own_counter() {
    refused("unknown_vni", |path, _, _| path.vni += 1);
    refused("wrong_source", |_, packet, _| {
        *packet = udp_packet([10, 3, 0, 5].into(), A, 1, 2, b"x");
    });
    refused("wrong_source", |_, packet, _| {
        *packet = udp_packet(A, A, 1, 2, b"x");
    });
    refused("wrong_destination", |_, packet, _| {
        *packet = udp_packet(B, [10, 9, 0, 5].into(), 1, 2, b"x");
    });
    refused("wrong_overlay_address", |path, _, _| {
        path.source = [100, 64, 0, 9].into();
    });
    refused("wrong_overlay_address", |path, _, _| {
        path.destination = [100, 64, 0, 9].into();
    });
    refused("wrong_mac", |path, _, _| path.destination_mac[5] ^= 1);
    refused("unknown_ethertype", |_, _, ethertype| *ethertype = 0x1234);
    refused("inner_ipv6", |_, _, ethertype| *ethertype = ETHERTYPE_IPV6);
    refused("unexpected_control", |_, _, ethertype| {
        *ethertype = ETHERTYPE_ARP;
    });
    refused("malformed_packet", |_, packet, _| packet[3] = 0xff);
}

#[test]
fn a_right_frame_of_a_genuine_peer_passes() {
    let mut pair = Pair::established(1, &[PeeringSpec::default()]);
    let packet = udp_packet(B, A, 1, 2, b"x");
    let sealed = frame(&path(&pair, 1), ETHERTYPE_IPV4, &packet);
    let datagram = seal(&mut pair, 1, &sealed);
    let from = pair.ends[1].address;
    pair.arrive(0, from, 0, &datagram);
    assert_eq!(
        pair.received(0, PeeringSpec::default().vpc(0)),
        [&packet[..]]
    );
}

/// A peering whose ends have an assistant block each, 172.16 and 172.17, with a subnet in it.
fn with_assistant_blocks() -> Pair {
    let mut pair = Pair::established(1, &[PeeringSpec::default()]);
    let blocks = ["172.16.0.0/16", "172.17.0.0/16"].map(block);
    for end in 0..2 {
        let slice = &mut pair.ends[end].slice;
        let vpc = slice
            .vpcs
            .get_mut(&PeeringSpec::default().vpc(end))
            .unwrap();
        vpc.assistant_cidrs.insert(blocks[end]);
        let mut routes = vpc.subnets.values().next().unwrap().routes.clone();
        routes.insert(blocks[1 - end], peering_id(1));
        let cidr = blocks[end];
        vpc.subnets.insert(
            model::SubnetId::from_entropy(77),
            model::slice::SubnetSlice { cidr, routes },
        );
        let key = (peering_id(1), side(end));
        let peering = slice.peerings.get_mut(&key).unwrap();
        peering.peer_assistant_cidrs.insert(blocks[1 - end]);
    }
    pair.configure(0);
    pair.configure(1);
    pair
}

#[test]
fn assistant_blocks_belong_to_their_vpcs() {
    let mut pair = with_assistant_blocks();
    let (ours, theirs) = ([172, 16, 0, 5].into(), [172, 17, 0, 5].into());
    for (source, destination) in [(theirs, A), (theirs, ours), (B, ours)] {
        let packet = udp_packet(source, destination, 1, 2, b"x");
        let sealed = frame(&path(&pair, 1), ETHERTYPE_IPV4, &packet);
        let datagram = seal(&mut pair, 1, &sealed);
        let from = pair.ends[1].address;
        pair.arrive(0, from, 0, &datagram);
        assert_eq!(
            pair.received(0, PeeringSpec::default().vpc(0)),
            [&packet[..]]
        );
        pair.ends[0].delivered.clear();
    }
    // The same packets, as soon as the blocks are gone.
    for slice in pair.ends.iter_mut().map(|end| &mut end.slice) {
        for vpc in slice.vpcs.values_mut() {
            vpc.assistant_cidrs.clear();
        }
        for peering in slice.peerings.values_mut() {
            peering.peer_assistant_cidrs.clear();
        }
    }
    pair.configure(0);
    for (source, destination) in [(theirs, A), (B, ours)] {
        let packet = udp_packet(source, destination, 1, 2, b"x");
        let sealed = frame(&path(&pair, 1), ETHERTYPE_IPV4, &packet);
        let datagram = seal(&mut pair, 1, &sealed);
        let from = pair.ends[1].address;
        pair.arrive(0, from, 0, &datagram);
    }
    let status = pair.ends[0].engine.status(pair.now);
    let drops = &status.peerings[&(peering_id(1), side(0))].received_drops;
    let drops: Vec<_> = drops
        .iter()
        .map(|(cause, count)| (*cause, *count))
        .collect();
    assert_eq!(drops, [("wrong_destination", 1), ("wrong_source", 1)]);
}

#[test]
fn a_gateway_that_does_not_carry_the_peer_is_refused() {
    let mut pair = Pair::established(1, &[PeeringSpec::default()]);
    // End 0 now believes that its own other VPC is the peer.
    let slice = &mut pair.ends[0].slice;
    slice
        .peerings
        .get_mut(&(peering_id(1), side(0)))
        .unwrap()
        .peer = model::slice::PeerEnd::Local;
    pair.configure(0);
    pair.send(
        1,
        PeeringSpec::default().vpc(1),
        &udp_packet(B, A, 1, 2, b"x"),
    );
    pair.run(std::time::Duration::from_millis(7));
    assert!(pair.peering(0, 1).received_drops["wrong_gateway"] >= 1);
    assert!(pair.ends[0].delivered.is_empty());
}

#[test]
fn twins_with_equal_addresses_ports_and_numbers_never_meet() {
    let specs = [1, 2].map(|number| PeeringSpec {
        number,
        ..PeeringSpec::default()
    });
    let mut pair = Pair::established(3, &specs);
    for sequence in 0..200u32 {
        for spec in &specs {
            let packet = tcp_packet(A, B, sequence * 500, 0x10, &[spec.number as u8; 500]);
            pair.send(0, spec.vpc(0), &packet);
        }
    }
    pair.run(SOON);
    for spec in &specs {
        let received = pair.received(1, spec.vpc(1));
        assert_eq!(received.len(), 200);
        assert!(
            received
                .iter()
                .all(|packet| packet[40..].iter().all(|b| *b == spec.number as u8))
        );
    }
}

#[test]
fn only_the_subnet_with_a_route_reaches_the_peer() {
    let mut pair = Pair::established(4, &[PeeringSpec::default()]);
    let spec = PeeringSpec::default();
    let vpc = pair.ends[0].slice.vpcs.get_mut(&spec.vpc(0)).unwrap();
    *vpc = crate::testing::vpc_slice("10.1.0.0/16", &["10.1.0.0/24", "10.1.1.0/24"]);
    vpc.subnets
        .values_mut()
        .next()
        .unwrap()
        .routes
        .insert(block("10.2.0.0/16"), peering_id(1));
    pair.configure(0);
    for source in [[10, 1, 0, 5], [10, 1, 1, 5], [10, 1, 9, 5], [10, 7, 0, 5]] {
        pair.send(0, spec.vpc(0), &udp_packet(source.into(), B, 1, 2, b"x"));
    }
    pair.send(
        0,
        spec.vpc(0),
        &udp_packet(A, [10, 1, 1, 9].into(), 1, 2, b"x"),
    );
    pair.run(SOON);
    assert_eq!(pair.received(1, spec.vpc(1)).len(), 1);
    let drops = pair.ends[0].engine.status(pair.now).drops;
    assert_eq!(
        (drops["no_route"], drops["no_subnet"], drops["inside_vpc"]),
        (1, 2, 1)
    );
}

#[test]
fn a_removed_peering_stops_at_once_with_its_queue() {
    let spec = PeeringSpec {
        mbps: 1,
        ..PeeringSpec::default()
    };
    let mut pair = Pair::established(5, &[spec]);
    for _ in 0..30 {
        pair.send(0, spec.vpc(0), &udp_packet(A, B, 1, 2, &[0; 1000]));
    }
    assert!(pair.peering(0, 1).queue_bytes > 20_000);
    pair.run(std::time::Duration::from_millis(20));
    let before = pair.received(1, spec.vpc(1)).len();
    pair.ends[0].slice = pair_slice(0, &[]);
    pair.configure(0);
    pair.run(std::time::Duration::from_secs(2));
    // What was on the underlay already: at most the datagrams of one delay.
    assert!(pair.received(1, spec.vpc(1)).len() <= before + 1);
    pair.send(1, spec.vpc(1), &udp_packet(B, A, 1, 2, b"x"));
    pair.run(SOON);
    assert!(pair.ends[0].delivered.is_empty());
    assert!(pair.ends[0].engine.status(pair.now).drops["unknown_vni"] >= 1);
}

#[test]
fn two_vpcs_of_one_gateway_pass_the_same_checks() {
    let spec = PeeringSpec {
        mbps: 100,
        ..PeeringSpec::default()
    };
    let mut pair = Pair::new(6, &[spec]);
    let mut slice = pair_slice(0, &[spec]);
    let other = pair_slice(1, &[spec]);
    slice.vpcs.extend(other.vpcs);
    slice.peerings.extend(other.peerings);
    slice.tunnel_peers.clear();
    for peering in slice.peerings.values_mut() {
        peering.peer = model::slice::PeerEnd::Local;
    }
    pair.ends[0].slice = slice;
    pair.configure(0);
    pair.run(SOON);
    assert_eq!(crate::testing::crossings(&pair.ends[0].events), 2);
    let packet = udp_packet(A, B, 1, 2, &[3; 900]);
    pair.send(0, spec.vpc(0), &packet);
    pair.send(
        0,
        spec.vpc(1),
        &udp_packet(A, [10, 2, 0, 9].into(), 1, 2, b"forged"),
    );
    pair.send(
        0,
        spec.vpc(0),
        &udp_packet(A, [10, 3, 0, 9].into(), 1, 2, b"no route"),
    );
    assert_eq!(pair.received(0, spec.vpc(1)), [&packet[..]]);
    assert!(pair.received(0, spec.vpc(0)).is_empty());
    let sent = pair.peering(0, 1).sent;
    assert_eq!((sent.packets, sent.bytes), (1, 928));
    assert!(pair.record.is_empty(), "nothing goes to the underlay");
}
