//! `GET /v1/payments` and `GET /v1/refunds`.

use std::time::Duration;

use sender_simulator::apis::{
    ScriptedStep,
    pay_api::{PayAccounts, PayEndpoint, PaymentLifecycle, SimulatedPayment},
};
use serde_json::json;

use super::pay::{DAY, KEY, PayApiClient, ids_of};

const HOUR: Duration = Duration::from_secs(60 * 60);

#[tokio::test]
async fn the_newest_come_first_from_a_date_on_and_up_to_another_exclusive() {
    let pay = PayApiClient::start().await;
    let ids = [3 * HOUR, HOUR, 2 * HOUR]
        .map(|ago| pay.add(PaymentLifecycle::Captured, ago).id().to_owned());
    let at = |ago: Duration| pay.ago(ago).to_string();
    let (three, two, one) = (at(3 * HOUR), at(2 * HOUR), at(HOUR));
    for (query, expected) in [
        (String::new(), &[1, 2, 0][..]),
        (format!("?from_date={two}"), &[1, 2]),
        (format!("?to_date={two}"), &[0]),
        (format!("?from_date={three}&to_date={one}"), &[2, 0]),
        (format!("?from_date={two}&to_date={two}"), &[]),
        (format!("?from_date={one}&to_date={three}"), &[]),
        (
            "?from_date=2026-03-02T08:15:31Z&to_date=2026-03-02T08:15:32Z".to_owned(),
            &[2],
        ),
        (
            "?from_date=2026-03-02T09:15:31%2B01:00&to_date=2026-03-02T09:15:32%2B01:00".to_owned(),
            &[2],
        ),
        (
            "?from_date=&to_date=&state=&page=&unknown=1".to_owned(),
            &[1, 2, 0],
        ),
    ] {
        let expected: Vec<&String> = expected.iter().map(|n| &ids[*n]).collect();
        assert_eq!(
            pay.ids(&query).await.iter().collect::<Vec<_>>(),
            expected,
            "{query}"
        );
    }
}

#[tokio::test]
async fn a_state_and_a_reference_narrow_a_search() {
    let pay = PayApiClient::start().await;
    let lives = [
        PaymentLifecycle::Started,
        PaymentLifecycle::CancelledByService,
        PaymentLifecycle::CaptureFailed,
        PaymentLifecycle::Expired,
        PaymentLifecycle::Refunded,
    ];
    let payments = lives.map(|life| pay.add(life, 2 * DAY));
    for (state, expected) in [
        ("created", &[][..]),
        ("started", &[0]),
        ("submitted", &[]),
        ("capturable", &[]),
        ("cancelled", &[1]),
        ("error", &[2]),
        ("failed", &[3]),
        ("success", &[4]),
    ] {
        let expected: Vec<&str> = expected.iter().map(|n: &usize| payments[*n].id()).collect();
        assert_eq!(
            pay.ids(&format!("?state={state}")).await,
            expected,
            "{state}"
        );
    }
    let reference = payments[2].reference().to_ascii_lowercase();
    assert_eq!(
        pay.ids(&format!("?reference={reference}")).await,
        [payments[2].id()]
    );
    assert_eq!(
        pay.ids(&format!("?reference={}", &reference[..20])).await,
        [""; 0]
    );
}

