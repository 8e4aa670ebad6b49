//! What goes into a store and comes out of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;

use crate::answer::Answer;
use crate::error::CommitError;
use crate::limits::{self, Limit};

/// A commit number. 0 is the empty store; the first transaction has 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Revision(pub u64);

impl Revision {
    /// The revision of the empty store.
    pub const ZERO: Revision = Revision(0);

    /// The revision of the transaction after this one.
    pub fn next(self) -> Revision {
        Revision(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A value with the commit that last wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The value.
    pub value: Bytes,
    /// The revision of the transaction that last put the key.
    pub revision: Revision,
}

/// The whole content of a store at one revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The last transaction that is contained.
    pub revision: Revision,
    /// Every key with its entry.
    pub entries: BTreeMap<String, Entry>,
}

/// A condition on one key, checked when the transaction commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// The key.
    pub key: String,
    /// The revision of the key's entry; `None`: the key must be absent.
    pub expected: Option<Revision>,
}

/// One change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Sets a key, whether it exists or not.
    Put {
        /// The key: one or more printable ASCII characters, by convention a path such as
        /// `vpc/vpc-8e0ypm3z`.
        key: String,
        /// The value, by convention JSON text.
        value: Bytes,
    },
    /// Removes a key. Removing an absent one is no error.
    Delete {
        /// The key.
        key: String,
    },
}

impl Write {
    /// The key that is written.
    pub fn key(&self) -> &str {
        match self {
            Write::Put { key, .. } | Write::Delete { key } => key,
        }
    }

    /// Bytes of key and value.
    pub(crate) fn len_bytes(&self) -> usize {
        match self {
            Write::Put { key, value } => key.len() + value.len(),
            Write::Delete { key } => key.len(),
        }
    }
}

/// Guards and the writes that depend on them. Writes nothing unless every guard holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction {
    /// What must hold. The first that does not is reported.
    pub guards: Vec<Guard>,
    /// What is written; at least one write, no key twice.
    pub writes: Vec<Write>,
    /// What is answered to the request that it is for, when that must not have a second effect:
    /// nothing is written when the request was answered before.
    pub answer: Option<Answer>,
}

impl Transaction {
    /// Checks the form: sizes, keys, at least one write and no key written twice. Backends call it
    /// before anything else.
    ///
    /// # Errors
    /// [`CommitError::TooLarge`], [`CommitError::InvalidKey`], [`CommitError::DuplicateKey`] or
    /// [`CommitError::Empty`].
    pub fn validate(&self) -> Result<(), CommitError> {
        if self.writes.is_empty() {
            return Err(CommitError::Empty);
        }
        if let Some(answer) = &self.answer {
            answer.validate()?;
        }
        limits::check(Limit::Guards, self.guards.len())?;
        limits::check(Limit::Writes, self.writes.len())?;
        let mut keys = BTreeSet::new();
        let mut total = 0;
        for write in &self.writes {
            check_key(write.key())?;
            if let Write::Put { value, .. } = write {
                limits::check(Limit::Value, value.len())?;
            }
            if !keys.insert(write.key()) {
                return Err(CommitError::DuplicateKey(write.key().to_owned()));
            }
            total += write.len_bytes();
        }
        limits::check(Limit::Transaction, total)?;
        self.guards
            .iter()
            .try_for_each(|guard| check_key(&guard.key))
    }

    /// Evaluates the guards against the revisions that `revision_of` tells.
    pub(crate) fn check_guards(
        &self,
        revision_of: impl Fn(&str) -> Option<Revision>,
    ) -> Result<(), CommitError> {
        for guard in &self.guards {
            let found = revision_of(&guard.key);
            if found != guard.expected {
                return Err(CommitError::Conflict {
                    key: guard.key.clone(),
                    found,
                });
            }
        }
        Ok(())
    }
}

fn check_key(key: &str) -> Result<(), CommitError> {
    limits::check(Limit::Key, key.len())?;
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(CommitError::InvalidKey(key.to_owned()));
    }
    Ok(())
}

/// One committed transaction, as a watch tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its revision.
    pub revision: Revision,
    /// Its writes, in the order of the transaction.
    pub writes: Vec<Write>,
}

impl Change {
    /// Bytes of keys and values.
    pub(crate) fn len_bytes(&self) -> usize {
        self.writes.iter().map(Write::len_bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, len: usize) -> Write {
        Write::Put {
            key: key.to_owned(),
            value: Bytes::from(vec![b'x'; len]),
        }
    }

    fn check(writes: Vec<Write>) -> Result<(), CommitError> {
        Transaction {
            writes,
            ..Transaction::default()
        }
        .validate()
    }

    fn too_large(result: &Result<(), CommitError>) -> Option<Limit> {
        match result {
            Err(CommitError::TooLarge { limit, .. }) => Some(*limit),
            _ => None,
        }
    }

    #[test]
    fn every_bound_holds_exactly() {
        let key = |len: usize| "k".repeat(len);
        assert_eq!(check(vec![put(&key(Limit::Key.max()), 0)]), Ok(()));
        assert_eq!(
            too_large(&check(vec![put(&key(Limit::Key.max() + 1), 0)])),
            Some(Limit::Key)
        );
        assert_eq!(check(vec![put("k", Limit::Value.max())]), Ok(()));
        assert_eq!(
            too_large(&check(vec![put("k", Limit::Value.max() + 1)])),
            Some(Limit::Value)
        );
        let many = |count: usize| (0..count).map(|n| put(&format!("k/{n}"), 0)).collect();
        assert_eq!(check(many(Limit::Writes.max())), Ok(()));
        assert_eq!(
            too_large(&check(many(Limit::Writes.max() + 1))),
            Some(Limit::Writes)
        );
        let each = Limit::Transaction.max() / 4 - 3;
        let full = |extra| {
            (0..4)
                .map(|n| put(&format!("k/{n}"), each + extra))
                .collect()
        };
        assert_eq!(check(full(0)), Ok(()));
        assert_eq!(too_large(&check(full(1))), Some(Limit::Transaction));
    }

    #[test]
    fn guards_are_bounded_too() {
        let guard = |key: &str| Guard {
            key: key.to_owned(),
            expected: None,
        };
        let transaction = |guards| Transaction {
            guards,
            writes: vec![put("k", 0)],
            ..Transaction::default()
        };
        let many = vec![guard("k"); Limit::Guards.max() + 1];
        assert_eq!(
            too_large(&transaction(many).validate()),
            Some(Limit::Guards)
        );
        let result = transaction(vec![guard("")]).validate();
        assert_eq!(result, Err(CommitError::InvalidKey(String::new())));
    }

    #[test]
    fn malformed_transactions_are_refused() {
        assert_eq!(check(Vec::new()), Err(CommitError::Empty));
        for key in ["", "a b", "a\n", "vpc/\u{e9}", "\0"] {
            let expected = Err(CommitError::InvalidKey(key.to_owned()));
            assert_eq!(check(vec![put(key, 1)]), expected, "{key:?}");
        }
        let twice = vec![put("k", 1), Write::Delete { key: "k".into() }];
        assert_eq!(check(twice), Err(CommitError::DuplicateKey("k".into())));
    }
}
