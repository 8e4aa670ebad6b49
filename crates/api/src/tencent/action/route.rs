//! Route tables and their entries.

use model::command::{
    RouteChange, RouteSpec, RouteTableAssociate, RouteTableCreate, RouteTableModify,
    RouteTableQuery, RouteTableTarget,
};
use model::{CidrBlock, Command, DomainError, Region, RouteTableRef};

use super::field::{MAX_LIMIT, order, shown, subnet, vpc, vpc_filter};
use crate::tencent::error::ApiError;
use crate::tencent::parameters::Parameters;
use crate::tencent::read::{given, indexes, number, optional, paging, required};
use crate::tencent::request::Limits;

pub(super) fn route_table_target(
    region: Region,
    p: &Parameters,
) -> Result<RouteTableTarget, ApiError> {
    Ok(RouteTableTarget {
        region,
        vpc: Some(vpc(region, "vpcId", p)?),
        route_table: route_table(required(p, "routeTableId")?)?,
    })
}

pub(super) fn route_table_create(
    region: Region,
    p: &Parameters,
    _: &Limits,
) -> Result<Command, ApiError> {
    Ok(Command::RouteTableCreate(RouteTableCreate {
        tags: Vec::new(),
        region,
        vpc: vpc(region, "vpcId", p)?,
        name: given(p, "routeTableName")?.to_owned(),
        routes: route_specs(p)?,
    }))
}

/// Routes that are given take the place of all that there are; none given means none changed.
pub(super) fn route_table_modify(
    region: Region,
    p: &Parameters,
    _: &Limits,
) -> Result<Command, ApiError> {
    let target = route_table_target(region, p)?;
    let name = p.get("routeTableName").map(str::to_owned);
    let routes = Some(route_specs(p)?).filter(|routes| !routes.is_empty());
    if name.is_none() && routes.is_none() {
        return Err(ApiError::missing("routeTableName or routeSet"));
    }
    Ok(Command::RouteTableModify(RouteTableModify {
        target,
        name,
        routes,
    }))
}

pub(super) fn associate(region: Region, p: &Parameters, _: &Limits) -> Result<Command, ApiError> {
    let target = route_table_target(region, p)?;
    let one = optional(p, "subnetId").map(subnet);
    let listed = indexes(p, "subnetId")?.into_iter().map(|index| {
        let name = format!("subnetId.{index}");
        subnet(required(p, &name)?)
    });
    let subnets: Vec<_> = one.into_iter().chain(listed).collect::<Result<_, _>>()?;
    if subnets.is_empty() {
        return Err(ApiError::missing("subnetId"));
    }
    Ok(Command::RouteTableAssociate(RouteTableAssociate {
        target,
        subnets,
    }))
}

pub(super) fn route_change(region: Region, p: &Parameters) -> Result<RouteChange, ApiError> {
    let vpc = Some(vpc(region, "vpcId", p)?);
    let route_table = route_table(required(p, "routeTableId")?)?;
    let routes = route_specs(p)?;
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

fn route_specs(p: &Parameters) -> Result<Vec<RouteSpec>, ApiError> {
    let specs = indexes(p, "routeSet")?.into_iter();
    specs.map(|index| route_spec(p, index)).collect()
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
        given_destination: destination.to_owned(),
        // No next hop has so long a name.
        next_hop: shown(next_hop),
        description: optional(p, &field("description")).map(str::to_owned),
        is_enabled: true,
        is_within_peer: false,
    })
}

pub(super) fn route_table_list(
    region: Region,
    p: &Parameters,
    _: &Limits,
) -> Result<Command, ApiError> {
    Ok(Command::RouteTableList(RouteTableQuery {
        region,
        vpc: vpc_filter(region, p)?,
        route_table: optional(p, "routeTableId").map(route_table).transpose()?,
        name: optional(p, "routeTableName").map(str::to_owned),
        only: Vec::new(),
        filters: Vec::new(),
        order: order(p, &["routeTableName"])?,
        paging: paging(p, MAX_LIMIT)?,
    }))
}

fn route_table(text: &str) -> Result<RouteTableRef, ApiError> {
    text.parse()
        .map_err(|_| DomainError::RouteTableNotFound(shown(text)).into())
}
