//! What GOV.UK Pay, the network and the inbox do instead, and what follows.

use std::{sync::atomic::Ordering, time::Duration};

use pillarbox::{
    inbox::InboxError,
    reconcile::{RunEnd, RunOptions, govuk_pay::PayError},
};
use sender_simulator::apis::{
    ApiResponse, ScriptedStep,
    pay_api::{PayApiError, PayEndpoint, PaymentLifecycle},
};

use super::{
    machine::minutes,
    pay_api::{API_KEY, LostEvents, PayRig, named},
};

const DAY: Duration = minutes(24 * 60);

/// A few payments without any webhooks.
async fn lost(count: u32) -> (PayRig, LostEvents) {
    let rig = PayRig::new().await;
    let payments = rig.live(count, 9 * DAY);
    let lost = rig.push(&payments, |_| true).await;
    (rig, lost)
}

#[tokio::test]
async fn a_key_that_is_not_accepted_ends_the_run_and_is_not_repeated() {
    let (rig, _) = lost(15).await;
    let (ended, report) = rig
        .run_with("api_live_of_nobody", &RunOptions::default())
        .await;
    assert!(matches!(ended, RunEnd::GovukPay(PayError::Key)), "{ended}");
    assert!(ended.is_failure());
    let reported = format!(
        "{ended} {ended:?} {report:?} {:?}",
        rig.reporter.0.lock().unwrap()
    );
    assert!(
        !reported.contains("api_live_of_nobody") && !reported.contains(API_KEY),
        "{reported}"
    );
}

#[tokio::test]
async fn what_passes_is_waited_for_a_second_at_least() {
    for problem in [
        PayApiError::TooMany,
        PayApiError::Payment,
        PayApiError::Search,
        PayApiError::Unavailable,
        PayApiError::Timeout,
    ] {
        let (rig, lost) = lost(30).await;
        for endpoint in [
            PayEndpoint::Search,
            PayEndpoint::Payment,
            PayEndpoint::Events,
            PayEndpoint::Refunds,
        ] {
            rig.api.refuse_next(2, endpoint, problem.clone());
            rig.api.script(
                endpoint,
                [ScriptedStep::CloseBefore, ScriptedStep::CloseAfter],
            );
        }
        let (ended, report) = rig.run().await;
        assert!(matches!(ended, RunEnd::Completed), "{problem:?}: {ended}");
        assert_eq!(named(&report), lost, "{problem:?}");
        let searches = rig.api.calls().to(PayEndpoint::Search);
        assert!(searches.smallest_gap().unwrap() >= Duration::from_secs(1));
    }
}

#[tokio::test]
async fn what_does_not_pass_ends_the_run_and_a_later_one_goes_on() {
    let (rig, lost) = lost(30).await;
    rig.api.script(
        PayEndpoint::Payment,
        [ScriptedStep::Usual, ScriptedStep::Usual],
    );
    rig.api
        .refuse_next(8, PayEndpoint::Payment, PayApiError::Unavailable);
    let (ended, report) = rig.run().await;
    assert!(
        matches!(ended, RunEnd::GovukPay(PayError::Down(503))),
        "{ended}"
    );
    let mut found = named(&report);
    let (ended, report) = rig.run().await;
    assert!(matches!(ended, RunEnd::Completed), "{ended}");
    assert!(
        named(&report).is_disjoint(&found),
        "it goes on, and doesn't begin again"
    );
    found.extend(named(&report));
    assert_eq!(found, lost);
}

#[tokio::test]
async fn the_next_page_is_requested_from_no_other_address() {
    let (rig, _) = lost(30).await;
    for elsewhere in [
        "https://example.org/v1/payments?page=2",
        "/v1/agreements?page=2",
        "http://127.0.0.1:9/v1/payments?page=2",
    ] {
        let page = format!(
            r#"{{"results":[],"count":0,"_links":{{"next_page":{{"href":"{elsewhere}"}}}}}}"#
        );
        rig.api
            .refuse_next(1, PayEndpoint::Search, ApiResponse::json(200, page));
        let (ended, _) = rig.run_by_hand().await;
        assert!(
            matches!(ended, RunEnd::GovukPay(PayError::Elsewhere)),
            "{elsewhere}: {ended}"
        );
    }
}

