//! Exact bytes and a signature -> [`Verified`], or the reason why not.

use bytes::Bytes;

use super::{SenderKind, SigningKey, hmrc};

/// A body that one of its source's keys has signed. Only [`verify`] makes one.
///
/// ```compile_fail,E0451
/// use crate::senders::Verified;
/// let forged = Verified { kind: todo!(), body: "{}".into(), signature: "00".into(), key_label: "1".into() };
/// ```
#[derive(Debug)]
pub struct Verified {
    kind: SenderKind,
    body: Bytes,
    signature: String,
    key_label: String,
}

impl Verified {
    /// Whose protocol they speak.
    pub fn kind(&self) -> SenderKind {
        self.kind
    }

    /// The bytes exactly as received.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The header value that proved them.
    pub fn signature(&self) -> &str {
        &self.signature
    }

    /// Which secret matched, by label.
    pub fn key_label(&self) -> &str {
        &self.key_label
    }

    /// The bytes, the signature, and which secret matched.
    pub(super) fn into_parts(self) -> (Bytes, String, String) {
        (self.body, self.signature, self.key_label)
    }
}

/// Why a body was not taken for genuine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No signature header.
    #[error("no signature header")]
    Missing,
    /// More than one signature header, and so no way to say which is meant.
    #[error("several signature headers")]
    Several,
    /// Not the fixed number of lower-case hex digits.
    #[error("a signature of another form than lower-case hex of the right length")]
    Malformed,
    /// Well formed, and made by no active key over these bytes.
    #[error("a signature that no active secret made over these bytes")]
    Wrong,
}

impl SignatureError {
    /// The fault in one word, for logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Several => "several",
            Self::Malformed => "malformed",
            Self::Wrong => "wrong",
        }
    }
}

/// Checks the signature header over the exact bytes received, against every active key.
///
/// `signatures` are all values of the source's signature header. For HMRC alone, bytes that fail
/// are tried once more in the form that HMRC signs (`hmrc::canonical`).
pub fn verify(
    kind: SenderKind,
    keys: &[SigningKey],
    signatures: &[&[u8]],
    body: Bytes,
) -> Result<Verified, SignatureError> {
    let header = match signatures {
        [] => return Err(SignatureError::Missing),
        [one] => *one,
        _ => return Err(SignatureError::Several),
    };
    let (text, signature) = decode(kind, header).ok_or(SignatureError::Malformed)?;
    let key = matching(keys, &body, &signature)
        .or_else(|| matching(keys, &signed_form(kind, &body)?, &signature))
        .ok_or(SignatureError::Wrong)?;
    Ok(Verified {
        kind,
        key_label: key.label().to_owned(),
        signature: text.to_owned(),
        body,
    })
}

fn decode(kind: SenderKind, header: &[u8]) -> Option<(&str, Vec<u8>)> {
    let lower_hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    if header.len() != kind.signature_digits() || !header.iter().all(lower_hex) {
        return None;
    }
    Some((std::str::from_utf8(header).ok()?, hex::decode(header).ok()?))
}

fn matching<'a>(keys: &'a [SigningKey], body: &[u8], signature: &[u8]) -> Option<&'a SigningKey> {
    keys.iter().find(|key| key.matches(body, signature))
}

/// The other form of `body` that its sender may have signed, if there is one.
fn signed_form(kind: SenderKind, body: &[u8]) -> Option<Vec<u8>> {
    match kind {
        SenderKind::Hmrc => hmrc::canonical(body),
        SenderKind::GovukPay => None,
    }
}
