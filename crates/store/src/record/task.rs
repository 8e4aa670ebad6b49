//! Tasks.

use model::command::Reply;
use model::{Bandwidth, PeeringConnectionId, Task, TaskId, TaskKind, TaskState, Uin, UnixMillis};
use serde::{Deserialize, Serialize};

use super::{Stored, text};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TaskRecord {
    v: u32,
    #[serde(with = "text")]
    id: TaskId,
    #[serde(with = "text")]
    owner: Uin,
    kind: KindRecord,
    #[serde(with = "text")]
    peering: PeeringConnectionId,
    state: StateRecord,
    #[serde(with = "text::millis")]
    created_at: UnixMillis,
    #[serde(with = "text::millis")]
    deadline: UnixMillis,
    // Since version 2; before, every task was announced.
    #[serde(default = "announced")]
    announced: bool,
}

fn announced() -> bool {
    true
}

// Variants without data have braces because only then are unknown fields refused.
#[derive(Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
enum KindRecord {
    Create {},
    Accept {
        #[serde(with = "text::millis")]
        expires_at: UnixMillis,
    },
    Modify {
        #[serde(with = "text::mbps")]
        previous_mbps: Bandwidth,
    },
    Reject {},
    Enable {},
    Delete {},
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
enum StateRecord {
    Running {},
    Succeeded {
        #[serde(with = "text::millis")]
        at: UnixMillis,
    },
    Failed {
        #[serde(with = "text::millis")]
        at: UnixMillis,
        message: String,
    },
}

impl Stored for TaskRecord {
    type Domain = Task;
    const VERSION: u32 = 2;

    fn from_domain(task: &Task) -> Self {
        TaskRecord {
            v: Self::VERSION,
            id: task.id,
            owner: task.owner,
            kind: match task.kind {
                TaskKind::Create => KindRecord::Create {},
                TaskKind::Accept { expires_at } => KindRecord::Accept { expires_at },
                TaskKind::Modify { previous } => KindRecord::Modify {
                    previous_mbps: previous,
                },
                TaskKind::Reject => KindRecord::Reject {},
                TaskKind::Enable => KindRecord::Enable {},
                TaskKind::Delete => KindRecord::Delete {},
            },
            peering: task.peering,
            state: match task.state.clone() {
                TaskState::Running => StateRecord::Running {},
                TaskState::Succeeded { at } => StateRecord::Succeeded { at },
                TaskState::Failed { at, message } => StateRecord::Failed { at, message },
            },
            created_at: task.created_at,
            deadline: task.deadline,
            announced: task.is_announced(),
        }
    }

    fn into_domain(self) -> Result<Task, &'static str> {
        Ok(Task {
            id: self.id,
            owner: self.owner,
            reply: match self.announced {
                true => Reply::Task,
                false => Reply::Peering,
            },
            kind: match self.kind {
                KindRecord::Create {} => TaskKind::Create,
                KindRecord::Accept { expires_at } => TaskKind::Accept { expires_at },
                KindRecord::Modify { previous_mbps } => TaskKind::Modify {
                    previous: previous_mbps,
                },
                KindRecord::Reject {} => TaskKind::Reject,
                KindRecord::Enable {} => TaskKind::Enable,
                KindRecord::Delete {} => TaskKind::Delete,
            },
            peering: self.peering,
            state: match self.state {
                StateRecord::Running {} => TaskState::Running,
                StateRecord::Succeeded { at } => TaskState::Succeeded { at },
                StateRecord::Failed { at, message } => TaskState::Failed { at, message },
            },
            created_at: self.created_at,
            deadline: self.deadline,
        })
    }
}
