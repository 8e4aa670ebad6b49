//! Random lives of peerings and of the blocks of VPCs, compared with a reference model that shares no code with admission and
//! the state machine: blocks are ranges of numbers, and every rule is a search through a list.

use std::time::Duration;

use model::admission::{OverlapScope, admit_accept, admit_create, admit_enable};
use model::assistant::Extension;
use model::command::Reply;
use model::peering::{Actor, PeeringEvent, Transition};
use model::testing::{self, MemoryWorld};
use model::{
    Bandwidth, PeeringConnection, PeeringState, Quotas, Region, Side, Task, TaskId, TaskKind,
    TaskState, Uin, UnixMillis, Vpc, World,
};
use proptest::prelude::*;

const LIFETIME: Duration = Duration::from_secs(10);
const LIFETIME_MILLIS: i64 = 10_000;

// Small, so that random lives reach them.
const PEERINGS: u32 = 3;
const INBOX: u32 = 2;

/// Owner, region, block: several overlap, two are equal.
const VPCS: [(u64, Region, &str); 7] = [
    (1, Region::Guangzhou, "10.1.0.0/16"),
    (1, Region::Shanghai, "10.2.0.0/16"),
    (2, Region::Shanghai, "10.2.0.0/16"),
    (2, Region::Guangzhou, "10.2.128.0/17"),
    (3, Region::Beijing, "10.3.0.0/16"),
    (3, Region::Guangzhou, "10.0.0.0/14"),
    (1, Region::Beijing, "10.4.0.0/16"),
];

/// What VPCs may be extended by.
const EXTRA: [&str; 5] = [
    "10.2.0.0/17",
    "10.2.192.0/18",
    "10.4.0.0/15",
    "10.8.0.0/16",
    "10.8.128.0/17",
];

#[derive(Debug, Clone)]
enum Step {
    Create(usize, usize),
    /// A VPC gets one of the extra blocks.
    Extend(usize, usize),
    /// A VPC loses its last extra block.
    Shrink(usize),
    /// An event on the n-th known peering by the owner of one of its ends.
    Act(PeeringEvent, usize, Side),
    Wait(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let side = prop_oneof![Just(Side::Requester), Just(Side::Accepter)];
    let event = prop_oneof![
        3 => Just(PeeringEvent::Accept),
        1 => Just(PeeringEvent::Reject),
        2 => Just(PeeringEvent::Enable),
        2 => Just(PeeringEvent::Delete),
    ];
    prop_oneof![
        4 => (0..VPCS.len(), 0..VPCS.len()).prop_map(|(from, to)| Step::Create(from, to)),
        2 => (0..VPCS.len(), 0..EXTRA.len()).prop_map(|(vpc, extra)| Step::Extend(vpc, extra)),
        1 => (0..VPCS.len()).prop_map(Step::Shrink),
        5 => (event, 0..64usize, side).prop_map(|(event, n, side)| Step::Act(event, n, side)),
        1 => (1..LIFETIME_MILLIS).prop_map(Step::Wait),
    ]
}

fn vpcs() -> Vec<Vpc> {
    VPCS.iter()
        .zip(1..)
        .map(|((owner, region, cidr), number)| testing::vpc(number, *region, *owner, cidr))
        .collect()
}

/// The rules by the code under test.
struct Real {
    world: MemoryWorld,
    vpcs: Vec<Vpc>,
    made: Vec<model::PeeringConnectionId>,
    scope: OverlapScope,
}

impl Real {
    fn new(scope: OverlapScope) -> Real {
        let vpcs = vpcs();
        let quotas = Quotas {
            peerings_per_vpc: PEERINGS,
            inbox_per_vpc: INBOX,
            ..Quotas::default()
        };
        Real {
            world: MemoryWorld {
                vpcs: vpcs.iter().map(|vpc| (vpc.id, vpc.clone())).collect(),
                quotas,
                ..MemoryWorld::default()
            },
            vpcs,
            made: Vec::new(),
            scope,
        }
    }

