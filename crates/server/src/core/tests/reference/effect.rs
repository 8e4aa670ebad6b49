//! What operations make of a state.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::command::{PeeringAction, Reply};
use model::outcome::AssistantCidrView;
use model::{CidrBlock, NextHop, Side};

use super::*;

/// The most requests that expire in one commit.
const EXPIRED_AT_ONCE: usize = 50;

/// What the code was free to choose: read off the state after the commit and the answer.
pub struct Choice<'a> {
    pub before: &'a Reference,
    pub after: &'a Reference,
    pub outcome: &'a Outcome,
    /// From when to when the clock was read.
    pub clock: (UnixMillis, UnixMillis),
    pub lifetime: Duration,
    /// The keys that others wrote between the decision and its commit, without touching a guard.
    pub meanwhile: &'a BTreeSet<String>,
}

impl Choice<'_> {
    /// The only key that is new.
    fn fresh<K: Ord + Copy, V>(&self, map: fn(&Reference) -> &BTreeMap<K, V>) -> Result<K, String> {
        let before = map(self.before);
        let keys = map(self.after).keys();
        let mut new = keys.filter(|key| !before.contains_key(key));
        match (new.next(), new.next()) {
            (Some(key), None) => Ok(*key),
            _ => Err("not exactly one new number was taken".to_owned()),
        }
    }

    /// A deadline that starts when the decision was made.
    fn deadline(&self, peering: PeeringConnectionId) -> Result<Option<UnixMillis>, String> {
        let deadline = self.after.peerings.get(&peering).and_then(|p| p.deadline);
        let (first, last) = self.clock;
        let window = first.after(self.lifetime)..=last.after(self.lifetime);
        match deadline {
            Some(at) if window.contains(&at) => Ok(deadline),
            other => Err(format!("the deadline {other:?} is not in {window:?}")),
        }
    }

    fn answers(&self, expected: &Outcome) -> Result<(), String> {
        if self.outcome == expected {
            return Ok(());
        }
        Err(format!(
            "the answer is {:?}, not {expected:?}",
            self.outcome
        ))
    }
}

impl Choice<'_> {
    /// The answer names these routes, in their order, and none that went.
    fn tells_new(&self, asked: &[(CidrBlock, NextHop)]) -> Result<(), String> {
        let Outcome::RoutesChanged { old, new, .. } = self.outcome else {
            return Err(format!("the answer is {:?}", self.outcome));
        };
        let told = new.iter().map(|route| (route.destination, route.next_hop));
        match old.is_empty() && told.eq(asked.iter().copied()) {
            true => Ok(()),
            false => Err(format!(
                "the answer tells {old:?} and {new:?}, not {asked:?}"
            )),
        }
    }
}

impl Reference {
    /// Does an operation that nothing speaks against.
    pub fn perform(&mut self, op: &Op, now: UnixMillis, choice: &Choice<'_>) -> Result<(), String> {
        match op {
            Op::Call(caller, command) => self.call(*caller, command, choice),
            Op::Succeed(task) => {
                if self.tasks.remove(task).is_some() {
                    self.unlock(*task);
                }
                Ok(())
            }
            Op::Fail(task) => {
                self.fail(*task);
                Ok(())
            }
            Op::Confirm(peering, gateway) => {
                self.confirm(*peering, *gateway);
                Ok(())
            }
            Op::Expire => {
                let mut due: Vec<_> = self
                    .peerings
                    .iter_mut()
                    .filter(|(_, life)| life.deadline.is_some_and(|at| at <= now))
                    // What began to wait after the decision is expired by the next one.
                    .filter(|(id, _)| !choice.meanwhile.contains(&format!("pcx/{id}")))
                    .collect();
                due.sort_by_key(|(id, life)| (life.deadline, **id));
                for (_, life) in due.into_iter().take(EXPIRED_AT_ONCE) {
                    life.state = "expired";
                    life.deadline = None;
                }
                Ok(())
            }
            Op::Quota(owner, quotas) => {
                self.quotas.insert(*owner, *quotas);
                Ok(())
            }
            Op::Join(..) => Err("joining is not in the reference".to_owned()),
        }
    }

