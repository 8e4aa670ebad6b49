//! Shapers in virtual time: exact rates, fair shares, short queues.

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;
use crate::packet::{ECN_CE, IpHeader, ecn_of, fold, set_ecn, sum};
use crate::testing::udp_packet;

pub(super) const MILLI: Duration = Duration::from_millis(1);
pub(super) const MBPS: u64 = 125_000;

/// A shaper with what it needs, and its clock.
pub(super) struct Bottleneck {
    pub(super) shaper: Shaper,
    buffers: Buffers,
    out: Vec<u8>,
    pub(super) now: Instant,
}

/// What a flow sends: UDP from 10.1.0.5 to a port of its own.
pub(super) fn packet(flow: u16, length: usize) -> Vec<u8> {
    let (a, b) = (Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 5));
    udp_packet(a, b, 1, flow, &vec![0; length - 28])
}

fn flow_of(packet: &[u8]) -> usize {
    u16::from_be_bytes([packet[22], packet[23]]).into()
}

impl Bottleneck {
    pub(super) fn new(mbps: u64) -> Bottleneck {
        let now = Instant::now();
        Bottleneck {
            shaper: Shaper::new(Some(mbps * MBPS), now),
            buffers: Buffers::default(),
            out: vec![0; 1 << 16],
            now,
        }
    }

    // Offers a whole packet; true when it left at once.
    pub(super) fn send(&mut self, packet: &[u8]) -> bool {
        if self.shaper.admit(packet.len(), self.now) {
            return true;
        }
        let key = FlowKey::new(packet, &IpHeader::parse(packet).unwrap());
        let (whole, buffers) = (Division::whole(packet.len()), &mut self.buffers);
        self.shaper
            .enqueue(key, packet, whole, 0, self.now, buffers);
        false
    }

    // The next packet that leaves now.
    pub(super) fn departed(&mut self) -> Option<&[u8]> {
        let (buffers, out) = (&mut self.buffers, &mut self.out);
        let length = self.shaper.dequeue(self.now, buffers, out)?;
        Some(&self.out[..length])
    }

    fn fill(&mut self, packet: &[u8], bytes: u64) {
        while self.shaper.queued_bytes() < bytes {
            self.send(packet);
        }
    }
}

// Bytes per second that leave while more than the cap waits, `late` after each departure time.
fn saturated_rate(mbps: u64, length: usize, late: Duration) -> f64 {
    let mut link = Bottleneck::new(mbps);
    let packet = packet(1, length);
    let seconds = (100_000.0 * length as f64 / (mbps * MBPS) as f64).clamp(0.3, 10.0);
    let begin = link.now + Duration::from_millis(100);
    let (end, mut bytes) = (begin + Duration::from_secs_f64(seconds), 0);
    while link.now < end {
        // More than may leave until the next look.
        link.fill(&packet, 20_000 + mbps * MBPS / 1000);
        link.now = link.shaper.next_departure().unwrap() + late;
        while let Some(length) = link.departed().map(<[u8]>::len) {
            bytes += if link.now > begin { length } else { 0 };
        }
    }
    bytes as f64 / (link.now - begin).as_secs_f64()
}

#[test]
fn the_rate_is_exact_from_one_megabit_to_one_gigabit() {
    for mbps in [1, 10, 20, 50, 100, 200, 333, 500, 1000] {
        for length in [60, 1390, 8870] {
            for late in [Duration::ZERO, Duration::from_micros(300)] {
                let rate = saturated_rate(mbps, length, late);
                let error = (rate / (mbps * MBPS) as f64 - 1.0).abs();
                // A packet more or less at either end of the measured time.
                let step = 4.0 * length as f64 / (mbps * MBPS) as f64;
                assert!(
                    error <= 0.001 + step,
                    "{mbps} Mbps, {length} B, {late:?}: {error}"
                );
            }
        }
    }
}

#[test]
fn waiting_packets_leave_in_groups() {
    let mut link = Bottleneck::new(1000);
    let packet = packet(1, 1390);
    let (mut wakes, mut packets) = (0, 0);
    let end = link.now + Duration::from_millis(100);
    while link.now < end {
        link.fill(&packet, 100_000);
        link.now = link.shaper.next_departure().unwrap();
        wakes += 1;
        while link.departed().is_some() {
            packets += 1;
        }
    }
    assert!(wakes <= 505, "{wakes} wake-ups in 100 ms");
    assert!(packets / wakes >= 15, "{packets} packets");
}

