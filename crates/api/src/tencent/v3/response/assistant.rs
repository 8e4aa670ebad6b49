//! Assistant CIDR blocks.

use model::admission::Refusal;
use model::assistant::{Conflict, Obstacle};
use model::outcome::AssistantCidrView;
use model::{CidrBlock, Outcome, VpcId};
use serde::Serialize;

use super::network::SubnetBody;
use super::object;
use crate::tencent::v3::field::Arguments;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AssistantCidrBody {
    vpc_id: String,
    cidr_block: String,
    assistant_type: u8,
    subnet_set: Vec<SubnetBody>,
}

impl From<&AssistantCidrView> for AssistantCidrBody {
    fn from(view: &AssistantCidrView) -> Self {
        const ORDINARY: u8 = 0;

        AssistantCidrBody {
            vpc_id: view.vpc.to_string(),
            cidr_block: view.cidr.to_string(),
            assistant_type: ORDINARY,
            subnet_set: view.subnets.iter().map(SubnetBody::from).collect(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Changed {
    assistant_cidr_set: Vec<AssistantCidrBody>,
}

pub(in crate::tencent::v3) fn assistant_cidrs_changed(
    outcome: &Outcome,
    _: &Arguments,
) -> Option<Vec<u8>> {
    match outcome {
        Outcome::AssistantCidrsChanged(views) => Some(object(&Changed {
            assistant_cidr_set: views.iter().map(AssistantCidrBody::from).collect(),
        })),
        _ => None,
    }
}

pub(in crate::tencent::v3) fn assistant_cidrs_deleted(
    outcome: &Outcome,
    _: &Arguments,
) -> Option<Vec<u8>> {
    matches!(outcome, Outcome::AssistantCidrsChanged(_)).then(|| b"{}".to_vec())
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AssistantCidrs {
    assistant_cidr_set: Vec<AssistantCidrBody>,
    total_count: u64,
}

pub(in crate::tencent::v3) fn assistant_cidrs(outcome: &Outcome, _: &Arguments) -> Option<Vec<u8>> {
    match outcome {
        Outcome::AssistantCidrs(page) => Some(object(&AssistantCidrs {
            assistant_cidr_set: page.items.iter().map(AssistantCidrBody::from).collect(),
            total_count: page.total,
        })),
        _ => None,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Conflicts {
    conflict_source_set: Vec<ConflictSource>,
}

/// A block that was asked about, and all that it conflicts with.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ConflictSource {
    conflict_source_id: String,
    source_item: String,
    conflict_item_set: Vec<ConflictItem>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ConflictItem {
    conflict_id: String,
    destination_item: String,
    /// An older spelling of the first one, which clients of then read.
    confilct_id: String,
}

pub(in crate::tencent::v3) fn assistant_cidr_conflicts(
    outcome: &Outcome,
    _: &Arguments,
) -> Option<Vec<u8>> {
    let Outcome::AssistantCidrConflicts { vpc, conflicts } = outcome else {
        return None;
    };
    let conflict_source_set = sources(*vpc, conflicts);
    Some(object(&Conflicts {
        conflict_source_set,
    }))
}

fn sources(vpc: VpcId, conflicts: &[Conflict]) -> Vec<ConflictSource> {
    let by_block = conflicts.chunk_by(|one, other| one.cidr == other.cidr);
    by_block
        .map(|conflicts| ConflictSource {
            conflict_source_id: vpc.to_string(),
            source_item: conflicts[0].cidr.to_string(),
            conflict_item_set: conflicts.iter().map(item).collect(),
        })
        .collect()
}

fn item(conflict: &Conflict) -> ConflictItem {
    let (id, block) = match &conflict.with {
        Obstacle::Vpc { vpc, cidr } | Obstacle::Assistant { vpc, cidr } => (vpc.to_string(), *cidr),
        Obstacle::Route {
            route_table,
            destination,
        } => (route_table.to_string(), *destination),
        Obstacle::Subnet { subnet, cidr } => (subnet.to_string(), *cidr),
        Obstacle::Peering { peering, refusal } => {
            (peering.to_string(), peer_block(conflict.cidr, refusal))
        }
    };
    ConflictItem {
        conflict_id: id.clone(),
        destination_item: block.to_string(),
        confilct_id: id,
    }
}

/// The block that a peering leads to; the one that was asked about where the other is not the
/// caller's to know.
fn peer_block(cidr: CidrBlock, refusal: &Refusal) -> CidrBlock {
    match refusal {
        Refusal::EndsOverlap {
            requester,
            accepter,
        } => match *requester == cidr {
            true => *accepter,
            false => *requester,
        },
        Refusal::PeersOverlap { other_cidr, .. } => *other_cidr,
        Refusal::OverlapBeyond { .. }
        | Refusal::PairExists { .. }
        | Refusal::Limit { .. }
        | Refusal::InboxFull { .. } => cidr,
    }
}
