//! `GET /v1/payments/{id}`, its events and its refunds; keys, rates and faults.

use std::time::Duration;

use reqwest::Method;
use sender_simulator::{
    Timestamp,
    apis::{
        ScriptedStep,
        pay_api::{PayApi, PayApiError, PayEndpoint, PaymentLifecycle, SimulatedPayment},
    },
    govuk_pay::PaymentKind,
};
use serde_json::{Value, json};

use super::{
    pay::{DAY, KEY, PayApiClient},
    response::send,
};
use test_support::loopback;

const SUCCESS: (&str, bool, Value) = ("success", true, Value::Null);

#[tokio::test]
async fn a_payment_has_the_states_of_the_api_and_not_those_of_a_webhook() {
    let pay = PayApiClient::start().await;
    let failed = |code: &str| ("failed", true, json!(code));
    for (life, (status, finished, code)) in [
        (PaymentLifecycle::Created, ("created", false, Value::Null)),
        (PaymentLifecycle::Started, ("started", false, Value::Null)),
        (
            PaymentLifecycle::Submitted,
            ("submitted", false, Value::Null),
        ),
        (
            PaymentLifecycle::Capturable,
            ("capturable", false, Value::Null),
        ),
        (PaymentLifecycle::Succeeded, SUCCESS),
        (PaymentLifecycle::Captured, SUCCESS),
        (PaymentLifecycle::Refunded, SUCCESS),
        (PaymentLifecycle::RefundedTwice, SUCCESS),
        (PaymentLifecycle::RefundFailed, SUCCESS),
        (PaymentLifecycle::Failed, failed("P0010")),
        (PaymentLifecycle::Expired, failed("P0020")),
        (PaymentLifecycle::CancelledByUser, failed("P0030")),
        (
            PaymentLifecycle::CancelledByService,
            ("cancelled", true, json!("P0040")),
        ),
        (
            PaymentLifecycle::ProviderError,
            ("error", true, json!("P0050")),
        ),
        (
            PaymentLifecycle::CaptureFailed,
            ("error", true, json!("P0050")),
        ),
    ] {
        let payment = pay.add(life, 2 * DAY);
        let shown = pay.found(&format!("/v1/payments/{}", payment.id())).await;
        let state = &shown["state"];
        assert_eq!(
            (&state["status"], &state["finished"], &state["code"]),
            (&json!(status), &json!(finished), &code)
        );
        assert_eq!(
            state["message"].is_string(),
            state["code"].is_string(),
            "{life:?}"
        );
        assert_eq!(shown["payment_id"], payment.id());
        assert_eq!(shown["reference"], payment.reference());
        assert_eq!(shown["created_date"], payment.created().to_string());
        assert_eq!(shown["amount"], 5000);
        assert_eq!(
            shown["_links"].get("cancel").is_some(),
            !finished,
            "{life:?}"
        );
        let entered = !matches!(
            life,
            PaymentLifecycle::Created
                | PaymentLifecycle::Started
                | PaymentLifecycle::Expired
                | PaymentLifecycle::CancelledByUser
                | PaymentLifecycle::CancelledByService
        );
        assert_eq!(shown.get("card_details").is_some(), entered, "{life:?}");
    }
}

#[tokio::test]
async fn a_payment_shows_its_capture_and_the_sum_of_its_refunds() {
    let pay = PayApiClient::start().await;
    let summary = |status: &str, submitted: u32| {
        json!({"status": status,
        "amount_available": 5000 - submitted, "amount_submitted": submitted})
    };
    for (life, settled, refunds) in [
        (PaymentLifecycle::Started, 0, summary("pending", 0)),
        (PaymentLifecycle::Succeeded, 0, summary("pending", 0)),
        (
            PaymentLifecycle::CaptureFailed,
            1,
            summary("unavailable", 0),
        ),
        (PaymentLifecycle::Captured, 2, summary("available", 0)),
        (PaymentLifecycle::Refunded, 2, summary("available", 1500)),
        (
            PaymentLifecycle::RefundedTwice,
            2,
            summary("available", 4000),
        ),
        (PaymentLifecycle::RefundFailed, 2, summary("available", 0)),
        (PaymentLifecycle::Failed, 0, summary("unavailable", 0)),
    ] {
        let payment = pay.add(life, 2 * DAY);
        let shown = pay.found(&format!("/v1/payments/{}", payment.id())).await;
        assert_eq!(
            shown["settlement_summary"].as_object().unwrap().len(),
            settled,
            "{life:?}"
        );
        assert_eq!(shown["refund_summary"], refunds, "{life:?}");
    }
    let payment = pay.add(PaymentLifecycle::Captured, 2 * DAY);
    let shown = pay.found(&format!("/v1/payments/{}", payment.id())).await;
    let settled =
        json!({"captured_date": "2026-02-28", "capture_submit_time": "2026-02-28T10:17:27.567Z"});
    assert_eq!(shown["settlement_summary"], settled);
}

