//! Tasks: how they begin, how they end, and what a failure takes back.

use std::time::Duration;

use model::command::Reply;
use model::peering::{Actor, PeeringEvent, Transition};
use model::{
    GatewayId, Outcome, PeeringConnection, PeeringConnectionId, PeeringState, Task, TaskId,
    TaskKind, TaskState, Tombstone, Uin, UnixMillis,
};
use store::record::Key;

use super::commit::Draft;
use super::peering::{VniUse, withdraw_routes};
use super::{Core, Dataplane};
use crate::error::UseCaseError;

/// How long an ended task can be asked for.
const ENDED_TASK_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// Records forgotten in one transaction.
const FORGOTTEN_AT_ONCE: usize = 100;

/// When a task ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// It has ended when it is committed.
    AtOnce,
    /// When the gateways have done their part, if there are any in this deployment.
    WithGateways,
}

/// What an action leaves to be done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    /// The task, with what is needed to take it back.
    pub kind: TaskKind,
    /// What the caller is answered.
    pub reply: Reply,
    /// When it is done.
    pub ending: Ending,
}

impl Core {
    /// Notes the work of an action, locks the peering while it runs, and tells the caller's answer.
    /// Work that is done at once and that nobody asks about leaves no record. The caller of this
    /// function writes the peering. A lock that the peering has stays where the new task does not
    /// run.
    pub(super) fn begin(
        &self,
        draft: &mut Draft<'_>,
        owner: Uin,
        work: Work,
        peering: &mut PeeringConnection,
    ) -> Outcome {
        let now = self.now();
        let ending = match self.rules.dataplane {
            Dataplane::Gateways => work.ending,
            Dataplane::None => Ending::AtOnce,
        };
        let state = match (ending, work.reply) {
            (Ending::AtOnce, Reply::Peering) => return untold(work.kind, peering),
            (Ending::AtOnce, Reply::Task) => TaskState::Succeeded { at: now },
            (Ending::WithGateways, Reply::Task | Reply::Peering) => TaskState::Running,
        };
        let task = Task {
            id: self.numbers.task(draft.catalog()),
            owner,
            reply: work.reply,
            kind: work.kind,
            peering: peering.id,
            state,
            created_at: now,
            deadline: now.after(self.rules.task_timeout),
        };
        let id = task.id;
        if task.is_running() {
            peering.task = Some(id);
            draft.start(id);
        }
        draft.put(task);
        match work.reply {
            Reply::Task => Outcome::TaskStarted(id),
            Reply::Peering => untold(work.kind, peering),
        }
    }

    /// Ends a task that a deletion makes pointless, and frees its peering, which the caller of this
    /// function writes or removes. The task takes nothing back any more, because it has ended.
    pub(super) fn supersede(
        &self,
        draft: &mut Draft<'_>,
        task: &Task,
        peering: &mut PeeringConnection,
    ) {
        let (at, message) = (self.now(), "the peering connection was deleted".to_owned());
        end(draft, task, TaskState::Failed { at, message });
        peering.task = None;
    }

    /// Ends a task successfully. A task that has ended, or is unknown, stays as it is.
    ///
    /// # Errors
    /// [`UseCaseError`].
    pub async fn task_succeed(&self, id: TaskId) -> Result<(), UseCaseError> {
        self.decide(|draft| {
            let Some(task) = running(draft, id) else {
                return Ok(());
            };
            if let Some(peering) = locked_by(draft, task) {
                draft.put(unlocked(peering));
            }
            let at = self.now();
            end(draft, task, TaskState::Succeeded { at });
            Ok(())
        })
        .await
    }

    /// Ends a task as failed, with a message for its owner, and takes back what it began: a created
    /// peering is gone, or failed where its creator holds the id, an accepted one pending again until its old deadline, a changed bandwidth
    /// back at its old value. A deletion stays. A task that has ended, or is unknown, stays as it
    /// is.
    ///
    /// # Errors
    /// [`UseCaseError`].
    pub async fn task_fail(&self, id: TaskId, message: String) -> Result<(), UseCaseError> {
        self.decide(|draft| {
            let Some(task) = running(draft, id) else {
                return Ok(());
            };
            if let Some(peering) = locked_by(draft, task) {
                self.take_back(draft, task, peering, &message)?;
            }
            let (at, message) = (self.now(), message.clone());
            end(draft, task, TaskState::Failed { at, message });
            Ok(())
        })
        .await
    }

