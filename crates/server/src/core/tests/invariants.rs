//! What holds at every revision, written down without the code that is to keep it.

use std::collections::{BTreeMap, BTreeSet};

use model::{CidrBlock, NextHop, PeeringConnection, PeeringState, Quotas, VpcId, World};

use crate::catalog::Catalog;

/// Panics with the first invariant that does not hold (cross-region overlap scope).
pub(super) fn check(catalog: &Catalog) {
    pairs(catalog);
    for vpc in catalog.vpcs() {
        standing(catalog, vpc.id);
        inbox(catalog, vpc.id);
        routes(catalog, vpc.id);
    }
    vnis(catalog);
    tasks(catalog);
}

fn quotas(catalog: &Catalog, vpc: VpcId) -> Quotas {
    catalog.quotas_of(catalog.vpc(vpc).unwrap().owner)
}

fn is_open(peering: &PeeringConnection) -> bool {
    matches!(
        peering.state,
        PeeringState::Pending { .. } | PeeringState::Active { .. }
    )
}

fn pairs(catalog: &Catalog) {
    let mut pairs = BTreeSet::new();
    for peering in catalog.peerings().filter(|peering| is_open(peering)) {
        let (one, other) = (peering.requester, peering.accepter);
        if peering.is_carried() {
            assert!(!meet(catalog, one.vpc, other.vpc), "ends of {}", peering.id);
        }
        let pair = (one.vpc.min(other.vpc), one.vpc.max(other.vpc));
        assert!(pairs.insert(pair), "the pair of {} has two", peering.id);
    }
}

/// Whether a block of one VPC overlaps one of another.
fn meet(catalog: &Catalog, one: VpcId, other: VpcId) -> bool {
    let blocks = |vpc| catalog.vpc(vpc).unwrap().blocks().collect::<Vec<_>>();
    let (ones, others) = (blocks(one), blocks(other));
    ones.iter()
        .any(|one| others.iter().any(|other| one.overlaps(*other)))
}

fn standing(catalog: &Catalog, vpc: VpcId) {
    let mut count = 0;
    let mut reached = Vec::new();
    for peering in catalog.peerings() {
        let is_requester = peering.requester.vpc == vpc;
        let stands = match peering.state {
            PeeringState::Active { .. } => is_requester || peering.accepter.vpc == vpc,
            PeeringState::Pending { .. } => is_requester,
            _ => false,
        };
        if !stands {
            continue;
        }
        count += 1;
        let (own, peer) = match is_requester {
            true => (peering.requester, peering.accepter),
            false => (peering.accepter, peering.requester),
        };
        // The accepter may have extended its VPC since it was asked.
        if own.region() != peer.region() && peering.is_carried() {
            for other in &reached {
                assert!(!meet(catalog, peer.vpc, *other), "peers of {vpc} overlap");
            }
            reached.push(peer.vpc);
        }
    }
    let limit = quotas(catalog, vpc).peerings_per_vpc as usize;
    assert!(count <= limit, "{vpc} has {count} peerings");
}

fn inbox(catalog: &Catalog, vpc: VpcId) {
    let waiting = catalog.peerings().filter(|peering| {
        matches!(peering.state, PeeringState::Pending { .. }) && peering.accepter.vpc == vpc
    });
    assert!(waiting.count() <= quotas(catalog, vpc).inbox_per_vpc as usize);
}

fn routes(catalog: &Catalog, vpc: VpcId) {
    for table in catalog.route_tables_of(vpc) {
        let destinations: BTreeSet<_> =
            table.routes.iter().map(|route| route.destination).collect();
        assert_eq!(destinations.len(), table.routes.len(), "{}", table.id);
        assert!(table.routes.len() <= Quotas::default().routes_per_table as usize);
        for route in &table.routes {
            let NextHop::Peering(id) = route.next_hop;
            let peering = catalog.peering(id).expect("a route outlives no peering");
            assert!(peering.side_of(vpc).is_some(), "{id} is not of {vpc}");
            assert!(peering.is_carried(), "{id} is {}", peering.state.name());
        }
    }
    let whole = catalog.vpc(vpc).unwrap();
    assert!(whole.assistant_cidrs.len() <= quotas(catalog, vpc).assistant_cidrs_per_vpc as usize);
    disjoint(&whole.blocks().collect::<Vec<_>>());
    let subnets = catalog.subnets_of(vpc);
    let blocks: Vec<_> = subnets.map(|(subnet, _)| subnet.cidr).collect();
    assert!(blocks.iter().all(|block| whole.block_of(*block).is_some()));
    disjoint(&blocks);
}

fn disjoint(blocks: &[CidrBlock]) {
    for (index, block) in blocks.iter().enumerate() {
        assert!(!blocks[..index].iter().any(|other| other.overlaps(*block)));
    }
}

/// Every peering that may be carried, and every tombstone, has its VNI for itself; no other VNI is
/// reserved.
fn vnis(catalog: &Catalog) {
    let mut users = BTreeMap::new();
    for peering in catalog.peerings() {
        if !matches!(peering.state, PeeringState::Deleted { .. }) {
            let other = users.insert(peering.vni, peering.id);
            assert_eq!(other, None, "VNI {} has two users", peering.vni);
        }
    }
    for tombstone in catalog.tombstones() {
        assert!(!tombstone.awaiting.is_empty());
        let other = users.insert(tombstone.vni, tombstone.peering);
        assert!(other.is_none_or(|other| other == tombstone.peering));
    }
    assert_eq!(users.len(), catalog.vnis().count());
    for (vni, peering) in users {
        assert_eq!(catalog.vni(vni).map(|holder| holder.peering), Some(peering));
    }
}

fn tasks(catalog: &Catalog) {
    for peering in catalog.peerings() {
        if let Some(task) = peering.task {
            let task = catalog.task(task).expect("a lock has its task");
            assert!(task.is_running() && task.peering == peering.id);
        }
    }
}
