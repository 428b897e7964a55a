//! Requests that a receiver must refuse: those not signed with its secret over the exact bytes.

use super::{
    super::{MessageBody, Sender, SenderRequest, signature},
    definition::{Check, CheckFacts, SenderFact},
    grading::{ForgeryExposure, refused, worst},
    run::{CheckRun, ProbeResult},
    samples,
};

pub(super) static CHECKS: &[&Check] = &[
    &UNSIGNED,
    &EMPTY_SIGNATURE,
    &WRONG_SIGNATURE,
    &EMPTY_KEY,
    &TRUNCATED_SIGNATURE,
    &ALTERED_BODY,
    &RESPACED_BODY,
    &UPPER_CASE_SIGNATURE,
    &PREFIXED_SIGNATURE,
    &TWO_SIGNATURES,
    &OTHER_ALGORITHM,
];

/// The signature covers only the body, so anyone who knows the URL can send these requests.
const SOURCE: &str = "hmrc/push-pull-notifications-api, HmacService.scala; \
                      alphagov/pay-webhooks, WebhookMessageSignatureGenerator.java";

static UNSIGNED: Check = Check {
    id: "unsigned",
    title: "A notification without a signature is refused",
    facts: CheckFacts::Anyone(SenderFact {
        why: "Both senders always sign. Anyone can write a notification that is accepted without a \
              signature.",
        source: SOURCE,
    }),
    fix: "Answer 401 if the signature header is missing.",
};

static EMPTY_SIGNATURE: Check = Check {
    id: "empty-signature",
    title: "A notification with an empty signature is refused",
    facts: CheckFacts::Anyone(SenderFact {
        why: "An empty header passes a receiver that only checks whether the header exists.",
        source: SOURCE,
    }),
    fix: "Answer 401 unless the header has the algorithm's exact number of hex digits: 40 or 64.",
};

static WRONG_SIGNATURE: Check = Check {
    id: "wrong-signature",
    title: "A well-formed but wrong signature is refused",
    facts: CheckFacts::Anyone(SenderFact {
        why: "If a signature with wrong last digits is accepted, an attacker can guess the first \
              digits.",
        source: SOURCE,
    }),
    fix: "Compare all digits with the library's constant-time comparison.",
};

static EMPTY_KEY: Check = Check {
    id: "empty-key",
    title: "A signature made with an empty key is refused",
    facts: CheckFacts::Anyone(SenderFact {
        why: "HMAC works with an empty key. A receiver whose secret is missing may verify with an \
              empty key, and then anyone can sign.",
        source: SOURCE,
    }),
    fix: "Refuse to start, or answer 503, while the secret is missing or empty.",
};

static TRUNCATED_SIGNATURE: Check = Check {
    id: "truncated-signature",
    title: "A part of the right signature is refused",
    facts: CheckFacts::Anyone(SenderFact {
        why: "If a part is enough, one byte is enough. An attacker finds it in at most 256 tries.",
        source: SOURCE,
    }),
    fix: "Check the length first, then compare all digits. Never compare prefixes.",
};

static ALTERED_BODY: Check = Check {
    id: "altered-body",
    title: "A body altered after it was signed is refused",
    facts: CheckFacts::Anyone(SenderFact {
        why: "A captured signature must not be valid for another amount.",
        source: SOURCE,
    }),
    fix: "Compute the HMAC over the whole body, exactly as received.",
};

static RESPACED_BODY: Check = Check {
    id: "respaced-body",
    title: "A body that was reformatted after it was signed is refused",
    facts: CheckFacts::Anyone(SenderFact {
        why: "A receiver that parses and serialises the body before verifying does not verify what \
              was sent: two fields with one name, for example, become one. The only exception is \
              HMRC's second form, with an escape for each character beyond U+FFFF.",
        source: SOURCE,
    }),
    fix: "Verify the bytes before parsing: read the raw body from the framework.",
};

static UPPER_CASE_SIGNATURE: Check = Check {
    id: "upper-case-signature",
    title: "The right signature in upper case is refused",
    facts: CheckFacts::Anyone(SenderFact {
        why: "Both senders use lower case. This needs a correct signature, so it is not an attack, \
              but lenient parsing may hide other weaknesses.",
        source: SOURCE,
    }),
    fix: "Accept only lower-case hex digits.",
};

static PREFIXED_SIGNATURE: Check = Check {
    id: "prefixed-signature",
    title: "The right signature behind sha1= or sha256= is refused",
    facts: CheckFacts::Anyone(SenderFact {
        why: "Neither sender uses a prefix; other services do. This needs a correct signature, so \
              it is not an attack, but code that reads the algorithm from the request has been \
              exploited before.",
        source: SOURCE,
    }),
    fix: "Accept only hex digits, and choose the algorithm by the sender.",
};

