//! What a server is told at its start. Reading flags and files is the caller's.

pub use crate::certificate::CertificateFiles;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use model::admission::OverlapScope;
use model::peering::REQUEST_LIFETIME;

use crate::core::Dataplane;
use crate::history::DEFAULT_MAX_BYTES;
use crate::rate::Rate;

/// The database in the state folder.
pub const STATE_FILE: &str = "peerway.db";

/// The master key in the state folder.
pub const MASTER_KEY_FILE: &str = "master.key";

/// What an exact repetition of a request is answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Replay {
    /// What changes something gets its first answer again, a read is answered anew.
    #[default]
    FirstAnswer,
    /// It is refused.
    Strict,
}

/// The configuration of one server process.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The folder of the state, the master key and the CA; made with mode 0700 when it is not there.
    pub state_dir: PathBuf,
    /// Where the public API listens with TLS; port 0 takes a free one.
    pub https: Option<SocketAddr>,
    /// Where the public API listens without TLS, for people who ask for it.
    pub http: Option<SocketAddr>,
    /// Where gateways connect; port 0 takes a free one.
    pub sync: SocketAddr,
    /// The `host:port` of join strings. When absent, the bound address; for an unspecified one the
    /// first address of the host that is not a loopback address.
    pub sync_advertise: Option<String>,
    /// The operator's socket, made with mode 0600.
    pub admin_socket: PathBuf,
    /// Accounts, keys and VPCs to make at the start, unless they are there.
    pub seed_file: Option<PathBuf>,
    /// More names and addresses for the server's certificate.
    pub tls_names: Vec<String>,
    /// A certificate for the public API instead of one that the CA of the deployment signs.
    pub certificate: Option<CertificateFiles>,
    /// How far a request's timestamp may be from the server's clock.
    pub clock_window: Duration,
    /// What an exact repetition inside that window is answered.
    pub replay: Replay,
    /// How many calls an account may make of each action, unless it has a limit of its own.
    pub rate_limit: Rate,
    /// When a running task fails; clients give up after 200 s.
    pub task_timeout: Duration,
    /// How long a request of another account waits for consent.
    pub request_lifetime: Duration,
    /// Which peerings of one VPC must not lead to blocks that overlap.
    pub overlap: OverlapScope,
    /// The largest bandwidth of a peering, 10^6 bit/s.
    pub max_bandwidth_mbps: u32,
    /// Whether only the bandwidths of the vendor's page are accepted.
    pub documented_bandwidths_only: bool,
    /// The most bytes that measured points take; the oldest go first. See [`crate::history`].
    pub metrics_max_bytes: u64,
    /// Who carries the traffic.
    pub dataplane: Dataplane,
    /// How large all files of the audit log together may become, in MiB, at least 1.
    pub audit_max_mib: u64,
}

impl ServerConfig {
    /// The documented defaults: both listeners on free ports of the loopback address, everything
    /// else inside the state folder.
    pub fn local(state_dir: PathBuf) -> ServerConfig {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        ServerConfig {
            https: Some(loopback),
            http: None,
            sync: loopback,
            sync_advertise: None,
            admin_socket: state_dir.join("admin.sock"),
            state_dir,
            seed_file: None,
            tls_names: Vec::new(),
            certificate: None,
            clock_window: Duration::from_secs(2 * 3600),
            replay: Replay::default(),
            rate_limit: Rate::DEFAULT,
            task_timeout: Duration::from_secs(60),
            request_lifetime: REQUEST_LIFETIME,
            overlap: OverlapScope::default(),
            max_bandwidth_mbps: 10_000,
            documented_bandwidths_only: false,
            metrics_max_bytes: DEFAULT_MAX_BYTES,
            dataplane: Dataplane::Gateways,
            audit_max_mib: 1024,
        }
    }
}
