//! What `status` shows, as JSON: the gateway, its server, its pairs, its peerings with why nothing
//! passes, its attachments.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use model::CidrBlock;
use model::overlay::mac_address;
use model::slice::{GatewaySlice, PeeringSlice};
use serde::{Deserialize, Serialize};
use tunnel::{IoStatus, PairStatus, PeeringStatus, TunnelStatus};

use crate::attachment::AttachmentView;
use crate::explain::{Finding, Seen, explain};
use crate::growth::Growth;
use crate::shared::{Applied, PeeringKey};

/// A clock difference from which on people should be warned: certificates and signed requests
/// have to agree on the time.
pub const MAX_CLOCK_SKEW: Duration = Duration::from_secs(30);

/// The state of a gateway.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GatewayStatus {
    /// Its id; absent until it has joined.
    pub gateway: Option<String>,
    /// Its region; absent until it has joined.
    pub region: Option<String>,
    /// The software version.
    pub software_version: String,
    /// The owner id in the names of its kernel objects.
    pub instance: String,
    /// Its tunnel key.
    pub tunnel_public_key: String,
    /// The underlay addresses that it listens on.
    pub listen: Vec<SocketAddr>,
    /// Where it says that it can be reached.
    pub advertise: Option<String>,
    /// Its connection to the server.
    pub server: ServerStatus,
    /// The generation of the desired slice.
    pub desired_generation: Option<u64>,
    /// The generation in force.
    pub generation: Option<u64>,
    /// What could not be applied.
    pub errors: Vec<ErrorView>,
    /// The other gateways, by id.
    pub pairs: BTreeMap<String, PairView>,
    /// The local sides of the peerings.
    pub peerings: Vec<PeeringView>,
    /// The attachments, by name.
    pub attachments: BTreeMap<String, AttachmentView>,
    /// Packets dropped that belong to no peering, by cause.
    pub drops: BTreeMap<String, u64>,
    /// What the I/O did.
    pub io: IoView,
}

/// The connection to the server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// Its address.
    pub address: Option<String>,
    /// Whether it is connected.
    pub connection: Connection,
    /// The last error.
    pub error: Option<String>,
    /// The server's clock minus ours, in milliseconds.
    pub clock_skew_millis: Option<i64>,
}

impl ServerStatus {
    /// Whether the clocks differ so much that people should be warned.
    pub fn is_clock_skewed(&self) -> bool {
        let skew_millis = self.clock_skew_millis.unwrap_or(0).unsigned_abs();
        u128::from(skew_millis) > MAX_CLOCK_SKEW.as_millis()
    }
}

/// How the connection to the server stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Connection {
    /// On the way, or waiting for the next attempt.
    #[default]
    Connecting,
    /// The server sends the desired slice.
    Connected,
    /// The server does not want this gateway; tried again now and then.
    Refused,
}

/// Something that could not be applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorView {
    /// What it concerns.
    pub subject: String,
    /// What went wrong.
    pub message: String,
}

/// The tunnel to another gateway.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PairView {
    /// Its region.
    pub region: Option<String>,
    /// Where it is reached at present.
    pub endpoint: Option<SocketAddr>,
    /// Where it says that it can be reached.
    pub advertised: Option<String>,
    /// Its tunnel key.
    pub public_key: Option<String>,
    /// The age of the session, in milliseconds.
    pub handshake_age_millis: Option<u64>,
    /// The time since anything authentic came, in milliseconds.
    pub received_age_millis: Option<u64>,
    /// The round-trip time, in microseconds.
    pub rtt_micros: Option<u64>,
    /// How much round-trip times differ from one probe to the next, in microseconds.
    pub jitter_micros: u64,
    /// Probes sent.
    pub probes_sent: u64,
    /// Probes without an answer.
    pub probes_lost: u64,
    /// The largest underlay packet that reaches it, in bytes.
    pub path_mtu_bytes: Option<u16>,
    /// The largest packet of a tenant that crosses whole, in bytes.
    pub inner_mtu_bytes: Option<u16>,
    /// Bytes of transport messages sent.
    pub sent_bytes: u64,
    /// Bytes of transport messages received.
    pub received_bytes: u64,
}

