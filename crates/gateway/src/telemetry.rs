//! `/healthz` and `/metrics`, in the Prometheus text format (version 0.0.4).

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use model::slice::GatewaySlice;
use tokio::net::TcpListener;
use tunnel::TunnelStatus;

use crate::control::Control;
use crate::shared::Applied;
use crate::status::{Connection, ServerStatus};

/// Serves the two pages until it is dropped.
pub(crate) async fn serve(listener: TcpListener, control: Arc<Control>) {
    let router = Router::new()
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics))
        .with_state(control);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "metrics are not served any more; restart the gateway");
    }
}

// Healthy is who forwards what was desired last. The server is not part of that.
async fn healthz(State(control): State<Arc<Control>>) -> (StatusCode, String) {
    let applied = control.shared.applied.borrow().clone();
    if applied.version == 0 {
        return (StatusCode::SERVICE_UNAVAILABLE, "starting\n".to_owned());
    }
    let failures: String = applied
        .failures
        .iter()
        .map(|failure| format!("{}: {}\n", failure.subject(), failure.message))
        .collect();
    if failures.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, failures)
    }
}

async fn metrics(State(control): State<Arc<Control>>) -> impl IntoResponse {
    let status = control.tunnel_status().await;
    let text = render(&Gathered {
        slice: control.shared.slice().as_deref(),
        status: &status,
        applied: &control.shared.applied.borrow().clone(),
        server: &control.shared.server(),
    });
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}

struct Gathered<'a> {
    slice: Option<&'a GatewaySlice>,
    status: &'a TunnelStatus,
    applied: &'a Applied,
    server: &'a ServerStatus,
}

/// One metric with all its samples.
struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl<'a> Family<'a> {
    fn begin(text: &'a mut String, name: &'static str, kind: &str, help: &str) -> Family<'a> {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Family { text, name }
    }

    // Label values are ids, regions and causes of ours: nothing in them needs escaping.
    fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{value}\""))
            .collect();
        let labels = if labels.is_empty() {
            String::new()
        } else {
            format!("{{{}}}", labels.join(","))
        };
        let _ = writeln!(self.text, "{}{labels} {value}", self.name);
    }
}

fn render(gathered: &Gathered<'_>) -> String {
    let mut text = String::new();
    render_gateway(&mut text, gathered);
    render_traffic(&mut text, gathered.status);
    render_drops(&mut text, gathered.status);
    render_pairs(&mut text, gathered.status);
    render_io(&mut text, gathered.status);
    text
}

fn render_gateway(text: &mut String, gathered: &Gathered<'_>) {
    let mut gauge = |name, help: &str, value: f64| {
        Family::begin(text, name, "gauge", help).sample(&[], value);
    };
    let is_connected = gathered.server.connection == Connection::Connected;
    gauge(
        "peerway_gateway_server_connected",
        "Whether the server's stream is up.",
        f64::from(u8::from(is_connected)),
    );
    let generation = |generation: Option<model::Generation>| generation.map_or(0, |g| g.0) as f64;
    gauge(
        "peerway_gateway_desired_generation",
        "The generation of the desired slice.",
        generation(gathered.slice.map(|slice| slice.generation)),
    );
    gauge(
        "peerway_gateway_generation",
        "The generation in force.",
        generation(gathered.applied.generation),
    );
    gauge(
        "peerway_gateway_apply_errors",
        "What could not be applied.",
        gathered.applied.failures.len() as f64,
    );
    if let Some(skew_millis) = gathered.server.clock_skew_millis {
        gauge(
            "peerway_gateway_clock_skew_seconds",
            "The server's clock minus this host's.",
            skew_millis as f64 / 1e3,
        );
    }
}

