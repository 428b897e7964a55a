//! JSON as the senders write it, read leniently and to a limited depth.

use serde::Deserialize;
use serde_json::value::RawValue;

/// The nesting limit of a body. The senders nest four levels; the parser's own limit is 128.
const DEEPEST: usize = 100;

/// Why authentic bytes cannot be read. Such a notification is held, not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnreadableError {
    /// Not a JSON object in UTF-8, or one that has a field that we read twice.
    Json,
    /// Nested more deeply than any sender nests.
    Depth,
    /// The id is missing, or is not text of 1 to 200 printable characters.
    Id,
    /// The date is missing or malformed.
    Date,
}

/// Reads `body`, which must be one JSON object.
pub fn object<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, UnreadableError> {
    let text = std::str::from_utf8(body).map_err(|_| UnreadableError::Json)?;
    if !text.trim_start().starts_with('{') {
        return Err(UnreadableError::Json); // derived structs would take an array, too
    }
    if is_deeper_than(DEEPEST, body) {
        return Err(UnreadableError::Depth);
    }
    serde_json::from_str(text).map_err(|_| UnreadableError::Json)
}

/// The text of a JSON string; `None` for anything else.
pub fn text(raw: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(raw?.get()).ok()
}

/// Whether `text` is one JSON value that can be embedded where a value belongs.
pub fn is_json(text: &str) -> bool {
    !is_deeper_than(DEEPEST, text.as_bytes()) && serde_json::from_str::<&RawValue>(text).is_ok()
}

/// Counts brackets outside strings; the parser skips unknown fields without counting them itself.
fn is_deeper_than(limit: usize, body: &[u8]) -> bool {
    let is_opening = |byte: &&u8| matches!(byte, b'{' | b'[');
    if body.iter().filter(is_opening).count() <= limit {
        return false; // as most bodies
    }
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_brackets_but_not_those_in_strings() {
        assert!(!is_deeper_than(2, br#"{"a":["]]]]]][[[[[[",1]}"#));
        assert!(!is_deeper_than(1, br#"{"a":"\"[[["}"#));
        assert!(is_deeper_than(2, br#"{"a":[[1]]}"#));
        assert!(is_deeper_than(DEEPEST, "[".repeat(100_000).as_bytes()));
    }
}
