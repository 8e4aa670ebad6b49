//! VPCs and subnets.

use model::outcome::{SubnetView, VpcDetail, VpcView};
use model::{CidrBlock, RouteTable, Vpc};
use serde::Serialize;

use super::local_time;
use super::route::table_type;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VpcCreatedBody {
    #[serde(flatten)]
    ids: VpcIds,
    vpc_create_time: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subnet_set: Vec<CreatedSubnetBody>,
    route_table_set: [CreatedRouteTableBody; 1],
}

// The pages name the unified id in two ways, and different clients read different ones.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VpcIds {
    vpc_id: String,
    un_vpc_id: String,
    uniq_vpc_id: String,
}

impl From<&Vpc> for VpcIds {
    fn from(vpc: &Vpc) -> Self {
        VpcIds {
            vpc_id: vpc.legacy_id.to_string(),
            un_vpc_id: vpc.id.to_string(),
            uniq_vpc_id: vpc.id.to_string(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreatedRouteTableBody {
    route_table_id: String,
    un_route_table_id: String,
    route_table_type: u8,
    route_table_name: String,
}

impl From<&RouteTable> for CreatedRouteTableBody {
    fn from(table: &RouteTable) -> Self {
        CreatedRouteTableBody {
            route_table_id: table.legacy_id.to_string(),
            un_route_table_id: table.id.to_string(),
            route_table_type: table_type(table),
            route_table_name: table.name.to_string(),
        }
    }
}

impl VpcCreatedBody {
    pub(super) fn new(vpc: &Vpc, subnets: &[SubnetView], table: &RouteTable) -> VpcCreatedBody {
        VpcCreatedBody {
            ids: vpc.into(),
            vpc_create_time: local_time(vpc.created_at),
            subnet_set: subnets.iter().map(CreatedSubnetBody::from).collect(),
            route_table_set: [table.into()],
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SubnetsCreatedBody {
    pub(super) subnet_set: Vec<CreatedSubnetBody>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreatedSubnetBody {
    subnet_id: String,
    un_subnet_id: String,
    route_table_id: String,
    un_route_table_id: String,
    subnet_name: String,
    cidr_block: String,
    zone_id: u32,
    zone: String,
}

impl From<&SubnetView> for CreatedSubnetBody {
    fn from(view: &SubnetView) -> Self {
        CreatedSubnetBody {
            subnet_id: view.subnet.legacy_id.to_string(),
            un_subnet_id: view.subnet.id.to_string(),
            route_table_id: view.route_table.legacy_id.to_string(),
            un_route_table_id: view.route_table.id.to_string(),
            subnet_name: view.subnet.name.to_string(),
            cidr_block: view.subnet.cidr.to_string(),
            zone_id: view.subnet.zone.0,
            zone: view.subnet.zone.name(view.vpc.region()),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VpcBody {
    #[serde(flatten)]
    ids: VpcIds,
    vpc_name: String,
    cidr_block: String,
    subnet_num: u64,
    route_table_num: u64,
    vpn_gw_num: u64,
    vpc_peer_num: u64,
    vpc_device_num: u64,
    classic_link_num: u64,
    vpg_num: u64,
    nat_num: u64,
    sflow_num: u64,
    is_default: bool,
    is_multicast: bool,
    create_time: String,
}

impl From<&VpcView> for VpcBody {
    fn from(view: &VpcView) -> Self {
        VpcBody {
            ids: (&view.vpc).into(),
            vpc_name: view.vpc.name.to_string(),
            cidr_block: view.vpc.cidr.to_string(),
            subnet_num: view.subnets,
            route_table_num: view.route_tables,
            vpc_peer_num: view.peerings,
            vpc_device_num: view.hosts,
            // Kinds of resources that do not exist here.
            vpn_gw_num: 0,
            classic_link_num: 0,
            vpg_num: 0,
            nat_num: 0,
            sflow_num: 0,
            is_default: false,
            is_multicast: false,
            create_time: local_time(view.vpc.created_at),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SubnetBody {
    #[serde(flatten)]
    ids: VpcIds,
    vpc_name: String,
    vpc_cidr_block: String,
    #[serde(flatten)]
    subnet: CreatedSubnetBody,
    subnet_create_time: String,
    route_table_name: String,
    vpc_devices: u64,
    // The number 0 when there is none, a string otherwise; there are no ACLs here.
    network_acl_id: u8,
    #[serde(rename = "totalIPNum")]
    total_ip_num: u64,
    #[serde(rename = "availableIPNum")]
    available_ip_num: u64,
    broadcast: bool,
    is_default: bool,
}

impl From<&SubnetView> for SubnetBody {
    fn from(view: &SubnetView) -> Self {
        SubnetBody {
            ids: (&view.vpc).into(),
            vpc_name: view.vpc.name.to_string(),
            vpc_cidr_block: view.vpc.cidr.to_string(),
            subnet: view.into(),
            subnet_create_time: local_time(view.subnet.created_at),
            route_table_name: view.route_table.name.to_string(),
            vpc_devices: view.hosts,
            network_acl_id: 0,
            total_ip_num: usable_addresses(view.subnet.cidr),
            available_ip_num: available_addresses(view),
            broadcast: false,
            is_default: false,
        }
    }
}

/// The older list: all VPCs of a region, each with the time of its creation under the older name too.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AllVpcsBody {
    total_count: usize,
    vpc_set: Vec<OlderVpcBody>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OlderVpcBody {
    #[serde(flatten)]
    vpc: VpcBody,
    vpc_create_time: String,
}

impl From<&VpcView> for OlderVpcBody {
    fn from(view: &VpcView) -> Self {
        OlderVpcBody {
            vpc: view.into(),
            vpc_create_time: local_time(view.vpc.created_at),
        }
    }
}

impl From<&[VpcView]> for AllVpcsBody {
    fn from(vpcs: &[VpcView]) -> Self {
        AllVpcsBody {
            total_count: vpcs.len(),
            vpc_set: vpcs.iter().map(OlderVpcBody::from).collect(),
        }
    }
}

/// One VPC with what it holds.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VpcDetailBody {
    #[serde(flatten)]
    vpc: OlderVpcBody,
    subnet_set: Vec<SubnetDetailBody>,
    route_table_set: Vec<CreatedRouteTableBody>,
}

impl From<&VpcDetail> for VpcDetailBody {
    fn from(detail: &VpcDetail) -> Self {
        let tables = detail.route_tables.iter();
        VpcDetailBody {
            vpc: (&detail.vpc).into(),
            subnet_set: detail.subnets.iter().map(SubnetDetailBody::from).collect(),
            route_table_set: tables.map(|view| (&view.route_table).into()).collect(),
        }
    }
}

/// One subnet without its VPC.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SubnetDetailBody {
    #[serde(flatten)]
    subnet: CreatedSubnetBody,
    subnet_create_time: String,
    #[serde(rename = "totalIPNum")]
    total_ip_num: u64,
    #[serde(rename = "availableIPNum")]
    available_ip_num: u64,
}

impl From<&SubnetView> for SubnetDetailBody {
    fn from(view: &SubnetView) -> Self {
        SubnetDetailBody {
            subnet: view.into(),
            subnet_create_time: local_time(view.subnet.created_at),
            total_ip_num: usable_addresses(view.subnet.cidr),
            available_ip_num: available_addresses(view),
        }
    }
}

// Hosts address themselves, so what is known is how many there are.
fn available_addresses(view: &SubnetView) -> u64 {
    usable_addresses(view.subnet.cidr).saturating_sub(view.hosts)
}

// The first two addresses and the last are reserved.
fn usable_addresses(cidr: CidrBlock) -> u64 {
    (1u64 << (32 - cidr.prefix_len())).saturating_sub(3)
}
