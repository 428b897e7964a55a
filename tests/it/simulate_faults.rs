//! What only shows over time: receivers that are wrong in a way no single answer gives away.

use std::{collections::BTreeSet, future::pending};

use pillarbox::{
    domain::State,
    inbox::{PageRequest, ReadInbox, RowFilter},
};
use sender_simulator::{
    Sender,
    run::{
        FaultRates, RunPlan, RunSummary,
        comparison::{StoredMessage, compare},
        run,
    },
};
use url::Url;

use test_support::{
    faulty::{FaultyReceiver, PlantedFault},
    manual_clock::sender_time,
    message::{hmrc, pay},
    server::{NOW, RecordingDestination, Server},
};

const SECRET: &str = "webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu";

/// A run of a bad day, on a clock on which days are nothing.
fn plan(sender: Sender, url: Url, secret: &str) -> RunPlan {
    let mut plan = RunPlan::new(sender, url, secret.to_owned(), 7, sender_time(NOW));
    plan.fault_rates = FaultRates {
        duplicate: 30,
        concurrent: 30,
        second_id: 30,
        reorder: true,
        ..FaultRates::default()
    };
    (plan.count, plan.time_scale, plan.keep_sent) = (120, 10_000_000, true);
    plan
}

/// What is held by a receiver that only lists ids; it delivers everything that it holds.
fn held(receiver: &FaultyReceiver) -> Vec<StoredMessage> {
    let held = |id: String| StoredMessage {
        key: id.clone(),
        id,
        event: None,
        delivered: true,
    };
    receiver.held().into_iter().map(held).collect()
}

fn names(summary: &RunSummary) -> BTreeSet<&'static str> {
    summary.faults_by_name.keys().copied().collect()
}

async fn judged(sender: Sender, fault: PlantedFault, chaos: FaultRates) -> BTreeSet<&'static str> {
    let receiver = FaultyReceiver::start(sender, fault, SECRET).await;
    let mut plan = plan(sender, receiver.url(), SECRET);
    plan.fault_rates = chaos;
    let mut summary = run(&plan, &|_| {}, pending()).await.unwrap();
    summary.add_faults(compare(&summary.sent, &held(&receiver)));
    names(&summary)
}

#[tokio::test]
async fn acknowledged_but_absent_and_never_accepted_messages_are_named() {
    let calm = FaultRates::default();
    let twice = FaultRates {
        duplicate: 100,
        ..calm
    };
    let forged = FaultRates {
        wrong_key: 100,
        truncate: 100,
        ..calm
    };
    for (sender, fault, chaos, expected) in [
        (Sender::GovukPay, PlantedFault::Sound, calm, &[][..]),
        (Sender::Hmrc, PlantedFault::Sound, twice, &[]),
        (Sender::Hmrc, PlantedFault::Sound, forged, &[]),
        (
            Sender::GovukPay,
            PlantedFault::AcknowledgesFirst,
            calm,
            &["acknowledged-and-absent"],
        ),
        (
            Sender::Hmrc,
            PlantedFault::AcknowledgesFirst,
            calm,
            &["acknowledged-and-absent"],
        ),
        (
            Sender::GovukPay,
            PlantedFault::DropsUpperCasePayment,
            calm,
            &["acknowledged-and-absent"],
        ),
        (
            Sender::GovukPay,
            PlantedFault::WantsLowerCasePayment,
            calm,
            &["given-up"],
        ),
        (
            Sender::GovukPay,
            PlantedFault::WantsUuid,
            calm,
            &["given-up"],
        ),
        (
            Sender::GovukPay,
            PlantedFault::Wants26Characters,
            calm,
            &["given-up"],
        ),
        (
            Sender::GovukPay,
            PlantedFault::RedirectsToLogin,
            calm,
            &["given-up"],
        ), // its login page is nowhere
        (
            Sender::Hmrc,
            PlantedFault::RefusesAstral,
            calm,
            &["given-up"],
        ),
        (
            Sender::Hmrc,
            PlantedFault::LimitsTo100KB,
            calm,
            &["given-up"],
        ),
        (Sender::Hmrc, PlantedFault::Answers204, calm, &["given-up"]),
        (
            Sender::GovukPay,
            PlantedFault::ConflictsOnDuplicate,
            twice,
            &["given-up"],
        ),
        (
            Sender::Hmrc,
            PlantedFault::ConflictsOnDuplicate,
            twice,
            &["given-up"],
        ),
        (
            Sender::GovukPay,
            PlantedFault::ChecksFormOnly,
            forged,
            &["forgery-accepted", "forgery-stored"],
        ),
    ] {
        let found = judged(sender, fault, chaos).await;
        assert_eq!(
            found,
            expected.iter().copied().collect(),
            "{sender:?} {fault:?}"
        );
    }
}

#[tokio::test]
async fn the_inbox_of_the_real_receiver_matches_the_senders_records() {
    let server = Server::with(&[hmrc(), pay()], RecordingDestination::default()).await;
    for source in [hmrc(), pay()] {
        let url = Url::parse(&format!("http://{}{}", server.address, source.path())).unwrap();
        let mut plan = plan(source.sender, url, &source.secrets[0]);
        plan.fault_rates = FaultRates {
            wrong_key: 20,
            truncate: 20,
            disconnect: 20,
            ..plan.fault_rates
        };
        let mut summary = run(&plan, &|_| {}, pending()).await.unwrap();
        let open = RowFilter {
            state: Some(State::Recorded),
            ..RowFilter::default()
        };
        while !server
            .inbox
            .list(&open, PageRequest::first(1))
            .await
            .unwrap()
            .rows
            .is_empty()
        {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        let mine = RowFilter {
            source: Some(source.name.clone()),
            ..RowFilter::default()
        };
        let rows = server
            .inbox
            .list(&mine, PageRequest::first(10_000))
            .await
            .unwrap()
            .rows;
        let held: Vec<StoredMessage> = (rows.iter())
            .map(|row| StoredMessage {
                id: row.id(),
                key: row.key.to_string(),
                event: row
                    .event()
                    .map(|event| format!("{}|{}", event.subject, event.event)),
                delivered: row.state == State::Delivered,
            })
            .collect();
        assert!(held.len() >= 120);
        summary.add_faults(compare(&summary.sent, &held));
        assert!(summary.faults.is_empty(), "{:?}", summary.faults);
    }
}
