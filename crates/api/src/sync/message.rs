//! The messages of the gateway stream as plain values, and their checked conversions.

use std::collections::BTreeMap;

use model::slice::{GatewaySlice, SliceChange};
use model::{GatewayId, Generation, PeeringConnectionId, PublicKey, Region, Side, SubnetId, Vni};

use super::convert::{
    FieldError, Problem, bounded_count, bounded_text, convert, endpoint, parse, public_key,
    required,
};
use super::join::Secret;
use super::proto;
use super::slice::{decode_change, decode_snapshot, encode_change, encode_snapshot, side_from};

const MAX_VERSION_BYTES: usize = 128;
const MAX_SECRET_BYTES: usize = 64;
const MAX_ERRORS: usize = 256;
const MAX_SUBJECT_BYTES: usize = 256;
const MAX_MESSAGE_BYTES: usize = 2048;
const MAX_DROP_CAUSES: usize = 64;
const MAX_CAUSE_BYTES: usize = 64;

/// Asks to become the gateway of the region that the secret was issued for. The caller is
/// identified by its TLS client certificate, which is not in the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinRequest {
    /// The secret of the join string, at most 64 bytes.
    pub secret: Secret,
    /// The gateway's tunnel key.
    pub tunnel_public_key: PublicKey,
    /// Where other gateways reach this one, `host:port`; `None` when it can only call out.
    pub endpoint: Option<String>,
    /// The software version, for people; at most 128 bytes.
    pub software_version: String,
}

/// The identity of a gateway that joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinReply {
    /// The gateway's id.
    pub gateway: GatewayId,
    /// The region it serves.
    pub region: Region,
}

/// What a gateway sends on the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatewayMessage {
    /// The first message.
    Hello(Hello),
    /// What the gateway runs and sees.
    Report(Report),
    /// Asks for the whole slice, after a change that did not fit.
    SnapshotRequest,
}

/// Opens a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The gateway's tunnel key.
    pub tunnel_public_key: PublicKey,
    /// Where other gateways reach this one, `host:port`; `None` when it can only call out.
    pub endpoint: Option<String>,
    /// The software version, for people; at most 128 bytes.
    pub software_version: String,
    /// The gateway's clock: milliseconds of Unix time.
    pub unix_millis: u64,
    /// The generation that the gateway runs; 0 when it has none.
    pub running: Generation,
}

/// What a gateway runs and sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The generation that is applied and verified.
    pub generation: Generation,
    /// What could not be applied. Encoding keeps the first 256 and cuts long texts.
    pub errors: Vec<ApplyError>,
    /// The local sides of the peerings that it carries.
    pub peerings: BTreeMap<(PeeringConnectionId, Side), PeeringReport>,
    /// The tunnels to other gateways.
    pub pairs: BTreeMap<GatewayId, PairReport>,
    /// How many hosts are attached to which subnet.
    pub hosts: BTreeMap<SubnetId, u32>,
    /// The gateway's clock: milliseconds of Unix time.
    pub unix_millis: u64,
}

/// Something that could not be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplyError {
    /// What it concerns: an id or the name of a kernel object.
    pub subject: String,
    /// What went wrong.
    pub message: String,
}

/// Counters of one direction; they start at 0 when the gateway starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Inner IP packets.
    pub packets: u64,
    /// Inner IP bytes.
    pub bytes: u64,
}

/// One local side of a peering, as the forwarding engine sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeeringReport {
    /// The overlay network id.
    pub vni: Vni,
    /// Whether a probe in this VNI came back from the other side since the peering was programmed.
    pub probe_crossed: bool,
    /// The age of the last probe that came back, in milliseconds.
    pub last_probe_age_millis: Option<u64>,
    /// Sent to the other side.
    pub sent: Traffic,
    /// Received from the other side and delivered.
    pub received: Traffic,
    /// Dropped packets by cause. A cause has at most 64 bytes of lower-case letters, digits and
    /// underscores, and there are at most 64; encoding leaves out what exceeds that.
    pub drops: BTreeMap<String, u64>,
}

