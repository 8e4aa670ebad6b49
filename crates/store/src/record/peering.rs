//! Peering connections, and the tombstones of deleted ones.

use model::peering::{ChargeType, QosLevel};
use model::{
    Bandwidth, CidrBlock, GatewayId, LegacyVpcId, Name, PeeringConnection, PeeringConnectionId,
    PeeringEnd, PeeringState, Side, Tags, TaskId, Tombstone, Uin, UnixMillis, Vni, VpcId,
};
use serde::{Deserialize, Serialize};

use super::text::Text;
use super::{Stored, text};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PeeringRecord {
    v: u32,
    #[serde(with = "text")]
    id: PeeringConnectionId,
    #[serde(with = "text::name")]
    name: Name,
    requester: EndRecord,
    accepter: EndRecord,
    #[serde(with = "text::mbps")]
    bandwidth_mbps: Bandwidth,
    charge_type: ChargeTypeRecord,
    qos_level: QosLevelRecord,
    vni: u32,
    state: StateRecord,
    // Absent in records of before there were any.
    #[serde(default, skip_serializing_if = "Tags::is_empty", with = "text::tags")]
    requester_tags: Tags,
    #[serde(default, skip_serializing_if = "Tags::is_empty", with = "text::tags")]
    accepter_tags: Tags,
    task: Option<Text<TaskId>>,
    #[serde(with = "text::millis")]
    created_at: UnixMillis,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EndRecord {
    #[serde(with = "text")]
    vpc: VpcId,
    #[serde(with = "text")]
    legacy_id: LegacyVpcId,
    #[serde(with = "text")]
    owner: Uin,
    #[serde(with = "text")]
    cidr: CidrBlock,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ChargeTypeRecord {
    PostpaidByDayMax,
    #[serde(rename = "postpaid_by_month_95")]
    PostpaidByMonth95,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum QosLevelRecord {
    Platinum,
    Gold,
    Silver,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
enum StateRecord {
    Pending {
        #[serde(with = "text::millis")]
        expires_at: UnixMillis,
    },
    Active {
        #[serde(with = "text::millis")]
        since: UnixMillis,
    },
    Expired {
        #[serde(with = "text::millis")]
        since: UnixMillis,
    },
    Rejected {
        #[serde(with = "text::millis")]
        since: UnixMillis,
    },
    Failed {
        #[serde(with = "text::millis")]
        since: UnixMillis,
        reason: String,
    },
    Isolated {
        #[serde(with = "text::millis")]
        since: UnixMillis,
    },
    Deleted {
        by: SideRecord,
        #[serde(with = "text::millis")]
        since: UnixMillis,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SideRecord {
    Requester,
    Accepter,
}

impl From<PeeringEnd> for EndRecord {
    fn from(end: PeeringEnd) -> Self {
        EndRecord {
            vpc: end.vpc,
            legacy_id: end.legacy_id,
            owner: end.owner,
            cidr: end.cidr,
        }
    }
}

impl From<EndRecord> for PeeringEnd {
    fn from(end: EndRecord) -> Self {
        PeeringEnd {
            vpc: end.vpc,
            legacy_id: end.legacy_id,
            owner: end.owner,
            cidr: end.cidr,
        }
    }
}

impl From<&PeeringState> for StateRecord {
    fn from(state: &PeeringState) -> Self {
        match state.clone() {
            PeeringState::Pending { expires_at } => StateRecord::Pending { expires_at },
            PeeringState::Active { since } => StateRecord::Active { since },
            PeeringState::Expired { since } => StateRecord::Expired { since },
            PeeringState::Rejected { since } => StateRecord::Rejected { since },
            PeeringState::Failed { since, reason } => StateRecord::Failed { since, reason },
            PeeringState::Isolated { since } => StateRecord::Isolated { since },
            PeeringState::Deleted { by, since } => StateRecord::Deleted {
                by: match by {
                    Side::Requester => SideRecord::Requester,
                    Side::Accepter => SideRecord::Accepter,
                },
                since,
            },
        }
    }
}

impl From<StateRecord> for PeeringState {
    fn from(state: StateRecord) -> Self {
        match state {
            StateRecord::Pending { expires_at } => PeeringState::Pending { expires_at },
            StateRecord::Active { since } => PeeringState::Active { since },
            StateRecord::Expired { since } => PeeringState::Expired { since },
            StateRecord::Rejected { since } => PeeringState::Rejected { since },
            StateRecord::Failed { since, reason } => PeeringState::Failed { since, reason },
            StateRecord::Isolated { since } => PeeringState::Isolated { since },
            StateRecord::Deleted { by, since } => PeeringState::Deleted {
                by: match by {
                    SideRecord::Requester => Side::Requester,
                    SideRecord::Accepter => Side::Accepter,
                },
                since,
            },
        }
    }
}

impl Stored for PeeringRecord {
    type Domain = PeeringConnection;
    const VERSION: u32 = 1;

    fn from_domain(peering: &PeeringConnection) -> Self {
        PeeringRecord {
            v: Self::VERSION,
            id: peering.id,
            name: peering.name.clone(),
            requester: peering.requester.into(),
            accepter: peering.accepter.into(),
            bandwidth_mbps: peering.bandwidth,
            charge_type: match peering.charge_type {
                ChargeType::PostpaidByDayMax => ChargeTypeRecord::PostpaidByDayMax,
                ChargeType::PostpaidByMonth95 => ChargeTypeRecord::PostpaidByMonth95,
            },
            qos_level: match peering.qos_level {
                QosLevel::Platinum => QosLevelRecord::Platinum,
                QosLevel::Gold => QosLevelRecord::Gold,
                QosLevel::Silver => QosLevelRecord::Silver,
            },
            vni: peering.vni.get(),
            state: StateRecord::from(&peering.state),
            requester_tags: peering.requester_tags.clone(),
            accepter_tags: peering.accepter_tags.clone(),
            task: peering.task.map(Text),
            created_at: peering.created_at,
        }
    }

    fn into_domain(self) -> Result<PeeringConnection, &'static str> {
        if self.requester.vpc == self.accepter.vpc {
            return Err("both ends are the same VPC");
        }
        if self.requester.cidr.overlaps(self.accepter.cidr) {
            return Err("the two ends overlap");
        }
        Ok(PeeringConnection {
            id: self.id,
            name: self.name,
            requester: self.requester.into(),
            accepter: self.accepter.into(),
            bandwidth: self.bandwidth_mbps,
            charge_type: match self.charge_type {
                ChargeTypeRecord::PostpaidByDayMax => ChargeType::PostpaidByDayMax,
                ChargeTypeRecord::PostpaidByMonth95 => ChargeType::PostpaidByMonth95,
            },
            qos_level: match self.qos_level {
                QosLevelRecord::Platinum => QosLevel::Platinum,
                QosLevelRecord::Gold => QosLevel::Gold,
                QosLevelRecord::Silver => QosLevel::Silver,
            },
            vni: Vni::try_from(self.vni).map_err(|_| "the VNI is out of range")?,
            state: self.state.into(),
            requester_tags: self.requester_tags,
            accepter_tags: self.accepter_tags,
            task: self.task.map(|Text(task)| task),
            created_at: self.created_at,
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TombstoneRecord {
    v: u32,
    #[serde(with = "text")]
    peering: PeeringConnectionId,
    #[serde(with = "text")]
    owner: Uin,
    vni: u32,
    awaiting: Vec<Text<GatewayId>>,
    #[serde(with = "text::millis")]
    deleted_at: UnixMillis,
}

impl Stored for TombstoneRecord {
    type Domain = Tombstone;
    const VERSION: u32 = 1;

    fn from_domain(tombstone: &Tombstone) -> Self {
        TombstoneRecord {
            v: Self::VERSION,
            peering: tombstone.peering,
            owner: tombstone.owner,
            vni: tombstone.vni.get(),
            awaiting: tombstone.awaiting.iter().copied().map(Text).collect(),
            deleted_at: tombstone.deleted_at,
        }
    }

    fn into_domain(self) -> Result<Tombstone, &'static str> {
        Ok(Tombstone {
            peering: self.peering,
            owner: self.owner,
            vni: Vni::try_from(self.vni).map_err(|_| "the VNI is out of range")?,
            awaiting: self.awaiting.into_iter().map(|Text(id)| id).collect(),
            deleted_at: self.deleted_at,
        })
    }
}
