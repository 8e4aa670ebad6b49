//! Many writers on few VPCs through two servers: everything that was committed and everything that
//! was refused is judged afterwards.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use model::admission::Refusal;
use model::assistant::Obstacle;
use model::command::PeeringModify;
use model::peering::{REQUEST_LIFETIME, TransitionError};
use model::{PeeringState, World};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::history::{Done, Op, Site, TracedStore, perform, quota};
use super::judge::Judge;
use super::*;
use crate::catalog::Catalog;

const WRITERS: u64 = 16;
const STEPS: u64 = 1_280;

/// Owner, region, block: several overlap or are equal.
const VPCS: [(u64, Region, &str); 12] = [
    (1, GZ, "10.1.0.0/16"),
    (1, SH, "10.2.0.0/16"),
    (1, BJ, "10.3.0.0/16"),
    (2, GZ, "10.4.0.0/16"),
    (2, SH, "10.2.0.0/16"),
    (2, GZ, "10.3.128.0/17"),
    (3, SH, "10.1.0.0/16"),
    (3, BJ, "10.4.0.0/17"),
    (3, GZ, "10.5.0.0/16"),
    (4, GZ, "10.6.0.0/16"),
    (4, SH, "10.7.0.0/16"),
    (4, BJ, "10.0.0.0/14"),
];

/// The largest quotas of the run: peerings and requests of others. The operator lowers them by one
/// now and then.
const LARGEST: (u32, u32) = (3, 2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_many_writers_are_answered_is_right_at_its_revision() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let site = Arc::new(Site::new(TracedStore::new(true, None)).await);
    for account in 1..=4 {
        site.account(account, LARGEST.0, LARGEST.1).await;
    }
    let mut vpcs = Vec::new();
    for (owner, region, cidr) in VPCS {
        vpcs.push(site.bed.vpc(owner, region, cidr).await);
    }
    let vpcs = Arc::new(vpcs);
    site.bed.gateway(GZ, 1).await;
    site.bed.gateway(SH, 2).await;
    let scene = site.settle().await;

    let started = Instant::now();
    let conflicts_before = site.store.conflicts.load(Ordering::Relaxed);
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let (site, vpcs) = (Arc::clone(&site), Arc::clone(&vpcs));
        writers.push(tokio::spawn(async move {
            let mut random = StdRng::seed_from_u64(seed.wrapping_add(writer));
            let mut done = Vec::new();
            while done.len() < STEPS as usize {
                done.extend(step(&site, &vpcs, &mut random).await);
            }
            done
        }));
    }
    let mut done = Vec::new();
    for writer in writers {
        done.extend(writer.await.unwrap());
    }
    site.settle().await;
    let took = started.elapsed();

    let judge = Judge {
        done: &done,
        scene,
        lifetime: REQUEST_LIFETIME,
    };
    let wrong = judge.verdict(&site.store);
    assert!(wrong.is_empty(), "seed {seed}: {}", wrong.join("\n\n"));

    let conflicts = site.store.conflicts.load(Ordering::Relaxed) - conflicts_before;
    let commits = done
        .iter()
        .flat_map(|done| &done.attempts)
        .filter(|attempt| attempt.committed.is_some())
        .count() as u64;
    report(&done, commits, conflicts, took);
    check_end(&site, seed).await;
    guards::check_all_are_known(&site.store);
}

/// How much happened; a run in which something never happens tells nothing about it.
fn report(done: &[Done], commits: u64, conflicts: u64, took: Duration) {
    let refusals: Vec<&DomainError> = done
        .iter()
        .filter_map(|done| done.result.as_ref()?.as_ref().err())
        .collect();
    let gave_up = done.iter().filter(|done| done.result.is_none()).count();
    let refused_percent = refusals.len() * 100 / done.len();
    let conflict_percent = conflicts * 100 / (commits + conflicts);
    println!(
        "{} operations in {took:.1?}: {commits} commits, {conflict_percent} % of the attempts to \
         commit met a conflict, {refused_percent} % of the operations were refused, {gave_up} gave up",
        done.len()
    );
    assert!(done.len() >= 20_000);
    assert!(refused_percent >= 30, "{refused_percent} % refused");
    assert!(conflict_percent >= 10, "{conflict_percent} % conflicts");
    assert!(gave_up * 100 < done.len(), "{gave_up} gave up");
    for (what, is_it) in KINDS {
        let count = refusals.iter().filter(|refusal| is_it(refusal)).count();
        println!("{count:6} {what}");
        assert!(count > 0, "no refusal: {what}");
    }
}

