//! Time spans as arguments.

use std::time::Duration;

use pillarbox::config::parse_span;

/// Parses a span, for clap.
pub(super) fn argument(text: &str) -> Result<Duration, String> {
    parse_span(text).ok_or_else(|| "write a number and its unit: 30s, 30m, 2h, 7d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_span_is_refused_with_an_example() {
        assert_eq!(argument("2h"), Ok(Duration::from_secs(7_200)));
        assert!(argument("2w").unwrap_err().contains("2h"));
    }
}