#[tokio::test]
async fn an_answer_of_another_sort_is_not_taken_for_payments() {
    let moved = ApiResponse::empty(302).with("location", "https://example.org/");
    for (reply, fault) in [
        (
            ApiResponse::json(200, "<html>login</html>"),
            PayError::NotUnderstood,
        ),
        (ApiResponse::json(200, "[]"), PayError::NotUnderstood),
        (
            ApiResponse::json(200, r#"{"results":[]}"#),
            PayError::NotUnderstood,
        ),
        (
            ApiResponse::json(200, r#"{"results":[],"count":0}"#),
            PayError::NotUnderstood,
        ),
        (
            ApiResponse::json(200, r#"{"results":[],"count":9,"_links":{}}"#),
            PayError::NotUnderstood,
        ),
        (
            PayApiError::Path.into(),
            PayError::Refused {
                status: 404,
                code: "-".to_owned(),
            },
        ),
        (
            ApiResponse::json(404, "<html>not here</html>"),
            PayError::Refused {
                status: 404,
                code: "-".to_owned(),
            },
        ),
        (
            PayApiError::NoPage.into(),
            PayError::Refused {
                status: 404,
                code: "P0402".to_owned(),
            },
        ),
        (
            moved,
            PayError::Refused {
                status: 302,
                code: "-".to_owned(),
            },
        ),
        (
            PayApiError::Parameters(vec!["page"]).into(),
            PayError::Refused {
                status: 422,
                code: "P0401".to_owned(),
            },
        ),
    ] {
        let (rig, _) = lost(1).await;
        rig.api.refuse_next(1, PayEndpoint::Search, reply);
        let (ended, _) = rig.run().await;
        let RunEnd::GovukPay(found) = ended else {
            panic!("{ended}")
        };
        assert_eq!(found, fault);
    }
}

#[tokio::test]
async fn an_address_that_knows_no_payment_is_no_account_without_missing_events() {
    for endpoint in [
        PayEndpoint::Search,
        PayEndpoint::Payment,
        PayEndpoint::Events,
        PayEndpoint::Refunds,
    ] {
        let (rig, lost) = lost(30).await;
        rig.api.refuse_next(1, endpoint, PayApiError::Path);
        let (ended, _) = rig.run().await;
        assert!(
            matches!(
                ended,
                RunEnd::GovukPay(PayError::Refused { status: 404, .. })
            ),
            "{endpoint:?}: {ended}"
        );
        let (ended, report) = rig.run().await;
        assert!(matches!(ended, RunEnd::Completed), "{ended}");
        assert!(
            endpoint != PayEndpoint::Search || named(&report) == lost,
            "the window was not passed over"
        );
    }
}

#[tokio::test]
async fn a_payment_that_can_not_be_read_is_counted_and_the_others_are_looked_at() {
    let (rig, lost) = lost(1).await;
    let good = rig.one(PaymentLifecycle::Captured, DAY);
    rig.push(&[good], |_| false).await;
    rig.api.script(
        PayEndpoint::Search,
        [ScriptedStep::instead(ApiResponse::json(
            200,
            r#"{"results":[{"payment_id":"p"},42,{"payment_id":"p","state":{}}],
                "count":3,"_links":{}}"#,
        ))],
    );
    let (ended, report) = rig.run().await;
    assert!(matches!(ended, RunEnd::Completed), "{ended}");
    assert_eq!((report.unreadable, report.payments), (3, 0));
    assert_eq!(named(&rig.run_by_hand().await.1), lost);
}

#[tokio::test]
async fn a_payment_that_is_gone_or_another_one_when_it_is_fetched_is_not_named() {
    let (rig, lost) = lost(15).await;
    let other = rig.one(PaymentLifecycle::Captured, DAY);
    let whole = ApiResponse::json(
        200,
        format!(
            r#"{{"payment_id":"{}","created_date":"2026-03-01T10:15:31.480Z",
                "state":{{"status":"success"}}}}"#,
            other.id()
        ),
    );
    rig.push(&[other], |_| false).await;
    rig.api.script(
        PayEndpoint::Payment,
        [
            ScriptedStep::instead(PayApiError::NoPayment),
            ScriptedStep::instead(whole),
        ],
    );
    let (ended, report) = rig.run().await;
    assert!(matches!(ended, RunEnd::Completed), "{ended}");
    assert_eq!(report.unreadable, 2);
    assert!(named(&report).is_subset(&lost) && named(&report).len() < lost.len());
}

#[tokio::test]
async fn runs_that_have_little_time_get_to_the_end_between_them() {
    let rig = PayRig::new().await;
    let payments = rig.live(1200, 20 * DAY);
    let mut number = 0;
    let lost = rig
        .push(&payments, |_| {
            number += 1;
            number % 7 == 0
        })
        .await;
    let (mut found, mut runs) = (LostEvents::new(), 0);
    loop {
        runs += 1;
        let (ended, report) = rig.run_as(&rig.within(Duration::from_secs(20))).await;
        assert!(
            named(&report).is_disjoint(&found),
            "no payment is looked at twice"
        );
        found.extend(named(&report));
        match ended {
            RunEnd::Completed => break,
            RunEnd::Deadline => assert!(runs < 50),
            other => panic!("{other}"),
        }
        rig.clock.pass(minutes(5));
    }
    assert_eq!(found, lost);
    assert!(runs > 4, "a page takes more than one of them: {runs}");
}

#[tokio::test]
async fn an_inbox_that_refuses_ends_the_run_and_a_later_one_names_the_rest() {
    let (rig, lost) = lost(30).await;
    rig.inbox.room.store(3, Ordering::SeqCst);
    let (ended, report) = rig.run().await;
    assert!(
        matches!(ended, RunEnd::Inbox(InboxError::Unavailable(_))),
        "{ended}"
    );
    let mut found = named(&report);
    assert_eq!(rig.observations().await.len(), 3);
    rig.inbox.room.store(usize::MAX, Ordering::SeqCst);
    let (ended, report) = rig.run().await;
    assert!(matches!(ended, RunEnd::Completed), "{ended}");
    found.extend(named(&report));
    assert_eq!(found, lost);
}

#[tokio::test]
async fn a_stopped_run_ends_and_reports_it() {
    let (rig, _) = lost(30).await;
    let stop = rig.stop.clone();
    rig.api.script(
        PayEndpoint::Payment,
        [
            ScriptedStep::Usual,
            ScriptedStep::then(move |_| stop.cancel()),
        ],
    );
    let (ended, report) = rig.run().await;
    assert!(matches!(ended, RunEnd::Stopped), "{ended}");
    assert!(!report.missing.is_empty());
}

#[tokio::test]
async fn of_two_sweeps_at_once_the_second_ends_at_once() {
    let (rig, lost) = lost(15).await;
    let ((one, first), (other, second)) = tokio::join!(rig.run(), rig.run());
    let how = (&one, &other);
    assert!(
        matches!(
            how,
            (RunEnd::Completed, RunEnd::AlreadyRunning(_))
                | (RunEnd::AlreadyRunning(_), RunEnd::Completed)
        ),
        "{one}, {other}"
    );
    assert_eq!(
        named(&first)
            .union(&named(&second))
            .cloned()
            .collect::<LostEvents>(),
        lost
    );
}