/// The tunnel to one other gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PairReport {
    /// The age of the last completed handshake, in milliseconds.
    pub last_handshake_age_millis: Option<u64>,
    /// The last round-trip time measured, in microseconds.
    pub rtt_micros: Option<u64>,
    /// Probes sent.
    pub probes_sent: u64,
    /// Probes that were not answered.
    pub probes_lost: u64,
}

/// What the server sends on the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerMessage {
    /// The answer to [`Hello`].
    Welcome(Welcome),
    /// The whole slice.
    Snapshot(GatewaySlice),
    /// The change to the next generation.
    Change(SliceChange),
}

/// The answer to [`Hello`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// The server's clock: milliseconds of Unix time.
    pub unix_millis: u64,
    /// The gateway's id.
    pub gateway: GatewayId,
    /// The region it serves.
    pub region: Region,
}

impl TryFrom<proto::JoinRequest> for JoinRequest {
    type Error = FieldError;

    fn try_from(wire: proto::JoinRequest) -> Result<Self, FieldError> {
        if wire.secret.is_empty() || wire.secret.len() > MAX_SECRET_BYTES {
            let problem = Problem::Length {
                expected: "1 to 64",
                actual: wire.secret.len(),
            };
            return Err(FieldError::new("secret", problem));
        }
        Ok(JoinRequest {
            secret: Secret::new(wire.secret),
            tunnel_public_key: public_key("tunnel_public_key", &wire.tunnel_public_key)?,
            endpoint: endpoint("endpoint", wire.endpoint)?,
            software_version: bounded_text(
                "software_version",
                wire.software_version,
                MAX_VERSION_BYTES,
            )?,
        })
    }
}

impl From<JoinRequest> for proto::JoinRequest {
    fn from(request: JoinRequest) -> Self {
        proto::JoinRequest {
            secret: request.secret.expose().to_vec(),
            tunnel_public_key: request.tunnel_public_key.0.to_vec(),
            endpoint: request.endpoint,
            software_version: cut(request.software_version, MAX_VERSION_BYTES),
        }
    }
}

impl TryFrom<proto::JoinReply> for JoinReply {
    type Error = FieldError;

    fn try_from(wire: proto::JoinReply) -> Result<Self, FieldError> {
        Ok(JoinReply {
            gateway: parse("gateway_id", &wire.gateway_id)?,
            region: parse("region", &wire.region)?,
        })
    }
}

impl From<JoinReply> for proto::JoinReply {
    fn from(reply: JoinReply) -> Self {
        proto::JoinReply {
            gateway_id: reply.gateway.to_string(),
            region: reply.region.to_string(),
        }
    }
}

impl TryFrom<proto::GatewayMessage> for GatewayMessage {
    type Error = FieldError;

    fn try_from(wire: proto::GatewayMessage) -> Result<Self, FieldError> {
        use proto::gateway_message::Kind;

        match required("kind", wire.kind)? {
            Kind::Hello(hello) => Hello::try_from(hello)
                .map(GatewayMessage::Hello)
                .map_err(|error| error.within("hello")),
            Kind::Report(report) => Report::try_from(report)
                .map(GatewayMessage::Report)
                .map_err(|error| error.within("report")),
            Kind::SnapshotRequest(proto::SnapshotRequest {}) => Ok(GatewayMessage::SnapshotRequest),
        }
    }
}

impl From<GatewayMessage> for proto::GatewayMessage {
    fn from(message: GatewayMessage) -> Self {
        use proto::gateway_message::Kind;

        let kind = match message {
            GatewayMessage::Hello(hello) => Kind::Hello(hello.into()),
            GatewayMessage::Report(report) => Kind::Report(report.into()),
            GatewayMessage::SnapshotRequest => Kind::SnapshotRequest(proto::SnapshotRequest {}),
        };
        proto::GatewayMessage { kind: Some(kind) }
    }
}

impl TryFrom<proto::Hello> for Hello {
    type Error = FieldError;

    fn try_from(wire: proto::Hello) -> Result<Self, FieldError> {
        Ok(Hello {
            tunnel_public_key: public_key("tunnel_public_key", &wire.tunnel_public_key)?,
            endpoint: endpoint("endpoint", wire.endpoint)?,
            software_version: bounded_text(
                "software_version",
                wire.software_version,
                MAX_VERSION_BYTES,
            )?,
            unix_millis: wire.unix_millis,
            running: Generation(wire.running_generation),
        })
    }
}

