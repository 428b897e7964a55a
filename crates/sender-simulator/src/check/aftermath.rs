//! What is only known once everything else was tried.

use std::time::Duration;

use super::{
    super::Sender,
    fact::{Check, Fact, Facts},
    judge::taken,
    reply::ms,
    report::Grade,
    run::{Judged, Judgement, NotTried, Run},
    sample,
    tally::Tally,
};

pub(super) static CHECKS: &[&Check] = &[
    &STILL_ANSWERS,
    &ANSWER_TIME,
    &SET_COOKIE,
    &RETRY_AFTER,
    &ODD_STATUS,
];

static STILL_ANSWERS: Check = Check {
    id: "still-answers",
    title: "After all this, a notification is still taken",
    facts: Facts::Strangers(Fact {
        why: "Everything here can come from anybody, at any time. Nothing of it may stop a receiver.",
        source: "the callback URL is public",
    }),
    fix: "Look in the receiver's logs for what ended it: a crash, a lock, a limit for each address (all of a sender's \
          messages come from few).",
};

static ANSWER_TIME: Check = Check {
    id: "answer-time",
    title: "The answer comes well within the sender's time",
    facts: Facts::Each {
        hmrc: Fact {
            why: "HMRC waits 20 seconds for the whole exchange, then counts a failure and pushes again.",
            source: "hmrc/bootstrap-play, backend.conf; HMRC Developer Hub, Push Pull Notifications guide",
        },
        pay: Fact {
            why: "Pay waits 3 seconds for the answer, then counts a failure and posts again, up to 6 times.",
            source: "alphagov/pay-webhooks, config.yaml",
        },
    },
    fix: "Store, answer, and work afterwards.",
};

static SET_COOKIE: Check = Check {
    id: "set-cookie",
    title: "No answer sets a cookie",
    facts: Facts::Each {
        hmrc: Fact {
            why: "HMRC's client keeps no cookies, so one can only confuse.",
            source: "playframework/play-ws, reference.conf",
        },
        pay: Fact {
            why: "Pay's client keeps cookies and sends them back, so that a load balancer sends all of Pay's messages \
                  to one machine, and a session made for one message is that of the next.",
            source: "alphagov/pay-webhooks, WebhooksModule.java",
        },
    },
    fix: "Turn off sessions on the callback path, and stickiness in the load balancer.",
};

static RETRY_AFTER: Check = Check {
    id: "retry-after",
    title: "No refusal has a Retry-After",
    facts: Facts::Each {
        hmrc: Fact {
            why: "HMRC takes no notice of it.",
            source: "hmrc/push-pull-notifications-api, PushService.scala",
        },
        pay: Fact {
            why: "With 429 or 503 Pay's client sleeps as long as it says, without a limit, and holds one of its 20 \
                  threads and a database lock meanwhile.",
            source: "apache/httpcomponents-client 5, DefaultHttpRequestRetryStrategy.java",
        },
    },
    fix: "Leave Retry-After out; both senders have timetables of their own.",
};

static ODD_STATUS: Check = Check {
    id: "odd-status",
    title: "No answer is 410, 422 or 429",
    facts: Facts::Each {
        hmrc: Fact {
            why: "They mean no more to HMRC than 400: none of them ends or slows its retries.",
            source: "hmrc/push-pull-notifications-api, PushService.scala",
        },
        pay: Fact {
            why: "410 ends nothing; 422 is shown to Pay's staff without its number; after 429 the same message comes \
                  again within a second.",
            source: "alphagov/pay-webhooks, SendAttempter.java; apache/httpcomponents-client 5",
        },
    },
    fix: "Answer 400 or 401 to what is refused for good, and 503 to what should come again.",
};

pub(super) async fn probe(run: &mut Run<'_>) {
    run.probe(&STILL_ANSWERS, still_answers).await;
    run.conclude(
        &ANSWER_TIME,
        answer_time(run.sender, &run.tally, run.options.slow),
    );
    run.conclude(&SET_COOKIE, set_cookie(run.sender, &run.tally));
    run.conclude(&RETRY_AFTER, retry_after(run.sender, &run.tally));
    run.conclude(&ODD_STATUS, odd_status(&run.tally));
}

