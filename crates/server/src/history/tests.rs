//! A history over a store that fails.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use model::{Side, Vni};
use store::series::{Batch, Points, Reading};

use super::*;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const EVERYTHING: RangeInclusive<Minute> = Minute(0)..=Minute(u32::MAX);

/// How an append fails.
#[derive(Clone, Copy)]
enum Failure {
    /// Nothing is written.
    Before,
    /// All is written, and the caller is not told.
    After,
}

struct Failing {
    series: MemorySeries,
    failure: Failure,
    failures_left: AtomicUsize,
}

#[derive(Debug, thiserror::Error)]
#[error("no room")]
struct NoRoom;

#[async_trait]
impl SeriesStore for Failing {
    async fn standing(&self) -> Result<Standing, BackendError> {
        self.series.standing().await
    }

    async fn append(&self, batch: Arc<Batch>) -> Result<(), BackendError> {
        let left = self.failures_left.load(Ordering::SeqCst);
        if left == 0 {
            return self.series.append(batch).await;
        }
        self.failures_left.store(left - 1, Ordering::SeqCst);
        match self.failure {
            Failure::Before => {}
            Failure::After => self.series.append(batch).await?,
        }
        Err(BackendError::new("appending", NoRoom))
    }

    async fn points(
        &self,
        key: SeriesKey,
        minutes: RangeInclusive<Minute>,
    ) -> Result<Points, BackendError> {
        self.series.points(key, minutes).await
    }

    async fn expire(&self, before: Minute) -> Result<(), BackendError> {
        self.series.expire(before).await
    }

    fn size(&self) -> SeriesSize {
        self.series.size()
    }
}

async fn failing(failure: Failure, failures: usize) -> Arc<History> {
    let series = Failing {
        series: MemorySeries::new(SeriesOptions {
            max_bytes: DEFAULT_MAX_BYTES,
            now: NOW,
        }),
        failure,
        failures_left: AtomicUsize::new(failures),
    };
    History::open(Arc::new(series)).await.unwrap()
}

fn key() -> SeriesKey {
    (PeeringConnectionId::from_entropy(1), Side::Requester)
}

fn read(history: &History, millis: i64, bytes: u64) {
    let reading = Reading {
        gateway: GatewayId::from_entropy(1),
        vni: Vni::FIRST,
        at: UnixMillis(NOW.0 + millis),
        counts: Counts {
            sent_bytes: bytes,
            ..Counts::default()
        },
    };
    history.lock().read(key(), reading, Some(NOW));
}

async fn total(history: &History) -> u64 {
    let points = history.points(key(), EVERYTHING).await.unwrap();
    points.values().map(|counts| counts.sent_bytes).sum()
}

#[tokio::test]
async fn whatever_fails_every_byte_is_told_once_all_the_time() {
    for failure in [Failure::Before, Failure::After] {
        let history = failing(failure, 3).await;
        for step in 1u32..=8 {
            let millis = i64::from(step) * 40_000;
            read(&history, millis, u64::from(step) * 100);
            assert_eq!(total(&history).await, u64::from(step) * 100);
            history.append(|_| true, UnixMillis(NOW.0 + millis)).await;
            assert_eq!(total(&history).await, u64::from(step) * 100);
        }
        let stored = history.series.points(key(), EVERYTHING).await.unwrap();
        let stored = stored.points.iter().map(|(_, counts)| counts.sent_bytes);
        assert_eq!(stored.sum::<u64>(), 800);
    }
}
