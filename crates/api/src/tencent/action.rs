//! The table of actions, and how each reads its parameters.

use model::command::{
    Order, PeeringAction, PeeringCreate, PeeringModify, PeeringQuery, PeeringStateFilter,
    RouteChange, RouteSpec, RouteTableQuery, SubnetCreate, SubnetQuery, SubnetSpec, VpcCreate,
    VpcQuery,
};
use model::peering::{ChargeType, QosLevel};
use model::{
    Bandwidth, CidrBlock, CidrError, Command, DomainError, PeeringConnectionId, Region,
    RouteTableRef, SubnetRef, TaskId, Uin, VpcRef, Zone,
};

use super::error::ApiError;
use super::parameters::Parameters;
use super::read::{given, indexes, number, optional, paging, required};
use super::request::{AllowedBandwidths, Limits, region as parse_region};

/// The bandwidths of the vendor's page, in Mbps.
pub const DOCUMENTED_BANDWIDTHS_MBPS: [u32; 7] = [10, 20, 50, 100, 200, 500, 1000];

/// The shortest mask of a VPC in this dialect; the domain allows shorter ones.
const MIN_VPC_PREFIX_LEN: u8 = 16;

/// The most entries of a peering or route table list; the other lists document none.
const MAX_LIMIT: u64 = 50;
const NO_MAX_LIMIT: u64 = u32::MAX as u64;

/// An action that this dialect knows.
pub struct Action {
    /// Its name, as in the parameter `Action`.
    pub name: &'static str,
    parse: Parse,
}

// Nearly every action works in a region, which is then required.
enum Parse {
    InRegion(fn(Region, &Parameters, &Limits) -> Result<Command, ApiError>),
    Anywhere(fn(&Parameters) -> Result<Command, ApiError>),
}

/// Every action, by name.
pub const ACTIONS: &[Action] = &[
    in_region("AcceptVpcPeeringConnectionEx", |region, p, _| {
        peering_action(region, p).map(Command::PeeringAccept)
    }),
    in_region("CreateRoute", |region, p, _| {
        route_change(region, p).map(Command::RouteCreate)
    }),
    in_region("CreateSubnet", subnet_create),
    in_region("CreateVpc", vpc_create),
    in_region("CreateVpcPeeringConnectionEx", peering_create),
    in_region("DeleteRoute", |region, p, _| {
        route_change(region, p).map(Command::RouteDelete)
    }),
    in_region("DeleteVpcPeeringConnectionEx", |region, p, _| {
        peering_action(region, p).map(Command::PeeringDelete)
    }),
    in_region("DescribeRouteTable", route_table_list),
    in_region("DescribeSubnetEx", subnet_list),
    in_region("DescribeVpcEx", vpc_list),
    in_region("DescribeVpcPeeringConnections", peering_list),
    Action {
        name: "DescribeVpcTaskResult",
        parse: Parse::Anywhere(task_result),
    },
    in_region("EnableVpcPeeringConnectionEx", |region, p, _| {
        peering_action(region, p).map(Command::PeeringEnable)
    }),
    in_region("ModifyVpcPeeringConnectionEx", peering_modify),
    in_region("RejectVpcPeeringConnectionEx", |region, p, _| {
        peering_action(region, p).map(Command::PeeringReject)
    }),
];

const fn in_region(
    name: &'static str,
    parse: fn(Region, &Parameters, &Limits) -> Result<Command, ApiError>,
) -> Action {
    Action {
        name,
        parse: Parse::InRegion(parse),
    }
}

/// Looks an action up.
pub fn find(name: &str) -> Option<&'static Action> {
    ACTIONS.iter().find(|action| action.name == name)
}

impl Action {
    /// Reads the action's parameters.
    ///
    /// # Errors
    /// As [`super::request::parse_command`].
    pub fn parse(
        &self,
        region: Option<Region>,
        parameters: &Parameters,
        limits: &Limits,
    ) -> Result<Command, ApiError> {
        match self.parse {
            Parse::InRegion(parse) => {
                let region = region.ok_or_else(|| ApiError::missing("Region"))?;
                parse(region, parameters, limits)
            }
            Parse::Anywhere(parse) => parse(parameters),
        }
    }
}

