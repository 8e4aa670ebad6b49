//! The command line: flags, each with an environment variable, over one TOML file.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use serde::Deserialize;

mod moment;
mod operator;
mod path;

pub use crate::command::ca::CaArgs;
pub use moment::{Moment, moment};
pub use operator::{
    AccountCommand, AdminArgs, AuditArgs, KeyAccess, KeyArgs, KeyCommand, PeeringCommand,
    PolicyCommand, QuotaArgs, QuotaCommand, SubaccountCommand, TaskCommand, TokenArgs,
};
pub use path::{BenchPathArgs, Measure, Way};

/// The library behind the sessions logs each unanswered handshake as an error; `status` tells that
/// better.
const DEFAULT_LOG: &str = "info,boringtun=off";

/// Self-hosted, cross-region VPC peering behind the Tencent Cloud VPC API.
#[derive(Debug, Parser)]
#[command(name = "peerway", version, about, propagate_version = true)]
pub struct Cli {
    /// The TOML file with defaults for the flags ([server], [gateway]); flags and environment win.
    #[arg(long, global = true, env = "PEERWAY_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to log, in the syntax of `RUST_LOG`.
    #[arg(
        long,
        global = true,
        env = "PEERWAY_LOG",
        default_value = DEFAULT_LOG,
        value_name = "FILTER"
    )]
    pub log: String,
    /// How to write the log.
    #[arg(
        long,
        global = true,
        env = "PEERWAY_LOG_FORMAT",
        default_value = "text"
    )]
    pub log_format: LogFormat,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One line of text for each event.
    Text,
    /// One JSON object for each event.
    Json,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the control plane: the API, the state, the listener that gateways connect to.
    Server(ServerArgs),
    /// Run a gateway, or work with the one that runs on this host.
    #[command(subcommand)]
    Gateway(GatewayCommand),
    /// Show how each client is made to trust the server's certificate.
    Ca(CaArgs),
    /// Make and show accounts (talks to the server on this host).
    #[command(subcommand)]
    Account(AccountCommand),
    /// Make sub-accounts and say what they may do (talks to the server on this host).
    #[command(subcommand)]
    Subaccount(SubaccountCommand),
    /// Make, list, disable, restrict and rotate access keys (talks to the server on this host).
    #[command(subcommand)]
    Key(KeyCommand),
    /// Show and change how much accounts may have (talks to the server on this host).
    #[command(subcommand)]
    Quota(QuotaCommand),
    /// List, show and delete the peerings of all accounts (talks to the server on this host).
    #[command(subcommand)]
    Peering(PeeringCommand),
    /// List the tasks of all accounts (talks to the server on this host).
    #[command(subcommand)]
    Task(TaskCommand),
    /// Show who did what when, from where, with which result (talks to the server on this host).
    Audit(AuditArgs),
    /// Show everything on this machine: two regions, a peering, traffic at its cap.
    Demo(DemoArgs),
    /// Measure Peerway on this machine.
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Print the version.
    Version,
}

