//! What every series store has to pass.
//!
//! [`run`] takes a function that opens an empty store with the given options and runs all cases,
//! each on a store of its own. A case panics with what it expected.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::monitor::{Counts, Minute};
use model::{GatewayId, PeeringConnectionId, Side, UnixMillis, Vni};

use super::{Batch, Reading, SeriesKey, SeriesOptions, SeriesStore};

/// The time at which the stores of the cases are made.
pub const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

const EVERYTHING: std::ops::RangeInclusive<Minute> = Minute(0)..=Minute(u32::MAX);

/// Runs all cases against stores that `open` makes; each has to be empty.
///
/// # Panics
/// When a case fails.
pub async fn run<S: SeriesStore>(mut open: impl FnMut(SeriesOptions) -> S) {
    let wide = SeriesOptions {
        max_bytes: 1 << 30,
        now: NOW,
    };
    an_empty_store_knows_when_it_was_made(&open(wide)).await;
    points_come_back_by_side_and_in_order(&open(wide)).await;
    counts_of_one_minute_add_up(&open(wide)).await;
    a_repeated_batch_counts_once(&open(wide)).await;
    a_gap_in_the_batches_is_refused(&open(wide)).await;
    the_last_readings_stand_until_forgotten(&open(wide)).await;
    a_reading_is_as_fresh_as_its_gateways_last_word(&open(wide)).await;
    what_is_old_expires(&open(wide)).await;
    an_emptied_store_goes_on(&open(wide)).await;
    let narrow = SeriesOptions {
        max_bytes: 1 << 20,
        now: NOW,
    };
    the_oldest_minutes_go_when_the_bound_is_reached(&open(narrow)).await;
}

/// The key of a side by number.
pub fn key(number: u64) -> SeriesKey {
    let side = if number.is_multiple_of(2) {
        Side::Requester
    } else {
        Side::Accepter
    };
    (PeeringConnectionId::from_entropy(number / 2), side)
}

/// Counts that tell their number.
pub fn counts(number: u64) -> Counts {
    Counts {
        sent_packets: number,
        sent_bytes: number * 1_000,
        received_packets: number + 1,
        received_bytes: number * 2_000,
        capped_packets: number / 2,
    }
}

/// A batch of points.
pub fn points(
    number: u64,
    points: impl IntoIterator<Item = ((SeriesKey, Minute), Counts)>,
) -> Arc<Batch> {
    Arc::new(Batch {
        number,
        points: points.into_iter().collect(),
        ..Batch::default()
    })
}

fn reading(number: u64, at: i64) -> Reading {
    Reading {
        gateway: GatewayId::from_entropy(number),
        vni: Vni::FIRST,
        at: UnixMillis(at),
        counts: counts(number),
    }
}

async fn an_empty_store_knows_when_it_was_made(store: &impl SeriesStore) {
    let standing = store.standing().await.unwrap();
    assert_eq!((standing.batches, standing.made_at), (0, NOW));
    assert!(standing.readings.is_empty());
    assert_eq!(store.size().points, 0);
    assert!(
        store
            .points(key(1), EVERYTHING)
            .await
            .unwrap()
            .points
            .is_empty()
    );
}

async fn points_come_back_by_side_and_in_order(store: &impl SeriesStore) {
    // Both sides of one peering, and another peering.
    let all = [(2, 7), (2, 5), (3, 5), (3, 9), (4, 6)];
    let batch = all.map(|(side, minute)| ((key(side), Minute(minute)), counts(side + 10)));
    store.append(points(1, batch)).await.unwrap();
    let minutes_of = async |side, first, last| {
        let found = store.points(key(side), Minute(first)..=Minute(last)).await;
        let found = found.unwrap();
        assert_eq!(found.batches, 1);
        assert!(found.points.iter().all(|(_, c)| *c == counts(side + 10)));
        let minutes = found.points.iter().map(|(minute, _)| minute.0);
        minutes.collect::<Vec<u32>>()
    };
    assert_eq!(minutes_of(2, 0, 100).await, [5, 7]);
    assert_eq!(minutes_of(2, 6, 7).await, [7]);
    assert_eq!(minutes_of(3, 5, 9).await, [5, 9]);
    assert_eq!(minutes_of(3, 6, 8).await, [0u32; 0]);
    assert_eq!(minutes_of(5, 0, 100).await, [0u32; 0]);
    assert_eq!(store.size().points, 5);
}

async fn counts_of_one_minute_add_up(store: &impl SeriesStore) {
    for number in 1..=2 {
        let batch = [((key(1), Minute(5)), counts(3))];
        store.append(points(number, batch)).await.unwrap();
    }
    let found = store.points(key(1), EVERYTHING).await.unwrap();
    let mut twice = counts(3);
    twice += counts(3);
    assert_eq!(found.points, [(Minute(5), twice)]);
    assert_eq!(store.size().points, 1);
}