fn vpc_create(region: Region, p: &Parameters, _: &Limits) -> Result<Command, ApiError> {
    let cidr: CidrBlock = required(p, "cidrBlock")?
        .parse()
        .map_err(|error: CidrError| DomainError::VpcCidr(error.to_string()))?;
    if cidr.prefix_len() < MIN_VPC_PREFIX_LEN {
        let reason = format!("the mask of {cidr} is shorter than /{MIN_VPC_PREFIX_LEN}");
        return Err(DomainError::VpcCidr(reason).into());
    }
    Ok(Command::VpcCreate(VpcCreate {
        region,
        name: given(p, "vpcName")?.to_owned(),
        cidr,
        subnets: subnet_specs(p)?,
    }))
}

fn vpc_list(region: Region, p: &Parameters, _: &Limits) -> Result<Command, ApiError> {
    Ok(Command::VpcList(VpcQuery {
        region,
        vpc: vpc_filter(region, p)?,
        name: optional(p, "vpcName").map(str::to_owned),
        order: order(p, &["vpcName"])?,
        paging: paging(p, NO_MAX_LIMIT)?,
    }))
}

fn subnet_create(region: Region, p: &Parameters, _: &Limits) -> Result<Command, ApiError> {
    let vpc = vpc(region, "vpcId", p)?;
    let subnets = subnet_specs(p)?;
    if subnets.is_empty() {
        return Err(ApiError::missing("subnetSet.0.subnetName"));
    }
    Ok(Command::SubnetCreate(SubnetCreate {
        region,
        vpc,
        subnets,
    }))
}

fn subnet_specs(p: &Parameters) -> Result<Vec<SubnetSpec>, ApiError> {
    let spec = |index: u32| {
        let field = |name: &str| format!("subnetSet.{index}.{name}");
        let cidr = required(p, &field("cidrBlock"))?
            .parse()
            .map_err(|error: CidrError| DomainError::SubnetCidr(error.to_string()))?;
        Ok(SubnetSpec {
            name: given(p, &field("subnetName"))?.to_owned(),
            cidr,
            zone: zone(p, &field("zoneId"))?,
        })
    };
    indexes(p, "subnetSet")?.into_iter().map(spec).collect()
}

fn zone(p: &Parameters, name: &str) -> Result<Zone, ApiError> {
    number(name, required(p, name)?).map(Zone)
}

fn subnet_list(region: Region, p: &Parameters, _: &Limits) -> Result<Command, ApiError> {
    let subnet = optional(p, "subnetId")
        .map(|text| {
            text.parse::<SubnetRef>()
                .map_err(|_| DomainError::SubnetNotFound(shown(text)))
        })
        .transpose()?;
    let zones = indexes(p, "zoneIds")?
        .into_iter()
        .map(|index| zone(p, &format!("zoneIds.{index}")))
        .collect::<Result<_, _>>()?;
    Ok(Command::SubnetList(SubnetQuery {
        region,
        vpc: vpc_filter(region, p)?,
        subnet,
        name: optional(p, "subnetName").map(str::to_owned),
        zones,
        order: order(p, &["subnetName"])?,
        paging: paging(p, NO_MAX_LIMIT)?,
    }))
}

fn route_change(region: Region, p: &Parameters) -> Result<RouteChange, ApiError> {
    let vpc = vpc(region, "vpcId", p)?;
    let route_table = route_table(required(p, "routeTableId")?)?;
    let routes = indexes(p, "routeSet")?
        .into_iter()
        .map(|index| route_spec(p, index))
        .collect::<Result<Vec<_>, _>>()?;
    if routes.is_empty() {
        return Err(ApiError::missing("routeSet.0.destinationCidrBlock"));
    }
    Ok(RouteChange {
        region,
        vpc,
        route_table,
        routes,
    })
}

