//! The errors of a store, by operation.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use model::Uin;

use crate::limits::Limit;
use crate::transaction::Revision;

/// A failure of what lies below a store: the disk, the database, the network.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{doing} failed")]
pub struct BackendError {
    doing: &'static str,
    #[source]
    source: Arc<dyn Error + Send + Sync>,
}

impl BackendError {
    /// Wraps a failure with what was being done, such as `reading the snapshot`.
    pub fn new(doing: &'static str, source: impl Error + Send + Sync + 'static) -> BackendError {
        BackendError {
            doing,
            source: Arc::new(source),
        }
    }
}

/// Two failures are never known to be the same one.
impl PartialEq for BackendError {
    fn eq(&self, _: &BackendError) -> bool {
        false
    }
}

/// A store that cannot be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process, or another part of this one, has the file open.
    #[error(
        "`{}` is in use by another process; a store file has one server, stop the other one or \
         choose another file", path.display()
    )]
    InUse {
        /// The store's file.
        path: PathBuf,
    },
    /// The file was written by a newer version of the software.
    #[error(
        "`{}` has schema version {found}, this version knows versions up to {supported}; start \
         the newer version again", path.display()
    )]
    NewerSchema {
        /// The store's file.
        path: PathBuf,
        /// The version found in the file.
        found: i64,
        /// The newest version known.
        supported: i64,
    },
    /// The file is a database of something else.
    #[error("`{}` is not a store of this software", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file or its folder cannot be created, opened or locked.
    #[error("opening `{}` failed", path.display())]
    Open {
        /// The store's file.
        path: PathBuf,
        /// Why.
        source: BackendError,
    },
    /// The content contradicts itself.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// Reading failed.
    #[error("the store cannot be read")]
    Backend(#[from] BackendError),
}

/// A transaction that was not committed, or not known to be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CommitError {
    /// A guard does not hold; nothing was written.
    #[error("`{key}` has changed ({})", describe(*found))]
    Conflict {
        /// The key of the first guard that does not hold.
        key: String,
        /// The revision of the key's entry; `None` when it is absent.
        found: Option<Revision>,
    },
    /// Over a bound; nothing was written.
    #[error("{found} {limit}, at most {} are allowed", limit.max())]
    TooLarge {
        /// The bound.
        limit: Limit,
        /// The number found.
        found: usize,
    },
    /// A key that is empty or holds anything but printable ASCII characters; nothing was written.
    #[error("{0:?} is not a key (printable ASCII characters without spaces)")]
    InvalidKey(String),
    /// A key that is written twice; nothing was written.
    #[error("`{0}` is written twice in one transaction")]
    DuplicateKey(String),
    /// A transaction without writes.
    #[error("a transaction without writes")]
    Empty,
    /// The request was answered before; nothing was written.
    #[error("the request was answered before")]
    Answered {
        /// Its first answer.
        value: Bytes,
        /// A revision of the store at which what the first request wrote is there.
        revision: Revision,
    },
    /// There is no room to remember the answer; nothing was written.
    #[error("no more answers can be remembered {0}")]
    AnswersFull(Full),
    /// The backend failed or is closed; nothing was written.
    #[error("the store could not commit; nothing was written")]
    Backend(#[source] BackendError),
    /// The backend failed or was lost while committing: the transaction may be committed or not.
    #[error("the store failed during a commit, whose outcome is unknown")]
    Unknown(#[source] BackendError),
}

impl CommitError {
    /// Whether deciding again on a newer snapshot and committing that can succeed. An unknown
    /// outcome is not: the first attempt may stand, and repeating it could do its work twice.
    pub fn retryable(&self) -> bool {
        match self {
            CommitError::Conflict { .. } => true,
            CommitError::TooLarge { .. }
            | CommitError::InvalidKey(_)
            | CommitError::DuplicateKey(_)
            | CommitError::Empty
            | CommitError::Answered { .. }
            | CommitError::AnswersFull(_)
            | CommitError::Backend(_)
            | CommitError::Unknown(_) => false,
        }
    }
}

/// Which bound of remembered answers is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// The one of an account.
    #[error("for account {0}")]
    Account(Uin),
    /// The one of all together.
    #[error("at all")]
    Total,
}

fn describe(found: Option<Revision>) -> String {
    found.map_or_else(
        || "it is absent".to_owned(),
        |revision| format!("it was last written by revision {revision}"),
    )
}

/// A watch that cannot start or go on.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum WatchError {
    /// Changes that the watcher has not seen are no longer kept; it takes a new snapshot.
    #[error("the changes before revision {oldest} are compacted; take a new snapshot")]
    Compacted {
        /// The oldest revision that a watch can start from.
        oldest: Revision,
    },
    /// The store has not reached the revision to start from.
    #[error("the store is at revision {current}, before the one to watch from")]
    Future {
        /// The store's revision.
        current: Revision,
    },
    /// Reading the changes failed.
    #[error("the changes cannot be read")]
    Backend(#[from] BackendError),
}
