//! One gateway's stream: its slice goes down, its reports come up.
//!
//! Only the newest slice is ever sent: while a gateway is slow to read, revisions pass by, and the
//! next change leads from what was sent last to what is wanted then.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api::sync::{FieldError, GatewayMessage, Hello, Report, ServerMessage, Welcome, proto};
use model::slice::GatewaySlice;
use model::{Gateway, GatewayId, Generation, World, slice_of};
use store::Revision;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::sessions::{Opening, SessionHandle, Sessions};
use crate::core::Core;

/// How long a gateway may take to say hello.
const HELLO_TIME_LIMIT: Duration = Duration::from_secs(10);

/// A clock that differs by more is warned about.
const CLOCK_SKEW_LIMIT: Duration = Duration::from_secs(30);

type Queue = mpsc::Sender<Result<proto::ServerMessage, Status>>;

/// A stream that was admitted and has not begun.
pub(super) struct Stream {
    pub(super) core: Arc<Core>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) gateway: GatewayId,
    pub(super) remote: SocketAddr,
    pub(super) inbound: Streaming<proto::GatewayMessage>,
    pub(super) queue: Queue,
    pub(super) stop: CancellationToken,
}

/// What the next message to the gateway is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// The whole slice.
    Snapshot,
    /// What differs from the slice sent last, if anything does.
    Change,
}

impl Stream {
    /// The answer to a caller that is no gateway of this deployment.
    pub(super) fn unknown_gateway() -> Status {
        Status::unauthenticated(
            "this gateway is not known here; join again with a new token (`peerway gateway token`)",
        )
    }

    /// Runs the stream to its end and tells the gateway why it ends.
    pub(super) async fn run(mut self) {
        let queue = self.queue.clone();
        let stop = self.stop.clone();
        let gateway = self.gateway;
        let ended = tokio::select! {
            ended = self.talk() => ended,
            () = stop.cancelled() => Err(Status::unavailable("the server is stopping")),
        };
        tracing::info!(%gateway, reason = ended.as_ref().err().map(Status::message), "a gateway's stream ended");
        if let Err(status) = ended {
            // A gateway that does not read its queue learns it from the end of the connection.
            let _ = queue.try_send(Err(status));
        }
    }

    async fn talk(&mut self) -> Result<(), Status> {
        let hello = match tokio::time::timeout(HELLO_TIME_LIMIT, self.receive()).await {
            Ok(Ok(Some(GatewayMessage::Hello(hello)))) => hello,
            Ok(Ok(Some(GatewayMessage::Report(_) | GatewayMessage::SnapshotRequest))) => {
                return Err(Status::failed_precondition("a stream begins with a hello"));
            }
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(status)) => return Err(status),
            Err(_) => return Err(Status::deadline_exceeded("no hello came")),
        };
        let gateway = self.note(&hello).await?;
        let handle = self.sessions.open(Opening {
            gateway: gateway.id,
            remote: self.remote,
            software_version: hello.software_version.clone(),
            unix_millis: hello.unix_millis,
        });
        tracing::info!(
            gateway = %gateway.id, region = %gateway.region, remote = %self.remote,
            version = hello.software_version, running = hello.running.0, "a gateway connected"
        );
        let now = self.core.clock().now().0;
        self.send(ServerMessage::Welcome(Welcome {
            unix_millis: u64::try_from(now).unwrap_or_default(),
            gateway: gateway.id,
            region: gateway.region,
        }))
        .await?;
        let mut is_skewed = false;
        self.check_clock(hello.unix_millis, &mut is_skewed);
        self.follow(&handle, &mut is_skewed).await
    }

    /// Notes the tunnel key and the endpoint that the gateway has now.
    async fn note(&self, hello: &Hello) -> Result<Gateway, Status> {
        let noted = self.core.gateway_update(
            self.gateway,
            hello.tunnel_public_key,
            hello.endpoint.clone(),
        );
        match noted.await {
            Ok(gateway) => Ok(gateway),
            Err(_) if self.core.catalog().gateway(self.gateway).is_none() => {
                Err(Stream::unknown_gateway())
            }
            Err(error) => {
                tracing::error!(
                    gateway = %self.gateway,
                    error = &error as &dyn std::error::Error,
                    "a gateway's address and key cannot be noted"
                );
                Err(Status::unavailable(
                    "the server cannot take changes; try again",
                ))
            }
        }
    }

    async fn follow(&mut self, handle: &SessionHandle, is_skewed: &mut bool) -> Result<(), Status> {
        let mut revisions = self.core.revisions();
        let mut sent: Option<GatewaySlice> = None;
        let mut wanted = Some(Wanted::Snapshot);
        loop {
            tokio::select! {
                () = handle.replaced() => {
                    return Err(Status::aborted("a newer stream of this gateway took over"));
                }
                message = receive(&mut self.inbound) => match message? {
                    None => return Ok(()),
                    Some(GatewayMessage::Hello(_)) => {
                        return Err(Status::failed_precondition("a second hello"));
                    }
                    Some(GatewayMessage::SnapshotRequest) => wanted = Some(Wanted::Snapshot),
                    Some(GatewayMessage::Report(report)) => {
                        check_report(self.gateway, &report, sent.as_ref());
                        check_clock(&self.core, self.gateway, report.unix_millis, is_skewed);
                        self.core.hosts().reported(self.gateway, report.hosts.clone());
                        handle.reported(report);
                    }
                },
                moved = moved(&mut revisions) => {
                    moved?;
                    wanted = wanted.or(Some(Wanted::Change));
                }
                slot = self.queue.reserve(), if wanted.is_some() => {
                    let slot = slot.map_err(|_| Status::cancelled("the gateway left"))?;
                    let kind = wanted.take();
                    let next = self.slice()?;
                    let revision = Revision(next.generation.0);
                    let message = message(kind, sent.as_ref(), &next);
                    let generation = message.is_some().then_some(next.generation);
                    // Noted before it is sent, so that no report comes first.
                    handle.evaluated(revision, generation);
                    if let Some(message) = message {
                        slot.send(Ok(message.into()));
                        sent = Some(next);
                    }
                }
            }
        }
    }

    /// The gateway's slice at the catalog's revision.
    fn slice(&self) -> Result<GatewaySlice, Status> {
        let catalog = self.core.catalog();
        let gateway = catalog
            .gateway(self.gateway)
            .ok_or_else(Stream::unknown_gateway)?;
        let generation = Generation(catalog.revision().0);
        Ok(slice_of(&*catalog, gateway, generation))
    }

    async fn receive(&mut self) -> Result<Option<GatewayMessage>, Status> {
        receive(&mut self.inbound).await
    }

    async fn send(&self, message: ServerMessage) -> Result<(), Status> {
        let sent = self.queue.send(Ok(message.into())).await;
        sent.map_err(|_| Status::cancelled("the gateway left"))
    }

    fn check_clock(&self, unix_millis: u64, is_skewed: &mut bool) {
        check_clock(&self.core, self.gateway, unix_millis, is_skewed);
    }
}