fn render_traffic(text: &mut String, status: &TunnelStatus) {
    type Value = fn(&tunnel::Traffic) -> u64;
    let families: [(_, _, Value); 2] = [
        (
            "peerway_peering_packets_total",
            "Inner IP packets.",
            |traffic| traffic.packets,
        ),
        (
            "peerway_peering_bytes_total",
            "Inner IP bytes.",
            |traffic| traffic.bytes,
        ),
    ];
    for (name, help, value) in families {
        let mut family = Family::begin(text, name, "counter", help);
        for ((peering, side), seen) in &status.peerings {
            let (peering, side) = (peering.to_string(), side.to_string());
            for (direction, traffic) in [("sent", &seen.sent), ("received", &seen.received)] {
                let labels = [
                    ("peering", &*peering),
                    ("side", &*side),
                    ("direction", direction),
                ];
                family.sample(&labels, value(traffic) as f64);
            }
        }
    }
    render_queues(text, status);
}

fn render_queues(text: &mut String, status: &TunnelStatus) {
    type Value = fn(&tunnel::PeeringStatus) -> f64;
    let families: [(_, _, _, Value); 3] = [
        (
            "peerway_peering_queue_bytes",
            "gauge",
            "Bytes that wait for the cap.",
            |seen| seen.queue_bytes as f64,
        ),
        (
            "peerway_peering_queue_delay_seconds",
            "gauge",
            "How long packets waited for the cap of late.",
            |seen| seen.queue_delay.as_secs_f64(),
        ),
        (
            "peerway_peering_marked_packets_total",
            "counter",
            "Packets sent with a congestion mark of the cap's queues.",
            |seen| seen.marked as f64,
        ),
    ];
    for (name, kind, help, value) in families {
        let mut family = Family::begin(text, name, kind, help);
        for ((peering, side), seen) in &status.peerings {
            let labels = [
                ("peering", &*peering.to_string()),
                ("side", &*side.to_string()),
            ];
            family.sample(&labels, value(seen));
        }
    }
}

fn render_drops(text: &mut String, status: &TunnelStatus) {
    let mut family = Family::begin(
        text,
        "peerway_peering_dropped_packets_total",
        "counter",
        "Dropped packets by cause.",
    );
    for ((peering, side), seen) in &status.peerings {
        let (peering, side) = (peering.to_string(), side.to_string());
        for (direction, drops) in [
            ("sent", &seen.sent_drops),
            ("received", &seen.received_drops),
        ] {
            for (cause, packets) in drops {
                let labels = [
                    ("peering", &*peering),
                    ("side", &*side),
                    ("direction", direction),
                    ("cause", cause),
                ];
                family.sample(&labels, *packets as f64);
            }
        }
    }
    let mut family = Family::begin(
        text,
        "peerway_gateway_dropped_packets_total",
        "counter",
        "Dropped packets that belong to no peering, by cause.",
    );
    for (cause, packets) in &status.drops {
        family.sample(&[("cause", cause)], *packets as f64);
    }
}

fn render_pairs(text: &mut String, status: &TunnelStatus) {
    type Value = fn(&tunnel::PairStatus) -> Option<f64>;
    let families: [(_, _, _, Value); 9] = [
        (
            "peerway_pair_rtt_seconds",
            "gauge",
            "Round-trip time of the last probe.",
            |pair| pair.rtt.map(|rtt| rtt.as_secs_f64()),
        ),
        (
            "peerway_pair_jitter_seconds",
            "gauge",
            "How much round-trip times differ from one probe to the next, smoothed.",
            |pair| Some(pair.jitter.as_secs_f64()),
        ),
        (
            "peerway_pair_path_mtu_bytes",
            "gauge",
            "The largest underlay packet that reaches the other gateway.",
            |pair| pair.path_mtu.map(f64::from),
        ),
        (
            "peerway_pair_handshake_age_seconds",
            "gauge",
            "Age of the session.",
            |pair| pair.last_handshake.map(|age| age.as_secs_f64()),
        ),
        (
            "peerway_pair_probes_sent_total",
            "counter",
            "Probes sent.",
            |pair| Some(pair.probes_sent as f64),
        ),
        (
            "peerway_pair_probes_lost_total",
            "counter",
            "Probes without answer.",
            |pair| Some(pair.probes_lost as f64),
        ),
        (
            "peerway_pair_sent_bytes_total",
            "counter",
            "Transport bytes sent.",
            |pair| Some(pair.sent_bytes as f64),
        ),
        (
            "peerway_pair_received_bytes_total",
            "counter",
            "Transport bytes received.",
            |pair| Some(pair.received_bytes as f64),
        ),
        (
            "peerway_pair_inner_mtu_bytes",
            "gauge",
            "What crosses whole.",
            |pair| pair.inner_mtu.map(f64::from),
        ),
    ];
    for (name, kind, help, value) in families {
        let mut family = Family::begin(text, name, kind, help);
        for (gateway, pair) in &status.gateways {
            if let Some(value) = value(pair) {
                family.sample(&[("gateway", &gateway.to_string())], value);
            }
        }
    }
}

