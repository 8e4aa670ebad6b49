//! A process that is killed in the middle of a stream of commits leaves every acknowledged
//! transaction and no half one.
//!
//! The test runs itself again as the victim: with `STORE_KILL_FILE` set it commits to that file and
//! prints each acknowledged transaction until it is killed.

use std::collections::BTreeSet;
use std::env;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;

use model::{Uin, UnixMillis};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use store::conformance::{apply, put, writes};
use store::{
    Answer, AnswerBounds, AnswerKey, CommitError, KnownBy, Retention, Revision, Snapshot,
    SqliteOptions, SqliteStore, Store, StoreError, Tally, Transaction,
};
use tokio::task::JoinSet;

const FILE: &str = "STORE_KILL_FILE";
const ROUND: &str = "STORE_KILL_ROUND";
const SEED: &str = "STORE_KILL_SEED";
const ROUNDS: u64 = 8;
const WRITERS: u64 = 8;
/// Ends a victim whose parent never kills it.
const COMMITS_PER_WRITER: u64 = 20_000;
const KEEP_ALL: SqliteOptions = SqliteOptions {
    retention: Retention {
        changes: usize::MAX,
        bytes: usize::MAX,
    },
    answers: AnswerBounds {
        total: UNBOUNDED,
        per_account: UNBOUNDED,
    },
};
const UNBOUNDED: Tally = Tally {
    answers: u64::MAX,
    bytes: u64::MAX,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_transactions_survive_a_kill() {
    if let Some(file) = env::var_os(FILE) {
        let round = env::var(ROUND).unwrap();
        return commit_until_killed(Path::new(&file), &round).await;
    }
    let seed = env::var(SEED).map_or_else(|_| rand::random(), |text| text.parse().unwrap());
    println!("{SEED}={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let mut acknowledged = BTreeSet::new();
    for round in 0..ROUNDS {
        let mut victim = Victim::start(&path, round);
        acknowledged.insert(victim.next_acknowledged().expect("a first commit"));
        let error = SqliteStore::open(&path).unwrap_err();
        assert!(matches!(error, StoreError::InUse { .. }), "{error}");
        for _ in 0..random.random_range(0..1500) {
            acknowledged.insert(
                victim
                    .next_acknowledged()
                    .expect("it runs until it is killed"),
            );
        }
        victim.process.kill().unwrap();
        while let Some(key) = victim.next_acknowledged() {
            acknowledged.insert(key);
        }
        check(&path, &acknowledged).await;
    }
}

/// Every transaction puts `own/<name>` and `twin/<name>`, each only once, and an answer, so a store of
/// whole transactions has two keys and an answer per revision.
async fn check(path: &Path, acknowledged: &BTreeSet<String>) {
    let store = SqliteStore::open_with(path, KEEP_ALL).unwrap();
    let snapshot = store.snapshot().await.unwrap();
    for name in acknowledged {
        let own = snapshot.entries.get(&format!("own/{name}"));
        assert!(own.is_some(), "{name} was acknowledged and is lost");
    }
    assert_eq!(snapshot.entries.len() as u64, 2 * snapshot.revision.0);
    assert_eq!(store.stats().answers, snapshot.revision.0);
    let revision = snapshot.revision;
    for key in snapshot.entries.keys() {
        if let Some(name) = key.strip_prefix("own/") {
            let value = name.to_owned().into();
            let again = store.remember(answer(name)).await;
            assert_eq!(again, Err(CommitError::Answered { value, revision }));
        }
    }
    for (key, entry) in &snapshot.entries {
        if let Some(name) = key.strip_prefix("own/") {
            let twin = snapshot.entries.get(&format!("twin/{name}"));
            assert_eq!(twin, Some(entry), "half of {name}");
        }
    }
    let mut watch = store.watch(Revision::ZERO).await.unwrap();
    let mut replayed = Snapshot::default();
    while replayed.revision < snapshot.revision {
        apply(&mut replayed, watch.next().await.unwrap().unwrap());
    }
    assert_eq!(replayed, snapshot);
}

async fn commit_until_killed(path: &Path, round: &str) {
    // The test harness may have begun a line.
    println!();
    let store = Arc::new(SqliteStore::open_with(path, KEEP_ALL).unwrap());
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (store, round) = (Arc::clone(&store), round.to_owned());
        writers.spawn(async move {
            for number in 0..COMMITS_PER_WRITER {
                let name = format!("{round}/{writer}/{number}");
                let pair = [
                    put(&format!("own/{name}"), &name),
                    put(&format!("twin/{name}"), &name),
                ];
                let transaction = Transaction {
                    answer: Some(answer(&name)),
                    ..writes(pair)
                };
                store.commit(transaction).await.unwrap();
                println!("acknowledged {name}");
            }
        });
    }
    writers.join_all().await;
}

/// The answer of a transaction: a request of its own, told apart by the number and the round.
fn answer(name: &str) -> Answer {
    let mut parts = name.split('/').map(|part| part.parse::<u64>().unwrap());
    let mut part = || parts.next().unwrap().to_be_bytes();
    let (round, writer, number) = (part(), part(), part());
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&round);
    digest[8..16].copy_from_slice(&writer);
    Answer {
        key: AnswerKey {
            made_at: UnixMillis(i64::from_be_bytes(number)),
            digest,
            known_by: KnownBy::TimeAndDigest,
        },
        account: Uin(1),
        value: name.to_owned().into(),
    }
}

/// The child process, killed at the latest when it is dropped.
struct Victim {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Victim {
    fn start(path: &Path, round: u64) -> Victim {
        let mut process = Command::new(env::current_exe().unwrap())
            .args([
                "acknowledged_transactions_survive_a_kill",
                "--exact",
                "--nocapture",
            ])
            .env(FILE, path)
            .env(ROUND, round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Victim { process, lines }
    }

    /// The next acknowledged transaction; `None` after the end of the process. A line that the
    /// kill cut off acknowledges nothing.
    fn next_acknowledged(&mut self) -> Option<String> {
        loop {
            let line = self.lines.next()?.unwrap();
            if let Some(name) = line.strip_prefix("acknowledged ")
                && name.split('/').count() == 3
            {
                return Some(name.to_owned());
            }
        }
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
