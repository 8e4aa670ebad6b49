//! The way of one call: parameters, signature, command, use case, answer.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::tencent::signature::PATH;
use api::tencent::{
    AnswerHead, ApiError, Common, Method, Parameters, ParametersError, SignedRequest, action,
    parse_command, render, render_error,
};
use bytes::Bytes;
use futures::FutureExt;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, Version, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;
use model::{Command, DomainError, Outcome, TaskId};
use store::AnswerKey;

use super::audited::{Audited, is_audited, not_authorised, to_its_end};
use super::repetition;
use super::{Answer, PublicApi, json};
use crate::audit::named;
use crate::config::Replay;
use crate::core::{Caller, Core, Execution};
use crate::error::UseCaseError;
use crate::telemetry::Telemetry;

/// How long a use case may take before the caller is told to come back.
pub(super) const EXECUTION_TIME_LIMIT: Duration = Duration::from_secs(30);

/// The label of calls whose action is none of ours.
pub(super) const UNKNOWN_ACTION: &str = "unknown";

/// What was learnt of a request, whatever came of it.
struct Seen {
    /// Its action, for the counters.
    action: &'static str,
    /// Whether nothing of it is left on the connection.
    whole: bool,
}

/// What a call is answered when nothing was wrong with the request.
enum Told {
    /// What a read has found.
    Found(Box<Outcome>),
    /// An answer that is remembered, with its code.
    Remembered { code: i32, body: Bytes },
}

impl PublicApi {
    pub(super) async fn call<B>(&self, request: Request<B>) -> Answer
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
        let told = AssertUnwindSafe(self.execute(request, &mut seen))
            .catch_unwind()
            .await;
        // The panic itself was printed by the panic hook.
        let (code, body) = match told.unwrap_or(Err(ApiError::Internal)) {
            Ok(Told::Found(outcome)) => (0, self.rows.render(&outcome).into()),
            Ok(Told::Remembered { code, body }) => (code, body),
            Err(error) => (error.code().0, render_error(&error).into()),
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

    async fn execute<B>(&self, request: Request<B>, seen: &mut Seen) -> Result<Told, ApiError>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        let (method, parameters) = self.parameters(&head, body, seen).await?;
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
        self.check_rate(&caller, seen.action)?;
        let audited = |caller: &Caller| {
            Audited::new(
                &self.core,
                &self.audit,
                caller,
                seen.action,
                named(parameters.pairs()),
                &head.extensions,
            )
        };
        let command = match self.permitted(&caller, &common, &parameters) {
            Ok(command) => command,
            Err(error) => {
                if is_audited(seen.action, &error) {
                    audited(&caller).refused(&error).await;
                }
                return Err(error);
            }
        };
        let execution = async {
            if command.is_read() {
                return self.find(&caller, command, &common, &parameters).await;
            }
            if wants_dry_run(&head.headers) {
                let rehearsed = self.core.rehearse(caller.account, &command);
                rehearsed.map_err(|error| api_error(error, &common.action))?;
                return Err(ApiError::DryRun);
            }
            let write = Write {
                core: Arc::clone(&self.core),
                telemetry: Arc::clone(&self.telemetry),
                replay: self.options.replay,
                request: repetition::key(&common, &parameters),
                audited: audited(&caller),
                command,
                caller,
            };
            to_its_end(write.perform()).await
        };
        match tokio::time::timeout(EXECUTION_TIME_LIMIT, execution).await {
            Ok(told) => told,
            Err(_) => {
                tracing::error!(action = common.action, "a use case took too long");
                Err(ApiError::Unavailable)
            }
        }
    }

    async fn parameters<B>(
        &self,
        head: &Parts,
        body: B,
        seen: &mut Seen,
    ) -> Result<(Method, Parameters), ApiError>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match head.method {
            http::Method::GET => {
                seen.whole = true;
                let query = head.uri.query().unwrap_or_default();
                let parameters = Parameters::from_query(query, &self.parameter_limits)?;
                Ok((Method::Get, parameters))
            }
            http::Method::POST => {
                let body = self.read(body).await?;
                seen.whole = true;
                let content_type = header_text(&head.headers, header::CONTENT_TYPE);
                let parameters =
                    Parameters::from_body(content_type, &body, &self.parameter_limits)?;
                Ok((Method::Post, parameters))
            }
            _ => Err(invalid("HTTP method", "use GET or POST")),
        }
    }

    /// The command of a call, if the caller may give it.
    fn permitted(
        &self,
        caller: &Caller,
        common: &Common,
        parameters: &Parameters,
    ) -> Result<Command, ApiError> {
        let command = parse_command(common, parameters, &self.options.limits)?;
        let authorised = self.core.authorise(caller, &common.action, &command);
        authorised.map_err(not_authorised)?;
        Ok(command)
    }

    async fn find(
        &self,
        caller: &Caller,
        command: Command,
        common: &Common,
        parameters: &Parameters,
    ) -> Result<Told, ApiError> {
        if self.options.replay == Replay::Strict {
            let request = repetition::key(common, parameters);
            self.reads.first(request, caller.account).await?;
        }
        let found = self.core.execute(caller.account, command).await;
        found
            .map(|outcome| Told::Found(Box::new(outcome)))
            .map_err(|error| api_error(error, &common.action))
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
}

/// A call that changes something.
struct Write {
    core: Arc<Core>,
    telemetry: Arc<Telemetry>,
    replay: Replay,
    request: AnswerKey,
    audited: Audited,
    caller: Caller,
    command: Command,
}

impl Write {
    /// Executes it and writes down what came of it.
    async fn perform(self) -> Result<Told, ApiError> {
        let action = self.audited.action();
        let executed = self
            .core
            .execute_once(self.caller.account, &self.command, self.request, &answer)
            .await;
        match executed.map_err(|error| api_error(error, action)) {
            Ok(Execution::First { decided, answer }) => {
                let decided = (*decided).map_err(ApiError::Domain);
                self.audited.decided(decided.as_ref()).await;
                Ok(Told::Remembered {
                    code: decided.map_or_else(|error| error.code().0, |_| 0),
                    body: answer,
                })
            }
            Ok(Execution::Repeated { .. }) if self.replay == Replay::Strict => {
                let error = ApiError::Replay;
                self.audited.decided(Err(&error)).await;
                Err(error)
            }
            Ok(Execution::Repeated { answer }) => {
                self.telemetry.repetition(action);
                let Some(head) = AnswerHead::read(&answer) else {
                    tracing::error!(action, "a remembered answer cannot be read");
                    return Err(ApiError::Internal);
                };
                let code = head.code;
                self.audited.repeated(head).await;
                Ok(Told::Remembered { code, body: answer })
            }
            Err(error) => {
                self.audited.decided(Err(&error)).await;
                Err(error)
            }
        }
    }
}

/// The body of the answer to what was decided.
fn answer(decided: Result<&Outcome, &DomainError>, _: Option<TaskId>) -> Bytes {
    let body = match decided {
        Ok(outcome) => render(outcome),
        Err(refusal) => render_error(&ApiError::Domain(refusal.clone())),
    };
    body.into()
}

/// Whether a change is only to be tried out, which is not the vendor's but this server's.
pub(super) fn wants_dry_run(headers: &HeaderMap) -> bool {
    let value = headers.get("x-peerway-dryrun");
    value.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
}

/// The host that the client called: the header, or HTTP/2's authority.
pub(super) fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> &'a str {
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
        UseCaseError::AnswersFull(full) => {
            tracing::warn!(action, %full, "no room to remember an answer");
            repetition::too_many(full)
        }
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
