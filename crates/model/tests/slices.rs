//! What a gateway is told to carry.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use model::slice::{GatewaySlice, PeerEnd};
use model::testing::{self, MemoryWorld};
use model::{
    Gateway, GatewayId, Generation, LegacyRouteTableId, LegacySubnetId, Name, NextHop,
    PeeringConnection, PeeringState, PublicKey, Region, Route, RouteItemId, RouteTable,
    RouteTableId, RouteTableKind, Side, Subnet, SubnetId, UnixMillis, Vpc, Zone, has_route,
    slice_of,
};
use proptest::prelude::*;

const GZ: Region = Region::Guangzhou;
const SH: Region = Region::Shanghai;
const BJ: Region = Region::Beijing;
const NOW: UnixMillis = UnixMillis(0);

#[derive(Default)]
struct Builder(MemoryWorld);

impl Builder {
    fn gateway(&mut self, number: u8, region: Region) -> Gateway {
        let gateway = Gateway {
            id: GatewayId::from_entropy(number.into()),
            region,
            identity: [number; 32],
            tunnel_public_key: PublicKey([number; 32]),
            endpoint: Some(format!("192.0.2.{number}:51820")),
            overlay_address: Ipv4Addr::new(100, 64, 0, number),
            joined_at: NOW,
        };
        self.0.gateways.insert(gateway.id, gateway.clone());
        gateway
    }

    fn vpc(&mut self, number: u32, region: Region, owner: u64) -> Vpc {
        let vpc = testing::vpc(number, region, owner, &format!("10.{number}.0.0/16"));
        self.0.vpcs.insert(vpc.id, vpc.clone());
        vpc
    }

    /// A subnet with a route table of its own.
    fn subnet(
        &mut self,
        number: u32,
        vpc: &Vpc,
        routes: &[(&str, &PeeringConnection)],
    ) -> SubnetId {
        let region = vpc.region();
        let table = RouteTable {
            id: RouteTableId::from_entropy(number.into()),
            legacy_id: LegacyRouteTableId { region, number },
            vpc: vpc.id,
            name: Name::new("test").unwrap(),
            kind: RouteTableKind::Ordinary,
            routes: routes
                .iter()
                .map(|(destination, peering)| Route {
                    id: RouteItemId::from_entropy(u64::from(peering.vni.get())),
                    is_enabled: true,
                    destination: destination.parse().unwrap(),
                    next_hop: NextHop::Peering(peering.id),
                    description: None,
                })
                .collect(),
            tags: model::Tags::default(),
            created_at: NOW,
        };
        let subnet = Subnet {
            id: SubnetId::from_entropy(number.into()),
            legacy_id: LegacySubnetId { region, number },
            vpc: vpc.id,
            name: Name::new("test").unwrap(),
            cidr: vpc.cidr,
            zone: Zone(100_001),
            route_table: table.id,
            tags: model::Tags::default(),
            created_at: NOW,
        };
        let id = subnet.id;
        self.0.subnets.push((subnet, table));
        id
    }

    fn peering(&mut self, number: u64, from: &Vpc, to: &Vpc) -> PeeringConnection {
        self.peering_in(number, from, to, PeeringState::Active { since: NOW })
    }

    fn peering_in(
        &mut self,
        number: u64,
        from: &Vpc,
        to: &Vpc,
        state: PeeringState,
    ) -> PeeringConnection {
        let peering = PeeringConnection {
            state,
            ..testing::peering(number, from, to, NOW)
        };
        self.0.peerings.insert(peering.id, peering.clone());
        peering
    }

    fn slice(&self, gateway: &Gateway) -> GatewaySlice {
        slice_of(&self.0, gateway, Generation(1))
    }
}

