//! Peering connections and tasks.

use model::outcome::PeeringView;
use model::{PeeringConnectionId, PeeringState, Task, TaskState};
use serde::Serialize;

use super::local_time;
use crate::tencent::invented;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PeeringCreatedBody {
    peering_connection_id: String,
}

impl From<PeeringConnectionId> for PeeringCreatedBody {
    fn from(id: PeeringConnectionId) -> Self {
        PeeringCreatedBody {
            peering_connection_id: id.to_string(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TaskStartedBody {
    pub(super) task_id: u64,
}

#[derive(Serialize)]
pub(super) struct TaskResultBody {
    data: TaskData,
}

#[derive(Serialize)]
struct TaskData {
    status: u8,
    output: TaskOutput,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TaskOutput {
    error_code: i32,
    error_msg: String,
    // A client reads it unchecked when a creation succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    uniq_vpc_peer_id: Option<String>,
}

impl From<&Task> for TaskResultBody {
    fn from(task: &Task) -> Self {
        let (status, error_code, error_msg, peering) = match &task.state {
            TaskState::Succeeded { .. } => (0, 0, String::new(), Some(task.peering.to_string())),
            TaskState::Failed { message, .. } => (1, invented::TASK_FAILED, message.clone(), None),
            TaskState::Running => (2, 0, String::new(), None),
        };
        TaskResultBody {
            data: TaskData {
                status,
                output: TaskOutput {
                    error_code,
                    error_msg,
                    uniq_vpc_peer_id: peering,
                },
            },
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PeeringBody {
    vpc_id: String,
    un_vpc_id: String,
    uniq_vpc_id: String,
    peer_vpc_id: String,
    un_peer_vpc_id: String,
    uniq_peer_vpc_id: String,
    app_id: String,
    peer_app_id: String,
    peering_connection_id: String,
    peering_connection_name: String,
    state: u8,
    create_time: String,
    // Numbers, whatever the page says: a client that decodes them fails on strings.
    uin: u64,
    peer_uin: u64,
    // A client compares the two to tell cross-region peerings from others.
    region: &'static str,
    peer_region: &'static str,
    bandwidth: u32,
    #[serde(rename = "type")]
    kind: u8,
}

impl From<&PeeringView> for PeeringBody {
    fn from(view: &PeeringView) -> Self {
        let peering = &view.peering;
        let (requester, accepter) = (&peering.requester, &peering.accepter);
        PeeringBody {
            vpc_id: requester.legacy_id.to_string(),
            un_vpc_id: requester.vpc.to_string(),
            uniq_vpc_id: requester.vpc.to_string(),
            peer_vpc_id: accepter.legacy_id.to_string(),
            un_peer_vpc_id: accepter.vpc.to_string(),
            uniq_peer_vpc_id: accepter.vpc.to_string(),
            app_id: view.requester_app_id.to_string(),
            peer_app_id: view.accepter_app_id.to_string(),
            peering_connection_id: peering.id.to_string(),
            peering_connection_name: peering.name.to_string(),
            state: state_number(&peering.state),
            create_time: local_time(peering.created_at),
            uin: requester.owner.0,
            peer_uin: accepter.owner.0,
            region: requester.region().short(),
            peer_region: accepter.region().short(),
            bandwidth: peering.bandwidth.mbps(),
            kind: 1,
        }
    }
}

pub(super) fn state_number(state: &PeeringState) -> u8 {
    match state {
        PeeringState::Pending { .. } => 0,
        PeeringState::Active { .. } => 1,
        PeeringState::Expired { .. } => 2,
        PeeringState::Rejected { .. } => 3,
        PeeringState::Deleted { .. } => 4,
        PeeringState::Failed { .. } => 5,
        PeeringState::Isolated { .. } => invented::STATE_ISOLATED,
    }
}
