//! Each sender's HTTP client, against receivers that close, reset, stall, redirect and set cookies.

use std::{fmt::Display, sync::Mutex, time::Duration};

use super::*;
use crate::test_receiver::{ReceiverReaction, echo, status};

/// The outcome of one message, and the number of attempts and requests that it took, if the
/// receiver reacts with one reaction after the other, and with the last one from then on.
async fn settled(sender: Sender, reactions: &[ReceiverReaction]) -> (&'static str, u32, u32) {
    let script = reactions.to_vec();
    let receiver =
        TestReceiver::new(move |number, _| script[(number - 1).min(script.len() - 1)].clone())
            .await;
    let settled = Mutex::new(Vec::new());
    let observe = |event: RunEvent<'_>| {
        if let RunEvent::Settled(message) = event {
            let message = (message.outcome.as_str(), message.attempts, message.requests);
            settled.lock().unwrap().push(message);
        }
    };
    let plan = plan(sender, &receiver, 1);
    run(&plan, &observe, pending()).await.unwrap();
    let settled = settled.into_inner().unwrap();
    assert_eq!(settled.len(), 1);
    let (outcome, attempts, requests) = settled[0];
    assert_eq!(receiver.received().len(), requests as usize);
    (outcome, attempts, requests)
}

fn answer(head: &str) -> ReceiverReaction {
    ReceiverReaction::Answer(format!("HTTP/1.1 {head}\r\ncontent-length: 0\r\n\r\n"))
}

fn to(status: u16, location: impl Display) -> ReceiverReaction {
    answer(&format!("{status} Moved\r\nlocation: {location}"))
}

fn ok() -> ReceiverReaction {
    answer("200 OK")
}

/// A reaction several times, then 200.
fn repeated(times: usize, reaction: &ReceiverReaction) -> Vec<ReceiverReaction> {
    let mut all = vec![reaction.clone(); times];
    all.push(ok());
    all
}

const CUT: &str = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok";
const CUT_CHUNK: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nok";
const CUT_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-le";

#[tokio::test]
async fn hmrc_repeats_immediately_only_after_an_orderly_close_before_the_response_was_complete() {
    let close_after = |bytes: &str| ReceiverReaction::CloseAfter(bytes.to_owned());
    let reset_after = |bytes: &str| ReceiverReaction::ResetAfter(bytes.to_owned());
    for (sender, reaction, times, attempts) in [
        (Sender::Hmrc, close_after(""), 5, 1),
        (Sender::Hmrc, close_after(""), 6, 2),
        (Sender::Hmrc, close_after(CUT), 5, 1),
        (Sender::Hmrc, close_after(CUT), 6, 2),
        (Sender::Hmrc, close_after(CUT_CHUNK), 6, 2),
        (Sender::Hmrc, close_after(CUT_HEAD), 1, 2),
        (Sender::Hmrc, reset_after(""), 1, 2),
        (Sender::Hmrc, reset_after(CUT), 1, 2),
        (Sender::GovukPay, close_after(""), 1, 2),
        (Sender::GovukPay, close_after(CUT), 1, 2),
        (Sender::GovukPay, close_after(CUT_CHUNK), 1, 2),
        (Sender::GovukPay, close_after(CUT_HEAD), 1, 2),
        (Sender::GovukPay, reset_after(""), 1, 2),
        (Sender::GovukPay, reset_after(CUT), 1, 2),
    ] {
        let requests = u32::try_from(times).unwrap() + 1;
        assert_eq!(
            settled(sender, &repeated(times, &reaction)).await,
            ("acknowledged", attempts, requests),
            "{sender:?} {reaction:?}"
        );
    }
}

#[tokio::test]
async fn an_interim_response_is_a_failure_with_hmrc_unless_it_is_100() {
    let hinted = |interim: &str| {
        let then = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        ReceiverReaction::Answer(format!("HTTP/1.1 {interim}\r\n\r\n{then}"))
    };
    for (sender, interim, attempts) in [
        (Sender::Hmrc, "100 Continue", 1),
        (Sender::Hmrc, "103 Early Hints\r\nlink: </x>", 2),
        (Sender::Hmrc, "102 Processing", 2),
        (Sender::GovukPay, "100 Continue", 1),
        (Sender::GovukPay, "103 Early Hints", 1),
    ] {
        assert_eq!(
            settled(sender, &[hinted(interim), ok()]).await,
            ("acknowledged", attempts, attempts),
            "{sender:?} {interim}"
        );
    }
}

