//! The series in a SQLite file of their own, readable with the `sqlite3` shell:
//!
//! ```sql
//! SELECT peering, datetime(minute * 60, 'unixepoch'), sent_bytes, received_bytes
//! FROM point JOIN side ON side.id = point.side WHERE peering = 'pcx-…' ORDER BY minute;
//! ```
//!
//! Rows of one side lie together, because that is how they are read; a side is a small number in
//! them. How many points each minute has is counted beside, so that the oldest can be found without
//! a look at all.

use std::collections::HashMap;
use std::fs::File;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use model::monitor::{Counts, Minute};
use model::{GatewayId, PeeringConnectionId, Side, UnixMillis, Vni};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use super::{
    Batch, MIN_BYTES, Points, Reading, SeriesKey, SeriesOptions, SeriesSize, SeriesStore, Standing,
    is_next,
};
use crate::error::{BackendError, StoreError};
use crate::sqlite::reader::Reader;
use crate::sqlite::schema::{self, Format};

const FORMAT: Format = Format {
    // "PWSR".
    application_id: 0x5057_5352,
    migrations: &["
        CREATE TABLE meta (
            name TEXT NOT NULL PRIMARY KEY,
            value INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE TABLE side (
            id INTEGER PRIMARY KEY,
            peering TEXT NOT NULL,
            side TEXT NOT NULL,
            UNIQUE (peering, side)
        );
        CREATE TABLE point (
            side INTEGER NOT NULL,
            minute INTEGER NOT NULL,
            sent_packets INTEGER NOT NULL,
            sent_bytes INTEGER NOT NULL,
            received_packets INTEGER NOT NULL,
            received_bytes INTEGER NOT NULL,
            capped_packets INTEGER NOT NULL,
            PRIMARY KEY (side, minute)
        ) WITHOUT ROWID;
        CREATE TABLE minute (
            minute INTEGER PRIMARY KEY,
            points INTEGER NOT NULL
        );
        CREATE TABLE reading (
            side INTEGER PRIMARY KEY,
            gateway TEXT NOT NULL,
            vni INTEGER NOT NULL,
            at INTEGER NOT NULL,
            sent_packets INTEGER NOT NULL,
            sent_bytes INTEGER NOT NULL,
            received_packets INTEGER NOT NULL,
            received_bytes INTEGER NOT NULL,
            capped_packets INTEGER NOT NULL
        );
        CREATE TABLE gateway (
            id TEXT NOT NULL PRIMARY KEY,
            heard_at INTEGER NOT NULL
        ) WITHOUT ROWID;
        INSERT INTO meta (name, value) VALUES ('batches', 0);
    "],
    configure,
};

/// Pages of 4 KiB in the log at which SQLite copies them to the file: 32 MiB. A minute of ten
/// thousand sides touches a page of each.
const CHECKPOINT_PAGES: i64 = 8192;
const CACHE_KIB: i64 = 16 * 1024;

/// The share of the points that goes at once when the bound is exceeded.
const TRIMMED_SHARE: u64 = 64;

/// A series store in one SQLite file. Dropping it releases the file.
#[derive(Debug)]
pub struct SqliteSeries {
    // Closed before the writer, so that the writer, as the last one, empties the log.
    reader: Arc<Reader>,
    writer: Arc<Mutex<Writer>>,
    size: Arc<Mutex<SeriesSize>>,
}

/// The writing connection and what it knows of the content.
#[derive(Debug)]
struct Writer {
    connection: Connection,
    batches: u64,
    sides: HashMap<SeriesKey, i64>,
    max_bytes: u64,
    size: Arc<Mutex<SeriesSize>>,
    /// Held as long as the connection is open.
    _lock: File,
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    // Takes effect in an empty file only: pages that are free can be given back later.
    connection.pragma_update(None, "auto_vacuum", "incremental")?;
    schema::use_wal(connection)?;
    // A power failure may cost the last batches, whole ones: their readings go with them.
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)
}

impl SqliteSeries {
    /// Opens or creates a store. The folder must exist. The file and its side files (`-wal`, `-shm`,
    /// `.lock`) are accessible to their owner alone. Blocks while it reads the file.
    ///
    /// # Errors
    /// [`StoreError::InUse`], [`StoreError::NewerSchema`], [`StoreError::Foreign`] and
    /// [`StoreError::Open`], the last also for a damaged file.
    pub fn open(path: &Path, options: SeriesOptions) -> Result<SqliteSeries, StoreError> {
        let open_error = |doing| {
            move |source: rusqlite::Error| StoreError::Open {
                path: path.to_owned(),
                source: BackendError::new(doing, source),
            }
        };
        let lock = schema::lock(path)?;
        let connection = schema::open_writer(path, &FORMAT)?;
        let size = Arc::default();
        let mut writer = Writer {
            connection,
            batches: 0,
            sides: HashMap::new(),
            max_bytes: options.max_bytes.max(MIN_BYTES),
            size: Arc::clone(&size),
            _lock: lock,
        };
        writer
            .note_making(options.now)
            .and_then(|()| writer.load())
            .map_err(open_error("reading the series"))?;
        writer.trim().map_err(open_error("trimming the series"))?;
        Ok(SqliteSeries {
            writer: Arc::new(Mutex::new(writer)),
            reader: Reader::open(path)?,
            size,
        })
    }

    /// Works with the writer, off the async threads.
    async fn write<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&mut Writer) -> Result<T, BackendError> + Send + 'static,
    ) -> Result<T, BackendError> {
        let writer = Arc::clone(&self.writer);
        let run = move || {
            // A panic leaves a connection whose transaction was rolled back; the rest is read again.
            let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut writer)
        };
        tokio::task::spawn_blocking(run)
            .await
            .map_err(|error| BackendError::new(doing, error))?
    }
}