#[tokio::test]
async fn ten_thousand_payments_are_found_page_by_page_through_the_links() {
    let pay = PayApiClient::start().await;
    let second = Duration::from_secs(1);
    let payments = SimulatedPayment::several(
        PaymentLifecycle::Captured,
        10_000,
        pay.ago(DAY),
        second,
        &*pay.clock,
    );
    pay.api.with(|accounts| accounts.add(KEY, payments.clone()));
    let (from, base) = (pay.ago(DAY).to_string(), pay.api.base_url().to_string());
    let mut next = Some(format!("{base}v1/payments?from_date={from}&state=success"));
    let mut found = Vec::new();
    let mut pages = 0;
    while let Some(url) = next {
        let page = pay.found(&url).await;
        pages += 1;
        assert_eq!(
            (&page["total"], &page["count"], &page["page"]),
            (&json!(10_000), &json!(500), &json!(pages))
        );
        assert_eq!(page["_links"].get("prev_page").is_some(), pages > 1);
        found.extend(ids_of(&page));
        next = page["_links"]["next_page"]["href"]
            .as_str()
            .map(str::to_owned);
        assert!(
            next.as_ref()
                .is_none_or(|url| url.starts_with(&format!("{base}v1/payments?")))
        );
    }
    let expected: Vec<&str> = payments.iter().rev().map(SimulatedPayment::id).collect();
    assert_eq!(
        (pages, found),
        (20, expected.into_iter().map(str::to_owned).collect())
    );
}

#[tokio::test]
async fn refunds_are_found_by_when_they_were_made_and_name_their_payments() {
    let pay = PayApiClient::start().await;
    let twice = pay.add(PaymentLifecycle::RefundedTwice, 2 * DAY);
    pay.add(PaymentLifecycle::Captured, 2 * DAY);
    let page = pay.found("/v1/refunds?display_size=1").await;
    assert_eq!((&page["total"], &page["count"]), (&json!(2), &json!(1)));
    let newest = &page["results"][0];
    assert_eq!(
        (&newest["payment_id"], &newest["amount"], &newest["status"]),
        (&json!(twice.id()), &json!(2500), &json!("success"))
    );
    let next = page["_links"]["next_page"]["href"].as_str().unwrap();
    let oldest = &pay.found(next).await["results"][0];
    assert_eq!(oldest["amount"], 1500);

    let since = newest["created_date"].as_str().unwrap();
    for (query, amounts) in [
        (format!("?from_date={since}"), &[2500][..]),
        (format!("?to_date={since}"), &[1500]),
    ] {
        let found = pay.found(&format!("/v1/refunds{query}")).await;
        let results = found["results"].as_array().unwrap().iter();
        let found: Vec<_> = results
            .map(|refund| refund["amount"].as_u64().unwrap())
            .collect();
        assert_eq!(found, amounts, "{query}");
    }
    let past = pay.get("/v1/refunds?page=2").await;
    assert_eq!((past.status, &past.json()["code"]), (404, &json!("P1100")));
}

#[tokio::test]
async fn pages_have_the_requested_size_and_end() {
    let pay = PayApiClient::start().await;
    for n in 0..5 {
        pay.add(PaymentLifecycle::Captured, DAY + n * HOUR);
    }
    for (query, count, link) in [
        ("?display_size=2", 2, Some(2)),
        ("?display_size=2&page=2", 2, Some(3)),
        ("?display_size=2&page=3", 1, None),
        ("?display_size=5", 5, None),
        ("?display_size=500&page=1", 5, None),
    ] {
        let page = pay.found(&format!("/v1/payments{query}")).await;
        assert_eq!(
            (&page["total"], &page["count"]),
            (&json!(5), &json!(count)),
            "{query}"
        );
        let next = page["_links"]
            .get("next_page")
            .map(|link| link["href"].as_str().unwrap());
        let expected = link.map(|page| {
            format!(
                "{}v1/payments?page={page}&display_size=2",
                pay.api.base_url()
            )
        });
        assert_eq!(next, expected.as_deref(), "{query}");
        assert!(
            page["_links"]["self"]["href"].is_string()
                && page["_links"]["last_page"]["href"].is_string()
        );
    }
    for query in ["?display_size=2&page=4", "?page=2", "?state=created&page=2"] {
        let response = pay.get(&format!("/v1/payments{query}")).await;
        let expected = json!({"code": "P0402", "description": "Page not found"});
        assert_eq!(
            (response.status, response.json()),
            (404, expected),
            "{query}"
        );
    }
    let none = pay.found("/v1/payments?state=created").await;
    assert_eq!(
        (
            &none["total"],
            &none["count"],
            &none["page"],
            &none["results"]
        ),
        (&json!(0), &json!(0), &json!(1), &json!([]))
    );
}

