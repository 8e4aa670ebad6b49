//! Senders that react to loss and marks, in virtual time: what a request/response flow feels among
//! many bulk flows, and what the cap is worth to them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::tests::{Bottleneck, MBPS, MILLI, packet};
use super::*;
use crate::packet::{ECN_CE, ecn_of, set_ecn};

const ONE_WAY: Duration = MILLI;
const LOSS_TIMEOUT: Duration = Duration::from_millis(200);
const REQUEST_BYTES: usize = 116;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Start(usize),
    // Of a flow: packets arrived up to here, how many of them were lost or marked.
    Acknowledged {
        flow: usize,
        number: u32,
        is_marked: bool,
    },
    Timeout {
        flow: usize,
        progress: u32,
    },
    Request,
}

// A bulk sender: slow start, then one more packet each round trip; half when told.
#[derive(Default)]
struct Sender {
    window: f64,
    threshold: f64,
    in_flight: u32,
    next_number: u32,
    acknowledged: u32,
    // Packets below this number were sent before the window was halved.
    recovering_until: u32,
}

struct Crowd {
    link: Bottleneck,
    senders: Vec<Sender>,
    packets: Vec<Vec<u8>>,
    events: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    counted: u64,
    requested: Option<Instant>,
    latencies: Vec<Duration>,
    bulk_bytes: u64,
}

impl Crowd {
    fn new(mbps: u64, flows: usize, ecn: u8) -> Crowd {
        let mut packets: Vec<_> = (0..flows).map(|flow| packet(flow as u16, 1390)).collect();
        packets.push(packet(flows as u16, REQUEST_BYTES));
        for packet in &mut packets {
            set_ecn(packet, ecn);
        }
        let mut crowd = Crowd {
            link: Bottleneck::new(mbps),
            senders: (0..flows).map(|_| Sender::new()).collect(),
            packets,
            events: BinaryHeap::new(),
            counted: 0,
            requested: None,
            latencies: Vec::new(),
            bulk_bytes: 0,
        };
        for flow in 0..flows {
            crowd.after(MILLI * (flow as u32 % 37), Event::Start(flow));
        }
        crowd.after(Duration::from_secs(2), Event::Request);
        crowd
    }

    fn after(&mut self, delay: Duration, event: Event) {
        self.counted += 1;
        self.events
            .push(Reverse((self.link.now + delay, self.counted, event)));
    }

    fn run(&mut self, duration: Duration) {
        let end = self.link.now + duration;
        while self.link.now < end {
            let Some(Reverse((next, _, _))) = self.events.peek() else {
                return;
            };
            let departure = self.link.shaper.next_departure();
            self.link.now = departure
                .map_or(*next, |at| at.min(*next))
                .max(self.link.now);
            while let Some(Reverse((at, _, _))) = self.events.peek()
                && *at <= self.link.now
            {
                let Some(Reverse((_, _, event))) = self.events.pop() else {
                    return;
                };
                self.happen(event);
            }
            self.depart();
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Start(flow) => self.send_window(flow),
            Event::Acknowledged {
                flow,
                number,
                is_marked,
            } => {
                self.senders[flow].acknowledge(number, is_marked);
                self.send_window(flow);
                self.watch(flow);
            }
            Event::Timeout { flow, progress } => {
                let sender = &mut self.senders[flow];
                if sender.acknowledged == progress && sender.in_flight > 0 {
                    sender.time_out();
                    self.send_window(flow);
                    self.watch(flow);
                }
            }
            Event::Request => {
                self.requested = Some(self.link.now);
                self.submit(self.senders.len(), 0);
            }
        }
    }

    fn watch(&mut self, flow: usize) {
        let progress = self.senders[flow].acknowledged;
        self.after(LOSS_TIMEOUT, Event::Timeout { flow, progress });
    }

    fn send_window(&mut self, flow: usize) {
        while f64::from(self.senders[flow].in_flight) < self.senders[flow].window.floor() {
            let sender = &mut self.senders[flow];
            let number = sender.next_number;
            sender.next_number += 1;
            sender.in_flight += 1;
            self.submit(flow, number);
            if number == 0 {
                self.watch(flow);
            }
        }
    }

