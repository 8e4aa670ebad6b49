//! Reads: lists with filters, order and parts, and how far a task is. All are answered from one
//! catalog.

mod filter;

use std::cmp::Ordering;
use std::sync::Arc;

use model::command::{
    AccountQuery, AssistantCidrQuery, Direction, NetworkKind, Order, Paging, PeeringQuery,
    PeeringStateFilter, QuotaKind, QuotaQuery, Reply, RouteQuery, RouteTableQuery, SubnetQuery,
    SubnetTarget, TagQuery, VpcQuery, VpcTarget,
};
use model::outcome::{
    AccountView, AssistantCidrView, Page, PeeringView, RouteTableView, RouteView, SubnetView,
    TagView, VpcDetail, VpcView,
};
use model::{
    CidrBlock, DomainError, Outcome, PeeringConnection, PeeringState, Region, Route, RouteTable,
    Tags, TaskId, Uin, UnixMillis, Vpc, VpcRef, World,
};

use super::hosts::Hosts;
use super::subnet::subnet_target;
use super::tag::tags_of;
use super::vpc::vpc_of;
use crate::catalog::Catalog;
use crate::error::UseCaseError;
use filter::all_admit;

/// What reads are answered from, and for whom.
pub(super) struct Lists<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) hosts: &'a Hosts,
    pub(super) caller: Uin,
}

