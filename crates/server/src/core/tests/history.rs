//! What competing operations did: which state each was decided on, which revision it became, and
//! which guards protected it. A guard can be taken away to see what it is for.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use model::{PeeringConnection, Quotas, VpcRef};
use store::record::{Key, Record, decode};
use store::{
    Answer, AnswerKey, Change, CommitError, Revision, Snapshot, Store, StoreError, Transaction,
    Watch, WatchError, Write,
};

use super::*;
use crate::clock::Clock;
use crate::core::AccountCreate;

tokio::task_local! {
    static TRACE: RefCell<Trace>;
}

/// What one operation has done so far.
struct Trace {
    decision: Decision,
    /// The VPC that the operation is about, when it is about one.
    subject: Option<VpcId>,
    attempts: Vec<Attempt>,
}

/// One decision on one state.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The state's revision.
    pub decided_on: Revision,
    /// What the clock showed, from the first to the last time that it was read.
    pub clock: Option<(UnixMillis, UnixMillis)>,
    /// What it became.
    pub committed: Option<Revision>,
}

/// Called by the core whenever it decides.
pub fn decided_on(revision: Revision) {
    let attempt = Attempt {
        decided_on: revision,
        clock: None,
        committed: None,
    };
    // Operations outside of a history are not traced.
    let _ = TRACE.try_with(|trace| trace.borrow_mut().attempts.push(attempt));
}

fn note(change: impl FnOnce(&mut Attempt)) {
    let _ = TRACE.try_with(|trace| trace.borrow_mut().attempts.last_mut().map(change));
}

/// One thing that is done to the state.
#[derive(Debug, Clone)]
pub enum Op {
    /// A caller's command.
    Call(Uin, Command),
    /// The gateways have done a task's part.
    Succeed(TaskId),
    /// They have not.
    Fail(TaskId),
    /// A gateway does not carry a peering any more.
    Confirm(PeeringConnectionId, model::GatewayId),
    /// Time has passed.
    Expire,
    /// The operator changes an account's quotas.
    Quota(Uin, Quotas),
    /// A gateway joins, with the secret of its token.
    Join(Vec<u8>, u8),
}

/// What an operation decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decision {
    Create,
    Accept,
    Reject,
    Enable,
    Delete,
    Modify,
    Succeed,
    Fail,
    Confirm,
    Expire,
    /// The blocks of a VPC.
    Extend,
    /// Neither a peering nor the blocks of a VPC.
    Other,
}

impl Op {
    fn decision(&self) -> Decision {
        match self {
            Op::Call(_, command) => match command {
                Command::PeeringCreate(_) => Decision::Create,
                Command::PeeringAccept(_) => Decision::Accept,
                Command::PeeringReject(_) => Decision::Reject,
                Command::PeeringEnable(_) => Decision::Enable,
                Command::PeeringDelete(_) => Decision::Delete,
                Command::PeeringModify(_) => Decision::Modify,
                Command::AssistantCidrModify(_) => Decision::Extend,
                _ => Decision::Other,
            },
            Op::Succeed(_) => Decision::Succeed,
            Op::Fail(_) => Decision::Fail,
            Op::Confirm(..) => Decision::Confirm,
            Op::Expire => Decision::Expire,
            Op::Quota(..) | Op::Join(..) => Decision::Other,
        }
    }
}

impl Op {
    fn subject(&self) -> Option<VpcId> {
        match self {
            Op::Call(_, Command::AssistantCidrModify(ask)) => match ask.target.vpc {
                VpcRef::Unified(id) => Some(id),
                VpcRef::Legacy(_) => None,
            },
            _ => None,
        }
    }
}

/// An operation and what became of it.
#[derive(Debug)]
pub struct Done {
    pub op: Op,
    pub attempts: Vec<Attempt>,
    /// `None`: it gave up after too many conflicts.
    pub result: Option<Result<Outcome, DomainError>>,
}

/// Does an operation and notes how it went.
pub async fn perform(core: &Core, op: Op) -> Done {
    let trace = RefCell::new(Trace {
        decision: op.decision(),
        subject: op.subject(),
        attempts: Vec::new(),
    });
    let traced = TRACE.scope(trace, async {
        let result = execute(core, &op).await;
        let attempts = TRACE.with(|trace| std::mem::take(&mut trace.borrow_mut().attempts));
        (result, attempts)
    });
    let (result, attempts) = traced.await;
    let result = match result {
        Ok(outcome) => Some(Ok(outcome)),
        Err(UseCaseError::Domain(error)) => Some(Err(error)),
        Err(UseCaseError::Busy) => None,
        Err(error) => panic!("{op:?}: {error}"),
    };
    Done {
        op,
        attempts,
        result,
    }
}

