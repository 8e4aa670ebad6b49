//! What goes with a VPC or a subnet, and what keeps it.

use std::collections::BTreeMap;

use model::command::{SubnetTarget, VpcTarget};
use model::{GatewayId, PeeringState, Subnet, World};

use super::*;

impl Bed {
    async fn vpc_delete(&self, vpc: &Vpc) -> Result<Outcome, UseCaseError> {
        let target = VpcTarget {
            region: vpc.region(),
            vpc: vpc.id.into(),
        };
        self.execute(vpc.owner.0, Command::VpcDelete(target)).await
    }

    async fn subnet_delete(&self, vpc: &Vpc, subnet: &Subnet) -> Result<Outcome, UseCaseError> {
        let target = SubnetTarget {
            region: vpc.region(),
            vpc: Some(vpc.id.into()),
            subnet: subnet.id.into(),
        };
        let command = Command::SubnetDelete(target);
        self.execute(vpc.owner.0, command).await
    }

    fn subnets(&self, vpc: &Vpc) -> Vec<Subnet> {
        let catalog = self.core.catalog();
        let subnets = catalog.subnets_of(vpc.id);
        subnets.map(|(subnet, _)| subnet.clone()).collect()
    }

    fn attach(&self, subnet: &Subnet, hosts: u32) {
        let gateway = GatewayId::from_entropy(1);
        let hosts = BTreeMap::from([(subnet.id, hosts)]);
        self.core.hosts().reported(gateway, hosts);
    }
}

