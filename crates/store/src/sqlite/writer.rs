//! The writer thread: group commit.
//!
//! One thread owns the writing connection. It takes everything that is queued, up to a bound,
//! evaluates each transaction's guards against the revisions in memory, and commits all that hold
//! in one SQLite transaction: one sync of the log for all of them. While it waits for the disk, the
//! next batch gathers in the queue.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::UnixMillis;
use rusqlite::types::{Null, ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, ToSql, TransactionBehavior, params};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, warn};

use crate::answer::{AnswerBounds, Tally};
use crate::error::{BackendError, CommitError, StoreError};
use crate::feed::{Feed, Retention};
use crate::transaction::{Change, Revision, Transaction, Write};

use super::answers::Answers;
use super::reader::{read_log_sizes, read_meta, read_revisions, to_sql};

/// Transactions that wait for the writer at most; further callers wait for room.
pub(super) const QUEUE_TRANSACTIONS: usize = 512;

/// Transactions committed together at most.
const BATCH_TRANSACTIONS: usize = 512;

/// What the writer is asked for, and the way back.
pub(super) enum Request {
    /// To commit a transaction. One without writes only remembers its answer.
    Commit {
        transaction: Transaction,
        reply: Reply,
    },
    /// To forget answers.
    Forget {
        before: UnixMillis,
        at_most: usize,
        reply: oneshot::Sender<Result<usize, BackendError>>,
    },
}

/// Counts since the store was opened.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) transactions: AtomicU64,
    pub(super) conflicts: AtomicU64,
    pub(super) batches: AtomicU64,
    pub(super) largest_batch: AtomicU64,
    pub(super) answers: AtomicU64,
    pub(super) answer_bytes: AtomicU64,
}

impl Counters {
    fn count_batch(&self, transactions: u64) {
        self.transactions.fetch_add(transactions, Ordering::Relaxed);
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.largest_batch
            .fetch_max(transactions, Ordering::Relaxed);
    }

    fn set_answers(&self, total: Tally) {
        self.answers.store(total.answers, Ordering::Relaxed);
        self.answer_bytes.store(total.bytes, Ordering::Relaxed);
    }
}

/// The writing connection and what it knows of the content.
pub(super) struct Writer {
    connection: Connection,
    revision: Revision,
    revisions: HashMap<String, Revision>,
    log: Log,
    answers: Answers,
    feed: Arc<Feed>,
    counters: Arc<Counters>,
    /// Held as long as the connection is open.
    _lock: File,
}

/// The sizes of the changes in the log, oldest first.
#[derive(Debug)]
struct Log {
    retention: Retention,
    sizes: VecDeque<(Revision, usize)>,
    bytes: usize,
}

impl Log {
    fn read(connection: &Connection, retention: Retention) -> rusqlite::Result<Log> {
        let sizes = VecDeque::from(read_log_sizes(connection)?);
        let bytes = sizes.iter().map(|(_, bytes)| bytes).sum();
        Ok(Log {
            retention,
            sizes,
            bytes,
        })
    }

    /// Checks that the log goes from one revision to another without a gap.
    fn check(&self, compacted: Revision, last: Revision) -> Result<(), StoreError> {
        let mut expected = compacted;
        for (revision, _) in &self.sizes {
            expected = expected.next();
            if *revision != expected {
                let reason = format!("change {expected} is missing before change {revision}");
                return Err(StoreError::Corrupt(reason));
            }
        }
        if expected != last {
            let reason = format!("the changes end at {expected}, the store is at {last}");
            return Err(StoreError::Corrupt(reason));
        }
        Ok(())
    }

    fn push(&mut self, revision: Revision, bytes: usize) {
        self.sizes.push_back((revision, bytes));
        self.bytes += bytes;
    }

    /// Drops what exceeds the retention and returns the last revision dropped.
    fn compact(&mut self) -> Option<Revision> {
        let mut last = None;
        while self.retention.is_exceeded(self.sizes.len(), self.bytes) {
            let (revision, bytes) = self.sizes.pop_front()?;
            self.bytes -= bytes;
            last = Some(revision);
        }
        last
    }
}

/// Whether the writer can go on after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Nothing of the batch was written.
    Usable,
    /// What is on the disk is not known. Only opening the store again can tell.
    Broken,
}

/// The store stopped after a failure that left the disk's content unknown.
#[derive(Debug, thiserror::Error)]
#[error("the store stopped after a failed commit; restart to open it again")]
struct Stopped;

pub(super) type Reply = oneshot::Sender<Result<Revision, CommitError>>;

/// A batch with its guards evaluated.
#[derive(Default)]
struct Batch {
    outcomes: Vec<(Reply, Result<Revision, CommitError>)>,
    changes: Vec<Change>,
}

