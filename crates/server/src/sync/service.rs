//! The gRPC surface of the sync protocol and its listener.
//!
//! A gateway is known by the key of its TLS certificate, which the connection proves; the messages
//! carry no identity. Joining and opening a stream are decided here, the stream itself runs in
//! [`super::stream`].

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api::sync::proto::gateway_sync_server::{GatewaySync, GatewaySyncServer};
use api::sync::{JoinReply, JoinRequest, MAX_MESSAGE_BYTES, proto};
use http::Request as HttpRequest;
use hyper::body::Incoming;
use hyper::service::service_fn;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};
use tower::ServiceExt;

use super::sessions::Sessions;
use super::stream::Stream;
use crate::core::{Core, GatewayJoin};
use crate::error::JoinError;
use crate::listener::{self, Lifetime, Pings};
use crate::tls;

/// Connections that may be open at once.
const CONNECTIONS: usize = 1024;

/// Messages that wait in the stream of one gateway.
const QUEUE_MESSAGES: usize = 2;

/// A gateway that is gone without a word is noticed within the sum of the two.
const PINGS: Pings = Pings {
    interval: Duration::from_secs(4),
    time_limit: Duration::from_secs(4),
};

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy)]
struct Caller {
    /// SHA-256 of the certificate's public key; `None` without a certificate.
    identity: Option<[u8; 32]>,
    remote: SocketAddr,
}

/// The service behind the generated surface.
struct Service {
    core: Arc<Core>,
    sessions: Arc<Sessions>,
    lifetime: Lifetime,
}

/// Serves gateways on a listener until the lifetime stops.
pub(crate) async fn serve(
    core: Arc<Core>,
    sessions: Arc<Sessions>,
    listener: TcpListener,
    tls: TlsAcceptor,
    lifetime: Lifetime,
) {
    let service = Service {
        core,
        sessions,
        lifetime: lifetime.clone(),
    };
    let surface = GatewaySyncServer::new(service)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let routes = Routes::new(surface).prepare();
    let stop = lifetime.stop.clone();
    listener::accept(listener, CONNECTIONS, lifetime, |stream, remote| {
        serve_connection(routes.clone(), stream, remote, tls.clone(), stop.clone())
    })
    .await;
}

async fn serve_connection(
    routes: Routes,
    stream: TcpStream,
    remote: SocketAddr,
    tls: TlsAcceptor,
    stop: tokio_util::sync::CancellationToken,
) {
    let Some(stream) = listener::handshake(&tls, stream, remote, &stop).await else {
        return;
    };
    let certificates = stream.get_ref().1.peer_certificates();
    let identity = certificates
        .and_then(|chain| chain.first())
        .and_then(tls::identity_of);
    let caller = Caller { identity, remote };
    let service = service_fn(move |mut request: HttpRequest<Incoming>| {
        request.extensions_mut().insert(caller);
        let routes = routes.clone();
        async move {
            let answer = routes.oneshot(request).await;
            Ok::<_, Infallible>(answer.unwrap_or_else(|never| match never {}))
        }
    });
    listener::serve_http2(stream, service, PINGS, stop).await;
}

#[tonic::async_trait]
impl GatewaySync for Service {
    async fn join(
        &self,
        request: Request<proto::JoinRequest>,
    ) -> Result<Response<proto::JoinReply>, Status> {
        let (caller, identity) = caller(&request)?;
        let ask = JoinRequest::try_from(request.into_inner())
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let joined = self
            .core
            .gateway_join(GatewayJoin {
                secret: ask.secret.expose().to_vec(),
                identity,
                tunnel_public_key: ask.tunnel_public_key,
                endpoint: ask.endpoint,
            })
            .await;
        let gateway = joined.map_err(|error| {
            let status = join_status(&error);
            tracing::warn!(
                remote = %caller.remote,
                error = &error as &dyn std::error::Error,
                "a gateway may not join"
            );
            status
        })?;
        tracing::info!(
            gateway = %gateway.id, region = %gateway.region, remote = %caller.remote,
            version = ask.software_version, "a gateway has joined"
        );
        let reply = JoinReply {
            gateway: gateway.id,
            region: gateway.region,
        };
        Ok(Response::new(reply.into()))
    }

    type SyncStream = ReceiverStream<Result<proto::ServerMessage, Status>>;

    async fn sync(
        &self,
        request: Request<Streaming<proto::GatewayMessage>>,
    ) -> Result<Response<Self::SyncStream>, Status> {
        let (caller, identity) = caller(&request)?;
        let gateway = self
            .core
            .gateway_by_identity(&identity)
            .ok_or_else(Stream::unknown_gateway)?;
        let (queue, messages) = mpsc::channel(QUEUE_MESSAGES);
        let stream = Stream {
            core: Arc::clone(&self.core),
            sessions: Arc::clone(&self.sessions),
            gateway: gateway.id,
            remote: caller.remote,
            inbound: request.into_inner(),
            queue,
            stop: self.lifetime.stop.clone(),
        };
        self.lifetime.spawn(stream.run());
        Ok(Response::new(ReceiverStream::new(messages)))
    }
}

fn caller<T>(request: &Request<T>) -> Result<(Caller, [u8; 32]), Status> {
    let caller = request.extensions().get::<Caller>();
    let caller = *caller.ok_or_else(|| Status::internal("the connection is not known"))?;
    let identity = caller
        .identity
        .ok_or_else(|| Status::unauthenticated("a gateway presents a TLS client certificate"))?;
    Ok((caller, identity))
}

fn join_status(error: &JoinError) -> Status {
    let text = error.to_string();
    match error {
        JoinError::Token => Status::permission_denied(text),
        JoinError::RegionTaken { .. } | JoinError::IdentityTaken { .. } => {
            Status::already_exists(text)
        }
        JoinError::Endpoint(_) => Status::invalid_argument(text),
        JoinError::UseCase(_) => Status::unavailable("the server cannot take changes; try again"),
    }
}
