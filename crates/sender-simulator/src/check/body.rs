//! What must be taken: every shape of notification that a sender has sent, may send, or is free to.

use super::{
    super::{Body, Sender, govuk_pay, hmrc},
    fact::{Check, Fact, Facts},
    judge::taken,
    reply::Reply,
    report::Grade,
    run::{Judged, Judgement, Run},
    sample,
};

pub(super) static CHECKS: &[&Check] = &[
    &RAW_BODY,
    &ASTRAL,
    &RAW_CHARACTERS,
    &XML,
    &TRANSIT,
    &EVERY_EVENT,
    &NULLS,
    &SHORT_IDS,
    &UNKNOWN_EVENT,
    &EXTRA_FIELDS,
    &OLD_DATE,
    &LARGE_BODY,
    &UNREADABLE,
];

static RAW_BODY: Check = Check {
    id: "raw-body",
    title: "What is signed is the bytes, however they are written",
    facts: Facts::Each {
        hmrc: Fact {
            why: "HMRC signs text, not values. White space, escapes and the order of fields may change with any of its \
                  libraries, as they did on 7 August 2024.",
            source: "hmrc/push-pull-notifications-api, HmacService.scala",
        },
        pay: Fact {
            why: "Pay signs text, not values: fields in the order of its database, characters unescaped, numbers with \
                  all their digits. Few JSON libraries would write the same.",
            source: "alphagov/pay-webhooks, WebhookMessageSignatureGenerator.java",
        },
    },
    fix: "Verify the raw body before anything parses it.",
};

static ASTRAL: Check = Check {
    id: "astral-characters",
    title: "A character beyond U+FFFF, signed as it is and sent as an escape, is taken",
    facts: Facts::Hmrc(Fact {
        why: "HMRC signs 😀 and sends \\uD83D\\uDE00 in its place. A receiver that verifies the raw bytes alone refuses \
              every attempt, and the notification ends FAILED.",
        source: "hmrc/push-pull-notifications-api with play-json and jackson-core, seen by running them",
    }),
    fix: "Where the raw bytes don't verify, put each unescaped pair of surrogate escapes back as its character, and \
          verify once more.",
};

static RAW_CHARACTERS: Check = Check {
    id: "raw-characters",
    title: "Emoji and line separators in the raw body are taken",
    facts: Facts::Pay(Fact {
        why: "Pay sends every character as it is, in UTF-8: 💷 in four bytes, U+2028 in three.",
        source: "alphagov/pay-webhooks, WebhookMessageBody.java",
    }),
    fix: "Verify bytes, never a decoded text; store text as four-byte UTF-8 (utf8mb4 in MySQL).",
};

static XML: Check = Check {
    id: "xml-message",
    title: "An XML message under application/json is taken",
    facts: Facts::Hmrc(Fact {
        why: "HMRC's content type is application/json always; messageContentType says what the message is, and many \
              of HMRC's are XML.",
        source: "hmrc/push-pull-notifications-api, OutboundProxyConnector.scala",
    }),
    fix: "Take `message` for a string, and parse it afterwards by messageContentType.",
};

static TRANSIT: Check = Check {
    id: "nested-message",
    title: "A message with XML inside JSON inside a string is taken",
    facts: Facts::Hmrc(Fact {
        why: "So come customs' transit messages: the inner JSON takes a second parse, its XML a third.",
        source: "hmrc/transit-movements-push-notifications, Notification.scala",
    }),
    fix: "Store first, and parse `message` after the answer.",
};

static EVERY_EVENT: Check = Check {
    id: "every-event",
    title: "Every event of Pay's is taken",
    facts: Facts::Pay(Fact {
        why: "Webhooks have states that Pay's public API has not: declined and timedout. An expired payment has no \
              card_details at all.",
        source: "alphagov/pay-webhooks, EventMapper.java and ExternalChargeState.java",
    }),
    fix: "Store first; read states and fields afterwards, and leniently.",
};

static NULLS: Check = Check {
    id: "null-fields",
    title: "Fields that are null are taken",
    facts: Facts::Pay(Fact {
        why: "In card_details nulls do come: card_type, billing_address, the cardholder's name.",
        source: "real messages in the public tests of receiving services",
    }),
    fix: "Let every field of card_details be absent or null.",
};

