//! The bounds of keys, values and transactions, equal for all backends.
//!
//! They lie below the defaults of an etcd server (128 operations and 1.5 MiB in one request), so
//! that what one backend takes every other takes too.

use std::fmt;

use crate::error::CommitError;

/// A bound that a transaction can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Bytes of one key.
    Key,
    /// Bytes of one value.
    Value,
    /// Guards of one transaction.
    Guards,
    /// Writes of one transaction.
    Writes,
    /// Bytes of all keys and values written by one transaction.
    Transaction,
    /// Bytes of one remembered answer.
    Answer,
}

impl Limit {
    /// The largest number allowed.
    pub const fn max(self) -> usize {
        match self {
            Limit::Key => 512,
            Limit::Value => 512 * 1024,
            Limit::Guards => 128,
            Limit::Writes => 128,
            Limit::Transaction => 1024 * 1024,
            Limit::Answer => 128 * 1024,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Limit::Key => "bytes in a key",
            Limit::Value => "bytes in a value",
            Limit::Guards => "guards in a transaction",
            Limit::Writes => "writes in a transaction",
            Limit::Transaction => "bytes in a transaction",
            Limit::Answer => "bytes in an answer",
        })
    }
}

/// Checks a number against its bound.
pub(crate) fn check(limit: Limit, found: usize) -> Result<(), CommitError> {
    if found > limit.max() {
        return Err(CommitError::TooLarge { limit, found });
    }
    Ok(())
}