#[tokio::test]
async fn a_chain_of_redirects_ends_as_in_the_senders_client() {
    use Sender::{GovukPay, Hmrc};
    let numbered = |status: u16, count: usize| -> Vec<ReceiverReaction> {
        let mut all: Vec<_> = (0..count).map(|n| to(status, format!("/{n}"))).collect();
        all.push(ok());
        all
    };
    let get_503 = vec![to(302, "/there"), answer("503 Busy"), ok()];
    let post_503 = vec![answer("503 Busy"), to(307, "/a"), answer("429 Busy"), ok()];
    let not_found = vec![to(302, "/a"), to(302, "/b"), answer("404 None"), ok()];
    let then_get = vec![to(307, "/a"), to(302, "/b"), ok()];
    let then_whole = vec![to(302, "/a"), to(307, "/b"), ok()];
    let circle = |status| repeated(2, &to(status, "/try"));
    for (sender, reactions, expected) in [
        // Only a success at the end of the chain loses the message.
        (Hmrc, not_found.clone(), ("acknowledged", 2, 4)),
        (GovukPay, not_found, ("acknowledged", 2, 4)),
        (Hmrc, numbered(302, 2), ("lost-by-redirect", 1, 3)),
        (GovukPay, numbered(303, 2), ("lost-by-redirect", 1, 3)),
        (Hmrc, then_get, ("lost-by-redirect", 1, 3)),
        (GovukPay, then_whole, ("lost-by-redirect", 1, 3)),
        // Pay repeats each request of the chain after 429 or 503.
        (GovukPay, get_503.clone(), ("lost-by-redirect", 1, 3)),
        (Hmrc, get_503, ("acknowledged", 2, 3)),
        (GovukPay, post_503, ("acknowledged", 1, 4)),
        // HMRC follows four redirects, and Pay fifty.
        (Hmrc, numbered(307, 4), ("acknowledged", 1, 5)),
        (Hmrc, numbered(307, 5), ("acknowledged", 2, 6)),
        (Hmrc, numbered(302, 5), ("acknowledged", 2, 6)),
        (GovukPay, numbered(307, 50), ("acknowledged", 1, 51)),
        (GovukPay, numbered(307, 51), ("acknowledged", 2, 52)),
        // Pay follows no redirect to a URL that it was redirected to before.
        (
            GovukPay,
            repeated(1, &to(307, "/try")),
            ("acknowledged", 1, 2),
        ),
        (GovukPay, circle(307), ("acknowledged", 2, 3)),
        (GovukPay, circle(302), ("acknowledged", 2, 3)),
        // A status without a Location is not followed.
        (
            Hmrc,
            repeated(1, &answer("302 Moved")),
            ("acknowledged", 2, 2),
        ),
        (
            GovukPay,
            repeated(1, &answer("302 Moved")),
            ("acknowledged", 2, 2),
        ),
    ] {
        let outcome = settled(sender, &reactions).await;
        assert_eq!(outcome, expected, "{sender:?} {reactions:?}");
    }
}

#[tokio::test]
async fn a_body_in_an_unknown_encoding_is_a_failure_with_pay_alone() {
    let encoded = |encoding: &str| {
        ReceiverReaction::Answer(format!(
            "HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\ncontent-length: 2\r\n\r\n\x0b\x02"
        ))
    };
    for (sender, encoding, attempts) in [
        (Sender::GovukPay, "br", 2),
        (Sender::GovukPay, "gzip", 1),
        (Sender::Hmrc, "br", 1),
    ] {
        assert_eq!(
            settled(sender, &[encoded(encoding), ok()]).await,
            ("acknowledged", attempts, attempts),
            "{sender:?} {encoding}"
        );
    }
}

