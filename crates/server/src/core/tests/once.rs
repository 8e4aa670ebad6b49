//! Requests that come again: one effect, one answer.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use store::{
    Answer, AnswerKey, BackendError, CommitError, Full, KnownBy, Revision, Snapshot, SqliteStore,
    StoreError, Tally, Transaction, Watch, WatchError,
};
use tokio::task::JoinSet;

use super::*;
use crate::core::{AccountCreate, Execution};

const ONE: u64 = 1;

fn request(number: u8) -> AnswerKey {
    AnswerKey {
        made_at: START,
        digest: [number; 32],
        known_by: KnownBy::TimeAndDigest,
    }
}

/// Shows everything, so that answers differ whenever anything does.
fn render(decided: Result<&Outcome, &DomainError>, _: Option<TaskId>) -> Bytes {
    format!("{decided:?}").into()
}

async fn once(core: &Core, command: &Command, number: u8) -> Result<Execution, UseCaseError> {
    let asked = core.execute_once(Uin(ONE), command, request(number), &render);
    asked.await
}

fn first(execution: Result<Execution, UseCaseError>) -> Bytes {
    match execution.unwrap() {
        Execution::First { decided, answer } => {
            assert_eq!(answer, render((*decided).as_ref(), None));
            answer
        }
        Execution::Repeated { .. } => panic!("it was answered before"),
    }
}

fn repeated(execution: Result<Execution, UseCaseError>) -> Bytes {
    match execution.unwrap() {
        Execution::Repeated { answer } => answer,
        Execution::First { decided, .. } => panic!("it was decided: {decided:?}"),
    }
}

fn create(cidr: &str) -> Command {
    Command::VpcCreate(vpc_create(GZ, cidr, &[]))
}

fn vpcs(core: &Core) -> usize {
    core.catalog().vpcs().count()
}

#[tokio::test]
async fn a_repetition_has_no_effect_and_gets_the_first_answer() {
    let bed = Bed::new().await;
    let command = create("10.1.0.0/16");
    let answer = first(once(&bed.core, &command, 1).await);
    let revision = bed.core.catalog().revision();
    assert_eq!(repeated(once(&bed.core, &command, 1).await), answer);
    assert_eq!(bed.core.catalog().revision(), revision);
    // What is answered does not depend on what the command would come to by now.
    let other = create("10.1.0.0/30");
    assert_eq!(repeated(once(&bed.core, &other, 1).await), answer);
    assert_eq!(vpcs(&bed.core), 1);
    // An equal command of another request is another command.
    assert_ne!(first(once(&bed.core, &command, 2).await), answer);
    assert_eq!(vpcs(&bed.core), 2);
}

