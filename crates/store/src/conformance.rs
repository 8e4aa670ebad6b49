//! What every backend has to pass.
//!
//! [`run`] takes a function that opens an empty store and runs all cases, each on a store of its
//! own. A case panics with what it expected. The cases need a multi-threaded tokio runtime with its
//! timer: waiting is bounded, so that a watch that loses a change fails instead of hanging.

mod answers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::answer::AnswerBounds;
use crate::error::{CommitError, WatchError};
use crate::transaction::{Change, Entry, Guard, Revision, Snapshot, Transaction, Write};
use crate::watch::Watch;
use crate::{Limit, Store};

/// How long a case waits for something that has to come at once.
const PATIENCE: Duration = Duration::from_secs(30);

const WRITERS: u64 = 8;
const COMMITS_PER_WRITER: u64 = 50;

pub use answers::{answer, bounds};

/// Runs all cases against stores that `open` makes, with the bounds that it is given; each has to be
/// empty.
///
/// # Panics
/// When a case fails.
pub async fn run<S: Store>(mut open_with: impl FnMut(AnswerBounds) -> S) {
    answers::run(&mut open_with).await;
    let mut open = || open_with(AnswerBounds::default());
    an_empty_store_has_revision_zero(&open()).await;
    revisions_are_consecutive(&open()).await;
    a_writer_reads_its_own_writes(&open()).await;
    a_guard_on_the_revision_holds_until_the_key_is_written(&open()).await;
    a_guard_on_absence_holds_until_the_key_exists(&open()).await;
    a_deleted_key_is_absent(&open()).await;
    the_first_guard_that_fails_is_told(&open()).await;
    a_refused_transaction_writes_nothing(&open()).await;
    malformed_transactions_are_refused(&open()).await;
    values_of_any_bytes_come_back(&open()).await;
    the_largest_transaction_is_taken(&open()).await;
    a_watch_tells_what_was_written(&open()).await;
    a_watch_starts_after_its_revision(&open()).await;
    a_watch_from_the_future_is_refused(&open()).await;
    a_watch_waits_for_what_comes(Arc::new(open())).await;
    a_watch_ends_with_its_store(open()).await;
    every_watch_sees_each_change_once_in_order(Arc::new(open())).await;
    snapshots_hold_whole_transactions(Arc::new(open())).await;
    of_competing_transactions_one_wins(Arc::new(open())).await;
    counting_under_guards_loses_nothing(Arc::new(open())).await;
}

/// A put of a text.
pub fn put(key: &str, value: &str) -> Write {
    Write::Put {
        key: key.to_owned(),
        value: Bytes::copy_from_slice(value.as_bytes()),
    }
}

/// A deletion.
pub fn delete(key: &str) -> Write {
    Write::Delete {
        key: key.to_owned(),
    }
}

/// A guard.
pub fn guard(key: &str, expected: Option<Revision>) -> Guard {
    Guard {
        key: key.to_owned(),
        expected,
    }
}

/// A transaction without guards.
pub fn writes(writes: impl Into<Vec<Write>>) -> Transaction {
    Transaction {
        writes: writes.into(),
        ..Transaction::default()
    }
}

/// Applies a change to a snapshot, as a follower of a watch does.
///
/// # Panics
/// When the change does not follow on the snapshot.
pub fn apply(snapshot: &mut Snapshot, change: Change) {
    assert_eq!(change.revision, snapshot.revision.next(), "a gap");
    let revision = change.revision;
    snapshot.revision = revision;
    for write in change.writes {
        match write {
            Write::Put { key, value } => {
                snapshot.entries.insert(key, Entry { value, revision });
            }
            Write::Delete { key } => {
                snapshot.entries.remove(&key);
            }
        }
    }
}

async fn commit(store: &impl Store, transaction: Transaction) -> Revision {
    store.commit(transaction).await.expect("commits")
}

async fn guarded(
    store: &impl Store,
    guards: impl Into<Vec<Guard>>,
    write: Write,
) -> Result<Revision, CommitError> {
    let transaction = Transaction {
        guards: guards.into(),
        writes: vec![write],
        ..Transaction::default()
    };
    store.commit(transaction).await
}

fn conflict(key: &str, found: Option<Revision>) -> Result<Revision, CommitError> {
    let key = key.to_owned();
    Err(CommitError::Conflict { key, found })
}

async fn watch(store: &impl Store, from: Revision) -> Watch {
    store.watch(from).await.expect("starts")
}

async fn next(watch: &mut Watch) -> Change {
    timeout(PATIENCE, watch.next())
        .await
        .expect("a change in time")
        .expect("a change before the end")
        .expect("a change")
}

