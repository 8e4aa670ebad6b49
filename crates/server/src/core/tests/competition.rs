//! Many writers at once, restarts, and catalogs that came about in different ways.

use std::time::Duration;

use async_trait::async_trait;
use model::peering::REQUEST_LIFETIME;
use model::{PeeringState, World};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use store::{CommitError, Revision, Snapshot, Store, StoreError, Transaction, Watch, WatchError};

use super::*;
use crate::catalog::Catalog;

const WRITERS: u64 = 8;
const STEPS: u32 = 400;
const ACTIONS: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_on_few_vpcs_break_no_invariant() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let bed = Arc::new(hesitant().await);
    let vpcs = Arc::new(crowded(&bed).await);
    bed.gateway(GZ, 1).await;
    bed.gateway(SH, 2).await;
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let (bed, vpcs) = (Arc::clone(&bed), Arc::clone(&vpcs));
        writers.push(tokio::spawn(async move {
            let mut random = StdRng::seed_from_u64(seed.wrapping_add(writer));
            let mut succeeded = [0; ACTIONS];
            for _ in 0..STEPS {
                let action = random.random_range(0..ACTIONS);
                succeeded[action] += u32::from(step(&bed, &vpcs, &mut random, action).await);
            }
            succeeded
        }));
    }
    let mut succeeded = [0; ACTIONS];
    for writer in writers {
        let by_one = writer.await.unwrap();
        succeeded = std::array::from_fn(|action| succeeded[action] + by_one[action]);
    }
    // A run in which something never happens tells nothing about it.
    let is_rich = succeeded.iter().all(|count| *count > 0);
    assert!(is_rich, "seed {seed}: {succeeded:?}");
    let catalog = bed.core.catalog();
    invariants::check(&catalog);
    assert_eq!(*catalog, rebuilt(&bed).await, "seed {seed}");
    assert_eq!(
        *catalog,
        replayed(&bed, catalog.revision()).await,
        "seed {seed}"
    );
    let reopened = open(&bed.store, &bed.clock, Rules::default()).await;
    assert_eq!(*reopened.catalog(), *catalog, "seed {seed}");
}

/// A store that lets others go first between a decision and its commit.
struct Hesitant(Arc<MemoryStore>);

#[async_trait]
impl Store for Hesitant {
    async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        self.0.snapshot().await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, CommitError> {
        for _ in 0..rand::random_range(0..4) {
            tokio::task::yield_now().await;
        }
        self.0.commit(transaction).await
    }

    async fn watch(&self, from: Revision) -> Result<Watch, WatchError> {
        self.0.watch(from).await
    }
}

async fn hesitant() -> Bed {
    let clock = Arc::new(FakeClock::at(START));
    let store = Arc::new(MemoryStore::new());
    let core = Core::open(
        Arc::new(Hesitant(Arc::clone(&store))),
        Arc::clone(&clock) as Arc<dyn crate::clock::Clock>,
        MasterKey::new(&[7; 32]),
        Rules::default(),
    )
    .await
    .unwrap();
    Bed { core, clock, store }
}

/// Six VPCs of three accounts in three regions, two with the same block.
async fn crowded(bed: &Bed) -> Vec<Vpc> {
    let mut vpcs = Vec::new();
    for (owner, region, cidr) in [
        (1, GZ, "10.1.0.0/16"),
        (1, SH, "10.2.0.0/16"),
        (2, SH, "10.2.0.0/16"),
        (2, BJ, "10.3.0.0/16"),
        (3, GZ, "10.4.0.0/16"),
        (3, BJ, "10.2.128.0/17"),
    ] {
        vpcs.push(bed.vpc(owner, region, cidr).await);
    }
    vpcs
}

/// One action on something random; whether it did anything. Refusals are fine, other errors not.
async fn step(bed: &Bed, vpcs: &[Vpc], random: &mut StdRng, action: usize) -> bool {
    let catalog = bed.core.catalog();
    let vpc = &vpcs[random.random_range(0..vpcs.len())];
    let other = &vpcs[random.random_range(0..vpcs.len())];
    // What looks ready for the action; other writers may be quicker.
    let ready: Vec<_> = catalog
        .peerings()
        .filter(|peering| match action {
            3 | 4 => matches!(peering.state, PeeringState::Pending { .. }),
            5 => matches!(peering.state, PeeringState::Expired { .. }),
            7 | 8 => peering.is_carried(),
            _ => true,
        })
        .cloned()
        .collect();
    let peering = (!ready.is_empty()).then(|| ready[random.random_range(0..ready.len())].clone());
    let running = catalog.running_tasks().next().map(|task| task.id);
    let buried = catalog.tombstones().next().cloned();
    let result = match (action, peering) {
        (0..=2, _) => {
            let command = Command::PeeringCreate(peering_create(vpc, other));
            bed.core.execute(vpc.owner, command).await.map(drop)
        }
        (3, Some(peering)) => bed.accept(&peering).await.map(drop),
        (4, Some(peering)) => {
            let end = peering.accepter;
            let act = bed.act(
                end.owner.0,
                Command::PeeringReject,
                end.region(),
                peering.id,
            );
            act.await.map(drop)
        }
        (5, Some(peering)) => {
            let end = peering.requester;
            let act = bed.act(
                end.owner.0,
                Command::PeeringEnable,
                end.region(),
                peering.id,
            );
            act.await.map(drop)
        }
        (6, Some(peering)) => bed.delete(&peering).await.map(drop),
        (7 | 8, Some(peering)) => {
            let side = [peering.requester, peering.accepter][random.random_range(0..2)];
            let block = format!(
                "10.{}.{}.0/24",
                random.random_range(1..5),
                random.random_range(0..8)
            );
            let vpc = catalog.vpc(side.vpc).unwrap();
            let hop = peering.id.to_string();
            bed.route(vpc, &block, &hop).await.map(drop)
        }
        (9, _) => match buried {
            Some(tombstone) => {
                let gateway = tombstone.awaiting[0];
                bed.core.tombstone_confirm(tombstone.peering, gateway).await
            }
            None => return false,
        },
        (10, _) => match running {
            Some(task) => bed.core.task_succeed(task).await,
            None => return false,
        },
        (11, _) if random.random_bool(0.6) => match running {
            Some(task) => bed.core.task_fail(task, "random".to_owned()).await,
            None => return false,
        },
        (11, _) => {
            bed.clock.advance(REQUEST_LIFETIME);
            bed.core.expire_due().await.map(drop)
        }
        (_, _) => return false,
    };
    match result {
        Ok(()) => true,
        Err(UseCaseError::Domain(_)) => false,
        Err(error) => panic!("{error}"),
    }
}

async fn rebuilt(bed: &Bed) -> Catalog {
    Catalog::from_snapshot(&bed.store.snapshot().await.unwrap()).unwrap()
}

async fn replayed(bed: &Bed, until: Revision) -> Catalog {
    let mut catalog = Catalog::default();
    let mut watch = bed.store.watch(Revision::ZERO).await.unwrap();
    while catalog.revision() < until {
        catalog
            .apply(&watch.next().await.unwrap().unwrap())
            .unwrap();
    }
    catalog
}

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
