//! Gateways and the strings that they join with.

use serde::{Deserialize, Serialize};

/// Asks for a join string.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// The region that the gateway will carry, short or long.
    pub region: String,
    /// How long the string is good; an hour when absent.
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
