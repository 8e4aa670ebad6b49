//! The SQLite backend: one file, one server, durable before a commit is acknowledged.
//!
//! WAL mode with full sync: a commit returns after the log was synced. [`writer`] commits in
//! groups; [`reader`] serves snapshots and old changes from a connection of its own, so that
//! reading never waits for the disk's sync; [`schema`] guards the file.

mod answers;
pub(crate) mod reader;
pub(crate) mod schema;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use async_trait::async_trait;
use bytes::Bytes;
use model::UnixMillis;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::Store;
use crate::answer::{Answer, AnswerBounds, AnswerKey};
use crate::error::{BackendError, CommitError, StoreError, WatchError};
use crate::feed::{Feed, Retention};
use crate::transaction::{Revision, Snapshot, Transaction};
use crate::watch::Watch;

use reader::Reader;
use writer::{Counters, Request, Writer};

/// What can be chosen when a store is opened.
#[derive(Debug, Clone, Copy, Default)]
pub struct SqliteOptions {
    /// The changes kept in the file, for watches from old revisions.
    pub retention: Retention,
    /// How many answers are remembered.
    pub answers: AnswerBounds,
}

/// Counts of a store since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Transactions committed.
    pub transactions: u64,
    /// Transactions refused because a guard did not hold.
    pub conflicts: u64,
    /// SQLite commits: each is one sync of the log, apart from those of checkpoints.
    pub batches: u64,
    /// The most transactions committed together.
    pub largest_batch: u64,
    /// Answers that are remembered.
    pub answers: u64,
    /// The bytes of their values.
    pub answer_bytes: u64,
}

/// The changes that are also kept in memory, for watchers that keep up.
const FEED_RETENTION: Retention = Retention {
    changes: 4096,
    bytes: 16 * 1024 * 1024,
};

/// A store in one SQLite file. Dropping it commits what is queued and releases the file.
#[derive(Debug)]
pub struct SqliteStore {
    /// Taken when the store is dropped, which ends the writer.
    queue: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
    reader: Arc<Reader>,
    feed: Arc<Feed>,
    counters: Arc<Counters>,
}

impl SqliteStore {
    /// Opens or creates a store with the default options. The folder must exist. The file and its
    /// side files (`-wal`, `-shm`, `.lock`) are accessible to their owner alone. Blocks while it
    /// reads the file.
    ///
    /// # Errors
    /// [`StoreError::InUse`], [`StoreError::NewerSchema`], [`StoreError::Foreign`],
    /// [`StoreError::Corrupt`], [`StoreError::Open`] and [`StoreError::Backend`].
    pub fn open(path: &Path) -> Result<SqliteStore, StoreError> {
        SqliteStore::open_with(path, SqliteOptions::default())
    }

    /// Opens or creates a store.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn open_with(path: &Path, options: SqliteOptions) -> Result<SqliteStore, StoreError> {
        let lock = schema::lock(path)?;
        let connection = schema::open_writer(path, &schema::STATE)?;
        let writer = Writer::open(
            connection,
            lock,
            options.retention,
            FEED_RETENTION,
            options.answers,
        )?;
        let reader = Reader::open(path)?;
        let (feed, counters) = (writer.feed(), writer.counters());
        let (queue, requests) = mpsc::channel(writer::QUEUE_TRANSACTIONS);
        let writer = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run(requests))
            .map_err(|error| BackendError::new("starting the writer", error))?;
        Ok(SqliteStore {
            queue: Some(queue),
            writer: Some(writer),
            reader,
            feed,
            counters,
        })
    }

    /// The counts since the store was opened.
    pub fn stats(&self) -> Stats {
        let counters = &self.counters;
        Stats {
            transactions: counters.transactions.load(Ordering::Relaxed),
            conflicts: counters.conflicts.load(Ordering::Relaxed),
            batches: counters.batches.load(Ordering::Relaxed),
            largest_batch: counters.largest_batch.load(Ordering::Relaxed),
            answers: counters.answers.load(Ordering::Relaxed),
            answer_bytes: counters.answer_bytes.load(Ordering::Relaxed),
        }
    }

    async fn send(&self, request: Request) -> Result<(), BackendError> {
        let queue = self.queue.as_ref().expect("taken by drop alone");
        let sent = queue.send(request).await;
        sent.map_err(|_| BackendError::new("committing", WriterGone))
    }

    async fn write(&self, transaction: Transaction) -> Result<Revision, CommitError> {
        let (reply, outcome) = oneshot::channel();
        let request = Request::Commit { transaction, reply };
        self.send(request).await.map_err(CommitError::Backend)?;
        outcome.await.unwrap_or_else(|_| {
            let gone = BackendError::new("committing", WriterGone);
            Err(CommitError::Unknown(gone))
        })
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        self.reader.snapshot().await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, CommitError> {
        transaction.validate()?;
        self.write(transaction).await
    }

    async fn remember(&self, answer: Answer) -> Result<(), CommitError> {
        answer.validate()?;
        let remembering = Transaction {
            answer: Some(answer),
            ..Transaction::default()
        };
        self.write(remembering).await.map(drop)
    }

    async fn answer_to(&self, request: AnswerKey) -> Result<Option<Bytes>, StoreError> {
        let find = move |connection: &Connection| answers::find(connection, &request);
        Ok(self.reader.read("looking for an answer", find).await?)
    }

    async fn forget_answers(
        &self,
        before: UnixMillis,
        at_most: usize,
    ) -> Result<usize, StoreError> {
        let (reply, outcome) = oneshot::channel();
        let request = Request::Forget {
            before,
            at_most,
            reply,
        };
        self.send(request).await?;
        let outcome = outcome.await;
        Ok(outcome.map_err(|_| BackendError::new("forgetting answers", WriterGone))??)
    }

    async fn watch(&self, from: Revision) -> Result<Watch, WatchError> {
        let (recent, _) = self.feed.subscribe();
        if from > recent.last() {
            // A snapshot can be ahead of the feed for the moment between commit and publication.
            let current = self.reader.revision().await?;
            if from > current {
                return Err(WatchError::Future { current });
            }
        }
        let archive = reader::archive(&self.reader);
        Watch::new(from, &self.feed, Some(archive)).primed().await
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(writer) = self.writer.take() {
            // The thread's panic was printed when it happened, and its callers were told.
            let _ = writer.join();
        }
    }
}

/// The writer thread ended by a panic.
#[derive(Debug, thiserror::Error)]
#[error("the store's writer has ended; restart to open the store again")]
struct WriterGone;
