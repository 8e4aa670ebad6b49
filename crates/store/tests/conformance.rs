//! Both embedded backends against the suite, and the second against the first.

use std::path::Path;

use proptest::prelude::*;
use store::conformance::{self, apply};
use store::{
    AnswerBounds, Change, CommitError, Guard, MemoryStore, Retention, Revision, Snapshot,
    SqliteOptions, SqliteStore, Store, Transaction, WatchError, Write,
};

fn sqlite(folder: &Path) -> impl FnMut(AnswerBounds) -> SqliteStore {
    let mut number = 0;
    move |answers| {
        number += 1;
        let options = SqliteOptions {
            answers,
            ..SqliteOptions::default()
        };
        SqliteStore::open_with(&folder.join(format!("{number}.db")), options).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memory_conforms() {
    conformance::run(MemoryStore::with_answers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sqlite_conforms() {
    let folder = tempfile::tempdir().unwrap();
    conformance::run(sqlite(folder.path())).await;
}

/// One step of a random run. Revisions of guards are relative to what the key has, so that about
/// half of them hold.
#[derive(Debug, Clone)]
enum Step {
    Commit {
        guards: Vec<(u8, Expectation)>,
        writes: Vec<(u8, Option<Vec<u8>>)>,
    },
    Reopen,
}

#[derive(Debug, Clone, Copy)]
enum Expectation {
    Actual,
    Absent,
    Older,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let expectation = prop_oneof![
        4 => Just(Expectation::Actual),
        1 => Just(Expectation::Absent),
        1 => Just(Expectation::Older),
    ];
    let value = proptest::option::weighted(0.7, proptest::collection::vec(any::<u8>(), 0..20));
    let commit = (
        proptest::collection::vec((0u8..8, expectation), 0..4),
        proptest::collection::vec((0u8..8, value), 0..6),
    )
        .prop_map(|(guards, writes)| Step::Commit { guards, writes });
    proptest::collection::vec(prop_oneof![12 => commit, 1 => Just(Step::Reopen)], 1..60)
}

fn transaction(
    state: &Snapshot,
    guards: &[(u8, Expectation)],
    writes: &[(u8, Option<Vec<u8>>)],
) -> Transaction {
    let key = |number: u8| format!("k/{number}");
    let guards = guards.iter().map(|(number, expectation)| {
        let key = key(*number);
        let actual = state.entries.get(&key).map(|entry| entry.revision);
        let expected = match expectation {
            Expectation::Actual => actual,
            Expectation::Absent => None,
            Expectation::Older => Some(Revision(actual.map_or(1, |actual| actual.0 - 1))),
        };
        Guard { key, expected }
    });
    let writes = writes.iter().map(|(number, value)| match value {
        Some(value) => Write::Put {
            key: key(*number),
            value: value.clone().into(),
        },
        None => Write::Delete { key: key(*number) },
    });
    Transaction {
        guards: guards.collect(),
        writes: writes.collect(),
        ..Transaction::default()
    }
}

async fn drain(store: &dyn Store, from: Revision, until: Revision) -> Vec<Change> {
    let mut watch = store.watch(from).await.unwrap();
    let mut changes = Vec::new();
    while watch.position() < until {
        changes.push(watch.next().await.unwrap().unwrap());
    }
    changes
}

async fn compare(steps: Vec<Step>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let model = MemoryStore::new();
    let mut sqlite = SqliteStore::open(&path).unwrap();
    for step in steps {
        match step {
            Step::Reopen => {
                drop(sqlite);
                sqlite = SqliteStore::open(&path).unwrap();
            }
            Step::Commit { guards, writes } => {
                let state = model.snapshot().await.unwrap();
                let transaction = transaction(&state, &guards, &writes);
                let expected: Result<Revision, CommitError> =
                    model.commit(transaction.clone()).await;
                assert_eq!(sqlite.commit(transaction).await, expected);
            }
        }
        let expected = model.snapshot().await.unwrap();
        assert_eq!(sqlite.snapshot().await.unwrap(), expected);
    }
    let last = model.snapshot().await.unwrap();
    for from in 0..=last.revision.0 {
        let from = Revision(from);
        let changes = drain(&sqlite, from, last.revision).await;
        assert_eq!(changes, drain(&model, from, last.revision).await);
    }
    let mut replayed = Snapshot::default();
    for change in drain(&sqlite, Revision::ZERO, last.revision).await {
        apply(&mut replayed, change);
    }
    assert_eq!(replayed, last);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn sqlite_does_what_memory_does(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(compare(steps));
    }
}

async fn commit_some(store: &dyn Store, commits: u64) {
    for number in 0..commits {
        let write = conformance::put("k", &number.to_string());
        store.commit(conformance::writes([write])).await.unwrap();
    }
}

/// After 12 commits with a retention of 5 changes, a watch starts from 7 on.
async fn check_compaction(store: &dyn Store) {
    let (last, oldest) = (Revision(12), Revision(7));
    for from in 0..7 {
        let error = store.watch(Revision(from)).await.unwrap_err();
        assert_eq!(error, WatchError::Compacted { oldest });
    }
    for from in 7..=12 {
        let changes = drain(store, Revision(from), last).await;
        assert_eq!(changes.len() as u64, 12 - from);
    }
}

const SMALL: Retention = Retention {
    changes: 5,
    bytes: 1024,
};

fn small() -> SqliteOptions {
    SqliteOptions {
        retention: SMALL,
        ..SqliteOptions::default()
    }
}

#[tokio::test]
async fn changes_beyond_the_retention_are_compacted() {
    let memory = MemoryStore::with_retention(SMALL);
    commit_some(&memory, 12).await;
    check_compaction(&memory).await;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let options = small();
    let store = SqliteStore::open_with(&path, options).unwrap();
    commit_some(&store, 12).await;
    drop(store);
    // What was in memory is gone, so that these come from the file.
    check_compaction(&SqliteStore::open_with(&path, options).unwrap()).await;
}

#[tokio::test]
async fn a_large_change_compacts_those_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let options = small();
    let store = SqliteStore::open_with(&path, options).unwrap();
    commit_some(&store, 2).await;
    let large = conformance::put("large", &"x".repeat(2 * SMALL.bytes));
    store.commit(conformance::writes([large])).await.unwrap();
    drop(store);
    let store = SqliteStore::open_with(&path, options).unwrap();
    let oldest = Revision(2);
    let error = store.watch(Revision(1)).await.unwrap_err();
    assert_eq!(error, WatchError::Compacted { oldest });
    assert_eq!(drain(&store, oldest, Revision(3)).await.len(), 1);
}

#[tokio::test]
async fn a_watcher_that_falls_behind_learns_it() {
    let store = MemoryStore::with_retention(SMALL);
    let mut watch = store.watch(Revision::ZERO).await.unwrap();
    commit_some(&store, 6).await;
    let oldest = Revision(1);
    let compacted = WatchError::Compacted { oldest };
    assert_eq!(watch.next().await, Some(Err(compacted)));
    assert_eq!(watch.next().await, None);
}
