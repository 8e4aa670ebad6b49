//! The slice of a gateway and its changes, from and to the wire.

use std::collections::{BTreeMap, BTreeSet};

use model::ipv6::Ipv6Slice;
use model::slice::{
    GatewaySlice, PeerEnd, PeeringSlice, SliceChange, SubnetSlice, TunnelPeerSlice, VpcSlice,
};
use model::{
    Bandwidth, CidrBlock, GatewayId, Generation, PeeringConnectionId, Side, SubnetId, VpcId,
};

use super::convert::{
    FieldError, Problem, check_endpoint, convert, endpoint, parse, public_key, required,
};
use super::{ipv6, proto};

type PeeringKey = (PeeringConnectionId, Side);

/// The wire form of a whole slice. An endpoint that is not `host:port` is left out, so that one bad
/// record does not cost the receiver the rest.
pub fn encode_snapshot(slice: &GatewaySlice) -> proto::GatewaySlice {
    let peerings = slice
        .peerings
        .iter()
        .map(|(key, peering)| encode_peering(*key, peering));
    proto::GatewaySlice {
        generation: slice.generation.0,
        gateway_id: slice.gateway.to_string(),
        region: slice.region.to_string(),
        overlay_address: slice.overlay_address.to_string(),
        tunnel_peers: slice
            .tunnel_peers
            .iter()
            .map(|(id, peer)| encode_tunnel_peer(*id, peer))
            .collect(),
        vpcs: slice
            .vpcs
            .iter()
            .map(|(id, vpc)| encode_vpc(*id, vpc))
            .collect(),
        peerings: peerings.collect(),
        ipv6: ipv6::encode_present(&slice.ipv6),
    }
}

/// Checks a whole slice from the wire.
///
/// # Errors
/// [`FieldError`] for the first field that is malformed, an entry that appears twice, blocks of a VPC
/// that overlap, a subnet outside its block, and a route into its own VPC. References between entries are not checked: a
/// change alone could not be.
pub fn decode_snapshot(wire: proto::GatewaySlice) -> Result<GatewaySlice, FieldError> {
    Ok(GatewaySlice {
        generation: Generation(wire.generation),
        gateway: parse("gateway_id", &wire.gateway_id)?,
        region: parse("region", &wire.region)?,
        overlay_address: parse("overlay_address", &wire.overlay_address)?,
        tunnel_peers: decode_entries("tunnel_peers", wire.tunnel_peers, decode_tunnel_peer)?,
        vpcs: decode_entries("vpcs", wire.vpcs, decode_vpc)?,
        peerings: decode_entries("peerings", wire.peerings, decode_peering)?,
        ipv6: decode_ipv6(wire.ipv6)?.unwrap_or_default(),
    })
}

/// The wire form of a change.
pub fn encode_change(change: &SliceChange) -> proto::SliceChange {
    let (put_tunnel_peers, removed_tunnel_peers) =
        encode_split(&change.tunnel_peers, encode_tunnel_peer, |id| {
            id.to_string()
        });
    let (put_vpcs, removed_vpcs) = encode_split(&change.vpcs, encode_vpc, |id| id.to_string());
    let (put_peerings, removed_peerings) =
        encode_split(&change.peerings, encode_peering, encode_key);
    proto::SliceChange {
        from: change.from.0,
        to: change.to.0,
        put_tunnel_peers,
        removed_tunnel_peers,
        put_vpcs,
        removed_vpcs,
        put_peerings,
        removed_peerings,
        ipv6: change.ipv6.as_ref().map(ipv6::encode),
    }
}

