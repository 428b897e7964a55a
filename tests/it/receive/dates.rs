//! The acceptance window for a signed date, and the accepted formats.

use std::time::Duration;

use pillarbox::domain::Timestamp;

use test_support::{
    message::{both, with},
    server::{AHEAD, NOW, Server, WINDOW},
};

const MS: Duration = Duration::from_millis(1);

#[tokio::test]
async fn a_date_outside_the_window_is_held_as_stale_to_the_millisecond() {
    let server = Server::start().await;
    let (oldest, newest) = (NOW.minus(WINDOW), NOW.plus(AHEAD));
    for source in both() {
        for (at, outcome) in [
            (oldest.minus(MS), "held stale"),
            (oldest, "recorded"),
            (oldest.plus(MS), "recorded"),
            (NOW, "recorded"),
            (newest.minus(MS), "recorded"),
            (newest, "recorded"),
            (newest.plus(MS), "held stale"),
            (Timestamp::from_millis(0), "held stale"),
            (Timestamp::from_millis(-1), "held stale"),
            (Timestamp::from_millis(253_402_128_000_000), "held stale"),
        ] {
            let id = at.as_millis().to_string();
            let key = format!("{}:{id}", source.name);
            server
                .keeps(&source, source.message(&id, at), outcome, &key)
                .await;
            assert_eq!(server.row(&key).await.unwrap().event_at, Some(at));
            let again = server.post(&source, source.message(&id, at)).await;
            assert_eq!(again.body, r#"{"status":"duplicate"}"#, "{key}");
        }
    }
}

#[tokio::test]
async fn dates_are_read_in_every_form_the_senders_have_used() {
    let server = Server::start().await;
    for source in both() {
        let forms = [
            "2026-03-02T10:15:31.480+0000",
            "2026-03-02T10:15:31.000+0000",
            "2026-03-02T10:15:31.480123456+0000",
            "2026-03-02T10:15:31.480123Z",
            "2026-03-02T10:15:31.480Z",
            "2026-03-02T10:15:31Z",
            "2026-03-02T11:15:31.480+01:00",
            "2026-03-02T10:15:31.480",
            "2026-02-28T23:59:60Z",
        ];
        for (index, form) in forms.iter().enumerate() {
            let body = with(
                &source.message(&format!("n{index}"), NOW),
                &NOW.to_string(),
                form,
            );
            server.records(&source, body, &format!("n{index}")).await;
        }
    }
}

#[tokio::test]
async fn a_date_that_is_absent_or_none_is_unreadable() {
    let server = Server::start().await;
    for source in both() {
        let field = if source.name == "pay" {
            "created_date"
        } else {
            "createdDateTime"
        };
        for (index, date) in [
            format!(r#""{field}":null"#),
            format!(r#""{field}":1772446531480"#),
            format!(r#""{field}":"1772446531480""#),
            format!(r#""{field}":"""#),
            format!(r#""{field}":"soon""#),
            format!(r#""{field}":"2026-03-02""#),
            format!(r#""{field}":"2026-02-30T10:15:31Z""#),
            format!(r#""{field}":"Mon, 02 Mar 2026 10:15:31 GMT""#),
            format!(r#""{field}":"+999999-03-02T10:15:31Z""#),
            format!(r#""{field}":["{NOW}"]"#),
            format!(r#""{}":"{NOW}""#, field.to_uppercase()),
        ]
        .into_iter()
        .enumerate()
        {
            let plain = source.message(&format!("n{index}"), NOW);
            let body = with(&plain, &format!(r#""{field}":"{NOW}""#), &date);
            server.holds_unreadable(&source, &body).await;
        }
    }
}
