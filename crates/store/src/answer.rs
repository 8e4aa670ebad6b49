//! First answers: what was answered to a request that must not have a second effect.
//!
//! They lie beside the keys: neither snapshots nor watches have them, and they are not kept for
//! good. How many there may be is bounded, and so are their bytes, in total and for each account,
//! so that one account cannot take the room of the others.

use std::collections::HashMap;

use bytes::Bytes;
use model::{Uin, UnixMillis};

use crate::error::{CommitError, Full};
use crate::limits::{self, Limit};

/// What a request is known by when it comes again. The time comes first, so that what is remembered
/// lies, and is forgotten, in the order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AnswerKey {
    /// When the request was made; what was made earlier is forgotten earlier.
    pub made_at: UnixMillis,
    /// A digest over what the request is known by.
    pub digest: [u8; 32],
    /// What makes another request the same.
    pub known_by: KnownBy,
}

/// What makes two requests the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KnownBy {
    /// Time and digest: a repetition has the time of the first request.
    TimeAndDigest,
    /// The digest alone: its sender says that it is the same, whenever it comes.
    Digest,
}

/// The first answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The request.
    pub key: AnswerKey,
    /// The account whose room it takes.
    pub account: Uin,
    /// The answer, as it went out.
    pub value: Bytes,
}

impl Answer {
    pub(crate) fn validate(&self) -> Result<(), CommitError> {
        limits::check(Limit::Answer, self.value.len())
    }
}

/// A number of answers and what they take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub answers: u64,
    /// The bytes of their values.
    pub bytes: u64,
}

impl Tally {
    /// Whether an answer of so many bytes more stays within a bound.
    fn has_room_for(self, bytes: u64, bound: Tally) -> bool {
        self.answers < bound.answers && self.bytes + bytes <= bound.bytes
    }

    fn add(&mut self, more: Tally) {
        self.answers += more.answers;
        self.bytes += more.bytes;
    }

    fn subtract(&mut self, less: Tally) {
        self.answers = self.answers.saturating_sub(less.answers);
        self.bytes = self.bytes.saturating_sub(less.bytes);
    }
}

/// How much is remembered at most. What would exceed it is refused; nothing is forgotten for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerBounds {
    /// Of all accounts.
    pub total: Tally,
    /// Of each account.
    pub per_account: Tally,
}

impl Default for AnswerBounds {
    /// A million answers, a fifth of them of one account. An answer has about a hundred bytes, so
    /// that the bytes end first only for somebody who has long ones made on purpose.
    fn default() -> Self {
        AnswerBounds {
            total: Tally {
                answers: 1_000_000,
                bytes: 512 * 1024 * 1024,
            },
            per_account: Tally {
                answers: 200_000,
                bytes: 128 * 1024 * 1024,
            },
        }
    }
}

/// What is remembered, in numbers.
#[derive(Debug)]
pub(crate) struct Tallies {
    bounds: AnswerBounds,
    total: Tally,
    accounts: HashMap<Uin, Tally>,
}

impl Tallies {
    pub(crate) fn new(bounds: AnswerBounds) -> Tallies {
        Tallies {
            bounds,
            total: Tally::default(),
            accounts: HashMap::new(),
        }
    }

    pub(crate) fn total(&self) -> Tally {
        self.total
    }

    /// Checks that there is room for an answer.
    pub(crate) fn check(&self, answer: &Answer) -> Result<(), CommitError> {
        let bytes = answer.value.len() as u64;
        let own = self.accounts.get(&answer.account);
        let own = own.copied().unwrap_or_default();
        if !own.has_room_for(bytes, self.bounds.per_account) {
            return Err(CommitError::AnswersFull(Full::Account(answer.account)));
        }
        if !self.total.has_room_for(bytes, self.bounds.total) {
            return Err(CommitError::AnswersFull(Full::Total));
        }
        Ok(())
    }

    pub(crate) fn add(&mut self, account: Uin, more: Tally) {
        self.total.add(more);
        self.accounts.entry(account).or_default().add(more);
    }

    pub(crate) fn subtract(&mut self, account: Uin, less: Tally) {
        self.total.subtract(less);
        if let Some(tally) = self.accounts.get_mut(&account) {
            tally.subtract(less);
            if tally.answers == 0 {
                self.accounts.remove(&account);
            }
        }
    }
}

/// The tally of one answer.
pub(crate) fn one(value_bytes: usize) -> Tally {
    Tally {
        answers: 1,
        bytes: value_bytes as u64,
    }
}
