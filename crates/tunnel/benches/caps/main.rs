//! What a cap is worth: its exactness for TCP and UDP, and what a request/response flow feels while
//! bulk flows fill it. Judged at the receiving host, with real namespaces; needs root, `ip`,
//! `ethtool` and `/dev/net/tun`.
//!
//! ```text
//! cargo bench -p tunnel --bench caps -- rates [--seconds 10] [--mbps 100,...] [--flows 1,...]
//! cargo bench -p tunnel --bench caps -- gentle [--seconds 5] [--runs 20] [--mbps 100]
//! ```

#[path = "../../tests/bed/mod.rs"]
mod bed;
#[path = "../field/mod.rs"]
mod field;

use std::time::Duration;

use field::load::{Bulk, Flood, Requests};
use field::sites::{Counted, Sites};

const ALL_MBPS: [u32; 7] = [10, 20, 50, 100, 200, 500, 1000];
const ALL_FLOWS: [usize; 4] = [1, 4, 16, 128];
const CONTROLS: [&str; 2] = ["cubic", "bbr"];
const ALLOWED_PERCENT: f64 = 1.0;

struct Options {
    what: String,
    seconds: u64,
    runs: usize,
    mbps: Vec<u32>,
    flows: Vec<usize>,
}

fn main() {
    // `cargo test --benches` must not measure.
    if std::env::args().len() == 1 {
        return;
    }
    let Some(options) = Options::parse() else {
        eprintln!(
            "usage: caps rates|gentle [--seconds N] [--runs N] [--mbps N,...] [--flows N,...]"
        );
        std::process::exit(2);
    };
    match &*options.what {
        "gentle" => gentle(&options),
        _ => rates(&options),
    }
}

impl Options {
    fn parse() -> Option<Options> {
        // Cargo itself adds `--bench`.
        let mut arguments = std::env::args()
            .skip(1)
            .filter(|argument| argument != "--bench");
        let what = arguments
            .next()
            .filter(|what| what == "rates" || what == "gentle")?;
        let mut options = Options {
            seconds: if what == "rates" { 10 } else { 5 },
            what,
            runs: 20,
            mbps: Vec::new(),
            flows: ALL_FLOWS.into(),
        };
        while let Some(name) = arguments.next() {
            let value = arguments.next()?;
            let numbers = || {
                value
                    .split(',')
                    .map(str::parse)
                    .collect::<Result<Vec<u32>, _>>()
            };
            match &*name {
                "--seconds" => options.seconds = value.parse().ok()?,
                "--runs" => options.runs = value.parse().ok()?,
                "--mbps" => options.mbps = numbers().ok()?,
                "--flows" => {
                    options.flows = numbers().ok()?.into_iter().map(|n| n as usize).collect();
                }
                _ => return None,
            }
        }
        Some(options)
    }
}

/// Rates at the cap, both directions at once, as deviations in percent.
fn rates(options: &Options) {
    let all = if options.mbps.is_empty() {
        &ALL_MBPS[..]
    } else {
        &options.mbps
    };
    let duration = Duration::from_secs(options.seconds);
    println!("| cap Mbps | traffic | left to right | right to left | drops: full, late | |");
    println!("|---|---|---|---|---|---|");
    let mut missed = 0;
    for mbps in all {
        let sites = Sites::new("cr", *mbps);
        for control in CONTROLS {
            for flows in &options.flows {
                let bulks = [0, 1].map(|from| Bulk::start(&sites.hosts, from, *flows, control));
                missed += judge(&sites, *mbps, &format!("{flows} TCP {control}"), duration);
                bulks.into_iter().for_each(Bulk::stop);
            }
        }
        let floods = [0, 1].map(|from| Flood::start(&sites.hosts, from, 2 * *mbps));
        missed += judge(&sites, *mbps, "UDP at twice the cap", duration);
        floods.into_iter().for_each(Flood::stop);
    }
    println!("\n{missed} of these are more than {ALLOWED_PERCENT} % off");
}

// Measures what arrives, prints a row, and returns whether it is too far off.
fn judge(sites: &Sites, mbps: u32, what: &str, duration: Duration) -> usize {
    std::thread::sleep(Duration::from_secs(2));
    let before = [0, 1].map(|site| (sites.hosts.received(site), sites.drops(site)));
    std::thread::sleep(duration);
    let after = [0, 1].map(|site| (sites.hosts.received(site), sites.drops(site)));
    let percent = |receiver: usize| {
        let bits = Counted::bits_per_sec(before[receiver].0, after[receiver].0);
        (bits / (f64::from(mbps) * 1e6) - 1.0) * 100.0
    };
    let drops = [0, 1].map(|site| {
        let ((full, late), (full_before, late_before)) = (after[site].1, before[site].1);
        format!("{}, {}", full - full_before, late - late_before)
    });
    let is_missed = [0, 1]
        .iter()
        .any(|site| percent(*site).abs() > ALLOWED_PERCENT);
    println!(
        "| {mbps} | {what} | {:+.2} % | {:+.2} % | {}; {} | {} |",
        percent(1),
        percent(0),
        drops[0],
        drops[1],
        if is_missed { "missed" } else { "" }
    );
    is_missed.into()
}

/// The latency of requests alone and among bulk flows, run by run.
fn gentle(options: &Options) {
    let duration = Duration::from_secs(options.seconds);
    let mbps = options.mbps.first().copied().unwrap_or(100);
    let flows = options.flows.last().copied().unwrap_or(128);
    let sites = Sites::new("cg", mbps);
    println!(
        "| run | alone p50, p99 ms | among {flows} bulk flows p50, p99 ms | rise p50, p99 ms | cap | |"
    );
    println!("|---|---|---|---|---|---|");
    let mut missed = 0;
    for run in 1..=options.runs {
        let alone = Requests::run(&sites.hosts, duration);
        let bulk = Bulk::start(&sites.hosts, 0, flows, "cubic");
        std::thread::sleep(Duration::from_secs(2));
        let before = sites.hosts.received(1);
        let among = Requests::run(&sites.hosts, duration);
        let bits = Counted::bits_per_sec(before, sites.hosts.received(1));
        bulk.stop();
        let millis = |latencies: &[Duration], part: f64| {
            latencies[((latencies.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3
        };
        let [[a50, a99], [b50, b99]] =
            [&alone, &among].map(|all| [0.5, 0.99].map(|part| millis(all, part)));
        let is_missed = b50 - a50 > 5.0 || b99 - a99 > 10.0;
        missed += usize::from(is_missed);
        println!(
            "| {run} | {a50:.2}, {a99:.2} | {b50:.2}, {b99:.2} | {:.2}, {:.2} | {:+.2} % | {} |",
            b50 - a50,
            b99 - a99,
            (bits / (f64::from(mbps) * 1e6) - 1.0) * 100.0,
            if is_missed { "missed" } else { "" }
        );
    }
    println!(
        "\n{missed} of {} runs rose by more than 5 ms at the median or 10 ms at p99",
        options.runs
    );
}
