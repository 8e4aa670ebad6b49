//! A gateway's desired slice as JSON, for people.

use std::collections::BTreeSet;

use model::CidrBlock;
use model::slice::{GatewaySlice, PeerEnd, PeeringSlice, SubnetSlice, VpcSlice};
use serde_json::{Map, Value, json};

/// The whole slice, keyed by ids.
pub(super) fn dump(slice: &GatewaySlice) -> Value {
    let tunnel_peers = slice.tunnel_peers.iter().map(|(id, peer)| {
        let peer = json!({
            "region": peer.region.to_string(),
            "public_key": peer.public_key.to_string(),
            "endpoint": peer.endpoint,
            "overlay_address": peer.overlay_address.to_string(),
        });
        (id.to_string(), peer)
    });
    let vpcs = slice
        .vpcs
        .iter()
        .map(|(id, vpc)| (id.to_string(), dump_vpc(vpc)));
    let peerings = slice
        .peerings
        .iter()
        .map(|((id, side), peering)| (format!("{id}/{side}"), dump_peering(peering)));
    json!({
        "generation": slice.generation.0,
        "gateway": slice.gateway.to_string(),
        "region": slice.region.to_string(),
        "overlay_address": slice.overlay_address.to_string(),
        "tunnel_peers": tunnel_peers.collect::<Map<_, _>>(),
        "vpcs": vpcs.collect::<Map<_, _>>(),
        "peerings": peerings.collect::<Map<_, _>>(),
    })
}

fn dump_vpc(vpc: &VpcSlice) -> Value {
    let subnets = vpc
        .subnets
        .iter()
        .map(|(id, subnet)| (id.to_string(), dump_subnet(subnet)));
    json!({
        "legacy_id": vpc.legacy_id.to_string(),
        "cidr": vpc.cidr.to_string(),
        "assistant_cidrs": texts(&vpc.assistant_cidrs),
        "subnets": subnets.collect::<Map<_, _>>(),
    })
}

fn texts(blocks: &BTreeSet<CidrBlock>) -> Vec<String> {
    blocks.iter().map(CidrBlock::to_string).collect()
}

fn dump_subnet(subnet: &SubnetSlice) -> Value {
    let routes = subnet
        .routes
        .iter()
        .map(|(destination, peering)| (destination.to_string(), peering.to_string().into()));
    json!({
        "cidr": subnet.cidr.to_string(),
        "routes": routes.collect::<Map<_, Value>>(),
    })
}

fn dump_peering(peering: &PeeringSlice) -> Value {
    let peer = match peering.peer {
        PeerEnd::Local => "local".to_owned(),
        PeerEnd::Gateway(id) => id.to_string(),
        PeerEnd::Absent => "absent".to_owned(),
    };
    json!({
        "vni": peering.vni.get(),
        "local_vpc": peering.local_vpc.to_string(),
        "peer_vpc": peering.peer_vpc.to_string(),
        "peer_cidr": peering.peer_cidr.to_string(),
        "peer_assistant_cidrs": texts(&peering.peer_assistant_cidrs),
        "bandwidth_mbps": peering.bandwidth.mbps(),
        "peer": peer,
        "peer_has_route": peering.peer_has_route,
    })
}
