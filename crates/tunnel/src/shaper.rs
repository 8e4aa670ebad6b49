//! The cap of one peering in one direction: an exact token bucket with a bounded queue.
//!
//! Tokens are bytes of inner IP, counted after segmentation. The bucket holds 8 ms at the cap, and
//! at least two packets of the size that waits, so that a thread that wakes late loses nothing.
//! Time is handed in.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const NANOS: u128 = 1_000_000_000;
const DEPTH: Duration = Duration::from_millis(8);
const DEPTH_MIN_BYTES: u64 = 2 * 1500;
const QUEUE_PACKETS: usize = 32;
const QUEUE_TIME: Duration = Duration::from_millis(50);

/// What becomes of a packet that is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Send it at once; its tokens are taken.
    Pass,
    /// Hand it to [`Shaper::enqueue`].
    Queue,
    /// The queue is full.
    Full,
}

/// An exact rate and a bounded queue of `T`s.
#[derive(Debug)]
pub struct Shaper<T> {
    // None: no cap.
    rate: Option<u64>,
    // In units of 10^-9 byte, so that no time step is rounded away.
    credit: u128,
    updated: Instant,
    queue: VecDeque<(usize, T)>,
    queued_bytes: u64,
}

impl<T> Shaper<T> {
    /// A shaper with a full bucket. `rate` is in bytes per second, `None` for no cap.
    pub fn new(rate: Option<u64>, now: Instant) -> Shaper<T> {
        let mut shaper = Shaper {
            rate,
            credit: 0,
            updated: now,
            queue: VecDeque::new(),
            queued_bytes: 0,
        };
        shaper.credit = rate.map_or(0, depth);
        shaper
    }

    /// Changes the cap; what is queued stays queued, in order.
    pub fn set_rate(&mut self, rate: Option<u64>, now: Instant) {
        self.refill(now);
        let was_unlimited = self.rate.is_none();
        self.rate = rate;
        if let Some(rate) = rate {
            self.credit = if was_unlimited {
                depth(rate)
            } else {
                self.credit.min(depth(rate))
            };
        }
    }

    /// Decides on a packet of `bytes` bytes.
    pub fn offer(&mut self, bytes: usize, now: Instant) -> Admission {
        let Some(rate) = self.rate else {
            return if self.queue.is_empty() {
                Admission::Pass
            } else {
                Admission::Queue
            };
        };
        self.refill(now);
        if self.queue.is_empty() && self.take(bytes) {
            return Admission::Pass;
        }
        let limit = u128::from(rate) * QUEUE_TIME.as_nanos() / NANOS;
        let after = u128::from(self.queued_bytes) + bytes as u128;
        if self.queue.len() >= QUEUE_PACKETS && after > limit {
            return Admission::Full;
        }
        Admission::Queue
    }

    /// Puts a packet of `bytes` bytes at the end of the queue.
    pub fn enqueue(&mut self, bytes: usize, packet: T) {
        self.queued_bytes += bytes as u64;
        self.queue.push_back((bytes, packet));
    }

    /// The next packet whose tokens are there.
    pub fn dequeue(&mut self, now: Instant) -> Option<T> {
        self.refill(now);
        let bytes = self.queue.front()?.0;
        if self.rate.is_some() && !self.take(bytes) {
            return None;
        }
        self.queued_bytes -= bytes as u64;
        self.queue.pop_front().map(|(_, packet)| packet)
    }

    /// When the first queued packet may leave; `None` when the queue is empty. Never later than
    /// the exact time by more than a nanosecond.
    pub fn next_departure(&self) -> Option<Instant> {
        let bytes = self.queue.front()?.0;
        let Some(rate) = self.rate else {
            return Some(self.updated);
        };
        let missing = cost(bytes).saturating_sub(self.credit);
        if missing == 0 {
            return Some(self.updated);
        }
        let nanos = missing.div_ceil(u128::from(rate));
        Some(self.updated + Duration::from_nanos(nanos.try_into().unwrap_or(u64::MAX)))
    }

    /// Bytes that wait.
    pub fn queued_bytes(&self) -> u64 {
        self.queued_bytes
    }

    /// Empties the queue, oldest first.
    pub fn drain(&mut self) -> impl Iterator<Item = T> + '_ {
        self.queued_bytes = 0;
        self.queue.drain(..).map(|(_, packet)| packet)
    }

    fn take(&mut self, bytes: usize) -> bool {
        match self.credit.checked_sub(cost(bytes)) {
            Some(rest) => {
                self.credit = rest;
                true
            }
            None => false,
        }
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.updated);
        self.updated = self.updated.max(now);
        if let Some(rate) = self.rate {
            let waiting = self.queue.front().map_or(0, |(bytes, _)| 2 * cost(*bytes));
            let earned = u128::from(rate).saturating_mul(elapsed.as_nanos());
            self.credit = self
                .credit
                .saturating_add(earned)
                .min(depth(rate).max(waiting));
        }
    }
}

