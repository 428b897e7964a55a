//! Notifications that a receiver must accept: each form that a sender has sent or may send.

use super::{
    super::{MessageBody, Sender, govuk_pay, hmrc, ids},
    definition::{Check, CheckFacts, SenderFact},
    grading::accepted,
    report::Grade,
    run::{CheckRun, ProbeAssessment, ProbeResult},
    samples,
    timed_response::TimedResponse,
};

pub(super) static CHECKS: &[&Check] = &[
    &RAW_BODY,
    &ASTRAL,
    &RAW_CHARACTERS,
    &XML,
    &TRANSIT,
    &EVERY_EVENT,
    &PAYMENT_KINDS,
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
    title: "The signature is verified over the raw bytes",
    facts: CheckFacts::Each {
        hmrc: SenderFact {
            why: "HMRC signs text, not values. White space, escapes and field order may change \
                  with any library update, as on 7 August 2024.",
            source: "hmrc/push-pull-notifications-api, HmacService.scala",
        },
        pay: SenderFact {
            why: "Pay signs text, not values: fields in the order of its database, unescaped \
                  characters, numbers with all digits. Few JSON libraries write the same text.",
            source: "alphagov/pay-webhooks, WebhookMessageSignatureGenerator.java",
        },
    },
    fix: "Verify the raw body before parsing.",
};

static ASTRAL: Check = Check {
    id: "astral-characters",
    title: "A character beyond U+FFFF, signed as a character and sent as an escape, is accepted",
    facts: CheckFacts::Hmrc(SenderFact {
        why: "HMRC signs 😀 and sends \\uD83D\\uDE00. A receiver that verifies only the raw bytes \
              refuses every attempt, and the notification ends FAILED.",
        source: "hmrc/push-pull-notifications-api with play-json and jackson-core, observed by \
                 running them",
    }),
    fix: "If the raw bytes do not verify, replace each pair of surrogate escapes by its character, \
          and verify again.",
};

static RAW_CHARACTERS: Check = Check {
    id: "raw-characters",
    title: "Accents and line separators in the raw body are accepted, with Pay also emoji",
    facts: CheckFacts::Each {
        hmrc: SenderFact {
            why: "HMRC sends every character up to U+FFFF unescaped in UTF-8: é in two bytes, € \
                  and U+2028 in three.",
            source: "hmrc/push-pull-notifications-api with play-json and jackson-core, observed \
                     by running them",
        },
        pay: SenderFact {
            why: "Pay sends every character unescaped in UTF-8: 💷 in four bytes, U+2028 in three.",
            source: "alphagov/pay-webhooks, WebhookMessageBody.java",
        },
    },
    fix: "Verify bytes, never decoded text; store text as four-byte UTF-8 (utf8mb4 in MySQL).",
};

static XML: Check = Check {
    id: "xml-message",
    title: "An XML message with content type application/json is accepted",
    facts: CheckFacts::Hmrc(SenderFact {
        why: "HMRC's content type is always application/json. The field messageContentType is the \
              message's type, and many messages are XML.",
        source: "hmrc/push-pull-notifications-api, OutboundProxyConnector.scala",
    }),
    fix: "Read `message` as a string, and parse it afterwards by messageContentType.",
};

static TRANSIT: Check = Check {
    id: "nested-message",
    title: "A message with XML inside JSON inside a string is accepted",
    facts: CheckFacts::Hmrc(SenderFact {
        why: "Customs' transit messages have this form: the inner JSON needs a second parse, and \
              its XML a third.",
        source: "hmrc/transit-movements-push-notifications, Notification.scala",
    }),
    fix: "Store first, and parse `message` after the response.",
};

static EVERY_EVENT: Check = Check {
    id: "every-event",
    title: "Every event of Pay is accepted",
    facts: CheckFacts::Pay(SenderFact {
        why: "Webhooks have states that Pay's public API does not have: declined and timedout. An \
              expired payment has no card_details.",
        source: "alphagov/pay-webhooks, EventMapper.java and ExternalChargeState.java",
    }),
    fix: "Store first. Read states and fields afterwards, and leniently.",
};

