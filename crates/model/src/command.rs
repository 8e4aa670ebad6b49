//! What callers ask for, freed from any dialect: one struct per use case.

use crate::cidr::CidrBlock;
use crate::id::{
    PeeringConnectionId, RouteItemId, RouteTableId, RouteTableRef, SubnetId, SubnetRef, TaskId,
    Uin, VpcId, VpcRef,
};
use crate::monitor::MonitorQuery;
use crate::overlay::Bandwidth;
use crate::peering::{ChargeType, QosLevel};
use crate::region::{Region, Zone};
use crate::tag::{TagFilter, Tagged};

/// A request to one use case. The caller's account comes with the call, not with the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Makes a VPC.
    VpcCreate(VpcCreate),
    /// Removes a VPC with its subnets and route tables.
    VpcDelete(VpcTarget),
    /// Renames a VPC.
    VpcModify(VpcModify),
    /// Lists VPCs.
    VpcList(VpcQuery),
    /// Lists every VPC of a region.
    VpcListAll(Region),
    /// Asks for one VPC with what it holds.
    VpcGet(VpcTarget),
    /// Adds assistant blocks to a VPC, takes some away, or both; all or none.
    AssistantCidrModify(AssistantCidrModify),
    /// Asks what speaks against such a change.
    AssistantCidrCheck(AssistantCidrModify),
    /// Lists assistant blocks.
    AssistantCidrList(AssistantCidrQuery),
    /// Makes subnets.
    SubnetCreate(SubnetCreate),
    /// Removes a subnet.
    SubnetDelete(SubnetTarget),
    /// Renames a subnet.
    SubnetModify(SubnetModify),
    /// Lists subnets.
    SubnetList(SubnetQuery),
    /// Asks for one subnet.
    SubnetGet(SubnetTarget),
    /// Makes a route table.
    RouteTableCreate(RouteTableCreate),
    /// Removes a route table.
    RouteTableDelete(RouteTableTarget),
    /// Renames a route table, replaces its routes, or both.
    RouteTableModify(RouteTableModify),
    /// Makes subnets use a route table; all or none.
    RouteTableAssociate(RouteTableAssociate),
    /// Adds routes to a table; all or none.
    RouteCreate(RouteChange),
    /// Removes routes from a table; all or none.
    RouteDelete(RouteChange),
    /// Removes routes by their ids; all or none.
    RouteRemove(RouteTargets),
    /// Puts routes in the place of others; all or none.
    RouteReplace(RouteReplace),
    /// Lets traffic follow routes again; all or none.
    RouteEnable(RouteTargets),
    /// Keeps routes that no traffic follows; all or none.
    RouteDisable(RouteTargets),
    /// Lists routes.
    RouteList(RouteQuery),
    /// Lists route tables.
    RouteTableList(RouteTableQuery),
    /// Asks for a peering.
    PeeringCreate(PeeringCreate),
    /// Accepts a request.
    PeeringAccept(PeeringAction),
    /// Rejects a request.
    PeeringReject(PeeringAction),
    /// Revives an expired request.
    PeeringEnable(PeeringAction),
    /// Ends a peering.
    PeeringDelete(PeeringAction),
    /// Changes name, bandwidth or charge type.
    PeeringModify(PeeringModify),
    /// Lists peerings.
    PeeringList(PeeringQuery),
    /// Gives a resource tags, takes some away, or both.
    TagModify(TagModify),
    /// Lists the tags of resources.
    TagList(TagQuery),
    /// Asks how far a task is that the caller was told of.
    TaskResult(TaskId),
    /// Asks how far the work behind an answered action is, of whose task nobody was told.
    WorkResult(TaskId),
    /// Asks what was measured of a peering.
    MonitorData(MonitorQuery),
    /// Asks how much the account may have.
    QuotaList(QuotaQuery),
    /// Asks who the caller is.
    AccountShow(AccountQuery),
    /// Lists the regions.
    RegionList,
    /// Lists the zones of a region.
    ZoneList(Region),
}