fn cost(bytes: usize) -> u128 {
    bytes as u128 * NANOS
}

fn depth(rate: u64) -> u128 {
    (u128::from(rate) * DEPTH.as_nanos()).max(u128::from(DEPTH_MIN_BYTES) * NANOS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // Offers more than the cap for `seconds`, waking `late` after each departure time, and returns
    // the bytes that left.
    fn saturate(mbps: u64, seconds: u64, packet: usize, late: Duration) -> u64 {
        let start = Instant::now();
        let mut shaper = Shaper::new(Some(mbps * 125_000), start);
        let (mut now, end, mut sent) = (start, start + Duration::from_secs(seconds), 0);
        while now < end {
            loop {
                match shaper.offer(packet, now) {
                    Admission::Pass => sent += packet as u64,
                    Admission::Queue => shaper.enqueue(packet, ()),
                    Admission::Full => break,
                }
            }
            now = shaper.next_departure().unwrap() + late;
            while shaper.dequeue(now).is_some() {
                sent += packet as u64;
            }
        }
        sent
    }

    #[test]
    fn the_rate_is_exact_from_one_megabit_to_one_gigabit() {
        for mbps in [1, 10, 20, 100, 333, 1000] {
            for packet in [60, 1390, 8870] {
                let seconds = if mbps < 10 { 60 } else { 10 };
                for late in [Duration::ZERO, Duration::from_micros(300)] {
                    let sent = saturate(mbps, seconds, packet, late) as f64;
                    let expected = (mbps * 125_000 * seconds) as f64;
                    let error = (sent / expected - 1.0).abs();
                    assert!(error <= 0.005, "{mbps} Mbps, {packet} B, {late:?}: {error}");
                }
            }
        }
    }

    #[test]
    fn a_new_rate_keeps_the_queue_in_order() {
        let start = Instant::now();
        let mut shaper = Shaper::new(Some(125_000), start);
        let mut expected = Vec::new();
        for number in 0..20 {
            match shaper.offer(1000, start) {
                Admission::Pass => {}
                Admission::Queue => {
                    shaper.enqueue(1000, number);
                    expected.push(number);
                }
                Admission::Full => panic!("the queue holds 32 packets"),
            }
        }
        shaper.set_rate(Some(125_000_000), start);
        let mut left = Vec::new();
        let mut now = start;
        while let Some(next) = shaper.next_departure() {
            now = next;
            left.extend(shaper.dequeue(now));
        }
        assert_eq!(left, expected);
        assert!(now - start < Duration::from_millis(2));
        shaper.enqueue(1000, 99);
        shaper.set_rate(None, now);
        assert_eq!(shaper.dequeue(now), Some(99));
        assert_eq!(shaper.queued_bytes(), 0);
    }

    #[test]
    fn the_queue_is_bounded_by_packets_and_by_time() {
        let start = Instant::now();
        let fill = |mbps: u64| {
            let mut shaper = Shaper::new(Some(mbps * 125_000), start);
            (0..)
                .take_while(|_| match shaper.offer(1000, start) {
                    Admission::Pass => true,
                    Admission::Queue => {
                        shaper.enqueue(1000, ());
                        true
                    }
                    Admission::Full => false,
                })
                .count();
            shaper.queued_bytes()
        };
        assert_eq!(fill(1), 32_000);
        assert_eq!(fill(100), 625_000);
    }

    proptest! {
        #[test]
        fn no_window_carries_more_than_the_bucket_and_the_rate(
            rate in 125_000u64..125_000_000,
            steps in proptest::collection::vec((0u64..2_000_000, 40usize..9000), 1..200),
        ) {
            let start = Instant::now();
            let mut shaper: Shaper<()> = Shaper::new(Some(rate), start);
            let (mut now, mut sent) = (start, 0u128);
            for (nanos, bytes) in steps {
                now += Duration::from_nanos(nanos);
                if shaper.offer(bytes, now) == Admission::Pass {
                    sent += bytes as u128;
                }
                let allowed = u128::from(rate) * (now - start).as_nanos() / NANOS
                    + depth(rate) / NANOS + 9000;
                prop_assert!(sent <= allowed);
            }
        }
    }
}
