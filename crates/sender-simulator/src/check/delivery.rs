//! The first notification, whose response all later checks depend on, and its copies.

use super::{
    super::{MessageBody, Sender, SenderRequest},
    definition::{Check, CheckFacts, SenderFact},
    grading::{exactly_200, worst},
    report::Grade,
    run::{CheckRun, NotTriedError, ProbeAssessment, ProbeResult},
    samples,
    timed_response::TimedResponse,
};

pub(super) static CHECKS: &[&Check] = &[
    &SECRET,
    &REDIRECT,
    &ACCEPTED,
    &OPAQUE_IDS,
    &RESOURCE_TYPE,
    &DUPLICATE,
    &DUPLICATE_AT_ONCE,
    &SAME_EVENT,
];

static SECRET: Check = Check {
    id: "secret",
    title: "A notification signed with this secret is accepted",
    facts: CheckFacts::Each {
        hmrc: SenderFact {
            why: "HMRC tries a refused push about every 5 minutes for 6 hours, then marks it \
                  FAILED permanently.",
            source: "hmrc/push-pull-notifications-api, HmacService.scala and \
                     RetryPushNotificationsJob.scala",
        },
        pay: SenderFact {
            why: "Pay tries a refused message 6 times in 3 days, then marks it FAILED without an \
                  alert.",
            source: "alphagov/pay-webhooks, WebhookMessageSignatureGenerator.java and \
                     SendAttempter.java",
        },
    },
    fix: "The receiver probably has a different secret: that of another environment or \
          application, one with a trailing newline, decoded from Base32 or hex, or without its \
          prefix. The key is the text exactly as the sender shows it. Otherwise the body is parsed \
          or re-encoded before it is verified, here or in a proxy, or a login, CSRF protection or \
          firewall blocks the callback.",
};

static REDIRECT: Check = Check {
    id: "redirect",
    title: "A notification is never redirected",
    facts: CheckFacts::Each {
        hmrc: SenderFact {
            why: "After 301, 302 or 303 HMRC sends a GET without a body to the new URL. If that is \
                  answered 200, the notification is ACKNOWLEDGED and lost.",
            source: "playframework/play-ws with async-http-client, Redirect30xInterceptor.java, \
                     defaults",
        },
        pay: SenderFact {
            why: "After 301, 302 or 303 Pay sends a GET without a body or signature to the new \
                  URL. If that is answered 2xx, the message is SUCCESSFUL and lost.",
            source: "apache/httpcomponents-client 5, observed by running it as \
                     alphagov/pay-webhooks builds it",
        },
    },
    fix: "Exclude the callback from logins, from rules for trailing slashes and canonical hosts, \
          and from redirects to https. Register the URL that the redirect leads to.",
};

static ACCEPTED: Check = Check {
    id: "accepted",
    title: "A notification is answered 200",
    facts: CheckFacts::Each {
        hmrc: SenderFact {
            why: "HMRC counts 200 as success and every other status as a failure, including 201, \
                  202 and 204.",
            source: "hmrc/push-pull-notifications-api, PushService.scala",
        },
        pay: SenderFact {
            why: "Pay counts 200, 201, 202, 204, 205 and 206 as success, and every other status as \
                  a failure. Its documentation asks for 200.",
            source: "alphagov/pay-webhooks, SendAttempter.java",
        },
    },
    fix: "Store the notification, then answer 200. With a 404 or 405, check the URL; with a 5xx, \
          the receiver's logs.",
};

static OPAQUE_IDS: Check = Check {
    id: "opaque-ids",
    title: "An id need not be a UUID",
    facts: CheckFacts::Pay(SenderFact {
        why: "Pay's ids are numbers in base 32, such as 5s1k7c3g9v2m8a4e0q6i5o1u7t.",
        source: "alphagov/pay-webhooks, IdGenerator.java",
    }),
    fix: "Treat ids as opaque text. The database column must not be a UUID either.",
};

static RESOURCE_TYPE: Check = Check {
    id: "resource-type",
    title: "The resource type PAYMENT is accepted in upper case",
    facts: CheckFacts::Pay(SenderFact {
        why: "Pay's documentation says `payment`, and its messages say `PAYMENT`.",
        source: "alphagov/pay-webhooks, WebhookMessageService.java",
    }),
    fix: "Compare resource_type case-insensitively, or not at all.",
};

static DUPLICATE: Check = Check {
    id: "duplicate",
    title: "A second copy is answered 200",
    facts: CheckFacts::Each {
        hmrc: SenderFact {
            why: "HMRC sends the same bytes again after a response that it did not receive. It \
                  counts a 409 as a failure, retries for 6 hours, then marks the stored \
                  notification FAILED.",
            source: "hmrc/push-pull-notifications-api, PushService.scala and \
                     RetryPushNotificationsJob.scala",
        },
        pay: SenderFact {
            why: "Pay sends the same bytes again after a response that it did not receive, and \
                  after its own crashes. It counts a 409 as a failure, and retries for 3 days.",
            source: "alphagov/pay-webhooks, SendAttempter.java",
        },
    },
    fix: "If the id is already stored, answer 200 and do nothing else.",
};