/// The local side of a peering.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PeeringView {
    /// Its id.
    pub peering: String,
    /// Which side is ours.
    pub side: String,
    /// The overlay network id.
    pub vni: u32,
    /// Our VPC.
    pub local_vpc: String,
    /// Our VPC's legacy id.
    pub local_vpc_legacy_id: Option<String>,
    /// The CIDR block of our VPC.
    pub local_cidr: Option<String>,
    /// The assistant CIDR blocks of our VPC.
    #[serde(default)]
    pub local_assistant_cidrs: Vec<String>,
    /// The other VPC.
    pub peer_vpc: String,
    /// The CIDR block of the other VPC.
    pub peer_cidr: String,
    /// The assistant CIDR blocks of the other VPC.
    #[serde(default)]
    pub peer_assistant_cidrs: Vec<String>,
    /// The gateway that carries the other VPC; absent when there is none. This one for a peering
    /// of two of its own VPCs.
    pub peer_gateway: Option<String>,
    /// The cap in Mbps, 0 for none.
    pub bandwidth_mbps: u32,
    /// Our MAC address in the overlay network.
    pub local_mac: String,
    /// The other side's.
    pub peer_mac: String,
    /// The largest packet that crosses whole, in bytes.
    pub inner_mtu_bytes: Option<u16>,
    /// Sent to the peer.
    pub sent: TrafficView,
    /// Received from the peer.
    pub received: TrafficView,
    /// Packets dropped on the way out, by cause.
    pub sent_drops: BTreeMap<String, u64>,
    /// Packets dropped on the way in, by cause.
    pub received_drops: BTreeMap<String, u64>,
    /// The time since a probe in the peering's VNI was answered, in milliseconds.
    pub probe_age_millis: Option<u64>,
    /// The round-trip time of that probe, in microseconds.
    pub rtt_micros: Option<u64>,
    /// Bytes that wait for the cap.
    pub queue_bytes: u64,
    /// How long packets waited for the cap of late, in microseconds.
    pub queue_delay_micros: u64,
    /// Packets that left with a congestion mark of the cap's queues.
    pub marked_packets: u64,
    /// Why nothing, or not everything, passes. Empty when nothing is wrong.
    pub findings: Vec<Finding>,
}

/// Inner IP packets and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficView {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

impl From<tunnel::Traffic> for TrafficView {
    fn from(traffic: tunnel::Traffic) -> Self {
        TrafficView {
            packets: traffic.packets,
            bytes: traffic.bytes,
        }
    }
}

/// What the I/O did, as sums since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoView {
    /// Reads of TUN queues.
    pub tun_reads: u64,
    /// Whole packets in them.
    pub tun_read_segments: u64,
    /// Sends on underlay sockets.
    pub udp_sends: u64,
    /// Datagrams in them.
    pub udp_send_segments: u64,
    /// Messages received on underlay sockets.
    pub udp_receives: u64,
    /// Datagrams in them.
    pub udp_receive_datagrams: u64,
}

impl From<IoStatus> for IoView {
    fn from(io: IoStatus) -> Self {
        IoView {
            tun_reads: io.tun_reads,
            tun_read_segments: io.tun_read_segments,
            udp_sends: io.udp_sends,
            udp_send_segments: io.udp_send_segments,
            udp_receives: io.udp_receives,
            udp_receive_datagrams: io.udp_receive_datagrams,
        }
    }
}

/// What the views of pairs and peerings are made from.
pub(crate) struct Sources<'a> {
    pub(crate) slice: &'a GatewaySlice,
    pub(crate) status: &'a TunnelStatus,
    pub(crate) applied: &'a Applied,
    pub(crate) attachments: &'a BTreeMap<String, AttachmentView>,
    pub(crate) growth: &'a Growth,
}