impl Lists<'_> {
    /// Lists VPCs of the caller.
    pub(super) fn vpcs(&self, query: &VpcQuery) -> Result<Outcome, UseCaseError> {
        let of = only(&query.only, &|id| {
            let (region, id) = (query.region, VpcRef::Unified(id));
            vpc_of(self.catalog, self.caller, region, id).map(drop)
        })?;
        let found = self
            .candidates(query.region, query.vpc)?
            .into_iter()
            .filter(|vpc| contains(vpc.name.as_str(), query.name.as_deref()))
            .filter(|vpc| of(vpc.id) && all_admit(&query.filters, *vpc))
            .collect();
        let page = page(found, query.order, query.paging, |vpc: &&Vpc| {
            (vpc.name.as_str(), vpc.created_at, vpc.id)
        });
        Ok(Outcome::Vpcs(page.map(|vpc| self.vpc_view(vpc))))
    }

    /// Lists all VPCs of the caller in a region, the newest first.
    pub(super) fn all_vpcs(&self, region: Region) -> Outcome {
        let mut found: Vec<&Vpc> = self.catalog.vpcs_of(self.caller, region).collect();
        found.sort_unstable_by_key(|vpc| std::cmp::Reverse((vpc.created_at, vpc.id)));
        Outcome::AllVpcs(found.into_iter().map(|vpc| self.vpc_view(vpc)).collect())
    }

    /// One VPC with what it holds, each kind in order of creation.
    pub(super) fn vpc(&self, target: VpcTarget) -> Result<Outcome, UseCaseError> {
        let vpc = vpc_of(self.catalog, self.caller, target.region, target.vpc)?;
        let mut subnets: Vec<SubnetView> = self.subnets_of(vpc).collect();
        subnets.sort_unstable_by_key(|view| (view.subnet.created_at, view.subnet.id));
        let tables = self.catalog.route_tables_of(vpc.id);
        let mut route_tables: Vec<RouteTableView> = tables
            .map(|table| self.route_table_view(table, vpc))
            .collect();
        route_tables
            .sort_unstable_by_key(|view| (view.route_table.created_at, view.route_table.id));
        Ok(Outcome::Vpc(Box::new(VpcDetail {
            vpc: self.vpc_view(vpc),
            subnets,
            route_tables,
        })))
    }

    fn vpc_view(&self, vpc: &Vpc) -> VpcView {
        let seen = self.catalog.peerings_of(vpc.id);
        VpcView {
            vpc: vpc.clone(),
            assistant_cidrs: self.assistant_views(vpc),
            subnets: self.catalog.subnets_of(vpc.id).count() as u64,
            route_tables: self.catalog.route_tables_of(vpc.id).count() as u64,
            peerings: seen
                .filter(|peering| peering.is_visible_to(self.caller))
                .count() as u64,
            hosts: self.hosts.of_vpc(self.catalog, vpc.id),
        }
    }

    fn assistant_views(&self, vpc: &Vpc) -> Vec<AssistantCidrView> {
        let blocks = &vpc.assistant_cidrs;
        assistant_views(self.catalog, self.hosts, vpc, blocks)
    }

    /// Lists assistant blocks of the caller.
    pub(super) fn assistant_cidrs(
        &self,
        query: &AssistantCidrQuery,
    ) -> Result<Outcome, UseCaseError> {
        let of = only(&query.only, &|id| {
            let (region, id) = (query.region, VpcRef::Unified(id));
            vpc_of(self.catalog, self.caller, region, id).map(drop)
        })?;
        let vpcs = self.catalog.vpcs_of(self.caller, query.region);
        let mut vpcs: Vec<&Vpc> = vpcs
            .filter(|vpc| of(vpc.id) && all_admit(&query.filters, *vpc))
            .collect();
        vpcs.sort_unstable_by_key(|vpc| (vpc.created_at, vpc.id));
        let found = vpcs.into_iter().flat_map(|vpc| {
            let blocks = vpc.assistant_cidrs.iter();
            blocks.map(move |block| (vpc, *block))
        });
        let found: Vec<(&Vpc, CidrBlock)> = found.collect();
        let views = |(vpc, block)| assistant_views(self.catalog, self.hosts, vpc, &[block]);
        Ok(Outcome::AssistantCidrs(Page {
            total: found.len() as u64,
            items: part(found.into_iter(), query.paging)
                .flat_map(views)
                .collect(),
        }))
    }

    /// Lists subnets of the caller.
    pub(super) fn subnets(&self, query: &SubnetQuery) -> Result<Outcome, UseCaseError> {
        let mut found: Vec<SubnetView> = Vec::new();
        for vpc in self.candidates(query.region, query.vpc)? {
            found.extend(self.subnets_of(vpc));
        }
        if let Some(wanted) = query.subnet {
            let id = self.catalog.subnet_by_ref(wanted).map(|subnet| subnet.id);
            found.retain(|view| Some(view.subnet.id) == id);
            if found.is_empty() {
                return Err(DomainError::SubnetNotFound(wanted.to_string()).into());
            }
        }
        let of = only(&query.only, &|id| {
            let mut seen = found.iter();
            match seen.any(|view| view.subnet.id == id) {
                true => Ok(()),
                false => Err(DomainError::SubnetNotFound(id.to_string())),
            }
        })?;
        found.retain(|view| {
            contains(view.subnet.name.as_str(), query.name.as_deref())
                && of(view.subnet.id)
                && all_admit(&query.filters, view)
                && (query.zones.is_empty() || query.zones.contains(&view.subnet.zone))
        });
        let page = page(found, query.order, query.paging, |view| {
            let subnet = &view.subnet;
            (subnet.name.as_str(), subnet.created_at, subnet.id)
        });
        Ok(Outcome::Subnets(page))
    }

    /// One subnet of the caller.
    pub(super) fn subnet(&self, target: SubnetTarget) -> Result<Outcome, UseCaseError> {
        let (vpc, subnet) = subnet_target(self.catalog, self.caller, target)?;
        let id = subnet.id;
        let mut views = self.subnets_of(vpc);
        let view = views
            .find(|view| view.subnet.id == id)
            .ok_or_else(|| UseCaseError::Internal(format!("{id} has no route table")))?;
        Ok(Outcome::Subnet(Box::new(view)))
    }

    fn subnets_of(&self, vpc: &Vpc) -> impl Iterator<Item = SubnetView> {
        subnet_views(self.catalog, self.hosts, vpc)
    }

    /// Lists route tables of the caller.
    pub(super) fn route_tables(&self, query: &RouteTableQuery) -> Result<Outcome, UseCaseError> {
        let mut found = Vec::new();
        for vpc in self.candidates(query.region, query.vpc)? {
            let tables = self.catalog.route_tables_of(vpc.id);
            found.extend(tables.map(|table| (table, vpc)));
        }
        if let Some(wanted) = query.route_table {
            let id = self.catalog.route_table_by_ref(wanted);
            let id = id.map(|table| table.id);
            found.retain(|(table, _)| Some(table.id) == id);
            if found.is_empty() {
                return Err(DomainError::RouteTableNotFound(wanted.to_string()).into());
            }
        }
        let of = only(&query.only, &|id| {
            let mut seen = found.iter();
            match seen.any(|(table, _)| table.id == id) {
                true => Ok(()),
                false => Err(DomainError::RouteTableNotFound(id.to_string())),
            }
        })?;
        found.retain(|(table, _)| {
            contains(table.name.as_str(), query.name.as_deref())
                && of(table.id)
                && all_admit(&query.filters, *table)
        });
        let page = page(found, query.order, query.paging, |(table, _)| {
            (table.name.as_str(), table.created_at, table.id)
        });
        Ok(Outcome::RouteTables(
            page.map(|(table, vpc)| self.route_table_view(table, vpc)),
        ))
    }

    /// The caller's account.
    pub(super) fn account(&self, query: &AccountQuery) -> Result<Outcome, UseCaseError> {
        let account = self.catalog.account(self.caller).ok_or_else(|| {
            let caller = self.caller;
            UseCaseError::Internal(format!("there is no account {caller}"))
        })?;
        let own = self.catalog.sub_accounts();
        let own = own.filter(|sub_account| sub_account.owner == self.caller);
        let wanted = own.filter(|one| query.only.is_empty() || query.only.contains(&one.uin));
        Ok(Outcome::Account(AccountView {
            uin: account.uin,
            app_id: account.app_id,
            signer: query.signer,
            sub_accounts: wanted
                .map(|one| (one.uin, one.name.clone(), one.created_at))
                .collect(),
        }))
    }

    /// Lists routes of the caller.
    pub(super) fn routes(&self, query: &RouteQuery) -> Outcome {
        let vpcs = self.catalog.vpcs_of(self.caller, query.region);
        let mut tables: Vec<&RouteTable> = vpcs
            .flat_map(|vpc| self.catalog.route_tables_of(vpc.id))
            .collect();
        tables.sort_unstable_by_key(|table| (table.created_at, table.id));
        let routes = tables.into_iter().flat_map(|table| {
            let routes = table.routes.iter();
            routes.map(move |route| (table, route))
        });
        let found: Vec<(&RouteTable, &Route)> = routes
            .filter(|one| all_admit(&query.filters, one))
            .collect();
        Outcome::Routes(Page {
            total: found.len() as u64,
            items: part(found.into_iter(), query.paging)
                .map(|(table, route)| RouteView {
                    route: route.clone(),
                    route_table: table.id,
                })
                .collect(),
        })
    }

    fn route_table_view(&self, table: &RouteTable, vpc: &Vpc) -> RouteTableView {
        let subnets = self.catalog.subnets_of(vpc.id);
        RouteTableView {
            route_table: table.clone(),
            vpc: vpc.clone(),
            subnets: subnets
                .filter(|(subnet, _)| subnet.route_table == table.id)
                .map(|(subnet, _)| subnet.id)
                .collect(),
        }
    }

    /// Lists the peerings that the caller sees from a region.
    pub(super) fn peerings(&self, query: &PeeringQuery) -> Result<Outcome, UseCaseError> {
        let (catalog, caller) = (self.catalog, self.caller);
        let view = |peering: &Arc<PeeringConnection>| PeeringView {
            peering: Arc::clone(peering),
            viewer: caller,
            requester_app_id: catalog.app_id(peering.requester.owner),
            accepter_app_id: catalog.app_id(peering.accepter.owner),
        };
        let requester = query
            .vpc
            .map(|vpc| vpc_of(catalog, caller, query.region, vpc).map(|vpc| vpc.id))
            .transpose()?;
        let is_wanted = |peering: &&Arc<PeeringConnection>| {
            requester.is_none_or(|vpc| peering.requester.vpc == vpc)
                && contains(peering.name.as_str(), query.name.as_deref())
                && query
                    .state
                    .is_none_or(|state| state == filter_of(&peering.state))
                && all_admit(&query.filters, &***peering)
        };
        let is_seen =
            |peering: &&Arc<PeeringConnection>| peering.is_visible_in(caller, query.region);

        // Every peering here leads to a VPC.
        if query.network == Some(NetworkKind::BareMetal) {
            let items = Vec::new();
            return Ok(Outcome::Peerings(Page { total: 0, items }));
        }
        let found: Vec<&Arc<PeeringConnection>> = match (query.peering, requester) {
            (Some(id), _) => catalog
                .shared_peering(id)
                .into_iter()
                .filter(is_seen)
                .filter(is_wanted)
                .collect(),
            (None, Some(vpc)) => catalog
                .shared_peerings_of(vpc)
                .filter(is_seen)
                .filter(is_wanted)
                .collect(),
            (None, None) => {
                let (total, visible) = catalog.visible_peerings(caller, query.region);
                let is_whole =
                    query.name.is_none() && query.state.is_none() && query.filters.is_empty();
                if is_whole && query.order == Order::CreateTime {
                    // The index has this order and this total: nothing is collected or sorted.
                    let items = match query.paging.direction {
                        Direction::Ascending => part(visible, query.paging).map(view).collect(),
                        Direction::Descending => {
                            part(visible.rev(), query.paging).map(view).collect()
                        }
                    };
                    let total = total as u64;
                    return Ok(Outcome::Peerings(Page { total, items }));
                }
                visible.filter(is_wanted).collect()
            }
        };
        let page = page(found, query.order, query.paging, |peering| {
            (peering.name.as_str(), peering.created_at, peering.id)
        });
        Ok(Outcome::Peerings(page.map(view)))
    }

    /// Lists tags of the caller's resources.
    pub(super) fn tags(&self, query: &TagQuery) -> Outcome {
        let (catalog, caller) = (self.catalog, self.caller);
        let of_each = query.resources.iter().flat_map(|resource| {
            let tags = tags_of(catalog, caller, query.region, *resource);
            let pairs = tags.into_iter().flat_map(Tags::iter);
            pairs.map(|(key, value)| TagView {
                resource: *resource,
                key: key.to_owned(),
                value: value.to_owned(),
            })
        });
        let found: Vec<TagView> = of_each.collect();
        Outcome::Tags(Page {
            total: found.len() as u64,
            items: part(found.into_iter(), query.paging).collect(),
        })
    }

    /// How far a task of the caller is, if it was answered so.
    pub(super) fn task(&self, id: TaskId, reply: Reply) -> Result<Outcome, UseCaseError> {
        self.catalog
            .task(id)
            .filter(|task| task.owner == self.caller && task.reply == reply)
            .map(|task| Outcome::TaskResult(task.clone()))
            .ok_or_else(|| DomainError::TaskNotFound(id.to_string()).into())
    }

    /// How much the caller may have.
    pub(super) fn quotas(&self, query: &QuotaQuery) -> Outcome {
        let quotas = self.catalog.quotas_of(self.caller);
        let limit = |kind: QuotaKind| match kind {
            QuotaKind::Vpcs => quotas.vpcs_per_region,
            QuotaKind::Subnets => quotas.subnets_per_vpc,
            QuotaKind::RouteTables => quotas.route_tables_per_vpc,
            QuotaKind::Routes => quotas.routes_per_table,
            QuotaKind::Peerings => quotas.peerings_per_vpc,
            QuotaKind::PeeringsAndRequests => {
                quotas.peerings_per_vpc.saturating_add(quotas.inbox_per_vpc)
            }
            QuotaKind::AssistantCidrs => quotas.assistant_cidrs_per_vpc,
            QuotaKind::Nothing(_) => 0,
        };
        let kinds = query.kinds.iter();
        Outcome::Quotas(kinds.map(|kind| (*kind, limit(*kind))).collect())
    }

    fn candidates(&self, region: Region, vpc: Option<VpcRef>) -> Result<Vec<&Vpc>, DomainError> {
        match vpc {
            Some(vpc) => vpc_of(self.catalog, self.caller, region, vpc).map(|vpc| vec![vpc]),
            None => Ok(self.catalog.vpcs_of(self.caller, region).collect()),
        }
    }
}

