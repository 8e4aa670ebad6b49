//! The way of one call of API 3.0: authorization, clock, signature, action, parameters, use case,
//! answer. The rules are the core's, as for the legacy API; only words and order are another.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::tencent::v3::{
    self, Action, CONTENT_TYPE, Error, Incoming, LONGEST_BODY, Parsed, Request, Token,
};
use bytes::Bytes;
use futures::FutureExt;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;
use model::{DomainError, Outcome, Principal, TaskId, UnixMillis};
use store::{AnswerKey, KnownBy};

use super::audited::{Audited, to_its_end};
use super::authenticate::KeyError;
use super::call::{EXECUTION_TIME_LIMIT, UNKNOWN_ACTION, host, wants_dry_run};
use super::{Answer, PublicApi, json};
use crate::audit::named;
use crate::core::{Caller, Core, Execution, NotAuthorised};
use crate::error::UseCaseError;
use crate::telemetry::Telemetry;

/// How far a timestamp may be from the server's clock.
const CLOCK_WINDOW: Duration = Duration::from_secs(300);

/// How long a creation is known by its token.
const TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Made by some clients for each call, and read by one from the answer.
const TRACE_ID: &str = "x-tc-traceid";

/// What was learnt of a request, whatever came of it.
struct Seen {
    action: Option<&'static Action>,
    /// Whether nothing of it is left on the connection.
    whole: bool,
}

