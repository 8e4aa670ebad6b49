//! For random worlds: the engine lets a packet through exactly when the rules of the domain, told
//! here once more and without any index, say so.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::slice::{GatewaySlice, PeerEnd, PeeringSlice, SubnetSlice, VpcSlice};
use model::{
    Bandwidth, CidrBlock, GatewayId, Generation, LegacyVpcId, PeeringConnectionId, Region, Side,
    SubnetId, Vni, VpcId,
};
use proptest::prelude::*;

use crate::engine::{Engine, EngineDesired};
use crate::outbox::Outbox;
use crate::testing::{engine_options, udp_packet};

const BLOCKS: [&str; 4] = ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16", "10.1.0.0/16"];

/// A VPC of a random world: its block, subnets as third octets with prefix lengths, and routes.
#[derive(Debug, Clone)]
struct World {
    vpcs: Vec<Vec<Subnet>>,
    // Which two VPCs, and whether the peering is in the slice.
    peerings: Vec<(usize, usize, bool)>,
}

#[derive(Debug, Clone)]
struct Subnet {
    octet: u8,
    // Destination (VPC's block, third octet, prefix length) and position of the peering.
    routes: Vec<(usize, u8, u8, usize)>,
}

fn world() -> impl Strategy<Value = World> {
    let route = (
        0..4usize,
        0u8..4,
        prop_oneof![Just(16u8), Just(23), Just(24)],
        0..4usize,
    );
    let subnet = (0u8..4, proptest::collection::vec(route, 0..4));
    let subnet = subnet.prop_map(|(octet, routes)| Subnet { octet, routes });
    let vpcs = proptest::collection::vec(proptest::collection::vec(subnet, 0..3), 4);
    let peering = (0..4usize, 0..4usize, any::<bool>());
    let peerings = proptest::collection::vec(peering, 4);
    (vpcs, peerings).prop_map(|(vpcs, mut peerings)| {
        // A VPC does not peer with itself, nor with one of overlapping addresses.
        peerings.retain(|(one, other, _)| BLOCKS[*one] != BLOCKS[*other]);
        World { vpcs, peerings }
    })
}

fn block(of: usize) -> CidrBlock {
    BLOCKS[of].parse().unwrap()
}

fn address(of: usize, octet: u8, host: u8) -> Ipv4Addr {
    let [a, b, ..] = block(of).network().octets();
    Ipv4Addr::new(a, b, octet, host)
}

fn vpc_id(of: usize) -> VpcId {
    VpcId::from_entropy(of as u64)
}

fn peering_id(position: usize) -> PeeringConnectionId {
    PeeringConnectionId::from_entropy(position as u64)
}

impl World {
    fn destination(&self, of: usize, octet: u8, length: u8) -> CidrBlock {
        CidrBlock::new(address(of, octet, 0), length).unwrap()
    }

