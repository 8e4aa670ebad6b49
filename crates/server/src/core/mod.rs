//! The use cases: every decision about the state, each made on one catalog and committed with
//! guards on what it was based on.
//!
//! [`Core::execute`] takes the commands of the callers, [`Core::execute_once`] those that come with
//! requests which may be repeated; the other methods serve operators, gateways
//! and the reconcilers. Nothing here listens, polls or waits for gateways. Start with `commit` for how
//! a decision becomes durable, then `peering` for the decisions that matter.

mod account;
mod assistant;
mod authorise;
mod commit;
mod gateway;
mod hosts;
mod key;
mod list;
mod monitor;
mod number;
mod once;
mod peering;
mod removal;
mod route;
mod route_table;
mod sub_account;
mod subnet;
mod tag;
mod task;
#[cfg(test)]
mod tests;
mod vpc;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use model::admission::OverlapScope;
use model::command::Reply;
use model::peering::REQUEST_LIFETIME;
use model::{AccessKey, Command, Outcome, TaskId, Uin, UnixMillis};
use store::{Revision, Store};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::error::{OpenError, UseCaseError};
use crate::history::History;
use crate::sealing::{MasterKey, SealError, Secret};
use list::Lists;

pub use account::AccountCreate;
pub(crate) use authorise::policy_action;
pub use authorise::{Caller, NotAuthorised};
use commit::Draft;
pub use gateway::GatewayJoin;
pub(crate) use gateway::has_had_gateway;
pub use hosts::Hosts;
pub use key::{CreatedKey, KeyCreate, LONGEST_GRACE};
pub use once::{Decided, Execution, Render};
pub use sub_account::SubAccountCreate;

/// What is configured about the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Which peerings must not overlap each other at one VPC.
    pub overlap: OverlapScope,
    /// How long a request waits for consent.
    pub request_lifetime: Duration,
    /// When a running task fails.
    pub task_timeout: Duration,
    /// Who carries the traffic.
    pub dataplane: Dataplane,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            overlap: OverlapScope::default(),
            request_lifetime: REQUEST_LIFETIME,
            task_timeout: Duration::from_secs(60),
            dataplane: Dataplane::Gateways,
        }
    }
}

/// Who carries the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dataplane {
    /// Gateways: tasks wait for them.
    Gateways,
    /// Nobody: tasks have succeeded when they are committed, and nothing waits for removal.
    None,
}

/// The use cases over one store.
pub struct Core {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    master_key: MasterKey,
    rules: Rules,
    catalog: Arc<ArcSwap<Catalog>>,
    revisions: watch::Receiver<Revision>,
    numbers: number::Numbers,
    history: Arc<History>,
    hosts: Hosts,
    follower: JoinHandle<()>,
}

impl Core {
    /// Loads the catalog and starts to follow the store, until the value is dropped; what is measured
    /// ends with the process. Must be called in a tokio runtime.
    ///
    /// # Errors
    /// [`OpenError`], also when the master key is not the one that the access keys are sealed with.
    pub async fn open(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        master_key: MasterKey,
        rules: Rules,
    ) -> Result<Arc<Core>, OpenError> {
        let history = History::in_memory(clock.now());
        Core::open_with_history(store, history, clock, master_key, rules).await
    }

    /// As [`Core::open`], with a history of the caller's.
    ///
    /// # Errors
    /// As [`Core::open`].
    pub async fn open_with_history(
        store: Arc<dyn Store>,
        history: Arc<History>,
        clock: Arc<dyn Clock>,
        master_key: MasterKey,
        rules: Rules,
    ) -> Result<Arc<Core>, OpenError> {
        let (catalog, watch) = commit::load(&*store).await?;
        if let Some(key) = catalog.keys().next()
            && master_key.open(&key.sealed_secret, &key.secret_id).is_err()
        {
            let secret_id = key.secret_id.clone();
            return Err(OpenError::MasterKey { secret_id });
        }
        let numbers = number::Numbers::after(&catalog);
        let (sender, revisions) = watch::channel(catalog.revision());
        let catalog = Arc::new(ArcSwap::from_pointee(catalog));
        let follower = tokio::spawn(commit::follow(
            Arc::clone(&store),
            watch,
            Arc::clone(&catalog),
            sender,
        ));
        Ok(Arc::new(Core {
            store,
            clock,
            master_key,
            rules,
            catalog,
            revisions,
            numbers,
            history,
            hosts: Hosts::default(),
            follower,
        }))
    }

