//! `GET …/notifications`.

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use sender_simulator::{
    Clock, Timestamp,
    apis::ppns::{BoxNotification, BoxNotificationStatus, ListDefect, PpnsEndpoint, READ_SCOPE},
    hmrc::HmrcMessage,
};

use super::{
    hmrc::{ACCEPT, BOX, FOREIGN_BOX, PpnsClient},
    response::send,
};

const LIST: &str =
    "/misc/push-pull-notification/box/50dca3fc-c37c-4f03-b719-63571333624c/notifications";

#[tokio::test]
async fn a_list_is_a_bare_array_of_what_a_push_carries() {
    let hmrc = PpnsClient::start().await;
    assert_eq!(hmrc.list("").await.text, "[]");
    let created = Timestamp::parse("2026-02-10T10:20:23.160Z").unwrap();
    let notification = BoxNotification {
        id: "1ed5f407-8096-40d1-87ef-9a2a103eeb85".to_owned(),
        ..BoxNotification::new(
            BOX,
            HmrcMessage::json(r#"{"name":"smile 😀 end"}"#),
            &*hmrc.clock,
        )
    };
    let notification = notification
        .created(created)
        .with_status(BoxNotificationStatus::Failed);
    let pushed = notification.body().wire;
    hmrc.ppns.with(|boxes| boxes.add(notification));

    let response = hmrc.list("").await;
    assert_eq!(
        response.text,
        concat!(
            r#"[{"notificationId":"1ed5f407-8096-40d1-87ef-9a2a103eeb85","#,
            r#""boxId":"50dca3fc-c37c-4f03-b719-63571333624c","#,
            r#""messageContentType":"application/json","#,
            r#""message":"{\"name\":\"smile \uD83D\uDE00 end\"}","#,
            r#""status":"FAILED","#,
            r#""createdDateTime":"2026-02-10T10:20:23.160+0000"}]"#,
        )
    );
    assert_eq!(
        response.text,
        format!("[{pushed}]").replace("PENDING", "FAILED")
    );
}

#[tokio::test]
async fn a_request_is_refused_for_whatever_is_wrong_with_it() {
    let hmrc = PpnsClient::start().await;
    let list = || hmrc.request(Method::GET, LIST);
    let accept = |value: &'static str| list().bearer_auth(&hmrc.token).header("accept", value);
    let path = |method: Method, path: &str| {
        hmrc.request(method, path)
            .bearer_auth(&hmrc.token)
            .header("accept", ACCEPT)
    };
    let cases: Vec<(&str, RequestBuilder, (u16, &str))> = vec![
        (
            "no accept",
            list().bearer_auth(&hmrc.token),
            (406, "ACCEPT_HEADER_INVALID"),
        ),
        ("any", accept("*/*"), (406, "ACCEPT_HEADER_INVALID")),
        (
            "json",
            accept("application/json"),
            (406, "ACCEPT_HEADER_INVALID"),
        ),
        (
            "a list",
            accept("application/vnd.hmrc.1.0+json, */*"),
            (406, "ACCEPT_HEADER_INVALID"),
        ),
        (
            "a weight",
            accept("application/vnd.hmrc.1.0+json;q=1"),
            (406, "ACCEPT_HEADER_INVALID"),
        ),
        (
            "xml",
            accept("application/vnd.hmrc.1.0+xml"),
            (406, "ACCEPT_HEADER_INVALID"),
        ),
        (
            "version 2",
            accept("application/vnd.hmrc.2.0+json"),
            (404, "MATCHING_RESOURCE_NOT_FOUND"),
        ),
        (
            "version 1",
            accept("application/vnd.hmrc.1+json"),
            (404, "MATCHING_RESOURCE_NOT_FOUND"),
        ),
        (
            "no token",
            list().header("accept", ACCEPT),
            (401, "MISSING_CREDENTIALS"),
        ),
        (
            "basic",
            list().header("accept", ACCEPT).basic_auth("a", Some("b")),
            (401, "INVALID_CREDENTIALS"),
        ),
        (
            "a foreign token",
            list().header("accept", ACCEPT).bearer_auth("nonsense"),
            (401, "INVALID_CREDENTIALS"),
        ),
        (
            "a foreign box",
            hmrc.list_of(FOREIGN_BOX, ""),
            (403, "FORBIDDEN"),
        ),
        (
            "no box",
            hmrc.list_of("22222222-c37c-4f03-b719-63571333624c", ""),
            (404, "BOX_NOT_FOUND"),
        ),
        ("no UUID", hmrc.list_of("my-box", ""), (400, "BAD_REQUEST")),
        (
            "a slash more",
            path(Method::GET, &format!("{LIST}/")),
            (404, "NOT_FOUND"),
        ),
        (
            "another context",
            path(Method::GET, "/misc/push/box/1/notifications"),
            (404, "NOT_FOUND"),
        ),
        (
            "boxes",
            path(Method::GET, "/misc/push-pull-notification/box"),
            (404, "NOT_FOUND"),
        ),
        (
            "posted",
            path(Method::POST, LIST),
            (405, "METHOD_NOT_ALLOWED"),
        ),
        (
            "deleted",
            path(Method::DELETE, LIST),
            (405, "METHOD_NOT_ALLOWED"),
        ),
    ];
    for (name, request, (status, code)) in cases {
        assert_eq!(
            hmrc.send(request).await.refusal(),
            (status, code.to_owned()),
            "{name}"
        );
    }
    let message = |response: super::response::ApiResponse| {
        response.json()["message"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        message(hmrc.send(hmrc.list_of("my-box", "")).await),
        "Box ID is not a UUID"
    );
    assert_eq!(
        message(hmrc.send(path(Method::GET, "/a/b")).await),
        "URI not found /a/b"
    );
}

#[tokio::test]
async fn a_query_is_refused_for_what_the_service_does_not_read() {
    let hmrc = PpnsClient::start().await;
    for (query, code, message) in [
        (
            "?box=1",
            "INVALID_REQUEST_PAYLOAD",
            "Invalid / Unknown query parameter provided",
        ),
        (
            "?status=PENDING&from_date=2026-01-01",
            "INVALID_REQUEST_PAYLOAD",
            "Invalid / Unknown query parameter provided",
        ),
        (
            "?status=RECEIVED",
            "INVALID_REQUEST_PAYLOAD",
            "Invalid Status parameter provided",
        ),
        (
            "?status=",
            "INVALID_REQUEST_PAYLOAD",
            "Invalid Status parameter provided",
        ),
        (
            "?fromDate=yesterday",
            "INVALID_REQUEST_PAYLOAD",
            "Unparsable DateValue Param provided",
        ),
        (
            "?fromDate=2026-03-02T10:15",
            "INVALID_REQUEST_PAYLOAD",
            "Unparsable DateValue Param provided",
        ),
        (
            "?toDate=2026-03-02T10:15:31%2B01:00",
            "INVALID_REQUEST_PAYLOAD",
            "Unparsable DateValue Param provided",
        ),
        (
            "?toDate=2026-03-02T10:15:31.480+0000",
            "INVALID_REQUEST_PAYLOAD",
            "Unparsable DateValue Param provided",
        ),
        (
            "?count=many",
            "INVALID_REQUEST_PAYLOAD",
            "Invalid Count parameter provided",
        ),
        (
            "?count=-1",
            "INVALID_REQUEST_PAYLOAD",
            "Invalid Count parameter provided",
        ),
        (
            "?count=1.5",
            "INVALID_REQUEST_PAYLOAD",
            "Invalid Count parameter provided",
        ),
        (
            "?count=",
            "INVALID_REQUEST_PAYLOAD",
            "Invalid Count parameter provided",
        ),
        (
            "?fromDate=2026-03-02&toDate=2026-03-01",
            "BAD_REQUEST",
            "fromDate parameter is before toDateParameter",
        ),
        (
            "?fromDate=2026-03-02&toDate=2026-03-02",
            "BAD_REQUEST",
            "fromDate parameter is before toDateParameter",
        ),
    ] {
        let response = hmrc.list(query).await;
        let answer = response.json();
        assert_eq!(
            (
                response.status,
                answer["code"].as_str(),
                answer["message"].as_str()
            ),
            (400, Some(code), Some(message)),
            "{query}"
        );
    }
}

#[tokio::test]
async fn a_status_filter_ignores_case_and_no_filter_lists_all() {
    let hmrc = PpnsClient::start().await;
    let ids = [
        BoxNotificationStatus::Acknowledged,
        BoxNotificationStatus::Pending,
        BoxNotificationStatus::Failed,
        BoxNotificationStatus::Pending,
    ]
    .map(|status| hmrc.add(status));
    for (query, expected) in [
        ("", &[0, 1, 2, 3][..]),
        ("?status=PENDING", &[1, 3]),
        ("?status=pending", &[1, 3]),
        ("?status=Failed", &[2]),
        ("?status=ACKNOWLEDGED", &[0]),
    ] {
        assert_lists(&hmrc, query, &ids, expected).await;
    }
}

/// The list of this query has the ids with these indexes.
async fn assert_lists(hmrc: &PpnsClient, query: &str, ids: &[String], expected: &[usize]) {
    let expected: Vec<String> = expected.iter().map(|n| ids[*n].clone()).collect();
    assert_eq!(hmrc.list(query).await.ids(), expected, "{query}");
}

#[tokio::test]
async fn dates_belong_to_what_they_bound_at_both_ends() {
    let hmrc = PpnsClient::start().await;
    let ids = ["10:00:00.000", "10:00:00.001", "11:00:00.000"].map(|time| {
        let created = Timestamp::parse(&format!("2026-03-02T{time}Z")).unwrap();
        let notification =
            BoxNotification::new(BOX, HmrcMessage::json("1"), &*hmrc.clock).created(created);
        let id = notification.id.clone();
        hmrc.ppns.with(|boxes| boxes.add(notification));
        id
    });
    for (query, expected) in [
        ("?fromDate=2026-03-02T10:00:00.001Z", &[1, 2][..]),
        ("?fromDate=2026-03-02T10:00:00.002", &[2]),
        ("?toDate=2026-03-02T10:00:00.001%2B0000", &[0, 1]),
        ("?toDate=2026-03-02T11:00:00%2B0100", &[0]),
        (
            "?fromDate=2026-03-02T10:00:00Z&toDate=2026-03-02T11:00:00Z",
            &[0, 1, 2],
        ),
        ("?fromDate=2026-03-02&toDate=2026-03-03", &[0, 1, 2]),
        ("?fromDate=2026-03-03", &[]),
    ] {
        assert_lists(&hmrc, query, &ids, expected).await;
    }
}

#[tokio::test]
async fn the_oldest_are_first_and_the_default_count_is_a_hundred() {
    let hmrc = PpnsClient::start().await;
    let mut ids: Vec<String> = (0..250)
        .map(|n| {
            let created = hmrc.clock.now().minus(Duration::from_secs(n));
            let notification =
                BoxNotification::new(BOX, HmrcMessage::json("1"), &*hmrc.clock).created(created);
            let id = notification.id.clone();
            hmrc.ppns.with(|boxes| boxes.add(notification));
            id
        })
        .collect();
    ids.reverse();
    for (query, expected) in [
        ("", 100),
        ("?count=7", 7),
        ("?count=100", 100),
        ("?count=240", 240),
        ("?count=1000", 250),
        ("?count=0", 250),
    ] {
        assert_eq!(hmrc.list(query).await.ids(), ids[..expected], "{query}");
    }
}

#[tokio::test]
async fn acknowledged_ones_hide_newer_ones_from_a_list_without_a_status() {
    let hmrc = PpnsClient::start().await;
    for _ in 0..100 {
        hmrc.add(BoxNotificationStatus::Acknowledged);
    }
    hmrc.clock.pass(Duration::from_secs(1));
    let pending = hmrc.add(BoxNotificationStatus::Pending);
    assert!(!hmrc.list("").await.ids().contains(&pending));
    assert_eq!(hmrc.list("?status=PENDING").await.ids(), [pending]);
}

#[tokio::test]
async fn nothing_can_be_had_for_more_than_30_days() {
    let mut hmrc = PpnsClient::start().await;
    let id = hmrc.add(BoxNotificationStatus::Failed);
    hmrc.clock.pass(Duration::from_secs(30 * 24 * 60 * 60 - 1));
    hmrc.token = hmrc.token_for(READ_SCOPE).await; // the first has long expired
    assert_eq!(
        hmrc.list("?status=FAILED").await.ids(),
        [id],
        "30 days to the second"
    );
    assert_eq!(
        hmrc.list("?status=FAILED").await.text,
        "[]",
        "a second later"
    );
}

#[tokio::test]
async fn three_calls_a_second_are_taken_from_one_application_and_no_more() {
    let hmrc = PpnsClient::start().await;
    let list = || {
        hmrc.request(Method::GET, LIST)
            .bearer_auth(&hmrc.token)
            .header("accept", ACCEPT)
    };
    for (pass_ms, expected) in [
        (1000, 200),
        (0, 200),
        (999, 200),
        (0, 429),
        (0, 429),
        (1, 200),
        (0, 200),
        (0, 429),
    ] {
        hmrc.clock.pass(Duration::from_millis(pass_ms));
        let response = send(list()).await.unwrap();
        assert_eq!(response.status, expected);
        if expected == 429 {
            assert_eq!(response.refusal().1, "MESSAGE_THROTTLED_OUT");
        }
    }
    let lists = hmrc.ppns.calls().to(PpnsEndpoint::List);
    assert_eq!((lists.len(), lists.max_calls_per_second()), (8, 6));
    assert_eq!(
        hmrc.ppns.smallest_gap_between_lists(BOX),
        Some(Duration::ZERO)
    );
    assert_eq!(hmrc.ppns.smallest_gap_between_lists(FOREIGN_BOX), None);
}

#[tokio::test]
async fn an_element_that_can_not_be_read_stands_among_good_ones() {
    let hmrc = PpnsClient::start().await;
    for flaw in [
        ListDefect::NoId,
        ListDefect::BrokenDate,
        ListDefect::MessageNotText,
    ] {
        let flawed =
            BoxNotification::new(BOX, HmrcMessage::json("1"), &*hmrc.clock).with_defect(flaw);
        hmrc.ppns.with(|boxes| boxes.add(flawed));
    }
    let good = hmrc.add(BoxNotificationStatus::Pending);
    let list = hmrc.list("?status=PENDING").await.json();
    assert_eq!(list.as_array().unwrap().len(), 4);
    assert!(list[0].get("notificationId").is_none() && list[0]["boxId"] == BOX);
    assert_eq!(list[1]["createdDateTime"], "yesterday");
    assert!(list[2]["message"].is_object());
    assert_eq!(list[3]["notificationId"], good);
}