impl Writer {
    /// Reads what the writer has to know. The lock is held until the writer is dropped.
    pub(super) fn open(
        connection: Connection,
        lock: File,
        retention: Retention,
        feed_retention: Retention,
        answers: AnswerBounds,
    ) -> Result<Writer, StoreError> {
        let read = || -> rusqlite::Result<_> {
            let revision = read_meta(&connection, "revision")?;
            let compacted = read_meta(&connection, "compacted")?;
            let revisions = read_revisions(&connection)?;
            let log = Log::read(&connection, retention)?;
            let answers = Answers::read(&connection, answers)?;
            Ok((revision, compacted, revisions, log, answers))
        };
        let (revision, compacted, revisions, log, answers) =
            read().map_err(|error| BackendError::new("reading the store", error))?;
        log.check(compacted, revision)?;
        if let Some((key, newer)) = revisions.iter().find(|(_, of_key)| **of_key > revision) {
            let reason = format!("`{key}` is of revision {newer}, the store of {revision}");
            return Err(StoreError::Corrupt(reason));
        }
        let counters = Arc::new(Counters::default());
        counters.set_answers(answers.total());
        Ok(Writer {
            revision,
            revisions,
            log,
            answers,
            feed: Arc::new(Feed::new(revision, feed_retention)),
            counters,
            connection,
            _lock: lock,
        })
    }

    pub(super) fn feed(&self) -> Arc<Feed> {
        Arc::clone(&self.feed)
    }

