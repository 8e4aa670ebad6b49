//! `peerway bench api`: the speed of the public API, signatures checked, state on the disk.
//!
//! For each number of stored peerings it writes a state, starts a server without gateways on it, on
//! a core of its own, and loads it from another core over plain HTTP with signed requests. The
//! workloads:
//!
//! - `list` and `list-any`: DescribeVpcPeeringConnections with limit 20, the first page and any;
//! - `create` and `delete`: durable creates, and afterwards the deletes that restore the state;
//! - `admission`: create, task, delete in turn at VPCs that have their other peerings, so that the
//!   cost of a decision can be compared between the numbers of stored peerings.
//!
//! The first four run at one number alone. With API 3.0 they, and lists of VPCs, run in turn in both
//! dialects, and the report tells what a call costs in one and in the other; admission is the same for
//! both.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tempfile::TempDir;
use tokio::runtime::Handle;

use super::load::{Load, Loaded, Script, Span};
use super::process::{self, Server, Usage};
use super::report::{Machine, Ratio, Report, RequestReport, ServerReport, WorkloadReport, median};
use super::script::{Creator, Deleter, Lister, Pages, Signer, Story, VpcLister};
use super::script_v3;
use super::seed::{self, Client, Plan};
use crate::cli::{BenchApiArgs, Dialect};
use crate::output::print_json;

/// Creates per second that the VPCs of the clients suffice for.
const CREATES_PER_SEC: usize = 12_000;

/// Runs the measurement and prints what it found.
///
/// # Errors
/// When it cannot be made, or an answer was not as it should be.
pub async fn run(args: BenchApiArgs) -> anyhow::Result<()> {
    let json = args.json;
    let handle = Handle::current();
    let bench = Bench::new(args)?;
    let measured = tokio::task::spawn_blocking(move || bench.run(&handle)).await?;
    let report = measured?;
    if json {
        print_json(&report)?;
    } else {
        report.print();
    }
    match report.first_error() {
        None => Ok(()),
        Some(error) => anyhow::bail!("an answer was not as it should be: {error}"),
    }
}

const TO_THE_END: Span = Span {
    warm_up: Duration::ZERO,
    measured: None,
};

struct Bench {
    args: BenchApiArgs,
    span: Span,
}

/// A running server with the clients that its state was made for.
struct Bed {
    server: Server,
    clients: Vec<Client>,
    nonces: std::cell::Cell<usize>,
    /// Holds the state; dropped after the server.
    _folder: TempDir,
}

impl Bench {
    fn new(args: BenchApiArgs) -> anyhow::Result<Bench> {
        ensure!(args.connections > 0, "--connections is 0; give at least 1");
        ensure!(args.rounds > 0, "--rounds is 0; give at least 1");
        ensure!(args.seconds > 0.0, "--seconds is not above 0");
        ensure!(args.warm_up_seconds >= 0.0, "--warm-up-seconds is below 0");
        ensure!(
            args.server_core != args.client_core,
            "--server-core and --client-core are both {}",
            args.server_core
        );
        let span = Span {
            warm_up: Duration::try_from_secs_f64(args.warm_up_seconds)?,
            measured: Some(Duration::try_from_secs_f64(args.seconds)?),
        };
        Ok(Bench { args, span })
    }

    fn run(&self, runtime: &Handle) -> anyhow::Result<Report> {
        let machine = Machine::this()?;
        process::bind_thread(self.args.client_core)?;
        let mut sizes = match self.args.dialect {
            Dialect::V2 => self.args.scale.clone(),
            Dialect::V3 => Vec::new(),
        };
        sizes.push(self.args.peerings);
        sizes.sort_unstable();
        sizes.dedup();
        let mut servers = Vec::new();
        for peerings in sizes {
            servers.push(self.server(runtime, peerings)?);
        }
        Ok(Report {
            version: env!("CARGO_PKG_VERSION"),
            machine,
            connections: self.args.connections,
            rounds: self.args.rounds,
            dialect: match self.args.dialect {
                Dialect::V2 => "v2",
                Dialect::V3 => "v3",
            },
            servers,
        })
    }

