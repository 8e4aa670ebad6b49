//! Lists: who sees what from where, filters, order and parts.

use std::time::Duration;

use model::command::{
    Direction, Order, Paging, PeeringQuery, PeeringStateFilter, RouteTableQuery, SubnetQuery,
    VpcQuery,
};
use model::{SubnetRef, VpcRef};

use super::*;

const ALL: Paging = Paging {
    offset: 0,
    limit: 50,
    direction: Direction::Ascending,
};

fn peerings_in(region: Region) -> PeeringQuery {
    PeeringQuery {
        region,
        vpc: None,
        peering: None,
        name: None,
        state: None,
        network: None,
        filters: Vec::new(),
        order: Order::CreateTime,
        paging: ALL,
    }
}

impl Bed {
    async fn listed(&self, caller: u64, query: PeeringQuery) -> (u64, Vec<PeeringConnectionId>) {
        match self
            .execute(caller, Command::PeeringList(query))
            .await
            .unwrap()
        {
            Outcome::Peerings(page) => {
                let ids = page.items.iter().map(|view| view.peering.id);
                (page.total, ids.collect())
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_peering_is_listed_for_each_account_from_its_own_region() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(2, SH, "10.2.0.0/16").await;
    let id = bed.request(&gz, &sh).await.unwrap().id;
    for (caller, region, expected) in [
        (1, GZ, vec![id]),
        (1, SH, vec![]),
        (2, SH, vec![id]),
        (2, GZ, vec![]),
        (3, GZ, vec![]),
    ] {
        let total = expected.len() as u64;
        assert_eq!(
            bed.listed(caller, peerings_in(region)).await,
            (total, expected.clone())
        );
        let query = PeeringQuery {
            peering: Some(id),
            ..peerings_in(region)
        };
        assert_eq!(bed.listed(caller, query).await, (total, expected));
    }
    bed.act(2, Command::PeeringReject, SH, id).await.unwrap();
    assert_eq!(bed.listed(2, peerings_in(SH)).await, (0, vec![]));
    assert_eq!(bed.listed(1, peerings_in(GZ)).await, (1, vec![id]));
}

#[tokio::test]
async fn a_deleted_peering_is_listed_for_the_other_account() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(2, SH, "10.2.0.0/16").await;
    let peering = bed.connected(&gz, &sh).await;
    bed.delete(&peering).await.unwrap();
    assert_eq!(bed.listed(1, peerings_in(GZ)).await, (0, vec![]));
    assert_eq!(bed.listed(2, peerings_in(SH)).await, (1, vec![peering.id]));
}

#[tokio::test]
async fn a_peering_inside_one_account_and_region_is_listed_once() {
    let bed = Bed::new().await;
    let one = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let other = bed.vpc(1, GZ, "10.2.0.0/16").await;
    let id = bed.request(&one, &other).await.unwrap().id;
    assert_eq!(bed.listed(1, peerings_in(GZ)).await, (1, vec![id]));
}

#[tokio::test]
async fn the_vpc_filter_means_the_requester_and_refuses_the_unknown() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(1, SH, "10.2.0.0/16").await;
    let id = bed.request(&gz, &sh).await.unwrap().id;
    let of = |region, vpc: VpcRef| PeeringQuery {
        vpc: Some(vpc),
        ..peerings_in(region)
    };
    assert_eq!(bed.listed(1, of(GZ, gz.id.into())).await.1, [id]);
    assert_eq!(
        bed.listed(1, of(GZ, VpcRef::Legacy(gz.legacy_id))).await.1,
        [id]
    );
    assert_eq!(bed.listed(1, of(SH, sh.id.into())).await.1, []);
    for (caller, region) in [(2, GZ), (1, SH)] {
        let query = Command::PeeringList(of(region, gz.id.into()));
        let error = domain(bed.execute(caller, query).await);
        assert!(matches!(error, DomainError::VpcNotFound { .. }));
    }
}

#[tokio::test]
async fn order_and_parts_agree_with_and_without_filters() {
    let bed = Bed::new().await;
    let hub = bed.vpc(1, GZ, "10.0.0.0/16").await;
    let mut ids = Vec::new();
    for (number, name) in ["b1", "a2", "c", "a1", "b2"].into_iter().enumerate() {
        let other = bed
            .vpc(10 + number as u64, SH, &format!("10.{}.0.0/16", number + 1))
            .await;
        let ask = PeeringCreate {
            name: name.to_owned(),
            ..peering_create(&hub, &other)
        };
        let task = task_of(bed.execute(1, Command::PeeringCreate(ask)).await.unwrap());
        ids.push(bed.task(task).peering);
        // Two are made in the same millisecond.
        if number != 2 {
            bed.clock.advance(Duration::from_secs(1));
        }
    }
    let [b1, a2, c, a1, b2] = ids[..] else {
        panic!()
    };
    let (first, second) = (c.min(a1), c.max(a1));
    let by_time = vec![b1, a2, first, second, b2];

    for (direction, expected) in [
        (Direction::Ascending, by_time.clone()),
        (
            Direction::Descending,
            by_time.iter().rev().copied().collect(),
        ),
    ] {
        for offset in 0..7 {
            for limit in [0, 1, 2, 50, u64::MAX] {
                let paging = Paging {
                    offset,
                    limit,
                    direction,
                };
                let part: Vec<_> = expected
                    .iter()
                    .copied()
                    .skip(offset as usize)
                    .take(limit.min(50) as usize)
                    .collect();
                let plain = PeeringQuery {
                    paging,
                    ..peerings_in(GZ)
                };
                let pending = Some(PeeringStateFilter::Pending);
                let filtered = PeeringQuery {
                    state: pending,
                    ..plain.clone()
                };
                let of_vpc = PeeringQuery {
                    vpc: Some(hub.id.into()),
                    ..plain.clone()
                };
                for query in [plain, filtered, of_vpc] {
                    assert_eq!(bed.listed(1, query).await, (5, part.clone()));
                }
            }
        }
    }
    let by_name = PeeringQuery {
        filters: Vec::new(),
        order: Order::Name,
        ..peerings_in(GZ)
    };
    assert_eq!(bed.listed(1, by_name).await.1, [a1, a2, b1, b2, c]);
    let fuzzy = PeeringQuery {
        name: Some("2".to_owned()),
        ..peerings_in(GZ)
    };
    assert_eq!(bed.listed(1, fuzzy).await, (2, vec![a2, b2]));
    let state = Some(PeeringStateFilter::Active);
    assert_eq!(
        bed.listed(
            1,
            PeeringQuery {
                state,
                ..peerings_in(GZ)
            }
        )
        .await,
        (0, vec![])
    );
}

#[tokio::test]
async fn vpcs_are_listed_with_their_counts() {
    let bed = Bed::new().await;
    let ask = vpc_create(GZ, "10.1.0.0/16", &["10.1.1.0/24", "10.1.2.0/24"]);
    bed.execute(1, Command::VpcCreate(ask)).await.unwrap();
    bed.vpc(1, SH, "10.2.0.0/16").await;
    bed.vpc(2, GZ, "10.3.0.0/16").await;
    let query = VpcQuery {
        region: GZ,
        vpc: None,
        name: Some("es".to_owned()),
        only: Vec::new(),
        filters: Vec::new(),
        order: Order::Name,
        paging: ALL,
    };
    let outcome = bed
        .execute(1, Command::VpcList(query.clone()))
        .await
        .unwrap();
    let Outcome::Vpcs(page) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!((page.total, page.items.len()), (1, 1));
    let view = &page.items[0];
    assert_eq!((view.subnets, view.route_tables, view.peerings), (2, 1, 0));

    let unknown = VpcQuery {
        vpc: Some(VpcId::from_entropy(1).into()),
        ..query
    };
    let error = domain(bed.execute(1, Command::VpcList(unknown)).await);
    assert!(matches!(error, DomainError::VpcNotFound { .. }));
}

#[tokio::test]
async fn subnets_and_tables_are_listed_with_their_vpc() {
    let bed = Bed::new().await;
    let vpc = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let other = bed.vpc(1, GZ, "10.2.0.0/16").await;
    bed.subnet(&vpc, "10.1.1.0/24").await.unwrap();
    bed.subnet(&other, "10.2.1.0/24").await.unwrap();
    let query = SubnetQuery {
        region: GZ,
        vpc: None,
        subnet: None,
        name: None,
        zones: vec![],
        only: Vec::new(),
        filters: Vec::new(),
        order: Order::CreateTime,
        paging: ALL,
    };
    let list = async |query: SubnetQuery| {
        let outcome = bed.execute(1, Command::SubnetList(query)).await?;
        match outcome {
            Outcome::Subnets(page) => Ok(page.items),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(list(query.clone()).await.unwrap().len(), 2);
    let of_vpc = SubnetQuery {
        vpc: Some(vpc.id.into()),
        ..query.clone()
    };
    let found = list(of_vpc.clone()).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].vpc.id, found[0].route_table.id),
        (vpc.id, bed.table(vpc.id).id)
    );

    let legacy = SubnetRef::Legacy(found[0].subnet.legacy_id);
    let one = SubnetQuery {
        subnet: Some(legacy),
        ..query.clone()
    };
    assert_eq!(list(one.clone()).await.unwrap(), found);
    let elsewhere = SubnetQuery {
        vpc: Some(other.id.into()),
        ..one
    };
    assert_eq!(
        domain(list(elsewhere).await),
        DomainError::SubnetNotFound(legacy.to_string())
    );
    let zones = SubnetQuery {
        zones: vec![Zone(100_002)],
        ..query
    };
    assert_eq!(list(zones).await.unwrap(), []);

    let tables = RouteTableQuery {
        region: GZ,
        vpc: Some(vpc.id.into()),
        route_table: None,
        name: Some("def".to_owned()),
        only: Vec::new(),
        filters: Vec::new(),
        order: Order::CreateTime,
        paging: ALL,
    };
    let outcome = bed
        .execute(1, Command::RouteTableList(tables))
        .await
        .unwrap();
    let Outcome::RouteTables(page) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!((page.total, page.items[0].subnets.len()), (1, 1));
    assert_eq!(page.items[0].route_table, bed.table(vpc.id));
}
