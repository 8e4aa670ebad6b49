//! Use cases on a memory store and a clock that the test moves.

mod assistant;
mod authorise;
mod competition;
mod contention;
mod crowd;
mod deletion;
mod gateways;
mod guards;
pub(super) mod history;
mod invariants;
mod judge;
mod lists;
mod networks;
mod once;
mod operator;
mod peerings;
mod plain;
mod reference;
mod tables;
mod tags;
mod tasks;

use std::sync::Arc;

use model::command::{
    Command, PeeringAction, PeeringCreate, Reach, Reply, RouteChange, RouteSpec, SubnetCreate,
    SubnetSpec, VpcCreate,
};
use model::peering::{ChargeType, QosLevel};
use model::{
    Bandwidth, DomainError, Gateway, Outcome, PeeringConnection, PeeringConnectionId, PublicKey,
    Region, RouteTable, Side, Task, TaskId, TaskKind, TaskState, Uin, UnixMillis, Vpc, VpcId, Zone,
};
use store::{MemoryStore, Store};

use super::{Core, Dataplane, GatewayJoin, Rules};
use crate::clock::FakeClock;
use crate::error::UseCaseError;
use crate::sealing::MasterKey;

const START: UnixMillis = UnixMillis(1_700_000_000_000);
const GZ: Region = Region::Guangzhou;
const SH: Region = Region::Shanghai;
const BJ: Region = Region::Beijing;

/// A core with everything that a test moves.
struct Bed {
    core: Arc<Core>,
    clock: Arc<FakeClock>,
    store: Arc<dyn Store>,
}

impl Bed {
    async fn new() -> Bed {
        Bed::with(Rules::default()).await
    }

    /// Tasks end when they are committed.
    async fn without_dataplane() -> Bed {
        let dataplane = Dataplane::None;
        Bed::with(Rules {
            dataplane,
            ..Rules::default()
        })
        .await
    }

    async fn with(rules: Rules) -> Bed {
        let clock = Arc::new(FakeClock::at(START));
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let core = open(&store, &clock, rules).await;
        Bed { core, clock, store }
    }

    async fn execute(&self, caller: u64, command: Command) -> Result<Outcome, UseCaseError> {
        self.core.execute(Uin(caller), command).await
    }

    async fn vpc(&self, owner: u64, region: Region, cidr: &str) -> Vpc {
        let ask = vpc_create(region, cidr, &[]);
        match self.execute(owner, Command::VpcCreate(ask)).await.unwrap() {
            Outcome::VpcCreated { vpc, .. } => vpc,
            other => panic!("{other:?}"),
        }
    }

    async fn subnet(&self, vpc: &Vpc, cidr: &str) -> Result<Outcome, UseCaseError> {
        let ask = SubnetCreate {
            tags: Vec::new(),
            region: vpc.region(),
            vpc: vpc.id.into(),
            subnets: vec![subnet_spec(cidr)],
        };
        self.execute(vpc.owner.0, Command::SubnetCreate(ask)).await
    }

    /// Asks for a peering and finds its record.
    async fn request(&self, from: &Vpc, to: &Vpc) -> Result<PeeringConnection, UseCaseError> {
        let command = Command::PeeringCreate(peering_create(from, to));
        let task = task_of(self.execute(from.owner.0, command).await?);
        Ok(self.peering(self.task(task).peering).unwrap())
    }

    async fn act(
        &self,
        caller: u64,
        command: fn(PeeringAction) -> Command,
        region: Region,
        peering: PeeringConnectionId,
    ) -> Result<TaskId, UseCaseError> {
        let command = command(PeeringAction {
            region,
            peering,
            reach: Reach::Any,
            reply: Reply::Task,
        });
        self.execute(caller, command).await.map(task_of)
    }

    /// The same without a task to follow, for peerings inside one region.
    async fn plain(
        &self,
        caller: u64,
        command: fn(PeeringAction) -> Command,
        region: Region,
        peering: PeeringConnectionId,
    ) -> Result<Outcome, UseCaseError> {
        let command = command(PeeringAction {
            region,
            peering,
            reach: Reach::SameRegion,
            reply: Reply::Peering,
        });
        self.execute(caller, command).await
    }

    async fn accept(&self, peering: &PeeringConnection) -> Result<TaskId, UseCaseError> {
        let end = peering.accepter;
        self.act(
            end.owner.0,
            Command::PeeringAccept,
            end.region(),
            peering.id,
        )
        .await
    }

