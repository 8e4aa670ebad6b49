//! A watch: every change after a revision, in order, then each as it is committed.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::error::WatchError;
use crate::feed::{Feed, Read, Recent};
use crate::transaction::{Change, Revision};

/// Changes read from the ring or the archive at a time.
const PAGE_CHANGES: usize = 256;

/// Older changes than the feed holds.
#[async_trait]
pub(crate) trait Archive: Send + Sync {
    /// At most `max` changes after a revision, consecutive, empty when there are none yet.
    ///
    /// # Errors
    /// [`WatchError::Compacted`] when the next one is no longer kept.
    async fn read_after(&self, after: Revision, max: usize) -> Result<Vec<Change>, WatchError>;
}

/// A running watch. It holds no resource of the store but memory, and ends by being dropped.
pub struct Watch {
    position: Revision,
    recent: Recent,
    wake: watch::Receiver<Revision>,
    archive: Option<Arc<dyn Archive>>,
    page: VecDeque<Arc<Change>>,
    is_ended: bool,
}

impl Watch {
    /// A watch from a revision that the caller has compared with the store's.
    pub(crate) fn new(from: Revision, feed: &Feed, archive: Option<Arc<dyn Archive>>) -> Watch {
        let (recent, wake) = feed.subscribe();
        Watch {
            position: from,
            recent,
            wake,
            archive,
            page: VecDeque::new(),
            is_ended: false,
        }
    }

    /// The revision up to which changes were handed out.
    pub fn position(&self) -> Revision {
        self.position
    }

    /// The next change; waits until there is one. `None` when the store is closed and everything
    /// was handed out, or after an error.
    ///
    /// Cancel-safe: a change is either handed out or still to come.
    ///
    /// # Errors
    /// [`WatchError::Compacted`] when the watcher fell behind what is kept, and
    /// [`WatchError::Backend`]. The watch has then ended.
    pub async fn next(&mut self) -> Option<Result<Change, WatchError>> {
        loop {
            if let Some(change) = self.page.pop_front() {
                self.position = change.revision;
                return Some(Ok(Arc::unwrap_or_clone(change)));
            }
            if self.is_ended {
                return None;
            }
            match self.fill().await {
                Ok(()) => {}
                Err(error) => {
                    self.is_ended = true;
                    return Some(Err(error));
                }
            }
        }
    }

    /// Reads the next page, or waits until the feed has grown or is closed.
    async fn fill(&mut self) -> Result<(), WatchError> {
        self.page = self.read_page().await?;
        if self.page.is_empty() && self.wake.changed().await.is_err() {
            // The last change may have come between reading the page and the end of the feed.
            self.page = self.read_page().await?;
            self.is_ended = self.page.is_empty();
        }
        Ok(())
    }

    async fn read_page(&self) -> Result<VecDeque<Arc<Change>>, WatchError> {
        match self.recent.read_after(self.position, PAGE_CHANGES) {
            Read::Changes(changes) => Ok(changes.into()),
            Read::Behind(oldest) => match &self.archive {
                None => Err(WatchError::Compacted { oldest }),
                Some(archive) => {
                    let changes = archive.read_after(self.position, PAGE_CHANGES).await?;
                    Ok(changes.into_iter().map(Arc::new).collect())
                }
            },
        }
    }

    /// Reads the first page, so that a start below what is kept is told at once.
    pub(crate) async fn primed(mut self) -> Result<Watch, WatchError> {
        self.page = self.read_page().await?;
        Ok(self)
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
