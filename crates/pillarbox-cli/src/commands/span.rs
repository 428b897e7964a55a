//! Spans of time on the command line: `30s`, `30m`, `2h`, `7d`.

use std::time::Duration;

/// Reads a whole number and its unit.
pub(super) fn read(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return None,
    };
    number
        .parse::<u64>()
        .ok()?
        .checked_mul(seconds)
        .map(Duration::from_secs)
}

/// The same, for the parser of arguments.
pub(super) fn argument(text: &str) -> Result<Duration, String> {
    read(text).ok_or_else(|| "write a number and its unit: 30s, 30m, 2h, 7d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_whole_number_and_a_unit() {
        for (text, seconds) in [("30s", 30), ("0m", 0), ("2h", 7_200), ("7d", 604_800)] {
            assert_eq!(read(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for wrong in [
            "",
            "h",
            "-2h",
            "2w",
            "1.5h",
            "é",
            "2 h",
            "99999999999999999999s",
            "999999999999999999d",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
            assert!(argument(wrong).is_err());
        }
    }
}
