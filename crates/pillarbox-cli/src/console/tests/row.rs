//! The page of a row.

use super::{TestConsole, page_of, paid};
use pillarbox::{
    inbox::{DiscardRequest, OperatorInbox},
    senders::example::NOW,
};

#[tokio::test]
async fn the_page_of_a_row_shows_everything_stored_about_it() {
    let entry = paid("a:b%c/d");
    let console = TestConsole::with(std::slice::from_ref(&entry)).await;
    let address = page_of(&entry.key);
    assert_eq!(address, "/notifications/pay%3Aa%253Ab%2525c%252Fd");
    let list = console.get("/notifications").await;
    list.assert_shows(&[&format!("href=\"{address}\"")]);
    let page = console.get(&address).await;
    assert_eq!(page.status, 200);
    page.assert_shows(&[
        "pay:a%3Ab%25c%2Fd",
        "<dd>a:b%c/d</dd>",
        "Payment captured, recorded: pay:",
        "card_payment_captured",
        "1:env:TEST",
        &hex::encode(entry.digest),
        entry.signature.as_deref().unwrap(),
    ]);
}

#[tokio::test]
async fn a_missing_notification_is_not_found() {
    let entry = paid("m1");
    let console = TestConsole::with(std::slice::from_ref(&entry)).await;
    for target in [
        "/notifications/pay:m2",
        "/notifications/pay:m2/fixture",
        "/notifications/none",
        "/notifications/%ff",
    ] {
        let answer = console.get(target).await;
        answer.assert_page(404, "Notification not found", target);
    }
    for target in ["/none", "/notifications/", "//", "/notifications/pay:m1/"] {
        let answer = console.get(target).await;
        answer.assert_page(404, "Page not found", target);
    }
}

#[tokio::test]
async fn a_page_shows_that_bytes_have_been_erased() {
    let entry = paid("m1");
    let console = TestConsole::with(std::slice::from_ref(&entry)).await;
    let erase = DiscardRequest {
        erase: true,
        now: NOW,
        expires_at: NOW,
    };
    console.inbox.discard(&entry.key, &erase).await.unwrap();
    let address = page_of(&entry.key);
    let fixture = console.get(&format!("{address}/fixture")).await;
    let raw = console.submit(&format!("{address}/raw"), "").await;
    let page = console
        .submit(&format!("{address}/show"), "bytes=hex")
        .await;
    for (answer, status) in [(fixture, 404), (raw, 404), (page, 200)] {
        answer.assert_page(status, "The bytes have been erased", &answer.head);
    }
}

#[tokio::test]
async fn a_repeat_links_to_the_first_notification() {
    let console = TestConsole::with(&[paid("m1")]).await;
    console.tamper("UPDATE notification SET state = 'repeat', reason = 'pay:a%3Ab'");
    let page = console.get("/notifications/pay:m1").await;
    assert!(
        page.shows(
            r#"It was first received as <a href="/notifications/pay%3Aa%253Ab">pay:a%3Ab</a>"#
        )
    );
}

#[tokio::test]
async fn damaged_bytes_are_not_shown_as_received() {
    let console = TestConsole::with(&[paid("m1")]).await;
    console.tamper("UPDATE notification SET digest = zeroblob(32)");
    let raw = console.submit("/notifications/pay:m1/raw", "").await;
    assert_eq!(raw.status, 503);
    let page = console.get("/notifications/pay:m1").await;
    assert!(page.shows("do not match their digest") && page.shows("broken</strong>"));
}
