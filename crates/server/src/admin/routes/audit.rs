//! The audit log.

use axum::Json;
use axum::extract::State;
use model::UnixMillis;

use super::super::{AuditFilter, AuditView, MOST_ENTRIES};
use super::Shared;
use super::refusal::{Filter, Refusal};
use crate::audit::{AuditQuery, Position, read, rfc3339};

/// Entries in an answer unless the operator says otherwise.
const DEFAULT_ENTRIES: usize = 100;

pub(super) async fn page(
    State(admin): Shared,
    Filter(filter): Filter<AuditFilter>,
) -> Result<Json<AuditView>, Refusal> {
    let limit = filter.limit.unwrap_or(DEFAULT_ENTRIES);
    if limit > MOST_ENTRIES {
        let reason = format!("limit is {limit}; at most {MOST_ENTRIES} is allowed");
        return Err(Refusal::bad(reason));
    }
    let after = filter.after.as_deref().map(str::parse::<Position>);
    let query = AuditQuery {
        uin: filter.uin,
        action: filter.action,
        since: filter.since_millis.map(|at| rfc3339(UnixMillis(at))),
        until: filter.until_millis.map(|at| rfc3339(UnixMillis(at))),
        limit,
        after: after.transpose().map_err(Refusal::bad)?,
    };
    let folder = admin.audit.folder().to_owned();
    let page = tokio::task::spawn_blocking(move || read(&folder, &query))
        .await
        .map_err(|_| Refusal::internal("reading the audit log panicked"))?
        .map_err(|error| Refusal::internal(format!("the audit log cannot be read: {error}")))?;
    Ok(Json(AuditView {
        entries: page.entries,
        next: page.next.to_string(),
    }))
}
