//! The order, the limits and the record of a run.

use std::{collections::BTreeSet, time::Duration};

use url::Url;

use super::*;
use crate::test_receiver::{OK, ReceivedRequest, ReceiverReaction, echo};

#[tokio::test]
async fn the_same_seed_sends_the_same_requests_in_the_same_order() {
    for sender in Sender::ALL {
        let mut sent = Vec::new();
        for seed in [7, 7, 8] {
            let receiver = TestReceiver::answering(OK).await;
            let mut plan = plan(sender, &receiver, 200);
            plan.fault_rates = FaultRates {
                duplicate: 30,
                second_id: 30,
                reorder: true,
                wrong_key: 30,
                truncate: 30,
                ..FaultRates::default()
            };
            (plan.seed, plan.threads) = (seed, 1);
            summary_of(&plan).await;
            sent.push(receiver.posts().into_iter().collect::<BTreeSet<_>>());
        }
        assert!(sent[0].len() > 200);
        assert_eq!(sent[0], sent[1]);
        assert!(sent[0].is_disjoint(&sent[2]));
    }
}

#[tokio::test]
async fn reordered_messages_are_complete_and_near_their_position() {
    let receiver = TestReceiver::answering(OK).await;
    let mut straight = plan(Sender::GovukPay, &receiver, 200);
    straight.threads = 1;
    summary_of(&straight).await;
    let mut shuffled = straight;
    shuffled.fault_rates.reorder = true;
    summary_of(&shuffled).await;
    let ids: Vec<String> = receiver.posts().iter().map(ReceivedRequest::id).collect();
    let (straight, shuffled) = ids.split_at(200);
    assert_ne!(straight, shuffled);
    for (position, id) in shuffled.iter().enumerate() {
        let original = straight
            .iter()
            .position(|other| other == id)
            .expect("no message is missing");
        assert_eq!(
            original as u64 / REORDER_WINDOW,
            position as u64 / REORDER_WINDOW
        );
    }
}

#[tokio::test]
async fn a_run_ends_at_its_limit_or_when_stopped_and_lists_undecided_messages() {
    let receiver = TestReceiver::new(|_, _| ReceiverReaction::StallAfter(String::new())).await;
    let mut plan = plan(Sender::Hmrc, &receiver, 3);
    plan.limit = Duration::from_millis(300);
    let summary = summary_of(&plan).await;
    assert_eq!(
        (summary.ending, summary.undecided, names(&summary)),
        (RunEnding::OutOfTime, 3, vec!["undecided"])
    );

    plan.limit = Duration::from_secs(3600);
    let stop = tokio::time::sleep(Duration::from_millis(300));
    let summary = run(&plan, &|_| {}, stop).await.unwrap();
    assert_eq!((summary.ending, summary.undecided), (RunEnding::Stopped, 3));
}

#[tokio::test]
async fn a_sender_limits_its_concurrent_requests_except_in_a_burst() {
    for (sender, backlog, burst, most) in [
        (Sender::GovukPay, 0, false, 5),
        (Sender::GovukPay, 0, true, 40),
        (Sender::Hmrc, 0, true, 40),
        (Sender::Hmrc, 40, true, 10),
    ] {
        let receiver = TestReceiver::new(|_, received| {
            if received.line.starts_with("GET") {
                ReceiverReaction::Answer(echo(received))
            } else {
                ReceiverReaction::AnswerAfter(Duration::from_millis(100), OK.to_owned())
            }
        })
        .await;
        let mut plan = plan(sender, &receiver, 40);
        (plan.threads, plan.fault_rates.burst, plan.backlog) = (5, burst, backlog);
        assert_eq!(
            summary_of(&plan)
                .await
                .count_genuine(DeliveryOutcome::Acknowledged),
            40
        );
        let unanswered = *receiver.most_unanswered.lock().unwrap();
        assert_eq!(unanswered, most, "{sender:?} {backlog} {burst}");
    }
}

#[tokio::test]
async fn recorded_requests_are_those_sent_and_can_be_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = TestReceiver::answering(OK).await;
    let mut plan = plan(Sender::Hmrc, &receiver, 60);
    plan.fault_rates.duplicate = 100;
    let recorder = capture::ExchangeRecorder::create(folder.path()).unwrap();
    run(
        &plan,
        &|seen| {
            if let RunEvent::Exchanged(one) = seen {
                recorder.record(&one).unwrap()
            }
        },
        pending(),
    )
    .await
    .unwrap();
    assert!(
        capture::ExchangeRecorder::create(folder.path()).is_err(),
        "two runs in one folder would mix"
    );

    let again = TestReceiver::answering(OK).await;
    let captures = capture::read_captures(folder.path(), Sender::Hmrc).unwrap();
    assert_eq!(captures.len(), 60, "each is read once");
    let mut replay = self::plan(Sender::Hmrc, &again, 0);
    replay.replay = captures;
    let summary = summary_of(&replay).await;
    assert_eq!(
        outcomes(&summary),
        BTreeMap::from([("replayed acknowledged".to_owned(), 60)])
    );
    let set = |receiver: &TestReceiver| receiver.posts().into_iter().collect::<BTreeSet<_>>();
    assert_eq!(set(&receiver), set(&again));
    assert!(
        capture::read_captures(folder.path(), Sender::GovukPay).is_err(),
        "none of these is Pay's"
    );
    assert!(capture::read_captures(&folder.path().join("none"), Sender::Hmrc).is_err());
}

#[tokio::test]
async fn nothing_is_sent_to_a_url_that_must_not_receive_test_data() {
    let receiver = TestReceiver::answering(OK).await;
    let mut plan = plan(Sender::Hmrc, &receiver, 1);
    for url in [
        "http://receiver.example.gov.uk/",
        "https://a:b@receiver.example.gov.uk/",
        "https://localhost/#x",
    ] {
        plan.url = Url::parse(url).unwrap();
        assert!(run(&plan, &|_| {}, pending()).await.is_err(), "{url}");
    }
}
