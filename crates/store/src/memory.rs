//! The memory backend: for tests, and the model that other backends are compared with.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::Store;
use crate::error::{CommitError, StoreError, WatchError};
use crate::feed::{Feed, Retention};
use crate::transaction::{Change, Entry, Revision, Snapshot, Transaction, Write};
use crate::watch::Watch;

/// A store that lives as long as its value.
#[derive(Debug)]
pub struct MemoryStore {
    content: Mutex<Snapshot>,
    feed: Feed,
}

impl MemoryStore {
    /// An empty store with the default retention.
    pub fn new() -> MemoryStore {
        MemoryStore::with_retention(Retention::default())
    }

    /// An empty store that keeps that many changes for watchers.
    pub fn with_retention(retention: Retention) -> MemoryStore {
        MemoryStore {
            content: Mutex::default(),
            feed: Feed::new(Revision::ZERO, retention),
        }
    }

    fn content(&self) -> MutexGuard<'_, Snapshot> {
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
        Ok(self.content().clone())
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, CommitError> {
        transaction.validate()?;
        let mut content = self.content();
        transaction.check_guards(|key| content.entries.get(key).map(|entry| entry.revision))?;
        let revision = content.revision.next();
        content.revision = revision;
        for write in &transaction.writes {
            apply(&mut content.entries, write, revision);
        }
        // Published under the lock: the feed takes changes in the order of their revisions.
        self.feed.publish(vec![Change {
            revision,
            writes: transaction.writes,
        }]);
        Ok(revision)
    }

    async fn watch(&self, from: Revision) -> Result<Watch, WatchError> {
        let current = self.content().revision;
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
