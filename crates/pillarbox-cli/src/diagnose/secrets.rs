//! The configured secrets, and the faulty forms of them that may have been used to sign.

use base64::{Engine, prelude::BASE64_STANDARD};

use super::{FailureCause, NamedSecret, SecretEncoding, base32};

/// What Pay writes before every secret.
const PREFIXES: [&str; 2] = ["webhook_test_", "webhook_live_"];
/// The white space that files and prompts may leave after a secret.
const PADDING: [&str; 4] = ["\n", "\r\n", " ", "\t"];
/// The quotation marks that a configuration may leave around a secret.
pub(super) const QUOTES: [char; 2] = ['"', '\''];
/// Invisible characters that a copy from a web page or an editor may add: the byte order mark, the
/// zero-width spaces and joiners, and the soft hyphen.
pub(super) const INVISIBLE: [char; 6] = [
    '\u{feff}', '\u{200b}', '\u{200c}', '\u{200d}', '\u{2060}', '\u{ad}',
];

/// A key to try, and the cause of the failure if this key made the signature.
pub(super) struct CandidateKey<'a> {
    /// The label of the secret it comes from.
    pub(super) label: &'a str,
    /// The key's bytes: secret, so this type has no `Debug`.
    pub(super) key: Vec<u8>,
    /// The cause, if this key is not the secret itself.
    pub(super) cause: Option<FailureCause>,
}

/// Everything worth trying: the source's own secrets, their faulty forms, then other sources'.
pub(super) fn candidates<'a>(
    own: &[&'a NamedSecret],
    others: &[&'a NamedSecret],
) -> Vec<CandidateKey<'a>> {
    let unchanged = |named: &'a NamedSecret, cause| candidate(named, named.secret.expose(), cause);
    let of_own = own.iter().map(|named| unchanged(named, None));
    let of_others = others
        .iter()
        .map(|named| unchanged(named, Some(of_other_source(own, named))));
    of_own
        .chain(own.iter().flat_map(|named| faulty_forms(named)))
        .chain(of_others)
        .collect()
}

/// What is wrong when the secret of another source made a signature.
fn of_other_source(own: &[&NamedSecret], other: &NamedSecret) -> FailureCause {
    let is_test = |named: &NamedSecret| named.kind.config.secret.is_test(named.secret.expose());
    let of_kind = own.iter().filter(|named| named.kind == other.kind);
    let mut differs = of_kind.filter(|named| is_test(named) != is_test(other));
    match (differs.next(), is_test(other)) {
        (None, _) => FailureCause::SecretOfOtherSource,
        (Some(_), true) => FailureCause::TestSecretOnLive,
        (Some(_), false) => FailureCause::LiveSecretOnTest,
    }
}

/// The keys that may have made a signature because of an error in this secret.
fn faulty_forms(named: &NamedSecret) -> impl Iterator<Item = CandidateKey<'_>> {
    let text = named.secret.expose();
    let mut forms: Vec<(String, FailureCause)> = Vec::new();
    let trimmed = text.trim_matches(|c: char| c.is_whitespace() || QUOTES.contains(&c));
    if trimmed != text {
        forms.push((trimmed.to_owned(), FailureCause::SecretPadded));
    }
    if text.contains(INVISIBLE) {
        let visible = text.replace(INVISIBLE, "");
        forms.push((visible, FailureCause::SecretInvisible));
    }
    let quoted = QUOTES.map(|quote| format!("{quote}{text}{quote}"));
    forms.extend(quoted.map(|form| (form, FailureCause::SignedWithQuotedSecret)));
    for character in INVISIBLE {
        let longer = [format!("{character}{text}"), format!("{text}{character}")];
        forms.extend(longer.map(|form| (form, FailureCause::SignedWithInvisible)));
    }
    let padded = PADDING.map(|padding| format!("{text}{padding}"));
    forms.extend(padded.map(|form| (form, FailureCause::SignedWithPaddedSecret)));
    forms.extend(PREFIXES.map(|prefix| match text.strip_prefix(prefix) {
        Some(rest) => (rest.to_owned(), FailureCause::SignedWithoutPrefix),
        None => (format!("{prefix}{text}"), FailureCause::SecretWithoutPrefix),
    }));
    let decoded = [
        (SecretEncoding::Base32, base32::decode(text)),
        (SecretEncoding::Base64, BASE64_STANDARD.decode(text).ok()),
        (SecretEncoding::Hex, hex::decode(text).ok()),
    ];
    let decoded = decoded.into_iter().filter_map(|(encoding, key)| {
        Some((key?, FailureCause::SignedWithDecodedSecret(encoding)))
    });
    let forms = forms.into_iter();
    forms
        .map(|(form, cause)| (form.into_bytes(), cause))
        .chain(decoded)
        .map(|(key, cause)| candidate(named, key, Some(cause)))
}

fn candidate<'a>(
    named: &'a NamedSecret,
    key: impl Into<Vec<u8>>,
    cause: Option<FailureCause>,
) -> CandidateKey<'a> {
    CandidateKey {
        label: &named.label,
        key: key.into(),
        cause,
    }
}
