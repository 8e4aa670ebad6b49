//! Subnets.

use model::command::{SubnetCreate, SubnetModify, SubnetSpec, SubnetTarget};
use model::outcome::SubnetView;
use model::vpc::is_subnet_cidr;
use model::{
    CidrBlock, DomainError, Name, Outcome, RouteTable, Subnet, SubnetRef, Tags, Uin, Vpc, World,
};
use store::record::{Key, LegacyId, LegacyIndex};

use super::commit::Draft;
use super::tag::checked;
use super::vpc::{owned_vpc, put_floor, vpc_of};
use super::{Core, number};
use crate::catalog::Catalog;
use crate::error::UseCaseError;

/// A subnet of a VPC, by either of its ids.
pub(super) fn subnet_of<'a>(
    catalog: &'a Catalog,
    vpc: &Vpc,
    subnet: SubnetRef,
) -> Result<&'a Subnet, DomainError> {
    catalog
        .subnet_by_ref(subnet)
        .filter(|found| found.vpc == vpc.id)
        .ok_or_else(|| DomainError::SubnetNotFound(subnet.to_string()))
}

/// A subnet with its VPC, which has to be the one that is named, if one is.
pub(super) fn subnet_target(
    catalog: &Catalog,
    caller: Uin,
    target: SubnetTarget,
) -> Result<(&Vpc, &Subnet), DomainError> {
    let vpc = match target.vpc {
        Some(vpc) => Some(vpc_of(catalog, caller, target.region, vpc)?),
        None => catalog
            .subnet_by_ref(target.subnet)
            .and_then(|subnet| owned_vpc(catalog, caller, target.region, subnet.vpc)),
    };
    let vpc = vpc.ok_or_else(|| DomainError::SubnetNotFound(target.subnet.to_string()))?;
    Ok((vpc, subnet_of(catalog, vpc, target.subnet)?))
}

/// Renames a subnet. Names are unique in a VPC from the first renaming on: the vendor's page of the
/// creation has no such rule.
pub(super) fn modify(
    draft: &mut Draft<'_>,
    caller: Uin,
    ask: &SubnetModify,
) -> Result<Outcome, UseCaseError> {
    let catalog = draft.catalog();
    let name = ask.name.as_deref().map(subnet_name).transpose()?;
    let (vpc, subnet) = subnet_target(catalog, caller, ask.target)?;
    let Some(name) = name else {
        return Ok(Outcome::Done);
    };
    let is_taken = catalog
        .subnets_of(vpc.id)
        .any(|(other, _)| other.id != subnet.id && other.name == name);
    if is_taken {
        return Err(DomainError::SubnetNameTaken(name.to_string()).into());
    }
    if name != subnet.name {
        draft.next_epoch(vpc.id);
        draft.put(Subnet {
            name,
            ..subnet.clone()
        });
    }
    Ok(Outcome::Done)
}

impl Core {
    pub(super) fn subnet_create(
        &self,
        draft: &mut Draft<'_>,
        caller: Uin,
        ask: &SubnetCreate,
    ) -> Result<Outcome, UseCaseError> {
        let catalog = draft.catalog();
        let vpc = vpc_of(catalog, caller, ask.region, ask.vpc)?;
        let table = catalog
            .default_route_table(vpc.id)
            .ok_or_else(|| UseCaseError::Internal(format!("{} has no default table", vpc.id)))?;
        let vpc = vpc.next_epoch();
        let tags = checked(&ask.tags)?;
        let subnets = self.add_subnets(draft, &vpc, table, &ask.subnets, &tags)?;
        draft.read(&Key::Account(caller));
        draft.put(vpc);
        Ok(Outcome::SubnetsCreated(subnets))
    }

    /// Removes a subnet, unless hosts are attached to it.
    pub(super) fn subnet_delete(
        &self,
        draft: &mut Draft<'_>,
        caller: Uin,
        ask: SubnetTarget,
    ) -> Result<Outcome, UseCaseError> {
        let catalog = draft.catalog();
        let (vpc, subnet) = subnet_target(catalog, caller, ask)?;
        let hosts = self.hosts.of(subnet.id);
        if hosts > 0 {
            let subnet = ask.subnet.to_string();
            return Err(DomainError::SubnetInUse { subnet, hosts }.into());
        }
        let mut floor = catalog.number_floor(vpc.region());
        floor.subnet = floor.subnet.max(subnet.legacy_id.number);
        put_floor(draft, floor);
        draft.next_epoch(vpc.id);
        draft.delete(&Key::Legacy(LegacyId::Subnet(subnet.legacy_id)));
        draft.delete(&Key::Subnet(subnet.id));
        Ok(Outcome::Done)
    }

    pub(super) fn add_subnets(
        &self,
        draft: &mut Draft<'_>,
        vpc: &Vpc,
        table: &RouteTable,
        specs: &[SubnetSpec],
        tags: &Tags,
    ) -> Result<Vec<SubnetView>, UseCaseError> {
        let catalog = draft.catalog();
        let mut taken: Vec<CidrBlock> = catalog
            .subnets_of(vpc.id)
            .map(|(subnet, _)| subnet.cidr)
            .collect();
        let names = check_subnets(vpc, specs, &mut taken)?;
        let limit = catalog.quotas_of(vpc.owner).subnets_per_vpc;
        if taken.len() > limit as usize {
            return Err(DomainError::SubnetLimit { limit }.into());
        }
        let now = self.now();
        let mut views = Vec::new();
        for (name, spec) in names.into_iter().zip(specs) {
            let subnet = Subnet {
                id: number::subnet_id(catalog),
                legacy_id: self.numbers.legacy_subnet(catalog, vpc.region())?,
                vpc: vpc.id,
                name,
                cidr: spec.cidr,
                zone: spec.zone,
                route_table: table.id,
                tags: tags.clone(),
                created_at: now,
            };
            draft.put(LegacyIndex::Subnet(subnet.legacy_id, subnet.id));
            draft.put(subnet.clone());
            views.push(SubnetView {
                subnet,
                vpc: vpc.clone(),
                route_table: table.clone(),
                hosts: 0,
            });
        }
        Ok(views)
    }
}

/// Checks new subnets against the VPC, each other and the blocks in use, which they join.
fn check_subnets(
    vpc: &Vpc,
    specs: &[SubnetSpec],
    taken: &mut Vec<CidrBlock>,
) -> Result<Vec<Name>, DomainError> {
    specs
        .iter()
        .map(|spec| {
            let name = subnet_name(&spec.name)?;
            if !is_subnet_cidr(spec.cidr, vpc) {
                let blocks: Vec<String> = vpc.blocks().map(|block| block.to_string()).collect();
                return Err(DomainError::SubnetCidr(format!(
                    "{} is not inside {} with a mask from /16 to /28",
                    spec.cidr,
                    blocks.join(" or ")
                )));
            }
            if !spec.zone.is_well_formed() {
                return Err(DomainError::ZoneNotFound(spec.zone.0.to_string()));
            }
            if let Some(other) = taken.iter().find(|other| other.overlaps(spec.cidr)) {
                return Err(DomainError::SubnetConflict {
                    cidr: spec.cidr.to_string(),
                    other: other.to_string(),
                });
            }
            taken.push(spec.cidr);
            Ok(name)
        })
        .collect()
}

fn subnet_name(text: &str) -> Result<Name, DomainError> {
    Name::new(text).map_err(|error| DomainError::SubnetName(error.to_string()))
}
