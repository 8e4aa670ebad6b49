//! From counters that only grow to what passed in each minute.
//!
//! Gateways report counters. What they have grown by since the last report is spread evenly over
//! the time between the two, so that a second that straddles two minutes is divided, and so that
//! minutes in which a gateway could not report get the average of that time. Of a silence of more
//! than an hour only the last hour gets its average; what the time before it carried is not kept.
//!
//! Counters begin again at 0 when their gateway restarts or the peering is programmed anew; then all
//! of them is new. They are known to have begun again by another gateway, another VNI, or a count
//! that is smaller than before. A restart between two reports after which every count is at once as
//! high as it was before is not seen; what is missed then is no more than was counted before it.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use api::sync::{PeeringReport, Report};
use model::monitor::{Counts, Minute};
use model::{Gateway, PeeringConnectionId, PeeringState, UnixMillis};
use store::series::{Batch, Reading, SeriesKey, Standing};

use crate::catalog::Catalog;

/// The time over which growth is spread at most, and for which points wait for a store that fails.
const LONGEST_SPREAD_MILLIS: i64 = 60 * 60_000;

/// The causes of drops that are the cap's.
const CAP_DROPS: [&str; 2] = ["queue_full", "queue_delay"];

/// What was read, and the points that came of it and are not stored yet.
pub(super) struct Sampler {
    made_at: UnixMillis,
    readings: HashMap<SeriesKey, Reading>,
    gathering: Batch,
    /// Handed out to be stored, and not known to be.
    sealed: Option<Arc<Batch>>,
}

impl Sampler {
    /// Goes on where a store stands.
    pub(super) fn after(standing: Standing) -> Sampler {
        Sampler {
            made_at: standing.made_at,
            readings: standing.readings.into_iter().collect(),
            gathering: Batch {
                number: standing.batches + 1,
                ..Batch::default()
            },
            sealed: None,
        }
    }

    /// Takes a gateway's report that came at `at`. What a gateway tells of sides that are not its
    /// region's is ignored.
    pub(super) fn take(
        &mut self,
        catalog: &Catalog,
        gateway: &Gateway,
        at: UnixMillis,
        report: &Report,
    ) {
        for (key, entry) in &report.peerings {
            let peering = catalog.peering(key.0);
            let Some(peering) = peering.filter(|p| p.end(key.1).region() == gateway.region) else {
                continue;
            };
            let reading = Reading {
                gateway: gateway.id,
                vni: entry.vni,
                at,
                counts: counts_of(entry),
            };
            self.read(*key, reading, active_since(&peering.state));
        }
        self.gathering.heard.insert(gateway.id, at);
    }

    pub(super) fn read(
        &mut self,
        key: SeriesKey,
        reading: Reading,
        active_since: Option<UnixMillis>,
    ) {
        let earlier = self.readings.insert(key, reading);
        let is_unchanged = earlier.is_some_and(|earlier| {
            Reading {
                at: reading.at,
                ..earlier
            } == reading
        });
        if is_unchanged {
            return;
        }
        self.gathering.readings.insert(key, reading);
        let Reading { at, counts, .. } = reading;
        match earlier {
            Some(earlier) => match growth(&earlier, &reading) {
                Some(growth) => {
                    let silence = at.0.saturating_sub(earlier.at.0);
                    self.spread(key, last_hour_of(growth, silence), earlier.at, at);
                }
                None => self.spread(key, counts, earlier.at, at),
            },
            None => match active_since {
                // The counters are as old as the peering, and nobody has read them before.
                Some(since) if since >= self.made_at => self.spread(key, counts, since, at),
                // They may have counted for weeks before there was a history.
                Some(_) | None => {}
            },
        }
    }

    /// Adds counts to the minutes between two times, by their share of it.
    fn spread(&mut self, key: SeriesKey, counts: Counts, from: UnixMillis, until: UnixMillis) {
        let from = UnixMillis(from.0.max(until.0.saturating_sub(LONGEST_SPREAD_MILLIS)));
        let whole = until.0 - from.0;
        if whole <= 0 {
            // The clock was set back.
            return self.add(key, Minute::of(until), counts);
        }
        let mut before = Counts::default();
        for minute in Minute::of(from).0..=Minute::of(until).0 {
            let end = Minute(minute.saturating_add(1)).begins_at().min(until);
            // Shares of what has passed by then, so that nothing is lost in rounding.
            let by_then = counts.map(|count| share(count, end.0 - from.0, whole));
            let part = by_then
                .since(&before)
                .expect("shares of more time are not smaller");
            self.add(key, Minute(minute), part);
            before = by_then;
        }
    }

