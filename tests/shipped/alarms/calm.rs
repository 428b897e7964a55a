//! Calm hours of the shipped functions, with what is normal among many notifications. A whole day,
//! in one process, is in `tests/it/calm_day.rs`.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use pillarbox::domain::{Clock, State, SystemClock};
use test_support::{
    cloud::CloudReply,
    cloudwatch::{AlarmState, AlarmTransition},
    fault_proxy::InjectedFault,
    fronts::FrontRequest,
    function::post,
    message::{hmrc, pay},
};

use super::{
    CALM_MINUTES,
    simulated_stack::{SimulatedStack, entry_failed},
};

const NOTIFICATIONS: u64 = 300;
const MINUTES: u64 = 6 * 60;

/// Every alarm that needs no supplied datapoints.
const PARAMETERS: &[(&str, &str)] = &[
    ("Reconcile", "on"),
    ("HmrcSilenceHours", "1"),
    ("PaySilenceHours", "1"),
    ("ReceiveConcurrency", "100"),
    ("DomainName", "callbacks.service.gov.uk"),
    (
        "CertificateArn",
        "arn:aws:acm:eu-west-2:123456789012:certificate/0-0",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn in_calm_hours_no_alarm_fires() {
    let mut stack = SimulatedStack::new(PARAMETERS).await;
    // The bus fails one event in fifty, once.
    let calls = AtomicU64::new(0);
    stack.cloud_answers(move |call| {
        let is_of_event = call.target == "PutEvents";
        let count = || calls.fetch_add(1, Ordering::Relaxed);
        let fails = is_of_event && count() % 50 == 7;
        fails.then(|| -> CloudReply { entry_failed("InternalFailure") })
    });
    stack.post_usual().await;
    stack.pass(CALM_MINUTES).await;
    assert_eq!(stack.firing(), Vec::<&str>::new());
    stack.watch.transitions.clear(); // before the first sweep there was none
    let mut posted = 0;
    for minute in 0..MINUTES {
        // A failed write is answered 503, and the sender posts again. Never twice within an hour.
        if minute % 180 == 90 {
            stack.inject("PutItem", InjectedFault::FailsBefore);
            assert_eq!(stack.post_new(&pay()).await, 503);
            stack.inject("", InjectedFault::None);
        }
        if minute % 120 == 30 {
            stack.restart(); // new code, or an idle environment
        }
        if minute % 60 == 45 {
            assert_eq!(stack.post_forged(&hmrc()).await, 401);
            let scan = FrontRequest::new("GET", "/.env");
            assert_eq!(stack.request(&scan).await, 404);
        }
        while posted < (minute + 1) * NOTIFICATIONS / MINUTES {
            let source = if posted % 3 == 0 { hmrc() } else { pay() };
            let body = source.message(&format!("d{posted}"), SystemClock.now());
            // One in twenty is sent twice.
            for _ in 0..if posted % 20 == 3 { 2 } else { 1 } {
                assert_eq!(stack.request(&post(&source, &body)).await, 200);
            }
            posted += 1;
        }
        stack.pass(1).await;
    }
    stack.sweep_until_delivered(Duration::from_secs(30)).await;
    let changes = stack.watch.transitions.iter();
    let fired: Vec<_> = changes
        .filter(|change| change.to == AlarmState::Alarm)
        .collect();
    assert_eq!(fired, Vec::<&AlarmTransition>::new());
    let recorded = usize::try_from(NOTIFICATIONS).unwrap() + 2; // and those of before
    assert_eq!(stack.count_by_state().await, [(State::Delivered, recorded)]);
}
