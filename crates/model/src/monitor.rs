//! What is measured of a peering over time, and how it is asked for.
//!
//! Each side of a peering has counts of its own, those of the gateway that carries its VPC. They are
//! kept minute by minute; a [`MonitorQuery`] asks for the sums of one side over equal periods.

use std::ops::AddAssign;

use crate::id::PeeringConnectionId;
use crate::overlay::Bandwidth;
use crate::region::Region;
use crate::time::UnixMillis;

const MINUTE_MILLIS: i64 = 60_000;
const DAY_MILLIS: i64 = 24 * 60 * MINUTE_MILLIS;

/// The longest time that one query covers, in periods. Source: monitor API, "at most 1440 points
/// per request"; a query that begins and ends at a point has one more.
pub const MAX_PERIODS: u64 = 1440;

/// What passed one side of a peering in some time: inner IP packets and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Packets sent to the other side.
    pub sent_packets: u64,
    /// Bytes sent to the other side.
    pub sent_bytes: u64,
    /// Packets that came from the other side.
    pub received_packets: u64,
    /// Bytes that came from the other side.
    pub received_bytes: u64,
    /// Packets for the other side that the cap dropped.
    pub capped_packets: u64,
}

impl Counts {
    /// Whether nothing passed and nothing was dropped.
    pub fn is_zero(&self) -> bool {
        *self == Counts::default()
    }

    /// What came to pass since an earlier reading of the same counters; `None` when one of them is
    /// smaller than it was, so that they have begun again.
    pub fn since(&self, earlier: &Counts) -> Option<Counts> {
        Some(Counts {
            sent_packets: self.sent_packets.checked_sub(earlier.sent_packets)?,
            sent_bytes: self.sent_bytes.checked_sub(earlier.sent_bytes)?,
            received_packets: self
                .received_packets
                .checked_sub(earlier.received_packets)?,
            received_bytes: self.received_bytes.checked_sub(earlier.received_bytes)?,
            capped_packets: self.capped_packets.checked_sub(earlier.capped_packets)?,
        })
    }

    /// Each count replaced by what a function makes of it.
    pub fn map(&self, each: impl Fn(u64) -> u64) -> Counts {
        Counts {
            sent_packets: each(self.sent_packets),
            sent_bytes: each(self.sent_bytes),
            received_packets: each(self.received_packets),
            received_bytes: each(self.received_bytes),
            capped_packets: each(self.capped_packets),
        }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Counts) {
        self.sent_packets = self.sent_packets.saturating_add(more.sent_packets);
        self.sent_bytes = self.sent_bytes.saturating_add(more.sent_bytes);
        self.received_packets = self.received_packets.saturating_add(more.received_packets);
        self.received_bytes = self.received_bytes.saturating_add(more.received_bytes);
        self.capped_packets = self.capped_packets.saturating_add(more.capped_packets);
    }
}

/// A minute: the whole minutes from the Unix epoch to its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Minute(pub u32);

impl Minute {
    /// The minute that a point in time lies in; the first or the last one outside their range.
    pub fn of(at: UnixMillis) -> Minute {
        let minute = at.0.div_euclid(MINUTE_MILLIS).max(0);
        Minute(u32::try_from(minute).unwrap_or(u32::MAX))
    }

    /// When it begins.
    pub fn begins_at(self) -> UnixMillis {
        UnixMillis(i64::from(self.0) * MINUTE_MILLIS)
    }
}

/// A quantity over time, seen from one end of a peering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Bits received per second.
    InBandwidth,
    /// Bits sent per second.
    OutBandwidth,
    /// Packets received per second.
    InPackets,
    /// Packets sent per second.
    OutPackets,
    /// The packets that the cap dropped, as a share of those that were to be sent.
    DropShare,
    /// Bits received per second, as a share of the cap.
    InUtilisation,
    /// Bits sent per second, as a share of the cap.
    OutUtilisation,
}

/// How much time one value stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// One minute.
    Minute,
    /// Five minutes, from a multiple of five on.
    FiveMinutes,
}

impl Period {
    /// Its length in minutes.
    pub fn minutes(self) -> u32 {
        match self {
            Period::Minute => 1,
            Period::FiveMinutes => 5,
        }
    }

    /// Its length in seconds.
    pub fn secs(self) -> u32 {
        self.minutes() * 60
    }
}

/// A question about one peering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonitorQuery {
    /// The region of the caller's end.
    pub region: Region,
    /// The peering.
    pub peering: PeeringConnectionId,
    /// What is asked for.
    pub metric: Metric,
    /// The metric's name in the caller's dialect, for the answer.
    pub metric_name: &'static str,
    /// How much time each value stands for.
    pub period: Period,
    /// The first value's period holds this; when absent, the day's beginning.
    pub start: Option<UnixMillis>,
    /// The last value's period holds this; when absent, now.
    pub end: Option<UnixMillis>,
    /// How far the caller's days are ahead of UTC, in milliseconds.
    pub utc_offset_millis: i64,
}

/// A time to be told about, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its beginning.
    pub start: UnixMillis,
    /// Its end, not before the beginning.
    pub end: UnixMillis,
    /// The first minute of the first period.
    pub first: Minute,
    /// The periods that it touches, 1 to [`MAX_PERIODS`] + 1.
    pub periods: usize,
}

