//! Tasks: the work that an action leaves to the gateways. Those whose number the caller was given
//! are the visible half of asynchronous actions.

use crate::command::Reply;
use crate::id::{PeeringConnectionId, TaskId, Uin};
use crate::overlay::Bandwidth;
use crate::time::UnixMillis;

/// An asynchronous action on a peering, from its commit to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its number.
    pub id: TaskId,
    /// The account that called.
    pub owner: Uin,
    /// What the caller was answered. Only a task that it was told of can be asked for.
    pub reply: Reply,
    /// What was asked, with what is needed to take it back.
    pub kind: TaskKind,
    /// The peering that it is about.
    pub peering: PeeringConnectionId,
    /// How far it got.
    pub state: TaskState,
    /// When it was committed.
    pub created_at: UnixMillis,
    /// When a running task fails.
    pub deadline: UnixMillis,
}

/// What a task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskKind {
    /// Creates a peering. Failing, the peering is gone again, or in state failed where the caller
    /// holds its id.
    Create,
    /// Accepts a request. Failing, the request is pending again with its old deadline.
    Accept {
        /// When the request expires.
        expires_at: UnixMillis,
    },
    /// Changes the bandwidth. Failing, the old value is back.
    Modify {
        /// The old value.
        previous: Bandwidth,
    },
    /// Rejects a request; ends at once.
    Reject,
    /// Revives an expired request; ends at once.
    Enable,
    /// Deletes a peering. Final when committed; failing tells which gateway has not confirmed.
    Delete,
}

/// How far a task got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskState {
    /// Waiting for gateways.
    Running,
    /// Done.
    Succeeded {
        /// When.
        at: UnixMillis,
    },
    /// Given up.
    Failed {
        /// When.
        at: UnixMillis,
        /// Region and cause, for the caller.
        message: String,
    },
}

impl Task {
    /// Whether it still runs.
    pub fn is_running(&self) -> bool {
        self.state == TaskState::Running
    }

    /// Whether its caller was told of it. While such a task runs, nothing else happens to its
    /// peering.
    pub fn is_announced(&self) -> bool {
        match self.reply {
            Reply::Task => true,
            Reply::Peering => false,
        }
    }
}
