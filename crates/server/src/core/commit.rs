//! How a decision becomes durable, and how the catalog follows the store.
//!
//! A decision is a function of one catalog that notes what it read and what it writes in a
//! [`Draft`]. Everything written is guarded by the revision that the catalog saw, as is everything
//! read through [`Draft::read`]. If a guard does not hold, somebody else committed first: the core
//! waits until its catalog has passed that commit and decides again. Competing decisions about one
//! VPC meet in the VPC's own record, whose epoch all of them write.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures::FutureExt;
use model::{TaskId, VpcId, World};
use store::record::{Key, Record};
use store::{CommitError, Guard, Revision, Store, Transaction, Watch, Write};
use tokio::sync::watch;

use super::Core;
use crate::catalog::Catalog;
use crate::error::{OpenError, StateError, UseCaseError};

/// How often a decision is made again before the caller is told to come back.
pub(super) const ATTEMPTS: u32 = 64;

/// The longest random pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// Changes that the catalog takes in before it is published, at most. They share the copies of what
/// they touch, and those who wait are woken once.
const CHANGES_AT_ONCE: usize = 64;

/// The longest pause between two attempts to load a store that fails.
const LONGEST_RELOAD_PAUSE: Duration = Duration::from_secs(5);

/// A decision being made: what it is based on and what it changes.
pub(super) struct Draft<'a> {
    catalog: &'a Catalog,
    guards: BTreeMap<String, Option<Revision>>,
    writes: BTreeMap<String, Write>,
    started: Option<TaskId>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(catalog: &'a Catalog) -> Draft<'a> {
        #[cfg(test)]
        super::tests::history::decided_on(catalog.revision());
        Draft {
            catalog,
            guards: BTreeMap::new(),
            writes: BTreeMap::new(),
            started: None,
        }
    }

    /// Notes the task that the decision leaves to the gateways.
    pub(super) fn start(&mut self, task: TaskId) {
        self.started = Some(task);
    }

    /// The task that the decision leaves to the gateways.
    pub(super) fn started(&self) -> Option<TaskId> {
        self.started
    }

    /// The state that the decision is made on. The draft's own writes are not in it.
    pub(super) fn catalog(&self) -> &'a Catalog {
        self.catalog
    }

    /// Notes that the decision holds only while this record, or its absence, stays as it is.
    pub(super) fn read(&mut self, key: &Key) {
        let revision = self.catalog.revision_of(key);
        self.guards.insert(key.to_string(), revision);
    }

    /// Writes a record; a new one must still be absent when the decision commits.
    pub(super) fn put(&mut self, record: impl Into<Record>) {
        let record = record.into();
        let key = record.key();
        self.read(&key);
        self.writes.insert(key.to_string(), record.put());
    }

    /// Removes a record.
    pub(super) fn delete(&mut self, key: &Key) {
        self.read(key);
        self.writes.insert(key.to_string(), key.delete());
    }

    /// Writes the next epoch of a VPC, so that no competing decision about it commits as well.
    pub(super) fn next_epoch(&mut self, vpc: VpcId) {
        if let Some(vpc) = self.catalog.vpc(vpc) {
            self.put(vpc.next_epoch());
        }
    }

    pub(super) fn finish(self) -> Option<Transaction> {
        if self.writes.is_empty() {
            return None;
        }
        let guards = self.guards.into_iter();
        Some(Transaction {
            guards: guards
                .map(|(key, expected)| Guard { key, expected })
                .collect(),
            writes: self.writes.into_values().collect(),
            answer: None,
        })
    }
}

/// What a commit came to.
pub(super) enum Settled {
    /// It is done.
    Committed,
    /// Somebody else was first: decide again.
    Again,
    /// The request was answered before.
    Answered(Bytes),
}

