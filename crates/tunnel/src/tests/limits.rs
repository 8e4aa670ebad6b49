//! Caps and MTUs, in virtual time.

use std::time::Duration;

use super::{A, B, SOON};
use crate::packet::{ECN_CE, Ipv4Header, TCP_SYN, set_ecn, write_ipv4_checksum};
use crate::testing::{
    Pair, PeeringSpec, gateway_id, pair_slice, tcp_packet_with_options,
    transport_checksum_is_right, udp_packet,
};

// Bits per second of inner IP at the receiver while more than the cap is offered.
fn measure(pair: &mut Pair, spec: &PeeringSpec, offered_mbps: u64, duration: Duration) -> f64 {
    let packet = udp_packet(A, B, 1, 2, &[0; 1322]);
    let gap = Duration::from_nanos(packet.len() as u64 * 8000 / offered_mbps);
    let (begin, already) = (pair.now, pair.received(1, spec.vpc(1)).len());
    while pair.now < begin + duration {
        pair.send(0, spec.vpc(0), &packet);
        pair.run(gap);
    }
    let packets = pair.received(1, spec.vpc(1)).len() - already;
    (packets * packet.len() * 8) as f64 / duration.as_secs_f64()
}

#[test]
fn a_cap_holds_and_changes_online() {
    let spec = PeeringSpec {
        mbps: 10,
        ..PeeringSpec::default()
    };
    let mut pair = Pair::established(21, &[spec]);
    let bits = measure(&mut pair, &spec, 15, Duration::from_secs(4));
    assert!((bits / 10e6 - 1.0).abs() < 0.01, "{bits}");
    let before = pair.peering(0, 1);
    assert!(before.queue_bytes > 0 && before.sent_drops["queue_full"] > 0);
    pair.ends[0].slice = pair_slice(0, &[PeeringSpec { mbps: 40, ..spec }]);
    pair.configure(0);
    assert!(
        pair.peering(0, 1).queue_bytes > before.queue_bytes / 2,
        "the queue is kept"
    );
    let bits = measure(&mut pair, &spec, 60, Duration::from_secs(2));
    assert!((bits / 40e6 - 1.0).abs() < 0.02, "{bits}");
    pair.run(Duration::from_secs(1));
    let after = pair.peering(0, 1);
    assert_eq!(after.queue_bytes, 0);
    assert_eq!(
        after.sent.packets as usize,
        pair.received(1, spec.vpc(1)).len()
    );
}

#[test]
fn a_standing_queue_marks_both_layers() {
    let spec = PeeringSpec {
        mbps: 10,
        ..PeeringSpec::default()
    };
    let mut pair = Pair::established(27, &[spec]);
    let mut packet = udp_packet(A, B, 1, 2, &[0; 1322]);
    set_ecn(&mut packet, 2);
    let (sent_before, mut offered) = (pair.record.len(), 0);
    for _ in 0..600 {
        pair.send(0, spec.vpc(0), &packet);
        pair.run(Duration::from_millis(1));
        offered += 1;
    }
    pair.run(Duration::from_secs(2));
    let marked = pair.peering(0, 1).marked;
    assert!(marked >= 3, "{marked}");
    let outside = pair.record[sent_before..]
        .iter()
        .filter(|datagram| datagram.ecn == ECN_CE);
    assert_eq!(outside.count() as u64, marked, "the underlay's header");
    let inside = pair.received(1, spec.vpc(1));
    let is_marked = |packet: &&&[u8]| Ipv4Header::parse(packet).unwrap().ecn() == ECN_CE;
    assert_eq!(inside.iter().filter(is_marked).count() as u64, marked);
    assert_eq!(
        inside.len(),
        offered,
        "nothing is dropped that can be marked"
    );
    let status = pair.peering(0, 1);
    assert!(status.sent_drops.is_empty() && status.queue_delay > Duration::ZERO);
}

#[test]
fn an_idle_capped_peering_takes_little_memory_and_no_timer_of_its_cap() {
    let spec = PeeringSpec {
        mbps: 10,
        ..PeeringSpec::default()
    };
    let mut pair = Pair::established(28, &[spec]);
    for _ in 0..60 {
        pair.send(0, spec.vpc(0), &udp_packet(A, B, 1, 2, &[0; 1322]));
    }
    assert!(pair.ends[0].engine.peerings[0].shaper.has_queues());
    pair.run(Duration::from_secs(5));
    assert!(!pair.ends[0].engine.peerings[0].shaper.has_queues());
    assert_eq!(
        pair.ends[0].engine.running_timers(),
        3,
        "a probe of the pair and one of the peering; see path_mtu for the third"
    );
    let bytes = size_of_val(&pair.ends[0].engine.peerings[0]);
    assert!(bytes <= 3072, "{bytes} bytes, entries of maps not counted");
}

#[test]
fn each_direction_has_its_own_cap() {
    let spec = PeeringSpec {
        mbps: 5,
        ..PeeringSpec::default()
    };
    let mut pair = Pair::established(22, &[spec]);
    for _ in 0..30 {
        pair.send(0, spec.vpc(0), &udp_packet(A, B, 1, 2, &[0; 1322]));
    }
    pair.send(1, spec.vpc(1), &udp_packet(B, A, 1, 2, &[0; 1322]));
    pair.run(Duration::from_millis(6));
    assert_eq!(pair.received(0, spec.vpc(0)).len(), 1);
    assert!(pair.received(1, spec.vpc(1)).len() < 30);
}

