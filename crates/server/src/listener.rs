//! Accepting connections: bounds on their number and on handshakes, HTTP/1.1 and HTTP/2, and an
//! orderly end. What is served is the caller's.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a client may take for the TLS handshake.
const HANDSHAKE_TIME_LIMIT: Duration = Duration::from_secs(10);

/// How long a client may take to send a request's head, an idle kept-alive connection included.
const HEAD_TIME_LIMIT: Duration = Duration::from_secs(30);

/// The pause after a failed accept, which is mostly a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Requests that one HTTP/2 connection may have open.
const STREAMS_PER_CONNECTION: u32 = 128;

/// How everything that runs in the background is asked to end, and waited for.
#[derive(Clone, Default)]
pub(crate) struct Lifetime {
    /// Finish what was begun.
    pub(crate) stop: CancellationToken,
    /// Drop what is not finished.
    pub(crate) cut: CancellationToken,
    /// Everything that runs.
    pub(crate) tasks: TaskTracker,
}

impl Lifetime {
    /// Runs a future until it ends or is cut.
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        let cut = self.cut.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = future => {}
                () = cut.cancelled() => {}
            }
        });
    }
}

/// Accepts connections until the lifetime stops; at most `limit` are open, further ones wait in the
/// kernel's queue.
pub(crate) async fn accept<F>(
    listener: TcpListener,
    limit: usize,
    lifetime: Lifetime,
    serve: impl Fn(TcpStream, SocketAddr) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(limit));
    loop {
        let accepted = tokio::select! {
            accepted = async {
                let slot = Arc::clone(&slots).acquire_owned().await;
                (slot, listener.accept().await)
            } => accepted,
            () = lifetime.stop.cancelled() => return,
        };
        match accepted {
            (slot, Ok((stream, remote))) => {
                // Answers are small and complete; waiting for more would only delay them.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY cannot be set");
                }
                let connection = serve(stream, remote);
                lifetime.spawn(async move {
                    connection.await;
                    drop(slot);
                });
            }
            (_, Err(error)) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The TLS handshake, with a bound on its time. `None` when it failed, or was not finished when the
/// server stopped.
pub(crate) async fn handshake(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    remote: SocketAddr,
    stop: &CancellationToken,
) -> Option<TlsStream<TcpStream>> {
    let handshake = tokio::time::timeout(HANDSHAKE_TIME_LIMIT, acceptor.accept(stream));
    match stop.run_until_cancelled(handshake).await? {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            tracing::debug!(%remote, %error, "the TLS handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!(%remote, "the TLS handshake took too long");
            None
        }
    }
}

/// Whether the client begins with plain HTTP instead of a TLS handshake. Nothing is read; the bound
/// on time is that of the handshake.
pub(crate) async fn speaks_plain_http(stream: &TcpStream, stop: &CancellationToken) -> bool {
    let mut first = [0];
    let peek = tokio::time::timeout(HANDSHAKE_TIME_LIMIT, stream.peek(&mut first));
    // A TLS record of a handshake begins with 22 (RFC 8446, section 5.1), a method with a letter.
    match stop.run_until_cancelled(peek).await {
        Some(Ok(Ok(1))) => first[0].is_ascii_uppercase(),
        Some(Ok(Ok(_) | Err(_)) | Err(_)) | None => false,
    }
}

/// Whether the client chose HTTP/2 in the handshake.
pub(crate) fn chose_http2(stream: &TlsStream<TcpStream>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(b"h2")
}

/// Serves one HTTP/1.1 connection.
pub(crate) async fn serve_http1<I, S, B>(stream: I, service: S, stop: CancellationToken)
where
    I: AsyncRead + AsyncWrite + Unpin + Send,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    B: Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_LIMIT);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    log_end(ended);
}

/// The pings that find out whether an HTTP/2 peer is still there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pings {
    /// How often.
    pub(crate) interval: Duration,
    /// How long the answer may take.
    pub(crate) time_limit: Duration,
}

/// Serves one HTTP/2 connection.
pub(crate) async fn serve_http2<I, S, B>(
    stream: I,
    service: S,
    pings: Pings,
    stop: CancellationToken,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .keep_alive_interval(pings.interval)
        .keep_alive_timeout(pings.time_limit);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    log_end(ended);
}

fn log_end(ended: Result<(), hyper::Error>) {
    if let Err(error) = ended {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "a connection ended"
        );
    }
}
