//! What is known of the gateways from their streams, in memory: who is connected, what was sent to
//! them, what they run and what they saw.
//!
//! A gateway *runs a revision* when it has applied a generation of it or of a later one, or when
//! everything that was sent to it up to a later evaluation has been applied: a revision that does
//! not concern a gateway sends it nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::sync::{PeeringReport, Report};
use model::{GatewayId, Generation, PeeringConnectionId, Side, UnixMillis};
use store::Revision;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

/// Whether a gateway's stream is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// It is, since that time.
    Connected {
        /// Since when.
        since: UnixMillis,
    },
    /// It ended at that time.
    Disconnected {
        /// Since when.
        since: UnixMillis,
    },
}

/// What is known of one gateway. The last stream's knowledge stays after the stream has ended: what
/// a gateway runs it goes on running.
#[derive(Debug, Clone)]
pub struct Session {
    /// Whether the stream is open.
    pub connection: Connection,
    /// Where it came from.
    pub remote: SocketAddr,
    /// The gateway's software version.
    pub software_version: String,
    /// The gateway's clock minus the server's, in milliseconds, when it last told.
    pub clock_skew_millis: i64,
    sent: Generation,
    evaluated: Revision,
    report: Option<(UnixMillis, Arc<Report>)>,
    stream: u64,
    replaced: CancellationToken,
}

/// What a new stream tells of itself.
#[derive(Debug, Clone)]
pub struct Opening {
    /// Whose stream it is.
    pub gateway: GatewayId,
    /// Where it comes from.
    pub remote: SocketAddr,
    /// The gateway's software version.
    pub software_version: String,
    /// The gateway's clock, milliseconds of Unix time.
    pub unix_millis: u64,
}

/// All sessions of one server.
pub struct Sessions {
    clock: Arc<dyn Clock>,
    started_at: UnixMillis,
    sessions: Mutex<BTreeMap<GatewayId, Session>>,
    changes: watch::Sender<u64>,
}

impl Session {
    /// Whether the stream is open.
    pub fn is_connected(&self) -> bool {
        matches!(self.connection, Connection::Connected { .. })
    }

    /// The last generation sent on the last stream; 0 when none was.
    pub fn sent(&self) -> Generation {
        self.sent
    }

    /// The revision up to which the gateway's slice was computed and, if it differed, sent.
    pub fn evaluated(&self) -> Revision {
        self.evaluated
    }

    /// The generation that the gateway says it runs; 0 before its first report, and when it claims
    /// one that was never sent to it.
    pub fn applied(&self) -> Generation {
        match &self.report {
            Some((_, report)) if report.generation <= self.sent => report.generation,
            Some(_) | None => Generation(0),
        }
    }

    /// The last report of the last stream.
    pub fn report(&self) -> Option<&Report> {
        self.report.as_ref().map(|(_, report)| &**report)
    }

    /// The last report of the last stream, and when it came.
    pub fn dated_report(&self) -> Option<(UnixMillis, &Arc<Report>)> {
        self.report.as_ref().map(|(at, report)| (*at, report))
    }

    /// When the last report came.
    pub fn reported_at(&self) -> Option<UnixMillis> {
        self.report.as_ref().map(|(at, _)| *at)
    }

    /// Whether the gateway runs what a revision asks of it.
    pub fn runs(&self, revision: Revision) -> bool {
        let applied = self.applied();
        let is_up_to_date = applied == self.sent && self.evaluated >= revision;
        applied > Generation(0) && (applied.0 >= revision.0 || is_up_to_date)
    }

    /// What was last reported of one local side of a peering.
    pub fn peering(&self, id: PeeringConnectionId, side: Side) -> Option<&PeeringReport> {
        self.report()?.peerings.get(&(id, side))
    }
}

impl Sessions {
    /// No sessions yet.
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Sessions> {
        let (changes, _) = watch::channel(0);
        Arc::new(Sessions {
            started_at: clock.now(),
            clock,
            sessions: Mutex::default(),
            changes,
        })
    }

    /// Since when sessions are known.
    pub fn started_at(&self) -> UnixMillis {
        self.started_at
    }

    /// What is known of a gateway that has connected since the start.
    pub fn get(&self, gateway: GatewayId) -> Option<Session> {
        self.lock().get(&gateway).cloned()
    }

    /// What is known of every gateway that has connected since the start.
    pub fn all(&self) -> BTreeMap<GatewayId, Session> {
        self.lock().clone()
    }

    /// Ticks whenever something about a session changed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Begins a session and ends the older one of the same gateway.
    pub fn open(self: &Arc<Self>, opening: Opening) -> SessionHandle {
        let replaced = CancellationToken::new();
        let now = self.clock.now();
        let mut sessions = self.lock();
        let stream = sessions
            .get(&opening.gateway)
            .map_or(0, |older| older.stream + 1);
        let session = Session {
            connection: Connection::Connected { since: now },
            remote: opening.remote,
            software_version: opening.software_version,
            clock_skew_millis: skew_millis(opening.unix_millis, now),
            sent: Generation(0),
            evaluated: Revision(0),
            report: None,
            stream,
            replaced: replaced.clone(),
        };
        if let Some(older) = sessions.insert(opening.gateway, session) {
            older.replaced.cancel();
        }
        drop(sessions);
        self.tick();
        SessionHandle {
            sessions: Arc::clone(self),
            gateway: opening.gateway,
            stream,
            replaced,
        }
    }

