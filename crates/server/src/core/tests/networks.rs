//! VPCs, subnets and routes.

use model::command::SubnetSpec;
use model::{RouteTableKind, RouteTableRef, World};

use super::*;

#[tokio::test]
async fn a_vpc_comes_with_its_subnets_and_a_default_table() {
    let bed = Bed::new().await;
    let ask = vpc_create(GZ, "10.1.0.0/16", &["10.1.1.0/24", "10.1.2.0/24"]);
    let before = bed.core.catalog().revision();
    let outcome = bed.execute(1, Command::VpcCreate(ask)).await.unwrap();
    let Outcome::VpcCreated {
        vpc,
        subnets,
        route_table,
    } = outcome
    else {
        panic!("{outcome:?}")
    };
    assert_eq!(bed.core.catalog().revision(), before.next());
    assert_eq!(vpc.legacy_id.to_string(), "gz_vpc_1");
    assert_eq!(route_table.name.as_str(), "default");
    assert_eq!(route_table.kind, RouteTableKind::Default);
    assert_eq!(subnets.len(), 2);
    let catalog = bed.core.catalog();
    assert_eq!(catalog.vpc(vpc.id), Some(&vpc));
    assert_eq!(catalog.default_route_table(vpc.id), Some(&route_table));
    for view in &subnets {
        assert_eq!(view.subnet.route_table, route_table.id);
        assert_eq!(catalog.subnet(view.subnet.id), Some(&view.subnet));
    }
}

#[tokio::test]
async fn legacy_numbers_count_per_region_and_kind() {
    let bed = Bed::new().await;
    let ids = [
        bed.vpc(1, GZ, "10.1.0.0/16").await,
        bed.vpc(1, SH, "10.1.0.0/16").await,
        bed.vpc(2, GZ, "10.1.0.0/16").await,
    ]
    .map(|vpc| vpc.legacy_id.to_string());
    assert_eq!(ids, ["gz_vpc_1", "sh_vpc_1", "gz_vpc_2"]);
}

#[tokio::test]
async fn a_refused_vpc_leaves_nothing() {
    let bed = Bed::new().await;
    let good = vpc_create(GZ, "10.1.0.0/16", &["10.1.1.0/24"]);
    let with_subnet = |spec: SubnetSpec| VpcCreate {
        subnets: vec![spec],
        ..good.clone()
    };
    let spec = subnet_spec("10.1.1.0/24");
    let check = async |ask: VpcCreate, expected: fn(&DomainError) -> bool| {
        let error = domain(bed.execute(1, Command::VpcCreate(ask)).await);
        assert!(expected(&error), "{error}");
    };
    check(
        VpcCreate {
            name: "x".repeat(61),
            ..good.clone()
        },
        |e| matches!(e, DomainError::VpcName(_)),
    )
    .await;
    for cidr in ["8.8.0.0/16", "10.0.0.0/11", "192.168.0.0/29"] {
        check(vpc_create(GZ, cidr, &[]), |e| {
            matches!(e, DomainError::VpcCidr(_))
        })
        .await;
    }
    check(
        with_subnet(SubnetSpec {
            name: String::new(),
            ..spec.clone()
        }),
        |e| matches!(e, DomainError::SubnetName(_)),
    )
    .await;
    check(
        with_subnet(SubnetSpec {
            zone: Zone(100_000),
            ..spec
        }),
        |e| matches!(e, DomainError::ZoneNotFound(_)),
    )
    .await;
    check(with_subnet(subnet_spec("10.2.1.0/24")), |e| {
        matches!(e, DomainError::SubnetCidr(_))
    })
    .await;
    check(
        vpc_create(GZ, "10.1.0.0/16", &["10.1.1.0/24", "10.1.1.128/25"]),
        |e| matches!(e, DomainError::SubnetConflict { .. }),
    )
    .await;
    assert_eq!(bed.core.catalog().vpcs().count(), 0);
}

#[tokio::test]
async fn an_account_has_five_vpcs_in_each_region() {
    let bed = Bed::new().await;
    for number in 1..=5 {
        bed.vpc(1, GZ, &format!("10.{number}.0.0/16")).await;
    }
    let ask = Command::VpcCreate(vpc_create(GZ, "10.6.0.0/16", &[]));
    let error = domain(bed.execute(1, ask).await);
    assert_eq!(error, DomainError::VpcLimit { limit: 5 });
    bed.vpc(1, SH, "10.6.0.0/16").await;
    bed.vpc(2, GZ, "10.6.0.0/16").await;
}

#[tokio::test]
async fn subnets_are_the_owners_lie_apart_and_are_ten() {
    let bed = Bed::new().await;
    let vpc = bed.vpc(1, GZ, "10.1.0.0/16").await;
    for number in 0..10 {
        bed.subnet(&vpc, &format!("10.1.{number}.0/24"))
            .await
            .unwrap();
    }
    let error = domain(bed.subnet(&vpc, "10.1.11.0/24").await);
    assert_eq!(error, DomainError::SubnetLimit { limit: 10 });
    let error = domain(bed.subnet(&vpc, "10.1.4.0/25").await);
    let (cidr, other) = ("10.1.4.0/25".to_owned(), "10.1.4.0/24".to_owned());
    assert_eq!(error, DomainError::SubnetConflict { cidr, other });
    let foreign = Vpc {
        owner: Uin(2),
        ..vpc
    };
    let error = domain(bed.subnet(&foreign, "10.1.12.0/24").await);
    assert!(matches!(error, DomainError::VpcNotFound { .. }));
}

