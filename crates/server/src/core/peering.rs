//! The life of peering connections: every transition, with what admission says to it.
//!
//! A decision that takes something of a VPC (a peering, a place in an inbox) writes that VPC's epoch
//! and reads the account that the quota is of; one that takes routes away writes the epochs of both
//! VPCs. Accepting takes no place of the requester's, whose pending request stood already, but writes
//! its epoch too, because the blocks that its other peers have by then are looked at. Rejecting,
//! expiring and renaming only give back or change nothing that others count, so the peering's own
//! record is guard enough. `tests/guards.rs` shows of each guard what goes wrong without it.

mod expiry;
mod find;
mod removal;

use model::admission::{Refusal, admit_accept, admit_create, admit_enable};
use model::command::{PeeringAction, PeeringCreate, PeeringModify, Reply};
use model::peering::{Actor, PeeringEvent, Transition, TransitionError};
use model::{
    DomainError, Name, Outcome, PeeringConnection, PeeringEnd, PeeringState, Side, Tags, TaskKind,
    Uin, World,
};
use store::record::{Key, VniReservation};

use super::commit::Draft;
use super::gateway::DEPLOYMENT;
use super::tag::checked;
use super::task::{Ending, Work};
use super::vpc::vpc_of;
use super::{Core, number};
use crate::catalog::Catalog;
use crate::error::UseCaseError;
use find::{Target, check_unlocked, find, running_task};
pub(super) use removal::{VniUse, withdraw_routes};

impl Core {
    pub(super) fn peering_create(
        &self,
        draft: &mut Draft<'_>,
        caller: Uin,
        ask: &PeeringCreate,
    ) -> Result<Outcome, UseCaseError> {
        let catalog = draft.catalog();
        let name = peering_name(&ask.name)?;
        let requester = vpc_of(catalog, caller, ask.region, ask.vpc)?;
        let accepter = vpc_of(catalog, ask.peer_uin, ask.peer_region, ask.peer_vpc)?;
        let now = self.now();
        let state = if requester.owner == accepter.owner {
            PeeringState::Active { since: now }
        } else {
            PeeringState::Pending {
                expires_at: now.after(self.rules.request_lifetime),
            }
        };
        let mut peering = PeeringConnection {
            id: number::peering_id(catalog),
            name,
            requester: PeeringEnd::from(requester),
            accepter: PeeringEnd::from(accepter),
            bandwidth: ask.bandwidth,
            charge_type: ask.charge_type,
            qos_level: ask.qos_level,
            vni: self.numbers.vni(catalog)?,
            state,
            requester_tags: checked(&ask.tags)?,
            accepter_tags: Tags::default(),
            task: None,
            created_at: now,
        };
        admit(admit_create(catalog, &peering, self.rules.overlap))?;
        read_quotas(draft, &[requester.owner, accepter.owner]);
        let work = Work {
            kind: TaskKind::Create,
            reply: ask.reply,
            ending: match peering.is_carried() {
                true => Ending::WithGateways,
                false => Ending::AtOnce,
            },
        };
        let outcome = self.begin(draft, caller, work, &mut peering);
        draft.next_epoch(peering.requester.vpc);
        draft.next_epoch(peering.accepter.vpc);
        draft.put(VniReservation {
            vni: peering.vni,
            peering: peering.id,
        });
        draft.put(peering);
        Ok(outcome)
    }

    pub(super) fn peering_accept(
        &self,
        draft: &mut Draft<'_>,
        caller: Uin,
        ask: PeeringAction,
    ) -> Result<Outcome, UseCaseError> {
        let catalog = draft.catalog();
        let found = find(catalog, caller, ask.into(), Some(Side::Accepter))?;
        check_unlocked(catalog, found)?;
        let mut peering = self.next(found, &PeeringEvent::Accept, caller)?;
        admit(admit_accept(catalog, found, self.rules.overlap))?;
        read_quotas(draft, &[found.accepter.owner]);
        let PeeringState::Pending { expires_at } = found.state else {
            let reason = format!("{} was accepted but not pending", found.id);
            return Err(UseCaseError::Internal(reason));
        };
        let work = Work {
            kind: TaskKind::Accept { expires_at },
            reply: ask.reply,
            ending: Ending::WithGateways,
        };
        let outcome = self.begin(draft, caller, work, &mut peering);
        // Carried again with the same VNI: an earlier, failed acceptance leaves nothing to remove.
        if catalog.tombstone(peering.id).is_some() {
            draft.delete(&Key::Tombstone(peering.id));
        }
        draft.next_epoch(peering.requester.vpc);
        draft.next_epoch(peering.accepter.vpc);
        draft.put(peering);
        Ok(outcome)
    }