    fn take_back(
        &self,
        draft: &mut Draft<'_>,
        task: &Task,
        peering: &PeeringConnection,
        message: &str,
    ) -> Result<(), UseCaseError> {
        let event = match task.kind {
            TaskKind::Create if task.is_announced() => PeeringEvent::CreationUndone,
            TaskKind::Create => PeeringEvent::CreationFailed {
                reason: message.to_owned(),
            },
            TaskKind::Accept { expires_at } => PeeringEvent::ActivationFailed { expires_at },
            TaskKind::Modify { previous } => {
                draft.put(PeeringConnection {
                    bandwidth: previous,
                    ..unlocked(peering)
                });
                return Ok(());
            }
            TaskKind::Reject | TaskKind::Enable | TaskKind::Delete => {
                draft.put(unlocked(peering));
                return Ok(());
            }
        };
        withdraw_routes(draft, peering);
        match self.transition(peering, event, Actor::System)? {
            Transition::Gone => {
                self.bury(draft, peering, task.owner, VniUse::Over);
                draft.delete(&Key::Peering(peering.id));
            }
            Transition::To(state) => {
                self.bury(draft, peering, task.owner, VniUse::Continues);
                let peering = unlocked(peering);
                draft.put(PeeringConnection { state, ..peering });
            }
        }
        Ok(())
    }

    /// Notes that a gateway does not carry a deleted peering any more. The last confirmation
    /// removes the tombstone, frees the VNI and ends the deletion's task. Without effect when
    /// nothing is awaited from that gateway.
    ///
    /// # Errors
    /// [`UseCaseError`].
    pub async fn tombstone_confirm(
        &self,
        peering: PeeringConnectionId,
        gateway: GatewayId,
    ) -> Result<(), UseCaseError> {
        self.decide(|draft| {
            if let Some(tombstone) = draft.catalog().tombstone(peering) {
                self.confirm(draft, tombstone, gateway);
            }
            Ok(())
        })
        .await
    }

    pub(super) fn confirm(&self, draft: &mut Draft<'_>, tombstone: &Tombstone, gateway: GatewayId) {
        if !tombstone.awaiting.contains(&gateway) {
            return;
        }
        let mut rest = tombstone.clone();
        rest.awaiting.retain(|awaited| *awaited != gateway);
        if !rest.awaiting.is_empty() {
            draft.put(rest);
            return;
        }
        draft.delete(&Key::Tombstone(tombstone.peering));
        let catalog = draft.catalog();
        let peering = catalog.peering(tombstone.peering);
        // A peering that is pending again after a failed acceptance keeps its VNI, and so does a
        // failed creation until it is deleted.
        draft.read(&Key::Peering(tombstone.peering));
        if peering.is_none_or(|peering| matches!(peering.state, PeeringState::Deleted { .. })) {
            draft.delete(&Key::Vni(tombstone.vni));
        }
        let deletion = catalog
            .running_tasks()
            .find(|task| task.peering == tombstone.peering && task.kind == TaskKind::Delete);
        if let Some(task) = deletion {
            if let Some(peering) = locked_by(draft, task) {
                draft.put(unlocked(peering));
            }
            let at = self.now();
            end(draft, task, TaskState::Succeeded { at });
        }
    }

    /// Removes the records of tasks that ended long ago and of join tokens that are void, some at a
    /// time. The newest task stays, so that its number is not given again after a restart.
    pub(super) async fn forget_old(&self) -> Result<(), UseCaseError> {
        self.decide(|draft| {
            let catalog = draft.catalog();
            let now = self.now();
            let last = catalog.last_task();
            let tasks = catalog
                .ended_tasks()
                .take_while(|(at, _)| at.after(ENDED_TASK_LIFETIME) < now)
                .filter(|(_, id)| Some(*id) != last)
                .map(|(_, id)| Key::Task(id));
            let tokens = catalog
                .join_tokens()
                .filter(|token| is_void(token.expires_at, now))
                .map(|token| Key::Join(token.secret_hash));
            for key in tasks.chain(tokens).take(FORGOTTEN_AT_ONCE) {
                draft.delete(&key);
            }
            Ok(())
        })
        .await
    }
}

/// The answer to a caller that is not told of a task.
fn untold(kind: TaskKind, peering: &PeeringConnection) -> Outcome {
    match kind {
        TaskKind::Create => Outcome::PeeringCreated(peering.id),
        TaskKind::Accept { .. }
        | TaskKind::Modify { .. }
        | TaskKind::Reject
        | TaskKind::Enable
        | TaskKind::Delete => Outcome::Done,
    }
}

/// Whether something that ends at a time has ended.
pub(super) fn is_void(ends_at: UnixMillis, now: UnixMillis) -> bool {
    ends_at <= now
}

fn running<'a>(draft: &Draft<'a>, id: TaskId) -> Option<&'a Task> {
    draft.catalog().task(id).filter(|task| task.is_running())
}

/// The peering that a running task locks.
fn locked_by<'a>(draft: &Draft<'a>, task: &Task) -> Option<&'a PeeringConnection> {
    draft
        .catalog()
        .peering(task.peering)
        .filter(|peering| peering.task == Some(task.id))
}

fn unlocked(peering: &PeeringConnection) -> PeeringConnection {
    PeeringConnection {
        task: None,
        ..peering.clone()
    }
}

fn end(draft: &mut Draft<'_>, task: &Task, state: TaskState) {
    draft.put(Task {
        state,
        ..task.clone()
    });
}