impl MonitorQuery {
    /// The time that is asked about.
    ///
    /// # Errors
    /// [`MonitorError::EndBeforeStart`] and [`MonitorError::TooManyPoints`].
    pub fn window(&self, now: UnixMillis) -> Result<Window, MonitorError> {
        let today = (now.0 + self.utc_offset_millis).div_euclid(DAY_MILLIS) * DAY_MILLIS;
        let start = self
            .start
            .unwrap_or(UnixMillis(today - self.utc_offset_millis));
        let end = self.end.unwrap_or(now);
        if end < start {
            return Err(MonitorError::EndBeforeStart);
        }
        let position = |at| Minute::of(at).0 / self.period.minutes();
        let (first, last) = (position(start), position(end));
        let beyond_first = u64::from(last - first);
        if beyond_first > MAX_PERIODS {
            return Err(MonitorError::TooManyPoints {
                asked: beyond_first + 1,
                limit: MAX_PERIODS,
            });
        }
        Ok(Window {
            start,
            end,
            first: Minute(first * self.period.minutes()),
            periods: beyond_first as usize + 1,
        })
    }
}

/// What was measured at the caller's end of a peering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonitorData {
    /// The question.
    pub query: MonitorQuery,
    /// The time that it was about.
    pub window: Window,
    /// The peering's cap at the time of the answer.
    pub bandwidth: Bandwidth,
    /// The sums of the periods, in order; zeros for one of which nothing is kept. A period that has
    /// not ended holds what has passed so far.
    pub periods: Vec<Counts>,
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MonitorError {
    /// No such peering, or the caller has no end of it in this region.
    #[error("peering connection {0} not found")]
    SourceNotFound(String),
    /// The end lies before the beginning.
    #[error("the end of the time lies before its beginning")]
    EndBeforeStart,
    /// Too many values.
    #[error("{asked} points are asked for, at most {limit} are answered; ask for less time")]
    TooManyPoints {
        /// How many it would be.
        asked: u64,
        /// How many there may be.
        limit: u64,
    },
    /// What was kept cannot be read.
    #[error("the history cannot be read at the moment")]
    Unavailable,
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    // 2027-01-15 08:00:00 UTC, 16:00:00 in UTC+8.
    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    fn query(period: Period, start: Option<i64>, end: Option<i64>) -> MonitorQuery {
        MonitorQuery {
            region: Region::Guangzhou,
            peering: PeeringConnectionId::from_entropy(1),
            metric: Metric::InBandwidth,
            metric_name: "inbandwidth",
            period,
            start: start.map(UnixMillis),
            end: end.map(UnixMillis),
            utc_offset_millis: 8 * HOUR,
        }
    }

    #[test]
    fn without_times_it_is_about_the_callers_day_until_now() {
        let window = query(Period::FiveMinutes, None, None).window(NOW).unwrap();
        assert_eq!(window.start, UnixMillis(NOW.0 - 16 * HOUR));
        assert_eq!((window.end, window.periods), (NOW, 16 * 12 + 1));
    }

    #[test]
    fn the_periods_of_both_ends_are_part_of_it() {
        let minute = |number: i64| Some(NOW.0 + number * 60_000);
        let count = |period, start, end| {
            let window = query(period, start, end).window(NOW).unwrap();
            (i64::from(window.first.0) - NOW.0 / 60_000, window.periods)
        };
        // As in the vendor's example: 14:10 to 14:20 at 300 s is three points.
        assert_eq!(count(Period::FiveMinutes, minute(10), minute(20)), (10, 3));
        assert_eq!(count(Period::FiveMinutes, minute(11), minute(14)), (10, 1));
        assert_eq!(count(Period::Minute, minute(11), minute(11)), (11, 1));
    }

    #[test]
    fn an_end_before_the_beginning_and_too_many_points_are_refused() {
        let refused = |start, end| query(Period::Minute, start, end).window(NOW).unwrap_err();
        assert_eq!(
            refused(Some(NOW.0), Some(NOW.0 - 1)),
            MonitorError::EndBeforeStart
        );
        assert_eq!(refused(Some(NOW.0 + 1), None), MonitorError::EndBeforeStart);
        let day = 24 * HOUR;
        let whole_day = query(Period::Minute, Some(NOW.0 - day), None).window(NOW);
        assert_eq!(whole_day.unwrap().periods, 1441);
        assert_eq!(
            refused(Some(NOW.0 - day - 60_000), None),
            MonitorError::TooManyPoints {
                asked: 1442,
                limit: 1440
            }
        );
        // Times that no calendar has are no reason to fail otherwise.
        assert!(matches!(
            refused(Some(i64::MIN), Some(i64::MAX)),
            MonitorError::TooManyPoints { .. }
        ));
    }

    #[test]
    fn counters_that_shrank_have_begun_again() {
        let earlier = Counts {
            sent_bytes: 10,
            capped_packets: 2,
            ..Counts::default()
        };
        let later = Counts {
            sent_bytes: 30,
            received_packets: 1,
            ..earlier
        };
        let growth = Counts {
            sent_bytes: 20,
            received_packets: 1,
            ..Counts::default()
        };
        assert_eq!(later.since(&earlier), Some(growth));
        assert_eq!(earlier.since(&later), None);
        let one_shrank = Counts {
            capped_packets: 1,
            ..later
        };
        assert_eq!(one_shrank.since(&earlier), None);
    }
}
