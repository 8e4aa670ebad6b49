//! Reading beside the writer: snapshots, and changes that have left the feed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::types::{Type, ValueRef};
use rusqlite::{Connection, Row};

use crate::error::{BackendError, StoreError, WatchError};
use crate::transaction::{Change, Entry, Revision, Snapshot, Write};
use crate::watch::Archive;

use super::schema;

/// One read-only connection, used by one call at a time, off the async threads.
#[derive(Debug)]
pub(crate) struct Reader(Mutex<Connection>);

impl Reader {
    pub(crate) fn open(path: &Path) -> Result<Arc<Reader>, StoreError> {
        let connection = schema::open_reader(path)?;
        Ok(Arc::new(Reader(Mutex::new(connection))))
    }

    pub(super) async fn snapshot(self: &Arc<Self>) -> Result<Snapshot, StoreError> {
        Ok(self.read("reading the snapshot", read_snapshot).await?)
    }

    pub(super) async fn revision(self: &Arc<Self>) -> Result<Revision, BackendError> {
        let read = |connection: &Connection| read_meta(connection, "revision");
        self.read("reading the revision", read).await
    }

    /// Runs a query in one read transaction, which sees one revision.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        doing: &'static str,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, BackendError> {
        let reader = Arc::clone(self);
        let run = move || {
            // A panic inside a query leaves a connection whose transaction was rolled back.
            let mut connection = reader.0.lock().unwrap_or_else(PoisonError::into_inner);
            let transaction = connection.transaction()?;
            query(&transaction)
        };
        tokio::task::spawn_blocking(run)
            .await
            .map_err(|error| BackendError::new(doing, error))?
            .map_err(|error| BackendError::new(doing, error))
    }
}

struct SqliteArchive(Arc<Reader>);

pub(super) fn archive(reader: &Arc<Reader>) -> Arc<dyn Archive> {
    Arc::new(SqliteArchive(Arc::clone(reader)))
}

#[async_trait]
impl Archive for SqliteArchive {
    async fn read_after(&self, after: Revision, max: usize) -> Result<Vec<Change>, WatchError> {
        let read = move |connection: &Connection| {
            let compacted = read_meta(connection, "compacted")?;
            if after < compacted {
                return Ok(Err(WatchError::Compacted { oldest: compacted }));
            }
            read_changes(connection, after, max).map(Ok)
        };
        self.0.read("reading the change log", read).await?
    }
}

/// One of the revisions of the `meta` table.
pub(super) fn read_meta(connection: &Connection, name: &str) -> rusqlite::Result<Revision> {
    connection
        .prepare_cached("SELECT value FROM meta WHERE name = ?1")?
        .query_row([name], |row| revision_at(row, 0))
}

fn read_snapshot(connection: &Connection) -> rusqlite::Result<Snapshot> {
    let revision = read_meta(connection, "revision")?;
    let mut statement = connection.prepare_cached("SELECT key, value, revision FROM entry")?;
    let entries = statement
        .query_map([], |row| {
            let value = value_at(row, 1)?.ok_or_else(|| unexpected(1, Type::Null))?;
            let revision = revision_at(row, 2)?;
            Ok((row.get(0)?, Entry { value, revision }))
        })?
        .collect::<rusqlite::Result<BTreeMap<String, Entry>>>()?;
    Ok(Snapshot { revision, entries })
}

fn read_changes(
    connection: &Connection,
    after: Revision,
    max: usize,
) -> rusqlite::Result<Vec<Change>> {
    let sql = "SELECT revision, key, value FROM change \
               WHERE revision > ?1 AND revision <= ?2 ORDER BY revision, position";
    let until = after.0.saturating_add(max as u64);
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([to_sql(after), to_sql(Revision(until))])?;
    let mut changes: Vec<Change> = Vec::new();
    while let Some(row) = rows.next()? {
        let revision = revision_at(row, 0)?;
        let key = row.get(1)?;
        let write = match value_at(row, 2)? {
            Some(value) => Write::Put { key, value },
            None => Write::Delete { key },
        };
        match changes.last_mut() {
            Some(change) if change.revision == revision => change.writes.push(write),
            _ => changes.push(Change {
                revision,
                writes: vec![write],
            }),
        }
    }
    Ok(changes)
}

/// Every key's revision, for the writer's guards.
pub(super) fn read_revisions(
    connection: &Connection,
) -> rusqlite::Result<std::collections::HashMap<String, Revision>> {
    connection
        .prepare("SELECT key, revision FROM entry")?
        .query_map([], |row| Ok((row.get(0)?, revision_at(row, 1)?)))?
        .collect()
}

/// The revisions of the change log with their sizes in bytes, oldest first.
pub(super) fn read_log_sizes(connection: &Connection) -> rusqlite::Result<Vec<(Revision, usize)>> {
    let sql = "SELECT revision, sum(length(CAST(key AS BLOB)) + coalesce(length(CAST(value AS BLOB)), 0)) \
               FROM change GROUP BY revision ORDER BY revision";
    connection
        .prepare(sql)?
        .query_map([], |row| {
            let bytes: i64 = row.get(1)?;
            Ok((revision_at(row, 0)?, usize::try_from(bytes).unwrap_or(0)))
        })?
        .collect()
}

/// SQLite's integers are signed. No store lives for 2^63 commits.
pub(super) fn to_sql(revision: Revision) -> i64 {
    i64::try_from(revision.0).unwrap_or(i64::MAX)
}

fn revision_at(row: &Row<'_>, column: usize) -> rusqlite::Result<Revision> {
    let number: i64 = row.get(column)?;
    u64::try_from(number)
        .map(Revision)
        .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// A value as it was put: text and blobs alike, `None` for NULL.
pub(super) fn value_at(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Bytes>> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Ok(Some(Bytes::copy_from_slice(bytes))),
        other @ (ValueRef::Integer(_) | ValueRef::Real(_)) => {
            Err(unexpected(column, other.data_type()))
        }
    }
}

fn unexpected(column: usize, found: Type) -> rusqlite::Error {
    rusqlite::Error::InvalidColumnType(column, "value".to_owned(), found)
}