    fn create(&mut self, from: usize, to: usize, now: UnixMillis) -> bool {
        let number = self.made.len() as u64 + 1;
        let mut peering = testing::peering(number, &self.vpcs[from], &self.vpcs[to], now);
        if let PeeringState::Pending { expires_at } = &mut peering.state {
            *expires_at = now.after(LIFETIME);
        }
        let is_admitted = admit_create(&self.world, &peering, self.scope).is_ok();
        if is_admitted {
            self.made.push(peering.id);
            self.world.peerings.insert(peering.id, peering);
        }
        is_admitted
    }

    fn extend(&mut self, vpc: usize, extra: usize) -> bool {
        let found = &self.world.vpcs[&self.vpcs[vpc].id];
        let extension = Extension {
            kept: found.assistant_cidrs.clone(),
            added: vec![EXTRA[extra].parse().unwrap()],
        };
        let conflicts = extension.conflicts(&self.world, found, self.scope);
        if conflicts.is_empty() {
            let id = self.vpcs[vpc].id;
            self.world.vpcs.get_mut(&id).unwrap().assistant_cidrs = extension.result();
        }
        conflicts.is_empty()
    }

    fn shrink(&mut self, vpc: usize) {
        let id = self.vpcs[vpc].id;
        self.world.vpcs.get_mut(&id).unwrap().assistant_cidrs.pop();
    }

    fn act(&mut self, event: &PeeringEvent, index: usize, side: Side, now: UnixMillis) -> bool {
        let Some(peering) = self.world.peerings.get(&self.made[index]).cloned() else {
            return false;
        };
        let actor = Actor::Account(peering.end(side).owner);
        let Ok(transition) = peering.transition(event.clone(), actor, now, LIFETIME) else {
            return false;
        };
        let admission = match event {
            PeeringEvent::Accept => admit_accept(&self.world, &peering, self.scope),
            PeeringEvent::Enable => admit_enable(&self.world, &peering, self.scope),
            _ => Ok(()),
        };
        if admission.is_ok() {
            self.follow(&peering, transition);
        }
        admission.is_ok()
    }

    fn expire(&mut self, now: UnixMillis) {
        for peering in self.world.peerings.clone().into_values() {
            let event = PeeringEvent::Expire;
            if let Ok(transition) = peering.transition(event, Actor::System, now, LIFETIME) {
                self.follow(&peering, transition);
            }
        }
    }

    fn follow(&mut self, peering: &PeeringConnection, transition: Transition) {
        match transition {
            Transition::Gone => drop(self.world.peerings.remove(&peering.id)),
            Transition::To(state) => {
                let peering = PeeringConnection {
                    state,
                    ..peering.clone()
                };
                self.world.peerings.insert(peering.id, peering);
            }
        }
    }

    fn states(&self) -> Vec<&'static str> {
        self.made
            .iter()
            .map(|id| {
                let peering = self.world.peerings.get(id);
                peering.map_or("gone", |peering| peering.state.name())
            })
            .collect()
    }
}

/// The rules once more, as plainly as possible.
struct Reference {
    peerings: Vec<Life>,
    /// The extra blocks of each VPC.
    extra: Vec<Vec<usize>>,
    scope: OverlapScope,
}

#[derive(Debug, Clone, Copy)]
struct Life {
    from: usize,
    to: usize,
    state: &'static str,
    deadline: i64,
    deleted_by: Option<Side>,
}

fn range(block: &str) -> (u64, u64) {
    let (address, length) = block.split_once('/').unwrap();
    let first = address
        .split('.')
        .fold(0, |sum, part| sum * 256 + part.parse::<u64>().unwrap());
    let length: u32 = length.parse().unwrap();
    (first, first + (1 << (32 - length)) - 1)
}

fn overlap(one: &str, other: &str) -> bool {
    let ((a, b), (c, d)) = (range(one), range(other));
    a <= d && c <= b
}

