//! Generators of slices and reports for the round-trip properties.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use model::ipv6::{Ipv6Block, Ipv6Slice, SubnetIpv6, VpcIpv6};
use model::slice::{GatewaySlice, PeerEnd, PeeringSlice, SubnetSlice, TunnelPeerSlice, VpcSlice};
use model::{
    Bandwidth, CidrBlock, GatewayId, Generation, LegacyVpcId, PeeringConnectionId, PublicKey,
    Region, Side, SubnetId, Vni, VpcId,
};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

use super::{ApplyError, PairReport, PeeringReport, Report, Traffic};

pub(super) fn region() -> impl Strategy<Value = Region> {
    prop::sample::select(Region::ALL)
}

fn address() -> impl Strategy<Value = Ipv4Addr> {
    any::<u32>().prop_map(Ipv4Addr::from)
}

fn cidr() -> impl Strategy<Value = CidrBlock> {
    (address(), 0u8..=32).prop_map(|(address, length)| CidrBlock::new(address, length).unwrap())
}

pub(super) fn gateway_id() -> impl Strategy<Value = GatewayId> {
    (0u64..6).prop_map(GatewayId::from_entropy)
}

fn vpc_id() -> impl Strategy<Value = VpcId> {
    (0u64..6).prop_map(VpcId::from_entropy)
}

fn peering_id() -> impl Strategy<Value = PeeringConnectionId> {
    (0u64..6).prop_map(PeeringConnectionId::from_entropy)
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Requester), Just(Side::Accepter)]
}

fn vni() -> impl Strategy<Value = Vni> {
    (1u32..1 << 24).prop_map(|number| Vni::try_from(number).unwrap())
}

pub(super) fn public_key() -> impl Strategy<Value = PublicKey> {
    any::<[u8; 32]>().prop_map(PublicKey)
}

pub(super) fn endpoint() -> impl Strategy<Value = Option<String>> {
    option::of(("[a-z][a-z0-9.-]{0,20}", 1u16..).prop_map(|(host, port)| format!("{host}:{port}")))
}

fn tunnel_peer() -> impl Strategy<Value = TunnelPeerSlice> {
    (region(), public_key(), endpoint(), address()).prop_map(
        |(region, public_key, endpoint, overlay_address)| TunnelPeerSlice {
            region,
            public_key,
            endpoint,
            overlay_address,
        },
    )
}

fn vpc() -> impl Strategy<Value = VpcSlice> {
    let routes = btree_map(cidr(), peering_id(), 0..4);
    let subnets = vec((any::<u32>(), 0u8..=12, routes), 0..4);
    (region(), any::<u32>(), 0u8..=255, subnets).prop_map(|(region, number, octet, subnets)| {
        let block = |first| CidrBlock::new(Ipv4Addr::new(first, octet, 0, 0), 16).unwrap();
        let cidr = block(10);
        let assistant_cidrs: BTreeSet<CidrBlock> = (1..=octet % 3).map(block).collect();
        let blocks: Vec<CidrBlock> = [cidr].iter().chain(&assistant_cidrs).copied().collect();
        let subnets = subnets.into_iter().enumerate();
        let subnets = subnets.map(|(index, (host, longer, routes))| {
            let block = blocks[index % blocks.len()];
            let address = u32::from(block.network()) | (host & 0xffff);
            let is_outside = |destination| !blocks.iter().any(|own| own.contains(destination));
            let outside = routes
                .into_iter()
                .filter(|(destination, _)| is_outside(*destination));
            let subnet = SubnetSlice {
                cidr: CidrBlock::new(address.into(), 16 + longer).unwrap(),
                routes: outside.collect(),
            };
            (SubnetId::from_entropy(index as u64), subnet)
        });
        VpcSlice {
            legacy_id: LegacyVpcId { region, number },
            cidr,
            assistant_cidrs: assistant_cidrs.clone(),
            subnets: subnets.collect(),
        }
    })
}

fn peering() -> impl Strategy<Value = PeeringSlice> {
    let peer = prop_oneof![
        Just(PeerEnd::Local),
        gateway_id().prop_map(PeerEnd::Gateway),
        Just(PeerEnd::Absent),
    ];
    let cidrs = (cidr(), btree_set(cidr(), 0..3));
    let ends = (vpc_id(), vpc_id(), cidrs, peer);
    (vni(), ends, any::<u32>(), any::<bool>()).prop_map(
        |(vni, (local_vpc, peer_vpc, cidrs, peer), mbps, peer_has_route)| PeeringSlice {
            vni,
            local_vpc,
            peer_vpc,
            peer_cidr: cidrs.0,
            peer_assistant_cidrs: cidrs.1,
            bandwidth: Bandwidth::from_mbps(mbps),
            peer,
            peer_has_route,
        },
    )
}

pub(super) fn slice() -> impl Strategy<Value = GatewaySlice> {
    (
        (any::<u64>(), gateway_id(), region(), address()),
        btree_map(gateway_id(), tunnel_peer(), 0..4),
        btree_map(vpc_id(), vpc(), 0..4),
        btree_map((peering_id(), side()), peering(), 0..4),
        ipv6(),
    )
        .prop_map(
            |(
                (generation, gateway, region, overlay_address),
                tunnel_peers,
                vpcs,
                peerings,
                ipv6,
            )| {
                GatewaySlice {
                    generation: Generation(generation),
                    gateway,
                    region,
                    overlay_address,
                    tunnel_peers,
                    vpcs,
                    peerings,
                    ipv6,
                }
            },
        )
}

