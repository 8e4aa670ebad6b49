//! Durable commits per second of the SQLite backend: `commits FILE [CLIENTS] [SECONDS]`. The file
//! is created or continued; put it on the disk that is to be measured.
//!
//! Each transaction is shaped like the create of a peering: two guards, six puts of 400 bytes, an
//! answer.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use model::{Uin, UnixMillis};
use store::conformance::{guard, put};
use store::{Answer, AnswerKey, KnownBy, SqliteStore, Store, Transaction};
use tokio::task::JoinSet;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().expect("the first argument is a file");
    let mut number = |default: u64| {
        let text = arguments.next();
        text.map_or(default, |text| text.parse().expect("a number"))
    };
    let (clients, duration) = (number(64), Duration::from_secs(number(5)));
    let store = Arc::new(SqliteStore::open(Path::new(&file)).expect("the store opens"));
    let base = store
        .snapshot()
        .await
        .expect("the store is readable")
        .revision;
    let (start, value) = (Instant::now(), "x".repeat(400));
    let mut running = JoinSet::new();
    for client in 0..clients {
        let (store, value) = (Arc::clone(&store), value.clone());
        running.spawn(async move {
            let mut latencies = Vec::new();
            while start.elapsed() < duration {
                let name = format!("{base}/{client}/{}", latencies.len());
                let transaction = Transaction {
                    guards: (0..2)
                        .map(|n| guard(&format!("{n}/{name}"), None))
                        .collect(),
                    writes: (0..6)
                        .map(|n| put(&format!("{n}/{name}"), &value))
                        .collect(),
                    answer: Some(answer(client, rand::random())),
                };
                let begin = Instant::now();
                store.commit(transaction).await.expect("the keys are new");
                latencies.push(begin.elapsed());
            }
            latencies
        });
    }
    let mut latencies: Vec<Duration> = running.join_all().await.into_iter().flatten().collect();
    latencies.sort();
    let per_second = latencies.len() as f64 / start.elapsed().as_secs_f64();
    let at = |percent: usize| latencies[latencies.len() * percent / 100];
    println!(
        "{per_second:.0} commits/s, p50 {:?}, p99 {:?}",
        at(50),
        at(99)
    );
    println!("{:?}", store.stats());
}

fn answer(client: u64, digest: [u8; 32]) -> Answer {
    let made_at = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
    let value = br#"{"code":0,"message":"","codeDesc":"Success","taskId":112245}"#;
    Answer {
        key: AnswerKey {
            made_at: UnixMillis(i64::try_from(made_at.as_secs()).expect("a time") * 1000),
            digest,
            known_by: KnownBy::TimeAndDigest,
        },
        account: Uin(client),
        value: Bytes::from_static(value),
    }
}