#[test]
fn a_gateway_gets_the_vpcs_of_its_region_and_no_others() {
    let mut world = Builder::default();
    let gateway = world.gateway(1, GZ);
    let (gz, sh) = (world.vpc(1, GZ, 1), world.vpc(2, SH, 1));
    let subnet = world.subnet(1, &gz, &[]);
    world.subnet(2, &sh, &[]);
    let slice = world.slice(&gateway);
    assert_eq!(slice.vpcs.keys().copied().collect::<Vec<_>>(), [gz.id]);
    let vpc = &slice.vpcs[&gz.id];
    assert_eq!((vpc.legacy_id, vpc.cidr), (gz.legacy_id, gz.cidr));
    assert_eq!(vpc.subnets.keys().copied().collect::<Vec<_>>(), [subnet]);
    assert_eq!((slice.region, slice.gateway), (GZ, gateway.id));
    assert_eq!(slice.overlay_address, gateway.overlay_address);
    assert!(slice.peerings.is_empty() && slice.tunnel_peers.is_empty());
}

#[test]
fn an_active_peering_is_told_to_both_ends_with_their_tunnel_peer() {
    let mut world = Builder::default();
    let (in_gz, in_sh) = (world.gateway(1, GZ), world.gateway(2, SH));
    world.gateway(3, BJ);
    let (gz, sh) = (world.vpc(1, GZ, 1), world.vpc(2, SH, 2));
    let peering = world.peering(1, &gz, &sh);
    for (gateway, other, side, own, peer) in [
        (&in_gz, &in_sh, Side::Requester, &gz, &sh),
        (&in_sh, &in_gz, Side::Accepter, &sh, &gz),
    ] {
        let slice = world.slice(gateway);
        let keys: Vec<_> = slice.peerings.keys().copied().collect();
        assert_eq!(keys, [(peering.id, side)]);
        let entry = &slice.peerings[&(peering.id, side)];
        assert_eq!((entry.local_vpc, entry.peer_vpc), (own.id, peer.id));
        assert_eq!((entry.peer_cidr, entry.vni), (peer.cidr, peering.vni));
        assert_eq!(entry.bandwidth, peering.bandwidth);
        assert_eq!(entry.peer, PeerEnd::Gateway(other.id));
        let peers: Vec<_> = slice.tunnel_peers.keys().copied().collect();
        assert_eq!(peers, [other.id]);
        let tunnel = &slice.tunnel_peers[&other.id];
        assert_eq!(tunnel.public_key, other.tunnel_public_key);
        assert_eq!(tunnel.endpoint, other.endpoint);
        assert_eq!(tunnel.overlay_address, other.overlay_address);
    }
}

#[test]
fn a_peering_inside_one_region_has_both_sides_and_no_tunnel() {
    let mut world = Builder::default();
    let gateway = world.gateway(1, GZ);
    let (one, other) = (world.vpc(1, GZ, 1), world.vpc(2, GZ, 1));
    let peering = world.peering(1, &one, &other);
    let slice = world.slice(&gateway);
    let sides: Vec<_> = slice.peerings.keys().copied().collect();
    assert_eq!(
        sides,
        [(peering.id, Side::Requester), (peering.id, Side::Accepter)]
    );
    assert!(
        slice
            .peerings
            .values()
            .all(|entry| entry.peer == PeerEnd::Local)
    );
    assert!(slice.tunnel_peers.is_empty());
}

#[test]
fn a_peer_region_without_gateway_is_absent() {
    let mut world = Builder::default();
    let gateway = world.gateway(1, GZ);
    let (gz, sh) = (world.vpc(1, GZ, 1), world.vpc(2, SH, 1));
    let peering = world.peering(1, &gz, &sh);
    let slice = world.slice(&gateway);
    let entry = &slice.peerings[&(peering.id, Side::Requester)];
    assert_eq!(entry.peer, PeerEnd::Absent);
    assert!(slice.tunnel_peers.is_empty());
}

#[test]
fn only_active_peerings_are_carried() {
    let since = NOW;
    for state in [
        PeeringState::Pending { expires_at: NOW },
        PeeringState::Expired { since },
        PeeringState::Rejected { since },
        PeeringState::Failed {
            since,
            reason: String::new(),
        },
        PeeringState::Isolated { since },
        PeeringState::Deleted {
            by: Side::Requester,
            since,
        },
    ] {
        let mut world = Builder::default();
        let gateway = world.gateway(1, GZ);
        world.gateway(2, SH);
        let (gz, sh) = (world.vpc(1, GZ, 1), world.vpc(2, SH, 2));
        let name = state.name();
        world.peering_in(1, &gz, &sh, state);
        let slice = world.slice(&gateway);
        assert!(slice.peerings.is_empty(), "{name}");
        assert!(slice.tunnel_peers.is_empty(), "{name}");
    }
}

