//! The gateway's end of the sync protocol: join once, then keep one stream open, take slices from it
//! and send reports. Losing the server changes nothing about forwarding.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use api::sync::{
    GatewayMessage, Hello, JoinReply, JoinRequest, JoinString, ServerMessage, Welcome, proto,
};
use model::slice::GatewaySlice;
use model::{GatewayId, Generation, PublicKey, Region};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use crate::agent::chain;
use crate::connect::{ConnectError, Connected, connect};
use crate::forwarder::Forwarder;
use crate::identity::{Identity, PinnedCa, to_pem};
use crate::report::report;
use crate::shared::Shared;
use crate::state::{self, StateError, StateFolder};
use crate::status::{Connection, MAX_CLOCK_SKEW};

const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(5);
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// Reports for events are at least this far apart.
const REPORT_SPACING: Duration = Duration::from_millis(10);
const JOIN_LIMIT: Duration = Duration::from_secs(10);
/// Messages on the way to the server; when it does not take them, reports wait for the next tick.
const OUTBOX: usize = 4;

/// Why a gateway that has not joined stops.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The server did not let it join.
    #[error("the server refused this gateway: {0}")]
    Refused(String),
    /// Another server answers.
    #[error(transparent)]
    WrongServer(ConnectError),
    /// What the join gave could not be remembered.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Who the gateway is to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Membership {
    pub(crate) gateway: GatewayId,
    pub(crate) region: Region,
}

#[derive(Debug, Serialize, Deserialize)]
struct MembershipRecord {
    gateway: String,
    region: String,
}

impl Membership {
    /// Reads what an earlier join left; `None` when the gateway has never joined.
    pub(crate) fn load(folder: &StateFolder) -> Result<Option<Membership>, StateError> {
        let Some(record) = folder.read_json::<MembershipRecord>(state::GATEWAY)? else {
            return Ok(None);
        };
        let damaged = |error: &dyn fmt::Display| folder.damaged(state::GATEWAY, error.to_string());
        Ok(Some(Membership {
            gateway: record
                .gateway
                .parse()
                .map_err(|error: model::IdError| damaged(&error))?,
            region: record
                .region
                .parse()
                .map_err(|error: model::RegionError| damaged(&error))?,
        }))
    }
}

/// The membership, shared with those who show it.
#[derive(Debug, Clone, Default)]
pub(crate) struct MembershipCell(Arc<Mutex<Option<Membership>>>);

impl MembershipCell {
    pub(crate) fn new(membership: Option<Membership>) -> MembershipCell {
        MembershipCell(Arc::new(Mutex::new(membership)))
    }

    pub(crate) fn get(&self) -> Option<Membership> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, membership: Membership) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(membership);
    }
}

/// Everything that the connection to the server needs.
pub(crate) struct Sync {
    pub(crate) shared: Arc<Shared>,
    pub(crate) folder: Arc<StateFolder>,
    pub(crate) forwarder: Arc<dyn Forwarder>,
    pub(crate) identity: Identity,
    pub(crate) tunnel_public_key: PublicKey,
    pub(crate) advertise: Option<String>,
    pub(crate) join: Option<JoinString>,
    pub(crate) membership: MembershipCell,
    pub(crate) address: String,
    pub(crate) pin: PinnedCa,
}

/// How one attempt ended.
enum Ended {
    /// The connection could not be made, or broke. `was_up`: the server had sent something.
    Lost { message: String, was_up: bool },
    /// The server does not want this gateway.
    Refused(String),
    /// What answers is not the server.
    WrongServer(ConnectError),
    /// What the join gave could not be remembered.
    State(StateError),
}

impl Ended {
    fn lost(error: &dyn std::error::Error, was_up: bool) -> Ended {
        Ended::Lost {
            message: chain(error),
            was_up,
        }
    }
}

impl From<ConnectError> for Ended {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::WrongServer { .. } => Ended::WrongServer(error),
            ConnectError::Reach { .. }
            | ConnectError::Identity(_)
            | ConnectError::Negotiate { .. } => Ended::lost(&error, false),
        }
    }
}

/// Whether a status means that the server has decided against this gateway, rather than that
/// something went wrong on the way.
fn is_refusal(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::PermissionDenied
            | Code::Unauthenticated
            | Code::AlreadyExists
            | Code::FailedPrecondition
            | Code::InvalidArgument
            | Code::NotFound
    )
}

fn ended_by(status: &Status, was_up: bool) -> Ended {
    if is_refusal(status) {
        return Ended::Refused(status.message().to_owned());
    }
    let message = format!(
        "the server ended the stream ({:?}: {})",
        status.code(),
        status.message()
    );
    Ended::Lost { message, was_up }
}

