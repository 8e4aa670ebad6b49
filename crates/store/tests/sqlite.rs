//! What the SQLite backend promises about its file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use model::{Uin, UnixMillis};
use rusqlite::Connection;
use store::conformance::{answer, bounds, put, writes};
use store::{
    CommitError, Full, Revision, SqliteOptions, SqliteStore, Store, StoreError, Transaction,
};
use tokio::task::JoinSet;

fn shell(path: &Path) -> Connection {
    Connection::open(path).unwrap()
}

fn assert_unreadable_for_others(path: &Path) {
    let mode = fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{}", path.display());
}

#[tokio::test]
async fn only_the_owner_can_read_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = SqliteStore::open(&path).unwrap();
    store.commit(writes([put("k", "1")])).await.unwrap();
    let names = ["state.db", "state.db-wal", "state.db-shm", "state.db.lock"];
    for name in names {
        assert_unreadable_for_others(&folder.path().join(name));
    }
    drop(store);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let _store = SqliteStore::open(&path).unwrap();
    assert_unreadable_for_others(&path);
}

#[tokio::test]
async fn a_file_has_one_store_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = SqliteStore::open(&path).unwrap();
    let error = SqliteStore::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    store.commit(writes([put("k", "1")])).await.unwrap();
    drop(store);
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.snapshot().await.unwrap().revision, Revision(1));
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    drop(SqliteStore::open(&path).unwrap());
    let version: i64 = shell(&path)
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    shell(&path)
        .pragma_update(None, "user_version", version + 1)
        .unwrap();
    let before = fs::read(&path).unwrap();
    match SqliteStore::open(&path) {
        Err(StoreError::NewerSchema {
            found, supported, ..
        }) => assert_eq!((found, supported), (version + 1, version)),
        other => panic!("expected a refusal, got {other:?}"),
    }
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn files_of_something_else_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("other.db");
    shell(&database)
        .execute_batch("CREATE TABLE t (x)")
        .unwrap();
    let text = folder.path().join("notes.txt");
    fs::write(
        &text,
        "not a database, but long enough to be read as one ".repeat(50),
    )
    .unwrap();
    for path in [database, text] {
        let before = fs::read(&path).unwrap();
        let error = SqliteStore::open(&path).unwrap_err();
        assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}

#[tokio::test]
async fn a_file_that_was_tampered_with_is_refused() {
    for (damage, reason) in [
        (
            "DELETE FROM change WHERE revision = 2",
            "change 2 is missing",
        ),
        (
            "DELETE FROM change WHERE revision = 3",
            "the changes end at 2",
        ),
        ("UPDATE entry SET revision = 9", "is of revision 9"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let store = SqliteStore::open(&path).unwrap();
        for _ in 0..3 {
            store.commit(writes([put("k", "1")])).await.unwrap();
        }
        drop(store);
        shell(&path).execute_batch(damage).unwrap();
        let error = SqliteStore::open(&path).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[test]
fn a_missing_folder_is_an_error_that_names_the_file() {
    let error = SqliteStore::open(Path::new("/nonexistent/state.db")).unwrap_err();
    assert!(matches!(error, StoreError::Open { .. }));
    assert!(error.to_string().contains("/nonexistent/state.db"));
}

#[tokio::test]
async fn the_content_is_text_for_whoever_looks_at_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = SqliteStore::open(&path).unwrap();
    let value = r#"{"v":1,"name":"example"}"#;
    store
        .commit(writes([put("vpc/vpc-8e0ypm3z", value)]))
        .await
        .unwrap();
    for table in ["entry", "change"] {
        let sql = format!("SELECT key, typeof(value), value FROM {table}");
        let row: (String, String, String) = shell(&path)
            .query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .unwrap();
        assert_eq!(
            row,
            ("vpc/vpc-8e0ypm3z".into(), "text".into(), value.into())
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_commits_share_syncs() {
    const CLIENTS: u64 = 64;
    const COMMITS: u64 = 20;
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(&folder.path().join("state.db")).unwrap());
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let store = Arc::clone(&store);
        clients.spawn(async move {
            for number in 0..COMMITS {
                let key = format!("k/{client}/{number}");
                store.commit(writes([put(&key, "{}")])).await.unwrap();
            }
        });
    }
    clients.join_all().await;
    let stats = store.stats();
    assert_eq!(stats.transactions, CLIENTS * COMMITS);
    assert!(stats.largest_batch > 1, "{stats:?}");
    assert!(stats.batches <= stats.transactions / 2, "{stats:?}");
}

#[tokio::test]
async fn a_caller_that_stops_waiting_does_not_disturb_others() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("state.db")).unwrap();
    {
        let commit = store.commit(writes([put("a", "1")]));
        tokio::pin!(commit);
        // Polled once, so that it is queued, and then dropped.
        let polled =
            std::future::poll_fn(|context| std::task::Poll::Ready(commit.as_mut().poll(context)));
        assert!(polled.await.is_pending() || store.stats().transactions == 1);
    }
    let revision = store.commit(writes([put("b", "1")])).await.unwrap();
    assert_eq!(revision, Revision(2));
    assert_eq!(store.snapshot().await.unwrap().entries.len(), 2);
}

#[tokio::test]
async fn answers_survive_a_restart_with_their_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let options = SqliteOptions {
        answers: bounds((3, 100), (2, 100)),
        ..SqliteOptions::default()
    };
    let open = || SqliteStore::open_with(&path, options).unwrap();
    let (one, other) = (Uin(u64::MAX), Uin(2));
    let store = open();
    let created = Transaction {
        answer: Some(answer(one, 1, 1, "created")),
        ..writes([put("a", "1")])
    };
    store.commit(created.clone()).await.unwrap();
    store.remember(answer(one, 1, 2, "refused")).await.unwrap();
    store.remember(answer(other, 2, 3, "else")).await.unwrap();
    drop(store);
    let store = open();
    let stats = store.stats();
    assert_eq!((stats.answers, stats.answer_bytes), (3, 18));
    let revision = Revision(1);
    let answered = |value: &'static str| CommitError::Answered {
        value: value.into(),
        revision,
    };
    assert_eq!(store.commit(created).await, Err(answered("created")));
    let again = store.remember(answer(one, 1, 2, "again")).await;
    assert_eq!(again, Err(answered("refused")));
    let full = store.remember(answer(one, 3, 4, "")).await;
    let full_for_one = CommitError::AnswersFull(Full::Account(one));
    assert_eq!(full, Err(full_for_one));
    assert_eq!(store.forget_answers(UnixMillis(2), 10).await.unwrap(), 2);
    drop(store);
    let store = open();
    store.remember(answer(one, 3, 4, "")).await.unwrap();
    assert_eq!(store.stats().answers, 2);
    assert_eq!(store.snapshot().await.unwrap().entries.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_cost_no_sync_of_their_own() {
    const CLIENTS: u8 = 64;
    const COMMITS: i64 = 20;
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(&folder.path().join("state.db")).unwrap());
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let store = Arc::clone(&store);
        clients.spawn(async move {
            for number in 0..COMMITS {
                let transaction = Transaction {
                    answer: Some(answer(Uin(1), number, client, "{}")),
                    ..writes([put(&format!("k/{client}/{number}"), "{}")])
                };
                store.commit(transaction).await.unwrap();
            }
        });
    }
    clients.join_all().await;
    let stats = store.stats();
    assert_eq!(stats.answers, stats.transactions);
    assert!(stats.batches <= stats.transactions / 2, "{stats:?}");
}