static PAYMENT_KINDS: Check = Check {
    id: "payment-kinds",
    title: "Every kind of payment is accepted",
    facts: CheckFacts::Pay(SenderFact {
        why: "Apple and Google Pay have no billing address, and often no e-mail address. Telephone \
              payments and payments under an agreement have no return_url, and a telephone payment \
              begins with card_payment_captured. A corporate card adds a surcharge and a \
              total_amount.",
        source: "alphagov/pay-connector, ChargeEntity.java and ChargeService.java; \
                 alphagov/pay-webhooks, EventMapper.java",
    }),
    fix: "Require only the fields that every message has: its id, date, type and payment id.",
};

static NULLS: Check = Check {
    id: "null-fields",
    title: "Null fields are accepted",
    facts: CheckFacts::Pay(SenderFact {
        why: "card_details contains nulls: card_type, billing_address, the cardholder's name.",
        source: "real messages in the public tests of receiving services",
    }),
    fix: "Let every field of card_details be absent or null.",
};

static SHORT_IDS: Check = Check {
    id: "short-ids",
    title: "Ids of fewer than 26 characters are accepted",
    facts: CheckFacts::Pay(SenderFact {
        why: "Pay's ids are numbers in base 32 without leading zeros: one in 32 is shorter.",
        source: "alphagov/pay-webhooks, IdGenerator.java",
    }),
    fix: "Treat ids as opaque text of any length.",
};

static UNKNOWN_EVENT: Check = Check {
    id: "unknown-event",
    title: "An unknown event type is accepted",
    facts: CheckFacts::Pay(SenderFact {
        why: "Pay adds event types without a new version. A refused message is retried for 3 days, \
              then never sent again.",
        source: "alphagov/pay-webhooks, EventMapper.java",
    }),
    fix: "Store it, answer 200, and have it reviewed.",
};

static EXTRA_FIELDS: Check = Check {
    id: "extra-fields",
    title: "Unknown fields are accepted",
    facts: CheckFacts::Each {
        hmrc: SenderFact {
            why: "HMRC's model has fields that are not sent yet, such as readDateTime.",
            source: "hmrc/push-pull-notifications-api, responses.scala",
        },
        pay: SenderFact {
            why: "Pay adds fields without a new version.",
            source: "GOV.UK Pay's documentation, Webhooks",
        },
    },
    fix: "Ignore unknown fields.",
};

static OLD_DATE: Check = Check {
    id: "old-date",
    title: "A notification that is 35 days old is accepted",
    facts: CheckFacts::Each {
        hmrc: SenderFact {
            why: "When a callback URL is set or restored, HMRC pushes the whole box, up to 30 days \
                  old.",
            source: "hmrc/push-pull-notifications-api, NotificationsRepository.scala",
        },
        pay: SenderFact {
            why: "Pay sends some events again much later, with the date of the event.",
            source: "alphagov/pay-connector and alphagov/pay-ledger, EventMessageHandler.java",
        },
    },
    fix: "Refuse nothing because of its age. Store what is too old to process, and answer 200.",
};

static LARGE_BODY: Check = Check {
    id: "large-body",
    title: "The largest bodies are accepted",
    facts: CheckFacts::Each {
        hmrc: SenderFact {
            why: "HMRC's limit is configurable: 100 KB by default, 2 MB in its tests. Many \
                  frameworks refuse bodies over 100 KB or 1 MB with 413, until the notification is \
                  FAILED.",
            source: "hmrc/push-pull-notifications-api, application.conf; \
                     hmrc/push-pull-notifications-acceptance-tests, \
                     PushPullNotificationsCommonApi.java",
        },
        pay: SenderFact {
            why: "A payment whose fields all have their maximum length has a message of over 10 \
                  KB.",
            source: "alphagov/pay-webhooks, WebhookMessageBody.java; GOV.UK Pay's documentation, \
                     API reference",
        },
    },
    fix: "Allow bodies of 8 MiB in the framework and in every proxy and firewall in front of it.",
};

static UNREADABLE: Check = Check {
    id: "unreadable-body",
    title: "A signed body that is not JSON gets a clear response",
    facts: CheckFacts::Each {
        hmrc: SenderFact {
            why: "After any status but 200 HMRC sends the same bytes for 6 hours. A 5xx looks like \
                  a crash, a 202 is a failure to HMRC, and a closed connection causes six \
                  immediate copies.",
            source: "hmrc/push-pull-notifications-api, PushService.scala; async-http-client, \
                     NettyRequestSender.java",
        },
        pay: SenderFact {
            why: "After 200 or 202 Pay never sends it again, so it must be stored. A 5xx looks \
                  like a crash, and Pay sends the same bytes for 3 days.",
            source: "alphagov/pay-webhooks, SendAttempter.java",
        },
    },
    fix: "Store what is genuine and unreadable for review, and answer 200. Otherwise answer 400.",
};