static DUPLICATE_AT_ONCE: Check = Check {
    id: "duplicate-at-once",
    title: "Two copies at the same time are both answered 200",
    facts: CheckFacts::Each {
        hmrc: SenderFact {
            why: "HMRC's retry job can push a notification whose first push is still in progress.",
            source: "hmrc/push-pull-notifications-api, NotificationsRepository.scala",
        },
        pay: SenderFact {
            why: "Pay sends from 20 threads on several machines; two copies can arrive together.",
            source: "alphagov/pay-webhooks, config.yaml",
        },
    },
    fix: "Use a unique key and an insert that accepts an existing row. Do not query first and \
          insert afterwards.",
};

static SAME_EVENT: Check = Check {
    id: "same-event",
    title: "The same event under another id is answered 200",
    facts: CheckFacts::Pay(SenderFact {
        why: "Pay's queue delivers at least once, and each delivery creates a message with a new \
              id.",
        source: "alphagov/pay-webhooks, WebhookMessageService.java",
    }),
    fix: "Answer 200, and process each resource_id, event_type and created_date once.",
};

pub(super) async fn probe(run: &mut CheckRun<'_>) {
    let body = samples::ordinary(run);
    first(run, &body).await;
    run.probe(&OPAQUE_IDS, opaque_ids).await;
    run.probe(&RESOURCE_TYPE, resource_type).await;
    run.probe(&DUPLICATE, async |run| duplicate(run, &body).await)
        .await;
    run.probe(&DUPLICATE_AT_ONCE, at_once).await;
    run.probe(&SAME_EVENT, same_event).await;
}

async fn first(run: &mut CheckRun<'_>, body: &MessageBody) {
    let reply = match run.deliver(body).await {
        Ok(reply) => reply,
        Err(over) => {
            for check in [&SECRET, &REDIRECT, &ACCEPTED] {
                run.conclude(check, Err(over.clone()));
            }
            run.usual = Err(over);
            return;
        }
    };
    run.usual = match reply.status() {
        Some(status) if reply.is_success() => Ok(status),
        _ => NotTriedError::because(format!(
            "the first notification was not accepted: {}",
            reply.described()
        )),
    };
    let result = secret(run, &reply, body).await;
    let is_authentic = !matches!(&result, Ok(assessment) if assessment.grade == Grade::Failed);
    run.conclude(&SECRET, result);
    run.conclude(&REDIRECT, redirect(&reply));
    run.conclude(&ACCEPTED, accepted(run.sender, &reply, is_authentic));
}

fn redirect(reply: &TimedResponse) -> ProbeResult {
    let status = reply
        .status()
        .ok_or_else(|| NotTriedError(reply.described()))?;
    let grade = if (300..400).contains(&status) {
        Grade::Failed
    } else {
        Grade::Passed
    };
    Ok(ProbeAssessment::new(grade, reply.described()))
}

/// Whether the receiver refused the notification as not genuine, or may have: receivers answer 400
/// or 422 to a wrong signature as often as 401. Other statuses are about the address, the method,
/// the length or the rate, not about the signature.
fn may_be_forged(status: Option<u16>) -> bool {
    match status {
        Some(404 | 405 | 408 | 410 | 411 | 413..=415 | 417 | 421 | 425 | 426 | 429 | 431) => false,
        Some(status) => (400..500).contains(&status),
        None => false,
    }
}

async fn secret(run: &mut CheckRun<'_>, reply: &TimedResponse, body: &MessageBody) -> ProbeResult {
    if reply.is_success() {
        return Ok(ProbeAssessment::new(Grade::Passed, "accepted"));
    }
    if !may_be_forged(reply.status()) {
        return NotTriedError::because(format!(
            "this status does not depend on the secret: {}",
            reply.described()
        ));
    }
    for (mistake, request) in near_misses(run, body) {
        let tried = run.post(&request).await?;
        if tried.is_success() {
            let seen = format!(
                "{}; but signed {mistake}: {}",
                reply.described(),
                tried.described()
            );
            return Ok(ProbeAssessment::new(Grade::Failed, seen));
        }
    }
    if !matches!(reply.status(), Some(401 | 403)) {
        let forged = run.sender.request(body, "not the secret at all", run.url);
        let tried = run.post(&forged).await?;
        if tried.status() != reply.status() {
            let seen = format!(
                "a wrong signature is answered {}, and this one {}",
                tried.described(),
                reply.described()
            );
            return Ok(ProbeAssessment::new(Grade::Passed, seen));
        }
    }
    Ok(ProbeAssessment::new(Grade::Failed, reply.described()))
}

