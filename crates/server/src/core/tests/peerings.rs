//! The life of a peering through the use cases.

use std::time::Duration;

use model::admission::{OverlapScope, Refusal};
use model::command::PeeringModify;
use model::peering::{PeeringEvent, REQUEST_LIFETIME, TransitionError};
use model::{PeeringState, VpcRef};

use super::*;

#[tokio::test]
async fn a_peering_of_one_account_is_active_while_its_task_runs() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(1, SH, "10.2.0.0/16").await;
    let peering = bed.request(&gz, &sh).await.unwrap();

    assert_eq!(peering.state, PeeringState::Active { since: START });
    let task = bed.task(peering.task.unwrap());
    assert_eq!((task.kind, task.owner), (TaskKind::Create, Uin(1)));
    assert_eq!(task.state, TaskState::Running);
    assert_eq!(task.deadline, START.after(Duration::from_secs(60)));
    invariants::check(&bed.core.catalog());
}

#[tokio::test]
async fn a_peering_of_two_accounts_waits_and_its_task_has_ended() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(2, SH, "10.2.0.0/16").await;
    let outcome = bed
        .execute(1, Command::PeeringCreate(peering_create(&gz, &sh)))
        .await;
    let task = bed.task(task_of(outcome.unwrap()));

    assert_eq!(task.state, TaskState::Succeeded { at: START });
    let peering = bed.peering(task.peering).unwrap();
    let expires_at = START.after(REQUEST_LIFETIME);
    assert_eq!(peering.state, PeeringState::Pending { expires_at });
    assert_eq!(peering.task, None);
}

#[tokio::test]
async fn both_regions_may_be_the_same_and_legacy_ids_serve_as_well() {
    let bed = Bed::new().await;
    let one = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let other = bed.vpc(1, GZ, "10.2.0.0/16").await;
    let mut ask = peering_create(&one, &other);
    ask.vpc = VpcRef::Legacy(one.legacy_id);
    ask.peer_vpc = VpcRef::Legacy(other.legacy_id);
    let task = task_of(bed.execute(1, Command::PeeringCreate(ask)).await.unwrap());
    let peering = bed.peering(bed.task(task).peering).unwrap();
    assert!(!peering.is_cross_region());
    assert_eq!(
        (peering.requester.vpc, peering.accepter.vpc),
        (one.id, other.id)
    );
}

#[tokio::test]
async fn unknown_foreign_and_misplaced_vpcs_answer_alike() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(2, SH, "10.2.0.0/16").await;
    let good = peering_create(&gz, &sh);
    let unknown = VpcRef::Unified(VpcId::from_entropy(1));
    let variants: [(u64, PeeringCreate, &str); 6] = [
        (
            1,
            PeeringCreate {
                region: SH,
                ..good.clone()
            },
            "requester",
        ),
        (
            1,
            PeeringCreate {
                vpc: unknown,
                ..good.clone()
            },
            "unknown",
        ),
        (3, good.clone(), "requester"),
        (
            1,
            PeeringCreate {
                peer_region: GZ,
                ..good.clone()
            },
            "accepter",
        ),
        (
            1,
            PeeringCreate {
                peer_vpc: unknown,
                ..good.clone()
            },
            "unknown",
        ),
        (
            1,
            PeeringCreate {
                peer_uin: Uin(3),
                ..good.clone()
            },
            "accepter",
        ),
    ];
    for (caller, ask, which) in variants {
        let at_requester = ask.region != GZ || caller != 1 || ask.vpc == unknown;
        let region = if at_requester {
            ask.region
        } else {
            ask.peer_region
        };
        let vpc = match which {
            "requester" => gz.id.to_string(),
            "accepter" => sh.id.to_string(),
            _ => unknown.to_string(),
        };
        let expected = DomainError::VpcNotFound {
            vpc,
            region: region.to_string(),
        };
        let result = bed.execute(caller, Command::PeeringCreate(ask)).await;
        assert_eq!(domain(result), expected);
    }
    assert_eq!(bed.core.catalog().peerings().count(), 0);
}

