//! The flags of `bench path`.

use clap::{Args, ValueEnum};

/// Flags of `bench path`.
#[derive(Debug, Clone, Args)]
pub struct BenchPathArgs {
    /// What to measure.
    #[arg(
        long,
        value_delimiter = ',',
        default_values_t = Measure::ALL,
        value_name = "WHAT"
    )]
    pub measure: Vec<Measure>,
    /// Between what; all that this machine has, unless given.
    #[arg(long, value_delimiter = ',', value_name = "WAY")]
    pub ways: Vec<Way>,
    /// Rounds, in each of which every way is measured once; medians are reported.
    #[arg(long, default_value_t = 3, value_name = "COUNT")]
    pub rounds: usize,
    /// How long each measurement counts, after it has settled.
    #[arg(long, default_value_t = 3.0, value_name = "SECS")]
    pub seconds: f64,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// What `bench path` measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Measure {
    /// 1 and 4 TCP streams over an underlay of 1500-byte frames and one of super-packets.
    Tcp,
    /// UDP of 64 bytes: the rate without loss, CPU for each packet, and reordering.
    Udp,
    /// The round-trip time of small requests.
    Rtt,
    /// One TCP stream where a round trip takes 20 ms.
    Far,
    /// The same with 0.1 % of the frames lost each way.
    Lossy,
}

/// How two routers reach each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// Plain kernel routing.
    Plain,
    /// The kernel's VXLAN, in clear.
    Vxlan,
    /// An encrypted, uncapped peering.
    Peerway,
    /// The program wireguard-go.
    WireguardGo,
    /// The program boringtun-cli.
    BoringtunCli,
    /// The program gotatun.
    Gotatun,
}

impl Measure {
    /// All of them, in the order of measuring.
    pub const ALL: [Measure; 5] = [
        Measure::Tcp,
        Measure::Udp,
        Measure::Rtt,
        Measure::Far,
        Measure::Lossy,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Measure::Tcp => "tcp",
            Measure::Udp => "udp",
            Measure::Rtt => "rtt",
            Measure::Far => "far",
            Measure::Lossy => "lossy",
        }
    }
}

impl std::fmt::Display for Measure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Way {
    /// All of them, the measure of the others first.
    pub const ALL: [Way; 6] = [
        Way::Plain,
        Way::Vxlan,
        Way::Peerway,
        Way::WireguardGo,
        Way::BoringtunCli,
        Way::Gotatun,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Way::Plain => "plain",
            Way::Vxlan => "vxlan",
            Way::Peerway => "peerway",
            Way::WireguardGo => "wireguard-go",
            Way::BoringtunCli => "boringtun-cli",
            Way::Gotatun => "gotatun",
        }
    }

    /// The program that has to be installed for it.
    pub fn program(self) -> Option<&'static str> {
        match self {
            Way::WireguardGo | Way::BoringtunCli | Way::Gotatun => Some(self.name()),
            Way::Plain | Way::Vxlan | Way::Peerway => None,
        }
    }
}
