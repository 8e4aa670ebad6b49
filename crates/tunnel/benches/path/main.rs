//! What a path is worth beside others, interleaved in one run: an encrypted, uncapped peering, plain
//! kernel routing, the kernel's VXLAN in clear, and every WireGuard program that is found in `PATH`.
//! All of them host – gateway – gateway – host, the same packets of 1390 bytes, the underlay carrying
//! only frames of 1500 bytes. Needs root, `ip`, `ethtool` and `/dev/net/tun`.
//!
//! ```text
//! cargo bench -p tunnel --bench path -- [--rounds 5] [--seconds 3]
//! ```

#[path = "../../tests/bed/mod.rs"]
mod bed;
mod chain;
#[path = "../field/mod.rs"]
#[allow(dead_code, reason = "each benchmark uses a part of the field")]
mod field;

use std::time::Duration;

use chain::{Chain, Way};
use field::load::{Bulk, Requests};
use field::sites::{Counted, Hosts, Sites};

const STREAMS: [usize; 2] = [1, 4];
const SETTLE: Duration = Duration::from_secs(1);

/// One contender and what it came to, round by round.
struct Entry {
    name: &'static str,
    path: Path,
    // Mbps by number of streams, and the median round trip in microseconds.
    mbps: [Vec<f64>; 2],
    rtt_micros: Vec<f64>,
}

enum Path {
    Peering(Sites),
    Chain(Chain),
}

impl Path {
    fn hosts(&self) -> &Hosts {
        match self {
            Path::Peering(sites) => &sites.hosts,
            Path::Chain(chain) => &chain.hosts,
        }
    }
}

fn main() {
    // `cargo test --benches` must not measure.
    if std::env::args().len() == 1 {
        return;
    }
    let number = |name: &str, otherwise: usize| {
        let mut arguments = std::env::args().skip_while(|argument| argument != name);
        arguments
            .nth(1)
            .and_then(|text| text.parse().ok())
            .unwrap_or(otherwise)
    };
    let (rounds, seconds) = (number("--rounds", 5), number("--seconds", 3));
    let duration = Duration::from_secs(seconds as u64);
    let mut entries = entries();
    for _ in 0..rounds {
        for entry in &mut entries {
            entry.measure(duration);
        }
    }
    print(&entries);
}

fn entries() -> Vec<Entry> {
    let sites = Sites::new("pp", 0);
    sites.make_wire();
    let mut entries = vec![
        Entry::new(
            "plain kernel routing",
            Path::Chain(Chain::new("pr", Way::Plain)),
        ),
        Entry::new(
            "kernel VXLAN, in clear",
            Path::Chain(Chain::new("px", Way::Vxlan)),
        ),
        Entry::new("peering, encrypted, uncapped", Path::Peering(sites)),
    ];
    for (number, program) in chain::PROGRAMS.iter().enumerate() {
        match Chain::with_program(number, program) {
            Ok(chain) => entries.push(Entry::new(program.name, Path::Chain(chain))),
            Err(reason) => println!("{}: SKIPPED, {reason}", program.name),
        }
    }
    entries
}

impl Entry {
    fn new(name: &'static str, path: Path) -> Entry {
        Entry {
            name,
            path,
            mbps: Default::default(),
            rtt_micros: Vec::new(),
        }
    }

    fn measure(&mut self, duration: Duration) {
        let hosts = self.path.hosts();
        for (streams, results) in STREAMS.iter().zip(&mut self.mbps) {
            let bulk = Bulk::start(hosts, 0, *streams, "cubic");
            std::thread::sleep(SETTLE);
            let before = hosts.received(1);
            std::thread::sleep(duration);
            results.push(Counted::bits_per_sec(before, hosts.received(1)) / 1e6);
            bulk.stop();
        }
        let times = Requests::run(hosts, Duration::from_millis(500));
        self.rtt_micros
            .push(times[times.len() / 2].as_secs_f64() * 1e6);
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn print(entries: &[Entry]) {
    let plain = [0, 1].map(|index| median(&entries[0].mbps[index]));
    println!("| path | 1 stream Mbps | 4 streams Mbps | of plain routing | RTT µs |");
    println!("|---|---|---|---|---|");
    for entry in entries {
        let [one, four] = [0, 1].map(|index| median(&entry.mbps[index]));
        println!(
            "| {} | {one:.0} | {four:.0} | {:.2}, {:.2} | {:.0} |",
            entry.name,
            one / plain[0],
            four / plain[1],
            median(&entry.rtt_micros)
        );
    }
}
