//! Peerings and tasks of all accounts.

use serde::{Deserialize, Serialize};

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

/// Which peerings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeeringFilter {
    /// Only those with an end of this account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uin: Option<u64>,
    /// Only those in this state, by its name in lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Only those with an end in this region, short or long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

/// Which tasks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskFilter {
    /// Only those that have not ended.
    #[serde(default)]
    pub running: bool,
}

/// The task that an operator's action began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartedView {
    /// Its number.
    pub task: u64,
}