async fn execute(core: &Core, op: &Op) -> Result<Outcome, UseCaseError> {
    let done = |()| Outcome::Done;
    match op {
        Op::Call(caller, command) => core.execute(*caller, command.clone()).await,
        Op::Succeed(task) => core.task_succeed(*task).await.map(done),
        Op::Fail(task) => core.task_fail(*task, "random".to_owned()).await.map(done),
        Op::Confirm(peering, gateway) => core.tombstone_confirm(*peering, *gateway).await.map(done),
        Op::Expire => core.expire_due().await.map(|_| Outcome::Done),
        Op::Quota(owner, quotas) => {
            let set = |draft: &mut crate::core::commit::Draft<'_>| {
                let account = draft.catalog().account(*owner).unwrap().clone();
                let quotas = *quotas;
                draft.put(model::Account { quotas, ..account });
                Ok::<_, UseCaseError>(Outcome::Done)
            };
            core.decide(set).await
        }
        Op::Join(secret, number) => {
            let ask = gateway_join(secret.clone(), *number);
            core.gateway_join(ask).await.unwrap();
            Ok(Outcome::Done)
        }
    }
}

/// A clock that notes when it is read.
pub struct TracedClock(pub Arc<FakeClock>);

impl Clock for TracedClock {
    fn now(&self) -> UnixMillis {
        let now = self.0.now();
        note(|attempt| {
            let first = attempt.clock.map_or(now, |(first, _)| first);
            attempt.clock = Some((first, now));
        });
        now
    }
}

/// Two servers on one store that keeps everything it was told.
pub struct Site {
    /// The first server.
    pub(super) bed: Bed,
    pub other: Arc<Core>,
    pub store: Arc<TracedStore>,
}

impl Site {
    pub async fn new(store: TracedStore) -> Site {
        let clock = Arc::new(FakeClock::at(START));
        let store = Arc::new(store);
        let open = || {
            Core::open(
                Arc::clone(&store) as Arc<dyn Store>,
                Arc::new(TracedClock(Arc::clone(&clock))),
                MasterKey::new(&[7; 32]),
                Rules::default(),
            )
        };
        let (core, other) = (open().await.unwrap(), open().await.unwrap());
        let bed = Bed {
            core,
            clock,
            store: Arc::clone(&store) as Arc<dyn Store>,
        };
        Site { bed, other, store }
    }

    /// Makes an account with these quotas for each of its VPCs.
    pub async fn account(&self, uin: u64, peerings_per_vpc: u32, inbox_per_vpc: u32) {
        let ask = AccountCreate {
            uin: Some(Uin(uin)),
            app_id: None,
            name: "test".to_owned(),
        };
        self.bed.core.account_create(ask).await.unwrap();
        let op = quota(uin, peerings_per_vpc, inbox_per_vpc);
        execute(&self.bed.core, &op).await.unwrap();
    }

    /// Waits until both servers know everything; the last revision.
    pub async fn settle(&self) -> Revision {
        let last = self.store.snapshot().await.unwrap().revision;
        for core in [&self.bed.core, &self.other] {
            let mut revisions = core.revisions();
            let reached = revisions.wait_for(|revision| *revision >= last).await;
            drop(reached.unwrap());
        }
        last
    }
}

/// The operation that sets these quotas.
pub fn quota(uin: u64, peerings_per_vpc: u32, inbox_per_vpc: u32) -> Op {
    let quotas = Quotas {
        peerings_per_vpc,
        inbox_per_vpc,
        ..Quotas::default()
    };
    Op::Quota(Uin(uin), quotas)
}

/// What a guard is about, as seen from the peering, or the VPC, of its decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guarded {
    RequesterVpc,
    AccepterVpc,
    RequesterAccount,
    AccepterAccount,
    Peering,
    /// The number that a new task takes.
    NewTask,
    /// A task that is ended or forgotten.
    OldTask,
    Tombstone,
    Vni,
    RouteTable,
    /// Which gateway a region has.
    Gateways,
    /// The VPC that is extended.
    OwnVpc,
    /// One that it is peered with.
    PeerVpc,
    /// Its owner.
    OwnAccount,
}

/// A memory store that keeps everything it was told, and can be told to ignore a guard.
pub struct TracedStore {
    inner: MemoryStore,
    /// Lets others go first between a decision and its commit.
    is_hesitant: bool,
    ignored: Option<(Decision, Guarded)>,
    pub commits: AtomicU64,
    pub conflicts: AtomicU64,
    pub changes: Mutex<BTreeMap<Revision, Change>>,
    /// What protected which decision.
    pub seen: Mutex<BTreeSet<(Decision, Guarded)>>,
}

impl TracedStore {
    pub fn new(is_hesitant: bool, ignored: Option<(Decision, Guarded)>) -> TracedStore {
        TracedStore {
            inner: MemoryStore::new(),
            is_hesitant,
            ignored,
            commits: AtomicU64::new(0),
            conflicts: AtomicU64::new(0),
            changes: Mutex::default(),
            seen: Mutex::default(),
        }
    }