type Kind = (&'static str, fn(&DomainError) -> bool);

/// The refusals that admission, roles, states and locks give.
const KINDS: [Kind; 11] = [
    ("the ends overlap", |e| {
        matches!(e, DomainError::Admission(Refusal::EndsOverlap { .. }))
    }),
    ("the pair exists", |e| {
        matches!(e, DomainError::Admission(Refusal::PairExists { .. }))
    }),
    ("peers overlap", |e| {
        matches!(e, DomainError::Admission(Refusal::PeersOverlap { .. }))
    }),
    ("too many peerings", |e| {
        matches!(e, DomainError::Admission(Refusal::Limit { .. }))
    }),
    ("too many requests", |e| {
        matches!(e, DomainError::Admission(Refusal::InboxFull { .. }))
    }),
    ("not found", |e| {
        matches!(e, DomainError::PeeringNotFound(_))
    }),
    ("wrong role", |e| {
        matches!(
            e,
            DomainError::PeeringState(TransitionError::WrongRole { .. })
        )
    }),
    ("wrong state", |e| {
        matches!(
            e,
            DomainError::PeeringState(TransitionError::WrongState { .. })
        )
    }),
    ("locked", |e| matches!(e, DomainError::ActionLocked(_))),
    ("a block conflicts with a peering", |e| {
        let DomainError::AssistantCidrConflict(conflict) = e else {
            return false;
        };
        matches!(conflict.with, Obstacle::Peering { .. })
    }),
    ("a peer's peers would overlap", |e| match e {
        DomainError::AssistantCidrConflict(conflict) => matches!(
            conflict.with,
            Obstacle::Peering {
                refusal: Refusal::OverlapBeyond { .. } | Refusal::PeersOverlap { .. },
                ..
            }
        ),
        other => matches!(other, DomainError::Admission(Refusal::OverlapBeyond { .. })),
    }),
];

/// No two admitted peerings break a rule, the quotas are kept, and both servers, a new one and the
/// changes one by one lead to the same state.
async fn check_end(site: &Site, seed: u64) {
    for account in 1..=4 {
        let done = perform(&site.bed.core, quota(account, LARGEST.0, LARGEST.1)).await;
        done.result.unwrap().unwrap();
    }
    site.settle().await;
    let catalog = site.bed.core.catalog();
    invariants::check(&catalog);
    assert_eq!(*catalog, *site.other.catalog(), "seed {seed}");
    let snapshot = site.store.snapshot().await.unwrap();
    let rebuilt = Catalog::from_snapshot(&snapshot).unwrap();
    assert_eq!(*catalog, rebuilt, "seed {seed}");
    let mut replayed = Catalog::default();
    for change in site.store.changes.lock().unwrap().values() {
        replayed.apply(change).unwrap();
    }
    assert_eq!(*catalog, replayed, "seed {seed}");
    let reopened = open(&site.bed.store, &site.bed.clock, Rules::default()).await;
    assert_eq!(*catalog, *reopened.catalog(), "seed {seed}");
}

/// One operation on something random, unless there is nothing to do it on.
async fn step(site: &Site, vpcs: &[Vpc], random: &mut StdRng) -> Option<Done> {
    let core = [&site.bed.core, &site.other][random.random_range(0..2)];
    let catalog = core.catalog();
    let op = match random.random_range(0..100) {
        0..33 => create(vpcs, random),
        33..36 => extend(&catalog, vpcs, random)?,
        36..86 => on_peering(site, &catalog, random)?,
        86..93 => {
            let running: Vec<_> = catalog.running_tasks().collect();
            let task = pick(&running, random)?;
            // A deletion succeeds with its last confirmation.
            if task.kind == TaskKind::Delete || random.random_bool(0.3) {
                Op::Fail(task.id)
            } else {
                Op::Succeed(task.id)
            }
        }
        93..97 => {
            let tombstones: Vec<_> = catalog.tombstones().collect();
            let tombstone = pick(&tombstones, random)?;
            let gateways: Vec<_> = catalog.gateways().map(|gateway| gateway.id).collect();
            Op::Confirm(tombstone.peering, pick(&gateways, random)?)
        }
        97..98 => {
            site.bed.clock.advance(REQUEST_LIFETIME / 4);
            Op::Expire
        }
        _ => quota(
            random.random_range(1..=4),
            random.random_range(LARGEST.0 - 1..=LARGEST.0),
            random.random_range(LARGEST.1 - 1..=LARGEST.1),
        ),
    };
    Some(perform(core, op).await)
}

fn pick<T: Clone>(from: &[T], random: &mut StdRng) -> Option<T> {
    (!from.is_empty()).then(|| from[random.random_range(0..from.len())].clone())
}

fn reply(random: &mut StdRng) -> Reply {
    if random.random_bool(0.5) {
        Reply::Task
    } else {
        Reply::Peering
    }
}

fn create(vpcs: &[Vpc], random: &mut StdRng) -> Op {
    let from = pick(vpcs, random).unwrap();
    let to = pick(vpcs, random).unwrap();
    let ask = PeeringCreate {
        reply: reply(random),
        ..peering_create(&from, &to)
    };
    Op::Call(from.owner, Command::PeeringCreate(ask))
}

/// What VPCs are extended by: some of it is others'.
const BLOCKS: [&str; 6] = [
    "10.2.0.0/17",
    "10.4.128.0/17",
    "10.8.0.0/16",
    "10.9.0.0/16",
    "10.10.0.0/16",
    "10.8.64.0/18",
];

/// One block more or less of a VPC.
fn extend(catalog: &Catalog, vpcs: &[Vpc], random: &mut StdRng) -> Option<Op> {
    let vpc = catalog.vpc(pick(vpcs, random)?.id)?;
    let command = match random.random_bool(0.4) {
        true => assistant::modify(
            vpc,
            &[],
            &[&pick(&vpc.assistant_cidrs, random)?.to_string()],
        ),
        false => assistant::modify(vpc, &[pick(&BLOCKS, random)?], &[]),
    };
    Some(Op::Call(vpc.owner, command))
}

/// Something with a peering, mostly one that looks ready for it; other writers may be quicker.
fn on_peering(site: &Site, catalog: &Catalog, random: &mut StdRng) -> Option<Op> {
    let action = random.random_range(0..20);
    let is_any = random.random_bool(0.3);
    let candidates: Vec<&PeeringConnection> = catalog
        .peerings()
        .filter(|peering| {
            is_any
                || match action {
                    0..8 => matches!(peering.state, PeeringState::Pending { .. }),
                    8..10 => matches!(peering.state, PeeringState::Expired { .. }),
                    10..14 => peering.is_carried(),
                    _ => true,
                }
        })
        .collect();
    let peering = pick(&candidates, random)?;
    let side = [Side::Requester, Side::Accepter][random.random_range(0..2)];
    let side = match action {
        0..8 => Side::Accepter,
        8..12 => Side::Requester,
        _ => side,
    };
    let end = peering.end(side);
    let caller = if random.random_bool(0.1) {
        Uin(random.random_range(1..=4))
    } else {
        end.owner
    };
    let reach = if random.random_bool(0.1) {
        Reach::SameRegion
    } else {
        Reach::Any
    };
    let ask = PeeringAction {
        region: end.region(),
        peering: peering.id,
        reach,
        reply: reply(random),
    };
    let modify = |name: Option<String>, mbps: Option<u32>| {
        Command::PeeringModify(PeeringModify {
            region: ask.region,
            peering: ask.peering,
            name,
            bandwidth: mbps.map(Bandwidth::from_mbps),
            charge_type: None,
            reach: ask.reach,
            reply: ask.reply,
        })
    };
    let command = match action {
        0..6 => Command::PeeringAccept(ask),
        6..8 => Command::PeeringReject(ask),
        8..10 => Command::PeeringEnable(ask),
        10..12 => modify(None, Some(random.random_range(1..4) * 10)),
        12..14 => {
            let vpc = catalog.vpc(end.vpc)?;
            let block = format!("10.{}.0.0/24", random.random_range(10..16));
            let ask = site
                .bed
                .route_change(vpc, &[(&block, &peering.id.to_string())]);
            return Some(Op::Call(vpc.owner, Command::RouteCreate(ask)));
        }
        14..15 => modify(Some(format!("n{}", random.random_range(0..9))), None),
        _ => Command::PeeringDelete(ask),
    };
    Some(Op::Call(caller, command))
}