    fn server(&self, runtime: &Handle, peerings: usize) -> anyhow::Result<ServerReport> {
        let is_whole = peerings == self.args.peerings;
        let creates = if is_whole {
            let loaded_secs = (self.span.warm_up.as_secs_f64() + self.args.seconds).ceil();
            (loaded_secs as usize * CREATES_PER_SEC).div_ceil(self.args.connections)
        } else {
            0
        };
        let plan = Plan {
            peerings,
            clients: self.args.connections,
            pairs: creates,
        };
        let folder = self.folder()?;
        let begun = Instant::now();
        let clients = runtime
            .block_on(seed::write(folder.path(), plan))
            .context("writing the state")?;
        let seed_seconds = begun.elapsed().as_secs_f64();
        let server = Server::start(folder.path(), self.args.server_core, &[])?;
        let start_seconds = server.ready_after().as_secs_f64();
        let resident_mib = mib(server.usage()?.resident_kib);
        let bed = Bed {
            server,
            clients,
            nonces: std::cell::Cell::new(0),
            _folder: folder,
        };
        let (mut workloads, mut ratios) = (Vec::new(), Vec::new());
        match self.args.dialect {
            Dialect::V2 => {
                if is_whole {
                    workloads.push(self.list(&bed, "list", Pages::First)?);
                    workloads.push(self.list(&bed, "list-any", Pages::Any)?);
                    workloads.extend(self.create_and_delete(&bed)?);
                }
                workloads.push(self.admission(&bed)?);
            }
            Dialect::V3 => (workloads, ratios) = self.compare(&bed)?,
        }
        bed.server.stop()?;
        Ok(ServerReport {
            peerings,
            seed_seconds,
            start_seconds,
            resident_mib,
            workloads,
            ratios,
        })
    }

    fn folder(&self) -> anyhow::Result<TempDir> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("peerway-bench-");
        match &self.args.dir {
            Some(dir) => builder.tempdir_in(dir),
            None => builder.tempdir(),
        }
        .context("cannot make a folder for the state")
    }

    fn list(&self, bed: &Bed, name: &'static str, pages: Pages) -> anyhow::Result<WorkloadReport> {
        self.rounds(|| self.list_round(bed, name, pages))
    }

    fn list_round(
        &self,
        bed: &Bed,
        name: &'static str,
        pages: Pages,
    ) -> anyhow::Result<WorkloadReport> {
        let scripts = bed.scripts(|signer, client| Lister::new(signer, client, pages));
        bed.load(name, self.span, scripts)
    }

    /// Runs each workload in both dialects, round by round.
    fn compare(&self, bed: &Bed) -> anyhow::Result<(Vec<WorkloadReport>, Vec<Ratio>)> {
        let (mut workloads, mut ratios) = (Vec::new(), Vec::new());
        let mut take = |name, v2: Vec<WorkloadReport>, v3: Vec<WorkloadReport>| {
            ratios.push(Ratio::new(name, &v2, &v3));
            workloads.extend(median(v2));
            workloads.extend(median(v3));
        };
        for (name, pages) in [("list", Pages::First), ("list-any", Pages::Any)] {
            let (mut v2, mut v3) = (Vec::new(), Vec::new());
            for _ in 0..self.args.rounds {
                v2.push(self.list_round(bed, name, pages)?);
                let scripts =
                    bed.scripts_v3(|signer, client| script_v3::Lister::new(signer, client, pages));
                v3.push(bed.load(name, self.span, scripts)?);
            }
            take(name, v2, v3);
        }
        let (mut v2, mut v3) = (Vec::new(), Vec::new());
        for _ in 0..self.args.rounds {
            let scripts = bed.scripts(|signer, _| VpcLister(signer));
            v2.push(bed.load("vpcs", self.span, scripts)?);
            let scripts = bed.scripts_v3(|signer, _| script_v3::VpcLister(signer));
            v3.push(bed.load("vpcs", self.span, scripts)?);
        }
        take("vpcs", v2, v3);
        let (mut v2, mut v3) = (Vec::new(), Vec::new());
        for _ in 0..self.args.rounds {
            v2.push(self.create_and_delete_round(bed)?);
            v3.push(self.create_and_delete_v3(bed)?);
        }
        let (v2_creates, _): (Vec<_>, Vec<_>) = v2.into_iter().unzip();
        let (v3_creates, _): (Vec<_>, Vec<_>) = v3.into_iter().unzip();
        take("create", v2_creates, v3_creates);
        Ok((workloads, ratios))
    }

    fn create_and_delete_v3(&self, bed: &Bed) -> anyhow::Result<(WorkloadReport, WorkloadReport)> {
        let (done, created) = mpsc::channel();
        let mut number = 0;
        let scripts = bed.scripts_v3(|signer, client| {
            number += 1;
            script_v3::Creator::new(signer, client, number - 1, done.clone())
        });
        drop(done);
        let create = bed.load("create", self.span, scripts)?;
        let mut peerings = by_client(bed, created);
        let scripts = bed.scripts_v3(|signer, _| {
            script_v3::Deleter::new(signer, peerings.next().unwrap_or_default())
        });
        Ok((create, bed.load("delete", TO_THE_END, scripts)?))
    }

    fn admission(&self, bed: &Bed) -> anyhow::Result<WorkloadReport> {
        self.rounds(|| bed.load("admission", self.span, bed.scripts(Story::new)))
    }

    fn create_and_delete(&self, bed: &Bed) -> anyhow::Result<[WorkloadReport; 2]> {
        let (mut creates, mut deletes) = (Vec::new(), Vec::new());
        for _ in 0..self.args.rounds {
            let (create, delete) = self.create_and_delete_round(bed)?;
            creates.push(create);
            deletes.push(delete);
        }
        let none = "there was no round";
        Ok([
            median(creates).context(none)?,
            median(deletes).context(none)?,
        ])
    }

    fn create_and_delete_round(
        &self,
        bed: &Bed,
    ) -> anyhow::Result<(WorkloadReport, WorkloadReport)> {
        let (done, created) = mpsc::channel();
        let mut number = 0;
        let scripts = bed.scripts(|signer, client| {
            number += 1;
            Creator::new(signer, client, number - 1, done.clone())
        });
        drop(done);
        let create = bed.load("create", self.span, scripts)?;
        let mut tasks = by_client(bed, created);
        let scripts =
            bed.scripts(|signer, _| Deleter::new(signer, tasks.next().unwrap_or_default()));
        Ok((create, bed.load("delete", TO_THE_END, scripts)?))
    }

    fn rounds(
        &self,
        round: impl Fn() -> anyhow::Result<WorkloadReport>,
    ) -> anyhow::Result<WorkloadReport> {
        let rounds: anyhow::Result<Vec<_>> = (0..self.args.rounds).map(|_| round()).collect();
        median(rounds?).context("there was no round")
    }
}

