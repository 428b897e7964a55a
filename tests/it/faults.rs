//! What a sender hears while DynamoDB throttles, fails, hangs, or loses its answer after the write:
//! within 2.5 s a 503, or a 200 that is true.

use std::{collections::HashSet, sync::Arc, sync::Mutex, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use pillarbox::{
    domain::{Key, SourceName, State, Timestamp},
    inbox::{
        Claim, DeliveryInbox, Lease, LeaseId, Mark, MarkOutcome, ReadInbox, dynamodb::DynamoInbox,
    },
    receive::{Receipt, ReceiptStatus, Refusal},
    secrets::{Keyring, Secret},
    senders::{SenderKind, SigningKey, Source},
};
use sender_simulator::{Sender, signature};
use tokio::time::Instant;

use test_support::{
    dynamodb,
    fault_proxy::{FaultProxy, InjectedFault, ProxiedCall},
    posted,
    server::FixedClock,
    table,
};

const NOW: Timestamp = Timestamp::from_millis(1_772_446_531_480);
const SECRET: &str = "a secret of the tests alone";
/// The sender waits three seconds. The receiver must answer earlier.
const ANSWERED_WITHIN: Duration = Duration::from_millis(2_500);

/// The inbox in `behind`'s table, reached through a proxy that injects the faults of `plan`.
async fn through(
    behind: &DynamoInbox,
    plan: impl Fn(&ProxiedCall<'_>) -> InjectedFault + Send + Sync + 'static,
) -> (DynamoInbox, FaultProxy) {
    let proxy = FaultProxy::before(&dynamodb::EMULATOR.endpoint, plan).await;
    let mut variables = table::variables();
    variables.retain(|(name, _)| *name != "AWS_ENDPOINT_URL_DYNAMODB");
    variables.push(("AWS_ENDPOINT_URL_DYNAMODB", proxy.endpoint.clone()));
    (table::inbox_at(&variables, behind.table()), proxy)
}

fn event(id: &str, padding: &str) -> String {
    format!(
        r#"{{"webhook_message_id":"{id}","created_date":"{NOW}","resource_id":"p-{id}",
            "event_type":"card_payment_succeeded","resource":{{"note":"{padding}"}}}}"#
    )
}

/// Posts one Pay event, and returns how long the answer took.
async fn post(inbox: &DynamoInbox, body: &str) -> (Result<Receipt, Refusal>, Duration) {
    let source = Source {
        name: SourceName::new("pay").unwrap(),
        kind: SenderKind::GOVUK_PAY,
        keys: vec![SigningKey::new(
            SenderKind::GOVUK_PAY,
            "1:env:TEST",
            &Secret::new(SECRET.to_owned()),
        )],
    };
    let body = Bytes::from(body.to_owned());
    let signature = signature::sign(Sender::GovukPay, SECRET, &body);
    let (inbox, keyring) = (Arc::new(inbox.clone()), Keyring::fixed([source]));
    let clock = Arc::new(FixedClock);
    let began = Instant::now();
    let answer = posted::post((&inbox, &keyring), clock, "pay", &signature, body).await;
    (answer, began.elapsed())
}

async fn rows(inbox: &DynamoInbox) -> Vec<Key> {
    let rows = table::rows(inbox).await.into_iter();
    rows.map(|row| row.key).collect()
}