/// The views of all pairs, by gateway id.
pub(crate) fn pair_views(
    slice: &GatewaySlice,
    status: &TunnelStatus,
) -> BTreeMap<String, PairView> {
    let views = slice.tunnel_peers.iter().map(|(id, peer)| {
        let nothing = PairStatus::default();
        let pair = status.gateways.get(id).unwrap_or(&nothing);
        let view = PairView {
            region: Some(peer.region.to_string()),
            endpoint: pair.endpoint,
            advertised: peer.endpoint.clone(),
            public_key: Some(peer.public_key.to_string()),
            handshake_age_millis: pair.last_handshake.map(millis),
            received_age_millis: pair.last_received.map(millis),
            rtt_micros: pair.rtt.map(micros),
            jitter_micros: micros(pair.jitter),
            probes_sent: pair.probes_sent,
            probes_lost: pair.probes_lost,
            path_mtu_bytes: pair.path_mtu,
            inner_mtu_bytes: pair.inner_mtu,
            sent_bytes: pair.sent_bytes,
            received_bytes: pair.received_bytes,
        };
        (id.to_string(), view)
    });
    views.collect()
}

/// The views of all local sides of peerings.
pub(crate) fn peering_views(sources: &Sources<'_>) -> Vec<PeeringView> {
    let nothing = PeeringStatus::default();
    let entries = sources.slice.peerings.iter();
    let views = entries.map(|(key, entry)| {
        let peering = sources.status.peerings.get(key).unwrap_or(&nothing);
        peering_view(sources, *key, entry, peering)
    });
    views.collect()
}

fn peering_view(
    sources: &Sources<'_>,
    key: PeeringKey,
    entry: &PeeringSlice,
    peering: &PeeringStatus,
) -> PeeringView {
    use model::slice::PeerEnd;

    let vpc = sources.slice.vpcs.get(&entry.local_vpc);
    let (peer_gateway, pair) = match entry.peer {
        PeerEnd::Local => (Some(sources.slice.gateway), None),
        PeerEnd::Gateway(id) => (Some(id), sources.status.gateways.get(&id)),
        PeerEnd::Absent => (None, None),
    };
    let local_vpc = entry.local_vpc.to_string();
    let findings = explain(&Seen {
        entry,
        peering: key.0,
        vpc,
        peer: peer_gateway.and_then(|id| sources.slice.tunnel_peers.get(&id)),
        pair,
        status: peering,
        grown: sources.growth.since(key, peering),
        attachments: sources
            .attachments
            .values()
            .filter(|a| a.vpc == local_vpc)
            .count(),
        has_failed: sources.applied.has_failed(entry.local_vpc),
    });
    PeeringView {
        peering: key.0.to_string(),
        side: key.1.to_string(),
        vni: entry.vni.get(),
        local_vpc,
        local_vpc_legacy_id: vpc.map(|vpc| vpc.legacy_id.to_string()),
        local_cidr: vpc.map(|vpc| vpc.cidr.to_string()),
        local_assistant_cidrs: vpc.map_or_else(Vec::new, |vpc| texts(&vpc.assistant_cidrs)),
        peer_vpc: entry.peer_vpc.to_string(),
        peer_cidr: entry.peer_cidr.to_string(),
        peer_assistant_cidrs: texts(&entry.peer_assistant_cidrs),
        peer_gateway: peer_gateway.map(|id| id.to_string()),
        bandwidth_mbps: entry.bandwidth.mbps(),
        local_mac: mac_text(mac_address(entry.vni, key.1)),
        peer_mac: mac_text(mac_address(entry.vni, key.1.other())),
        inner_mtu_bytes: pair.and_then(|pair| pair.inner_mtu),
        sent: peering.sent.into(),
        received: peering.received.into(),
        sent_drops: owned(&peering.sent_drops),
        received_drops: owned(&peering.received_drops),
        probe_age_millis: peering.last_probe.map(millis),
        rtt_micros: peering.rtt.map(micros),
        queue_bytes: peering.queue_bytes,
        queue_delay_micros: micros(peering.queue_delay),
        marked_packets: peering.marked,
        findings,
    }
}

fn texts(blocks: &BTreeSet<CidrBlock>) -> Vec<String> {
    blocks.iter().map(CidrBlock::to_string).collect()
}

/// Drops by cause with owned names.
pub(crate) fn owned(drops: &BTreeMap<&'static str, u64>) -> BTreeMap<String, u64> {
    drops
        .iter()
        .map(|(cause, packets)| ((*cause).to_owned(), *packets))
        .collect()
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
