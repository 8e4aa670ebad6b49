//! What a measurement of paths found, as tables for people and as JSON for programs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::report::Machine;
use crate::cli::Way;
use crate::output::{print_line, print_table};

/// Everything that one run found.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The version of this program.
    pub(super) version: &'static str,
    /// What it ran on.
    pub(super) machine: Machine,
    /// Rounds, in each of which every way is measured once.
    pub(super) rounds: usize,
    /// How long each measurement took, seconds.
    pub(super) seconds: f64,
    /// The MTU of the hosts.
    pub(super) inner_mtu: u16,
    /// The ways, those that could not be measured last.
    pub(super) ways: Vec<WayReport>,
}

/// One way between the routers.
#[derive(Debug, Serialize)]
pub(super) struct WayReport {
    #[serde(skip)]
    way: Way,
    /// Its name.
    name: &'static str,
    /// Why it could not be measured.
    skipped: Option<String>,
    /// What was found, by metric.
    results: BTreeMap<Metric, Series>,
}

/// The values of one metric, in the order of the rounds.
#[derive(Debug, Default, Serialize)]
struct Series {
    median: f64,
    rounds: Vec<f64>,
}

/// What is measured. The names in JSON end with their unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) enum Metric {
    #[serde(rename = "tcp_wire_1_stream_mbps")]
    Wire1,
    #[serde(rename = "tcp_wire_4_streams_mbps")]
    Wire4,
    #[serde(rename = "tcp_gso_1_stream_mbps")]
    Gso1,
    #[serde(rename = "tcp_gso_4_streams_mbps")]
    Gso4,
    #[serde(rename = "tcp_20_ms_cubic_mbps")]
    FarCubic,
    #[serde(rename = "tcp_20_ms_bbr_mbps")]
    FarBbr,
    #[serde(rename = "tcp_20_ms_lossy_cubic_mbps")]
    LossyCubic,
    #[serde(rename = "tcp_20_ms_lossy_bbr_mbps")]
    LossyBbr,
    #[serde(rename = "udp_lossless_kpps")]
    UdpRate,
    #[serde(rename = "udp_machine_cpu_micros")]
    UdpCpu,
    #[serde(rename = "udp_program_cpu_micros")]
    UdpProgramCpu,
    #[serde(rename = "udp_reordered_packets")]
    Reordered,
    #[serde(rename = "rtt_p50_micros")]
    Rtt50,
    #[serde(rename = "rtt_p99_micros")]
    Rtt99,
    #[serde(rename = "relay_lost_frames")]
    RelayLost,
}

/// The tables: what their cells show besides the way, and whether a ratio to plain routing.
const TABLES: [(&str, &[Column]); 3] = [
    (
        "TCP payload, Mbps (and the ratio to plain routing); cubic; wire carries frames of 1500 bytes, \
         gso super-packets",
        &[
            ("WIRE, 1 STREAM", Metric::Wire1, Shown::Ratio),
            ("WIRE, 4", Metric::Wire4, Shown::Ratio),
            ("GSO, 1", Metric::Gso1, Shown::Ratio),
            ("GSO, 4", Metric::Gso4, Shown::Ratio),
        ],
    ),
    (
        "TCP payload, 1 stream, Mbps (ratio), wire; a round trip of 20 ms by a relay, without loss and \
         with 0.1 % each way",
        &[
            ("CUBIC", Metric::FarCubic, Shown::Ratio),
            ("BBR", Metric::FarBbr, Shown::Ratio),
            ("LOSS, CUBIC", Metric::LossyCubic, Shown::Ratio),
            ("LOSS, BBR", Metric::LossyBbr, Shown::Ratio),
            ("RELAY LOST", Metric::RelayLost, Shown::Sum),
        ],
    ),
    (
        "UDP of 64 bytes, wire: thousands a second with at most 1 in 1000 lost (ratio), CPU of the machine \
         and of the program for each; TCP requests of 64 bytes",
        &[
            ("KPPS", Metric::UdpRate, Shown::Ratio),
            ("CPU US", Metric::UdpCpu, Shown::Fine),
            ("PROGRAM US", Metric::UdpProgramCpu, Shown::Fine),
            ("REORDERED", Metric::Reordered, Shown::Sum),
            ("RTT P50 US", Metric::Rtt50, Shown::Whole),
            ("RTT P99 US", Metric::Rtt99, Shown::Whole),
        ],
    ),
];

