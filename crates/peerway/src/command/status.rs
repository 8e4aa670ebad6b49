//! The status of a gateway as text for people.

use std::fmt::Write;

use gateway::status::{Connection, GatewayStatus, PairView, PeeringView};

/// Describes a gateway, its pairs and its peerings, with why nothing passes where nothing does.
pub fn describe(status: &GatewayStatus) -> String {
    let mut text = String::new();
    write_status(&mut text, status).expect("writing to a string cannot fail");
    text
}

fn or_none(value: Option<&str>) -> &str {
    value.unwrap_or("none")
}

fn write_status(text: &mut String, status: &GatewayStatus) -> std::fmt::Result {
    writeln!(
        text,
        "gateway {} of region {}, instance {}, version {}",
        status.gateway.as_deref().unwrap_or("(not joined)"),
        or_none(status.region.as_deref()),
        status.instance,
        status.software_version
    )?;
    write_server(text, status)?;
    let listen: Vec<String> = status.listen.iter().map(ToString::to_string).collect();
    writeln!(
        text,
        "tunnel    listens on {}, advertised as {}",
        listen.join(", "),
        status
            .advertise
            .as_deref()
            .unwrap_or("nothing (behind a NAT)")
    )?;
    for error in &status.errors {
        writeln!(text, "ERROR     {}: {}", error.subject, error.message)?;
    }
    for (id, pair) in &status.pairs {
        write_pair(text, id, pair)?;
    }
    for peering in &status.peerings {
        write_peering(text, peering)?;
    }
    for (name, attachment) in &status.attachments {
        let address = attachment
            .address
            .map_or_else(String::new, |address| format!(", {address}"));
        writeln!(
            text,
            "attachment {name}: {} of {}{address}",
            attachment.subnet, attachment.vpc
        )?;
        if let Some(error) = &attachment.error {
            writeln!(text, "  not in force: {error}")?;
        }
    }
    if !status.drops.is_empty() {
        writeln!(text, "dropped, of no peering: {}", causes(&status.drops))?;
    }
    Ok(())
}

fn write_server(text: &mut String, status: &GatewayStatus) -> std::fmt::Result {
    let server = &status.server;
    let connection = match server.connection {
        Connection::Connecting => "not connected, trying",
        Connection::Connected => "connected",
        Connection::Refused => "refused by the server",
    };
    write!(
        text,
        "server    {}: {connection}",
        or_none(server.address.as_deref())
    )?;
    if let Some(error) = &server.error {
        write!(text, " ({error})")?;
    }
    writeln!(
        text,
        ", generation {} of {}",
        status.generation.unwrap_or(0),
        status.desired_generation.unwrap_or(0)
    )?;
    if server.is_clock_skewed() {
        writeln!(
            text,
            "WARNING   the clocks of server and gateway differ by {:.1} s; set up time \
             synchronisation on both",
            server.clock_skew_millis.unwrap_or(0) as f64 / 1e3
        )?;
    }
    Ok(())
}

fn write_pair(text: &mut String, id: &str, pair: &PairView) -> std::fmt::Result {
    let endpoint = pair.endpoint.map(|endpoint| endpoint.to_string());
    write!(
        text,
        "pair      {id} of {} at {}: ",
        or_none(pair.region.as_deref()),
        endpoint
            .as_deref()
            .or(pair.advertised.as_deref())
            .unwrap_or("an unknown address")
    )?;
    match pair.handshake_age_millis {
        Some(age) => write!(text, "session {} s old", age / 1000)?,
        None => write!(text, "no session")?,
    }
    if let Some(rtt) = pair.rtt_micros {
        write!(text, ", RTT {:.3} ms", rtt as f64 / 1e3)?;
    }
    if let Some(mtu) = pair.inner_mtu_bytes {
        write!(text, ", inner MTU {mtu}")?;
    }
    writeln!(
        text,
        ", {} of {} probes lost",
        pair.probes_lost, pair.probes_sent
    )
}

fn write_peering(text: &mut String, peering: &PeeringView) -> std::fmt::Result {
    let cap = match peering.bandwidth_mbps {
        0 => "no cap".to_owned(),
        mbps => format!("cap {mbps} Mbps"),
    };
    writeln!(
        text,
        "peering   {} ({}), VNI {}, {cap}",
        peering.peering, peering.side, peering.vni
    )?;
    writeln!(
        text,
        "  {} {} ({}) to {} ({}) at {}",
        peering.local_vpc,
        peering.local_vpc_legacy_id.as_deref().unwrap_or(""),
        or_none(peering.local_cidr.as_deref()),
        peering.peer_vpc,
        peering.peer_cidr,
        peering.peer_gateway.as_deref().unwrap_or("no gateway")
    )?;
    writeln!(
        text,
        "  MAC addresses: own {}, peer {}",
        peering.local_mac, peering.peer_mac
    )?;
    for (what, traffic, drops) in [
        ("sent", peering.sent, &peering.sent_drops),
        ("received", peering.received, &peering.received_drops),
    ] {
        write!(
            text,
            "  {what} {} packets, {} bytes",
            traffic.packets, traffic.bytes
        )?;
        if !drops.is_empty() {
            write!(text, "; dropped: {}", causes(drops))?;
        }
        writeln!(text)?;
    }
    for finding in &peering.findings {
        let mark = if finding.blocks() {
            "nothing passes"
        } else {
            "note"
        };
        writeln!(text, "  {mark}: {finding}")?;
    }
    Ok(())
}

fn causes(drops: &std::collections::BTreeMap<String, u64>) -> String {
    let causes: Vec<String> = drops
        .iter()
        .filter(|(_, packets)| **packets > 0)
        .map(|(cause, packets)| format!("{cause} {packets}"))
        .collect();
    if causes.is_empty() {
        "none".to_owned()
    } else {
        causes.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_that_has_not_joined_says_so() {
        let text = describe(&GatewayStatus::default());
        assert!(
            text.starts_with("gateway (not joined) of region none"),
            "{text}"
        );
        assert!(text.contains("not connected, trying"), "{text}");
    }

    #[test]
    fn skewed_clocks_are_warned_about() {
        let mut status = GatewayStatus::default();
        status.server.clock_skew_millis = Some(-31_000);
        assert!(
            describe(&status).contains("WARNING   the clocks"),
            "{}",
            describe(&status)
        );
        status.server.clock_skew_millis = Some(29_000);
        assert!(!describe(&status).contains("WARNING"));
    }
}