#[tokio::test]
async fn the_connection_that_was_warmed_up_is_the_one_that_is_used() {
    let behind = table::fresh("warm").await;
    let (inbox, proxy) = through(&behind, |_| InjectedFault::None).await;
    inbox.warm().await.unwrap();
    assert!(post(&inbox, &event("m1", "")).await.0.is_ok());
    assert_eq!((proxy.requests(), proxy.connections()), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_fault_is_mended_before_the_sender_notices() {
    for fault in InjectedFault::ALL {
        let behind = table::fresh("mended").await;
        let (inbox, _proxy) = through(&behind, move |call| {
            if call.number == 0 {
                fault
            } else {
                InjectedFault::None
            }
        })
        .await;
        let (answer, took) = post(&inbox, &event("m1", "")).await;
        let stored = answer
            .unwrap_or_else(|refusal| panic!("{fault:?}: {refusal:?}"))
            .stored;
        // Our own write, whose answer was lost, is found where it should go.
        let expected = if fault.is_after() {
            ReceiptStatus::Duplicate
        } else {
            ReceiptStatus::Recorded
        };
        assert_eq!(stored, expected, "{fault:?}");
        assert!(took < ANSWERED_WITHIN, "{fault:?}: {took:?}");
        assert_eq!(rows(&behind).await.len(), 1, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_that_lasts_is_a_503_in_time_or_a_200_that_is_true() {
    for fault in InjectedFault::ALL {
        let behind = table::fresh("lasting").await;
        let (inbox, _proxy) = through(&behind, move |_| fault).await;
        let (answer, took) = post(&inbox, &event("m1", "")).await;
        assert!(took < ANSWERED_WITHIN, "{fault:?}: {took:?}");
        let is_stored = !rows(&behind).await.is_empty();
        assert_eq!(is_stored, fault.is_after(), "{fault:?}");
        match answer {
            Ok(_) => assert!(is_stored, "{fault:?}: a 200 that is not true"),
            Err(Refusal::Inbox(error)) => {
                let text = error.to_string();
                assert!(
                    !text.contains("p-m1") && text.contains("table"),
                    "{fault:?}: {text}"
                );
            }
            Err(other) => panic!("{fault:?}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_body_is_stored_whole_or_not_acknowledged_whatever_fails_in_between() {
    let noise: String = (0..60_000u32)
        .map(|n| format!("{:08x}", n.wrapping_mul(2_654_435_761)))
        .collect();
    for fault in InjectedFault::ALL {
        for failing in 0..4 {
            let behind = table::fresh("long").await;
            let plan = move |call: &ProxiedCall<'_>| {
                if call.number == failing {
                    fault
                } else {
                    InjectedFault::None
                }
            };
            let (inbox, proxy) = through(&behind, plan).await;
            let body = event("m1", &noise);
            let (answer, took) = post(&inbox, &body).await;
            assert!(
                took < ANSWERED_WITHIN,
                "{fault:?} of request {failing}: {took:?}"
            );
            let key = Key::parse("pay:m1").unwrap();
            if answer.is_ok() {
                let row = behind.get(&key).await.unwrap().unwrap();
                assert_eq!(
                    row.proven_body().unwrap(),
                    body.as_bytes(),
                    "{fault:?} of request {failing}"
                );
            }
            assert!(proxy.requests() > 1);
            let again = post(&behind, &body).await.0.unwrap();
            assert_eq!(again.key, key);
            assert_eq!(
                behind
                    .get(&key)
                    .await
                    .unwrap()
                    .unwrap()
                    .proven_body()
                    .unwrap(),
                body.as_bytes()
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_lost_answers_are_all_acknowledged_and_each_is_one_row() {
    let behind = table::fresh("lost").await;
    let kinds = [
        InjectedFault::ClosedAfter,
        InjectedFault::FailsAfter,
        InjectedFault::CutAfter,
        InjectedFault::HangsAfter,
    ];
    let called_before = Mutex::new(HashSet::new());
    let plan = move |call: &ProxiedCall<'_>| {
        let is_first = called_before.lock().unwrap().insert(call.body.clone());
        if is_first {
            kinds[call.number % kinds.len()]
        } else {
            InjectedFault::None
        }
    };
    let (inbox, proxy) = through(&behind, plan).await;
    let posts = (0..500).map(|number| {
        let inbox = &inbox;
        async move { (number, post(inbox, &event(&format!("m{number}"), "")).await) }
    });
    let answers: Vec<_> = stream::iter(posts).buffer_unordered(16).collect().await;
    for (number, (answer, took)) in answers {
        assert_eq!(
            answer.unwrap().stored,
            ReceiptStatus::Duplicate,
            "{number}: it is our own write that is found"
        );
        assert!(took < ANSWERED_WITHIN, "{number}: {took:?}");
    }
    assert_eq!((rows(&behind).await.len(), proxy.requests()), (500, 1_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_and_marks_survive_their_lost_answers() {
    for fault in [
        InjectedFault::ClosedAfter,
        InjectedFault::FailsAfter,
        InjectedFault::CutAfter,
        InjectedFault::HangsAfter,
        InjectedFault::Throttled,
    ] {
        let behind = table::fresh("worked").await;
        let (inbox, _proxy) = through(&behind, move |call| {
            match (call.operation, call.number.is_multiple_of(2)) {
                ("UpdateItem", true) => fault,
                _ => InjectedFault::None,
            }
        })
        .await;
        let key = table::store(&behind, "m1", "p1", "card_payment_succeeded", NOW).await;
        let lease = Lease {
            id: LeaseId(7),
            until: NOW.plus(Duration::from_secs(150)),
        };
        let claim = Claim {
            now: NOW,
            lease,
            first_backoff: Duration::from_secs(5),
        };
        let (row, fence) = inbox
            .claim(&key, &claim)
            .await
            .unwrap()
            .expect("it is ours");
        assert_eq!(
            (row.attempts, fence.attempt),
            (1, 1),
            "{fault:?}: one attempt, however often it was sent"
        );
        let event = row.event().unwrap();
        let expires_at = NOW.plus(Duration::from_secs(90 * 24 * 60 * 60));
        inbox.claim_event(&event, &key, expires_at).await.unwrap();
        assert_eq!(
            inbox
                .mark(&fence, &Mark::Delivered { expires_at })
                .await
                .unwrap(),
            MarkOutcome::Done,
            "{fault:?}"
        );
        assert_eq!(
            behind.get(&key).await.unwrap().unwrap().state,
            State::Delivered
        );
    }
}
