//! Many writers who make, change and delete networks and peerings at random, through two servers:
//! whatever they do, every revision keeps the invariants.

use model::command::{
    RouteTableAssociate, RouteTableCreate, RouteTableModify, RouteTableTarget, SubnetTarget,
    VpcTarget,
};
use model::{RouteTableKind, World};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::catalog::Catalog;

const WRITERS: u64 = 8;
const STEPS: u64 = 400;
const ACCOUNTS: u64 = 3;

/// What one writer does next, from what it sees: mostly sensible, often too late.
fn choose(catalog: &Catalog, caller: u64, random: &mut StdRng) -> Option<Command> {
    let own: Vec<&Vpc> = [GZ, SH]
        .iter()
        .flat_map(|region| catalog.vpcs_of(Uin(caller), *region))
        .collect();
    let others: Vec<&Vpc> = catalog.vpcs().collect();
    let region = *[GZ, SH].choose(random)?;
    let Some(vpc) = own.choose(random).filter(|_| random.random_ratio(9, 10)) else {
        let block = format!("10.{}.0.0/16", random.random_range(0..12));
        return Some(Command::VpcCreate(vpc_create(region, &block, &[])));
    };
    let (region, id) = (vpc.region(), vpc.id.into());
    let subnets: Vec<_> = catalog
        .subnets_of(vpc.id)
        .map(|(subnet, _)| subnet)
        .collect();
    let tables: Vec<_> = catalog.route_tables_of(vpc.id).collect();
    let table = tables.choose(random)?;
    let target = RouteTableTarget {
        region,
        vpc: Some(id),
        route_table: table.id.into(),
    };
    let peerings: Vec<_> = catalog.peerings_of(vpc.id).collect();
    let peering = peerings.choose(random);
    let routes = || -> Option<Vec<RouteSpec>> {
        let peering = peering?;
        let side = peering.side_of(vpc.id)?;
        let destination = peering.end(side.other()).cidr;
        Some(vec![RouteSpec {
            destination,
            given_destination: destination.to_string(),
            next_hop: peering.id.to_string(),
            description: None,
            is_enabled: true,
            is_within_peer: false,
        }])
    };
    let action = |peering: PeeringConnectionId| PeeringAction {
        region,
        peering,
        reach: Reach::Any,
        reply: Reply::Task,
    };
    let third = vpc.cidr.to_string().split('.').nth(1)?.to_owned();
    Some(match random.random_range(0..13) {
        0 => Command::VpcDelete(VpcTarget { region, vpc: id }),
        1 | 2 => Command::SubnetCreate(SubnetCreate {
            tags: Vec::new(),
            region,
            vpc: id,
            subnets: vec![subnet_spec(&format!(
                "10.{third}.{}.0/24",
                random.random_range(0..6)
            ))],
        }),
        3 => Command::SubnetDelete(SubnetTarget {
            region,
            vpc: Some(id),
            subnet: subnets.choose(random)?.id.into(),
        }),
        4 => Command::RouteTableCreate(RouteTableCreate {
            tags: Vec::new(),
            region,
            vpc: id,
            name: "table".to_owned(),
            routes: routes().unwrap_or_default(),
        }),
        5 => Command::RouteTableDelete(target),
        6 | 7 => Command::RouteTableAssociate(RouteTableAssociate {
            target,
            subnets: vec![subnets.choose(random)?.id.into()],
        }),
        8 => Command::RouteTableModify(RouteTableModify {
            target,
            name: None,
            routes: Some(routes()?),
        }),
        9 => Command::RouteCreate(RouteChange {
            region,
            vpc: Some(id),
            route_table: table.id.into(),
            routes: routes()?,
        }),
        10 => Command::PeeringCreate(peering_create(vpc, others.choose(random)?)),
        11 => Command::PeeringAccept(action(peering?.id)),
        _ => Command::PeeringDelete(action(peering?.id)),
    })
}

/// What holds of networks whatever happens beside them.
fn check_networks(catalog: &Catalog) {
    for vpc in catalog.vpcs() {
        let tables: Vec<_> = catalog.route_tables_of(vpc.id).collect();
        let defaults = tables
            .iter()
            .filter(|table| table.kind == RouteTableKind::Default);
        assert_eq!(defaults.count(), 1, "{}", vpc.id);
        assert!(tables.len() <= 10, "{}", vpc.id);
        // `subnets_of` leaves out a subnet whose table is gone; the legacy index still has it.
        for (subnet, table) in catalog.subnets_of(vpc.id) {
            assert_eq!(table.vpc, vpc.id, "{}", subnet.id);
        }
    }
    for owner in 1..=ACCOUNTS {
        for region in [GZ, SH] {
            assert!(catalog.vpcs_of(Uin(owner), region).count() <= 5);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn networks_stay_whole_whatever_many_writers_do() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let first = Bed::without_dataplane().await;
    let rules = *first.core.rules();
    let second = open(&first.store, &first.clock, rules).await;
    let cores = [Arc::clone(&first.core), second];
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let core = Arc::clone(&cores[writer as usize % 2]);
        writers.push(tokio::spawn(async move {
            let mut random = StdRng::seed_from_u64(seed.wrapping_add(writer));
            let caller = writer % ACCOUNTS + 1;
            let mut succeeded = 0;
            for _ in 0..STEPS {
                let Some(command) = choose(&core.catalog(), caller, &mut random) else {
                    continue;
                };
                match core.execute(Uin(caller), command).await {
                    Ok(_) => succeeded += 1,
                    Err(UseCaseError::Domain(_) | UseCaseError::Busy) => {}
                    Err(other) => panic!("seed {seed}: {other:?}"),
                }
                let catalog = core.catalog();
                check_networks(&catalog);
                invariants::check(&catalog);
            }
            succeeded
        }));
    }
    let mut succeeded = 0;
    for writer in writers {
        succeeded += writer.await.unwrap();
    }
    assert!(succeeded > WRITERS * STEPS / 4, "{succeeded} did something");

    // No record is left of anything that was deleted.
    let catalog = first.core.catalog();
    let snapshot = first.store.snapshot().await.unwrap();
    for key in snapshot.entries.keys() {
        use store::record::{Key, LegacyId};
        let is_there = match key.parse().unwrap() {
            Key::Subnet(id) => {
                let subnet = catalog.subnet(id).unwrap();
                catalog.vpc(subnet.vpc).is_some()
                    && catalog.route_table(subnet.route_table).is_some()
            }
            Key::RouteTable(id) => catalog.vpc(catalog.route_table(id).unwrap().vpc).is_some(),
            Key::Legacy(LegacyId::Vpc(id)) => catalog
                .vpc_by_ref(id.region, model::VpcRef::Legacy(id))
                .is_some(),
            Key::Legacy(LegacyId::Subnet(id)) => catalog
                .subnet_by_ref(model::SubnetRef::Legacy(id))
                .is_some(),
            Key::Legacy(LegacyId::RouteTable(id)) => catalog
                .route_table_by_ref(model::RouteTableRef::Legacy(id))
                .is_some(),
            _ => true,
        };
        assert!(is_there, "seed {seed}: {key} leads nowhere");
    }
}
