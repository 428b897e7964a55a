//! Dates in HTTP headers.

use crate::Timestamp;

/// Reads a date such as `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let instant = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text);
    instant
        .ok()
        .map(|instant| Timestamp::from_millis(instant.as_millisecond()))
}
