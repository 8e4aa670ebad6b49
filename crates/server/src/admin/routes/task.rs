//! Tasks of all accounts.

use axum::Json;
use axum::extract::State;
use model::{Task, TaskKind, TaskState};

use super::super::{TaskFilter, TaskView};
use super::Shared;
use super::refusal::Filter;
use crate::reconcile::time_of;

pub(super) async fn list(
    State(admin): Shared,
    Filter(filter): Filter<TaskFilter>,
) -> Json<Vec<TaskView>> {
    let catalog = admin.core.catalog();
    let views = if filter.running {
        catalog.running_tasks().map(view).collect()
    } else {
        catalog.tasks().map(view).collect()
    };
    Json(views)
}

fn view(task: &Task) -> TaskView {
    let kind = match task.kind {
        TaskKind::Create => "create",
        TaskKind::Accept { .. } => "accept",
        TaskKind::Modify { .. } => "modify",
        TaskKind::Reject => "reject",
        TaskKind::Enable => "enable",
        TaskKind::Delete => "delete",
    };
    let (state, message) = match &task.state {
        TaskState::Running => ("running", None),
        TaskState::Succeeded { .. } => ("succeeded", None),
        TaskState::Failed { message, .. } => ("failed", Some(message.clone())),
    };
    TaskView {
        id: task.id.0,
        kind: kind.to_owned(),
        uin: task.owner.0,
        peering: task.peering.to_string(),
        state: state.to_owned(),
        message,
        created_at: time_of(task.created_at),
        deadline: time_of(task.deadline),
    }
}
