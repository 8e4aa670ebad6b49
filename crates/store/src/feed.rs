//! The recent changes of a store, kept in memory for its watchers.
//!
//! There is one ring for all watchers and no queue per watcher, so a slow watcher costs nothing: it
//! reads from where it stands, and when the ring has moved on it reads from the archive, or learns
//! that what it needs is compacted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::transaction::{Change, Revision};

/// How many changes are kept for watchers: the newest ones, within both bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Changes at most, at least 1.
    pub changes: usize,
    /// Bytes of keys and values at most. The newest change is kept whatever its size.
    pub bytes: usize,
}

impl Default for Retention {
    /// 16384 changes and 64 MiB.
    fn default() -> Self {
        Retention {
            changes: 16_384,
            bytes: 64 * 1024 * 1024,
        }
    }
}

impl Retention {
    /// Whether that much has to shrink. A single change never has to.
    pub(crate) fn is_exceeded(self, changes: usize, bytes: usize) -> bool {
        changes > 1 && (changes > self.changes || bytes > self.bytes)
    }
}

/// What a ring has for someone who has seen everything up to a revision.
#[derive(Debug)]
pub(crate) enum Read {
    /// The next changes, empty when there are none yet.
    Changes(Vec<Arc<Change>>),
    /// The next change is no longer in the ring, which reaches back to this revision.
    Behind(Revision),
}

/// A bounded run of consecutive changes that ends with the newest one.
#[derive(Debug)]
struct Ring {
    retention: Retention,
    changes: VecDeque<Arc<Change>>,
    bytes: usize,
    last: Revision,
}

/// Read access to the ring, shared by all watchers.
#[derive(Debug, Clone)]
pub(crate) struct Recent(Arc<Mutex<Ring>>);

/// The publishing side. When it is dropped, watchers end after the last change.
#[derive(Debug)]
pub(crate) struct Feed {
    recent: Recent,
    wake: watch::Sender<Revision>,
}

impl Feed {
    /// A feed of a store that stands at a revision.
    pub(crate) fn new(last: Revision, retention: Retention) -> Feed {
        Feed {
            recent: Recent(Arc::new(Mutex::new(Ring {
                retention,
                changes: VecDeque::new(),
                bytes: 0,
                last,
            }))),
            wake: watch::Sender::new(last),
        }
    }

    /// Appends changes, which follow on what is there, and wakes the watchers.
    pub(crate) fn publish(&self, changes: Vec<Change>) {
        let last = self.recent.append(changes);
        self.wake.send_replace(last);
    }

    /// The ring and a receiver that tells when it grows.
    pub(crate) fn subscribe(&self) -> (Recent, watch::Receiver<Revision>) {
        (self.recent.clone(), self.wake.subscribe())
    }
}

impl Recent {
    fn append(&self, changes: Vec<Change>) -> Revision {
        let mut ring = self.lock();
        for change in changes {
            assert_eq!(change.revision, ring.last.next(), "a gap between changes");
            ring.last = change.revision;
            ring.bytes += change.len_bytes();
            ring.changes.push_back(Arc::new(change));
        }
        while ring.retention.is_exceeded(ring.changes.len(), ring.bytes) {
            if let Some(oldest) = ring.changes.pop_front() {
                ring.bytes -= oldest.len_bytes();
            }
        }
        ring.last
    }

    /// At most `max` changes after a revision.
    pub(crate) fn read_after(&self, after: Revision, max: usize) -> Read {
        let ring = self.lock();
        let oldest = Revision(ring.last.0 - ring.changes.len() as u64);
        let Some(skip) = after.0.checked_sub(oldest.0) else {
            return Read::Behind(oldest);
        };
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        Read::Changes(ring.changes.iter().skip(skip).take(max).cloned().collect())
    }

    /// The newest revision.
    pub(crate) fn last(&self) -> Revision {
        self.lock().last
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Ring> {
        // The ring is consistent between statements that can panic, so a poisoned lock is usable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::transaction::Write;

    fn change(revision: u64, value_bytes: usize) -> Change {
        Change {
            revision: Revision(revision),
            writes: vec![Write::Put {
                key: "k".into(),
                value: Bytes::from(vec![b'x'; value_bytes]),
            }],
        }
    }

    fn revisions(feed: &Feed, after: u64) -> Result<Vec<u64>, u64> {
        match feed.subscribe().0.read_after(Revision(after), 100) {
            Read::Changes(changes) => Ok(changes.iter().map(|c| c.revision.0).collect()),
            Read::Behind(oldest) => Err(oldest.0),
        }
    }

    #[test]
    fn the_ring_keeps_the_newest_changes_within_both_bounds() {
        let retention = Retention {
            changes: 3,
            bytes: 100,
        };
        let feed = Feed::new(Revision(10), retention);
        assert_eq!(revisions(&feed, 10), Ok(vec![]));
        assert_eq!(revisions(&feed, 9), Err(10));
        feed.publish((11..=15).map(|n| change(n, 1)).collect());
        assert_eq!(revisions(&feed, 12), Ok(vec![13, 14, 15]));
        assert_eq!(revisions(&feed, 11), Err(12));
        feed.publish(vec![change(16, 97)]);
        assert_eq!(revisions(&feed, 14), Ok(vec![15, 16]));
        assert_eq!(revisions(&feed, 13), Err(14));
        feed.publish(vec![change(17, 1000)]);
        assert_eq!(revisions(&feed, 16), Ok(vec![17]));
        assert_eq!(revisions(&feed, 15), Err(16));
    }
}
