//! What must be refused: everything that is not signed with the secret over the very bytes that came.

use super::{
    super::{Body, Request, Sender, sign},
    fact::{Check, Fact, Facts},
    judge::{Open, refused},
    reply::summary,
    report::Grade,
    run::{Judged, Judgement, Run},
    sample,
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

/// The signature covers the body and nothing else, so whoever knows the URL can try.
const SOURCE: &str = "hmrc/push-pull-notifications-api, HmacService.scala; \
                      alphagov/pay-webhooks, WebhookMessageSignatureGenerator.java";

static UNSIGNED: Check = Check {
    id: "unsigned",
    title: "A notification without a signature is refused",
    facts: Facts::Strangers(Fact {
        why: "Neither sender ever leaves the signature out. What is taken without one can be made up by anybody.",
        source: SOURCE,
    }),
    fix: "Refuse with 401 where the signature header is missing.",
};

static EMPTY_SIGNATURE: Check = Check {
    id: "empty-signature",
    title: "A notification with an empty signature is refused",
    facts: Facts::Strangers(Fact {
        why: "A header that is there and empty gets past a receiver that only asks whether it is there.",
        source: SOURCE,
    }),
    fix: "Refuse with 401 unless the header has exactly as many hex digits as the algorithm makes: 40 or 64.",
};

static WRONG_SIGNATURE: Check = Check {
    id: "wrong-signature",
    title: "A well-formed but wrong signature is refused",
    facts: Facts::Strangers(Fact {
        why: "Whoever gets by with a signature that is wrong in its last digits can find the first ones by trying.",
        source: SOURCE,
    }),
    fix: "Compare all of it, by the library's constant-time comparison.",
};

static EMPTY_KEY: Check = Check {
    id: "empty-key",
    title: "A signature made with an empty key is refused",
    facts: Facts::Strangers(Fact {
        why: "HMAC works with an empty key. A receiver whose secret is missing from its configuration verifies with \
              one, and anybody can sign for it.",
        source: SOURCE,
    }),
    fix: "Refuse to start, or answer 503, while a secret is missing or empty.",
};

static TRUNCATED_SIGNATURE: Check = Check {
    id: "truncated-signature",
    title: "A part of the right signature is refused",
    facts: Facts::Strangers(Fact {
        why: "Where a part is enough, one byte is, and a stranger has found it after 256 tries at most.",
        source: SOURCE,
    }),
    fix: "Check the length first, then compare all of it; use no comparison of prefixes.",
};

static ALTERED_BODY: Check = Check {
    id: "altered-body",
    title: "A body altered after it was signed is refused",
    facts: Facts::Strangers(Fact {
        why: "A signature that somebody has seen must not carry another amount.",
        source: SOURCE,
    }),
    fix: "Compute the HMAC over the whole body, exactly as it came.",
};

static RESPACED_BODY: Check = Check {
    id: "respaced-body",
    title: "A body written in another way than it was signed is refused",
    facts: Facts::Strangers(Fact {
        why: "A receiver that parses the body and writes it anew before it verifies has verified something else than \
              it was sent: two fields of one name, for instance, become one. (HMRC's own second form, an escape in \
              place of a character beyond U+FFFF, is the one exception.)",
        source: SOURCE,
    }),
    fix: "Verify the bytes before anything parses them: take the raw body from the framework.",
};

static UPPER_CASE_SIGNATURE: Check = Check {
    id: "upper-case-signature",
    title: "The right signature in upper case is refused",
    facts: Facts::Strangers(Fact {
        why: "Both senders write lower case. Nobody gets in by this who has no right signature, but where spellings \
              are forgiven, a sharper look may be missing elsewhere.",
        source: SOURCE,
    }),
    fix: "Take lower-case hex digits alone.",
};

static PREFIXED_SIGNATURE: Check = Check {
    id: "prefixed-signature",
    title: "The right signature behind sha1= or sha256= is refused",
    facts: Facts::Strangers(Fact {
        why: "Neither sender writes a prefix; other services do. Nobody gets in by this who has no right signature, \
              but code that lets a request name its own algorithm has been fooled before.",
        source: SOURCE,
    }),
    fix: "Take hex digits alone, and know the algorithm from the sender.",
};

static TWO_SIGNATURES: Check = Check {
    id: "two-signatures",
    title: "Two signature headers are refused, in either order",
    facts: Facts::Strangers(Fact {
        why: "Both senders send one. Where there are two, a proxy and the receiver can take different ones for the \
              signature, and what one has checked the other has not.",
        source: SOURCE,
    }),
    fix: "Refuse with 401 where the header stands there more than once.",
};

static OTHER_ALGORITHM: Check = Check {
    id: "other-algorithm",
    title: "A signature by the other sender's algorithm is refused",
    facts: Facts::Strangers(Fact {
        why: "HMRC signs with HMAC-SHA1, Pay with HMAC-SHA256. Nobody gets in by this who has no secret, but a \
              receiver that lets the signature's length choose falls back to the weaker one.",
        source: SOURCE,
    }),
    fix: "Know the algorithm from the sender, not from the signature.",
};

/// How to try one check: what to send, whether that takes the right secret, and what being taken means.
struct Forgery {
    check: &'static Check,
    open: Open,
    /// Whether these say nothing while true notifications are refused, too.
    needs_secret: bool,
    requests: fn(&Run<'_>) -> Vec<(&'static str, Request)>,
}

const FORGERIES: [Forgery; 11] = [
    Forgery {
        check: &UNSIGNED,
        open: Open::ToAnybody,
        needs_secret: false,
        requests: unsigned,
    },
    Forgery {
        check: &EMPTY_SIGNATURE,
        open: Open::ToAnybody,
        needs_secret: false,
        requests: empty,
    },
    Forgery {
        check: &WRONG_SIGNATURE,
        open: Open::ToAnybody,
        needs_secret: false,
        requests: wrong,
    },
    Forgery {
        check: &EMPTY_KEY,
        open: Open::ToAnybody,
        needs_secret: false,
        requests: empty_key,
    },
    Forgery {
        check: &TRUNCATED_SIGNATURE,
        open: Open::ToAnybody,
        needs_secret: true,
        requests: truncated,
    },
    Forgery {
        check: &ALTERED_BODY,
        open: Open::ToAnybody,
        needs_secret: true,
        requests: altered,
    },
    Forgery {
        check: &RESPACED_BODY,
        open: Open::ToAnybody,
        needs_secret: true,
        requests: respaced,
    },
    Forgery {
        check: &UPPER_CASE_SIGNATURE,
        open: Open::ToKnown,
        needs_secret: true,
        requests: upper_case,
    },
    Forgery {
        check: &PREFIXED_SIGNATURE,
        open: Open::ToKnown,
        needs_secret: true,
        requests: prefixed,
    },
    Forgery {
        check: &TWO_SIGNATURES,
        open: Open::ToKnown,
        needs_secret: true,
        requests: two,
    },
    Forgery {
        check: &OTHER_ALGORITHM,
        open: Open::ToKnown,
        needs_secret: true,
        requests: other_algorithm,
    },
];

pub(super) async fn probe(run: &mut Run<'_>) {
    for forgery in FORGERIES {
        run.probe(forgery.check, async |run| attempt(run, &forgery).await)
            .await;
    }
}

async fn attempt(run: &mut Run<'_>, forgery: &Forgery) -> Judged {
    // Where everything is redirected, it says nothing that forgeries are.
    if forgery.needs_secret || run.tally.redirected {
        run.usual.clone()?;
    }
    let mut replies = Vec::new();
    for (name, request) in (forgery.requests)(run) {
        replies.push((name, run.post(&request).await?));
    }
    let grades = replies
        .iter()
        .map(|(_, reply)| refused(forgery.open, reply.status()));
    let worst = grades.max().unwrap_or(Grade::NotTried);
    Ok(Judgement::new(
        worst,
        summary(replies.iter().map(|(name, reply)| (*name, reply))),
    ))
}

/// The name of the header, in the sender's own case.
fn header(sender: Sender) -> &'static str {
    match sender {
        Sender::Hmrc => "X-Hub-Signature",
        Sender::GovukPay => "Pay-Signature",
    }
}