#[test]
fn greedy_flows_share_equally_and_a_modest_one_does_not_wait() {
    let mut link = Bottleneck::new(100);
    let sizes = [1390, 700, 200, 60];
    let greedy: Vec<_> = (0..16)
        .map(|n| packet(n, sizes[usize::from(n) % 4]))
        .collect();
    let modest = packet(16, 1000);
    let (mut waiting, mut bytes) = ([0; 17], [0u64; 17]);
    let (begin, mut next_modest) = (link.now, link.now);
    let mut worst = Duration::ZERO;
    let mut sent_at = std::collections::VecDeque::new();
    while link.now < begin + Duration::from_secs(2) {
        for (flow, packet) in greedy.iter().enumerate() {
            while waiting[flow] < 4000 {
                waiting[flow] += if link.send(packet) { 0 } else { packet.len() };
            }
        }
        // 4 Mbps, below its share of 100 / 17.
        if link.now >= next_modest {
            next_modest += 2 * MILLI;
            sent_at.push_back(link.now);
            if link.send(&modest) {
                sent_at.pop_back();
            }
        }
        link.now = link.shaper.next_departure().unwrap().min(next_modest);
        while let Some(packet) = link.departed() {
            let flow = flow_of(packet);
            bytes[flow] += packet.len() as u64;
            if flow == 16 {
                worst = worst.max(link.now - sent_at.pop_front().unwrap());
            } else {
                waiting[flow] -= packet.len().min(waiting[flow]);
            }
        }
        // What CoDel dropped is not waited for.
        if link.shaper.queued_bytes() < 40_000 {
            waiting = [0; 17];
        }
    }
    let (least, most) = (bytes[..16].iter().min(), bytes[..16].iter().max());
    let ratio = *least.unwrap() as f64 / *most.unwrap() as f64;
    assert!(ratio > 0.97, "{bytes:?}");
    assert!(worst < 3 * MILLI, "{worst:?}");
    assert!(bytes[16] >= 990_000, "{} B of 1 MB", bytes[16]);
}

#[test]
fn super_packets_leave_packet_by_packet_in_turn_with_others() {
    use crate::gso::{SuperPacket, VnetHeader};
    let mut link = Bottleneck::new(10);
    let filler = packet(3, 1390);
    link.fill(&filler, 1390);
    let (a, b) = (Ipv4Addr::new(10, 1, 0, 5), Ipv4Addr::new(10, 2, 0, 5));
    let mut large = crate::testing::tcp_packet(a, b, 1, 0x10, &[7; 40_000]);
    let vnet = VnetHeader::tcp_super_packet(20, 40, 1350);
    let parsed = SuperPacket::parse(&vnet, &mut large).unwrap();
    let key = FlowKey::new(parsed.bytes, &parsed.header);
    let now = link.now;
    let buffers = &mut link.buffers;
    link.shaper
        .enqueue(key, parsed.bytes, parsed.division, 4, now, buffers);
    assert_eq!(
        link.shaper.queued_bytes(),
        1390 + 40_000 - 4 * 1350 + 26 * 40
    );
    link.send(&packet(4, 100));
    let mut order = Vec::new();
    while let Some(at) = link.shaper.next_departure() {
        link.now = at;
        while let Some(packet) = link.departed() {
            order.push((packet[9], packet.len()));
        }
    }
    // A quantum is one packet here; a flow may go on until it is used up.
    let small = order.iter().position(|packet| *packet == (17, 100));
    assert!(small.is_some_and(|at| at <= 4), "{order:?}");
    assert_eq!(order.iter().filter(|packet| packet.0 == 6).count(), 26);
    assert_eq!(order.last(), Some(&(6, 40 + 40_000 - 29 * 1350)));
}

