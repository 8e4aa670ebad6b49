//! CoDel: when a queue has stood for too long, and how often its sender is to be told. Source: RFC
//! 8289, sections 4 and 5.
//!
//! Pure: sojourn times and `now` come in, a verdict per packet comes out. Whether the packet is
//! then marked or dropped is not decided here.

use std::time::{Duration, Instant};

// A sender that was told within the last 16 intervals has not forgotten; nor does the control law.
const MEMORY_INTERVALS: u32 = 16;

/// What counts as standing too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tolerance {
    /// The sojourn time that a standing queue may have.
    pub target: Duration,
    /// For how long it may be exceeded: a round-trip time in which senders can react.
    pub interval: Duration,
}

/// The state of one queue.
#[derive(Debug, Clone, Copy, Default)]
pub struct Codel {
    // When the target will have been exceeded for a whole interval.
    due: Option<Instant>,
    // While the sender is being told: when the next time is.
    next: Option<Instant>,
    last: Option<Instant>,
    count: u32,
    count_before: u32,
}

impl Codel {
    /// Whether a packet that leaves now, after `sojourn` in the queue, is to tell its sender of
    /// congestion. `remaining` is what waits behind it, `packet` the largest packet, in bytes: a
    /// queue of one packet never stands.
    pub fn judge(
        &mut self,
        sojourn: Duration,
        remaining: u64,
        packet: u64,
        now: Instant,
        tolerance: Tolerance,
    ) -> bool {
        if !self.has_stood(sojourn, remaining, packet, now, tolerance) {
            self.next = None;
            return false;
        }
        match self.next {
            Some(next) if now < next => false,
            Some(next) => {
                self.count += 1;
                self.signalled(next, tolerance);
                true
            }
            None => {
                let is_recent = self
                    .last
                    .is_some_and(|last| now < last + tolerance.interval * MEMORY_INTERVALS);
                let gained = self.count.saturating_sub(self.count_before);
                self.count = if is_recent && gained > 1 { gained } else { 1 };
                self.count_before = self.count;
                self.signalled(now, tolerance);
                true
            }
        }
    }

    /// The queue has run empty.
    pub fn ran_empty(&mut self) {
        self.due = None;
        self.next = None;
    }

    fn has_stood(
        &mut self,
        sojourn: Duration,
        remaining: u64,
        packet: u64,
        now: Instant,
        tolerance: Tolerance,
    ) -> bool {
        if sojourn < tolerance.target || remaining <= packet {
            self.due = None;
            return false;
        }
        match self.due {
            Some(due) => now >= due,
            None => {
                self.due = Some(now + tolerance.interval);
                false
            }
        }
    }

    // The control law: the interval shrinks with the square root of the count.
    fn signalled(&mut self, from: Instant, tolerance: Tolerance) {
        let next = from + tolerance.interval.div_f64(f64::from(self.count).sqrt());
        self.next = Some(next);
        self.last = Some(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLERANCE: Tolerance = Tolerance {
        target: Duration::from_millis(5),
        interval: Duration::from_millis(100),
    };
    const MILLI: Duration = Duration::from_millis(1);

    // Judges a packet each millisecond; returns the milliseconds at which senders were told.
    fn told(codel: &mut Codel, start: Instant, sojourn_millis: impl Fn(u64) -> u64) -> Vec<u64> {
        (0..1000)
            .filter(|milli| {
                let sojourn = Duration::from_millis(sojourn_millis(*milli));
                let now = start + MILLI * *milli as u32;
                codel.judge(sojourn, 100_000, 1500, now, TOLERANCE)
            })
            .collect()
    }

    #[test]
    fn a_standing_queue_is_told_of_ever_more_often() {
        let told = told(&mut Codel::default(), Instant::now(), |_| 20);
        // 100 ms to the first, then 100/sqrt(1), 100/sqrt(2), ...
        assert_eq!(told[..6], [100, 200, 271, 329, 379, 424]);
    }

    #[test]
    fn a_burst_that_drains_within_the_interval_is_no_standing_queue() {
        let told = told(&mut Codel::default(), Instant::now(), |milli| {
            if milli % 100 < 90 { 50 } else { 1 }
        });
        assert!(told.is_empty(), "{told:?}");
    }

    #[test]
    fn what_was_learnt_is_kept_for_a_while() {
        let (mut codel, start) = (Codel::default(), Instant::now());
        let first = told(&mut codel, start, |_| 20).len();
        let calm = start + Duration::from_millis(1001);
        assert!(!codel.judge(MILLI, 100_000, 1500, calm, TOLERANCE));
        let again = told(&mut codel, calm + MILLI, |_| 20);
        assert!(again.len() > first, "{} then {}", first, again.len());
        let late = calm + Duration::from_secs(10);
        codel.judge(MILLI, 100_000, 1500, late, TOLERANCE);
        assert_eq!(told(&mut codel, late + MILLI, |_| 20).len(), first);
    }

    #[test]
    fn the_last_packet_is_never_blamed() {
        let (mut codel, start) = (Codel::default(), Instant::now());
        for milli in 0..1000 {
            let now = start + MILLI * milli;
            assert!(!codel.judge(MILLI * 50, 1500, 1500, now, TOLERANCE));
        }
    }
}