#[test]
fn each_subnet_has_the_routes_of_its_own_table() {
    let mut world = Builder::default();
    let gateway = world.gateway(1, GZ);
    let (gz, sh) = (world.vpc(1, GZ, 1), world.vpc(2, SH, 1));
    let peering = world.peering(1, &gz, &sh);
    let routed = world.subnet(
        1,
        &gz,
        &[("10.2.0.0/16", &peering), ("10.1.4.0/24", &peering)],
    );
    let bare = world.subnet(2, &gz, &[]);
    let slice = world.slice(&gateway);
    let subnets = &slice.vpcs[&gz.id].subnets;
    // A destination inside the VPC would be a loop and is left out.
    let routes: Vec<_> = subnets[&routed].routes.clone().into_iter().collect();
    assert_eq!(routes, [(sh.cidr, peering.id)]);
    assert!(subnets[&bare].routes.is_empty());
}

#[test]
fn a_side_has_a_route_when_one_overlaps_the_peers_block() {
    for (destination, expected) in [
        ("10.2.0.0/16", true),
        ("10.2.7.0/24", true),
        ("10.0.0.0/8", true),
        ("10.3.0.0/16", false),
    ] {
        let mut world = Builder::default();
        let gateway = world.gateway(2, SH);
        let (gz, sh) = (world.vpc(1, GZ, 1), world.vpc(2, SH, 1));
        let peering = world.peering(1, &gz, &sh);
        world.subnet(1, &gz, &[(destination, &peering)]);
        world.subnet(2, &sh, &[]);
        assert_eq!(has_route(&world.0, &peering, Side::Requester), expected);
        assert!(!has_route(&world.0, &peering, Side::Accepter));
        let slice = world.slice(&gateway);
        let entry = &slice.peerings[&(peering.id, Side::Accepter)];
        assert_eq!(entry.peer_has_route, expected, "{destination}");
    }
}

#[test]
fn assistant_blocks_are_a_part_of_both_vpcs() {
    let mut world = Builder::default();
    let gateway = world.gateway(1, GZ);
    let (gz, sh) = (world.vpc(1, GZ, 1), world.vpc(2, SH, 1));
    let peering = world.peering(1, &gz, &sh);
    for (vpc, block) in [(&gz, "172.16.0.0/16"), (&sh, "172.17.0.0/16")] {
        let vpc = world.0.vpcs.get_mut(&vpc.id).unwrap();
        vpc.assistant_cidrs.push(block.parse().unwrap());
    }
    let routes = [("172.16.9.0/24", &peering), ("172.17.4.0/24", &peering)];
    let subnet = world.subnet(1, &gz, &routes);
    let slice = world.slice(&gateway);
    let vpc = &slice.vpcs[&gz.id];
    let all: Vec<_> = vpc.blocks().map(|block| block.to_string()).collect();
    assert_eq!(all, ["10.1.0.0/16", "172.16.0.0/16"]);
    // The route into the VPC's own block is left out.
    let kept: Vec<_> = vpc.subnets[&subnet].routes.keys().collect();
    assert_eq!(kept, [&"172.17.4.0/24".parse().unwrap()]);
    let entry = &slice.peerings[&(peering.id, Side::Requester)];
    let all: Vec<_> = entry.peer_blocks().map(|block| block.to_string()).collect();
    assert_eq!(all, ["10.2.0.0/16", "172.17.0.0/16"]);
    // A route to the assistant block is a route to the peer.
    assert!(has_route(&world.0, &peering, Side::Requester));
}

#[test]
fn a_route_to_another_peering_of_the_vpc_does_not_count() {
    let mut world = Builder::default();
    let (gz, sh, bj) = (
        world.vpc(1, GZ, 1),
        world.vpc(2, SH, 1),
        world.vpc(3, BJ, 1),
    );
    let (to_sh, to_bj) = (world.peering(1, &gz, &sh), world.peering(2, &gz, &bj));
    world.subnet(1, &gz, &[("10.2.0.0/16", &to_bj)]);
    assert!(!has_route(&world.0, &to_sh, Side::Requester));
}