impl Command {
    /// Whether the command changes nothing.
    pub fn is_read(&self) -> bool {
        match self {
            Command::VpcList(_)
            | Command::VpcListAll(_)
            | Command::VpcGet(_)
            | Command::AssistantCidrCheck(_)
            | Command::AssistantCidrList(_)
            | Command::SubnetList(_)
            | Command::SubnetGet(_)
            | Command::RouteTableList(_)
            | Command::RouteList(_)
            | Command::PeeringList(_)
            | Command::TagList(_)
            | Command::TaskResult(_)
            | Command::WorkResult(_)
            | Command::MonitorData(_)
            | Command::QuotaList(_)
            | Command::AccountShow(_)
            | Command::RegionList
            | Command::ZoneList(_) => true,
            Command::VpcCreate(_)
            | Command::VpcDelete(_)
            | Command::VpcModify(_)
            | Command::AssistantCidrModify(_)
            | Command::SubnetCreate(_)
            | Command::SubnetDelete(_)
            | Command::SubnetModify(_)
            | Command::RouteTableCreate(_)
            | Command::RouteTableDelete(_)
            | Command::RouteTableModify(_)
            | Command::RouteTableAssociate(_)
            | Command::RouteCreate(_)
            | Command::RouteDelete(_)
            | Command::RouteRemove(_)
            | Command::RouteReplace(_)
            | Command::RouteEnable(_)
            | Command::RouteDisable(_)
            | Command::PeeringCreate(_)
            | Command::PeeringAccept(_)
            | Command::PeeringReject(_)
            | Command::PeeringEnable(_)
            | Command::PeeringDelete(_)
            | Command::PeeringModify(_)
            | Command::TagModify(_) => false,
        }
    }
}

/// Parameters of a new VPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VpcCreate {
    /// Where.
    pub region: Region,
    /// Its name, not checked yet.
    pub name: String,
    /// Its block.
    pub cidr: CidrBlock,
    /// Subnets to make in the same transaction.
    pub subnets: Vec<SubnetSpec>,
    /// Its tags, not checked yet.
    pub tags: Vec<TagSpec>,
}

/// One VPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VpcTarget {
    /// Its region.
    pub region: Region,
    /// The VPC.
    pub vpc: VpcRef,
}

/// A change of a VPC; nothing given, nothing changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VpcModify {
    /// The VPC.
    pub target: VpcTarget,
    /// The new name, not checked yet.
    pub name: Option<String>,
}

/// A change of a VPC's assistant blocks. No block is named twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssistantCidrModify {
    /// The VPC.
    pub target: VpcTarget,
    /// The blocks that it gets.
    pub add: Vec<CidrBlock>,
    /// The blocks that go; an unknown one is an error.
    pub remove: Vec<CidrBlock>,
}

/// Which assistant blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssistantCidrQuery {
    /// Where.
    pub region: Region,
    /// Only those of these VPCs, unless empty; an unknown one is an error.
    pub only: Vec<VpcId>,
    /// Only those of VPCs that each of these admits.
    pub filters: Vec<VpcFilter>,
    /// The part. Blocks are in the order of their VPCs' creation, then in that of their own.
    pub paging: Paging,
}

/// Parameters of one new subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubnetSpec {
    /// Its name, not checked yet.
    pub name: String,
    /// Its block.
    pub cidr: CidrBlock,
    /// Its zone.
    pub zone: Zone,
}

/// Parameters of new subnets in a VPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubnetCreate {
    /// The VPC's region.
    pub region: Region,
    /// The VPC.
    pub vpc: VpcRef,
    /// At least one.
    pub subnets: Vec<SubnetSpec>,
    /// The tags of each, not checked yet.
    pub tags: Vec<TagSpec>,
}

/// One subnet of a VPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubnetTarget {
    /// The VPC's region.
    pub region: Region,
    /// The VPC; where it is not given, the one of the caller that has it.
    pub vpc: Option<VpcRef>,
    /// The subnet.
    pub subnet: SubnetRef,
}

/// A change of a subnet; nothing given, nothing changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubnetModify {
    /// The subnet.
    pub target: SubnetTarget,
    /// The new name, not checked yet.
    pub name: Option<String>,
}

/// One route table of a VPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteTableTarget {
    /// The VPC's region.
    pub region: Region,
    /// The VPC; where it is not given, the one of the caller that has it.
    pub vpc: Option<VpcRef>,
    /// The table.
    pub route_table: RouteTableRef,
}

