//! The public listener: `/v2/index.php` of the legacy API, `/healthz` and `/metrics`.
//!
//! A call goes through [`PublicApi::respond`]: parameters, signature, clock window, command, use
//! case, answer. What a parameter or an action means is `api`'s business, what happens is the
//! core's. Every answer of the API has HTTP status 200, because clients hide the body of any other.

mod audited;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::tencent::signature::PATH;
use api::tencent::{
    ApiError, CONTENT_TYPE, Common, Limits, Method, ParameterLimits, Parameters, ParametersError,
    Rows, SignedRequest, action, parse_command, render_error, verify,
};
use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use model::{AccessKey, Command, Outcome, Principal};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::audit::Audit;
use crate::catalog::Catalog;
use crate::core::{Caller, Core};
use crate::error::UseCaseError;
use crate::listener::{self, Lifetime, Pings};
use crate::sync::Sessions;
use crate::telemetry::Telemetry;
use audited::{Audited, Remote, is_audited, not_authorised, to_its_end};

/// Connections that may be open at once.
const CONNECTIONS: usize = 4096;

/// How long a client may take to send a body.
const BODY_TIME_LIMIT: Duration = Duration::from_secs(10);

/// How long a use case may take before the caller is told to come back.
const EXECUTION_TIME_LIMIT: Duration = Duration::from_secs(30);

const PINGS: Pings = Pings {
    interval: Duration::from_secs(20),
    time_limit: Duration::from_secs(20),
};

/// The public API over one core.
pub struct PublicApi {
    core: Arc<Core>,
    sessions: Arc<Sessions>,
    telemetry: Arc<Telemetry>,
    rows: Rows,
    audit: Audit,
    limits: Limits,
    parameter_limits: ParameterLimits,
    clock_window: Duration,
    body_time_limit: Duration,
}

/// What was learnt of a request, whatever came of it.
struct Seen {
    /// Its action, for the counters.
    action: &'static str,
    /// Whether nothing of it is left on the connection.
    whole: bool,
}

/// An answer on its way out.
pub type Answer = Response<Full<Bytes>>;

impl PublicApi {
    /// Puts the API together. `clock_window` is how far a timestamp may be from the server's clock.
    pub fn new(
        core: Arc<Core>,
        sessions: Arc<Sessions>,
        telemetry: Arc<Telemetry>,
        audit: Audit,
        limits: Limits,
        clock_window: Duration,
    ) -> PublicApi {
        PublicApi {
            core,
            sessions,
            telemetry,
            rows: Rows::default(),
            audit,
            limits,
            parameter_limits: ParameterLimits::default(),
            clock_window,
            body_time_limit: BODY_TIME_LIMIT,
        }
    }

    /// Answers a request. Never fails: what goes wrong is an answer.
    pub async fn respond<B>(&self, request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let is_get = request.method() == http::Method::GET;
        match request.uri().path() {
            PATH => self.call(request).await,
            "/healthz" if is_get => self.health(),
            "/metrics" if is_get => self.metrics(),
            _ => not_found(),
        }
    }

    async fn call<B>(&self, request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let begun = Instant::now();
        let version = request.version();
        let mut seen = Seen {
            action: UNKNOWN_ACTION,
            whole: false,
        };
        let outcome = AssertUnwindSafe(self.execute(request, &mut seen))
            .catch_unwind()
            .await;
        // The panic itself was printed by the panic hook.
        let outcome = outcome.unwrap_or(Err(ApiError::Internal));
        let (code, body) = match &outcome {
            Ok(outcome) => (0, self.rows.render(outcome)),
            Err(error) => (error.code().0, render_error(error)),
        };
        self.telemetry.request(seen.action, code, begun.elapsed());
        let mut answer = json(StatusCode::OK, body);
        if !seen.whole && version < Version::HTTP_2 {
            // What is left of the body would be in the way of the next request.
            let close = HeaderValue::from_static("close");
            answer.headers_mut().insert(header::CONNECTION, close);
        }
        answer
    }

