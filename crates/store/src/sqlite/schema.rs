//! The file: its lock, its mode, its schema and the migrations that lead to it.
//!
//! Readable with the `sqlite3` shell: `SELECT * FROM entry` is the state, `change` the recent
//! transactions (a NULL value is a deletion), `meta` the two revisions that bound them, `answer` what
//! was answered to requests that must not have a second effect.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::error::{BackendError, StoreError};

/// What a file of one kind holds, and how it came to that.
pub(crate) struct Format {
    /// Marks the file as of this kind, in the database header.
    pub(crate) application_id: i64,
    /// Migration `n` leads from schema version `n` to `n + 1`; version 0 is the empty file.
    /// Published ones are never changed, only followed by new ones.
    pub(crate) migrations: &'static [&'static str],
    /// Sets a connection up for writing, before the migrations.
    pub(crate) configure: fn(&Connection) -> rusqlite::Result<()>,
}

/// The format of the state ("PWST").
pub(super) const STATE: Format = Format {
    application_id: 0x5057_5354,
    migrations: MIGRATIONS,
    configure,
};

const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE entry (
        key TEXT NOT NULL PRIMARY KEY,
        value NOT NULL,
        revision INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE change (
        revision INTEGER NOT NULL,
        position INTEGER NOT NULL,
        key TEXT NOT NULL,
        value,
        PRIMARY KEY (revision, position)
    ) WITHOUT ROWID;
    CREATE TABLE meta (
        name TEXT NOT NULL PRIMARY KEY,
        value INTEGER NOT NULL
    ) WITHOUT ROWID;
    INSERT INTO meta (name, value) VALUES ('revision', 0), ('compacted', 0);
",
    "
    CREATE TABLE answer (
        made_at INTEGER NOT NULL,
        digest BLOB NOT NULL,
        account INTEGER NOT NULL,
        value NOT NULL,
        PRIMARY KEY (made_at, digest)
    ) WITHOUT ROWID;
",
    "
    ALTER TABLE answer ADD COLUMN by_digest INTEGER NOT NULL DEFAULT 0;
    CREATE UNIQUE INDEX answer_by_digest ON answer (digest) WHERE by_digest = 1;
",
];

/// Pages of 4 KiB in the log at which SQLite copies them to the database: 32 MiB.
const CHECKPOINT_PAGES: i64 = 8192;

/// Memory of the writer for pages. SQLite's own 2 MiB is less than a state of 10 000 peerings, so
/// that guarded commits would read from the file.
const CACHE_KIB: i64 = 64 * 1024;

/// Mode of the database and its side files: the owner alone.
const FILE_MODE: u32 = 0o600;

/// Takes the lock that makes this the only writer, as long as the file is held. The lock lies in
/// a file beside the database, because closing any descriptor of the database itself would release
/// SQLite's own POSIX locks on it.
pub(crate) fn lock(path: &Path) -> Result<File, StoreError> {
    let open_error = |source: io::Error| StoreError::Open {
        path: path.to_owned(),
        source: BackendError::new("locking", source),
    };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(FILE_MODE)
        .open(beside(path, ".lock"))
        .map_err(open_error)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(open_error(error)),
    }
}

/// Creates or opens the database for the writer and brings it to the newest schema. A file of a
/// newer schema, or of something else, is refused without being changed.
pub(crate) fn open_writer(path: &Path, format: &Format) -> Result<Connection, StoreError> {
    let open_error = |doing| {
        move |source: rusqlite::Error| StoreError::Open {
            path: path.to_owned(),
            source: BackendError::new(doing, source),
        }
    };
    restrict_mode(path).map_err(|source| StoreError::Open {
        path: path.to_owned(),
        source: BackendError::new("setting the file's mode", source),
    })?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection =
        Connection::open_with_flags(path, flags).map_err(open_error("opening the database"))?;
    let version = check_schema(&connection, path, format)?;
    (format.configure)(&connection).map_err(open_error("configuring the database"))?;
    migrate(&mut connection, version, format).map_err(open_error("migrating the schema"))?;
    Ok(connection)
}

/// Opens the database for reading beside the writer.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags).map_err(|source| StoreError::Open {
        path: path.to_owned(),
        source: BackendError::new("opening the database for reading", source),
    })
}

/// The schema version of a file that is ours or empty.
fn check_schema(connection: &Connection, path: &Path, format: &Format) -> Result<i64, StoreError> {
    let read = || -> rusqlite::Result<(i64, i64, i64)> {
        let application_id = connection.pragma_query_value(None, "application_id", |r| r.get(0))?;
        let version = connection.pragma_query_value(None, "user_version", |r| r.get(0))?;
        let tables =
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0))?;
        Ok((application_id, version, tables))
    };
    let (application_id, version, tables) = read().map_err(|error| {
        if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) {
            return StoreError::Foreign {
                path: path.to_owned(),
            };
        }
        StoreError::Open {
            path: path.to_owned(),
            source: BackendError::new("reading the schema version", error),
        }
    })?;
    let is_empty = application_id == 0 && version == 0 && tables == 0;
    if !is_empty && application_id != format.application_id {
        return Err(StoreError::Foreign {
            path: path.to_owned(),
        });
    }
    let supported = format.migrations.len() as i64;
    if version > supported {
        return Err(StoreError::NewerSchema {
            path: path.to_owned(),
            found: version,
            supported,
        });
    }
    Ok(version)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    use_wal(connection)?;
    connection.pragma_update(None, "synchronous", "full")?;
    // Each checkpoint writes every page that the log holds once, however often it was written:
    // a longer log writes hot pages less often.
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)
}