#[tokio::test]
async fn a_body_that_stalls_for_three_seconds_is_a_failure_with_pay() {
    let began = Instant::now();
    let long = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n{}",
        "x".repeat(99_999)
    );
    let stalled = [CUT.to_owned(), long].map(|bytes| [ReceiverReaction::StallAfter(bytes), ok()]);
    let outcomes = tokio::join!(
        settled(Sender::GovukPay, &stalled[0]),
        settled(Sender::GovukPay, &stalled[1])
    );
    let failed_once = ("acknowledged", 2, 2);
    assert_eq!(outcomes, (failed_once, failed_once));
    assert!(began.elapsed() >= Duration::from_secs(3));
}

#[tokio::test]
async fn pay_sends_cookies_back_and_hmrc_does_not() {
    const COOKIES: &str = "set-cookie: AWSALB=a1; Path=/\r\nset-cookie: seen=yes; HttpOnly\r\n\
                           set-cookie: safe=1; Secure\r\nset-cookie: other=1; Path=/elsewhere\r\n";
    for (sender, expected) in [
        (Sender::GovukPay, Some("AWSALB=a1; seen=yes")),
        (Sender::Hmrc, None),
    ] {
        let receiver = TestReceiver::new(|number, _| {
            Some(status(if number == 1 { 500 } else { 200 }, COOKIES))
        })
        .await;
        let mut plan = plan(sender, &receiver, 3);
        (plan.threads, plan.fault_rates.wrong_key) = (1, 100);
        summary_of(&plan).await;
        let posts = receiver.posts().into_iter();
        let (genuine, forged): (Vec<_>, Vec<_>) =
            posts.partition(|post| post.is_signed_with(sender, SECRET));
        assert!(genuine.len() == 4 && forged.len() == 3, "{genuine:?}");
        assert_eq!(genuine[0].cookie, None);
        for post in &genuine[1..] {
            assert_eq!(post.cookie.as_deref(), expected, "{sender:?}");
        }
        assert!(forged.iter().all(|post| post.cookie.is_none()));
    }
}

#[tokio::test]
async fn hmrc_accepts_a_redirected_challenge_and_the_summary_names_it() {
    let receiver = TestReceiver::new(|_, received| {
        let target = received.line.split(' ').nth(1).unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Some(if !path.ends_with('/') {
            status(302, &format!("location: {path}/?{query}\r\n"))
        } else if query.contains("challenge=") {
            echo(received)
        } else {
            status(200, "")
        })
    })
    .await;
    let mut plan = plan(Sender::Hmrc, &receiver, 3);
    plan.backlog = 1;
    assert_eq!(
        summary_of(&plan).await.faults_by_name,
        BTreeMap::from([("challenge-redirected", 1), ("lost-by-redirect", 3)])
    );

    let away = status(302, "location: https://elsewhere.example.com/\r\n");
    let elsewhere = TestReceiver::new(move |_, _| Some(away.clone())).await;
    plan.url = elsewhere.url.clone();
    assert_eq!(names(&summary_of(&plan).await), ["challenge-redirected"]);
    assert!(elsewhere.posts().is_empty());
}

#[tokio::test]
async fn pay_reuses_no_connection_that_was_idle_for_as_long_as_the_receiver_keeps_it() {
    for (sender, keep_alive, kept) in [
        (Sender::GovukPay, "timeout=1", false),
        (Sender::GovukPay, "timeout=60", true),
        (Sender::Hmrc, "timeout=1", true),
    ] {
        let answer = status(200, &format!("keep-alive: {keep_alive}\r\n"));
        let receiver = TestReceiver::new(move |_, _| Some(answer.clone())).await;
        let plan = plan(sender, &receiver, 1);
        let pool = connection_pool::SenderConnections::new(sender);
        let body = sender.body(None, &crate::SystemClock).unwrap();
        let request = sender.request(&body, SECRET, &plan.url);
        let mut connection = pool.take(&plan.url).await.unwrap();
        connection.send(&request).await.unwrap();
        pool.put(connection);
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        // A connection that has had no response knows no `Keep-Alive`.
        let next = pool.take(&plan.url).await.unwrap();
        assert_eq!(next.keep_alive().is_some(), kept, "{sender:?} {keep_alive}");
    }
}