    fn add(&mut self, key: SeriesKey, minute: Minute, counts: Counts) {
        if !counts.is_zero() {
            *self.gathering.points.entry((key, minute)).or_default() += counts;
        }
    }

    /// What is to be stored next: the batch that was handed out before and is not known to be
    /// stored, else all that was gathered since; `None` when there is nothing. Readings of peerings
    /// that are not known any more are forgotten.
    pub(super) fn seal(
        &mut self,
        is_known: impl Fn(PeeringConnectionId) -> bool,
        now: UnixMillis,
    ) -> Option<Arc<Batch>> {
        if let Some(sealed) = self.sealed.clone() {
            self.bound(now);
            return Some(sealed);
        }
        let gathering = &mut self.gathering;
        self.readings.retain(|key, _| {
            let is_known = is_known(key.0);
            if !is_known {
                gathering.readings.remove(key);
                gathering.forgotten.push(*key);
            }
            is_known
        });
        let next = Batch {
            number: gathering.number + 1,
            ..Batch::default()
        };
        let is_empty = gathering.points.is_empty()
            && gathering.readings.is_empty()
            && gathering.heard.is_empty()
            && gathering.forgotten.is_empty();
        if is_empty {
            return None;
        }
        self.sealed = Some(Arc::new(std::mem::replace(gathering, next)));
        self.sealed.clone()
    }

    /// Notes that a batch is stored.
    pub(super) fn appended(&mut self, number: u64) {
        self.sealed = self.sealed.take().filter(|sealed| sealed.number > number);
    }

    /// What is not known to be stored of one side, with the number of the batch that it is part of.
    pub(super) fn pending(
        &self,
        key: SeriesKey,
        minutes: &RangeInclusive<Minute>,
    ) -> Vec<(u64, Minute, Counts)> {
        let batches = self.sealed.as_deref().into_iter().chain([&self.gathering]);
        let range = (key, *minutes.start())..=(key, *minutes.end());
        batches
            .flat_map(|batch| {
                let points = batch.points.range(range.clone());
                points.map(|((_, minute), counts)| (batch.number, *minute, *counts))
            })
            .collect()
    }

    /// Lets go of what waits for longer than memory should hold it.
    fn bound(&mut self, now: UnixMillis) {
        let oldest = Minute::of(UnixMillis(now.0.saturating_sub(LONGEST_SPREAD_MILLIS)));
        let before = self.gathering.points.len();
        self.gathering
            .points
            .retain(|(_, minute), _| *minute >= oldest);
        let dropped = before - self.gathering.points.len();
        if dropped > 0 {
            tracing::warn!(
                dropped,
                "points that could not be stored for an hour are lost"
            );
        }
    }
}

fn active_since(state: &PeeringState) -> Option<UnixMillis> {
    match state {
        PeeringState::Active { since } => Some(*since),
        PeeringState::Pending { .. }
        | PeeringState::Expired { .. }
        | PeeringState::Rejected { .. }
        | PeeringState::Failed { .. }
        | PeeringState::Isolated { .. }
        | PeeringState::Deleted { .. } => None,
    }
}

fn counts_of(entry: &PeeringReport) -> Counts {
    let drops = CAP_DROPS.iter().filter_map(|cause| entry.drops.get(*cause));
    Counts {
        sent_packets: entry.sent.packets,
        sent_bytes: entry.sent.bytes,
        received_packets: entry.received.packets,
        received_bytes: entry.received.bytes,
        capped_packets: drops.fold(0, |sum, packets| sum.saturating_add(*packets)),
    }
}

/// What the same counters have grown by; `None` when they have begun again.
fn growth(earlier: &Reading, later: &Reading) -> Option<Counts> {
    let is_same = earlier.gateway == later.gateway && earlier.vni == later.vni;
    is_same
        .then(|| later.counts.since(&earlier.counts))
        .flatten()
}

/// What the last hour of a longer silence had of its growth, were it even.
fn last_hour_of(growth: Counts, silence_millis: i64) -> Counts {
    if silence_millis <= LONGEST_SPREAD_MILLIS {
        return growth;
    }
    growth.map(|count| share(count, LONGEST_SPREAD_MILLIS, silence_millis))
}

