//! What HMRC, the network, the inbox and the clock do instead, and what follows.

use std::{sync::atomic::Ordering, time::Duration};

use pillarbox::{
    inbox::InboxError,
    reconcile::{
        RunEnd, RunOptions,
        hmrc::{BoxPosition, HmrcAccess, HmrcError, NotificationStatus},
    },
    secrets::Secret,
};
use sender_simulator::apis::{
    ApiResponse, ScriptedStep,
    ppns::{PpnsApplication, PpnsBoxes, PpnsEndpoint, PpnsError, READ_SCOPE},
};

use super::{
    machine::minutes,
    ppns::{BOX, CLIENT, FOREIGN_BOX, HmrcRig, SECOND_BOX, SECRET},
};

/// A box with this number of notifications, one a minute.
async fn with(count: u64) -> HmrcRig {
    let rig = HmrcRig::new().await;
    (0..count).for_each(|number| drop(rig.add(BOX, minutes(number))));
    rig
}

#[tokio::test]
async fn refused_credentials_end_the_run_with_an_error_that_says_what_to_do() {
    let rig = with(1).await;
    let wrong = HmrcAccess {
        client_secret: Secret::new("the wrong secret".to_owned()),
        ..rig.access(&[BOX])
    };
    let (ended, boxes) = rig.run_as(&wrong, &RunOptions::default()).await;
    let RunEnd::Hmrc(HmrcError::Credentials) = ended else {
        panic!("{ended}")
    };
    assert!(
        ended.is_failure() && ended.to_string().contains("Developer Hub"),
        "{ended}"
    );
    let reported = format!(
        "{ended} {ended:?} {boxes:?} {:?}",
        rig.reporter.0.lock().unwrap()
    );
    assert!(
        !reported.contains("wrong secret")
            && !reported.contains(SECRET)
            && !reported.contains(CLIENT),
        "{reported}"
    );
    assert_eq!(rig.counts(), [1, 0, 0]);
}

#[tokio::test]
async fn a_scope_that_is_missing_ends_the_run_wherever_it_is_found() {
    let rig = with(1).await;
    rig.ppns.with(|boxes| {
        boxes.register(PpnsApplication {
            scopes: vec![READ_SCOPE.to_owned()],
            ..PpnsApplication::new(CLIENT, SECRET)
        });
    });
    let (ended, _) = rig.run(&[BOX]).await;
    assert!(matches!(ended, RunEnd::Hmrc(HmrcError::Scope)), "{ended}");

    let rig = with(1).await;
    rig.ppns
        .refuse_next(1, PpnsEndpoint::Acknowledge, PpnsError::InvalidScope);
    let (ended, boxes) = rig.run(&[BOX]).await;
    assert!(matches!(ended, RunEnd::Hmrc(HmrcError::Scope)), "{ended}");
    assert_eq!(
        (boxes[0].missed, boxes[0].acknowledged, rig.left()),
        (1, 0, 1),
        "stored, and still HMRC's"
    );
    assert_eq!(boxes[0].oldest, Some(rig.rows().await[0].event_at.unwrap()));
}

#[tokio::test]
async fn an_application_that_is_not_subscribed_gets_that_error() {
    let rig = with(1).await;
    let refusal = ApiResponse::json(
        403,
        r#"{"code":"RESOURCE_FORBIDDEN","message":"The application is not subscribed"}"#,
    );
    rig.ppns.refuse_next(1, PpnsEndpoint::List, refusal);
    let (ended, _) = rig.run(&[BOX]).await;
    assert!(
        matches!(ended, RunEnd::Hmrc(HmrcError::NotSubscribed)),
        "{ended}"
    );
}

