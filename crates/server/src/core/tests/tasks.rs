//! How tasks end, and what failures take back.

use std::time::Duration;

use model::PeeringState;
use model::command::PeeringModify;
use model::peering::REQUEST_LIFETIME;

use super::*;

const MESSAGE: &str = "region sh: no gateway";

async fn fail(bed: &Bed, task: TaskId) {
    bed.core.task_fail(task, MESSAGE.to_owned()).await.unwrap();
    let at = crate::clock::Clock::now(&*bed.clock);
    let message = MESSAGE.to_owned();
    assert_eq!(bed.task(task).state, TaskState::Failed { at, message });
    invariants::check(&bed.core.catalog());
}

#[tokio::test]
async fn success_unlocks_the_peering() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(1, SH, "10.2.0.0/16").await;
    let peering = bed.request(&gz, &sh).await.unwrap();
    let task = peering.task.unwrap();
    bed.clock.advance(Duration::from_millis(7));
    bed.core.task_succeed(task).await.unwrap();
    let at = START.after(Duration::from_millis(7));
    assert_eq!(bed.task(task).state, TaskState::Succeeded { at });
    assert_eq!(bed.peering(peering.id).unwrap().task, None);
}

#[tokio::test]
async fn an_ended_task_stays_as_it_is() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(1, SH, "10.2.0.0/16").await;
    let peering = bed.request(&gz, &sh).await.unwrap();
    let task = peering.task.unwrap();
    bed.core.task_succeed(task).await.unwrap();
    let before = bed.core.catalog();
    bed.core.task_fail(task, MESSAGE.to_owned()).await.unwrap();
    bed.core.task_succeed(task).await.unwrap();
    bed.core.task_succeed(TaskId(999)).await.unwrap();
    assert_eq!(*bed.core.catalog(), *before);
}

#[tokio::test]
async fn a_failed_creation_is_gone_with_its_routes() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(1, SH, "10.2.0.0/16").await;
    let gateway = bed.gateway(GZ, 1).await;
    let peering = bed.request(&gz, &sh).await.unwrap();
    bed.route(&gz, "10.2.0.0/16", &peering.id.to_string())
        .await
        .unwrap();
    fail(&bed, peering.task.unwrap()).await;

    assert_eq!(bed.state_name(peering.id), "gone");
    assert_eq!(bed.table(gz.id).routes, []);
    // The gateway may carry it: its VNI stays reserved until it says otherwise.
    let catalog = bed.core.catalog();
    assert_eq!(
        catalog.tombstone(peering.id).unwrap().awaiting,
        [gateway.id]
    );
    assert!(catalog.vni(peering.vni).is_some());
    bed.core
        .tombstone_confirm(peering.id, gateway.id)
        .await
        .unwrap();
    assert!(bed.core.catalog().tombstone(peering.id).is_none());
    assert!(bed.core.catalog().vni(peering.vni).is_none());
    bed.request(&gz, &sh).await.unwrap();
}

#[tokio::test]
async fn a_failed_creation_where_no_gateway_ever_was_leaves_nothing() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(1, SH, "10.2.0.0/16").await;
    let peering = bed.request(&gz, &sh).await.unwrap();
    fail(&bed, peering.task.unwrap()).await;
    let catalog = bed.core.catalog();
    assert_eq!(
        (catalog.peerings().count(), catalog.tombstones().count()),
        (0, 0)
    );
    assert!(catalog.vni(peering.vni).is_none());
}

#[tokio::test]
async fn a_failed_acceptance_leads_back_to_the_old_deadline() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(2, SH, "10.2.0.0/16").await;
    let gateway = bed.gateway(GZ, 1).await;
    let peering = bed.request(&gz, &sh).await.unwrap();
    bed.clock.advance(Duration::from_secs(3600));
    let task = bed.accept(&peering).await.unwrap();
    bed.route(&sh, "10.1.0.0/16", &peering.id.to_string())
        .await
        .unwrap();
    fail(&bed, task).await;

    let pending = bed.peering(peering.id).unwrap();
    let expires_at = START.after(REQUEST_LIFETIME);
    assert_eq!(pending.state, PeeringState::Pending { expires_at });
    assert_eq!((pending.task, pending.vni), (None, peering.vni));
    assert_eq!(bed.table(sh.id).routes, []);
    assert_eq!(bed.core.catalog().next_expiry(), Some(expires_at));

    // The gateway confirms; the VNI stays with the peering.
    bed.core
        .tombstone_confirm(peering.id, gateway.id)
        .await
        .unwrap();
    assert!(bed.core.catalog().tombstone(peering.id).is_none());
    invariants::check(&bed.core.catalog());
    bed.accept(&peering).await.unwrap();
}

#[tokio::test]
async fn accepting_again_cancels_the_removal_and_deleting_instead_awaits_it() {
    for accepts_again in [true, false] {
        let bed = Bed::new().await;
        let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
        let sh = bed.vpc(2, SH, "10.2.0.0/16").await;
        let gateway = bed.gateway(SH, 2).await;
        let peering = bed.request(&gz, &sh).await.unwrap();
        let task = bed.accept(&peering).await.unwrap();
        fail(&bed, task).await;
        assert!(bed.core.catalog().tombstone(peering.id).is_some());
        if accepts_again {
            bed.accept(&peering).await.unwrap();
            assert!(bed.core.catalog().tombstone(peering.id).is_none());
            // A confirmation that comes late means nothing any more.
            bed.core
                .tombstone_confirm(peering.id, gateway.id)
                .await
                .unwrap();
        } else {
            let task = bed.delete(&peering).await.unwrap();
            assert!(bed.task(task).is_running());
            bed.core
                .tombstone_confirm(peering.id, gateway.id)
                .await
                .unwrap();
            assert!(!bed.task(task).is_running());
            assert!(bed.core.catalog().vni(peering.vni).is_none());
        }
        invariants::check(&bed.core.catalog());
    }
}

