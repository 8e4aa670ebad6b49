//! Requests that come again, exactly as they were.
//!
//! Clients resend a signed request when a connection drops, not knowing whether it arrived. A request
//! is known by everything that it says, its timestamp and its nonce included, however it is encoded
//! and whether by GET or POST. Outside the clock window it is refused, so what is known of it can be
//! forgotten then. What changes something is remembered by the store, with its answer. A read is not
//! remembered at all, unless the operator wants repetitions refused; then it is remembered in memory
//! alone, as a read that comes again after a restart does no harm.

use std::sync::Arc;
use std::time::Duration;

use api::tencent::{ApiError, Common, Parameters};
use bytes::Bytes;
use model::{Uin, UnixMillis};
use store::{Answer, AnswerKey, CommitError, Full, KnownBy, MemoryStore, Store};
use tokio_util::sync::CancellationToken;

use super::PublicApi;

/// How often what nobody can repeat any more is forgotten.
const PERIOD: Duration = Duration::from_secs(1);

/// The most answers that the store forgets at a time; commits wait for it.
const FORGOTTEN_TOGETHER: usize = 1000;

/// The reads that were answered, where repetitions are refused.
#[derive(Debug, Default)]
pub(super) struct Reads(MemoryStore);

impl Reads {
    /// Notes a read.
    pub(super) async fn first(&self, key: AnswerKey, account: Uin) -> Result<(), ApiError> {
        let read = Answer {
            key,
            account,
            value: Bytes::new(),
        };
        match self.0.remember(read).await {
            Ok(()) => Ok(()),
            Err(CommitError::Answered { .. }) => Err(ApiError::Replay),
            Err(CommitError::AnswersFull(full)) => Err(too_many(full)),
            // Memory does not fail otherwise.
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "noting a read");
                Err(ApiError::Internal)
            }
        }
    }
}

/// How a request is known when it comes again.
pub(super) fn key(common: &Common, parameters: &Parameters) -> AnswerKey {
    let made_at = i64::try_from(common.timestamp).unwrap_or(i64::MAX);
    AnswerKey {
        made_at: UnixMillis(made_at.saturating_mul(1000)),
        digest: parameters.fingerprint(),
        known_by: KnownBy::TimeAndDigest,
    }
}

/// What a caller is told when there is no room to remember an answer.
pub(super) fn too_many(full: Full) -> ApiError {
    let whose = match full {
        Full::Account(_) => "the account",
        Full::Total => "the server",
    };
    ApiError::TooManyRequests(format!(
        "{whose} has as many requests inside the clock window as can be told from repetitions; \
         retry later"
    ))
}

/// Forgets what nobody can repeat any more, until `stop`.
pub(crate) async fn forget(api: Arc<PublicApi>, stop: CancellationToken) {
    let mut period = tokio::time::interval(PERIOD);
    period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = period.tick() => {}
            () = stop.cancelled() => return,
        }
        while !stop.is_cancelled() && api.forget_some().await {}
    }
}

impl PublicApi {
    /// Forgets some; `true` when there may be more.
    pub(super) async fn forget_some(&self) -> bool {
        let window = i64::try_from(self.options.clock_window.as_secs()).unwrap_or(i64::MAX);
        // The clock window counts whole seconds.
        let oldest = self.core.clock().now().secs().saturating_sub(window);
        let before = UnixMillis(oldest.saturating_mul(1000));
        let reads = self
            .reads
            .0
            .forget_answers(before, FORGOTTEN_TOGETHER)
            .await;
        let answers = self.core.forget_answers(before, FORGOTTEN_TOGETHER).await;
        match answers {
            Ok(answers) => {
                answers == FORGOTTEN_TOGETHER
                    || reads.is_ok_and(|reads| reads == FORGOTTEN_TOGETHER)
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "old answers cannot be forgotten; trying again"
                );
                false
            }
        }
    }
}