    async fn execute<B>(&self, request: Request<B>, seen: &mut Seen) -> Result<Outcome, ApiError>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        let (method, parameters) = match head.method {
            http::Method::GET => {
                seen.whole = true;
                let query = head.uri.query().unwrap_or_default();
                let parameters = Parameters::from_query(query, &self.parameter_limits)?;
                (Method::Get, parameters)
            }
            http::Method::POST => {
                let body = self.read(body).await?;
                seen.whole = true;
                let content_type = header_text(&head.headers, header::CONTENT_TYPE);
                let parameters =
                    Parameters::from_body(content_type, &body, &self.parameter_limits)?;
                (Method::Post, parameters)
            }
            _ => return Err(invalid("HTTP method", "use GET or POST")),
        };
        let common = Common::parse(&parameters)?;
        if let Some(action) = action::find(&common.action) {
            seen.action = action.name;
        }
        let signed = SignedRequest {
            method,
            host: host(&head.uri, &head.headers),
            path: PATH,
            parameters: &parameters,
        };
        let caller = self.authenticate(&common, &signed)?;
        let audited = Audited::new(
            &self.core,
            &self.audit,
            &caller,
            seen.action,
            &parameters,
            &head.extensions,
        );
        let command = match self.permitted(&caller, &common, &parameters) {
            Ok(command) => command,
            Err(error) => {
                if is_audited(seen.action, &error) {
                    audited.refused(&error).await;
                }
                return Err(error);
            }
        };
        let execution = self.perform(caller, command, audited);
        match tokio::time::timeout(EXECUTION_TIME_LIMIT, execution).await {
            Ok(outcome) => outcome,
            Err(_) => {
                tracing::error!(action = common.action, "a use case took too long");
                Err(ApiError::Unavailable)
            }
        }
    }

    /// The command of a call, if the caller may give it.
    fn permitted(
        &self,
        caller: &Caller,
        common: &Common,
        parameters: &Parameters,
    ) -> Result<Command, ApiError> {
        let command = parse_command(common, parameters, &self.limits)?;
        let authorised = self.core.authorise(caller, &common.action, &command);
        authorised.map_err(not_authorised)?;
        Ok(command)
    }

    async fn perform(
        &self,
        caller: Caller,
        command: Command,
        audited: Audited,
    ) -> Result<Outcome, ApiError> {
        let action = audited.action();
        let told = move |error| api_error(error, action);
        if command.is_read() {
            return self
                .core
                .execute(caller.account, command)
                .await
                .map_err(told);
        }
        let core = Arc::clone(&self.core);
        to_its_end(async move {
            let decided = core.execute(caller.account, command).await.map_err(told);
            audited.decided(decided.as_ref()).await;
            decided
        })
        .await
    }

    async fn read<B>(&self, body: B) -> Result<Bytes, ApiError>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let limit = self.parameter_limits.body_bytes;
        let whole = Limited::new(body, limit).collect();
        match tokio::time::timeout(self.body_time_limit, whole).await {
            Ok(Ok(whole)) => Ok(whole.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                Err(ParametersError::BodyTooLong { limit }.into())
            }
            Ok(Err(error)) => Err(invalid("body", &format!("it ended early: {error}"))),
            Err(_) => Err(invalid("body", "it did not arrive in time")),
        }
    }

    /// Who calls: the owner of the key that signed, inside the clock window.
    fn authenticate(
        &self,
        common: &Common,
        signed: &SignedRequest<'_>,
    ) -> Result<Caller, ApiError> {
        if signed.parameters.get("Signature").is_none_or(str::is_empty) {
            return Err(ApiError::Signature(api::tencent::SignatureError::Missing));
        }
        let catalog = self.core.catalog();
        let key = catalog
            .key(&common.secret_id)
            .filter(|key| key.is_usable(self.core.clock().now()))
            .filter(|key| catalog.account(key.owner).is_some())
            .filter(|key| has_principal(&catalog, key))
            .ok_or(ApiError::SecretId)?;
        let secret = self.core.secret_key(key).map_err(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                secret_id = key.secret_id,
                "a secret key cannot be opened"
            );
            ApiError::Internal
        })?;
        verify(signed, secret.expose())?;
        self.check_clock(common.timestamp)?;
        // Keys here are long-term ones, which no token goes with.
        if common.token.is_some() {
            return Err(ApiError::Token);
        }
        Ok(Caller::from(key))
    }

    fn check_clock(&self, timestamp: u64) -> Result<(), ApiError> {
        let now = u64::try_from(self.core.clock().now().secs()).unwrap_or_default();
        let window_secs = self.clock_window.as_secs();
        if now.abs_diff(timestamp) > window_secs {
            return Err(ApiError::Expired {
                timestamp,
                now,
                window_secs,
            });
        }
        Ok(())
    }

    fn health(&self) -> Answer {
        let revision = self.core.catalog().revision().0;
        let body = format!("{{\"status\":\"ok\",\"revision\":{revision}}}\n");
        json(StatusCode::OK, body.into())
    }

    fn metrics(&self) -> Answer {
        let text = self.telemetry.render(&self.core, &self.sessions);
        let mut answer = Response::new(Full::from(text));
        let plain = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        answer.headers_mut().insert(header::CONTENT_TYPE, plain);
        answer
    }
}

