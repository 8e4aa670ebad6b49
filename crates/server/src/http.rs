//! The public listener: API 3.0 at `/`, the legacy API at `/v2/index.php`, `/healthz` and `/metrics`.
//!
//! A call goes through [`PublicApi::respond`]: parameters, signature, clock window, rate, command,
//! use case, answer. What a parameter or an action means is `api`'s business, what happens is the
//! core's. Every answer of the API has HTTP status 200, because clients hide the body of any other.

mod audited;
mod authenticate;
mod call;
mod repetition;
#[cfg(test)]
mod tests;
mod v3;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api::tencent::signature::PATH;
use api::tencent::v3::{PATH as PATH_3_0, Rows as RowsV3, is_recognised};
use api::tencent::{ApiError, CONTENT_TYPE, Limits, ParameterLimits, Rows, render_error};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::audit::Audit;
use crate::config::Replay;
use crate::core::Core;
use crate::listener::{self, Lifetime, Pings};
use crate::rate::{Buckets, Rate};
use crate::sync::Sessions;
use crate::telemetry::Telemetry;
use audited::Remote;
use repetition::Reads;
pub(crate) use repetition::forget;

/// Connections that may be open at once.
const CONNECTIONS: usize = 4096;

/// How long a client may take to send a body.
const BODY_TIME_LIMIT: Duration = Duration::from_secs(10);

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
    rows_v3: RowsV3,
    audit: Audit,
    options: ApiOptions,
    parameter_limits: ParameterLimits,
    body_time_limit: Duration,
    buckets: Buckets,
    reads: Reads,
}

/// What is configured about the API.
#[derive(Debug, Clone, Copy)]
pub struct ApiOptions {
    /// Of the dialect.
    pub limits: Limits,
    /// How far a timestamp may be from the server's clock.
    pub clock_window: Duration,
    /// What a repetition is answered.
    pub replay: Replay,
    /// How many calls an account may make of each action, unless it has a limit of its own.
    pub rate_limit: Rate,
}

/// An answer on its way out.
pub type Answer = Response<Full<Bytes>>;

impl PublicApi {
    /// Puts the API together.
    pub fn new(
        core: Arc<Core>,
        sessions: Arc<Sessions>,
        telemetry: Arc<Telemetry>,
        audit: Audit,
        options: ApiOptions,
    ) -> PublicApi {
        PublicApi {
            core,
            sessions,
            telemetry,
            rows: Rows::default(),
            rows_v3: RowsV3::default(),
            audit,
            options,
            parameter_limits: ParameterLimits::default(),
            body_time_limit: BODY_TIME_LIMIT,
            buckets: Buckets::default(),
            reads: Reads::default(),
        }
    }

    /// Answers a request. Never fails: what goes wrong is an answer.
    pub async fn respond<B>(&self, request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let is_get = request.method() == http::Method::GET;
        let path = request.uri().path();
        let is_v3 = is_recognised(path, request.headers(), request.uri().query());
        match path {
            PATH if !is_v3 => self.call(request).await,
            PATH_3_0 => self.call_v3(request).await,
            "/healthz" if is_get => self.health(),
            "/metrics" if is_get => self.metrics(),
            "/openapi.json" if is_get => v3::openapi(),
            // Something in front of the server may add to the path.
            _ if is_v3 => self.call_v3(request).await,
            _ => not_found(),
        }
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
    if listener::speaks_plain_http(&stream, &stop).await {
        let refuse = service_fn(async |request: Request<Incoming>| {
            Ok::<_, Infallible>(refuse_plain_http(request.uri().path()))
        });
        return listener::serve_http1(stream, refuse, stop).await;
    }
    let Some(stream) = listener::handshake(&tls, stream, remote, &stop).await else {
        return;
    };
    if listener::chose_http2(&stream) {
        listener::serve_http2(stream, service, PINGS, stop).await;
    } else {
        listener::serve_http1(stream, service, stop).await;
    }
}

/// What a client is told that speaks plain HTTP where TLS is spoken.
fn refuse_plain_http(path: &str) -> Answer {
    let mut answer = match path {
        PATH => json(StatusCode::OK, render_error(&ApiError::Protocol).into()),
        PATH_3_0 => v3::refuse_plain_http(),
        _ => not_found(),
    };
    let close = HeaderValue::from_static("close");
    answer.headers_mut().insert(header::CONNECTION, close);
    answer
}

fn json(status: StatusCode, body: Bytes) -> Answer {
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
