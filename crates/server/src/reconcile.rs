//! What takes time: running tasks, the confirmation of removals, the expiry of requests.
//!
//! One loop, woken by the catalog, by the sessions and by time, looks at the whole state and does
//! what is due. It remembers nothing: after a restart it goes on where the state stands. What a
//! task waits for is decided by [`verdict`], a pure function; the core ends it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use model::{
    Gateway, GatewayId, PeeringConnection, PeeringConnectionId, Region, Side, Task, TaskId,
    TaskKind, UnixMillis, World,
};
use store::Revision;
use store::record::Key;
use tokio_util::sync::CancellationToken;

use crate::catalog::Catalog;
use crate::core::{Core, Dataplane, has_had_gateway};
use crate::error::UseCaseError;
use crate::sync::Sessions;
use crate::sync::sessions::{Connection, Session};

/// How often the loop looks without being woken. Deadlines are met with this precision when the
/// clock was set; else exactly.
const PERIOD: Duration = Duration::from_secs(1);

/// The pause before what is overdue is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Changes in flight at once; the store commits them together.
const CONCURRENT_CHANGES: usize = 64;

/// A WireGuard session without a handshake for this long is over. Source: the WireGuard paper,
/// section 6.1, Reject-After-Time.
const HANDSHAKE_LIFETIME: Duration = Duration::from_secs(180);

/// The errors of a gateway that a message quotes.
const QUOTED_ERRORS: usize = 3;

/// What is to become of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on waiting.
    Wait,
    /// It is done.
    Succeed,
    /// It is given up, with a message for its owner.
    Fail(String),
}