    pub(super) fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Does what comes until the queue is closed and empty.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        let mut requests = Vec::new();
        let mut fate = Fate::Usable;
        while queue.blocking_recv_many(&mut requests, BATCH_TRANSACTIONS) > 0 {
            // Those who are about to commit get their chance to be in the batch: a sync costs the
            // same for all of them.
            std::thread::yield_now();
            while requests.len() < BATCH_TRANSACTIONS
                && let Ok(request) = queue.try_recv()
            {
                requests.push(request);
            }
            let mut transactions = Vec::with_capacity(requests.len());
            let mut forgets = Vec::new();
            for request in requests.drain(..) {
                match request {
                    Request::Commit { transaction, reply } => {
                        transactions.push((transaction, reply));
                    }
                    Request::Forget {
                        before,
                        at_most,
                        reply,
                    } => forgets.push((before, at_most, reply)),
                }
            }
            match fate {
                Fate::Usable => fate = self.commit(transactions),
                Fate::Broken => {
                    for (_, reply) in transactions {
                        answer(reply, Err(CommitError::Backend(stopped())));
                    }
                }
            }
            for (before, at_most, reply) in forgets {
                let forgotten = match fate {
                    Fate::Usable => self.forget(before, at_most, &mut fate),
                    Fate::Broken => Err(stopped()),
                };
                // Whoever no longer waits asks again.
                let _ = reply.send(forgotten);
            }
        }
    }

    fn commit(&mut self, transactions: Vec<(Transaction, Reply)>) -> Fate {
        let batch = self.evaluate(transactions);
        if !batch.changes.is_empty() || self.answers.is_staged() {
            let compacted = self.log.compact();
            if let Err(error) = self.write(&batch.changes, compacted) {
                return self.fail(batch, error);
            }
            self.answers.written();
            self.counters.count_batch(batch.changes.len() as u64);
            self.counters.set_answers(self.answers.total());
            if !batch.changes.is_empty() {
                self.feed.publish(batch.changes);
            }
        }
        for (reply, outcome) in batch.outcomes {
            if matches!(outcome, Err(CommitError::Conflict { .. })) {
                self.counters.conflicts.fetch_add(1, Ordering::Relaxed);
            }
            answer(reply, outcome);
        }
        Fate::Usable
    }

    /// Evaluates each transaction on top of those before it and gives out revisions, in memory.
    fn evaluate(&mut self, transactions: Vec<(Transaction, Reply)>) -> Batch {
        let mut batch = Batch::default();
        for (transaction, reply) in transactions {
            let outcome = self.check(&transaction).map(|()| {
                if let Some(answer) = transaction.answer {
                    self.answers.stage(answer);
                }
                if !transaction.writes.is_empty() {
                    self.revision = self.revision.next();
                    let change = Change {
                        revision: self.revision,
                        writes: transaction.writes,
                    };
                    self.stage(&change);
                    batch.changes.push(change);
                }
                self.revision
            });
            batch.outcomes.push((reply, outcome));
        }
        batch
    }

    fn check(&self, transaction: &Transaction) -> Result<(), CommitError> {
        if let Some(answer) = &transaction.answer {
            self.answers
                .check(&self.connection, answer, self.revision)?;
        }
        transaction.check_guards(|key| self.revisions.get(key).copied())
    }

    fn forget(
        &mut self,
        before: UnixMillis,
        at_most: usize,
        fate: &mut Fate,
    ) -> Result<usize, BackendError> {
        let forgotten = self.answers.forget(&mut self.connection, before, at_most);
        let failed = match forgotten {
            Ok(count) => {
                self.counters.set_answers(self.answers.total());
                return Ok(count);
            }
            Err(error) => error,
        };
        let is_unknown = failed.sqlite_error_code() == Some(ErrorCode::SystemIoFailure);
        if is_unknown || self.restore().is_err() {
            error!(error = %failed, "forgetting answers failed; the store has stopped");
            *fate = Fate::Broken;
        }
        Err(BackendError::new("forgetting answers", failed))
    }

    fn stage(&mut self, change: &Change) {
        self.log.push(change.revision, change.len_bytes());
        for write in &change.writes {
            match write {
                Write::Put { key, .. } => self.revisions.insert(key.clone(), change.revision),
                Write::Delete { key } => self.revisions.remove(key),
            };
        }
    }

    fn write(
        &mut self,
        changes: &[Change],
        compacted: Option<Revision>,
    ) -> Result<(), (Step, rusqlite::Error)> {
        let before = |error| (Step::Before, error);
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(before)?;
        write_changes(&transaction, changes).map_err(before)?;
        self.answers.write(&transaction).map_err(before)?;
        set_meta(&transaction, "revision", self.revision).map_err(before)?;
        if let Some(compacted) = compacted {
            delete_changes(&transaction, compacted).map_err(before)?;
        }
        transaction.commit().map_err(|error| (Step::Commit, error))
    }

    /// Answers a batch that failed and restores what the disk has.
    fn fail(&mut self, batch: Batch, (step, source): (Step, rusqlite::Error)) -> Fate {
        // A failed sync leaves pages of which nobody knows whether they reached the disk, and a
        // second sync would not tell; so nothing is built on them.
        let is_unknown =
            step == Step::Commit && source.sqlite_error_code() == Some(ErrorCode::SystemIoFailure);
        let expected = Revision(self.revision.0 - batch.changes.len() as u64);
        let fate = match self.restore() {
            Ok(()) if !is_unknown && self.revision == expected => Fate::Usable,
            Ok(()) => Fate::Broken,
            Err(error) => {
                error!(%error, "the store cannot be read after a failed commit");
                Fate::Broken
            }
        };
        match fate {
            Fate::Usable => warn!(error = %source, "a commit failed; nothing was written"),
            Fate::Broken => error!(error = %source, "a commit failed; the store has stopped"),
        }
        let failure = BackendError::new("committing", source);
        for (reply, _) in batch.outcomes {
            let failure = failure.clone();
            let outcome = match fate {
                Fate::Usable => CommitError::Backend(failure),
                Fate::Broken => CommitError::Unknown(failure),
            };
            answer(reply, Err(outcome));
        }
        fate
    }

    fn restore(&mut self) -> rusqlite::Result<()> {
        if !self.connection.is_autocommit() {
            self.connection.execute_batch("ROLLBACK")?;
        }
        self.revision = read_meta(&self.connection, "revision")?;
        self.revisions = read_revisions(&self.connection)?;
        self.log = Log::read(&self.connection, self.log.retention)?;
        self.answers.restore(&self.connection)?;
        self.counters.set_answers(self.answers.total());
        Ok(())
    }
}

/// Where a batch failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Before the commit: SQLite rolls back.
    Before,
    /// In the commit itself.
    Commit,
}

fn stopped() -> BackendError {
    BackendError::new("committing", Stopped)
}

/// A caller that no longer waits is no error.
fn answer(reply: Reply, outcome: Result<Revision, CommitError>) {
    let _ = reply.send(outcome);
}

fn write_changes(connection: &Connection, changes: &[Change]) -> rusqlite::Result<()> {
    let mut put = connection.prepare_cached(
        "INSERT INTO entry (key, value, revision) VALUES (?1, ?2, ?3) \
         ON CONFLICT (key) DO UPDATE SET value = excluded.value, revision = excluded.revision",
    )?;
    let mut delete = connection.prepare_cached("DELETE FROM entry WHERE key = ?1")?;
    let mut log = connection.prepare_cached(
        "INSERT INTO change (revision, position, key, value) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for change in changes {
        let revision = to_sql(change.revision);
        for (position, write) in change.writes.iter().enumerate() {
            match write {
                Write::Put { key, value } => {
                    put.execute(params![key, StoredValue(value), revision])?;
                    log.execute(params![revision, position as i64, key, StoredValue(value)])?;
                }
                Write::Delete { key } => {
                    delete.execute([key])?;
                    log.execute(params![revision, position as i64, key, Null])?;
                }
            }
        }
    }
    Ok(())
}

