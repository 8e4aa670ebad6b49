//! Gives out numbers and ids. What it gives is only a candidate: the decision that uses it commits
//! with the guard that nobody else has it.
//!
//! Numbers grow and leave gaps where an attempt failed. They are remembered in the process, so that
//! writers of one server do not compete for the same one.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use model::{
    LegacyRouteTableId, LegacySubnetId, LegacyVpcId, PeeringConnectionId, Region, RouteItemId,
    RouteTableId, SubnetId, TaskId, Vni, VpcId, World,
};

use crate::catalog::{Catalog, LegacyNumbers};
use crate::error::UseCaseError;

/// The next candidates.
pub(super) struct Numbers(Mutex<Cursors>);

struct Cursors {
    task: u64,
    vni: u32,
    legacy: BTreeMap<Region, LegacyNumbers>,
}

impl Numbers {
    /// Starts behind everything that is in use.
    pub(super) fn after(catalog: &Catalog) -> Numbers {
        let last_vni = catalog.vnis().next_back();
        Numbers(Mutex::new(Cursors {
            task: 1,
            vni: last_vni.map_or(Vni::FIRST.get(), |vni| vni.get() + 1),
            legacy: BTreeMap::new(),
        }))
    }

    /// A task id above all that were given out.
    pub(super) fn task(&self, catalog: &Catalog) -> TaskId {
        let mut cursors = self.cursors();
        let last = catalog.last_task().map_or(0, |task| task.0);
        let next = cursors.task.max(last + 1);
        cursors.task = next + 1;
        TaskId(next)
    }

    /// A VNI that is not reserved: the next one after the last, from the first again at the end.
    pub(super) fn vni(&self, catalog: &Catalog) -> Result<Vni, UseCaseError> {
        let mut cursors = self.cursors();
        for _ in Vni::FIRST.get()..=Vni::MAX.get() {
            let vni = Vni::try_from(cursors.vni)
                .ok()
                .filter(|vni| *vni >= Vni::FIRST)
                .unwrap_or(Vni::FIRST);
            cursors.vni = vni.get() + 1;
            if catalog.vni(vni).is_none() {
                return Ok(vni);
            }
        }
        Err(UseCaseError::Internal("every VNI is reserved".to_owned()))
    }

    /// The next legacy id of a VPC in a region.
    pub(super) fn legacy_vpc(
        &self,
        catalog: &Catalog,
        region: Region,
    ) -> Result<LegacyVpcId, UseCaseError> {
        let number = self.legacy(catalog, region, |numbers| &mut numbers.vpc)?;
        Ok(LegacyVpcId { region, number })
    }

    /// The next legacy id of a subnet in a region.
    pub(super) fn legacy_subnet(
        &self,
        catalog: &Catalog,
        region: Region,
    ) -> Result<LegacySubnetId, UseCaseError> {
        let number = self.legacy(catalog, region, |numbers| &mut numbers.subnet)?;
        Ok(LegacySubnetId { region, number })
    }

    /// The next legacy id of a route table in a region.
    pub(super) fn legacy_route_table(
        &self,
        catalog: &Catalog,
        region: Region,
    ) -> Result<LegacyRouteTableId, UseCaseError> {
        let number = self.legacy(catalog, region, |numbers| &mut numbers.route_table)?;
        Ok(LegacyRouteTableId { region, number })
    }

    fn legacy(
        &self,
        catalog: &Catalog,
        region: Region,
        select: impl Fn(&mut LegacyNumbers) -> &mut u32,
    ) -> Result<u32, UseCaseError> {
        let mut cursors = self.cursors();
        let mut recorded = catalog.last_numbers(region);
        let given = cursors.legacy.entry(region).or_insert(recorded);
        let last = (*select(given)).max(*select(&mut recorded));
        let next = last.checked_add(1).ok_or_else(|| {
            UseCaseError::Internal(format!("region {region} has no legacy number left"))
        })?;
        *select(given) = next;
        Ok(next)
    }

    fn cursors(&self) -> std::sync::MutexGuard<'_, Cursors> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Draws an id that the catalog does not have.
fn draw<T: Copy>(from_entropy: fn(u64) -> T, is_taken: impl Fn(T) -> bool) -> T {
    loop {
        let id = from_entropy(rand::random());
        if !is_taken(id) {
            return id;
        }
    }
}

/// A new VPC's id.
pub(super) fn vpc_id(catalog: &Catalog) -> VpcId {
    draw(VpcId::from_entropy, |id| catalog.vpc(id).is_some())
}

/// A new subnet's id.
pub(super) fn subnet_id(catalog: &Catalog) -> SubnetId {
    draw(SubnetId::from_entropy, |id| catalog.subnet(id).is_some())
}

/// A new route table's id.
pub(super) fn route_table_id(catalog: &Catalog) -> RouteTableId {
    draw(RouteTableId::from_entropy, |id| {
        catalog.route_table(id).is_some()
    })
}

/// A new route's id in a table that has these; its number is none of theirs either.
pub(super) fn route_id(taken: &[RouteItemId]) -> RouteItemId {
    draw(RouteItemId::from_entropy, |id| {
        taken.iter().any(|other| other.number() == id.number())
    })
}

/// A new peering's id; one whose tombstone stands is not given again.
pub(super) fn peering_id(catalog: &Catalog) -> PeeringConnectionId {
    draw(PeeringConnectionId::from_entropy, |id| {
        catalog.peering(id).is_some() || catalog.tombstone(id).is_some()
    })
}