/// Checks a change from the wire.
///
/// # Errors
/// [`FieldError`] as for [`decode_snapshot`]; also when the change does not lead to a later
/// generation.
pub fn decode_change(wire: proto::SliceChange) -> Result<SliceChange, FieldError> {
    if wire.to <= wire.from {
        let problem = Problem::Contradiction(format!(
            "generation {} does not follow generation {}",
            wire.to, wire.from
        ));
        return Err(FieldError::new("to", problem));
    }
    Ok(SliceChange {
        from: Generation(wire.from),
        to: Generation(wire.to),
        tunnel_peers: decode_split(
            ("put_tunnel_peers", wire.put_tunnel_peers),
            decode_tunnel_peer,
            ("removed_tunnel_peers", wire.removed_tunnel_peers),
            |id: String| parse("gateway_id", &id),
        )?,
        vpcs: decode_split(
            ("put_vpcs", wire.put_vpcs),
            decode_vpc,
            ("removed_vpcs", wire.removed_vpcs),
            |id: String| parse("vpc_id", &id),
        )?,
        peerings: decode_split(
            ("put_peerings", wire.put_peerings),
            decode_peering,
            ("removed_peerings", wire.removed_peerings),
            |key: proto::PeeringKey| decode_key(&key),
        )?,
        ipv6: decode_ipv6(wire.ipv6)?,
    })
}

fn decode_ipv6(wire: Option<proto::Ipv6Slice>) -> Result<Option<Ipv6Slice>, FieldError> {
    wire.map(ipv6::decode)
        .transpose()
        .map_err(|error| error.within("ipv6"))
}

fn encode_tunnel_peer(id: GatewayId, peer: &TunnelPeerSlice) -> proto::TunnelPeer {
    proto::TunnelPeer {
        gateway_id: id.to_string(),
        region: peer.region.to_string(),
        public_key: peer.public_key.0.to_vec(),
        endpoint: peer
            .endpoint
            .clone()
            .filter(|text| check_endpoint(text).is_ok()),
        overlay_address: peer.overlay_address.to_string(),
    }
}

fn decode_tunnel_peer(wire: proto::TunnelPeer) -> Result<(GatewayId, TunnelPeerSlice), FieldError> {
    let peer = TunnelPeerSlice {
        region: parse("region", &wire.region)?,
        public_key: public_key("public_key", &wire.public_key)?,
        endpoint: endpoint("endpoint", wire.endpoint)?,
        overlay_address: parse("overlay_address", &wire.overlay_address)?,
    };
    Ok((parse("gateway_id", &wire.gateway_id)?, peer))
}

fn encode_vpc(id: VpcId, vpc: &VpcSlice) -> proto::Vpc {
    let assistant = |cidr: CidrBlock| {
        let blocks = vpc.assistant_cidrs.iter();
        blocks.copied().find(|block| block.contains(cidr))
    };
    let in_block = |block: Option<CidrBlock>| {
        let subnets = vpc.subnets.iter();
        let of_block = subnets.filter(move |(_, subnet)| assistant(subnet.cidr) == block);
        of_block.map(encode_subnet).collect()
    };
    proto::Vpc {
        vpc_id: id.to_string(),
        legacy_id: vpc.legacy_id.to_string(),
        cidr: vpc.cidr.to_string(),
        subnets: in_block(None),
        assistant_cidrs: vpc
            .assistant_cidrs
            .iter()
            .map(|cidr| proto::AssistantCidr {
                cidr: cidr.to_string(),
                subnets: in_block(Some(*cidr)),
            })
            .collect(),
    }
}

fn encode_subnet((id, subnet): (&SubnetId, &SubnetSlice)) -> proto::Subnet {
    proto::Subnet {
        subnet_id: id.to_string(),
        cidr: subnet.cidr.to_string(),
        routes: subnet
            .routes
            .iter()
            .map(|(destination, peering)| proto::Route {
                destination: destination.to_string(),
                peering_id: peering.to_string(),
            })
            .collect(),
    }
}

