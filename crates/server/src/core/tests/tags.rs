//! Tags: given, found by, changed, seen by their account alone, gone with their resource.

use model::command::{
    Direction, Order, Paging, PeeringQuery, RouteTableCreate, RouteTableFilter, RouteTableQuery,
    SubnetFilter, SubnetQuery, TagModify, TagQuery, TagSpec, VpcFilter, VpcQuery, VpcTarget,
};
use model::tag::TagFilter;
use model::{TagError, Tagged, Tags};

use super::*;

const ALL: Paging = Paging {
    offset: 0,
    limit: 100,
    direction: Direction::Ascending,
};

fn specs(pairs: &[(&str, &str)]) -> Vec<TagSpec> {
    let spec = |(key, value): &(&str, &str)| TagSpec {
        key: (*key).to_owned(),
        value: (*value).to_owned(),
    };
    pairs.iter().map(spec).collect()
}

fn change(region: Region, resource: Tagged, replace: &[(&str, &str)], remove: &[&str]) -> Command {
    Command::TagModify(TagModify {
        region,
        owner: None,
        resource,
        replace: specs(replace),
        remove: remove.iter().map(|key| (*key).to_owned()).collect(),
    })
}

impl Bed {
    async fn tags(&self, caller: u64, region: Region, resource: Tagged) -> Vec<(String, String)> {
        let query = TagQuery {
            region,
            resources: vec![resource],
            paging: ALL,
        };
        match self.execute(caller, Command::TagList(query)).await.unwrap() {
            Outcome::Tags(page) => {
                assert_eq!(page.total, page.items.len() as u64);
                let tags = page.items.into_iter();
                tags.map(|view| (view.key, view.value)).collect()
            }
            other => panic!("{other:?}"),
        }
    }
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

#[tokio::test]
async fn what_is_made_with_tags_is_found_by_them() {
    let bed = Bed::without_dataplane().await;
    let given = [("city", "gz"), ("team", "net")];
    let ask = VpcCreate {
        tags: specs(&given),
        ..vpc_create(GZ, "10.1.0.0/16", &[])
    };
    let made = bed.execute(1, Command::VpcCreate(ask)).await.unwrap();
    let Outcome::VpcCreated { vpc, .. } = made else {
        panic!("{made:?}")
    };
    let plain = bed.vpc(1, GZ, "10.2.0.0/16").await;
    assert!(plain.tags.is_empty());
    let ask = SubnetCreate {
        region: GZ,
        vpc: vpc.id.into(),
        subnets: vec![subnet_spec("10.1.1.0/24"), subnet_spec("10.1.2.0/24")],
        tags: specs(&given),
    };
    bed.execute(1, Command::SubnetCreate(ask)).await.unwrap();
    let ask = RouteTableCreate {
        region: GZ,
        vpc: vpc.id.into(),
        name: "own".to_owned(),
        routes: Vec::new(),
        tags: specs(&given),
    };
    bed.execute(1, Command::RouteTableCreate(ask))
        .await
        .unwrap();

    for (filter, count) in [
        (TagFilter::Keys(vec!["team".to_owned()]), 1),
        (TagFilter::Keys(vec!["x".to_owned()]), 0),
        (
            TagFilter::Values {
                key: "city".to_owned(),
                values: vec!["sh".to_owned(), "gz".to_owned()],
            },
            1,
        ),
        (
            TagFilter::Values {
                key: "city".to_owned(),
                values: vec!["net".to_owned()],
            },
            0,
        ),
    ] {
        let vpcs = VpcQuery {
            region: GZ,
            vpc: None,
            name: None,
            only: Vec::new(),
            filters: vec![VpcFilter::Tags(filter.clone())],
            order: Order::CreateTime,
            paging: ALL,
        };
        let Outcome::Vpcs(vpcs) = bed.execute(1, Command::VpcList(vpcs)).await.unwrap() else {
            panic!("no list")
        };
        assert_eq!(vpcs.total, count, "{filter:?}");
        let subnets = SubnetQuery {
            region: GZ,
            vpc: None,
            subnet: None,
            name: None,
            zones: Vec::new(),
            only: Vec::new(),
            filters: vec![SubnetFilter::Tags(filter.clone())],
            order: Order::CreateTime,
            paging: ALL,
        };
        let Outcome::Subnets(subnets) = bed.execute(1, Command::SubnetList(subnets)).await.unwrap()
        else {
            panic!("no list")
        };
        assert_eq!(subnets.total, 2 * count, "{filter:?}");
        let tables = RouteTableQuery {
            region: GZ,
            vpc: None,
            route_table: None,
            name: None,
            only: Vec::new(),
            filters: vec![RouteTableFilter::Tags(filter.clone())],
            order: Order::CreateTime,
            paging: ALL,
        };
        let command = Command::RouteTableList(tables);
        let Outcome::RouteTables(tables) = bed.execute(1, command).await.unwrap() else {
            panic!("no list")
        };
        assert_eq!(tables.total, count, "{filter:?}");
    }
}

#[tokio::test]
async fn nothing_is_made_with_tags_that_are_not_allowed() {
    let bed = Bed::without_dataplane().await;
    let ask = VpcCreate {
        tags: specs(&[("k", "a"), ("k", "b")]),
        ..vpc_create(GZ, "10.1.0.0/16", &[])
    };
    let refusal = domain(bed.execute(1, Command::VpcCreate(ask)).await);
    let twice = DomainError::Tag(TagError::Duplicate("k".to_owned()));
    assert_eq!(refusal, twice);
    assert_eq!(bed.core.catalog().vpcs().count(), 0);
    let (gz, sh) = (
        bed.vpc(1, GZ, "10.1.0.0/16").await,
        bed.vpc(1, SH, "10.2.0.0/16").await,
    );
    let ask = PeeringCreate {
        tags: specs(&[("qcs:x", "")]),
        ..peering_create(&gz, &sh)
    };
    let refusal = domain(bed.execute(1, Command::PeeringCreate(ask)).await);
    assert!(matches!(refusal, DomainError::Tag(TagError::Reserved(_))));
    assert_eq!(bed.core.catalog().peerings().count(), 0);
}

#[tokio::test]
async fn tags_are_replaced_added_and_taken_away_and_go_with_the_resource() {
    let bed = Bed::without_dataplane().await;
    let vpc = bed.vpc(1, GZ, "10.1.0.0/16").await;
    bed.subnet(&vpc, "10.1.1.0/24").await.unwrap();
    let catalog = bed.core.catalog();
    let subnet = model::World::subnets_of(&*catalog, vpc.id)
        .next()
        .unwrap()
        .0
        .id;
    let all = [
        Tagged::Vpc(vpc.id),
        Tagged::Subnet(subnet),
        Tagged::RouteTable(bed.table(vpc.id).id),
    ];
    for resource in all {
        let modify = async |replace: &[(&str, &str)], remove: &[&str]| {
            bed.execute(1, change(GZ, resource, replace, remove)).await
        };
        modify(&[("a", "1"), ("b", "2")], &[]).await.unwrap();
        modify(&[("b", "3"), ("c", "")], &["a", "unknown"])
            .await
            .unwrap();
        let expected = owned(&[("b", "3"), ("c", "")]);
        assert_eq!(bed.tags(1, GZ, resource).await, expected);
        // Another account, another region and a wrong owner all miss it.
        assert!(bed.tags(2, GZ, resource).await.is_empty());
        assert!(bed.tags(1, SH, resource).await.is_empty());
        let unknown = domain(
            bed.execute(1, change(GZ, unknown_of(resource), &[], &[]))
                .await,
        );
        let stranger = domain(
            bed.execute(2, change(GZ, resource, &[("x", "")], &[]))
                .await,
        );
        assert_eq!(
            std::mem::discriminant(&stranger),
            std::mem::discriminant(&unknown)
        );
        let Command::TagModify(ask) = change(GZ, resource, &[("x", "")], &[]) else {
            panic!("another command")
        };
        let owner = Some(Uin(2));
        let elsewhere = Command::TagModify(TagModify { owner, ..ask });
        assert_eq!(domain(bed.execute(1, elsewhere).await), stranger);
        let both = domain(modify(&[("b", "4")], &["b"]).await);
        let twice = DomainError::Tag(TagError::Duplicate("b".to_owned()));
        assert_eq!(both, twice);
        assert_eq!(bed.tags(1, GZ, resource).await, expected);
    }
    // A new name leaves them as they are.
    let rename = Command::VpcModify(model::command::VpcModify {
        target: VpcTarget {
            region: GZ,
            vpc: vpc.id.into(),
        },
        name: Some("renamed".to_owned()),
    });
    bed.execute(1, rename).await.unwrap();
    assert_eq!(bed.tags(1, GZ, all[0]).await.len(), 2);
    let delete = Command::VpcDelete(VpcTarget {
        region: GZ,
        vpc: vpc.id.into(),
    });
    bed.execute(1, delete).await.unwrap();
    for resource in all {
        assert!(bed.tags(1, GZ, resource).await.is_empty());
    }
}

fn unknown_of(resource: Tagged) -> Tagged {
    match resource {
        Tagged::Vpc(_) => Tagged::Vpc("vpc-00000000".parse().unwrap()),
        Tagged::Subnet(_) => Tagged::Subnet("subnet-00000000".parse().unwrap()),
        Tagged::RouteTable(_) => Tagged::RouteTable("rtb-00000000".parse().unwrap()),
        Tagged::Peering(_) => Tagged::Peering("pcx-00000000".parse().unwrap()),
    }
}

#[tokio::test]
async fn both_accounts_of_a_peering_have_tags_of_their_own() {
    let bed = Bed::without_dataplane().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(2, SH, "10.2.0.0/16").await;
    let ask = PeeringCreate {
        tags: specs(&[("secret", "of one")]),
        ..peering_create(&gz, &sh)
    };
    let task = task_of(bed.execute(1, Command::PeeringCreate(ask)).await.unwrap());
    let peering = bed.peering(bed.task(task).peering).unwrap();
    let resource = Tagged::Peering(peering.id);
    assert!(bed.tags(2, SH, resource).await.is_empty());
    let mark = change(SH, resource, &[("secret", "of two")], &[]);
    bed.execute(2, mark).await.unwrap();
    let seen = async |caller, region| {
        let query = PeeringQuery {
            region,
            vpc: None,
            peering: None,
            name: None,
            state: None,
            network: None,
            filters: Vec::new(),
            order: Order::CreateTime,
            paging: ALL,
        };
        let command = Command::PeeringList(query);
        let Outcome::Peerings(page) = bed.execute(caller, command).await.unwrap() else {
            panic!("no list")
        };
        let view = &page.items[0];
        view.peering.tags_of(view.viewer).clone()
    };
    let one = Tags::new([("secret", "of one")]).unwrap();
    let two = Tags::new([("secret", "of two")]).unwrap();
    assert_eq!((seen(1, GZ).await, seen(2, SH).await), (one, two.clone()));
    // Everything else about the peering leaves them alone, until their account is done with it.
    bed.accept(&peering).await.unwrap();
    bed.delete(&peering).await.unwrap();
    assert_eq!(bed.state_name(peering.id), "deleted");
    assert!(bed.peering(peering.id).unwrap().requester_tags.is_empty());
    assert!(bed.tags(1, GZ, resource).await.is_empty());
    assert_eq!(seen(2, SH).await, two);
}

#[tokio::test]
async fn two_changes_of_tags_that_meet_both_count() {
    let bed = Bed::without_dataplane().await;
    let vpc = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let resource = Tagged::Vpc(vpc.id);
    let keys: Vec<String> = (0..20).map(|n| format!("k{n:02}")).collect();
    let changes = keys
        .iter()
        .map(|key| bed.execute(1, change(GZ, resource, &[(key.as_str(), "")], &[])));
    for done in futures::future::join_all(changes).await {
        done.unwrap();
    }
    let tags = bed.tags(1, GZ, resource).await;
    let found: Vec<String> = tags.into_iter().map(|(key, _)| key).collect();
    assert_eq!(found, keys);
}