impl Sync {
    /// Runs until the gateway is found not to belong to any server, which can only be before it has
    /// joined.
    pub(crate) async fn run(mut self) -> JoinError {
        let mut attempt = 0;
        loop {
            let ended = self.attempt().await;
            let has_joined = self.membership.get().is_some();
            attempt = match &ended {
                Ended::Lost { was_up: true, .. } => 0,
                Ended::Lost { .. } => attempt + 1,
                Ended::Refused(_) | Ended::WrongServer(_) | Ended::State(_) => u32::MAX,
            };
            let (message, connection) = match ended {
                Ended::Lost { message, .. } => (message, Connection::Connecting),
                Ended::Refused(message) if !has_joined => return JoinError::Refused(message),
                Ended::WrongServer(error) if !has_joined => return JoinError::WrongServer(error),
                Ended::State(error) if !has_joined => return JoinError::State(error),
                Ended::Refused(message) => (message, Connection::Refused),
                Ended::WrongServer(error) => (chain(&error), Connection::Refused),
                Ended::State(error) => (chain(&error), Connection::Connecting),
            };
            self.note_error(message, connection);
            tokio::time::sleep(retry_after(attempt)).await;
        }
    }

    fn note_error(&self, message: String, connection: Connection) {
        let is_news = self.shared.server().error.as_ref() != Some(&message);
        if is_news {
            tracing::warn!(server = %self.address, %message, "no server; forwarding goes on");
        }
        self.shared.update_server(|server| {
            server.connection = connection;
            server.error = Some(message);
        });
    }

    async fn attempt(&mut self) -> Ended {
        let mut connected = match connect(&self.address, &self.pin, &self.identity).await {
            Ok(connected) => connected,
            Err(error) => return error.into(),
        };
        if self.membership.get().is_none()
            && let Err(ended) = self.join(&mut connected).await
        {
            return ended;
        }
        let ended = self.stream(&mut connected).await;
        let Ended::Refused(_) = ended else {
            return ended;
        };
        // The operator may have removed this gateway and given it a new join string.
        if self.join.is_none() {
            return ended;
        }
        match self.join(&mut connected).await {
            Ok(()) => self.stream(&mut connected).await,
            Err(_) => ended,
        }
    }

    async fn join(&mut self, connected: &mut Connected) -> Result<(), Ended> {
        let Some(join) = &self.join else {
            let message = "it has not joined and has no join string; make one with \
                           `peerway gateway token` and give it with --join";
            return Err(Ended::Refused(message.to_owned()));
        };
        let request = JoinRequest {
            secret: join.secret().clone(),
            tunnel_public_key: self.tunnel_public_key,
            endpoint: self.advertise.clone(),
            software_version: crate::SOFTWARE_VERSION.to_owned(),
        };
        let mut request = tonic::Request::new(proto::JoinRequest::from(request));
        request.set_timeout(JOIN_LIMIT);
        let reply = connected.client.join(request).await;
        let reply = reply
            .map_err(|status| ended_by(&status, false))?
            .into_inner();
        let reply = JoinReply::try_from(reply).map_err(|error| Ended::lost(&error, false))?;
        let membership = Membership {
            gateway: reply.gateway,
            region: reply.region,
        };
        if self.membership.get().is_some_and(|old| old != membership) {
            self.folder.remove(state::SLICE).map_err(Ended::State)?;
            self.shared.forget_slice();
        }
        self.remember(&membership, connected)
            .map_err(Ended::State)?;
        tracing::info!(gateway = %membership.gateway, region = %membership.region, "joined");
        self.pin = PinnedCa::Certificate(connected.ca.clone());
        self.membership.set(membership);
        Ok(())
    }

    // The membership is written last: its presence says that the rest is there.
    fn remember(&self, membership: &Membership, connected: &Connected) -> Result<(), StateError> {
        self.folder
            .write(state::CA, to_pem(&connected.ca).as_bytes())?;
        self.folder
            .write(state::SERVER, format!("{}\n", self.address).as_bytes())?;
        let record = MembershipRecord {
            gateway: membership.gateway.to_string(),
            region: membership.region.to_string(),
        };
        self.folder.write_json(state::GATEWAY, &record)
    }

