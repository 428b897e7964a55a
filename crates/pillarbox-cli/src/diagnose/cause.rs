//! The causes of a failed signature, each with a sentence that says what to do.

use std::{borrow::Cow, fmt};

use pillarbox::senders::SenderKind;

/// One thing that makes a signature fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailureCause {
    /// The header is empty.
    HeaderEmpty,
    /// White space, quotation marks or characters of no width in or around the header.
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
    /// Characters that no signature has.
    HeaderNotHex,
    /// Hex, and too much or too little of it.
    HeaderLength {
        /// How many digits there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// Exactly as long as the other sender's signatures are.
    OtherSender {
        /// The sender whose signatures have this form.
        sender: SenderKind,
    },
    /// The source has no secret yet.
    NoSecret,
    /// The configured secret has white space or quotation marks around it, which were not signed
    /// with.
    SecretPadded,
    /// Signing was done with white space after the secret.
    SignedWithPaddedSecret,
    /// Signing was done with quotation marks around the secret.
    SignedWithQuotedSecret,
    /// The configured secret has a character of no width, which was not signed with.
    SecretInvisible,
    /// Signing was done with a character of no width before or after the secret.
    SignedWithInvisible,
    /// Signing was done with what the secret decodes to.
    SignedWithDecodedSecret(SecretEncoding),
    /// The configured secret lacks Pay's prefix.
    SecretWithoutPrefix,
    /// Signing was done with the secret without its prefix.
    SignedWithoutPrefix,
    /// The secret belongs to another source.
    SecretOfOtherSource,
    /// The secret is a test account's, and the source has a live one.
    TestSecretOnLive,
    /// The secret is a live account's, and the source has a test one.
    LiveSecretOnTest,
    /// A newline was added after the body.
    BodyNewlineAdded,
    /// The newline at the end of the body went missing.
    BodyNewlineRemoved,
    /// LF became CRLF.
    BodyCrlfAdded,
    /// CRLF became LF.
    BodyCrlfRemoved,
    /// A byte order mark was added before the body.
    BodyBomAdded,
    /// The byte order mark before the body went missing.
    BodyBomRemoved,
    /// UTF-8 became Latin-1.
    BodyToLatin1,
    /// UTF-8 was taken for Latin-1 and became UTF-8 once more, or Latin-1 became UTF-8.
    BodyFromLatin1,
    /// The text became UTF-16.
    BodyToUtf16,
    /// The body is still in Base64.
    BodyStillBase64,
    /// The body was decoded from Base64 once too often.
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
    /// Nothing that was tried.
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

impl fmt::Display for FailureCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence())
    }
}

impl FailureCause {
    /// What is wrong and what to do about it. Only lengths, names and kinds are filled in, never a
    /// value.
    fn sentence(&self) -> Cow<'static, str> {
        let sentence = match self {
            Self::HeaderLength { found, expected } if found < expected => {
                return format!(
                    "The signature has {found} digits of {expected}: it was cut, so copy the \
                     whole value."
                )
                .into();
            }
            Self::HeaderLength { found, expected } => {
                return format!(
                    "The signature has {found} digits, {expected} are right: something was added \
                     or it was pasted twice, so copy the value alone."
                )
                .into();
            }
            Self::OtherSender { sender } => {
                return format!(
                    "The signature is as long as those in {}: post it to the source of kind {}, \
                     or correct this source's kind.",
                    sender.signature.header,
                    sender.as_str()
                )
                .into();
            }
            Self::SignedWithDecodedSecret(encoding) => {
                return format!(
                    "It was signed with the secret decoded as {encoding}: its sender does not \
                     decode it, so sign with its text as it stands."
                )
                .into();
            }
            Self::BodyRewritten { signed } => {
                return format!(
                    "The body was parsed and written again on its way; it was signed {signed}: \
                     forward the received bytes unchanged."
                )
                .into();
            }
            Self::HeaderEmpty => {
                "The signature is empty: give the header's value, and see that nothing on the way \
                 drops that header."
            }
            Self::HeaderPadded => {
                "The signature has white space or quotation marks in or around it: give the hex \
                 digits alone."
            }
            Self::HeaderPrefixed => {
                "Something stands before the hex digits (sha1=, sha256=, v1, or a name): its \
                 sender writes no prefix, so leave it out."
            }
            Self::HeaderSeveral => {
                "The header has more than one value: its sender sends one, so find what joins or \
                 adds them and give one."
            }
            Self::HeaderMalformed => {
                "The header is not written as its sender writes it: give the whole value exactly \
                 as it was sent."
            }
            Self::HeaderExpired => {
                "The signature is genuine, and the time that it signs is too far from this \
                 machine's clock: set the clock, unless this is an old request."
            }
            Self::HeaderUpperCase => {
                "The signature is in upper-case hex: its sender writes lower case, so have the \
                 signing side do the same."
            }
            Self::HeaderBase64 => {
                "The signature is in Base64: its sender writes hex, so have the signing side do \
                 the same."
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
                 without (printf, not echo)."
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
                "The configured secret has a character that cannot be seen (a byte order mark, or \
                 a space of no width): type its ends again."
            }
            Self::SignedWithInvisible => {
                "It was signed with a character that cannot be seen beside the secret (a byte \
                 order mark, or a space of no width): type the secret's ends again there."
            }
            Self::SecretWithoutPrefix => {
                "The configured secret lacks webhook_test_ or webhook_live_: the prefix is part \
                 of it, so copy the whole of it."
            }
            Self::SignedWithoutPrefix => {
                "It was signed without webhook_test_ or webhook_live_: the prefix is part of the \
                 secret, so sign with the whole of it."
            }
            Self::SecretOfOtherSource => {
                "That secret belongs to another source: correct the sender's callback URL, or \
                 which secret stands at which source."
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
                "The body has a newline at its end that was not signed: save it without (curl -o, \
                 printf, --data-binary)."
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
                "The body arrived as Latin-1 and was signed as UTF-8: find what encodes it anew \
                 on the way, and have it keep UTF-8."
            }
            Self::BodyFromLatin1 => {
                "The body was taken for Latin-1 and encoded as UTF-8 on the way: find what does \
                 so, and have it keep the bytes."
            }
            Self::BodyToUtf16 => {
                "The body is UTF-16, as some shells write files: save the received bytes \
                 (they were UTF-8)."
            }
            Self::BodyStillBase64 => {
                "The body is still in Base64: decode it once first (an event with isBase64Encoded \
                 holds it so)."
            }
            Self::BodyDecodedTwice => {
                "The body was decoded from Base64 although it was signed in that form: keep it as \
                 it was sent."
            }
            Self::BodyStillQuoted => {
                "The body is still a quoted JSON string, as logs and events hold it: take the \
                 text inside, its escapes undone."
            }
            Self::BodyEmpty => {
                "The body is empty: something read it before (a redirect, a parser), so take the \
                 bytes before anything else does."
            }
            Self::BodyNotText => {
                "The body is not clean UTF-8, which is all that its sender sends: something \
                 decoded or damaged it on the way."
            }
            Self::NoneOfThese => {
                "None of the usual causes: another secret made this, or other bytes were signed; \
                 compare the secret with the sender's page and capture the raw request."
            }
        };
        sentence.into()
    }
}
