//! The status as text for a terminal.

use std::fmt::Write as _;

use crate::status::{Connection, GatewayStatus, PairView, PeeringView, ServerStatus};

/// The status of a gateway as lines of text.
pub fn status_text(status: &GatewayStatus) -> String {
    let mut text = String::new();
    let name = status
        .gateway
        .as_deref()
        .unwrap_or("a gateway that has not joined");
    let region = status
        .region
        .as_ref()
        .map_or_else(String::new, |region| format!(" of {region}"));
    let _ = writeln!(text, "{name}{region}, version {}", status.software_version);
    let _ = writeln!(text, "server      {}", server(&status.server));
    let listen: Vec<String> = status.listen.iter().map(ToString::to_string).collect();
    let advertise = status
        .advertise
        .as_deref()
        .unwrap_or("nothing (behind a NAT)");
    let _ = writeln!(
        text,
        "underlay    listens on {}; advertises {advertise}",
        listen.join(", ")
    );
    let _ = writeln!(text, "tunnel key  {}", status.tunnel_public_key);
    let _ = writeln!(text, "instance    {}", status.instance);
    let _ = writeln!(text, "generation  {}", generation(status));
    for error in &status.errors {
        let _ = writeln!(text, "error       {}: {}", error.subject, error.message);
    }
    for (id, view) in &status.pairs {
        pair(&mut text, id, view);
    }
    for view in &status.peerings {
        peering(&mut text, view);
    }
    for (name, view) in &status.attachments {
        let address = view
            .address
            .map_or_else(String::new, |address| format!(" as {address}"));
        let _ = writeln!(
            text,
            "\nattachment {name}: {} of {}{address}",
            view.subnet, view.vpc
        );
        if let Some(error) = &view.error {
            let _ = writeln!(text, "  not in force: {error}");
        }
    }
    if !status.drops.is_empty() {
        let _ = writeln!(
            text,
            "\ndropped outside any peering: {}",
            drops(&status.drops)
        );
    }
    text
}

fn server(server: &ServerStatus) -> String {
    let address = server.address.as_deref().unwrap_or("unknown");
    let mut text = match server.connection {
        Connection::Connected => format!("{address}, connected"),
        Connection::Connecting => format!("{address}, not connected; forwarding goes on"),
        Connection::Refused => format!("{address}, refuses this gateway; forwarding goes on"),
    };
    if let Some(error) = &server.error {
        let _ = write!(text, " ({error})");
    }
    if server.is_clock_skewed() {
        let skew_millis = server.clock_skew_millis.unwrap_or(0);
        let direction = if skew_millis < 0 {
            "behind"
        } else {
            "ahead of"
        };
        let skew_secs = skew_millis.unsigned_abs() / 1000;
        let _ = write!(
            text,
            "; WARNING: its clock is {skew_secs} s {direction} this host's"
        );
    }
    text
}

fn generation(status: &GatewayStatus) -> String {
    match (status.generation, status.desired_generation) {
        (Some(running), Some(desired)) if running == desired => format!("{running}, in force"),
        (Some(running), Some(desired)) => format!("{running} in force, {desired} desired"),
        (None, Some(desired)) => format!("{desired} desired, none in force"),
        (_, None) => "none yet".to_owned(),
    }
}

fn pair(text: &mut String, id: &str, pair: &PairView) {
    let region = pair
        .region
        .as_ref()
        .map_or_else(String::new, |region| format!(" of {region}"));
    let endpoint = pair
        .endpoint
        .map_or_else(|| "an unknown address".to_owned(), |at| at.to_string());
    let _ = writeln!(text, "\ngateway {id}{region} at {endpoint}");
    let handshake = pair
        .handshake_age_millis
        .map_or_else(|| "never".to_owned(), |age| format!("{} s ago", age / 1000));
    let rtt = pair.rtt_micros.map_or_else(
        || "unknown".to_owned(),
        |rtt| format!("{:.3} ms", rtt as f64 / 1e3),
    );
    let mtu = pair
        .inner_mtu_bytes
        .map_or_else(|| "unknown".to_owned(), |mtu| format!("{mtu} bytes"));
    let _ = writeln!(
        text,
        "  handshake {handshake}, RTT {rtt}, {} of {} probes lost, inner MTU {mtu}",
        pair.probes_lost, pair.probes_sent
    );
    if pair.inner_mtu_bytes.is_some_and(|mtu| mtu < 1280) {
        let _ = writeln!(text, "  the underlay's MTU is too small for IPv6");
    }
}