type NamedBodies = Vec<(&'static str, MessageBody)>;

/// A check and the notifications that it sends, with their names in the report.
type AcceptedBodies = (&'static Check, fn(&CheckRun<'_>) -> NamedBodies);

const ACCEPTED_BODIES: [AcceptedBodies; 13] = [
    (&RAW_BODY, raw),
    (&ASTRAL, |run| hmrc_event(run, "astral")),
    (&RAW_CHARACTERS, raw_characters),
    (&XML, |run| hmrc_event(run, "xml")),
    (&TRANSIT, |run| hmrc_event(run, "transit")),
    (&EVERY_EVENT, every_event),
    (&PAYMENT_KINDS, payment_kinds),
    (&NULLS, nulls),
    (&SHORT_IDS, short_ids),
    (&UNKNOWN_EVENT, unknown_event),
    (&EXTRA_FIELDS, |run| {
        vec![("more fields", samples::extended(run))]
    }),
    (&OLD_DATE, |run| vec![("35 days old", samples::old(run))]),
    (&LARGE_BODY, large),
];

pub(super) async fn probe(run: &mut CheckRun<'_>) {
    for (check, bodies) in ACCEPTED_BODIES {
        run.probe(check, async |run| deliver(run, bodies(run)).await)
            .await;
    }
    run.probe(&UNREADABLE, unreadable).await;
}

async fn deliver(run: &mut CheckRun<'_>, bodies: NamedBodies) -> ProbeResult {
    let usual = run.usual.clone()?;
    let mut replies = Vec::new();
    for (name, body) in bodies {
        replies.push((name, run.deliver(&body).await?));
    }
    Ok(accepted(run.sender, usual, &replies))
}