fn route_spec(p: &Parameters, index: u32) -> Result<RouteSpec, ApiError> {
    const PEERING: u32 = 4;

    let field = |name: &str| format!("routeSet.{index}.{name}");
    let destination = required(p, &field("destinationCidrBlock"))?;
    let next_type = required(p, &field("nextType"))?;
    let next_hop = required(p, &field("nextHub"))?;
    if number::<u32>(&field("nextType"), next_type)? != PEERING {
        return Err(DomainError::NextHopType(shown(next_type)).into());
    }
    Ok(RouteSpec {
        destination: CidrBlock::parse_truncating(destination)
            .map_err(|error| DomainError::Destination(error.to_string()))?,
        next_hop: next_hop.to_owned(),
    })
}

fn route_table_list(region: Region, p: &Parameters, _: &Limits) -> Result<Command, ApiError> {
    Ok(Command::RouteTableList(RouteTableQuery {
        region,
        vpc: vpc_filter(region, p)?,
        route_table: optional(p, "routeTableId").map(route_table).transpose()?,
        name: optional(p, "routeTableName").map(str::to_owned),
        order: order(p, &["routeTableName"])?,
        paging: paging(p, MAX_LIMIT)?,
    }))
}

fn peering_create(region: Region, p: &Parameters, limits: &Limits) -> Result<Command, ApiError> {
    // Every parameter is looked for before any is judged, so that the first answer to an incomplete
    // request names what is missing.
    let peer_uin = required(p, "peerUin")?;
    let name = given(p, "peeringConnectionName")?;
    let peer_region = parse_region("peerRegion", required(p, "peerRegion")?)?;
    let bandwidth_text = required(p, "bandwidth")?;
    required(p, "vpcId")?;
    required(p, "peerVpcId")?;
    match optional(p, "type") {
        None | Some("1") => {}
        Some(_) => {
            let reason = "only 1, VPC to VPC, is supported";
            return Err(ApiError::invalid("type", reason));
        }
    }
    Ok(Command::PeeringCreate(PeeringCreate {
        region,
        vpc: vpc(region, "vpcId", p)?,
        peer_region,
        peer_vpc: vpc(peer_region, "peerVpcId", p)?,
        peer_uin: number::<u64>("peerUin", peer_uin).map(Uin)?,
        name: name.to_owned(),
        bandwidth: bandwidth(bandwidth_text, limits)?,
        charge_type: charge_type(p)?.unwrap_or_default(),
        qos_level: qos_level(p)?.unwrap_or_default(),
    }))
}

fn peering_action(region: Region, p: &Parameters) -> Result<PeeringAction, ApiError> {
    Ok(PeeringAction {
        region,
        peering: peering(required(p, "peeringConnectionId")?)?,
    })
}

fn peering_modify(region: Region, p: &Parameters, limits: &Limits) -> Result<Command, ApiError> {
    let peering = peering(required(p, "peeringConnectionId")?)?;
    // A name that is there but empty is a wrong name, not an absent one.
    let name = p.get("peeringConnectionName").map(str::to_owned);
    let bandwidth = optional(p, "bandwidth")
        .map(|text| bandwidth(text, limits))
        .transpose()?;
    let charge_type = charge_type(p)?;
    if name.is_none() && bandwidth.is_none() && charge_type.is_none() {
        return Err(ApiError::missing(
            "peeringConnectionName, bandwidth or chargeType",
        ));
    }
    Ok(Command::PeeringModify(PeeringModify {
        region,
        peering,
        name,
        bandwidth,
        charge_type,
    }))
}

fn peering_list(region: Region, p: &Parameters, _: &Limits) -> Result<Command, ApiError> {
    Ok(Command::PeeringList(PeeringQuery {
        region,
        vpc: vpc_filter(region, p)?,
        peering: optional(p, "peeringConnectionId")
            .map(peering)
            .transpose()?,
        name: optional(p, "peeringConnectionName").map(str::to_owned),
        state: optional(p, "state").map(state).transpose()?,
        // The page spells it with a small n.
        order: order(p, &["peeringConnectionname", "peeringConnectionName"])?,
        paging: paging(p, MAX_LIMIT)?,
    }))
}

fn task_result(p: &Parameters) -> Result<Command, ApiError> {
    number("taskId", required(p, "taskId")?).map(|id| Command::TaskResult(TaskId(id)))
}

