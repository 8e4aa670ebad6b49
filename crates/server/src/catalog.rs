//! The catalog: the whole state at one revision, in memory, with the indexes that reads need.
//!
//! It is built from a snapshot of the store and then moved by [`Catalog::apply`], change by change.
//! All maps are persistent: a clone shares its content, so every revision is a value of its own that
//! readers hold as long as they like. Nothing here decides anything; see [`crate::core`].

mod index;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use model::{
    AccessKey, Account, AppId, Gateway, GatewayId, JoinToken, LegacyRouteTableId, LegacySubnetId,
    LegacyVpcId, PeeringConnection, PeeringConnectionId, Quotas, Region, RouteTable, RouteTableId,
    RouteTableKind, RouteTableRef, SubAccount, Subnet, SubnetId, SubnetRef, Task, TaskId,
    Tombstone, Uin, UnixMillis, Vni, Vpc, VpcId, VpcRef, World,
};
use rpds::{HashTrieMapSync, RedBlackTreeMapSync, RedBlackTreeSetSync};
use store::record::{Key, NumberFloor, Record, RecordError, VniReservation, decode};
use store::{Change, Revision, Snapshot, Write};

type Map<K, V> = HashTrieMapSync<K, V>;
type OrderedMap<K, V> = RedBlackTreeMapSync<K, V>;
type OrderedSet<T> = RedBlackTreeSetSync<T>;
/// Peerings in an order. The values are shared with the other maps, so that a list is read without
/// looking each of its members up.
type Peerings<K> = OrderedMap<K, Arc<PeeringConnection>>;

/// The state at one revision. A clone is cheap and shares everything.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalog {
    revision: Revision,
    revisions: Map<Key, Revision>,

    accounts: OrderedMap<Uin, Account>,
    keys: Map<String, AccessKey>,
    sub_accounts: OrderedMap<Uin, SubAccount>,
    vpcs: Map<VpcId, Vpc>,
    subnets: Map<SubnetId, Subnet>,
    route_tables: Map<RouteTableId, RouteTable>,
    peerings: Peerings<PeeringConnectionId>,
    tasks: OrderedMap<TaskId, Task>,
    gateways: OrderedMap<GatewayId, Gateway>,
    join_tokens: OrderedMap<[u8; 32], JoinToken>,
    tombstones: OrderedMap<PeeringConnectionId, Tombstone>,
    vnis: OrderedMap<Vni, VniReservation>,
    legacy_vpcs: OrderedMap<LegacyVpcId, VpcId>,
    legacy_subnets: OrderedMap<LegacySubnetId, SubnetId>,
    legacy_route_tables: OrderedMap<LegacyRouteTableId, RouteTableId>,
    number_floors: OrderedMap<Region, NumberFloor>,

    region_vpcs: Map<Region, OrderedSet<VpcId>>,
    account_vpcs: Map<(Uin, Region), OrderedSet<VpcId>>,
    vpc_subnets: Map<VpcId, OrderedSet<SubnetId>>,
    vpc_route_tables: Map<VpcId, OrderedSet<RouteTableId>>,
    vpc_peerings: Map<VpcId, Peerings<PeeringConnectionId>>,
    vpc_open_peerings: Map<VpcId, OrderedSet<PeeringConnectionId>>,
    visible_peerings: Map<(Uin, Region), Peerings<(UnixMillis, PeeringConnectionId)>>,
    deadlines: OrderedSet<(UnixMillis, PeeringConnectionId)>,
    running_tasks: OrderedSet<TaskId>,
    ended_tasks: OrderedSet<(UnixMillis, TaskId)>,
    region_gateways: OrderedMap<Region, GatewayId>,
    identities: Map<[u8; 32], GatewayId>,
}

impl Catalog {
    /// Builds the catalog of a snapshot.
    ///
    /// # Errors
    /// [`RecordError`] when the store holds something that is no record of this version.
    pub fn from_snapshot(snapshot: &Snapshot) -> Result<Catalog, RecordError> {
        let mut catalog = Catalog::default();
        for (key, entry) in &snapshot.entries {
            catalog.put(decode(key, &entry.value)?, entry.revision);
        }
        catalog.revision = snapshot.revision;
        Ok(catalog)
    }

