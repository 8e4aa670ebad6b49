//! VPCs, subnets and route tables.

use std::collections::BTreeSet;

use model::{
    CidrBlock, Description, LegacyRouteTableId, LegacySubnetId, LegacyVpcId, Name, NextHop,
    PeeringConnectionId, Route, RouteItemId, RouteTable, RouteTableId, RouteTableKind, Subnet,
    SubnetId, Tags, Uin, UnixMillis, Vpc, VpcId, Zone,
};
use serde::{Deserialize, Serialize};

use super::text::Text;
use super::{Stored, text};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VpcRecord {
    v: u32,
    #[serde(with = "text")]
    id: VpcId,
    #[serde(with = "text")]
    legacy_id: LegacyVpcId,
    #[serde(with = "text")]
    owner: Uin,
    #[serde(with = "text::name")]
    name: Name,
    #[serde(with = "text")]
    cidr: CidrBlock,
    // Absent in records of before there were any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    assistant_cidrs: Vec<Text<CidrBlock>>,
    #[serde(default, skip_serializing_if = "Tags::is_empty", with = "text::tags")]
    tags: Tags,
    #[serde(with = "text::millis")]
    created_at: UnixMillis,
    epoch: u64,
}

impl Stored for VpcRecord {
    type Domain = Vpc;
    const VERSION: u32 = 1;

    fn from_domain(vpc: &Vpc) -> Self {
        VpcRecord {
            v: Self::VERSION,
            id: vpc.id,
            legacy_id: vpc.legacy_id,
            owner: vpc.owner,
            name: vpc.name.clone(),
            cidr: vpc.cidr,
            assistant_cidrs: vpc.assistant_cidrs.iter().copied().map(Text).collect(),
            tags: vpc.tags.clone(),
            created_at: vpc.created_at,
            epoch: vpc.epoch,
        }
    }

    fn into_domain(self) -> Result<Vpc, &'static str> {
        let mut blocks = vec![self.cidr];
        for Text(block) in self.assistant_cidrs {
            if blocks.iter().any(|other| other.overlaps(block)) {
                return Err("two blocks of the VPC overlap");
            }
            blocks.push(block);
        }
        Ok(Vpc {
            id: self.id,
            legacy_id: self.legacy_id,
            owner: self.owner,
            name: self.name,
            cidr: self.cidr,
            assistant_cidrs: blocks.split_off(1),
            tags: self.tags,
            created_at: self.created_at,
            epoch: self.epoch,
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SubnetRecord {
    v: u32,
    #[serde(with = "text")]
    id: SubnetId,
    #[serde(with = "text")]
    legacy_id: LegacySubnetId,
    #[serde(with = "text")]
    vpc: VpcId,
    #[serde(with = "text::name")]
    name: Name,
    #[serde(with = "text")]
    cidr: CidrBlock,
    zone: u32,
    #[serde(with = "text")]
    route_table: RouteTableId,
    // Absent in records of before there were any.
    #[serde(default, skip_serializing_if = "Tags::is_empty", with = "text::tags")]
    tags: Tags,
    #[serde(with = "text::millis")]
    created_at: UnixMillis,
}

impl Stored for SubnetRecord {
    type Domain = Subnet;
    const VERSION: u32 = 1;

    fn from_domain(subnet: &Subnet) -> Self {
        SubnetRecord {
            v: Self::VERSION,
            id: subnet.id,
            legacy_id: subnet.legacy_id,
            vpc: subnet.vpc,
            name: subnet.name.clone(),
            cidr: subnet.cidr,
            zone: subnet.zone.0,
            route_table: subnet.route_table,
            tags: subnet.tags.clone(),
            created_at: subnet.created_at,
        }
    }

    fn into_domain(self) -> Result<Subnet, &'static str> {
        Ok(Subnet {
            id: self.id,
            legacy_id: self.legacy_id,
            vpc: self.vpc,
            name: self.name,
            cidr: self.cidr,
            zone: Zone(self.zone),
            route_table: self.route_table,
            tags: self.tags,
            created_at: self.created_at,
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteTableRecord {
    v: u32,
    #[serde(with = "text")]
    id: RouteTableId,
    #[serde(with = "text")]
    legacy_id: LegacyRouteTableId,
    #[serde(with = "text")]
    vpc: VpcId,
    #[serde(with = "text::name")]
    name: Name,
    kind: RouteTableKindRecord,
    routes: Vec<RouteRecord>,
    // Absent in records of before there were any.
    #[serde(default, skip_serializing_if = "Tags::is_empty", with = "text::tags")]
    tags: Tags,
    #[serde(with = "text::millis")]
    created_at: UnixMillis,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RouteTableKindRecord {
    Default,
    Ordinary,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteRecord {
    /// Routes of version 1 have none and get one that follows from their destination.
    #[serde(default)]
    id: Option<text::Checked<RouteItemId>>,
    #[serde(with = "text")]
    destination: CidrBlock,
    next_hop: NextHopRecord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<text::Checked<Description>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    disabled: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum NextHopRecord {
    #[serde(with = "text")]
    Peering(PeeringConnectionId),
}

impl From<&Route> for RouteRecord {
    fn from(route: &Route) -> Self {
        RouteRecord {
            id: Some(text::Checked(route.id)),
            disabled: !route.is_enabled,
            destination: route.destination,
            next_hop: match route.next_hop {
                NextHop::Peering(peering) => NextHopRecord::Peering(peering),
            },
            description: route.description.clone().map(text::Checked),
        }
    }
}

impl From<RouteRecord> for Route {
    fn from(route: RouteRecord) -> Self {
        let of_destination = || {
            let network = u64::from(u32::from(route.destination.network()));
            let entropy = (network << 6) | u64::from(route.destination.prefix_len());
            RouteItemId::from_entropy(entropy)
        };
        Route {
            id: route.id.map_or_else(of_destination, |id| id.0),
            is_enabled: !route.disabled,
            destination: route.destination,
            next_hop: match route.next_hop {
                NextHopRecord::Peering(peering) => NextHop::Peering(peering),
            },
            description: route.description.map(|text| text.0),
        }
    }
}

impl Stored for RouteTableRecord {
    type Domain = RouteTable;
    const VERSION: u32 = 2;

    fn from_domain(table: &RouteTable) -> Self {
        RouteTableRecord {
            v: Self::VERSION,
            id: table.id,
            legacy_id: table.legacy_id,
            vpc: table.vpc,
            name: table.name.clone(),
            kind: match table.kind {
                RouteTableKind::Default => RouteTableKindRecord::Default,
                RouteTableKind::Ordinary => RouteTableKindRecord::Ordinary,
            },
            routes: table.routes.iter().map(RouteRecord::from).collect(),
            tags: table.tags.clone(),
            created_at: table.created_at,
        }
    }

    fn into_domain(self) -> Result<RouteTable, &'static str> {
        let destinations: BTreeSet<CidrBlock> =
            self.routes.iter().map(|route| route.destination).collect();
        if destinations.len() != self.routes.len() {
            return Err("two routes have the same destination");
        }
        Ok(RouteTable {
            id: self.id,
            legacy_id: self.legacy_id,
            vpc: self.vpc,
            name: self.name,
            kind: match self.kind {
                RouteTableKindRecord::Default => RouteTableKind::Default,
                RouteTableKindRecord::Ordinary => RouteTableKind::Ordinary,
            },
            routes: self.routes.into_iter().map(Route::from).collect(),
            tags: self.tags,
            created_at: self.created_at,
        })
    }
}
