use std::pin::Pin;
use std::task::{Context, Poll};

use api::tencent::{Method, Parameters, SignedRequest};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use model::{KeyStatus, Uin, UnixMillis};
use serde_json::Value;
use store::{SqliteStore, Store};

use super::*;
use crate::clock::FakeClock;
use crate::core::{AccountCreate, Dataplane, KeyCreate, Rules};
use crate::sealing::MasterKey;

struct Fixture {
    api: PublicApi,
    store: Arc<SqliteStore>,
    clock: Arc<FakeClock>,
}

impl std::ops::Deref for Fixture {
    type Target = PublicApi;

    fn deref(&self) -> &PublicApi {
        &self.api
    }
}

async fn api(folder: &tempfile::TempDir) -> Fixture {
    let store = Arc::new(SqliteStore::open(&folder.path().join("state")).unwrap());
    let clock = Arc::new(FakeClock::at(UnixMillis(0)));
    let rules = Rules {
        dataplane: Dataplane::None,
        ..Rules::default()
    };
    let shared: Arc<dyn Store> = Arc::clone(&store) as Arc<dyn Store>;
    let key = MasterKey::new(&[7; 32]);
    let core = Core::open(shared, clock.clone(), key, rules).await.unwrap();
    let telemetry = Arc::new(Telemetry::new(Arc::clone(&store)));
    let audit = Audit::open(&folder.path().join("audit"), 1 << 20, clock.clone()).unwrap();
    let sessions = Sessions::new(clock.clone());
    let options = ApiOptions {
        limits: Limits::default(),
        clock_window: Duration::from_secs(7200),
        replay: Replay::default(),
        rate_limit: Rate::DEFAULT,
    };
    let api = PublicApi {
        body_time_limit: Duration::from_millis(50),
        ..PublicApi::new(core, sessions, telemetry, audit, options)
    };
    Fixture { api, store, clock }
}

async fn post<B>(body: B) -> Value
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let folder = tempfile::tempdir().unwrap();
    let request = Request::post(PATH).body(body).unwrap();
    let answer = api(&folder).await.respond(request).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["connection"], "close");
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_cut() {
    let never = StreamBody::new(futures::stream::pending::<Result<Frame<Bytes>, Infallible>>());
    let answer = post(never).await;
    assert_eq!(answer["code"], 4000, "{answer}");
    assert!(
        answer["message"].as_str().unwrap().contains("in time"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_body_that_breaks_off_is_refused() {
    let broken = std::io::Error::other("reset");
    let frames = futures::stream::iter([Err::<Frame<Bytes>, _>(broken)]);
    let answer = post(StreamBody::new(frames)).await;
    assert_eq!(answer["code"], 4000, "{answer}");
}

/// Makes an account with a key that [`get`] signs with.
async fn make_account(api: &Fixture) {
    let owner = Uin(1);
    let ask = AccountCreate {
        uin: Some(owner),
        app_id: None,
        name: "one".to_owned(),
    };
    api.core.account_create(ask).await.unwrap();
    let ask = KeyCreate {
        secret_id: Some("AKIDone".to_owned()),
        secret_key: Some("secret".to_owned()),
        ..KeyCreate::of_account(owner)
    };
    api.core.key_create(ask).await.unwrap();
}

/// Calls an action with a request of the time 0.
async fn get(api: &Fixture, action: &str, more: &[(&str, &str)]) -> Bytes {
    let pairs = [
        ("Action", action),
        ("Region", "gz"),
        ("Timestamp", "0"),
        ("Nonce", "1"),
        ("SecretId", "AKIDone"),
    ];
    let mut parameters = Parameters::from_iter(pairs.iter().chain(more).copied());
    let signature = api::tencent::sign(
        &SignedRequest {
            method: Method::Get,
            host: "localhost",
            path: PATH,
            parameters: &parameters,
        },
        b"secret",
    );
    parameters.push("Signature", signature);
    let target = format!("{PATH}?{}", parameters.to_form());
    let request = Request::get(target).header("host", "localhost");
    let request = request.body(Full::<Bytes>::default()).unwrap();
    let body = api.respond(request).await.into_body();
    body.collect().await.unwrap().to_bytes()
}

fn code(body: &Bytes) -> Value {
    serde_json::from_slice::<Value>(body).unwrap()["code"].clone()
}

#[tokio::test]
async fn a_disabled_key_is_as_good_as_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let api = api(&folder).await;
    make_account(&api).await;
    assert_eq!(code(&get(&api, "DescribeVpcEx", &[]).await), 0);
    let mut key = api.core.catalog().key("AKIDone").unwrap().clone();
    key.status = KeyStatus::Disabled;
    let transaction = store::Transaction {
        writes: vec![store::record::Record::from(key).put()],
        ..store::Transaction::default()
    };
    let revision = api.store.commit(transaction).await.unwrap();
    let mut revisions = api.core.revisions();
    revisions
        .wait_for(|current| *current >= revision)
        .await
        .unwrap();
    assert_eq!(code(&get(&api, "DescribeVpcEx", &[]).await), 4104);
}

#[tokio::test]
async fn an_answer_is_forgotten_when_its_request_is_refused_and_no_earlier() {
    let folder = tempfile::tempdir().unwrap();
    let api = api(&folder).await;
    make_account(&api).await;
    let create = async || {
        let vpc = [("vpcName", "one"), ("cidrBlock", "10.1.0.0/16")];
        get(&api, "CreateVpc", &vpc).await
    };
    let answer = create().await;
    assert_eq!(code(&answer), 0);
    for last in [7_199_000, 7_200_000, 7_200_999] {
        api.clock.set(UnixMillis(last));
        assert!(!api.forget_some().await);
        assert_eq!(api.store.stats().answers, 1);
        assert_eq!(create().await, answer);
    }
    api.clock.set(UnixMillis(7_201_000));
    assert_eq!(code(&create().await), 4500);
    assert!(!api.forget_some().await);
    assert_eq!(api.store.stats().answers, 0);
    assert_eq!(api.core.catalog().vpcs().count(), 1);
}

struct Panics;

impl Body for Panics {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        panic!("on purpose");
    }
}

#[tokio::test]
async fn a_panic_is_answered_as_an_internal_error() {
    let answer = post(Panics).await;
    assert_eq!(answer["code"], 6000, "{answer}");
    assert_eq!(answer["codeDesc"], "InternalError");
    assert!(!answer["message"].as_str().unwrap().contains("on purpose"));
}