    // As a gateway that carries all of them would get it.
    fn slice(&self) -> GatewaySlice {
        let vpcs = self.vpcs.iter().enumerate().map(|(of, subnets)| {
            let subnets = subnets.iter().map(|subnet| {
                let routes = subnet
                    .routes
                    .iter()
                    .filter_map(|(to, octet, length, peering)| {
                        let destination = self.destination(*to, *octet, *length);
                        (!block(of).overlaps(destination))
                            .then(|| (destination, peering_id(*peering)))
                    });
                let cidr = CidrBlock::new(address(of, subnet.octet, 0), 24).unwrap();
                let slice = SubnetSlice {
                    cidr,
                    routes: routes.collect(),
                };
                (SubnetId::from_entropy(subnet.octet.into()), slice)
            });
            let vpc = VpcSlice {
                legacy_id: LegacyVpcId {
                    region: Region::Guangzhou,
                    number: 1,
                },
                cidr: block(of),
                assistant_cidrs: BTreeSet::new(),
                subnets: subnets.collect(),
            };
            (vpc_id(of), vpc)
        });
        let mut peerings = BTreeMap::new();
        for (position, (one, other, is_active)) in self.peerings.iter().enumerate() {
            for (side, local, peer) in [(Side::Requester, one, other), (Side::Accepter, other, one)]
            {
                if *is_active {
                    let slice = PeeringSlice {
                        vni: Vni::try_from(Vni::FIRST.get() + position as u32).unwrap(),
                        local_vpc: vpc_id(*local),
                        peer_vpc: vpc_id(*peer),
                        peer_cidr: block(*peer),
                        peer_assistant_cidrs: BTreeSet::new(),
                        bandwidth: Bandwidth::Unlimited,
                        peer: PeerEnd::Local,
                        peer_has_route: true,
                    };
                    peerings.insert((peering_id(position), side), slice);
                }
            }
        }
        GatewaySlice {
            generation: Generation(1),
            gateway: GatewayId::from_entropy(1),
            region: Region::Guangzhou,
            overlay_address: Ipv4Addr::new(100, 64, 0, 1),
            tunnel_peers: BTreeMap::new(),
            vpcs: vpcs.collect(),
            peerings,
            ipv6: model::ipv6::Ipv6Slice::default(),
        }
    }

    // Rule 1 of the domain: the VPC that gets a packet, if one does.
    fn receiver(&self, from: usize, source: Ipv4Addr, destination: Ipv4Addr) -> Option<usize> {
        // What a slice holds twice, the last one of it holds.
        let mut subnets = self.vpcs[from].iter().rev();
        let octet = source.octets()[2];
        let subnet =
            subnets.find(|subnet| subnet.octet == octet && block(from).contains_address(source))?;
        if block(from).contains_address(destination) {
            return None;
        }
        let mut routes = BTreeMap::new();
        for (to, octet, length, peering) in &subnet.routes {
            let wanted = self.destination(*to, *octet, *length);
            if !block(from).overlaps(wanted) {
                routes.insert(wanted, *peering);
            }
        }
        let matching = routes
            .iter()
            .filter(|(to, _)| to.contains_address(destination));
        let (_, peering) = matching.max_by_key(|(to, _)| to.prefix_len())?;
        let (one, other, is_active) = *self.peerings.get(*peering)?;
        let peer = match from {
            _ if !is_active => return None,
            from if from == one => other,
            from if from == other => one,
            _ => return None,
        };
        block(peer).contains_address(destination).then_some(peer)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_packet_passes_exactly_when_the_rules_say_so(world in world()) {
        let now = Instant::now();
        let mut engine = Engine::new(&engine_options(0, 1), now);
        let slice = Arc::new(world.slice());
        let devices: BTreeSet<_> = slice.vpcs.keys().copied().collect();
        let desired = EngineDesired { slice, endpoints: BTreeMap::new(), devices };
        let mut outbox = Outbox::default();
        engine.configure(&desired, now, &mut outbox);
        outbox.clear();
        let later = now + Duration::from_millis(1);
        for from in 0..4 {
            for (of, octet, to, to_octet) in (0..4usize).flat_map(|of| (0u8..4).flat_map(move |octet| {
                (0..4usize).flat_map(move |to| (0u8..4).map(move |to_octet| (of, octet, to, to_octet)))
            })) {
                let (source, destination) = (address(of, octet, 5), address(to, to_octet, 9));
                let mut frame = vec![0; 10];
                frame.extend(udp_packet(source, destination, 1, 2, b"x"));
                engine.from_tun(vpc_id(from), &mut frame, later, &mut outbox);
                let deliveries = outbox.deliveries().iter();
                let got: Vec<_> = deliveries.map(|(delivery, _)| delivery.vpc).collect();
                let expected: Vec<_> = world
                    .receiver(from, source, destination)
                    .into_iter()
                    .map(vpc_id)
                    .collect();
                prop_assert_eq!(got, expected, "VPC {} from {} to {}", from, source, destination);
                prop_assert!(outbox.runs.is_empty());
                outbox.clear();
            }
        }
    }
}