/// The label of calls whose action is none of ours.
const UNKNOWN_ACTION: &str = "unknown";

/// Serves the API on a listener, with TLS or without, until the lifetime stops.
pub(crate) async fn serve(
    api: Arc<PublicApi>,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    lifetime: Lifetime,
) {
    let stop = lifetime.stop.clone();
    listener::accept(listener, CONNECTIONS, lifetime, |stream, remote| {
        serve_connection(Arc::clone(&api), stream, remote, tls.clone(), stop.clone())
    })
    .await;
}

/// Whether whoever signs with a key is still there.
fn has_principal(catalog: &Catalog, key: &AccessKey) -> bool {
    match key.principal {
        Principal::Account => true,
        Principal::SubAccount(uin) => catalog
            .sub_account(uin)
            .is_some_and(|sub_account| sub_account.owner == key.owner),
    }
}

async fn serve_connection(
    api: Arc<PublicApi>,
    stream: TcpStream,
    remote: SocketAddr,
    tls: Option<TlsAcceptor>,
    stop: CancellationToken,
) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Remote(remote));
        let api = Arc::clone(&api);
        async move { Ok::<_, Infallible>(api.respond(request).await) }
    });
    let Some(tls) = tls else {
        return listener::serve_http1(stream, service, stop).await;
    };
    let Some(stream) = listener::handshake(&tls, stream, remote, &stop).await else {
        return;
    };
    if listener::chose_http2(&stream) {
        listener::serve_http2(stream, service, PINGS, stop).await;
    } else {
        listener::serve_http1(stream, service, stop).await;
    }
}

/// The host that the client called: the header, or HTTP/2's authority.
fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> &'a str {
    header_text(headers, header::HOST)
        .or_else(|| uri.authority().map(|authority| authority.as_str()))
        .unwrap_or_default()
}

fn header_text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn invalid(name: &str, reason: &str) -> ApiError {
    ApiError::Invalid {
        name: name.to_owned(),
        reason: reason.to_owned(),
    }
}

/// What a caller is told of a use case's error; the log gets the rest.
fn api_error(error: UseCaseError, action: &str) -> ApiError {
    match error {
        UseCaseError::Domain(error) => ApiError::Domain(error),
        UseCaseError::Busy => {
            tracing::warn!(action, "too many competing changes");
            ApiError::Unavailable
        }
        UseCaseError::Unavailable { .. } => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                action,
                "a call failed"
            );
            ApiError::Unavailable
        }
        UseCaseError::Operator(_) | UseCaseError::Internal(_) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                action,
                "a call failed"
            );
            ApiError::Internal
        }
    }
}

fn json(status: StatusCode, body: Vec<u8>) -> Answer {
    let mut answer = Response::new(Full::from(body));
    *answer.status_mut() = status;
    let media_type = HeaderValue::from_static(CONTENT_TYPE);
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    answer
}

fn not_found() -> Answer {
    let body = format!("{{\"error\":\"nothing is served here; the API is at {PATH}\"}}\n");
    json(StatusCode::NOT_FOUND, body.into())
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use http_body_util::StreamBody;
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
        let sessions = Sessions::new(clock);
        let window = Duration::from_secs(7200);
        let api = PublicApi {
            body_time_limit: Duration::from_millis(50),
            ..PublicApi::new(core, sessions, telemetry, audit, Limits::default(), window)
        };
        Fixture { api, store }
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

    #[tokio::test]
    async fn a_disabled_key_is_as_good_as_unknown() {
        let folder = tempfile::tempdir().unwrap();
        let api = api(&folder).await;
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
        let code = async || {
            let pairs = [
                ("Action", "DescribeVpcEx"),
                ("Region", "gz"),
                ("Timestamp", "0"),
                ("Nonce", "1"),
                ("SecretId", "AKIDone"),
            ];
            let mut parameters = Parameters::from_iter(pairs);
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
            let body = body.collect().await.unwrap().to_bytes();
            serde_json::from_slice::<Value>(&body).unwrap()["code"].clone()
        };
        assert_eq!(code().await, 0);
        let mut key = api.core.catalog().key("AKIDone").unwrap().clone();
        key.status = KeyStatus::Disabled;
        let transaction = store::Transaction {
            guards: Vec::new(),
            writes: vec![store::record::Record::from(key).put()],
        };
        let revision = api.store.commit(transaction).await.unwrap();
        let mut revisions = api.core.revisions();
        revisions
            .wait_for(|current| *current >= revision)
            .await
            .unwrap();
        assert_eq!(code().await, 4104);
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
}