#[async_trait]
impl SeriesStore for SqliteSeries {
    async fn standing(&self) -> Result<Standing, BackendError> {
        self.reader
            .read("reading the series' standing", read_standing)
            .await
    }

    async fn append(&self, batch: Arc<Batch>) -> Result<(), BackendError> {
        const DOING: &str = "appending points";
        self.write(DOING, move |writer| {
            if is_next(writer.batches, batch.number)? {
                writer
                    .append(&batch)
                    .map_err(|error| BackendError::new(DOING, error))?;
            }
            writer
                .trim()
                .map_err(|error| BackendError::new("trimming the series", error))
        })
        .await
    }

    async fn points(
        &self,
        key: SeriesKey,
        minutes: RangeInclusive<Minute>,
    ) -> Result<Points, BackendError> {
        self.reader
            .read("reading points", move |connection| {
                read_points(connection, key, &minutes)
            })
            .await
    }

    async fn expire(&self, before: Minute) -> Result<(), BackendError> {
        const DOING: &str = "removing old points";
        self.write(DOING, move |writer| {
            let removed = writer.remove_before(before);
            let removed = removed.and_then(|()| writer.measure());
            removed.map_err(|error| BackendError::new(DOING, error))
        })
        .await
    }

    fn size(&self) -> SeriesSize {
        *self.size.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    fn note_making(&self, now: UnixMillis) -> rusqlite::Result<()> {
        let sql = "INSERT OR IGNORE INTO meta (name, value) VALUES ('made_at', ?1)";
        self.connection.execute(sql, [now.0]).map(drop)
    }

    /// Reads what the writer has to know.
    fn load(&mut self) -> rusqlite::Result<()> {
        self.batches = read_meta(&self.connection, "batches")?.cast_unsigned();
        let mut statement = self
            .connection
            .prepare("SELECT id, peering, side FROM side")?;
        let sides = statement.query_map([], |row| Ok((key_at(row, 1)?, row.get(0)?)))?;
        self.sides = sides.collect::<rusqlite::Result<_>>()?;
        Ok(())
    }

    fn append(&mut self, batch: &Batch) -> rusqlite::Result<()> {
        let written = self.write(batch);
        match written {
            Ok(()) => self.batches = batch.number,
            // What was rolled back must not be believed.
            Err(_) => self.load()?,
        }
        written
    }

    fn write(&mut self, batch: &Batch) -> rusqlite::Result<()> {
        let Writer {
            connection, sides, ..
        } = self;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for (key, _) in batch.points.keys() {
            number_of(&transaction, sides, *key)?;
        }
        write_points(&transaction, sides, batch)?;
        for (key, reading) in &batch.readings {
            let side = number_of(&transaction, sides, *key)?;
            write_reading(&transaction, side, reading)?;
        }
        let mut heard = transaction.prepare_cached(
            "INSERT INTO gateway (id, heard_at) VALUES (?1, ?2) \
             ON CONFLICT (id) DO UPDATE SET heard_at = excluded.heard_at",
        )?;
        for (gateway, at) in &batch.heard {
            heard.execute(params![gateway.to_string(), at.0])?;
        }
        drop(heard);
        for key in &batch.forgotten {
            if let Some(side) = sides.get(key) {
                transaction.execute("DELETE FROM reading WHERE side = ?1", [side])?;
            }
        }
        transaction.execute(
            "UPDATE meta SET value = ?1 WHERE name = 'batches'",
            [saturating(batch.number)],
        )?;
        transaction.commit()
    }

    /// Removes the oldest minutes while the pages in use exceed the bound, then gives back the free
    /// ones beyond it.
    fn trim(&mut self) -> rusqlite::Result<()> {
        let page_bytes = pragma(&self.connection, "page_size")?.max(1);
        let bound = self.max_bytes / page_bytes;
        loop {
            let pages = pragma(&self.connection, "page_count")?;
            let free = pragma(&self.connection, "freelist_count")?;
            if pages - free > bound
                && let Some(before) = self.oldest_share()?
            {
                self.remove_before(before)?;
                continue;
            }
            if pages > bound {
                self.give_back((pages - bound).min(free))?;
            }
            return self.measure();
        }
    }

    /// The first minute that stays when a share of the points goes; `None` when only one minute is
    /// left.
    fn oldest_share(&self) -> rusqlite::Result<Option<Minute>> {
        let wanted = self.count_points()? / TRIMMED_SHARE;
        let mut statement = self
            .connection
            .prepare_cached("SELECT minute, points FROM minute ORDER BY minute")?;
        let mut rows = statement.query([])?;
        let mut found: Option<u64> = None;
        while let Some(row) = rows.next()? {
            match found {
                Some(found) if found >= wanted.max(1) => return row.get(0).map(Minute).map(Some),
                Some(_) | None => {}
            }
            found = Some(found.unwrap_or(0) + row.get::<_, i64>(1)?.cast_unsigned());
        }
        self.connection
            .query_row(
                "SELECT max(minute) FROM minute HAVING count(*) > 1",
                [],
                |row| row.get(0).map(Minute),
            )
            .optional()
    }

    /// Removes the points before a minute, and the numbers of sides of which nothing is left.
    fn remove_before(&mut self, before: Minute) -> rusqlite::Result<()> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let counted = "DELETE FROM minute WHERE minute < ?1";
        if transaction.execute(counted, [before.0])? == 0 {
            return Ok(());
        }
        // By side, because the rows lie in that order.
        let mut statement =
            transaction.prepare_cached("DELETE FROM point WHERE side = ?1 AND minute < ?2")?;
        for side in self.sides.values() {
            statement.execute(params![side, before.0])?;
        }
        drop(statement);
        transaction.execute(
            "DELETE FROM side WHERE id NOT IN (SELECT side FROM reading) \
             AND NOT EXISTS (SELECT 1 FROM point WHERE point.side = side.id)",
            [],
        )?;
        transaction.commit()?;
        self.load()
    }

