//! What each guard is for: two operations meet so that only one guard keeps them apart, and without
//! it the judge finds what went wrong.
//!
//! On a single thread two operations that are started together decide on the same state: the first
//! commits without pausing, and the servers learn of it only when both have decided. So every case
//! ends the same each time.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use model::command::PeeringModify;
use model::peering::REQUEST_LIFETIME;

use super::history::{Decision, Guarded, Op, Site, TracedStore, perform, quota};
use super::judge::Judge;
use super::*;

/// Every guard of every decision about a peering or the blocks of a VPC, except for [`NOT_ALONE`].
const CASES: [(Decision, &[Guarded]); 11] = [
    (
        Decision::Create,
        &[
            Guarded::RequesterVpc,
            Guarded::AccepterVpc,
            Guarded::RequesterAccount,
            Guarded::AccepterAccount,
            Guarded::Vni,
            Guarded::NewTask,
        ],
    ),
    (
        Decision::Accept,
        &[
            Guarded::RequesterVpc,
            Guarded::AccepterVpc,
            Guarded::AccepterAccount,
            Guarded::Peering,
            Guarded::NewTask,
        ],
    ),
    (Decision::Reject, &[Guarded::Peering, Guarded::NewTask]),
    (
        Decision::Enable,
        &[
            Guarded::RequesterVpc,
            Guarded::AccepterVpc,
            Guarded::RequesterAccount,
            Guarded::AccepterAccount,
            Guarded::Peering,
            Guarded::NewTask,
        ],
    ),
    (
        Decision::Delete,
        &[
            Guarded::RequesterVpc,
            Guarded::AccepterVpc,
            Guarded::Peering,
            Guarded::Gateways,
            Guarded::Tombstone,
            Guarded::NewTask,
        ],
    ),
    (Decision::Modify, &[Guarded::Peering, Guarded::NewTask]),
    (Decision::Succeed, &[Guarded::Peering, Guarded::OldTask]),
    (
        Decision::Fail,
        &[
            Guarded::RequesterVpc,
            Guarded::AccepterVpc,
            Guarded::Peering,
            Guarded::Gateways,
            Guarded::OldTask,
        ],
    ),
    (
        Decision::Confirm,
        &[Guarded::Tombstone, Guarded::Peering, Guarded::OldTask],
    ),
    (Decision::Expire, &[Guarded::Peering]),
    (
        Decision::Extend,
        &[Guarded::OwnVpc, Guarded::PeerVpc, Guarded::OwnAccount],
    ),
];

/// Guards that come with every write and that no two operations can meet in alone, and why.
const NOT_ALONE: [(Decision, Guarded, &str); 10] = [
    (
        Decision::Create,
        Guarded::Peering,
        "two new ids would have to be equal in 41 random bits",
    ),
    (
        Decision::Accept,
        Guarded::Tombstone,
        "it is removed, whatever it says by then",
    ),
    (
        Decision::Delete,
        Guarded::Vni,
        "it changes only with its peering or its tombstone",
    ),
    (
        Decision::Delete,
        Guarded::OldTask,
        "whatever ends the task that is superseded writes the peering",
    ),
    (
        Decision::Delete,
        Guarded::RouteTable,
        "whoever changes a route table writes the epoch of its VPC",
    ),
    (
        Decision::Fail,
        Guarded::Vni,
        "it changes only with its peering or its tombstone",
    ),
    (
        Decision::Fail,
        Guarded::Tombstone,
        "an active peering has none, and to make one writes the peering",
    ),
    (
        Decision::Fail,
        Guarded::RouteTable,
        "whoever changes a route table writes the epoch of its VPC",
    ),
    (
        Decision::Confirm,
        Guarded::Vni,
        "it changes only with its peering or its tombstone",
    ),
    (
        Decision::Expire,
        Guarded::OldTask,
        "a task that ended long ago is only ever forgotten",
    ),
];

/// Fails for a guard that has neither a case nor a reason to have none.
pub fn check_all_are_known(store: &TracedStore) {
    let cases = CASES
        .iter()
        .flat_map(|(decision, guards)| guards.iter().map(|guard| (*decision, *guard)));
    let reasoned = NOT_ALONE
        .iter()
        .map(|(decision, guard, _)| (*decision, *guard));
    let known: BTreeSet<_> = cases.chain(reasoned).collect();
    let seen = store.seen.lock().unwrap();
    let unknown: Vec<_> = seen.difference(&known).collect();
    assert!(unknown.is_empty(), "without a case: {unknown:?}");
}