    pub(super) fn peering_reject(
        &self,
        draft: &mut Draft<'_>,
        caller: Uin,
        ask: PeeringAction,
    ) -> Result<Outcome, UseCaseError> {
        let found = find(draft.catalog(), caller, ask.into(), Some(Side::Accepter))?;
        check_unlocked(draft.catalog(), found)?;
        let mut peering = self.next(found, &PeeringEvent::Reject, caller)?;
        let work = Work {
            kind: TaskKind::Reject,
            reply: ask.reply,
            ending: Ending::AtOnce,
        };
        let outcome = self.begin(draft, caller, work, &mut peering);
        draft.put(peering);
        Ok(outcome)
    }

    pub(super) fn peering_enable(
        &self,
        draft: &mut Draft<'_>,
        caller: Uin,
        ask: PeeringAction,
    ) -> Result<Outcome, UseCaseError> {
        let catalog = draft.catalog();
        let found = find(catalog, caller, ask.into(), Some(Side::Requester))?;
        check_unlocked(catalog, found)?;
        let mut peering = self.next(found, &PeeringEvent::Enable, caller)?;
        check_accepter_vpc(catalog, found)?;
        admit(admit_enable(catalog, found, self.rules.overlap))?;
        read_quotas(draft, &[found.requester.owner, found.accepter.owner]);
        let work = Work {
            kind: TaskKind::Enable,
            reply: ask.reply,
            ending: Ending::AtOnce,
        };
        let outcome = self.begin(draft, caller, work, &mut peering);
        draft.next_epoch(peering.requester.vpc);
        draft.next_epoch(peering.accepter.vpc);
        draft.put(peering);
        Ok(outcome)
    }

    /// Ends a peering. A task that nobody was told of does not hold a deletion up: it is superseded
    /// and takes nothing back any more. Nor does a first deletion hold up the second one.
    pub(super) fn peering_delete(
        &self,
        draft: &mut Draft<'_>,
        caller: Uin,
        ask: PeeringAction,
    ) -> Result<Outcome, UseCaseError> {
        let found = find(draft.catalog(), caller, ask.into(), None)?;
        self.end_peering(draft, found, Actor::Account(caller), ask.reply)
    }

    /// Ends a peering for an account or, with the system as actor, for everybody.
    pub(super) fn end_peering(
        &self,
        draft: &mut Draft<'_>,
        found: &PeeringConnection,
        actor: Actor,
        reply: Reply,
    ) -> Result<Outcome, UseCaseError> {
        let owner = match actor {
            Actor::Account(account) => account,
            Actor::System => DEPLOYMENT,
        };
        let is_deleted = matches!(found.state, PeeringState::Deleted { .. });
        let superseded = match running_task(draft.catalog(), found) {
            Some(_) if is_deleted => None,
            Some(task) if task.is_announced() => {
                return Err(DomainError::ActionLocked(task.id).into());
            }
            task => task,
        };
        let transition = self.transition(found, PeeringEvent::Delete, actor)?;
        let mut peering = found.clone();
        if let Some(task) = superseded {
            self.supersede(draft, task, &mut peering);
        }
        // The first deletion ended it; the second one only takes the record away.
        let ending = if is_deleted {
            Ending::AtOnce
        } else {
            withdraw_routes(draft, found);
            self.bury(draft, found, owner, VniUse::Over)
        };
        let work = Work {
            kind: TaskKind::Delete,
            reply,
            ending,
        };
        let outcome = self.begin(draft, owner, work, &mut peering);
        match transition {
            Transition::Gone => draft.delete(&Key::Peering(peering.id)),
            // The account that deletes it is done with it, its tags included.
            Transition::To(state) => {
                let peering = match actor {
                    Actor::Account(account) => peering.with_tags_of(account, Tags::default()),
                    Actor::System => peering,
                };
                draft.put(PeeringConnection { state, ..peering });
            }
        }
        Ok(outcome)
    }

