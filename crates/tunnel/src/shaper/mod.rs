//! The cap of one peering in one direction: an exact rate, and behind it a queue per flow that is
//! kept short.
//!
//! Tokens are bytes of inner IP, counted after segmentation. A packet leaves when the bucket is not
//! in debt, and its whole length is taken then; so the rate is exact, whatever sizes wait. After a
//! pause the bucket holds 8 ms at the cap. While packets wait it may hold 50 ms, so that a thread
//! that wakes late on a busy host loses nothing. They leave in small groups, [`GROUP_TIME`] apart:
//! fewer wake-ups, fuller sends.
//!
//! Time is handed in. [`Shaper::admit`] is asked first; what it refuses goes to
//! [`Shaper::enqueue`]. Queues and fairness are in [`flows`], how long a queue may stand in
//! [`codel`].

pub mod codel;
#[cfg(test)]
mod crowd;
pub mod flows;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use crate::buffers::Buffers;
use crate::flow::FlowKey;
use crate::gso::Division;
use flows::{FlowQueues, Limits, PACKET_BYTES, QueueCounts};

const NANOS: i128 = 1_000_000_000;
const DEPTH: Duration = Duration::from_millis(8);
const DEPTH_MIN_BYTES: u64 = 2 * PACKET_BYTES;
// What packets that wait have saved up while nobody came to send them.
const LATE_DEPTH: Duration = Duration::from_millis(50);
/// The time between two departures of waiting packets, unless one packet lasts longer.
pub const GROUP_TIME: Duration = Duration::from_micros(200);
// What a flow may send in its turn; at low rates one packet.
const QUANTUM_TIME: Duration = Duration::from_micros(125);
// A queue of this length is the most that a flow which ignores all signals can build up.
const QUEUE_TIME: Duration = Duration::from_millis(100);
const QUEUE_MIN_BYTES: u64 = 1 << 20;
const QUEUE_MAX_BYTES: u64 = 32 << 20;
// Bounds the memory that small packets take beyond their bytes.
const BYTES_PER_BURST: u64 = 512;
// Queues that were empty for so long are given up.
const REST: Duration = Duration::from_secs(2);
// The queue delay that is shown moves by an eighth of the difference with each packet.
const DELAY_SHARE: u32 = 8;

/// An exact rate and the queues behind it.
#[derive(Debug)]
pub struct Shaper {
    cap: Option<Cap>,
    // In units of 10^-9 byte, so that no time step is rounded away. Negative: in debt.
    credit: i128,
    updated: Instant,
    departed: Instant,
    queues: Option<Box<FlowQueues>>,
    counts: QueueCounts,
    delay: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Cap {
    bytes_per_sec: u64,
    limits: Limits,
}

// Without a cap nothing waits, but what was queued before has to leave all the same.
const UNLIMITED: Limits = Limits {
    packet_time: Duration::ZERO,
    quantum: PACKET_BYTES as i64,
    bytes: QUEUE_MAX_BYTES,
    bursts: (QUEUE_MAX_BYTES / BYTES_PER_BURST) as usize,
};

impl Shaper {
    /// A shaper with a full bucket. `rate` is in bytes per second, `None` for no cap.
    pub fn new(rate: Option<u64>, now: Instant) -> Shaper {
        let cap = rate.map(Cap::new);
        Shaper {
            cap,
            credit: cap.map_or(0, |cap| cap.depth()),
            updated: now,
            departed: now,
            queues: None,
            counts: QueueCounts::default(),
            delay: Duration::ZERO,
        }
    }

    /// Changes the cap; what is queued stays queued, in order.
    pub fn set_rate(&mut self, rate: Option<u64>, now: Instant) {
        self.refill(now);
        let was_unlimited = self.cap.is_none();
        self.cap = rate.map(Cap::new);
        if let Some(cap) = &self.cap {
            self.credit = if was_unlimited {
                cap.depth()
            } else {
                self.credit.min(cap.depth())
            };
        }
    }

    /// Whether a packet of `bytes` bytes may leave at once; its tokens are taken then.
    pub fn admit(&mut self, bytes: usize, now: Instant) -> bool {
        if !self.is_empty() {
            return false;
        }
        self.refill(now);
        if self.cap.is_some() {
            if self.credit < 0 {
                return false;
            }
            self.credit -= cost(bytes);
        }
        true
    }

    /// Queues the whole packets of `packet` from number `first` on.
    #[allow(clippy::too_many_arguments, reason = "one packet and where it goes")]
    pub fn enqueue(
        &mut self,
        key: FlowKey,
        packet: &[u8],
        division: Division,
        first: usize,
        now: Instant,
        buffers: &mut Buffers,
    ) {
        let limits = self.limits();
        let queues = self
            .queues
            .get_or_insert_with(|| Box::new(FlowQueues::new(now)));
        queues.enqueue(
            key,
            packet,
            division,
            first,
            now,
            &limits,
            buffers,
            &mut self.counts,
        );
    }

