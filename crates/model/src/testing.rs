//! A small world for tests, and builders.

use std::collections::BTreeMap;

use crate::account::Quotas;
use crate::gateway::Gateway;
use crate::id::{GatewayId, LegacyVpcId, PeeringConnectionId, TaskId, Uin, VpcId};
use crate::name::Name;
use crate::overlay::{Bandwidth, Vni};
use crate::peering::{
    ChargeType, PeeringConnection, PeeringEnd, PeeringState, QosLevel, REQUEST_LIFETIME,
};
use crate::region::Region;
use crate::tag::Tags;
use crate::task::Task;
use crate::time::UnixMillis;
use crate::vpc::{RouteTable, Subnet, Vpc};
use crate::world::World;

/// A world in ordered maps.
#[derive(Debug, Clone, Default)]
pub struct MemoryWorld {
    /// VPCs by id.
    pub vpcs: BTreeMap<VpcId, Vpc>,
    /// Subnets with their route tables.
    pub subnets: Vec<(Subnet, RouteTable)>,
    /// Peerings by id.
    pub peerings: BTreeMap<PeeringConnectionId, PeeringConnection>,
    /// Tasks by id.
    pub tasks: BTreeMap<TaskId, Task>,
    /// Gateways by id.
    pub gateways: BTreeMap<GatewayId, Gateway>,
    /// The quotas of every account.
    pub quotas: Quotas,
}

impl World for MemoryWorld {
    fn vpc(&self, id: VpcId) -> Option<&Vpc> {
        self.vpcs.get(&id)
    }

    fn vpcs_in(&self, region: Region) -> Box<dyn Iterator<Item = &Vpc> + '_> {
        Box::new(self.vpcs.values().filter(move |vpc| vpc.region() == region))
    }

    fn subnets_of(&self, vpc: VpcId) -> Box<dyn Iterator<Item = (&Subnet, &RouteTable)> + '_> {
        let of_vpc = self
            .subnets
            .iter()
            .filter(move |(subnet, _)| subnet.vpc == vpc);
        Box::new(of_vpc.map(|(subnet, table)| (subnet, table)))
    }

    fn route_tables_of(&self, vpc: VpcId) -> Box<dyn Iterator<Item = &RouteTable> + '_> {
        Box::new(self.subnets_of(vpc).map(|(_, table)| table))
    }

    fn peerings_of(&self, vpc: VpcId) -> Box<dyn Iterator<Item = &PeeringConnection> + '_> {
        Box::new(
            self.peerings
                .values()
                .filter(move |peering| peering.side_of(vpc).is_some()),
        )
    }

    fn open_peerings_of(&self, vpc: VpcId) -> Box<dyn Iterator<Item = &PeeringConnection> + '_> {
        Box::new(self.peerings_of(vpc).filter(|peering| peering.is_open()))
    }

    fn task(&self, id: TaskId) -> Option<&Task> {
        self.tasks.get(&id)
    }

    fn gateway(&self, id: GatewayId) -> Option<&Gateway> {
        self.gateways.get(&id)
    }

    fn gateway_of(&self, region: Region) -> Option<&Gateway> {
        self.gateways
            .values()
            .find(|gateway| gateway.region == region)
    }

    fn quotas_of(&self, _account: Uin) -> Quotas {
        self.quotas
    }
}

/// A VPC whose id and legacy number come from one number.
pub fn vpc(number: u32, region: Region, owner: u64, cidr: &str) -> Vpc {
    Vpc {
        id: VpcId::from_entropy(number.into()),
        legacy_id: LegacyVpcId { region, number },
        owner: Uin(owner),
        name: Name::new("test").expect("a short name"),
        cidr: cidr.parse().expect("a block"),
        assistant_cidrs: Vec::new(),
        tags: Tags::default(),
        created_at: UnixMillis(0),
        epoch: 0,
    }
}

/// The peering that a create makes: active for one account, pending for two.
pub fn peering(number: u64, requester: &Vpc, accepter: &Vpc, now: UnixMillis) -> PeeringConnection {
    let state = if requester.owner == accepter.owner {
        PeeringState::Active { since: now }
    } else {
        PeeringState::Pending {
            expires_at: now.after(REQUEST_LIFETIME),
        }
    };
    PeeringConnection {
        id: PeeringConnectionId::from_entropy(number),
        name: Name::new("test").expect("a short name"),
        requester: PeeringEnd::from(requester),
        accepter: PeeringEnd::from(accepter),
        bandwidth: Bandwidth::from_mbps(20),
        charge_type: ChargeType::default(),
        qos_level: QosLevel::default(),
        vni: Vni::try_from(number as u32 % 1_000_000 + 1).expect("in range"),
        state,
        requester_tags: Tags::default(),
        accepter_tags: Tags::default(),
        task: None,
        created_at: now,
    }
}
