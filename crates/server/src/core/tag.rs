//! Tags of resources.
//!
//! A resource keeps its tags in its own record, so they go with it. Nothing else is decided by them: a
//! change of tags writes the record alone.

use model::command::{TagModify, TagSpec};
use model::{
    DomainError, Outcome, PeeringConnection, Region, RouteTable, Subnet, Tagged, Tags, Uin, Vpc,
};

use super::commit::Draft;
use super::vpc::owned_vpc;
use crate::catalog::Catalog;
use crate::error::UseCaseError;

/// Tags that are given with a new resource, checked.
pub(super) fn checked(specs: &[TagSpec]) -> Result<Tags, DomainError> {
    let pairs = specs
        .iter()
        .map(|spec| (spec.key.as_str(), spec.value.as_str()));
    Ok(Tags::new(pairs)?)
}

/// Gives a resource tags, takes some away, or both.
pub(super) fn modify(
    draft: &mut Draft<'_>,
    caller: Uin,
    ask: &TagModify,
) -> Result<Outcome, UseCaseError> {
    let replace = checked(&ask.replace)?;
    if ask.owner.is_some_and(|owner| owner != caller) {
        return Err(not_found(ask.region, ask.resource).into());
    }
    let found = find(draft.catalog(), caller, ask.region, ask.resource)?;
    let old = found.tags(caller);
    let changed = old.changed(&replace, &ask.remove);
    let tags = changed.map_err(DomainError::Tag)?;
    if tags == *old {
        return Ok(Outcome::Done);
    }
    match found {
        Found::Vpc(vpc) => draft.put(Vpc {
            tags,
            ..vpc.clone()
        }),
        Found::Subnet(subnet) => draft.put(Subnet {
            tags,
            ..subnet.clone()
        }),
        Found::RouteTable(table) => draft.put(RouteTable {
            tags,
            ..table.clone()
        }),
        Found::Peering(peering) => draft.put(peering.with_tags_of(caller, tags)),
    }
    Ok(Outcome::Done)
}

/// The tags of a resource, if it is an account's in a region.
pub(super) fn tags_of(
    catalog: &Catalog,
    account: Uin,
    region: Region,
    resource: Tagged,
) -> Option<&Tags> {
    let found = find(catalog, account, region, resource).ok()?;
    Some(found.tags(account))
}

enum Found<'a> {
    Vpc(&'a Vpc),
    Subnet(&'a Subnet),
    RouteTable(&'a RouteTable),
    Peering(&'a PeeringConnection),
}

impl<'a> Found<'a> {
    fn tags(&self, account: Uin) -> &'a Tags {
        match self {
            Found::Vpc(vpc) => &vpc.tags,
            Found::Subnet(subnet) => &subnet.tags,
            Found::RouteTable(table) => &table.tags,
            Found::Peering(peering) => peering.tags_of(account),
        }
    }
}

/// The unknown, the foreign and those of other regions are alike.
fn find(
    catalog: &Catalog,
    account: Uin,
    region: Region,
    resource: Tagged,
) -> Result<Found<'_>, DomainError> {
    let unknown = || not_found(region, resource);
    let is_own = |vpc| owned_vpc(catalog, account, region, vpc).is_some();
    match resource {
        Tagged::Vpc(id) => owned_vpc(catalog, account, region, id)
            .map(Found::Vpc)
            .ok_or_else(unknown),
        Tagged::Subnet(id) => catalog
            .subnet(id)
            .filter(|subnet| is_own(subnet.vpc))
            .map(Found::Subnet)
            .ok_or_else(unknown),
        Tagged::RouteTable(id) => catalog
            .route_table(id)
            .filter(|table| is_own(table.vpc))
            .map(Found::RouteTable)
            .ok_or_else(unknown),
        Tagged::Peering(id) => catalog
            .peering(id)
            .filter(|peering| peering.is_visible_in(account, region))
            .map(Found::Peering)
            .ok_or_else(unknown),
    }
}

fn not_found(region: Region, resource: Tagged) -> DomainError {
    let id = resource.to_string();
    match resource {
        Tagged::Vpc(_) => DomainError::VpcNotFound {
            vpc: id,
            region: region.to_string(),
        },
        Tagged::Subnet(_) => DomainError::SubnetNotFound(id),
        Tagged::RouteTable(_) => DomainError::RouteTableNotFound(id),
        Tagged::Peering(_) => DomainError::PeeringNotFound(id),
    }
}
