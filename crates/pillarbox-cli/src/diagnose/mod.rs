//! Explains why a signature did not verify.
//!
//! It finds the likely causes from a header, a body and the secrets, most likely first. It tries
//! forms that a receiver must not accept, so receiving does not use it: only `pillarbox verify` and
//! the log of refused requests do. It does no I/O, and never shows a secret or the correct
//! signature.

mod base32;
mod body;
mod cause;
mod header;
mod rewritten;
mod secrets;

use bytes::Bytes;
use pillarbox::{
    domain::Timestamp,
    secrets::Secret,
    senders::{KeyedMac, SenderKind, SignatureError, SigningKey, verify},
};

use self::{header::HeaderSignature, secrets::CandidateKey};
pub use cause::{FailureCause, SecretEncoding};

/// A secret and its label for messages.
#[derive(Clone, Debug)]
pub struct NamedSecret {
    /// The sender whose signatures are checked with it.
    pub kind: SenderKind,
    /// Which secret it is, such as its source, position and reference; never the value.
    pub label: String,
    /// The value.
    pub secret: Secret,
}

/// The diagnosis of one header and one body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Diagnosis {
    /// The receiver would accept it.
    Genuine {
        /// The secret that made it.
        key_label: String,
        /// Whether only the form that HMRC signs matches, and not the bytes that it sends.
        canonical: bool,
    },
    /// It is refused, and would be accepted without these errors. This was tried.
    Explained {
        /// The secret that made it.
        key_label: String,
        /// All errors to correct.
        causes: Vec<FailureCause>,
    },
    /// It is refused, and no form that was tried matches.
    Unexplained(Vec<FailureCause>),
}

impl Diagnosis {
    /// The diagnosis in sentences, one a line, for a person.
    pub fn sentences(&self) -> Vec<String> {
        match self {
            Self::Genuine {
                key_label,
                canonical: false,
            } => vec![format!("Genuine: made with {key_label}.")],
            Self::Genuine {
                key_label,
                canonical: true,
            } => vec![format!(
                "Genuine: made with {key_label}, over the form in which HMRC signs a character \
                 beyond U+FFFF (raw, though it is sent as an escape)."
            )],
            Self::Explained { key_label, causes } => {
                let found = format!("Refused, but made with {key_label}:");
                std::iter::once(found)
                    .chain(causes.iter().map(FailureCause::to_string))
                    .collect()
            }
            Self::Unexplained(causes) => causes.iter().map(FailureCause::to_string).collect(),
        }
    }
}

/// Checks whether `header` is a genuine signature of `body`, and finds the likely causes if it is
/// not.
///
/// `own` are the source's secrets in their order, `others` those of every other source. It finds
/// one error each in the header, the secret and the body, also if they occur together. `now` is for
/// a scheme that signs its time.
pub fn diagnose(
    kind: SenderKind,
    own: &[&NamedSecret],
    others: &[&NamedSecret],
    header: &[u8],
    body: &[u8],
    now: Timestamp,
) -> Diagnosis {
    if let Some(made) = made_with_own(kind, own, header, body, now) {
        return made;
    }
    let (signature, mut causes) = match header::read(kind, header) {
        Ok(read) => read,
        Err(causes) => return Diagnosis::Unexplained(causes),
    };
    let candidates = secrets::candidates(own, others);
    if let Some((key_label, found)) = search(&signature, &candidates, body) {
        causes.extend(found);
        return Diagnosis::Explained { key_label, causes };
    }
    causes.extend(own.is_empty().then_some(FailureCause::NoSecret));
    causes.extend(body::suspected_cause(body));
    causes.push(FailureCause::NoneOfThese);
    Diagnosis::Unexplained(causes)
}

/// The receiver's result for a signature that one of the source's secrets made.
fn made_with_own(
    kind: SenderKind,
    own: &[&NamedSecret],
    header: &[u8],
    body: &[u8],
    now: Timestamp,
) -> Option<Diagnosis> {
    let body = Bytes::copy_from_slice(body);
    own.iter().find_map(|named| {
        let key = SigningKey::new(kind, &named.label, &named.secret);
        let key_label = named.label.clone();
        match verify(kind, &[key], &[header], body.clone(), now) {
            Ok(verified) => Some(Diagnosis::Genuine {
                key_label,
                canonical: verified.signed() != verified.body(),
            }),
            Err(SignatureError::Expired) => Some(Diagnosis::Explained {
                key_label,
                causes: vec![FailureCause::HeaderExpired],
            }),
            Err(_) => None,
        }
    })
}

/// Tries every secret, unchanged and with each known error, over every form of the body. Only one
/// form is in memory at a time.
fn search(
    signature: &HeaderSignature,
    candidates: &[CandidateKey<'_>],
    body: &[u8],
) -> Option<(String, impl Iterator<Item = FailureCause>)> {
    let kind = signature.made_as;
    body::forms(kind, body).find_map(|(form, body_cause)| {
        let canonical = (kind.signature.canonical)(&form);
        let made_by = |candidate: &&CandidateKey<'_>| {
            let mac = KeyedMac::new(kind.signature.algorithm, &candidate.key);
            let made_over = |form: &[u8]| mac.matches(&signature.preamble, form, &signature.bytes);
            made_over(&form) || canonical.as_deref().is_some_and(made_over)
        };
        let made_by = candidates.iter().find(made_by)?;
        Some((
            made_by.label.to_owned(),
            made_by.cause.clone().into_iter().chain(body_cause),
        ))
    })
}

#[cfg(test)]
mod tests;
