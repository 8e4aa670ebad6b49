//! Route tables, which subnet uses which, and names.

use model::command::{
    QuotaKind, QuotaQuery, RouteTableAssociate, RouteTableCreate, RouteTableModify,
    RouteTableTarget, SubnetModify, SubnetTarget, VpcModify, VpcTarget,
};
use model::{RouteTableId, RouteTableKind, SubnetId, World};

use super::*;

fn target(vpc: &Vpc, table: RouteTableId) -> RouteTableTarget {
    RouteTableTarget {
        region: vpc.region(),
        vpc: Some(vpc.id.into()),
        route_table: table.into(),
    }
}

impl Bed {
    async fn table_create(
        &self,
        vpc: &Vpc,
        routes: &[(&str, &str)],
    ) -> Result<RouteTable, UseCaseError> {
        let ask = RouteTableCreate {
            tags: Vec::new(),
            region: vpc.region(),
            vpc: vpc.id.into(),
            name: "extra".to_owned(),
            routes: self.route_change(vpc, routes).routes,
        };
        let command = Command::RouteTableCreate(ask);
        match self.execute(vpc.owner.0, command).await? {
            Outcome::RouteTableCreated { route_table, .. } => Ok(route_table),
            other => panic!("{other:?}"),
        }
    }

    async fn table_modify(
        &self,
        vpc: &Vpc,
        table: RouteTableId,
        name: Option<&str>,
        routes: Option<&[(&str, &str)]>,
    ) -> Result<Outcome, UseCaseError> {
        let ask = RouteTableModify {
            target: target(vpc, table),
            name: name.map(str::to_owned),
            routes: routes.map(|routes| self.route_change(vpc, routes).routes),
        };
        let command = Command::RouteTableModify(ask);
        self.execute(vpc.owner.0, command).await
    }

    async fn associate(
        &self,
        vpc: &Vpc,
        table: RouteTableId,
        subnets: &[SubnetId],
    ) -> Result<Outcome, UseCaseError> {
        let ask = RouteTableAssociate {
            target: target(vpc, table),
            subnets: subnets.iter().map(|id| (*id).into()).collect(),
        };
        let command = Command::RouteTableAssociate(ask);
        self.execute(vpc.owner.0, command).await
    }

    async fn table_delete(&self, vpc: &Vpc, table: RouteTableId) -> Result<Outcome, UseCaseError> {
        let command = Command::RouteTableDelete(target(vpc, table));
        self.execute(vpc.owner.0, command).await
    }

    fn stored_table(&self, id: RouteTableId) -> RouteTable {
        self.core.catalog().route_table(id).unwrap().clone()
    }

    async fn new_subnet(&self, vpc: &Vpc, cidr: &str) -> SubnetId {
        match self.subnet(vpc, cidr).await.unwrap() {
            Outcome::SubnetsCreated(views) => views[0].subnet.id,
            other => panic!("{other:?}"),
        }
    }

    fn table_of(&self, subnet: SubnetId) -> RouteTableId {
        self.core.catalog().subnet(subnet).unwrap().route_table
    }
}

#[tokio::test]
async fn a_table_is_made_with_routes_that_are_checked_as_any() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(1, SH, "10.2.0.0/16").await;
    let hop = bed.connected(&gz, &sh).await.id.to_string();
    for (routes, expected) in [
        (vec![("10.1.1.0/24", hop.as_str())], "invalid destination"),
        (
            vec![("10.2.0.0/16", "pcx-00000000")],
            "next hop pcx-00000000",
        ),
        (
            vec![("10.2.0.0/16", &hop), ("10.2.0.0/16", &hop)],
            "already has a route",
        ),
    ] {
        let error = domain(bed.table_create(&gz, &routes).await).to_string();
        assert!(error.contains(expected), "{error}");
    }
    let table = bed
        .table_create(&gz, &[("10.2.0.0/16", &hop)])
        .await
        .unwrap();
    assert_eq!(table.kind, RouteTableKind::Ordinary);
    assert_eq!(table.legacy_id.to_string(), "gz_rtb_2");
    assert_eq!(bed.stored_table(table.id), table);
    // The second one is refused where the first is the last that is allowed.
    for _ in 3..=10 {
        bed.table_create(&gz, &[]).await.unwrap();
    }
    let error = domain(bed.table_create(&gz, &[]).await);
    assert_eq!(error, DomainError::RouteTableLimit { limit: 10 });
    // The end of a peering takes its routes out of every table.
    let peering = bed.peering(hop.parse().unwrap()).unwrap();
    bed.delete(&peering).await.unwrap();
    assert_eq!(bed.stored_table(table.id).routes, []);
}

