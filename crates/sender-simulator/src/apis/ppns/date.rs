//! The date format of a list's query, which is neither RFC 3339 nor full ISO 8601.

use jiff::{
    civil::{Date, DateTime, Time},
    tz::{Offset, TimeZone},
};

use crate::Timestamp;

/// Parses `2020-06-03`, or `2020-06-03T14:20:54` with any fraction of a second, then `Z` or an
/// offset without a colon. Without a zone it is UTC, and without a time it is midnight. Anything
/// else is `None`, such as an offset with a colon, a time without seconds, or an offset whose plus
/// was decoded as a space.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let (date, rest) = text.split_at_checked(10)?;
    let date = Date::strptime("%Y-%m-%d", date).ok()?;
    let (time, offset) = if rest.is_empty() {
        (Time::midnight(), Offset::UTC)
    } else {
        time(rest)?
    };
    let instant = TimeZone::fixed(offset)
        .to_timestamp(DateTime::from_parts(date, time))
        .ok()?;
    Some(Timestamp::from_millis(instant.as_millisecond()))
}

/// Parses a time with its fraction and zone, from `T` on.
fn time(text: &str) -> Option<(Time, Offset)> {
    let (time, rest) = text.strip_prefix(['T', 't'])?.split_at_checked(8)?;
    let time = Time::strptime("%H:%M:%S", time).ok()?;
    let (fraction, zone) = match rest.strip_prefix('.') {
        None => ("", rest),
        Some(rest) => rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count()),
    };
    if fraction.is_empty() && rest.starts_with('.') {
        return None;
    }
    Some((
        time.with()
            .subsec_nanosecond(nanoseconds(fraction)?)
            .build()
            .ok()?,
        offset(zone)?,
    ))
}

/// Digits after the ninth are ignored.
fn nanoseconds(fraction: &str) -> Option<i32> {
    let padded = format!("{fraction:0<9}");
    padded.get(..9)?.parse().ok()
}

fn offset(zone: &str) -> Option<Offset> {
    if matches!(zone, "" | "Z" | "z") {
        return Some(Offset::UTC);
    }
    let (sign, digits) = match zone.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    if digits.len() != 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes): (i32, i32) = (digits[..2].parse().ok()?, digits[2..].parse().ok()?);
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60))
        .ok()
        .filter(|_| minutes < 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_parsed_in_the_formats_of_the_service() {
        for (text, expected) in [
            ("2020-06-03", "2020-06-03T00:00:00.000Z"),
            ("2020-06-03T14:20:54", "2020-06-03T14:20:54.000Z"),
            ("2020-06-03T14:20:54.1", "2020-06-03T14:20:54.100Z"),
            ("2020-06-03T14:20:54.123", "2020-06-03T14:20:54.123Z"),
            (
                "2020-06-03T14:20:54.123456789123",
                "2020-06-03T14:20:54.123Z",
            ),
            ("2020-06-03T14:20:54Z", "2020-06-03T14:20:54.000Z"),
            ("2020-06-03t14:20:54z", "2020-06-03T14:20:54.000Z"),
            ("2020-06-03T14:20:54.160+0000", "2020-06-03T14:20:54.160Z"),
            ("2020-06-03T14:20:54+0100", "2020-06-03T13:20:54.000Z"),
            ("2020-06-03T14:20:54-0530", "2020-06-03T19:50:54.000Z"),
        ] {
            assert_eq!(
                parse(text).map(|read| read.to_string()).as_deref(),
                Some(expected),
                "{text}"
            );
        }
    }

    #[test]
    fn dates_in_other_formats_are_refused() {
        for text in [
            "",
            "soon",
            "2020-06",
            "2020-13-03",
            "20200603",
            "2020-06-03T14:20",
            "2020-06-03T14:20:54.",
            "2020-06-03T14:20:54+01:00",
            "2020-06-03T14:20:54 0000",
            "2020-06-03T14:20:54+01",
            "2020-06-03T14:20:54+0190",
            "2020-06-03T24:00:00",
            "2020-06-03 14:20:54",
            "2020-06-03T14:20:54Zulu",
            "éééééééééé",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
