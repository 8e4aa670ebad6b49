//! Who may do what: read-only keys and the policies of sub-accounts.
//!
//! Every command is checked on the resources that it names, in the vendor's terms. Own resources are
//! known by both of their ids, whichever a request gives. What is unknown, foreign or in another
//! region is checked by what was named, so that a refusal says nothing about what exists: whoever is
//! permitted learns from the use case that there is no such thing, as the owner would.
//!
//! Source: legacy VPC API, "resource-level permissions of VPC operations".

use model::command::{Command, PeeringCreate, RouteTableTarget, SubnetTarget};
use model::peering::PeeringEnd;
use model::policy::{ConditionKey, Decision, Facts, PolicyRequest, Resource};
use model::{
    Access, AccessKey, PeeringConnection, PeeringConnectionId, Principal, Region, RouteTableRef,
    Side, SubnetRef, Tagged, Uin, Vpc, VpcRef, World,
};

use super::Core;
use super::vpc::{owned_vpc, vpc_of};
use crate::catalog::Catalog;

/// Who makes a request, as known by the key that signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account that the request acts for.
    pub account: Uin,
    /// Who signed.
    pub principal: Principal,
    /// What the key may be used for.
    pub access: Access,
    /// The public half of the key.
    pub secret_id: String,
}

impl From<&AccessKey> for Caller {
    fn from(key: &AccessKey) -> Caller {
        Caller {
            account: key.owner,
            principal: key.principal,
            access: key.access,
            secret_id: key.secret_id.clone(),
        }
    }
}

/// Why a caller may not do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotAuthorised {
    /// The key is read-only and the action changes something.
    ReadOnly {
        /// The action, as policies name it.
        action: String,
    },
    /// The policy does not permit the action on anything.
    Action {
        /// The action, as policies name it.
        action: String,
    },
    /// The policy does not permit the action on some resources.
    Resources {
        /// The action, as policies name it.
        action: String,
        /// The resources.
        refused: Vec<Resource>,
    },
}

impl Core {
    /// Checks that a caller may do what it asks for. `action` is the name that the dialect knows the
    /// command by. A change of keys or policies counts from the catalog that has it on.
    ///
    /// # Errors
    /// [`NotAuthorised`].
    pub fn authorise(
        &self,
        caller: &Caller,
        action: &str,
        command: &Command,
    ) -> Result<(), NotAuthorised> {
        let action = policy_action(action);
        if caller.access == Access::ReadOnly && !command.is_read() {
            return Err(NotAuthorised::ReadOnly { action });
        }
        let Principal::SubAccount(uin) = caller.principal else {
            return Ok(());
        };
        let catalog = self.catalog();
        let sub_account = catalog.sub_account(uin);
        // One that was deleted since the key was looked up may do nothing.
        let Some(sub_account) = sub_account.filter(|found| found.owner == caller.account) else {
            return Err(NotAuthorised::Action { action });
        };
        let mut named = Named::new(&catalog, caller.account);
        named.command(command);
        let request = PolicyRequest {
            action,
            resources: named.resources,
            facts: named.facts,
        };
        let action = || request.action.clone();
        match sub_account.policy.decide(caller.account, &request) {
            Decision::Allowed => Ok(()),
            Decision::ActionRefused => Err(NotAuthorised::Action { action: action() }),
            Decision::ResourcesRefused(refused) => Err(NotAuthorised::Resources {
                action: action(),
                refused,
            }),
        }
    }
}

/// An action's name in policies.
pub(crate) fn policy_action(action: &str) -> String {
    match action {
        // A dialect of several products gives the whole name.
        action if action.starts_with("name/") => action.to_owned(),
        "GetMonitorData" => format!("name/monitor:{action}"),
        action => format!("name/vpc:{action}"),
    }
}

/// What a command names.
struct Named<'a> {
    catalog: &'a Catalog,
    account: Uin,
    resources: Vec<Resource>,
    facts: Facts,
}