static SHORT_IDS: Check = Check {
    id: "short-ids",
    title: "Ids of fewer than 26 characters are taken",
    facts: Facts::Pay(Fact {
        why: "Pay's ids are numbers in base 32 without leading zeros: one in 32 is shorter than the others.",
        source: "alphagov/pay-webhooks, IdGenerator.java",
    }),
    fix: "Take ids as opaque text of any length.",
};

static UNKNOWN_EVENT: Check = Check {
    id: "unknown-event",
    title: "An event type that nobody has heard of is taken",
    facts: Facts::Pay(Fact {
        why: "Pay adds event types without a new version. What is refused comes again for 3 days, then never.",
        source: "alphagov/pay-webhooks, EventMapper.java",
    }),
    fix: "Store it, answer 200, and let a person look.",
};

static EXTRA_FIELDS: Check = Check {
    id: "extra-fields",
    title: "Fields that nobody has heard of are taken",
    facts: Facts::Each {
        hmrc: Fact {
            why: "HMRC's model has fields that it does not send yet, such as readDateTime.",
            source: "hmrc/push-pull-notifications-api, responses.scala",
        },
        pay: Fact {
            why: "Pay adds fields without a new version.",
            source: "GOV.UK Pay's documentation, Webhooks",
        },
    },
    fix: "Ignore what is unknown.",
};

static OLD_DATE: Check = Check {
    id: "old-date",
    title: "A notification of 35 days ago is taken",
    facts: Facts::Each {
        hmrc: Fact {
            why: "A callback URL that is set or restored releases everything that waited in the box, up to 30 days old.",
            source: "hmrc/push-pull-notifications-api, NotificationsRepository.scala",
        },
        pay: Fact {
            why: "Pay tells some events again long afterwards, with the date of the event.",
            source: "alphagov/pay-connector and alphagov/pay-ledger, EventMessageHandler.java",
        },
    },
    fix: "Refuse nothing by its age. Keep what is too old to act on, and answer 200.",
};

static LARGE_BODY: Check = Check {
    id: "large-body",
    title: "The largest bodies are taken",
    facts: Facts::Each {
        hmrc: Fact {
            why: "HMRC's limit is a matter of its configuration: 100 KB by default, 2 MB in its own tests. Many \
                  frameworks refuse from 100 KB or 1 MB on, with 413, until the notification is FAILED.",
            source: "hmrc/push-pull-notifications-api, application.conf; \
                     hmrc/push-pull-notifications-acceptance-tests, PushPullNotificationsCommonApi.java",
        },
        pay: Fact {
            why: "A payment with all its fields at their longest makes a message of more than 10 KB.",
            source: "alphagov/pay-webhooks, WebhookMessageBody.java; GOV.UK Pay's documentation, API reference",
        },
    },
    fix: "Allow bodies of 8 MiB in the framework, and in every proxy and firewall before it.",
};

static UNREADABLE: Check = Check {
    id: "unreadable-body",
    title: "A signed body that is no JSON gets a clear answer",
    facts: Facts::Each {
        hmrc: Fact {
            why: "After anything but 200 HMRC sends the same bytes for 6 hours. A 5xx looks like a crash, a 202 says \
                  nothing to HMRC, and a closed connection brings six copies at once.",
            source: "hmrc/push-pull-notifications-api, PushService.scala; async-http-client, NettyRequestSender.java",
        },
        pay: Fact {
            why: "After 200 or 202 Pay never sends it again, so it must have been kept; a 5xx looks like a crash, and \
                  brings the same bytes for 3 days.",
            source: "alphagov/pay-webhooks, SendAttempter.java",
        },
    },
    fix: "Keep what is genuine and can't be read, for a person to look at, and answer 200; or else answer 400.",
};

/// Notifications that must be taken, under names for the report.
struct Shapes {
    check: &'static Check,
    bodies: fn(&Run<'_>) -> Vec<(&'static str, Body)>,
}

