//! First answers: remembered with their transaction, bounded, forgotten with time.

use std::sync::Arc;

use bytes::Bytes;
use model::{Uin, UnixMillis};
use tokio::task::JoinSet;

use super::{WRITERS, commit, conflict, guard, next, put, snapshot, watch, writes};
use crate::answer::{Answer, AnswerBounds, AnswerKey, KnownBy, Tally};
use crate::error::{CommitError, Full};
use crate::transaction::{Change, Revision, Snapshot, Transaction};
use crate::{Limit, Store};

const ONE: Uin = Uin(1);
const OTHER: Uin = Uin(2);

pub(super) async fn run<S: Store>(mut open: impl FnMut(AnswerBounds) -> S) {
    let few = bounds((5, 1000), (3, 1000));
    let short = bounds((100, 25), (100, 10));
    let mut roomy = || open(AnswerBounds::default());
    a_request_is_answered_once(&roomy()).await;
    a_refusal_is_remembered_without_a_revision(&roomy()).await;
    answers_are_in_no_snapshot_and_no_watch(&roomy()).await;
    a_conflict_remembers_nothing(&roomy()).await;
    answers_of_any_bytes_come_back(&roomy()).await;
    an_answer_that_is_too_long_is_refused(&roomy()).await;
    the_oldest_answers_are_forgotten_first(&roomy()).await;
    a_digest_alone_makes_requests_the_same(&roomy()).await;
    of_equal_digests_one_has_an_effect(Arc::new(roomy())).await;
    of_equal_requests_one_has_an_effect(Arc::new(roomy())).await;
    a_full_store_keeps_what_it_remembers(&open(few)).await;
    the_bytes_of_answers_are_bounded(&open(short)).await;
}

/// A bound of answers and their bytes, in total and for each account.
pub fn bounds(total: (u64, u64), per_account: (u64, u64)) -> AnswerBounds {
    let tally = |(answers, bytes)| Tally { answers, bytes };
    AnswerBounds {
        total: tally(total),
        per_account: tally(per_account),
    }
}

/// The answer to a request that was made at a time; a request is known by time and number.
pub fn answer(account: Uin, made_at: i64, number: u8, value: &str) -> Answer {
    Answer {
        key: AnswerKey {
            made_at: UnixMillis(made_at),
            digest: [number; 32],
            known_by: KnownBy::TimeAndDigest,
        },
        account,
        value: Bytes::copy_from_slice(value.as_bytes()),
    }
}

/// The answer to a request that is known by its number alone.
fn named(made_at: i64, number: u8, value: &str) -> Answer {
    let mut answer = answer(ONE, made_at, number, value);
    answer.key.known_by = KnownBy::Digest;
    answer
}

fn answering(answer: Answer, key: &str) -> Transaction {
    Transaction {
        answer: Some(answer),
        ..writes([put(key, "1")])
    }
}

fn answered<T>(value: &str, revision: u64) -> Result<T, CommitError> {
    Err(CommitError::Answered {
        value: Bytes::copy_from_slice(value.as_bytes()),
        revision: Revision(revision),
    })
}

async fn a_request_is_answered_once(store: &impl Store) {
    let first = answer(ONE, 5, 1, "first");
    assert_eq!(commit(store, answering(first, "a")).await, Revision(1));
    let again = answer(ONE, 5, 1, "again");
    let repeated = store.commit(answering(again.clone(), "b")).await;
    assert_eq!(repeated, answered("first", 1));
    assert_eq!(store.remember(again).await, answered("first", 1));
    assert!(repeated.is_err_and(|error| !error.retryable()));
    // The time and the digest make a request what it is, not the account.
    for (other, key) in [
        (answer(ONE, 6, 1, "later"), "c"),
        (answer(ONE, 5, 2, "else"), "d"),
    ] {
        commit(store, answering(other, key)).await;
    }
    let repeated = store.remember(answer(OTHER, 5, 1, "again")).await;
    assert_eq!(repeated, answered("first", 3));
    let keys: Vec<String> = snapshot(store).await.entries.into_keys().collect();
    assert_eq!(keys, ["a", "c", "d"]);
}

async fn a_refusal_is_remembered_without_a_revision(store: &impl Store) {
    let refusal = answer(ONE, 5, 1, "refused");
    assert_eq!(store.remember(refusal).await, Ok(()));
    let again = answer(ONE, 5, 1, "done");
    let repeated = store.commit(answering(again, "a")).await;
    assert_eq!(repeated, answered("refused", 0));
    assert_eq!(snapshot(store).await, Snapshot::default());
    assert_eq!(commit(store, writes([put("a", "1")])).await, Revision(1));
}

