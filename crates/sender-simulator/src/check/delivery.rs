//! The first notification, on whose answer everything after it depends, and its copies.

use super::{
    super::{Body, Sender},
    fact::{Check, Fact, Facts},
    judge::exactly_200,
    reply::{Reply, summary},
    report::Grade,
    run::{Judged, Judgement, NotTried, Run},
    sample,
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
    title: "A notification signed with this secret is let in",
    facts: Facts::Each {
        hmrc: Fact {
            why: "HMRC tries a refused push about every 5 minutes for 6 hours, then marks it FAILED for good.",
            source: "hmrc/push-pull-notifications-api, HmacService.scala and RetryPushNotificationsJob.scala",
        },
        pay: Fact {
            why: "Pay tries a refused message 6 times in 3 days, then marks it FAILED and tells nobody.",
            source: "alphagov/pay-webhooks, WebhookMessageSignatureGenerator.java and SendAttempter.java",
        },
    },
    fix: "The secret is probably another: another environment's or application's, one with a newline at its end, \
          decoded from Base32 or hex, or without its prefix; the key is the text exactly as the sender shows it. Else \
          the body is parsed, written anew or re-encoded before it is verified, here or in a proxy, or a login, CSRF \
          protection or firewall stands before the callback.",
};

static REDIRECT: Check = Check {
    id: "redirect",
    title: "A notification is never redirected",
    facts: Facts::Each {
        hmrc: Fact {
            why: "After 301, 302 or 303 HMRC sends a GET without a body to the new place; if that is answered 200, \
                  the notification is ACKNOWLEDGED and lost.",
            source: "playframework/play-ws with async-http-client, Redirect30xInterceptor.java, defaults",
        },
        pay: Fact {
            why: "After 301, 302 or 303 Pay sends a GET without a body or signature to the new place; if that is \
                  answered 2xx, the message is SUCCESSFUL and lost.",
            source: "apache/httpcomponents-client 5, seen by running it as alphagov/pay-webhooks builds it",
        },
    },
    fix: "Take the callback out of logins, out of rules for trailing slashes and canonical hosts, and out of http to \
          https; register the URL to which it leads.",
};

static ACCEPTED: Check = Check {
    id: "accepted",
    title: "A notification is answered 200",
    facts: Facts::Each {
        hmrc: Fact {
            why: "HMRC counts 200 as success and every other status, 201, 202 and 204 among them, as a failure.",
            source: "hmrc/push-pull-notifications-api, PushService.scala",
        },
        pay: Fact {
            why: "Pay counts 200, 201, 202, 204, 205 and 206 as success; 203, 207 and every other status are failures. \
                  Only 200 is what its documentation asks for.",
            source: "alphagov/pay-webhooks, SendAttempter.java",
        },
    },
    fix: "Store the notification, then answer 200. A 404 or 405 points to another URL than the receiver's, a 5xx to its \
          logs.",
};

static OPAQUE_IDS: Check = Check {
    id: "opaque-ids",
    title: "An id need not be a UUID",
    facts: Facts::Pay(Fact {
        why: "Pay's ids are numbers in base 32, such as 5s1k7c3g9v2m8a4e0q6i5o1u7t.",
        source: "alphagov/pay-webhooks, IdGenerator.java",
    }),
    fix: "Take ids as opaque text; the column that keeps them must not be a UUID either.",
};

static RESOURCE_TYPE: Check = Check {
    id: "resource-type",
    title: "The resource type PAYMENT is known in upper case",
    facts: Facts::Pay(Fact {
        why: "Pay's documentation says `payment`, and its messages say `PAYMENT`.",
        source: "alphagov/pay-webhooks, WebhookMessageService.java",
    }),
    fix: "Compare resource_type without regard to case, or not at all.",
};

static DUPLICATE: Check = Check {
    id: "duplicate",
    title: "A second copy is answered 200",
    facts: Facts::Each {
        hmrc: Fact {
            why: "HMRC sends the same bytes again after an answer that it missed. A 409 is a failure to it: it goes \
                  on for 6 hours, then says FAILED of what was stored at the first.",
            source: "hmrc/push-pull-notifications-api, PushService.scala and RetryPushNotificationsJob.scala",
        },
        pay: Fact {
            why: "Pay sends the same bytes again after an answer that it missed, and after its own crashes. A 409 is a \
                  failure to it: it goes on for 3 days.",
            source: "alphagov/pay-webhooks, SendAttempter.java",
        },
    },
    fix: "Answer 200 where the id is stored already, and do nothing else.",
};

static DUPLICATE_AT_ONCE: Check = Check {
    id: "duplicate-at-once",
    title: "Two copies at once are both answered 200",
    facts: Facts::Each {
        hmrc: Fact {
            why: "HMRC's retry job can push a notification whose first push is still on its way.",
            source: "hmrc/push-pull-notifications-api, NotificationsRepository.scala",
        },
        pay: Fact {
            why: "Pay has 20 threads that send, and several machines; two copies can meet.",
            source: "alphagov/pay-webhooks, config.yaml",
        },
    },
    fix: "Let the database decide, by a unique key and an insert that may find the row there; do not look first and \
          insert afterwards.",
};

static SAME_EVENT: Check = Check {
    id: "same-event",
    title: "The same event under another id is answered 200",
    facts: Facts::Pay(Fact {
        why: "Pay's queue delivers at least once, and each time a message gets an id of its own.",
        source: "alphagov/pay-webhooks, WebhookMessageService.java",
    }),
    fix: "Answer 200, and act once for each resource_id, event_type and created_date.",
};