fn delete_changes(connection: &Connection, until: Revision) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM change WHERE revision <= ?1")?
        .execute([to_sql(until)])?;
    set_meta(connection, "compacted", until)
}

fn set_meta(connection: &Connection, name: &str, revision: Revision) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE meta SET value = ?2 WHERE name = ?1")?
        .execute(params![name, to_sql(revision)])?;
    Ok(())
}

/// Text where it is text, so that the `sqlite3` shell shows it; a blob otherwise.
pub(super) struct StoredValue<'a>(pub(super) &'a [u8]);

impl ToSql for StoredValue<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value = match std::str::from_utf8(self.0) {
            Ok(_) => ValueRef::Text(self.0),
            Err(_) => ValueRef::Blob(self.0),
        };
        Ok(ToSqlOutput::Borrowed(value))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::schema;
    use super::*;
    use crate::conformance::{put, writes};

    fn open(folder: &Path) -> Writer {
        let path = folder.join("state.db");
        let lock = schema::lock(&path).unwrap();
        let connection = schema::open_writer(&path, &schema::STATE).unwrap();
        let (retention, bounds) = (Retention::default(), AnswerBounds::default());
        Writer::open(connection, lock, retention, retention, bounds).unwrap()
    }

    type Answer = oneshot::Receiver<Result<Revision, CommitError>>;

    fn request(key: &str, value_bytes: usize) -> ((Transaction, Reply), Answer) {
        let (reply, answer) = oneshot::channel();
        let transaction = writes([put(key, &"x".repeat(value_bytes))]);
        ((transaction, reply), answer)
    }

    fn queued((transaction, reply): (Transaction, Reply)) -> Request {
        Request::Commit { transaction, reply }
    }

    fn answered(mut answer: Answer) -> Result<Revision, CommitError> {
        answer.try_recv().expect("is answered")
    }

    #[test]
    fn every_commit_syncs_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let writer = open(folder.path());
        let pragma = |name| {
            let value = writer
                .connection
                .pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0));
            value.unwrap()
        };
        assert_eq!(pragma("journal_mode"), "wal".to_owned().into());
        assert_eq!(pragma("synchronous"), 2.into());
    }

    #[test]
    fn a_full_disk_fails_the_whole_batch_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = open(folder.path());
        let (first, kept) = request("kept", 1);
        assert_eq!(writer.commit(vec![first]), Fate::Usable);
        assert_eq!(answered(kept), Ok(Revision(1)));

        let limit_pages = |writer: &Writer, pages: i64| {
            let sql = format!("PRAGMA max_page_count = {pages}");
            writer
                .connection
                .query_row(&sql, [], |row| row.get::<_, i64>(0))
                .unwrap()
        };
        limit_pages(&writer, 20);
        let (small, small_answer) = request("kept", 1);
        let (large, large_answer) = request("large", 500_000);
        assert_eq!(writer.commit(vec![small, large]), Fate::Usable);
        for answer in [small_answer, large_answer] {
            assert!(matches!(answered(answer), Err(CommitError::Backend(_))));
        }
        assert_eq!(
            writer.revisions,
            HashMap::from([("kept".into(), Revision(1))])
        );

        limit_pages(&writer, 10_000);
        let (again, answer) = request("large", 500_000);
        assert_eq!(writer.commit(vec![again]), Fate::Usable);
        assert_eq!(answered(answer), Ok(Revision(2)));
        let stored = read_revisions(&writer.connection).unwrap();
        assert_eq!(stored, writer.revisions);
        assert_eq!(writer.feed.subscribe().0.last(), Revision(2));
    }

    #[test]
    fn a_writer_that_lost_its_file_refuses_everything_after() {
        let folder = tempfile::tempdir().unwrap();
        let writer = open(folder.path());
        writer.connection.execute_batch("DROP TABLE meta").unwrap();
        let (queue, requests) = mpsc::channel(QUEUE_TRANSACTIONS);
        let thread = std::thread::spawn(move || writer.run(requests));
        let (first, first_answer) = request("k", 1);
        queue
            .blocking_send(queued(first))
            .unwrap_or_else(|_| panic!("the writer runs"));
        let outcome = first_answer.blocking_recv().unwrap();
        assert!(matches!(outcome, Err(CommitError::Unknown(_))));
        let (second, second_answer) = request("k", 1);
        queue
            .blocking_send(queued(second))
            .unwrap_or_else(|_| panic!("the writer runs"));
        let outcome = second_answer.blocking_recv().unwrap();
        assert!(matches!(outcome, Err(CommitError::Backend(_))));
        drop(queue);
        thread.join().unwrap();
    }
}
