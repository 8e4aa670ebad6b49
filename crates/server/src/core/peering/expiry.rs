//! What time does to peerings.

use model::peering::{Actor, PeeringEvent, Transition};
use model::{PeeringConnection, PeeringConnectionId, UnixMillis};

use super::Draft;
use crate::core::Core;
use crate::error::UseCaseError;

/// Expiring peerings in one transaction.
const EXPIRED_AT_ONCE: usize = 50;

impl Core {
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
}