#[tokio::test]
async fn without_any_single_guard_something_goes_wrong() {
    for (decision, guards) in CASES {
        for guard in guards {
            let case = (decision, *guard);
            let (wrong, store) = meet(case, None).await;
            assert!(wrong.is_empty(), "{case:?}: {}", wrong.join("\n\n"));
            // The guard was there and did its work.
            assert!(store.seen.lock().unwrap().contains(&case), "{case:?}");
            assert_eq!(store.conflicts.load(Ordering::Relaxed), 1, "{case:?}");
            check_all_are_known(&store);

            let (wrong, store) = meet(case, Some(case)).await;
            assert!(!wrong.is_empty(), "{case:?} is missed by nobody");
            assert_eq!(store.conflicts.load(Ordering::Relaxed), 0, "{case:?}");
        }
    }
}

/// Lets the two operations of a case meet, and tells what was wrong.
async fn meet(
    case: (Decision, Guarded),
    ignored: Option<(Decision, Guarded)>,
) -> (Vec<String>, Arc<TracedStore>) {
    let scene = Scene {
        site: Site::new(TracedStore::new(false, ignored)).await,
    };
    for account in 1..=4 {
        scene.site.account(account, 3, 1).await;
    }
    let (rival, victim) = scene.set(case).await;
    let last = scene.site.settle().await;
    assert_eq!(scene.site.store.conflicts.load(Ordering::Relaxed), 0);
    let first = &scene.site.bed.core;
    // One server gives no number out twice, so numbers collide between two.
    let second = match case.1 {
        Guarded::NewTask | Guarded::Vni => &scene.site.other,
        _ => first,
    };
    let (rival, victim) = tokio::join!(perform(first, rival), perform(second, victim));
    assert_eq!(victim.attempts[0].decided_on, last, "{case:?} did not meet");
    let done = [rival, victim];
    let judge = Judge {
        done: &done,
        scene: last,
        lifetime: REQUEST_LIFETIME,
    };
    let wrong = judge.verdict(&scene.site.store);
    (wrong, Arc::clone(&scene.site.store))
}

/// Sets a case up: what has to be there, who goes first, and whose guard is looked at.
struct Scene {
    site: Site,
}

impl Scene {
    fn bed(&self) -> &Bed {
        &self.site.bed
    }

    async fn set(&self, case: (Decision, Guarded)) -> (Op, Op) {
        if case.1 == Guarded::NewTask {
            return self.two_tasks(case.0).await;
        }
        match case.0 {
            Decision::Create => self.create(case.1).await,
            Decision::Accept => self.accept(case.1).await,
            Decision::Reject => {
                let peering = self.pending().await;
                (accept(&peering, Reply::Task), reject(&peering))
            }
            Decision::Enable => self.enable(case.1).await,
            Decision::Delete => self.delete(case.1).await,
            Decision::Modify => {
                let peering = self.pending().await;
                (accept(&peering, Reply::Task), rename(&peering))
            }
            Decision::Succeed => self.succeed(case.1).await,
            Decision::Fail => self.fail(case.1).await,
            Decision::Confirm => self.confirm(case.1).await,
            Decision::Expire => {
                let peering = self.pending().await;
                self.bed().clock.advance(REQUEST_LIFETIME);
                (delete(&peering, Side::Requester), Op::Expire)
            }
            Decision::Extend => self.extend(case.1).await,
            Decision::Other => panic!("{case:?} is not about a peering"),
        }
    }

    /// A request of account 1 in gz to account 2 in sh.
    async fn pending(&self) -> PeeringConnection {
        let gz = self.bed().vpc(1, GZ, "10.1.0.0/16").await;
        let sh = self.bed().vpc(2, SH, "10.2.0.0/16").await;
        self.bed().request(&gz, &sh).await.unwrap()
    }

    async fn expired(&self) -> PeeringConnection {
        let peering = self.pending().await;
        self.bed().clock.advance(REQUEST_LIFETIME);
        self.bed().core.expire_due().await.unwrap();
        peering
    }

    /// Accepted, with its task running.
    async fn accepted(&self, reply: Reply) -> PeeringConnection {
        let peering = self.pending().await;
        self.done(accept(&peering, reply)).await;
        self.bed().peering(peering.id).unwrap()
    }

