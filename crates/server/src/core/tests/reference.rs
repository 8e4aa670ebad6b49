//! The rules of peerings once more, as plainly as possible, to judge a history by.
//!
//! Shares no code with admission, the state machine and the use cases: blocks are ranges of numbers,
//! every rule is a search through everything, and a whole world is copied to see what an operation
//! should have made of it. What is compared: every answer, and everything that a commit changed.

mod effect;
mod extension;

use std::collections::{BTreeMap, BTreeSet};

use model::admission::Refusal;
use model::command::{PeeringAction, PeeringCreate, Reach, Reply, RouteChange};
use model::peering::{PeeringEvent, TransitionError};
use model::{GatewayId, NextHop, PeeringState, RouteTableId, Side, Vni, VpcRef};
use store::record::{Key, Record, decode};
use store::{Change, Write};

use super::history::Op;
use super::*;

pub use effect::Choice;

const OPEN: [&str; 2] = ["pending", "active"];

/// What there is at one revision, without what no rule looks at.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reference {
    vpcs: BTreeMap<VpcId, Vpc>,
    quotas: BTreeMap<Uin, model::Quotas>,
    peerings: BTreeMap<PeeringConnectionId, Life>,
    /// The running ones.
    tasks: BTreeMap<TaskId, Running>,
    gateways: BTreeMap<Region, GatewayId>,
    removals: BTreeMap<PeeringConnectionId, BTreeSet<GatewayId>>,
    vnis: BTreeMap<Vni, PeeringConnectionId>,
    tables: BTreeMap<RouteTableId, VpcId>,
    routes: BTreeSet<(VpcId, model::CidrBlock, PeeringConnectionId)>,
}

#[derive(Debug, Clone, PartialEq)]
struct Life {
    from: VpcId,
    to: VpcId,
    state: &'static str,
    deadline: Option<UnixMillis>,
    deleted_by: Option<Side>,
    name: String,
    mbps: u32,
    vni: Vni,
    lock: Option<TaskId>,
}

#[derive(Debug, Clone, PartialEq)]
struct Running {
    kind: TaskKind,
    reply: Reply,
    peering: PeeringConnectionId,
}

fn range(cidr: model::CidrBlock) -> (u64, u64) {
    let text = cidr.to_string();
    let (address, length) = text.split_once('/').unwrap();
    let first = address
        .split('.')
        .fold(0, |sum, part| sum * 256 + part.parse::<u64>().unwrap());
    let length: u32 = length.parse().unwrap();
    (first, first + (1 << (32 - length)) - 1)
}

fn meet(one: model::CidrBlock, other: model::CidrBlock) -> bool {
    let ((a, b), (c, d)) = (range(one), range(other));
    a <= d && c <= b
}

impl Reference {
    /// Moves on by one commit.
    pub fn apply(&mut self, change: &Change) {
        for write in &change.writes {
            let key = write.key();
            self.forget(key);
            if let Write::Put { value, .. } = write {
                self.learn(decode(key, value).unwrap());
            }
        }
    }

    fn forget(&mut self, key: &str) {
        match key.parse().unwrap() {
            Key::Vpc(id) => drop(self.vpcs.remove(&id)),
            Key::Peering(id) => drop(self.peerings.remove(&id)),
            Key::Task(id) => drop(self.tasks.remove(&id)),
            Key::Tombstone(id) => drop(self.removals.remove(&id)),
            Key::Vni(vni) => drop(self.vnis.remove(&vni)),
            Key::RouteTable(id) => {
                if let Some(vpc) = self.tables.remove(&id) {
                    self.routes.retain(|(of, _, _)| *of != vpc);
                }
            }
            _ => {}
        }
    }

