//! The operator's side: JSON over HTTP on a Unix socket that only its owner can open.
//!
//! The messages are here, the client in [`Client`], what answers in `routes`. Nothing here is
//! reachable from the network, and nothing else can make accounts, keys or join strings.

mod client;
mod routes;
mod slice_dump;

use serde::{Deserialize, Serialize};

pub use client::{Client, ClientError};
pub use routes::BindError;
pub(crate) use routes::{Admin, Socket, serve};

/// How long a join string is good unless the operator says otherwise.
pub const TOKEN_LIFETIME_SECS: u64 = 3600;

/// Asks for an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountRequest {
    /// A name for the operator.
    pub name: String,
    /// Its number, 1 to 12 digits; drawn when absent.
    #[serde(default)]
    pub uin: Option<u64>,
    /// Its application number; drawn when absent.
    #[serde(default)]
    pub app_id: Option<u64>,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountView {
    /// Its number.
    pub uin: u64,
    /// Its application number.
    pub app_id: u64,
    /// Its name for the operator.
    pub name: String,
    /// When it was made, UTC.
    pub created_at: String,
}

/// Asks for an access key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRequest {
    /// Whose it is.
    pub uin: u64,
    /// The public half; drawn when absent.
    #[serde(default)]
    pub secret_id: Option<String>,
    /// The secret half; drawn when absent.
    #[serde(default)]
    pub secret_key: Option<String>,
}

impl std::fmt::Debug for KeyRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRequest")
            .field("uin", &self.uin)
            .field("secret_id", &self.secret_id)
            .finish_non_exhaustive()
    }
}

/// A new access key, with the secret half that is shown this once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyView {
    /// The public half.
    pub secret_id: String,
    /// The secret half.
    pub secret_key: String,
}

impl std::fmt::Debug for KeyView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyView")
            .field("secret_id", &self.secret_id)
            .finish_non_exhaustive()
    }
}

/// Asks for a join string.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// The region that the gateway will carry, short or long.
    pub region: String,
    /// How long the string is good; [`TOKEN_LIFETIME_SECS`] when absent.
    #[serde(default)]
    pub lifetime_secs: Option<u64>,
}

/// A join string.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenView {
    /// What the gateway is started with. It holds a secret that is good once.
    pub join: String,
    /// The region.
    pub region: String,
    /// When it is void, UTC.
    pub expires_at: String,
}

impl std::fmt::Debug for TokenView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenView")
            .field("region", &self.region)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// A gateway, with what its stream has told since the server started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GatewayView {
    /// Its id.
    pub id: String,
    /// Its region.
    pub region: String,
    /// Where other gateways reach it.
    pub endpoint: Option<String>,
    /// Its tunnel key.
    pub tunnel_public_key: String,
    /// Its address inside the tunnels.
    pub overlay_address: String,
    /// When it joined, UTC.
    pub joined_at: String,
    /// Its stream; absent when it has not connected since the server started.
    pub session: Option<SessionView>,
}

/// What a gateway's stream has told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionView {
    /// Whether the stream is open.
    pub connected: bool,
    /// Since when it is, or is not, UTC.
    pub since: String,
    /// Where it comes from.
    pub remote: String,
    /// The software version.
    pub software_version: String,
    /// The gateway's clock minus the server's.
    pub clock_skew_millis: i64,
    /// The generation sent last.
    pub sent_generation: u64,
    /// The generation that it runs.
    pub applied_generation: u64,
    /// The revision up to which it is served.
    pub evaluated_revision: u64,
    /// When the last report came, UTC.
    pub reported_at: Option<String>,
    /// What it could not apply.
    pub errors: Vec<ApplyErrorView>,
    /// The tunnels to other gateways.
    pub pairs: Vec<PairView>,
}

/// Something that a gateway could not apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplyErrorView {
    /// What it concerns.
    pub subject: String,
    /// What went wrong.
    pub message: String,
}

/// The tunnel from one gateway to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairView {
    /// The other gateway.
    pub gateway: String,
    /// The age of the last completed handshake.
    pub last_handshake_age_millis: Option<u64>,
    /// The last round-trip time measured.
    pub rtt_micros: Option<u64>,
    /// Probes sent.
    pub probes_sent: u64,
    /// Probes that were not answered.
    pub probes_lost: u64,
}

/// A peering, whoever owns it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeeringView {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its state, in lower case.
    pub state: String,
    /// The side that asked.
    pub requester: EndView,
    /// The side that was asked.
    pub accepter: EndView,
    /// The cap, 10^6 bit/s; 0 is unlimited.
    pub bandwidth_mbps: u32,
    /// The overlay network id.
    pub vni: u32,
    /// The task that runs on it.
    pub task: Option<u64>,
    /// When it was made, UTC.
    pub created_at: String,
}

/// One end of a peering.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndView {
    /// The VPC.
    pub vpc: String,
    /// Its legacy id.
    pub legacy_vpc: String,
    /// Its region.
    pub region: String,
    /// Its owner.
    pub uin: u64,
    /// Its CIDR block.
    pub cidr: String,
    /// What its gateway last reported of this side.
    pub report: Option<SideView>,
}

/// One side of a peering as its gateway sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideView {
    /// Whether a probe in the peering's VNI came back.
    pub probe_crossed: bool,
    /// The age of the last one.
    pub last_probe_age_millis: Option<u64>,
    /// Packets sent.
    pub sent_packets: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Packets received.
    pub received_packets: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Dropped packets by cause.
    pub drops: std::collections::BTreeMap<String, u64>,
}

/// A task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskView {
    /// Its number.
    pub id: u64,
    /// What it does, in lower case.
    pub kind: String,
    /// Who asked.
    pub uin: u64,
    /// The peering.
    pub peering: String,
    /// `running`, `succeeded` or `failed`.
    pub state: String,
    /// Why it failed.
    pub message: Option<String>,
    /// When it was committed, UTC.
    pub created_at: String,
    /// When a running one fails, UTC.
    pub deadline: String,
}

/// Why something is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ErrorView {
    pub(crate) error: String,
}