    /// Moves to the next revision.
    ///
    /// # Errors
    /// [`RecordError`] when a value is no record of this version. The catalog may then hold a part
    /// of the change and is to be thrown away.
    pub fn apply(&mut self, change: &Change) -> Result<(), RecordError> {
        for write in &change.writes {
            match write {
                Write::Put { key, value } => self.put(decode(key, value)?, change.revision),
                Write::Delete { key } => self.delete(&key.parse()?),
            }
        }
        self.revision = change.revision;
        Ok(())
    }

    /// The revision that this is.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The revision that last wrote a record: for guards, and for the generation that contains it.
    pub fn revision_of(&self, key: &Key) -> Option<Revision> {
        self.revisions.get(key).copied()
    }

    /// An account.
    pub fn account(&self, uin: Uin) -> Option<&Account> {
        self.accounts.get(&uin)
    }

    /// Every account, by number.
    pub fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.accounts.values()
    }

    /// The application number shown for an account; 0 for one that has no record.
    pub fn app_id(&self, uin: Uin) -> AppId {
        self.account(uin).map_or(AppId(0), |account| account.app_id)
    }

    /// An access key by its public half.
    pub fn key(&self, secret_id: &str) -> Option<&AccessKey> {
        self.keys.get(secret_id)
    }

    /// Every access key, in no order.
    pub fn keys(&self) -> impl Iterator<Item = &AccessKey> {
        self.keys.values()
    }

    /// A sub-account.
    pub fn sub_account(&self, uin: Uin) -> Option<&SubAccount> {
        self.sub_accounts.get(&uin)
    }

    /// Every sub-account, by number.
    pub fn sub_accounts(&self) -> impl Iterator<Item = &SubAccount> {
        self.sub_accounts.values()
    }

    /// A VPC of a region by either of its ids.
    pub fn vpc_by_ref(&self, region: Region, vpc: VpcRef) -> Option<&Vpc> {
        let id = match vpc {
            VpcRef::Unified(id) => id,
            VpcRef::Legacy(legacy) => *self.legacy_vpcs.get(&legacy)?,
        };
        self.vpcs.get(&id).filter(|vpc| vpc.region() == region)
    }

    /// The VPCs of an account in a region, by id.
    pub fn vpcs_of(&self, owner: Uin, region: Region) -> impl Iterator<Item = &Vpc> {
        members(&self.account_vpcs, &(owner, region)).filter_map(|id| self.vpcs.get(id))
    }

    /// Every VPC, in no order.
    pub fn vpcs(&self) -> impl Iterator<Item = &Vpc> {
        self.vpcs.values()
    }

    /// A subnet by its id.
    pub fn subnet(&self, id: SubnetId) -> Option<&Subnet> {
        self.subnets.get(&id)
    }

    /// A subnet by either of its ids.
    pub fn subnet_by_ref(&self, subnet: SubnetRef) -> Option<&Subnet> {
        let id = match subnet {
            SubnetRef::Unified(id) => id,
            SubnetRef::Legacy(legacy) => *self.legacy_subnets.get(&legacy)?,
        };
        self.subnets.get(&id)
    }

    /// A route table by its id.
    pub fn route_table(&self, id: RouteTableId) -> Option<&RouteTable> {
        self.route_tables.get(&id)
    }

    /// A route table by either of its ids.
    pub fn route_table_by_ref(&self, table: RouteTableRef) -> Option<&RouteTable> {
        let id = match table {
            RouteTableRef::Unified(id) => id,
            RouteTableRef::Legacy(legacy) => *self.legacy_route_tables.get(&legacy)?,
        };
        self.route_tables.get(&id)
    }

    /// The route tables of a VPC, by id.
    pub fn route_tables_of(&self, vpc: VpcId) -> impl Iterator<Item = &RouteTable> {
        members(&self.vpc_route_tables, &vpc).filter_map(|id| self.route_tables.get(id))
    }

    /// The route table that came with a VPC.
    pub fn default_route_table(&self, vpc: VpcId) -> Option<&RouteTable> {
        self.route_tables_of(vpc)
            .find(|table| table.kind == RouteTableKind::Default)
    }

    /// A peering by its id, whoever asks.
    pub fn peering(&self, id: PeeringConnectionId) -> Option<&PeeringConnection> {
        self.shared_peering(id).map(Arc::as_ref)
    }

    /// As [`Catalog::peering`], for who keeps it longer than the catalog.
    pub(crate) fn shared_peering(
        &self,
        id: PeeringConnectionId,
    ) -> Option<&Arc<PeeringConnection>> {
        self.peerings.get(&id)
    }

    /// Every recorded peering, by id.
    pub fn peerings(&self) -> impl Iterator<Item = &PeeringConnection> {
        self.peerings.values().map(Arc::as_ref)
    }

    /// The recorded peerings of a VPC, by id, for who keeps them longer than the catalog.
    pub(crate) fn shared_peerings_of(
        &self,
        vpc: VpcId,
    ) -> impl Iterator<Item = &Arc<PeeringConnection>> {
        let peerings = self.vpc_peerings.get(&vpc);
        peerings.into_iter().flat_map(Peerings::values)
    }

    /// The peerings that an account sees from its ends in a region, in order of creation, and how
    /// many there are.
    pub(crate) fn visible_peerings(
        &self,
        account: Uin,
        region: Region,
    ) -> (
        usize,
        impl DoubleEndedIterator<Item = &Arc<PeeringConnection>> + '_,
    ) {
        let visible = self.visible_peerings.get(&(account, region));
        let peerings = visible.into_iter().flat_map(Peerings::values);
        (visible.map_or(0, Peerings::size), peerings)
    }

    /// A task by its id, whoever asks.
    pub fn task(&self, id: TaskId) -> Option<&Task> {
        self.tasks.get(&id)
    }

    /// Every recorded task, oldest first.
    pub fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.tasks.values()
    }

    /// The tasks that have not ended, oldest first.
    pub fn running_tasks(&self) -> impl Iterator<Item = &Task> {
        self.running_tasks
            .iter()
            .filter_map(|id| self.tasks.get(id))
    }

    /// The tasks that have ended, in the order of their ends.
    pub(crate) fn ended_tasks(&self) -> impl Iterator<Item = (UnixMillis, TaskId)> {
        self.ended_tasks.iter().copied()
    }

    /// What is left of deleted peerings. A tombstone can also stand beside a pending peering, after
    /// an acceptance that failed.
    pub fn tombstones(&self) -> impl Iterator<Item = &Tombstone> {
        self.tombstones.values()
    }

    /// The tombstone of one peering.
    pub fn tombstone(&self, peering: PeeringConnectionId) -> Option<&Tombstone> {
        self.tombstones.get(&peering)
    }

    /// Every gateway, by id.
    pub fn gateways(&self) -> impl Iterator<Item = &Gateway> {
        self.gateways.values()
    }

    /// A gateway by its identity.
    pub fn gateway_by_identity(&self, identity: &[u8; 32]) -> Option<&Gateway> {
        self.gateways.get(self.identities.get(identity)?)
    }

    /// A join token by the hash of its secret.
    pub fn join_token(&self, secret_hash: &[u8; 32]) -> Option<&JoinToken> {
        self.join_tokens.get(secret_hash)
    }

    /// Every join token.
    pub fn join_tokens(&self) -> impl Iterator<Item = &JoinToken> {
        self.join_tokens.values()
    }

    /// The pending peerings by deadline, the next one first.
    pub fn pending(&self) -> impl Iterator<Item = (UnixMillis, PeeringConnectionId)> {
        self.deadlines.iter().copied()
    }

    /// When the next pending peering expires.
    pub fn next_expiry(&self) -> Option<UnixMillis> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Who has a VNI.
    pub fn vni(&self, vni: Vni) -> Option<&VniReservation> {
        self.vnis.get(&vni)
    }

    /// The reserved VNIs, lowest first.
    pub(crate) fn vnis(&self) -> impl DoubleEndedIterator<Item = Vni> {
        self.vnis.keys().copied()
    }

    /// The highest task id that is recorded.
    pub(crate) fn last_task(&self) -> Option<TaskId> {
        self.tasks.last().map(|(id, _)| *id)
    }

    /// The highest numbers of a region that were given to something since deleted.
    pub(crate) fn number_floor(&self, region: Region) -> NumberFloor {
        let none = NumberFloor {
            region,
            vpc: 0,
            subnet: 0,
            route_table: 0,
        };
        self.number_floors.get(&region).copied().unwrap_or(none)
    }

    /// The highest numbers of the legacy ids of a region, in use or not any more.
    pub(crate) fn last_numbers(&self, region: Region) -> LegacyNumbers {
        macro_rules! last {
            ($map:ident, $id:ident) => {{
                let first = $id { region, number: 0 };
                let last = $id {
                    region,
                    number: u32::MAX,
                };
                let mut ids = self.$map.range(first..=last);
                ids.next_back().map_or(0, |(id, _)| id.number)
            }};
        }
        let floor = self.number_floor(region);
        LegacyNumbers {
            vpc: last!(legacy_vpcs, LegacyVpcId).max(floor.vpc),
            subnet: last!(legacy_subnets, LegacySubnetId).max(floor.subnet),
            route_table: last!(legacy_route_tables, LegacyRouteTableId).max(floor.route_table),
        }
    }

    fn put(&mut self, record: Record, revision: Revision) {
        let key = record.key();
        self.delete(&key);
        self.revisions.insert_mut(key, revision);
        self.insert(record);
    }
}