#[tokio::test]
async fn a_name_is_checked_before_anything_else() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    for name in [String::new(), "x".repeat(61)] {
        let ask = PeeringCreate {
            name,
            ..peering_create(&gz, &gz)
        };
        let result = bed.execute(1, Command::PeeringCreate(ask)).await;
        assert!(matches!(domain(result), DomainError::PeeringName(_)));
    }
}

#[tokio::test]
async fn a_vpc_is_not_peered_with_itself_nor_twice_with_another() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(2, SH, "10.2.0.0/16").await;
    let itself = domain(bed.request(&gz, &gz).await);
    assert!(matches!(
        itself,
        DomainError::Admission(Refusal::EndsOverlap { .. })
    ));

    let existing = bed.request(&gz, &sh).await.unwrap().id;
    let expected = DomainError::Admission(Refusal::PairExists { existing });
    assert_eq!(domain(bed.request(&gz, &sh).await), expected);
    assert_eq!(domain(bed.request(&sh, &gz).await), expected);
}

#[tokio::test]
async fn overlapping_peers_are_refused_across_regions_and_elsewhere_on_request() {
    for (overlap, is_refused) in [
        (OverlapScope::CrossRegion, false),
        (OverlapScope::AllPeerings, true),
    ] {
        let bed = Bed::with(Rules {
            overlap,
            ..Rules::default()
        })
        .await;
        let hub = bed.vpc(1, GZ, "10.1.0.0/16").await;
        let sh = bed.vpc(1, SH, "10.2.0.0/16").await;
        let far_twin = bed.vpc(1, BJ, "10.2.128.0/17").await;
        let near_twin = bed.vpc(1, GZ, "10.2.0.0/24").await;
        let first = bed.request(&hub, &sh).await.unwrap();
        let refusal = |cidr: &str| {
            DomainError::Admission(Refusal::PeersOverlap {
                vpc: hub.id,
                cidr: cidr.parse().unwrap(),
                other_cidr: sh.cidr,
                existing: first.id,
            })
        };
        assert_eq!(
            domain(bed.request(&hub, &far_twin).await),
            refusal("10.2.128.0/17")
        );
        assert_eq!(
            domain(bed.request(&far_twin, &hub).await),
            refusal("10.2.128.0/17")
        );
        let near = bed.request(&hub, &near_twin).await;
        if is_refused {
            assert_eq!(domain(near), refusal("10.2.0.0/24"));
        } else {
            near.unwrap();
        }
        invariants::check(&bed.core.catalog());
    }
}

#[tokio::test]
async fn a_vpc_has_ten_standing_peerings_and_twenty_five_requests_of_others() {
    let bed = Bed::without_dataplane().await;
    let hub = bed.vpc(1, GZ, "10.0.0.0/16").await;
    let mut others = Vec::new();
    for number in 1..=26 {
        others.push(
            bed.vpc(100 + number, SH, &format!("10.{number}.0.0/16"))
                .await,
        );
    }
    for other in &others[..25] {
        bed.request(other, &hub).await.unwrap();
    }
    let full = domain(bed.request(&others[25], &hub).await);
    assert_eq!(
        full,
        DomainError::Admission(Refusal::InboxFull { vpc: hub.id })
    );

    let pending: Vec<_> = bed.core.catalog().peerings().cloned().collect();
    for peering in &pending[..10] {
        bed.accept(peering).await.unwrap();
    }
    let limit = DomainError::Admission(Refusal::Limit {
        vpc: hub.id,
        limit: 10,
    });
    assert_eq!(domain(bed.accept(&pending[10]).await), limit);
    assert_eq!(domain(bed.request(&hub, &others[25]).await), limit);
    bed.request(&others[25], &hub).await.unwrap();
    invariants::check(&bed.core.catalog());
}