    fn give_back(&self, pages: u64) -> rusqlite::Result<()> {
        let mut statement = self
            .connection
            .prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
        // One step for each page.
        let mut rows = statement.query([])?;
        while rows.next()?.is_some() {}
        Ok(())
    }

    fn count_points(&self) -> rusqlite::Result<u64> {
        self.connection
            .query_row("SELECT coalesce(sum(points), 0) FROM minute", [], |row| {
                row.get::<_, i64>(0).map(i64::cast_unsigned)
            })
    }

    fn measure(&self) -> rusqlite::Result<()> {
        let page_bytes = pragma(&self.connection, "page_size")?;
        let size = SeriesSize {
            points: self.count_points()?,
            bytes: pragma(&self.connection, "page_count")? * page_bytes,
            max_bytes: self.max_bytes,
        };
        *self.size.lock().unwrap_or_else(PoisonError::into_inner) = size;
        Ok(())
    }
}

/// The number of a side, given out when it is new.
fn number_of(
    transaction: &Transaction<'_>,
    sides: &mut HashMap<SeriesKey, i64>,
    key: SeriesKey,
) -> rusqlite::Result<i64> {
    if let Some(number) = sides.get(&key) {
        return Ok(*number);
    }
    let mut insert =
        transaction.prepare_cached("INSERT INTO side (peering, side) VALUES (?1, ?2)")?;
    let number = insert.insert(params![key.0.to_string(), side_text(key.1)])?;
    sides.insert(key, number);
    Ok(number)
}

fn write_points(
    transaction: &Transaction<'_>,
    sides: &HashMap<SeriesKey, i64>,
    batch: &Batch,
) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare_cached(
        "INSERT OR IGNORE INTO point (side, minute, sent_packets, sent_bytes, received_packets, \
         received_bytes, capped_packets) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let mut add = transaction.prepare_cached(
        "UPDATE point SET sent_packets = sent_packets + ?3, sent_bytes = sent_bytes + ?4, \
         received_packets = received_packets + ?5, received_bytes = received_bytes + ?6, \
         capped_packets = capped_packets + ?7 WHERE side = ?1 AND minute = ?2",
    )?;
    let mut minutes: HashMap<u32, u64> = HashMap::new();
    for ((key, minute), counts) in &batch.points {
        let [a, b, c, d, e] = columns(counts);
        let row = params![sides[key], minute.0, a, b, c, d, e];
        if insert.execute(row)? == 1 {
            *minutes.entry(minute.0).or_default() += 1;
        } else {
            add.execute(row)?;
        }
    }
    let mut count = transaction.prepare_cached(
        "INSERT INTO minute (minute, points) VALUES (?1, ?2) \
         ON CONFLICT (minute) DO UPDATE SET points = points + excluded.points",
    )?;
    for (minute, points) in minutes {
        count.execute(params![minute, points.cast_signed()])?;
    }
    Ok(())
}