    fn submit(&mut self, flow: usize, number: u32) {
        let mut packet = std::mem::take(&mut self.packets[flow]);
        packet[28..32].copy_from_slice(&number.to_be_bytes());
        if self.link.send(&packet) {
            self.arrived(&packet);
        }
        self.packets[flow] = packet;
    }

    fn depart(&mut self) {
        while let Some(packet) = self.link.departed() {
            let head: [u8; 32] = *packet.first_chunk().expect("a whole packet");
            self.arrived(&head);
        }
    }

    fn arrived(&mut self, packet: &[u8]) {
        let flow = usize::from(u16::from_be_bytes([packet[22], packet[23]]));
        if flow == self.senders.len() {
            let asked = self.requested.take().expect("one request at a time");
            self.latencies.push(self.link.now - asked);
            // The answer comes back and the next request follows at once.
            self.after(2 * ONE_WAY, Event::Request);
            return;
        }
        self.bulk_bytes += 1390;
        let number = u32::from_be_bytes([packet[28], packet[29], packet[30], packet[31]]);
        let is_marked = ecn_of(packet) == ECN_CE;
        self.after(
            2 * ONE_WAY,
            Event::Acknowledged {
                flow,
                number,
                is_marked,
            },
        );
    }

    // The latency that the queue added to requests, at a part of them.
    fn latency(&self, part: f64) -> Duration {
        let mut sorted = self.latencies.clone();
        sorted.sort();
        sorted[((sorted.len() - 1) as f64 * part) as usize]
    }
}

impl Sender {
    fn new() -> Sender {
        Sender {
            window: 10.0,
            threshold: f64::MAX,
            ..Sender::default()
        }
    }

    fn acknowledge(&mut self, number: u32, is_marked: bool) {
        // Nothing overtakes: what was skipped is lost.
        let lost = number.saturating_sub(self.acknowledged);
        self.acknowledged = number + 1;
        self.in_flight = self.in_flight.saturating_sub(lost + 1);
        if (lost > 0 || is_marked) && number >= self.recovering_until {
            self.recovering_until = self.next_number;
            self.window = (self.window / 2.0).max(2.0);
            self.threshold = self.window;
        } else if self.window < self.threshold {
            self.window += 1.0;
        } else {
            self.window += 1.0 / self.window;
        }
    }

    fn time_out(&mut self) {
        self.acknowledged = self.next_number;
        self.in_flight = 0;
        self.recovering_until = self.next_number;
        self.threshold = (self.window / 2.0).max(2.0);
        self.window = 1.0;
    }
}

#[test]
fn a_request_among_128_bulk_flows_hardly_waits() {
    for ecn in [0, 2] {
        let mut crowd = Crowd::new(100, 128, ecn);
        crowd.run(Duration::from_secs(6));
        let (median, late) = (crowd.latency(0.5), crowd.latency(0.99));
        assert!(crowd.latencies.len() > 500, "{}", crowd.latencies.len());
        assert!(median < MILLI, "{median:?} at the median, ECN {ecn}");
        assert!(late < 4 * MILLI, "{late:?} at p99, ECN {ecn}");
    }
}

#[test]
fn reacting_senders_fill_the_cap() {
    for (mbps, flows) in [
        (10, 1),
        (10, 16),
        (10, 128),
        (100, 1),
        (100, 128),
        (1000, 16),
    ] {
        for ecn in [0, 2] {
            let mut crowd = Crowd::new(mbps, flows, ecn);
            crowd.run(Duration::from_secs(2));
            let (before, from) = (crowd.bulk_bytes, crowd.link.now);
            crowd.run(Duration::from_secs(3));
            let rate = (crowd.bulk_bytes - before) as f64 / (crowd.link.now - from).as_secs_f64();
            let requests = crowd.latencies.len() as f64 / 3.0 * REQUEST_BYTES as f64;
            let error = (rate + requests) / (mbps * MBPS) as f64 - 1.0;
            assert!(
                error.abs() < 0.01,
                "{mbps} Mbps, {flows} flows, ECN {ecn}: {error:+.4}"
            );
        }
    }
}

#[test]
fn one_senders_queue_stays_near_the_target() {
    let mut crowd = Crowd::new(100, 1, 2);
    crowd.run(Duration::from_secs(3));
    let delay = crowd.link.shaper.delay();
    assert!(delay < 12 * MILLI, "{delay:?}");
}
