//! What measured points take: `points FILE [SIDES] [MINUTES] [MAX_MIB]`. All sides are busy in all
//! minutes, each with counts of a size of its own, as from some kbit/s to some Gbit/s. The file must
//! not exist.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use model::monitor::{Counts, Minute};
use model::{GatewayId, UnixMillis, Vni};
use rand::RngExt;
use store::series::conformance::key;
use store::series::{Batch, Reading, SeriesOptions, SeriesStore, SqliteSeries};

const FIRST: Minute = Minute(30_000_000);

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().expect("the first argument is a file");
    let mut number = |default: u64| {
        let text = arguments.next();
        text.map_or(default, |text| text.parse().expect("a number"))
    };
    let (sides, minutes, max_mib) = (number(10_000), number(1_440), number(1 << 20));
    let options = SeriesOptions {
        max_bytes: max_mib << 20,
        now: FIRST.begins_at(),
    };
    let store = SqliteSeries::open(Path::new(&file), options).expect("the store opens");
    let rates: Vec<u64> = (0..sides)
        .map(|_| 1 << rand::rng().random_range(13..33))
        .collect();
    let mut slowest = std::time::Duration::ZERO;
    let start = Instant::now();
    for minute in 0..minutes {
        let at = Minute(FIRST.0 + minute as u32);
        let batch = Arc::new(batch(minute + 1, at, &rates));
        let begun = Instant::now();
        store.append(batch).await.expect("the batch is appended");
        slowest = slowest.max(begun.elapsed());
        if (minute + 1).is_multiple_of(minutes.div_ceil(8).max(1)) {
            report(&store, minute + 1, start.elapsed().as_secs_f64());
        }
    }
    let begun = Instant::now();
    let range = Minute(FIRST.0)..=Minute(FIRST.0 + minutes as u32);
    let day = store.points(key(sides / 2), range).await.expect("a read");
    println!(
        "slowest append {slowest:.1?}, {} points of one side read in {:.1?}",
        day.points.len(),
        begun.elapsed()
    );
}

fn report(store: &SqliteSeries, minutes: u64, secs: f64) {
    let size = store.size();
    println!(
        "{minutes} minutes: {} points, {} MiB, {:.1} bytes a point, {:.0} ms a minute",
        size.points,
        size.bytes >> 20,
        size.bytes as f64 / size.points as f64,
        secs * 1e3 / minutes as f64
    );
}

fn batch(number: u64, minute: Minute, rates: &[u64]) -> Batch {
    let mut batch = Batch {
        number,
        ..Batch::default()
    };
    let mut random = rand::rng();
    for (side, rate) in (0..).zip(rates) {
        let bytes = rate / 8 * 60 / 2 + random.random_range(0..rate / 8 * 60);
        let counts = Counts {
            sent_packets: bytes / 1_000,
            sent_bytes: bytes,
            received_packets: bytes / 2_000,
            received_bytes: bytes / 3,
            capped_packets: bytes / 200_000,
        };
        batch.points.insert((key(side), minute), counts);
        let reading = Reading {
            gateway: GatewayId::from_entropy(side % 2),
            vni: Vni::FIRST,
            at: UnixMillis(minute.begins_at().0),
            counts,
        };
        batch.readings.insert(key(side), reading);
    }
    batch
}