#[tokio::test]
async fn a_subnet_may_fill_its_vpc() {
    let bed = Bed::new().await;
    let vpc = bed.vpc(1, GZ, "10.0.0.0/12").await;
    bed.subnet(&vpc, "10.0.0.0/12").await.unwrap();
}

#[tokio::test]
async fn a_route_leads_to_an_active_peering_of_the_vpc() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(2, SH, "10.2.0.0/16").await;
    let third = bed.vpc(1, BJ, "10.3.0.0/16").await;
    let pending = bed.request(&gz, &sh).await.unwrap().id.to_string();
    let elsewhere = bed.connected(&third, &sh).await.id.to_string();

    for hop in [
        pending.as_str(),
        elsewhere.as_str(),
        "pcx-00000000",
        "vpngw-dystbrkv",
        "",
    ] {
        let error = domain(bed.route(&gz, "10.2.0.0/16", hop).await);
        assert_eq!(error, DomainError::NextHopNotFound(hop.to_owned()));
    }
    bed.accept(&bed.peering(pending.parse().unwrap()).unwrap())
        .await
        .unwrap();
    bed.route(&gz, "10.2.0.0/16", &pending).await.unwrap();
    bed.route(&sh, "10.1.0.0/16", &pending).await.unwrap();
    invariants::check(&bed.core.catalog());
}

#[tokio::test]
async fn destinations_lie_outside_the_vpc_and_are_unique() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(1, SH, "10.2.0.0/16").await;
    let hop = bed.connected(&gz, &sh).await.id.to_string();
    for inside in ["10.1.0.0/16", "10.1.3.0/24"] {
        let error = domain(bed.route(&gz, inside, &hop).await);
        assert!(matches!(error, DomainError::Destination(_)), "{error}");
    }
    // A block around the VPC is fine: the Local route is more specific.
    bed.route(&gz, "10.0.0.0/8", &hop).await.unwrap();
    let error = domain(bed.route(&gz, "10.0.0.0/8", &hop).await);
    assert_eq!(error, DomainError::RouteExists("10.0.0.0/8".to_owned()));
    bed.route(&gz, "10.2.0.0/16", &hop).await.unwrap();
}

#[tokio::test]
async fn batches_are_all_or_nothing() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(1, SH, "10.2.0.0/16").await;
    let hop = bed.connected(&gz, &sh).await.id.to_string();
    let create = |routes: &[(&str, &str)]| Command::RouteCreate(bed.route_change(&gz, routes));
    let delete = |routes: &[(&str, &str)]| Command::RouteDelete(bed.route_change(&gz, routes));

    for second in [
        ("10.2.1.0/24", hop.as_str()),
        ("10.1.0.0/24", &hop),
        ("10.2.9.0/24", "pcx-00000000"),
    ] {
        let result = bed
            .execute(1, create(&[("10.2.1.0/24", &hop), second]))
            .await;
        domain(result);
        assert_eq!(bed.table(gz.id).routes, []);
    }
    let two = [("10.2.1.0/24", hop.as_str()), ("10.2.2.0/24", &hop)];
    bed.execute(1, create(&two)).await.unwrap();
    let error = domain(
        bed.execute(1, delete(&[two[0], ("10.2.2.0/24", "pcx-00000000")]))
            .await,
    );
    assert_eq!(
        error,
        DomainError::NextHopNotFound("pcx-00000000".to_owned())
    );
    assert_eq!(bed.table(gz.id).routes.len(), 2);
    bed.execute(1, delete(&two)).await.unwrap();
    assert_eq!(bed.table(gz.id).routes, []);

    let revision = bed.core.catalog().revision();
    bed.execute(1, delete(&two)).await.unwrap();
    assert_eq!(bed.core.catalog().revision(), revision);
}

#[tokio::test]
async fn a_route_is_deleted_by_destination_and_next_hop_together() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(1, SH, "10.2.0.0/16").await;
    let bj = bed.vpc(1, BJ, "10.3.0.0/16").await;
    let to_sh = bed.connected(&gz, &sh).await.id.to_string();
    let to_bj = bed.connected(&gz, &bj).await.id.to_string();
    bed.route(&gz, "10.2.0.0/16", &to_sh).await.unwrap();
    let ask = bed.route_change(&gz, &[("10.2.0.0/16", &to_bj)]);
    bed.execute(1, Command::RouteDelete(ask)).await.unwrap();
    assert_eq!(bed.table(gz.id).routes.len(), 1);
}

#[tokio::test]
async fn a_table_has_fifty_routes_and_belongs_to_its_vpc() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(1, SH, "10.2.0.0/16").await;
    let hop = bed.connected(&gz, &sh).await.id.to_string();
    let blocks: Vec<String> = (0..51).map(|n| format!("10.2.{n}.0/24")).collect();
    let routes: Vec<_> = blocks
        .iter()
        .map(|block| (block.as_str(), hop.as_str()))
        .collect();
    let all = Command::RouteCreate(bed.route_change(&gz, &routes));
    assert_eq!(
        domain(bed.execute(1, all).await),
        DomainError::RouteLimit { limit: 50 }
    );
    let most = Command::RouteCreate(bed.route_change(&gz, &routes[..50]));
    bed.execute(1, most).await.unwrap();

    let mut foreign = bed.route_change(&gz, &routes[50..]);
    foreign.route_table = RouteTableRef::Unified(bed.table(sh.id).id);
    let name = foreign.route_table.to_string();
    let error = domain(bed.execute(1, Command::RouteCreate(foreign)).await);
    assert_eq!(error, DomainError::RouteTableNotFound(name));
}