#[test]
fn too_large_with_df_is_answered_from_the_subnets_gateway() {
    let spec = PeeringSpec::default();
    let mut pair = Pair::established(23, &[spec]);
    for (underlay, mtu) in [(1500u16, 1390usize), (1400, 1290), (9000, 8890)] {
        pair.set_underlay_mtu(0, underlay);
        pair.ends[0].delivered.clear();
        pair.ends[1].delivered.clear();
        pair.send(0, spec.vpc(0), &udp_packet(A, B, 1, 2, &vec![0; mtu - 28]));
        pair.send(0, spec.vpc(0), &udp_packet(A, B, 1, 2, &vec![0; mtu - 27]));
        pair.run(SOON);
        assert_eq!(pair.received(1, spec.vpc(1)).len(), 1);
        let answers = pair.received(0, spec.vpc(0));
        let header = Ipv4Header::parse(answers[0]).unwrap();
        assert_eq!(
            (header.source, header.destination),
            ([10, 1, 0, 1].into(), A)
        );
        assert_eq!(answers[0][20..22], [3, 4]);
        assert_eq!(
            usize::from(u16::from_be_bytes([answers[0][26], answers[0][27]])),
            mtu
        );
    }
    for _ in 0..1000 {
        pair.send(0, spec.vpc(0), &udp_packet(A, B, 1, 2, &vec![0; 9000]));
    }
    assert!(
        pair.received(0, spec.vpc(0)).len() <= 21,
        "the answers are limited"
    );
    assert_eq!(pair.peering(0, 1).sent_drops["too_big"], 1003);
}

#[test]
fn a_path_that_swallows_large_packets_is_measured_and_measured_again() {
    let spec = PeeringSpec::default();
    let mut pair = Pair::established(29, &[spec]);
    pair.set_underlay_mtu(0, 1500);
    let inner_mtu = |pair: &Pair| {
        let status = pair.ends[0].engine.status(pair.now);
        status.gateways[&gateway_id(1)].inner_mtu.unwrap()
    };
    pair.run(Duration::from_secs(11));
    assert_eq!(inner_mtu(&pair), 1390);
    pair.weather.mtu = 1400;
    pair.run(Duration::from_secs(30));
    let found = inner_mtu(&pair);
    assert!((1286..=1290).contains(&found), "{found}");
    pair.send(0, spec.vpc(0), &udp_packet(A, B, 1, 2, &[0; 1363]));
    let answer = pair.received(0, spec.vpc(0)).pop().unwrap();
    assert_eq!(answer[26..28], found.to_be_bytes(), "the host is told");
    pair.send(
        0,
        spec.vpc(0),
        &udp_packet(A, B, 1, 2, &vec![0; usize::from(found) - 28]),
    );
    pair.run(SOON);
    assert_eq!(pair.received(1, spec.vpc(1)).len(), 1);
    pair.weather.mtu = 1500;
    pair.run(Duration::from_secs(620));
    assert_eq!(inner_mtu(&pair), 1390);
}

#[test]
fn too_large_without_df_crosses_in_fragments() {
    let spec = PeeringSpec::default();
    let mut pair = Pair::established(24, &[spec]);
    let mut packet = udp_packet(A, B, 1, 2, &vec![7; 3000]);
    packet[6] = 0;
    write_ipv4_checksum(&mut packet, 20);
    pair.send(0, spec.vpc(0), &packet);
    pair.run(SOON);
    let parts = pair.received(1, spec.vpc(1));
    assert_eq!(
        parts.iter().map(|part| part.len()).collect::<Vec<_>>(),
        [1388, 1388, 292]
    );
    let joined: Vec<u8> = parts.iter().flat_map(|part| &part[20..]).copied().collect();
    assert_eq!(joined, packet[20..]);
    assert!(parts.iter().all(|part| part[4..6] == packet[4..6]));
}

#[test]
fn the_mss_is_clamped_on_the_way_out_and_in() {
    let spec = PeeringSpec::default();
    let mut pair = Pair::established(25, &[spec]);
    let syn = tcp_packet_with_options(A, B, 1, TCP_SYN, &[2, 4, 5, 180], b"");
    let mss = |pair: &Pair| {
        let packet = *pair.received(1, spec.vpc(1)).last().unwrap();
        assert!(transport_checksum_is_right(packet));
        u16::from_be_bytes([packet[42], packet[43]])
    };
    pair.send(0, spec.vpc(0), &syn);
    pair.run(SOON);
    assert_eq!(mss(&pair), 1350);
    // The sender's path is wide, the receiver's way back is not.
    pair.set_underlay_mtu(0, 9000);
    pair.set_underlay_mtu(1, 1400);
    pair.send(0, spec.vpc(0), &syn);
    pair.run(SOON);
    assert_eq!(mss(&pair), 1250);
}

#[test]
fn a_vpcs_device_has_the_largest_mtu_of_its_pairs() {
    let spec = PeeringSpec::default();
    let mut pair = Pair::established(26, &[spec]);
    assert_eq!(pair.ends[0].engine.device_mtus()[&spec.vpc(0)], 1390);
    pair.set_underlay_mtu(0, 9000);
    assert_eq!(pair.ends[0].engine.device_mtus()[&spec.vpc(0)], 8890);
    assert_eq!(pair.ends[0].engine.device_mtus().len(), 1);
}