#[tokio::test]
async fn bad_values_are_named_together() {
    let pay = PayApiClient::start().await;
    let long = "r".repeat(256);
    for (query, names) in [
        ("?state=declined", "state"),
        ("?state=Success", "state"),
        (&format!("?reference={long}"), "reference"),
        ("?from_date=2026-03-02", "from_date"),
        ("?from_date=2026-03-02T10:15:31", "from_date"),
        ("?from_date=2026-03-02T10:15:31+01:00", "from_date"),
        ("?to_date=2026-03-02T10:15:31%2B0100", "to_date"),
        ("?to_date=yesterdayZ", "to_date"),
        ("?page=0", "page"),
        ("?page=-1", "page"),
        ("?page=99999999999999999999", "page"),
        ("?display_size=0", "display_size"),
        ("?display_size=501", "display_size"),
        ("?display_size=many", "display_size"),
        (
            "?display_size=501&page=0&to_date=x&from_date=y&state=z",
            "state, from_date, to_date, page, display_size",
        ),
    ] {
        let response = pay.get(&format!("/v1/payments{query}")).await;
        let description = format!(
            "Invalid parameters: {names}. See Public API documentation for the correct data formats"
        );
        assert_eq!(
            (response.status, response.json()),
            (422, json!({"code": "P0401", "description": description})),
            "{query}"
        );
    }
    assert_eq!(
        pay.get("/v1/payments?email=a@example.com").await.status,
        501,
        "not simulated, and the response names it"
    );
}

#[tokio::test]
async fn a_search_lags_behind_what_a_payment_shows_by_its_id() {
    let pay = PayApiClient::start().await;
    pay.api.with(|accounts| accounts.set_lag(HOUR));
    let payment = pay.add(PaymentLifecycle::Refunded, Duration::ZERO);
    let target = format!("/v1/payments/{}", payment.id());
    pay.clock.pass(Duration::from_secs(59 * 60));
    assert_eq!(pay.found(&target).await["state"]["status"], "success");
    assert_eq!(pay.ids("").await, [""; 0]);
    pay.clock.pass(Duration::from_secs(61));
    let page = pay.found("/v1/payments").await;
    assert_eq!(page["results"][0]["state"]["status"], "created");
    assert_eq!(pay.ids("?state=success").await, [""; 0]);

    // The refund went through 23 h after the payment began.
    pay.clock.pass(22 * HOUR);
    assert_eq!(
        pay.found(&target).await["refund_summary"]["amount_submitted"],
        1500
    );
    let refunds = format!("{target}/refunds");
    assert_eq!(pay.found(&refunds).await["_embedded"]["refunds"], json!([]));
    pay.api.with(|accounts| accounts.set_lag(Duration::ZERO));
    assert_eq!(
        pay.found(&refunds).await["_embedded"]["refunds"][0]["status"],
        "success"
    );
}

#[tokio::test]
async fn payments_change_and_appear_between_two_pages() {
    let pay = PayApiClient::start().await;
    let stuck = pay.add(PaymentLifecycle::Started, DAY);
    let other = SimulatedPayment::new(PaymentLifecycle::Captured, pay.ago(HOUR), &*pay.clock);
    let (id, added) = (stuck.id().to_owned(), other.clone());
    let change = move |accounts: &mut PayAccounts| {
        accounts.set_lifecycle(KEY, &id, PaymentLifecycle::Captured);
        accounts.add(KEY, [added]);
    };
    pay.api
        .script(PayEndpoint::Search, [ScriptedStep::then(change)]);
    assert_eq!(pay.ids("?state=success").await, [""; 0]);
    assert_eq!(pay.ids("?state=success").await, [other.id(), stuck.id()]);
    let calls = pay.api.calls();
    assert!(
        calls
            .iter()
            .all(|call| call.method == "GET" && call.target == "/v1/payments?state=success")
    );
}