/// A world that random numbers describe: which peerings and routes there are.
fn random_world(peerings: &BTreeSet<(u32, u32)>, routes: &BTreeSet<(u32, u32)>) -> Builder {
    let mut world = Builder::default();
    world.gateway(1, GZ);
    world.gateway(2, SH);
    let vpcs: Vec<Vpc> = (0..6)
        .map(|number| world.vpc(number, [GZ, SH, BJ][number as usize % 3], 1))
        .collect();
    let mut made = Vec::new();
    for (from, to) in peerings.iter().filter(|(from, to)| from < to) {
        let number = u64::from(from * 6 + to);
        made.push(world.peering(number, &vpcs[*from as usize], &vpcs[*to as usize]));
    }
    for (number, vpc) in (0..).zip(&vpcs) {
        let wanted = routes.iter().filter(|(vpc, _)| *vpc == number);
        let own: Vec<_> = wanted
            .filter_map(|(_, index)| made.get(*index as usize).map(|made| (*index, made)))
            .filter(|(_, peering)| peering.side_of(vpc.id).is_some())
            .map(|(index, peering)| (format!("10.{}.0.0/16", 100 + index), peering))
            .collect();
        let own: Vec<_> = own
            .iter()
            .map(|(to, peering)| (to.as_str(), *peering))
            .collect();
        world.subnet(number, vpc, &own);
    }
    world
}

proptest! {
    #[test]
    fn a_change_leads_from_any_slice_to_any_other(
        peerings in prop::collection::btree_set((0..6u32, 0..6u32), 0..12),
        more_peerings in prop::collection::btree_set((0..6u32, 0..6u32), 0..12),
        routes in prop::collection::btree_set((0..6u32, 0..12u32), 0..20),
        more_routes in prop::collection::btree_set((0..6u32, 0..12u32), 0..20),
    ) {
        let (before, after) = (
            random_world(&peerings, &routes),
            random_world(&more_peerings, &more_routes),
        );
        let gateway = before.0.gateways.values().find(|gateway| gateway.region == GZ).unwrap();
        let from = slice_of(&before.0, gateway, Generation(7));
        let to = slice_of(&after.0, gateway, Generation(8));
        let change = from.change_to(&to);

        let mut reached = from.clone();
        reached.apply(change.clone()).unwrap();
        prop_assert_eq!(&reached, &to);
        let again = reached.apply(change);
        prop_assert!(again.is_err());
        prop_assert_eq!(&reached, &to);

        let nothing = to.change_to(&to);
        prop_assert!(nothing.vpcs.is_empty() && nothing.peerings.is_empty());
        let change = from.change_to(&to);
        let is_same = change.vpcs.is_empty()
            && change.peerings.is_empty()
            && change.tunnel_peers.is_empty();
        prop_assert_eq!(from.same_content(&to), is_same);
    }

    /// Both ends of every peering are told the same, each from its side.
    #[test]
    fn the_two_gateways_of_a_peering_agree(
        peerings in prop::collection::btree_set((0..6u32, 0..6u32), 0..12),
        routes in prop::collection::btree_set((0..6u32, 0..12u32), 0..20),
    ) {
        let world = random_world(&peerings, &routes);
        let slices: Vec<_> = world.0.gateways.values().map(|gateway| world.slice(gateway)).collect();
        for slice in &slices {
            let used: BTreeSet<_> = slice.peerings.values().filter_map(|entry| match entry.peer {
                PeerEnd::Gateway(id) => Some(id),
                PeerEnd::Local | PeerEnd::Absent => None,
            }).collect();
            prop_assert_eq!(used, slice.tunnel_peers.keys().copied().collect());
            for ((id, side), entry) in &slice.peerings {
                let PeerEnd::Gateway(peer) = entry.peer else { continue };
                let other = slices.iter().find(|other| other.gateway == peer).unwrap();
                let mirrored = &other.peerings[&(*id, side.other())];
                prop_assert_eq!(mirrored.peer, PeerEnd::Gateway(slice.gateway));
                prop_assert_eq!(mirrored.vni, entry.vni);
                prop_assert_eq!((mirrored.local_vpc, mirrored.peer_vpc), (entry.peer_vpc, entry.local_vpc));
            }
        }
    }
}
