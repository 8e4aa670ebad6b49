//! `peerway bench path`: what a peering carries beside plain routing, the kernel's VXLAN in clear and
//! every WireGuard program that is installed, interleaved in one run on one machine.
//!
//! Each [`way`](Way) has a `Site` of its own, alike but for what is between its two routers:
//!
//! ```text
//! host ── router ── network ── router ── host
//! ```
//!
//! The network is a bridge, or for what is far a relay that delays and loses frames. Everything is in
//! namespaces of a run folder as a lab has it, so that the next run or `peerway demo --clean` takes away
//! what a killed one left.

mod chain;
mod datagrams;
mod program;
mod relay;
mod report;
mod requests;
mod site;
mod sockets;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::runtime::Handle;

use crate::cli::{BenchPathArgs, Measure, Way};
use crate::command::stop_signal;
use crate::lab::{check_privileges, remove_dead};
use crate::output::print_json;
use crate::traffic::Bulk;
use relay::Weather;
use report::{Metric, Report, WayReport};
use site::{Site, Underlay};

/// Left out of a measurement on the near underlay.
const SETTLE: Duration = Duration::from_secs(1);
/// The same where a round trip takes 20 ms: congestion controls need longer to find the rate.
const SETTLE_FAR: Duration = Duration::from_secs(4);
/// One way; a round trip takes twice as long.
const FAR: Duration = Duration::from_millis(10);
const LOSS: f64 = 0.001;
const CONTROLS: [&str; 2] = ["cubic", "bbr"];

/// Runs the measurement and prints what it found.
///
/// # Errors
/// When it cannot be made, or was interrupted. What it made in the kernel is removed all the same.
pub async fn run(args: BenchPathArgs) -> anyhow::Result<()> {
    ensure!(args.rounds > 0, "--rounds is 0; give at least 1");
    ensure!(args.seconds > 0.0, "--seconds is not above 0");
    let measured = Duration::try_from_secs_f64(args.seconds)?;
    check_privileges()?;
    for name in remove_dead().context("removing what dead runs left")? {
        program::remove_sockets(&name);
        eprintln!("removed {name}, which a dead run had left");
    }
    let (interrupted, flag) = (stop_signal()?, Arc::new(AtomicBool::new(false)));
    let stop = Arc::clone(&flag);
    tokio::spawn(async move {
        interrupted.await;
        eprintln!("interrupted; ending this measurement and removing everything");
        stop.store(true, Ordering::Relaxed);
    });
    let handle = Handle::current();
    let json = args.json;
    let bench = Bench {
        args,
        measured,
        stop: flag,
    };
    // The kernel ends child processes with the thread that started them: this one lives long enough.
    let report = tokio::task::spawn_blocking(move || bench.run(&handle)).await??;
    if json {
        print_json(&report)?;
    } else {
        report.print();
    }
    Ok(())
}

struct Bench {
    args: BenchPathArgs,
    measured: Duration,
    stop: Arc<AtomicBool>,
}

/// A way with what was found of it so far.
struct Entry {
    site: Site,
    report: WayReport,
}

impl Bench {
    fn run(&self, runtime: &Handle) -> anyhow::Result<Report> {
        let machine = super::report::Machine::this()?;
        let (mut entries, mut skipped) = (Vec::new(), Vec::new());
        for way in self.ways() {
            self.go_on()?;
            eprintln!("setting up {}", way.name());
            match Site::build(way, runtime)? {
                Ok(site) => entries.push(Entry {
                    site,
                    report: WayReport::new(way),
                }),
                Err(reason) => {
                    eprintln!("{}: SKIPPED, {reason}", way.name());
                    skipped.push(WayReport::skipped(way, reason));
                }
            }
        }
        for round in 1..=self.args.rounds {
            for entry in &mut entries {
                for measure in &self.args.measure {
                    self.go_on()?;
                    let name = entry.site.way.name();
                    eprintln!(
                        "round {round} of {}: {name}: {}",
                        self.args.rounds,
                        measure.name()
                    );
                    self.measure(*measure, entry)
                        .with_context(|| format!("{name}: {}", measure.name()))?;
                }
            }
        }
        let ways = entries.into_iter().map(|entry| entry.report);
        Ok(Report {
            version: env!("CARGO_PKG_VERSION"),
            machine,
            rounds: self.args.rounds,
            seconds: self.args.seconds,
            inner_mtu: site::INNER_MTU,
            ways: ways.chain(skipped).collect(),
        })
    }

