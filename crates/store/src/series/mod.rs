//! What was measured of peerings, minute by minute, beside the state.
//!
//! A [`SeriesStore`] keeps [`Counts`] per side of a peering and minute. A minute in which nothing
//! passed has no entry. What has been kept longer than wanted is expired by the caller; what is more
//! than a bound in bytes goes by itself, the oldest minutes first.
//!
//! Beside the points it keeps the last [`Reading`] of each side's counters, written together with
//! the points that came of it: whoever goes on from there counts nothing twice and, while the
//! counters themselves live on, misses nothing. So a crash costs at most the attribution to minutes
//! of what was not appended yet, and no more than that if the counters were lost at the same time.
//!
//! [`MemorySeries`] is for tests and for servers without a folder, [`SqliteSeries`] the file;
//! [`conformance`] is what both have to pass.

pub mod conformance;
mod memory;
mod sqlite;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use async_trait::async_trait;
use model::monitor::{Counts, Minute};
use model::{GatewayId, PeeringConnectionId, Side, UnixMillis, Vni};

use crate::error::BackendError;

pub use memory::MemorySeries;
pub use sqlite::SqliteSeries;

/// One side of a peering.
pub type SeriesKey = (PeeringConnectionId, Side);

/// What can be chosen about a series store.
#[derive(Debug, Clone, Copy)]
pub struct SeriesOptions {
    /// The most bytes that it takes, at least [`MIN_BYTES`]. While a batch is written it may be more
    /// by that batch.
    pub max_bytes: u64,
    /// The current time, noted when the store is made.
    pub now: UnixMillis,
}

/// The least that a store may be bounded to: room for a minute of some ten thousand sides.
pub const MIN_BYTES: u64 = 1 << 20;

/// The counters of one side as they were told at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Who counted.
    pub gateway: GatewayId,
    /// The overlay network id that the counters belong to.
    pub vni: Vni,
    /// When.
    pub at: UnixMillis,
    /// How far they were.
    pub counts: Counts,
}

/// What is appended together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// One more than that of the batch before; the first is 1. A batch whose number was appended
    /// before is ignored, so that it can be repeated when it is not known whether it was.
    pub number: u64,
    /// Counts to add, at most one entry per side and minute.
    pub points: BTreeMap<(SeriesKey, Minute), Counts>,
    /// Readings that replace earlier ones.
    pub readings: BTreeMap<SeriesKey, Reading>,
    /// When each gateway last told its counters: those that are not in `readings` were unchanged.
    pub heard: BTreeMap<GatewayId, UnixMillis>,
    /// Sides whose readings go, because their peering is gone. Their points stay until they expire.
    pub forgotten: Vec<SeriesKey>,
}

/// What a server goes on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The number of the last batch, 0 before the first.
    pub batches: u64,
    /// When the store was made.
    pub made_at: UnixMillis,
    /// The last readings, their time that of the last word of their gateway.
    pub readings: BTreeMap<SeriesKey, Reading>,
}

/// The points of one side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Points {
    /// The number of the last batch that is part of them.
    pub batches: u64,
    /// The minutes in which something passed, in order.
    pub points: Vec<(Minute, Counts)>,
}

/// How much a store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SeriesSize {
    /// Points.
    pub points: u64,
    /// Bytes of the file, without its log.
    pub bytes: u64,
    /// The bound.
    pub max_bytes: u64,
}

/// A store of series.
#[async_trait]
pub trait SeriesStore: Send + Sync + 'static {
    /// Where an earlier user has left off.
    ///
    /// # Errors
    /// [`BackendError`].
    async fn standing(&self) -> Result<Standing, BackendError>;

    /// Appends a batch, all or nothing, then removes the oldest minutes of all sides while the bound
    /// is exceeded; the newest minute stays.
    ///
    /// # Errors
    /// [`BackendError`]; the batch may have been appended and can be repeated.
    async fn append(&self, batch: Arc<Batch>) -> Result<(), BackendError>;

    /// The points of one side in a range of minutes. It sees whole batches.
    ///
    /// # Errors
    /// [`BackendError`].
    async fn points(
        &self,
        key: SeriesKey,
        minutes: RangeInclusive<Minute>,
    ) -> Result<Points, BackendError>;

    /// Removes every point before a minute.
    ///
    /// # Errors
    /// [`BackendError`].
    async fn expire(&self, before: Minute) -> Result<(), BackendError>;

    /// How much it holds.
    fn size(&self) -> SeriesSize;
}

/// A batch that does not follow on the last one: the caller has lost count.
#[derive(Debug, thiserror::Error)]
#[error("batch {found} does not follow on batch {last}")]
struct OutOfOrder {
    last: u64,
    found: u64,
}

/// Whether a batch is the next one; `false` when it was appended before.
fn is_next(last: u64, found: u64) -> Result<bool, BackendError> {
    match found {
        _ if found <= last => Ok(false),
        _ if found == last + 1 => Ok(true),
        _ => Err(BackendError::new(
            "appending points",
            OutOfOrder { last, found },
        )),
    }
}