impl Core {
    /// Decides and commits, again and again until no competing change comes between. A decision
    /// without writes commits nothing.
    pub(super) async fn decide<T, E>(
        &self,
        decision: impl Fn(&mut Draft<'_>) -> Result<T, E> + Send,
    ) -> Result<T, E>
    where
        T: Send,
        E: From<UseCaseError>,
    {
        for attempt in 0..ATTEMPTS {
            let catalog = self.catalog();
            let mut draft = Draft::new(&catalog);
            let outcome = decision(&mut draft)?;
            let Some(transaction) = draft.finish() else {
                return Ok(outcome);
            };
            let committed = self.store.commit(transaction).await;
            match self.settle(committed, catalog.revision(), attempt).await? {
                Settled::Committed => return Ok(outcome),
                Settled::Again => {}
                Settled::Answered(_) => {
                    let reason = "what no request asked for was answered before".to_owned();
                    return Err(UseCaseError::Internal(reason).into());
                }
            }
        }
        Err(UseCaseError::Busy.into())
    }

    /// What a commit came to. The catalog has followed: to what was written, or past what came
    /// between.
    pub(super) async fn settle(
        &self,
        committed: Result<Revision, CommitError>,
        decided_on: Revision,
        attempt: u32,
    ) -> Result<Settled, UseCaseError> {
        match committed {
            Ok(revision) => {
                self.reach(revision).await?;
                Ok(Settled::Committed)
            }
            Err(CommitError::Conflict { found, .. }) => {
                let passed = decided_on.next();
                self.reach(found.map_or(passed, |found| found.max(passed)))
                    .await?;
                pause(attempt).await;
                Ok(Settled::Again)
            }
            Err(CommitError::Answered { value, revision }) => {
                self.reach(revision).await?;
                Ok(Settled::Answered(value))
            }
            Err(CommitError::AnswersFull(full)) => Err(UseCaseError::AnswersFull(full)),
            Err(error) => Err(commit_failed(error)),
        }
    }

    /// Waits until the catalog stands at a revision or behind it.
    async fn reach(&self, revision: Revision) -> Result<(), UseCaseError> {
        let mut revisions = self.revisions.clone();
        let reached = revisions.wait_for(|current| *current >= revision).await;
        reached
            .map(drop)
            .map_err(|_| UseCaseError::from(StateError::Stopped))
    }
}

fn commit_failed(error: CommitError) -> UseCaseError {
    match error {
        CommitError::Conflict { .. }
        | CommitError::Answered { .. }
        | CommitError::AnswersFull(_)
        | CommitError::Backend(_)
        | CommitError::Unknown(_) => StateError::from(error).into(),
        CommitError::TooLarge { .. }
        | CommitError::InvalidKey(_)
        | CommitError::DuplicateKey(_)
        | CommitError::Empty => UseCaseError::Internal(error.to_string()),
    }
}

// Spreads out writers that keep meeting. The first attempts only give way to others.
async fn pause(attempt: u32) {
    let longest = LONGEST_PAUSE.min(Duration::from_micros(50) * 2u32.pow(attempt.min(16)));
    tokio::time::sleep(longest.mul_f64(rand::random())).await;
}

/// Loads the catalog and starts a watch behind it.
pub(super) async fn load(store: &dyn Store) -> Result<(Catalog, Watch), OpenError> {
    let snapshot = store.snapshot().await?;
    let catalog = Catalog::from_snapshot(&snapshot)?;
    let watch = store.watch(catalog.revision()).await?;
    Ok((catalog, watch))
}

/// Moves the catalog with the store until the store is closed or cannot be understood. Then
/// `revisions` is dropped, which everyone who waits for a revision notices.
pub(super) async fn follow(
    store: Arc<dyn Store>,
    mut watch: Watch,
    catalog: Arc<ArcSwap<Catalog>>,
    revisions: watch::Sender<Revision>,
) {
    let publish = |next: Catalog| {
        let revision = next.revision();
        catalog.store(Arc::new(next));
        revisions.send_replace(revision);
    };
    loop {
        let mut event = watch.next().await;
        let mut next = Catalog::clone(&catalog.load());
        let known = next.revision();
        let mut taken = 0;
        while let Some(Ok(change)) = &event {
            if let Err(error) = next.apply(change) {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    revision = change.revision.0,
                    "a change of the store cannot be understood; restart with the version that \
                     wrote it"
                );
                return;
            }
            taken += 1;
            let more = match taken < CHANGES_AT_ONCE {
                true => watch.next().now_or_never(),
                false => None,
            };
            let Some(more) = more else {
                break;
            };
            event = more;
        }
        if next.revision() > known {
            publish(next);
        }
        match event {
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the watch of the store broke; loading the state again"
                );
                let known = catalog.load().revision();
                let Some((next, again)) = reload(&*store, known).await else {
                    return;
                };
                watch = again;
                publish(next);
            }
            None => {
                tracing::info!("the store is closed");
                return;
            }
        }
    }
}

async fn reload(store: &dyn Store, known: Revision) -> Option<(Catalog, Watch)> {
    let mut pause = Duration::from_millis(50);
    loop {
        match load(store).await {
            Ok((catalog, _)) if catalog.revision() < known => {
                tracing::error!(
                    known = known.0,
                    found = catalog.revision().0,
                    "the store was replaced by an older copy; restart the server"
                );
                return None;
            }
            Ok(loaded) => return Some(loaded),
            Err(OpenError::Record(error)) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the state cannot be understood; restart with the version that wrote it"
                );
                return None;
            }
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the state cannot be loaded; trying again"
            ),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_RELOAD_PAUSE);
    }
}
