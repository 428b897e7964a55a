//! The first page, its charts and the search.

use super::{TestConsole, assert_tame, paid};
use pillarbox::{
    domain::{Clock, SystemClock},
    inbox::ReceiveInbox,
    senders::example::{NOW, hmrc, pay},
};

#[tokio::test]
async fn charts_have_their_figures_as_tables_and_say_where_they_come_from() {
    let console = TestConsole::start().await;
    let now = SystemClock.now();
    for nth in 0..3 {
        let mut entry = paid(&format!("m{nth}"));
        entry.received_at = now;
        console.inbox.record(&entry).await.unwrap();
    }
    let charts = console.get("/charts").await;
    assert_eq!(charts.status, 200);
    charts.assert_shows(&[
        r#"<svg class="chart""#,
        "The last 24 hours as a table",
        "The last 30 days as a table",
        "order of the rows",
        "Nothing has been answered yet",
        r#"<td class="number">3</td>"#,
    ]);
    assert!(!charts.shows("style="));
}

#[tokio::test]
async fn the_first_page_shows_what_needs_a_person_with_links_to_lists() {
    let console = TestConsole::with(&[paid("m1")]).await;
    console.tamper(&format!(
        "UPDATE notification SET received_at = {}",
        SystemClock.now().as_millis()
    ));
    let well = console.get("/").await;
    assert_eq!(well.status, 200);
    well.assert_shows(&[
        "<title>Nothing needs you – Pillarbox</title>",
        r#"<h1 id="needs">Nothing needs you</h1>"#,
        r#"href="/notifications?state=recorded""#,
        r#"href="/notifications?source=pay""#,
        "Nothing yet",
    ]);
    console.tamper("UPDATE notification SET state = 'dead', shelf = 'dead:0', reason = '<script>'");
    let needs = console.get("/").await;
    needs.assert_shows(&[
        "<title>1 thing needs you – Pillarbox</title>",
        r#"<a href="/notifications?state=dead">1 notification is dead</a>"#,
        "pillarbox list --state dead",
    ]);
    assert_eq!(console.get("/notifications?state=dead").await.rows(), 1);
}

#[tokio::test]
async fn a_search_redirects_to_a_single_result_or_lists_several() {
    let console = TestConsole::with(&[
        paid("m1"),
        pay("m2", "payment-m1", "card_payment_refunded", NOW),
        paid("m11"),
        hmrc("n1", "{}"),
    ])
    .await;
    for (query, target) in [
        ("payment-m11", "/payments/pay/payment%2Dm11"),
        ("pay%3Am11", "/payments/pay/payment%2Dm11"),
        ("hmrc:n1", "/notifications/hmrc%3An1"),
    ] {
        let found = console.get(&format!("/search?q={query}")).await;
        assert_eq!(found.status, 303, "{query}");
        let location = format!("location: {}\r\n", target.to_lowercase());
        assert!(found.head.contains(&location), "{}", found.head);
        assert_eq!(console.get(target).await.status, 200, "{target}");
    }
    let page = console.get("/payments/pay/payment-m1").await;
    page.assert_shows(&[
        "Payment captured",
        "Payment refunded",
        "/notifications/pay%3Am2",
    ]);
    for (query, text) in [
        ("x", "Enter at least 3 characters"),
        ("", "Enter at least 3 characters"),
        ("nothing-like-it", "Nothing matches"),
        ("%3Cscript%3E%E2%80%AE", r"&#60;script&#62;\u{202e}"),
    ] {
        let page = console.get(&format!("/search?q={query}")).await;
        page.assert_page(200, text, query);
        assert_tame(&page, query);
    }
    let long = console.get(&format!("/search?q={}", "x".repeat(600))).await;
    assert!(long.shows("Enter at most 500 characters"));
    for target in [
        "/payments/pay/none",
        "/payments/P/none",
        "/payments/pay/%ff",
    ] {
        assert_eq!(console.get(target).await.status, 404, "{target}");
    }
}