    fn learn(&mut self, record: Record) {
        match record {
            Record::Vpc(vpc) => drop(self.vpcs.insert(vpc.id, Vpc { epoch: 0, ..vpc })),
            Record::Account(account) => drop(self.quotas.insert(account.uin, account.quotas)),
            Record::Peering(peering) => {
                let (deadline, deleted_by) = match peering.state {
                    PeeringState::Pending { expires_at } => (Some(expires_at), None),
                    PeeringState::Deleted { by, .. } => (None, Some(by)),
                    _ => (None, None),
                };
                let life = Life {
                    from: peering.requester.vpc,
                    to: peering.accepter.vpc,
                    state: peering.state.name(),
                    deadline,
                    deleted_by,
                    name: peering.name.to_string(),
                    mbps: peering.bandwidth.mbps(),
                    vni: peering.vni,
                    lock: peering.task,
                };
                self.peerings.insert(peering.id, life);
            }
            Record::Task(task) if task.state == TaskState::Running => {
                let running = Running {
                    kind: task.kind,
                    reply: task.reply,
                    peering: task.peering,
                };
                self.tasks.insert(task.id, running);
            }
            Record::Gateway(gateway) => drop(self.gateways.insert(gateway.region, gateway.id)),
            Record::Tombstone(tombstone) => {
                let awaiting = tombstone.awaiting.into_iter().collect();
                self.removals.insert(tombstone.peering, awaiting);
            }
            Record::Vni(reservation) => {
                self.vnis.insert(reservation.vni, reservation.peering);
            }
            Record::RouteTable(table) => {
                self.tables.insert(table.id, table.vpc);
                self.routes.extend(table.routes.iter().map(|route| {
                    let NextHop::Peering(peering) = route.next_hop;
                    (table.vpc, route.destination, peering)
                }));
            }
            _ => {}
        }
    }

    fn owner(&self, vpc: VpcId) -> Uin {
        self.vpcs[&vpc].owner
    }

    fn region(&self, vpc: VpcId) -> Region {
        self.vpcs[&vpc].legacy_id.region
    }

    fn is_same_account(&self, life: &Life) -> bool {
        self.owner(life.from) == self.owner(life.to)
    }

    fn quota(&self, vpc: VpcId) -> model::Quotas {
        self.quotas[&self.owner(vpc)]
    }

    /// Why `peer` may not be one more that `vpc` reaches.
    fn no_room(
        &self,
        vpc: VpcId,
        peer: VpcId,
        except: Option<PeeringConnectionId>,
    ) -> Vec<Refusal> {
        let crosses = |one, other| self.region(one) != self.region(other);
        let mut refusals = Vec::new();
        let mut standing = 0;
        for (id, life) in &self.peerings {
            let stands = match life.state {
                "active" => life.from == vpc || life.to == vpc,
                "pending" => life.from == vpc,
                _ => false,
            };
            if !stands || Some(*id) == except {
                continue;
            }
            standing += 1;
            let other = if life.from == vpc { life.to } else { life.from };
            if crosses(vpc, peer) && crosses(vpc, other) {
                let met = self.meetings(&self.blocks(peer), other);
                refusals.extend(met.map(|(cidr, other_cidr)| Refusal::PeersOverlap {
                    vpc,
                    cidr,
                    other_cidr,
                    existing: *id,
                }));
            }
        }
        let limit = self.quota(vpc).peerings_per_vpc;
        if standing >= limit {
            refusals.push(Refusal::Limit { vpc, limit });
        }
        refusals
    }

    fn no_inbox(&self, vpc: VpcId, except: Option<PeeringConnectionId>) -> Vec<Refusal> {
        let waiting = self.peerings.iter().filter(|(id, life)| {
            let task = life.lock.and_then(|task| self.tasks.get(&task));
            let is_being_accepted =
                task.is_some_and(|task| matches!(task.kind, TaskKind::Accept { .. }));
            Some(**id) != except
                && life.to == vpc
                && (life.state == "pending" || (life.state == "active" && is_being_accepted))
        });
        let is_full = waiting.count() >= self.quota(vpc).inbox_per_vpc as usize;
        is_full
            .then_some(Refusal::InboxFull { vpc })
            .into_iter()
            .collect()
    }

    /// Why there may be no peering between the two at all.
    fn no_pair(&self, from: VpcId, to: VpcId, except: Option<PeeringConnectionId>) -> Vec<Refusal> {
        let mut refusals = self.no_ends(from, to);
        for (id, life) in &self.peerings {
            let is_same_pair =
                (life.from, life.to) == (from, to) || (life.to, life.from) == (from, to);
            if is_same_pair && OPEN.contains(&life.state) && Some(*id) != except {
                refusals.push(Refusal::PairExists { existing: *id });
            }
        }
        refusals
    }