/// Requests that verify only at a receiver with a common mistake, and the mistake.
fn near_misses(run: &CheckRun<'_>, body: &MessageBody) -> Vec<(&'static str, SenderRequest)> {
    let with_secret = |secret: &str| run.sender.request(body, secret, run.url);
    let mut misses = vec![(
        "with the secret and a newline",
        with_secret(&format!("{}\n", run.secret)),
    )];
    if let (Sender::GovukPay, Some((_, bare))) = (run.sender, run.secret.rsplit_once('_')) {
        misses.push(("with the secret without its prefix", with_secret(bare)));
    }
    for (how, signed) in rewritten(&body.signed) {
        let body = MessageBody {
            signed,
            ..body.clone()
        };
        misses.push((how, run.signed(&body)));
    }
    misses
}

/// A body as common JSON libraries write it after they have parsed it.
fn rewritten(text: &str) -> [(&'static str, String); 3] {
    let (mut spaced, mut is_string, mut is_escaped) = (String::new(), false, false);
    for character in text.chars() {
        spaced.push(character);
        match character {
            '"' if !is_escaped => is_string = !is_string,
            ',' | ':' if !is_string => spaced.push(' '),
            _ => {}
        }
        is_escaped = character == '\\' && !is_escaped;
    }
    let sorted = serde_json::from_str(text).map(|value: serde_json::Value| value.to_string());
    [
        (
            "over the body rewritten with a space after each comma and colon",
            spaced,
        ),
        (
            "over the body rewritten with \\/ for each slash",
            text.replace('/', "\\/"),
        ),
        (
            "over the body rewritten with its keys sorted",
            sorted.unwrap_or_default(),
        ),
    ]
}

fn accepted(sender: Sender, reply: &TimedResponse, is_authentic: bool) -> ProbeResult {
    if !is_authentic {
        return NotTriedError::because("the receiver does not verify this signature");
    }
    Ok(ProbeAssessment::new(
        exactly_200(sender, reply.status()),
        reply.described_with_time(),
    ))
}

/// If the first notification was refused for a reason other than its signature, sends it in the
/// form that the documentation describes, to find the reason.
async fn retry_as_documented(
    run: &mut CheckRun<'_>,
    changed: &str,
    when_accepted: &str,
    body: MessageBody,
) -> ProbeResult {
    let Err(refused) = run.usual.clone() else {
        return Ok(ProbeAssessment::new(Grade::Passed, when_accepted));
    };
    if run.stats.timed_out {
        return Err(refused);
    }
    let reply = run.deliver(&body).await?;
    if !reply.is_success() {
        return Err(refused);
    }
    Ok(ProbeAssessment::new(
        Grade::Failed,
        format!("{}; but with {changed}: {}", refused.0, reply.described()),
    ))
}

async fn opaque_ids(run: &mut CheckRun<'_>) -> ProbeResult {
    let uuid = super::super::ids::uuid(run.clock);
    let body = samples::with_id(samples::ordinary(run), uuid);
    retry_as_documented(
        run,
        "a UUID for an id",
        "an id of 26 letters and digits was accepted",
        body,
    )
    .await
}

async fn resource_type(run: &mut CheckRun<'_>) -> ProbeResult {
    let body = samples::edited(
        samples::ordinary(run),
        r#""resource_type":"PAYMENT""#,
        r#""resource_type":"payment""#,
    );
    retry_as_documented(run, "`payment`", "PAYMENT was accepted", body).await
}

async fn duplicate(run: &mut CheckRun<'_>, body: &MessageBody) -> ProbeResult {
    run.usual.clone()?;
    let reply = run.deliver(body).await?;
    Ok(ProbeAssessment::new(
        exactly_200(run.sender, reply.status()),
        reply.described_with_time(),
    ))
}

async fn at_once(run: &mut CheckRun<'_>) -> ProbeResult {
    run.usual.clone()?;
    let [one, other] = run.deliver_twice(&samples::ordinary(run)).await?;
    let grade = |status| exactly_200(run.sender, status);
    Ok(worst(&[("one", one), ("the other", other)], grade))
}

async fn same_event(run: &mut CheckRun<'_>) -> ProbeResult {
    run.usual.clone()?;
    let [one, other] = samples::same_event_twice(run.clock);
    let replies = [
        ("one id", run.deliver(&one).await?),
        ("another", run.deliver(&other).await?),
    ];
    Ok(worst(&replies, |status| exactly_200(run.sender, status)))
}

#[cfg(test)]
mod tests;