#[tokio::test]
async fn an_unknown_or_foreign_box_does_not_block_the_others() {
    let rig = with(250).await;
    let unknown = "22222222-c37c-4f03-b719-63571333624c";
    let (ended, boxes) = rig.run(&[unknown, FOREIGN_BOX, BOX]).await;
    assert!(matches!(ended, RunEnd::Incomplete), "{ended}");
    let errors: Vec<_> = boxes.iter().map(|report| report.error.clone()).collect();
    assert_eq!(
        errors,
        [
            Some(HmrcError::UnknownBox),
            Some(HmrcError::ForeignBox),
            None
        ]
    );
    assert_eq!((rig.left(), boxes[2].acknowledged), (0, 250));
    assert!(
        boxes[0]
            .error
            .as_ref()
            .unwrap()
            .to_string()
            .contains("check its id")
    );
    let calls = rig.ppns.calls().to(PpnsEndpoint::List);
    assert_eq!(
        calls.filtered(|call| call.target.contains(unknown)).len(),
        1,
        "a retry would change nothing"
    );
}

#[tokio::test]
async fn an_expired_token_is_renewed_once() {
    let rig = with(250).await;
    rig.ppns.script(
        PpnsEndpoint::List,
        [
            ScriptedStep::Usual,
            ScriptedStep::then(PpnsBoxes::revoke_tokens),
        ],
    );
    let (ended, _) = rig.run(&[BOX]).await;
    assert!(matches!(ended, RunEnd::Completed), "{ended}");
    assert_eq!(
        (rig.left(), rig.rows().await.len(), rig.counts()[0]),
        (0, 250, 2)
    );
    rig.assert_limits_hold();

    let rig = with(250).await;
    rig.ppns
        .refuse_next(1, PpnsEndpoint::List, PpnsError::InvalidCredentials);
    let (ended, _) = rig.run(&[BOX]).await;
    assert!(matches!(ended, RunEnd::Completed), "{ended}");
    assert_eq!((rig.left(), rig.counts()[0]), (0, 2));
    rig.assert_limits_hold();

    let rig = with(1).await;
    rig.ppns
        .refuse_next(9, PpnsEndpoint::List, PpnsError::InvalidCredentials);
    let (ended, _) = rig.run(&[BOX]).await;
    assert!(
        matches!(ended, RunEnd::Hmrc(HmrcError::Unauthorised)),
        "{ended}"
    );
    assert_eq!(rig.counts(), [2, 2, 0]);
    rig.assert_limits_hold();
}

#[tokio::test]
async fn a_token_is_used_until_five_minutes_before_its_end() {
    let rig = with(650).await;
    // HMRC takes this many minutes for each page of 100.
    for took in [60, 120, 54, 1] {
        let clock = rig.clock.clone();
        rig.ppns.script(
            PpnsEndpoint::List,
            [ScriptedStep::then(move |_| clock.pass(minutes(took)))],
        );
    }
    let (ended, _) = rig.run(&[BOX]).await;
    assert!(matches!(ended, RunEnd::Completed), "{ended}");
    assert_eq!((rig.left(), rig.counts()[0]), (0, 2));
    let calls = rig.ppns.calls();
    let lists_before = |token: usize| {
        let at = calls.to(PpnsEndpoint::Token).iter().nth(token).unwrap().at;
        calls
            .to(PpnsEndpoint::List)
            .filtered(|call| call.at <= at)
            .len()
    };
    assert_eq!(
        lists_before(1),
        4,
        "3 h 54 min in it is still good, and a page later it is not"
    );
}

#[tokio::test]
async fn transient_errors_are_retried_and_others_end_only_that_box() {
    for problem in [
        PpnsError::Throttled,
        PpnsError::Internal,
        PpnsError::Unavailable,
        PpnsError::Timeout,
        PpnsError::Service,
    ] {
        let rig = with(250).await;
        rig.ppns.refuse_next(3, PpnsEndpoint::List, problem.clone());
        rig.ppns
            .refuse_next(3, PpnsEndpoint::Acknowledge, problem.clone());
        rig.ppns
            .refuse_next(3, PpnsEndpoint::Token, problem.clone());
        let (ended, boxes) = rig.run(&[BOX]).await;
        assert!(matches!(ended, RunEnd::Completed), "{problem:?}: {ended}");
        assert_eq!(
            (rig.left(), boxes[0].acknowledged, rig.counts()[2]),
            (0, 250, 6),
            "{problem:?}"
        );
    }
    let rig = with(250).await;
    rig.ppns
        .refuse_next(99, PpnsEndpoint::List, PpnsError::Unavailable);
    let (ended, boxes) = rig.run(&[BOX]).await;
    assert!(matches!(ended, RunEnd::Incomplete), "{ended}");
    assert_eq!(
        (boxes[0].error.clone(), rig.counts()),
        (Some(HmrcError::Down(503)), [1, 8, 0])
    );
    assert_eq!(
        boxes[0].position,
        Some(BoxPosition {
            status: NotificationStatus::Pending,
            from: None
        })
    );
    rig.assert_limits_hold();
}