    fn call(&mut self, caller: Uin, command: &Command, choice: &Choice<'_>) -> Result<(), String> {
        match command {
            Command::PeeringCreate(ask) => self.create(caller, ask, choice),
            Command::PeeringAccept(ask) => {
                self.removals.remove(&ask.peering);
                let life = self.life(ask.peering);
                let expires_at = life.deadline.take().unwrap();
                life.state = "active";
                self.start(TaskKind::Accept { expires_at }, ask, choice)
            }
            Command::PeeringReject(ask) => {
                let life = self.life(ask.peering);
                (life.state, life.deadline) = ("rejected", None);
                answered_at_once(ask.reply, choice)
            }
            Command::PeeringEnable(ask) => {
                let deadline = choice.deadline(ask.peering)?;
                let life = self.life(ask.peering);
                (life.state, life.deadline) = ("pending", deadline);
                answered_at_once(ask.reply, choice)
            }
            Command::PeeringDelete(ask) => self.delete(caller, ask, choice),
            Command::PeeringModify(ask) => {
                let life = self.life(ask.peering);
                let old = life.mbps;
                life.name = ask.name.clone().unwrap_or_else(|| life.name.clone());
                life.mbps = ask.bandwidth.map_or(old, Bandwidth::mbps);
                if life.state != "active" || life.mbps == old {
                    return answered_at_once(ask.reply, choice);
                }
                let previous = Bandwidth::from_mbps(old);
                let action = PeeringAction {
                    region: ask.region,
                    peering: ask.peering,
                    reach: ask.reach,
                    reply: ask.reply,
                };
                self.start(TaskKind::Modify { previous }, &action, choice)
            }
            Command::RouteCreate(ask) => {
                let Some(VpcRef::Unified(vpc)) = ask.vpc else {
                    panic!("a legacy id")
                };
                let mut asked = Vec::new();
                for route in &ask.routes {
                    let hop = route.next_hop.parse().unwrap();
                    self.routes.insert((vpc, route.destination, hop));
                    asked.push((route.destination, NextHop::Peering(hop)));
                }
                choice.tells_new(&asked)
            }
            Command::AssistantCidrModify(ask) => {
                let VpcRef::Unified(vpc) = ask.target.vpc else {
                    panic!("a legacy id")
                };
                let blocks = &mut self.vpcs.get_mut(&vpc).unwrap().assistant_cidrs;
                blocks.retain(|block| !ask.remove.contains(block));
                blocks.extend(&ask.add);
                let view = |cidr: &CidrBlock| AssistantCidrView {
                    vpc,
                    cidr: *cidr,
                    subnets: Vec::new(),
                };
                choice.answers(&Outcome::AssistantCidrsChanged(
                    ask.add.iter().map(view).collect(),
                ))
            }
            other => panic!("{other:?} is not in the reference"),
        }
    }

    fn life(&mut self, peering: PeeringConnectionId) -> &mut Life {
        self.peerings.get_mut(&peering).unwrap()
    }

    fn create(
        &mut self,
        caller: Uin,
        ask: &PeeringCreate,
        choice: &Choice<'_>,
    ) -> Result<(), String> {
        let (VpcRef::Unified(from), VpcRef::Unified(to)) = (ask.vpc, ask.peer_vpc) else {
            panic!("a legacy id")
        };
        let id = choice.fresh(|state| &state.peerings)?;
        let vni = choice.fresh(|state| &state.vnis)?;
        self.vnis.insert(vni, id);
        let is_same = caller == ask.peer_uin;
        let life = Life {
            from,
            to,
            state: if is_same { "active" } else { "pending" },
            deadline: if is_same { None } else { choice.deadline(id)? },
            deleted_by: None,
            name: ask.name.clone(),
            mbps: ask.bandwidth.mbps(),
            vni,
            lock: None,
        };
        self.peerings.insert(id, life);
        if !is_same {
            return match ask.reply {
                Reply::Task => answered_at_once(ask.reply, choice),
                Reply::Peering => choice.answers(&Outcome::PeeringCreated(id)),
            };
        }
        let action = PeeringAction {
            region: ask.region,
            peering: id,
            reach: Reach::Any,
            reply: ask.reply,
        };
        self.start(TaskKind::Create, &action, choice)
    }

    /// Begins the work of the gateways.
    fn start(
        &mut self,
        kind: TaskKind,
        ask: &PeeringAction,
        choice: &Choice<'_>,
    ) -> Result<(), String> {
        let task = choice.fresh(|state| &state.tasks)?;
        let running = Running {
            kind,
            reply: ask.reply,
            peering: ask.peering,
        };
        self.tasks.insert(task, running);
        if let Some(life) = self.peerings.get_mut(&ask.peering) {
            life.lock = Some(task);
        }
        choice.answers(&match (ask.reply, kind) {
            (Reply::Task, _) => Outcome::TaskStarted(task),
            (Reply::Peering, TaskKind::Create) => Outcome::PeeringCreated(ask.peering),
            (Reply::Peering, _) => Outcome::Done,
        })
    }