/// `count * part / whole` for 0 <= `part` <= `whole` > 0, rounded down.
fn share(count: u64, part: i64, whole: i64) -> u64 {
    let part = u128::from(part.max(0).cast_unsigned());
    let share = u128::from(count) * part / u128::from(whole.max(1).cast_unsigned());
    u64::try_from(share).unwrap_or(count)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use model::{GatewayId, Side, Vni};
    use proptest::prelude::*;

    use super::*;

    // The beginning of a minute.
    const MADE_AT: UnixMillis = UnixMillis(1_800_000_000_000);
    const SECOND: i64 = 1_000;
    const MINUTE: i64 = 60 * SECOND;

    fn key() -> SeriesKey {
        (PeeringConnectionId::from_entropy(1), Side::Requester)
    }

    fn sampler() -> Sampler {
        Sampler::after(Standing {
            batches: 4,
            made_at: MADE_AT,
            readings: BTreeMap::new(),
        })
    }

    fn at(millis: i64) -> UnixMillis {
        UnixMillis(MADE_AT.0 + millis)
    }

    /// A reading of `bytes` sent and a tenth as many packets dropped at the cap.
    fn reading(millis: i64, bytes: u64) -> Reading {
        Reading {
            gateway: GatewayId::from_entropy(1),
            vni: Vni::FIRST,
            at: at(millis),
            counts: counts(bytes),
        }
    }

    fn counts(bytes: u64) -> Counts {
        Counts {
            sent_bytes: bytes,
            capped_packets: bytes / 10,
            ..Counts::default()
        }
    }

    /// The bytes sent in each minute, counted from the first.
    fn bytes(sampler: &Sampler) -> Vec<(i64, u64)> {
        let everything = Minute(0)..=Minute(u32::MAX);
        let pending = sampler.pending(key(), &everything).into_iter();
        pending
            .map(|(_, minute, counts)| {
                let minute = (minute.begins_at().0 - MADE_AT.0) / MINUTE;
                (minute, counts.sent_bytes)
            })
            .collect()
    }

    /// Feeds readings of a peering that is active from the start.
    #[track_caller]
    fn check(readings: &[Reading], expected: &[(i64, u64)]) {
        let mut sampler = sampler();
        for reading in readings {
            sampler.read(key(), *reading, Some(MADE_AT));
        }
        assert_eq!(bytes(&sampler), expected);
    }

    #[test]
    fn growth_belongs_to_the_minute_in_which_it_happened() {
        let minutes = [
            reading(SECOND, 100),
            reading(2 * SECOND, 150),
            reading(MINUTE, 200),
            reading(MINUTE + 59 * SECOND, 1_200),
        ];
        check(&minutes, &[(0, 200), (1, 1_000)]);
    }

    #[test]
    fn growth_across_a_boundary_is_divided_by_time() {
        let readings = [reading(MINUTE - 250, 1_000), reading(MINUTE + 750, 2_000)];
        check(&readings, &[(0, 1_250), (1, 750)]);
    }

    #[test]
    fn minutes_without_growth_have_no_point() {
        let readings = [
            reading(SECOND, 100),
            reading(5 * MINUTE, 100),
            reading(5 * MINUTE + SECOND, 110),
        ];
        check(&readings, &[(0, 100), (5, 10)]);
        let mut sampler = sampler();
        sampler.read(key(), reading(SECOND, 0), Some(MADE_AT));
        assert_eq!(bytes(&sampler), []);
    }

    #[test]
    fn a_silence_gets_its_average() {
        let readings = [reading(30 * SECOND, 100), reading(3 * MINUTE, 1_600)];
        check(&readings, &[(0, 400), (1, 600), (2, 600)]);
    }

    #[test]
    fn of_a_long_silence_the_last_hour_gets_its_average() {
        let readings = [reading(0, 0), reading(10 * 60 * MINUTE, 600_000)];
        let expected: Vec<_> = (9 * 60..10 * 60).map(|minute| (minute, 1_000)).collect();
        check(&readings, &expected);
    }

    #[test]
    fn counters_that_begin_again_count_as_a_whole() {
        let smaller = reading(2 * SECOND, 30);
        check(&[reading(SECOND, 100), smaller], &[(0, 130)]);
        // The bytes are more than before, the drops fewer.
        let mut mixed = reading(2 * SECOND, 130);
        mixed.counts.capped_packets = 9;
        check(&[reading(SECOND, 100), mixed], &[(0, 230)]);
        let other_vni = Reading {
            vni: Vni::try_from(Vni::FIRST.get() + 1).unwrap(),
            ..reading(2 * SECOND, 130)
        };
        check(&[reading(SECOND, 100), other_vni], &[(0, 230)]);
        let other_gateway = Reading {
            gateway: GatewayId::from_entropy(2),
            ..reading(2 * SECOND, 130)
        };
        check(&[reading(SECOND, 100), other_gateway], &[(0, 230)]);
    }

    #[test]
    fn counters_older_than_the_history_are_where_it_begins() {
        for active_since in [Some(UnixMillis(MADE_AT.0 - 1)), None] {
            let mut sampler = sampler();
            sampler.read(key(), reading(SECOND, 1_000_000), active_since);
            assert_eq!(bytes(&sampler), []);
            sampler.read(key(), reading(2 * SECOND, 1_000_007), active_since);
            assert_eq!(bytes(&sampler), [(0, 7)]);
        }
    }

    #[test]
    fn a_clock_that_is_set_back_loses_nothing() {
        let readings = [reading(MINUTE, 600), reading(-MINUTE, 700)];
        check(&readings, &[(-1, 100), (0, 600)]);
    }

    #[test]
    fn a_batch_is_handed_out_until_it_is_stored() {
        let mut sampler = sampler();
        assert_eq!(sampler.seal(|_| true, MADE_AT), None);
        sampler.read(key(), reading(SECOND, 100), Some(MADE_AT));
        let sealed = sampler.seal(|_| true, at(MINUTE)).unwrap();
        assert_eq!((sealed.number, sealed.points.len()), (5, 1));
        assert_eq!(sealed.readings[&key()], reading(SECOND, 100));
        sampler.read(key(), reading(MINUTE + SECOND, 160), Some(MADE_AT));
        assert_eq!(
            sampler.seal(|_| true, at(MINUTE)),
            Some(Arc::clone(&sealed))
        );
        // Both are told until the store has the first one.
        assert_eq!(bytes(&sampler), [(0, 100), (0, 59), (1, 1)]);
        sampler.appended(5);
        assert_eq!(bytes(&sampler), [(0, 59), (1, 1)]);
        assert_eq!(sampler.seal(|_| true, at(MINUTE)).unwrap().number, 6);
    }

    #[test]
    fn what_cannot_be_stored_for_an_hour_is_let_go() {
        let mut sampler = sampler();
        sampler.read(key(), reading(SECOND, 100), Some(MADE_AT));
        let sealed = sampler.seal(|_| true, MADE_AT).unwrap();
        sampler.read(key(), reading(2 * SECOND, 200), Some(MADE_AT));
        sampler.read(key(), reading(62 * MINUTE, 300), Some(MADE_AT));
        assert_eq!(sampler.seal(|_| true, at(62 * MINUTE)), Some(sealed));
        let kept = bytes(&sampler);
        assert!(
            kept.iter().skip(1).all(|(minute, _)| *minute >= 2),
            "{kept:?}"
        );
        assert_eq!(kept[0], (0, 100));
    }

    #[test]
    fn readings_of_what_is_gone_are_forgotten() {
        let mut sampler = sampler();
        sampler.read(key(), reading(SECOND, 100), Some(MADE_AT));
        let sealed = sampler.seal(|_| false, at(MINUTE)).unwrap();
        assert_eq!(sealed.forgotten, [key()]);
        assert!(sealed.readings.is_empty() && !sealed.points.is_empty());
        sampler.appended(5);
        assert_eq!(sampler.seal(|_| false, at(MINUTE)), None);
    }

    proptest! {
        #[test]
        fn within_an_hour_nothing_is_lost_or_made_up(
            steps in proptest::collection::vec((0i64..3_600_000, 0u64..1 << 50), 1..20)
        ) {
            let mut sampler = sampler();
            let (mut now, mut total) = (0, 0);
            for (millis, growth) in steps {
                now += millis;
                total += growth;
                sampler.read(key(), reading(now, total), Some(MADE_AT));
            }
            let points = bytes(&sampler);
            prop_assert_eq!(points.iter().map(|(_, bytes)| bytes).sum::<u64>(), total);
            prop_assert!(points.iter().all(|(minute, bytes)| *bytes > 0 && *minute <= now / MINUTE));
        }
    }
}
