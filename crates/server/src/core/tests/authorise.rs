//! Keys, sub-accounts, and what their policies are asked.

use std::time::Duration;

use model::command::{
    Paging, PeeringModify, PeeringQuery, QuotaKind, QuotaQuery, RouteTableAssociate,
    RouteTableCreate, RouteTableModify, RouteTableQuery, RouteTableTarget, SubnetModify,
    SubnetQuery, SubnetTarget, VpcModify, VpcQuery, VpcTarget,
};
use model::policy::{Condition, Effect, Statement};
use model::{Access, KeyStatus, Policy, Principal, SubnetId, SubnetRef, World};

use super::super::{
    AccountCreate, Caller, KeyCreate, LONGEST_GRACE, NotAuthorised, SubAccountCreate,
};
use super::*;
use crate::error::OperatorError;

const OWNER: u64 = 1;
const SUB: u64 = 100;

/// A bed with two accounts, and a sub-account of the first that may do nothing.
struct Rights {
    bed: Bed,
    own: Vpc,
    far: Vpc,
    foreign: Vpc,
}

impl Rights {
    async fn new() -> Rights {
        let bed = Bed::without_dataplane().await;
        for uin in [OWNER, 2] {
            let ask = AccountCreate {
                uin: Some(Uin(uin)),
                app_id: None,
                name: "test".to_owned(),
            };
            bed.core.account_create(ask).await.unwrap();
        }
        let ask = SubAccountCreate {
            owner: Uin(OWNER),
            uin: Some(Uin(SUB)),
            name: "test".to_owned(),
            policy: Policy::default(),
        };
        bed.core.sub_account_create(ask).await.unwrap();
        Rights {
            own: bed.vpc(OWNER, GZ, "10.1.0.0/16").await,
            far: bed.vpc(OWNER, SH, "10.2.0.0/16").await,
            foreign: bed.vpc(2, SH, "10.3.0.0/16").await,
            bed,
        }
    }

    async fn allow(&self, resources: &[&str], conditions: &[(&str, &str, &str)]) {
        let condition = |(operator, key, value): &(&str, &str, &str)| {
            let (operator, key) = (operator.parse().unwrap(), key.parse().unwrap());
            Condition::new(operator, key, vec![(*value).to_owned()]).unwrap()
        };
        let statement = Statement {
            effect: Effect::Allow,
            actions: vec!["*".parse().unwrap()],
            resources: resources.iter().map(|text| text.parse().unwrap()).collect(),
            conditions: conditions.iter().map(condition).collect(),
        };
        let statements = vec![statement];
        let set = self.bed.core.policy_set(Uin(SUB), Policy { statements });
        set.await.unwrap();
    }

