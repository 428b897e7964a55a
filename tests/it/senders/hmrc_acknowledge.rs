//! `PUT …/notifications/acknowledge`.

use reqwest::Method;
use sender_simulator::{
    apis::ppns::{BoxNotification, BoxNotificationStatus, PpnsEndpoint, StatusCounts},
    hmrc::HmrcMessage,
};

use super::hmrc::{ACCEPT, BOX, FOREIGN_BOX, PpnsClient, body_of};

const UNKNOWN: &str = "33333333-8096-40d1-87ef-9a2a103eeb85";

#[tokio::test]
async fn what_is_acknowledged_is_done_with_and_may_be_so_again() {
    let hmrc = PpnsClient::start().await;
    let ids = [
        BoxNotificationStatus::Pending,
        BoxNotificationStatus::Failed,
        BoxNotificationStatus::Acknowledged,
    ]
    .map(|status| hmrc.add(status));
    let untouched = hmrc.add(BoxNotificationStatus::Pending);
    for _ in 0..2 {
        let response = hmrc.acknowledge(body_of(&ids)).await;
        assert_eq!((response.status, response.text.as_str()), (204, ""));
    }
    assert!(
        ids.iter()
            .all(|id| hmrc.status(id) == BoxNotificationStatus::Acknowledged)
    );
    assert_eq!(hmrc.list("?status=PENDING").await.ids(), [untouched]);
    assert_eq!(
        hmrc.ppns.with(|boxes| boxes.count_by_status()),
        StatusCounts {
            pending: 1,
            acknowledged: 3,
            failed: 0
        }
    );
    assert_eq!(
        hmrc.ppns.calls().acknowledged(),
        [&ids[..], &ids[..]].concat()
    );
}

#[tokio::test]
async fn unknown_and_foreign_ids_are_passed_over_in_silence() {
    let hmrc = PpnsClient::start().await;
    let own = hmrc.add(BoxNotificationStatus::Pending);
    let foreign = BoxNotification::new(FOREIGN_BOX, HmrcMessage::json("1"), &*hmrc.clock);
    let foreign_id = foreign.id.clone();
    hmrc.ppns.with(|boxes| boxes.add(foreign));
    let ids = [
        own.to_ascii_uppercase(),
        foreign_id.clone(),
        UNKNOWN.to_owned(),
    ];
    assert_eq!(hmrc.acknowledge(body_of(&ids)).await.status, 204);
    assert_eq!(
        (hmrc.status(&own), hmrc.status(&foreign_id)),
        (
            BoxNotificationStatus::Acknowledged,
            BoxNotificationStatus::Pending
        )
    );
}