const SHAPES: [Shapes; 12] = [
    Shapes {
        check: &RAW_BODY,
        bodies: raw,
    },
    Shapes {
        check: &ASTRAL,
        bodies: |run| hmrc_event(run, "astral"),
    },
    Shapes {
        check: &RAW_CHARACTERS,
        bodies: raw_characters,
    },
    Shapes {
        check: &XML,
        bodies: |run| hmrc_event(run, "xml"),
    },
    Shapes {
        check: &TRANSIT,
        bodies: |run| hmrc_event(run, "transit"),
    },
    Shapes {
        check: &EVERY_EVENT,
        bodies: every_event,
    },
    Shapes {
        check: &NULLS,
        bodies: nulls,
    },
    Shapes {
        check: &SHORT_IDS,
        bodies: short_ids,
    },
    Shapes {
        check: &UNKNOWN_EVENT,
        bodies: unknown_event,
    },
    Shapes {
        check: &EXTRA_FIELDS,
        bodies: |run| vec![("more fields", sample::extended(run))],
    },
    Shapes {
        check: &OLD_DATE,
        bodies: |run| vec![("35 days old", sample::old(run))],
    },
    Shapes {
        check: &LARGE_BODY,
        bodies: large,
    },
];

pub(super) async fn probe(run: &mut Run<'_>) {
    for shapes in SHAPES {
        run.probe(shapes.check, async |run| deliver(run, &shapes).await)
            .await;
    }
    run.probe(&UNREADABLE, unreadable).await;
}

async fn deliver(run: &mut Run<'_>, shapes: &Shapes) -> Judged {
    let usual = run.usual.clone()?;
    let mut replies = Vec::new();
    for (name, body) in (shapes.bodies)(run) {
        replies.push((name, run.deliver(&body).await?));
    }
    Ok(taken(
        run.sender,
        usual,
        replies.iter().map(|(name, reply)| (*name, reply)),
    ))
}

