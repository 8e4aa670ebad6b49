//! What a use case answers when it refuses. Each dialect maps these to its own codes in one table.

use crate::admission::Refusal;
use crate::assistant::Conflict;
use crate::id::TaskId;
use crate::monitor::MonitorError;
use crate::peering::TransitionError;
use crate::tag::TagError;

/// Why a use case refused. The texts are for the caller and tell nothing about other tenants.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    /// No such VPC, or not the caller's, or not in this region.
    #[error("VPC {vpc} not found in region {region}")]
    VpcNotFound {
        /// What the caller gave.
        vpc: String,
        /// The region it was looked for in.
        region: String,
    },
    /// No such subnet in the VPC.
    #[error("subnet {0} not found")]
    SubnetNotFound(String),
    /// No such route table in the VPC.
    #[error("route table {0} not found")]
    RouteTableNotFound(String),
    /// A route to a peer that has nothing of its destination.
    #[error("{destination} has nothing in common with {cidr} of the peer")]
    NotInPeer {
        /// The destination.
        destination: String,
        /// The peer's blocks.
        cidr: String,
    },
    /// The subnet and the route table belong to different VPCs.
    #[error("subnet {subnet} is in another VPC than route table {route_table}")]
    OtherVpc {
        /// The subnet.
        subnet: String,
        /// The route table.
        route_table: String,
    },
    /// No such route in the table.
    #[error("route {0} not found")]
    RouteNotFound(String),
    /// No such peering connection, or not the caller's, or not of this kind or region.
    #[error("peering connection {0} not found")]
    PeeringNotFound(String),
    /// No such task of the caller.
    #[error("task {0} not found")]
    TaskNotFound(String),
    /// The zone is none.
    #[error("zone {0} not found")]
    ZoneNotFound(String),
    /// A VPC's name is not allowed.
    #[error("invalid VPC name: {0}")]
    VpcName(String),
    /// A subnet's name is not allowed.
    #[error("invalid subnet name: {0}")]
    SubnetName(String),
    /// A peering's name is not allowed.
    #[error("invalid peering connection name: {0}")]
    PeeringName(String),
    /// A subnet's name is another subnet's of the VPC.
    #[error("invalid subnet name: another subnet of the VPC is named {0}")]
    SubnetNameTaken(String),
    /// A route table's name is not allowed.
    #[error("invalid route table name: {0}")]
    RouteTableName(String),
    /// A route's description is not allowed.
    #[error("invalid description of a route: {0}")]
    RouteDescription(String),
    /// A VPC's CIDR block is not allowed.
    #[error("invalid VPC CIDR block: {0}")]
    VpcCidr(String),
    /// A subnet's CIDR block is not allowed.
    #[error("invalid subnet CIDR block: {0}")]
    SubnetCidr(String),
    /// An assistant CIDR block is not allowed.
    #[error("invalid assistant CIDR block: {0}")]
    AssistantCidr(String),
    /// A block is named twice in one change of a VPC's assistant blocks.
    #[error("assistant CIDR block {0} is named twice")]
    AssistantCidrRepeated(String),
    /// The VPC has no such assistant block.
    #[error("assistant CIDR block {0} not found")]
    AssistantCidrNotFound(String),
    /// An assistant block conflicts with something.
    #[error("{0}")]
    AssistantCidrConflict(Conflict),
    /// A subnet overlaps another one.
    #[error("subnet {cidr} overlaps subnet {other}")]
    SubnetConflict {
        /// The new block.
        cidr: String,
        /// The one it overlaps.
        other: String,
    },
    /// A route's destination is not allowed.
    #[error("invalid destination: {0}")]
    Destination(String),
    /// The route table already has a route to the destination.
    #[error("the route table already has a route to {0}")]
    RouteExists(String),
    /// The next hop type is not supported.
    #[error("next hop type {0} is not supported (4 is a peering connection)")]
    NextHopType(String),
    /// The next hop is unknown, or not usable by this VPC.
    #[error("next hop {0} not found among the active peering connections of this VPC")]
    NextHopNotFound(String),
    /// Tags are not allowed.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// The VPC still has something that has to go first.
    #[error("VPC {vpc} cannot be deleted: {reason}")]
    VpcInUse {
        /// What the caller gave.
        vpc: String,
        /// What is still there.
        reason: String,
    },
    /// The subnet still has hosts.
    #[error(
        "subnet {subnet} cannot be deleted: hosts are attached to it ({hosts}); detach them first"
    )]
    SubnetInUse {
        /// What the caller gave.
        subnet: String,
        /// How many.
        hosts: u64,
    },
    /// The route table came with the VPC.
    #[error("route table {0} cannot be deleted: it is the default one of its VPC")]
    RouteTableIsDefault(String),
    /// Subnets use the route table.
    #[error(
        "route table {route_table} cannot be deleted: {subnet} uses it; associate another table first"
    )]
    RouteTableInUse {
        /// What the caller gave.
        route_table: String,
        /// One of the subnets.
        subnet: String,
    },
    /// Too many VPCs.
    #[error("the account already has {limit} VPCs in this region")]
    VpcLimit {
        /// The quota.
        limit: u32,
    },
    /// Too many subnets.
    #[error("a VPC may have {limit} subnets")]
    SubnetLimit {
        /// The quota.
        limit: u32,
    },
    /// Too many route tables.
    #[error("a VPC may have {limit} route tables")]
    RouteTableLimit {
        /// The quota.
        limit: u32,
    },
    /// Too many assistant blocks.
    #[error("a VPC may have {limit} assistant CIDR blocks")]
    AssistantCidrLimit {
        /// The quota.
        limit: u32,
    },
    /// Too many routes.
    #[error("a route table may have {limit} routes")]
    RouteLimit {
        /// The quota.
        limit: u32,
    },
    /// Admission refused a peering.
    #[error(transparent)]
    Admission(#[from] Refusal),
    /// The peering's state, or the caller's role in it, does not allow the action.
    #[error("{0}")]
    PeeringState(TransitionError),
    /// Another action on the same peering is still running.
    #[error("task {0} is still running on this peering connection; retry when it has ended")]
    ActionLocked(TaskId),
    /// What was measured is not told.
    #[error(transparent)]
    Monitor(#[from] MonitorError),
    /// A parameter that is well-formed but not allowed.
    #[error("invalid parameter {name}: {reason}")]
    Parameter {
        /// Its name in the caller's dialect.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}
