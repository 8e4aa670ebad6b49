//! From an outcome of a use case to the response's bytes.
//!
//! The types here are the wire's: field names and JSON types are those that typed clients decode,
//! which is not always what the vendor's tables say. Source: legacy VPC API, sections 2 to 4 of the
//! action pages; `docs/compatibility.md` lists where they differ.

use model::outcome::{PeeringView, RouteTableView, SubnetView, VpcView};
use model::{
    CidrBlock, NextHop, Outcome, PeeringState, RouteTable, RouteTableKind, Task, TaskState,
    UnixMillis, Vpc,
};
use serde::Serialize;
use time::{OffsetDateTime, UtcOffset};

use super::error::ApiError;
use super::invented;

/// The media type of every answer. The HTTP status is always 200.
pub const CONTENT_TYPE: &str = "application/json; charset=utf-8";

/// The body of the answer to a request that succeeded.
pub fn render(outcome: &Outcome) -> Vec<u8> {
    match outcome {
        Outcome::VpcCreated {
            vpc,
            subnets,
            route_table,
        } => success(&VpcCreatedBody::new(vpc, subnets, route_table)),
        Outcome::Vpcs(page) => list(page.total, page.items.iter().map(VpcBody::from)),
        Outcome::SubnetsCreated(subnets) => success(&SubnetsCreatedBody {
            subnet_set: subnets.iter().map(CreatedSubnetBody::from).collect(),
        }),
        Outcome::Subnets(page) => list(page.total, page.items.iter().map(SubnetBody::from)),
        Outcome::RouteTables(page) => list(page.total, page.items.iter().map(RouteTableBody::from)),
        Outcome::Peerings(page) => list(page.total, page.items.iter().map(PeeringBody::from)),
        // Only the number: a client decodes `uniqVpcPeerId` at this level as an integer.
        Outcome::TaskStarted(id) => success(&TaskStartedBody { task_id: id.0 }),
        Outcome::TaskResult(task) => success(&TaskResultBody::from(task)),
        Outcome::Done => success(&EmptyBody {}),
    }
}