    /// Forgets a gateway that was removed from the deployment. Its stream finds out by itself.
    pub fn forget(&self, gateway: GatewayId) {
        if self.lock().remove(&gateway).is_some() {
            self.tick();
        }
    }

    fn tick(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    // A panic while the lock is held leaves single fields written, never half of one.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<GatewayId, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The stream's hold on its session; dropping it ends the session. It has no effect once a newer
/// stream has taken the session over.
pub struct SessionHandle {
    sessions: Arc<Sessions>,
    gateway: GatewayId,
    stream: u64,
    replaced: CancellationToken,
}

impl SessionHandle {
    /// Completes when a newer stream of the same gateway has begun.
    pub async fn replaced(&self) {
        self.replaced.cancelled().await;
    }

    /// Notes that the slice of a revision is computed, and what was sent because of it.
    pub fn evaluated(&self, revision: Revision, sent: Option<Generation>) {
        self.change(|session| {
            session.evaluated = revision;
            session.sent = sent.unwrap_or(session.sent);
        });
    }

    /// Notes a report.
    pub fn reported(&self, report: Report) {
        let now = self.sessions.clock.now();
        self.change(|session| {
            session.clock_skew_millis = skew_millis(report.unix_millis, now);
            session.report = Some((now, Arc::new(report)));
        });
    }

    fn change(&self, change: impl FnOnce(&mut Session)) {
        let mut sessions = self.sessions.lock();
        let session = sessions.get_mut(&self.gateway);
        let Some(session) = session.filter(|session| session.stream == self.stream) else {
            return;
        };
        change(session);
        drop(sessions);
        self.sessions.tick();
    }
}

impl Drop for SessionHandle {
    fn drop(&mut self) {
        let since = self.sessions.clock.now();
        self.change(|session| session.connection = Connection::Disconnected { since });
    }
}

/// How far a gateway's clock is ahead of the server's, in milliseconds.
fn skew_millis(gateway: u64, server: UnixMillis) -> i64 {
    i64::try_from(gateway)
        .unwrap_or(i64::MAX)
        .saturating_sub(server.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::FakeClock;

    fn sessions() -> (Arc<FakeClock>, Arc<Sessions>) {
        let clock = Arc::new(FakeClock::at(UnixMillis(0)));
        (Arc::clone(&clock), Sessions::new(clock))
    }

    fn opening() -> Opening {
        Opening {
            gateway: GatewayId::from_entropy(1),
            remote: "192.0.2.1:1".parse().unwrap(),
            software_version: "0.1.0".to_owned(),
            unix_millis: 0,
        }
    }

    fn report(generation: u64) -> Report {
        Report {
            generation: Generation(generation),
            errors: vec![],
            peerings: BTreeMap::new(),
            pairs: BTreeMap::new(),
            hosts: BTreeMap::new(),
            unix_millis: 1_000,
        }
    }

    #[track_caller]
    fn check(sessions: &Sessions, revision: u64, runs: bool) {
        let session = sessions.get(GatewayId::from_entropy(1)).unwrap();
        assert_eq!(session.runs(Revision(revision)), runs, "{session:?}");
    }

    #[test]
    fn a_gateway_runs_what_it_has_applied_and_what_did_not_concern_it() {
        let (_, sessions) = sessions();
        let handle = sessions.open(opening());
        check(&sessions, 0, false);
        handle.evaluated(Revision(5), Some(Generation(5)));
        check(&sessions, 5, false);
        handle.reported(report(5));
        check(&sessions, 5, true);
        check(&sessions, 6, false);
        handle.evaluated(Revision(6), None);
        check(&sessions, 6, true);
        handle.evaluated(Revision(7), Some(Generation(7)));
        check(&sessions, 7, false);
        // The slice of revision 6 is behind what was sent, and 7 is not applied.
        check(&sessions, 6, false);
        check(&sessions, 5, true);
        handle.reported(report(7));
        check(&sessions, 6, true);
        check(&sessions, 7, true);
    }

    #[test]
    fn a_generation_that_was_never_sent_does_not_count() {
        let (_, sessions) = sessions();
        let handle = sessions.open(opening());
        handle.evaluated(Revision(5), Some(Generation(5)));
        handle.reported(report(9));
        check(&sessions, 5, false);
    }

    #[test]
    fn a_newer_stream_ends_the_older_one_and_its_say() {
        let (clock, sessions) = sessions();
        let older = sessions.open(opening());
        older.evaluated(Revision(5), Some(Generation(5)));
        older.reported(report(5));
        clock.set(UnixMillis(1));
        let newer = sessions.open(opening());
        assert!(older.replaced.is_cancelled() && !newer.replaced.is_cancelled());
        check(&sessions, 5, false);
        older.reported(report(5));
        drop(older);
        check(&sessions, 5, false);
        let connection = || sessions.get(GatewayId::from_entropy(1)).unwrap().connection;
        let since = UnixMillis(1);
        assert_eq!(connection(), Connection::Connected { since });
        clock.set(UnixMillis(2));
        drop(newer);
        let since = UnixMillis(2);
        assert_eq!(connection(), Connection::Disconnected { since });
    }

    #[test]
    fn skew_is_the_gateways_clock_minus_the_servers() {
        assert_eq!(skew_millis(31_000, UnixMillis(1_000)), 30_000);
        assert_eq!(skew_millis(0, UnixMillis(1_000)), -1_000);
        assert_eq!(skew_millis(u64::MAX, UnixMillis(0)), i64::MAX);
    }
}