    /// The resources that a command is refused on; none when it is permitted.
    fn refused(&self, command: &Command) -> Vec<String> {
        let caller = caller(Principal::SubAccount(Uin(SUB)), Access::Full);
        match self.bed.core.authorise(&caller, "Action", command) {
            Ok(()) => Vec::new(),
            Err(NotAuthorised::Resources { action, refused }) => {
                assert_eq!(action, "name/vpc:Action");
                refused.iter().map(ToString::to_string).collect()
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    /// Checks on which resources a command is refused when nothing that exists is permitted.
    #[track_caller]
    fn check(&self, command: &Command, expected: &[String]) {
        assert_eq!(self.refused(command), expected, "{command:?}");
    }
}

fn caller(principal: Principal, access: Access) -> Caller {
    Caller {
        account: Uin(OWNER),
        principal,
        access,
        secret_id: "AKIDtest".to_owned(),
    }
}

fn paging() -> Paging {
    Paging {
        offset: 0,
        limit: 20,
        direction: model::command::Direction::Descending,
    }
}

fn lists() -> Vec<Command> {
    let (region, order) = (GZ, model::command::Order::CreateTime);
    vec![
        Command::VpcList(VpcQuery {
            region,
            vpc: None,
            name: None,
            only: Vec::new(),
            filters: Vec::new(),
            order,
            paging: paging(),
        }),
        Command::SubnetList(SubnetQuery {
            region,
            vpc: None,
            subnet: None,
            name: None,
            zones: Vec::new(),
            only: Vec::new(),
            filters: Vec::new(),
            order,
            paging: paging(),
        }),
        Command::RouteTableList(RouteTableQuery {
            region,
            vpc: None,
            route_table: None,
            name: None,
            only: Vec::new(),
            filters: Vec::new(),
            order,
            paging: paging(),
        }),
        Command::PeeringList(PeeringQuery {
            region,
            vpc: None,
            peering: None,
            name: None,
            state: None,
            network: None,
            filters: Vec::new(),
            order,
            paging: paging(),
        }),
        Command::VpcListAll(region),
        Command::QuotaList(QuotaQuery {
            region,
            kinds: vec![QuotaKind::Vpcs],
        }),
    ]
}

fn named(region: &str, name: &str) -> String {
    format!("qcs::vpc:{region}:uin/1:{name}")
}

#[tokio::test]
async fn commands_are_checked_on_the_resources_that_they_name() {
    let rights = Rights::new().await;
    // Permitted on something that nothing here is.
    rights.allow(&["qcs::vpc:::moon/*"], &[]).await;
    for list in lists() {
        rights.check(&list, &[named("gz", "*")]);
    }
    rights.check(&Command::TaskResult(TaskId(1)), &[named("", "*")]);
    let (own, far) = (&rights.own, &rights.far);
    let vpc = named("gz", &format!("vpc/{}", own.id));
    let any_pcx = named("gz", "pcx/*");

    let command = Command::VpcCreate(vpc_create(GZ, "10.9.0.0/16", &[]));
    rights.check(&command, &[named("gz", "vpc/*")]);
    let command = Command::SubnetCreate(SubnetCreate {
        tags: Vec::new(),
        region: GZ,
        vpc: own.legacy_id.to_string().parse().unwrap(),
        subnets: vec![subnet_spec("10.1.1.0/24")],
    });
    rights.check(&command, &[vpc.clone(), named("gz", "subnet/*")]);
    let change = rights
        .bed
        .route_change(own, &[("10.2.0.0/16", "pcx-aaaaaaaa")]);
    let table = named("gz", &format!("rtb/{}", change.route_table));
    rights.check(
        &Command::RouteCreate(change.clone()),
        &[vpc.clone(), table.clone()],
    );
    rights.check(&Command::RouteDelete(change), &[vpc.clone(), table]);
    let command = Command::PeeringCreate(peering_create(own, far));
    rights.check(&command, &[vpc.clone(), any_pcx]);
}

#[tokio::test]
async fn network_actions_are_checked_on_the_vpc_and_on_what_they_change() {
    let rights = Rights::new().await;
    rights.allow(&["qcs::vpc:::moon/*"], &[]).await;
    let own = &rights.own;
    rights.bed.subnet(own, "10.1.1.0/24").await.unwrap();
    let catalog = rights.bed.core.catalog();
    let subnet = catalog.subnets_of(own.id).next().unwrap().0.clone();
    let table = rights.bed.table(own.id).id;
    let vpc = named("gz", &format!("vpc/{}", own.id));
    let on_vpc = VpcTarget {
        region: GZ,
        vpc: model::VpcRef::Legacy(own.legacy_id),
    };
    let on_subnet = SubnetTarget {
        region: GZ,
        vpc: Some(own.id.into()),
        subnet: SubnetRef::Legacy(subnet.legacy_id),
    };
    let on_table = RouteTableTarget {
        region: GZ,
        vpc: Some(own.id.into()),
        route_table: table.into(),
    };
    let name = || "new".to_owned();
    for command in [
        Command::VpcDelete(on_vpc),
        Command::VpcGet(on_vpc),
        Command::VpcModify(VpcModify {
            target: on_vpc,
            name: Some(name()),
        }),
    ] {
        rights.check(&command, std::slice::from_ref(&vpc));
    }
    let both = [vpc.clone(), named("gz", &format!("subnet/{}", subnet.id))];
    for command in [
        Command::SubnetDelete(on_subnet),
        Command::SubnetGet(on_subnet),
        Command::SubnetModify(SubnetModify {
            target: on_subnet,
            name: Some(name()),
        }),
    ] {
        rights.check(&command, &both);
    }
    let on_both = [vpc.clone(), named("gz", &format!("rtb/{table}"))];
    for command in [
        Command::RouteTableDelete(on_table),
        Command::RouteTableModify(RouteTableModify {
            target: on_table,
            name: Some(name()),
            routes: None,
        }),
    ] {
        rights.check(&command, &on_both);
    }
    let command = Command::RouteTableAssociate(RouteTableAssociate {
        target: on_table,
        subnets: vec![
            subnet.id.into(),
            SubnetRef::Unified(SubnetId::from_entropy(7)),
        ],
    });
    let unknown = format!("subnet/{}", SubnetId::from_entropy(7));
    let [vpc, on_table] = on_both;
    let all = [
        vpc.clone(),
        on_table,
        both[1].clone(),
        named("gz", &unknown),
    ];
    rights.check(&command, &all);
    let command = Command::RouteTableCreate(RouteTableCreate {
        tags: Vec::new(),
        region: GZ,
        vpc: own.id.into(),
        name: name(),
        routes: Vec::new(),
    });
    rights.check(&command, &[vpc, named("gz", "rtb/*")]);
}

#[tokio::test]
async fn actions_on_a_peering_are_checked_on_it_and_on_the_own_vpc() {
    let rights = Rights::new().await;
    rights.allow(&["qcs::vpc:::moon/*"], &[]).await;
    let (own, far, foreign) = (&rights.own, &rights.far, &rights.foreign);
    let vpc = named("gz", &format!("vpc/{}", own.id));
    let asked = rights.bed.request(own, foreign).await.unwrap().id;
    let asking = rights.bed.request(foreign, own).await;
    assert!(asking.is_err(), "one peering of a pair");
    let both = rights.bed.request(own, far).await.unwrap().id;
    let action = |peering, region| PeeringAction {
        region,
        peering,
        reach: Reach::Any,
        reply: Reply::Task,
    };
    let modify = |peering| {
        Command::PeeringModify(PeeringModify {
            region: GZ,
            peering,
            reach: Reach::Any,
            reply: Reply::Task,
            name: Some("x".to_owned()),
            bandwidth: None,
            charge_type: None,
        })
    };
    let pcx = |id: PeeringConnectionId, region| named(region, &format!("pcx/{id}"));
    // Also where the account is the other side: the answer to that is the use case's.
    for command in [
        Command::PeeringAccept,
        Command::PeeringReject,
        Command::PeeringEnable,
    ] {
        rights.check(
            &command(action(asked, GZ)),
            &[vpc.clone(), pcx(asked, "gz")],
        );
    }
    rights.check(&modify(asked), &[vpc.clone(), pcx(asked, "gz")]);
    rights.check(
        &Command::PeeringDelete(action(asked, GZ)),
        &[pcx(asked, "gz")],
    );
    // With both ends the side is the one that the action belongs to.
    let far_vpc = named("sh", &format!("vpc/{}", far.id));
    let accept = Command::PeeringAccept(action(both, SH));
    rights.check(&accept, &[far_vpc, pcx(both, "sh")]);
    rights.check(&modify(both), &[vpc, pcx(both, "gz")]);
}

#[tokio::test]
async fn what_does_not_exist_is_checked_by_what_was_named() {
    let rights = Rights::new().await;
    rights.allow(&["qcs::vpc:::moon/*"], &[]).await;
    let unknown: PeeringConnectionId = "pcx-zzzzzzzz".parse().unwrap();
    let hidden = {
        let third = rights.bed.vpc(3, GZ, "10.4.0.0/16").await;
        rights
            .bed
            .request(&third, &rights.foreign)
            .await
            .unwrap()
            .id
    };
    for id in [unknown, hidden] {
        let ask = PeeringAction {
            region: GZ,
            peering: id,
            reach: Reach::Any,
            reply: Reply::Task,
        };
        let only = named("gz", &format!("pcx/{id}"));
        rights.check(&Command::PeeringAccept(ask), std::slice::from_ref(&only));
        rights.check(&Command::PeeringDelete(ask), &[only]);
    }
    // The unified id of a foreign VPC is not told, nor that of an own one in another region.
    for (region, vpc) in [
        (SH, rights.foreign.legacy_id.to_string()),
        (GZ, rights.far.legacy_id.to_string()),
        (GZ, "gz_vpc_999".to_owned()),
        (GZ, "vpc-zzzzzzzz".to_owned()),
    ] {
        let command = Command::SubnetCreate(SubnetCreate {
            tags: Vec::new(),
            region,
            vpc: vpc.parse().unwrap(),
            subnets: vec![subnet_spec("10.1.1.0/24")],
        });
        let expected = [
            named(region.short(), &format!("vpc/{vpc}")),
            named(region.short(), "subnet/*"),
        ];
        rights.check(&command, &expected);
    }
    // Whoever is permitted learns it from the use case, as the owner does.
    rights
        .allow(&["qcs::vpc:::pcx/*", "qcs::vpc:::vpc/*"], &[])
        .await;
    let ask = PeeringAction {
        region: GZ,
        peering: unknown,
        reach: Reach::Any,
        reply: Reply::Task,
    };
    assert_eq!(rights.refused(&Command::PeeringAccept(ask)), [""; 0]);
}

#[tokio::test]
async fn both_ids_of_an_own_vpc_stand_for_it() {
    let rights = Rights::new().await;
    let by = |vpc: &str| {
        let mut ask = peering_create(&rights.own, &rights.far);
        ask.vpc = vpc.parse().unwrap();
        Command::PeeringCreate(ask)
    };
    let (unified, legacy) = (rights.own.id.to_string(), rights.own.legacy_id.to_string());
    for permitted in [&unified, &legacy] {
        let vpc = format!("qcs::vpc:gz::vpc/{permitted}");
        rights.allow(&[&vpc, "qcs::vpc:::pcx/*"], &[]).await;
        for given in [&unified, &legacy] {
            assert_eq!(rights.refused(&by(given)), [""; 0], "{permitted} {given}");
        }
    }
}

#[tokio::test]
async fn conditions_see_both_sides_of_a_peering() {
    let rights = Rights::new().await;
    let (own, far, foreign) = (&rights.own, &rights.far, &rights.foreign);
    let create = |to: &Vpc| Command::PeeringCreate(peering_create(own, to));
    let pcx = rights.bed.request(own, foreign).await.unwrap().id;
    let ask = PeeringAction {
        region: GZ,
        peering: pcx,
        reach: Reach::Any,
        reply: Reply::Task,
    };
    let (accepter, requester) = ("vpc:accepter_vpc", "vpc:requester_vpc");
    let (foreign_id, own_id) = (foreign.id.to_string(), own.legacy_id.to_string());
    for (key, value, to_far, to_foreign, on_peering) in [
        (accepter, foreign_id.as_str(), false, true, true),
        (accepter, &foreign.legacy_id.to_string(), false, true, true),
        (accepter, &far.id.to_string(), true, false, false),
        (requester, &own_id, true, true, true),
        (requester, &foreign_id, false, false, false),
        ("vpc:accepter_vpc_region", "ap-shanghai", true, true, true),
        ("vpc:requester_vpc_region", "gz", true, true, true),
        ("vpc:requester_vpc_region", "sh", false, false, false),
        ("vpc:region", "gz", true, true, true),
        ("vpc:region", "bj", false, false, false),
        ("vpc:vpc", &own_id, true, true, true),
    ] {
        rights.allow(&["*"], &[("string_equal", key, value)]).await;
        let is_permitted = |command: &Command| rights.refused(command).is_empty();
        assert_eq!(is_permitted(&create(far)), to_far, "{key} {value}");
        assert_eq!(is_permitted(&create(foreign)), to_foreign, "{key} {value}");
        let accept = Command::PeeringAccept(ask);
        assert_eq!(is_permitted(&accept), on_peering, "{key} {value}");
    }
}

#[tokio::test]
async fn read_only_keys_read() {
    let rights = Rights::new().await;
    let create = Command::VpcCreate(vpc_create(GZ, "10.9.0.0/16", &[]));
    let core = &rights.bed.core;
    let own = |access| caller(Principal::Account, access);
    assert_eq!(
        core.authorise(&own(Access::Full), "CreateVpc", &create),
        Ok(())
    );
    for list in lists() {
        assert_eq!(
            core.authorise(&own(Access::ReadOnly), "Describe", &list),
            Ok(())
        );
    }
    let refused = core.authorise(&own(Access::ReadOnly), "CreateVpc", &create);
    let action = "name/vpc:CreateVpc".to_owned();
    assert_eq!(refused, Err(NotAuthorised::ReadOnly { action }));
    // A policy that permits everything does not lift it.
    rights.allow(&["*"], &[]).await;
    let sub = caller(Principal::SubAccount(Uin(SUB)), Access::ReadOnly);
    assert!(core.authorise(&sub, "CreateVpc", &create).is_err());
}

#[tokio::test]
async fn a_sub_account_without_policy_or_record_may_do_nothing() {
    let rights = Rights::new().await;
    let list = &lists()[0];
    let core = &rights.bed.core;
    for sub in [SUB, 101] {
        let caller = caller(Principal::SubAccount(Uin(sub)), Access::Full);
        let refused = core.authorise(&caller, "DescribeVpcEx", list);
        assert!(
            matches!(refused, Err(NotAuthorised::Action { .. })),
            "{refused:?}"
        );
    }
    // One of another account is none.
    rights.allow(&["*"], &[]).await;
    let stranger = Caller {
        account: Uin(2),
        ..caller(Principal::SubAccount(Uin(SUB)), Access::Full)
    };
    assert!(core.authorise(&stranger, "DescribeVpcEx", list).is_err());
}

fn refused<T: std::fmt::Debug>(result: Result<T, UseCaseError>) -> OperatorError {
    match result {
        Err(UseCaseError::Operator(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn numbers_of_accounts_and_sub_accounts_are_one_space() {
    let rights = Rights::new().await;
    let core = &rights.bed.core;
    let sub = |owner, uin| SubAccountCreate {
        owner: Uin(owner),
        uin,
        name: "test".to_owned(),
        policy: Policy::default(),
    };
    for (owner, uin) in [
        (OWNER, OWNER),
        (OWNER, 2),
        (OWNER, SUB),
        (2, SUB),
        (9, 7),
        (1, 0),
    ] {
        let made = core.sub_account_create(sub(owner, Some(Uin(uin)))).await;
        refused(made);
    }
    let ask = AccountCreate {
        uin: Some(Uin(SUB)),
        app_id: None,
        name: "test".to_owned(),
    };
    let taken = refused(core.account_create(ask).await);
    assert!(
        matches!(taken, OperatorError::SubAccountExists(_)),
        "{taken}"
    );
    let drawn = core.sub_account_create(sub(OWNER, None)).await.unwrap();
    assert_eq!(drawn.uin.to_string().len(), 12);
}

#[tokio::test]
async fn a_sub_account_goes_with_its_keys() {
    let rights = Rights::new().await;
    let core = &rights.bed.core;
    let key = |owner, sub| KeyCreate {
        principal: Principal::SubAccount(Uin(sub)),
        ..KeyCreate::of_account(Uin(owner))
    };
    let first = core.key_create(key(OWNER, SUB)).await.unwrap();
    let own = core
        .key_create(KeyCreate::of_account(Uin(OWNER)))
        .await
        .unwrap();
    for (owner, sub) in [(2, SUB), (OWNER, 101), (OWNER, OWNER)] {
        let error = refused(core.key_create(key(owner, sub)).await);
        assert!(
            matches!(error, OperatorError::SubAccountNotFound(_)),
            "{error}"
        );
    }
    core.sub_account_delete(Uin(SUB)).await.unwrap();
    let catalog = core.catalog();
    assert!(catalog.sub_account(Uin(SUB)).is_none());
    assert!(catalog.key(&first.secret_id).is_none());
    assert!(catalog.key(&own.secret_id).is_some());
    refused(core.sub_account_delete(Uin(SUB)).await);
    refused(core.policy_set(Uin(SUB), Policy::default()).await);
}

#[tokio::test]
async fn no_key_is_made_beside_the_deletion_of_its_sub_account() {
    for _ in 0..20 {
        let rights = Rights::new().await;
        let core = &rights.bed.core;
        let ask = KeyCreate {
            principal: Principal::SubAccount(Uin(SUB)),
            ..KeyCreate::of_account(Uin(OWNER))
        };
        let (made, deleted) = tokio::join!(core.key_create(ask), core.sub_account_delete(Uin(SUB)));
        deleted.unwrap();
        let left = core.catalog().keys().count();
        assert_eq!(left, 0, "{made:?}");
    }
}

#[tokio::test]
async fn a_rotated_key_has_the_same_rights_and_the_old_one_ends() {
    let rights = Rights::new().await;
    let (core, clock) = (&rights.bed.core, &rights.bed.clock);
    let ask = KeyCreate {
        principal: Principal::SubAccount(Uin(SUB)),
        access: Access::ReadOnly,
        ..KeyCreate::of_account(Uin(OWNER))
    };
    let first = core.key_create(ask).await.unwrap().secret_id;
    let hour = Duration::from_secs(3600);
    let second = core.key_rotate(&first, hour).await.unwrap().secret_id;
    let usable = |secret_id: &str| {
        let catalog = core.catalog();
        let key = catalog.key(secret_id).unwrap();
        assert_eq!(key.principal, Principal::SubAccount(Uin(SUB)));
        assert_eq!(key.access, Access::ReadOnly);
        key.is_usable(crate::clock::Clock::now(&**clock))
    };
    assert!(usable(&first) && usable(&second));
    // Rotating it again does not give it more time.
    let third = core.key_rotate(&first, 2 * hour).await.unwrap().secret_id;
    clock.advance(hour);
    assert!(!usable(&first) && usable(&second) && usable(&third));

    let fourth = core
        .key_rotate(&second, Duration::ZERO)
        .await
        .unwrap()
        .secret_id;
    assert!(!usable(&second) && usable(&fourth));
    for gone in [&first, &second] {
        let error = refused(core.key_rotate(gone, Duration::ZERO).await);
        assert!(matches!(error, OperatorError::KeyUnusable(_)), "{error}");
    }
    core.key_set_status(&first, KeyStatus::Enabled)
        .await
        .unwrap();
    assert!(usable(&first));
    let too_long = LONGEST_GRACE + Duration::from_secs(1);
    refused(core.key_rotate(&first, too_long).await);
    refused(core.key_rotate("AKIDnobody", hour).await);
    refused(core.key_delete("AKIDnobody").await);
}

#[tokio::test]
async fn the_operator_takes_a_peering_from_both_accounts() {
    let rights = Rights::new().await;
    let (bed, own, foreign) = (&rights.bed, &rights.own, &rights.foreign);
    let peering = bed.connected(own, foreign).await;
    bed.route(own, "10.3.0.0/16", &peering.id.to_string())
        .await
        .unwrap();
    let task = bed.core.peering_remove(peering.id).await.unwrap();
    assert!(matches!(bed.task(task).state, TaskState::Succeeded { .. }));
    assert!(bed.peering(peering.id).is_none());
    assert!(bed.table(own.id).routes.is_empty());
    let error = refused(bed.core.peering_remove(peering.id).await);
    assert!(
        matches!(error, OperatorError::PeeringNotFound(_)),
        "{error}"
    );
    // The pair is free again, and what one account has deleted can be taken from the other.
    let again = bed.connected(own, foreign).await;
    bed.delete(&again).await.unwrap();
    assert_eq!(bed.state_name(again.id), "deleted");
    bed.core.peering_remove(again.id).await.unwrap();
    assert_eq!(bed.state_name(again.id), "gone");
}

#[tokio::test]
async fn the_operator_waits_for_a_running_task_and_for_the_gateways() {
    let bed = Bed::new().await;
    let (gz, sh) = (bed.gateway(GZ, 1).await, bed.gateway(SH, 2).await);
    let (one, other) = (
        bed.vpc(1, GZ, "10.1.0.0/16").await,
        bed.vpc(1, SH, "10.2.0.0/16").await,
    );
    let peering = bed.request(&one, &other).await.unwrap();
    let running = peering.task.unwrap();
    let error = refused(bed.core.peering_remove(peering.id).await);
    assert!(
        matches!(error, OperatorError::PeeringLocked { task, .. } if task == running),
        "{error}"
    );
    bed.core.task_succeed(running).await.unwrap();
    let task = bed.core.peering_remove(peering.id).await.unwrap();
    assert!(bed.task(task).is_running());
    assert!(bed.peering(peering.id).is_none());
    for gateway in [gz, sh] {
        bed.core
            .tombstone_confirm(peering.id, gateway.id)
            .await
            .unwrap();
    }
    assert!(matches!(bed.task(task).state, TaskState::Succeeded { .. }));
    assert!(bed.core.catalog().vni(peering.vni).is_none());
}