impl PublicApi {
    pub(super) async fn call_v3<B>(&self, request: http::Request<B>) -> Answer
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let begun = Instant::now();
        let version = request.version();
        let trace_id = request.headers().get(TRACE_ID).cloned();
        let mut seen = Seen {
            action: None,
            whole: false,
        };
        let told = AssertUnwindSafe(self.execute_v3(request, &mut seen))
            .catch_unwind()
            .await;
        // The panic itself was printed by the panic hook.
        let (code, body) = match told.unwrap_or(Err(Error::Internal)) {
            Ok(body) => ("0", body),
            Err(error) => {
                let body = v3::render_error(&error, seen.action, &request_id(None));
                (error.code(seen.action), body.into())
            }
        };
        let label = seen.action.map_or(UNKNOWN_ACTION, |action| action.name);
        self.telemetry.request(label, code, begun.elapsed());
        let mut answer = answer(body);
        if let Some(trace_id) = trace_id {
            answer.headers_mut().insert(TRACE_ID, trace_id);
        }
        if !seen.whole && version < Version::HTTP_2 {
            // What is left of the body would be in the way of the next request.
            let close = HeaderValue::from_static("close");
            answer.headers_mut().insert(header::CONNECTION, close);
        }
        answer
    }

    /// The body of the answer to a request that succeeds.
    async fn execute_v3<B>(
        &self,
        request: http::Request<B>,
        seen: &mut Seen,
    ) -> Result<Bytes, Error>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        let body = match head.method {
            Method::POST => self.read_v3(body).await?,
            _ => Bytes::new(),
        };
        seen.whole = head.method == Method::POST || head.method == Method::GET;
        let request = Request::read(incoming(&head, &body))?;
        let caller = self.authenticate_v3(&request)?;
        let action = request.action()?;
        seen.action = Some(action);
        self.take_call(&caller, action.name)
            .map_err(Error::TooManyRequests)?;
        let audited = || {
            let pairs = request.pairs();
            let pairs = pairs.iter().map(|(name, value)| (&**name, &**value));
            Audited::new(
                &self.core,
                &self.audit,
                &caller,
                action.name,
                named(pairs),
                &head.extensions,
            )
        };
        let parsed = match self.permitted_v3(&caller, &request, action) {
            Ok(parsed) => parsed,
            Err(error) => {
                if action.is_write() || matches!(error, Error::Unauthorised(_)) {
                    let refusal = in_words(&error, action);
                    audited().decided_in_words(Err(refusal)).await;
                }
                return Err(error);
            }
        };
        let execution = async {
            if parsed.command.is_read() {
                return self.find_v3(&caller, parsed).await;
            }
            if wants_dry_run(&head.headers) {
                let rehearsed = self.core.rehearse(caller.account, &parsed.command);
                rehearsed.map_err(|error| told(error, action))?;
                return Err(Error::DryRun);
            }
            let write = Write {
                core: Arc::clone(&self.core),
                telemetry: Arc::clone(&self.telemetry),
                token: request
                    .client_token(caller.account, &parsed)
                    .map(|token| self.named(token)),
                audited: audited(),
                caller: caller.clone(),
                parsed,
            };
            to_its_end(write.perform()).await
        };
        match tokio::time::timeout(EXECUTION_TIME_LIMIT, execution).await {
            Ok(body) => body,
            Err(_) => {
                tracing::error!(action = action.name, "a use case took too long");
                Err(Error::Unavailable)
            }
        }
    }

    async fn find_v3(&self, caller: &Caller, parsed: Parsed) -> Result<Bytes, Error> {
        let Parsed {
            action,
            command,
            arguments,
        } = parsed;
        let found = self.core.execute(caller.account, command).await;
        let outcome = found.map_err(|error| told(error, action))?;
        let body = self
            .rows_v3
            .render(action, &arguments, &outcome, &request_id(None));
        Ok(body.into())
    }

    /// A token with the key of its answer, which is forgotten with those that are older by the
    /// difference of their lifetimes.
    fn named(&self, token: Token) -> NamedOnce {
        let longer = TOKEN_LIFETIME.saturating_sub(self.options.clock_window);
        let longer = i64::try_from(longer.as_millis()).unwrap_or(i64::MAX);
        let now = self.core.clock().now();
        NamedOnce {
            key: AnswerKey {
                made_at: UnixMillis(now.0.saturating_add(longer)),
                digest: token.digest,
                known_by: KnownBy::Digest,
            },
            token,
        }
    }

    /// Who calls: the owner of the key that signed, inside the clock window.
    fn authenticate_v3(&self, request: &Request<'_>) -> Result<Caller, Error> {
        let (caller, secret) = self
            .owner_of(request.secret_id())
            .map_err(|error| match error {
                KeyError::Unknown => Error::SecretId,
                KeyError::Sealed => Error::Internal,
            })?;
        let now = u64::try_from(self.core.clock().now().secs()).unwrap_or_default();
        let (timestamp, window_secs) = (request.timestamp(), CLOCK_WINDOW.as_secs());
        if now.abs_diff(timestamp) > window_secs {
            return Err(Error::Expired {
                timestamp,
                now,
                window_secs,
            });
        }
        request.verify(secret.expose())?;
        // Keys here are long-term ones, which no token goes with.
        match request.token() {
            Some(_) => Err(Error::Token),
            None => Ok(caller),
        }
    }

    /// What is asked for, if the caller may ask for it.
    fn permitted_v3(
        &self,
        caller: &Caller,
        request: &Request<'_>,
        action: &'static Action,
    ) -> Result<Parsed, Error> {
        let signer = match caller.principal {
            Principal::Account => caller.account,
            Principal::SubAccount(uin) => uin,
        };
        let parsed = request.command(action, signer, &self.options.limits)?;
        self.core
            .authorise(caller, &action.policy_name(), &parsed.command)
            .map_err(|refusal| Error::Unauthorised(not_authorised(&refusal)))?;
        Ok(parsed)
    }

    async fn read_v3<B>(&self, body: B) -> Result<Bytes, Error>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let whole = Limited::new(body, LONGEST_BODY).collect();
        match tokio::time::timeout(self.body_time_limit, whole).await {
            Ok(Ok(whole)) => Ok(whole.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Error::TooLarge {
                limit: LONGEST_BODY,
            }),
            Ok(Err(error)) => Err(Error::Body(format!("it ended early: {error}"))),
            Err(_) => Err(Error::Body("it did not arrive in time".to_owned())),
        }
    }
}

/// A creation that its sender named.
struct NamedOnce {
    token: Token,
    key: AnswerKey,
}

/// A call that changes something.
struct Write {
    core: Arc<Core>,
    telemetry: Arc<Telemetry>,
    token: Option<NamedOnce>,
    audited: Audited,
    caller: Caller,
    parsed: Parsed,
}

impl Write {
    /// Executes it and writes down what came of it.
    async fn perform(mut self) -> Result<Bytes, Error> {
        if let Some(named) = self.token.take() {
            return self.perform_once(named).await;
        }
        let Parsed {
            action,
            command,
            arguments,
        } = self.parsed;
        let decided = self.core.perform(self.caller.account, &command).await;
        let decided = decided.map_err(|error| told(error, action));
        let words = match &decided {
            Ok((outcome, _)) => Ok(outcome),
            Err(error) => Err(in_words(error, action)),
        };
        self.audited.decided_in_words(words).await;
        let (outcome, task) = decided?;
        Ok(v3::render(action, &arguments, &outcome, &request_id(task)).into())
    }