fn write_reading(
    transaction: &Transaction<'_>,
    side: i64,
    reading: &Reading,
) -> rusqlite::Result<()> {
    let [a, b, c, d, e] = columns(&reading.counts);
    let (gateway, vni, at) = (reading.gateway.to_string(), reading.vni.get(), reading.at.0);
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO reading (side, gateway, vni, at, sent_packets, sent_bytes, \
             received_packets, received_bytes, capped_packets) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![side, gateway, vni, at, a, b, c, d, e])
        .map(drop)
}

fn read_standing(connection: &Connection) -> rusqlite::Result<Standing> {
    let mut statement = connection.prepare_cached(
        "SELECT sent_packets, sent_bytes, received_packets, received_bytes, capped_packets, \
         peering, side.side, gateway, vni, max(at, coalesce(heard_at, at)) \
         FROM reading JOIN side ON side.id = reading.side \
         LEFT JOIN gateway ON gateway.id = reading.gateway",
    )?;
    let readings = statement.query_map([], |row| {
        let vni: u32 = row.get(8)?;
        let reading = Reading {
            gateway: parsed_at::<GatewayId>(row, 7)?,
            vni: Vni::try_from(vni)
                .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(8, vni.into()))?,
            at: UnixMillis(row.get(9)?),
            counts: counts_at(row, 0)?,
        };
        Ok((key_at(row, 5)?, reading))
    })?;
    Ok(Standing {
        batches: read_meta(connection, "batches")?.cast_unsigned(),
        made_at: UnixMillis(read_meta(connection, "made_at")?),
        readings: readings.collect::<rusqlite::Result<_>>()?,
    })
}

fn read_points(
    connection: &Connection,
    key: SeriesKey,
    minutes: &RangeInclusive<Minute>,
) -> rusqlite::Result<Points> {
    let mut statement = connection.prepare_cached(
        "SELECT sent_packets, sent_bytes, received_packets, received_bytes, capped_packets, minute \
         FROM point WHERE side = (SELECT id FROM side WHERE peering = ?1 AND side = ?2) \
         AND minute BETWEEN ?3 AND ?4 ORDER BY minute",
    )?;
    let range = params![
        key.0.to_string(),
        side_text(key.1),
        minutes.start().0,
        minutes.end().0
    ];
    let points = statement.query_map(range, |row| {
        Ok((row.get(5).map(Minute)?, counts_at(row, 0)?))
    })?;
    Ok(Points {
        batches: read_meta(connection, "batches")?.cast_unsigned(),
        points: points.collect::<rusqlite::Result<_>>()?,
    })
}

fn read_meta(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("SELECT value FROM meta WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<u64> {
    connection.pragma_query_value(None, name, |row| {
        row.get::<_, i64>(0).map(i64::cast_unsigned)
    })
}

/// The counts in the order of the tables.
fn columns(counts: &Counts) -> [i64; 5] {
    [
        counts.sent_packets,
        counts.sent_bytes,
        counts.received_packets,
        counts.received_bytes,
        counts.capped_packets,
    ]
    .map(saturating)
}

fn counts_at(row: &Row<'_>, column: usize) -> rusqlite::Result<Counts> {
    let count = |offset| row.get::<_, i64>(column + offset).map(i64::cast_unsigned);
    Ok(Counts {
        sent_packets: count(0)?,
        sent_bytes: count(1)?,
        received_packets: count(2)?,
        received_bytes: count(3)?,
        capped_packets: count(4)?,
    })
}

fn key_at(row: &Row<'_>, column: usize) -> rusqlite::Result<SeriesKey> {
    let side = match row.get::<_, String>(column + 1)?.as_str() {
        "requester" => Side::Requester,
        "accepter" => Side::Accepter,
        _ => return Err(unexpected(column + 1)),
    };
    Ok((parsed_at::<PeeringConnectionId>(row, column)?, side))
}

fn parsed_at<T: std::str::FromStr>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    text.parse().map_err(|_| unexpected(column))
}

fn unexpected(column: usize) -> rusqlite::Error {
    rusqlite::Error::InvalidColumnType(column, "an id".to_owned(), Type::Text)
}

fn side_text(side: Side) -> &'static str {
    match side {
        Side::Requester => "requester",
        Side::Accepter => "accepter",
    }
}

/// SQLite's integers are signed; no counter reaches 2^63.
fn saturating(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