    /// Notes the guards of a transaction and takes the ignored one away.
    fn inspect(&self, transaction: &mut Transaction) {
        let traced = TRACE.try_with(|trace| (trace.borrow().decision, trace.borrow().subject));
        let Ok((decision, subject)) = traced else {
            return;
        };
        if decision == Decision::Other {
            return;
        }
        let peering = self.peering_of(transaction);
        let kinds: Vec<Option<Guarded>> = transaction
            .guards
            .iter()
            .map(|guard| match subject {
                Some(vpc) => Some(kind_about_vpc(&guard.key, vpc)),
                None => kind_of(&guard.key, guard.expected, peering.as_ref()),
            })
            .collect();
        let seen = kinds.iter().flatten().map(|kind| (decision, *kind));
        self.seen.lock().unwrap().extend(seen);
        let mut kinds = kinds.into_iter();
        transaction.guards.retain(|_| {
            let kind = kinds.next().flatten();
            kind.is_none() || kind.map(|kind| (decision, kind)) != self.ignored
        });
    }

    /// The peering that a transaction writes, or removes.
    fn peering_of(&self, transaction: &Transaction) -> Option<PeeringConnection> {
        let write = transaction
            .writes
            .iter()
            .find(|write| write.key().starts_with("pcx/"))?;
        let value = match write {
            Write::Put { value, .. } => value.clone(),
            Write::Delete { key } => {
                let changes = self.changes.lock().unwrap();
                let puts = changes.values().rev().flat_map(|change| &change.writes);
                puts.filter(|put| put.key() == key)
                    .find_map(|put| match put {
                        Write::Put { value, .. } => Some(value.clone()),
                        Write::Delete { .. } => None,
                    })?
            }
        };
        match decode(write.key(), &value).unwrap() {
            Record::Peering(peering) => Some(peering),
            other => panic!("{other:?}"),
        }
    }
}

fn kind_about_vpc(key: &str, vpc: VpcId) -> Guarded {
    match key.parse().unwrap() {
        Key::Vpc(id) if id == vpc => Guarded::OwnVpc,
        Key::Vpc(_) => Guarded::PeerVpc,
        Key::Account(_) => Guarded::OwnAccount,
        other => panic!("a decision about blocks is guarded by {other:?}"),
    }
}

fn kind_of(
    key: &str,
    expected: Option<Revision>,
    peering: Option<&PeeringConnection>,
) -> Option<Guarded> {
    let ends = || {
        let peering = peering.expect("the transaction writes a peering");
        (peering.requester, peering.accepter)
    };
    Some(match key.parse().unwrap() {
        Key::Vpc(id) if id == ends().0.vpc => Guarded::RequesterVpc,
        Key::Vpc(_) => Guarded::AccepterVpc,
        Key::Account(uin) if uin == ends().0.owner => Guarded::RequesterAccount,
        Key::Account(_) => Guarded::AccepterAccount,
        Key::Peering(_) => Guarded::Peering,
        Key::Task(_) if expected.is_none() => Guarded::NewTask,
        Key::Task(_) => Guarded::OldTask,
        Key::Tombstone(_) => Guarded::Tombstone,
        Key::Vni(_) => Guarded::Vni,
        Key::RouteTable(_) => Guarded::RouteTable,
        Key::Tally { .. } => Guarded::Gateways,
        // Void tokens are forgotten together with old tasks.
        Key::Join(_) => return None,
        other => panic!("a decision about a peering is guarded by {other:?}"),
    })
}

#[async_trait]
impl Store for TracedStore {
    async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        self.inner.snapshot().await
    }

    async fn commit(&self, mut transaction: Transaction) -> Result<Revision, CommitError> {
        if self.is_hesitant {
            for _ in 0..rand::random_range(0..4) {
                tokio::task::yield_now().await;
            }
        }
        self.inspect(&mut transaction);
        let writes = transaction.writes.clone();
        // Noted before anybody can have seen it.
        let mut changes = self.changes.lock().unwrap();
        let commit = self.inner.commit(transaction).now_or_never();
        let result = commit.expect("memory does not wait");
        match &result {
            Ok(revision) => {
                let revision = *revision;
                self.commits.fetch_add(1, Ordering::Relaxed);
                changes.insert(revision, Change { revision, writes });
                note(|attempt| attempt.committed = Some(revision));
            }
            Err(_) => drop(self.conflicts.fetch_add(1, Ordering::Relaxed)),
        }
        result
    }

    async fn remember(&self, answer: Answer) -> Result<(), CommitError> {
        self.inner.remember(answer).await
    }

    async fn answer_to(&self, request: AnswerKey) -> Result<Option<Bytes>, StoreError> {
        self.inner.answer_to(request).await
    }

    async fn forget_answers(
        &self,
        before: UnixMillis,
        at_most: usize,
    ) -> Result<usize, StoreError> {
        self.inner.forget_answers(before, at_most).await
    }

    async fn watch(&self, from: Revision) -> Result<Watch, WatchError> {
        self.inner.watch(from).await
    }
}