#[test]
fn a_new_rate_is_in_force_at_once_and_drops_nothing() {
    let mut link = Bottleneck::new(100);
    let packets: Vec<_> = (0..8).map(|flow| packet(flow, 1000)).collect();
    let mut sent = 0;
    let mut rate_in_window = |link: &mut Bottleneck, window: Duration| {
        let (begin, mut bytes) = (link.now, 0);
        while link.now < begin + window {
            while link.shaper.queued_bytes() < 100_000 {
                for packet in &packets {
                    sent += 1;
                    link.send(packet);
                }
            }
            link.now = link.shaper.next_departure().unwrap();
            while let Some(packet) = link.departed() {
                bytes += packet.len();
            }
        }
        bytes as f64 / (link.now - begin).as_secs_f64() / MBPS as f64
    };
    rate_in_window(&mut link, 50 * MILLI);
    for mbps in [10u64, 1000, 20, 100, 500] {
        let queued = link.shaper.queued_bytes();
        link.shaper.set_rate(Some(mbps * MBPS), link.now);
        assert_eq!(link.shaper.queued_bytes(), queued);
        assert_eq!(link.shaper.counts(), QueueCounts::default());
        let rate = rate_in_window(&mut link, 30 * MILLI);
        let error = (rate / mbps as f64 - 1.0).abs();
        assert!(error < 0.05, "{rate} of {mbps} Mbps in the first 30 ms");
    }
    link.shaper.set_rate(None, link.now);
    while link.departed().is_some() {}
    assert_eq!(link.shaper.queued_bytes(), 0);
    assert!(link.send(&packets[0]), "nothing waits without a cap");
}

#[test]
fn full_queues_drop_from_the_fattest_flow() {
    let mut link = Bottleneck::new(10);
    let modest = packet(2, 500);
    for n in 0..2000 {
        link.send(&packet(1, 1390));
        if n % 100 == 50 {
            link.send(&modest);
        }
    }
    assert!(link.shaper.queued_bytes() <= QUEUE_MIN_BYTES);
    let full = link.shaper.counts().full;
    assert!(full > 1200, "{full}");
    let mut flows = [0; 3];
    while let Some(at) = link.shaper.next_departure() {
        link.now = at;
        while let Some(packet) = link.departed() {
            flows[flow_of(packet)] += 1;
        }
    }
    assert_eq!(flows[2], 20, "nothing of the modest flow is lost");
}

#[test]
fn small_packets_are_bounded_in_number_too() {
    let mut link = Bottleneck::new(10);
    for _ in 0..20_000 {
        link.send(&packet(1, 40));
    }
    let most = QUEUE_MIN_BYTES / BYTES_PER_BURST * 40;
    assert!(link.shaper.queued_bytes() <= most);
}

// A flow that reacts to nothing, at twice the cap for two seconds.
fn overload(ecn: u8) -> (QueueCounts, usize, u64) {
    let mut link = Bottleneck::new(100);
    let mut packet = packet(1, 1250);
    set_ecn(&mut packet, ecn);
    let (begin, mut marked, mut total) = (link.now, 0, 0);
    let mut next_sent = begin;
    while link.now < begin + 2000 * MILLI {
        if link.now >= next_sent {
            next_sent += Duration::from_micros(50);
            link.send(&packet);
        }
        let departure = link.shaper.next_departure();
        link.now = departure
            .map_or(next_sent, |at| at.min(next_sent))
            .max(link.now);
        while let Some(packet) = link.departed() {
            total += packet.len() as u64;
            assert_eq!(fold(sum(&packet[..20])), 0xffff);
            marked += usize::from(ecn_of(packet) == ECN_CE);
        }
    }
    (link.shaper.counts(), marked, total)
}

#[test]
fn who_can_be_marked_is_marked_and_who_cannot_is_dropped() {
    let (counts, marked, total) = overload(2);
    assert_eq!((counts.late, counts.marked), (0, marked as u64));
    assert!(marked > 20, "{marked} marks");
    let expected = 100 * MBPS * 2;
    assert!(
        (total as f64 / expected as f64 - 1.0).abs() < 0.01,
        "{total}"
    );
    let (counts, marked, total) = overload(0);
    assert_eq!((counts.marked, marked), (0, 0));
    assert!(counts.late > 20, "{counts:?}");
    assert!(
        (total as f64 / expected as f64 - 1.0).abs() < 0.01,
        "{total}"
    );
}