impl<'a> Named<'a> {
    fn new(catalog: &'a Catalog, account: Uin) -> Named<'a> {
        Named {
            catalog,
            account,
            resources: Vec::new(),
            facts: Facts::new(),
        }
    }

    fn command(&mut self, command: &Command) {
        match command {
            Command::VpcList(query) => self.all(query.region),
            Command::VpcListAll(region) => self.all(*region),
            Command::QuotaList(query) => self.all(query.region),
            Command::AssistantCidrList(query) => self.all(query.region),
            Command::SubnetList(query) => self.all(query.region),
            Command::RouteTableList(query) => self.all(query.region),
            Command::RouteList(query) => self.all(query.region),
            Command::ZoneList(region) => self.all(*region),
            Command::PeeringList(query) => self.all(query.region),
            Command::TagList(query) => self.all(query.region),
            Command::TagModify(ask) => self.tagged(ask.region, ask.resource),
            Command::MonitorData(query) => self.peering(query.region, query.peering, None),
            Command::AccountShow(_)
            | Command::RegionList
            | Command::TaskResult(_)
            | Command::WorkResult(_) => {
                self.resources.push(Resource::all(self.account, None));
            }
            Command::VpcCreate(ask) => self.any(ask.region, "vpc"),
            Command::VpcDelete(target) | Command::VpcGet(target) => {
                self.vpc(target.region, target.vpc);
            }
            Command::VpcModify(ask) => self.vpc(ask.target.region, ask.target.vpc),
            Command::AssistantCidrModify(ask) | Command::AssistantCidrCheck(ask) => {
                self.vpc(ask.target.region, ask.target.vpc);
            }
            Command::SubnetCreate(ask) => {
                self.vpc(ask.region, ask.vpc);
                self.any(ask.region, "subnet");
            }
            Command::SubnetDelete(target) | Command::SubnetGet(target) => self.subnet_in(*target),
            Command::SubnetModify(ask) => self.subnet_in(ask.target),
            Command::RouteTableCreate(ask) => {
                self.vpc(ask.region, ask.vpc);
                self.any(ask.region, "rtb");
            }
            Command::RouteTableDelete(target) => self.route_table_in(*target),
            Command::RouteTableModify(ask) => self.route_table_in(ask.target),
            Command::RouteTableAssociate(ask) => {
                self.route_table_in(ask.target);
                for subnet in &ask.subnets {
                    self.subnet(ask.target.region, *subnet);
                }
            }
            Command::RouteCreate(ask) | Command::RouteDelete(ask) => {
                self.route_table_in(RouteTableTarget {
                    region: ask.region,
                    vpc: ask.vpc,
                    route_table: ask.route_table,
                });
            }
            Command::RouteRemove(ask) | Command::RouteEnable(ask) | Command::RouteDisable(ask) => {
                self.route_table_in(ask.table);
            }
            Command::RouteReplace(ask) => self.route_table_in(ask.table),
            Command::PeeringCreate(ask) => self.peering_create(ask),
            Command::PeeringAccept(ask) | Command::PeeringReject(ask) => {
                self.peering(ask.region, ask.peering, Some(Side::Accepter));
            }
            Command::PeeringEnable(ask) => {
                self.peering(ask.region, ask.peering, Some(Side::Requester));
            }
            Command::PeeringModify(ask) => {
                self.peering(ask.region, ask.peering, Some(Side::Requester));
            }
            Command::PeeringDelete(ask) => self.peering(ask.region, ask.peering, None),
        }
    }

    fn push(&mut self, region: Region, names: Vec<String>) {
        self.resources.push(Resource {
            region: Some(region),
            account: self.account,
            names,
        });
    }

    fn fact(&mut self, key: ConditionKey, spellings: Vec<String>) {
        self.facts.insert(key, spellings);
    }

    /// Everything in a region: what lists are checked on.
    fn all(&mut self, region: Region) {
        self.region(region);
        let all = Resource::all(self.account, Some(region));
        self.resources.push(all);
    }

    /// Any resource of a kind: what creations are checked on.
    fn any(&mut self, region: Region, kind: &str) {
        self.region(region);
        self.push(region, vec![format!("{kind}/*")]);
    }

    fn region(&mut self, region: Region) {
        self.fact(ConditionKey::Region, region_spellings(region));
    }

    /// A VPC that is named in a region.
    fn vpc(&mut self, region: Region, named: VpcRef) {
        self.region(region);
        let found = vpc_of(self.catalog, self.account, region, named).ok();
        let spellings = vpc_spellings(found, named);
        let names = spellings.iter().map(|id| format!("vpc/{id}")).collect();
        self.push(region, names);
        self.fact(ConditionKey::Vpc, spellings);
    }

    fn subnet_in(&mut self, target: SubnetTarget) {
        let of_subnet = || {
            let subnet = self.catalog.subnet_by_ref(target.subnet)?;
            owned_vpc(self.catalog, self.account, target.region, subnet.vpc)
        };
        let vpc = target.vpc.or_else(|| of_subnet().map(|vpc| vpc.id.into()));
        if let Some(vpc) = vpc {
            self.vpc(target.region, vpc);
        }
        self.subnet(target.region, target.subnet);
    }

    fn subnet(&mut self, region: Region, named: SubnetRef) {
        let found = self.catalog.subnet_by_ref(named);
        let names = match found.filter(|subnet| self.owns(region, subnet.vpc)) {
            Some(subnet) => vec![
                format!("subnet/{}", subnet.id),
                format!("subnet/{}", subnet.legacy_id),
            ],
            None => vec![format!("subnet/{named}")],
        };
        self.push(region, names);
    }

    fn route_table_in(&mut self, target: RouteTableTarget) {
        let of_table = || {
            let table = self.catalog.route_table_by_ref(target.route_table)?;
            owned_vpc(self.catalog, self.account, target.region, table.vpc)
        };
        let vpc = target.vpc.or_else(|| of_table().map(|vpc| vpc.id.into()));
        if let Some(vpc) = vpc {
            self.vpc(target.region, vpc);
        }
        self.route_table(target.region, target.route_table);
    }

    fn route_table(&mut self, region: Region, named: RouteTableRef) {
        self.region(region);
        let catalog = self.catalog;
        let found = catalog
            .route_table_by_ref(named)
            .filter(|table| self.owns(region, table.vpc));
        let names = match found {
            Some(table) => vec![
                format!("rtb/{}", table.id),
                format!("rtb/{}", table.legacy_id),
            ],
            None => vec![format!("rtb/{named}")],
        };
        if let Some(vpc) = found.and_then(|table| catalog.vpc(table.vpc)) {
            self.fact(ConditionKey::Vpc, vpc_spellings(Some(vpc), vpc.id.into()));
        }
        self.push(region, names);
    }

    fn tagged(&mut self, region: Region, resource: Tagged) {
        match resource {
            Tagged::Vpc(id) => self.vpc(region, id.into()),
            Tagged::Subnet(id) => self.subnet_in(SubnetTarget {
                region,
                vpc: None,
                subnet: id.into(),
            }),
            Tagged::RouteTable(id) => self.route_table_in(RouteTableTarget {
                region,
                vpc: None,
                route_table: id.into(),
            }),
            Tagged::Peering(id) => self.peering(region, id, None),
        }
    }

    fn owns(&self, region: Region, vpc: model::VpcId) -> bool {
        self.catalog
            .vpc(vpc)
            .is_some_and(|vpc| vpc.owner == self.account && vpc.region() == region)
    }

    fn peering_create(&mut self, ask: &PeeringCreate) {
        self.vpc(ask.region, ask.vpc);
        self.any(ask.region, "pcx");
        let (catalog, account) = (self.catalog, self.account);
        let requester = vpc_of(catalog, account, ask.region, ask.vpc).ok();
        let accepter = vpc_of(catalog, ask.peer_uin, ask.peer_region, ask.peer_vpc).ok();
        let requester = vpc_spellings(requester, ask.vpc);
        self.fact(ConditionKey::RequesterVpc, requester);
        let accepter = vpc_spellings(accepter, ask.peer_vpc);
        self.fact(ConditionKey::AccepterVpc, accepter);
        let region = region_spellings(ask.region);
        self.fact(ConditionKey::RequesterVpcRegion, region);
        let region = region_spellings(ask.peer_region);
        self.fact(ConditionKey::AccepterVpcRegion, region);
    }

    /// A peering, with the caller's VPC in it where the action is checked on that as well: the one on
    /// `side`, or the caller's only one.
    fn peering(&mut self, region: Region, id: PeeringConnectionId, side: Option<Side>) {
        self.region(region);
        let account = self.account;
        let found = self.catalog.peering(id);
        if let Some(found) = found.filter(|found| found.is_visible_to(account)) {
            self.ends(found);
            if let Some(side) = side {
                self.own_end(found, side);
            }
        }
        self.push(region, vec![format!("pcx/{id}")]);
    }

    fn own_end(&mut self, peering: &PeeringConnection, side: Side) {
        let sides = [side, side.other()].into_iter();
        let account = self.account;
        let own = sides.filter(|side| peering.is_owned_by(account, *side));
        if let Some(side) = own.into_iter().next() {
            let end = peering.end(side);
            let spellings = end_spellings(end);
            let names = spellings.iter().map(|id| format!("vpc/{id}")).collect();
            self.push(end.region(), names);
            self.fact(ConditionKey::Vpc, spellings);
        }
    }

    fn ends(&mut self, peering: &PeeringConnection) {
        let PeeringConnection {
            requester,
            accepter,
            ..
        } = peering;
        self.fact(ConditionKey::RequesterVpc, end_spellings(requester));
        self.fact(ConditionKey::AccepterVpc, end_spellings(accepter));
        let region = region_spellings(requester.region());
        self.fact(ConditionKey::RequesterVpcRegion, region);
        let region = region_spellings(accepter.region());
        self.fact(ConditionKey::AccepterVpcRegion, region);
    }
}

fn region_spellings(region: Region) -> Vec<String> {
    vec![region.short().to_owned(), region.long().to_owned()]
}

fn vpc_spellings(found: Option<&Vpc>, named: VpcRef) -> Vec<String> {
    match found {
        Some(vpc) => vec![vpc.id.to_string(), vpc.legacy_id.to_string()],
        None => vec![named.to_string()],
    }
}

fn end_spellings(end: &PeeringEnd) -> Vec<String> {
    vec![end.vpc.to_string(), end.legacy_id.to_string()]
}
