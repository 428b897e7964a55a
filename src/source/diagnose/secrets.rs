//! The configured secrets, as they are and as they may have been when somebody signed.

use base64::{Engine, prelude::BASE64_STANDARD};

use super::{Cause, Encoding, Named, base32};

/// What Pay writes before every secret.
const PREFIXES: [&str; 2] = ["webhook_test_", "webhook_live_"];
/// What files and prompts leave after a secret.
const PADDING: [&str; 4] = ["\n", "\r\n", " ", "\t"];

/// A key to try, and what was wrong if it is the one.
pub(super) struct Candidate<'a> {
    /// The label of the secret it comes from.
    pub(super) label: &'a str,
    /// The key's bytes. No `Debug` here: they are a secret.
    pub(super) key: Vec<u8>,
    /// What to put right, if this key is not the secret itself.
    pub(super) cause: Option<Cause>,
}

/// Everything worth trying: the source's own secrets, their faulty forms, then those of other sources.
pub(super) fn candidates<'a>(own: &[Named<'a>], others: &[Named<'a>]) -> Vec<Candidate<'a>> {
    let itself = |named: &Named<'a>, cause| candidate(named, named.secret.expose(), cause);
    let own_as_they_are = own.iter().map(|named| itself(named, None));
    let of_others = others.iter().map(|named| itself(named, Some(Cause::SecretOfOtherSource)));
    own_as_they_are.chain(own.iter().flat_map(faulty)).chain(of_others).collect()
}

fn faulty<'a>(named: &Named<'a>) -> Vec<Candidate<'a>> {
    let text = named.secret.expose();
    let bare = text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\''));
    let mut found = Vec::new();
    if bare != text {
        found.push(candidate(named, bare, Some(Cause::SecretPadded)));
    }
    for padding in PADDING {
        found.push(candidate(named, format!("{text}{padding}"), Some(Cause::SignedWithPaddedSecret)));
    }
    for prefix in PREFIXES {
        found.push(match text.strip_prefix(prefix) {
            Some(rest) => candidate(named, rest, Some(Cause::SignedWithoutPrefix)),
            None => candidate(named, format!("{prefix}{text}"), Some(Cause::SecretWithoutPrefix)),
        });
    }
    let decoded = [
        (Encoding::Base32, base32::decode(text)),
        (Encoding::Base64, BASE64_STANDARD.decode(text).ok()),
        (Encoding::Hex, hex::decode(text).ok()),
    ];
    found.extend(
        decoded
            .into_iter()
            .filter_map(|(encoding, key)| Some(candidate(named, key?, Some(Cause::SignedWithDecodedSecret(encoding))))),
    );
    found
}

fn candidate<'a>(named: &Named<'a>, key: impl Into<Vec<u8>>, cause: Option<Cause>) -> Candidate<'a> {
    Candidate { label: named.label, key: key.into(), cause }
}
