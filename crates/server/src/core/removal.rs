//! Peerings that the operator takes away.

use model::command::Reply;
use model::peering::Actor;
use model::{DomainError, Outcome, PeeringConnectionId, TaskId};

use super::Core;
use crate::error::{OperatorError, UseCaseError};

impl Core {
    /// Deletes a peering whatever its state, for both accounts: neither sees it any more. Traffic
    /// stops and routes go as for a deletion by an account; the task belongs to the deployment and
    /// ends when the gateways have confirmed.
    ///
    /// # Errors
    /// [`OperatorError::PeeringNotFound`]; [`OperatorError::PeeringLocked`] while a task runs on it
    /// that its caller was told of.
    pub async fn peering_remove(&self, id: PeeringConnectionId) -> Result<TaskId, UseCaseError> {
        self.decide(|draft| {
            let found = draft
                .catalog()
                .peering(id)
                .ok_or(OperatorError::PeeringNotFound(id))?;
            match self.end_peering(draft, found, Actor::System, Reply::Task) {
                Ok(Outcome::TaskStarted(task)) => Ok(task),
                Ok(other) => Err(UseCaseError::Internal(format!(
                    "deleting a peering answered {other:?}"
                ))),
                Err(UseCaseError::Domain(DomainError::ActionLocked(task))) => {
                    Err(OperatorError::PeeringLocked { peering: id, task }.into())
                }
                Err(error) => Err(error),
            }
        })
        .await
    }
}
