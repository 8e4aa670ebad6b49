//! Records that exist for uniqueness and for quotas: what is taken, and how much of it.

use std::fmt;
use std::str::FromStr;

use model::{
    IdError, LegacyRouteTableId, LegacySubnetId, LegacyVpcId, PeeringConnectionId, Region,
    RouteTableId, SubnetId, Uin, Vni, VpcId,
};
use serde::{Deserialize, Serialize};

use super::{Stored, text};

/// A legacy id of any kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LegacyId {
    /// Of a VPC.
    Vpc(LegacyVpcId),
    /// Of a subnet.
    Subnet(LegacySubnetId),
    /// Of a route table.
    RouteTable(LegacyRouteTableId),
}

impl fmt::Display for LegacyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LegacyId::Vpc(id) => id.fmt(f),
            LegacyId::Subnet(id) => id.fmt(f),
            LegacyId::RouteTable(id) => id.fmt(f),
        }
    }
}

impl FromStr for LegacyId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<LegacyId, IdError> {
        let vpc = text.parse().map(LegacyId::Vpc);
        vpc.or_else(|_| text.parse().map(LegacyId::Subnet))
            .or_else(|_| text.parse().map(LegacyId::RouteTable))
            .map_err(|error: IdError| IdError {
                kind: "legacy",
                expected: "<region>_<vpc, subnet or rtb>_<number>",
                ..error
            })
    }
}

/// What a legacy id stands for. Its presence keeps the number from being given out again, and so
/// does [`NumberFloor`] once it is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LegacyIndex {
    /// A VPC.
    Vpc(LegacyVpcId, VpcId),
    /// A subnet.
    Subnet(LegacySubnetId, SubnetId),
    /// A route table.
    RouteTable(LegacyRouteTableId, RouteTableId),
}

impl LegacyIndex {
    /// The legacy id.
    pub fn legacy_id(&self) -> LegacyId {
        match self {
            LegacyIndex::Vpc(id, _) => LegacyId::Vpc(*id),
            LegacyIndex::Subnet(id, _) => LegacyId::Subnet(*id),
            LegacyIndex::RouteTable(id, _) => LegacyId::RouteTable(*id),
        }
    }
}

/// Who has a VNI. Its presence keeps the number from being given out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VniReservation {
    /// The VNI.
    pub vni: Vni,
    /// The peering, which may be a tombstone by now.
    pub peering: PeeringConnectionId,
}

/// What counts against an account's quotas in one region. A create is guarded by it and writes it,
/// so that two competing ones cannot both take the last place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// The account.
    pub owner: Uin,
    /// The region.
    pub region: Region,
    /// Its VPCs there.
    pub vpcs: u32,
}

/// The highest numbers of legacy ids in a region whose resources were deleted. It keeps them from
/// being given out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberFloor {
    /// The region.
    pub region: Region,
    /// Of VPCs; 0 when none was deleted.
    pub vpc: u32,
    /// Of subnets.
    pub subnet: u32,
    /// Of route tables.
    pub route_table: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NumberFloorRecord {
    v: u32,
    #[serde(with = "text")]
    region: Region,
    vpc: u32,
    subnet: u32,
    route_table: u32,
}

impl Stored for NumberFloorRecord {
    type Domain = NumberFloor;
    const VERSION: u32 = 1;

    fn from_domain(floor: &NumberFloor) -> Self {
        NumberFloorRecord {
            v: Self::VERSION,
            region: floor.region,
            vpc: floor.vpc,
            subnet: floor.subnet,
            route_table: floor.route_table,
        }
    }

    fn into_domain(self) -> Result<NumberFloor, &'static str> {
        Ok(NumberFloor {
            region: self.region,
            vpc: self.vpc,
            subnet: self.subnet,
            route_table: self.route_table,
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VniRecord {
    v: u32,
    vni: u32,
    #[serde(with = "text")]
    peering: PeeringConnectionId,
}

impl Stored for VniRecord {
    type Domain = VniReservation;
    const VERSION: u32 = 1;

    fn from_domain(reservation: &VniReservation) -> Self {
        VniRecord {
            v: Self::VERSION,
            vni: reservation.vni.get(),
            peering: reservation.peering,
        }
    }

    fn into_domain(self) -> Result<VniReservation, &'static str> {
        Ok(VniReservation {
            vni: Vni::try_from(self.vni).map_err(|_| "the VNI is out of range")?,
            peering: self.peering,
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LegacyRecord {
    v: u32,
    #[serde(with = "text")]
    legacy_id: LegacyId,
    id: String,
}

impl Stored for LegacyRecord {
    type Domain = LegacyIndex;
    const VERSION: u32 = 1;

    fn from_domain(index: &LegacyIndex) -> Self {
        LegacyRecord {
            v: Self::VERSION,
            legacy_id: index.legacy_id(),
            id: match index {
                LegacyIndex::Vpc(_, id) => id.to_string(),
                LegacyIndex::Subnet(_, id) => id.to_string(),
                LegacyIndex::RouteTable(_, id) => id.to_string(),
            },
        }
    }

    fn into_domain(self) -> Result<LegacyIndex, &'static str> {
        match self.legacy_id {
            LegacyId::Vpc(legacy) => self.id.parse().map(|id| LegacyIndex::Vpc(legacy, id)),
            LegacyId::Subnet(legacy) => self.id.parse().map(|id| LegacyIndex::Subnet(legacy, id)),
            LegacyId::RouteTable(legacy) => self
                .id
                .parse()
                .map(|id| LegacyIndex::RouteTable(legacy, id)),
        }
        .map_err(|_| "the two ids are of different kinds")
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TallyRecord {
    v: u32,
    #[serde(with = "text")]
    owner: Uin,
    #[serde(with = "text")]
    region: Region,
    vpcs: u32,
}

impl Stored for TallyRecord {
    type Domain = Tally;
    const VERSION: u32 = 1;

    fn from_domain(tally: &Tally) -> Self {
        TallyRecord {
            v: Self::VERSION,
            owner: tally.owner,
            region: tally.region,
            vpcs: tally.vpcs,
        }
    }

    fn into_domain(self) -> Result<Tally, &'static str> {
        Ok(Tally {
            owner: self.owner,
            region: self.region,
            vpcs: self.vpcs,
        })
    }
}