// An id that cannot be one is answered like one that does not exist.
fn vpc(region: Region, name: &str, p: &Parameters) -> Result<VpcRef, ApiError> {
    vpc_ref(region, required(p, name)?)
}

fn vpc_filter(region: Region, p: &Parameters) -> Result<Option<VpcRef>, ApiError> {
    optional(p, "vpcId")
        .map(|text| vpc_ref(region, text))
        .transpose()
}

fn vpc_ref(region: Region, text: &str) -> Result<VpcRef, ApiError> {
    text.parse().map_err(|_| {
        DomainError::VpcNotFound {
            vpc: shown(text),
            region: region.to_string(),
        }
        .into()
    })
}

fn route_table(text: &str) -> Result<RouteTableRef, ApiError> {
    text.parse()
        .map_err(|_| DomainError::RouteTableNotFound(shown(text)).into())
}

fn peering(text: &str) -> Result<PeeringConnectionId, ApiError> {
    text.parse()
        .map_err(|_| DomainError::PeeringNotFound(shown(text)).into())
}

// Answers repeat what was given, but not all of a long text.
fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

fn state(text: &str) -> Result<PeeringStateFilter, ApiError> {
    match number::<u32>("state", text)? {
        0 => Ok(PeeringStateFilter::Pending),
        1 => Ok(PeeringStateFilter::Active),
        2 => Ok(PeeringStateFilter::Expired),
        3 => Ok(PeeringStateFilter::Rejected),
        4 => Ok(PeeringStateFilter::Deleted),
        5 => Ok(PeeringStateFilter::Failed),
        n if n == u32::from(super::invented::STATE_ISOLATED) => Ok(PeeringStateFilter::Isolated),
        _ => Err(ApiError::invalid("state", "it is not 0 to 6")),
    }
}

fn order(p: &Parameters, by_name: &[&str]) -> Result<Order, ApiError> {
    match optional(p, "orderField") {
        None | Some("createTime") => Ok(Order::CreateTime),
        Some(field) if by_name.contains(&field) => Ok(Order::Name),
        Some(_) => {
            let reason = format!("it is not createTime or {}", by_name[0]);
            Err(ApiError::invalid("orderField", reason))
        }
    }
}

fn bandwidth(text: &str, limits: &Limits) -> Result<Bandwidth, ApiError> {
    let mbps: u32 = number("bandwidth", text)?;
    let ceiling = limits.bandwidth_ceiling_mbps;
    if mbps > ceiling {
        let reason = format!("it is {mbps} Mbps, at most {ceiling} is allowed");
        return Err(ApiError::invalid("bandwidth", reason));
    }
    let allowed = match limits.bandwidths {
        AllowedBandwidths::Any => true,
        AllowedBandwidths::DocumentedSet => mbps == 0 || DOCUMENTED_BANDWIDTHS_MBPS.contains(&mbps),
    };
    if !allowed {
        let reason = format!("it is not one of {DOCUMENTED_BANDWIDTHS_MBPS:?} Mbps");
        return Err(ApiError::invalid("bandwidth", reason));
    }
    Ok(Bandwidth::from_mbps(mbps))
}

fn charge_type(p: &Parameters) -> Result<Option<ChargeType>, ApiError> {
    match optional(p, "chargeType") {
        None => Ok(None),
        Some("POSTPAID_BY_DAY_MAX") => Ok(Some(ChargeType::PostpaidByDayMax)),
        Some("POSTPAID_BY_MONTH_95") => Ok(Some(ChargeType::PostpaidByMonth95)),
        Some(_) => Err(ApiError::invalid(
            "chargeType",
            "it is not POSTPAID_BY_DAY_MAX or POSTPAID_BY_MONTH_95",
        )),
    }
}

fn qos_level(p: &Parameters) -> Result<Option<QosLevel>, ApiError> {
    match optional(p, "qosLevel") {
        None => Ok(None),
        Some("PT") => Ok(Some(QosLevel::Platinum)),
        Some("AU") => Ok(Some(QosLevel::Gold)),
        Some("AG") => Ok(Some(QosLevel::Silver)),
        Some(_) => Err(ApiError::invalid("qosLevel", "it is not PT, AU or AG")),
    }
}