    async fn done(&self, op: Op) {
        let done = perform(&self.bed().core, op).await;
        done.result.unwrap().unwrap();
    }

    /// A deleted peering of one account whose told task waits for the gateway of gz.
    async fn leaving(&self) -> (PeeringConnection, TaskId, Gateway) {
        let gateway = self.bed().gateway(GZ, 1).await;
        let gz = self.bed().vpc(1, GZ, "10.1.0.0/16").await;
        let sh = self.bed().vpc(1, SH, "10.2.0.0/16").await;
        let peering = self.bed().connected(&gz, &sh).await;
        let task = self.bed().delete(&peering).await.unwrap();
        (peering, task, gateway)
    }

    async fn join(&self, region: Region) -> Op {
        let lifetime = Duration::from_secs(600);
        let token = self.bed().core.token_create(region, lifetime).await;
        Op::Join(token.unwrap().0.to_vec(), 9)
    }

    /// The route that one end of a peering adds to the other one's block.
    fn route(&self, peering: &PeeringConnection, side: Side) -> Op {
        let (own, peer) = (peering.end(side), peering.end(side.other()));
        let catalog = self.bed().core.catalog();
        let vpc = model::World::vpc(&*catalog, own.vpc).unwrap();
        let (block, hop) = (peer.cidr.to_string(), peering.id.to_string());
        let ask = self.bed().route_change(vpc, &[(&block, &hop)]);
        Op::Call(own.owner, Command::RouteCreate(ask))
    }

    /// Both take the same number on two servers, for different peerings.
    async fn two_tasks(&self, decision: Decision) -> (Op, Op) {
        let bj = self.bed().vpc(3, BJ, "10.3.0.0/16").await;
        let gz = self.bed().vpc(4, GZ, "10.4.0.0/16").await;
        let unrelated = self.bed().request(&bj, &gz).await.unwrap();
        let victim = match decision {
            Decision::Create => {
                let gz = self.bed().vpc(1, GZ, "10.1.0.0/16").await;
                let sh = self.bed().vpc(2, SH, "10.2.0.0/16").await;
                create(&gz, &sh, Reply::Task)
            }
            Decision::Accept => accept(&self.pending().await, Reply::Task),
            Decision::Reject => reject(&self.pending().await),
            Decision::Enable => enable(&self.expired().await),
            Decision::Delete => delete(&self.pending().await, Side::Requester),
            Decision::Modify => rename(&self.pending().await),
            other => panic!("{other:?} begins no task"),
        };
        (rename(&unrelated), victim)
    }

    async fn create(&self, guard: Guarded) -> (Op, Op) {
        let bed = self.bed();
        let hub = bed.vpc(1, GZ, "10.1.0.0/16").await;
        match guard {
            // Both lead the hub to the same block, from either side.
            Guarded::RequesterVpc | Guarded::AccepterVpc => {
                let sh = bed.vpc(1, SH, "10.2.0.0/16").await;
                let bj = bed.vpc(1, BJ, "10.2.0.0/16").await;
                if guard == Guarded::RequesterVpc {
                    (
                        create(&hub, &sh, Reply::Task),
                        create(&hub, &bj, Reply::Task),
                    )
                } else {
                    (
                        create(&sh, &hub, Reply::Task),
                        create(&bj, &hub, Reply::Task),
                    )
                }
            }
            Guarded::RequesterAccount | Guarded::AccepterAccount => {
                let sh = bed.vpc(2, SH, "10.2.0.0/16").await;
                let lowered = match guard {
                    Guarded::RequesterAccount => quota(1, 0, 1),
                    _ => quota(2, 3, 0),
                };
                (lowered, create(&hub, &sh, Reply::Task))
            }
            Guarded::Vni => {
                let sh = bed.vpc(2, SH, "10.2.0.0/16").await;
                let bj = bed.vpc(3, BJ, "10.3.0.0/16").await;
                let gz = bed.vpc(4, GZ, "10.4.0.0/16").await;
                // The first one leaves no task whose number could collide.
                (
                    create(&bj, &gz, Reply::Peering),
                    create(&hub, &sh, Reply::Task),
                )
            }
            other => panic!("no case for {other:?}"),
        }
    }

