//! The table of first answers, as the writer knows it.
//!
//! Only the numbers are in memory; whether a request was answered is looked up in the table, whose
//! rows lie in the order of time, so that those of the present are at its end and in the cache.

use std::collections::HashMap;

use bytes::Bytes;
use model::{Uin, UnixMillis};
use rusqlite::{Connection, OptionalExtension, params};

use crate::answer::{Answer, AnswerBounds, AnswerKey, KnownBy, Tallies, Tally};
use crate::error::{BackendError, CommitError};
use crate::transaction::Revision;

use super::reader::value_at;
use super::writer::StoredValue;

/// What is remembered: in the table, and of the batch that is being put together.
#[derive(Debug)]
pub(super) struct Answers {
    bounds: AnswerBounds,
    tallies: Tallies,
    staged: HashMap<Identity, Answer>,
}

/// What a request is known by: the digest, and the time where that counts.
type Identity = ([u8; 32], Option<UnixMillis>);

fn identity(key: &AnswerKey) -> Identity {
    let time = match key.known_by {
        KnownBy::TimeAndDigest => Some(key.made_at),
        KnownBy::Digest => None,
    };
    (key.digest, time)
}

impl Answers {
    pub(super) fn read(connection: &Connection, bounds: AnswerBounds) -> rusqlite::Result<Answers> {
        let mut tallies = Tallies::new(bounds);
        let sql = "SELECT account, count(*), sum(length(CAST(value AS BLOB))) \
                   FROM answer GROUP BY account";
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let tally = Tally {
                answers: row.get::<_, i64>(1)?.unsigned_abs(),
                bytes: row.get::<_, i64>(2)?.unsigned_abs(),
            };
            tallies.add(account_of(row.get(0)?), tally);
        }
        Ok(Answers {
            bounds,
            tallies,
            staged: HashMap::new(),
        })
    }

    /// Reads the numbers again and drops what is staged.
    pub(super) fn restore(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        *self = Answers::read(connection, self.bounds)?;
        Ok(())
    }

    /// How much is remembered, what is staged included.
    pub(super) fn total(&self) -> Tally {
        self.tallies.total()
    }

    /// Checks that a request was not answered before and that its answer has room.
    pub(super) fn check(
        &self,
        connection: &Connection,
        answer: &Answer,
        revision: Revision,
    ) -> Result<(), CommitError> {
        let found = match self.staged.get(&identity(&answer.key)) {
            Some(staged) => Some(staged.value.clone()),
            None => find(connection, &answer.key).map_err(|source| {
                CommitError::Backend(BackendError::new("looking for an answer", source))
            })?,
        };
        match found {
            Some(value) => Err(CommitError::Answered { value, revision }),
            None => self.tallies.check(answer),
        }
    }

    /// Notes an answer that was checked, for the batch.
    pub(super) fn stage(&mut self, answer: Answer) {
        let tally = crate::answer::one(answer.value.len());
        self.tallies.add(answer.account, tally);
        self.staged.insert(identity(&answer.key), answer);
    }

    /// Whether the batch has answers.
    pub(super) fn is_staged(&self) -> bool {
        !self.staged.is_empty()
    }

    /// Writes what is staged.
    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut insert = connection.prepare_cached(
            "INSERT INTO answer (made_at, digest, account, value, by_digest) \
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        for answer in self.staged.values() {
            insert.execute(params![
                answer.key.made_at.0,
                answer.key.digest,
                to_sql(answer.account),
                StoredValue(&answer.value),
                answer.key.known_by == KnownBy::Digest,
            ])?;
        }
        Ok(())
    }

    /// What was staged is in the table.
    pub(super) fn written(&mut self) {
        self.staged.clear();
    }

    /// Forgets the oldest answers to requests from before a time, in one SQLite transaction.
    pub(super) fn forget(
        &mut self,
        connection: &mut Connection,
        before: UnixMillis,
        at_most: usize,
    ) -> rusqlite::Result<usize> {
        let transaction = connection.transaction()?;
        let forgotten = delete_oldest(&transaction, before, at_most)?;
        transaction.commit()?;
        for (account, tally) in &forgotten {
            self.tallies.subtract(*account, *tally);
        }
        Ok(forgotten.len())
    }
}

fn delete_oldest(
    connection: &Connection,
    before: UnixMillis,
    at_most: usize,
) -> rusqlite::Result<Vec<(Uin, Tally)>> {
    let mut oldest = connection.prepare_cached(
        "SELECT made_at, digest, account, length(CAST(value AS BLOB)) FROM answer \
         WHERE made_at < ?1 ORDER BY made_at, digest LIMIT ?2",
    )?;
    let mut delete =
        connection.prepare_cached("DELETE FROM answer WHERE made_at = ?1 AND digest = ?2")?;
    let limit = i64::try_from(at_most).unwrap_or(i64::MAX);
    let rows = oldest
        .query_map(params![before.0, limit], |row| {
            let (made_at, digest) = (row.get::<_, i64>(0)?, row.get::<_, [u8; 32]>(1)?);
            let bytes = row.get::<_, i64>(3)?.unsigned_abs();
            let tally = Tally { answers: 1, bytes };
            Ok((made_at, digest, account_of(row.get(2)?), tally))
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let mut forgotten = Vec::with_capacity(rows.len());
    for (made_at, digest, account, tally) in rows {
        delete.execute(params![made_at, digest])?;
        forgotten.push((account, tally));
    }
    Ok(forgotten)
}

pub(super) fn find(connection: &Connection, key: &AnswerKey) -> rusqlite::Result<Option<Bytes>> {
    let value = match key.known_by {
        KnownBy::TimeAndDigest => connection
            .prepare_cached("SELECT value FROM answer WHERE made_at = ?1 AND digest = ?2")?
            .query_row(params![key.made_at.0, key.digest], |row| value_at(row, 0)),
        KnownBy::Digest => connection
            .prepare_cached("SELECT value FROM answer WHERE digest = ?1 AND by_digest = 1")?
            .query_row(params![key.digest], |row| value_at(row, 0)),
    };
    Ok(value.optional()?.flatten())
}

/// SQLite's integers are signed; account numbers go there and come back bit by bit.
fn to_sql(account: Uin) -> i64 {
    account.0.cast_signed()
}

fn account_of(number: i64) -> Uin {
    Uin(number.cast_unsigned())
}