#[track_caller]
fn check_in_use(result: Result<Outcome, UseCaseError>, mentions: &str) {
    match domain(result) {
        DomainError::VpcInUse { reason, .. } => assert!(reason.contains(mentions), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_vpc_takes_its_subnets_and_tables_with_it_and_gives_its_place_back() {
    let bed = Bed::new().await;
    let ask = vpc_create(GZ, "10.1.0.0/16", &["10.1.1.0/24", "10.1.2.0/24"]);
    bed.execute(1, Command::VpcCreate(ask)).await.unwrap();
    for number in 2..=5 {
        bed.vpc(1, GZ, &format!("10.{number}.0.0/16")).await;
    }
    let catalog = bed.core.catalog();
    let first = catalog
        .vpcs()
        .find(|vpc| vpc.legacy_id.number == 1)
        .unwrap();
    let (subnets, table) = (bed.subnets(first), bed.table(first.id));
    bed.vpc_delete(first).await.unwrap();

    let catalog = bed.core.catalog();
    assert_eq!(catalog.vpc(first.id), None);
    for subnet in subnets {
        assert_eq!(catalog.subnet(subnet.id), None);
        let legacy = model::SubnetRef::Legacy(subnet.legacy_id);
        assert_eq!(catalog.subnet_by_ref(legacy), None);
    }
    assert_eq!(catalog.route_table(table.id), None);
    let error = domain(bed.vpc_delete(first).await);
    assert!(matches!(error, DomainError::VpcNotFound { .. }), "{error}");
    bed.vpc(1, GZ, "10.6.0.0/16").await;
    let ask = Command::VpcCreate(vpc_create(GZ, "10.7.0.0/16", &[]));
    let error = domain(bed.execute(1, ask).await);
    assert_eq!(error, DomainError::VpcLimit { limit: 5 });
}

#[tokio::test]
async fn numbers_of_what_was_deleted_are_not_given_again_even_after_a_restart() {
    let bed = Bed::new().await;
    let keep = bed.vpc(1, GZ, "10.1.0.0/16").await;
    bed.subnet(&keep, "10.1.1.0/24").await.unwrap();
    let last = bed.vpc(1, GZ, "10.2.0.0/16").await;
    bed.subnet_delete(&keep, &bed.subnets(&keep)[0])
        .await
        .unwrap();
    bed.vpc_delete(&last).await.unwrap();
    let core = open(&bed.store, &bed.clock, Rules::default()).await;
    let bed = Bed { core, ..bed };
    let next = bed.vpc(1, GZ, "10.3.0.0/16").await;
    assert_eq!(next.legacy_id.to_string(), "gz_vpc_3");
    assert_eq!(bed.table(next.id).legacy_id.to_string(), "gz_rtb_3");
    bed.subnet(&next, "10.3.1.0/24").await.unwrap();
    let subnet = &bed.subnets(&next)[0];
    assert_eq!(subnet.legacy_id.to_string(), "gz_subnet_2");
}

#[tokio::test]
async fn open_peerings_and_hosts_keep_a_vpc() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(2, SH, "10.2.0.0/16").await;
    let asked = bed.request(&gz, &sh).await.unwrap();
    check_in_use(bed.vpc_delete(&gz).await, &asked.id.to_string());
    let task = bed.accept(&asked).await.unwrap();
    bed.core.task_succeed(task).await.unwrap();
    for vpc in [&gz, &sh] {
        check_in_use(bed.vpc_delete(vpc).await, &asked.id.to_string());
    }
    bed.delete(&asked).await.unwrap();
    bed.subnet(&gz, "10.1.1.0/24").await.unwrap();
    let subnet = &bed.subnets(&gz)[0];
    bed.attach(subnet, 2);
    check_in_use(bed.vpc_delete(&gz).await, "hosts");
    bed.core.hosts().forget(GatewayId::from_entropy(1));
    for vpc in [&gz, &sh] {
        bed.vpc_delete(vpc).await.unwrap();
        invariants::check(&bed.core.catalog());
    }
    assert_eq!(bed.core.catalog().vpcs().count(), 0);
}

#[tokio::test]
async fn a_strangers_request_keeps_no_vpc_and_is_deleted_with_it() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(2, SH, "10.2.0.0/16").await;
    let asked = bed.request(&gz, &sh).await.unwrap();
    bed.vpc_delete(&sh).await.unwrap();
    assert_eq!(bed.state_name(asked.id), "deleted");
    let seen = bed.peering(asked.id).unwrap();
    assert!(seen.is_visible_to(Uin(1)) && !seen.is_visible_to(Uin(2)));
    invariants::check(&bed.core.catalog());
    bed.act(1, Command::PeeringDelete, GZ, asked.id)
        .await
        .unwrap();
    bed.vpc_delete(&gz).await.unwrap();
    assert_eq!(bed.core.catalog().peerings().count(), 0);
}

#[tokio::test]
async fn peerings_that_have_ended_go_with_the_vpc_that_sees_them() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(2, SH, "10.2.0.0/16").await;
    let asked = bed.request(&gz, &sh).await.unwrap();
    bed.clock.advance(model::peering::REQUEST_LIFETIME);
    bed.core.expire_due().await.unwrap();
    let expired = bed.peering(asked.id).unwrap();
    assert!(matches!(expired.state, PeeringState::Expired { .. }));
    bed.vpc_delete(&sh).await.unwrap();
    // Nobody can revive a request to a VPC that is gone.
    let error = bed.act(1, Command::PeeringEnable, GZ, asked.id).await;
    assert!(matches!(domain(error), DomainError::PeeringState(_)));
    bed.vpc_delete(&gz).await.unwrap();
    assert_eq!(bed.core.catalog().peerings().count(), 0);
    assert_eq!(bed.core.catalog().vnis().count(), 0);
}

#[tokio::test]
async fn a_subnet_goes_when_no_host_is_attached_and_its_block_is_free_again() {
    let bed = Bed::new().await;
    let vpc = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let other = bed.vpc(1, GZ, "10.2.0.0/16").await;
    bed.subnet(&vpc, "10.1.1.0/24").await.unwrap();
    let subnet = bed.subnets(&vpc).remove(0);
    let error = domain(bed.subnet_delete(&other, &subnet).await);
    assert_eq!(error, DomainError::SubnetNotFound(subnet.id.to_string()));
    bed.attach(&subnet, 3);
    let error = domain(bed.subnet_delete(&vpc, &subnet).await);
    let expected = DomainError::SubnetInUse {
        subnet: subnet.id.to_string(),
        hosts: 3,
    };
    assert_eq!(error, expected);
    bed.attach(&subnet, 0);
    bed.subnet_delete(&vpc, &subnet).await.unwrap();
    let error = domain(bed.subnet_delete(&vpc, &subnet).await);
    assert!(matches!(error, DomainError::SubnetNotFound(_)), "{error}");
    bed.subnet(&vpc, "10.1.1.0/24").await.unwrap();
}