/// The highest number that was given out, per kind; 0 when none was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LegacyNumbers {
    /// Of VPCs.
    pub vpc: u32,
    /// Of subnets.
    pub subnet: u32,
    /// Of route tables.
    pub route_table: u32,
}

fn members<'a, K, T>(
    index: &'a Map<K, OrderedSet<T>>,
    key: &K,
) -> impl Iterator<Item = &'a T> + use<'a, K, T>
where
    K: std::hash::Hash + Eq,
    T: Ord,
{
    index.get(key).into_iter().flat_map(OrderedSet::iter)
}

impl World for Catalog {
    fn vpc(&self, id: VpcId) -> Option<&Vpc> {
        self.vpcs.get(&id)
    }

    fn vpcs_in(&self, region: Region) -> Box<dyn Iterator<Item = &Vpc> + '_> {
        Box::new(members(&self.region_vpcs, &region).filter_map(|id| self.vpcs.get(id)))
    }

    fn subnets_of(&self, vpc: VpcId) -> Box<dyn Iterator<Item = (&Subnet, &RouteTable)> + '_> {
        let subnets = members(&self.vpc_subnets, &vpc).filter_map(|id| self.subnets.get(id));
        Box::new(subnets.filter_map(|subnet| {
            let table = self.route_tables.get(&subnet.route_table)?;
            Some((subnet, table))
        }))
    }

    fn route_tables_of(&self, vpc: VpcId) -> Box<dyn Iterator<Item = &RouteTable> + '_> {
        Box::new(Catalog::route_tables_of(self, vpc))
    }

    fn peerings_of(&self, vpc: VpcId) -> Box<dyn Iterator<Item = &PeeringConnection> + '_> {
        Box::new(self.shared_peerings_of(vpc).map(Arc::as_ref))
    }

    fn open_peerings_of(&self, vpc: VpcId) -> Box<dyn Iterator<Item = &PeeringConnection> + '_> {
        let open = members(&self.vpc_open_peerings, &vpc);
        Box::new(open.filter_map(|id| self.peering(*id)))
    }

    fn task(&self, id: TaskId) -> Option<&Task> {
        Catalog::task(self, id)
    }

    fn gateway(&self, id: GatewayId) -> Option<&Gateway> {
        self.gateways.get(&id)
    }

    fn gateway_of(&self, region: Region) -> Option<&Gateway> {
        self.gateways.get(self.region_gateways.get(&region)?)
    }

    fn quotas_of(&self, account: Uin) -> Quotas {
        self.account(account)
            .map_or_else(Quotas::default, |account| account.quotas)
    }
}