async fn a_repeated_batch_counts_once(store: &impl SeriesStore) {
    let batch = points(1, [((key(1), Minute(5)), counts(3))]);
    store.append(Arc::clone(&batch)).await.unwrap();
    store.append(batch).await.unwrap();
    let found = store.points(key(1), EVERYTHING).await.unwrap();
    assert_eq!(found.points, [(Minute(5), counts(3))]);
    assert_eq!(store.standing().await.unwrap().batches, 1);
}

async fn a_gap_in_the_batches_is_refused(store: &impl SeriesStore) {
    let batch = points(2, [((key(1), Minute(5)), counts(3))]);
    assert!(store.append(batch).await.is_err());
    assert_eq!(store.size().points, 0);
}

async fn the_last_readings_stand_until_forgotten(store: &impl SeriesStore) {
    let batch = |number, readings: &[(u64, Reading)], forgotten: &[u64]| {
        let readings = readings
            .iter()
            .map(|(side, reading)| (key(*side), *reading));
        Arc::new(Batch {
            number,
            readings: readings.collect(),
            forgotten: forgotten.iter().map(|side| key(*side)).collect(),
            ..Batch::default()
        })
    };
    let first = [(1, reading(1, 10)), (2, reading(2, 10))];
    store.append(batch(1, &first, &[])).await.unwrap();
    store
        .append(batch(2, &[(2, reading(3, 20))], &[1, 7]))
        .await
        .unwrap();
    let readings = store.standing().await.unwrap().readings;
    assert_eq!(readings, BTreeMap::from([(key(2), reading(3, 20))]));
}

async fn a_reading_is_as_fresh_as_its_gateways_last_word(store: &impl SeriesStore) {
    let heard = |number, gateway, at, readings: &[(u64, Reading)]| {
        let readings = readings
            .iter()
            .map(|(side, reading)| (key(*side), *reading));
        Arc::new(Batch {
            number,
            readings: readings.collect(),
            heard: BTreeMap::from([(GatewayId::from_entropy(gateway), UnixMillis(at))]),
            ..Batch::default()
        })
    };
    let first = [(1, reading(1, 10)), (2, reading(2, 10))];
    store.append(heard(1, 1, 10, &first)).await.unwrap();
    store.append(heard(2, 1, 500, &[])).await.unwrap();
    let readings = store.standing().await.unwrap().readings;
    assert_eq!(readings[&key(1)], reading(1, 500));
    assert_eq!(readings[&key(2)], reading(2, 10));
}

async fn what_is_old_expires(store: &impl SeriesStore) {
    let all = [(1, 5), (1, 6), (1, 7), (2, 5)];
    let batch = all.map(|(side, minute)| ((key(side), Minute(minute)), counts(1)));
    store.append(points(1, batch)).await.unwrap();
    store.expire(Minute(7)).await.unwrap();
    let found = store.points(key(1), EVERYTHING).await.unwrap();
    assert_eq!(found.points, [(Minute(7), counts(1))]);
    assert!(
        store
            .points(key(2), EVERYTHING)
            .await
            .unwrap()
            .points
            .is_empty()
    );
    assert_eq!(store.size().points, 1);
}

async fn an_emptied_store_goes_on(store: &impl SeriesStore) {
    let batch = |number| points(number, [((key(1), Minute(number as u32)), counts(number))]);
    store.append(batch(1)).await.unwrap();
    store.expire(Minute(100)).await.unwrap();
    store.append(batch(2)).await.unwrap();
    let found = store.points(key(1), EVERYTHING).await.unwrap();
    assert_eq!(found.points, [(Minute(2), counts(2))]);
}

async fn the_oldest_minutes_go_when_the_bound_is_reached(store: &impl SeriesStore) {
    const SIDES: u64 = 200;
    const MINUTES: u32 = 200;

    let large = counts(1 << 40);
    for minute in 0..MINUTES {
        let batch = (0..SIDES).map(|side| ((key(side), Minute(minute)), large));
        let number = u64::from(minute) + 1;
        store.append(points(number, batch)).await.unwrap();
        let size = store.size();
        assert!(size.bytes <= size.max_bytes, "{size:?}");
    }
    let size = store.size();
    let whole = SIDES * u64::from(MINUTES);
    assert!(size.points < whole && size.points >= whole / 10, "{size:?}");
    let kept = store.points(key(0), EVERYTHING).await.unwrap().points;
    let first = MINUTES - kept.len() as u32;
    let expected: Vec<_> = (first..MINUTES)
        .map(|minute| (Minute(minute), large))
        .collect();
    assert_eq!(kept, expected, "the newest minutes, without a gap");
    // The same minutes of every side.
    for side in 0..SIDES {
        let of_side = store.points(key(side), EVERYTHING).await.unwrap().points;
        assert_eq!(of_side, expected);
    }
    assert_eq!(size.points, SIDES * expected.len() as u64);
}
