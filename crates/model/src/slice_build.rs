//! Derives a gateway's slice from the state: a pure function of the world at one revision.

use std::collections::BTreeMap;

use crate::admission::blocks_of;
use crate::cidr::CidrBlock;
use crate::gateway::Gateway;
use crate::id::{GatewayId, Generation};
use crate::ipv6::Ipv6Slice;
use crate::overlay::Side;
use crate::peering::PeeringConnection;
use crate::slice::{GatewaySlice, PeerEnd, PeeringSlice, SubnetSlice, TunnelPeerSlice, VpcSlice};
use crate::vpc::Vpc;
use crate::world::World;

/// What a gateway has to carry at this revision of the world.
pub fn slice_of(world: &dyn World, gateway: &Gateway, generation: Generation) -> GatewaySlice {
    let mut slice = GatewaySlice {
        generation,
        gateway: gateway.id,
        region: gateway.region,
        overlay_address: gateway.overlay_address,
        tunnel_peers: BTreeMap::new(),
        vpcs: BTreeMap::new(),
        peerings: BTreeMap::new(),
        ipv6: Ipv6Slice::default(),
    };
    for vpc in world.vpcs_in(gateway.region) {
        slice.vpcs.insert(vpc.id, vpc_slice(world, vpc));
        for peering in world
            .peerings_of(vpc.id)
            .filter(|peering| peering.is_carried())
        {
            let side = peering
                .side_of(vpc.id)
                .expect("the index holds peerings of the VPC");
            let peer = peer_end(world, gateway, peering, side);
            if let PeerEnd::Gateway(id) = peer {
                add_tunnel_peer(world, &mut slice.tunnel_peers, id);
            }
            let entry = PeeringSlice {
                vni: peering.vni,
                local_vpc: vpc.id,
                peer_vpc: peering.end(side.other()).vpc,
                peer_cidr: peering.end(side.other()).cidr,
                peer_assistant_cidrs: world
                    .vpc(peering.end(side.other()).vpc)
                    .into_iter()
                    .flat_map(|vpc| vpc.assistant_cidrs.iter().copied())
                    .collect(),
                bandwidth: peering.bandwidth,
                peer,
                peer_has_route: has_route(world, peering, side.other()),
            };
            slice.peerings.insert((peering.id, side), entry);
        }
    }
    slice
}

fn vpc_slice(world: &dyn World, vpc: &Vpc) -> VpcSlice {
    let subnets = world.subnets_of(vpc.id).map(|(subnet, table)| {
        let routes = table
            .peering_routes()
            .filter(|(destination, _)| vpc.block_of(*destination).is_none())
            .collect();
        (
            subnet.id,
            SubnetSlice {
                cidr: subnet.cidr,
                routes,
            },
        )
    });
    VpcSlice {
        legacy_id: vpc.legacy_id,
        cidr: vpc.cidr,
        assistant_cidrs: vpc.assistant_cidrs.iter().copied().collect(),
        subnets: subnets.collect(),
    }
}

fn peer_end(
    world: &dyn World,
    gateway: &Gateway,
    peering: &PeeringConnection,
    side: Side,
) -> PeerEnd {
    match world.gateway_of(peering.end(side.other()).region()) {
        Some(peer) if peer.id == gateway.id => PeerEnd::Local,
        Some(peer) => PeerEnd::Gateway(peer.id),
        None => PeerEnd::Absent,
    }
}

fn add_tunnel_peer(
    world: &dyn World,
    tunnel_peers: &mut BTreeMap<GatewayId, TunnelPeerSlice>,
    id: GatewayId,
) {
    let Some(gateway) = world.gateway(id) else {
        return;
    };
    tunnel_peers.entry(id).or_insert_with(|| TunnelPeerSlice {
        region: gateway.region,
        public_key: gateway.tunnel_public_key,
        endpoint: gateway.endpoint.clone(),
        overlay_address: gateway.overlay_address,
    });
}

/// Whether a subnet on that side has a route to the peering that leads to the other VPC.
pub fn has_route(world: &dyn World, peering: &PeeringConnection, side: Side) -> bool {
    let peer_blocks = blocks_of(world, peering.end(side.other()));
    let leads_there =
        |destination: CidrBlock| peer_blocks.iter().any(|block| block.overlaps(destination));
    world.subnets_of(peering.end(side).vpc).any(|(_, table)| {
        table
            .peering_routes()
            .any(|(destination, id)| id == peering.id && leads_there(destination))
    })
}
