//! Puts records into the maps and keeps the indexes in step with them.

use std::collections::BTreeSet;
use std::hash::Hash;
use std::sync::Arc;

use model::{PeeringConnection, PeeringState, Region, Side, Task, TaskState, Uin, UnixMillis};
use store::record::{Key, LegacyId, LegacyIndex, Record};

use super::{Catalog, Map, OrderedSet, Peerings};

impl Catalog {
    /// Adds a record whose key is absent.
    pub(super) fn insert(&mut self, record: Record) {
        match record {
            Record::Account(account) => self.accounts.insert_mut(account.uin, account),
            Record::AccessKey(key) => self.keys.insert_mut(key.secret_id.clone(), key),
            Record::SubAccount(sub_account) => {
                self.sub_accounts.insert_mut(sub_account.uin, sub_account);
            }
            Record::Vpc(vpc) => {
                add(&mut self.region_vpcs, vpc.region(), vpc.id);
                add(&mut self.account_vpcs, (vpc.owner, vpc.region()), vpc.id);
                self.vpcs.insert_mut(vpc.id, vpc);
            }
            Record::Subnet(subnet) => {
                add(&mut self.vpc_subnets, subnet.vpc, subnet.id);
                self.subnets.insert_mut(subnet.id, subnet);
            }
            Record::RouteTable(table) => {
                add(&mut self.vpc_route_tables, table.vpc, table.id);
                self.route_tables.insert_mut(table.id, table);
            }
            Record::Peering(peering) => self.insert_peering(peering),
            Record::Task(task) => self.insert_task(task),
            Record::Gateway(gateway) => {
                self.region_gateways.insert_mut(gateway.region, gateway.id);
                self.identities.insert_mut(gateway.identity, gateway.id);
                self.gateways.insert_mut(gateway.id, gateway);
            }
            Record::JoinToken(token) => self.join_tokens.insert_mut(token.secret_hash, token),
            Record::Tombstone(tombstone) => {
                self.tombstones.insert_mut(tombstone.peering, tombstone);
            }
            Record::Vni(reservation) => self.vnis.insert_mut(reservation.vni, reservation),
            Record::Legacy(LegacyIndex::Vpc(legacy, id)) => self.legacy_vpcs.insert_mut(legacy, id),
            Record::Legacy(LegacyIndex::Subnet(legacy, id)) => {
                self.legacy_subnets.insert_mut(legacy, id);
            }
            Record::Legacy(LegacyIndex::RouteTable(legacy, id)) => {
                self.legacy_route_tables.insert_mut(legacy, id);
            }
            Record::NumberFloor(floor) => self.number_floors.insert_mut(floor.region, floor),
            // What a tally counts is counted from the records; its revision is what matters.
            Record::Tally(_) => {}
        }
    }

    /// Removes a record, if it is there.
    pub(super) fn delete(&mut self, key: &Key) {
        if !self.revisions.remove_mut(key) {
            return;
        }
        match key {
            Key::Account(uin) => drop(self.accounts.remove_mut(uin)),
            Key::AccessKey(secret_id) => drop(self.keys.remove_mut(secret_id)),
            Key::SubAccount(uin) => drop(self.sub_accounts.remove_mut(uin)),
            Key::Vpc(id) => {
                if let Some(vpc) = self.vpcs.get(id) {
                    remove(&mut self.region_vpcs, &vpc.region(), id);
                    remove(&mut self.account_vpcs, &(vpc.owner, vpc.region()), id);
                }
                self.vpcs.remove_mut(id);
            }
            Key::Subnet(id) => {
                if let Some(subnet) = self.subnets.get(id) {
                    remove(&mut self.vpc_subnets, &subnet.vpc, id);
                }
                self.subnets.remove_mut(id);
            }
            Key::RouteTable(id) => {
                if let Some(table) = self.route_tables.get(id) {
                    remove(&mut self.vpc_route_tables, &table.vpc, id);
                }
                self.route_tables.remove_mut(id);
            }
            Key::Peering(id) => {
                if let Some(peering) = self.peerings.get(id).cloned() {
                    self.remove_peering(&peering);
                }
            }
            Key::Task(id) => {
                if let Some(task) = self.tasks.get(id).cloned() {
                    self.remove_task(&task);
                }
            }
            Key::Gateway(id) => {
                if let Some(gateway) = self.gateways.get(id) {
                    self.region_gateways.remove_mut(&gateway.region);
                    self.identities.remove_mut(&gateway.identity);
                }
                self.gateways.remove_mut(id);
            }
            Key::Join(hash) => drop(self.join_tokens.remove_mut(hash)),
            Key::Tombstone(id) => drop(self.tombstones.remove_mut(id)),
            Key::Vni(vni) => drop(self.vnis.remove_mut(vni)),
            Key::Legacy(LegacyId::Vpc(id)) => drop(self.legacy_vpcs.remove_mut(id)),
            Key::Legacy(LegacyId::Subnet(id)) => drop(self.legacy_subnets.remove_mut(id)),
            Key::Legacy(LegacyId::RouteTable(id)) => drop(self.legacy_route_tables.remove_mut(id)),
            Key::NumberFloor(region) => drop(self.number_floors.remove_mut(region)),
            Key::Tally { .. } => {}
        }
    }

