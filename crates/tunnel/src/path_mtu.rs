//! The largest packet that reaches another gateway: probes of full size in the data path, because
//! the ICMP messages that should tell are lost on many paths. Source: RFC 8899.
//!
//! The route's MTU, as the kernel knows it, is the upper bound and is believed at first. A probe of
//! the size in force goes out now and then; when three in a row stay without an answer while small
//! probes are answered, the size falls to the least one and is searched for upwards, by halves.
//! What is too large is tried again after ten minutes. A peer that answers no probes at all, as a
//! plain Linux end, is believed to carry what the route says.

use std::time::{Duration, Instant};

/// The least size that is assumed to pass.
pub const LEAST: u16 = 1280;

// RFC 8899, section 5.1.1: PROBE_TIMER is at least 1 s, CONFIRMATION_TIMER, PMTU_RAISE_TIMER;
// section 5.1.2: MAX_PROBES.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
const CONFIRM_EVERY: Duration = Duration::from_secs(10);
const RAISE_AFTER: Duration = Duration::from_secs(600);
const MAX_LOSSES: u8 = 3;
// The search ends this close to what does not pass.
const CLOSE: u16 = 4;

/// The state of one path.
#[derive(Debug)]
pub struct PathMtu {
    // Of the route; None before the I/O has found out.
    link: Option<u16>,
    in_force: Option<u16>,
    // The least size that is known not to pass.
    refuted: Option<u16>,
    raise_at: Instant,
    next: Instant,
    outstanding: Option<Outstanding>,
    losses: u8,
    sequence: u64,
}

#[derive(Debug, Clone, Copy)]
struct Outstanding {
    sequence: u64,
    size: u16,
    sent: Instant,
}

/// A probe to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizedProbe {
    /// Its number.
    pub sequence: u64,
    /// The size of its underlay packet, IP header included.
    pub size: u16,
}

impl PathMtu {
    /// A path that nothing is known about. `first` is where the numbers start, unpredictable.
    pub fn new(now: Instant, first: u64) -> PathMtu {
        PathMtu {
            link: None,
            in_force: None,
            refuted: None,
            raise_at: now,
            next: now,
            outstanding: None,
            losses: 0,
            sequence: first,
        }
    }

    /// The size in force; `None` when nothing is known yet.
    pub fn in_force(&self) -> Option<u16> {
        self.in_force
    }

    /// Takes the MTU of the route. A smaller one is in force at once; a larger one when a probe of
    /// its size was answered, or at once when `answered` says that the peer never answered any.
    pub fn set_link(&mut self, link: u16, answered: Option<Instant>, now: Instant) {
        if self.link == Some(link) {
            return;
        }
        self.link = Some(link);
        self.refuted = None;
        self.losses = 0;
        self.next = now;
        self.outstanding = None;
        match self.in_force {
            Some(in_force) if in_force < link && answered.is_some() => {}
            Some(_) | None => self.in_force = Some(link),
        }
    }

    /// Forgets everything: the path is another one.
    pub fn forget(&mut self, now: Instant) {
        *self = PathMtu::new(now, self.sequence);
    }

    /// When [`PathMtu::poll`] has something to do.
    pub fn deadline(&self) -> Instant {
        self.outstanding
            .map_or(self.next, |probe| probe.sent + ANSWER_LIMIT)
    }

    /// The probe that is due. `answered` is when the last small probe was answered.
    pub fn poll(&mut self, now: Instant, answered: Option<Instant>) -> Option<SizedProbe> {
        if now < self.deadline() {
            return None;
        }
        let (Some(link), Some(in_force), Some(answered)) = (self.link, self.in_force, answered)
        else {
            self.next = now + ANSWER_LIMIT;
            return None;
        };
        if let Some(probe) = self.outstanding.take() {
            // Silence of a path that is down says nothing about sizes.
            if answered > probe.sent {
                self.lost(probe.size, link, now);
            }
        }
        if self.refuted.is_some() && now >= self.raise_at {
            self.refuted = None;
        }
        let in_force = self.in_force.unwrap_or(in_force);
        let size = self.candidate(in_force, link).unwrap_or(in_force);
        self.sequence = self.sequence.wrapping_add(1);
        let sequence = self.sequence;
        self.outstanding = Some(Outstanding {
            sequence,
            size,
            sent: now,
        });
        Some(SizedProbe { sequence, size })
    }