async fn still_answers(run: &mut Run<'_>) -> Judged {
    let usual = run.usual.clone()?;
    let reply = run.deliver(&sample::ordinary(run)).await?;
    Ok(taken(run.sender, usual, [("it", &reply)]))
}

fn answer_time(sender: Sender, tally: &Tally, slow: Option<Duration>) -> Judged {
    let (patience, usually_slow) = match sender {
        Sender::Hmrc => (Duration::from_secs(20), Duration::from_millis(2_500)),
        Sender::GovukPay => (Duration::from_secs(3), Duration::from_secs(1)),
    };
    if tally.timed_out {
        return Ok(Judgement::new(
            Grade::Failed,
            format!("no answer within {}", ms(patience)),
        ));
    }
    let Some(slowest) = tally.slowest else {
        return NotTried::because("no notification was answered");
    };
    let grade = if slowest >= patience {
        Grade::Failed
    } else if slowest >= slow.unwrap_or(usually_slow) {
        Grade::Warning
    } else {
        Grade::Passed
    };
    Ok(Judgement::new(
        grade,
        format!("{} at the slowest", ms(slowest)),
    ))
}

/// Only Pay heeds what is not to be there.
fn absent(sender: Sender, tally: &Tally, seen: &[String]) -> Judged {
    if tally.answers == 0 {
        return NotTried::because("nothing was answered");
    }
    Ok(match (seen, sender) {
        ([], _) => Judgement::new(Grade::Passed, format!("none in {} answers", tally.answers)),
        (_, Sender::GovukPay) => Judgement::new(Grade::Failed, seen.join(", ")),
        (_, Sender::Hmrc) => Judgement::new(Grade::Warning, seen.join(", ")),
    })
}

fn set_cookie(sender: Sender, tally: &Tally) -> Judged {
    absent(
        sender,
        tally,
        &tally.cookies.iter().cloned().collect::<Vec<_>>(),
    )
}

fn retry_after(sender: Sender, tally: &Tally) -> Judged {
    let pauses = tally
        .pauses
        .iter()
        .map(|(status, pause)| format!("Retry-After: {pause} with {status}"));
    absent(sender, tally, &pauses.collect::<Vec<_>>())
}

fn odd_status(tally: &Tally) -> Judged {
    let odd: Vec<String> = tally.odd.iter().map(u16::to_string).collect();
    // None of them loses anything, with either sender.
    absent(Sender::Hmrc, tally, &odd)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(sender: Sender, ms: u64) -> Grade {
        let tally = Tally {
            slowest: Some(Duration::from_millis(ms)),
            ..Tally::default()
        };
        answer_time(sender, &tally, None).unwrap().grade
    }

    #[test]
    fn an_answer_is_slow_long_before_it_is_late() {
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
        let late = Tally {
            timed_out: true,
            ..Tally::default()
        };
        assert_eq!(
            answer_time(Sender::Hmrc, &late, None).unwrap().grade,
            Grade::Failed
        );
        assert!(answer_time(Sender::Hmrc, &Tally::default(), None).is_err());
    }

    #[test]
    fn what_pay_heeds_fails_and_what_hmrc_ignores_is_worth_a_look() {
        let tally = Tally {
            answers: 3,
            cookies: ["AWSALB".to_owned()].into(),
            pauses: [(503, "60".to_owned())].into(),
            odd: [422].into(),
            ..Tally::default()
        };
        for (sender, expected) in [
            (Sender::Hmrc, Grade::Warning),
            (Sender::GovukPay, Grade::Failed),
        ] {
            assert_eq!(
                set_cookie(sender, &tally),
                Ok(Judgement::new(expected, "AWSALB"))
            );
            assert_eq!(
                retry_after(sender, &tally),
                Ok(Judgement::new(expected, "Retry-After: 60 with 503"))
            );
            assert_eq!(
                odd_status(&tally),
                Ok(Judgement::new(Grade::Warning, "422"))
            );
            let none = Tally {
                answers: 3,
                ..Tally::default()
            };
            assert_eq!(set_cookie(sender, &none).unwrap().grade, Grade::Passed);
            assert!(
                set_cookie(sender, &Tally::default()).is_err(),
                "nothing was looked at"
            );
        }
    }
}