    /// The state as this server knows it.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.load_full()
    }

    /// Ticks whenever the catalog has moved. Closed when the store is no longer followed; the
    /// server cannot go on then.
    pub fn revisions(&self) -> watch::Receiver<Revision> {
        self.revisions.clone()
    }

    /// The clock.
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// What was measured.
    pub fn history(&self) -> &Arc<History> {
        &self.history
    }

    /// Which subnets have hosts.
    pub fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// The rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Executes a caller's command. A write is durable and visible in [`Core::catalog`] when this
    /// returns. A caller that stops waiting does not stop a commit that has begun.
    ///
    /// # Errors
    /// [`UseCaseError`].
    pub async fn execute(&self, caller: Uin, command: Command) -> Result<Outcome, UseCaseError> {
        if let Some(answer) = self.read(caller, &command).await {
            return answer;
        }
        self.decide(|draft| self.write(draft, caller, &command))
            .await
    }

    /// As [`Core::execute`] for a command that changes something; tells the task as well that does what
    /// is left to do, whether or not its caller is answered the task's number.
    ///
    /// # Errors
    /// As [`Core::execute`].
    pub async fn perform(
        &self,
        caller: Uin,
        command: &Command,
    ) -> Result<(Outcome, Option<TaskId>), UseCaseError> {
        self.decide(|draft| {
            let outcome = self.write(draft, caller, command)?;
            Ok((outcome, draft.started()))
        })
        .await
    }

    /// What would come of a command that changes something: every check is made, and nothing is written.
    /// A competing change may still make it fail.
    ///
    /// # Errors
    /// As [`Core::execute`].
    pub fn rehearse(&self, caller: Uin, command: &Command) -> Result<Outcome, UseCaseError> {
        let catalog = self.catalog();
        self.write(&mut Draft::new(&catalog), caller, command)
    }

    /// Answers a command that changes nothing; `None` for any other.
    async fn read(&self, caller: Uin, command: &Command) -> Option<Result<Outcome, UseCaseError>> {
        let catalog = self.catalog();
        let lists = Lists {
            catalog: &catalog,
            hosts: &self.hosts,
            caller,
        };
        Some(match command {
            Command::VpcList(query) => lists.vpcs(query),
            Command::VpcListAll(region) => Ok(lists.all_vpcs(*region)),
            Command::VpcGet(target) => lists.vpc(*target),
            Command::AssistantCidrCheck(ask) => {
                assistant::check(&catalog, caller, ask, self.rules.overlap)
            }
            Command::AssistantCidrList(query) => lists.assistant_cidrs(query),
            Command::SubnetList(query) => lists.subnets(query),
            Command::SubnetGet(target) => lists.subnet(*target),
            Command::RouteTableList(query) => lists.route_tables(query),
            Command::RouteList(query) => Ok(lists.routes(query)),
            Command::PeeringList(query) => lists.peerings(query),
            Command::TagList(query) => Ok(lists.tags(query)),
            Command::TaskResult(task) => lists.task(*task, Reply::Task),
            Command::WorkResult(task) => lists.task(*task, Reply::Peering),
            Command::QuotaList(query) => Ok(lists.quotas(query)),
            Command::AccountShow(query) => lists.account(query),
            Command::RegionList => Ok(Outcome::Regions),
            Command::ZoneList(region) => Ok(Outcome::Zones(*region)),
            Command::MonitorData(query) => {
                let now = self.now();
                monitor::data(&catalog, &self.history, caller, query, now).await
            }
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
            | Command::TagModify(_) => return None,
        })
    }

    /// Decides a command that changes something.
    fn write(
        &self,
        draft: &mut Draft<'_>,
        caller: Uin,
        command: &Command,
    ) -> Result<Outcome, UseCaseError> {
        match command {
            Command::VpcCreate(ask) => self.vpc_create(draft, caller, ask, None),
            Command::VpcDelete(ask) => self.vpc_delete(draft, caller, *ask),
            Command::VpcModify(ask) => vpc::modify(draft, caller, ask),
            Command::AssistantCidrModify(ask) => self.assistant_cidr_modify(draft, caller, ask),
            Command::SubnetCreate(ask) => self.subnet_create(draft, caller, ask),
            Command::SubnetDelete(ask) => self.subnet_delete(draft, caller, *ask),
            Command::SubnetModify(ask) => subnet::modify(draft, caller, ask),
            Command::RouteTableCreate(ask) => self.route_table_create(draft, caller, ask),
            Command::RouteTableDelete(ask) => route_table::delete(draft, caller, *ask),
            Command::RouteTableModify(ask) => route_table::modify(draft, caller, ask),
            Command::RouteTableAssociate(ask) => route_table::associate(draft, caller, ask),
            Command::RouteCreate(ask) => route::create(draft, caller, ask),
            Command::RouteDelete(ask) => route::delete(draft, caller, ask),
            Command::RouteRemove(ask) => route::remove(draft, caller, ask),
            Command::RouteReplace(ask) => route::replace(draft, caller, ask),
            Command::RouteEnable(ask) => route::switch(draft, caller, ask, true),
            Command::RouteDisable(ask) => route::switch(draft, caller, ask, false),
            Command::PeeringCreate(ask) => self.peering_create(draft, caller, ask),
            Command::PeeringAccept(ask) => self.peering_accept(draft, caller, *ask),
            Command::PeeringReject(ask) => self.peering_reject(draft, caller, *ask),
            Command::PeeringEnable(ask) => self.peering_enable(draft, caller, *ask),
            Command::PeeringDelete(ask) => self.peering_delete(draft, caller, *ask),
            Command::PeeringModify(ask) => self.peering_modify(draft, caller, ask),
            Command::TagModify(ask) => tag::modify(draft, caller, ask),
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
            | Command::ZoneList(_) => Err(UseCaseError::Internal(format!(
                "a read was to be decided: {command:?}"
            ))),
        }
    }

    /// Unseals the secret half of an access key.
    ///
    /// # Errors
    /// [`SealError::Open`] when it was sealed under another master key.
    pub fn secret_key(&self, key: &AccessKey) -> Result<Secret, SealError> {
        self.master_key.open(&key.sealed_secret, &key.secret_id)
    }

    fn now(&self) -> UnixMillis {
        self.clock.now()
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core")
            .field("rules", &self.rules)
            .field("revision", &*self.revisions.borrow())
            .finish_non_exhaustive()
    }
}