#[tokio::test]
async fn accepting_connects_and_needs_the_accepter_in_its_region() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(2, SH, "10.2.0.0/16").await;
    let peering = bed.request(&gz, &sh).await.unwrap();
    let accept = |caller, region| bed.act(caller, Command::PeeringAccept, region, peering.id);

    let not_found = DomainError::PeeringNotFound(peering.id.to_string());
    assert_eq!(domain(accept(3, SH).await), not_found);
    assert_eq!(domain(accept(2, GZ).await), not_found);
    assert_eq!(domain(accept(1, SH).await), not_found);
    let wrong_role = DomainError::PeeringState(TransitionError::WrongRole {
        allowed: Side::Accepter,
        event: PeeringEvent::Accept,
    });
    assert_eq!(domain(accept(1, GZ).await), wrong_role);

    bed.clock.advance(Duration::from_secs(5));
    let task = bed.task(accept(2, SH).await.unwrap());
    let PeeringState::Pending { expires_at } = peering.state else {
        panic!("{:?}", peering.state)
    };
    assert_eq!(task.kind, TaskKind::Accept { expires_at });
    assert!(task.is_running());
    let accepted = bed.peering(peering.id).unwrap();
    let since = START.after(Duration::from_secs(5));
    assert_eq!(accepted.state, PeeringState::Active { since });
    assert_eq!(accepted.task, Some(task.id));
}

#[tokio::test]
async fn while_a_task_runs_every_other_action_is_locked_out() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(2, SH, "10.2.0.0/16").await;
    let peering = bed.request(&gz, &sh).await.unwrap();
    let task = bed.accept(&peering).await.unwrap();

    let locked = DomainError::ActionLocked(task);
    for (caller, region, command) in [
        (
            2,
            SH,
            Command::PeeringAccept as fn(PeeringAction) -> Command,
        ),
        (2, SH, Command::PeeringReject),
        (1, GZ, Command::PeeringEnable),
        (1, GZ, Command::PeeringDelete),
        (2, SH, Command::PeeringDelete),
    ] {
        assert_eq!(
            domain(bed.act(caller, command, region, peering.id).await),
            locked
        );
    }
    assert_eq!(
        domain(modify(&bed, 1, &peering, Some("new"), None).await),
        locked
    );
    bed.core.task_succeed(task).await.unwrap();
    modify(&bed, 1, &peering, Some("new"), None).await.unwrap();
}

#[tokio::test]
async fn an_expired_request_is_the_requesters_to_enable() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(2, SH, "10.2.0.0/16").await;
    let peering = bed.request(&gz, &sh).await.unwrap();
    let deadline = START.after(REQUEST_LIFETIME);
    assert_eq!(bed.core.expire_due().await.unwrap(), Some(deadline));
    assert_eq!(bed.state_name(peering.id), "pending");

    bed.clock.set(deadline);
    assert!(matches!(
        domain(bed.accept(&peering).await),
        DomainError::PeeringState(_)
    ));
    assert_eq!(bed.core.expire_due().await.unwrap(), None);
    assert_eq!(bed.state_name(peering.id), "expired");
    assert!(matches!(
        domain(bed.accept(&peering).await),
        DomainError::PeeringState(_)
    ));

    let enable = |caller, region| bed.act(caller, Command::PeeringEnable, region, peering.id);
    let wrong_role = DomainError::PeeringState(TransitionError::WrongRole {
        allowed: Side::Requester,
        event: PeeringEvent::Enable,
    });
    assert_eq!(domain(enable(2, SH).await), wrong_role);
    let task = bed.task(enable(1, GZ).await.unwrap());
    assert_eq!(task.kind, TaskKind::Enable);
    assert!(!task.is_running());
    let expires_at = deadline.after(REQUEST_LIFETIME);
    let state = bed.peering(peering.id).unwrap().state;
    assert_eq!(state, PeeringState::Pending { expires_at });
    bed.accept(&peering).await.unwrap();
}

