//! A gateway double: joins, follows its stream and reports, without any kernel or engine. What it
//! claims to run and to see is set by the test.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use api::sync::proto::gateway_sync_client::GatewaySyncClient;
use api::sync::{
    ApplyError, GatewayMessage, Hello, JoinReply, JoinRequest, JoinString, PairReport,
    PeeringReport, Report, ServerMessage, Traffic, Welcome, proto,
};
use hyper_util::rt::TokioIo;
use model::slice::GatewaySlice;
use model::{GatewayId, Generation, PublicKey, Side, SubnetId};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

/// What the double claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Whether it applies what it is sent.
    pub applies: bool,
    /// Whether probes come back in the VNIs of its peerings.
    pub crosses: bool,
    /// Whether it has shaken hands with every other gateway.
    pub shakes_hands: bool,
    /// What it cannot apply.
    pub errors: Vec<ApplyError>,
    /// How far its clock is ahead.
    pub clock_ahead_millis: u64,
    /// What it has counted at the requester's sides that it carries, each.
    pub requester: Counted,
    /// What it has counted at the accepter's sides that it carries, each.
    pub accepter: Counted,
    /// How many hosts are attached to which subnet.
    pub hosts: BTreeMap<SubnetId, u32>,
}

/// Counters of one side of a peering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    pub sent: Traffic,
    pub received: Traffic,
    /// Packets dropped by the cap.
    pub capped: u64,
}

/// What a double counts unless it is told otherwise.
const COUNTED: Counted = Counted {
    sent: Traffic {
        packets: 3,
        bytes: 300,
    },
    received: Traffic {
        packets: 2,
        bytes: 200,
    },
    capped: 0,
};

impl Claims {
    /// Everything works.
    pub const GOOD: Claims = Claims {
        applies: true,
        crosses: true,
        shakes_hands: true,
        errors: Vec::new(),
        clock_ahead_millis: 0,
        requester: COUNTED,
        accepter: COUNTED,
        hosts: BTreeMap::new(),
    };
}

/// What came down the stream.
#[derive(Debug, Default)]
pub struct Received {
    pub welcome: Option<Welcome>,
    pub slice: Option<GatewaySlice>,
    pub snapshots: usize,
    pub changes: usize,
    pub ended: Option<Status>,
}

pub struct Double {
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
    pub tunnel_public_key: PublicKey,
    pub endpoint: Option<String>,
    pub id: Option<GatewayId>,
    pub claims: watch::Sender<Claims>,
    pub received: Arc<Mutex<Received>>,
    requests: Option<mpsc::Sender<GatewayMessage>>,
    stream: Option<JoinHandle<()>>,
}

impl Double {
    /// A double with an identity of its own that has not joined.
    pub fn new() -> Double {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["gateway".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Double {
            certificate: certificate.der().clone(),
            key: key.serialize_der(),
            tunnel_public_key: PublicKey(rand::random()),
            endpoint: Some("192.0.2.1:51820".to_owned()),
            id: None,
            claims: watch::channel(Claims::GOOD).0,
            received: Arc::default(),
            requests: None,
            stream: None,
        }
    }

    pub fn id(&self) -> GatewayId {
        self.id.unwrap()
    }

    /// Joins with a join string, as a gateway does.
    pub async fn join(&mut self, join: &str, ca: &Path) -> Result<JoinReply, Status> {
        let join: JoinString = join.parse().unwrap();
        let certificate: CertificateDer<'_> =
            rustls::pki_types::pem::PemObject::from_pem_file(ca).unwrap();
        let fingerprint = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &certificate);
        assert_eq!(fingerprint.as_ref(), join.ca_sha256());
        let request = JoinRequest {
            secret: join.secret().clone(),
            tunnel_public_key: self.tunnel_public_key,
            endpoint: self.endpoint.clone(),
            software_version: "double".to_owned(),
        };
        let channel = self
            .channel(join.address().parse().unwrap(), ca, true)
            .await;
        let mut client = GatewaySyncClient::new(channel);
        let reply = client.join(proto::JoinRequest::from(request)).await?;
        let reply = JoinReply::try_from(reply.into_inner()).unwrap();
        self.id = Some(reply.gateway);
        Ok(reply)
    }

    /// A client of a server, with or without the double's certificate.
    pub async fn client(
        &self,
        server: SocketAddr,
        ca: &Path,
        shows_certificate: bool,
    ) -> GatewaySyncClient<Channel> {
        GatewaySyncClient::new(self.channel(server, ca, shows_certificate).await)
    }

    /// Opens the stream and follows it in the background, until the server ends it.
    pub async fn connect(&mut self, server: SocketAddr, ca: &Path) {
        let mut client = self.client(server, ca, true).await;
        let (queue, messages) = mpsc::channel(16);
        let hello = GatewayMessage::Hello(self.hello());
        queue
            .send(proto::GatewayMessage::from(hello))
            .await
            .unwrap();
        let outbound = ReceiverStream::new(messages);
        let inbound = client.sync(outbound).await.unwrap().into_inner();
        self.received = Arc::default();
        let (requests, wanted) = mpsc::channel(4);
        self.requests = Some(requests);
        let follower = Follower {
            claims: self.claims.subscribe(),
            received: Arc::clone(&self.received),
            queue,
            applied: None,
        };
        self.stream = Some(tokio::spawn(follower.run(inbound, wanted)));
    }

    /// Closes the stream without a word.
    pub async fn disconnect(&mut self) {
        if let Some(stream) = self.stream.take() {
            stream.abort();
            let _ = stream.await;
        }
    }