    async fn accept(&self, guard: Guarded) -> (Op, Op) {
        match guard {
            // Gets a block that the accepter reaches through another peering.
            Guarded::RequesterVpc => {
                let sh = self.bed().vpc(2, SH, "10.2.0.0/16").await;
                let bj = self.bed().vpc(3, BJ, "10.3.0.0/16").await;
                self.bed().connected(&bj, &sh).await;
                let gz = self.bed().vpc(1, GZ, "10.1.0.0/16").await;
                let peering = self.bed().request(&gz, &sh).await.unwrap();
                (extend(&gz, "10.3.0.0/24"), accept(&peering, Reply::Task))
            }
            Guarded::AccepterVpc => {
                self.done(quota(1, 3, 2)).await;
                let hub = self.bed().vpc(1, GZ, "10.1.0.0/16").await;
                let sh = self.bed().vpc(2, SH, "10.2.0.0/16").await;
                let bj = self.bed().vpc(3, BJ, "10.2.0.0/16").await;
                let one = self.bed().request(&sh, &hub).await.unwrap();
                let other = self.bed().request(&bj, &hub).await.unwrap();
                (accept(&one, Reply::Task), accept(&other, Reply::Task))
            }
            Guarded::AccepterAccount => {
                let peering = self.pending().await;
                (quota(2, 0, 1), accept(&peering, Reply::Task))
            }
            Guarded::Peering => {
                let peering = self.pending().await;
                (reject(&peering), accept(&peering, Reply::Task))
            }
            other => panic!("no case for {other:?}"),
        }
    }

    async fn extend(&self, guard: Guarded) -> (Op, Op) {
        let bed = self.bed();
        let gz = bed.vpc(1, GZ, "10.1.0.0/16").await;
        let sh = bed.vpc(1, SH, "10.2.0.0/16").await;
        let rival = match guard {
            // Is peered with a VPC that has the block.
            Guarded::OwnVpc => create(&gz, &sh, Reply::Task),
            // Another peer of the VPC that this one is peered with gets the block.
            Guarded::PeerVpc => {
                let hub = bed.vpc(2, BJ, "10.3.0.0/16").await;
                bed.connected(&gz, &hub).await;
                bed.connected(&sh, &hub).await;
                return (extend(&sh, "10.9.0.0/16"), extend(&gz, "10.9.0.0/16"));
            }
            Guarded::OwnAccount => {
                let quotas = model::Quotas {
                    assistant_cidrs_per_vpc: 0,
                    ..model::Quotas::default()
                };
                Op::Quota(gz.owner, quotas)
            }
            other => panic!("no case for {other:?}"),
        };
        (rival, extend(&gz, "10.2.128.0/17"))
    }

    async fn enable(&self, guard: Guarded) -> (Op, Op) {
        let peering = self.expired().await;
        let catalog = self.bed().core.catalog();
        let vpc = |id| model::World::vpc(&*catalog, id).unwrap();
        let rival = match guard {
            // Leads the requester to the same block.
            Guarded::RequesterVpc => {
                let bj = self.bed().vpc(1, BJ, "10.2.0.0/16").await;
                create(vpc(peering.requester.vpc), &bj, Reply::Task)
            }
            // Takes the last place in the inbox.
            Guarded::AccepterVpc => {
                let bj = self.bed().vpc(3, BJ, "10.3.0.0/16").await;
                create(&bj, vpc(peering.accepter.vpc), Reply::Task)
            }
            Guarded::RequesterAccount => quota(1, 0, 1),
            Guarded::AccepterAccount => quota(2, 3, 0),
            Guarded::Peering => rename(&peering),
            other => panic!("no case for {other:?}"),
        };
        (rival, enable(&peering))
    }

    async fn delete(&self, guard: Guarded) -> (Op, Op) {
        let (peering, rival) = match guard {
            Guarded::RequesterVpc | Guarded::AccepterVpc | Guarded::Gateways => {
                let peering = self.accepted(Reply::Task).await;
                let task = peering.task.unwrap();
                self.bed().core.task_succeed(task).await.unwrap();
                let rival = match guard {
                    Guarded::RequesterVpc => self.route(&peering, Side::Requester),
                    Guarded::AccepterVpc => self.route(&peering, Side::Accepter),
                    _ => self.join(SH).await,
                };
                (peering, rival)
            }
            Guarded::Peering => {
                let peering = self.pending().await;
                let rival = rename(&peering);
                (peering, rival)
            }
            Guarded::Tombstone => {
                let gateway = self.bed().gateway(GZ, 1).await;
                let peering = self.accepted(Reply::Task).await;
                self.done(Op::Fail(peering.task.unwrap())).await;
                let rival = Op::Confirm(peering.id, gateway.id);
                (peering, rival)
            }
            other => panic!("no case for {other:?}"),
        };
        (rival, delete(&peering, Side::Requester))
    }

