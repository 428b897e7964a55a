//! Timestamps in milliseconds since 1970, UTC.

use std::{fmt, time::Duration};

/// An instant, to the millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The instant `ms` milliseconds after 1970 began.
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since 1970 began.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970 began.
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The instant `later` after this one.
    pub fn plus(self, later: Duration) -> Self {
        Self(self.0.saturating_add(millis(later)))
    }

    /// The instant `earlier` before this one.
    pub fn minus(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub(millis(earlier)))
    }

    /// The time from `earlier` to this; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        let ms = self.0.saturating_sub(earlier.0);
        Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    }

    /// Reads a date in any form that a sender has used, and in similar forms.
    ///
    /// HMRC writes `2020-06-01T10:20:23.160+0000`, which is not RFC 3339, and for some days in 2023
    /// wrote nanoseconds; Pay writes `…T10:15:31.480Z`. A date without a zone is read as UTC, as
    /// HMRC's own API reads it. `None` if the text is not a date.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(instant) = text.parse::<jiff::Timestamp>() {
            return Some(Self(instant.as_millisecond()));
        }
        let civil = text.parse::<jiff::civil::DateTime>().ok()?;
        // A date without a time would parse too, but is not precise enough to order by.
        let instant = text
            .contains(['T', 't', ' '])
            .then(|| jiff::tz::TimeZone::UTC.to_timestamp(civil))?;
        instant.ok().map(|instant| Self(instant.as_millisecond()))
    }

    /// Reads an HTTP date, such as `Sun, 06 Nov 1994 08:49:37 GMT`.
    pub fn parse_http(text: &str) -> Option<Self> {
        let instant = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text);
        instant.ok().map(|instant| Self(instant.as_millisecond()))
    }
}

/// UTC, RFC 3339, always three decimals: `2026-03-02T10:15:31.480Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(instant) => write!(f, "{instant:.3}"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_every_form_the_senders_have_used() {
        for (text, ms) in [
            ("2020-06-01T10:20:23.160+0000", 1_591_006_823_160),
            ("2020-06-01T10:20:23.000+0000", 1_591_006_823_000),
            ("2020-06-01T10:20:23.160123456+0000", 1_591_006_823_160),
            ("2020-06-01T10:20:23.160Z", 1_591_006_823_160),
            ("2020-06-01T10:20:23Z", 1_591_006_823_000),
            ("2020-06-01T11:20:23.160+01:00", 1_591_006_823_160),
            ("2020-06-01T10:20:23.160", 1_591_006_823_160),
            ("1970-01-01T00:00:00.000Z", 0),
            ("9999-12-30T00:00:00.000Z", 253_402_128_000_000),
            ("2016-12-31T23:59:60Z", 1_483_228_799_000),
        ] {
            assert_eq!(Timestamp::parse(text), Some(Timestamp(ms)), "{text}");
        }
    }

    #[test]
    fn invalid_dates_are_rejected() {
        for text in [
            "",
            "soon",
            "2020-06-01",
            "2020-13-01T00:00:00Z",
            "1591006823160",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn http_dates_are_read() {
        let read = Timestamp::parse_http("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(read, Some(Timestamp(784_111_777_000)));
        for text in ["", "120", "Sun Nov  6 08:49:37 1994", "06 Nov 1994"] {
            assert_eq!(Timestamp::parse_http(text), None, "{text}");
        }
    }

    #[test]
    fn an_instant_is_written_in_utc_with_three_decimals() {
        assert_eq!(
            Timestamp(1_591_006_823_160).to_string(),
            "2020-06-01T10:20:23.160Z"
        );
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn durations_are_never_negative() {
        let (early, late) = (Timestamp(1_000), Timestamp(3_500));
        assert_eq!(late.since(early), Duration::from_millis(2_500));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(
            early
                .plus(Duration::from_secs(2))
                .minus(Duration::from_secs(1)),
            Timestamp(2_000)
        );
    }
}