/// Switches to the log under which readers and the writer do not block each other.
pub(crate) fn use_wal(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update_and_check(None, "journal_mode", "wal", |row| {
        let mode: String = row.get(0)?;
        if mode == "wal" {
            return Ok(());
        }
        // File systems without shared memory keep the old journal, under which readers and the
        // writer would block each other.
        Err(rusqlite::Error::InvalidPath(PathBuf::from(
            "the file system does not support WAL mode",
        )))
    })
}

/// Runs the migrations from a version on, all in one SQLite transaction.
fn migrate(connection: &mut Connection, version: i64, format: &Format) -> rusqlite::Result<()> {
    let done = usize::try_from(version).unwrap_or(usize::MAX);
    let Some(missing @ [_, ..]) = format.migrations.get(done..) else {
        return Ok(());
    };
    let transaction = connection.transaction()?;
    for migration in missing {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", format.application_id)?;
    transaction.pragma_update(None, "user_version", format.migrations.len() as i64)?;
    transaction.commit()
}

/// Creates the file when it is absent and takes it, and the side files of an earlier run, away
/// from everyone but the owner. SQLite gives new side files the mode of the database.
fn restrict_mode(path: &Path) -> io::Result<()> {
    let created = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(FILE_MODE)
        .open(path);
    match created {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    for file in [path.to_owned(), beside(path, "-wal"), beside(path, "-shm")] {
        match fs::set_permissions(&file, fs::Permissions::from_mode(FILE_MODE)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(migrations: &'static [&'static str]) -> Format {
        Format {
            migrations,
            ..STATE
        }
    }

    fn version_of(connection: &Connection) -> i64 {
        connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .unwrap()
    }

    #[test]
    fn an_older_schema_is_migrated_step_by_step_and_keeps_its_content() {
        let steps: &[&str] = &[
            "CREATE TABLE t (x); INSERT INTO t VALUES (1)",
            "ALTER TABLE t ADD COLUMN y DEFAULT 7",
            "UPDATE t SET y = y + x",
        ];
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, 0, &format(&steps[..1])).unwrap();
        assert_eq!(version_of(&connection), 1);
        migrate(&mut connection, 1, &format(steps)).unwrap();
        assert_eq!(version_of(&connection), 3);
        migrate(&mut connection, 3, &format(steps)).unwrap();
        let row = connection.query_row("SELECT x, y FROM t", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
        });
        assert_eq!(row, Ok((1, 8)));
    }

    #[test]
    fn a_file_from_before_answers_were_remembered_keeps_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let first = format(&MIGRATIONS[..1]);
        let connection = open_writer(&path, &first).unwrap();
        connection
            .execute_batch(
                "INSERT INTO entry VALUES ('vpc/1', '{}', 1); \
                 INSERT INTO change VALUES (1, 0, 'vpc/1', '{}'); \
                 UPDATE meta SET value = 1 WHERE name = 'revision'",
            )
            .unwrap();
        assert_eq!(version_of(&connection), 1);
        drop(connection);
        let connection = open_writer(&path, &STATE).unwrap();
        assert_eq!(version_of(&connection), MIGRATIONS.len() as i64);
        let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
        let kept = "SELECT count(*) FROM entry WHERE key = 'vpc/1' AND value = '{}'";
        assert_eq!(count(kept), Ok(1));
        assert_eq!(count("SELECT count(*) FROM answer"), Ok(0));
    }

    #[test]
    fn answers_of_before_some_were_known_by_their_digest_alone_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let connection = open_writer(&path, &format(&MIGRATIONS[..2])).unwrap();
        connection
            .execute_batch("INSERT INTO answer VALUES (5, x'01', 7, 'first')")
            .unwrap();
        drop(connection);
        let connection = open_writer(&path, &STATE).unwrap();
        let kept = "SELECT by_digest FROM answer WHERE made_at = 5 AND value = 'first'";
        let by_digest = connection.query_row(kept, [], |row| row.get::<_, i64>(0));
        assert_eq!(by_digest, Ok(0));
    }

    #[test]
    fn a_migration_that_fails_changes_nothing() {
        let mut connection = Connection::open_in_memory().unwrap();
        let steps = &["CREATE TABLE t (x)", "NOT SQL"];
        assert!(migrate(&mut connection, 0, &format(steps)).is_err());
        assert_eq!(version_of(&connection), 0);
        assert!(!connection.table_exists(None, "t").unwrap());
    }
}