#[tokio::test]
async fn a_body_with_anything_wrong_acknowledges_nothing() {
    let hmrc = PpnsClient::start().await;
    let id = hmrc.add(BoxNotificationStatus::Pending);
    let others: Vec<String> = (0..100)
        .map(|n| format!("00000000-0000-4000-8000-{n:012}"))
        .collect();
    let too_many = [std::slice::from_ref(&id), &others[..]].concat();
    for body in [
        String::new(),
        "[]".to_owned(),
        "{}".to_owned(),
        format!("[\"{id}\"]"),
        format!(r#"{{"notificationIds":"{id}"}}"#),
        format!(r#"{{"notificationIds":["{id}",7]}}"#),
        format!(r#"{{"notificationIds":["{id}""#),
        body_of(&[""; 0]),
        body_of(&[&id, "no-uuid"]),
        body_of(&[&id, &id]),
        body_of(&[&id, UNKNOWN, UNKNOWN]),
        body_of(&too_many),
    ] {
        let response = hmrc.acknowledge(body.clone()).await;
        assert_eq!(
            response.refusal(),
            (400, "INVALID_REQUEST_PAYLOAD".to_owned()),
            "{body}"
        );
        assert_eq!(
            response.json()["message"],
            "JSON body is invalid against expected format"
        );
        assert_eq!(hmrc.status(&id), BoxNotificationStatus::Pending, "{body}");
    }
    assert_eq!(hmrc.ppns.calls().acknowledged(), [""; 0]);
    assert_eq!(
        hmrc.acknowledge(body_of(&too_many[..100])).await.status,
        204,
        "a hundred are taken"
    );
    assert_eq!(hmrc.status(&id), BoxNotificationStatus::Acknowledged);
}

#[tokio::test]
async fn the_request_around_the_body_must_be_right_too() {
    let mut hmrc = PpnsClient::start().await;
    let id = hmrc.add(BoxNotificationStatus::Pending);
    let body = body_of(&[&id]);
    let json = "application/json";
    let acknowledgement =
        |box_id: &str, kind: &str| hmrc.acknowledgement(box_id).header("content-type", kind);
    let padded = |bytes: usize| format!("{body}{}", " ".repeat(bytes - body.len()));
    let bare = hmrc.request(
        Method::PUT,
        &format!("/misc/push-pull-notification/box/{BOX}/notifications/acknowledge"),
    );
    let cases = [
        (
            "form",
            acknowledgement(BOX, "application/x-www-form-urlencoded").body(body.clone()),
            (415, "BAD_REQUEST"),
        ),
        (
            "untyped",
            hmrc.acknowledgement(BOX).body(body.clone()),
            (415, "BAD_REQUEST"),
        ),
        (
            "too long",
            acknowledgement(BOX, json).body(padded(100 * 1024 + 1)),
            (413, "UNKNOWN_ERROR"),
        ),
        (
            "a foreign box",
            acknowledgement(FOREIGN_BOX, json).body(body.clone()),
            (403, "FORBIDDEN"),
        ),
        (
            "no box",
            acknowledgement(UNKNOWN, json).body(body.clone()),
            (404, "BOX_NOT_FOUND"),
        ),
        (
            "no UUID",
            acknowledgement("box", json).body(body.clone()),
            (400, "BAD_REQUEST"),
        ),
        (
            "no accept",
            bare.try_clone()
                .unwrap()
                .bearer_auth(&hmrc.token)
                .header("content-type", json)
                .body(body.clone()),
            (406, "ACCEPT_HEADER_INVALID"),
        ),
        (
            "no token",
            bare.header("accept", ACCEPT).body(body.clone()),
            (401, "MISSING_CREDENTIALS"),
        ),
    ];
    for (name, request, (status, code)) in cases {
        assert_eq!(
            hmrc.send(request).await.refusal(),
            (status, code.to_owned()),
            "{name}"
        );
        assert_eq!(hmrc.status(&id), BoxNotificationStatus::Pending, "{name}");
    }
    hmrc.token = hmrc.token_for("read:pull-notifications").await;
    assert_eq!(
        hmrc.acknowledge(body.clone()).await.refusal(),
        (403, "INVALID_SCOPE".to_owned())
    );

    hmrc.token = hmrc.token_for("write:notifications").await;
    for kind in [
        "application/json",
        "text/json",
        "Application/JSON; charset=utf-8",
    ] {
        let request = hmrc
            .acknowledgement(BOX)
            .header("content-type", kind)
            .body(body.clone());
        assert_eq!(hmrc.send(request).await.status, 204, "{kind}");
    }
    let longest = format!("{body}{}", " ".repeat(100 * 1024 - body.len()));
    assert_eq!(hmrc.acknowledge(longest).await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_acknowledgements_at_once_lose_nothing_and_never_see_half_of_one() {
    const PAIRS: usize = 40;
    let hmrc = PpnsClient::start().await;
    hmrc.ppns.with(|boxes| boxes.set_rate_limit(usize::MAX));
    let ids: Vec<String> = (0..2 * PAIRS)
        .map(|_| hmrc.add(BoxNotificationStatus::Pending))
        .collect();
    let acknowledging = ids.chunks(2).map(|pair| hmrc.acknowledge(body_of(pair)));
    let listing = (0..PAIRS).map(|_| hmrc.list("?status=PENDING"));
    let (acknowledged, lists) = tokio::join!(
        futures_util::future::join_all(acknowledging),
        futures_util::future::join_all(listing)
    );

    assert!(acknowledged.iter().all(|response| response.status == 204));
    for list in lists {
        let seen = list.ids();
        let halves = ids
            .chunks(2)
            .filter(|pair| seen.contains(&pair[0]) != seen.contains(&pair[1]))
            .count();
        assert_eq!(halves, 0);
    }
    assert_eq!(hmrc.list("?status=PENDING").await.text, "[]");
    let mut named = hmrc.ppns.calls().acknowledged();
    named.sort();
    let mut expected = ids;
    expected.sort();
    assert_eq!(named, expected);
    assert_eq!(hmrc.ppns.calls().to(PpnsEndpoint::List).len(), PAIRS + 1);
}