static TWO_SIGNATURES: Check = Check {
    id: "two-signatures",
    title: "Two signature headers are refused, in either order",
    facts: CheckFacts::Anyone(SenderFact {
        why: "Both senders send one. With two, a proxy and the receiver may use different ones, so \
              that neither verifies the other's.",
        source: SOURCE,
    }),
    fix: "Answer 401 if the header occurs more than once.",
};

static OTHER_ALGORITHM: Check = Check {
    id: "other-algorithm",
    title: "A signature by the other sender's algorithm is refused",
    facts: CheckFacts::Anyone(SenderFact {
        why: "HMRC signs with HMAC-SHA1, Pay with HMAC-SHA256. This needs the secret, so it is no \
              attack, but a receiver that chooses by the signature's length can be downgraded.",
        source: SOURCE,
    }),
    fix: "Choose the algorithm by the sender, not by the signature.",
};

type ForgedRequests = fn(&CheckRun<'_>) -> Vec<(&'static str, SenderRequest)>;

/// A check and the requests that it sends.
struct ForgeryCheck {
    check: &'static Check,
    exposure: ForgeryExposure,
    /// Whether the check is meaningless while genuine notifications are refused too.
    needs_secret: bool,
    requests: ForgedRequests,
}

impl ForgeryCheck {
    /// Requests that need no secret.
    const fn unsigned(check: &'static Check, requests: ForgedRequests) -> Self {
        Self {
            needs_secret: false,
            ..Self::altered(check, requests)
        }
    }

    /// Signed requests with a changed signature or body.
    const fn altered(check: &'static Check, requests: ForgedRequests) -> Self {
        Self {
            check,
            exposure: ForgeryExposure::Anyone,
            needs_secret: true,
            requests,
        }
    }

    /// Signed requests with a correct signature in a format that no sender uses.
    const fn reformatted(check: &'static Check, requests: ForgedRequests) -> Self {
        Self {
            exposure: ForgeryExposure::SecretHolders,
            ..Self::altered(check, requests)
        }
    }
}

const FORGERIES: [ForgeryCheck; 11] = [
    ForgeryCheck::unsigned(&UNSIGNED, unsigned),
    ForgeryCheck::unsigned(&EMPTY_SIGNATURE, empty),
    ForgeryCheck::unsigned(&WRONG_SIGNATURE, wrong),
    ForgeryCheck::unsigned(&EMPTY_KEY, empty_key),
    ForgeryCheck::altered(&TRUNCATED_SIGNATURE, truncated),
    ForgeryCheck::altered(&ALTERED_BODY, altered),
    ForgeryCheck::altered(&RESPACED_BODY, respaced),
    ForgeryCheck::reformatted(&UPPER_CASE_SIGNATURE, upper_case),
    ForgeryCheck::reformatted(&PREFIXED_SIGNATURE, prefixed),
    ForgeryCheck::reformatted(&TWO_SIGNATURES, two),
    ForgeryCheck::reformatted(&OTHER_ALGORITHM, other_algorithm),
];

pub(super) async fn probe(run: &mut CheckRun<'_>) {
    for forgery in FORGERIES {
        run.probe(forgery.check, async |run| send(run, &forgery).await)
            .await;
    }
}

async fn send(run: &mut CheckRun<'_>, forgery: &ForgeryCheck) -> ProbeResult {
    // If every request is redirected, a redirected forgery means nothing.
    if forgery.needs_secret || run.stats.redirected {
        run.usual.clone()?;
    }
    let mut replies = Vec::new();
    for (name, request) in (forgery.requests)(run) {
        replies.push((name, run.post(&request).await?));
    }
    Ok(worst(&replies, |status| refused(forgery.exposure, status)))
}

/// A new ordinary notification, with these values instead of its signature.
fn with<const N: usize>(
    run: &CheckRun<'_>,
    values: impl FnOnce(String) -> [String; N],
) -> SenderRequest {
    let body = samples::ordinary(run);
    let signature = signature::sign(run.sender, run.secret, body.signed.as_bytes());
    resigned(run, &body, values(signature))
}

fn resigned<const N: usize>(
    run: &CheckRun<'_>,
    body: &MessageBody,
    values: [String; N],
) -> SenderRequest {
    let mut request = run.signed(body);
    let name = run.sender.signature_header();
    let at = request
        .headers
        .iter()
        .position(|(known, _)| known == name)
        .unwrap_or_default();
    let signatures = values.into_iter().map(|value| (name.to_owned(), value));
    request.headers.splice(at..=at, signatures);
    request
}

fn unsigned(run: &CheckRun<'_>) -> Vec<(&'static str, SenderRequest)> {
    vec![("unsigned", with(run, |_| []))]
}

