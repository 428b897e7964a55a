//! Checks over all responses, after every other check.

use std::time::Duration;

use super::{
    super::Sender,
    definition::{Check, CheckFacts, SenderFact},
    grading::accepted,
    report::Grade,
    response_stats::ResponseStats,
    run::{CheckRun, NotTriedError, ProbeAssessment, ProbeResult},
    samples,
    timed_response::ms,
};

pub(super) static CHECKS: &[&Check] = &[
    &STILL_ANSWERS,
    &ANSWER_TIME,
    &SET_COOKIE,
    &CONTENT_ENCODING,
    &RETRY_AFTER,
    &ODD_STATUS,
];

static STILL_ANSWERS: Check = Check {
    id: "still-answers",
    title: "After all checks, a notification is still accepted",
    facts: CheckFacts::Anyone(SenderFact {
        why: "Anyone can send these requests at any time. None of them may stop a receiver.",
        source: "the callback URL is public",
    }),
    fix: "Look in the receiver's logs for a crash, a lock, or a limit per address. A sender uses \
          few addresses.",
};

static ANSWER_TIME: Check = Check {
    id: "answer-time",
    title: "The response is well within the sender's time limit",
    facts: CheckFacts::Each {
        hmrc: SenderFact {
            why: "HMRC limits the whole exchange to 20 seconds, then counts a failure and pushes \
                  again.",
            source: "hmrc/bootstrap-play, backend.conf; HMRC Developer Hub, Push Pull \
                     Notifications guide",
        },
        pay: SenderFact {
            why: "Pay waits 3 seconds for the response, then counts a failure and posts again, up \
                  to 6 times.",
            source: "alphagov/pay-webhooks, config.yaml",
        },
    },
    fix: "Store, respond, and process afterwards.",
};

static SET_COOKIE: Check = Check {
    id: "set-cookie",
    title: "No response sets a cookie",
    facts: CheckFacts::Each {
        hmrc: SenderFact {
            why: "HMRC's client ignores cookies.",
            source: "playframework/play-ws, reference.conf",
        },
        pay: SenderFact {
            why: "Pay's client returns cookies, so a load balancer sends all of Pay's messages to \
                  one machine, and all messages share a session.",
            source: "alphagov/pay-webhooks, WebhooksModule.java",
        },
    },
    fix: "Turn off sessions on the callback path, and sticky sessions in the load balancer.",
};

static CONTENT_ENCODING: Check = Check {
    id: "content-encoding",
    title: "No response has an encoding that Pay's client cannot decode",
    facts: CheckFacts::Pay(SenderFact {
        why: "Pay's client knows gzip and deflate. It counts a 200 whose body is compressed in \
              another way, such as br, as a failure, and posts the message again up to 6 times.",
        source: "apache/httpcomponents-client 5.6, observed by running it as \
                 alphagov/pay-webhooks builds it",
    }),
    fix: "Turn off compression on the callback path, in the receiver and in every proxy in front \
          of it, or answer without a body.",
};

static RETRY_AFTER: Check = Check {
    id: "retry-after",
    title: "No refusal has a Retry-After",
    facts: CheckFacts::Each {
        hmrc: SenderFact {
            why: "HMRC ignores it.",
            source: "hmrc/push-pull-notifications-api, PushService.scala",
        },
        pay: SenderFact {
            why: "After 429 or 503 Pay's client sleeps for that time, without a limit, and holds \
                  one of its 20 threads and a database lock meanwhile.",
            source: "apache/httpcomponents-client 5, DefaultHttpRequestRetryStrategy.java",
        },
    },
    fix: "Leave Retry-After out. Both senders have their own retry schedules.",
};

static ODD_STATUS: Check = Check {
    id: "odd-status",
    title: "No response is 410, 422 or 429",
    facts: CheckFacts::Each {
        hmrc: SenderFact {
            why: "HMRC treats them like 400: none of them ends or slows its retries.",
            source: "hmrc/push-pull-notifications-api, PushService.scala",
        },
        pay: SenderFact {
            why: "410 does not end retries; Pay shows its staff a 422 without its number; after \
                  429 Pay sends the same message again within a second.",
            source: "alphagov/pay-webhooks, SendAttempter.java; apache/httpcomponents-client 5",
        },
    },
    fix: "Answer 400 or 401 to refuse permanently, and 503 to have it sent again.",
};

pub(super) async fn probe(run: &mut CheckRun<'_>) {
    run.probe(&STILL_ANSWERS, still_answers).await;
    run.conclude(
        &ANSWER_TIME,
        answer_time(run.sender, &run.stats, run.options.slow),
    );
    run.conclude(&SET_COOKIE, set_cookie(run.sender, &run.stats));
    run.conclude(&CONTENT_ENCODING, content_encoding(run.sender, &run.stats));
    run.conclude(&RETRY_AFTER, retry_after(run.sender, &run.stats));
    run.conclude(&ODD_STATUS, odd_status(&run.stats));
}

async fn still_answers(run: &mut CheckRun<'_>) -> ProbeResult {
    let usual = run.usual.clone()?;
    let reply = run.deliver(&samples::ordinary(run)).await?;
    Ok(accepted(run.sender, usual, &[("it", reply)]))
}

