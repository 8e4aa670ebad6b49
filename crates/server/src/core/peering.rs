//! The life of peering connections: every transition, with what admission says to it.
//!
//! Decisions that take something of a VPC (a peering, a place in an inbox) and those that take
//! routes away write the epochs of both VPCs. Rejecting, expiring and renaming only give back or
//! change nothing that others count, so the peering's own record is guard enough.

use model::admission::{Refusal, admit_accept, admit_create, admit_enable};
use model::command::{PeeringAction, PeeringCreate, PeeringModify};
use model::peering::{Actor, PeeringEvent, Transition, TransitionError};
use model::{
    DomainError, GatewayId, Name, Outcome, PeeringConnection, PeeringConnectionId, PeeringEnd,
    PeeringState, Region, Side, TaskId, TaskKind, Tombstone, Uin, UnixMillis, VpcId, World,
};
use store::record::{Key, Tally, VniReservation};

use super::commit::Draft;
use super::task::Ending;
use super::vpc::vpc_of;
use super::{Core, Dataplane, number};
use crate::catalog::Catalog;
use crate::error::UseCaseError;

/// The account that stands for the deployment itself. Its tally of a region is written whenever a
/// gateway joins or leaves, and read by whoever relies on which gateway the region has.
pub(super) const DEPLOYMENT: Uin = Uin(0);

/// Expiring peerings in one transaction.
const EXPIRED_AT_ONCE: usize = 50;

/// The record that changes with the gateways of a region.
pub(super) fn gateways_of(region: Region) -> Tally {
    Tally {
        owner: DEPLOYMENT,
        region,
        vpcs: 0,
    }
}