#[tokio::test]
async fn enabling_is_admitted_anew() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(2, SH, "10.2.0.0/16").await;
    let expired = bed.request(&gz, &sh).await.unwrap();
    bed.clock.set(START.after(REQUEST_LIFETIME));
    bed.core.expire_due().await.unwrap();
    let existing = bed.request(&sh, &gz).await.unwrap().id;
    let refused = bed.act(1, Command::PeeringEnable, GZ, expired.id).await;
    let expected = DomainError::Admission(Refusal::PairExists { existing });
    assert_eq!(domain(refused), expected);
}

#[tokio::test]
async fn a_rejected_request_is_gone_for_the_accepter_only() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(2, SH, "10.2.0.0/16").await;
    let peering = bed.request(&gz, &sh).await.unwrap();
    let reject = |caller, region| bed.act(caller, Command::PeeringReject, region, peering.id);
    assert!(matches!(
        domain(reject(1, GZ).await),
        DomainError::PeeringState(_)
    ));
    assert!(!bed.task(reject(2, SH).await.unwrap()).is_running());

    assert_eq!(bed.state_name(peering.id), "rejected");
    let not_found = DomainError::PeeringNotFound(peering.id.to_string());
    assert_eq!(domain(reject(2, SH).await), not_found);
    bed.delete(&peering).await.unwrap();
    assert_eq!(bed.state_name(peering.id), "gone");
    assert!(bed.core.catalog().vni(peering.vni).is_none());
}

#[tokio::test]
async fn deleting_takes_the_routes_of_both_sides_with_it() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(2, SH, "10.2.0.0/16").await;
    let bj = bed.vpc(1, BJ, "10.3.0.0/16").await;
    let gone = bed.connected(&gz, &sh).await;
    let stays = bed.connected(&gz, &bj).await;
    bed.route(&gz, "10.2.0.0/16", &gone.id.to_string())
        .await
        .unwrap();
    bed.route(&gz, "10.3.0.0/16", &stays.id.to_string())
        .await
        .unwrap();
    bed.route(&sh, "10.1.0.0/16", &gone.id.to_string())
        .await
        .unwrap();

    let task = bed
        .act(2, Command::PeeringDelete, SH, gone.id)
        .await
        .unwrap();
    assert_eq!(bed.table(sh.id).routes.len(), 0);
    let left: Vec<_> = bed.table(gz.id).peering_routes().collect();
    assert_eq!(left, [(bj.cidr, stays.id)]);
    // No region has a gateway: nothing is awaited and the VNI is free.
    assert!(!bed.task(task).is_running());
    assert!(bed.core.catalog().vni(gone.vni).is_none());

    assert_eq!(bed.state_name(gone.id), "deleted");
    let again = bed.act(2, Command::PeeringDelete, SH, gone.id).await;
    assert_eq!(
        domain(again),
        DomainError::PeeringNotFound(gone.id.to_string())
    );
    bed.delete(&gone).await.unwrap();
    assert_eq!(bed.state_name(gone.id), "gone");
    invariants::check(&bed.core.catalog());
}

#[tokio::test]
async fn a_peering_of_one_account_is_gone_when_deleted_from_either_region() {
    for region in [GZ, SH] {
        let bed = Bed::new().await;
        let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
        let sh = bed.vpc(1, SH, "10.2.0.0/16").await;
        let peering = bed.connected(&gz, &sh).await;
        let elsewhere = bed.act(1, Command::PeeringDelete, BJ, peering.id).await;
        assert!(matches!(domain(elsewhere), DomainError::PeeringNotFound(_)));
        bed.act(1, Command::PeeringDelete, region, peering.id)
            .await
            .unwrap();
        assert_eq!(bed.state_name(peering.id), "gone");
        bed.request(&gz, &sh).await.unwrap();
    }
}