async fn snapshot(store: &impl Store) -> Snapshot {
    store.snapshot().await.expect("reads")
}

async fn an_empty_store_has_revision_zero(store: &impl Store) {
    assert_eq!(snapshot(store).await, Snapshot::default());
}

async fn revisions_are_consecutive(store: &impl Store) {
    for number in 1..=20 {
        let revision = commit(store, writes([put("k", &number.to_string())])).await;
        assert_eq!(revision, Revision(number));
        let refused = guarded(store, [guard("k", None)], put("k", "refused")).await;
        assert_eq!(refused, conflict("k", Some(revision)));
    }
    assert_eq!(snapshot(store).await.revision, Revision(20));
}

async fn a_writer_reads_its_own_writes(store: &impl Store) {
    for number in 0..50 {
        let (key, value) = (format!("vpc/{number}"), number.to_string());
        let revision = commit(store, writes([put(&key, &value), put("last", &value)])).await;
        let snapshot = snapshot(store).await;
        assert!(snapshot.revision >= revision);
        let entry = Entry {
            value: value.into(),
            revision,
        };
        assert_eq!(snapshot.entries.get(&key), Some(&entry));
        assert_eq!(snapshot.entries.get("last"), Some(&entry));
    }
}

async fn a_guard_on_the_revision_holds_until_the_key_is_written(store: &impl Store) {
    let first = commit(store, writes([put("k", "1"), put("other", "1")])).await;
    commit(store, writes([put("other", "2")])).await;
    let second = guarded(store, [guard("k", Some(first))], put("k", "2")).await;
    assert_eq!(second, Ok(Revision(3)));
    let third = guarded(store, [guard("k", Some(first))], put("k", "3")).await;
    assert_eq!(third, conflict("k", Some(Revision(3))));
    assert_eq!(snapshot(store).await.entries["k"].value, "2");
}

async fn a_guard_on_absence_holds_until_the_key_exists(store: &impl Store) {
    let first = guarded(store, [guard("k", None)], put("k", "1")).await;
    assert_eq!(first, Ok(Revision(1)));
    let second = guarded(store, [guard("k", None)], put("k", "2")).await;
    assert_eq!(second, conflict("k", Some(Revision(1))));
    let absent = guarded(store, [guard("gone", Some(Revision(1)))], put("k", "3")).await;
    assert_eq!(absent, conflict("gone", None));
}

async fn a_deleted_key_is_absent(store: &impl Store) {
    let first = commit(store, writes([put("k", "1")])).await;
    commit(store, writes([delete("k")])).await;
    assert!(snapshot(store).await.entries.is_empty());
    let stale = guarded(store, [guard("k", Some(first))], put("k", "2")).await;
    assert_eq!(stale, conflict("k", None));
    let again = guarded(store, [guard("k", None)], put("k", "2")).await;
    assert_eq!(again, Ok(Revision(3)));
    let absent = commit(store, writes([delete("never")])).await;
    assert_eq!(absent, Revision(4));
}

async fn the_first_guard_that_fails_is_told(store: &impl Store) {
    commit(store, writes([put("a", "1")])).await;
    commit(store, writes([put("b", "1")])).await;
    let guards = [
        guard("a", Some(Revision(1))),
        guard("b", Some(Revision(1))),
        guard("c", Some(Revision(1))),
    ];
    let refused = guarded(store, guards, put("d", "1")).await;
    assert_eq!(refused, conflict("b", Some(Revision(2))));
    assert!(refused.is_err_and(|error| error.retryable()));
}

async fn a_refused_transaction_writes_nothing(store: &impl Store) {
    commit(store, writes([put("a", "1"), put("b", "1")])).await;
    let before = snapshot(store).await;
    let transaction = Transaction {
        guards: vec![guard("a", Some(Revision(1))), guard("b", None)],
        writes: vec![put("a", "2"), delete("b"), put("c", "2")],
        ..Transaction::default()
    };
    let refused = store.commit(transaction).await;
    assert_eq!(refused, conflict("b", Some(Revision(1))));
    assert_eq!(snapshot(store).await, before);
}

async fn malformed_transactions_are_refused(store: &impl Store) {
    let twice = writes([put("k", "1"), delete("k")]);
    let cases = [
        (writes([]), CommitError::Empty),
        (twice, CommitError::DuplicateKey("k".into())),
        (writes([put("", "1")]), CommitError::InvalidKey("".into())),
        (
            writes([put("k", &"x".repeat(Limit::Value.max() + 1))]),
            CommitError::TooLarge {
                limit: Limit::Value,
                found: Limit::Value.max() + 1,
            },
        ),
    ];
    for (transaction, expected) in cases {
        let error = store.commit(transaction).await.expect_err("malformed");
        assert_eq!(error, expected);
        assert!(!error.retryable());
    }
    assert_eq!(snapshot(store).await, Snapshot::default());
}

