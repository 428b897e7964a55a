//! The list of notifications.

use super::{TestConsole, paid};
use pillarbox::{
    inbox::ReceiveInbox,
    senders::{
        SenderKind,
        example::{entry, hmrc},
    },
};

#[tokio::test]
async fn the_list_shows_each_notification_in_words() {
    let console = TestConsole::with(&[
        paid("m1"),
        hmrc("n1", "{}"),
        entry(SenderKind::GOVUK_PAY, "pay", "no JSON".into()),
    ])
    .await;
    let list = console.get("/notifications").await;
    assert_eq!((list.status, list.rows()), (200, 3));
    list.assert_shows(&[
        "<title>3 notifications – Pillarbox</title>",
        "<caption>3 notifications. Latest at the top, times in UTC.</caption>",
        "Payment captured",
        "HMRC notification",
        "payment-m1",
        "2026-03-02T10:15:31.480Z",
        r#"<strong class="tag held">held</strong>"#,
        "unreadable",
        r#"<html lang="en" class="theme-system">"#,
        "Not a government service",
    ]);
    let position = |text| list.text().find(text);
    assert!(
        position("unreadable") < position("payment-m1"),
        "newest first"
    );
}

#[tokio::test]
async fn an_empty_list_says_how_to_get_the_first_notification() {
    let console = TestConsole::start().await;
    let empty = console.get("/notifications").await;
    assert_eq!(empty.status, 200);
    empty.assert_shows(&[
        "pillarbox send pay",
        "<title>0 notifications – Pillarbox</title>",
    ]);
    let narrowed = console.get("/notifications?state=dead").await;
    assert!(narrowed.shows("No notifications match") && !narrowed.shows("pillarbox send pay"));
    assert!(narrowed.shows("<title>0 dead notifications – Pillarbox</title>"));
}

#[tokio::test]
async fn a_filter_in_the_address_narrows_the_list_and_fills_the_form() {
    let console = TestConsole::with(&[paid("m1"), paid("m2"), hmrc("n1", "{}")]).await;
    for (query, rows) in [
        ("source=pay", 2),
        ("source=pay&state=recorded", 2),
        ("state=open&type=notification", 1),
        ("subject=payment-m2", 1),
        ("state=held", 0),
        ("source=&state=&type=&subject=", 3),
    ] {
        let list = console.get(&format!("/notifications?{query}")).await;
        assert_eq!(list.rows(), rows, "{query}");
    }
    let one = console
        .get("/notifications?source=pay&state=recorded&subject=payment-m2")
        .await;
    one.assert_shows(&[
        "<title>1 recorded notification – Pillarbox</title>",
        r#"<option value="recorded" selected>"#,
        r#"value="payment-m2""#,
    ]);
    let unknown = console.get("/notifications?state=lost").await;
    unknown.assert_page(400, "Unknown state", "state=lost");
}

#[tokio::test]
async fn a_link_leads_to_older_notifications_and_none_is_missed() {
    let entries: Vec<_> = (0..51)
        .map(|n| paid(&format!("m{n}")))
        .chain([hmrc("n1", "{}")])
        .collect();
    let console = TestConsole::with(&entries).await;
    let newest = console.get("/notifications?source=pay").await;
    assert_eq!(newest.rows(), 50);
    assert!(newest.shows("<title>Newest 50 notifications – Pillarbox</title>"));
    // A row that arrives meanwhile must not push another from one page to the next.
    console.inbox.record(&paid("late")).await.unwrap();
    let older = console.get(&newest.link("Older notifications")).await;
    assert_eq!(older.rows(), 1);
    assert!(older.shows("payment-m0<") && !older.shows("payment-m1<"));
    let newest = older.link("Newest notifications");
    assert_eq!(newest, "/notifications?source=pay");
    assert!(!older.shows("Older notifications"));
}
