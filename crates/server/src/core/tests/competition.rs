//! Two writers at once, two servers on one store, and restarts.

use std::time::Duration;

use super::*;

#[tokio::test]
async fn of_two_competing_creates_one_is_refused_whichever_commits_first() {
    for is_swapped in [false, true] {
        let bed = Bed::new().await;
        let hub = bed.vpc(1, GZ, "10.1.0.0/16").await;
        let sh = bed.vpc(1, SH, "10.2.0.0/16").await;
        let twin = bed.vpc(1, BJ, "10.2.0.0/16").await;
        let (first, second) = match is_swapped {
            false => (&sh, &twin),
            true => (&twin, &sh),
        };
        // The second one decides on the same catalog as the first: it has not yielded yet.
        let (one, other) = tokio::join!(bed.request(&hub, first), bed.request(&hub, second));
        assert!(one.is_ok() != other.is_ok());
        let refused = if one.is_ok() { other } else { one };
        assert!(matches!(domain(refused), DomainError::Admission(_)));
        assert_eq!(bed.core.catalog().peerings().count(), 1);
        invariants::check(&bed.core.catalog());
    }
}

#[tokio::test]
async fn two_servers_on_one_store_do_not_admit_together_what_is_wrong() {
    let bed = Bed::new().await;
    let other = Bed {
        core: open(&bed.store, &bed.clock, Rules::default()).await,
        clock: Arc::clone(&bed.clock),
        store: Arc::clone(&bed.store),
    };
    let hub = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(1, SH, "10.2.0.0/16").await;
    let twin = bed.vpc(1, BJ, "10.2.0.0/16").await;
    let mut revisions = other.core.revisions();
    let known = bed.core.catalog().revision();
    revisions
        .wait_for(|revision| *revision >= known)
        .await
        .unwrap();
    let (one, two) = tokio::join!(
        bed.core
            .execute(Uin(1), Command::PeeringCreate(peering_create(&hub, &sh))),
        other
            .core
            .execute(Uin(1), Command::PeeringCreate(peering_create(&hub, &twin))),
    );
    assert!(one.is_ok() != two.is_ok());
}

#[tokio::test]
async fn two_servers_give_out_no_number_twice() {
    let bed = Bed::new().await;
    let second = open(&bed.store, &bed.clock, Rules::default()).await;
    let mut owner = 1;
    for _ in 0..10 {
        let ask = |region| Command::VpcCreate(vpc_create(region, "10.1.0.0/16", &[]));
        let (one, two) = tokio::join!(
            bed.core.execute(Uin(owner), ask(GZ)),
            second.execute(Uin(owner + 1), ask(GZ)),
        );
        one.unwrap();
        two.unwrap();
        owner += 2;
    }
    let known = Store::snapshot(&*bed.store).await.unwrap().revision;
    let mut revisions = bed.core.revisions();
    revisions
        .wait_for(|revision| *revision >= known)
        .await
        .unwrap();
    let catalog = bed.core.catalog();
    let numbers: std::collections::BTreeSet<_> = catalog.vpcs().map(|vpc| vpc.legacy_id).collect();
    assert_eq!(numbers.len(), 20);
}

#[tokio::test]
async fn a_reopened_core_knows_the_same_and_goes_on() {
    let bed = Bed::new().await;
    let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
    let sh = bed.vpc(2, SH, "10.2.0.0/16").await;
    let gateway = bed.gateway(GZ, 1).await;
    let peering = bed.connected(&gz, &sh).await;
    let task = bed.delete(&peering).await.unwrap();
    let before = bed.core.catalog();
    let again = Bed {
        core: open(&bed.store, &bed.clock, Rules::default()).await,
        clock: Arc::clone(&bed.clock),
        store: Arc::clone(&bed.store),
    };
    assert_eq!(*again.core.catalog(), *before);
    assert!(again.task(task).is_running());
    // The VNI of the tombstone and the numbers before the restart are not given again.
    let next = again.request(&gz, &sh).await.unwrap();
    assert_ne!(next.vni, peering.vni);
    assert!(again.core.catalog().last_task() > before.last_task());
    again
        .core
        .tombstone_confirm(peering.id, gateway.id)
        .await
        .unwrap();
    assert!(!again.task(task).is_running());
    invariants::check(&again.core.catalog());
}

#[tokio::test]
async fn writers_notice_that_the_state_is_no_longer_followed() {
    let bed = Bed::new().await;
    bed.core.follower.abort();
    let mut revisions = bed.core.revisions();
    let stopped = tokio::time::timeout(Duration::from_secs(10), revisions.changed()).await;
    assert!(stopped.unwrap().is_err());
    let ask = vpc_create(GZ, "10.1.0.0/16", &[]);
    let result = bed.execute(1, Command::VpcCreate(ask)).await;
    assert!(
        matches!(result, Err(UseCaseError::Unavailable { .. })),
        "{result:?}"
    );
}

#[test]
fn use_cases_run_on_any_thread() {
    fn is_send<T: Send>(_: impl Fn() -> T) {}
    #[allow(clippy::needless_pass_by_value)]
    fn check(core: Arc<Core>) {
        is_send(|| core.execute(Uin(1), Command::TaskResult(TaskId(1))));
        is_send(|| core.task_fail(TaskId(1), String::new()));
        is_send(|| core.gateway_join(gateway_join(vec![], 1)));
        is_send(|| core.expire_due());
    }
    let _ = check;
}
