//! Spans of time, in a document and on the command line: `30s`, `30m`, `3h`, `7d`.

use std::{ops::RangeInclusive, time::Duration};

use super::document_reader::TomlItem;

/// Reads a span within `limits`; `must` says what is allowed.
pub(super) fn read(
    item: &TomlItem<'_, '_>,
    must: &str,
    limits: RangeInclusive<Duration>,
) -> Option<Duration> {
    let text = item.text(must)?;
    let span = parse_span(&text).filter(|span| limits.contains(span));
    if span.is_none() {
        item.report(must);
    }
    span
}

/// Reads a whole number and its unit.
pub fn parse_span(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return None,
    };
    let number: u64 = number.parse().ok()?;
    number.checked_mul(seconds).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_whole_number_and_a_unit() {
        for (text, seconds) in [("30s", 30), ("0m", 0), ("3h", 10_800), ("7d", 604_800)] {
            assert_eq!(
                parse_span(text),
                Some(Duration::from_secs(seconds)),
                "{text}"
            );
        }
        for wrong in [
            "",
            "999999999999999999d",
            "h",
            "-2h",
            "2w",
            "1.5h",
            "é",
            "2 h",
            "99999999999999999999s",
        ] {
            assert_eq!(parse_span(wrong), None, "{wrong}");
        }
    }
}
