//! What an ended peering leaves behind: its tombstone, and nothing in the route tables.

use model::{
    GatewayId, PeeringConnection, PeeringConnectionId, PeeringState, Side, Tombstone, Uin, VpcId,
    World,
};
use store::record::Key;

use super::Draft;
use crate::catalog::Catalog;
use crate::core::gateway::gateways_key;
use crate::core::task::Ending;
use crate::core::{Core, Dataplane};

impl Core {
    /// Leaves a tombstone for a peering that stops being carried, awaiting the gateways that may
    /// still carry it. If there are none, a VNI that is no longer needed is free at once.
    pub(in crate::core) fn bury(
        &self,
        draft: &mut Draft<'_>,
        peering: &PeeringConnection,
        owner: Uin,
        vni_use: VniUse,
    ) -> Ending {
        let awaiting = self.carriers(draft, peering);
        if awaiting.is_empty() {
            if draft.catalog().tombstone(peering.id).is_some() {
                draft.delete(&Key::Tombstone(peering.id));
            }
            if vni_use == VniUse::Over {
                draft.delete(&Key::Vni(peering.vni));
            }
            return Ending::AtOnce;
        }
        draft.put(Tombstone {
            peering: peering.id,
            owner,
            vni: peering.vni,
            awaiting,
            deleted_at: self.now(),
        });
        Ending::WithGateways
    }

    /// The gateways that may carry a peering: those of both regions while it is active, and those
    /// that have not confirmed that it was taken away before.
    fn carriers(&self, draft: &mut Draft<'_>, peering: &PeeringConnection) -> Vec<GatewayId> {
        if self.rules.dataplane == Dataplane::None {
            return Vec::new();
        }
        let catalog = draft.catalog();
        let mut carriers = catalog
            .tombstone(peering.id)
            .map_or_else(Vec::new, |tombstone| tombstone.awaiting.clone());
        if matches!(
            peering.state,
            PeeringState::Active { .. } | PeeringState::Isolated { .. }
        ) {
            for side in [Side::Requester, Side::Accepter] {
                let region = peering.end(side).region();
                draft.read(&gateways_key(region));
                carriers.extend(catalog.gateway_of(region).map(|gateway| gateway.id));
            }
        }
        carriers.sort_unstable();
        carriers.dedup();
        carriers
    }
}

/// Whether the VNI of a buried peering is needed further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::core) enum VniUse {
    /// The peering may be carried again.
    Continues,
    /// It will not be.
    Over,
}

/// Removes the routes to a peering from the tables of both VPCs, and moves the VPCs' epochs so that
/// no route is added beside it.
pub(in crate::core) fn withdraw_routes(draft: &mut Draft<'_>, peering: &PeeringConnection) {
    let catalog = draft.catalog();
    for vpc in [peering.requester.vpc, peering.accepter.vpc] {
        draft.next_epoch(vpc);
        for table in route_tables_without(catalog, vpc, peering.id) {
            draft.put(table);
        }
    }
}

fn route_tables_without(
    catalog: &Catalog,
    vpc: VpcId,
    peering: PeeringConnectionId,
) -> impl Iterator<Item = model::RouteTable> {
    catalog
        .route_tables_of(vpc)
        .filter_map(move |table| table.without_peering(peering))
}