fn render_io(text: &mut String, status: &TunnelStatus) {
    let io = status.io;
    for (name, help, value) in [
        (
            "peerway_io_tun_reads_total",
            "Reads of TUN queues.",
            io.tun_reads,
        ),
        (
            "peerway_io_tun_read_segments_total",
            "Packets in them.",
            io.tun_read_segments,
        ),
        (
            "peerway_io_udp_sends_total",
            "Sends on underlay sockets.",
            io.udp_sends,
        ),
        (
            "peerway_io_udp_send_segments_total",
            "Datagrams in them.",
            io.udp_send_segments,
        ),
        (
            "peerway_io_udp_receives_total",
            "Messages received.",
            io.udp_receives,
        ),
        (
            "peerway_io_udp_receive_datagrams_total",
            "Datagrams in them.",
            io.udp_receive_datagrams,
        ),
    ] {
        Family::begin(text, name, "counter", help).sample(&[], value as f64);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::{peer_id, peering_key, slice};

    #[test]
    fn every_sample_has_its_labels_and_every_family_one_head() {
        let mut status = TunnelStatus::default();
        let pair = status.gateways.entry(peer_id()).or_default();
        pair.rtt = Some(Duration::from_micros(1500));
        pair.jitter = Duration::from_millis(2);
        pair.path_mtu = Some(1492);
        let peering = status.peerings.entry(peering_key()).or_default();
        peering.sent.count(1000);
        peering.sent_drops.insert("queue_full", 4);
        peering.queue_delay = Duration::from_millis(3);
        peering.marked = 9;
        let text = render(&Gathered {
            slice: Some(&slice(7)),
            status: &status,
            applied: &Applied::default(),
            server: &ServerStatus::default(),
        });
        let peering = peering_key().0;
        for line in [
            format!(
                "peerway_peering_bytes_total{{peering=\"{peering}\",side=\"requester\",direction=\"sent\"}} 1000"
            ),
            format!(
                "peerway_peering_dropped_packets_total{{peering=\"{peering}\",side=\"requester\",direction=\"sent\",cause=\"queue_full\"}} 4"
            ),
            format!(
                "peerway_peering_queue_delay_seconds{{peering=\"{peering}\",side=\"requester\"}} 0.003"
            ),
            format!(
                "peerway_peering_marked_packets_total{{peering=\"{peering}\",side=\"requester\"}} 9"
            ),
            format!(
                "peerway_pair_rtt_seconds{{gateway=\"{}\"}} 0.0015",
                peer_id()
            ),
            format!(
                "peerway_pair_jitter_seconds{{gateway=\"{}\"}} 0.002",
                peer_id()
            ),
            format!(
                "peerway_pair_path_mtu_bytes{{gateway=\"{}\"}} 1492",
                peer_id()
            ),
            "peerway_gateway_desired_generation 7".to_owned(),
            "peerway_gateway_server_connected 0".to_owned(),
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        let heads: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("# TYPE"))
            .collect();
        let distinct: std::collections::BTreeSet<_> = heads.iter().collect();
        assert_eq!(heads.len(), distinct.len());
    }
}