/// The key of [`gateways_of`].
pub(super) fn gateways_key(region: Region) -> Key {
    Key::Tally {
        owner: DEPLOYMENT,
        region,
    }
}

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
            task: None,
            created_at: now,
        };
        admit(admit_create(catalog, &peering, self.rules.overlap))?;
        let ending = match peering.is_carried() {
            true => Ending::WithGateways,
            false => Ending::AtOnce,
        };
        let task = self.begin(draft, caller, TaskKind::Create, &mut peering, ending);
        draft.next_epoch(peering.requester.vpc);
        draft.next_epoch(peering.accepter.vpc);
        draft.put(VniReservation {
            vni: peering.vni,
            peering: peering.id,
        });
        draft.put(peering);
        Ok(Outcome::TaskStarted(task))
    }

    pub(super) fn peering_accept(
        &self,
        draft: &mut Draft<'_>,
        caller: Uin,
        ask: PeeringAction,
    ) -> Result<Outcome, UseCaseError> {
        let found = acted_on(draft.catalog(), caller, ask, Some(Side::Accepter))?;
        let mut peering = self.next(found, PeeringEvent::Accept, caller)?;
        admit(admit_accept(draft.catalog(), found, self.rules.overlap))?;
        let PeeringState::Pending { expires_at } = found.state else {
            let reason = format!("{} was accepted but not pending", found.id);
            return Err(UseCaseError::Internal(reason));
        };
        let kind = TaskKind::Accept { expires_at };
        let task = self.begin(draft, caller, kind, &mut peering, Ending::WithGateways);
        // Carried again with the same VNI: an earlier, failed acceptance leaves nothing to remove.
        if draft.catalog().tombstone(peering.id).is_some() {
            draft.delete(&Key::Tombstone(peering.id));
        }
        draft.next_epoch(peering.requester.vpc);
        draft.next_epoch(peering.accepter.vpc);
        draft.put(peering);
        Ok(Outcome::TaskStarted(task))
    }

    pub(super) fn peering_reject(
        &self,
        draft: &mut Draft<'_>,
        caller: Uin,
        ask: PeeringAction,
    ) -> Result<Outcome, UseCaseError> {
        let found = acted_on(draft.catalog(), caller, ask, Some(Side::Accepter))?;
        let mut peering = self.next(found, PeeringEvent::Reject, caller)?;
        let task = self.begin(
            draft,
            caller,
            TaskKind::Reject,
            &mut peering,
            Ending::AtOnce,
        );
        draft.put(peering);
        Ok(Outcome::TaskStarted(task))
    }

    pub(super) fn peering_enable(
        &self,
        draft: &mut Draft<'_>,
        caller: Uin,
        ask: PeeringAction,
    ) -> Result<Outcome, UseCaseError> {
        let found = acted_on(draft.catalog(), caller, ask, Some(Side::Requester))?;
        let mut peering = self.next(found, PeeringEvent::Enable, caller)?;
        admit(admit_enable(draft.catalog(), found, self.rules.overlap))?;
        let task = self.begin(
            draft,
            caller,
            TaskKind::Enable,
            &mut peering,
            Ending::AtOnce,
        );
        draft.next_epoch(peering.requester.vpc);
        draft.next_epoch(peering.accepter.vpc);
        draft.put(peering);
        Ok(Outcome::TaskStarted(task))
    }

    pub(super) fn peering_delete(
        &self,
        draft: &mut Draft<'_>,
        caller: Uin,
        ask: PeeringAction,
    ) -> Result<Outcome, UseCaseError> {
        let found = acted_on(draft.catalog(), caller, ask, None)?;
        let transition = self.transition(found, PeeringEvent::Delete, Actor::Account(caller))?;
        let mut peering = found.clone();
        // The first deletion ended it; the second one only takes the record away.
        let ending = if matches!(found.state, PeeringState::Deleted { .. }) {
            Ending::AtOnce
        } else {
            withdraw_routes(draft, found);
            self.bury(draft, found, caller, VniUse::Over)
        };
        let task = self.begin(draft, caller, TaskKind::Delete, &mut peering, ending);
        match transition {
            Transition::Gone => draft.delete(&Key::Peering(peering.id)),
            Transition::To(state) => draft.put(PeeringConnection { state, ..peering }),
        }
        Ok(Outcome::TaskStarted(task))
    }

    pub(super) fn peering_modify(
        &self,
        draft: &mut Draft<'_>,
        caller: Uin,
        ask: &PeeringModify,
    ) -> Result<Outcome, UseCaseError> {
        let name = ask.name.as_deref().map(peering_name).transpose()?;
        let action = PeeringAction {
            region: ask.region,
            peering: ask.peering,
        };
        let found = acted_on(draft.catalog(), caller, action, None)?;
        let mut peering = found.clone();
        if ask.bandwidth.is_some() || ask.charge_type.is_some() {
            peering = self.next(&peering, PeeringEvent::ChangeTerms, caller)?;
            peering.bandwidth = ask.bandwidth.unwrap_or(peering.bandwidth);
            peering.charge_type = ask.charge_type.unwrap_or(peering.charge_type);
        }
        if let Some(name) = name {
            peering = self.next(&peering, PeeringEvent::Rename, caller)?;
            peering.name = name;
        }
        let previous = found.bandwidth;
        let ending = if peering.is_carried() && peering.bandwidth != previous {
            Ending::WithGateways
        } else {
            Ending::AtOnce
        };
        let kind = TaskKind::Modify { previous };
        let task = self.begin(draft, caller, kind, &mut peering, ending);
        draft.put(peering);
        Ok(Outcome::TaskStarted(task))
    }

    /// Expires the pending peerings whose time has come, drops ended tasks and void join tokens that
    /// nobody can need any more, and tells when the next pending peering expires.
    ///
    /// # Errors
    /// [`UseCaseError`]; what was expired before stays so.
    pub async fn expire_due(&self) -> Result<Option<UnixMillis>, UseCaseError> {
        loop {
            let expired = self.decide(|draft| self.expire_some(draft)).await?;
            if expired < EXPIRED_AT_ONCE {
                break;
            }
        }
        self.forget_old().await?;
        Ok(self.catalog().next_expiry())
    }

    fn expire_some(&self, draft: &mut Draft<'_>) -> Result<usize, UseCaseError> {
        let now = self.now();
        let due: Vec<PeeringConnectionId> = draft
            .catalog()
            .pending()
            .take_while(|(deadline, _)| *deadline <= now)
            .map(|(_, id)| id)
            .take(EXPIRED_AT_ONCE)
            .collect();
        for id in &due {
            let Some(peering) = draft.catalog().peering(*id) else {
                continue;
            };
            if let Transition::To(state) =
                self.transition(peering, PeeringEvent::Expire, Actor::System)?
            {
                draft.put(PeeringConnection {
                    state,
                    ..peering.clone()
                });
            }
        }
        Ok(due.len())
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
        event: PeeringEvent,
        caller: Uin,
    ) -> Result<PeeringConnection, UseCaseError> {
        match self.transition(peering, event, Actor::Account(caller))? {
            Transition::To(state) => Ok(PeeringConnection {
                state,
                ..peering.clone()
            }),
            Transition::Gone => Err(UseCaseError::Internal(format!("{event} removed a peering"))),
        }
    }

    /// Leaves a tombstone for a peering that stops being carried, awaiting the gateways that may
    /// still carry it. If there are none, a VNI that is no longer needed is free at once.
    pub(super) fn bury(
        &self,
        draft: &mut Draft<'_>,
        peering: &PeeringConnection,
        owner: Uin,
        vni_use: VniUse,
    ) -> Ending {
        let awaiting = self.carriers(draft, peering);
        if awaiting.is_empty() {
            if draft.catalog().tombstone(peering.id).is_some() {
                draft.delete(&Key::Tombstone(peering.id));
            }
            if vni_use == VniUse::Over {
                draft.delete(&Key::Vni(peering.vni));
            }
            return Ending::AtOnce;
        }
        draft.put(Tombstone {
            peering: peering.id,
            owner,
            vni: peering.vni,
            awaiting,
            deleted_at: self.now(),
        });
        Ending::WithGateways
    }

    /// The gateways that may carry a peering: those of both regions while it is active, and those
    /// that have not confirmed that it was taken away before.
    fn carriers(&self, draft: &mut Draft<'_>, peering: &PeeringConnection) -> Vec<GatewayId> {
        if self.rules.dataplane == Dataplane::None {
            return Vec::new();
        }
        let catalog = draft.catalog();
        let mut carriers = catalog
            .tombstone(peering.id)
            .map_or_else(Vec::new, |tombstone| tombstone.awaiting.clone());
        if matches!(
            peering.state,
            PeeringState::Active { .. } | PeeringState::Isolated { .. }
        ) {
            for side in [Side::Requester, Side::Accepter] {
                let region = peering.end(side).region();
                draft.read(&gateways_key(region));
                carriers.extend(catalog.gateway_of(region).map(|gateway| gateway.id));
            }
        }
        carriers.sort_unstable();
        carriers.dedup();
        carriers
    }
}

