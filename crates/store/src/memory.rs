//! The memory backend: for tests, and the model that other backends are compared with.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use model::{Uin, UnixMillis};

use crate::Store;
use crate::answer::{self, Answer, AnswerBounds, AnswerKey, KnownBy, Tallies, Tally};
use crate::error::{CommitError, StoreError, WatchError};
use crate::feed::{Feed, Retention};
use crate::transaction::{Change, Entry, Revision, Snapshot, Transaction, Write};
use crate::watch::Watch;

/// A store that lives as long as its value.
#[derive(Debug)]
pub struct MemoryStore {
    content: Mutex<Content>,
    feed: Feed,
}

#[derive(Debug)]
struct Content {
    state: Snapshot,
    answers: BTreeMap<AnswerKey, (Uin, Bytes)>,
    /// The keys of those that are known by their digest alone.
    by_digest: BTreeMap<[u8; 32], AnswerKey>,
    tallies: Tallies,
}

impl Content {
    /// Checks that a request was not answered before and that its answer has room.
    fn check(&self, answer: &Answer) -> Result<(), CommitError> {
        match self.find(&answer.key) {
            Some(value) => Err(CommitError::Answered {
                value,
                revision: self.state.revision,
            }),
            None => self.tallies.check(answer),
        }
    }

    fn find(&self, request: &AnswerKey) -> Option<Bytes> {
        let key = match request.known_by {
            KnownBy::TimeAndDigest => request,
            KnownBy::Digest => self.by_digest.get(&request.digest)?,
        };
        self.answers.get(key).map(|(_, value)| value.clone())
    }

    fn remember(&mut self, answer: Answer) {
        self.tallies
            .add(answer.account, answer::one(answer.value.len()));
        if answer.key.known_by == KnownBy::Digest {
            self.by_digest.insert(answer.key.digest, answer.key);
        }
        self.answers
            .insert(answer.key, (answer.account, answer.value));
    }
}

impl MemoryStore {
    /// An empty store with the default retention.
    pub fn new() -> MemoryStore {
        MemoryStore::with_retention(Retention::default())
    }

    /// An empty store that keeps that many changes for watchers.
    pub fn with_retention(retention: Retention) -> MemoryStore {
        MemoryStore::with(retention, AnswerBounds::default())
    }

    /// An empty store that remembers that many answers.
    pub fn with_answers(bounds: AnswerBounds) -> MemoryStore {
        MemoryStore::with(Retention::default(), bounds)
    }

    fn with(retention: Retention, bounds: AnswerBounds) -> MemoryStore {
        MemoryStore {
            content: Mutex::new(Content {
                state: Snapshot::default(),
                answers: BTreeMap::new(),
                by_digest: BTreeMap::new(),
                tallies: Tallies::new(bounds),
            }),
            feed: Feed::new(Revision::ZERO, retention),
        }
    }

    /// How many answers are remembered.
    pub fn answers(&self) -> Tally {
        self.content().tallies.total()
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        MemoryStore::new()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Ok(self.content().state.clone())
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, CommitError> {
        transaction.validate()?;
        let mut content = self.content();
        if let Some(answer) = &transaction.answer {
            content.check(answer)?;
        }
        let state = &mut content.state;
        transaction.check_guards(|key| state.entries.get(key).map(|entry| entry.revision))?;
        let revision = state.revision.next();
        state.revision = revision;
        for write in &transaction.writes {
            apply(&mut state.entries, write, revision);
        }
        if let Some(answer) = transaction.answer {
            content.remember(answer);
        }
        // Published under the lock: the feed takes changes in the order of their revisions.
        self.feed.publish(vec![Change {
            revision,
            writes: transaction.writes,
        }]);
        Ok(revision)
    }

    async fn remember(&self, answer: Answer) -> Result<(), CommitError> {
        answer.validate()?;
        let mut content = self.content();
        content.check(&answer)?;
        content.remember(answer);
        Ok(())
    }

    async fn answer_to(&self, request: AnswerKey) -> Result<Option<Bytes>, StoreError> {
        Ok(self.content().find(&request))
    }

    async fn forget_answers(
        &self,
        before: UnixMillis,
        at_most: usize,
    ) -> Result<usize, StoreError> {
        let mut content = self.content();
        for forgotten in 0..at_most {
            let Some(oldest) = content.answers.first_entry() else {
                return Ok(forgotten);
            };
            if oldest.key().made_at >= before {
                return Ok(forgotten);
            }
            let (key, (account, value)) = oldest.remove_entry();
            if key.known_by == KnownBy::Digest {
                content.by_digest.remove(&key.digest);
            }
            content.tallies.subtract(account, answer::one(value.len()));
        }
        Ok(at_most)
    }

    async fn watch(&self, from: Revision) -> Result<Watch, WatchError> {
        let current = self.content().state.revision;
        if from > current {
            return Err(WatchError::Future { current });
        }
        Watch::new(from, &self.feed, None).primed().await
    }
}

fn apply(entries: &mut BTreeMap<String, Entry>, write: &Write, revision: Revision) {
    match write {
        Write::Put { key, value } => {
            let value = value.clone();
            entries.insert(key.clone(), Entry { value, revision });
        }
        Write::Delete { key } => {
            entries.remove(key);
        }
    }
}
