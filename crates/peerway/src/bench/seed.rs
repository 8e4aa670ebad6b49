//! The state that a measured server starts with, written into its store before it starts.
//!
//! ```text
//! full block      10 VPCs in gz, 10 in sh, every pair peered: 100 peerings, each VPC at its quota
//! client's star   one VPC in gz, peered with 9 of its 10 in sh: the last pair comes and goes
//! client's pairs  10 VPCs in gz, 10 in sh, none peered: 100 pairs to create
//! ```
//!
//! Each client has stars and pairs of its own, so that what is measured is the way of a request and
//! not the competition for one VPC. All quotas but that of VPCs are the defaults.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use model::command::Reply;
use model::peering::{ChargeType, QosLevel};
use model::{
    Access, AccessKey, Account, AppId, Bandwidth, CidrBlock, KeyStatus, LegacyRouteTableId,
    LegacyVpcId, Name, PeeringConnection, PeeringConnectionId, PeeringEnd, PeeringState, Principal,
    Quotas, Region, RouteTable, RouteTableId, RouteTableKind, Tags, Task, TaskId, TaskKind,
    TaskState, Uin, UnixMillis, Vni, Vpc, VpcId,
};
use server::config::{MASTER_KEY_FILE, STATE_FILE};
use server::sealing::MasterKey;
use store::record::{LegacyIndex, Record, Tally, VniReservation};
use store::{CommitError, Revision, SqliteStore, Store, Transaction, Write};
use tokio::task::JoinSet;

/// The accounts among which everything is spread.
const ACCOUNTS: usize = 10;

/// VPCs of a block in one region, and so peerings of each: the default quota.
const BLOCK: usize = 10;

/// Writes of one transaction; 128 are allowed.
const WRITES: usize = 120;

/// Transactions on their way to the store at once.
const TRANSACTIONS: usize = 64;

/// What is to be there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// Stored peerings.
    pub(super) peerings: usize,
    /// Clients.
    pub(super) clients: usize,
    /// Pairs of VPCs that each client can peer, rounded up to whole blocks.
    pub(super) pairs: usize,
}

/// Two VPCs without a peering, by their legacy ids and by the others: in gz and in sh.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    /// The requester's VPC, in gz.
    pub(super) requester: String,
    /// The accepter's VPC, in sh.
    pub(super) accepter: String,
    /// The requester's, as API 3.0 names it.
    pub(super) requester_id: VpcId,
    /// The accepter's.
    pub(super) accepter_id: VpcId,
}

/// Who a client is, and what it works with.
#[derive(Debug, Clone)]
pub(super) struct Client {
    /// Its account.
    pub(super) uin: String,
    /// The public half of its key.
    pub(super) secret_id: String,
    /// The secret half.
    pub(super) secret_key: String,
    /// The peerings that its account sees from gz.
    pub(super) visible: usize,
    /// The last pair of its star.
    pub(super) star: Pair,
    /// Its pairs.
    pub(super) pairs: Vec<Pair>,
}

/// Writes the state into a folder in which no server runs.
///
/// # Errors
/// When the store or the master key cannot be made.
pub(super) async fn write(state_dir: &Path, plan: Plan) -> anyhow::Result<Vec<Client>> {
    let starred = plan.clients * (BLOCK - 1);
    ensure!(
        plan.peerings >= starred,
        "{} stored peerings are too few: {} clients begin with {starred}",
        plan.peerings,
        plan.clients
    );
    let master_key = MasterKey::load_or_create(&state_dir.join(MASTER_KEY_FILE))?;
    let store = SqliteStore::open(&state_dir.join(STATE_FILE))?;
    let mut seeder = Seeder::new(Arc::new(store))?;
    let mut clients = Vec::new();
    for number in 0..plan.clients {
        clients.push(seeder.client(number, plan.pairs).await?);
    }
    seeder.full_blocks(plan.peerings - starred).await?;
    seeder.accounts(&master_key).await?;
    for (number, client) in clients.iter_mut().enumerate() {
        client.visible = seeder.visible[number % ACCOUNTS];
    }
    seeder.sink.finish().await?;
    Ok(clients)
}

struct Seeder {
    sink: Sink,
    now: UnixMillis,
    /// VPCs so far, by account and region.
    vpcs: BTreeMap<(usize, Region), u32>,
    numbers: BTreeMap<Region, u32>,
    visible: [usize; ACCOUNTS],
    peerings: u32,
}

