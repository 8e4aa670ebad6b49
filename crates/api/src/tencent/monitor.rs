//! What the monitor product has of its own: names of metrics, their units, and negative codes.
//!
//! Source: monitor API, document 248/10986 of 2020 for the short names and their units, its edition
//! of 2024 for the later ones.

use model::monitor::{Counts, Metric, MonitorData, MonitorError};
use time::{Date, Month, PrimitiveDateTime, Time, UtcOffset};

use model::UnixMillis;

/// The namespace of peering connections; the later edition writes it in capitals.
pub(super) const NAMESPACE: &str = "qce/pcx";

/// The only dimension of that namespace.
pub(super) const DIMENSION: &str = "peeringConnectionId";

/// How far the product's clock is ahead of UTC.
pub(super) const UTC_OFFSET_MILLIS: i64 = 8 * 3600 * 1000;

const METRICS: [(&str, Metric); 12] = [
    ("inbandwidth", Metric::InBandwidth),
    ("outbandwidth", Metric::OutBandwidth),
    ("inpkg", Metric::InPackets),
    ("outpkg", Metric::OutPackets),
    ("pkgdrop", Metric::DropShare),
    ("InBandwidth", Metric::InBandwidth),
    ("OutBandwidth", Metric::OutBandwidth),
    ("InPkg", Metric::InPackets),
    ("OutPkg", Metric::OutPackets),
    ("PkgDrop", Metric::DropShare),
    ("InbandRate", Metric::InUtilisation),
    ("OutbandRate", Metric::OutUtilisation),
];

/// A parameter of the monitor product that is not there or not right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MonitorParameterError {
    /// A required one is absent or empty.
    #[error("parameter [{0}] is missing")]
    Missing(&'static str),
    /// One has the wrong form, or a value that is not allowed.
    #[error("parameter [{name}] is invalid: {reason}")]
    Invalid {
        /// Its name.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The dimensions are not the one of the namespace.
    #[error("parameter [{name}] is invalid: {reason}")]
    Dimensions {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl MonitorParameterError {
    /// The numeric and the symbolic code.
    pub(super) fn code(&self) -> (i32, &'static str) {
        match self {
            MonitorParameterError::Missing(_) => (-505, "InvalidParameter.MissingParameter"),
            MonitorParameterError::Invalid { .. } => (-503, "InvalidParameter"),
            MonitorParameterError::Dimensions { .. } => {
                (-509, "InvalidParameter.DimensionGroupError")
            }
        }
    }
}

/// The numeric and the symbolic code of a refusal.
pub(super) fn code(error: &MonitorError) -> (i32, &'static str) {
    match error {
        MonitorError::SourceNotFound(_) => (-502, "OperationDenied.SourceNotExists"),
        MonitorError::EndBeforeStart => (-503, "InvalidParameter"),
        MonitorError::TooManyPoints { .. } => (-507, "OperationDenied.ExceedLimit"),
        MonitorError::Unavailable => (-513, "InternalError.DBoperationFail"),
    }
}

/// Finds a metric by its name, and that name.
pub(super) fn metric(name: &str) -> Option<(&'static str, Metric)> {
    METRICS.iter().copied().find(|(known, _)| *known == name)
}

/// Reads `YYYY-MM-DD HH:MM:SS` of UTC+8.
pub(super) fn parse_time(text: &str) -> Option<UnixMillis> {
    let bytes = text.as_bytes();
    let separators = [(4, b'-'), (7, b'-'), (10, b' '), (13, b':'), (16, b':')];
    let is_shaped = bytes.len() == 19
        && separators.iter().all(|(at, byte)| bytes[*at] == *byte)
        && bytes.iter().filter(|byte| byte.is_ascii_digit()).count() == 14;
    if !is_shaped {
        return None;
    }
    let small = |range: std::ops::Range<usize>| text.get(range)?.parse::<u8>().ok();
    let month = Month::try_from(small(5..7)?).ok()?;
    let date = Date::from_calendar_date(text.get(..4)?.parse().ok()?, month, small(8..10)?).ok()?;
    let time = Time::from_hms(small(11..13)?, small(14..16)?, small(17..19)?).ok()?;
    let at = PrimitiveDateTime::new(date, time).assume_offset(UtcOffset::UTC);
    Some(UnixMillis(at.unix_timestamp() * 1000 - UTC_OFFSET_MILLIS))
}

/// The values of an answer in the product's units: Mbps, packets per second and percent, rounded to
/// six places, so that a bandwidth is exact to the bit per second.
pub(super) fn values(data: &MonitorData) -> Vec<f64> {
    let secs = f64::from(data.query.period.secs());
    let cap_mbps = f64::from(data.bandwidth.mbps());
    data.periods
        .iter()
        .map(|counts| round(value(data.query.metric, counts, secs, cap_mbps)))
        .collect()
}

fn value(metric: Metric, counts: &Counts, secs: f64, cap_mbps: f64) -> f64 {
    let mbps = |bytes: u64| bytes as f64 * 8.0 / 1e6 / secs;
    // Nothing is a share of no packets, and no rate a share of no cap.
    let percent = |part: f64, whole: f64| {
        if whole > 0.0 {
            100.0 * part / whole
        } else {
            0.0
        }
    };
    match metric {
        Metric::InBandwidth => mbps(counts.received_bytes),
        Metric::OutBandwidth => mbps(counts.sent_bytes),
        Metric::InPackets => counts.received_packets as f64 / secs,
        Metric::OutPackets => counts.sent_packets as f64 / secs,
        Metric::DropShare => {
            let dropped = counts.capped_packets as f64;
            percent(dropped, counts.sent_packets as f64 + dropped)
        }
        Metric::InUtilisation => percent(mbps(counts.received_bytes), cap_mbps),
        Metric::OutUtilisation => percent(mbps(counts.sent_bytes), cap_mbps),
    }
}

fn round(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

#[cfg(test)]
#[path = "monitor_tests.rs"]
mod tests;
