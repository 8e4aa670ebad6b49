//! Route tables and their entries.

use model::command::RouteSpec;
use model::outcome::RouteTableView;
use model::{NextHop, RouteTable, RouteTableKind};
use serde::Serialize;

use super::local_time;
use super::network::VpcIds;

/// The next hop type of a peering connection.
const PEERING: u8 = 4;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RouteTableBody {
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
                    next_type: PEERING,
                    next_hub: id.to_string(),
                    un_next_hub: Some(id.to_string()),
                    description: route.description.as_ref().map(ToString::to_string),
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
            subnet_num: view.subnets.len() as u64,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

impl RouteBody {
    fn local() -> RouteBody {
        RouteBody {
            destination_cidr_block: "Local".to_owned(),
            next_type: 2,
            next_hub: "Local".to_owned(),
            un_next_hub: None,
            description: None,
        }
    }
}

/// A new table, and its routes as they were asked for.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RouteTableCreatedBody {
    route_table_id: String,
    un_route_table_id: String,
    route_table_set: Vec<RouteBody>,
}

impl RouteTableCreatedBody {
    pub(super) fn new(table: &RouteTable, routes: &[RouteSpec]) -> RouteTableCreatedBody {
        let routes = routes.iter().map(|route| RouteBody {
            destination_cidr_block: route.given_destination.clone(),
            next_type: PEERING,
            next_hub: route.next_hop.clone(),
            un_next_hub: None,
            description: route.description.clone(),
        });
        RouteTableCreatedBody {
            route_table_id: table.legacy_id.to_string(),
            un_route_table_id: table.id.to_string(),
            route_table_set: routes.collect(),
        }
    }
}

pub(super) fn table_type(table: &RouteTable) -> u8 {
    match table.kind {
        RouteTableKind::Ordinary => 0,
        RouteTableKind::Default => 1,
    }
}