#[tokio::test]
async fn the_captured_date_is_the_day_of_the_confirmation_in_the_api_and_in_webhooks() {
    let pay = PayApiClient::start().await;
    let created = Timestamp::parse("2026-02-27T23:57:50Z").unwrap();
    let payment = SimulatedPayment::new(PaymentLifecycle::Captured, created, &*pay.clock);
    pay.api
        .with(|accounts| accounts.add(KEY, [payment.clone()]));
    let shown = pay.found(&format!("/v1/payments/{}", payment.id())).await;
    let summary =
        json!({"captured_date": "2026-02-28", "capture_submit_time": "2026-02-27T23:59:46.087Z"});
    assert_eq!(shown["settlement_summary"], summary);
    let captured = payment.webhooks(&*pay.clock).pop().unwrap();
    let sent: Value = serde_json::from_str(&captured.body.wire).unwrap();
    assert_eq!(sent["resource"]["settlement_summary"], summary);
}

#[tokio::test]
async fn a_payment_of_each_kind_has_the_fields_of_the_api_and_not_those_of_a_webhook() {
    let pay = PayApiClient::start().await;
    for (kind, fields) in [
        (
            PaymentKind::Card,
            &[
                ("/authorisation_mode", r#""web""#),
                ("/agreement_id", ""),
                ("/card_details/wallet_type", ""),
            ][..],
        ),
        (
            PaymentKind::ApplePay,
            &[
                ("/card_details/wallet_type", r#""Apple Pay""#),
                ("/card_details/billing_address", "null"),
                ("/email", ""),
            ],
        ),
        (
            PaymentKind::GooglePay,
            &[("/card_details/wallet_type", r#""Google Pay""#)],
        ),
        (
            PaymentKind::Telephone,
            &[
                ("/authorisation_mode", r#""external""#),
                ("/return_url", ""),
            ],
        ),
        (PaymentKind::DelayedCapture, &[("/delayed_capture", "true")]),
        (
            PaymentKind::Agreement,
            &[
                ("/authorisation_mode", r#""agreement""#),
                ("/agreement_id", r#""cgc1ocvh0pt9fqs0ma67r42l58""#),
            ],
        ),
        (
            PaymentKind::CorporateSurcharge,
            &[
                ("/corporate_card_surcharge", "250"),
                ("/total_amount", "5250"),
                ("/refund_summary/amount_available", "5250"),
            ],
        ),
    ] {
        let life = PaymentLifecycle::Captured;
        let payment = SimulatedPayment::new(life, pay.ago(DAY), &*pay.clock).with_kind(kind);
        let target = format!("/v1/payments/{}", payment.id());
        pay.api.with(|accounts| accounts.add(KEY, [payment]));
        let shown = pay.found(&target).await;
        for (field, expected) in fields {
            let found = shown
                .pointer(field)
                .map(Value::to_string)
                .unwrap_or_default();
            assert_eq!(found, *expected, "{kind:?} {field}");
        }
    }
}

#[tokio::test]
async fn a_payment_changes_its_state_over_time() {
    let pay = PayApiClient::start().await;
    let payment = pay.add(PaymentLifecycle::Refunded, Duration::ZERO);
    let target = format!("/v1/payments/{}", payment.id());
    let mut seen = Vec::new();
    for seconds in [0, 4, 72, 14, 27, 23, 82_000] {
        pay.clock.pass(Duration::from_secs(seconds));
        let shown = pay.found(&target).await;
        let captured = shown["settlement_summary"].get("captured_date").is_some();
        seen.push((
            shown["state"]["status"].as_str().unwrap().to_owned(),
            captured,
            shown["refund_summary"].clone(),
        ));
    }
    let states: Vec<(&str, bool)> = seen
        .iter()
        .map(|(status, captured, _)| (status.as_str(), *captured))
        .collect();
    assert_eq!(
        states,
        [
            ("created", false),
            ("started", false),
            ("submitted", false),
            ("success", false),
            ("success", false),
            ("success", true),
            ("success", true)
        ]
    );
    assert_eq!(
        (
            &seen[5].2["amount_submitted"],
            &seen[6].2["amount_submitted"]
        ),
        (&json!(0), &json!(1500))
    );
}

#[tokio::test]
async fn events_are_the_states_a_payment_has_been_in() {
    let pay = PayApiClient::start().await;
    for (life, expected) in [
        (
            PaymentLifecycle::RefundedTwice,
            &["created", "started", "submitted", "success"][..],
        ),
        (
            PaymentLifecycle::CaptureFailed,
            &["created", "started", "submitted", "success", "error"],
        ),
        (PaymentLifecycle::Expired, &["created", "started", "failed"]),
    ] {
        let payment = pay.add(life, 2 * DAY);
        let shown = pay
            .found(&format!("/v1/payments/{}/events", payment.id()))
            .await;
        let events = shown["events"].as_array().unwrap();
        let states: Vec<&str> = events
            .iter()
            .map(|event| event["state"]["status"].as_str().unwrap())
            .collect();
        assert_eq!(
            (states.as_slice(), &shown["payment_id"]),
            (expected, &json!(payment.id()))
        );
        assert_eq!(events[0]["updated"], payment.created().to_string());
        assert!(
            events
                .iter()
                .map(|event| event["updated"].as_str().unwrap())
                .is_sorted()
        );
        let payment_url = events[0]["_links"]["payment_url"]["href"].as_str().unwrap();
        assert_eq!(
            payment_url,
            format!("{}v1/payments/{}", pay.api.base_url(), payment.id())
        );
    }
}

#[tokio::test]
async fn refunds_are_listed_each_with_its_own_amount_and_status() {
    let pay = PayApiClient::start().await;
    for (life, ago, expected) in [
        (PaymentLifecycle::Captured, 2 * DAY, &[][..]),
        (PaymentLifecycle::Refunded, 2 * DAY, &[(1500, "success")]),
        (
            PaymentLifecycle::RefundedTwice,
            2 * DAY,
            &[(1500, "success"), (2500, "success")],
        ),
        (PaymentLifecycle::RefundFailed, 2 * DAY, &[(1500, "error")]),
        (
            PaymentLifecycle::RefundedTwice,
            Duration::from_secs(82_100),
            &[(1500, "submitted")],
        ),
    ] {
        let payment = pay.add(life, ago);
        let shown = pay
            .found(&format!("/v1/payments/{}/refunds", payment.id()))
            .await;
        let refunds = shown["_embedded"]["refunds"].as_array().unwrap();
        let listed: Vec<(u64, &str)> = refunds
            .iter()
            .map(|it| {
                (
                    it["amount"].as_u64().unwrap(),
                    it["status"].as_str().unwrap(),
                )
            })
            .collect();
        assert_eq!(
            (listed.as_slice(), &shown["payment_id"]),
            (expected, &json!(payment.id())),
            "{life:?}"
        );
        let ids: Vec<&Value> = refunds.iter().map(|it| &it["refund_id"]).collect();
        assert!(ids.iter().all(|id| id.is_string()) && (ids.len() < 2 || ids[0] != ids[1]));
        assert!(refunds.iter().all(
            |it| it["created_date"].as_str().unwrap() > payment.created().to_string().as_str()
        ));
    }
}

#[tokio::test]
async fn an_unknown_payment_is_not_found_with_pays_error() {
    let pay = PayApiClient::start().await;
    let foreign = SimulatedPayment::new(PaymentLifecycle::Captured, pay.ago(DAY), &*pay.clock);
    let later = pay.add(PaymentLifecycle::Captured, Duration::ZERO);
    pay.api
        .with(|accounts| accounts.add("api_test_another", [foreign.clone()]));
    let of =
        |payment: &SimulatedPayment, rest: &str| format!("/v1/payments/{}{rest}", payment.id());
    for (target, code) in [
        ("/v1/payments/unknown".to_owned(), "P0200"),
        (of(&foreign, ""), "P0200"),
        (of(&foreign, "/events"), "P0300"),
        (of(&foreign, "/refunds"), "P0800"),
    ] {
        let response = pay.get(&target).await;
        assert_eq!(
            (response.status, response.json()),
            (404, json!({"code": code, "description": "Not found"})),
            "{target}"
        );
    }
    assert_eq!(pay.get(&of(&later, "")).await.status, 200);
    for (method, target, status) in [
        (Method::GET, "/v1/refund".to_owned(), 404),
        (Method::GET, of(&later, "/").clone(), 404),
        (Method::POST, "/v1/payments".to_owned(), 405),
        (Method::DELETE, of(&later, ""), 405),
    ] {
        let response = send(pay.request(method, &target).bearer_auth(KEY))
            .await
            .unwrap();
        assert_eq!(
            (response.status, &response.json()["code"]),
            (status, &json!(status)),
            "{target}"
        );
    }
}

#[tokio::test]
async fn a_key_opens_its_own_account_and_nothing_opens_without_one() {
    let pay = PayApiClient::start().await;
    let payment = pay.add(PaymentLifecycle::Captured, DAY);
    let search = || pay.request(Method::GET, "/v1/payments");
    for (name, request) in [
        ("none", search()),
        ("basic", search().basic_auth(KEY, None::<&str>)),
        ("unknown", search().bearer_auth("nonsense")),
    ] {
        let response = send(request).await.unwrap();
        assert_eq!(
            (response.status, response.text.as_str()),
            (401, "Credentials are required to access this resource."),
            "{name}"
        );
    }
    pay.api.with(|accounts| accounts.open("api_test_another"));
    let other = send(search().bearer_auth("api_test_another"))
        .await
        .unwrap();
    assert_eq!(other.json()["total"], 0);
    assert_eq!(pay.ids("").await, [payment.id()]);
    pay.api.with(|accounts| accounts.close(KEY));
    assert_eq!(pay.get("/v1/payments").await.status, 401);
}

#[tokio::test]
async fn an_account_has_a_limit_of_calls_per_second() {
    let pay = PayApiClient::start().await;
    pay.api.with(|accounts| accounts.set_rate_limit(5));
    let mut statuses = Vec::new();
    for _ in 0..7 {
        statuses.push(pay.get("/v1/payments/unknown").await.status);
    }
    assert_eq!(statuses, [404, 404, 404, 404, 404, 429, 429]);
    let response = pay.get("/v1/payments").await;
    assert_eq!(
        response.json(),
        json!({"code": "P0900", "description": "Too many requests"})
    );
    pay.clock.pass(Duration::from_secs(1));
    assert_eq!(pay.get("/v1/payments").await.status, 200);
    assert_eq!(pay.api.calls().max_calls_per_second(), 8);

    let fresh = PayApi::start(0, pay.clock.clone()).await.unwrap();
    fresh.with(|accounts| accounts.open(KEY));
    let url = fresh.base_url().join("/v1/payments").unwrap();
    let client = loopback::client();
    for n in 0..80 {
        let response = send(client.get(url.clone()).bearer_auth(KEY))
            .await
            .unwrap();
        assert_eq!(response.status, if n < 75 { 200 } else { 429 }, "{n}");
    }
}

#[tokio::test]
async fn faults_are_scripted_for_each_endpoint() {
    let pay = PayApiClient::start().await;
    let payment = pay.add(PaymentLifecycle::Captured, DAY);
    let target = format!("/v1/payments/{}", payment.id());
    pay.api
        .refuse_next(1, PayEndpoint::Payment, PayApiError::Unauthorised);
    pay.api
        .refuse_next(1, PayEndpoint::Payment, PayApiError::TooMany);
    pay.api
        .refuse_next(1, PayEndpoint::Payment, PayApiError::Payment);
    pay.api
        .refuse_next(2, PayEndpoint::Search, PayApiError::Search);
    pay.api.script(
        PayEndpoint::Payment,
        [ScriptedStep::CloseBefore, ScriptedStep::CloseAfter],
    );
    for status in [401, 429, 500] {
        assert_eq!(pay.get(&target).await.status, status);
    }
    for _ in 0..2 {
        let response = pay.get("/v1/payments").await;
        assert_eq!(
            (response.status, &response.json()["code"]),
            (500, &json!("P0498"))
        );
        let closed = send(pay.request(Method::GET, &target).bearer_auth(KEY)).await;
        assert!(closed.unwrap_err().is_request());
    }
    assert_eq!(
        (
            pay.get(&target).await.status,
            pay.get("/v1/payments").await.status
        ),
        (200, 200)
    );
    let statuses = pay.api.calls().to(PayEndpoint::Payment).statuses();
    assert_eq!(
        statuses,
        [Some(401), Some(429), Some(500), None, None, Some(200)]
    );
}