/// Parameters of a new route table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTableCreate {
    /// The VPC's region.
    pub region: Region,
    /// The VPC.
    pub vpc: VpcRef,
    /// Its name, not checked yet.
    pub name: String,
    /// Its first routes.
    pub routes: Vec<RouteSpec>,
    /// Its tags, not checked yet.
    pub tags: Vec<TagSpec>,
}

/// A change of a route table; at least one of the options is present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTableModify {
    /// The table.
    pub target: RouteTableTarget,
    /// The new name, not checked yet.
    pub name: Option<String>,
    /// The routes that take the place of all that the table has.
    pub routes: Option<Vec<RouteSpec>>,
}

/// Subnets that are to use a route table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTableAssociate {
    /// The table.
    pub target: RouteTableTarget,
    /// Subnets of the same VPC; at least one.
    pub subnets: Vec<SubnetRef>,
}

/// Routes of a table, by their ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTargets {
    /// The table.
    pub table: RouteTableTarget,
    /// At least one; an unknown one is an error.
    pub routes: Vec<RouteSelector>,
}

/// Routes of a table and what takes their place, keeping their ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteReplace {
    /// The table.
    pub table: RouteTableTarget,
    /// At least one; an unknown one is an error.
    pub routes: Vec<(RouteSelector, RouteSpec)>,
}

/// A route of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteSelector {
    /// By its id.
    Id(RouteItemId),
    /// By its number.
    Number(u32),
}

/// Which routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteQuery {
    /// Where.
    pub region: Region,
    /// Only those that each of these admits.
    pub filters: Vec<RouteFilter>,
    /// The part. Routes are in the order of their tables' creation, then in that of their own.
    pub paging: Paging,
}

/// Admits routes that match one of its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteFilter {
    /// By VPC; an unknown one matches nothing.
    Vpcs(Vec<VpcId>),
    /// By route table; an unknown one matches nothing.
    Tables(Vec<RouteTableId>),
    /// By the next hop's id.
    NextHops(Vec<String>),
    /// By a part of the description.
    DescriptionParts(Vec<String>),
    /// By the beginning of the destination, as it is written.
    DestinationStarts(Vec<String>),
}

/// Routes to add to or remove from a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteChange {
    /// The VPC's region.
    pub region: Region,
    /// The VPC; where it is not given, the one of the caller that has it.
    pub vpc: Option<VpcRef>,
    /// The table.
    pub route_table: RouteTableRef,
    /// At least one.
    pub routes: Vec<RouteSpec>,
}

/// One route to a peering connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteSpec {
    /// Where it leads.
    pub destination: CidrBlock,
    /// The destination as the caller wrote it, host bits included, for answers that repeat it.
    pub given_destination: String,
    /// The peering connection's id as given; an id that does not parse is an unknown next hop.
    pub next_hop: String,
    /// What it is for, not checked yet.
    pub description: Option<String>,
    /// Whether traffic follows it.
    pub is_enabled: bool,
    /// Whether it is refused when the peer has nothing of its destination.
    pub is_within_peer: bool,
}

/// Parameters of a new peering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeeringCreate {
    /// The region of the requester's VPC.
    pub region: Region,
    /// The requester's VPC.
    pub vpc: VpcRef,
    /// The region of the accepter's VPC.
    pub peer_region: Region,
    /// The accepter's VPC.
    pub peer_vpc: VpcRef,
    /// The accepter.
    pub peer_uin: Uin,
    /// Its name, not checked yet.
    pub name: String,
    /// The cap.
    pub bandwidth: Bandwidth,
    /// How it is paid for.
    pub charge_type: ChargeType,
    /// The service level.
    pub qos_level: QosLevel,
    /// The requester's tags of it, not checked yet.
    pub tags: Vec<TagSpec>,
    /// What the caller holds afterwards. There is no reach here: the two regions say it.
    pub reply: Reply,
}

/// An action on one peering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeeringAction {
    /// The region of the caller's end.
    pub region: Region,
    /// The peering.
    pub peering: PeeringConnectionId,
    /// Which peerings the action is for.
    pub reach: Reach,
    /// What the caller holds afterwards.
    pub reply: Reply,
}