/// A body that no JSON library would reproduce: with white space, an unnecessary escape and, for
/// Pay, keys that a JavaScript engine would reorder.
fn raw(run: &CheckRun<'_>) -> NamedBodies {
    let body = samples::edited(samples::ordinary(run), "{", "{ ");
    let body = samples::edited(body, "PILLARBOX-TEST", "PILLARBOX\\u002DTEST");
    let body = samples::edited(body, r#""team":7"#, r#""b":1.10,"10":12345678901234567890"#);
    vec![("other spelling", body)]
}

fn hmrc_event(run: &CheckRun<'_>, name: &str) -> NamedBodies {
    let message = hmrc::HmrcMessage::named(name, run.clock).ok();
    message
        .map(|message| ("it", hmrc::body(&message, hmrc::SAMPLE_BOX, run.clock)))
        .into_iter()
        .collect()
}

/// HMRC escapes the characters beyond U+FFFF, and another check sends one.
fn raw_characters(run: &CheckRun<'_>) -> NamedBodies {
    let (part, texts) = match run.sender {
        Sender::Hmrc => (
            "value",
            [("é and €", "café, 5 €"), ("U+2028", "two\u{2028}lines")],
        ),
        Sender::GovukPay => (
            "Test payment",
            [
                ("é and €", "Test café, 5 €"),
                ("emoji, U+2028", "Test 👩\u{200d}💻\u{2028} payment"),
            ],
        ),
    };
    texts
        .map(|(name, text)| (name, samples::edited(samples::ordinary(run), part, text)))
        .into()
}

fn every_event(run: &CheckRun<'_>) -> NamedBodies {
    let others = govuk_pay::PaymentEvent::ALL
        .into_iter()
        .filter(|event| *event != govuk_pay::PaymentEvent::Failed);
    others
        .map(|event| (event.as_str(), samples::pay(event, run.clock)))
        .collect()
}

fn payment_kinds(run: &CheckRun<'_>) -> NamedBodies {
    govuk_pay::PaymentKind::SPECIAL
        .map(|kind| (kind.as_str(), samples::pay_kind(kind, run.clock)))
        .into()
}

/// A rejected card has null fields.
fn nulls(run: &CheckRun<'_>) -> NamedBodies {
    vec![(
        "card_payment_failed",
        samples::pay(govuk_pay::PaymentEvent::Failed, run.clock),
    )]
}

fn short_ids(run: &CheckRun<'_>) -> NamedBodies {
    let short = |length: usize| {
        let body = samples::ordinary(run);
        let id = body.id[samples::PAY_ID_CHARS - length..].to_owned();
        samples::with_id(body, id)
    };
    vec![
        ("25", short(25)),
        ("24", short(24)),
        ("23", short(23)),
        ("22", short(22)),
    ]
}

fn unknown_event(run: &CheckRun<'_>) -> NamedBodies {
    vec![(
        "unknown type",
        samples::edited(
            samples::ordinary(run),
            "card_payment_succeeded",
            "card_payment_reviewed",
        ),
    )]
}

fn large(run: &CheckRun<'_>) -> NamedBodies {
    match run.sender {
        Sender::Hmrc => vec![
            ("1 KB", samples::long(run.clock, 1_000)),
            ("100 KB", samples::long(run.clock, 100 * 1024)),
            ("2.1 MB", samples::long(run.clock, 2_100_000)),
        ],
        Sender::GovukPay => vec![("the longest", samples::longest_of_pay(run.clock))],
    }
}

async fn unreadable(run: &mut CheckRun<'_>) -> ProbeResult {
    run.usual.clone()?;
    let reference = ids::test_reference(run.clock);
    let text = format!("{reference} is not JSON");
    let reply = run
        .post(&run.signed(&MessageBody {
            id: reference,
            signed: text.clone(),
            wire: text,
        }))
        .await?;
    Ok(ProbeAssessment::new(
        grade_unreadable(&reply),
        reply.described(),
    ))
}

/// 200 means that it is stored, and 4xx that it is not.
fn grade_unreadable(reply: &TimedResponse) -> Grade {
    match reply.status() {
        Some(200 | 400..500) => Grade::Passed,
        Some(_) => Grade::Warning,
        None => Grade::Failed,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{
        super::{
            super::{ExchangeError, ReceiverResponse},
            run::with_each_sender,
        },
        *,
    };

    /// A text that only the body of this check contains.
    const MARKS: [(&str, &str); 12] = [
        ("raw-body", "{ "),
        ("raw-characters", "é, 5 €"),
        ("astral-characters", "\\uD83D\\uDE00"),
        ("raw-characters", "\u{2028}"),
        ("xml-message", "application/xml"),
        ("nested-message", "messageBody"),
        ("payment-kinds", r#""billing_address":null"#),
        ("payment-kinds", r#""total_amount":5250"#),
        ("null-fields", ":null"),
        ("unknown-event", "card_payment_reviewed"),
        ("extra-fields", ":null"),
        ("old-date", "2026-01-26T10:15:31.480"),
    ];

    #[test]
    fn every_body_is_json_and_contains_what_its_check_tests() {
        with_each_sender(|run| {
            let ordinary = samples::ordinary(run).wire;
            for (check, bodies) in ACCEPTED_BODIES {
                if check.of(run.sender).is_none() {
                    continue;
                }
                let bodies = bodies(run);
                assert!(!bodies.is_empty(), "{}", check.id);
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
                }
                for (_, mark) in MARKS.iter().filter(|(id, _)| *id == check.id) {
                    let is_sent = bodies.iter().any(|(_, body)| body.wire.contains(mark));
                    assert!(is_sent, "{}: {mark} is in no body", check.id);
                    assert!(!ordinary.contains(mark), "{mark} is in every body");
                }
            }
        });
    }

    #[test]
    fn ids_events_and_sizes_match_their_names() {
        with_each_sender(|run| match run.sender {
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
    fn an_unreadable_body_must_be_stored_or_refused() {
        for (answer, expected) in [
            (Some(200), Grade::Passed),
            (Some(400), Grade::Passed),
            (Some(202), Grade::Warning),
            (Some(204), Grade::Warning),
            (Some(302), Grade::Warning),
            (Some(500), Grade::Warning),
            (None, Grade::Failed),
        ] {
            let response = answer.map(|status| ReceiverResponse::new(status, &[], ""));
            let reply = TimedResponse::of(response.ok_or(ExchangeError::Closed));
            assert_eq!(grade_unreadable(&reply), expected, "{answer:?}");
        }
    }
}
