//! Peering connections.

use model::outcome::PeeringView;
use model::peering::{ChargeType, QosLevel};
use model::{Outcome, PeeringState, TaskState};
use serde::Serialize;

use super::tag::{TagBody, tag_set};
use super::{local_time, object};
use crate::tencent::v3::field::Arguments;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    peering_connection_id: String,
}

pub(in crate::tencent::v3) fn peering_created(outcome: &Outcome, _: &Arguments) -> Option<Vec<u8>> {
    match outcome {
        Outcome::PeeringCreated(id) => Some(object(&Created {
            peering_connection_id: id.to_string(),
        })),
        _ => None,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    total_count: u64,
    peer_connection_set: Vec<PeerConnection>,
}

pub(in crate::tencent::v3) fn peerings(outcome: &Outcome, _: &Arguments) -> Option<Vec<u8>> {
    match outcome {
        Outcome::Peerings(page) => Some(object(&Listed {
            total_count: page.total,
            peer_connection_set: page.items.iter().map(PeerConnection::from).collect(),
        })),
        _ => None,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TaskResult {
    status: &'static str,
    output: String,
    result: [TaskResource; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TaskResource {
    resource_id: String,
    status: &'static str,
}

pub(in crate::tencent::v3) fn task_result(outcome: &Outcome, _: &Arguments) -> Option<Vec<u8>> {
    let Outcome::TaskResult(task) = outcome else {
        return None;
    };
    let (status, output) = match &task.state {
        TaskState::Running => ("RUNNING", String::new()),
        TaskState::Succeeded { .. } => ("SUCCESS", String::new()),
        TaskState::Failed { message, .. } => ("FAILED", message.clone()),
    };
    let resource_id = task.peering.to_string();
    Some(object(&TaskResult {
        status,
        output,
        result: [TaskResource {
            resource_id,
            status,
        }],
    }))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PeerConnection {
    source_vpc_id: String,
    peer_vpc_id: String,
    destination_vpc_id: String,
    peering_connection_id: String,
    peering_connection_name: String,
    state: &'static str,
    is_ngw: bool,
    bandwidth: u32,
    // Short codes, although requests have long names: a client maps these and shows an unknown one
    // as nothing.
    source_region: &'static str,
    destination_region: &'static str,
    create_time: String,
    app_id: u64,
    peer_app_id: u64,
    charge_type: &'static str,
    // Numbers, although a creation has the one of them as text.
    source_uin: u64,
    destination_uin: u64,
    tag_set: Vec<TagBody>,
    qos_level: &'static str,
    r#type: &'static str,
}

impl From<&PeeringView> for PeerConnection {
    fn from(view: &PeeringView) -> Self {
        let peering = &view.peering;
        let (requester, accepter) = (&peering.requester, &peering.accepter);
        PeerConnection {
            source_vpc_id: requester.vpc.to_string(),
            peer_vpc_id: accepter.vpc.to_string(),
            destination_vpc_id: accepter.vpc.to_string(),
            peering_connection_id: peering.id.to_string(),
            peering_connection_name: peering.name.to_string(),
            state: state_word(&peering.state),
            is_ngw: false,
            bandwidth: peering.bandwidth.mbps(),
            source_region: requester.region().short(),
            destination_region: accepter.region().short(),
            create_time: local_time(peering.created_at),
            app_id: view.requester_app_id.0,
            peer_app_id: view.accepter_app_id.0,
            charge_type: charge_word(peering.charge_type),
            source_uin: requester.owner.0,
            destination_uin: accepter.owner.0,
            tag_set: tag_set(peering.tags_of(view.viewer)),
            qos_level: qos_word(peering.qos_level),
            r#type: "VPC_PEER",
        }
    }
}

pub(super) fn state_word(state: &PeeringState) -> &'static str {
    match state {
        PeeringState::Pending { .. } => "PENDING",
        PeeringState::Active { .. } => "ACTIVE",
        PeeringState::Expired { .. } => "EXPIRED",
        PeeringState::Rejected { .. } => "REJECTED",
        PeeringState::Deleted { .. } => "DELETED",
        PeeringState::Failed { .. } => "FAILED",
        PeeringState::Isolated { .. } => "ISOLATED",
    }
}

fn charge_word(charge_type: ChargeType) -> &'static str {
    match charge_type {
        ChargeType::PostpaidByDayMax => "POSTPAID_BY_DAY_MAX",
        ChargeType::PostpaidByMonth95 => "POSTPAID_BY_MONTH_95",
    }
}

fn qos_word(qos_level: QosLevel) -> &'static str {
    match qos_level {
        QosLevel::Platinum => "PT",
        QosLevel::Gold => "AU",
        QosLevel::Silver => "AG",
    }
}
