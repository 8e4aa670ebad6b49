//! Route tables: which a VPC has, and which subnet uses which.
//!
//! Every decision here writes the VPC's epoch, so that no table goes while a subnet begins to use it.

use std::collections::BTreeSet;

use model::command::{RouteTableAssociate, RouteTableCreate, RouteTableModify, RouteTableTarget};
use model::{
    DomainError, Name, Outcome, RouteTable, RouteTableKind, RouteTableRef, Subnet, SubnetRef, Uin,
    Vpc, World,
};
use store::record::{Key, LegacyId, LegacyIndex};

use super::commit::Draft;
use super::route::routes_of;
use super::subnet::subnet_of;
use super::tag::checked;
use super::vpc::{owned_vpc, put_floor, vpc_of};
use super::{Core, number};
use crate::catalog::Catalog;
use crate::error::UseCaseError;

/// A route table of a VPC, by either of its ids.
pub(super) fn route_table_of<'a>(
    catalog: &'a Catalog,
    vpc: &Vpc,
    table: RouteTableRef,
) -> Result<&'a RouteTable, DomainError> {
    catalog
        .route_table_by_ref(table)
        .filter(|found| found.vpc == vpc.id)
        .ok_or_else(|| DomainError::RouteTableNotFound(table.to_string()))
}

/// A route table with its VPC, which has to be the one that is named, if one is.
pub(super) fn route_table_target(
    catalog: &Catalog,
    caller: Uin,
    target: RouteTableTarget,
) -> Result<(&Vpc, &RouteTable), DomainError> {
    let vpc = match target.vpc {
        Some(vpc) => Some(vpc_of(catalog, caller, target.region, vpc)?),
        None => catalog
            .route_table_by_ref(target.route_table)
            .and_then(|table| owned_vpc(catalog, caller, target.region, table.vpc)),
    };
    let vpc = vpc.ok_or_else(|| DomainError::RouteTableNotFound(target.route_table.to_string()))?;
    Ok((vpc, route_table_of(catalog, vpc, target.route_table)?))
}

impl Core {
    pub(super) fn route_table_create(
        &self,
        draft: &mut Draft<'_>,
        caller: Uin,
        ask: &RouteTableCreate,
    ) -> Result<Outcome, UseCaseError> {
        let catalog = draft.catalog();
        let name = table_name(&ask.name)?;
        let vpc = vpc_of(catalog, caller, ask.region, ask.vpc)?;
        let limit = catalog.quotas_of(caller).route_tables_per_vpc;
        if catalog.route_tables_of(vpc.id).count() >= limit as usize {
            return Err(DomainError::RouteTableLimit { limit }.into());
        }
        draft.read(&Key::Account(caller));
        let routes = routes_of(draft, caller, vpc, Vec::new(), &ask.routes)?;
        let table = RouteTable {
            id: number::route_table_id(catalog),
            legacy_id: self.numbers.legacy_route_table(catalog, vpc.region())?,
            vpc: vpc.id,
            name,
            kind: RouteTableKind::Ordinary,
            routes,
            tags: checked(&ask.tags)?,
            created_at: self.now(),
        };
        draft.next_epoch(vpc.id);
        draft.put(LegacyIndex::RouteTable(table.legacy_id, table.id));
        draft.put(table.clone());
        Ok(Outcome::RouteTableCreated {
            route_table: table,
            routes: ask.routes.clone(),
        })
    }
}

/// Removes a route table that no subnet uses and that is not the VPC's default one.
pub(super) fn delete(
    draft: &mut Draft<'_>,
    caller: Uin,
    ask: RouteTableTarget,
) -> Result<Outcome, UseCaseError> {
    let catalog = draft.catalog();
    let (vpc, table) = route_table_target(catalog, caller, ask)?;
    let route_table = ask.route_table.to_string();
    if table.kind == RouteTableKind::Default {
        return Err(DomainError::RouteTableIsDefault(route_table).into());
    }
    let user = catalog
        .subnets_of(vpc.id)
        .find(|(subnet, _)| subnet.route_table == table.id);
    if let Some((subnet, _)) = user {
        return Err(DomainError::RouteTableInUse {
            route_table,
            subnet: subnet.id.to_string(),
        }
        .into());
    }
    let mut floor = catalog.number_floor(vpc.region());
    floor.route_table = floor.route_table.max(table.legacy_id.number);
    put_floor(draft, floor);
    draft.next_epoch(vpc.id);
    draft.delete(&Key::Legacy(LegacyId::RouteTable(table.legacy_id)));
    draft.delete(&Key::RouteTable(table.id));
    Ok(Outcome::Done)
}

/// Renames a route table, replaces all its routes, or both.
pub(super) fn modify(
    draft: &mut Draft<'_>,
    caller: Uin,
    ask: &RouteTableModify,
) -> Result<Outcome, UseCaseError> {
    let catalog = draft.catalog();
    let name = ask.name.as_deref().map(table_name).transpose()?;
    let (vpc, found) = route_table_target(catalog, caller, ask.target)?;
    let mut table = found.clone();
    if let Some(name) = name {
        table.name = name;
    }
    if let Some(specs) = &ask.routes {
        draft.read(&Key::Account(caller));
        table.routes = routes_of(draft, caller, vpc, Vec::new(), specs)?;
    }
    if table != *found {
        draft.next_epoch(vpc.id);
        draft.put(table);
    }
    Ok(Outcome::Done)
}

/// Makes subnets of a VPC use one of its tables; all or none.
pub(super) fn associate(
    draft: &mut Draft<'_>,
    caller: Uin,
    ask: &RouteTableAssociate,
) -> Result<Outcome, UseCaseError> {
    let catalog = draft.catalog();
    let (vpc, table) = route_table_target(catalog, caller, ask.target)?;
    let mut moved = BTreeSet::new();
    for named in &ask.subnets {
        let subnet = subnet_of(catalog, vpc, *named).map_err(|error| {
            of_another_vpc(catalog, caller, &ask.target, *named).unwrap_or(error)
        })?;
        if subnet.route_table != table.id && moved.insert(subnet.id) {
            draft.put(Subnet {
                route_table: table.id,
                ..subnet.clone()
            });
        }
    }
    if !moved.is_empty() {
        draft.next_epoch(vpc.id);
    }
    Ok(Outcome::Done)
}

/// What a caller that named no VPC is told of a subnet of its own that is in another one.
fn of_another_vpc(
    catalog: &Catalog,
    caller: Uin,
    target: &RouteTableTarget,
    named: SubnetRef,
) -> Option<DomainError> {
    let subnet = catalog
        .subnet_by_ref(named)
        .filter(|_| target.vpc.is_none())?;
    owned_vpc(catalog, caller, target.region, subnet.vpc)?;
    Some(DomainError::OtherVpc {
        subnet: named.to_string(),
        route_table: target.route_table.to_string(),
    })
}

fn table_name(text: &str) -> Result<Name, DomainError> {
    Name::new(text).map_err(|error| DomainError::RouteTableName(error.to_string()))
}