async fn values_of_any_bytes_come_back(store: &impl Store) {
    let values: BTreeMap<&str, &[u8]> = BTreeMap::from([
        ("empty", &b""[..]),
        ("json", br#"{"v":1,"name":"m\u00fcnchen"}"#),
        ("text", "m\u{fc}nchen \u{793a}\0\n".as_bytes()),
        ("number", b"42"),
        ("bytes", &[0xff, 0x00, 0xfe]),
    ]);
    let all: Vec<Write> = values
        .iter()
        .map(|(key, value)| Write::Put {
            key: (*key).to_owned(),
            value: Bytes::copy_from_slice(value),
        })
        .collect();
    commit(store, writes(all.clone())).await;
    let snapshot = snapshot(store).await;
    assert_eq!(snapshot.entries.len(), values.len());
    for (key, value) in values {
        assert_eq!(snapshot.entries[key].value, value, "{key}");
    }
    let change = next(&mut watch(store, Revision::ZERO).await).await;
    assert_eq!(change.writes, all);
}

async fn the_largest_transaction_is_taken(store: &impl Store) {
    let key = |number: usize| format!("{number:0width$}", width = Limit::Key.max());
    let value = "x".repeat(Limit::Transaction.max() / Limit::Writes.max() - Limit::Key.max());
    let largest = Transaction {
        guards: (0..Limit::Guards.max())
            .map(|n| guard(&key(n), None))
            .collect(),
        writes: (0..Limit::Writes.max())
            .map(|n| put(&key(n), &value))
            .collect(),
        ..Transaction::default()
    };
    commit(store, largest).await;
    assert_eq!(snapshot(store).await.entries.len(), Limit::Writes.max());
}

async fn a_watch_tells_what_was_written(store: &impl Store) {
    let transactions = [
        vec![put("b", "1"), put("a", "2"), delete("c")],
        vec![delete("a")],
        vec![put("b", "3")],
    ];
    let mut watch = watch(store, Revision::ZERO).await;
    for transaction in transactions.clone() {
        commit(store, writes(transaction)).await;
    }
    for (writes, number) in transactions.into_iter().zip(1..) {
        let revision = Revision(number);
        assert_eq!(next(&mut watch).await, Change { revision, writes });
        assert_eq!(watch.position(), revision);
    }
}

async fn a_watch_starts_after_its_revision(store: &impl Store) {
    for number in 1..=10 {
        commit(store, writes([put("k", &number.to_string())])).await;
    }
    for from in 0..10 {
        let mut watch = watch(store, Revision(from)).await;
        for expected in from + 1..=10 {
            assert_eq!(next(&mut watch).await.revision, Revision(expected));
        }
    }
    let mut current = watch(store, Revision(10)).await;
    commit(store, writes([put("k", "11")])).await;
    assert_eq!(next(&mut current).await.revision, Revision(11));
}

async fn a_watch_from_the_future_is_refused(store: &impl Store) {
    commit(store, writes([put("k", "1")])).await;
    let error = store.watch(Revision(2)).await.expect_err("is ahead");
    let current = Revision(1);
    assert_eq!(error, WatchError::Future { current });
}

async fn a_watch_waits_for_what_comes(store: Arc<impl Store>) {
    let mut watch = watch(&*store, Revision::ZERO).await;
    let follower = tokio::spawn(async move {
        let mut seen = Vec::new();
        while seen.len() < 3 {
            seen.push(next(&mut watch).await.revision.0);
        }
        seen
    });
    for number in 1..=3 {
        tokio::task::yield_now().await;
        commit(&*store, writes([put("k", &number.to_string())])).await;
    }
    assert_eq!(follower.await.expect("follows"), [1, 2, 3]);
}

async fn a_watch_ends_with_its_store(store: impl Store) {
    let mut behind = watch(&store, Revision::ZERO).await;
    commit(&store, writes([put("k", "1")])).await;
    let mut current = watch(&store, Revision(1)).await;
    drop(store);
    assert_eq!(next(&mut behind).await.revision, Revision(1));
    for watch in [&mut behind, &mut current] {
        let end = timeout(PATIENCE, watch.next()).await.expect("ends in time");
        assert_eq!(end, None);
    }
}

/// Starts writers that each commit under keys of their own and one that is common.
fn start_writers(store: &Arc<impl Store>) -> JoinSet<Vec<Revision>> {
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let store = Arc::clone(store);
        writers.spawn(async move {
            let mut revisions = Vec::new();
            for number in 0..COMMITS_PER_WRITER {
                let value = format!("{writer}/{number}");
                let own = format!("own/{writer}/{}", number % 7);
                let twin = format!("twin/{writer}/{}", number % 7);
                let transaction =
                    writes([put(&own, &value), put("common", &value), put(&twin, &value)]);
                revisions.push(commit(&*store, transaction).await);
            }
            revisions
        });
    }
    writers
}