#[tokio::test]
async fn either_side_renames_and_only_the_requester_changes_the_terms() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(2, SH, "10.2.0.0/16").await;
    let peering = bed.connected(&gz, &sh).await;

    for caller in [1, 2] {
        let name = format!("by {caller}");
        let task = modify(&bed, caller, &peering, Some(&name), None)
            .await
            .unwrap();
        assert!(!bed.task(task).is_running());
        assert_eq!(bed.peering(peering.id).unwrap().name.as_str(), name);
    }
    let foreign = domain(modify(&bed, 3, &peering, Some("x"), None).await);
    assert_eq!(
        foreign,
        DomainError::PeeringNotFound(peering.id.to_string())
    );
    let bad = domain(modify(&bed, 1, &peering, Some(""), None).await);
    assert!(matches!(bad, DomainError::PeeringName(_)));

    let refused = domain(modify(&bed, 2, &peering, Some("both"), Some(50)).await);
    let wrong_role = TransitionError::WrongRole {
        allowed: Side::Requester,
        event: PeeringEvent::ChangeTerms,
    };
    assert_eq!(refused, DomainError::PeeringState(wrong_role));
    assert_eq!(bed.peering(peering.id).unwrap().name.as_str(), "by 2");

    let task = bed.task(modify(&bed, 1, &peering, None, Some(50)).await.unwrap());
    assert!(task.is_running());
    assert_eq!(
        task.kind,
        TaskKind::Modify {
            previous: Bandwidth::from_mbps(20)
        }
    );
    let changed = bed.peering(peering.id).unwrap();
    assert_eq!(changed.bandwidth, Bandwidth::from_mbps(50));
    assert_eq!(changed.task, Some(task.id));
}

#[tokio::test]
async fn changes_that_no_gateway_has_to_make_end_at_once() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(2, SH, "10.2.0.0/16").await;
    let pending = bed.request(&gz, &sh).await.unwrap();
    let task = modify(&bed, 1, &pending, None, Some(50)).await.unwrap();
    assert!(!bed.task(task).is_running());
    assert_eq!(bed.peering(pending.id).unwrap().bandwidth.mbps(), 50);

    let active = bed
        .connected(&bed.vpc(1, BJ, "10.3.0.0/16").await, &gz)
        .await;
    let task = modify(&bed, 1, &active, None, Some(20)).await.unwrap();
    assert!(!bed.task(task).is_running());
}

#[tokio::test]
async fn without_a_dataplane_every_task_has_succeeded() {
    let bed = Bed::without_dataplane().await;
    bed.gateway(GZ, 1).await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(2, SH, "10.2.0.0/16").await;
    let peering = bed.request(&gz, &sh).await.unwrap();
    let accept = bed.accept(&peering).await.unwrap();
    let change = modify(&bed, 1, &peering, None, Some(100)).await.unwrap();
    let delete = bed.delete(&peering).await.unwrap();
    for task in [accept, change, delete] {
        assert_eq!(bed.task(task).state, TaskState::Succeeded { at: START });
    }
    let catalog = bed.core.catalog();
    assert_eq!(catalog.tombstones().count(), 0);
    assert!(catalog.vni(peering.vni).is_none());
}

async fn modify(
    bed: &Bed,
    caller: u64,
    peering: &PeeringConnection,
    name: Option<&str>,
    mbps: Option<u32>,
) -> Result<TaskId, UseCaseError> {
    let region = match peering.accepter.owner.0 == caller {
        true => peering.accepter.region(),
        false => peering.requester.region(),
    };
    let command = Command::PeeringModify(PeeringModify {
        region,
        peering: peering.id,
        name: name.map(str::to_owned),
        bandwidth: mbps.map(Bandwidth::from_mbps),
        charge_type: None,
        reach: Reach::Any,
        reply: Reply::Task,
    });
    bed.execute(caller, command).await.map(task_of)
}