async fn answers_are_in_no_snapshot_and_no_watch(store: &impl Store) {
    let mut watch = watch(store, Revision::ZERO).await;
    let refusal = answer(ONE, 5, 1, "refused");
    assert_eq!(store.remember(refusal).await, Ok(()));
    commit(store, answering(answer(ONE, 5, 2, "done"), "a")).await;
    let writes = vec![put("a", "1")];
    let revision = Revision(1);
    assert_eq!(next(&mut watch).await, Change { revision, writes });
    assert_eq!(snapshot(store).await.entries.len(), 1);
}

async fn a_conflict_remembers_nothing(store: &impl Store) {
    commit(store, writes([put("a", "1")])).await;
    let guarded = |expected, value| Transaction {
        guards: vec![guard("a", expected)],
        ..answering(answer(ONE, 5, 1, value), "a")
    };
    let refused = store.commit(guarded(None, "refused")).await;
    assert_eq!(refused, conflict("a", Some(Revision(1))));
    let decided_again = guarded(Some(Revision(1)), "done");
    assert_eq!(commit(store, decided_again).await, Revision(2));
    // Whoever lost against the same request learns its answer, not that something has changed.
    let lost = store.commit(guarded(Some(Revision(1)), "late")).await;
    assert_eq!(lost, answered("done", 2));
}

async fn answers_of_any_bytes_come_back(store: &impl Store) {
    let values = [&b""[..], b"{\"code\":0}", b"42", b"\0\n", &[0xff, 0x00]];
    for (number, value) in (0..).zip(values) {
        let mut first = answer(ONE, 5, number, "");
        first.value = Bytes::copy_from_slice(value);
        assert_eq!(store.remember(first.clone()).await, Ok(()));
        let (value, revision) = (first.value.clone(), Revision::ZERO);
        let repeated = store.remember(first).await;
        assert_eq!(repeated, Err(CommitError::Answered { value, revision }));
    }
}

async fn an_answer_that_is_too_long_is_refused(store: &impl Store) {
    let (limit, found) = (Limit::Answer, Limit::Answer.max() + 1);
    let long = answer(ONE, 5, 1, &"x".repeat(found));
    let too_large = CommitError::TooLarge { limit, found };
    assert_eq!(store.remember(long.clone()).await, Err(too_large.clone()));
    let refused = store.commit(answering(long, "a")).await;
    assert_eq!(refused, Err(too_large));
    let longest = answer(ONE, 5, 1, &"x".repeat(limit.max()));
    assert_eq!(store.remember(longest).await, Ok(()));
    assert_eq!(snapshot(store).await, Snapshot::default());
}

async fn the_oldest_answers_are_forgotten_first(store: &impl Store) {
    for (made_at, number) in [(3, 1), (1, 2), (2, 3), (1, 4)] {
        let value = format!("{made_at}/{number}");
        let first = answer(ONE, made_at, number, &value);
        assert_eq!(store.remember(first).await, Ok(()));
    }
    let forget = async |before, at_most| {
        let forgotten = store.forget_answers(UnixMillis(before), at_most).await;
        forgotten.expect("forgets")
    };
    assert_eq!(forget(1, 10).await, 0, "what was made at the time stays");
    assert_eq!(forget(3, 1).await, 1);
    assert_eq!(forget(3, 0).await, 0);
    let second = store.remember(answer(ONE, 2, 3, "")).await;
    assert_eq!(second, answered("2/3", 0));
    assert_eq!(forget(3, 10).await, 2);
    assert_eq!(forget(3, 10).await, 0);
    let last = store.remember(answer(ONE, 3, 1, "")).await;
    assert_eq!(last, answered("3/1", 0));
    // What is forgotten is a new request.
    let revision = commit(store, answering(answer(ONE, 1, 2, "again"), "a")).await;
    assert_eq!(revision, Revision(1));
}

async fn a_digest_alone_makes_requests_the_same(store: &impl Store) {
    let first = named(5, 1, "first");
    assert_eq!(store.answer_to(first.key).await.expect("reads"), None);
    assert_eq!(
        commit(store, answering(first.clone(), "a")).await,
        Revision(1)
    );
    for made_at in [4, 5, 6] {
        let again = named(made_at, 1, "again");
        let repeated = store.commit(answering(again.clone(), "b")).await;
        assert_eq!(repeated, answered("first", 1));
        assert_eq!(store.remember(again.clone()).await, answered("first", 1));
        let found = store.answer_to(again.key).await.expect("reads");
        assert_eq!(found.as_deref(), Some(&b"first"[..]));
    }
    // A request that is known by its time as well is another one.
    let timed = answer(ONE, 6, 1, "timed");
    assert_eq!(store.answer_to(timed.key).await.expect("reads"), None);
    assert_eq!(store.remember(timed.clone()).await, Ok(()));
    let found = store.answer_to(timed.key).await.expect("reads");
    assert_eq!(found.as_deref(), Some(&b"timed"[..]));
    // What is forgotten is a new request.
    let forgotten = store.forget_answers(UnixMillis(6), 10).await;
    assert_eq!(forgotten.expect("forgets"), 1);
    assert_eq!(store.answer_to(first.key).await.expect("reads"), None);
    let revision = commit(store, answering(named(7, 1, "new"), "c")).await;
    assert_eq!(revision, Revision(2));
}

