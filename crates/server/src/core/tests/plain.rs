//! Actions without a task to follow: what they answer, and the work that goes on behind them.

use std::time::Duration;

use model::PeeringState;
use model::command::PeeringModify;

use super::*;

const MESSAGE: &str = "region gz: no gateway";

/// Two VPCs in Guangzhou, the first one of account 1.
async fn neighbours(bed: &Bed, other_owner: u64) -> (Vpc, Vpc) {
    (
        bed.vpc(1, GZ, "10.1.0.0/16").await,
        bed.vpc(other_owner, GZ, "10.2.0.0/16").await,
    )
}

impl Bed {
    /// Makes a peering and finds its record.
    async fn plain_request(&self, from: &Vpc, to: &Vpc) -> PeeringConnection {
        let ask = PeeringCreate {
            bandwidth: Bandwidth::Unlimited,
            reply: Reply::Peering,
            ..peering_create(from, to)
        };
        let made = self.execute(from.owner.0, Command::PeeringCreate(ask));
        match made.await.unwrap() {
            Outcome::PeeringCreated(id) => self.peering(id).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    async fn plain_modify(
        &self,
        caller: u64,
        peering: PeeringConnectionId,
        name: Option<&str>,
        mbps: Option<u32>,
    ) -> Result<Outcome, UseCaseError> {
        let command = Command::PeeringModify(PeeringModify {
            region: GZ,
            peering,
            name: name.map(str::to_owned),
            bandwidth: mbps.map(Bandwidth::from_mbps),
            charge_type: None,
            reach: Reach::SameRegion,
            reply: Reply::Peering,
        });
        self.execute(caller, command).await
    }

    /// The task that runs on a peering.
    fn running(&self, peering: PeeringConnectionId) -> Task {
        self.task(self.peering(peering).unwrap().task.unwrap())
    }

    async fn fail(&self, task: TaskId) {
        self.core.task_fail(task, MESSAGE.to_owned()).await.unwrap();
        assert!(matches!(self.task(task).state, TaskState::Failed { .. }));
        invariants::check(&self.core.catalog());
    }
}

fn is_done(result: Result<Outcome, UseCaseError>) -> bool {
    matches!(result.unwrap(), Outcome::Done)
}

#[tokio::test]
async fn a_creation_is_answered_with_the_peering_and_goes_on_in_an_untold_task() {
    let bed = Bed::new().await;
    let (one, other) = neighbours(&bed, 1).await;
    let peering = bed.plain_request(&one, &other).await;
    assert_eq!(peering.state, PeeringState::Active { since: START });
    assert_eq!(peering.bandwidth, Bandwidth::Unlimited);

    let task = bed.running(peering.id);
    assert_eq!((task.kind, task.reply), (TaskKind::Create, Reply::Peering));
    let asked = bed.execute(1, Command::TaskResult(task.id)).await;
    let not_found = DomainError::TaskNotFound(task.id.to_string());
    assert_eq!(domain(asked), not_found);
    bed.core.task_succeed(task.id).await.unwrap();
    assert_eq!(bed.peering(peering.id).unwrap().task, None);
}

#[tokio::test]
async fn what_no_gateway_has_to_do_leaves_no_task() {
    let bed = Bed::new().await;
    let (one, other) = neighbours(&bed, 2).await;
    let peering = bed.plain_request(&one, &other).await;
    assert_eq!(peering.state.name(), "pending");
    assert!(is_done(
        bed.plain_modify(2, peering.id, Some("new"), None).await
    ));
    assert!(is_done(
        bed.plain(2, Command::PeeringReject, GZ, peering.id).await
    ));
    assert!(is_done(
        bed.plain(1, Command::PeeringDelete, GZ, peering.id).await
    ));
    assert_eq!(bed.state_name(peering.id), "gone");
    assert_eq!(bed.core.catalog().tasks().count(), 0);
}

#[tokio::test]
async fn the_whole_story_of_two_accounts_needs_no_task_number() {
    let bed = Bed::new().await;
    let (one, other) = neighbours(&bed, 2).await;
    let id = bed.plain_request(&one, &other).await.id;
    bed.clock.advance(bed.core.rules().request_lifetime);
    bed.core.expire_due().await.unwrap();
    assert_eq!(bed.state_name(id), "expired");
    assert!(is_done(bed.plain(1, Command::PeeringEnable, GZ, id).await));
    assert!(is_done(bed.plain(2, Command::PeeringAccept, GZ, id).await));
    assert_eq!(bed.state_name(id), "active");
    bed.core.task_succeed(bed.running(id).id).await.unwrap();
    assert!(is_done(bed.plain(2, Command::PeeringDelete, GZ, id).await));
    assert_eq!(bed.state_name(id), "deleted");
    assert!(is_done(bed.plain(1, Command::PeeringDelete, GZ, id).await));
    assert_eq!(bed.state_name(id), "gone");
}

#[tokio::test]
async fn a_peering_between_regions_is_out_of_reach_and_one_inside_is_in_reach_of_both() {
    let bed = Bed::new().await;
    let (one, other) = neighbours(&bed, 1).await;
    let sh = bed.vpc(1, SH, "10.3.0.0/16").await;
    let across = bed.connected(&one, &sh).await;
    let not_found = DomainError::PeeringNotFound(across.id.to_string());
    for command in [
        Command::PeeringAccept as fn(PeeringAction) -> Command,
        Command::PeeringReject,
        Command::PeeringEnable,
        Command::PeeringDelete,
    ] {
        for region in [GZ, SH] {
            let result = bed.plain(1, command, region, across.id).await;
            assert_eq!(domain(result), not_found);
        }
    }
    let renamed = bed.plain_modify(1, across.id, Some("new"), None).await;
    assert_eq!(domain(renamed), not_found);

    // Made by one kind of action, ended by the other.
    let plain = bed.plain_request(&one, &other).await;
    bed.core.task_succeed(plain.task.unwrap()).await.unwrap();
    bed.delete(&plain).await.unwrap();
    let capped = bed.connected(&one, &other).await;
    let ended = bed.plain(1, Command::PeeringDelete, GZ, capped.id).await;
    assert!(is_done(ended));
}

#[tokio::test]
async fn a_creation_that_fails_behind_its_answer_leaves_a_failed_peering() {
    let bed = Bed::new().await;
    let gateway = bed.gateway(GZ, 1).await;
    let (one, other) = neighbours(&bed, 1).await;
    let peering = bed.plain_request(&one, &other).await;
    bed.route(&one, "10.2.0.0/16", &peering.id.to_string())
        .await
        .unwrap();
    bed.clock.advance(Duration::from_secs(60));
    bed.fail(peering.task.unwrap()).await;

    let failed = bed.peering(peering.id).unwrap();
    let since = START.after(Duration::from_secs(60));
    let reason = MESSAGE.to_owned();
    assert_eq!(failed.state, PeeringState::Failed { since, reason });
    assert_eq!((failed.task, bed.table(one.id).routes), (None, vec![]));
    // It takes nothing: the pair may be joined again.
    let next = bed.plain_request(&one, &other).await;
    assert_ne!(next.vni, peering.vni);

    // The gateway may still carry it, and its number stays with it until it is deleted.
    let confirm = |id| bed.core.tombstone_confirm(id, gateway.id);
    confirm(peering.id).await.unwrap();
    assert!(bed.core.catalog().tombstone(peering.id).is_none());
    assert!(bed.core.catalog().vni(peering.vni).is_some());
    let deleted = bed.plain(1, Command::PeeringDelete, GZ, peering.id).await;
    assert!(is_done(deleted));
    assert_eq!(bed.state_name(peering.id), "gone");
    assert!(bed.core.catalog().vni(peering.vni).is_none());
    invariants::check(&bed.core.catalog());
}

#[tokio::test]
async fn a_failed_peering_that_is_deleted_before_it_was_removed_awaits_the_removal() {
    let bed = Bed::new().await;
    let gateway = bed.gateway(GZ, 1).await;
    let (one, other) = neighbours(&bed, 1).await;
    let peering = bed.plain_request(&one, &other).await;
    bed.fail(peering.task.unwrap()).await;
    let task = bed.delete(&peering).await.unwrap();
    assert!(bed.task(task).is_running());
    invariants::check(&bed.core.catalog());
    bed.core
        .tombstone_confirm(peering.id, gateway.id)
        .await
        .unwrap();
    assert!(!bed.task(task).is_running());
    assert!(bed.core.catalog().vni(peering.vni).is_none());
}

#[tokio::test]
async fn acceptance_and_change_are_taken_back_behind_their_answers() {
    let bed = Bed::new().await;
    let (one, other) = neighbours(&bed, 2).await;
    let peering = bed.plain_request(&one, &other).await;
    assert!(is_done(
        bed.plain(2, Command::PeeringAccept, GZ, peering.id).await
    ));
    bed.fail(bed.running(peering.id).id).await;
    assert_eq!(bed.peering(peering.id).unwrap().state, peering.state);

    bed.plain(2, Command::PeeringAccept, GZ, peering.id)
        .await
        .unwrap();
    bed.core
        .task_succeed(bed.running(peering.id).id)
        .await
        .unwrap();
    assert!(is_done(
        bed.plain_modify(1, peering.id, None, Some(500)).await
    ));
    assert_eq!(bed.peering(peering.id).unwrap().bandwidth.mbps(), 500);
    bed.fail(bed.running(peering.id).id).await;
    assert_eq!(bed.peering(peering.id).unwrap().bandwidth.mbps(), 0);
}

#[tokio::test]
async fn an_untold_task_locks_out_all_but_a_new_name_and_a_deletion() {
    let bed = Bed::new().await;
    let (one, other) = neighbours(&bed, 2).await;
    let peering = bed.plain_request(&one, &other).await;
    bed.plain(2, Command::PeeringAccept, GZ, peering.id)
        .await
        .unwrap();
    let task = bed.running(peering.id);
    let locked = DomainError::ActionLocked(task.id);
    for (caller, command) in [
        (2, Command::PeeringAccept as fn(PeeringAction) -> Command),
        (2, Command::PeeringReject),
        (1, Command::PeeringEnable),
    ] {
        let plain = bed.plain(caller, command, GZ, peering.id).await;
        assert_eq!(domain(plain), locked);
        let told = bed.act(caller, command, GZ, peering.id).await;
        assert_eq!(domain(told), locked);
    }
    let faster = bed.plain_modify(1, peering.id, Some("both"), Some(50));
    assert_eq!(domain(faster.await), locked);

    // The new name leaves the lock where it is, and what the task takes back leaves the name.
    for caller in [1, 2] {
        let name = format!("by {caller}");
        assert!(is_done(
            bed.plain_modify(caller, peering.id, Some(&name), None)
                .await
        ));
        let renamed = bed.peering(peering.id).unwrap();
        assert_eq!(renamed.name.as_str(), name);
        assert_eq!(renamed.task, Some(task.id));
    }
    bed.fail(task.id).await;
    let pending = bed.peering(peering.id).unwrap();
    assert_eq!(pending.state, peering.state);
    assert_eq!((pending.name.as_str(), pending.task), ("by 2", None));
}

#[tokio::test]
async fn a_deletion_supersedes_an_untold_task_for_good() {
    for (other_owner, is_told) in [(1, false), (1, true), (2, false), (2, true)] {
        let bed = Bed::new().await;
        let gateway = bed.gateway(GZ, 1).await;
        let (one, other) = neighbours(&bed, other_owner).await;
        let peering = bed.plain_request(&one, &other).await;
        if other_owner == 2 {
            bed.plain(2, Command::PeeringAccept, GZ, peering.id)
                .await
                .unwrap();
        }
        let superseded = bed.running(peering.id).id;
        let ended = if is_told {
            Outcome::TaskStarted(bed.delete(&peering).await.unwrap())
        } else {
            bed.plain(1, Command::PeeringDelete, GZ, peering.id)
                .await
                .unwrap()
        };
        let catalog = bed.core.catalog();
        assert!(!bed.task(superseded).is_running());
        let deletion = catalog.running_tasks().next().unwrap().clone();
        assert_eq!(deletion.kind, TaskKind::Delete);
        assert_eq!(deletion.is_announced(), is_told, "{ended:?}");
        let expected = if other_owner == 1 { "gone" } else { "deleted" };
        assert_eq!(bed.state_name(peering.id), expected);

        // A verdict that comes too late changes nothing.
        let before = bed.core.catalog();
        for _ in 0..2 {
            let message = MESSAGE.to_owned();
            bed.core.task_fail(superseded, message).await.unwrap();
            bed.core.task_succeed(superseded).await.unwrap();
        }
        assert_eq!(*bed.core.catalog(), *before);
        bed.core
            .tombstone_confirm(peering.id, gateway.id)
            .await
            .unwrap();
        assert!(!bed.task(deletion.id).is_running());
        assert!(bed.core.catalog().vni(peering.vni).is_none());
        invariants::check(&bed.core.catalog());
    }
}

#[tokio::test]
async fn a_told_task_locks_out_actions_of_both_kinds() {
    let bed = Bed::new().await;
    let (one, other) = neighbours(&bed, 2).await;
    let peering = bed.plain_request(&one, &other).await;
    let task = bed.accept(&peering).await.unwrap();
    let locked = DomainError::ActionLocked(task);
    for caller in [1, 2] {
        let deleted = bed.plain(caller, Command::PeeringDelete, GZ, peering.id);
        assert_eq!(domain(deleted.await), locked);
        let renamed = bed.plain_modify(caller, peering.id, Some("new"), None);
        assert_eq!(domain(renamed.await), locked);
    }
}

#[tokio::test]
async fn the_second_deletion_does_not_wait_for_the_first() {
    for is_told in [false, true] {
        let bed = Bed::new().await;
        let gateway = bed.gateway(GZ, 1).await;
        let (one, other) = neighbours(&bed, 2).await;
        let peering = bed.connected(&one, &other).await;
        if is_told {
            bed.delete(&peering).await.unwrap();
        } else {
            bed.plain(1, Command::PeeringDelete, GZ, peering.id)
                .await
                .unwrap();
        }
        let first = bed.running(peering.id);
        let renamed = bed.plain_modify(2, peering.id, Some("new"), None).await;
        domain(renamed);
        let second = bed.act(2, Command::PeeringDelete, GZ, peering.id).await;
        assert!(!bed.task(second.unwrap()).is_running());
        assert_eq!(bed.state_name(peering.id), "gone");
        // The first one goes on until the gateway has confirmed.
        assert!(bed.task(first.id).is_running());
        bed.core
            .tombstone_confirm(peering.id, gateway.id)
            .await
            .unwrap();
        assert!(!bed.task(first.id).is_running());
        assert!(bed.core.catalog().vni(peering.vni).is_none());
        invariants::check(&bed.core.catalog());
    }
}