/// Runs until `stop`, or until the store is no longer followed.
pub(crate) async fn run(core: Arc<Core>, sessions: Arc<Sessions>, stop: CancellationToken) {
    let mut revisions = core.revisions();
    let mut changes = sessions.changes();
    loop {
        revisions.mark_unchanged();
        changes.mark_unchanged();
        let next_expiry = match core.expire_due().await {
            Ok(next) => next,
            Err(error) => {
                warn(&error, "requests cannot be expired");
                None
            }
        };
        advance(&core, &sessions).await;
        let pause = pause(&core, next_expiry);
        tokio::select! {
            () = stop.cancelled() => return,
            moved = revisions.changed() => if moved.is_err() { return },
            // The sessions outlive this loop, so their sender is there.
            _ = changes.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Until the next deadline, at most a period.
fn pause(core: &Core, next_expiry: Option<UnixMillis>) -> Duration {
    let now = core.clock().now();
    let catalog = core.catalog();
    let deadlines = catalog.running_tasks().map(|task| task.deadline);
    let next = deadlines.chain(next_expiry).min();
    let until_next = next.map(|next| u64::try_from(next.0.saturating_sub(now.0)));
    match until_next {
        Some(Ok(millis)) if millis > 0 => Duration::from_millis(millis).min(PERIOD),
        // Overdue: it became due meanwhile, or the store does not take changes.
        Some(_) => RETRY_PAUSE,
        None => PERIOD,
    }
}

/// Ends the tasks and confirms the removals that are due.
async fn advance(core: &Core, sessions: &Sessions) {
    let catalog = core.catalog();
    let now = core.clock().now();
    let confirmations = confirmations(&catalog, sessions);
    futures::stream::iter(confirmations)
        .for_each_concurrent(CONCURRENT_CHANGES, |(peering, gateway)| async move {
            if let Err(error) = core.tombstone_confirm(peering, gateway).await {
                warn(&error, "a removal cannot be confirmed");
            }
        })
        .await;
    let due: Vec<(TaskId, Verdict)> = catalog
        .running_tasks()
        .map(|task| match core.rules().dataplane {
            Dataplane::Gateways => (task.id, verdict(&catalog, sessions, task, now)),
            // Left from a time when there were gateways to wait for.
            Dataplane::None => (task.id, Verdict::Succeed),
        })
        .filter(|(_, verdict)| *verdict != Verdict::Wait)
        .collect();
    futures::stream::iter(due)
        .for_each_concurrent(CONCURRENT_CHANGES, |(task, verdict)| async move {
            let ended = match verdict {
                Verdict::Wait => Ok(()),
                Verdict::Succeed => core.task_succeed(task).await,
                Verdict::Fail(message) => {
                    tracing::warn!(%task, message, "a task failed");
                    core.task_fail(task, message).await
                }
            };
            if let Err(error) = ended {
                warn(&error, "a task cannot be ended");
            }
        })
        .await;
}

fn warn(error: &UseCaseError, what: &str) {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "{what}; trying again"
    );
}

/// The removals that gateways have carried out: they run a revision that has the tombstone.
fn confirmations(catalog: &Catalog, sessions: &Sessions) -> Vec<(PeeringConnectionId, GatewayId)> {
    let mut confirmed = Vec::new();
    for tombstone in catalog.tombstones() {
        let Some(revision) = catalog.revision_of(&Key::Tombstone(tombstone.peering)) else {
            continue;
        };
        for gateway in &tombstone.awaiting {
            if sessions
                .get(*gateway)
                .is_some_and(|session| session.runs(revision))
            {
                confirmed.push((tombstone.peering, *gateway));
            }
        }
    }
    confirmed
}

/// Decides about a running task.
pub fn verdict(catalog: &Catalog, sessions: &Sessions, task: &Task, now: UnixMillis) -> Verdict {
    let Some(revision) = catalog.revision_of(&Key::Task(task.id)) else {
        return Verdict::Wait;
    };
    let is_late = now >= task.deadline;
    let needs_probe = match task.kind {
        TaskKind::Create | TaskKind::Accept { .. } => true,
        TaskKind::Modify { .. } => false,
        // These two end when they are committed.
        TaskKind::Reject | TaskKind::Enable => return Verdict::Succeed,
        TaskKind::Delete => return removal(catalog, sessions, task, is_late),
    };
    let Some(peering) = catalog.peering(task.peering) else {
        return Verdict::Fail(format!("{} is gone", task.peering));
    };
    let ends = match Ends::of(catalog, peering) {
        Ok(ends) => ends,
        // A gateway that was removed may be about to be replaced.
        Err(missing) if missing.has_had_one && !is_late => return Verdict::Wait,
        Err(missing) => return Verdict::Fail(missing.message()),
    };
    let gateways = ends.gateways();
    let obstacles: Vec<String> = gateways
        .iter()
        .filter_map(|gateway| behind(sessions, gateway, revision))
        .collect();
    let is_crossed = !needs_probe || probe_crossed(sessions, peering, &ends);
    if is_crossed
        && gateways
            .iter()
            .all(|gateway| runs(sessions, gateway, revision))
    {
        return Verdict::Succeed;
    }
    if !is_late {
        return Verdict::Wait;
    }
    Verdict::Fail(if obstacles.is_empty() {
        no_probe(sessions, peering, &ends)
    } else {
        obstacles.join("; ")
    })
}

/// The gateways at the two ends of a peering; the same one twice when it carries both.
struct Ends<'a> {
    requester: &'a Gateway,
    accepter: &'a Gateway,
}

/// A region without a gateway.
struct Missing {
    region: Region,
    /// Whether one has joined and left.
    has_had_one: bool,
}

impl Missing {
    /// Region and cause, with what to do.
    fn message(&self) -> String {
        let region = self.region;
        let cause = match self.has_had_one {
            true => "has no gateway since its last one was removed",
            false => "has no gateway and never had one",
        };
        format!(
            "region {region} {cause}; create a token with `peerway gateway token --region {region}`"
        )
    }
}

impl<'a> Ends<'a> {
    fn of(catalog: &'a Catalog, peering: &PeeringConnection) -> Result<Ends<'a>, Missing> {
        let gateway = |side| {
            let region = peering.end(side).region();
            catalog.gateway_of(region).ok_or_else(|| Missing {
                region,
                has_had_one: has_had_gateway(catalog, region),
            })
        };
        Ok(Ends {
            requester: gateway(Side::Requester)?,
            accepter: gateway(Side::Accepter)?,
        })
    }

    fn gateways(&self) -> Vec<&'a Gateway> {
        if self.requester.id == self.accepter.id {
            vec![self.requester]
        } else {
            vec![self.requester, self.accepter]
        }
    }
}

fn runs(sessions: &Sessions, gateway: &Gateway, revision: Revision) -> bool {
    let session = sessions.get(gateway.id);
    session.is_some_and(|session| session.runs(revision))
}

/// Whether a side has seen a probe come back in the peering's own VNI.
fn probe_crossed(sessions: &Sessions, peering: &PeeringConnection, ends: &Ends<'_>) -> bool {
    [
        (ends.requester, Side::Requester),
        (ends.accepter, Side::Accepter),
    ]
    .into_iter()
    .any(|(gateway, side)| {
        let session = sessions.get(gateway.id);
        let report = session
            .as_ref()
            .and_then(|session| session.peering(peering.id, side));
        report.is_some_and(|report| report.vni == peering.vni && report.probe_crossed)
    })
}

/// Why a gateway does not run a revision, or cannot tell: region and cause.
fn behind(sessions: &Sessions, gateway: &Gateway, revision: Revision) -> Option<String> {
    let place = format!("region {}: gateway {}", gateway.region, gateway.id);
    let Some(session) = sessions.get(gateway.id) else {
        let since = time_of(sessions.started_at());
        return Some(format!(
            "{place} is not connected (not since the server started at {since})"
        ));
    };
    if let Connection::Disconnected { since } = session.connection {
        return Some(format!(
            "{place} is not connected (since {})",
            time_of(since)
        ));
    }
    if session.runs(revision) {
        return None;
    }
    let errors = quoted_errors(&session);
    Some(if errors.is_empty() {
        format!(
            "{place} has not applied the change (it runs generation {}, the change is in {})",
            session.applied(),
            revision.0
        )
    } else {
        format!("{place} has not applied the change: {errors}")
    })
}

fn quoted_errors(session: &Session) -> String {
    let errors = session.report().map_or(&[][..], |report| &report.errors);
    let quoted: Vec<String> = errors
        .iter()
        .take(QUOTED_ERRORS)
        .map(|error| format!("{}: {}", error.subject, error.message))
        .collect();
    quoted.join("; ")
}

/// Why no probe came back although both ends run the peering.
fn no_probe(sessions: &Sessions, peering: &PeeringConnection, ends: &Ends<'_>) -> String {
    let (one, other) = (ends.requester, ends.accepter);
    let vni = peering.vni;
    if one.id == other.id {
        return format!(
            "region {}: gateway {}: no probe crossed VNI {vni}",
            one.region, one.id
        );
    }
    let pair = format!(
        "gateway pair {} ({}) - {} ({})",
        one.region, one.id, other.region, other.id
    );
    let shook_hands =
        has_handshake(sessions, one.id, other.id) || has_handshake(sessions, other.id, one.id);
    if shook_hands {
        format!("{pair}: no probe crossed VNI {vni}")
    } else {
        format!("{pair}: no handshake")
    }
}

fn has_handshake(sessions: &Sessions, gateway: GatewayId, other: GatewayId) -> bool {
    let session = sessions.get(gateway);
    let report = session.as_ref().and_then(Session::report);
    let age = report
        .and_then(|report| report.pairs.get(&other))
        .and_then(|pair| pair.last_handshake_age_millis);
    age.is_some_and(|age| Duration::from_millis(age) < HANDSHAKE_LIFETIME)
}

/// A deletion is done when its tombstone is gone; the core ends the task with it.
fn removal(catalog: &Catalog, sessions: &Sessions, task: &Task, is_late: bool) -> Verdict {
    let Some(tombstone) = catalog.tombstone(task.peering) else {
        return Verdict::Succeed;
    };
    if !is_late {
        return Verdict::Wait;
    }
    let revision = catalog.revision_of(&Key::Tombstone(task.peering));
    let missing: BTreeSet<String> = tombstone
        .awaiting
        .iter()
        .filter_map(|id| catalog.gateway(*id))
        .map(|gateway| {
            let reason = revision.and_then(|revision| behind(sessions, gateway, revision));
            reason.unwrap_or_else(|| {
                format!(
                    "region {}: gateway {} is about to confirm",
                    gateway.region, gateway.id
                )
            })
        })
        .collect();
    let missing: Vec<String> = missing.into_iter().collect();
    Verdict::Fail(format!(
        "the peering is deleted, but its removal is not confirmed: {}",
        missing.join("; ")
    ))
}

/// A time for people, to the second, in UTC.
pub(crate) fn time_of(at: UnixMillis) -> String {
    let Ok(time) = time::OffsetDateTime::from_unix_timestamp(at.secs()) else {
        return at.0.to_string();
    };
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}