    /// Executes it, unless a request with its token succeeded before.
    async fn perform_once(self, named: NamedOnce) -> Result<Bytes, Error> {
        let Parsed {
            action,
            command,
            arguments,
        } = self.parsed;
        let parameters = named.token.parameters;
        // What is remembered is the body, and before it what it was the answer to.
        let render = move |decided: Result<&Outcome, &DomainError>, task| {
            let body = match decided {
                Ok(outcome) => v3::render(action, &arguments, outcome, &request_id(task)),
                Err(_) => Vec::new(),
            };
            Bytes::from([&parameters[..], &body].concat())
        };
        let account = self.caller.account;
        let executed = self
            .core
            .execute_once(account, &command, named.key, &render)
            .await;
        match executed.map_err(|error| told(error, action)) {
            Ok(Execution::First { decided, answer }) => {
                let decided = (*decided).map_err(Error::Domain);
                let words = decided.as_ref().map_err(|error| in_words(error, action));
                self.audited.decided_in_words(words).await;
                decided.map(|_| answer.slice(parameters.len()..))
            }
            Ok(Execution::Repeated { answer }) if answer.starts_with(&parameters) => {
                self.telemetry.repetition(action.name);
                self.audited.repeated_in_words().await;
                Ok(answer.slice(parameters.len()..))
            }
            Ok(Execution::Repeated { .. }) => {
                let error = Error::ClientToken(named.token.text);
                let words = in_words(&error, action);
                self.audited.decided_in_words(Err(words)).await;
                Err(error)
            }
            Err(error) => {
                let words = in_words(&error, action);
                self.audited.decided_in_words(Err(words)).await;
                Err(error)
            }
        }
    }
}

fn incoming<'a>(head: &'a Parts, body: &'a [u8]) -> Incoming<'a> {
    Incoming {
        method: &head.method,
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        host: host(&head.uri, &head.headers),
        headers: &head.headers,
        body,
    }
}

/// What a caller is told of a use case's error; the log gets the rest.
fn told(error: UseCaseError, action: &Action) -> Error {
    let action = action.name;
    match error {
        UseCaseError::Domain(error) => Error::Domain(error),
        UseCaseError::AnswersFull(full) => {
            tracing::warn!(action, %full, "no room to remember an answer");
            Error::TooManyRequests("there is no room to remember answers; retry later".to_owned())
        }
        UseCaseError::Busy => {
            tracing::warn!(action, "too many competing changes");
            Error::Unavailable
        }
        UseCaseError::Unavailable { .. } => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, action, "a call failed");
            Error::Unavailable
        }
        UseCaseError::Operator(_) | UseCaseError::Internal(_) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, action, "a call failed");
            Error::Internal
        }
    }
}

/// A refusal for the audit log.
fn in_words(error: &Error, action: &Action) -> (&'static str, String) {
    (error.code(Some(action)), error.to_string())
}

fn not_authorised(refusal: &NotAuthorised) -> String {
    match refusal {
        NotAuthorised::ReadOnly { action } => format!("{action}: the key is read-only"),
        NotAuthorised::Action { action } => {
            format!("{action}: no policy of the sub-account permits it")
        }
        NotAuthorised::Resources { action, refused } => {
            let refused: Vec<String> = refused.iter().map(ToString::to_string).collect();
            format!("{action} on {}", refused.join(", "))
        }
    }
}

fn request_id(task: Option<TaskId>) -> String {
    v3::request_id(rand::random(), task)
}

fn answer(body: Bytes) -> Answer {
    let mut answer = json(StatusCode::OK, body);
    let media_type = HeaderValue::from_static(CONTENT_TYPE);
    let headers: &mut HeaderMap = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, media_type);
    answer
}

/// The actions for tools that read OpenAPI.
pub(super) fn openapi() -> Answer {
    answer(v3::openapi::document().to_string().into())
}

/// What a client is told that speaks plain HTTP where TLS is spoken.
pub(super) fn refuse_plain_http() -> Answer {
    answer(v3::render_error(&Error::Plain, None, &request_id(None)).into())
}
