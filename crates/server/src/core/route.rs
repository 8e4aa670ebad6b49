//! Routes to peering connections.
//!
//! A route is added only while its peering is active, in a decision that reads the peering and
//! writes the VPC's epoch; whatever ends the peering writes both as well and removes the routes. So
//! a route never outlives its peering.

use model::command::{RouteChange, RouteSpec};
use model::{
    Description, DomainError, NextHop, Outcome, PeeringConnection, PeeringConnectionId, Route,
    RouteTable, Uin, Vpc, World,
};
use store::record::Key;

use super::commit::Draft;
use super::route_table::route_table_of;
use super::vpc::vpc_of;
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
    draft.put(RouteTable {
        routes,
        ..table.clone()
    });
    Ok(Outcome::Done)
}

/// Routes of a table of a VPC with new ones behind them, each checked.
pub(super) fn routes_of(
    draft: &mut Draft<'_>,
    caller: Uin,
    vpc: &Vpc,
    mut routes: Vec<Route>,
    specs: &[RouteSpec],
) -> Result<Vec<Route>, DomainError> {
    let catalog = draft.catalog();
    for spec in specs {
        if vpc.cidr.contains(spec.destination) {
            let reason = format!("{} lies inside {} of the VPC", spec.destination, vpc.cidr);
            return Err(DomainError::Destination(reason));
        }
        let description = spec.description.as_deref().map(Description::new);
        let description = description
            .transpose()
            .map_err(|error| DomainError::RouteDescription(error.to_string()))?;
        let peering = next_hop(catalog, vpc, spec)
            .filter(|peering| peering.is_carried())
            .ok_or_else(|| DomainError::NextHopNotFound(spec.next_hop.clone()))?;
        draft.read(&Key::Peering(peering.id));
        let is_taken = |route: &Route| route.destination == spec.destination;
        if routes.iter().any(is_taken) {
            return Err(DomainError::RouteExists(spec.destination.to_string()));
        }
        routes.push(Route {
            destination: spec.destination,
            next_hop: NextHop::Peering(peering.id),
            description,
        });
    }
    let limit = catalog.quotas_of(caller).routes_per_table;
    if routes.len() > limit as usize {
        return Err(DomainError::RouteLimit { limit });
    }
    Ok(routes)
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
    let vpc = vpc_of(catalog, caller, ask.region, ask.vpc)?;
    let table = route_table_of(catalog, vpc, ask.route_table)?;
    Ok((vpc, table))
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