/// Flags of `server`; also the `[server]` section of the file.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ServerArgs {
    /// Where the state lives: database, master key, CA, audit log [default:
    /// /var/lib/peerway/server; with --dataplane none a temporary folder]
    #[arg(long, env = "PEERWAY_SERVER_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Where the API listens with TLS [default: 0.0.0.0:8443]
    #[arg(long, env = "PEERWAY_HTTPS", value_name = "ADDR:PORT")]
    pub https: Option<SocketAddr>,
    /// Where the API also listens without TLS; off unless given.
    #[arg(long, env = "PEERWAY_HTTP", value_name = "ADDR:PORT")]
    pub http: Option<SocketAddr>,
    /// Where gateways connect to [default: 0.0.0.0:8444]
    #[arg(long, env = "PEERWAY_SYNC", value_name = "ADDR:PORT")]
    pub sync: Option<SocketAddr>,
    /// What join strings tell gateways to connect to; needed when --sync is a wildcard address.
    #[arg(long, env = "PEERWAY_SYNC_ADVERTISE", value_name = "HOST:PORT")]
    pub sync_advertise: Option<String>,
    /// The socket for the operator's verbs [default: /run/peerway/server.sock]
    #[arg(long, env = "PEERWAY_ADMIN_SOCKET", value_name = "PATH")]
    pub admin_socket: Option<PathBuf>,
    /// Accounts, keys and VPCs to make at start unless they are there.
    #[arg(long, env = "PEERWAY_SEED_FILE", value_name = "FILE")]
    pub seed_file: Option<PathBuf>,
    /// Another name for the server's certificate; repeatable.
    #[arg(
        long = "tls-name",
        env = "PEERWAY_TLS_NAMES",
        value_name = "NAME",
        value_delimiter = ','
    )]
    #[serde(default, rename = "tls-names")]
    pub tls_names: Vec<String>,
    /// A certificate of one's own for the API, PEM with its chain; read again when it changes.
    #[arg(
        long,
        env = "PEERWAY_TLS_CERT",
        value_name = "FILE",
        requires = "tls_key"
    )]
    pub tls_cert: Option<PathBuf>,
    /// The key of that certificate, PEM.
    #[arg(
        long,
        env = "PEERWAY_TLS_KEY",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    pub tls_key: Option<PathBuf>,
    /// How far a request's clock may be off, in seconds [default: 7200]
    #[arg(long, env = "PEERWAY_CLOCK_WINDOW_SECS", value_name = "SECS")]
    pub clock_window_secs: Option<u64>,
    /// What the exact repetition of a request inside that window is answered [default: answer]. The
    /// replay memory holds 1 000 000 requests, 200 000 of each account; when it is full new writes
    /// are refused.
    #[arg(long, env = "PEERWAY_REPLAY", value_name = "MODE")]
    pub replay: Option<Replay>,
    /// How many calls an account may make of each action in a second, unless `quota set` says
    /// otherwise; 0 for any number [default: 100]
    #[arg(long, env = "PEERWAY_RATE_LIMIT", value_name = "COUNT")]
    pub rate_limit: Option<u32>,
    /// When a task that waits for gateways fails, in seconds, below 200 [default: 60]
    #[arg(long, env = "PEERWAY_TASK_TIMEOUT_SECS", value_name = "SECS")]
    pub task_timeout_secs: Option<u64>,
    /// When a peering request that nobody has answered expires, in seconds [default: 604800]
    #[arg(long, env = "PEERWAY_REQUEST_LIFETIME_SECS", value_name = "SECS")]
    pub request_lifetime_secs: Option<u64>,
    /// Refuse peers of one VPC that overlap each other inside a region, too, not only across
    /// regions. Peerings that exist stay as they are.
    #[arg(long, env = "PEERWAY_STRICT_OVERLAP", num_args = 0..=1, default_missing_value = "true")]
    pub strict_overlap: Option<bool>,
    /// The largest bandwidth that may be asked for, in Mbps [default: 10000]
    #[arg(long, env = "PEERWAY_MAX_BANDWIDTH_MBPS", value_name = "MBPS")]
    pub max_bandwidth_mbps: Option<u32>,
    /// Accept only the bandwidths that the vendor documents (10 to 1000 Mbps).
    #[arg(long, env = "PEERWAY_DOCUMENTED_BANDWIDTHS", num_args = 0..=1, default_missing_value = "true")]
    pub documented_bandwidths: Option<bool>,
    /// The most room for measured points, in MiB; the oldest go first [default: 1024]
    #[arg(long, env = "PEERWAY_METRICS_MAX_MIB", value_name = "MIB")]
    pub metrics_max_mib: Option<u32>,
    /// What completes tasks: gateways, or nobody (for API use only) [default: gateways]. With `none`
    /// and no --state-dir the server runs on loopback ports and a temporary folder, and prints how to
    /// use it.
    #[arg(long, env = "PEERWAY_DATAPLANE", value_name = "KIND")]
    pub dataplane: Option<Dataplane>,
    /// How large the audit log may become before its oldest file goes, in MiB [default: 1024]
    #[arg(long, env = "PEERWAY_AUDIT_MAX_MIB", value_name = "MIB")]
    pub audit_max_mib: Option<u64>,
}

/// What a repetition is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Replay {
    /// A write gets its first answer again, without a second effect; a read is answered anew.
    Answer,
    /// Code 4500, for reads as well.
    Strict,
}