    fn ways(&self) -> Vec<Way> {
        if self.args.ways.is_empty() {
            Way::ALL.into()
        } else {
            self.args.ways.clone()
        }
    }

    fn go_on(&self) -> anyhow::Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            bail!("interrupted; everything is removed");
        }
        Ok(())
    }

    fn measure(&self, measure: Measure, entry: &mut Entry) -> anyhow::Result<()> {
        let Entry { site, report } = entry;
        match measure {
            Measure::Tcp => {
                for (underlay, metrics) in [
                    (Underlay::Wire, [Metric::Wire1, Metric::Wire4]),
                    (Underlay::Gso, [Metric::Gso1, Metric::Gso4]),
                ] {
                    site.set_underlay(underlay)?;
                    for (streams, metric) in [1, 4].into_iter().zip(metrics) {
                        self.go_on()?;
                        report.add(metric, self.bulk(site, streams, "cubic", SETTLE)?);
                    }
                }
            }
            Measure::Udp => {
                site.set_underlay(Underlay::Wire)?;
                let found = datagrams::measure(site, self.measured, &self.stop)?;
                report.add(Metric::UdpRate, found.lossless_per_sec / 1e3);
                report.add(Metric::UdpCpu, found.machine_micros);
                if let Some(micros) = found.program_micros {
                    report.add(Metric::UdpProgramCpu, micros);
                }
                report.add(Metric::Reordered, found.out_of_order as f64);
            }
            Measure::Rtt => {
                site.set_underlay(Underlay::Wire)?;
                let times = requests::round_trips(site, self.measured.min(SETTLE))?;
                for (metric, percent) in [(Metric::Rtt50, 50), (Metric::Rtt99, 99)] {
                    let time = times[(times.len() - 1) * percent / 100];
                    report.add(metric, time.as_secs_f64() * 1e6);
                }
            }
            Measure::Far => {
                self.far(site, report, 0.0, [Metric::FarCubic, Metric::FarBbr])?;
            }
            Measure::Lossy => {
                self.far(site, report, LOSS, [Metric::LossyCubic, Metric::LossyBbr])?;
            }
        }
        Ok(())
    }

    fn far(
        &self,
        site: &Site,
        report: &mut WayReport,
        loss: f64,
        metrics: [Metric; 2],
    ) -> anyhow::Result<()> {
        site.set_underlay(Underlay::Wire)?;
        let relay = site.go_far(Weather { delay: FAR, loss })?;
        for (control, metric) in CONTROLS.into_iter().zip(metrics) {
            self.go_on()?;
            report.add(metric, self.bulk(site, 1, control, SETTLE_FAR)?);
        }
        let unwanted = site.come_near(relay)?;
        if unwanted > 0 {
            eprintln!("the relay could not keep up and lost {unwanted} frames of its own accord");
        }
        report.add(Metric::RelayLost, unwanted as f64);
        Ok(())
    }

    /// Mbps of TCP payload, judged at the receiving host.
    fn bulk(
        &self,
        site: &Site,
        streams: u32,
        control: &'static str,
        warm_up: Duration,
    ) -> anyhow::Result<f64> {
        let result = Bulk {
            from: &site.hosts[0],
            to: &site.hosts[1],
            address: site.addresses[1],
            warm_up,
            duration: self.measured,
            streams,
            congestion_control: Some(control),
        }
        .run()
        .with_context(|| format!("{streams} TCP streams with {control}"))?;
        Ok(result.payload_bytes as f64 * 8e-6 / result.elapsed.as_secs_f64())
    }
}