    /// Leaves the stream to itself; it ends when the server ends it.
    pub fn take_stream(&mut self) -> JoinHandle<()> {
        self.stream.take().unwrap()
    }

    /// Sends a message on the stream.
    pub async fn send(&self, message: GatewayMessage) {
        self.requests.as_ref().unwrap().send(message).await.unwrap();
    }

    pub fn hello(&self) -> Hello {
        Hello {
            tunnel_public_key: self.tunnel_public_key,
            endpoint: self.endpoint.clone(),
            software_version: "double".to_owned(),
            unix_millis: now_millis(&self.claims.borrow()),
            running: Generation(0),
        }
    }

    /// Looks at what came down.
    pub fn received<T>(&self, look: impl FnOnce(&Received) -> T) -> T {
        look(&self.received.lock().unwrap())
    }

    /// Looks at the slice that came down last.
    pub fn slice<T>(&self, look: impl FnOnce(&GatewaySlice) -> T) -> Option<T> {
        self.received(|received| received.slice.as_ref().map(look))
    }

    async fn channel(&self, server: SocketAddr, ca: &Path, shows_certificate: bool) -> Channel {
        let builder = crate::client::trusting(&PathBuf::from(ca));
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.clone()));
        let mut tls = if shows_certificate {
            builder
                .with_client_auth_cert(vec![self.certificate.clone()], key)
                .unwrap()
        } else {
            builder.with_no_client_auth()
        };
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let connector = TlsConnector::from(Arc::new(tls));
        let dial = tower::service_fn(move |_: http::Uri| {
            let connector = connector.clone();
            async move {
                let stream = TcpStream::connect(server).await?;
                let name = ServerName::from(server.ip());
                Ok::<_, std::io::Error>(TokioIo::new(connector.connect(name, stream).await?))
            }
        });
        let endpoint = Endpoint::from_static("http://server");
        endpoint.connect_with_connector(dial).await.unwrap()
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        if let Some(stream) = &self.stream {
            stream.abort();
        }
    }
}

/// The clock of the servers under test stands, so the doubles' does too.
fn now_millis(claims: &Claims) -> u64 {
    crate::bed::START.0.unsigned_abs() + claims.clock_ahead_millis
}

struct Follower {
    claims: watch::Receiver<Claims>,
    received: Arc<Mutex<Received>>,
    queue: mpsc::Sender<proto::GatewayMessage>,
    applied: Option<GatewaySlice>,
}

impl Follower {
    async fn run(
        mut self,
        mut inbound: tonic::Streaming<proto::ServerMessage>,
        mut wanted: mpsc::Receiver<GatewayMessage>,
    ) {
        loop {
            tokio::select! {
                message = inbound.next() => match message {
                    Some(Ok(message)) => self.take(ServerMessage::try_from(message).unwrap()),
                    Some(Err(status)) => {
                        self.received.lock().unwrap().ended = Some(status);
                        return;
                    }
                    None => {
                        let status = Status::ok("the server closed the stream");
                        self.received.lock().unwrap().ended = Some(status);
                        return;
                    }
                },
                Some(message) = wanted.recv() => {
                    let _ = self.queue.send(message.into()).await;
                    continue;
                }
                changed = self.claims.changed() => if changed.is_err() { return },
            }
            let report = self.report();
            let _ = self.queue.send(GatewayMessage::Report(report).into()).await;
        }
    }

    fn take(&mut self, message: ServerMessage) {
        let mut received = self.received.lock().unwrap();
        match message {
            ServerMessage::Welcome(welcome) => received.welcome = Some(welcome),
            ServerMessage::Snapshot(slice) => {
                received.snapshots += 1;
                received.slice = Some(slice);
            }
            ServerMessage::Change(change) => {
                received.changes += 1;
                let slice = received.slice.as_mut().expect("a snapshot comes first");
                slice
                    .apply(change)
                    .expect("changes lead on from each other");
            }
        }
    }

    fn report(&mut self) -> Report {
        let claims = self.claims.borrow_and_update().clone();
        if claims.applies {
            self.applied = self.received.lock().unwrap().slice.clone();
        }
        let applied = self.applied.as_ref();
        let peerings = applied.into_iter().flat_map(|slice| &slice.peerings);
        let peerings = peerings.map(|(key, peering)| {
            let counted = match key.1 {
                Side::Requester => claims.requester,
                Side::Accepter => claims.accepter,
            };
            let mut drops = BTreeMap::from([("no_route".to_owned(), 5)]);
            if counted.capped > 0 {
                drops.insert("queue_full".to_owned(), counted.capped);
            }
            let report = PeeringReport {
                vni: peering.vni,
                probe_crossed: claims.crosses,
                last_probe_age_millis: claims.crosses.then_some(1),
                sent: counted.sent,
                received: counted.received,
                drops,
            };
            (*key, report)
        });
        let pairs = applied
            .into_iter()
            .flat_map(|slice| slice.tunnel_peers.keys());
        let pairs = pairs.map(|gateway| {
            let report = PairReport {
                last_handshake_age_millis: claims.shakes_hands.then_some(1000),
                ..PairReport::default()
            };
            (*gateway, report)
        });
        Report {
            generation: applied.map_or(Generation(0), |slice| slice.generation),
            errors: claims.errors.clone(),
            peerings: peerings.collect(),
            pairs: pairs.collect(),
            hosts: claims.hosts.clone(),
            unix_millis: now_millis(&claims),
        }
    }
}
