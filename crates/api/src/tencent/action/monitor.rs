//! Actions of the monitor product.

use model::monitor::{MonitorError, MonitorQuery, Period};
use model::{Command, DomainError, PeeringConnectionId, Region, UnixMillis};

use super::super::error::ApiError;
use super::super::monitor::{
    DIMENSION, MonitorParameterError, NAMESPACE, UTC_OFFSET_MILLIS, metric, parse_time,
};
use super::super::parameters::Parameters;
use super::super::read::optional;
use super::super::request::Limits;

/// `GetMonitorData` of peering connections.
pub(super) fn data(region: Region, p: &Parameters, _: &Limits) -> Result<Command, ApiError> {
    // Every parameter is looked for before any is judged, so that the first answer to an incomplete
    // request names what is missing.
    let namespace = required(p, "namespace")?;
    let metric_name = required(p, "metricName")?;
    let dimension = required(p, "dimensions.0.name")?;
    let source = required(p, "dimensions.0.value")?;
    if !namespace.eq_ignore_ascii_case(NAMESPACE) {
        return Err(invalid(
            "namespace",
            "only qce/pcx, peering connections, is measured here",
        ));
    }
    let (metric_name, metric) = metric(metric_name).ok_or_else(|| {
        let known = "it is not inbandwidth, outbandwidth, inpkg, outpkg, pkgdrop, InbandRate or \
                     OutbandRate";
        invalid("metricName", known)
    })?;
    if dimension != DIMENSION {
        return Err(dimensions(
            "dimensions.0.name",
            "it is not peeringConnectionId",
        ));
    }
    check_single_dimension(p)?;
    Ok(Command::MonitorData(MonitorQuery {
        region,
        peering: peering(source)?,
        metric,
        metric_name,
        period: period(p)?,
        start: time(p, "startTime")?,
        end: time(p, "endTime")?,
        utc_offset_millis: UTC_OFFSET_MILLIS,
    }))
}

fn required<'a>(p: &'a Parameters, name: &'static str) -> Result<&'a str, ApiError> {
    optional(p, name).ok_or_else(|| MonitorParameterError::Missing(name).into())
}

fn check_single_dimension(p: &Parameters) -> Result<(), ApiError> {
    let indexes = p
        .indexes("dimensions")
        .map_err(|bad| dimensions(&bad, "the index of a list is a decimal number from 0"))?;
    match indexes.iter().find(|index| **index != 0) {
        Some(index) => Err(dimensions(
            &format!("dimensions.{index}"),
            "peeringConnectionId is the only dimension",
        )),
        None => Ok(()),
    }
}

// An id that cannot be one is answered like one that does not exist.
fn peering(text: &str) -> Result<PeeringConnectionId, ApiError> {
    text.parse().map_err(|_| {
        let shown = text.chars().take(64).collect();
        DomainError::from(MonitorError::SourceNotFound(shown)).into()
    })
}

fn period(p: &Parameters) -> Result<Period, ApiError> {
    match optional(p, "period") {
        Some("60") => Ok(Period::Minute),
        // The default of the product's general page.
        Some("300") | None => Ok(Period::FiveMinutes),
        Some(_) => Err(invalid("period", "it is not 60 or 300")),
    }
}

fn time(p: &Parameters, name: &'static str) -> Result<Option<UnixMillis>, ApiError> {
    optional(p, name)
        .map(|text| {
            parse_time(text).ok_or_else(|| {
                invalid(
                    name,
                    "it is not a time of the form YYYY-MM-DD HH:MM:SS, in UTC+8",
                )
            })
        })
        .transpose()
}

fn invalid(name: &'static str, reason: &str) -> ApiError {
    let reason = reason.to_owned();
    MonitorParameterError::Invalid { name, reason }.into()
}

fn dimensions(name: &str, reason: &'static str) -> ApiError {
    let name = name.to_owned();
    MonitorParameterError::Dimensions { name, reason }.into()
}