    /// Writes the next packet whose tokens are there to the start of `out`, which holds 64 KiB, and
    /// returns its length.
    pub fn dequeue(
        &mut self,
        now: Instant,
        buffers: &mut Buffers,
        out: &mut [u8],
    ) -> Option<usize> {
        self.refill(now);
        if self.cap.is_some() && self.credit < 0 {
            return None;
        }
        let limits = self.limits();
        let queues = self.queues.as_mut()?;
        let departure = queues.dequeue(now, &limits, buffers, &mut self.counts, out)?;
        self.departed = now;
        self.delay = (self.delay * (DELAY_SHARE - 1) + departure.delay) / DELAY_SHARE;
        if self.cap.is_some() {
            self.credit -= cost(departure.length);
        }
        Some(departure.length)
    }

    /// When the next queued packet may leave; `None` when nothing waits.
    pub fn next_departure(&self) -> Option<Instant> {
        if self.is_empty() {
            return None;
        }
        let Some(cap) = &self.cap else {
            return Some(self.updated);
        };
        let debt = self.credit.min(0).unsigned_abs();
        let nanos = debt.div_ceil(u128::from(cap.bytes_per_sec));
        let out_of_debt = self.updated + Duration::from_nanos(nanos.try_into().unwrap_or(u64::MAX));
        Some(out_of_debt.max(self.departed + GROUP_TIME))
    }

    /// Gives the queues' memory back when they were empty for long enough. Returns when to ask
    /// again; `None` when there is nothing to give back.
    pub fn rest(&mut self, now: Instant) -> Option<Instant> {
        let queues = self.queues.as_ref()?;
        if !queues.is_empty() {
            return Some(now + REST);
        }
        let at = queues.emptied() + REST;
        if now < at {
            return Some(at);
        }
        self.queues = None;
        self.delay = Duration::ZERO;
        None
    }

    /// Whether it holds memory for queues.
    pub fn has_queues(&self) -> bool {
        self.queues.is_some()
    }

    /// Bytes that wait.
    pub fn queued_bytes(&self) -> u64 {
        self.queues.as_ref().map_or(0, |queues| queues.bytes())
    }

    /// How long packets waited of late, smoothed; zero when nothing had to wait.
    pub fn delay(&self) -> Duration {
        self.delay
    }

    /// What the queues did with packets.
    pub fn counts(&self) -> QueueCounts {
        self.counts
    }

    /// Drops what waits.
    pub fn clear(&mut self, now: Instant, buffers: &mut Buffers) {
        if let Some(queues) = &mut self.queues {
            queues.clear(now, buffers);
        }
    }

    fn is_empty(&self) -> bool {
        self.queues.as_ref().is_none_or(|queues| queues.is_empty())
    }

    fn limits(&self) -> Limits {
        self.cap.map_or(UNLIMITED, |cap| cap.limits)
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.updated);
        self.updated = self.updated.max(now);
        if let Some(cap) = &self.cap {
            let earned = i128::from(cap.bytes_per_sec).saturating_mul(elapsed.as_nanos() as i128);
            let depth = if self.is_empty() {
                cap.depth()
            } else {
                cap.depth().max(cap.credit_in(LATE_DEPTH))
            };
            self.credit = self.credit.saturating_add(earned).min(depth);
        }
    }
}

impl Cap {
    fn new(bytes_per_sec: u64) -> Cap {
        let bytes_in = |time: Duration| {
            let bytes = u128::from(bytes_per_sec) * time.as_nanos() / NANOS as u128;
            u64::try_from(bytes).unwrap_or(u64::MAX)
        };
        let packet_nanos = u128::from(PACKET_BYTES) * NANOS as u128 / u128::from(bytes_per_sec);
        let bytes = bytes_in(QUEUE_TIME).clamp(QUEUE_MIN_BYTES, QUEUE_MAX_BYTES);
        Cap {
            bytes_per_sec,
            limits: Limits {
                packet_time: Duration::from_nanos(packet_nanos as u64),
                quantum: bytes_in(QUANTUM_TIME).clamp(PACKET_BYTES, 64 << 10) as i64,
                bytes,
                bursts: (bytes / BYTES_PER_BURST) as usize,
            },
        }
    }

    // What the bucket holds, in its units.
    fn depth(&self) -> i128 {
        self.credit_in(DEPTH)
            .max(i128::from(DEPTH_MIN_BYTES) * NANOS)
    }

    fn credit_in(&self, time: Duration) -> i128 {
        i128::from(self.bytes_per_sec) * time.as_nanos() as i128
    }
}

fn cost(bytes: usize) -> i128 {
    bytes as i128 * NANOS
}