pub(super) async fn probe(run: &mut Run<'_>) {
    let body = sample::ordinary(run);
    first(run, &body).await;
    run.probe(&OPAQUE_IDS, opaque_ids).await;
    run.probe(&RESOURCE_TYPE, resource_type).await;
    run.probe(&DUPLICATE, async |run| duplicate(run, &body).await)
        .await;
    run.probe(&DUPLICATE_AT_ONCE, at_once).await;
    run.probe(&SAME_EVENT, same_event).await;
}

async fn first(run: &mut Run<'_>, body: &Body) {
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
        _ => NotTried::because(format!(
            "the first notification was not taken: {}",
            reply.said()
        )),
    };
    let judged = secret(run, &reply, body).await;
    run.conclude(&SECRET, judged);
    run.conclude(&REDIRECT, redirect(&reply));
    run.conclude(&ACCEPTED, accepted(run.sender, &reply));
}

fn redirect(reply: &Reply) -> Judged {
    let status = reply.status().ok_or_else(|| NotTried(reply.said()))?;
    let grade = if (300..400).contains(&status) {
        Grade::Failed
    } else {
        Grade::Passed
    };
    Ok(Judgement::new(grade, reply.said()))
}

fn is_locked_out(reply: &Reply) -> bool {
    matches!(reply.status(), Some(401 | 403))
}

async fn secret(run: &mut Run<'_>, reply: &Reply, body: &Body) -> Judged {
    if reply.is_success() {
        return Ok(Judgement::new(Grade::Passed, "it was"));
    }
    if !is_locked_out(reply) {
        return NotTried::because(format!("this says nothing of the secret: {}", reply.said()));
    }
    for (mistake, secret) in near_misses(run.sender, run.secret) {
        let tried = run
            .post(&run.sender.request(body, &secret, run.url))
            .await?;
        if tried.is_success() {
            let seen = format!(
                "{}; but signed with the secret {mistake}: {}",
                reply.said(),
                tried.said()
            );
            return Ok(Judgement::new(Grade::Failed, seen));
        }
    }
    Ok(Judgement::new(Grade::Failed, reply.said()))
}

/// What receivers have been seen to make of a secret.
fn near_misses(sender: Sender, secret: &str) -> Vec<(&'static str, String)> {
    let mut misses = vec![("and a newline", format!("{secret}\n"))];
    if let (Sender::GovukPay, Some((_, bare))) = (sender, secret.rsplit_once('_')) {
        misses.push(("without its prefix", bare.to_owned()));
    }
    misses
}

fn accepted(sender: Sender, reply: &Reply) -> Judged {
    if is_locked_out(reply) {
        return NotTried::because("the secret is probably another");
    }
    Ok(Judgement::new(
        exactly_200(sender, reply.status()),
        reply.said_when(),
    ))
}

/// What is tried once the first notification was refused without a word of its signature, to find out
/// by what: the same, but as a receiver that goes by the documentation expects it.
async fn instead(run: &mut Run<'_>, what: &str, taken: &str, body: Body) -> Judged {
    let Err(refused) = run.usual.clone() else {
        return Ok(Judgement::new(Grade::Passed, taken));
    };
    if run.tally.timed_out {
        return Err(refused);
    }
    let reply = run.deliver(&body).await?;
    if !reply.is_success() {
        return Err(refused);
    }
    Ok(Judgement::new(
        Grade::Failed,
        format!("{}; but with {what}: {}", refused.0, reply.said()),
    ))
}

async fn opaque_ids(run: &mut Run<'_>) -> Judged {
    let uuid = super::super::random::uuid(run.clock);
    let body = sample::with_id(sample::ordinary(run), uuid);
    instead(
        run,
        "a UUID for an id",
        "an id of 26 letters and digits was taken",
        body,
    )
    .await
}

async fn resource_type(run: &mut Run<'_>) -> Judged {
    let body = sample::edited(
        sample::ordinary(run),
        r#""resource_type":"PAYMENT""#,
        r#""resource_type":"payment""#,
    );
    instead(run, "`payment`", "PAYMENT was taken", body).await
}

async fn duplicate(run: &mut Run<'_>, body: &Body) -> Judged {
    run.usual.clone()?;
    let reply = run.deliver(body).await?;
    Ok(Judgement::new(
        exactly_200(run.sender, reply.status()),
        reply.said_when(),
    ))
}

async fn at_once(run: &mut Run<'_>) -> Judged {
    run.usual.clone()?;
    let [one, other] = run.deliver_twice(&sample::ordinary(run)).await?;
    let grade = exactly_200(run.sender, one.status()).max(exactly_200(run.sender, other.status()));
    Ok(Judgement::new(
        grade,
        summary([("one", &one), ("the other", &other)]),
    ))
}

async fn same_event(run: &mut Run<'_>) -> Judged {
    run.usual.clone()?;
    let [one, other] = sample::same_event_twice(run.clock);
    let (first, second) = (run.deliver(&one).await?, run.deliver(&other).await?);
    let grade =
        exactly_200(run.sender, first.status()).max(exactly_200(run.sender, second.status()));
    Ok(Judgement::new(
        grade,
        summary([("one id", &first), ("another", &second)]),
    ))
}