#[tokio::test]
async fn a_refusal_stays_one_when_its_cause_is_gone() {
    let bed = Bed::without_dataplane().await;
    let hub = bed.vpc(ONE, GZ, "10.1.0.0/16").await;
    let spoke = bed.vpc(ONE, SH, "10.2.0.0/16").await;
    let command = Command::PeeringCreate(peering_create(&hub, &spoke));
    let peering = bed.request(&hub, &spoke).await.unwrap();
    let refusal = first(once(&bed.core, &command, 1).await);
    assert!(refusal.starts_with(b"Err"), "{refusal:?}");
    bed.delete(&peering).await.unwrap();
    assert_eq!(repeated(once(&bed.core, &command, 1).await), refusal);
    assert!(first(once(&bed.core, &command, 2).await).starts_with(b"Ok"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_equal_requests_at_once_one_has_an_effect() {
    let folder = tempfile::tempdir().unwrap();
    for (store, rounds) in [
        (Arc::new(MemoryStore::new()) as Arc<dyn Store>, 20),
        (sqlite(folder.path()), 10),
    ] {
        let clock = Arc::new(FakeClock::at(START));
        let core = open(&store, &clock, Rules::default()).await;
        let account = AccountCreate {
            uin: Some(Uin(ONE)),
            app_id: None,
            name: "one".to_owned(),
        };
        core.account_create(account).await.unwrap();
        let roomy = |quotas: &mut model::Quotas| quotas.vpcs_per_region = 1000;
        core.quotas_set(Uin(ONE), roomy).await.unwrap();
        for round in 1..=rounds {
            let mut competitors = JoinSet::new();
            for _ in 0..16 {
                let core = Arc::clone(&core);
                let command = create("10.1.0.0/16");
                competitors.spawn(async move {
                    let execution = once(&core, &command, round).await.unwrap();
                    assert_eq!(vpcs(&core), usize::from(round), "visible to everyone");
                    execution
                });
            }
            let executions = competitors.join_all().await;
            let is_first = |execution: &&Execution| matches!(execution, Execution::First { .. });
            assert_eq!(executions.iter().filter(is_first).count(), 1);
            let answers: BTreeSet<Bytes> = executions
                .into_iter()
                .map(|execution| match execution {
                    Execution::First { answer, .. } | Execution::Repeated { answer } => answer,
                })
                .collect();
            assert_eq!(answers.len(), 1, "{answers:?}");
        }
    }
}

fn sqlite(folder: &Path) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(&folder.join("state.db")).unwrap())
}

#[tokio::test]
async fn answers_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(FakeClock::at(START));
    let (created, refused) = (create("10.1.0.0/16"), create("10.1.0.0/30"));
    let mut answers = Vec::new();
    for run in 0..2 {
        let store = sqlite(folder.path());
        let core = open(&store, &clock, Rules::default()).await;
        for (command, number) in [(&created, 1), (&refused, 2)] {
            let execution = once(&core, command, number).await;
            match run {
                0 => answers.push(first(execution)),
                _ => assert_eq!(repeated(execution), answers[usize::from(number) - 1]),
            }
        }
        assert_eq!(vpcs(&core), 1);
        // The core's follower holds the store a little longer.
        let held = Arc::downgrade(&store);
        drop((core, store));
        while held.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_second_server_gives_the_answer_of_the_first() {
    let bed = Bed::new().await;
    let second = open(&bed.store, &bed.clock, Rules::default()).await;
    for number in 1..=5 {
        let command = create("10.1.0.0/16");
        let answer = first(once(&bed.core, &command, number).await);
        assert_eq!(repeated(once(&second, &command, number).await), answer);
        assert_eq!(vpcs(&second), usize::from(number));
    }
}

/// A request that its sender named, at some time.
fn named(number: u8, made_at: UnixMillis) -> AnswerKey {
    AnswerKey {
        made_at,
        digest: [number; 32],
        known_by: KnownBy::Digest,
    }
}

#[tokio::test]
async fn a_named_request_succeeds_once_whenever_and_wherever_it_comes() {
    let bed = Bed::new().await;
    let other = open(&bed.store, &bed.clock, Rules::default()).await;
    let command = create("10.1.0.0/16");
    let ask = async |core: &Core, made_at| {
        let key = named(1, made_at);
        core.execute_once(Uin(ONE), &command, key, &render).await
    };
    let answer = first(ask(&bed.core, START).await);
    let later = START.after(Duration::from_secs(3600));
    assert_eq!(repeated(ask(&bed.core, later).await), answer);
    assert_eq!(repeated(ask(&other, later).await), answer);
    assert_eq!(vpcs(&other), 1);
    // What is forgotten is a new request.
    assert_eq!(bed.core.forget_answers(later, 10).await.unwrap(), 1);
    assert_ne!(first(ask(&other, later).await), answer);
    assert_eq!(vpcs(&other), 2);
}

#[tokio::test]
async fn of_equal_named_requests_at_two_servers_one_succeeds() {
    let bed = Bed::new().await;
    let other = open(&bed.store, &bed.clock, Rules::default()).await;
    for round in 1..=4 {
        let mut competitors = JoinSet::new();
        for number in 0..16 {
            let core = Arc::clone(if number % 2 == 0 { &bed.core } else { &other });
            let key = named(round, START.after(Duration::from_secs(number)));
            competitors.spawn(async move {
                let command = create("10.1.0.0/16");
                core.execute_once(Uin(ONE), &command, key, &render).await
            });
        }
        let executions = competitors.join_all().await;
        let is_first = |execution: &&Execution| matches!(execution, Execution::First { .. });
        let executions = executions.into_iter().map(Result::unwrap);
        let executions: Vec<Execution> = executions.collect();
        assert_eq!(executions.iter().filter(is_first).count(), 1);
        assert_eq!(vpcs(&other), usize::from(round));
    }
}

#[tokio::test]
async fn the_refusal_of_a_named_request_is_decided_again() {
    let bed = Bed::new().await;
    let account = AccountCreate {
        uin: Some(Uin(ONE)),
        app_id: None,
        name: "one".to_owned(),
    };
    bed.core.account_create(account).await.unwrap();
    let few = |quotas: &mut model::Quotas| quotas.vpcs_per_region = 0;
    bed.core.quotas_set(Uin(ONE), few).await.unwrap();
    let command = create("10.1.0.0/16");
    let ask = async || {
        let key = named(1, START);
        bed.core
            .execute_once(Uin(ONE), &command, key, &render)
            .await
    };
    let refusal = first(ask().await);
    let more = |quotas: &mut model::Quotas| quotas.vpcs_per_region = 1;
    bed.core.quotas_set(Uin(ONE), more).await.unwrap();
    let answer = first(ask().await);
    assert_ne!(answer, refusal);
    // A second one would be refused by now, and gets the first answer.
    assert_eq!(repeated(ask().await), answer);
    assert_eq!(vpcs(&bed.core), 1);
}

#[tokio::test]
async fn without_room_for_the_answer_nothing_is_done() {
    let tally = |answers| Tally {
        answers,
        bytes: 1 << 20,
    };
    let bounds = store::AnswerBounds {
        total: tally(10),
        per_account: tally(2),
    };
    let store: Arc<dyn Store> = Arc::new(MemoryStore::with_answers(bounds));
    let clock = Arc::new(FakeClock::at(START));
    let core = open(&store, &clock, Rules::default()).await;
    let (created, refused) = (create("10.1.0.0/16"), create("10.1.0.0/30"));
    let answer = first(once(&core, &created, 1).await);
    first(once(&core, &refused, 2).await);
    for command in [&created, &refused] {
        match once(&core, command, 3).await {
            Err(UseCaseError::AnswersFull(Full::Account(account))) => assert_eq!(account, Uin(ONE)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(vpcs(&core), 1);
    assert_eq!(repeated(once(&core, &created, 1).await), answer);
    // What does not come with a request goes on.
    core.execute(Uin(ONE), created.clone()).await.unwrap();
    let forgotten = core.forget_answers(UnixMillis(START.0 + 1), 10).await;
    assert_eq!(forgotten.unwrap(), 2);
    first(once(&core, &created, 3).await);
    assert_eq!(vpcs(&core), 3);
}

#[tokio::test]
async fn a_failure_of_the_store_is_not_remembered() {
    let failing = Arc::new(Failing {
        inner: MemoryStore::new(),
        is_down: AtomicBool::new(false),
    });
    let store: Arc<dyn Store> = Arc::clone(&failing) as Arc<dyn Store>;
    let clock = Arc::new(FakeClock::at(START));
    let core = open(&store, &clock, Rules::default()).await;
    let (created, refused) = (create("10.1.0.0/16"), create("10.1.0.0/30"));
    failing.is_down.store(true, Ordering::SeqCst);
    for (command, number) in [(&created, 1), (&refused, 2)] {
        let failed = once(&core, command, number).await;
        assert!(matches!(failed, Err(UseCaseError::Unavailable { .. })));
    }
    failing.is_down.store(false, Ordering::SeqCst);
    assert!(first(once(&core, &created, 1).await).starts_with(b"Ok"));
    assert!(first(once(&core, &refused, 2).await).starts_with(b"Err"));
}

/// A store that commits nothing while it is down.
struct Failing {
    inner: MemoryStore,
    is_down: AtomicBool,
}

impl Failing {
    fn check(&self) -> Result<(), CommitError> {
        if self.is_down.load(Ordering::SeqCst) {
            let full = std::io::Error::other("the disk is full");
            return Err(CommitError::Backend(BackendError::new("committing", full)));
        }
        Ok(())
    }
}

#[async_trait]
impl Store for Failing {
    async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        self.inner.snapshot().await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, CommitError> {
        self.check()?;
        self.inner.commit(transaction).await
    }

    async fn remember(&self, answer: Answer) -> Result<(), CommitError> {
        self.check()?;
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
