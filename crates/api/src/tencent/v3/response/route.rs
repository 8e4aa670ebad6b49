//! Route tables and their routes.

use model::outcome::RouteTableView;
use model::{
    CidrBlock, NextHop, Outcome, Route, RouteTable, RouteTableId, RouteTableKind, SubnetId,
};
use serde::Serialize;

use super::tag::{TagBody, tag_set};
use super::{local_time, object};
use crate::tencent::v3::field::Arguments;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TableCreated {
    route_table: TableBody,
}

pub(in crate::tencent::v3) fn route_table_created(
    outcome: &Outcome,
    _: &Arguments,
) -> Option<Vec<u8>> {
    let Outcome::RouteTableCreated { route_table, .. } = outcome else {
        return None;
    };
    let route_table = TableBody::new(route_table, &[], &route_table.routes);
    Some(object(&TableCreated { route_table }))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Tables {
    total_count: u64,
    route_table_set: Vec<TableBody>,
}

pub(in crate::tencent::v3) fn route_tables(
    outcome: &Outcome,
    arguments: &Arguments,
) -> Option<Vec<u8>> {
    let Outcome::RouteTables(page) = outcome else {
        return None;
    };
    let with_routes = arguments.boolean("NeedRouterInfo") != Some(false);
    let body = |view: &RouteTableView| {
        let routes = &view.route_table.routes[..];
        let routes = if with_routes { routes } else { &[] };
        TableBody::new(&view.route_table, &view.subnets, routes)
    };
    Some(object(&Tables {
        total_count: page.total,
        route_table_set: page.items.iter().map(body).collect(),
    }))
}

/// The table with the new routes only: a client fails on any other number of them.
pub(in crate::tencent::v3) fn routes_created(outcome: &Outcome, _: &Arguments) -> Option<Vec<u8>> {
    let Outcome::RoutesChanged {
        route_table, new, ..
    } = outcome
    else {
        return None;
    };
    Some(object(&Tables {
        total_count: new.len() as u64,
        route_table_set: vec![TableBody::new(route_table, &[], new)],
    }))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RoutesDeleted {
    route_set: Vec<RouteBody>,
}

pub(in crate::tencent::v3) fn routes_deleted(outcome: &Outcome, _: &Arguments) -> Option<Vec<u8>> {
    let Outcome::RoutesChanged {
        route_table, old, ..
    } = outcome
    else {
        return None;
    };
    let route_set = bodies(route_table.id, old);
    Some(object(&RoutesDeleted { route_set }))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RoutesReplaced {
    old_route_set: Vec<RouteBody>,
    new_route_set: Vec<RouteBody>,
}

pub(in crate::tencent::v3) fn routes_replaced(outcome: &Outcome, _: &Arguments) -> Option<Vec<u8>> {
    let Outcome::RoutesChanged {
        route_table,
        old,
        new,
    } = outcome
    else {
        return None;
    };
    Some(object(&RoutesReplaced {
        old_route_set: bodies(route_table.id, old),
        new_route_set: bodies(route_table.id, new),
    }))
}

pub(in crate::tencent::v3) fn routes_switched(outcome: &Outcome, _: &Arguments) -> Option<Vec<u8>> {
    matches!(outcome, Outcome::RoutesChanged { .. }).then(|| b"{}".to_vec())
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Routes {
    route_set: Vec<RouteBody>,
    total_count: u64,
}

pub(in crate::tencent::v3) fn routes(outcome: &Outcome, _: &Arguments) -> Option<Vec<u8>> {
    let Outcome::Routes(page) = outcome else {
        return None;
    };
    let bodies = page
        .items
        .iter()
        .map(|view| RouteBody::new(view.route_table, &view.route));
    Some(object(&Routes {
        route_set: bodies.collect(),
        total_count: page.total,
    }))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Conflicts {
    route_conflict_set: Vec<Conflict>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Conflict {
    route_table_id: String,
    destination_cidr_block: String,
    conflict_set: Vec<RouteBody>,
}

/// For each block that was asked for and that routes of the table overlap, those routes.
pub(in crate::tencent::v3) fn route_conflicts(
    outcome: &Outcome,
    arguments: &Arguments,
) -> Option<Vec<u8>> {
    let Outcome::RouteTables(page) = outcome else {
        return None;
    };
    let table = &page.items.first()?.route_table;
    let conflict = |text: &str| {
        let block = CidrBlock::parse_truncating(text).ok()?;
        let routes = table.routes.iter();
        let overlapping = routes.filter(|route| route.destination.overlaps(block));
        let conflict_set: Vec<RouteBody> = overlapping
            .map(|route| RouteBody::new(table.id, route))
            .collect();
        (!conflict_set.is_empty()).then(|| Conflict {
            route_table_id: table.id.to_string(),
            destination_cidr_block: text.to_owned(),
            conflict_set,
        })
    };
    let blocks = arguments.texts("DestinationCidrBlocks");
    Some(object(&Conflicts {
        route_conflict_set: blocks.filter_map(conflict).collect(),
    }))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TableBody {
    vpc_id: String,
    route_table_id: String,
    route_table_name: String,
    main: bool,
    created_time: String,
    association_set: Vec<Association>,
    route_set: Vec<RouteBody>,
    tag_set: Vec<TagBody>,
    local_cidr_for_ccn: [(); 0],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Association {
    subnet_id: String,
    route_table_id: String,
}

impl TableBody {
    fn new(table: &RouteTable, subnets: &[SubnetId], routes: &[Route]) -> TableBody {
        let association = |subnet: &SubnetId| Association {
            subnet_id: subnet.to_string(),
            route_table_id: table.id.to_string(),
        };
        TableBody {
            vpc_id: table.vpc.to_string(),
            route_table_id: table.id.to_string(),
            route_table_name: table.name.to_string(),
            main: table.kind == RouteTableKind::Default,
            created_time: local_time(table.created_at),
            association_set: subnets.iter().map(association).collect(),
            route_set: bodies(table.id, routes),
            tag_set: tag_set(&table.tags),
            local_cidr_for_ccn: [],
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RouteBody {
    destination_cidr_block: String,
    gateway_type: &'static str,
    gateway_id: String,
    route_id: u32,
    route_item_id: String,
    route_description: String,
    enabled: bool,
    route_type: &'static str,
    route_table_id: String,
    destination_ipv6_cidr_block: &'static str,
    published_to_vbc: bool,
    created_time: &'static str,
    cdc_id: &'static str,
}

fn bodies(table: RouteTableId, routes: &[Route]) -> Vec<RouteBody> {
    routes
        .iter()
        .map(|route| RouteBody::new(table, route))
        .collect()
}

impl RouteBody {
    fn new(table: RouteTableId, route: &Route) -> RouteBody {
        let NextHop::Peering(peering) = route.next_hop;
        let description = route.description.as_ref();
        RouteBody {
            destination_cidr_block: route.destination.to_string(),
            gateway_type: "PEERCONNECTION",
            gateway_id: peering.to_string(),
            route_id: route.id.number(),
            route_item_id: route.id.to_string(),
            route_description: description.map(ToString::to_string).unwrap_or_default(),
            enabled: route.is_enabled,
            route_type: "USER",
            route_table_id: table.to_string(),
            // Nothing of that kind is offered; when a route was made is not recorded.
            destination_ipv6_cidr_block: "",
            published_to_vbc: false,
            created_time: "",
            cdc_id: "",
        }
    }
}