fn ipv6_block() -> impl Strategy<Value = Ipv6Block> {
    (any::<u128>(), 0u8..=128).prop_map(|(bits, length)| {
        let network = bits & u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
        format!("{}/{length}", Ipv6Addr::from(network))
            .parse()
            .unwrap()
    })
}

pub(super) fn ipv6() -> impl Strategy<Value = Ipv6Slice> {
    let vpc = btree_map(ipv6_block(), peering_id(), 0..4).prop_map(|routes| {
        let cidr: Ipv6Block = "2001:db8:1::/48".parse().unwrap();
        let outside = routes.into_iter().filter(|(to, _)| !cidr.contains(*to));
        let subnet = SubnetIpv6 {
            cidr: "2001:db8:1:7::/64".parse().unwrap(),
            routes: outside.collect(),
        };
        let subnets = BTreeMap::from([(SubnetId::from_entropy(1), subnet)]);
        VpcIpv6 { cidr, subnets }
    });
    let peer_cidrs = btree_map((peering_id(), side()), ipv6_block(), 0..3);
    (btree_map(vpc_id(), vpc, 0..3), peer_cidrs)
        .prop_map(|(vpcs, peer_cidrs)| Ipv6Slice { vpcs, peer_cidrs })
}

fn traffic() -> impl Strategy<Value = Traffic> {
    (any::<u64>(), any::<u64>()).prop_map(|(packets, bytes)| Traffic { packets, bytes })
}

fn peering_report() -> impl Strategy<Value = PeeringReport> {
    let drops = btree_map("[a-z][a-z0-9_]{0,10}", any::<u64>(), 0..4);
    let probes = (any::<bool>(), option::of(any::<u64>()));
    (vni(), probes, traffic(), traffic(), drops).prop_map(
        |(vni, (probe_crossed, last_probe_age_millis), sent, received, drops)| PeeringReport {
            vni,
            probe_crossed,
            last_probe_age_millis,
            sent,
            received,
            drops,
        },
    )
}

fn pair_report() -> impl Strategy<Value = PairReport> {
    let ages = (option::of(any::<u64>()), option::of(any::<u64>()));
    (ages, any::<u64>(), any::<u64>()).prop_map(
        |((last_handshake_age_millis, rtt_micros), probes_sent, probes_lost)| PairReport {
            last_handshake_age_millis,
            rtt_micros,
            probes_sent,
            probes_lost,
        },
    )
}

pub(super) fn report() -> impl Strategy<Value = Report> {
    let error =
        (".{0,20}", ".{0,40}").prop_map(|(subject, message)| ApplyError { subject, message });
    (
        (any::<u64>(), any::<u64>()),
        vec(error, 0..4),
        btree_map((peering_id(), side()), peering_report(), 0..4),
        btree_map(gateway_id(), pair_report(), 0..4),
        btree_map(
            any::<u64>().prop_map(SubnetId::from_entropy),
            any::<u32>(),
            0..4,
        ),
    )
        .prop_map(
            |((generation, unix_millis), errors, peerings, pairs, hosts)| Report {
                generation: Generation(generation),
                errors,
                peerings,
                pairs,
                hosts,
                unix_millis,
            },
        )
}

/// A slice with one VPC, one subnet, one route, one tunnel peer and one peering.
pub(super) fn sample() -> GatewaySlice {
    let peering = PeeringConnectionId::from_entropy(1);
    let (local_vpc, peer_vpc) = (VpcId::from_entropy(1), VpcId::from_entropy(2));
    let peer = GatewayId::from_entropy(2);
    let subnet = SubnetSlice {
        cidr: "10.0.1.0/24".parse().unwrap(),
        routes: BTreeMap::from([("10.1.0.0/16".parse().unwrap(), peering)]),
    };
    let vpc = VpcSlice {
        legacy_id: "gz_vpc_226".parse().unwrap(),
        cidr: "10.0.0.0/16".parse().unwrap(),
        assistant_cidrs: BTreeSet::new(),
        subnets: BTreeMap::from([(SubnetId::from_entropy(1), subnet)]),
    };
    let tunnel_peer = TunnelPeerSlice {
        region: Region::Shanghai,
        public_key: PublicKey([7; 32]),
        endpoint: Some("gw-sh.example.net:51820".into()),
        overlay_address: Ipv4Addr::new(100, 64, 0, 2),
    };
    let side = PeeringSlice {
        vni: Vni::FIRST,
        local_vpc,
        peer_vpc,
        peer_cidr: "10.1.0.0/16".parse().unwrap(),
        peer_assistant_cidrs: BTreeSet::new(),
        bandwidth: Bandwidth::from_mbps(20),
        peer: PeerEnd::Gateway(peer),
        peer_has_route: true,
    };
    GatewaySlice {
        generation: Generation(7),
        gateway: GatewayId::from_entropy(1),
        region: Region::Guangzhou,
        overlay_address: Ipv4Addr::new(100, 64, 0, 1),
        tunnel_peers: BTreeMap::from([(peer, tunnel_peer)]),
        vpcs: BTreeMap::from([(local_vpc, vpc)]),
        peerings: BTreeMap::from([((peering, Side::Requester), side)]),
        ipv6: Ipv6Slice::default(),
    }
}