    async fn delete(&self, peering: &PeeringConnection) -> Result<TaskId, UseCaseError> {
        let end = peering.requester;
        self.act(
            end.owner.0,
            Command::PeeringDelete,
            end.region(),
            peering.id,
        )
        .await
    }

    /// An active peering without a running task.
    async fn connected(&self, from: &Vpc, to: &Vpc) -> PeeringConnection {
        let peering = self.request(from, to).await.unwrap();
        if !peering.is_same_account() {
            self.accept(&peering).await.unwrap();
        }
        if let Some(task) = self.peering(peering.id).unwrap().task {
            self.core.task_succeed(task).await.unwrap();
        }
        self.peering(peering.id).unwrap()
    }

    async fn route(
        &self,
        vpc: &Vpc,
        destination: &str,
        next_hop: &str,
    ) -> Result<Outcome, UseCaseError> {
        let ask = self.route_change(vpc, &[(destination, next_hop)]);
        self.execute(vpc.owner.0, Command::RouteCreate(ask)).await
    }

    fn route_change(&self, vpc: &Vpc, routes: &[(&str, &str)]) -> RouteChange {
        RouteChange {
            region: vpc.region(),
            vpc: Some(vpc.id.into()),
            route_table: self.table(vpc.id).id.into(),
            routes: routes
                .iter()
                .map(|(destination, next_hop)| RouteSpec {
                    destination: destination.parse().unwrap(),
                    given_destination: (*destination).to_owned(),
                    next_hop: (*next_hop).to_owned(),
                    description: None,
                    is_enabled: true,
                    is_within_peer: false,
                })
                .collect(),
        }
    }

    async fn gateway(&self, region: Region, number: u8) -> Gateway {
        let lifetime = std::time::Duration::from_secs(600);
        let (secret, _) = self.core.token_create(region, lifetime).await.unwrap();
        let ask = gateway_join(secret.to_vec(), number);
        self.core.gateway_join(ask).await.unwrap()
    }

    fn table(&self, vpc: VpcId) -> RouteTable {
        self.core
            .catalog()
            .default_route_table(vpc)
            .unwrap()
            .clone()
    }

    fn peering(&self, id: PeeringConnectionId) -> Option<PeeringConnection> {
        self.core.catalog().peering(id).cloned()
    }

    fn task(&self, id: TaskId) -> Task {
        self.core.catalog().task(id).unwrap().clone()
    }

    fn state_name(&self, id: PeeringConnectionId) -> &'static str {
        self.peering(id)
            .map_or("gone", |peering| peering.state.name())
    }
}

async fn open(store: &Arc<dyn Store>, clock: &Arc<FakeClock>, rules: Rules) -> Arc<Core> {
    let master_key = MasterKey::new(&[7; 32]);
    Core::open(
        Arc::clone(store),
        Arc::clone(clock) as Arc<dyn crate::clock::Clock>,
        master_key,
        rules,
    )
    .await
    .unwrap()
}

fn vpc_create(region: Region, cidr: &str, subnets: &[&str]) -> VpcCreate {
    VpcCreate {
        tags: Vec::new(),
        region,
        name: "test".to_owned(),
        cidr: cidr.parse().unwrap(),
        subnets: subnets.iter().map(|cidr| subnet_spec(cidr)).collect(),
    }
}

fn subnet_spec(cidr: &str) -> SubnetSpec {
    SubnetSpec {
        name: "test".to_owned(),
        cidr: cidr.parse().unwrap(),
        zone: Zone(100_001),
    }
}

fn peering_create(from: &Vpc, to: &Vpc) -> PeeringCreate {
    PeeringCreate {
        tags: Vec::new(),
        region: from.region(),
        vpc: from.id.into(),
        peer_region: to.region(),
        peer_vpc: to.id.into(),
        peer_uin: to.owner,
        name: "test".to_owned(),
        bandwidth: Bandwidth::from_mbps(20),
        charge_type: ChargeType::default(),
        qos_level: QosLevel::default(),
        reply: Reply::Task,
    }
}

fn gateway_join(secret: Vec<u8>, number: u8) -> GatewayJoin {
    GatewayJoin {
        secret,
        identity: [number; 32],
        tunnel_public_key: PublicKey([number; 32]),
        endpoint: Some(format!("192.0.2.{number}:51820")),
    }
}

fn task_of(outcome: Outcome) -> TaskId {
    match outcome {
        Outcome::TaskStarted(task) => task,
        other => panic!("{other:?}"),
    }
}

fn domain<T: std::fmt::Debug>(result: Result<T, UseCaseError>) -> DomainError {
    match result {
        Err(UseCaseError::Domain(error)) => error,
        other => panic!("{other:?}"),
    }
}