fn owner(vpc: usize) -> u64 {
    VPCS[vpc].0
}

impl Reference {
    fn blocks(&self, vpc: usize) -> Vec<&'static str> {
        let extra = self.extra[vpc].iter().map(|extra| EXTRA[*extra]);
        [VPCS[vpc].2].into_iter().chain(extra).collect()
    }

    fn is_clear(&self, vpc: usize, blocks: &[&str]) -> bool {
        let own = self.blocks(vpc);
        !own.iter()
            .any(|one| blocks.iter().any(|other| overlap(one, other)))
    }

    fn meet(&self, one: usize, other: usize) -> bool {
        !self.is_clear(one, &self.blocks(other))
    }

    /// What stands at a VPC: its place in the list, the VPC at the other end, and whether it is
    /// active.
    fn standing(&self, vpc: usize) -> Vec<(usize, usize, bool)> {
        let mut standing = Vec::new();
        for (index, life) in self.peerings.iter().enumerate() {
            let is_active = life.state == "active";
            if life.from == vpc && (is_active || life.state == "pending") {
                standing.push((index, life.to, is_active));
            } else if life.to == vpc && is_active {
                standing.push((index, life.from, true));
            }
        }
        standing
    }

    fn counts(&self, one: usize, other: usize) -> bool {
        self.scope == OverlapScope::AllPeerings || VPCS[one].1 != VPCS[other].1
    }

    /// Whether a VPC could reach these blocks of a peer, as far as its other peers go.
    fn can_reach(&self, vpc: usize, peer: usize, blocks: &[&str], except: Option<usize>) -> bool {
        !self.counts(vpc, peer)
            || self.standing(vpc).into_iter().all(|(index, other, _)| {
                Some(index) == except || !self.counts(vpc, other) || self.is_clear(other, blocks)
            })
    }

    fn has_room(&self, vpc: usize, peer: usize) -> bool {
        self.standing(vpc).len() < PEERINGS as usize
            && self.can_reach(vpc, peer, &self.blocks(peer), None)
    }

    fn extend(&mut self, vpc: usize, extra: usize) -> bool {
        let blocks = [EXTRA[extra]];
        let is_free = self.is_clear(vpc, &blocks)
            && self
                .standing(vpc)
                .into_iter()
                .all(|(index, peer, is_active)| {
                    self.is_clear(peer, &blocks)
                        && (!is_active || self.can_reach(peer, vpc, &blocks, Some(index)))
                });
        if is_free {
            self.extra[vpc].push(extra);
        }
        is_free
    }

    fn is_pair_free(&self, from: usize, to: usize) -> bool {
        !self.peerings.iter().any(|life| {
            ["pending", "active"].contains(&life.state)
                && ((life.from, life.to) == (from, to) || (life.to, life.from) == (from, to))
        })
    }

    fn has_inbox(&self, vpc: usize) -> bool {
        let waiting = |life: &&Life| life.state == "pending" && life.to == vpc;
        self.peerings.iter().filter(waiting).count() < INBOX as usize
    }

    fn create(&mut self, from: usize, to: usize, now: i64) -> bool {
        let is_same = owner(from) == owner(to);
        let is_admitted = !self.meet(from, to)
            && self.is_pair_free(from, to)
            && self.has_room(from, to)
            && if is_same {
                self.has_room(to, from)
            } else {
                self.has_inbox(to)
            };
        if is_admitted {
            self.peerings.push(Life {
                from,
                to,
                state: if is_same { "active" } else { "pending" },
                deadline: now + LIFETIME_MILLIS,
                deleted_by: None,
            });
        }
        is_admitted
    }

    fn act(&mut self, event: &PeeringEvent, index: usize, side: Side, now: i64) -> bool {
        let life = self.peerings[index];
        let is_same = owner(life.from) == owner(life.to);
        let sees = |side: Side| match life.state {
            "rejected" => is_same || side == Side::Requester,
            "deleted" => life.deleted_by != Some(side),
            "gone" => false,
            _ => true,
        };
        if !sees(side) {
            return false;
        }
        let is_requester = is_same || side == Side::Requester;
        let is_accepter = is_same || side == Side::Accepter;
        let is_open = life.state == "pending" && now < life.deadline;
        let next = match event {
            PeeringEvent::Accept
                if is_accepter
                    && is_open
                    && !self.meet(life.from, life.to)
                    && self.has_room(life.to, life.from)
                    && self.can_reach(life.from, life.to, &self.blocks(life.to), Some(index)) =>
            {
                "active"
            }
            PeeringEvent::Reject if is_accepter && is_open => "rejected",
            PeeringEvent::Enable
                if is_requester
                    && life.state == "expired"
                    && !self.meet(life.from, life.to)
                    && self.is_pair_free(life.from, life.to)
                    && self.has_room(life.from, life.to)
                    && self.has_inbox(life.to) =>
            {
                "pending"
            }
            PeeringEvent::Delete => {
                let other = match side {
                    Side::Requester => Side::Accepter,
                    Side::Accepter => Side::Requester,
                };
                let is_last = is_same || life.state == "deleted" || !sees(other);
                if is_last { "gone" } else { "deleted" }
            }
            _ => return false,
        };
        let life = &mut self.peerings[index];
        life.state = next;
        match event {
            PeeringEvent::Enable => life.deadline = now + LIFETIME_MILLIS,
            PeeringEvent::Delete => life.deleted_by = Some(side),
            _ => {}
        }
        true
    }

    fn expire(&mut self, now: i64) {
        for life in &mut self.peerings {
            if life.state == "pending" && life.deadline <= now {
                life.state = "expired";
            }
        }
    }

    fn states(&self) -> Vec<&'static str> {
        self.peerings.iter().map(|life| life.state).collect()
    }
}