fn subnet_views(catalog: &Catalog, hosts: &Hosts, vpc: &Vpc) -> impl Iterator<Item = SubnetView> {
    let subnets = catalog.subnets_of(vpc.id);
    subnets.map(|(subnet, table)| SubnetView {
        subnet: subnet.clone(),
        vpc: vpc.clone(),
        route_table: table.clone(),
        hosts: hosts.of(subnet.id),
    })
}

/// Assistant blocks of a VPC, each with its subnets in order of creation.
pub(super) fn assistant_views(
    catalog: &Catalog,
    hosts: &Hosts,
    vpc: &Vpc,
    blocks: &[CidrBlock],
) -> Vec<AssistantCidrView> {
    let view = |cidr: &CidrBlock| {
        let subnets = subnet_views(catalog, hosts, vpc);
        let mut subnets: Vec<SubnetView> = subnets
            .filter(|view| cidr.contains(view.subnet.cidr))
            .collect();
        subnets.sort_unstable_by_key(|view| (view.subnet.created_at, view.subnet.id));
        AssistantCidrView {
            vpc: vpc.id,
            cidr: *cidr,
            subnets,
        }
    };
    blocks.iter().map(view).collect()
}

/// Which ids a list of wanted ones admits: all when it is empty. Each wanted one has to be there.
fn only<I: Copy + Eq>(
    wanted: &[I],
    check: &dyn Fn(I) -> Result<(), DomainError>,
) -> Result<impl Fn(I) -> bool + use<I>, DomainError> {
    wanted.iter().try_for_each(|id| check(*id))?;
    let wanted = wanted.to_vec();
    Ok(move |id| wanted.is_empty() || wanted.contains(&id))
}

