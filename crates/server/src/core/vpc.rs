//! VPCs.
//!
//! A VPC goes only when nobody relies on it: peerings that have ended go with it, and so do the
//! requests that others made to it, which occupy nothing here. Deleting takes the VPC's own record
//! away, which every decision about the VPC is guarded by.

use model::command::{Reply, VpcCreate, VpcModify, VpcTarget};
use model::peering::Actor;
use model::vpc::is_vpc_cidr;
use model::{
    DomainError, LegacyVpcId, Name, Outcome, PeeringConnection, PeeringState, Region, RouteTable,
    RouteTableKind, Side, Tags, Uin, UnixMillis, Vpc, VpcId, VpcRef, World,
};
use store::record::{Key, LegacyId, LegacyIndex, NumberFloor, Tally};

use super::commit::Draft;
use super::tag::checked;
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

/// Renames a VPC.
pub(super) fn modify(
    draft: &mut Draft<'_>,
    caller: Uin,
    ask: &VpcModify,
) -> Result<Outcome, UseCaseError> {
    let name = ask.name.as_deref().map(vpc_name).transpose()?;
    let vpc = vpc_of(draft.catalog(), caller, ask.target.region, ask.target.vpc)?;
    if let Some(name) = name.filter(|name| *name != vpc.name) {
        draft.put(Vpc {
            name,
            ..vpc.clone()
        });
    }
    Ok(Outcome::Done)
}

/// A VPC by its id, if it is an account's in a region.
pub(super) fn owned_vpc(catalog: &Catalog, owner: Uin, region: Region, vpc: VpcId) -> Option<&Vpc> {
    catalog
        .vpc(vpc)
        .filter(|vpc| vpc.owner == owner && vpc.region() == region)
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
        let name = vpc_name(&ask.name)?;
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
        draft.read(&Key::Account(owner));
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
            assistant_cidrs: Vec::new(),
            tags: checked(&ask.tags)?,
            created_at: now,
            epoch: 0,
        };
        let table = self.default_table(catalog, &vpc, now)?;
        let subnets = self.add_subnets(draft, &vpc, &table, &ask.subnets, &Tags::default())?;
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
            tags: Tags::default(),
            created_at: now,
        })
    }

    /// Removes a VPC with its subnets and route tables, and deletes the peerings of it that have
    /// ended and the requests of others to it; those others see them as deleted.
    pub(super) fn vpc_delete(
        &self,
        draft: &mut Draft<'_>,
        caller: Uin,
        ask: VpcTarget,
    ) -> Result<Outcome, UseCaseError> {
        let catalog = draft.catalog();
        let vpc = vpc_of(catalog, caller, ask.region, ask.vpc)?;
        if let Some(reason) = self.blocker(catalog, vpc) {
            let vpc = ask.vpc.to_string();
            return Err(DomainError::VpcInUse { vpc, reason }.into());
        }
        let seen = catalog.peerings_of(vpc.id);
        let seen: Vec<&PeeringConnection> = seen
            .filter(|peering| peering.is_visible_to(caller))
            .collect();
        for peering in seen {
            self.end_peering(draft, peering, Actor::Account(caller), Reply::Peering)?;
        }
        let mut floor = catalog.number_floor(vpc.region());
        for (subnet, _) in catalog.subnets_of(vpc.id) {
            floor.subnet = floor.subnet.max(subnet.legacy_id.number);
            draft.delete(&Key::Subnet(subnet.id));
            draft.delete(&Key::Legacy(LegacyId::Subnet(subnet.legacy_id)));
        }
        for table in catalog.route_tables_of(vpc.id) {
            floor.route_table = floor.route_table.max(table.legacy_id.number);
            draft.delete(&Key::RouteTable(table.id));
            draft.delete(&Key::Legacy(LegacyId::RouteTable(table.legacy_id)));
        }
        floor.vpc = floor.vpc.max(vpc.legacy_id.number);
        put_floor(draft, floor);
        let count = catalog.vpcs_of(caller, vpc.region()).count();
        draft.put(Tally {
            owner: caller,
            region: vpc.region(),
            vpcs: u32::try_from(count - 1).unwrap_or(u32::MAX),
        });
        draft.delete(&Key::Legacy(LegacyId::Vpc(vpc.legacy_id)));
        draft.delete(&Key::Vpc(vpc.id));
        Ok(Outcome::Done)
    }

    /// What has to go before the VPC can go.
    fn blocker(&self, catalog: &Catalog, vpc: &Vpc) -> Option<String> {
        let blocks = |peering: &&PeeringConnection| match peering.state {
            PeeringState::Active { .. } | PeeringState::Isolated { .. } => true,
            PeeringState::Pending { .. } => is_own_request(peering, vpc),
            PeeringState::Expired { .. }
            | PeeringState::Rejected { .. }
            | PeeringState::Deleted { .. }
            | PeeringState::Failed { .. } => false,
        };
        if let Some(peering) = catalog.peerings_of(vpc.id).find(blocks) {
            let (id, state) = (peering.id, peering.state.name());
            return Some(format!(
                "its peering connection {id} is {state}; delete it first"
            ));
        }
        let hosts = self.hosts.of_vpc(catalog, vpc.id);
        (hosts > 0)
            .then(|| format!("hosts are attached to its subnets ({hosts}); detach them first"))
    }
}

fn is_own_request(peering: &PeeringConnection, vpc: &Vpc) -> bool {
    peering.is_owned_by(vpc.owner, Side::Requester)
}

/// Keeps the legacy numbers of deleted resources from being given out again.
pub(super) fn put_floor(draft: &mut Draft<'_>, floor: NumberFloor) {
    if floor != draft.catalog().number_floor(floor.region) {
        draft.put(floor);
    }
}

fn vpc_name(text: &str) -> Result<Name, DomainError> {
    Name::new(text).map_err(|error| DomainError::VpcName(error.to_string()))
}