/// What the creators have made, in the order of the clients.
fn by_client<T: Clone>(
    bed: &Bed,
    created: mpsc::Receiver<(usize, Vec<T>)>,
) -> std::vec::IntoIter<Vec<T>> {
    let mut made = vec![Vec::new(); bed.clients.len()];
    for (number, created) in created {
        made[number] = created;
    }
    made.into_iter()
}

impl Bed {
    fn scripts_v3<S: Script + 'static>(
        &self,
        mut script: impl FnMut(script_v3::Signer, &Client) -> S,
    ) -> Vec<Box<dyn Script>> {
        self.clients
            .iter()
            .map(|client| {
                let signer = script_v3::Signer::new(client, self.server.address());
                Box::new(script(signer, client)) as Box<dyn Script>
            })
            .collect()
    }

    fn scripts<S: Script + 'static>(
        &self,
        mut script: impl FnMut(Signer, &Client) -> S,
    ) -> Vec<Box<dyn Script>> {
        self.clients
            .iter()
            .map(|client| {
                let number = self.nonces.replace(self.nonces.get() + 1);
                let signer = Signer::new(client, self.server.address(), number);
                Box::new(script(signer, client)) as Box<dyn Script>
            })
            .collect()
    }

    fn load(
        &self,
        name: &'static str,
        span: Span,
        scripts: Vec<Box<dyn Script>>,
    ) -> anyhow::Result<WorkloadReport> {
        let before = self.store_counts()?;
        let load = Load::connect(self.server.address(), scripts)?;
        let loaded = load
            .run(span, || self.server.usage())
            .with_context(|| format!("workload {name}"))?;
        let after = self.store_counts()?;
        Ok(report(name, &loaded, before, after))
    }

    /// Transactions and syncs of the server's store so far.
    fn store_counts(&self) -> anyhow::Result<(u64, u64)> {
        let mut stream = TcpStream::connect(self.server.address())?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let count = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
                .with_context(|| format!("the server's metrics have no {name}"))
        };
        Ok((
            count("peerway_store_commits_total ")?,
            count("peerway_store_syncs_total ")?,
        ))
    }
}

fn report(
    name: &'static str,
    loaded: &Loaded<Usage>,
    before: (u64, u64),
    after: (u64, u64),
) -> WorkloadReport {
    let seconds = loaded.took.as_secs_f64();
    let cpu = loaded.after.cpu.saturating_sub(loaded.before.cpu);
    let answers: usize = loaded
        .found
        .values()
        .map(|found| found.latencies.len())
        .sum();
    let first_error = loaded
        .found
        .values()
        .find_map(|found| found.first_error.clone());
    WorkloadReport {
        name,
        seconds,
        per_second: answers as f64 / seconds,
        cpu_micros: cpu.as_secs_f64() * 1e6 / answers as f64,
        core_share: cpu.as_secs_f64() / seconds,
        commits: after.0 - before.0,
        syncs: after.1 - before.1,
        resident_mib_before: mib(loaded.before.resident_kib),
        resident_mib_after: mib(loaded.after.resident_kib),
        errors: loaded.found.values().map(|found| found.errors).sum(),
        first_error,
        requests: loaded
            .found
            .iter()
            .map(|(name, found)| RequestReport::new(name, found, seconds))
            .collect(),
    }
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