/// What completes tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dataplane {
    /// Gateways that report and probe.
    Gateways,
    /// Nothing: tasks end at once.
    None,
}

/// Verbs of `gateway`.
#[derive(Debug, Subcommand)]
pub enum GatewayCommand {
    /// Run the gateway of a region on this host.
    Run(GatewayRunArgs),
    /// Show what the gateway on this host carries, and why nothing passes where nothing does.
    Status(GatewaySocketArgs),
    /// Bring a host into a subnet: a NIC, a container or namespace, or a bridge of this host.
    Attach(AttachArgs),
    /// Take an attachment away again.
    Detach(DetachArgs),
    /// Remove everything that the gateway with this state folder made in the kernel.
    Clean(CleanArgs),
    /// Make a join string for a new gateway (talks to the server on this host).
    Token(TokenArgs),
    /// List the gateways of all regions (talks to the server on this host).
    List(AdminArgs),
    /// Remove a gateway that will not come back: nothing is awaited from it any more, and another
    /// one can join for its region (talks to the server on this host).
    Remove {
        /// Its id, `gw-…`.
        id: String,
        /// Which server.
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// Flags of `gateway run`; also the `[gateway]` section of the file.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GatewayRunArgs {
    /// Where the gateway keeps its keys, its last desired state and its attachments
    /// [default: /var/lib/peerway/gateway]
    #[arg(long, env = "PEERWAY_GATEWAY_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// The join string from `peerway gateway token`; needed the first time only.
    #[arg(
        long,
        env = "PEERWAY_JOIN",
        value_name = "STRING",
        hide_env_values = true
    )]
    pub join: Option<String>,
    /// Where the tunnel listens, UDP; repeatable [default: port 51820 of all addresses]
    #[arg(
        long,
        env = "PEERWAY_LISTEN",
        value_name = "ADDR:PORT",
        value_delimiter = ','
    )]
    #[serde(default)]
    pub listen: Vec<SocketAddr>,
    /// Where other gateways reach this one: DNS name, IPv4 or bracketed IPv6 address, with the port. Without it the
    /// gateway counts as behind a NAT and keeps its mappings alive.
    #[arg(long, env = "PEERWAY_ADVERTISE", value_name = "HOST:PORT")]
    pub advertise: Option<String>,
    /// Seconds between keepalives [default: 25 without --advertise, else none]
    #[arg(long, env = "PEERWAY_KEEPALIVE_SECS", value_name = "SECS")]
    pub keepalive_secs: Option<u64>,
    /// Threads that seal and open packets [default: one per CPU, at most 4]
    #[arg(long, env = "PEERWAY_WORKERS", value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub workers: Option<u8>,
    /// The socket for the local verbs [default: /run/peerway/gateway.sock]
    #[arg(long, env = "PEERWAY_GATEWAY_SOCKET", value_name = "PATH")]
    pub control_socket: Option<PathBuf>,
    /// Where /healthz and /metrics are served; off unless given.
    #[arg(long, env = "PEERWAY_GATEWAY_TELEMETRY", value_name = "ADDR:PORT")]
    pub telemetry: Option<SocketAddr>,
}

/// Which gateway to talk to.
#[derive(Debug, Clone, Args)]
pub struct GatewaySocketArgs {
    /// The gateway's socket.
    #[arg(
        long = "control-socket",
        env = "PEERWAY_GATEWAY_SOCKET",
        default_value = crate::config::GATEWAY_SOCKET,
        value_name = "PATH"
    )]
    pub socket: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Flags of `gateway attach`.
#[derive(Debug, Args)]
pub struct AttachArgs {
    /// A name for the attachment, unique on this gateway.
    pub name: String,
    /// The VPC, by either id.
    #[arg(long)]
    pub vpc: String,
    /// The subnet, by its unified id or its CIDR block.
    #[arg(long)]
    pub subnet: String,
    /// What to attach.
    #[command(flatten)]
    pub target: AttachTarget,
    /// The interface to make inside the namespace.
    #[arg(long, default_value = "eth0", value_name = "NAME")]
    pub interface: String,
    /// Configure the host side (address, default route, MTU) instead of printing how.
    #[arg(long)]
    pub configure: bool,
    /// The host's address; with --configure a free one is chosen unless given.
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<std::net::Ipv4Addr>,
    /// Which gateway.
    #[command(flatten)]
    pub gateway: GatewaySocketArgs,
}

