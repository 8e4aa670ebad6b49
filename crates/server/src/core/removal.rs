//! Peerings that the operator takes away.

use model::peering::{Actor, PeeringEvent, Transition};
use model::{PeeringConnection, PeeringConnectionId, PeeringState, TaskId, TaskKind};
use store::record::Key;

use super::Core;
use super::peering::{DEPLOYMENT, VniUse, withdraw_routes};
use super::task::Ending;
use crate::error::{OperatorError, UseCaseError};

impl Core {
    /// Deletes a peering whatever its state, for both accounts: neither sees it any more. Traffic
    /// stops and routes go as for a deletion by an account; the task belongs to the deployment and
    /// ends when the gateways have confirmed.
    ///
    /// # Errors
    /// [`OperatorError::PeeringNotFound`]; [`OperatorError::PeeringLocked`] while a task runs on it.
    pub async fn peering_remove(&self, id: PeeringConnectionId) -> Result<TaskId, UseCaseError> {
        self.decide(|draft| {
            let catalog = draft.catalog();
            let found = catalog
                .peering(id)
                .ok_or(OperatorError::PeeringNotFound(id))?;
            let running = found
                .task
                .filter(|task| catalog.task(*task).is_some_and(model::Task::is_running));
            if let Some(task) = running {
                let peering = id;
                return Err(OperatorError::PeeringLocked { peering, task }.into());
            }
            let transition = self.transition(found, PeeringEvent::Delete, Actor::System)?;
            let mut peering = found.clone();
            // What one of the accounts deleted before is buried already.
            let ending = if matches!(found.state, PeeringState::Deleted { .. }) {
                Ending::AtOnce
            } else {
                withdraw_routes(draft, found);
                self.bury(draft, found, DEPLOYMENT, VniUse::Over)
            };
            let task = self.begin(draft, DEPLOYMENT, TaskKind::Delete, &mut peering, ending);
            match transition {
                Transition::Gone => draft.delete(&Key::Peering(id)),
                Transition::To(state) => draft.put(PeeringConnection { state, ..peering }),
            }
            Ok(task)
        })
        .await
    }
}
