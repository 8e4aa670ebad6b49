//! The state of a deployment: a small revisioned key-value store behind one trait.
//!
//! A [`Store`] holds text keys and opaque values. It changes only by [`Transaction`]s: guards on the
//! keys that a decision was based on, and the writes that follow from it, all or nothing. Every
//! committed transaction gets the next [`Revision`], and [`Store::watch`] tells every one of them,
//! in order and without gaps.
//!
//! Beside the keys lie first [`Answer`]s: what was answered to requests that must not have a second
//! effect, written in the transaction of that effect, bounded and forgotten with time.
//!
//! Nothing here knows what the values mean, except [`record`], which turns the aggregates of `model`
//! into readable JSON and back. Nothing here decides: admission and quotas belong to the domain, and
//! series of high volume are not kept in watched keys: [`series`] has the measured ones in a file of
//! their own.
//!
//! Start with [`Store`]. [`MemoryStore`] is the model that the others are compared with,
//! [`SqliteStore`] the embedded default, and [`conformance`] is what a backend has to pass.

mod answer;
pub mod conformance;
mod error;
mod feed;
mod limits;
mod memory;
pub mod record;
pub mod series;
mod sqlite;
mod transaction;
mod watch;

pub use answer::{Answer, AnswerBounds, AnswerKey, KnownBy, Tally};
pub use error::{BackendError, CommitError, Full, StoreError, WatchError};
pub use feed::Retention;
pub use limits::Limit;
pub use memory::MemoryStore;
pub use sqlite::{SqliteOptions, SqliteStore, Stats};
pub use transaction::{Change, Entry, Guard, Revision, Snapshot, Transaction, Write};
pub use watch::Watch;

use async_trait::async_trait;
use bytes::Bytes;
use model::UnixMillis;

/// A revisioned key-value store.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The whole content at one revision. It contains whole transactions only, and at least every
    /// one that was acknowledged before the call.
    ///
    /// # Errors
    /// [`StoreError::Backend`] when the backend cannot be read.
    async fn snapshot(&self) -> Result<Snapshot, StoreError>;

    /// Commits a transaction, all or nothing, and returns its revision once it is durable.
    ///
    /// Each committed transaction has a revision of its own and revisions are consecutive. A caller
    /// that stops waiting does not stop the commit: it may or may not happen.
    ///
    /// # Errors
    /// [`CommitError::Answered`] when the transaction has the key of an answer that is remembered,
    /// whether its guards hold or not, and [`CommitError::AnswersFull`] when there is no room for its
    /// answer. [`CommitError::Conflict`] when a guard does not hold; the caller decides again on a newer
    /// snapshot. The malformed and the too large are refused by their own variants. After
    /// [`CommitError::Backend`] nothing was written; after [`CommitError::Unknown`] only a new
    /// snapshot can tell.
    async fn commit(&self, transaction: Transaction) -> Result<Revision, CommitError>;

    /// Remembers an answer to a request that wrote nothing, and returns once that is durable. The
    /// revision stays.
    ///
    /// # Errors
    /// As [`Store::commit`]; there is no conflict.
    async fn remember(&self, answer: Answer) -> Result<(), CommitError>;

    /// The answer that is remembered to a request, if there is one.
    ///
    /// # Errors
    /// [`StoreError::Backend`] when the backend cannot be read.
    async fn answer_to(&self, request: AnswerKey) -> Result<Option<Bytes>, StoreError>;

    /// Forgets answers to requests that were made before a time, the oldest first and at most so
    /// many; returns how many it were.
    ///
    /// # Errors
    /// [`StoreError::Backend`] when the backend fails. Some may be forgotten.
    async fn forget_answers(&self, before: UnixMillis, at_most: usize)
    -> Result<usize, StoreError>;

    /// Starts a watch that yields every change with a revision above `from`, in order and without
    /// gaps, first those already committed and then each as it is committed.
    ///
    /// # Errors
    /// [`WatchError::Compacted`] when changes after `from` are no longer kept;
    /// [`WatchError::Future`] when the store has not reached `from`, which happens to someone whose
    /// store was replaced by an older copy. Both call for a new snapshot.
    async fn watch(&self, from: Revision) -> Result<Watch, WatchError>;
}