    fn sees(&self, life: &Life, account: Uin, side: Side) -> bool {
        let vpc = if side == Side::Requester {
            life.from
        } else {
            life.to
        };
        let is_same = self.is_same_account(life);
        self.owner(vpc) == account
            && match life.state {
                "rejected" | "failed" => is_same || side == Side::Requester,
                "deleted" => !is_same && life.deleted_by != Some(side),
                _ => true,
            }
    }

    /// Everything that speaks against an operation. Empty: it is to be done.
    pub fn objections(&self, op: &Op, now: UnixMillis) -> Vec<DomainError> {
        let Op::Call(caller, command) = op else {
            return Vec::new();
        };
        match command {
            Command::PeeringCreate(ask) => self.against_create(*caller, ask),
            Command::PeeringAccept(ask) => self.against(*caller, ask, &PeeringEvent::Accept, now),
            Command::PeeringReject(ask) => self.against(*caller, ask, &PeeringEvent::Reject, now),
            Command::PeeringEnable(ask) => self.against(*caller, ask, &PeeringEvent::Enable, now),
            Command::PeeringDelete(ask) => self.against(*caller, ask, &PeeringEvent::Delete, now),
            Command::PeeringModify(ask) => {
                let action = PeeringAction {
                    region: ask.region,
                    peering: ask.peering,
                    reach: ask.reach,
                    reply: ask.reply,
                };
                let mut objections = Vec::new();
                if ask.bandwidth.is_some() {
                    objections = self.against(*caller, &action, &PeeringEvent::ChangeTerms, now);
                }
                if ask.name.is_some() {
                    objections.extend(self.against(*caller, &action, &PeeringEvent::Rename, now));
                }
                objections
            }
            Command::RouteCreate(ask) => self.against_route(*caller, ask),
            Command::AssistantCidrModify(ask) => self.against_extension(*caller, ask),
            other => panic!("{other:?} is not in the reference"),
        }
    }

    fn against_create(&self, caller: Uin, ask: &PeeringCreate) -> Vec<DomainError> {
        let find = |wanted: VpcRef, owner: Uin, region: Region| {
            let VpcRef::Unified(id) = wanted else {
                panic!("a legacy id")
            };
            let found = self
                .vpcs
                .get(&id)
                .filter(|_| self.owner(id) == owner && self.region(id) == region);
            found
                .map(|vpc| vpc.id)
                .ok_or_else(|| DomainError::VpcNotFound {
                    vpc: wanted.to_string(),
                    region: region.to_string(),
                })
        };
        let from = find(ask.vpc, caller, ask.region);
        let to = find(ask.peer_vpc, ask.peer_uin, ask.peer_region);
        let (from, to) = match (from, to) {
            (Ok(from), Ok(to)) => (from, to),
            (from, to) => return from.err().into_iter().chain(to.err()).collect(),
        };
        let mut refusals = self.no_pair(from, to, None);
        refusals.extend(self.no_room(from, to, None));
        refusals.extend(if caller == ask.peer_uin {
            self.no_room(to, from, None)
        } else {
            self.no_inbox(to, None)
        });
        refusals.into_iter().map(DomainError::Admission).collect()
    }