/// What to attach: exactly one.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct AttachTarget {
    /// A network interface or VLAN of this host; it moves into the VPC.
    #[arg(long, value_name = "INTERFACE")]
    pub nic: Option<String>,
    /// A network namespace by name.
    #[arg(long, value_name = "NAME")]
    pub netns: Option<String>,
    /// The network namespace of a process, such as a container's first one.
    #[arg(long, value_name = "PID")]
    pub pid: Option<u32>,
    /// A bridge of this host.
    #[arg(long, value_name = "BRIDGE")]
    pub bridge: Option<String>,
}

/// Flags of `gateway detach`.
#[derive(Debug, Args)]
pub struct DetachArgs {
    /// The attachment's name.
    pub name: String,
    /// Which gateway.
    #[command(flatten)]
    pub gateway: GatewaySocketArgs,
}

/// Flags of `gateway clean`.
#[derive(Debug, Args)]
pub struct CleanArgs {
    /// The gateway's state folder.
    #[arg(
        long,
        env = "PEERWAY_GATEWAY_STATE_DIR",
        default_value = crate::config::GATEWAY_STATE_DIR,
        value_name = "DIR"
    )]
    pub state_dir: PathBuf,
}

/// Flags of `demo`.
#[derive(Debug, Clone, Copy, Args)]
pub struct DemoArgs {
    /// Leave everything running until interrupted, and print how to use it.
    #[arg(long, conflicts_with = "clean")]
    pub keep: bool,
    /// Only remove what dead runs left behind.
    #[arg(long)]
    pub clean: bool,
}

/// Verbs of `bench`.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Measure the API: starts a server of its own on one core and loads it from another.
    Api(BenchApiArgs),
    /// Measure what a peering carries beside plain routing and other tunnels; needs root, iproute2 and ethtool.
    Path(BenchPathArgs),
}

/// Flags of `bench api`.
#[derive(Debug, Clone, Args)]
pub struct BenchApiArgs {
    /// Peerings that are stored while reads and creates are measured.
    #[arg(long, default_value_t = 10_000, value_name = "COUNT")]
    pub peerings: usize,
    /// Numbers of stored peerings at which the cost of admission is compared.
    #[arg(
        long,
        default_values_t = [1_000, 10_000, 100_000],
        value_delimiter = ',',
        value_name = "COUNT"
    )]
    pub scale: Vec<usize>,
    /// Connections, each with one request under way.
    #[arg(long, default_value_t = 64, value_name = "COUNT")]
    pub connections: usize,
    /// How long each round of a workload is measured.
    #[arg(long, default_value_t = 4.0, value_name = "SECS")]
    pub seconds: f64,
    /// How long a workload runs before a round is measured.
    #[arg(long, default_value_t = 1.0, value_name = "SECS")]
    pub warm_up_seconds: f64,
    /// Rounds of each workload; the median one is reported.
    #[arg(long, default_value_t = 3, value_name = "COUNT")]
    pub rounds: usize,
    /// The core that the server runs on.
    #[arg(long, default_value_t = 0, value_name = "CORE")]
    pub server_core: usize,
    /// The core that the clients run on.
    #[arg(long, default_value_t = 1, value_name = "CORE")]
    pub client_core: usize,
    /// A folder on the disk that is to be measured [default: the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// The dialect to speak; v3 is measured in turn with v2, without the comparison of scales.
    #[arg(long, default_value = "v2")]
    pub dialect: Dialect,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// A dialect of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Dialect {
    /// The legacy API, signature v1.
    V2,
    /// API 3.0, signature TC3-HMAC-SHA256.
    V3,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn attach_wants_exactly_one_target() {
        let base = [
            "peerway",
            "gateway",
            "attach",
            "a",
            "--vpc",
            "gz_vpc_1",
            "--subnet",
            "10.0.0.0/24",
        ];
        let parse = |more: &[&str]| Cli::try_parse_from(base.iter().chain(more));
        assert!(parse(&[]).is_err());
        assert!(parse(&["--nic", "eth1", "--pid", "1"]).is_err());
        assert!(parse(&["--netns", "blue"]).is_ok());
    }
}
