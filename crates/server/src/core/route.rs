//! Routes to peering connections.
//!
//! A route is added only while its peering is active, in a decision that reads the peering and
//! writes the VPC's epoch; whatever ends the peering writes both as well and removes the routes. So
//! a route never outlives its peering.

use model::command::{
    RouteChange, RouteReplace, RouteSelector, RouteSpec, RouteTableTarget, RouteTargets,
};
use model::{
    CidrBlock, Description, DomainError, NextHop, Outcome, PeeringConnection, PeeringConnectionId,
    Route, RouteItemId, RouteTable, Side, Uin, Vpc, World,
};
use store::record::Key;

use super::commit::Draft;
use super::number;
use super::route_table::route_table_target;
use crate::catalog::Catalog;
use crate::error::UseCaseError;

/// Adds routes to a table; all or none.
pub(super) fn create(
    draft: &mut Draft<'_>,
    caller: Uin,
    ask: &RouteChange,
) -> Result<Outcome, UseCaseError> {
    let catalog = draft.catalog();
    let (vpc, table) = find(catalog, caller, ask)?;
    let routes = routes_of(draft, caller, vpc, table.routes.clone(), &ask.routes)?;
    draft.read(&Key::Account(caller));
    draft.next_epoch(vpc.id);
    let new = routes[table.routes.len()..].to_vec();
    let route_table = RouteTable {
        routes,
        ..table.clone()
    };
    draft.put(route_table.clone());
    Ok(Outcome::RoutesChanged {
        route_table,
        old: Vec::new(),
        new,
    })
}

/// Routes of a table of a VPC with new ones behind them, each checked.
pub(super) fn routes_of(
    draft: &mut Draft<'_>,
    caller: Uin,
    vpc: &Vpc,
    mut routes: Vec<Route>,
    specs: &[RouteSpec],
) -> Result<Vec<Route>, DomainError> {
    for spec in specs {
        let route = route_of(draft, vpc, &routes, spec)?;
        routes.push(route);
    }
    let limit = draft.catalog().quotas_of(caller).routes_per_table;
    if routes.len() > limit as usize {
        return Err(DomainError::RouteLimit { limit });
    }
    Ok(routes)
}

/// A new route beside those of a table.
fn route_of(
    draft: &mut Draft<'_>,
    vpc: &Vpc,
    others: &[Route],
    spec: &RouteSpec,
) -> Result<Route, DomainError> {
    let catalog = draft.catalog();
    if let Some(block) = vpc.block_of(spec.destination) {
        let reason = format!("{} lies inside {block} of the VPC", spec.destination);
        return Err(DomainError::Destination(reason));
    }
    let description = spec.description.as_deref().map(Description::new);
    let description = description
        .transpose()
        .map_err(|error| DomainError::RouteDescription(error.to_string()))?;
    let peering = next_hop(catalog, vpc, spec)
        .filter(|peering| peering.is_carried())
        .ok_or_else(|| DomainError::NextHopNotFound(spec.next_hop.clone()))?;
    if spec.is_within_peer {
        check_within_peer(catalog, vpc, peering, spec.destination)?;
    }
    draft.read(&Key::Peering(peering.id));
    let is_taken = |route: &Route| route.destination == spec.destination;
    if others.iter().any(is_taken) {
        return Err(DomainError::RouteExists(spec.destination.to_string()));
    }
    let ids: Vec<RouteItemId> = others.iter().map(|route| route.id).collect();
    Ok(Route {
        id: number::route_id(&ids),
        destination: spec.destination,
        next_hop: NextHop::Peering(peering.id),
        description,
        is_enabled: spec.is_enabled,
    })
}

/// Removes routes by their ids; all or none.
pub(super) fn remove(
    draft: &mut Draft<'_>,
    caller: Uin,
    ask: &RouteTargets,
) -> Result<Outcome, UseCaseError> {
    let (vpc, found) = route_table_target(draft.catalog(), caller, ask.table)?;
    let gone = selected(found, &ask.routes)?;
    let mut routes = found.routes.clone();
    routes.retain(|route| !gone.contains(&route.id));
    put(draft, vpc, found, routes)
}

/// Puts routes in the place of others, which give them their ids; all or none.
pub(super) fn replace(
    draft: &mut Draft<'_>,
    caller: Uin,
    ask: &RouteReplace,
) -> Result<Outcome, UseCaseError> {
    let (vpc, found) = route_table_target(draft.catalog(), caller, ask.table)?;
    let selectors: Vec<RouteSelector> = ask.routes.iter().map(|(selector, _)| *selector).collect();
    let replaced = selected(found, &selectors)?;
    let mut routes = found.routes.clone();
    routes.retain(|route| !replaced.contains(&route.id));
    for (id, (_, spec)) in replaced.iter().zip(&ask.routes) {
        let route = route_of(draft, vpc, &routes, spec)?;
        routes.push(Route { id: *id, ..route });
    }
    put(draft, vpc, found, routes)
}