/// The blocks of a VPC, the one that it was made with first.
fn blocks(cidr: &str, assistant: &[String]) -> String {
    let assistant = assistant.iter().map(String::as_str);
    std::iter::once(cidr)
        .chain(assistant)
        .collect::<Vec<_>>()
        .join(" and ")
}

fn peering(text: &mut String, view: &PeeringView) {
    let cap = match view.bandwidth_mbps {
        0 => "no cap".to_owned(),
        mbps => format!("cap {mbps} Mbps"),
    };
    let local = view
        .local_vpc_legacy_id
        .as_deref()
        .unwrap_or(&view.local_vpc);
    let cidr = view.local_cidr.as_deref().unwrap_or("?");
    let _ = writeln!(
        text,
        "\npeering {} ({}): {local} {} to {} {}, {cap}",
        view.peering,
        view.side,
        blocks(cidr, &view.local_assistant_cidrs),
        view.peer_vpc,
        blocks(&view.peer_cidr, &view.peer_assistant_cidrs)
    );
    let _ = writeln!(
        text,
        "  VNI {}, MAC {} here, {} there{}",
        view.vni,
        view.local_mac,
        view.peer_mac,
        view.inner_mtu_bytes
            .map_or_else(String::new, |mtu| format!(", inner MTU {mtu}"))
    );
    for (direction, traffic, dropped) in [
        ("sent", view.sent, &view.sent_drops),
        ("received", view.received, &view.received_drops),
    ] {
        let dropped = if dropped.is_empty() {
            "none".to_owned()
        } else {
            drops(dropped)
        };
        let _ = writeln!(
            text,
            "  {direction} {} packets, {} bytes; dropped: {dropped}",
            traffic.packets, traffic.bytes
        );
    }
    for finding in &view.findings {
        let weight = if finding.blocks() {
            "nothing passes"
        } else {
            "note"
        };
        let _ = writeln!(text, "  {weight}: {finding}");
    }
}

fn drops(drops: &std::collections::BTreeMap<String, u64>) -> String {
    let each: Vec<String> = drops
        .iter()
        .map(|(cause, packets)| format!("{packets} {cause}"))
        .collect();
    each.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::Finding;

    #[test]
    fn what_keeps_packets_from_passing_is_in_the_text() {
        let mut status = GatewayStatus {
            gateway: Some("gw-1".into()),
            ..GatewayStatus::default()
        };
        status.server.clock_skew_millis = Some(45_000);
        status.peerings.push(PeeringView {
            peering: "pcx-1".into(),
            side: "requester".into(),
            vni: 4096,
            local_vpc: "vpc-1".into(),
            local_vpc_legacy_id: None,
            local_cidr: None,
            local_assistant_cidrs: Vec::new(),
            peer_vpc: "vpc-2".into(),
            peer_cidr: "10.2.0.0/16".into(),
            peer_assistant_cidrs: vec!["10.8.0.0/16".into()],
            peer_gateway: None,
            bandwidth_mbps: 20,
            local_mac: String::new(),
            peer_mac: String::new(),
            inner_mtu_bytes: None,
            sent: Default::default(),
            received: Default::default(),
            sent_drops: [("no_route".to_owned(), 3)].into(),
            received_drops: Default::default(),
            probe_age_millis: None,
            rtt_micros: None,
            queue_bytes: 0,
            queue_delay_micros: 0,
            marked_packets: 0,
            findings: vec![Finding::PeerWithoutGateway],
        });
        let text = status_text(&status);
        for part in [
            "nothing passes: the other region has no gateway",
            "3 no_route",
            "45 s ahead",
            "cap 20 Mbps",
            "to vpc-2 10.2.0.0/16 and 10.8.0.0/16,",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }
}