/// Lives through the steps with both and compares each answer and each state.
fn live(scope: OverlapScope, steps: &[Step]) -> Result<Real, TestCaseError> {
    let mut real = Real::new(scope);
    let mut reference = Reference {
        peerings: Vec::new(),
        extra: vec![Vec::new(); VPCS.len()],
        scope,
    };
    let mut now = 0;
    for step in steps {
        let at = UnixMillis(now);
        let (found, expected) = match step {
            Step::Create(from, to) => (
                real.create(*from, *to, at),
                reference.create(*from, *to, now),
            ),
            Step::Act(event, number, side) => {
                if real.made.is_empty() {
                    continue;
                }
                let index = number % real.made.len();
                (
                    real.act(event, index, *side, at),
                    reference.act(event, index, *side, now),
                )
            }
            Step::Extend(vpc, extra) => (real.extend(*vpc, *extra), reference.extend(*vpc, *extra)),
            Step::Shrink(vpc) => {
                real.shrink(*vpc);
                reference.extra[*vpc].pop();
                (true, true)
            }
            Step::Wait(millis) => {
                now += millis;
                real.expire(UnixMillis(now));
                reference.expire(now);
                (true, true)
            }
        };
        prop_assert_eq!(found, expected, "{:?}", step);
        prop_assert_eq!(real.states(), reference.states(), "{:?}", step);
        no_active_overlap(&reference)?;
    }
    Ok(real)
}

/// The ends of an active peering never overlap, and neither do the active peers of a VPC.
fn no_active_overlap(reference: &Reference) -> Result<(), TestCaseError> {
    for vpc in 0..VPCS.len() {
        let mut reached: Vec<usize> = Vec::new();
        for (_, peer, is_active) in reference.standing(vpc) {
            if !is_active {
                continue;
            }
            prop_assert!(!reference.meet(vpc, peer), "{} and {}", vpc, peer);
            if reference.counts(vpc, peer) {
                for other in &reached {
                    prop_assert!(!reference.meet(*other, peer), "{} at {}", peer, vpc);
                }
                reached.push(peer);
            }
        }
    }
    Ok(())
}