fn contains(name: &str, part: Option<&str>) -> bool {
    part.is_none_or(|part| name.contains(part))
}

fn filter_of(state: &PeeringState) -> PeeringStateFilter {
    match state {
        PeeringState::Pending { .. } => PeeringStateFilter::Pending,
        PeeringState::Active { .. } => PeeringStateFilter::Active,
        PeeringState::Expired { .. } => PeeringStateFilter::Expired,
        PeeringState::Rejected { .. } => PeeringStateFilter::Rejected,
        PeeringState::Deleted { .. } => PeeringStateFilter::Deleted,
        PeeringState::Failed { .. } => PeeringStateFilter::Failed,
        PeeringState::Isolated { .. } => PeeringStateFilter::Isolated,
    }
}

/// Orders everything that matches and cuts the part out. `key` gives name, creation and id.
fn page<T, I: Ord>(
    mut found: Vec<T>,
    order: Order,
    paging: Paging,
    key: impl for<'a> Fn(&'a T) -> (&'a str, UnixMillis, I),
) -> Page<T> {
    let compare = |one: &T, other: &T| -> Ordering {
        let (one_name, one_time, one_id) = key(one);
        let (other_name, other_time, other_id) = key(other);
        let by_name = match order {
            Order::CreateTime => Ordering::Equal,
            Order::Name => one_name.cmp(other_name),
        };
        by_name
            .then(one_time.cmp(&other_time))
            .then_with(|| one_id.cmp(&other_id))
    };
    match paging.direction {
        Direction::Ascending => found.sort_unstable_by(compare),
        Direction::Descending => found.sort_unstable_by(|one, other| compare(other, one)),
    }
    Page {
        total: found.len() as u64,
        items: part(found.into_iter(), paging).collect(),
    }
}

fn part<T>(items: impl Iterator<Item = T>, paging: Paging) -> impl Iterator<Item = T> {
    let number = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    items.skip(number(paging.offset)).take(number(paging.limit))
}

trait MapPage<T> {
    /// The same part with every item replaced.
    fn map<U>(self, view: impl Fn(T) -> U) -> Page<U>;
}

impl<T> MapPage<T> for Page<T> {
    fn map<U>(self, view: impl Fn(T) -> U) -> Page<U> {
        Page {
            total: self.total,
            items: self.items.into_iter().map(view).collect(),
        }
    }
}