/// The body of the answer to a request that was refused.
pub fn render_error(error: &ApiError) -> Vec<u8> {
    let (code, code_desc) = error.code();
    bytes(&Envelope {
        code,
        message: &error.to_string(),
        code_desc,
        payload: &EmptyBody {},
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a, T> {
    code: i32,
    message: &'a str,
    code_desc: &'static str,
    #[serde(flatten)]
    payload: &'a T,
}

fn success<T: Serialize>(payload: &T) -> Vec<u8> {
    bytes(&Envelope {
        code: 0,
        message: "",
        code_desc: "Success",
        payload,
    })
}

fn list<T: Serialize>(total_count: u64, data: impl Iterator<Item = T>) -> Vec<u8> {
    success(&ListBody {
        total_count,
        data: data.collect(),
    })
}

fn bytes<T: Serialize>(envelope: &Envelope<'_, T>) -> Vec<u8> {
    serde_json::to_vec(envelope).expect("only strings, numbers and lists of them are written")
}

#[derive(Serialize)]
struct EmptyBody {}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListBody<T> {
    total_count: u64,
    data: Vec<T>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TaskStartedBody {
    task_id: u64,
}

#[derive(Serialize)]
struct TaskResultBody {
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
struct VpcCreatedBody {
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
struct VpcIds {
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

impl VpcCreatedBody {
    fn new(vpc: &Vpc, subnets: &[SubnetView], table: &RouteTable) -> VpcCreatedBody {
        VpcCreatedBody {
            ids: vpc.into(),
            vpc_create_time: local_time(vpc.created_at),
            subnet_set: subnets.iter().map(CreatedSubnetBody::from).collect(),
            route_table_set: [CreatedRouteTableBody {
                route_table_id: table.legacy_id.to_string(),
                un_route_table_id: table.id.to_string(),
                route_table_type: table_type(table),
                route_table_name: table.name.to_string(),
            }],
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SubnetsCreatedBody {
    subnet_set: Vec<CreatedSubnetBody>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreatedSubnetBody {
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
struct VpcBody {
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
            // Kinds of resources that do not exist here.
            vpn_gw_num: 0,
            vpc_device_num: 0,
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
struct SubnetBody {
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
        let total_ip_num = usable_addresses(view.subnet.cidr);
        SubnetBody {
            ids: (&view.vpc).into(),
            vpc_name: view.vpc.name.to_string(),
            vpc_cidr_block: view.vpc.cidr.to_string(),
            subnet: view.into(),
            subnet_create_time: local_time(view.subnet.created_at),
            route_table_name: view.route_table.name.to_string(),
            vpc_devices: 0,
            network_acl_id: 0,
            total_ip_num,
            available_ip_num: total_ip_num,
            broadcast: false,
            is_default: false,
        }
    }
}

// The first two addresses and the last are reserved.
fn usable_addresses(cidr: CidrBlock) -> u64 {
    (1u64 << (32 - cidr.prefix_len())).saturating_sub(3)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RouteTableBody {
    #[serde(flatten)]
    ids: VpcIds,
    vpc_name: String,
    vpc_cidr_block: String,
    route_table_id: String,
    un_route_table_id: String,
    route_table_name: String,
    route_table_type: u8,
    route_table_create_time: String,
    subnet_num: u64,
    // The page's table and its examples differ in the name of the list.
    route_set: Vec<RouteBody>,
    route_table_set: Vec<RouteBody>,
}

impl From<&RouteTableView> for RouteTableBody {
    fn from(view: &RouteTableView) -> Self {
        let table = &view.route_table;
        let routes: Vec<RouteBody> = std::iter::once(RouteBody::local())
            .chain(table.routes.iter().map(|route| match route.next_hop {
                NextHop::Peering(id) => RouteBody {
                    destination_cidr_block: route.destination.to_string(),
                    next_type: 4,
                    next_hub: id.to_string(),
                    un_next_hub: Some(id.to_string()),
                },
            }))
            .collect();
        RouteTableBody {
            ids: (&view.vpc).into(),
            vpc_name: view.vpc.name.to_string(),
            vpc_cidr_block: view.vpc.cidr.to_string(),
            route_table_id: table.legacy_id.to_string(),
            un_route_table_id: table.id.to_string(),
            route_table_name: table.name.to_string(),
            route_table_type: table_type(table),
            route_table_create_time: local_time(table.created_at),
            subnet_num: view.subnets,
            route_set: routes.clone(),
            route_table_set: routes,
        }
    }
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct RouteBody {
    destination_cidr_block: String,
    next_type: u8,
    next_hub: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    un_next_hub: Option<String>,
}

impl RouteBody {
    fn local() -> RouteBody {
        RouteBody {
            destination_cidr_block: "Local".to_owned(),
            next_type: 2,
            next_hub: "Local".to_owned(),
            un_next_hub: None,
        }
    }
}

fn table_type(table: &RouteTable) -> u8 {
    match table.kind {
        RouteTableKind::Ordinary => 0,
        RouteTableKind::Default => 1,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PeeringBody {
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

fn state_number(state: &PeeringState) -> u8 {
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

/// The vendor's local time, UTC+8, as `YYYY-MM-DD HH:MM:SS`.
fn local_time(at: UnixMillis) -> String {
    const LAST_SECOND_OF_9999: i64 = 253_402_300_799;
    const EIGHT_HOURS: i64 = 8 * 3600;

    let secs = at.secs().clamp(0, LAST_SECOND_OF_9999 - EIGHT_HOURS);
    let offset = UtcOffset::from_hms(8, 0, 0).expect("8 hours are an offset");
    let at = OffsetDateTime::from_unix_timestamp(secs)
        .expect("the range was just limited")
        .to_offset(offset);
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

#[cfg(test)]
#[path = "response_tests.rs"]
mod tests;