async fn every_watch_sees_each_change_once_in_order(store: Arc<impl Store>) {
    let total = WRITERS * COMMITS_PER_WRITER;
    let mut followers = JoinSet::new();
    for _ in 0..3 {
        let mut watch = watch(&*store, Revision::ZERO).await;
        followers.spawn(async move {
            let mut state = Snapshot::default();
            while state.revision < Revision(total) {
                apply(&mut state, next(&mut watch).await);
            }
            state
        });
    }
    let committed = start_writers(&store).join_all().await;
    for revisions in &committed {
        assert!(revisions.is_sorted(), "a writer's revisions grow");
    }
    let distinct: BTreeSet<Revision> = committed.into_iter().flatten().collect();
    assert_eq!(distinct, (1..=total).map(Revision).collect());
    let snapshot = snapshot(&*store).await;
    for state in followers.join_all().await {
        assert_eq!(state, snapshot, "following leads to the snapshot");
    }
}

async fn snapshots_hold_whole_transactions(store: Arc<impl Store>) {
    let total = Revision(WRITERS * COMMITS_PER_WRITER);
    let mut writers = start_writers(&store);
    let mut last = Revision::ZERO;
    while last < total {
        let seen = snapshot(&*store).await;
        assert!(seen.revision >= last, "snapshots go backwards");
        last = seen.revision;
        for (key, entry) in &seen.entries {
            assert!(entry.revision <= seen.revision);
            if let Some(rest) = key.strip_prefix("own/") {
                let twin = seen.entries.get(&format!("twin/{rest}"));
                assert_eq!(twin, Some(entry), "a half transaction");
            }
        }
        let common = seen.entries.get("common").map(|entry| entry.revision);
        assert_eq!(common.unwrap_or_default(), seen.revision);
        // A watch from the revision of any snapshot goes on where the snapshot ends.
        watch(&*store, seen.revision).await;
        if writers.is_empty() {
            break;
        }
        while writers.try_join_next().is_some() {}
    }
    writers.join_all().await;
    assert_eq!(snapshot(&*store).await.revision, total);
}

async fn of_competing_transactions_one_wins(store: Arc<impl Store>) {
    for round in 0..20 {
        let key = format!("vpc/{round}");
        let mut competitors = JoinSet::new();
        for competitor in 0..WRITERS {
            let (store, key) = (Arc::clone(&store), key.clone());
            competitors.spawn(async move {
                let write = put(&key, &competitor.to_string());
                guarded(&*store, [guard(&key, None)], write).await
            });
        }
        let results = competitors.join_all().await;
        let won: Vec<Revision> = results.iter().flatten().copied().collect();
        assert_eq!(won, [Revision(round + 1)], "exactly one wins");
        let lost = conflict(&key, Some(won[0]));
        let losers = results.iter().filter(|result| **result == lost).count();
        assert_eq!(losers as u64, WRITERS - 1, "the others learn of the winner");
    }
}

async fn counting_under_guards_loses_nothing(store: Arc<impl Store>) {
    const STEPS: u64 = 10;
    let mut counters = JoinSet::new();
    for _ in 0..WRITERS {
        let store = Arc::clone(&store);
        counters.spawn(async move {
            for _ in 0..STEPS {
                count_once(&*store).await;
            }
        });
    }
    counters.join_all().await;
    let total = WRITERS * STEPS;
    let snapshot = snapshot(&*store).await;
    assert_eq!(snapshot.entries["count"].value, total.to_string());
    assert_eq!(snapshot.revision, Revision(total));
}

async fn count_once(store: &impl Store) {
    loop {
        let entries = snapshot(store).await.entries;
        let entry = entries.get("count");
        let count: u64 = entry.map_or(0, |entry| {
            let text = std::str::from_utf8(&entry.value).expect("text");
            text.parse().expect("a number")
        });
        let guard = guard("count", entry.map(|entry| entry.revision));
        match guarded(store, [guard], put("count", &(count + 1).to_string())).await {
            Ok(_) => return,
            Err(error) => assert!(error.retryable(), "{error}"),
        }
    }
}
