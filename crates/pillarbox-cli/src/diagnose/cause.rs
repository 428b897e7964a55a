//! The causes of a failed signature, each with a sentence about what is wrong and what to do.

use std::fmt;

use pillarbox::senders::SenderKind;

/// A cause of a failed signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailureCause {
    /// The header is empty.
    HeaderEmpty,
    /// White space, quotation marks or zero-width characters in or around the header.
    HeaderPadded,
    /// `sha1=`, `sha256=`, `v1,`, `0x` or the header's name before the digits.
    HeaderPrefixed,
    /// More than one value in the header.
    HeaderSeveral,
    /// Not in the parts that its sender writes.
    HeaderMalformed,
    /// Genuine, and signed too long before or after this clock's time.
    HeaderExpired,
    /// Upper-case hex.
    HeaderUpperCase,
    /// Base64 in place of hex.
    HeaderBase64,
    /// Characters that are not hex digits.
    HeaderNotHex,
    /// Hex with too many or too few digits.
    HeaderLength {
        /// How many digits there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// As long as the other sender's signatures.
    OtherSender {
        /// The sender whose signatures have this form.
        sender: SenderKind,
    },
    /// The source has no secret yet.
    NoSecret,
    /// The configured secret has white space or quotation marks around it, but the signing secret
    /// has not.
    SecretPadded,
    /// The signing secret has white space at its end.
    SignedWithPaddedSecret,
    /// The signing secret has quotation marks around it.
    SignedWithQuotedSecret,
    /// The configured secret has a zero-width character, but the signing secret has not.
    SecretInvisible,
    /// The signing secret has a zero-width character at one of its ends.
    SignedWithInvisible,
    /// The secret was decoded before signing.
    SignedWithDecodedSecret(SecretEncoding),
    /// The configured secret lacks Pay's prefix.
    SecretWithoutPrefix,
    /// The signing secret lacks Pay's prefix.
    SignedWithoutPrefix,
    /// The secret belongs to another source.
    SecretOfOtherSource,
    /// The signing secret is a test account's, and the source has a live one.
    TestSecretOnLive,
    /// The signing secret is a live account's, and the source has a test one.
    LiveSecretOnTest,
    /// A newline was added after the body.
    BodyNewlineAdded,
    /// The newline at the end of the body was removed.
    BodyNewlineRemoved,
    /// LF became CRLF.
    BodyCrlfAdded,
    /// CRLF became LF.
    BodyCrlfRemoved,
    /// A byte order mark was added before the body.
    BodyBomAdded,
    /// The byte order mark before the body was removed.
    BodyBomRemoved,
    /// UTF-8 became Latin-1.
    BodyToLatin1,
    /// UTF-8 was read as Latin-1 and encoded as UTF-8 again, or Latin-1 became UTF-8.
    BodyFromLatin1,
    /// The text became UTF-16.
    BodyToUtf16,
    /// The body is still in Base64.
    BodyStillBase64,
    /// The body was decoded from Base64 one time too many.
    BodyDecodedTwice,
    /// The body is still a quoted JSON string.
    BodyStillQuoted,
    /// The body was parsed and written again; it was signed in this form.
    BodyRewritten {
        /// The form that was signed.
        signed: &'static str,
    },
    /// The body is empty: likely the cause, but not proven.
    BodyEmpty,
    /// The body is not UTF-8, or has replacement characters: likely the cause, but not proven.
    BodyNotText,
    /// No cause that is known here.
    NoneOfThese,
}

/// How a secret's text may have been decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretEncoding {
    /// Base32, which HMRC's secrets look like.
    Base32,
    /// Base64.
    Base64,
    /// Hex.
    Hex,
}

impl fmt::Display for SecretEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Base32 => "Base32",
            Self::Base64 => "Base64",
            Self::Hex => "hex",
        })
    }
}

