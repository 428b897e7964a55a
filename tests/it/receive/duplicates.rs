//! A repeated id: with the same content, with other content, at another source, and concurrently.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::sync::Barrier;

use test_support::{
    client::DEADLINE,
    message::{both, hmrc, hmrc_too, pay, pay_too, payment, with},
    request::RawRequest,
    server::{NOW, RecordingDestination, Server},
};

#[tokio::test]
async fn the_same_id_is_a_duplicate_or_a_conflict_by_what_its_sender_can_not_change() {
    let server = Server::start().await;
    for (source, part, may_change, may_not) in [
        (
            hmrc(),
            r#""status":"PENDING""#,
            r#""status":"FAILED""#,
            (r#"\"n\":1"#, r#"\"n\":2"#),
        ),
        (
            pay(),
            "5000",
            r#"5000,"state":"later""#,
            ("card_payment_captured", "card_payment_refunded"),
        ),
    ] {
        let (first, key) = (source.message("n1", NOW), format!("{}:n1", source.name));
        server.keeps(&source, &first, "recorded", &key).await;
        let duplicate = r#"{"status":"duplicate"}"#;
        assert_eq!(server.post(&source, &first).await.body, duplicate);
        assert_eq!(
            server
                .post(&source, with(&first, part, may_change))
                .await
                .body,
            duplicate
        );
        assert_eq!(
            server
                .keys()
                .await
                .iter()
                .filter(|stored| stored.starts_with(&key))
                .count(),
            1
        );

        let other = with(&first, may_not.0, may_not.1);
        assert_eq!(
            server.post(&source, &other).await.body,
            r#"{"status":"held"}"#
        );
        assert_eq!(
            server.post(&source, &other).await.body,
            duplicate,
            "a conflict is kept once"
        );
        let keys = server.keys().await;
        let conflict = keys
            .iter()
            .find(|stored| stored.starts_with(&format!("{key}~")))
            .unwrap();
        assert_eq!(conflict.len(), key.len() + 1 + 8);
        server.has(&source, &other, "held conflict", conflict).await;
        server.has(&source, &first, "recorded", &key).await;
    }
}

#[tokio::test]
async fn the_same_id_at_another_source_is_another_notification() {
    let server = Server::start().await;
    for (source, other) in [(hmrc(), hmrc_too()), (pay(), pay_too())] {
        let body = source.message("n1", NOW);
        for source in [&source, &other] {
            server.records(source, &body, "n1").await;
        }
    }
    assert_eq!(server.keys().await.len(), 4);
}

#[tokio::test]
async fn a_thousand_identical_posts_at_once_are_one_row() {
    const CONNECTIONS: usize = 250;
    const POSTS: usize = 4;
    let server = Server::start().await;
    for source in both() {
        let body = source.message("n1", NOW);
        let bytes = RawRequest::post(&source, &body).bytes();
        let start = Arc::new(Barrier::new(CONNECTIONS));
        let posts = (0..CONNECTIONS).map(async |_| {
            let mut client = server.client().await;
            start.wait().await;
            let mut bodies = Vec::new();
            for _ in 0..POSTS {
                bodies.push(client.send(&bytes).await.body);
            }
            bodies
        });
        let bodies = join_all(posts).await.concat();
        let count = |body: &str| bodies.iter().filter(|found| *found == body).count();
        assert_eq!(count(r#"{"status":"recorded"}"#), 1);
        assert_eq!(count(r#"{"status":"duplicate"}"#), CONNECTIONS * POSTS - 1);
        server
            .has(&source, &body, "recorded", &format!("{}:n1", source.name))
            .await;
    }
    assert_eq!(server.keys().await, ["hmrc:n1", "pay:n1"]);
}

#[tokio::test]
async fn a_pay_event_under_a_second_id_is_recorded_and_not_delivered_again() {
    let delivered = RecordingDestination::default();
    let server = Server::with(&both(), delivered.clone()).await;
    let ids = ["n1", "n2", "n3", "n4"];
    let posts = ids.map(async |id| {
        let body = with(&pay().message(id, NOW), &payment(id), &payment("n1"));
        server.post(&pay(), body).await
    });
    for answer in join_all(posts).await {
        assert_eq!(answer.body, r#"{"status":"recorded"}"#);
    }
    let states = || async {
        let rows = join_all(
            ids.iter()
                .map(async |id| server.row(&format!("pay:{id}")).await.unwrap()),
        )
        .await;
        rows.iter()
            .map(|row| row.state.as_str())
            .collect::<Vec<_>>()
    };
    let settled = async {
        while states().await.contains(&"recorded") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, settled)
        .await
        .expect("all four end");
    let states = states().await;
    assert_eq!(
        states.iter().filter(|state| **state == "delivered").count(),
        1,
        "{states:?}"
    );
    assert_eq!(
        states.iter().filter(|state| **state == "repeat").count(),
        3,
        "{states:?}"
    );
    assert_eq!(delivered.0.lock().unwrap().len(), 1);
    server.stop().await;
}
