//! Units and times of the monitor product.

use model::monitor::{Minute, MonitorQuery, Period, Window};
use model::{Bandwidth, PeeringConnectionId, Region};

use super::*;

fn data(metric: Metric, mbps: u32, periods: &[Counts]) -> MonitorData {
    MonitorData {
        query: MonitorQuery {
            region: Region::Guangzhou,
            peering: PeeringConnectionId::from_entropy(1),
            metric,
            metric_name: "x",
            period: Period::Minute,
            start: None,
            end: None,
            utc_offset_millis: UTC_OFFSET_MILLIS,
        },
        window: Window {
            start: UnixMillis(0),
            end: UnixMillis(0),
            first: Minute(0),
            periods: periods.len(),
        },
        bandwidth: Bandwidth::from_mbps(mbps),
        periods: periods.to_vec(),
    }
}

#[track_caller]
fn check(metric: Metric, mbps: u32, expected: f64) {
    let busy = Counts {
        sent_packets: 900,
        sent_bytes: 15_000_000,
        received_packets: 90,
        received_bytes: 7_500_000,
        capped_packets: 100,
    };
    let values = values(&data(metric, mbps, &[busy, Counts::default()]));
    assert_eq!(values, [expected, 0.0]);
}

#[test]
fn values_have_the_documented_units() {
    check(Metric::InBandwidth, 10, 1.0);
    check(Metric::OutBandwidth, 10, 2.0);
    check(Metric::InPackets, 10, 1.5);
    check(Metric::OutPackets, 10, 15.0);
    check(Metric::DropShare, 10, 10.0);
    check(Metric::InUtilisation, 10, 10.0);
    check(Metric::OutUtilisation, 10, 20.0);
}

#[test]
fn nothing_is_a_share_of_no_cap() {
    check(Metric::InUtilisation, 0, 0.0);
    check(Metric::OutUtilisation, 0, 0.0);
}

#[test]
fn everything_offered_may_be_dropped() {
    let dropped = Counts {
        capped_packets: 7,
        ..Counts::default()
    };
    assert_eq!(values(&data(Metric::DropShare, 10, &[dropped])), [100.0]);
}

#[test]
fn a_few_bytes_are_not_rounded_away() {
    let few = Counts {
        received_bytes: 84,
        ..Counts::default()
    };
    assert_eq!(values(&data(Metric::InBandwidth, 10, &[few])), [0.000_011]);
}

#[test]
fn no_metric_has_two_meanings() {
    for (name, expected) in METRICS {
        assert_eq!(metric(name), Some((name, expected)));
    }
}

#[test]
fn times_are_those_that_answers_show() {
    for millis in [0, 1_452_084_967_000, 253_402_271_999_000] {
        let shown = super::super::response::local_time(UnixMillis(millis));
        assert_eq!(parse_time(&shown), Some(UnixMillis(millis)), "{shown}");
    }
    assert_eq!(
        parse_time("2016-02-29 00:00:00"),
        Some(UnixMillis(1_456_675_200_000))
    );
    for text in [
        "2015-02-29 00:00:00",
        "2016-06-28 14:10:00 ",
        "２016-06-28 14:10:",
        "",
    ] {
        assert_eq!(parse_time(text), None, "{text}");
    }
}