async fn receive(
    inbound: &mut Streaming<proto::GatewayMessage>,
) -> Result<Option<GatewayMessage>, Status> {
    let Some(wire) = inbound.message().await? else {
        return Ok(None);
    };
    let message = GatewayMessage::try_from(wire)
        .map_err(|error: FieldError| Status::invalid_argument(error.to_string()))?;
    Ok(Some(message))
}

async fn moved(revisions: &mut watch::Receiver<Revision>) -> Result<(), Status> {
    let changed = revisions.changed().await;
    changed.map_err(|_| Status::unavailable("the server has lost its state"))
}

fn message(
    wanted: Option<Wanted>,
    sent: Option<&GatewaySlice>,
    next: &GatewaySlice,
) -> Option<ServerMessage> {
    match (wanted?, sent) {
        (Wanted::Snapshot, _) | (Wanted::Change, None) => {
            Some(ServerMessage::Snapshot(next.clone()))
        }
        (Wanted::Change, Some(sent)) if sent.same_content(next) => None,
        (Wanted::Change, Some(sent)) => Some(ServerMessage::Change(sent.change_to(next))),
    }
}

/// Warns when the clocks begin to differ, and tells when they agree again.
fn check_clock(core: &Core, gateway: GatewayId, unix_millis: u64, is_skewed: &mut bool) {
    let server = u64::try_from(core.clock().now().0).unwrap_or_default();
    let skew = Duration::from_millis(server.abs_diff(unix_millis));
    let was_skewed = std::mem::replace(is_skewed, skew > CLOCK_SKEW_LIMIT);
    match (was_skewed, *is_skewed) {
        (false, true) => tracing::warn!(
            %gateway, skew_secs = skew.as_secs(),
            "the clocks of server and gateway differ; set both by NTP"
        ),
        (true, false) => tracing::info!(%gateway, "the clocks of server and gateway agree again"),
        (false, false) | (true, true) => {}
    }
}

fn check_report(gateway: GatewayId, report: &Report, sent: Option<&GatewaySlice>) {
    let newest = sent.map_or(Generation(0), |slice| slice.generation);
    if report.generation > newest {
        tracing::warn!(
            %gateway, reported = report.generation.0, sent = newest.0,
            "a gateway runs a generation that this server never sent; was the state restored \
             from an older copy?"
        );
    }
}
