//! What use cases answer, freed from any dialect.

use std::sync::Arc;

use crate::assistant::Conflict;
use crate::cidr::CidrBlock;
use crate::command::{QuotaKind, RouteSpec};
use crate::id::{AppId, PeeringConnectionId, RouteTableId, SubnetId, TaskId, Uin, VpcId};
use crate::monitor::MonitorData;
use crate::peering::PeeringConnection;
use crate::region::Region;
use crate::tag::Tagged;
use crate::task::Task;
use crate::time::UnixMillis;
use crate::vpc::{Route, RouteTable, Subnet, Vpc};

/// The answer of a use case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A VPC was made.
    VpcCreated {
        /// The VPC.
        vpc: Vpc,
        /// The subnets made with it, with the default table.
        subnets: Vec<SubnetView>,
        /// Its default route table.
        route_table: RouteTable,
    },
    /// A part of a list of VPCs.
    Vpcs(Page<VpcView>),
    /// Every VPC of a region.
    AllVpcs(Vec<VpcView>),
    /// One VPC with what it holds.
    Vpc(Box<VpcDetail>),
    /// Assistant blocks of a VPC were added, removed or both: those that it got.
    AssistantCidrsChanged(Vec<AssistantCidrView>),
    /// A part of a list of assistant blocks.
    AssistantCidrs(Page<AssistantCidrView>),
    /// What speaks against a change of a VPC's assistant blocks.
    AssistantCidrConflicts {
        /// The VPC.
        vpc: VpcId,
        /// What it is.
        conflicts: Vec<Conflict>,
    },
    /// Subnets were made.
    SubnetsCreated(Vec<SubnetView>),
    /// A part of a list of subnets.
    Subnets(Page<SubnetView>),
    /// One subnet.
    Subnet(Box<SubnetView>),
    /// A route table was made.
    RouteTableCreated {
        /// The table.
        route_table: RouteTable,
        /// Its routes as they were asked for.
        routes: Vec<RouteSpec>,
    },
    /// Routes of a table were added, removed or changed.
    RoutesChanged {
        /// The table as it is afterwards.
        route_table: RouteTable,
        /// The routes that were removed, or as they were before.
        old: Vec<Route>,
        /// The routes that were added, or as they are now.
        new: Vec<Route>,
    },
    /// A part of a list of routes.
    Routes(Page<RouteView>),
    /// A part of a list of route tables.
    RouteTables(Page<RouteTableView>),
    /// A part of a list of peerings.
    Peerings(Page<PeeringView>),
    /// A peering was made, and its caller follows no task.
    PeeringCreated(PeeringConnectionId),
    /// A part of a list of tags.
    Tags(Page<TagView>),
    /// An asynchronous action was committed.
    TaskStarted(TaskId),
    /// How far a task is.
    TaskResult(Task),
    /// What was measured of a peering.
    MonitorData(MonitorData),
    /// How much the account may have, in the order that it was asked for.
    Quotas(Vec<(QuotaKind, u32)>),
    /// Who the caller is.
    Account(AccountView),
    /// Every region there is.
    Regions,
    /// Every zone of a region.
    Zones(Region),
    /// It is done and there is nothing to tell.
    Done,
}

/// An account as it sees itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountView {
    /// The account number.
    pub uin: Uin,
    /// The application number.
    pub app_id: AppId,
    /// Who signed: the account, or one of its sub-accounts.
    pub signer: Uin,
    /// Its sub-accounts, with the name and the time of creation of each.
    pub sub_accounts: Vec<(Uin, String, UnixMillis)>,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// How many match, whatever the part.
    pub total: u64,
    /// The part.
    pub items: Vec<T>,
}

/// A VPC with what is counted of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VpcView {
    /// The VPC.
    pub vpc: Vpc,
    /// Its assistant blocks.
    pub assistant_cidrs: Vec<AssistantCidrView>,
    /// Its subnets.
    pub subnets: u64,
    /// Its route tables.
    pub route_tables: u64,
    /// Its peerings that the owner sees.
    pub peerings: u64,
    /// Hosts that are attached to its subnets, as gateways last told.
    pub hosts: u64,
}

/// An assistant block with its surroundings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssistantCidrView {
    /// The VPC.
    pub vpc: VpcId,
    /// The block.
    pub cidr: CidrBlock,
    /// The subnets in it.
    pub subnets: Vec<SubnetView>,
}

/// A VPC with what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VpcDetail {
    /// The VPC and what is counted of it.
    pub vpc: VpcView,
    /// Its subnets.
    pub subnets: Vec<SubnetView>,
    /// Its route tables.
    pub route_tables: Vec<RouteTableView>,
}

/// A subnet with its surroundings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubnetView {
    /// The subnet.
    pub subnet: Subnet,
    /// Its VPC.
    pub vpc: Vpc,
    /// Its route table.
    pub route_table: RouteTable,
    /// Hosts that are attached to it, as its gateway last told.
    pub hosts: u64,
}

/// A route with its surroundings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteView {
    /// The route.
    pub route: Route,
    /// Its table.
    pub route_table: RouteTableId,
}

/// A route table with its surroundings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTableView {
    /// The table.
    pub route_table: RouteTable,
    /// Its VPC.
    pub vpc: Vpc,
    /// The subnets that use it.
    pub subnets: Vec<SubnetId>,
}

/// A tag of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagView {
    /// The resource.
    pub resource: Tagged,
    /// The tag's key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// A peering with what is shown of its two accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeeringView {
    /// The peering, shared with the state that it was read from.
    pub peering: Arc<PeeringConnection>,
    /// Whose view it is; each account has tags of its own.
    pub viewer: Uin,
    /// The requester's application number.
    pub requester_app_id: AppId,
    /// The accepter's application number.
    pub accepter_app_id: AppId,
}