#[tokio::test]
async fn given_routes_take_the_place_of_all_and_none_given_changes_none() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(1, SH, "10.2.0.0/16").await;
    let hop = bed.connected(&gz, &sh).await.id.to_string();
    let two = [("10.2.1.0/24", hop.as_str()), ("10.2.2.0/24", &hop)];
    let id = bed.table_create(&gz, &two).await.unwrap().id;
    bed.table_modify(&gz, id, Some("renamed"), None)
        .await
        .unwrap();
    let table = bed.stored_table(id);
    assert_eq!(
        (table.name.as_str(), table.routes.len()),
        ("renamed", 2),
        "{table:?}"
    );
    let other = [("10.2.3.0/24", hop.as_str())];
    bed.table_modify(&gz, id, None, Some(&other)).await.unwrap();
    let routes = bed.stored_table(id).routes;
    let destinations: Vec<String> = routes.iter().map(|r| r.destination.to_string()).collect();
    assert_eq!(destinations, ["10.2.3.0/24"]);

    let before = bed.stored_table(id);
    let bad = [
        ("10.2.4.0/24", hop.as_str()),
        ("10.2.5.0/24", "pcx-00000000"),
    ];
    domain(bed.table_modify(&gz, id, Some("x"), Some(&bad)).await);
    let long = "x".repeat(61);
    let error = domain(bed.table_modify(&gz, id, Some(&long), None).await);
    assert!(matches!(error, DomainError::RouteTableName(_)), "{error}");
    assert_eq!(bed.stored_table(id), before);
}

#[tokio::test]
async fn subnets_use_the_table_that_they_are_associated_with() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let other = bed.vpc(1, GZ, "10.2.0.0/16").await;
    let one = bed.new_subnet(&gz, "10.1.1.0/24").await;
    let two = bed.new_subnet(&gz, "10.1.2.0/24").await;
    let foreign = bed.new_subnet(&other, "10.2.1.0/24").await;
    let table = bed.table_create(&gz, &[]).await.unwrap().id;
    let default = bed.table(gz.id).id;

    let error = domain(bed.associate(&gz, table, &[one, foreign]).await);
    assert_eq!(error, DomainError::SubnetNotFound(foreign.to_string()));
    assert_eq!(bed.table_of(one), default, "all or none");
    let error = domain(bed.associate(&other, table, &[foreign]).await);
    assert_eq!(error, DomainError::RouteTableNotFound(table.to_string()));

    bed.associate(&gz, table, &[one, two, one]).await.unwrap();
    assert_eq!((bed.table_of(one), bed.table_of(two)), (table, table));
    let revision = bed.core.catalog().revision();
    bed.associate(&gz, table, &[one]).await.unwrap();
    assert_eq!(bed.core.catalog().revision(), revision, "nothing to change");

    let error = domain(bed.table_delete(&gz, table).await);
    assert!(
        matches!(error, DomainError::RouteTableInUse { .. }),
        "{error}"
    );
    bed.associate(&gz, default, &[one, two]).await.unwrap();
    bed.table_delete(&gz, table).await.unwrap();
    assert_eq!(bed.core.catalog().route_table(table), None);
    let error = domain(bed.table_delete(&gz, table).await);
    assert_eq!(error, DomainError::RouteTableNotFound(table.to_string()));
    let error = domain(bed.table_delete(&gz, default).await);
    assert_eq!(error, DomainError::RouteTableIsDefault(default.to_string()));
}

