//! Probes: small frames that the other engine answers itself, in a peering's VNI or, for the pair
//! of gateways, in VNI 0. Tenants never see them.
//!
//! A probe carries a number and the sender's own clock; the answer repeats both. Only an answer to
//! the probe that is outstanding counts. A fresh probe is repeated every 20 ms for a minute, then
//! and after the first answer once a second.

use std::time::{Duration, Instant};

/// Bytes of a probe after the Ethernet header.
pub const PROBE_LEN: usize = 16;

const MAGIC: [u8; 4] = *b"PWPB";
const VERSION: u8 = 1;
const FAST: Duration = Duration::from_millis(20);
const FAST_FOR: Duration = Duration::from_secs(60);
const SLOW: Duration = Duration::from_secs(1);
const LIVENESS: Duration = Duration::from_secs(5);
// Answers may come after later probes were sent: a path of 500 ms has 25 of them under way.
const REMEMBERED: usize = 64;
// Probes under way once they are slow.
const USUAL: usize = 4;

/// Question or answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeKind {
    /// To be answered.
    Request,
    /// An answer.
    Reply,
}

/// A probe's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// Question or answer.
    pub kind: ProbeKind,
    /// The sender's number for it.
    pub sequence: u64,
}

impl Probe {
    /// Reads a probe; `None` for anything else. Bytes after it are ignored.
    pub fn parse(payload: &[u8]) -> Option<Probe> {
        let fixed: &[u8; PROBE_LEN] = payload.first_chunk()?;
        if fixed[..4] != MAGIC || fixed[4] != VERSION {
            return None;
        }
        let kind = match fixed[5] {
            1 => ProbeKind::Request,
            2 => ProbeKind::Reply,
            _ => return None,
        };
        Some(Probe {
            kind,
            sequence: u64::from_be_bytes(fixed[8..16].try_into().ok()?),
        })
    }

    /// The probe's bytes.
    pub fn to_bytes(self) -> [u8; PROBE_LEN] {
        let mut bytes = [0; PROBE_LEN];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = VERSION;
        bytes[5] = match self.kind {
            ProbeKind::Request => 1,
            ProbeKind::Reply => 2,
        };
        bytes[8..].copy_from_slice(&self.sequence.to_be_bytes());
        bytes
    }
}

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The first one, or the first after the path was silent.
    Crossed,
    /// One of many.
    Alive,
    /// Not asked for.
    Unexpected,
}

/// The probing of one path.
#[derive(Debug)]
pub struct Prober {
    started: Instant,
    next: Instant,
    // Numbers and when they were sent, the oldest first. Most peerings are idle and have one at most:
    // room for all of the fast start would be half of what such a peering takes.
    outstanding: Vec<(u64, Instant)>,
    sequence: u64,
    crossed: bool,
    /// When the last answer came.
    pub answered: Option<Instant>,
    /// The round-trip time of the last answer.
    pub rtt: Option<Duration>,
    /// How much round-trip times differ from one to the next, smoothed. Source: RFC 3550, section
    /// 6.4.1, there for one-way times.
    pub jitter: Duration,
    /// Probes sent.
    pub sent: u64,
    /// Probes that had no answer after a second.
    pub lost: u64,
}

impl Prober {
    /// Starts probing at once. `first` is where the numbers start: unpredictable, so that an answer
    /// to another life's probe does not count.
    pub fn new(now: Instant, first: u64) -> Prober {
        Prober {
            started: now,
            next: now,
            outstanding: Vec::new(),
            sequence: first,
            crossed: false,
            answered: None,
            rtt: None,
            jitter: Duration::ZERO,
            sent: 0,
            lost: 0,
        }
    }

    /// When [`Prober::poll`] has something to do.
    pub fn deadline(&self) -> Instant {
        self.next
    }

    /// The probe that is due. `ready` says whether it could leave; one that could not is not
    /// counted and tried again soon.
    pub fn poll(&mut self, now: Instant, ready: bool) -> Option<Probe> {
        if now < self.next {
            return None;
        }
        if self.crossed
            && self
                .answered
                .is_none_or(|at| now.saturating_duration_since(at) > LIVENESS)
        {
            self.crossed = false;
        }
        let silent_start =
            self.answered.is_none() && now.saturating_duration_since(self.started) < FAST_FOR;
        self.next = now + if silent_start { FAST } else { SLOW };
        self.expire(now);
        if !silent_start {
            self.outstanding.shrink_to(USUAL);
        }
        if !ready {
            return None;
        }
        self.sequence = self.sequence.wrapping_add(1);
        self.sent += 1;
        if self.outstanding.len() == REMEMBERED {
            self.outstanding.remove(0);
            self.lost += 1;
        }
        self.outstanding.push((self.sequence, now));
        Some(Probe {
            kind: ProbeKind::Request,
            sequence: self.sequence,
        })
    }

