//! VPCs and their subnets.

use model::command::{SubnetCreate, SubnetSpec, VpcCreate};
use model::outcome::SubnetView;
use model::vpc::{is_subnet_cidr, is_vpc_cidr};
use model::{
    CidrBlock, DomainError, LegacyVpcId, Name, Outcome, Region, RouteTable, RouteTableKind, Subnet,
    Uin, UnixMillis, Vpc, VpcRef, World,
};
use store::record::{Key, LegacyId, LegacyIndex, Tally};

use super::commit::Draft;
use super::{Core, number};
use crate::catalog::Catalog;
use crate::error::{OperatorError, UseCaseError};

/// The name of the route table that comes with a VPC.
const DEFAULT_TABLE_NAME: &str = "default";

/// A VPC of an account in a region. The unknown, the foreign and those of other regions are alike.
pub(super) fn vpc_of(
    catalog: &Catalog,
    owner: Uin,
    region: Region,
    vpc: VpcRef,
) -> Result<&Vpc, DomainError> {
    catalog
        .vpc_by_ref(region, vpc)
        .filter(|found| found.owner == owner)
        .ok_or_else(|| DomainError::VpcNotFound {
            vpc: vpc.to_string(),
            region: region.to_string(),
        })
}

impl Core {
    /// Makes a VPC whose legacy id has a given number, as seeds do. Quotas apply.
    ///
    /// # Errors
    /// [`OperatorError::NumberTaken`], [`OperatorError::AccountNotFound`] and what a command would
    /// answer.
    pub async fn vpc_create_with_number(
        &self,
        owner: Uin,
        ask: VpcCreate,
        number: u32,
    ) -> Result<Vpc, UseCaseError> {
        let outcome = self
            .decide(|draft| {
                if draft.catalog().account(owner).is_none() {
                    return Err(OperatorError::AccountNotFound(owner).into());
                }
                self.vpc_create(draft, owner, &ask, Some(number))
            })
            .await?;
        match outcome {
            Outcome::VpcCreated { vpc, .. } => Ok(vpc),
            other => Err(UseCaseError::Internal(format!(
                "creating a VPC answered {other:?}"
            ))),
        }
    }

    pub(super) fn vpc_create(
        &self,
        draft: &mut Draft<'_>,
        owner: Uin,
        ask: &VpcCreate,
        number: Option<u32>,
    ) -> Result<Outcome, UseCaseError> {
        let catalog = draft.catalog();
        let region = ask.region;
        let name = Name::new(&ask.name).map_err(|error| DomainError::VpcName(error.to_string()))?;
        if !is_vpc_cidr(ask.cidr) {
            let reason = format!(
                "{} is not inside 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16 with a mask from \
                 /12 to /28",
                ask.cidr
            );
            return Err(DomainError::VpcCidr(reason).into());
        }
        let count = catalog.vpcs_of(owner, region).count() as u64;
        let limit = catalog.quotas_of(owner).vpcs_per_region;
        if count >= u64::from(limit) {
            return Err(DomainError::VpcLimit { limit }.into());
        }
        let legacy_id = match number {
            None => self.numbers.legacy_vpc(catalog, region)?,
            Some(number) => LegacyVpcId { region, number },
        };
        if catalog
            .revision_of(&Key::Legacy(LegacyId::Vpc(legacy_id)))
            .is_some()
        {
            return Err(OperatorError::NumberTaken(legacy_id).into());
        }
        let now = self.now();
        let vpc = Vpc {
            id: number::vpc_id(catalog),
            legacy_id,
            owner,
            name,
            cidr: ask.cidr,
            created_at: now,
            epoch: 0,
        };
        let table = self.default_table(catalog, &vpc, now)?;
        let subnets = self.add_subnets(draft, &vpc, &table, &ask.subnets)?;
        draft.put(Tally {
            owner,
            region,
            vpcs: u32::try_from(count + 1).unwrap_or(u32::MAX),
        });
        draft.put(LegacyIndex::Vpc(legacy_id, vpc.id));
        draft.put(vpc.clone());
        draft.put(LegacyIndex::RouteTable(table.legacy_id, table.id));
        draft.put(table.clone());
        Ok(Outcome::VpcCreated {
            vpc,
            subnets,
            route_table: table,
        })
    }

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
        let subnets = self.add_subnets(draft, &vpc, table, &ask.subnets)?;
        draft.put(vpc);
        Ok(Outcome::SubnetsCreated(subnets))
    }

    fn default_table(
        &self,
        catalog: &Catalog,
        vpc: &Vpc,
        now: UnixMillis,
    ) -> Result<RouteTable, UseCaseError> {
        Ok(RouteTable {
            id: number::route_table_id(catalog),
            legacy_id: self.numbers.legacy_route_table(catalog, vpc.region())?,
            vpc: vpc.id,
            name: Name::new(DEFAULT_TABLE_NAME).expect("the constant is a name"),
            kind: RouteTableKind::Default,
            routes: Vec::new(),
            created_at: now,
        })
    }

    fn add_subnets(
        &self,
        draft: &mut Draft<'_>,
        vpc: &Vpc,
        table: &RouteTable,
        specs: &[SubnetSpec],
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
                created_at: now,
            };
            draft.put(LegacyIndex::Subnet(subnet.legacy_id, subnet.id));
            draft.put(subnet.clone());
            views.push(SubnetView {
                subnet,
                vpc: vpc.clone(),
                route_table: table.clone(),
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
            let name = Name::new(&spec.name)
                .map_err(|error| DomainError::SubnetName(error.to_string()))?;
            if !is_subnet_cidr(spec.cidr, vpc.cidr) {
                return Err(DomainError::SubnetCidr(format!(
                    "{} is not inside {} with a mask from /16 to /28",
                    spec.cidr, vpc.cidr
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