/// Whether the VNI of a buried peering is needed further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VniUse {
    /// The peering may be carried again.
    Continues,
    /// It will not be.
    Over,
}

/// Removes the routes to a peering from the tables of both VPCs, and moves the VPCs' epochs so that
/// no route is added beside it.
pub(super) fn withdraw_routes(draft: &mut Draft<'_>, peering: &PeeringConnection) {
    let catalog = draft.catalog();
    for vpc in [peering.requester.vpc, peering.accepter.vpc] {
        draft.next_epoch(vpc);
        for table in route_tables_without(catalog, vpc, peering.id) {
            draft.put(table);
        }
    }
}

fn route_tables_without(
    catalog: &Catalog,
    vpc: VpcId,
    peering: PeeringConnectionId,
) -> impl Iterator<Item = model::RouteTable> {
    catalog
        .route_tables_of(vpc)
        .filter_map(move |table| table.without_peering(peering))
}

/// The peering of an action, if the caller sees it from an end in the action's region: the end that
/// the action belongs to when that is the caller's, any end of the caller's otherwise.
fn acted_on(
    catalog: &Catalog,
    caller: Uin,
    action: PeeringAction,
    side: Option<Side>,
) -> Result<&PeeringConnection, DomainError> {
    let not_found = || DomainError::PeeringNotFound(action.peering.to_string());
    let peering = catalog
        .peering(action.peering)
        .filter(|peering| peering.is_visible_to(caller))
        .ok_or_else(not_found)?;
    let own_side = side.filter(|side| peering.is_owned_by(caller, *side));
    let is_there = [Side::Requester, Side::Accepter]
        .into_iter()
        .filter(|side| own_side.is_none_or(|own_side| own_side == *side))
        .any(|side| {
            peering.is_owned_by(caller, side) && peering.end(side).region() == action.region
        });
    if !is_there {
        return Err(not_found());
    }
    match running_task(catalog, peering) {
        Some(task) => Err(DomainError::ActionLocked(task)),
        None => Ok(peering),
    }
}

fn running_task(catalog: &Catalog, peering: &PeeringConnection) -> Option<TaskId> {
    peering
        .task
        .filter(|task| catalog.task(*task).is_some_and(model::Task::is_running))
}

fn peering_name(text: &str) -> Result<Name, DomainError> {
    Name::new(text).map_err(|error| DomainError::PeeringName(error.to_string()))
}

fn admit(admission: Result<(), Refusal>) -> Result<(), DomainError> {
    admission.map_err(DomainError::Admission)
}
