//! One connection for several notifications, as both senders keep theirs.

use super::{
    super::{Connection, ExchangeError, Sender},
    fact::{Check, Fact, Facts},
    judge::is_delivered,
    reply::{Reply, ms},
    report::Grade,
    run::{Judged, Judgement, NotTried, Run},
    sample,
};

pub(super) static CHECKS: &[&Check] = &[&KEEP_ALIVE, &IDLE];

static KEEP_ALIVE: Check = Check {
    id: "keep-alive",
    title: "A second notification is taken on the same connection",
    facts: Facts::Each {
        hmrc: Fact {
            why: "HMRC keeps connections. Where one closes without a word, its client sends the same push again at \
                  once, up to 5 times; where each one is closed, every push pays for a new handshake.",
            source: "hmrc/http-verbs with async-http-client, NettyRequestSender.java, defaults",
        },
        pay: Fact {
            why: "Pay keeps connections. Where one closes without a word just as a message is sent, that attempt has \
                  failed; where each one is closed, every message pays for a new handshake out of its 3 seconds.",
            source: "apache/httpcomponents-client 5, seen by running it as alphagov/pay-webhooks builds it",
        },
    },
    fix: "Keep connections alive in the server and the load balancer, and announce the end of one with \
          Connection: close.",
};

static IDLE: Check = Check {
    id: "idle-connection",
    title: "A connection may be silent for some seconds",
    facts: Facts::Each {
        hmrc: Fact {
            why: "HMRC keeps silent connections for 60 seconds. A receiver that closes them sooner can meet a push on \
                  its way, which then comes again at once.",
            source: "playframework/play-ws, reference.conf, defaults",
        },
        pay: Fact {
            why: "Pay keeps connections for 60 seconds at most, and closes those that are silent for 5. A receiver \
                  that closes them sooner can meet a message on its way, which then waits a minute.",
            source: "alphagov/pay-webhooks, config.yaml, seen by running its client",
        },
    },
    fix: "Set the idle timeout of server and load balancer to more than 60 seconds. This check waits only a few of them.",
};

pub(super) async fn probe(run: &mut Run<'_>) {
    run.probe(&KEEP_ALIVE, keep_alive).await;
    run.probe(&IDLE, idle).await;
}

/// A connection over which one notification was taken; else what that says.
async fn used(run: &mut Run<'_>) -> Result<Result<Connection, Reply>, NotTried> {
    run.usual.clone()?;
    let mut connection = match run.connect().await? {
        Ok(connection) => connection,
        Err(error) => return NotTried::because(error),
    };
    let first = run
        .deliver_on(&mut connection, &sample::ordinary(run))
        .await?;
    Ok(if connection.is_open() {
        Ok(connection)
    } else {
        Err(first)
    })
}

async fn keep_alive(run: &mut Run<'_>) -> Judged {
    let mut connection = match used(run).await? {
        Ok(connection) => connection,
        Err(first) if first.is_success() => {
            return Ok(Judgement::new(
                Grade::Warning,
                format!("{}, and the connection is closed each time", first.said()),
            ));
        }
        Err(first) => return Ok(Judgement::new(Grade::Failed, first.said())),
    };
    let second = run
        .deliver_on(&mut connection, &sample::ordinary(run))
        .await?;
    Ok(Judgement::new(
        second_on_it(run, &second),
        second.said_when(),
    ))
}

/// HMRC sends again at once what meets a closing connection, so only Pay loses an attempt by it.
fn second_on_it(run: &Run<'_>, reply: &Reply) -> Grade {
    let usual = run.usual.as_ref().ok().copied();
    match (&reply.answer, run.sender) {
        (Ok(answer), sender)
            if is_delivered(sender, answer.status) || Some(answer.status) == usual =>
        {
            Grade::Passed
        }
        (Err(ExchangeError::Closed), Sender::Hmrc) => Grade::Warning,
        _ => Grade::Failed,
    }
}

async fn idle(run: &mut Run<'_>) -> Judged {
    let Ok(mut connection) = used(run).await? else {
        return NotTried::because("the receiver closes every connection");
    };
    tokio::time::sleep(run.options.idle).await;
    let reply = run
        .deliver_on(&mut connection, &sample::ordinary(run))
        .await?;
    let grade = second_on_it(run, &reply).min(Grade::Warning);
    Ok(Judgement::new(
        grade,
        format!(
            "after {} of silence: {}",
            ms(run.options.idle),
            reply.said()
        ),
    ))
}
