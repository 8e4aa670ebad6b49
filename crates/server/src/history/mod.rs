//! What was measured of peerings: from the gateways' counters to points of one minute, and back to
//! whoever asks.
//!
//! The sampler turns reports into points, without I/O; a task feeds it and appends what it has
//! gathered once a minute. A question is answered from the store and from what is not appended yet,
//! so that it knows all that the gateways have told, about a second ago at most.
//!
//! Nothing here is in the watched state, and nothing of it is needed to decide anything.

mod sampler;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::sync::Report;
use model::monitor::{Counts, Minute};
use model::{GatewayId, PeeringConnectionId, UnixMillis, World};
use store::BackendError;
use store::series::{MemorySeries, SeriesKey, SeriesOptions, SeriesSize, SeriesStore, Standing};
use tokio_util::sync::CancellationToken;

use crate::catalog::Catalog;
use crate::core::Core;
use crate::sync::Sessions;

use sampler::Sampler;

/// How long points are kept.
pub const RETENTION: Duration = Duration::from_secs(31 * 24 * 3600);

/// The bound of the file unless configured otherwise.
pub const DEFAULT_MAX_BYTES: u64 = 1 << 30;

/// How often the loop looks without being woken.
const PERIOD: Duration = Duration::from_secs(1);

/// How often old points are removed.
const EXPIRY_PERIOD: Duration = Duration::from_secs(3600);

/// The measured past of all peerings of one server.
pub struct History {
    series: Arc<dyn SeriesStore>,
    sampler: Mutex<Sampler>,
}

impl History {
    /// Goes on where the store stands.
    ///
    /// # Errors
    /// [`BackendError`] when it cannot be read.
    pub async fn open(series: Arc<dyn SeriesStore>) -> Result<Arc<History>, BackendError> {
        let standing = series.standing().await?;
        Ok(History::after(series, standing))
    }

    /// A history that ends with the process.
    pub fn in_memory(now: UnixMillis) -> Arc<History> {
        let series = MemorySeries::new(SeriesOptions {
            max_bytes: DEFAULT_MAX_BYTES,
            now,
        });
        let standing = Standing {
            batches: 0,
            made_at: now,
            readings: BTreeMap::new(),
        };
        History::after(Arc::new(series), standing)
    }

    fn after(series: Arc<dyn SeriesStore>, standing: Standing) -> Arc<History> {
        Arc::new(History {
            series,
            sampler: Mutex::new(Sampler::after(standing)),
        })
    }

    /// How much is stored.
    pub fn size(&self) -> SeriesSize {
        self.series.size()
    }

    /// What passed one side in each minute of a range in which anything did, up to the last report.
    ///
    /// # Errors
    /// [`BackendError`] when the store cannot be read.
    pub async fn points(
        &self,
        key: SeriesKey,
        minutes: RangeInclusive<Minute>,
    ) -> Result<BTreeMap<Minute, Counts>, BackendError> {
        // In this order: what is appended in between is in the store's answer and known by its
        // batch's number.
        let pending = self.lock().pending(key, &minutes);
        let stored = self.series.points(key, minutes).await?;
        let mut all: BTreeMap<Minute, Counts> = stored.points.into_iter().collect();
        for (batch, minute, counts) in pending {
            if batch > stored.batches {
                *all.entry(minute).or_default() += counts;
            }
        }
        Ok(all)
    }

    /// Takes the reports that came since they were `taken`.
    fn observe(
        &self,
        catalog: &Catalog,
        sessions: &Sessions,
        taken: &mut BTreeMap<GatewayId, Arc<Report>>,
    ) {
        for (id, session) in sessions.all() {
            let (Some(gateway), Some((at, report))) = (catalog.gateway(id), session.dated_report())
            else {
                continue;
            };
            if taken.get(&id).is_some_and(|last| Arc::ptr_eq(last, report)) {
                continue;
            }
            self.lock().take(catalog, gateway, at, report);
            taken.insert(id, Arc::clone(report));
        }
    }

    /// Appends what has been gathered. What cannot be appended now is appended later.
    async fn append(&self, is_known: impl Fn(PeeringConnectionId) -> bool, now: UnixMillis) {
        loop {
            let Some(batch) = self.lock().seal(&is_known, now) else {
                return;
            };
            let number = batch.number;
            if let Err(error) = self.series.append(batch).await {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "measured points cannot be stored; trying again in a minute"
                );
                return;
            }
            self.lock().appended(number);
        }
    }

    async fn expire(&self, now: UnixMillis) {
        let retention =
            i64::try_from(RETENTION.as_millis()).expect("31 days are a few milliseconds");
        let before = Minute::of(UnixMillis(now.0.saturating_sub(retention)));
        if let Err(error) = self.series.expire(before).await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "old points cannot be removed; trying again in an hour"
            );
        }
    }

    // A panic while the lock is held leaves whole points, at worst some that were not taken.
    fn lock(&self) -> MutexGuard<'_, Sampler> {
        self.sampler.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Measures until `stop`, and stores what is gathered by then.
pub(crate) async fn run(core: Arc<Core>, sessions: Arc<Sessions>, stop: CancellationToken) {
    let history = Arc::clone(core.history());
    let mut changes = sessions.changes();
    let mut taken = BTreeMap::new();
    let mut appended_in = Minute::of(core.clock().now());
    let mut next_expiry = UnixMillis(i64::MIN);
    loop {
        changes.mark_unchanged();
        let (catalog, now) = (core.catalog(), core.clock().now());
        history.observe(&catalog, &sessions, &mut taken);
        let is_known = |peering| catalog.peering(peering).is_some();
        if stop.is_cancelled() {
            return history.append(is_known, now).await;
        }
        if Minute::of(now) != appended_in {
            appended_in = Minute::of(now);
            history.append(is_known, now).await;
        }
        if now >= next_expiry {
            next_expiry = now.after(EXPIRY_PERIOD);
            history.expire(now).await;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            // The sessions outlive this loop, so their sender is there.
            _ = changes.changed() => {}
            () = tokio::time::sleep(PERIOD) => {}
        }
    }
}