/// Lets traffic follow routes, or not; all or none.
pub(super) fn switch(
    draft: &mut Draft<'_>,
    caller: Uin,
    ask: &RouteTargets,
    is_enabled: bool,
) -> Result<Outcome, UseCaseError> {
    let (vpc, found) = route_table_target(draft.catalog(), caller, ask.table)?;
    let switched = selected(found, &ask.routes)?;
    let mut routes = found.routes.clone();
    for route in routes
        .iter_mut()
        .filter(|route| switched.contains(&route.id))
    {
        route.is_enabled = is_enabled;
    }
    put(draft, vpc, found, routes)
}

/// Stores the routes of a table and tells what is different.
fn put(
    draft: &mut Draft<'_>,
    vpc: &Vpc,
    found: &RouteTable,
    routes: Vec<Route>,
) -> Result<Outcome, UseCaseError> {
    let missing_in = |others: &[Route], route: &&Route| !others.contains(route);
    let old = found
        .routes
        .iter()
        .filter(|route| missing_in(&routes, route));
    let new = routes
        .iter()
        .filter(|route| missing_in(&found.routes, route));
    let (old, new) = (old.cloned().collect(), new.cloned().collect());
    let route_table = RouteTable {
        routes,
        ..found.clone()
    };
    if route_table != *found {
        draft.next_epoch(vpc.id);
        draft.put(route_table.clone());
    }
    Ok(Outcome::RoutesChanged {
        route_table,
        old,
        new,
    })
}

/// The ids of routes, in the order in which they are named; each has to be there, and once.
fn selected(
    table: &RouteTable,
    selectors: &[RouteSelector],
) -> Result<Vec<RouteItemId>, DomainError> {
    let mut ids = Vec::new();
    for selector in selectors {
        let is_meant = |route: &&Route| match selector {
            RouteSelector::Id(id) => route.id == *id,
            RouteSelector::Number(number) => route.id.number() == *number,
        };
        let route = table.routes.iter().find(is_meant).ok_or_else(|| {
            DomainError::RouteNotFound(match selector {
                RouteSelector::Id(id) => id.to_string(),
                RouteSelector::Number(number) => number.to_string(),
            })
        })?;
        if ids.contains(&route.id) {
            return Err(DomainError::RouteExists(route.destination.to_string()));
        }
        ids.push(route.id);
    }
    Ok(ids)
}

/// Removes routes from a table; all or none. A route that is not there, to a peering that the
/// caller's VPC has, is no error.
pub(super) fn delete(
    draft: &mut Draft<'_>,
    caller: Uin,
    ask: &RouteChange,
) -> Result<Outcome, UseCaseError> {
    let catalog = draft.catalog();
    let (vpc, found) = find(catalog, caller, ask)?;
    let mut table = found.clone();
    for spec in &ask.routes {
        let peering = next_hop(catalog, vpc, spec)
            .filter(|peering| peering.is_visible_to(caller))
            .ok_or_else(|| DomainError::NextHopNotFound(spec.next_hop.clone()))?;
        let next_hop = NextHop::Peering(peering.id);
        table
            .routes
            .retain(|route| route.destination != spec.destination || route.next_hop != next_hop);
    }
    if table != *found {
        draft.next_epoch(vpc.id);
        draft.put(table);
    }
    Ok(Outcome::Done)
}

fn find<'a>(
    catalog: &'a Catalog,
    caller: Uin,
    ask: &RouteChange,
) -> Result<(&'a Vpc, &'a RouteTable), DomainError> {
    let target = RouteTableTarget {
        region: ask.region,
        vpc: ask.vpc,
        route_table: ask.route_table,
    };
    route_table_target(catalog, caller, target)
}

/// Refuses a destination of which the peer has nothing. One that is larger than what the peer has is
/// none: what lies beside it is dropped where it arrives.
fn check_within_peer(
    catalog: &Catalog,
    vpc: &Vpc,
    peering: &PeeringConnection,
    destination: CidrBlock,
) -> Result<(), DomainError> {
    let side = peering.side_of(vpc.id).map(Side::other);
    let peer = side.and_then(|side| catalog.vpc(peering.end(side).vpc));
    let is_beside = |peer: &&Vpc| !peer.blocks().any(|block| block.overlaps(destination));
    match peer.filter(is_beside) {
        Some(peer) => {
            let blocks: Vec<String> = peer.blocks().map(|block| block.to_string()).collect();
            Err(DomainError::NotInPeer {
                destination: destination.to_string(),
                cidr: blocks.join(" and "),
            })
        }
        None => Ok(()),
    }
}

/// The peering that a route names, if the VPC is an end of it.
fn next_hop<'a>(
    catalog: &'a Catalog,
    vpc: &Vpc,
    spec: &RouteSpec,
) -> Option<&'a PeeringConnection> {
    let id: PeeringConnectionId = spec.next_hop.parse().ok()?;
    catalog
        .peering(id)
        .filter(|peering| peering.side_of(vpc.id).is_some())
}