    /// Asks for a probe as soon as possible, when a session has just come up.
    pub fn hasten(&mut self, now: Instant) {
        self.next = now;
    }

    /// Takes an answer.
    pub fn answer(&mut self, sequence: u64, now: Instant) -> Answer {
        let mut outstanding = self.outstanding.iter();
        let Some(position) = outstanding.position(|(number, _)| *number == sequence) else {
            return Answer::Unexpected;
        };
        let (_, sent) = self.outstanding.remove(position);
        let rtt = now.saturating_duration_since(sent);
        if let Some(before) = self.rtt.replace(rtt) {
            self.jitter = (self.jitter * 15 + rtt.abs_diff(before)) / 16;
        }
        self.mark(now)
    }

    /// Notes that the path works without a probe: both ends are in this engine.
    pub fn mark(&mut self, now: Instant) -> Answer {
        self.answered = Some(now);
        self.next = self.next.max(now + SLOW);
        if std::mem::replace(&mut self.crossed, true) {
            Answer::Alive
        } else {
            Answer::Crossed
        }
    }

    fn expire(&mut self, now: Instant) {
        let before = self.outstanding.len();
        self.outstanding
            .retain(|(_, at)| now.saturating_duration_since(*at) < SLOW);
        self.lost += (before - self.outstanding.len()) as u64;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn probes_are_fast_until_answered_then_once_a_second() {
        let start = Instant::now();
        let mut prober = Prober::new(start, 7);
        let first = prober.poll(start, true).unwrap();
        assert_eq!(prober.poll(start, true), None);
        assert_eq!(prober.deadline(), start + FAST);
        let second = prober.poll(start + FAST, true).unwrap();
        let now = start + Duration::from_millis(25);
        assert_eq!(prober.answer(second.sequence, now), Answer::Crossed);
        assert_eq!(prober.rtt, Some(Duration::from_millis(5)));
        assert_eq!(prober.answer(second.sequence, now), Answer::Unexpected);
        assert_eq!(prober.answer(first.sequence, now), Answer::Alive);
        assert!(prober.deadline() >= now + SLOW);
    }

    #[test]
    fn silence_is_loss_and_the_next_answer_crosses_again() {
        let start = Instant::now();
        let mut prober = Prober::new(start, 0);
        let probe = prober.poll(start, true).unwrap();
        assert_eq!(prober.answer(probe.sequence, start), Answer::Crossed);
        let mut now = start;
        let mut last = probe;
        for _ in 0..10 {
            now = prober.deadline();
            last = prober.poll(now, true).unwrap();
        }
        assert_eq!(prober.lost, 9);
        assert_eq!(prober.answer(last.sequence, now), Answer::Crossed);
    }

    #[test]
    fn jitter_is_what_round_trip_times_differ_by() {
        let start = Instant::now();
        let mut prober = Prober::new(start, 0);
        let answer_after = |prober: &mut Prober, millis: u64| {
            let sent = prober.deadline();
            let probe = prober.poll(sent, true).unwrap();
            prober.answer(probe.sequence, sent + Duration::from_millis(millis));
        };
        for _ in 0..20 {
            answer_after(&mut prober, 10);
        }
        assert_eq!(prober.jitter, Duration::ZERO);
        for round in 0..200 {
            answer_after(&mut prober, 10 + 4 * (round % 2));
        }
        let jitter = prober.jitter.as_micros();
        assert!((3900..=4000).contains(&jitter), "{jitter} us");
    }

    proptest! {
        #[test]
        fn bytes_round_trip_and_nothing_panics(sequence in any::<u64>(), bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            for kind in [ProbeKind::Request, ProbeKind::Reply] {
                let probe = Probe { kind, sequence };
                prop_assert_eq!(Probe::parse(&probe.to_bytes()), Some(probe));
            }
            let _ = Probe::parse(&bytes);
        }
    }
}