    /// Takes an answer; whether it was one to a probe of this kind.
    pub fn answer(&mut self, sequence: u64, now: Instant) -> bool {
        let Some(probe) = self.outstanding.take_if(|probe| probe.sequence == sequence) else {
            return false;
        };
        self.losses = 0;
        let in_force = self
            .in_force
            .map_or(probe.size, |size| size.max(probe.size));
        self.in_force = Some(in_force);
        let is_searching = self
            .link
            .is_some_and(|link| self.candidate(in_force, link).is_some());
        self.next = now
            + if is_searching {
                Duration::ZERO
            } else {
                CONFIRM_EVERY
            };
        true
    }

    fn lost(&mut self, size: u16, link: u16, now: Instant) {
        self.losses += 1;
        if self.losses < MAX_LOSSES {
            return;
        }
        self.losses = 0;
        self.refuted = Some(size);
        self.raise_at = now + RAISE_AFTER;
        if self.in_force.is_some_and(|in_force| in_force >= size) {
            self.in_force = Some(LEAST.min(link));
        }
    }

    // The next size to try above the one in force.
    fn candidate(&self, in_force: u16, link: u16) -> Option<u16> {
        match self.refuted {
            None => (in_force < link).then_some(link),
            Some(refuted) if refuted > in_force + CLOSE => {
                Some(in_force + (refuted - in_force) / 2)
            }
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Path {
        mtu: u16,
        probing: PathMtu,
        now: Instant,
        sent: Vec<u16>,
    }

    impl Path {
        fn new(link: u16, mtu: u16) -> Path {
            let now = Instant::now();
            let mut probing = PathMtu::new(now, 5);
            probing.set_link(link, None, now);
            Path {
                mtu,
                probing,
                now,
                sent: Vec::new(),
            }
        }

        // Small probes are answered all the time.
        fn run(&mut self, duration: Duration) {
            let end = self.now + duration;
            while self.probing.deadline() <= end {
                self.now = self.now.max(self.probing.deadline());
                if let Some(probe) = self.probing.poll(self.now, Some(self.now)) {
                    self.sent.push(probe.size);
                    if probe.size <= self.mtu {
                        self.now += Duration::from_millis(20);
                        assert!(self.probing.answer(probe.sequence, self.now));
                    }
                }
            }
            self.now = end;
        }
    }

    #[test]
    fn what_the_route_says_is_believed_and_confirmed() {
        let mut path = Path::new(1500, 1500);
        assert_eq!(path.probing.in_force(), Some(1500));
        path.run(Duration::from_secs(65));
        assert_eq!(path.sent, [1500; 7]);
        assert_eq!(path.probing.in_force(), Some(1500));
    }

    #[test]
    fn a_path_that_swallows_large_packets_is_found_out() {
        for mtu in [1280, 1300, 1384, 1400, 1450, 1492, 1499] {
            let mut path = Path::new(1500, mtu);
            path.run(Duration::from_secs(4));
            assert!(path.probing.in_force().unwrap() <= mtu, "falls within 4 s");
            path.run(Duration::from_secs(30));
            let found = path.probing.in_force().unwrap();
            assert!((mtu - CLOSE..=mtu).contains(&found), "{found} of {mtu}");
        }
    }

    #[test]
    fn a_path_that_widens_is_found_after_ten_minutes() {
        let mut path = Path::new(9000, 1500);
        path.run(Duration::from_secs(60));
        assert!((1496..=1500).contains(&path.probing.in_force().unwrap()));
        path.mtu = 9000;
        path.run(Duration::from_secs(500));
        assert!(path.probing.in_force().unwrap() <= 1500);
        path.run(Duration::from_secs(200));
        assert_eq!(path.probing.in_force(), Some(9000));
    }

    #[test]
    fn a_larger_route_is_used_when_it_is_proved() {
        let mut path = Path::new(1400, 9000);
        path.run(Duration::from_secs(1));
        path.probing.set_link(9000, Some(path.now), path.now);
        assert_eq!(path.probing.in_force(), Some(1400));
        path.run(Duration::from_secs(1));
        assert_eq!(path.probing.in_force(), Some(9000));
        path.probing.set_link(1300, Some(path.now), path.now);
        assert_eq!(path.probing.in_force(), Some(1300), "at once");
    }

    #[test]
    fn silence_and_a_peer_without_probes_change_nothing() {
        let mut path = Path::new(1500, 1500);
        path.run(Duration::from_secs(1));
        let answered = path.now;
        for second in 1..60 {
            let now = answered + Duration::from_secs(second);
            path.probing.poll(now, Some(answered));
        }
        assert_eq!(path.probing.in_force(), Some(1500));
        let now = path.now;
        let mut linux = PathMtu::new(now, 1);
        linux.set_link(1500, None, now);
        assert_eq!(linux.poll(now, None), None);
        linux.set_link(9000, None, now);
        assert_eq!(linux.in_force(), Some(9000));
        assert!(!linux.answer(2, now));
    }
}