#[tokio::test]
async fn hmrc_s_maintenance_has_a_separate_error() {
    let rig = with(1).await;
    let closed = ApiResponse::json(503, r#"{"code":"SCHEDULED_MAINTENANCE","message":"…"}"#);
    rig.ppns.refuse_next(99, PpnsEndpoint::List, closed);
    let (_, boxes) = rig.run(&[BOX]).await;
    assert_eq!(boxes[0].error, Some(HmrcError::Maintenance));
}

#[tokio::test]
async fn answers_that_are_lost_cost_a_call_and_nothing_else() {
    let rig = with(250).await;
    rig.ppns.script(
        PpnsEndpoint::Token,
        [ScriptedStep::CloseBefore, ScriptedStep::CloseAfter],
    );
    rig.ppns.script(
        PpnsEndpoint::List,
        [
            ScriptedStep::CloseBefore,
            ScriptedStep::CloseAfter,
            ScriptedStep::Usual,
            ScriptedStep::CloseAfter,
        ],
    );
    rig.ppns.script(
        PpnsEndpoint::Acknowledge,
        [ScriptedStep::CloseBefore, ScriptedStep::CloseAfter],
    );
    let (ended, boxes) = rig.run(&[BOX]).await;
    assert!(matches!(ended, RunEnd::Completed), "{ended}");
    assert_eq!(
        (rig.left(), boxes[0].missed, boxes[0].acknowledged),
        (0, 250, 250)
    );
    rig.assert_limits_hold();
}

#[tokio::test]
async fn no_answer_at_all_ends_with_the_time_there_is() {
    let rig = with(1).await;
    rig.ppns.script(PpnsEndpoint::List, [ScriptedStep::Hang]);
    // The clock of the run stands still while HMRC keeps silent; the request's own limit goes by
    // the real one.
    let (ended, boxes) = rig
        .run_as(&rig.access(&[BOX]), &rig.within(Duration::from_millis(900)))
        .await;
    assert!(matches!(ended, RunEnd::Deadline), "{ended}");
    assert_eq!(
        boxes[0].position,
        Some(BoxPosition {
            status: NotificationStatus::Pending,
            from: None
        })
    );
}

#[tokio::test]
async fn a_response_of_another_kind_is_not_read_as_a_list() {
    let moved = ApiResponse::empty(301).with("location", "https://example.org/");
    for (reply, fault) in [
        (
            ApiResponse::json(200, "<html>login</html>"),
            HmrcError::NotUnderstood,
        ),
        (
            ApiResponse::json(200, r#"[{"notificationId":"#),
            HmrcError::NotUnderstood,
        ),
        (ApiResponse::empty(204), HmrcError::NotUnderstood),
        (
            moved,
            HmrcError::Refused {
                status: 301,
                code: "-".to_owned(),
            },
        ),
        (
            PpnsError::Accept.into(),
            HmrcError::Refused {
                status: 406,
                code: "ACCEPT_HEADER_INVALID".to_owned(),
            },
        ),
    ] {
        let rig = with(1).await;
        rig.ppns.refuse_next(1, PpnsEndpoint::List, reply);
        let (ended, boxes) = rig.run(&[BOX]).await;
        assert!(matches!(ended, RunEnd::Incomplete), "{ended}");
        assert_eq!((boxes[0].error.clone(), rig.left()), (Some(fault), 1));
    }
}

#[tokio::test]
async fn an_acknowledgement_that_was_not_is_not_counted() {
    let rig = with(1).await;
    rig.ppns
        .refuse_next(1, PpnsEndpoint::Acknowledge, ApiResponse::json(200, "{}"));
    let (_, boxes) = rig.run(&[BOX]).await;
    assert_eq!(
        (boxes[0].acknowledged, boxes[0].error.clone()),
        (0, Some(HmrcError::NotUnderstood))
    );
}

#[tokio::test]
async fn a_list_that_is_too_long_is_requested_in_parts() {
    let rig = with(10).await;
    let long = ApiResponse::json(200, format!("[\"{}\"]", "x".repeat(33 * 1024 * 1024)));
    rig.ppns.refuse_next(3, PpnsEndpoint::List, long);
    let (ended, boxes) = rig.run(&[BOX]).await;
    assert!(matches!(ended, RunEnd::Completed), "{ended}");
    assert_eq!((rig.left(), boxes[0].missed), (0, 10));
    let lists = rig.ppns.calls().to(PpnsEndpoint::List);
    let counts: Vec<_> = lists
        .iter()
        .map(|call| call.target.rsplit_once("count=").unwrap().1.to_owned())
        .collect();
    assert_eq!(counts, ["100", "50", "25", "12", "100"]);
}

#[tokio::test]
async fn an_inbox_that_refuses_ends_the_run_and_nothing_unstored_is_acknowledged() {
    for room in [0, 1, 99, 100, 150] {
        let rig = with(250).await;
        rig.inbox.room.store(room, Ordering::SeqCst);
        let (ended, _) = rig.run(&[BOX]).await;
        assert!(
            matches!(ended, RunEnd::Inbox(InboxError::Unavailable(_))),
            "{room}: {ended}"
        );
        rig.assert_nothing_is_lost().await;
        assert_eq!(rig.acknowledged().len(), room / 100 * 100, "{room}");

        rig.inbox.room.store(usize::MAX, Ordering::SeqCst);
        let (ended, _) = rig.run(&[BOX]).await;
        assert!(matches!(ended, RunEnd::Completed), "{ended}");
        assert_eq!((rig.left(), rig.rows().await.len()), (0, 250));
    }
}

#[tokio::test]
async fn a_notification_that_fails_during_a_run_is_found_among_the_failed() {
    use sender_simulator::apis::ppns::BoxNotificationStatus::{Failed, Pending};
    let rig = with(250).await;
    let given_up = |boxes: &mut PpnsBoxes| {
        let pending: Vec<String> = boxes
            .notifications()
            .iter()
            .filter(|it| it.status == Pending)
            .map(|it| it.id.clone())
            .collect();
        pending.iter().for_each(|id| boxes.set_status(id, Failed));
    };
    rig.ppns
        .script(PpnsEndpoint::List, [ScriptedStep::then(given_up)]);
    let (ended, boxes) = rig.run(&[BOX]).await;
    assert!(matches!(ended, RunEnd::Completed), "{ended}");
    assert_eq!((rig.left(), rig.rows().await.len()), (0, 250));
    assert_eq!((boxes[0].missed, boxes[0].duplicates), (250, 0));
}

#[tokio::test]
async fn a_clock_change_of_an_hour_during_a_run_starves_no_box() {
    for hours in [-1, 1] {
        let rig = HmrcRig::new().await;
        for number in 0..350 {
            rig.add(BOX, minutes(number));
            rig.add(SECOND_BOX, minutes(number));
        }
        let local = rig.local.clone();
        let turn = ScriptedStep::then(move |_| local.turn(hours * 3_600_000));
        rig.ppns.script(
            PpnsEndpoint::List,
            [ScriptedStep::Usual, ScriptedStep::Usual, turn],
        );
        let began = rig.now();
        let (ended, _) = rig.run(&[BOX, SECOND_BOX]).await;
        assert!(matches!(ended, RunEnd::Completed), "{ended}");
        assert_eq!((rig.left(), rig.rows().await.len()), (0, 700));
        assert!(
            rig.now().since(began) < minutes(2),
            "no hour was waited for"
        );
        if hours < 0 {
            // one that is set on by an hour makes what was just done look long ago
            rig.assert_limits_hold();
        }
    }
}
