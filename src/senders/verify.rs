//! Verifies the exact bytes of a body against its signature.

use bytes::Bytes;

use super::{SecretFingerprint, SenderKind, SigningKey, protocol::SignatureValue};
use crate::domain::Timestamp;

/// A body that one of its source's keys has signed. Only [`verify`] makes one.
///
/// ```compile_fail,E0451
/// use pillarbox::senders::Verified;
/// let forged = Verified {
///     kind: todo!(),
///     body: "{}".into(),
///     signed: "{}".into(),
///     signature: "00".into(),
///     key_label: "1".into(),
///     fingerprint: todo!(),
/// };
/// ```
#[derive(Debug)]
pub struct Verified {
    kind: SenderKind,
    body: Bytes,
    signed: Bytes,
    signature: String,
    key_label: String,
    fingerprint: SecretFingerprint,
}

impl Verified {
    /// The kind of the sender.
    pub fn kind(&self) -> SenderKind {
        self.kind
    }

    /// The bytes exactly as received.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The form that was signed. A sender that escapes characters after signing has one signature
    /// for many spellings of the bytes, and this form is the same for all of them.
    pub fn signed(&self) -> &Bytes {
        &self.signed
    }

    /// The signature header that verified.
    pub fn signature(&self) -> &str {
        &self.signature
    }

    /// The label of the secret that matched.
    pub fn key_label(&self) -> &str {
        &self.key_label
    }

    /// Identifies the secret that matched.
    pub fn fingerprint(&self) -> SecretFingerprint {
        self.fingerprint
    }
}

/// Why a body was not accepted as genuine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No signature header.
    #[error("no signature header")]
    Missing,
    /// More than one signature header, so that it is unclear which one counts.
    #[error("several signature headers")]
    Several,
    /// Not the fixed number of lower-case hex digits, or not in the form that the sender writes.
    #[error("a signature of another form than lower-case hex of the right length")]
    Malformed,
    /// Well formed, and made by no active key over these bytes.
    #[error("a signature that no active secret made over these bytes")]
    Wrong,
    /// Genuine, and signed too long ago or too far ahead of our clock.
    #[error("a signature whose time is too far from ours")]
    Expired,
}

impl SignatureError {
    /// The error in one word, for logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Several => "several",
            Self::Malformed => "malformed",
            Self::Wrong => "wrong",
            Self::Expired => "expired",
        }
    }
}

/// Checks the signature header over the exact bytes received, against every active key.
///
/// `signatures` are all values of the source's signature header. Bytes that fail are tried once
/// more in the other form that their sender may have signed, if it has one. The time that a scheme
/// signs is checked against the clock, `now`.
pub fn verify(
    kind: SenderKind,
    keys: &[SigningKey],
    signatures: &[&[u8]],
    body: Bytes,
    now: Timestamp,
) -> Result<Verified, SignatureError> {
    let header = match signatures {
        [] => return Err(SignatureError::Missing),
        [one] => std::str::from_utf8(one).map_err(|_| SignatureError::Malformed)?,
        _ => return Err(SignatureError::Several),
    };
    let value = (kind.signature.parse)(header).ok_or(SignatureError::Malformed)?;
    let signature = decode(kind, value.digits).ok_or(SignatureError::Malformed)?;
    let matching = |form: Bytes| matching(keys, &value, &form, &signature).map(|key| (key, form));
    let (key, signed) = matching(body.clone())
        .or_else(|| matching((kind.signature.canonical)(&body)?.into()))
        .ok_or(SignatureError::Wrong)?;
    if value.valid.is_some_and(|valid| !valid.contains(&now)) {
        return Err(SignatureError::Expired);
    }
    Ok(Verified {
        kind,
        key_label: key.label().to_owned(),
        fingerprint: key.fingerprint(),
        signature: header.to_owned(),
        body,
        signed,
    })
}

fn decode(kind: SenderKind, digits: &str) -> Option<Vec<u8>> {
    let lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let is_well_formed =
        digits.len() == kind.signature.algorithm.digits() && digits.bytes().all(lower_hex);
    is_well_formed.then(|| hex::decode(digits).ok())?
}

fn matching<'a>(
    keys: &'a [SigningKey],
    value: &SignatureValue<'_>,
    body: &[u8],
    signature: &[u8],
) -> Option<&'a SigningKey> {
    keys.iter()
        .find(|key| key.matches(&value.preamble, body, signature))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::Secret, senders::example::NOW};

    const BODY: &[u8] = b"{}";
    /// HMAC-SHA-256 of the body, keyed with the secret.
    const SIGNATURE: &str = "c6ee77d08a50225b3f561a95844ce5fbe0c6f7a4a055bef358c372a09d32ac32";

    fn verified(signature: &str) -> Result<(), SignatureError> {
        let secret = Secret::new("webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu".to_owned());
        let kind = SenderKind::GOVUK_PAY;
        let keys = [SigningKey::new(kind, "1:env:TEST", &secret)];
        let body = Bytes::from_static(BODY);
        verify(kind, &keys, &[signature.as_bytes()], body, NOW).map(drop)
    }

    #[test]
    fn every_digit_of_a_signature_counts() {
        assert_eq!(verified(SIGNATURE), Ok(()));
        for position in 0..SIGNATURE.len() {
            let mut digits = SIGNATURE.as_bytes().to_vec();
            digits[position] = if digits[position] == b'0' { b'1' } else { b'0' };
            let changed = String::from_utf8(digits).unwrap();
            assert_eq!(verified(&changed), Err(SignatureError::Wrong), "{position}");
            let shorter = &SIGNATURE[..position];
            assert_eq!(
                verified(shorter),
                Err(SignatureError::Malformed),
                "{position}"
            );
        }
    }

    #[test]
    fn a_signature_in_other_digits_is_malformed() {
        for other in [
            SIGNATURE.to_uppercase(),
            format!("{SIGNATURE}0"),
            format!("{SIGNATURE}\n"),
            format!("0x{}", &SIGNATURE[2..]),
            format!("+{}", &SIGNATURE[1..]),
        ] {
            assert_eq!(verified(&other), Err(SignatureError::Malformed), "{other}");
        }
    }

    #[test]
    fn a_refused_signature_has_a_word_that_says_why() {
        let wrong = "0".repeat(40);
        let form = "0".repeat(41);
        for (signatures, word) in [
            (&[][..], "missing"),
            (&[wrong.as_bytes(), wrong.as_bytes()], "several"),
            (&[form.as_bytes()], "malformed"),
            (&[b"\xff"], "malformed"),
            (&[wrong.as_bytes()], "wrong"),
        ] {
            let refused = verify(SenderKind::HMRC, &[], signatures, Bytes::new(), NOW);
            assert_eq!(refused.unwrap_err().as_str(), word);
        }
    }
}