fn decode_vpc(wire: proto::Vpc) -> Result<(VpcId, VpcSlice), FieldError> {
    let cidr: CidrBlock = parse("cidr", &wire.cidr)?;
    let mut blocks = vec![cidr];
    let mut subnets = vec![(cidr, wire.subnets)];
    for assistant in wire.assistant_cidrs {
        let block: CidrBlock =
            parse("cidr", &assistant.cidr).map_err(|error| error.within("assistant_cidrs"))?;
        if let Some(other) = blocks.iter().find(|other| other.overlaps(block)) {
            let problem = Problem::Contradiction(format!("{block} overlaps {other} of its VPC"));
            return Err(FieldError::new("cidr", problem).within("assistant_cidrs"));
        }
        blocks.push(block);
        subnets.push((block, assistant.subnets));
    }
    let subnets = subnets.into_iter().flat_map(|(block, subnets)| {
        let of_block = subnets.into_iter();
        of_block.map(move |subnet| (block, subnet))
    });
    let subnets = decode_entries("subnets", subnets.collect(), |(block, wire)| {
        let subnet = decode_subnet(&wire, block, &blocks)?;
        Ok((parse("subnet_id", &wire.subnet_id)?, subnet))
    })?;
    let vpc = VpcSlice {
        legacy_id: parse("legacy_id", &wire.legacy_id)?,
        cidr,
        assistant_cidrs: blocks.into_iter().skip(1).collect(),
        subnets,
    };
    Ok((parse("vpc_id", &wire.vpc_id)?, vpc))
}

/// A subnet in one of the blocks of its VPC.
fn decode_subnet(
    wire: &proto::Subnet,
    block: CidrBlock,
    vpc: &[CidrBlock],
) -> Result<SubnetSlice, FieldError> {
    let cidr: CidrBlock = parse("cidr", &wire.cidr)?;
    if !block.contains(cidr) {
        let problem = Problem::Contradiction(format!("{cidr} is outside its block {block}"));
        return Err(FieldError::new("cidr", problem));
    }
    let routes = decode_entries("routes", wire.routes.clone(), |wire: proto::Route| {
        let destination: CidrBlock = parse("destination", &wire.destination)?;
        if let Some(block) = vpc.iter().find(|block| block.contains(destination)) {
            let problem =
                Problem::Contradiction(format!("{destination} is inside {block} of its VPC"));
            return Err(FieldError::new("destination", problem));
        }
        Ok((destination, parse("peering_id", &wire.peering_id)?))
    })?;
    Ok(SubnetSlice { cidr, routes })
}

fn encode_peering(key: PeeringKey, peering: &PeeringSlice) -> proto::Peering {
    use proto::peering::PeerEnd as Wire;

    proto::Peering {
        key: Some(encode_key(key)),
        vni: peering.vni.get(),
        local_vpc: peering.local_vpc.to_string(),
        peer_vpc: peering.peer_vpc.to_string(),
        peer_cidr: peering.peer_cidr.to_string(),
        peer_assistant_cidrs: peering
            .peer_assistant_cidrs
            .iter()
            .map(CidrBlock::to_string)
            .collect(),
        bandwidth_mbps: peering.bandwidth.mbps(),
        peer_has_route: peering.peer_has_route,
        peer_end: Some(match peering.peer {
            PeerEnd::Local => Wire::Local(proto::Nothing {}),
            PeerEnd::Gateway(id) => Wire::GatewayId(id.to_string()),
            PeerEnd::Absent => Wire::Absent(proto::Nothing {}),
        }),
    }
}