type Column = (&'static str, Metric, Shown);

#[derive(Clone, Copy)]
enum Shown {
    /// The median and its ratio to plain routing.
    Ratio,
    /// The median.
    Whole,
    /// The median with two digits.
    Fine,
    /// All rounds together.
    Sum,
}

impl WayReport {
    pub(super) fn new(way: Way) -> WayReport {
        WayReport {
            way,
            name: way.name(),
            skipped: None,
            results: BTreeMap::new(),
        }
    }

    pub(super) fn skipped(way: Way, reason: String) -> WayReport {
        WayReport {
            skipped: Some(reason),
            ..WayReport::new(way)
        }
    }

    pub(super) fn add(&mut self, metric: Metric, value: f64) {
        let series = self.results.entry(metric).or_default();
        series.rounds.push(value);
        series.median = median(&series.rounds);
    }

    fn cell(&self, metric: Metric, shown: Shown, plain: Option<&WayReport>) -> String {
        let Some(series) = self.results.get(&metric) else {
            return "-".to_owned();
        };
        let value = series.median;
        let beside = plain.and_then(|plain| plain.results.get(&metric));
        match (shown, beside) {
            (Shown::Ratio, Some(plain)) => format!("{value:.0} ({:.2})", value / plain.median),
            (Shown::Ratio, None) | (Shown::Whole, _) => format!("{value:.0}"),
            (Shown::Fine, _) => format!("{value:.2}"),
            (Shown::Sum, _) => format!("{:.0}", series.rounds.iter().sum::<f64>()),
        }
    }
}

impl Report {
    /// Prints it for people.
    pub(super) fn print(&self) {
        print_line(format_args!(
            "{}, {} cores, Linux {}; host - router - network - router - host, packets of {} bytes; \
             medians of {} rounds of {} s, all ways in turn",
            self.machine.processor,
            self.machine.cores,
            self.machine.kernel,
            self.inner_mtu,
            self.rounds,
            self.seconds,
        ));
        let measured = || self.ways.iter().filter(|way| way.skipped.is_none());
        let plain = measured().find(|way| way.way == Way::Plain);
        for (title, columns) in TABLES {
            let is_measured =
                |column: &&Column| measured().any(|way| way.results.contains_key(&column.1));
            let columns: Vec<_> = columns.iter().filter(is_measured).collect();
            if columns.is_empty() {
                continue;
            }
            print_line(format_args!("\n{title}"));
            let mut header = vec!["WAY"];
            header.extend(columns.iter().map(|(name, ..)| *name));
            let rows = measured().map(|way| {
                let mut row = vec![way.name.to_owned()];
                let cells = columns.iter();
                row.extend(cells.map(|(_, metric, shown)| way.cell(*metric, *shown, plain)));
                row
            });
            print_table(&header, rows);
        }
        for way in &self.ways {
            if let Some(reason) = &way.skipped {
                print_line(format_args!("\n{}: SKIPPED, {reason}", way.name));
            }
        }
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    } else {
        sorted[middle]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_show_the_median_and_the_ratio_of_medians() {
        let (mut plain, mut way) = (WayReport::new(Way::Plain), WayReport::new(Way::Peerway));
        for value in [4000.0, 9000.0, 5000.0] {
            plain.add(Metric::Wire1, value);
        }
        for value in [1000.0, 3000.0] {
            way.add(Metric::Wire1, value);
            way.add(Metric::Reordered, value);
        }
        let cell = |shown, plain| way.cell(Metric::Wire1, shown, plain);
        assert_eq!(cell(Shown::Ratio, Some(&plain)), "2000 (0.40)");
        assert_eq!(cell(Shown::Ratio, None), "2000");
        assert_eq!(way.cell(Metric::Reordered, Shown::Sum, None), "4000");
        assert_eq!(way.cell(Metric::Rtt50, Shown::Whole, None), "-");
    }
}