/// Which peerings an action is for; one that is out of reach is answered like an unknown one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Those inside one region.
    SameRegion,
    /// All. A peering inside one region is within the reach of both, whichever made it.
    Any,
}

/// What the caller of an action is answered when it is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// The number of a task to follow. A creation that fails leaves nothing: its caller learns of
    /// the peering from a task that succeeded.
    Task,
    /// The peering's id, or nothing to follow at all: the action is done for its caller. What the
    /// gateways have to do goes on in a task that nobody is told of, and a creation that fails
    /// leaves the peering as failed, because its caller holds the id.
    Peering,
}

/// A change of one peering; at least one of the options is present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeeringModify {
    /// The region of the caller's end.
    pub region: Region,
    /// The peering.
    pub peering: PeeringConnectionId,
    /// The new name, not checked yet.
    pub name: Option<String>,
    /// The new cap.
    pub bandwidth: Option<Bandwidth>,
    /// How it is to be paid for.
    pub charge_type: Option<ChargeType>,
    /// Which peerings the action is for.
    pub reach: Reach,
    /// What the caller holds afterwards.
    pub reply: Reply,
}

/// A tag, not checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagSpec {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// A change of a resource's tags. A key is not both given and taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagModify {
    /// Where the resource is; of a peering, the region of the caller's end.
    pub region: Region,
    /// Whose it is said to be; another's is an unknown one.
    pub owner: Option<Uin>,
    /// The resource.
    pub resource: Tagged,
    /// The tags that it gets, which take the place of those with the same keys.
    pub replace: Vec<TagSpec>,
    /// The keys that go; an unknown one is no error.
    pub remove: Vec<String>,
}

/// Whose tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagQuery {
    /// Where the resources are.
    pub region: Region,
    /// The resources; an unknown one has no tags.
    pub resources: Vec<Tagged>,
    /// The part. Tags are in the order of their resources, then by key.
    pub paging: Paging,
}

/// Which part of a list, and in which direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paging {
    /// Matches to skip.
    pub offset: u64,
    /// The most to answer.
    pub limit: u64,
    /// The direction of the order.
    pub direction: Direction,
}

/// The direction of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Smallest first.
    Ascending,
    /// Largest first.
    #[default]
    Descending,
}

/// What a list is ordered by; equal ones follow in order of creation, then id. The descending order
/// is the exact reverse of the ascending one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// By time of creation.
    #[default]
    CreateTime,
    /// By name.
    Name,
}

/// Which VPCs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VpcQuery {
    /// Where.
    pub region: Region,
    /// Only this one; an unknown one is an error.
    pub vpc: Option<VpcRef>,
    /// Only those whose name contains this.
    pub name: Option<String>,
    /// Only these, unless empty; an unknown one is an error.
    pub only: Vec<VpcId>,
    /// Only those that each of these admits.
    pub filters: Vec<VpcFilter>,
    /// The order.
    pub order: Order,
    /// The part.
    pub paging: Paging,
}

/// Which subnets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubnetQuery {
    /// Where.
    pub region: Region,
    /// Only of this VPC; an unknown one is an error.
    pub vpc: Option<VpcRef>,
    /// Only this one; an unknown one is an error.
    pub subnet: Option<SubnetRef>,
    /// Only those whose name contains this.
    pub name: Option<String>,
    /// Only those in one of these zones, unless empty.
    pub zones: Vec<Zone>,
    /// Only these, unless empty; an unknown one is an error.
    pub only: Vec<SubnetId>,
    /// Only those that each of these admits.
    pub filters: Vec<SubnetFilter>,
    /// The order.
    pub order: Order,
    /// The part.
    pub paging: Paging,
}

/// Which route tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTableQuery {
    /// Where.
    pub region: Region,
    /// Only of this VPC; an unknown one is an error.
    pub vpc: Option<VpcRef>,
    /// Only this one; an unknown one is an error.
    pub route_table: Option<RouteTableRef>,
    /// Only those whose name contains this.
    pub name: Option<String>,
    /// Only these, unless empty; an unknown one is an error.
    pub only: Vec<RouteTableId>,
    /// Only those that each of these admits.
    pub filters: Vec<RouteTableFilter>,
    /// The order.
    pub order: Order,
    /// The part.
    pub paging: Paging,
}