    fn against(
        &self,
        caller: Uin,
        ask: &PeeringAction,
        event: &PeeringEvent,
        now: UnixMillis,
    ) -> Vec<DomainError> {
        let not_found = DomainError::PeeringNotFound(ask.peering.to_string());
        let Some(life) = self.peerings.get(&ask.peering) else {
            return vec![not_found];
        };
        let sides = [(Side::Requester, life.from), (Side::Accepter, life.to)];
        let needed = match event {
            PeeringEvent::Accept | PeeringEvent::Reject => Some(Side::Accepter),
            PeeringEvent::Enable | PeeringEvent::ChangeTerms => Some(Side::Requester),
            _ => None,
        };
        let needed_region = match event {
            PeeringEvent::Accept | PeeringEvent::Reject => Some(life.to),
            PeeringEvent::Enable => Some(life.from),
            _ => None,
        };
        let is_reached = ask.reach == Reach::Any || self.region(life.from) == self.region(life.to);
        let is_seen = sides.iter().any(|(side, _)| self.sees(life, caller, *side));
        let is_in_region = sides
            .iter()
            .filter(|(_, vpc)| {
                needed_region.is_none_or(|needed| needed == *vpc || self.owner(needed) != caller)
            })
            .any(|(_, vpc)| self.owner(*vpc) == caller && self.region(*vpc) == ask.region);
        if !(is_reached && is_seen && is_in_region) {
            return vec![not_found];
        }
        let mut objections = Vec::new();
        if let Some(task) = life.lock {
            let is_held_up = match event {
                PeeringEvent::Delete => {
                    life.state != "deleted" && self.tasks[&task].reply == Reply::Task
                }
                PeeringEvent::Rename => self.tasks[&task].reply == Reply::Task,
                _ => true,
            };
            if is_held_up {
                objections.push(DomainError::ActionLocked(task));
            }
        }
        let has_role = needed.is_none_or(|needed| {
            let mut needed_sides = sides.iter().filter(|(side, _)| *side == needed);
            needed_sides.any(|(_, vpc)| self.owner(*vpc) == caller)
        });
        let is_waiting = life.state == "pending" && life.deadline.is_some_and(|at| now < at);
        let has_state = match event {
            PeeringEvent::Accept | PeeringEvent::Reject => is_waiting,
            PeeringEvent::Enable => life.state == "expired",
            PeeringEvent::Rename | PeeringEvent::ChangeTerms => {
                ["pending", "active", "expired"].contains(&life.state)
            }
            _ => true,
        };
        if !has_role {
            let (allowed, event) = (needed.unwrap(), event.clone());
            let error = TransitionError::WrongRole { allowed, event };
            objections.push(DomainError::PeeringState(error));
        } else if !has_state {
            let (state, event) = (life.state, event.clone());
            let error = TransitionError::WrongState { state, event };
            objections.push(DomainError::PeeringState(error));
        }
        let refusals = match event {
            PeeringEvent::Accept => {
                let mut refusals = self.no_ends(life.from, life.to);
                refusals.extend(self.no_room(life.to, life.from, Some(ask.peering)));
                let blocks = self.blocks(life.to);
                refusals.extend(self.beyond(life.from, life.to, ask.peering, &blocks));
                refusals
            }
            PeeringEvent::Enable => {
                let mut refusals = self.no_pair(life.from, life.to, Some(ask.peering));
                refusals.extend(self.no_room(life.from, life.to, Some(ask.peering)));
                refusals.extend(self.no_inbox(life.to, Some(ask.peering)));
                refusals
            }
            _ => Vec::new(),
        };
        objections.extend(refusals.into_iter().map(DomainError::Admission));
        objections
    }

    fn against_route(&self, caller: Uin, ask: &RouteChange) -> Vec<DomainError> {
        let Some(VpcRef::Unified(vpc)) = ask.vpc else {
            panic!("a legacy id")
        };
        assert!(self.owner(vpc) == caller && ask.routes.len() == 1);
        let route = &ask.routes[0];
        let hop = route.next_hop.parse().ok();
        let hop = hop.and_then(|id: PeeringConnectionId| self.peerings.get(&id));
        let is_usable =
            hop.is_some_and(|life| life.state == "active" && (life.from == vpc || life.to == vpc));
        let mut objections = self.inside(vpc, route.destination);
        if !is_usable {
            objections.push(DomainError::NextHopNotFound(route.next_hop.clone()));
        }
        let of_vpc = self.routes.iter().filter(|(of, _, _)| *of == vpc);
        if of_vpc.clone().any(|(_, to, _)| *to == route.destination) {
            objections.push(DomainError::RouteExists(route.destination.to_string()));
        }
        let limit = self.quota(vpc).routes_per_table;
        if of_vpc.count() >= limit as usize {
            objections.push(DomainError::RouteLimit { limit });
        }
        objections
    }
}