    async fn succeed(&self, guard: Guarded) -> (Op, Op) {
        match guard {
            Guarded::Peering => {
                let peering = self.accepted(Reply::Peering).await;
                let task = peering.task.unwrap();
                (rename(&peering), Op::Succeed(task))
            }
            Guarded::OldTask => {
                let (_, task, _) = self.leaving().await;
                (Op::Fail(task), Op::Succeed(task))
            }
            other => panic!("no case for {other:?}"),
        }
    }

    async fn fail(&self, guard: Guarded) -> (Op, Op) {
        if guard == Guarded::OldTask {
            let (_, task, _) = self.leaving().await;
            return (Op::Succeed(task), Op::Fail(task));
        }
        let peering = self.accepted(Reply::Peering).await;
        let rival = match guard {
            Guarded::RequesterVpc => self.route(&peering, Side::Requester),
            Guarded::AccepterVpc => self.route(&peering, Side::Accepter),
            Guarded::Gateways => self.join(SH).await,
            Guarded::Peering => rename(&peering),
            other => panic!("no case for {other:?}"),
        };
        (rival, Op::Fail(peering.task.unwrap()))
    }

    async fn confirm(&self, guard: Guarded) -> (Op, Op) {
        match guard {
            Guarded::Tombstone => {
                let one = self.bed().gateway(GZ, 1).await;
                let other = self.bed().gateway(SH, 2).await;
                let peering = self.accepted(Reply::Task).await;
                self.done(Op::Fail(peering.task.unwrap())).await;
                (
                    Op::Confirm(peering.id, one.id),
                    Op::Confirm(peering.id, other.id),
                )
            }
            Guarded::Peering => {
                let gateway = self.bed().gateway(GZ, 1).await;
                let peering = self.accepted(Reply::Peering).await;
                self.done(delete(&peering, Side::Requester)).await;
                let second = delete(&peering, Side::Accepter);
                (second, Op::Confirm(peering.id, gateway.id))
            }
            Guarded::OldTask => {
                let (peering, task, gateway) = self.leaving().await;
                (Op::Fail(task), Op::Confirm(peering.id, gateway.id))
            }
            other => panic!("no case for {other:?}"),
        }
    }
}

fn create(from: &Vpc, to: &Vpc, reply: Reply) -> Op {
    let ask = PeeringCreate {
        reply,
        ..peering_create(from, to)
    };
    Op::Call(from.owner, Command::PeeringCreate(ask))
}

fn act(
    peering: &PeeringConnection,
    side: Side,
    command: fn(PeeringAction) -> Command,
    reply: Reply,
) -> Op {
    let end = peering.end(side);
    let ask = PeeringAction {
        region: end.region(),
        peering: peering.id,
        reach: Reach::Any,
        reply,
    };
    Op::Call(end.owner, command(ask))
}

fn accept(peering: &PeeringConnection, reply: Reply) -> Op {
    act(peering, Side::Accepter, Command::PeeringAccept, reply)
}

fn extend(vpc: &Vpc, block: &str) -> Op {
    Op::Call(vpc.owner, assistant::modify(vpc, &[block], &[]))
}

fn reject(peering: &PeeringConnection) -> Op {
    act(peering, Side::Accepter, Command::PeeringReject, Reply::Task)
}

fn enable(peering: &PeeringConnection) -> Op {
    act(
        peering,
        Side::Requester,
        Command::PeeringEnable,
        Reply::Task,
    )
}

fn delete(peering: &PeeringConnection, side: Side) -> Op {
    act(peering, side, Command::PeeringDelete, Reply::Task)
}

/// By the accepter.
fn rename(peering: &PeeringConnection) -> Op {
    let ask = PeeringModify {
        region: peering.accepter.region(),
        peering: peering.id,
        name: Some("renamed".to_owned()),
        bandwidth: None,
        charge_type: None,
        reach: Reach::Any,
        reply: Reply::Task,
    };
    Op::Call(peering.accepter.owner, Command::PeeringModify(ask))
}