fn scope() -> impl Strategy<Value = OverlapScope> {
    prop_oneof![
        Just(OverlapScope::CrossRegion),
        Just(OverlapScope::AllPeerings)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn lives_agree_with_the_reference_model(
        scope in scope(),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        live(scope, &steps)?;
    }

    /// Whichever commits first: either both are admitted, or the same one, or exactly one.
    #[test]
    fn two_competing_creates_end_the_same_in_either_order(
        scope in scope(),
        steps in prop::collection::vec(step(), 0..60),
        first in (0..VPCS.len(), 0..VPCS.len()),
        second in (0..VPCS.len(), 0..VPCS.len()),
    ) {
        let before = live(scope, &steps)?;
        let run = |one: (usize, usize), other: (usize, usize)| {
            let mut real = Real {
                world: before.world.clone(),
                vpcs: before.vpcs.clone(),
                made: before.made.clone(),
                scope,
            };
            let now = UnixMillis(1_000_000);
            let one = real.create(one.0, one.1, now);
            (one, real.create(other.0, other.1, now))
        };
        let (first_before, second_after) = run(first, second);
        let (second_before, first_after) = run(second, first);
        if (first_before, second_before) == (true, true) {
            // Both fit alone: together both do or one does, in either order.
            prop_assert_eq!(first_after, second_after);
        } else {
            // One does not even fit alone: it changes nothing for the other.
            prop_assert_eq!((first_before, second_after), (first_after, second_before));
        }
    }

    /// While nobody extends its VPC, an acceptance cannot break a rule on the requester's side,
    /// whatever else happened in between.
    #[test]
    fn what_the_requester_was_promised_holds(
        scope in scope(),
        mut steps in prop::collection::vec(step(), 1..120),
    ) {
        steps.retain(|step| !matches!(step, Step::Extend(..)));
        let real = live(scope, &steps)?;
        for peering in real.world.peerings.values() {
            if !matches!(peering.state, PeeringState::Pending { .. }) {
                continue;
            }
            // Without what the accepter has.
            let mut world = real.world.clone();
            world
                .peerings
                .retain(|_, other| other.side_of(peering.requester.vpc).is_some());
            prop_assert!(admit_accept(&world, peering, scope).is_ok());
        }
    }
}

#[test]
fn a_request_being_accepted_keeps_its_place_in_the_inbox() {
    let mut real = Real::new(OverlapScope::CrossRegion);
    let now = UnixMillis(0);
    // Two requests to the VPC of account 3 in Beijing fill its inbox.
    assert!(real.create(0, 4, now) && real.create(2, 4, now));
    assert!(!real.create(6, 4, now));
    assert!(real.act(&PeeringEvent::Accept, 0, Side::Accepter, now));
    let id = real.made[0];
    let task = |kind, state| Task {
        id: TaskId(1),
        owner: Uin(3),
        reply: Reply::Task,
        kind,
        peering: id,
        state,
        created_at: now,
        deadline: now,
    };
    let accept = TaskKind::Accept { expires_at: now };
    let previous = Bandwidth::Unlimited;
    let mut lock = |task: Option<Task>| {
        real.world.peerings.get_mut(&id).unwrap().task = task.as_ref().map(|task| task.id);
        real.world.tasks = task.into_iter().map(|task| (task.id, task)).collect();
        let mut attempt = Real {
            world: real.world.clone(),
            vpcs: real.vpcs.clone(),
            made: real.made.clone(),
            scope: real.scope,
        };
        attempt.create(6, 4, now)
    };
    assert!(!lock(Some(task(accept, TaskState::Running))));
    // Nothing but a failing acceptance leads back to the inbox.
    assert!(lock(Some(task(
        TaskKind::Modify { previous },
        TaskState::Running
    ))));
    assert!(lock(Some(task(accept, TaskState::Succeeded { at: now }))));
    assert!(lock(None));
    assert_eq!(real.world.quotas_of(Uin(3)).inbox_per_vpc, INBOX);
}
