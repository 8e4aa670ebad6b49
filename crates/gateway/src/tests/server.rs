//! A server that speaks the sync protocol over TLS and does what a test tells it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::sync::proto::gateway_sync_server::{GatewaySync, GatewaySyncServer};
use api::sync::{
    GatewayMessage, Hello, JoinReply, JoinRequest, JoinString, Report, Secret, ServerMessage,
    Welcome, proto,
};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use model::Region;
use model::slice::GatewaySlice;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::sync::unix_millis;
use crate::testing::{TestCa, gateway_id};

/// What the server has seen.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) joins: Vec<JoinRequest>,
    pub(super) hellos: Vec<Hello>,
    pub(super) reports: Vec<Report>,
    pub(super) snapshot_requests: usize,
}

/// What the server does.
pub(super) struct Behaviour {
    /// Answers a join with an error.
    pub(super) refuse_join: Option<Status>,
    /// Answers a stream with an error.
    pub(super) refuse_stream: Option<Status>,
    /// What every stream begins with.
    pub(super) slice: Option<GatewaySlice>,
    /// How far the server's clock is ahead.
    pub(super) clock_ahead: Duration,
    stream: Option<mpsc::UnboundedSender<Result<proto::ServerMessage, Status>>>,
}

struct Shared {
    behaviour: Mutex<Behaviour>,
    seen: watch::Sender<Seen>,
}

/// A running server; dropping it cuts all connections.
pub(super) struct FakeServer {
    pub(super) ca: TestCa,
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
    listener: JoinHandle<()>,
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl FakeServer {
    pub(super) async fn start(slice: Option<GatewaySlice>) -> FakeServer {
        FakeServer::start_with(TestCa::new(), slice).await
    }

    pub(super) async fn start_with(ca: TestCa, slice: Option<GatewaySlice>) -> FakeServer {
        let shared = Arc::new(Shared {
            behaviour: Mutex::new(Behaviour {
                refuse_join: None,
                refuse_stream: None,
                slice,
                clock_ahead: Duration::ZERO,
                stream: None,
            }),
            seen: watch::Sender::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (leaf, key) = ca.issue();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf, ca.certificate()], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = tokio::spawn(accept(listener, acceptor, shared.clone()));
        FakeServer {
            ca,
            address,
            shared,
            listener,
        }
    }

    /// A join string that this server accepts.
    pub(super) fn join_string(&self) -> JoinString {
        self.join_string_with_pin(crate::identity::sha256(&self.ca.certificate()))
    }

    pub(super) fn join_string_with_pin(&self, pin: [u8; 32]) -> JoinString {
        let secret = Secret::new(b"0123456789abcdef".to_vec());
        JoinString::new(self.address.to_string(), pin, secret, u64::MAX).unwrap()
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.shared.behaviour.lock().unwrap());
    }

    /// Sends a message on the stream that was opened last.
    pub(super) fn send(&self, message: ServerMessage) {
        let behaviour = self.shared.behaviour.lock().unwrap();
        behaviour
            .stream
            .as_ref()
            .expect("a stream is open")
            .send(Ok(message.into()))
            .unwrap();
    }

    pub(super) fn seen(&self) -> Seen {
        self.shared.seen.borrow().clone()
    }

    /// Waits until what was seen fulfils a condition.
    pub(super) async fn await_seen(&self, condition: impl FnMut(&Seen) -> bool) -> Seen {
        let mut seen = self.shared.seen.subscribe();
        let waiting = seen.wait_for(condition);
        let found = tokio::time::timeout(Duration::from_secs(10), waiting).await;
        found
            .expect("the gateway says it within 10 s")
            .unwrap()
            .clone()
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        let (acceptor, shared) = (acceptor.clone(), shared.clone());
        connections.spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let service = TowerToHyperService::new(GatewaySyncServer::new(Service(shared)));
            // A gateway that hangs up is what many tests are about.
            let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

struct Service(Arc<Shared>);

#[async_trait::async_trait]
impl GatewaySync for Service {
    type SyncStream = BoxStream<'static, Result<proto::ServerMessage, Status>>;

    async fn join(
        &self,
        request: Request<proto::JoinRequest>,
    ) -> Result<Response<proto::JoinReply>, Status> {
        let request = JoinRequest::try_from(request.into_inner()).unwrap();
        self.0.seen.send_modify(|seen| seen.joins.push(request));
        if let Some(status) = &self.0.behaviour.lock().unwrap().refuse_join {
            return Err(status.clone());
        }
        let reply = JoinReply {
            gateway: gateway_id(),
            region: Region::Guangzhou,
        };
        Ok(Response::new(reply.into()))
    }

    async fn sync(
        &self,
        request: Request<Streaming<proto::GatewayMessage>>,
    ) -> Result<Response<Self::SyncStream>, Status> {
        let (sender, receiver) = mpsc::unbounded_channel();
        {
            let mut behaviour = self.0.behaviour.lock().unwrap();
            if let Some(status) = &behaviour.refuse_stream {
                return Err(status.clone());
            }
            behaviour.stream = Some(sender.clone());
        }
        let shared = self.0.clone();
        let messages = request.into_inner().map_err(drop);
        tokio::spawn(messages.try_for_each(move |message| {
            shared.take(GatewayMessage::try_from(message).unwrap(), &sender);
            async { Ok(()) }
        }));
        Ok(Response::new(
            UnboundedReceiverStream::new(receiver).boxed(),
        ))
    }
}

impl Shared {
    fn take(
        &self,
        message: GatewayMessage,
        sender: &mpsc::UnboundedSender<Result<proto::ServerMessage, Status>>,
    ) {
        let behaviour = self.behaviour.lock().unwrap();
        let send = |message: ServerMessage| drop(sender.send(Ok(message.into())));
        match message.clone() {
            GatewayMessage::Hello(_) => {
                send(ServerMessage::Welcome(Welcome {
                    unix_millis: unix_millis() + crate::status::millis(behaviour.clock_ahead),
                    gateway: gateway_id(),
                    region: Region::Guangzhou,
                }));
                behaviour
                    .slice
                    .iter()
                    .for_each(|slice| send(ServerMessage::Snapshot(slice.clone())));
            }
            GatewayMessage::SnapshotRequest => {
                behaviour
                    .slice
                    .iter()
                    .for_each(|slice| send(ServerMessage::Snapshot(slice.clone())));
            }
            GatewayMessage::Report(_) => {}
        }
        drop(behaviour);
        self.seen.send_modify(|seen| match message {
            GatewayMessage::Hello(hello) => seen.hellos.push(hello),
            GatewayMessage::Report(report) => seen.reports.push(report),
            GatewayMessage::SnapshotRequest => seen.snapshot_requests += 1,
        });
    }
}
