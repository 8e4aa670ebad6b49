//! What a measurement found, as a table for people and as JSON for programs.

use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

use super::load::Found;
use crate::output::print_table;

/// Everything that one run found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The version of this program.
    pub version: &'static str,
    /// What it ran on.
    pub machine: Machine,
    /// Connections, each with one request under way.
    pub connections: usize,
    /// Rounds of each workload; the one with the median rate is reported.
    pub rounds: usize,
    /// The dialect that was spoken.
    pub dialect: &'static str,
    /// The servers, one for each number of stored peerings.
    pub servers: Vec<ServerReport>,
}

/// What a run ran on.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// The processor's name for itself.
    pub processor: String,
    /// Its cores.
    pub cores: usize,
    /// The kernel's release.
    pub kernel: String,
}

impl Machine {
    /// This machine.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub(super) fn this() -> anyhow::Result<Machine> {
        let read = |path: &str| {
            std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))
        };
        let processor = read("/proc/cpuinfo")?
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.trim().strip_prefix(':'))
            .map_or("unknown processor", str::trim)
            .to_owned();
        Ok(Machine {
            processor,
            cores: std::thread::available_parallelism()?.get(),
            kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        })
    }
}

/// A server with its state.
#[derive(Debug, Serialize)]
pub struct ServerReport {
    /// Stored peerings at its start.
    pub peerings: usize,
    /// How long writing its state took, seconds.
    pub seed_seconds: f64,
    /// How long its start took, seconds.
    pub start_seconds: f64,
    /// Its resident memory after the start, MiB.
    pub resident_mib: f64,
    /// What it was loaded with.
    pub workloads: Vec<WorkloadReport>,
    /// What calls of API 3.0 cost, measured in turn with those of the legacy API.
    pub ratios: Vec<Ratio>,
}

/// The server's time for the same call in two dialects.
#[derive(Debug, Clone, Serialize)]
pub struct Ratio {
    /// The workload.
    pub name: &'static str,
    /// Microseconds of the legacy API, of each round.
    pub v2_micros: Vec<f64>,
    /// Microseconds of API 3.0, of each round.
    pub v3_micros: Vec<f64>,
    /// The median of the rounds' quotients.
    pub v3_by_v2: f64,
}

impl Ratio {
    /// Compares rounds that were measured in turn.
    pub(super) fn new(name: &'static str, v2: &[WorkloadReport], v3: &[WorkloadReport]) -> Ratio {
        let micros = |rounds: &[WorkloadReport]| -> Vec<f64> {
            rounds.iter().map(|round| round.cpu_micros).collect()
        };
        let (v2_micros, v3_micros) = (micros(v2), micros(v3));
        let pairs = v2_micros.iter().zip(&v3_micros);
        let mut quotients: Vec<f64> = pairs.map(|(v2, v3)| v3 / v2).collect();
        quotients.sort_by(f64::total_cmp);
        let middle = quotients.get(quotients.len() / 2).copied();
        Ratio {
            name,
            v2_micros,
            v3_micros,
            v3_by_v2: middle.unwrap_or(f64::NAN),
        }
    }
}

/// One workload: its median round.
#[derive(Debug, Clone, Serialize)]
pub struct WorkloadReport {
    /// Its name.
    pub name: &'static str,
    /// The time that was counted, seconds.
    pub seconds: f64,
    /// Requests of all kinds per second.
    pub per_second: f64,
    /// The server's time on its core for each request, microseconds.
    pub cpu_micros: f64,
    /// The part of its core that the server used, 1 for all.
    pub core_share: f64,
    /// Transactions that the store committed, warm-up included.
    pub commits: u64,
    /// Syncs of the store's log for them.
    pub syncs: u64,
    /// Resident memory before it, MiB.
    pub resident_mib_before: f64,
    /// Resident memory after it, MiB.
    pub resident_mib_after: f64,
    /// Answers of all rounds that were not as they should be.
    pub errors: u64,
    /// What was wrong with the first of them.
    pub first_error: Option<String>,
    /// By kind of request.
    pub requests: Vec<RequestReport>,
}