/// What is wrong and what to do about it. A sentence contains lengths, names and kinds, and never a
/// secret or a signature.
impl fmt::Display for FailureCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentence = match self {
            Self::HeaderLength { found, expected } if found < expected => {
                return write!(
                    f,
                    "The signature has {found} digits of {expected}: it was cut, so copy the \
                     whole value."
                );
            }
            Self::HeaderLength { found, expected } => {
                return write!(
                    f,
                    "The signature has {found} digits instead of {expected}: text was added, or it \
                     was pasted twice, so copy only the value."
                );
            }
            Self::OtherSender { sender } => {
                return write!(
                    f,
                    "The signature is as long as those in {}: post it to the source of kind {}, \
                     or correct this source's kind.",
                    sender.signature.header,
                    sender.as_str()
                );
            }
            Self::SignedWithDecodedSecret(encoding) => {
                return write!(
                    f,
                    "It was signed with the secret decoded as {encoding}: its sender does not \
                     decode it, so sign with its text."
                );
            }
            Self::BodyRewritten { signed } => {
                return write!(
                    f,
                    "The body was parsed and written again in transit; it was signed {signed}: \
                     forward the received bytes unchanged."
                );
            }
            Self::HeaderEmpty => {
                "The signature is empty: give the header's value, and check that no proxy removes \
                 the header."
            }
            Self::HeaderPadded => {
                "The signature has white space or quotation marks in or around it: give only the \
                 hex digits."
            }
            Self::HeaderPrefixed => {
                "The hex digits have a prefix (sha1=, sha256=, v1, or a name): its sender writes \
                 none, so remove it."
            }
            Self::HeaderSeveral => {
                "The header has more than one value: its sender sends one, so find what joins or \
                 adds values, and give one."
            }
            Self::HeaderMalformed => {
                "The header does not have the form in which its sender writes it: give the whole \
                 value exactly as it was sent."
            }
            Self::HeaderExpired => {
                "The signature is genuine, but the time that it covers is too far from this \
                 machine's clock: set the clock, unless this is an old request."
            }
            Self::HeaderUpperCase => {
                "The signature is in upper-case hex: its sender writes lower case, so do the same \
                 on the signing side."
            }
            Self::HeaderBase64 => {
                "The signature is in Base64: its sender writes hex, so do the same on the signing \
                 side."
            }
            Self::HeaderNotHex => {
                "The signature has characters other than hex digits: give the header's value \
                 exactly as it was sent."
            }
            Self::NoSecret => {
                "This source has no secret yet: put the one its sender shows into the \
                 configuration."
            }
            Self::SecretPadded => {
                "The configured secret has white space or quotation marks around it: store it \
                 without them (printf, not echo)."
            }
            Self::SignedWithPaddedSecret => {
                "It was signed with a newline or space after the secret: strip the secret on the \
                 signing side (printf, not echo)."
            }
            Self::SignedWithQuotedSecret => {
                "It was signed with quotation marks around the secret: sign with the text between \
                 them."
            }
            Self::SecretInvisible => {
                "The configured secret has an invisible character (a byte order mark, or a \
                 zero-width space): type its first and last characters again."
            }
            Self::SignedWithInvisible => {
                "It was signed with an invisible character beside the secret (a byte order mark, \
                 or a zero-width space): type the secret's first and last characters again on the \
                 signing side."
            }
            Self::SecretWithoutPrefix => {
                "The configured secret lacks webhook_test_ or webhook_live_: the prefix is part \
                 of it, so copy all of it."
            }
            Self::SignedWithoutPrefix => {
                "It was signed without webhook_test_ or webhook_live_: the prefix is part of the \
                 secret, so sign with all of it."
            }
            Self::SecretOfOtherSource => {
                "That secret belongs to another source: correct the sender's callback URL, or the \
                 secrets of the sources."
            }
            Self::TestSecretOnLive => {
                "It was signed with a test webhook's secret, and this source has a live one: give \
                 the test webhook the callback URL of the test source."
            }
            Self::LiveSecretOnTest => {
                "It was signed with a live webhook's secret, and this source has a test one: give \
                 the live webhook the callback URL of the live source."
            }
            Self::BodyNewlineAdded => {
                "The body has a newline at its end that was not signed: save it without one \
                 (curl -o, printf, --data-binary)."
            }
            Self::BodyNewlineRemoved => {
                "The body was signed with a newline at its end that is gone: keep the bytes \
                 exactly (curl --data-binary)."
            }
            Self::BodyCrlfAdded => {
                "The body's line ends became CRLF: keep the bytes exactly, in binary mode."
            }
            Self::BodyCrlfRemoved => {
                "The body's CRLF line ends became LF: keep the bytes exactly (curl --data-binary, \
                 not --data)."
            }
            Self::BodyBomAdded => {
                "The body begins with a byte order mark that was not signed: save it as UTF-8 \
                 without one."
            }
            Self::BodyBomRemoved => {
                "The body was signed with a byte order mark that is gone: keep the bytes, or sign \
                 without the mark."
            }
            Self::BodyToLatin1 => {
                "The body arrived as Latin-1 and was signed as UTF-8: find what encodes it in \
                 transit, and make it keep UTF-8."
            }
            Self::BodyFromLatin1 => {
                "The body was read as Latin-1 and encoded as UTF-8 in transit: find what does \
                 this, and make it keep the bytes."
            }
            Self::BodyToUtf16 => {
                "The body is UTF-16, as some shells write files: save the received bytes \
                 (they were UTF-8)."
            }
            Self::BodyStillBase64 => {
                "The body is still in Base64: decode it once first (an event with isBase64Encoded \
                 has it in this form)."
            }
            Self::BodyDecodedTwice => {
                "The body was decoded from Base64 although it was signed in that form: keep it as \
                 it was sent."
            }
            Self::BodyStillQuoted => {
                "The body is still a quoted JSON string, as in logs and events: decode the string \
                 first."
            }
            Self::BodyEmpty => {
                "The body is empty: a redirect or a parser consumed it, so capture the bytes \
                 before that."
            }
            Self::BodyNotText => {
                "The body is not valid UTF-8, which is all that its sender sends: it was decoded \
                 or damaged in transit."
            }
            Self::NoneOfThese => {
                "None of the usual causes: another secret made this, or other bytes were signed; \
                 compare the secret with the sender's page and capture the raw request."
            }
        };
        f.write_str(sentence)
    }
}