#[tokio::test]
async fn descriptions_of_routes_are_kept_and_bounded() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(1, SH, "10.2.0.0/16").await;
    let hop = bed.connected(&gz, &sh).await.id.to_string();
    let mut ask = bed.route_change(&gz, &[("10.2.0.0/16", &hop)]);
    ask.routes[0].description = Some("x".repeat(61));
    let error = domain(bed.execute(1, Command::RouteCreate(ask.clone())).await);
    assert!(matches!(error, DomainError::RouteDescription(_)), "{error}");
    ask.routes[0].description = Some("to Shanghai".to_owned());
    bed.execute(1, Command::RouteCreate(ask.clone()))
        .await
        .unwrap();
    let table = bed.table(gz.id);
    let description = table.routes[0].description.as_ref().unwrap();
    assert_eq!(description.as_str(), "to Shanghai");
    // Destination and next hop say which route; its description does not.
    ask.routes[0].description = None;
    bed.execute(1, Command::RouteDelete(ask)).await.unwrap();
    assert_eq!(bed.table(gz.id).routes, []);
}

#[tokio::test]
async fn vpcs_and_subnets_are_renamed_by_their_owner() {
    let bed = Bed::new().await;
    let vpc = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let one = bed.new_subnet(&vpc, "10.1.1.0/24").await;
    let two = bed.new_subnet(&vpc, "10.1.2.0/24").await;
    let rename = |caller, name: &str| {
        let target = VpcTarget {
            region: GZ,
            vpc: vpc.id.into(),
        };
        let name = name.to_owned();
        bed.execute(
            caller,
            Command::VpcModify(VpcModify {
                target,
                name: Some(name),
            }),
        )
    };
    rename(1, "new").await.unwrap();
    let catalog = bed.core.catalog();
    assert_eq!(catalog.vpc(vpc.id).unwrap().name.as_str(), "new");
    let error = domain(rename(1, "").await);
    assert!(matches!(error, DomainError::VpcName(_)), "{error}");
    let error = domain(rename(2, "theirs").await);
    assert!(matches!(error, DomainError::VpcNotFound { .. }), "{error}");

    let rename = |subnet: SubnetId, name: &str| {
        let target = SubnetTarget {
            region: GZ,
            vpc: Some(vpc.id.into()),
            subnet: subnet.into(),
        };
        let name = name.to_owned();
        bed.execute(
            1,
            Command::SubnetModify(SubnetModify {
                target,
                name: Some(name),
            }),
        )
    };
    rename(one, "web").await.unwrap();
    rename(one, "web").await.unwrap();
    let error = domain(rename(two, "web").await);
    assert_eq!(error, DomainError::SubnetNameTaken("web".to_owned()));
    rename(two, "data").await.unwrap();
    let catalog = bed.core.catalog();
    assert_eq!(catalog.subnet(two).unwrap().name.as_str(), "data");
}

#[tokio::test]
async fn quotas_are_told_by_kind() {
    let bed = Bed::new().await;
    let query = QuotaQuery {
        region: GZ,
        kinds: vec![
            QuotaKind::Peerings,
            QuotaKind::Vpcs,
            QuotaKind::Nothing(15),
            QuotaKind::Subnets,
            QuotaKind::RouteTables,
            QuotaKind::Routes,
        ],
    };
    let outcome = bed.execute(1, Command::QuotaList(query)).await.unwrap();
    let Outcome::Quotas(quotas) = outcome else {
        panic!("{outcome:?}")
    };
    let limits: Vec<u32> = quotas.iter().map(|(_, limit)| *limit).collect();
    assert_eq!(limits, [10, 5, 0, 10, 10, 50]);
}