fn uin(account: usize) -> Uin {
    Uin(100_000_000_001 + account as u64)
}

fn secret_id(account: usize) -> String {
    format!("AKIDbench{account:027}")
}

fn secret_key(account: usize) -> String {
    format!("bench-secret-key-{account:015}")
}

fn cidr(second: usize) -> anyhow::Result<CidrBlock> {
    let address = Ipv4Addr::new(10, u8::try_from(second)?, 0, 0);
    CidrBlock::new(address, 16).context("a block has at most 32 bits")
}

fn pair(requester: PeeringEnd, accepter: PeeringEnd) -> Pair {
    Pair {
        requester: requester.legacy_id.to_string(),
        accepter: accepter.legacy_id.to_string(),
        requester_id: requester.vpc,
        accepter_id: accepter.vpc,
    }
}

impl Seeder {
    fn new(store: Arc<dyn Store>) -> anyhow::Result<Seeder> {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        Ok(Seeder {
            sink: Sink::new(store),
            now: UnixMillis(i64::try_from(since.as_millis())?),
            vpcs: BTreeMap::new(),
            numbers: BTreeMap::new(),
            visible: [0; ACCOUNTS],
            peerings: 0,
        })
    }

    async fn client(&mut self, number: usize, pairs: usize) -> anyhow::Result<Client> {
        let account = number % ACCOUNTS;
        let hub = self.vpc(account, Region::Guangzhou, 0).await?;
        let mut ends = Vec::new();
        for second in 0..BLOCK {
            ends.push(self.vpc(account, Region::Shanghai, 100 + second).await?);
        }
        let last = ends.pop().context("a star has ends")?;
        for end in ends {
            self.peering(account, hub, end).await?;
        }
        let mut free = Vec::new();
        while free.len() < pairs {
            let (requesters, accepters) = self.block(account).await?;
            for requester in &requesters {
                free.extend(accepters.iter().map(|accepter| pair(*requester, *accepter)));
            }
        }
        Ok(Client {
            uin: uin(account).to_string(),
            secret_id: secret_id(account),
            secret_key: secret_key(account),
            visible: 0,
            star: pair(hub, last),
            pairs: free,
        })
    }

    async fn full_blocks(&mut self, peerings: usize) -> anyhow::Result<()> {
        let mut left = peerings;
        let mut account = 0;
        while left > 0 {
            let (requesters, accepters) = self.block(account).await?;
            for requester in requesters {
                for accepter in accepters.iter().take(left) {
                    self.peering(account, requester, *accepter).await?;
                }
                left = left.saturating_sub(accepters.len());
            }
            account = (account + 1) % ACCOUNTS;
        }
        Ok(())
    }

    async fn block(
        &mut self,
        account: usize,
    ) -> anyhow::Result<(Vec<PeeringEnd>, Vec<PeeringEnd>)> {
        let (mut requesters, mut accepters) = (Vec::new(), Vec::new());
        for second in 0..BLOCK {
            requesters.push(self.vpc(account, Region::Guangzhou, second).await?);
            accepters.push(self.vpc(account, Region::Shanghai, 100 + second).await?);
        }
        Ok((requesters, accepters))
    }

    async fn vpc(
        &mut self,
        account: usize,
        region: Region,
        second: usize,
    ) -> anyhow::Result<PeeringEnd> {
        let number = self.numbers.entry(region).or_insert(0);
        *number += 1;
        let number = *number;
        *self.vpcs.entry((account, region)).or_insert(0) += 1;
        let vpc = Vpc {
            id: VpcId::from_entropy(rand::random()),
            legacy_id: LegacyVpcId { region, number },
            owner: uin(account),
            name: Name::new(&format!("bench-{number}"))?,
            cidr: cidr(second)?,
            assistant_cidrs: Vec::new(),
            tags: Tags::default(),
            created_at: self.now,
            epoch: 0,
        };
        let table = RouteTable {
            id: RouteTableId::from_entropy(rand::random()),
            legacy_id: LegacyRouteTableId { region, number },
            vpc: vpc.id,
            name: Name::new("default")?,
            kind: RouteTableKind::Default,
            routes: Vec::new(),
            tags: Tags::default(),
            created_at: self.now,
        };
        let end = PeeringEnd::from(&vpc);
        self.sink
            .put(LegacyIndex::Vpc(vpc.legacy_id, vpc.id))
            .await?;
        self.sink.put(vpc).await?;
        let index = LegacyIndex::RouteTable(table.legacy_id, table.id);
        self.sink.put(index).await?;
        self.sink.put(table).await?;
        Ok(end)
    }

