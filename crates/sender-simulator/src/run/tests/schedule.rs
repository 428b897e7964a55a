//! The schedules of the senders, and how a run keeps to them.

use std::sync::Mutex;

use super::*;
use crate::test_receiver::{OK, ReceivedRequest, echo, status};

#[tokio::test]
async fn each_sender_follows_its_schedule_to_the_end() {
    let refuses = |answer: u16| move |_: usize, _: &ReceivedRequest| Some(status(answer, ""));
    for (sender, answer, outcome, posts) in [
        (Sender::GovukPay, 200, "acknowledged", 1),
        (Sender::GovukPay, 202, "acknowledged", 1),
        (Sender::GovukPay, 409, "failed", 6),
        (Sender::GovukPay, 503, "failed", 12),
        (Sender::GovukPay, 429, "failed", 12),
        (Sender::Hmrc, 200, "acknowledged", 1),
        (Sender::Hmrc, 202, "failed", 73),
        (Sender::Hmrc, 503, "failed", 73),
    ] {
        let receiver = TestReceiver::new(refuses(answer)).await;
        let summary = summary_of(&plan(sender, &receiver, 1)).await;
        assert_eq!(
            outcomes(&summary),
            BTreeMap::from([(format!("notification {outcome}"), 1)]),
            "{sender:?} {answer}"
        );
        let received = receiver.posts();
        assert_eq!(received.len(), posts, "{sender:?} {answer}");
        assert!(
            received.iter().all(|again| *again == received[0]),
            "the same bytes and signature every time"
        );
        assert_eq!(
            names(&summary),
            if outcome == "failed" {
                vec!["given-up"]
            } else {
                vec![]
            }
        );
    }
}

#[tokio::test]
async fn after_a_closed_connection_hmrc_repeats_immediately_and_pay_counts_a_failure() {
    for (sender, copies) in [(Sender::Hmrc, 6 * 73), (Sender::GovukPay, 6)] {
        let receiver = TestReceiver::new(|_, _| None::<String>).await;
        let summary = summary_of(&plan(sender, &receiver, 1)).await;
        assert_eq!(
            (receiver.posts().len(), names(&summary)),
            (copies, vec!["given-up"]),
            "{sender:?}"
        );
    }
}

#[tokio::test]
async fn a_failure_is_no_fault_once_a_later_attempt_is_accepted() {
    let receiver =
        TestReceiver::new(|number, _| Some(status(if number < 4 { 503 } else { 200 }, ""))).await;
    let summary = summary_of(&plan(Sender::GovukPay, &receiver, 1)).await;
    assert_eq!(
        (summary.requests, summary.retries, summary.reposts),
        (4, 1, 2)
    );
    assert_eq!(
        summary.outcomes,
        BTreeMap::from([("200".to_owned(), 1), ("503".to_owned(), 3)])
    );
    assert!(summary.faults.is_empty());
}

#[tokio::test]
async fn a_redirect_loses_a_message_only_if_a_get_succeeds() {
    for sender in Sender::ALL {
        for (redirect, get, post, outcome) in [
            (302, 200, 200, "lost-by-redirect"),
            (301, 404, 404, "failed"),
            (307, 404, 200, "acknowledged"),
            (308, 200, 500, "failed"),
        ] {
            let receiver = TestReceiver::new(move |_, received| {
                let there = received.line.contains("/login");
                let answer = if received.line.starts_with("GET") {
                    get
                } else {
                    post
                };
                Some(if there {
                    status(answer, "")
                } else {
                    status(redirect, "location: /login\r\n")
                })
            })
            .await;
            let summary = summary_of(&plan(sender, &receiver, 1)).await;
            assert_eq!(
                outcomes(&summary),
                BTreeMap::from([(format!("notification {outcome}"), 1)]),
                "{sender:?} {redirect}"
            );
            let gets = receiver
                .received()
                .into_iter()
                .filter(|received| received.line.starts_with("GET"));
            let mut gets = gets.map(|get| (get.body, get.signature.is_some()));
            assert!(gets.all(|get| get == (String::new(), sender == Sender::Hmrc)));
        }
    }
}

#[tokio::test]
async fn a_redirect_to_another_host_is_not_followed_and_counts_as_a_loss() {
    let away = "HTTP/1.1 302 Found\r\nlocation: https://elsewhere.example.com/\r\ncontent-length: \
                0\r\n\r\n";
    let receiver = TestReceiver::answering(away).await;
    assert_eq!(
        names(&summary_of(&plan(Sender::GovukPay, &receiver, 1)).await),
        ["lost-by-redirect"]
    );
}

#[tokio::test]
async fn a_saved_url_is_challenged_first_and_its_backlog_gets_one_attempt() {
    let receiver = TestReceiver::new(move |_, received| {
        Some(if received.line.starts_with("GET") {
            echo(received)
        } else {
            status(500, "")
        })
    })
    .await;
    let mut plan = plan(Sender::Hmrc, &receiver, 10);
    plan.backlog = 8;
    let summary = summary_of(&plan).await;
    assert!(
        receiver.received()[0]
            .line
            .starts_with("GET /try?challenge=")
    );
    assert_eq!(receiver.posts().len(), 8 + 2 * 73);
    assert_eq!(summary.count_genuine(DeliveryOutcome::Failed), 10);

    let without_echo = TestReceiver::answering(OK).await;
    plan.url = without_echo.url.clone();
    assert_eq!(names(&summary_of(&plan).await), ["challenge-refused"]);
    assert!(
        without_echo.posts().is_empty(),
        "HMRC sends nothing to a URL it has refused"
    );
}

#[tokio::test(start_paused = true)]
async fn every_wait_for_the_next_attempt_begins_and_ends() {
    let receiver = TestReceiver::new(|number, _| {
        let line = if number > 3 { "200 OK" } else { "500 Error" };
        Some(format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\n\r\n"))
    })
    .await;
    let waits = Mutex::new(Vec::new());
    let observe = |seen: RunEvent<'_>| match seen {
        RunEvent::WaitBegan => waits.lock().unwrap().push("began"),
        RunEvent::WaitEnded => waits.lock().unwrap().push("ended"),
        _ => {}
    };
    let plan = plan(Sender::GovukPay, &receiver, 1);
    run(&plan, &observe, pending()).await.unwrap();
    assert_eq!(*waits.lock().unwrap(), ["began", "ended"].repeat(3));
}

#[tokio::test]
async fn a_backlog_exists_only_with_hmrc_and_does_not_limit_pay() {
    let receiver = TestReceiver::new(|_, _| Some(status(500, ""))).await;
    let mut plan = plan(Sender::GovukPay, &receiver, 2);
    plan.backlog = 2;
    assert_eq!(
        summary_of(&plan)
            .await
            .count_genuine(DeliveryOutcome::Failed),
        2
    );
    assert_eq!(receiver.posts().len(), 2 * 6);
}