impl From<Hello> for proto::Hello {
    fn from(hello: Hello) -> Self {
        proto::Hello {
            tunnel_public_key: hello.tunnel_public_key.0.to_vec(),
            endpoint: hello.endpoint,
            software_version: cut(hello.software_version, MAX_VERSION_BYTES),
            unix_millis: hello.unix_millis,
            running_generation: hello.running.0,
        }
    }
}

impl TryFrom<proto::Report> for Report {
    type Error = FieldError;

    fn try_from(wire: proto::Report) -> Result<Self, FieldError> {
        bounded_count("errors", wire.errors.len(), MAX_ERRORS)?;
        let mut peerings = BTreeMap::new();
        for entry in wire.peerings {
            let (key, report) = peering_report(entry).map_err(|error| error.within("peerings"))?;
            if peerings.insert(key, report).is_some() {
                let problem = Problem::Duplicate(format!("{} {}", key.0, key.1));
                return Err(FieldError::new("peerings", problem));
            }
        }
        let mut pairs = BTreeMap::new();
        for entry in wire.pairs {
            let gateway: GatewayId = parse("pairs.gateway_id", &entry.gateway_id)?;
            let report = PairReport {
                last_handshake_age_millis: entry.last_handshake_age_millis,
                rtt_micros: entry.rtt_micros,
                probes_sent: entry.probes_sent,
                probes_lost: entry.probes_lost,
            };
            if pairs.insert(gateway, report).is_some() {
                let problem = Problem::Duplicate(gateway.to_string());
                return Err(FieldError::new("pairs", problem));
            }
        }
        let mut hosts = BTreeMap::new();
        for entry in wire.subnets {
            let subnet: SubnetId = parse("subnets.subnet_id", &entry.subnet_id)?;
            if hosts.insert(subnet, entry.hosts).is_some() {
                let problem = Problem::Duplicate(subnet.to_string());
                return Err(FieldError::new("subnets", problem));
            }
        }
        Ok(Report {
            generation: Generation(wire.generation),
            errors: wire
                .errors
                .into_iter()
                .map(apply_error)
                .collect::<Result<_, _>>()?,
            peerings,
            pairs,
            hosts,
            unix_millis: wire.unix_millis,
        })
    }
}

fn apply_error(wire: proto::ApplyError) -> Result<ApplyError, FieldError> {
    Ok(ApplyError {
        subject: bounded_text("errors.subject", wire.subject, MAX_SUBJECT_BYTES)?,
        message: bounded_text("errors.message", wire.message, MAX_MESSAGE_BYTES)?,
    })
}

type PeeringReportEntry = ((PeeringConnectionId, Side), PeeringReport);

fn peering_report(wire: proto::PeeringReport) -> Result<PeeringReportEntry, FieldError> {
    let key = (
        parse("peering_id", &wire.peering_id)?,
        side_from("side", wire.side)?,
    );
    bounded_count("drops", wire.drops.len(), MAX_DROP_CAUSES)?;
    if let Some(cause) = wire.drops.keys().find(|cause| !is_cause(cause)) {
        let shown: String = cause.chars().take(MAX_CAUSE_BYTES).collect();
        let problem = Problem::Malformed(format!("`{shown}` is not the name of a cause"));
        return Err(FieldError::new("drops", problem));
    }
    let report = PeeringReport {
        vni: convert("vni", wire.vni)?,
        probe_crossed: wire.probe_crossed,
        last_probe_age_millis: wire.last_probe_age_millis,
        sent: required("sent", wire.sent)?.into(),
        received: required("received", wire.received)?.into(),
        drops: wire.drops,
    };
    Ok((key, report))
}

