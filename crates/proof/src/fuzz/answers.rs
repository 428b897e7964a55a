//! Responses of the senders' APIs (HMRC's list of a box, Pay's search pages), and dates.

use bytes::Bytes;
use pillarbox::{
    domain::Timestamp,
    reconcile::{govuk_pay::search_for_tests, hmrc::list_for_tests},
};
use serde_json::Value;
use url::Url;

use super::requests::HMRC_BODIES;

/// Any list: its elements are parts of the response, in order, and only a UUID is acknowledged.
pub(super) fn hmrc_list(bytes: &[u8]) {
    let list = Bytes::copy_from_slice(bytes);
    let Some(elements) = list_for_tests(&list) else {
        return;
    };
    let written = serde_json::from_slice::<Vec<Value>>(bytes).ok();
    let mut from = 0;
    for (index, (id, pulled)) in elements.iter().enumerate() {
        let body = pulled.body();
        let offset = body.as_ptr().addr() - list.as_ptr().addr();
        assert!(offset >= from && offset + body.len() <= list.len());
        from = offset + body.len();
        if let Some(id) = id {
            assert_eq!((id.len(), id.matches('-').count()), (36, 4), "{id}");
            assert_eq!(&id.to_ascii_lowercase(), id);
        }
        // If an element has two ids, the first is not replaced by the last.
        if let (Some(written), Some(id)) = (written.as_ref().and_then(|all| all.get(index)), id) {
            let named = written["notificationId"].as_str().unwrap_or_default();
            assert!(named.eq_ignore_ascii_case(id), "{named} {id}");
        }
    }
    if let Some(written) = written {
        assert_eq!(written.len(), elements.len());
    }
}

/// Any page: every result is parsed or counted as unreadable, and the next page has the same
/// origin and path.
pub(super) fn pay_search(bytes: &[u8]) {
    let address = "https://publicapi.payments.service.gov.uk/v1/payments?page=2";
    let url = Url::parse(address).expect("a URL");
    let Ok((payments, unreadable, next)) = search_for_tests(&url, bytes) else {
        return;
    };
    if let Ok(written) = serde_json::from_slice::<Value>(bytes)
        && let Some(count) = written["count"].as_u64()
    {
        assert_eq!(count, (payments.len() + unreadable) as u64);
    }
    if let Some(query) = next {
        let mut next = url.clone();
        next.set_query(Some(&query));
        assert_eq!((next.origin(), next.path()), (url.origin(), url.path()));
        assert_ne!(next, url, "the next page is the same page");
    }
    for payment in payments {
        assert!(payment.observation_id().starts_with("observed-"));
    }
}

/// Any date: its text parses as the same instant.
pub(super) fn date(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let read = [Timestamp::parse(&text), Timestamp::parse_http(&text)];
    for at in read.into_iter().flatten() {
        assert_eq!(Timestamp::parse(&at.to_string()), Some(at), "{at}");
    }
}

/// Seeds of [`hmrc_list`].
pub(super) fn list_seeds() -> Vec<Vec<u8>> {
    let all = HMRC_BODIES.join(",");
    [
        format!("[{all}]"),
        "[]".to_owned(),
        "[42,null,{}]".to_owned(),
        r#"[{"notificationId":"n1"}]"#.to_owned(),
    ]
    .map(String::into_bytes)
    .into()
}

/// Seeds of [`pay_search`].
pub(super) fn search_seeds() -> Vec<Vec<u8>> {
    let payment = r#"{"amount":5000,"state":{"status":"success","finished":true},
        "payment_id":"hu20sqlact5260q2nanm0q8u93","created_date":"2026-03-02T10:14:02.117Z",
        "refund_summary":{"status":"available","amount_submitted":1500},
        "settlement_summary":{"capture_submit_time":"2026-03-02T10:15:58.204Z",
        "captured_date":"2026-03-02"},"metadata":{"processor_id":"p"}}"#;
    let page = format!(
        r#"{{"total":3,"count":2,"page":2,"results":[{payment},{payment}],"_links":{{
        "self":{{"href":"https://publicapi.payments.service.gov.uk/v1/payments?page=2"}},
        "next_page":{{"href":"https://publicapi.payments.service.gov.uk/v1/payments?page=3"}}}}}}"#
    );
    let last = r#"{"count":0,"results":[],"_links":{}}"#;
    let endless = page.replace("page=3", "page=2");
    vec![page.into_bytes(), endless.into_bytes(), last.into()]
}

/// Seeds of [`date`].
pub(super) fn date_seeds() -> Vec<Vec<u8>> {
    [
        "2020-06-01T10:20:23.160+0000",
        "2026-03-02T10:15:31.480Z",
        "9999-12-30T00:00:00.000Z",
        "2016-12-31T23:59:60Z",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "2024-02-29T23:00:00.123456789[Europe/London]",
    ]
    .map(|date| date.as_bytes().to_vec())
    .into()
}
