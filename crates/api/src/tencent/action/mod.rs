//! The table of actions. How each reads its parameters is in a file per resource.

mod field;
mod monitor;
mod network;
mod peering;
mod quota;
mod route;

use model::{Command, Region};

use self::peering::{EX, PLAIN};

use super::error::ApiError;
use super::parameters::Parameters;
use super::request::Limits;

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
    in_region("AcceptVpcPeeringConnection", |region, p, _| {
        peering::action(PLAIN, region, p).map(Command::PeeringAccept)
    }),
    in_region("AcceptVpcPeeringConnectionEx", |region, p, _| {
        peering::action(EX, region, p).map(Command::PeeringAccept)
    }),
    in_region("AssociateRouteTable", route::associate),
    in_region("CreateRoute", |region, p, _| {
        route::route_change(region, p).map(Command::RouteCreate)
    }),
    in_region("CreateRouteTable", route::route_table_create),
    in_region("CreateSubnet", network::subnet_create),
    in_region("CreateVpc", network::vpc_create),
    in_region("CreateVpcPeeringConnection", peering::create),
    in_region("CreateVpcPeeringConnectionEx", peering::create_ex),
    in_region("DeleteRoute", |region, p, _| {
        route::route_change(region, p).map(Command::RouteDelete)
    }),
    in_region("DeleteRouteTable", |region, p, _| {
        route::route_table_target(region, p).map(Command::RouteTableDelete)
    }),
    in_region("DeleteSubnet", |region, p, _| {
        network::subnet_target(region, p).map(Command::SubnetDelete)
    }),
    in_region("DeleteVpc", |region, p, _| {
        network::vpc_target(region, p).map(Command::VpcDelete)
    }),
    in_region("DeleteVpcPeeringConnection", |region, p, _| {
        peering::action(PLAIN, region, p).map(Command::PeeringDelete)
    }),
    in_region("DeleteVpcPeeringConnectionEx", |region, p, _| {
        peering::action(EX, region, p).map(Command::PeeringDelete)
    }),
    in_region("DescribeRouteTable", route::route_table_list),
    in_region("DescribeSubnet", network::subnet_get),
    in_region("DescribeSubnetEx", network::subnet_list),
    in_region("DescribeVpcEx", network::vpc_list),
    in_region("DescribeVpcLimit", quota::list),
    in_region("DescribeVpcPeeringConnections", peering::list),
    Action {
        name: "DescribeVpcTaskResult",
        parse: Parse::Anywhere(peering::task_result),
    },
    in_region("DescribeVpcs", network::vpc_list_or_get),
    in_region("EnableVpcPeeringConnection", |region, p, _| {
        peering::action(PLAIN, region, p).map(Command::PeeringEnable)
    }),
    in_region("EnableVpcPeeringConnectionEx", |region, p, _| {
        peering::action(EX, region, p).map(Command::PeeringEnable)
    }),
    in_region("GetMonitorData", monitor::data),
    in_region("ModifyRouteTableAttribute", route::route_table_modify),
    in_region("ModifySubnetAttribute", network::subnet_modify),
    in_region("ModifyVpcAttribute", network::vpc_modify),
    in_region("ModifyVpcPeeringConnection", peering::modify),
    in_region("ModifyVpcPeeringConnectionEx", peering::modify_ex),
    in_region("RejectVpcPeeringConnection", |region, p, _| {
        peering::action(PLAIN, region, p).map(Command::PeeringReject)
    }),
    in_region("RejectVpcPeeringConnectionEx", |region, p, _| {
        peering::action(EX, region, p).map(Command::PeeringReject)
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