#[tokio::test]
async fn a_failed_change_brings_the_old_bandwidth_back() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(1, SH, "10.2.0.0/16").await;
    let peering = bed.connected(&gz, &sh).await;
    let command = Command::PeeringModify(PeeringModify {
        region: GZ,
        peering: peering.id,
        name: Some("renamed".to_owned()),
        bandwidth: Some(Bandwidth::from_mbps(500)),
        charge_type: None,
        reach: Reach::Any,
        reply: Reply::Task,
    });
    let task = task_of(bed.execute(1, command).await.unwrap());
    assert_eq!(bed.peering(peering.id).unwrap().bandwidth.mbps(), 500);
    fail(&bed, task).await;
    let after = bed.peering(peering.id).unwrap();
    assert_eq!((after.bandwidth.mbps(), after.task), (20, None));
}

#[tokio::test]
async fn a_deletion_is_final_and_runs_until_every_gateway_has_confirmed() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(2, SH, "10.2.0.0/16").await;
    let (one, other) = (bed.gateway(GZ, 1).await, bed.gateway(SH, 2).await);
    let peering = bed.connected(&gz, &sh).await;
    let task = bed.delete(&peering).await.unwrap();
    assert!(bed.task(task).is_running());
    assert_eq!(bed.state_name(peering.id), "deleted");
    let again = bed.act(1, Command::PeeringDelete, GZ, peering.id).await;
    let not_found = DomainError::PeeringNotFound(peering.id.to_string());
    assert_eq!(domain(again), not_found);

    bed.core
        .tombstone_confirm(peering.id, one.id)
        .await
        .unwrap();
    bed.core
        .tombstone_confirm(peering.id, one.id)
        .await
        .unwrap();
    assert!(bed.task(task).is_running());
    assert!(bed.core.catalog().vni(peering.vni).is_some());
    bed.core
        .tombstone_confirm(peering.id, other.id)
        .await
        .unwrap();
    assert_eq!(bed.task(task).state, TaskState::Succeeded { at: START });
    assert!(bed.core.catalog().vni(peering.vni).is_none());
    assert_eq!(bed.peering(peering.id).unwrap().task, None);
    bed.act(2, Command::PeeringDelete, SH, peering.id)
        .await
        .unwrap();
    assert_eq!(bed.state_name(peering.id), "gone");
    invariants::check(&bed.core.catalog());
}

#[tokio::test]
async fn a_deletion_that_fails_keeps_the_vni_and_stays_a_deletion() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(1, SH, "10.2.0.0/16").await;
    let gateway = bed.gateway(SH, 2).await;
    let peering = bed.connected(&gz, &sh).await;
    let task = bed.delete(&peering).await.unwrap();
    fail(&bed, task).await;
    assert_eq!(bed.state_name(peering.id), "gone");
    assert!(bed.core.catalog().vni(peering.vni).is_some());
    let next = bed.request(&gz, &sh).await.unwrap();
    assert_ne!(next.vni, peering.vni);

    bed.core
        .tombstone_confirm(peering.id, gateway.id)
        .await
        .unwrap();
    assert!(matches!(bed.task(task).state, TaskState::Failed { .. }));
    assert!(bed.core.catalog().vni(peering.vni).is_none());
}

#[tokio::test]
async fn a_request_that_is_being_accepted_keeps_its_place_in_the_inbox() {
    let bed = Bed::new().await;
    let hub = bed.vpc(1, GZ, "10.0.0.0/16").await;
    let mut others = Vec::new();
    for number in 1..=26 {
        others.push(
            bed.vpc(100 + number, SH, &format!("10.{number}.0.0/16"))
                .await,
        );
    }
    let first = bed.request(&others[0], &hub).await.unwrap();
    for other in &others[1..25] {
        bed.request(other, &hub).await.unwrap();
    }
    let task = bed.accept(&first).await.unwrap();
    let full = domain(bed.request(&others[25], &hub).await);
    assert!(matches!(full, DomainError::Admission(_)));
    fail(&bed, task).await;
    let task = bed.accept(&first).await.unwrap();
    bed.core.task_succeed(task).await.unwrap();
    bed.request(&others[25], &hub).await.unwrap();
    invariants::check(&bed.core.catalog());
}

#[tokio::test]
async fn tasks_are_their_owners_and_forgotten_after_thirty_days() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(2, SH, "10.2.0.0/16").await;
    let peering = bed.request(&gz, &sh).await.unwrap();
    let old = bed.core.catalog().last_task().unwrap();
    let asked = |caller| bed.execute(caller, Command::TaskResult(old));
    assert!(matches!(asked(1).await, Ok(Outcome::TaskResult(task)) if task.id == old));
    let not_found = DomainError::TaskNotFound(old.to_string());
    assert_eq!(domain(asked(2).await), not_found);

    bed.clock
        .set(START.after(Duration::from_secs(30 * 24 * 3600)));
    bed.core.expire_due().await.unwrap();
    bed.act(1, Command::PeeringEnable, GZ, peering.id)
        .await
        .unwrap();
    asked(1).await.unwrap();
    bed.clock.advance(Duration::from_secs(1));
    bed.core.expire_due().await.unwrap();
    assert_eq!(domain(asked(1).await), not_found);
    assert_eq!(
        bed.core.catalog().last_task().map(|id| id > old),
        Some(true)
    );
}