fn empty(run: &CheckRun<'_>) -> Vec<(&'static str, SenderRequest)> {
    vec![("empty", with(run, |_| [String::new()]))]
}

fn wrong(run: &CheckRun<'_>) -> Vec<(&'static str, SenderRequest)> {
    let spoiled = |right: &str, kept: usize| {
        let digits = right.bytes().enumerate();
        let other = |digit: u8| if digit == b'0' { '1' } else { '0' };
        digits
            .map(|(at, digit)| {
                if at < kept {
                    char::from(digit)
                } else {
                    other(digit)
                }
            })
            .collect::<String>()
    };
    vec![
        ("every digit wrong", with(run, |right| [spoiled(&right, 0)])),
        ("the first 8 right", with(run, |right| [spoiled(&right, 8)])),
        (
            "the first half right",
            with(run, |right| [spoiled(&right, right.len() / 2)]),
        ),
        (
            "all but the last right",
            with(run, |right| [spoiled(&right, right.len() - 1)]),
        ),
    ]
}

fn empty_key(run: &CheckRun<'_>) -> Vec<(&'static str, SenderRequest)> {
    let body = samples::ordinary(run);
    let signature = signature::sign(run.sender, "", body.signed.as_bytes());
    vec![("an empty key", resigned(run, &body, [signature]))]
}

fn truncated(run: &CheckRun<'_>) -> Vec<(&'static str, SenderRequest)> {
    vec![
        ("1 digit", with(run, |right| [right[..1].to_owned()])),
        ("1 byte", with(run, |right| [right[..2].to_owned()])),
        ("4 bytes", with(run, |right| [right[..8].to_owned()])),
        (
            "half",
            with(run, |right| [right[..right.len() / 2].to_owned()]),
        ),
        (
            "all but a byte",
            with(run, |right| [right[..right.len() - 2].to_owned()]),
        ),
    ]
}

fn altered(run: &CheckRun<'_>) -> Vec<(&'static str, SenderRequest)> {
    let (part, other) = match run.sender {
        Sender::Hmrc => ("value", "valve"),
        Sender::GovukPay => (r#""amount":5000"#, r#""amount":9000"#),
    };
    vec![(
        "one byte altered",
        sent_as(run, |body| samples::edited(body, part, other)),
    )]
}

fn respaced(run: &CheckRun<'_>) -> Vec<(&'static str, SenderRequest)> {
    vec![
        (
            "with white space",
            sent_as(run, |body| samples::edited(body, "{", "{ ")),
        ),
        ("with fields moved", sent_as(run, moved)),
    ]
}

/// An ordinary notification that is changed after signing.
fn sent_as(run: &CheckRun<'_>, change: impl FnOnce(MessageBody) -> MessageBody) -> SenderRequest {
    let signed = samples::ordinary(run);
    let changed = change(signed.clone());
    run.signed(&MessageBody {
        signed: signed.signed,
        ..changed
    })
}

/// Moves the first field of the body, its id, to the end.
fn moved(body: MessageBody) -> MessageBody {
    let inner = body
        .wire
        .strip_prefix('{')
        .and_then(|text| text.strip_suffix('}'))
        .unwrap_or_default();
    let (first, rest) = inner.split_once(',').unwrap_or_default();
    MessageBody {
        wire: format!("{{{rest},{first}}}"),
        ..body
    }
}

fn upper_case(run: &CheckRun<'_>) -> Vec<(&'static str, SenderRequest)> {
    vec![(
        "upper case",
        with(run, |right| [right.to_ascii_uppercase()]),
    )]
}

fn prefixed(run: &CheckRun<'_>) -> Vec<(&'static str, SenderRequest)> {
    let prefix = match run.sender {
        Sender::Hmrc => "sha1=",
        Sender::GovukPay => "sha256=",
    };
    vec![("prefixed", with(run, |right| [format!("{prefix}{right}")]))]
}

fn two(run: &CheckRun<'_>) -> Vec<(&'static str, SenderRequest)> {
    let wrong = |right: &str| "0".repeat(right.len());
    vec![
        (
            "right, then wrong",
            with(run, |right| [right.clone(), wrong(&right)]),
        ),
        (
            "wrong, then right",
            with(run, |right| [wrong(&right), right]),
        ),
    ]
}

fn other_algorithm(run: &CheckRun<'_>) -> Vec<(&'static str, SenderRequest)> {
    let body = samples::ordinary(run);
    let other = match run.sender {
        Sender::Hmrc => signature::hmac_sha256(run.secret, body.signed.as_bytes()),
        Sender::GovukPay => signature::hmac_sha1(run.secret, body.signed.as_bytes()),
    };
    vec![("the other algorithm", resigned(run, &body, [other]))]
}
