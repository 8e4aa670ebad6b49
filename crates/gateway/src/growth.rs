//! Which drops are happening at present: the difference to the counters of a few seconds ago.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use tunnel::counters::Drop;
use tunnel::{PeeringStatus, TunnelStatus};

use crate::shared::PeeringKey;

/// How far back "at present" reaches.
const WINDOW: Duration = Duration::from_secs(10);
const MAX_SAMPLES: usize = 16;

/// The drops of one side of a peering that a finding rests on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DropCounts {
    /// Packets that the cap's queues dropped: full, or standing for too long.
    pub at_cap: u64,
    /// Packets larger than the pair's MTU that may not be fragmented.
    pub too_big: u64,
}

/// Samples of the drops over the last seconds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Growth {
    // Only peerings that dropped something are in a sample.
    samples: VecDeque<(Instant, BTreeMap<PeeringKey, DropCounts>)>,
}

impl Growth {
    /// Takes a sample.
    pub(crate) fn sample(&mut self, status: &TunnelStatus, now: Instant) {
        let is_old = |at: &Instant| now.saturating_duration_since(*at) > WINDOW;
        // The newest one outside the window is what the window is compared with.
        while self.samples.len() >= MAX_SAMPLES
            || self.samples.get(1).is_some_and(|(at, _)| is_old(at))
        {
            self.samples.pop_front();
        }
        self.samples.push_back((now, counts(status)));
    }

    /// What was dropped since the oldest sample.
    pub(crate) fn since(&self, key: PeeringKey, peering: &PeeringStatus) -> DropCounts {
        let at_present = count(peering);
        let before = self
            .samples
            .front()
            .and_then(|(_, sample)| sample.get(&key));
        let before = before.copied().unwrap_or_default();
        DropCounts {
            at_cap: at_present.at_cap.saturating_sub(before.at_cap),
            too_big: at_present.too_big.saturating_sub(before.too_big),
        }
    }
}

fn counts(status: &TunnelStatus) -> BTreeMap<PeeringKey, DropCounts> {
    let dropped = status
        .peerings
        .iter()
        .filter(|(_, peering)| !peering.sent_drops.is_empty());
    dropped
        .map(|(key, peering)| (*key, count(peering)))
        .collect()
}

fn count(peering: &PeeringStatus) -> DropCounts {
    let of = |cause: Drop| peering.sent_drops.get(cause.name()).copied().unwrap_or(0);
    DropCounts {
        at_cap: of(Drop::QueueFull) + of(Drop::QueueDelay),
        too_big: of(Drop::TooBig),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::peering_key;

    fn status(at_cap: u64) -> TunnelStatus {
        let mut status = TunnelStatus::default();
        let peering = status.peerings.entry(peering_key()).or_default();
        if at_cap > 0 {
            let (full, late) = (Drop::QueueFull.name(), Drop::QueueDelay.name());
            peering.sent_drops.extend([(full, at_cap - 1), (late, 1)]);
        }
        status
    }

    fn since(growth: &Growth, at_cap: u64) -> u64 {
        growth
            .since(peering_key(), &status(at_cap).peerings[&peering_key()])
            .at_cap
    }

    #[test]
    fn drops_count_until_the_window_has_passed() {
        let start = Instant::now();
        let mut growth = Growth::default();
        growth.sample(&status(0), start);
        assert_eq!(since(&growth, 7), 7);
        for second in 1..30 {
            growth.sample(&status(7), start + Duration::from_secs(second));
        }
        assert_eq!(since(&growth, 7), 0);
        assert_eq!(since(&growth, 9), 2);
    }
}