fn decode_peering(wire: proto::Peering) -> Result<(PeeringKey, PeeringSlice), FieldError> {
    use proto::peering::PeerEnd as Wire;

    let key = decode_key(&required("key", wire.key)?).map_err(|error| error.within("key"))?;
    let peering = PeeringSlice {
        vni: convert("vni", wire.vni)?,
        local_vpc: parse("local_vpc", &wire.local_vpc)?,
        peer_vpc: parse("peer_vpc", &wire.peer_vpc)?,
        peer_cidr: parse("peer_cidr", &wire.peer_cidr)?,
        peer_assistant_cidrs: wire
            .peer_assistant_cidrs
            .iter()
            .map(|cidr| parse("peer_assistant_cidrs", cidr))
            .collect::<Result<BTreeSet<CidrBlock>, _>>()?,
        bandwidth: Bandwidth::from_mbps(wire.bandwidth_mbps),
        peer: match required("peer_end", wire.peer_end)? {
            Wire::Local(proto::Nothing {}) => PeerEnd::Local,
            Wire::GatewayId(id) => PeerEnd::Gateway(parse("gateway_id", &id)?),
            Wire::Absent(proto::Nothing {}) => PeerEnd::Absent,
        },
        peer_has_route: wire.peer_has_route,
    };
    Ok((key, peering))
}

pub(super) fn encode_key((peering, side): PeeringKey) -> proto::PeeringKey {
    proto::PeeringKey {
        peering_id: peering.to_string(),
        side: proto::Side::from(side).into(),
    }
}

pub(super) fn decode_key(wire: &proto::PeeringKey) -> Result<PeeringKey, FieldError> {
    Ok((
        parse("peering_id", &wire.peering_id)?,
        side_from("side", wire.side)?,
    ))
}

impl From<Side> for proto::Side {
    fn from(side: Side) -> Self {
        match side {
            Side::Requester => proto::Side::Requester,
            Side::Accepter => proto::Side::Accepter,
        }
    }
}

pub(super) fn side_from(field: &str, wire: i32) -> Result<Side, FieldError> {
    match proto::Side::try_from(wire) {
        Ok(proto::Side::Requester) => Ok(Side::Requester),
        Ok(proto::Side::Accepter) => Ok(Side::Accepter),
        Ok(proto::Side::Unspecified) | Err(_) => Err(FieldError::new(
            field,
            Problem::Malformed(format!("{wire} is not a side")),
        )),
    }
}

pub(super) fn decode_entries<W, K, V>(
    field: &str,
    wire: Vec<W>,
    decode: impl Fn(W) -> Result<(K, V), FieldError>,
) -> Result<BTreeMap<K, V>, FieldError>
where
    K: Ord + Copy + std::fmt::Debug,
{
    let mut entries = BTreeMap::new();
    for entry in wire {
        let (key, value) = decode(entry).map_err(|error| error.within(field))?;
        if entries.insert(key, value).is_some() {
            let problem = Problem::Duplicate(format!("{key:?}"));
            return Err(FieldError::new(field, problem));
        }
    }
    Ok(entries)
}

fn encode_split<K: Copy, V, P, R>(
    entries: &BTreeMap<K, Option<V>>,
    put: impl Fn(K, &V) -> P,
    removed: impl Fn(K) -> R,
) -> (Vec<P>, Vec<R>) {
    let mut split = (Vec::new(), Vec::new());
    for (key, value) in entries {
        match value {
            Some(value) => split.0.push(put(*key, value)),
            None => split.1.push(removed(*key)),
        }
    }
    split
}

fn decode_split<P, R, K, V>(
    put: (&str, Vec<P>),
    decode_put: impl Fn(P) -> Result<(K, V), FieldError>,
    removed: (&str, Vec<R>),
    decode_removed: impl Fn(R) -> Result<K, FieldError>,
) -> Result<BTreeMap<K, Option<V>>, FieldError>
where
    K: Ord + Copy + std::fmt::Debug,
{
    let put = decode_entries(put.0, put.1, |entry| {
        decode_put(entry).map(|(key, value)| (key, Some(value)))
    })?;
    let mut entries = put;
    for entry in removed.1 {
        let key = decode_removed(entry).map_err(|error| error.within(removed.0))?;
        if entries.insert(key, None).is_some() {
            let problem = Problem::Duplicate(format!("{key:?}"));
            return Err(FieldError::new(removed.0, problem));
        }
    }
    Ok(entries)
}