/// An ordinary notification of its own, with these values in place of its signature.
fn with<const N: usize>(run: &Run<'_>, values: impl FnOnce(String) -> [String; N]) -> Request {
    let body = sample::ordinary(run);
    let signature = sign::signature(run.sender, run.secret, body.signed.as_bytes());
    resigned(run, &body, values(signature))
}

fn resigned<const N: usize>(run: &Run<'_>, body: &Body, values: [String; N]) -> Request {
    let mut request = run.signed(body);
    let name = header(run.sender);
    let at = request
        .headers
        .iter()
        .position(|(known, _)| known == name)
        .unwrap_or_default();
    let signatures = values.into_iter().map(|value| (name.to_owned(), value));
    request.headers.splice(at..=at, signatures);
    request
}

fn unsigned(run: &Run<'_>) -> Vec<(&'static str, Request)> {
    vec![("unsigned", with(run, |_| []))]
}

fn empty(run: &Run<'_>) -> Vec<(&'static str, Request)> {
    vec![("empty", with(run, |_| [String::new()]))]
}

fn wrong(run: &Run<'_>) -> Vec<(&'static str, Request)> {
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

fn empty_key(run: &Run<'_>) -> Vec<(&'static str, Request)> {
    let body = sample::ordinary(run);
    let signature = sign::signature(run.sender, "", body.signed.as_bytes());
    vec![("an empty key", resigned(run, &body, [signature]))]
}

fn truncated(run: &Run<'_>) -> Vec<(&'static str, Request)> {
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

fn altered(run: &Run<'_>) -> Vec<(&'static str, Request)> {
    let (part, other) = match run.sender {
        Sender::Hmrc => ("value", "valve"),
        Sender::GovukPay => (r#""amount":5000"#, r#""amount":9000"#),
    };
    vec![(
        "one byte altered",
        sent_as(run, |body| sample::edited(body, part, other)),
    )]
}

fn respaced(run: &Run<'_>) -> Vec<(&'static str, Request)> {
    vec![
        (
            "with white space",
            sent_as(run, |body| sample::edited(body, "{", "{ ")),
        ),
        ("with fields moved", sent_as(run, moved)),
    ]
}

/// An ordinary notification, signed before it is changed.
fn sent_as(run: &Run<'_>, change: impl FnOnce(Body) -> Body) -> Request {
    let signed = sample::ordinary(run);
    let changed = change(signed.clone());
    run.signed(&Body {
        signed: signed.signed,
        ..changed
    })
}

/// The first field of the body, which is its id, as the last.
fn moved(body: Body) -> Body {
    let inner = body
        .wire
        .strip_prefix('{')
        .and_then(|text| text.strip_suffix('}'))
        .unwrap_or_default();
    let (first, rest) = inner.split_once(',').unwrap_or_default();
    Body {
        wire: format!("{{{rest},{first}}}"),
        ..body
    }
}

fn upper_case(run: &Run<'_>) -> Vec<(&'static str, Request)> {
    vec![(
        "upper case",
        with(run, |right| [right.to_ascii_uppercase()]),
    )]
}

fn prefixed(run: &Run<'_>) -> Vec<(&'static str, Request)> {
    let prefix = match run.sender {
        Sender::Hmrc => "sha1=",
        Sender::GovukPay => "sha256=",
    };
    vec![("prefixed", with(run, |right| [format!("{prefix}{right}")]))]
}

fn two(run: &Run<'_>) -> Vec<(&'static str, Request)> {
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

fn other_algorithm(run: &Run<'_>) -> Vec<(&'static str, Request)> {
    let body = sample::ordinary(run);
    let other = match run.sender {
        Sender::Hmrc => sign::hmac_sha256(run.secret, body.signed.as_bytes()),
        Sender::GovukPay => sign::hmac_sha1(run.secret, body.signed.as_bytes()),
    };
    vec![("the other algorithm", resigned(run, &body, [other]))]
}