    /// Changes name or terms. A new name alone does not disturb a task that nobody was told of: the
    /// task goes on and keeps its lock.
    pub(super) fn peering_modify(
        &self,
        draft: &mut Draft<'_>,
        caller: Uin,
        ask: &PeeringModify,
    ) -> Result<Outcome, UseCaseError> {
        let catalog = draft.catalog();
        let name = ask.name.as_deref().map(peering_name).transpose()?;
        let found = find(catalog, caller, Target::from(ask), None)?;
        let changes_terms = ask.bandwidth.is_some() || ask.charge_type.is_some();
        match running_task(catalog, found) {
            Some(task) if changes_terms || task.is_announced() => {
                return Err(DomainError::ActionLocked(task.id).into());
            }
            Some(_) | None => {}
        }
        let mut peering = found.clone();
        if changes_terms {
            peering = self.next(&peering, &PeeringEvent::ChangeTerms, caller)?;
            peering.bandwidth = ask.bandwidth.unwrap_or(peering.bandwidth);
            peering.charge_type = ask.charge_type.unwrap_or(peering.charge_type);
        }
        if let Some(name) = name {
            peering = self.next(&peering, &PeeringEvent::Rename, caller)?;
            peering.name = name;
        }
        let previous = found.bandwidth;
        let work = Work {
            kind: TaskKind::Modify { previous },
            reply: ask.reply,
            ending: if peering.is_carried() && peering.bandwidth != previous {
                Ending::WithGateways
            } else {
                Ending::AtOnce
            },
        };
        let outcome = self.begin(draft, caller, work, &mut peering);
        draft.put(peering);
        Ok(outcome)
    }

    pub(super) fn transition(
        &self,
        peering: &PeeringConnection,
        event: PeeringEvent,
        actor: Actor,
    ) -> Result<Transition, DomainError> {
        peering
            .transition(event, actor, self.now(), self.rules.request_lifetime)
            .map_err(|error| match error {
                TransitionError::NotFound => DomainError::PeeringNotFound(peering.id.to_string()),
                TransitionError::WrongRole { .. } | TransitionError::WrongState { .. } => {
                    DomainError::PeeringState(error)
                }
            })
    }

    /// The peering after an event that it survives.
    fn next(
        &self,
        peering: &PeeringConnection,
        event: &PeeringEvent,
        caller: Uin,
    ) -> Result<PeeringConnection, UseCaseError> {
        match self.transition(peering, event.clone(), Actor::Account(caller))? {
            Transition::To(state) => Ok(PeeringConnection {
                state,
                ..peering.clone()
            }),
            Transition::Gone => Err(UseCaseError::Internal(format!("{event} removed a peering"))),
        }
    }
}

/// An expired request may be to a VPC that is gone.
fn check_accepter_vpc(catalog: &Catalog, peering: &PeeringConnection) -> Result<(), DomainError> {
    let end = peering.accepter;
    match catalog.vpc(end.vpc) {
        Some(_) => Ok(()),
        None => Err(DomainError::VpcNotFound {
            vpc: end.vpc.to_string(),
            region: end.region().to_string(),
        }),
    }
}

/// Notes that a decision holds only while the quotas of these accounts stay as they are.
fn read_quotas(draft: &mut Draft<'_>, accounts: &[Uin]) {
    for account in accounts {
        draft.read(&Key::Account(*account));
    }
}

fn peering_name(text: &str) -> Result<Name, DomainError> {
    Name::new(text).map_err(|error| DomainError::PeeringName(error.to_string()))
}

fn admit(admission: Result<(), Refusal>) -> Result<(), DomainError> {
    admission.map_err(DomainError::Admission)
}
