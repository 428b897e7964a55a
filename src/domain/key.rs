//! The names of a notification: its source, its sender's id and its key.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

/// The characters that are percent-encoded in a key: all but `[A-Za-z0-9._-]`.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'-');

/// The name of a configured source, `[a-z][a-z0-9-]{0,31}`. The source is served at `/{name}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceName(String);

impl SourceName {
    /// Reads a source name; `None` if it is invalid.
    pub fn new(name: &str) -> Option<Self> {
        let rest = name.strip_prefix(|first: char| first.is_ascii_lowercase())?;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        (rest.len() <= 31 && rest.chars().all(plain)).then(|| Self(name.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A sender's own identifier for a notification: opaque, 1 to 200 printable ASCII characters.
///
/// It need not be a UUID or have a fixed length: GOV.UK Pay's ids are unpadded, with 22 to 26
/// characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NotificationId(String);

impl NotificationId {
    /// Reads an id; `None` if it is invalid.
    pub fn new(id: &str) -> Option<Self> {
        let printable = |b: u8| (0x20..=0x7e).contains(&b);
        ((1..=200).contains(&id.len()) && id.bytes().all(printable)).then(|| Self(id.to_owned()))
    }

    /// The id as its sender wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The key of a notification, `{source}:{id}`, which never changes.
///
/// Destinations deduplicate by it. It never starts with `~`, so an inbox can give such names to
/// other items.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(String);

impl Key {
    /// The key of a notification whose sender's id could be read.
    pub fn new(source: &SourceName, id: &NotificationId) -> Self {
        Self(format!(
            "{source}:{}",
            utf8_percent_encode(id.as_str(), ESCAPED)
        ))
    }

    /// The key of authentic bytes without a readable id. `digest` is of the form that the sender
    /// signed, so that it is the same however the sender escapes the bytes.
    pub fn unreadable(source: &SourceName, digest: &[u8; 32]) -> Self {
        Self(format!("{source}:sha256-{}", hex::encode(digest)))
    }

    /// The key of a notification with the same id as `self` but other content.
    pub fn conflict(&self, content_digest: &[u8; 32]) -> Self {
        Self(format!("{self}~{}", hex::encode(&content_digest[..4])))
    }

    /// Whether this is the key of a [`conflict`](Self::conflict). An id is percent-encoded, so no
    /// other key has a `~`.
    pub fn is_conflict(&self) -> bool {
        self.0.contains('~')
    }

    /// Reads a key; `None` if it is invalid.
    pub fn parse(text: &str) -> Option<Self> {
        let (source, id) = text.split_once(':')?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-%~".contains(&b);
        (SourceName::new(source).is_some() && !id.is_empty() && id.bytes().all(plain))
            .then(|| Self(text.to_owned()))
    }

    /// The name of the key's source.
    pub fn source(&self) -> &str {
        self.0.split_once(':').map_or("", |(source, _)| source)
    }

    /// The id, percent-encoded.
    pub fn encoded_id(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, id)| id)
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A stable hash of the key, which spreads rows over index shards.
    pub fn shard(&self, shards: u16) -> u16 {
        let digest = Sha256::digest(self.0.as_bytes());
        u16::from_be_bytes([digest[0], digest[1]]) % shards.max(1)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_name_is_lower_case_letters_digits_and_dashes() {
        for good in ["a", "pay", "hmrc-2", &"a".repeat(32)] {
            assert!(SourceName::new(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "2pay",
            "-pay",
            "Pay",
            "pay_1",
            "pay/",
            "päy",
            &"a".repeat(33),
        ] {
            assert!(SourceName::new(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn an_id_is_1_to_200_printable_ascii_characters() {
        for good in [
            "1",
            "1ed5f407-8096-40d1-87ef-9a2a103eeb85",
            "a b~c",
            &"x".repeat(200),
        ] {
            assert!(NotificationId::new(good).is_some(), "{good}");
        }
        for bad in ["", "a\n", "é", "\u{7f}", &"x".repeat(201)] {
            assert!(NotificationId::new(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn keys_percent_encode_characters_that_could_be_mistaken_for_structure() {
        let source = SourceName::new("pay").unwrap();
        for (id, key) in [
            ("5s1k7c3g9v", "pay:5s1k7c3g9v"),
            ("A.b_c-9", "pay:A.b_c-9"),
            ("~x", "pay:%7Ex"),
            ("a:b/c%d e", "pay:a%3Ab%2Fc%25d%20e"),
        ] {
            let made = Key::new(&source, &NotificationId::new(id).unwrap());
            assert_eq!(made.as_str(), key);
            assert_eq!(Key::parse(key), Some(made));
        }
    }

    #[test]
    fn a_conflict_has_the_first_key_with_a_suffix_and_unreadable_bytes_have_their_digest() {
        let source = SourceName::new("hmrc").unwrap();
        let first = Key::new(&source, &NotificationId::new("n1").unwrap());
        let conflict = first.conflict(&[0xab; 32]);
        assert_eq!(conflict.as_str(), "hmrc:n1~abababab");
        assert!(conflict.is_conflict() && !first.is_conflict());
        let unreadable = Key::unreadable(&source, &[1; 32]);
        assert_eq!(
            unreadable.as_str(),
            format!("hmrc:sha256-{}", "01".repeat(32))
        );
    }

    #[test]
    fn invalid_keys_are_rejected() {
        for bad in ["", "pay", "pay:", "Pay:1", "~body:x", "pay:a b", "pay:a\n"] {
            assert_eq!(Key::parse(bad), None, "{bad:?}");
        }
    }
}
