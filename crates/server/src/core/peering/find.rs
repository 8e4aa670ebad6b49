//! Which peering an action is about, and whether a task stands in its way.

use model::command::{PeeringAction, PeeringModify, Reach};
use model::{DomainError, PeeringConnection, PeeringConnectionId, Region, Side, Task, Uin};

use crate::catalog::Catalog;

/// How an action names its peering.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    region: Region,
    peering: PeeringConnectionId,
    reach: Reach,
}

impl From<PeeringAction> for Target {
    fn from(ask: PeeringAction) -> Self {
        Target {
            region: ask.region,
            peering: ask.peering,
            reach: ask.reach,
        }
    }
}

impl From<&PeeringModify> for Target {
    fn from(ask: &PeeringModify) -> Self {
        Target {
            region: ask.region,
            peering: ask.peering,
            reach: ask.reach,
        }
    }
}

/// The peering of an action, if it is within the action's reach and the caller sees it from an end
/// in the action's region: the end that the action belongs to when that is the caller's, any end of
/// the caller's otherwise. The unknown, the foreign and those out of reach are alike.
pub(super) fn find(
    catalog: &Catalog,
    caller: Uin,
    target: Target,
    side: Option<Side>,
) -> Result<&PeeringConnection, DomainError> {
    let is_in_reach = |peering: &&PeeringConnection| match target.reach {
        Reach::SameRegion => !peering.is_cross_region(),
        Reach::Any => true,
    };
    let is_there = |peering: &&PeeringConnection| match side
        .filter(|side| peering.is_owned_by(caller, *side))
    {
        Some(side) => peering.end(side).region() == target.region,
        None => true,
    };
    catalog
        .peering(target.peering)
        .filter(|peering| peering.is_visible_in(caller, target.region))
        .filter(is_in_reach)
        .filter(is_there)
        .ok_or_else(|| DomainError::PeeringNotFound(target.peering.to_string()))
}

/// The task that is running on a peering.
pub(super) fn running_task<'a>(
    catalog: &'a Catalog,
    peering: &PeeringConnection,
) -> Option<&'a Task> {
    let task = catalog.task(peering.task?)?;
    task.is_running().then_some(task)
}

/// Refuses an action that cannot happen beside a running task, whether or not its caller was told
/// of the task.
pub(super) fn check_unlocked(
    catalog: &Catalog,
    peering: &PeeringConnection,
) -> Result<(), DomainError> {
    match running_task(catalog, peering) {
        Some(task) => Err(DomainError::ActionLocked(task.id)),
        None => Ok(()),
    }
}
