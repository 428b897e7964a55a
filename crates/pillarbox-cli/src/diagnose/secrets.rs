//! The configured secrets, and the faulty forms that may have been used to sign.

use base64::{Engine, prelude::BASE64_STANDARD};

use super::{FailureCause, NamedSecret, SecretEncoding, base32};

/// What Pay writes before every secret.
const PREFIXES: [&str; 2] = ["webhook_test_", "webhook_live_"];
/// The white space that files and prompts may leave after a secret.
const PADDING: [&str; 4] = ["\n", "\r\n", " ", "\t"];

/// A key to try, and what was wrong if it is the one.
pub(super) struct CandidateKey<'a> {
    /// The label of the secret it comes from.
    pub(super) label: &'a str,
    /// The key's bytes. No `Debug` here: they are a secret.
    pub(super) key: Vec<u8>,
    /// The cause, if this key is not the secret itself.
    pub(super) cause: Option<FailureCause>,
}

/// Everything worth trying: the source's own secrets, their faulty forms, then other sources'.
pub(super) fn candidates<'a>(
    own: &[NamedSecret<'a>],
    others: &[NamedSecret<'a>],
) -> Vec<CandidateKey<'a>> {
    let itself = |named: &NamedSecret<'a>, cause| candidate(named, named.secret.expose(), cause);
    let own_as_they_are = own.iter().map(|named| itself(named, None));
    let of_others = others
        .iter()
        .map(|named| itself(named, Some(FailureCause::SecretOfOtherSource)));
    own_as_they_are
        .chain(own.iter().flat_map(faulty))
        .chain(of_others)
        .collect()
}

fn faulty<'a>(named: &NamedSecret<'a>) -> Vec<CandidateKey<'a>> {
    let text = named.secret.expose();
    let bare = text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\''));
    let mut found = Vec::new();
    if bare != text {
        found.push(candidate(named, bare, Some(FailureCause::SecretPadded)));
    }
    for padding in PADDING {
        found.push(candidate(
            named,
            format!("{text}{padding}"),
            Some(FailureCause::SignedWithPaddedSecret),
        ));
    }
    for prefix in PREFIXES {
        found.push(match text.strip_prefix(prefix) {
            Some(rest) => candidate(named, rest, Some(FailureCause::SignedWithoutPrefix)),
            None => candidate(
                named,
                format!("{prefix}{text}"),
                Some(FailureCause::SecretWithoutPrefix),
            ),
        });
    }
    let decoded = [
        (SecretEncoding::Base32, base32::decode(text)),
        (SecretEncoding::Base64, BASE64_STANDARD.decode(text).ok()),
        (SecretEncoding::Hex, hex::decode(text).ok()),
    ];
    found.extend(decoded.into_iter().filter_map(|(encoding, key)| {
        Some(candidate(
            named,
            key?,
            Some(FailureCause::SignedWithDecodedSecret(encoding)),
        ))
    }));
    found
}

fn candidate<'a>(
    named: &NamedSecret<'a>,
    key: impl Into<Vec<u8>>,
    cause: Option<FailureCause>,
) -> CandidateKey<'a> {
    CandidateKey {
        label: named.label,
        key: key.into(),
        cause,
    }
}
