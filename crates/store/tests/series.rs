//! Both series stores against the suite, and what only a file can show.

use std::path::Path;
use std::sync::Arc;

use model::UnixMillis;
use model::monitor::Minute;
use store::series::conformance::{self, NOW, counts, key, points};
use store::series::{Batch, MemorySeries, Reading, SeriesOptions, SeriesStore, SqliteSeries};
use store::{SqliteStore, StoreError};

const OPTIONS: SeriesOptions = SeriesOptions {
    max_bytes: 1 << 30,
    now: NOW,
};

#[tokio::test]
async fn memory_conforms() {
    conformance::run(MemorySeries::new).await;
}

#[tokio::test]
async fn sqlite_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let mut number = 0;
    let open = |options| {
        number += 1;
        SqliteSeries::open(&folder.path().join(format!("{number}.db")), options).unwrap()
    };
    conformance::run(open).await;
}

fn open(folder: &Path, options: SeriesOptions) -> Result<SqliteSeries, StoreError> {
    SqliteSeries::open(&folder.join("series.db"), options)
}

#[tokio::test]
async fn points_and_readings_outlive_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let reading = Reading {
        gateway: model::GatewayId::from_entropy(1),
        vni: model::Vni::FIRST,
        at: NOW,
        counts: counts(9),
    };
    let batch = Batch {
        readings: [(key(1), reading)].into(),
        ..Batch::clone(&points(1, [((key(1), Minute(5)), counts(3))]))
    };
    let store = open(folder.path(), OPTIONS).unwrap();
    store.append(Arc::new(batch)).await.unwrap();
    let before = (store.standing().await.unwrap(), store.size());
    drop(store);
    let later = SeriesOptions {
        now: NOW.after(std::time::Duration::from_secs(60)),
        ..OPTIONS
    };
    let store = open(folder.path(), later).unwrap();
    assert_eq!((store.standing().await.unwrap(), store.size()), before);
    let batch = points(2, [((key(1), Minute(5)), counts(3))]);
    store.append(batch).await.unwrap();
    let found = store.points(key(1), Minute(5)..=Minute(5)).await.unwrap();
    let mut twice = counts(3);
    twice += counts(3);
    assert_eq!(found.points, [(Minute(5), twice)]);
}

#[tokio::test]
async fn a_lowered_bound_shrinks_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), OPTIONS).unwrap();
    for minute in 0..60u32 {
        let all = (0..1000).map(|side| ((key(side), Minute(minute)), counts(1 << 40)));
        store
            .append(points(u64::from(minute) + 1, all))
            .await
            .unwrap();
    }
    let before = store.size();
    assert!(before.bytes > 2 << 20, "{before:?}");
    drop(store);
    let narrow = SeriesOptions {
        max_bytes: 1 << 20,
        ..OPTIONS
    };
    let store = open(folder.path(), narrow).unwrap();
    let after = store.size();
    assert!(after.bytes <= 1 << 20, "{after:?}");
    assert!(
        after.points > 0 && after.points < before.points,
        "{after:?}"
    );
    drop(store);
    let on_disk = std::fs::metadata(folder.path().join("series.db")).unwrap();
    assert_eq!(on_disk.len(), after.bytes);
}

#[test]
fn a_file_of_something_else_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("series.db");
    drop(SqliteStore::open(&path).unwrap());
    let before = std::fs::read(&path).unwrap();
    let error = open(folder.path(), OPTIONS).unwrap_err();
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    assert!(error.to_string().contains("series.db"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);

    std::fs::write(&path, vec![b'x'; 8192]).unwrap();
    let error = open(folder.path(), OPTIONS).unwrap_err();
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    // Nor does the state take the series for its own.
    std::fs::remove_file(&path).unwrap();
    drop(open(folder.path(), OPTIONS).unwrap());
    let error = SqliteStore::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
}

#[tokio::test]
async fn a_damaged_file_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("series.db");
    let store = open(folder.path(), OPTIONS).unwrap();
    for minute in 0..20u32 {
        let all = (0..200).map(|side| ((key(side), Minute(minute)), counts(5)));
        store
            .append(points(u64::from(minute) + 1, all))
            .await
            .unwrap();
    }
    drop(store);
    let mut bytes = std::fs::read(&path).unwrap();
    // Everything behind the first page, which holds the schema.
    bytes[4096..].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    let error = open(folder.path(), OPTIONS).unwrap_err();
    assert!(matches!(error, StoreError::Open { .. }), "{error}");
    assert!(error.to_string().contains("series.db"), "{error}");
}

#[test]
fn a_file_has_one_user() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path(), OPTIONS).unwrap();
    let error = open(folder.path(), OPTIONS).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    drop(first);
    open(folder.path(), OPTIONS).unwrap();
}

#[tokio::test]
async fn only_the_owner_can_read_it() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), OPTIONS).unwrap();
    let batch = points(1, [((key(1), Minute(5)), counts(3))]);
    store.append(batch).await.unwrap();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", file.file_name());
    }
    assert_eq!(store.standing().await.unwrap().made_at, UnixMillis(NOW.0));
}