#[test]
fn up_to_1024_flows_have_queues_of_their_own() {
    let mut link = Bottleneck::new(100);
    link.fill(&packet(5000, 1390), 1);
    // A fat flow first, and then one packet of each other.
    for _ in 0..200 {
        link.send(&packet(0, 1000));
    }
    for flow in 1..1022 {
        link.send(&packet(flow, 1000));
    }
    let mut order = Vec::new();
    while let Some(at) = link.shaper.next_departure() {
        link.now = at;
        while let Some(packet) = link.departed() {
            order.push(flow_of(packet));
        }
    }
    let last = order.iter().rposition(|flow| *flow == 1021).unwrap();
    let fat = order[..last].iter().filter(|flow| **flow == 0).count();
    assert!(fat <= 2, "{fat} packets of the fat flow went before");
    assert_eq!(link.shaper.counts(), QueueCounts::default());
}

#[test]
fn more_flows_than_queues_lose_nothing() {
    let mut link = Bottleneck::new(100);
    link.fill(&packet(5000, 1390), 1);
    for round in 0..3 {
        let (first, mut left) = (round * 1000, 0);
        let late_before = link.shaper.counts().late;
        for flow in first..first + 1500 {
            left += u64::from(link.send(&packet(flow, 60)));
        }
        while let Some(at) = link.shaper.next_departure() {
            link.now = at;
            while link.departed().is_some() {
                left += 1;
            }
        }
        let late = link.shaper.counts().late - late_before;
        assert_eq!(left + late, 1500 + u64::from(round == 0));
    }
    assert_eq!(link.shaper.counts().full, 0);
}

#[test]
fn queues_that_stay_empty_are_given_up() {
    let mut link = Bottleneck::new(10);
    assert_eq!(link.shaper.rest(link.now), None, "none to begin with");
    link.fill(&packet(1, 1390), 10_000);
    assert!(link.shaper.rest(link.now).is_some());
    while let Some(at) = link.shaper.next_departure() {
        link.now = at;
        while link.departed().is_some() {}
    }
    let at = link.shaper.rest(link.now).unwrap();
    assert_eq!(at, link.now + REST);
    assert_eq!(link.shaper.rest(at), None);
    assert!(link.shaper.queues.is_none());
    assert!(size_of::<Shaper>() <= 256, "{}", size_of::<Shaper>());
}

proptest! {
    #[test]
    fn no_window_carries_more_than_the_bucket_and_the_rate(
        rate in 125_000u64..125_000_000,
        steps in proptest::collection::vec((0u64..2_000_000, 40usize..9000), 1..200),
    ) {
        let start = Instant::now();
        let mut shaper = Shaper::new(Some(rate), start);
        let (mut now, mut sent) = (start, 0i128);
        for (nanos, bytes) in steps {
            now += Duration::from_nanos(nanos);
            if shaper.admit(bytes, now) {
                sent += bytes as i128;
            }
            let elapsed = (now - start).as_nanos() as i128;
            let allowed = (i128::from(rate) * elapsed + Cap::new(rate).depth()) / NANOS + 9000;
            prop_assert!(sent <= allowed);
        }
    }

    #[test]
    fn every_byte_that_goes_in_is_accounted_for(
        steps in proptest::collection::vec((0u16..40, 40usize..1400, 0u64..300), 1..600),
    ) {
        let mut link = Bottleneck::new(10);
        let (mut offered, mut left, mut bytes) = (0u64, 0u64, 0i64);
        for (flow, length, micros) in steps {
            offered += 1;
            if link.send(&packet(flow, length)) { left += 1 } else { bytes += length as i64 }
            link.now += Duration::from_micros(micros);
            while let Some(packet) = link.departed() {
                bytes -= packet.len() as i64;
                left += 1;
            }
            if link.shaper.counts() == QueueCounts::default() {
                prop_assert_eq!(link.shaper.queued_bytes() as i64, bytes);
            }
        }
        while let Some(at) = link.shaper.next_departure() {
            link.now = at;
            while link.departed().is_some() { left += 1 }
        }
        prop_assert_eq!(link.shaper.queued_bytes(), 0);
        let counts = link.shaper.counts();
        prop_assert_eq!(left + counts.full + counts.late, offered);
    }
}