    fn insert_peering(&mut self, peering: PeeringConnection) {
        let peering = Arc::new(peering);
        for side in [Side::Requester, Side::Accepter] {
            let vpc = peering.end(side).vpc;
            list(&mut self.vpc_peerings, vpc, peering.id, &peering);
            if peering.is_open() {
                add(&mut self.vpc_open_peerings, vpc, peering.id);
            }
        }
        let place = (peering.created_at, peering.id);
        for viewer in viewers(&peering) {
            list(&mut self.visible_peerings, viewer, place, &peering);
        }
        if let PeeringState::Pending { expires_at } = peering.state {
            self.deadlines.insert_mut((expires_at, peering.id));
        }
        self.peerings.insert_mut(peering.id, peering);
    }

    fn remove_peering(&mut self, peering: &PeeringConnection) {
        for side in [Side::Requester, Side::Accepter] {
            let vpc = peering.end(side).vpc;
            unlist(&mut self.vpc_peerings, &vpc, &peering.id);
            if peering.is_open() {
                remove(&mut self.vpc_open_peerings, &vpc, &peering.id);
            }
        }
        let place = (peering.created_at, peering.id);
        for viewer in viewers(peering) {
            unlist(&mut self.visible_peerings, &viewer, &place);
        }
        if let PeeringState::Pending { expires_at } = peering.state {
            self.deadlines.remove_mut(&(expires_at, peering.id));
        }
        self.peerings.remove_mut(&peering.id);
    }

    fn insert_task(&mut self, task: Task) {
        match ended_at(&task) {
            None => self.running_tasks.insert_mut(task.id),
            Some(at) => self.ended_tasks.insert_mut((at, task.id)),
        }
        self.tasks.insert_mut(task.id, task);
    }

    fn remove_task(&mut self, task: &Task) {
        match ended_at(task) {
            None => self.running_tasks.remove_mut(&task.id),
            Some(at) => self.ended_tasks.remove_mut(&(at, task.id)),
        };
        self.tasks.remove_mut(&task.id);
    }
}

fn ended_at(task: &Task) -> Option<UnixMillis> {
    match task.state {
        TaskState::Running => None,
        TaskState::Succeeded { at } | TaskState::Failed { at, .. } => Some(at),
    }
}

/// Who sees the peering, and from which regions.
fn viewers(peering: &PeeringConnection) -> BTreeSet<(Uin, Region)> {
    [Side::Requester, Side::Accepter]
        .map(|side| peering.end(side))
        .into_iter()
        .map(|end| (end.owner, end.region()))
        .filter(|(owner, region)| peering.is_visible_in(*owner, *region))
        .collect()
}

fn add<K: Hash + Eq + Clone, T: Ord + Clone>(index: &mut Map<K, OrderedSet<T>>, key: K, member: T) {
    match index.get_mut(&key) {
        Some(members) => members.insert_mut(member),
        None => {
            let mut members = OrderedSet::new_sync();
            members.insert_mut(member);
            index.insert_mut(key, members);
        }
    }
}

fn remove<K: Hash + Eq + Clone, T: Ord + Clone>(
    index: &mut Map<K, OrderedSet<T>>,
    key: &K,
    member: &T,
) {
    let Some(members) = index.get_mut(key) else {
        return;
    };
    members.remove_mut(member);
    // An index without empty sets is the same however it came about.
    if members.is_empty() {
        index.remove_mut(key);
    }
}

fn list<K: Hash + Eq + Clone, P: Ord>(
    index: &mut Map<K, Peerings<P>>,
    key: K,
    place: P,
    peering: &Arc<PeeringConnection>,
) {
    let peering = Arc::clone(peering);
    match index.get_mut(&key) {
        Some(peerings) => peerings.insert_mut(place, peering),
        None => {
            let mut peerings = Peerings::new_sync();
            peerings.insert_mut(place, peering);
            index.insert_mut(key, peerings);
        }
    }
}

fn unlist<K: Hash + Eq + Clone, P: Ord>(index: &mut Map<K, Peerings<P>>, key: &K, place: &P) {
    let Some(peerings) = index.get_mut(key) else {
        return;
    };
    peerings.remove_mut(place);
    if peerings.is_empty() {
        index.remove_mut(key);
    }
}
