//! Faults that a test injects, and how the ledger records them.

use std::time::Duration;

use reqwest::Method;
use sender_simulator::{
    apis::{
        ApiResponse, CallOutcome, PpnsApi, ScriptedStep,
        ppns::{BoxNotification, BoxNotificationStatus, PpnsBoxes, PpnsEndpoint, PpnsError},
    },
    hmrc::HmrcMessage,
};

use super::{
    hmrc::{BOX, PpnsClient, body_of},
    response::send,
};

#[tokio::test]
async fn scripted_calls_get_the_scripted_response_and_have_no_effect() {
    let hmrc = PpnsClient::start().await;
    let id = hmrc.add(BoxNotificationStatus::Pending);
    let faults = [
        (PpnsError::InvalidCredentials, 401),
        (PpnsError::Throttled, 429),
        (PpnsError::Service, 500),
        (PpnsError::Unavailable, 503),
        (PpnsError::Timeout, 504),
    ];
    hmrc.ppns.script(
        PpnsEndpoint::Acknowledge,
        faults
            .iter()
            .map(|(problem, _)| ScriptedStep::instead(problem.clone())),
    );
    assert_eq!(hmrc.list("").await.status, 200, "another endpoint's script");
    for (problem, status) in faults {
        let response = hmrc.acknowledge(body_of(&[&id])).await;
        assert_eq!(response.refusal(), (status, problem.code().to_owned()));
        assert_eq!(hmrc.status(&id), BoxNotificationStatus::Pending);
    }
    assert_eq!(hmrc.acknowledge(body_of(&[&id])).await.status, 204);

    hmrc.ppns.refuse_next(
        2,
        PpnsEndpoint::Token,
        ApiResponse::json(500, r#"{"error":"server_error"}"#),
    );
    let tokens = [
        hmrc.request_token("").await.status,
        hmrc.request_token("").await.status,
    ];
    assert_eq!(
        (tokens, hmrc.request_token("").await.status),
        ([500, 500], 400)
    );
}

#[tokio::test]
async fn an_answer_can_be_anything_at_all() {
    let hmrc = PpnsClient::start().await;
    let busy = ApiResponse::empty(503).with("retry-after", "7");
    let moved = ApiResponse::empty(301).with("location", "/elsewhere");
    let cut = ApiResponse::json(200, r#"[{"notificationId":"#);
    let page = ApiResponse::json(200, "<html>").with("content-type", "text/html");
    hmrc.ppns.script(
        PpnsEndpoint::List,
        [busy, moved, cut, page].map(ScriptedStep::Instead),
    );
    let client = &hmrc.client;
    let url = hmrc
        .ppns
        .base_url()
        .join(&format!(
            "/misc/push-pull-notification/box/{BOX}/notifications"
        ))
        .unwrap();
    let get = async || client.get(url.clone()).send().await.unwrap();
    let answer = get().await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["retry-after"]),
        (503, &"7".parse().unwrap())
    );
    // The redirect is followed here, and leads to nothing.
    assert_eq!(get().await.status().as_u16(), 404);
    let text = get().await.text().await.unwrap();
    assert_eq!(text, r#"[{"notificationId":"#);
    assert_eq!(get().await.headers()["content-type"], "text/html");
}

#[tokio::test]
async fn a_connection_can_close_before_the_work_or_after_it() {
    let hmrc = PpnsClient::start().await;
    for (step, status, outcome, acknowledged) in [
        (
            ScriptedStep::CloseBefore,
            BoxNotificationStatus::Pending,
            CallOutcome::Lost,
            0,
        ),
        (
            ScriptedStep::CloseAfter,
            BoxNotificationStatus::Acknowledged,
            CallOutcome::Withheld(204),
            1,
        ),
    ] {
        let id = hmrc.add(BoxNotificationStatus::Pending);
        hmrc.ppns.script(PpnsEndpoint::Acknowledge, [step]);
        let request = hmrc
            .acknowledgement(BOX)
            .header("content-type", "application/json")
            .body(body_of(&[&id]));
        assert!(send(request).await.unwrap_err().is_request());
        assert_eq!(hmrc.status(&id), status);
        let calls = hmrc.ppns.calls().to(PpnsEndpoint::Acknowledge);
        let last = calls.iter().last().unwrap();
        assert_eq!(
            (last.outcome, last.status(), last.acknowledged().len()),
            (outcome, None, acknowledged)
        );
    }
    let id = hmrc.add(BoxNotificationStatus::Pending);
    assert_eq!(
        hmrc.acknowledge(body_of(&[&id])).await.status,
        204,
        "the next connection is as good as any"
    );
}

#[tokio::test]
async fn an_answer_can_stay_out() {
    let hmrc = PpnsClient::start().await;
    hmrc.ppns.script(PpnsEndpoint::List, [ScriptedStep::Hang]);
    let error = send(hmrc.list_of(BOX, "").timeout(Duration::from_millis(100)))
        .await
        .unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert_eq!(hmrc.ppns.calls().to(PpnsEndpoint::List).statuses(), [None]);
    assert_eq!(hmrc.list("").await.status, 200);
}

#[tokio::test]
async fn statuses_flip_and_notifications_arrive_between_two_calls() {
    let hmrc = PpnsClient::start().await;
    let (given_up, pushed) = (
        hmrc.add(BoxNotificationStatus::Pending),
        hmrc.add(BoxNotificationStatus::Pending),
    );
    let late = BoxNotification::new(BOX, HmrcMessage::json("1"), &*hmrc.clock);
    let late_id = late.id.clone();
    let (fails, succeeds) = (given_up.clone(), pushed.clone());
    hmrc.ppns.script(
        PpnsEndpoint::List,
        [
            ScriptedStep::Usual,
            ScriptedStep::then(move |boxes: &mut PpnsBoxes| {
                boxes.set_status(&fails, BoxNotificationStatus::Failed);
                boxes.set_status(&succeeds, BoxNotificationStatus::Acknowledged);
                boxes.add(late);
            }),
        ],
    );
    for _ in 0..2 {
        assert_eq!(
            hmrc.list("?status=PENDING").await.ids(),
            [given_up.clone(), pushed.clone()]
        );
    }
    assert_eq!(hmrc.list("?status=PENDING").await.ids(), [late_id]);
    assert_eq!(hmrc.list("?status=FAILED").await.ids(), [given_up]);
}

#[tokio::test]
async fn the_ledger_shows_every_call_in_its_order() {
    let hmrc = PpnsClient::start().await;
    let id = hmrc.ppns.post(BOX, HmrcMessage::json("1"));
    hmrc.list("?status=PENDING&count=5").await;
    hmrc.acknowledge(body_of(&[&id])).await;
    send(hmrc.request(Method::GET, "/elsewhere?a=b"))
        .await
        .unwrap();
    let calls = hmrc.ppns.calls();
    let shown: Vec<_> = calls
        .iter()
        .map(|call| (call.method.as_str(), call.target.as_str(), call.status()))
        .collect();
    let list = format!("/misc/push-pull-notification/box/{BOX}/notifications");
    let expected = [
        ("POST", "/oauth/token", Some(200)),
        ("GET", &format!("{list}?status=PENDING&count=5"), Some(200)),
        ("PUT", &format!("{list}/acknowledge"), Some(204)),
        ("GET", "/elsewhere?a=b", Some(404)),
    ];
    assert_eq!(shown, expected);
    assert!(calls.iter().map(|call| call.at).is_sorted());
    assert_eq!(
        calls
            .iter()
            .map(|call| call.acknowledged())
            .collect::<Vec<_>>()[2],
        [id]
    );
    assert_eq!(calls.iter().last().unwrap().endpoint, None);
}

#[tokio::test]
async fn a_server_ends_with_its_handle_and_a_port_is_taken_once() {
    let hmrc = PpnsClient::start().await;
    let url = hmrc.ppns.base_url().clone();
    let again = PpnsApi::start(url.port().unwrap(), hmrc.clock.clone()).await;
    let Err(taken) = again else {
        panic!("the port is taken twice");
    };
    assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
    hmrc.ppns.script(PpnsEndpoint::List, [ScriptedStep::Hang]);
    let hanging = tokio::spawn(send(hmrc.list_of(BOX, "")));
    while hmrc.ppns.calls().to(PpnsEndpoint::List).is_empty() {
        tokio::task::yield_now().await;
    }
    let client = hmrc.client.clone();
    drop(hmrc);
    assert!(hanging.await.unwrap().unwrap_err().is_request());
    assert!(client.get(url).send().await.unwrap_err().is_connect());
}