    fn delete(
        &mut self,
        caller: Uin,
        ask: &PeeringAction,
        choice: &Choice<'_>,
    ) -> Result<(), String> {
        let id = ask.peering;
        let life = self.peerings[&id].clone();
        let by = if self.owner(life.from) == caller {
            Side::Requester
        } else {
            Side::Accepter
        };
        let is_second = life.state == "deleted";
        let is_awaited = !is_second && {
            if let Some(task) = life.lock {
                self.tasks.remove(&task);
                self.life(id).lock = None;
            }
            let is_awaited = self.bury(id);
            if !is_awaited {
                self.vnis.remove(&life.vni);
            }
            is_awaited
        };
        let other = by.other();
        let other_owner = self.owner(if by == Side::Requester {
            life.to
        } else {
            life.from
        });
        let stays =
            !is_second && !self.is_same_account(&life) && self.sees(&life, other_owner, other);
        if stays {
            let life = self.life(id);
            (life.state, life.deadline, life.deleted_by) = ("deleted", None, Some(by));
        } else {
            self.peerings.remove(&id);
        }
        if is_awaited {
            self.start(TaskKind::Delete, ask, choice)
        } else {
            answered_at_once(ask.reply, choice)
        }
    }

    /// Takes the routes away and notes which gateways have to let go; whether there are any.
    fn bury(&mut self, id: PeeringConnectionId) -> bool {
        self.routes.retain(|(_, _, hop)| *hop != id);
        let life = &self.peerings[&id];
        let mut awaiting: BTreeSet<GatewayId> = self.removals.get(&id).cloned().unwrap_or_default();
        if life.state == "active" {
            for vpc in [life.from, life.to] {
                awaiting.extend(self.gateways.get(&self.region(vpc)));
            }
        }
        let is_awaited = !awaiting.is_empty();
        if is_awaited {
            self.removals.insert(id, awaiting);
        } else {
            self.removals.remove(&id);
        }
        is_awaited
    }

    fn unlock(&mut self, task: TaskId) {
        for life in self.peerings.values_mut() {
            life.lock = life.lock.filter(|lock| *lock != task);
        }
    }

    fn fail(&mut self, id: TaskId) {
        let Some(task) = self.tasks.remove(&id) else {
            return;
        };
        let peering = task.peering;
        let is_locked = self
            .peerings
            .get(&peering)
            .is_some_and(|life| life.lock == Some(id));
        self.unlock(id);
        if !is_locked {
            return;
        }
        match task.kind {
            TaskKind::Create => {
                let is_awaited = self.bury(peering);
                if task.reply == Reply::Peering {
                    self.life(peering).state = "failed";
                } else {
                    let life = self.peerings.remove(&peering).unwrap();
                    if !is_awaited {
                        self.vnis.remove(&life.vni);
                    }
                }
            }
            TaskKind::Accept { expires_at } => {
                self.bury(peering);
                let life = self.life(peering);
                (life.state, life.deadline) = ("pending", Some(expires_at));
            }
            TaskKind::Modify { previous } => self.life(peering).mbps = previous.mbps(),
            TaskKind::Reject | TaskKind::Enable | TaskKind::Delete => {}
        }
    }

    fn confirm(&mut self, peering: PeeringConnectionId, gateway: GatewayId) {
        let Some(awaiting) = self.removals.get_mut(&peering) else {
            return;
        };
        if !awaiting.remove(&gateway) || !awaiting.is_empty() {
            return;
        }
        self.removals.remove(&peering);
        let life = self.peerings.get(&peering);
        if life.is_none_or(|life| life.state == "deleted") {
            self.vnis.retain(|_, holder| *holder != peering);
        }
        let is_deletion =
            |task: &&Running| task.peering == peering && task.kind == TaskKind::Delete;
        let deletions = self.tasks.iter().filter(|(_, task)| is_deletion(task));
        for task in deletions.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.tasks.remove(&task);
            self.unlock(task);
        }
    }
}

/// The answer to what no gateway has to do. That the number of a task is new is judged elsewhere.
fn answered_at_once(reply: Reply, choice: &Choice<'_>) -> Result<(), String> {
    match (reply, choice.outcome) {
        (Reply::Task, Outcome::TaskStarted(_)) => Ok(()),
        (Reply::Task, other) => Err(format!("the answer is {other:?}, not a task")),
        (Reply::Peering, _) => choice.answers(&Outcome::Done),
    }
}