// Causes become label values of metrics, so nothing but a plain word is let in.
fn is_cause(text: &str) -> bool {
    (1..=MAX_CAUSE_BYTES).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

impl From<Report> for proto::Report {
    fn from(report: Report) -> Self {
        let errors = report
            .errors
            .into_iter()
            .take(MAX_ERRORS)
            .map(|error| proto::ApplyError {
                subject: cut(error.subject, MAX_SUBJECT_BYTES),
                message: cut(error.message, MAX_MESSAGE_BYTES),
            });
        let peerings =
            report
                .peerings
                .into_iter()
                .map(|((peering, side), entry)| proto::PeeringReport {
                    peering_id: peering.to_string(),
                    side: proto::Side::from(side).into(),
                    vni: entry.vni.get(),
                    probe_crossed: entry.probe_crossed,
                    last_probe_age_millis: entry.last_probe_age_millis,
                    sent: Some(entry.sent.into()),
                    received: Some(entry.received.into()),
                    drops: entry
                        .drops
                        .into_iter()
                        .filter(|(cause, _)| is_cause(cause))
                        .take(MAX_DROP_CAUSES)
                        .collect(),
                });
        let pairs = report
            .pairs
            .into_iter()
            .map(|(gateway, entry)| proto::PairReport {
                gateway_id: gateway.to_string(),
                last_handshake_age_millis: entry.last_handshake_age_millis,
                rtt_micros: entry.rtt_micros,
                probes_sent: entry.probes_sent,
                probes_lost: entry.probes_lost,
            });
        let subnets = report
            .hosts
            .into_iter()
            .map(|(subnet, hosts)| proto::SubnetReport {
                subnet_id: subnet.to_string(),
                hosts,
            });
        proto::Report {
            generation: report.generation.0,
            errors: errors.collect(),
            peerings: peerings.collect(),
            pairs: pairs.collect(),
            unix_millis: report.unix_millis,
            subnets: subnets.collect(),
        }
    }
}

impl From<proto::Traffic> for Traffic {
    fn from(wire: proto::Traffic) -> Self {
        Traffic {
            packets: wire.packets,
            bytes: wire.bytes,
        }
    }
}

impl From<Traffic> for proto::Traffic {
    fn from(traffic: Traffic) -> Self {
        proto::Traffic {
            packets: traffic.packets,
            bytes: traffic.bytes,
        }
    }
}

impl TryFrom<proto::ServerMessage> for ServerMessage {
    type Error = FieldError;

    fn try_from(wire: proto::ServerMessage) -> Result<Self, FieldError> {
        use proto::server_message::Kind;

        match required("kind", wire.kind)? {
            Kind::Welcome(welcome) => Welcome::try_from(welcome)
                .map(ServerMessage::Welcome)
                .map_err(|error| error.within("welcome")),
            Kind::Snapshot(snapshot) => decode_snapshot(snapshot)
                .map(ServerMessage::Snapshot)
                .map_err(|error| error.within("snapshot")),
            Kind::Change(change) => decode_change(change)
                .map(ServerMessage::Change)
                .map_err(|error| error.within("change")),
        }
    }
}

impl From<ServerMessage> for proto::ServerMessage {
    fn from(message: ServerMessage) -> Self {
        use proto::server_message::Kind;

        let kind = match message {
            ServerMessage::Welcome(welcome) => Kind::Welcome(welcome.into()),
            ServerMessage::Snapshot(slice) => Kind::Snapshot(encode_snapshot(&slice)),
            ServerMessage::Change(change) => Kind::Change(encode_change(&change)),
        };
        proto::ServerMessage { kind: Some(kind) }
    }
}

impl TryFrom<proto::Welcome> for Welcome {
    type Error = FieldError;

    fn try_from(wire: proto::Welcome) -> Result<Self, FieldError> {
        Ok(Welcome {
            unix_millis: wire.unix_millis,
            gateway: parse("gateway_id", &wire.gateway_id)?,
            region: parse("region", &wire.region)?,
        })
    }
}

impl From<Welcome> for proto::Welcome {
    fn from(welcome: Welcome) -> Self {
        proto::Welcome {
            unix_millis: welcome.unix_millis,
            gateway_id: welcome.gateway.to_string(),
            region: welcome.region.to_string(),
        }
    }
}

fn cut(mut text: String, limit_bytes: usize) -> String {
    text.truncate(text.floor_char_boundary(limit_bytes));
    text
}