fn answer_time(sender: Sender, stats: &ResponseStats, slow: Option<Duration>) -> ProbeResult {
    let (limit, usually_slow) = match sender {
        Sender::Hmrc => (Duration::from_secs(20), Duration::from_millis(2_500)),
        Sender::GovukPay => (Duration::from_secs(3), Duration::from_secs(1)),
    };
    if stats.timed_out {
        return Ok(ProbeAssessment::new(
            Grade::Failed,
            format!("no response within {}", ms(limit)),
        ));
    }
    let Some(slowest) = stats.slowest else {
        return NotTriedError::because("no notification had a response");
    };
    let grade = if slowest >= limit {
        Grade::Failed
    } else if slowest >= slow.unwrap_or(usually_slow) {
        Grade::Warning
    } else {
        Grade::Passed
    };
    Ok(ProbeAssessment::new(
        grade,
        format!("{} at the slowest", ms(slowest)),
    ))
}

/// Only Pay reacts to these headers.
fn require_no_headers(sender: Sender, stats: &ResponseStats, seen: &[String]) -> ProbeResult {
    if stats.responses == 0 {
        return NotTriedError::because("there was no response");
    }
    Ok(match (seen, sender) {
        ([], _) => ProbeAssessment::new(
            Grade::Passed,
            format!("none in {} responses", stats.responses),
        ),
        (_, Sender::GovukPay) => ProbeAssessment::new(Grade::Failed, seen.join(", ")),
        (_, Sender::Hmrc) => ProbeAssessment::new(Grade::Warning, seen.join(", ")),
    })
}

fn set_cookie(sender: Sender, stats: &ResponseStats) -> ProbeResult {
    require_no_headers(
        sender,
        stats,
        &stats.cookies.iter().cloned().collect::<Vec<_>>(),
    )
}

fn content_encoding(sender: Sender, stats: &ResponseStats) -> ProbeResult {
    let encodings: Vec<String> = stats.encodings.iter().cloned().collect();
    require_no_headers(sender, stats, &encodings)
}

fn retry_after(sender: Sender, stats: &ResponseStats) -> ProbeResult {
    let pauses = stats
        .pauses
        .iter()
        .map(|(status, pause)| format!("Retry-After: {pause} with {status}"));
    require_no_headers(sender, stats, &pauses.collect::<Vec<_>>())
}

fn odd_status(stats: &ResponseStats) -> ProbeResult {
    let odd: Vec<String> = stats.odd.iter().map(u16::to_string).collect();
    // They lose no notification with either sender.
    require_no_headers(Sender::Hmrc, stats, &odd)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(sender: Sender, ms: u64) -> Grade {
        let stats = ResponseStats {
            slowest: Some(Duration::from_millis(ms)),
            ..ResponseStats::default()
        };
        answer_time(sender, &stats, None).unwrap().grade
    }

    #[test]
    fn a_slow_response_is_a_warning_before_it_is_a_failure() {
        for (sender, ms, expected) in [
            (Sender::GovukPay, 999, Grade::Passed),
            (Sender::GovukPay, 1_000, Grade::Warning),
            (Sender::GovukPay, 2_999, Grade::Warning),
            (Sender::GovukPay, 3_000, Grade::Failed),
            (Sender::Hmrc, 2_499, Grade::Passed),
            (Sender::Hmrc, 2_500, Grade::Warning),
            (Sender::Hmrc, 20_000, Grade::Failed),
        ] {
            assert_eq!(time(sender, ms), expected, "{sender:?} {ms}");
        }
        let late = ResponseStats {
            timed_out: true,
            ..ResponseStats::default()
        };
        assert_eq!(
            answer_time(Sender::Hmrc, &late, None).unwrap().grade,
            Grade::Failed
        );
        assert!(answer_time(Sender::Hmrc, &ResponseStats::default(), None).is_err());
    }

    #[test]
    fn unwanted_headers_fail_with_pay_and_are_a_warning_with_hmrc() {
        let stats = ResponseStats {
            responses: 3,
            cookies: ["AWSALB".to_owned()].into(),
            pauses: [(503, "60".to_owned())].into(),
            odd: [422].into(),
            ..ResponseStats::default()
        };
        for (sender, expected) in [
            (Sender::Hmrc, Grade::Warning),
            (Sender::GovukPay, Grade::Failed),
        ] {
            assert_eq!(
                set_cookie(sender, &stats),
                Ok(ProbeAssessment::new(expected, "AWSALB"))
            );
            assert_eq!(
                retry_after(sender, &stats),
                Ok(ProbeAssessment::new(expected, "Retry-After: 60 with 503"))
            );
            assert_eq!(
                odd_status(&stats),
                Ok(ProbeAssessment::new(Grade::Warning, "422"))
            );
            let none = ResponseStats {
                responses: 3,
                ..ResponseStats::default()
            };
            assert_eq!(set_cookie(sender, &none).unwrap().grade, Grade::Passed);
            assert!(
                set_cookie(sender, &ResponseStats::default()).is_err(),
                "there was no response"
            );
        }
    }
}