/// The requests of one kind.
#[derive(Debug, Clone, Serialize)]
pub struct RequestReport {
    /// What was asked.
    pub name: &'static str,
    /// How many were answered per second.
    pub per_second: f64,
    /// Half of the answers were there after this time, milliseconds.
    pub p50_millis: f64,
    /// 99 of 100 were.
    pub p99_millis: f64,
    /// All were.
    pub max_millis: f64,
}

impl RequestReport {
    /// The numbers of requests that took `seconds` together.
    pub(super) fn new(name: &'static str, found: &Found, seconds: f64) -> RequestReport {
        let at = |percent: usize| {
            let last = found.latencies.len().saturating_sub(1);
            let latency = found.latencies.get(last * percent / 100);
            latency.copied().unwrap_or(Duration::ZERO).as_secs_f64() * 1e3
        };
        RequestReport {
            name,
            per_second: found.latencies.len() as f64 / seconds,
            p50_millis: at(50),
            p99_millis: at(99),
            max_millis: at(100),
        }
    }
}

/// The round with the median rate; its errors are those of all.
pub(super) fn median(mut rounds: Vec<WorkloadReport>) -> Option<WorkloadReport> {
    rounds.sort_by(|one, other| one.per_second.total_cmp(&other.per_second));
    let errors = rounds.iter().map(|round| round.errors).sum();
    let first_error = rounds.iter().find_map(|round| round.first_error.clone());
    let middle = rounds.len().checked_sub(1)? / 2;
    Some(WorkloadReport {
        errors,
        first_error,
        ..rounds.swap_remove(middle)
    })
}

impl Report {
    /// Whether any answer was not as it should be, and how.
    pub fn first_error(&self) -> Option<&str> {
        let workloads = self.servers.iter().flat_map(|server| &server.workloads);
        workloads
            .filter_map(|workload| workload.first_error.as_deref())
            .next()
    }

    /// Prints it for people.
    pub fn print(&self) {
        println!(
            "{}, {} cores, Linux {}; server and clients on one core each, {} connections, \
             median of {} rounds",
            self.machine.processor,
            self.machine.cores,
            self.machine.kernel,
            self.connections,
            self.rounds
        );
        for server in &self.servers {
            println!(
                "\n{} peerings stored: written in {:.1} s, server ready after {:.2} s with {:.0} MiB",
                server.peerings, server.seed_seconds, server.start_seconds, server.resident_mib
            );
            print_table(&HEADER, server.workloads.iter().flat_map(rows));
            for ratio in &server.ratios {
                println!(
                    "{}: API 3.0 takes {:.2} times the legacy API's time on the server's core",
                    ratio.name, ratio.v3_by_v2
                );
            }
        }
    }
}

const HEADER: [&str; 9] = [
    "REQUEST",
    "PER S",
    "P50 MS",
    "P99 MS",
    "MAX MS",
    "ERRORS",
    "CPU/REQ US",
    "COMMITS/SYNC",
    "MIB",
];

fn rows(workload: &WorkloadReport) -> impl Iterator<Item = Vec<String>> + '_ {
    workload
        .requests
        .iter()
        .enumerate()
        .map(|(index, request)| {
            let mut row = vec![
                request.name.to_owned(),
                format!("{:.0}", request.per_second),
                format!("{:.2}", request.p50_millis),
                format!("{:.2}", request.p99_millis),
                format!("{:.1}", request.max_millis),
            ];
            // What is known of the workload as a whole stands in its first row.
            if index == 0 {
                row.extend([
                    workload.errors.to_string(),
                    format!(
                        "{:.1} ({:.0} %)",
                        workload.cpu_micros,
                        workload.core_share * 100.0
                    ),
                    match workload.syncs {
                        0 => "-".to_owned(),
                        syncs => format!("{}/{syncs}", workload.commits),
                    },
                    format!(
                        "{:.0} to {:.0}",
                        workload.resident_mib_before, workload.resident_mib_after
                    ),
                ]);
            }
            row
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_taken_from_the_sorted_latencies() {
        let found = Found {
            latencies: (1..=101).map(Duration::from_millis).collect(),
            ..Found::default()
        };
        let report = RequestReport::new("x", &found, 2.0);
        assert_eq!(report.per_second, 50.5);
        assert_eq!(report.p50_millis.round(), 51.0);
        assert_eq!(report.p99_millis.round(), 100.0);
        assert_eq!(report.max_millis.round(), 101.0);
    }
}
