//! What pure decisions need to see of the whole state. The server's catalog is one such world,
//! the tests have another.

use crate::account::Quotas;
use crate::gateway::Gateway;
use crate::id::{GatewayId, TaskId, Uin, VpcId};
use crate::peering::PeeringConnection;
use crate::region::Region;
use crate::task::Task;
use crate::vpc::{RouteTable, Subnet, Vpc};

/// A consistent view of the state at one revision.
pub trait World {
    /// A VPC by its id.
    fn vpc(&self, id: VpcId) -> Option<&Vpc>;
    /// The VPCs of a region.
    fn vpcs_in(&self, region: Region) -> Box<dyn Iterator<Item = &Vpc> + '_>;
    /// The subnets of a VPC, each with its route table.
    fn subnets_of(&self, vpc: VpcId) -> Box<dyn Iterator<Item = (&Subnet, &RouteTable)> + '_>;
    /// The route tables of a VPC.
    fn route_tables_of(&self, vpc: VpcId) -> Box<dyn Iterator<Item = &RouteTable> + '_>;
    /// Every recorded peering that a VPC is an end of, in whatever state.
    fn peerings_of(&self, vpc: VpcId) -> Box<dyn Iterator<Item = &PeeringConnection> + '_>;
    /// The pending and active peerings that a VPC is an end of: what admission looks at. There are
    /// never many, because quotas bound them.
    fn open_peerings_of(&self, vpc: VpcId) -> Box<dyn Iterator<Item = &PeeringConnection> + '_>;
    /// A task by its id.
    fn task(&self, id: TaskId) -> Option<&Task>;
    /// A gateway by its id.
    fn gateway(&self, id: GatewayId) -> Option<&Gateway>;
    /// The gateway that carries a region.
    fn gateway_of(&self, region: Region) -> Option<&Gateway>;
    /// What an account may have.
    fn quotas_of(&self, account: Uin) -> Quotas;
}