    /// Follows one stream to its end.
    async fn stream(&mut self, connected: &mut Connected) -> Ended {
        let (sender, receiver) = mpsc::channel(OUTBOX);
        let running = self
            .shared
            .applied
            .borrow()
            .generation
            .unwrap_or(Generation(0));
        let hello = Hello {
            tunnel_public_key: self.tunnel_public_key,
            endpoint: self.advertise.clone(),
            software_version: crate::SOFTWARE_VERSION.to_owned(),
            unix_millis: unix_millis(),
            running,
        };
        // The receiver is held below, and the channel is empty.
        let _ = sender.try_send(GatewayMessage::Hello(hello).into());
        let mut incoming = match connected.client.sync(ReceiverStream::new(receiver)).await {
            Ok(response) => response.into_inner(),
            Err(status) => return ended_by(&status, false),
        };
        let mut received = Received::default();
        let mut tick = tokio::time::interval(REPORT_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut earliest = Instant::now();
        let mut is_asked = false;
        loop {
            tokio::select! {
                message = incoming.message() => match message {
                    Ok(Some(message)) => {
                        if let Err(ended) = self.take(message, &mut received, &sender) {
                            return ended;
                        }
                        continue;
                    }
                    Ok(None) => {
                        let message = "the server closed the stream".to_owned();
                        return Ended::Lost { message, was_up: received.welcomed };
                    }
                    Err(status) => return ended_by(&status, received.welcomed),
                },
                () = self.shared.report_due.notified(), if !is_asked => {
                    is_asked = true;
                    continue;
                }
                () = tokio::time::sleep_until(earliest), if is_asked && received.welcomed => {}
                _ = tick.tick() => {}
            }
            if received.welcomed {
                self.report(&sender).await;
                earliest = Instant::now() + REPORT_SPACING;
                is_asked = false;
            }
        }
    }

    fn take(
        &self,
        message: proto::ServerMessage,
        received: &mut Received,
        sender: &mpsc::Sender<proto::GatewayMessage>,
    ) -> Result<(), Ended> {
        let was_up = received.welcomed;
        let message =
            ServerMessage::try_from(message).map_err(|error| Ended::lost(&error, was_up))?;
        match message {
            ServerMessage::Welcome(welcome) => self.welcome(&welcome, received)?,
            ServerMessage::Snapshot(slice) => received.slice = Some(slice),
            ServerMessage::Change(change) => {
                let applied = received.slice.as_mut().map(|slice| slice.apply(change));
                if !matches!(applied, Some(Ok(()))) {
                    tracing::info!("a change does not fit; asking for the whole slice");
                    received.slice = None;
                    // A full outbox holds a report; the next change asks again.
                    let _ = sender.try_send(GatewayMessage::SnapshotRequest.into());
                }
            }
        }
        let Some(slice) = &received.slice else {
            return Ok(());
        };
        self.offer(slice)
    }

    fn welcome(&self, welcome: &Welcome, received: &mut Received) -> Result<(), Ended> {
        let membership = self.membership.get();
        if membership.is_some_and(|membership| membership.gateway != welcome.gateway) {
            let message = format!("the server takes this gateway for {}", welcome.gateway);
            return Err(Ended::Refused(message));
        }
        received.welcomed = true;
        let skew_millis = i64::try_from(welcome.unix_millis)
            .unwrap_or(i64::MAX)
            .saturating_sub(i64::try_from(unix_millis()).unwrap_or(i64::MAX));
        self.shared.update_server(|server| {
            server.connection = Connection::Connected;
            server.error = None;
            server.clock_skew_millis = Some(skew_millis);
        });
        tracing::info!(server = %self.address, "connected");
        if self.shared.server().is_clock_skewed() {
            tracing::warn!(
                skew_millis,
                "this host's clock and the server's differ by more than {} s; set them by NTP",
                MAX_CLOCK_SKEW.as_secs()
            );
        }
        Ok(())
    }

    fn offer(&self, slice: &GatewaySlice) -> Result<(), Ended> {
        if let Some(membership) = self.membership.get()
            && membership.gateway != slice.gateway
        {
            let message = format!("the server sent the slice of {}", slice.gateway);
            return Err(Ended::Refused(message));
        }
        if let Err(stale) = self.shared.offer_slice(slice.clone()) {
            tracing::warn!(%stale, "an older slice is ignored");
            self.shared
                .update_server(|server| server.error = Some(stale.to_string()));
        }
        Ok(())
    }

    async fn report(&self, sender: &mpsc::Sender<proto::GatewayMessage>) {
        let Ok(permit) = sender.try_reserve() else {
            return;
        };
        let forwarder = self.forwarder.clone();
        let Ok(status) = tokio::task::spawn_blocking(move || forwarder.status()).await else {
            return;
        };
        let applied = self.shared.applied.borrow().clone();
        let slice = self.shared.slice();
        let attachments = self.shared.attachments();
        let report = report(
            slice.as_deref(),
            &applied,
            &attachments,
            &status,
            unix_millis(),
        );
        permit.send(GatewayMessage::Report(report).into());
    }
}

/// What a stream has brought so far.
#[derive(Default)]
struct Received {
    welcomed: bool,
    slice: Option<GatewaySlice>,
}

fn retry_after(attempt: u32) -> Duration {
    let longest = FIRST_RETRY
        .saturating_mul(1 << attempt.saturating_sub(1).min(16))
        .min(LAST_RETRY);
    // Half of it is random, so that the gateways of a server that comes back do not come at once.
    longest.mul_f64(rand::random_range(0.5..=1.0))
}

pub(crate) fn unix_millis() -> u64 {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_start_at_once_and_stay_below_their_bound() {
        assert!(retry_after(0) <= FIRST_RETRY && retry_after(1) <= FIRST_RETRY);
        for attempt in [2, 10, u32::MAX] {
            let wait = retry_after(attempt);
            assert!((FIRST_RETRY..=LAST_RETRY).contains(&wait), "{wait:?}");
        }
        assert!(retry_after(u32::MAX) >= LAST_RETRY / 2);
    }

    #[test]
    fn a_server_that_is_not_ready_has_not_refused() {
        for code in [
            Code::Unavailable,
            Code::Internal,
            Code::Unknown,
            Code::DeadlineExceeded,
        ] {
            assert!(!is_refusal(&Status::new(code, "")), "{code:?}");
        }
        assert!(is_refusal(&Status::already_exists("region gz has gw-1")));
    }
}