async fn of_equal_digests_one_has_an_effect(store: Arc<impl Store>) {
    let mut competitors = JoinSet::new();
    for competitor in 0..WRITERS {
        let store = Arc::clone(&store);
        let made_at = i64::try_from(competitor).expect("a small number");
        let first = named(made_at, 1, &competitor.to_string());
        let key = format!("vpc/{competitor}");
        competitors.spawn(async move { store.commit(answering(first, &key)).await });
    }
    let results = competitors.join_all().await;
    let won: Vec<Revision> = results.iter().flatten().copied().collect();
    assert_eq!(won, [Revision(1)], "exactly one wins");
    assert_eq!(snapshot(&*store).await.entries.len(), 1);
}

async fn of_equal_requests_one_has_an_effect(store: Arc<impl Store>) {
    for round in 0..20 {
        let mut competitors = JoinSet::new();
        for competitor in 0..WRITERS {
            let store = Arc::clone(&store);
            let first = answer(ONE, 5, round, &competitor.to_string());
            let key = format!("vpc/{round}/{competitor}");
            competitors.spawn(async move { store.commit(answering(first, &key)).await });
        }
        let results = competitors.join_all().await;
        let won: Vec<Revision> = results.iter().flatten().copied().collect();
        assert_eq!(won, [Revision(u64::from(round) + 1)], "exactly one wins");
        let state = snapshot(&*store).await;
        let prefix = format!("vpc/{round}/");
        let mut effects = state
            .entries
            .keys()
            .filter_map(|key| key.strip_prefix(&prefix));
        let winner = effects.next().expect("an effect");
        assert_eq!(effects.next(), None, "a second effect");
        let lost = answered(winner, won[0].0);
        let losers = results.iter().filter(|result| **result == lost).count();
        assert_eq!(
            losers as u64,
            WRITERS - 1,
            "the others get the first answer"
        );
    }
}

async fn a_full_store_keeps_what_it_remembers(store: &impl Store) {
    let remember = async |account, made_at, number| {
        let first = answer(account, made_at, number, "value");
        store.remember(first).await
    };
    let full_for = |full| Err(CommitError::AnswersFull(full));
    for number in 0..3 {
        assert_eq!(remember(ONE, 1, number).await, Ok(()));
    }
    assert_eq!(remember(ONE, 1, 3).await, full_for(Full::Account(ONE)));
    assert_eq!(remember(OTHER, 2, 10).await, Ok(()));
    assert_eq!(remember(OTHER, 2, 11).await, Ok(()));
    assert_eq!(remember(OTHER, 2, 12).await, full_for(Full::Total));
    let refused = store.commit(answering(answer(OTHER, 2, 12, ""), "a")).await;
    assert_eq!(refused, Err(CommitError::AnswersFull(Full::Total)));
    assert_eq!(snapshot(store).await, Snapshot::default());
    for number in 0..3 {
        assert_eq!(remember(ONE, 1, number).await, answered("value", 0));
    }
    // What needs no answer goes on.
    assert_eq!(commit(store, writes([put("a", "1")])).await, Revision(1));
    let forgotten = store.forget_answers(UnixMillis(2), 1).await;
    assert_eq!(forgotten.expect("forgets"), 1);
    assert_eq!(remember(ONE, 1, 3).await, Ok(()));
    assert_eq!(remember(ONE, 1, 4).await, full_for(Full::Account(ONE)));
}

async fn the_bytes_of_answers_are_bounded(store: &impl Store) {
    let remember = async |account: u64, number, bytes| {
        let first = answer(Uin(account), 1, number, &"x".repeat(bytes));
        store.remember(first).await
    };
    let full_for = |full| Err(CommitError::AnswersFull(full));
    assert_eq!(remember(1, 0, 11).await, full_for(Full::Account(ONE)));
    assert_eq!(remember(1, 0, 6).await, Ok(()));
    assert_eq!(remember(1, 1, 5).await, full_for(Full::Account(ONE)));
    assert_eq!(remember(1, 1, 4).await, Ok(()));
    assert_eq!(remember(2, 2, 10).await, Ok(()));
    assert_eq!(remember(3, 3, 6).await, full_for(Full::Total));
    assert_eq!(remember(3, 3, 5).await, Ok(()));
}
