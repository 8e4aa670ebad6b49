//! What was measured at the caller's end of a peering.

use std::collections::BTreeMap;

use model::monitor::{Counts, Minute, MonitorData, MonitorError, MonitorQuery, Window};
use model::{DomainError, Outcome, PeeringConnection, Side, Uin, UnixMillis};

use crate::catalog::Catalog;
use crate::error::UseCaseError;
use crate::history::History;

/// Answers a question. The end is the caller's in the region that was asked in; when the caller has
/// both ends there, it is the requester's.
pub(super) async fn data(
    catalog: &Catalog,
    history: &History,
    caller: Uin,
    query: &MonitorQuery,
    now: UnixMillis,
) -> Result<Outcome, UseCaseError> {
    let found = catalog.peering(query.peering).and_then(|peering| {
        let side = side_of(peering, caller, query)?;
        Some((side, peering.bandwidth))
    });
    let (side, bandwidth) = found
        .ok_or_else(|| MonitorError::SourceNotFound(query.peering.to_string()))
        .map_err(DomainError::from)?;
    let window = query.window(now).map_err(DomainError::from)?;
    let minutes = window.first..=last_minute(query, &window);
    let points = history.points((query.peering, side), minutes).await;
    let points = points.map_err(|error| {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "the measured points cannot be read"
        );
        DomainError::from(MonitorError::Unavailable)
    })?;
    Ok(Outcome::MonitorData(MonitorData {
        periods: sums(query, &window, points),
        query: query.clone(),
        window,
        bandwidth,
    }))
}

fn side_of(peering: &PeeringConnection, caller: Uin, query: &MonitorQuery) -> Option<Side> {
    if !peering.is_visible_to(caller) {
        return None;
    }
    [Side::Requester, Side::Accepter].into_iter().find(|side| {
        let end = peering.end(*side);
        end.owner == caller && end.region() == query.region
    })
}

fn last_minute(query: &MonitorQuery, window: &Window) -> Minute {
    let minutes = (window.periods as u32).saturating_mul(query.period.minutes());
    Minute(window.first.0.saturating_add(minutes - 1))
}

fn sums(query: &MonitorQuery, window: &Window, points: BTreeMap<Minute, Counts>) -> Vec<Counts> {
    let mut sums = vec![Counts::default(); window.periods];
    for (minute, counts) in points {
        let position = (minute.0 - window.first.0) / query.period.minutes();
        sums[position as usize] += counts;
    }
    sums
}