    async fn peering(
        &mut self,
        account: usize,
        requester: PeeringEnd,
        accepter: PeeringEnd,
    ) -> anyhow::Result<()> {
        let number = self.peerings;
        self.peerings += 1;
        self.visible[account] += 1;
        let created_at = UnixMillis(self.now.0 + i64::from(number));
        let peering = PeeringConnection {
            id: PeeringConnectionId::from_entropy(rand::random()),
            name: Name::new(&format!("peering-{number}"))?,
            requester,
            accepter,
            bandwidth: Bandwidth::from_mbps(100),
            charge_type: ChargeType::default(),
            qos_level: QosLevel::default(),
            vni: Vni::try_from(Vni::FIRST.get() + number)?,
            state: PeeringState::Active { since: created_at },
            requester_tags: Tags::default(),
            accepter_tags: Tags::default(),
            task: None,
            created_at,
        };
        let task = Task {
            id: TaskId(u64::from(number) + 1),
            owner: requester.owner,
            reply: Reply::Task,
            kind: TaskKind::Create,
            peering: peering.id,
            state: TaskState::Succeeded { at: created_at },
            created_at,
            deadline: created_at,
        };
        self.sink.put(task).await?;
        let reservation = VniReservation {
            vni: peering.vni,
            peering: peering.id,
        };
        self.sink.put(reservation).await?;
        self.sink.put(peering).await
    }

    async fn accounts(&mut self, master_key: &MasterKey) -> anyhow::Result<()> {
        for ((account, region), vpcs) in std::mem::take(&mut self.vpcs) {
            let owner = uin(account);
            let tally = Tally {
                owner,
                region,
                vpcs,
            };
            self.sink.put(tally).await?;
        }
        for account in 0..ACCOUNTS {
            let secret_id = secret_id(account);
            self.sink
                .put(Account {
                    uin: uin(account),
                    app_id: AppId(1_250_000_001 + account as u64),
                    name: format!("bench-{account}"),
                    quotas: Quotas {
                        vpcs_per_region: 1_000_000,
                        ..Quotas::default()
                    },
                    created_at: self.now,
                })
                .await?;
            self.sink
                .put(AccessKey {
                    sealed_secret: master_key.seal(secret_key(account).as_bytes(), &secret_id)?,
                    secret_id,
                    owner: uin(account),
                    principal: Principal::Account,
                    access: Access::Full,
                    status: KeyStatus::Enabled,
                    ends_at: None,
                    created_at: self.now,
                })
                .await?;
        }
        Ok(())
    }
}

/// Gathers writes into transactions, several of which are on their way at once.
struct Sink {
    store: Arc<dyn Store>,
    writes: Vec<Write>,
    running: JoinSet<Result<Revision, CommitError>>,
}

impl Sink {
    fn new(store: Arc<dyn Store>) -> Sink {
        Sink {
            store,
            writes: Vec::new(),
            running: JoinSet::new(),
        }
    }

    async fn put(&mut self, record: impl Into<Record>) -> anyhow::Result<()> {
        self.writes.push(record.into().put());
        if self.writes.len() < WRITES {
            return Ok(());
        }
        self.commit();
        while self.running.len() > TRANSACTIONS {
            self.await_one().await?;
        }
        Ok(())
    }

    fn commit(&mut self) {
        let store = Arc::clone(&self.store);
        let transaction = Transaction {
            writes: std::mem::take(&mut self.writes),
            ..Transaction::default()
        };
        self.running
            .spawn(async move { store.commit(transaction).await });
    }

    async fn await_one(&mut self) -> anyhow::Result<()> {
        if let Some(committed) = self.running.join_next().await {
            committed?.context("seeding the store")?;
        }
        Ok(())
    }

    async fn finish(mut self) -> anyhow::Result<()> {
        if !self.writes.is_empty() {
            self.commit();
        }
        while !self.running.is_empty() {
            self.await_one().await?;
        }
        Ok(())
    }
}
