//! Reuse of a connection for several notifications, as by both senders.

use super::{
    super::{ExchangeError, ReceiverConnection, Sender},
    definition::{Check, CheckFacts, SenderFact},
    grading::is_delivered,
    report::Grade,
    run::{CheckRun, NotTriedError, ProbeAssessment, ProbeResult},
    samples,
    timed_response::{TimedResponse, ms},
};

pub(super) static CHECKS: &[&Check] = &[&KEEP_ALIVE, &IDLE];

static KEEP_ALIVE: Check = Check {
    id: "keep-alive",
    title: "A second notification is accepted on the same connection",
    facts: CheckFacts::Each {
        hmrc: SenderFact {
            why: "HMRC reuses connections. If one closes without a response, its client sends the \
                  same push again immediately, up to 5 times. If each is closed, every push needs \
                  a new handshake.",
            source: "hmrc/http-verbs with async-http-client, NettyRequestSender.java, defaults",
        },
        pay: SenderFact {
            why: "Pay reuses connections. If one closes just as a message is sent, that attempt \
                  fails. If each is closed, every message needs a new handshake within its 3 \
                  seconds.",
            source: "apache/httpcomponents-client 5, observed by running it as \
                     alphagov/pay-webhooks builds it",
        },
    },
    fix: "Keep connections alive in the server and the load balancer, and send Connection: close \
          before closing one.",
};

static IDLE: Check = Check {
    id: "idle-connection",
    title: "A connection may be idle for some seconds",
    facts: CheckFacts::Each {
        hmrc: SenderFact {
            why: "HMRC keeps idle connections for 60 seconds. If a receiver closes one earlier \
                  just as a push is sent, the push is sent again immediately.",
            source: "playframework/play-ws, reference.conf, defaults",
        },
        pay: SenderFact {
            why: "Pay keeps connections for at most 60 seconds, and closes those that are idle for \
                  5. If a receiver closes one earlier just as a message is sent, the message waits \
                  a minute.",
            source: "alphagov/pay-webhooks, config.yaml, observed by running its client",
        },
    },
    fix: "Set the idle timeout of the server and the load balancer to more than 60 seconds. This \
          check waits only a few seconds.",
};

pub(super) async fn probe(run: &mut CheckRun<'_>) {
    run.probe(&KEEP_ALIVE, keep_alive).await;
    run.probe(&IDLE, idle).await;
}

/// A connection that was used for one notification and is still open; otherwise the response.
async fn used(
    run: &mut CheckRun<'_>,
) -> Result<Result<ReceiverConnection, TimedResponse>, NotTriedError> {
    run.usual.clone()?;
    let mut connection = match run.connect().await? {
        Ok(connection) => connection,
        Err(error) => return NotTriedError::because(error),
    };
    let first = run
        .deliver_on(&mut connection, &samples::ordinary(run))
        .await?;
    Ok(if connection.is_open() {
        Ok(connection)
    } else {
        Err(first)
    })
}

async fn keep_alive(run: &mut CheckRun<'_>) -> ProbeResult {
    let mut connection = match used(run).await? {
        Ok(connection) => connection,
        Err(first) if first.is_success() => {
            return Ok(ProbeAssessment::new(
                Grade::Warning,
                format!(
                    "{}, and the connection is closed each time",
                    first.described()
                ),
            ));
        }
        Err(first) => return Ok(ProbeAssessment::new(Grade::Failed, first.described())),
    };
    let second = run
        .deliver_on(&mut connection, &samples::ordinary(run))
        .await?;
    Ok(ProbeAssessment::new(
        grade_second_request(run, &second),
        second.described_with_time(),
    ))
}

/// HMRC immediately repeats a push if the connection closes, so only Pay loses an attempt.
fn grade_second_request(run: &CheckRun<'_>, reply: &TimedResponse) -> Grade {
    let usual = run.usual.as_ref().ok().copied();
    match (&reply.response, run.sender) {
        (Ok(response), sender)
            if is_delivered(sender, response.status) || Some(response.status) == usual =>
        {
            Grade::Passed
        }
        (Err(ExchangeError::Closed), Sender::Hmrc) => Grade::Warning,
        _ => Grade::Failed,
    }
}

async fn idle(run: &mut CheckRun<'_>) -> ProbeResult {
    let Ok(mut connection) = used(run).await? else {
        return NotTriedError::because("the receiver closes every connection");
    };
    tokio::time::sleep(run.options.idle).await;
    let reply = run
        .deliver_on(&mut connection, &samples::ordinary(run))
        .await?;
    let grade = grade_second_request(run, &reply).min(Grade::Warning);
    Ok(ProbeAssessment::new(
        grade,
        format!("after {} idle: {}", ms(run.options.idle), reply.described()),
    ))
}