/// Which peerings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeeringQuery {
    /// At least one end of the caller's lives here.
    pub region: Region,
    /// Only those requested by this VPC; an unknown one is an error.
    pub vpc: Option<VpcRef>,
    /// Only this one; an unknown one gives an empty list.
    pub peering: Option<PeeringConnectionId>,
    /// Only those whose name contains this.
    pub name: Option<String>,
    /// Only those in this state.
    pub state: Option<PeeringStateFilter>,
    /// Only those that lead to this kind of network.
    pub network: Option<NetworkKind>,
    /// Only those that each of these admits.
    pub filters: Vec<PeeringFilter>,
    /// The order.
    pub order: Order,
    /// The part.
    pub paging: Paging,
}

/// Admits VPCs that match one of its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VpcFilter {
    /// By id; an unknown one matches nothing.
    Ids(Vec<VpcId>),
    /// By a part of the name.
    NameParts(Vec<String>),
    /// By block, as it is written.
    Cidrs(Vec<String>),
    /// By tags.
    Tags(TagFilter),
    /// By a property that no VPC has.
    Nothing,
}

/// Admits subnets that match one of its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubnetFilter {
    /// By id; an unknown one matches nothing.
    Ids(Vec<SubnetId>),
    /// By VPC; an unknown one matches nothing.
    Vpcs(Vec<VpcId>),
    /// By a part of the name.
    NameParts(Vec<String>),
    /// By block, as it is written.
    Cidrs(Vec<String>),
    /// By the name of the zone.
    Zones(Vec<String>),
    /// By tags.
    Tags(TagFilter),
    /// By a property that no subnet has.
    Nothing,
}

/// Admits route tables that match one of its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteTableFilter {
    /// By id; an unknown one matches nothing.
    Ids(Vec<RouteTableId>),
    /// By VPC; an unknown one matches nothing.
    Vpcs(Vec<VpcId>),
    /// By a part of the name.
    NameParts(Vec<String>),
    /// By whether it came with its VPC.
    Default(bool),
    /// By whether it has a route to a peering connection.
    ToPeerings,
    /// By tags.
    Tags(TagFilter),
    /// By a property that no route table has.
    Nothing,
}

/// Admits peerings that match one of its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeeringFilter {
    /// By id; an unknown one matches nothing.
    Ids(Vec<PeeringConnectionId>),
    /// By the VPC at either end, the other account's included.
    Ends(Vec<VpcId>),
    /// By state.
    States(Vec<PeeringStateFilter>),
    /// By the whole name.
    Names(Vec<String>),
}

/// What a peering leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkKind {
    /// A VPC, as every peering of this deployment does.
    Vpc,
    /// A network of bare-metal hosts; there are none here.
    BareMetal,
}

/// A state without its data, to filter by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeeringStateFilter {
    /// Waiting for the accepter.
    Pending,
    /// Connected.
    Active,
    /// Not accepted in time.
    Expired,
    /// Refused.
    Rejected,
    /// Deleted by the other account.
    Deleted,
    /// Its creation failed.
    Failed,
    /// Stopped because its payment is overdue.
    Isolated,
}

/// What is asked of the caller's account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountQuery {
    /// Who signed: the account, or one of its sub-accounts.
    pub signer: Uin,
    /// Of the sub-accounts only these, unless empty; an unknown one is left out.
    pub only: Vec<Uin>,
}

/// Which quotas of an account in a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaQuery {
    /// Where.
    pub region: Region,
    /// At least one.
    pub kinds: Vec<QuotaKind>,
}

/// What is counted against a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaKind {
    /// VPCs of the account in each region.
    Vpcs,
    /// Subnets of each VPC.
    Subnets,
    /// Route tables of each VPC.
    RouteTables,
    /// Routes of each route table.
    Routes,
    /// Peerings of each VPC.
    Peerings,
    /// Peerings of each VPC, and beside them the requests of others that it has not answered yet.
    PeeringsAndRequests,
    /// Assistant blocks of each VPC.
    AssistantCidrs,
    /// Something that does not exist here, by the dialect's own number for it.
    Nothing(u32),
}
