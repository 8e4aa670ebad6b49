//! Route tables and their entries.

use model::command::{RouteChange, RouteSpec, RouteTableQuery};
use model::{CidrBlock, Command, DomainError, Region, RouteTableRef};

use super::field::{MAX_LIMIT, order, shown, vpc, vpc_filter};
use crate::tencent::error::ApiError;
use crate::tencent::parameters::Parameters;
use crate::tencent::read::{indexes, number, optional, paging, required};
use crate::tencent::request::Limits;

pub(super) fn route_change(region: Region, p: &Parameters) -> Result<RouteChange, ApiError> {
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
        order: order(p, &["routeTableName"])?,
        paging: paging(p, MAX_LIMIT)?,
    }))
}

fn route_table(text: &str) -> Result<RouteTableRef, ApiError> {
    text.parse()
        .map_err(|_| DomainError::RouteTableNotFound(shown(text)).into())
}
