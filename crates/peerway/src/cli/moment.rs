//! Points in time on the command line.

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A point in time: absolute, or so long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// At this time, in milliseconds of Unix time.
    At(i64),
    /// So long before now.
    Ago(Duration),
}

impl Moment {
    /// The time in milliseconds of Unix time, given the current one.
    pub fn millis(self, now: OffsetDateTime) -> i64 {
        match self {
            Moment::At(millis) => millis,
            Moment::Ago(duration) => {
                millis(now).saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
            }
        }
    }
}

fn millis(time: OffsetDateTime) -> i64 {
    time.unix_timestamp() * 1000 + i64::from(time.millisecond())
}

/// Reads a point in time.
///
/// # Errors
/// What could stand there instead.
pub fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(Moment::At(millis(time)));
    }
    let ago = || {
        let unit = text.chars().next_back()?;
        let secs_of_unit = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 24 * 3600,
            _ => return None,
        };
        let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
        count.checked_mul(secs_of_unit).map(Duration::from_secs)
    };
    ago().map(Moment::Ago).ok_or_else(|| {
        "write a time as 2026-01-31T08:00:00Z, or how long ago as 90s, 15m, 2h or 7d".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_absolute_or_ago() {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        for (text, expected) in [
            ("2027-01-15T08:00:00Z", 1_800_000_000_000),
            ("2027-01-15T16:00:00.5+08:00", 1_800_000_000_500),
            ("0s", 1_800_000_000_000),
            ("90s", 1_799_999_910_000),
            ("15m", 1_799_999_100_000),
            ("2h", 1_799_992_800_000),
            ("7d", 1_799_395_200_000),
        ] {
            assert_eq!(moment(text).unwrap().millis(now), expected, "{text}");
        }
        for text in [
            "",
            "d",
            "7",
            "-1d",
            "7 d",
            "yesterday",
            "99999999999999999999d",
            "2027-01-15",
        ] {
            assert!(moment(text).is_err(), "{text}");
        }
    }
}
