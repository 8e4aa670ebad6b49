//! How many hosts are attached to which subnet, as gateways report it every second.
//!
//! It is kept in memory: after a start nothing is known until the gateways have reported. A gateway
//! that is away keeps its hosts, and so do its subnets here.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::{GatewayId, SubnetId, VpcId, World};

use crate::catalog::Catalog;

/// The attached hosts of every subnet, by the gateway that reported them.
#[derive(Debug, Default)]
pub struct Hosts(Mutex<BTreeMap<GatewayId, BTreeMap<SubnetId, u32>>>);

impl Hosts {
    /// Notes what a gateway has attached; it replaces what the gateway told before.
    pub fn reported(&self, gateway: GatewayId, hosts: BTreeMap<SubnetId, u32>) {
        self.lock().insert(gateway, hosts);
    }

    /// Forgets a gateway that was removed from the deployment.
    pub fn forget(&self, gateway: GatewayId) {
        self.lock().remove(&gateway);
    }

    /// The hosts of a subnet.
    pub fn of(&self, subnet: SubnetId) -> u64 {
        let reported = self.lock();
        let hosts = reported.values().filter_map(|hosts| hosts.get(&subnet));
        hosts.map(|hosts| u64::from(*hosts)).sum()
    }

    /// The hosts of all subnets of a VPC.
    pub fn of_vpc(&self, catalog: &Catalog, vpc: VpcId) -> u64 {
        let subnets = catalog.subnets_of(vpc);
        subnets.map(|(subnet, _)| self.of(subnet.id)).sum()
    }

    // A panic while the lock is held leaves no map half written.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<GatewayId, BTreeMap<SubnetId, u32>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