/// Written as no JSON library would write it back: with white space, an escape that need not be one,
/// and, in Pay's, keys that a JavaScript engine would put in another order.
fn raw(run: &Run<'_>) -> Vec<(&'static str, Body)> {
    let body = sample::edited(sample::ordinary(run), "{", "{ ");
    let body = sample::edited(body, "PILLARBOX-TEST", "PILLARBOX\\u002DTEST");
    vec![(
        "other spelling",
        sample::edited(body, r#""team":7"#, r#""b":1.10,"10":12345678901234567890"#),
    )]
}

fn hmrc_event(run: &Run<'_>, name: &str) -> Vec<(&'static str, Body)> {
    let message = hmrc::Message::named(name, run.clock).ok();
    message
        .map(|message| ("it", hmrc::body(&message, hmrc::SAMPLE_BOX, run.clock)))
        .into_iter()
        .collect()
}

fn raw_characters(run: &Run<'_>) -> Vec<(&'static str, Body)> {
    vec![(
        "emoji, U+2028",
        sample::edited(
            sample::ordinary(run),
            "Test payment",
            "Test 👩\u{200d}💻\u{2028} payment",
        ),
    )]
}

fn every_event(run: &Run<'_>) -> Vec<(&'static str, Body)> {
    let others = govuk_pay::Event::ALL
        .into_iter()
        .filter(|event| *event != govuk_pay::Event::Failed);
    others
        .map(|event| (event.as_str(), sample::pay(event, run.clock)))
        .collect()
}

/// A card that was rejected has them.
fn nulls(run: &Run<'_>) -> Vec<(&'static str, Body)> {
    vec![(
        "card_payment_failed",
        sample::pay(govuk_pay::Event::Failed, run.clock),
    )]
}

fn short_ids(run: &Run<'_>) -> Vec<(&'static str, Body)> {
    let short = |length: usize| {
        let body = sample::ordinary(run);
        let id = body.id[sample::PAY_ID - length..].to_owned();
        sample::with_id(body, id)
    };
    vec![
        ("25", short(25)),
        ("24", short(24)),
        ("23", short(23)),
        ("22", short(22)),
    ]
}

fn unknown_event(run: &Run<'_>) -> Vec<(&'static str, Body)> {
    vec![(
        "unheard of",
        sample::edited(
            sample::ordinary(run),
            "card_payment_succeeded",
            "card_payment_reviewed",
        ),
    )]
}

fn large(run: &Run<'_>) -> Vec<(&'static str, Body)> {
    match run.sender {
        Sender::Hmrc => vec![
            ("1 KB", sample::long(run.clock, 1_000)),
            ("100 KB", sample::long(run.clock, 100 * 1024)),
            ("2.1 MB", sample::long(run.clock, 2_100_000)),
        ],
        Sender::GovukPay => vec![("the longest", sample::longest_of_pay(run.clock))],
    }
}

async fn unreadable(run: &mut Run<'_>) -> Judged {
    run.usual.clone()?;
    let reference = sample::test_reference(run.clock);
    let text = format!("{reference} is not JSON");
    let reply = run
        .post(&run.signed(&Body {
            id: reference,
            signed: text.clone(),
            wire: text,
        }))
        .await?;
    Ok(Judgement::new(clear(&reply), reply.said()))
}

/// 200 says that it is kept, and 4xx that it is not.
fn clear(reply: &Reply) -> Grade {
    match reply.status() {
        Some(200 | 400..500) => Grade::Passed,
        Some(_) => Grade::Warning,
        None => Grade::Failed,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;

    use super::{
        super::{
            super::{Answer, ExchangeError},
            run::played,
        },
        *,
    };

    /// What only the body of this check has, if it is not its event or its id.
    const MARKS: [(&str, &str); 9] = [
        ("raw-body", "{ "),
        ("astral-characters", "\\uD83D\\uDE00"),
        ("raw-characters", "\u{2028}"),
        ("xml-message", "application/xml"),
        ("nested-message", "messageBody"),
        ("null-fields", ":null"),
        ("unknown-event", "card_payment_reviewed"),
        ("extra-fields", ":null"),
        ("old-date", "2026-01-26T10:15:31.480"),
    ];

    #[test]
    fn every_shape_is_json_and_what_it_is_there_for() {
        played(|run| {
            let ordinary = sample::ordinary(run).wire;
            for shapes in SHAPES
                .iter()
                .filter(|shapes| shapes.check.of(run.sender).is_some())
            {
                let bodies = (shapes.bodies)(run);
                assert!(!bodies.is_empty(), "{}", shapes.check.id);
                for (name, body) in &bodies {
                    let value: Value = serde_json::from_str(&body.wire).unwrap();
                    assert!(
                        value
                            .as_object()
                            .unwrap()
                            .values()
                            .any(|value| *value == body.id),
                        "{name}"
                    );
                    let Some((_, mark)) = MARKS.iter().find(|(id, _)| *id == shapes.check.id)
                    else {
                        continue;
                    };
                    assert!(
                        body.wire.contains(mark),
                        "{name}: {mark} is not in {}",
                        body.wire
                    );
                    assert!(!ordinary.contains(mark), "{mark} is nothing special");
                }
            }
        });
    }

    #[test]
    fn ids_and_events_and_sizes_are_those_their_names_say() {
        played(|run| match run.sender {
            Sender::GovukPay => {
                for (name, body) in short_ids(run) {
                    assert_eq!(body.id.len().to_string(), name);
                }
                for (name, body) in every_event(run).into_iter().chain(nulls(run)) {
                    assert!(
                        body.wire.contains(&format!(r#""event_type":"{name}""#)),
                        "{name}: {}",
                        body.wire
                    );
                }
            }
            Sender::Hmrc => {
                let sizes: Vec<usize> =
                    large(run).iter().map(|(_, body)| body.wire.len()).collect();
                for (size, least) in sizes.iter().zip([1_000, 102_400, 2_100_000]) {
                    assert!((least..least + 500).contains(size), "{sizes:?}");
                }
            }
        });
    }

    #[test]
    fn what_can_not_be_read_is_kept_or_refused_in_so_many_words() {
        for (answer, expected) in [
            (Some(200), Grade::Passed),
            (Some(400), Grade::Passed),
            (Some(202), Grade::Warning),
            (Some(204), Grade::Warning),
            (Some(302), Grade::Warning),
            (Some(500), Grade::Warning),
            (None, Grade::Failed),
        ] {
            let body = |status| Answer {
                status,
                headers: Vec::new(),
                body: Vec::new(),
                truncated: false,
            };
            let reply = Reply {
                answer: answer.map(body).ok_or(ExchangeError::Closed),
                took: Duration::ZERO,
            };
            assert_eq!(clear(&reply), expected, "{answer:?}");
        }
    }
}
