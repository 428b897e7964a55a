//! The page of a row.

use super::{TestConsole, page_of, paid};
use pillarbox::{
    inbox::{DiscardRequest, OperatorInbox},
    senders::example::NOW,
};

#[tokio::test]
async fn a_row_leads_to_all_that_is_stored_of_it() {
    let entry = paid("a:b%c/d");
    let console = TestConsole::with(std::slice::from_ref(&entry)).await;
    let address = page_of(&entry.key);
    assert_eq!(address, "/notifications/pay%3Aa%253Ab%2525c%252Fd");
    assert!(
        console
            .get("/notifications")
            .await
            .shows(&format!("href=\"{address}\""))
    );
    let page = console.get(&address).await;
    assert_eq!(page.status, 200);
    for text in [
        "pay:a%3Ab%25c%2Fd",
        "<dd>a:b%c/d</dd>",
        "Payment captured, recorded: pay:",
        "card_payment_captured",
        "1:env:TEST",
        &hex::encode(entry.digest),
        entry.signature.as_deref().unwrap(),
    ] {
        assert!(page.shows(text), "{text}");
    }
}

#[tokio::test]
async fn a_notification_that_is_not_there_is_not_found() {
    let entry = paid("m1");
    let console = TestConsole::with(std::slice::from_ref(&entry)).await;
    for target in [
        "/notifications/pay:m2",
        "/notifications/pay:m2/fixture",
        "/notifications/none",
        "/notifications/%ff",
    ] {
        let answer = console.get(target).await;
        assert_eq!(
            (answer.status, answer.shows("Notification not found")),
            (404, true),
            "{target}"
        );
    }
    for target in ["/none", "/notifications/", "//", "/notifications/pay:m1/"] {
        let answer = console.get(target).await;
        assert_eq!(
            (answer.status, answer.shows("Page not found")),
            (404, true),
            "{target}"
        );
    }
}

#[tokio::test]
async fn erased_bytes_are_said_to_be_erased() {
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
    for answer in [fixture, raw] {
        assert_eq!(
            (answer.status, answer.shows("The bytes have been erased")),
            (404, true)
        );
    }
    let page = console
        .submit(&format!("{address}/show"), "bytes=hex")
        .await;
    assert_eq!(
        (page.status, page.shows("The bytes have been erased")),
        (200, true)
    );
}

#[tokio::test]
async fn a_repeat_links_to_what_came_first() {
    let console = TestConsole::with(&[paid("m1")]).await;
    console.tamper("UPDATE notification SET state = 'repeat', reason = 'pay:a%3Ab'");
    let page = console.get("/notifications/pay:m1").await;
    assert!(page.shows(r#"It came first as <a href="/notifications/pay%3Aa%253Ab">pay:a%3Ab</a>"#));
}

#[tokio::test]
async fn bytes_that_were_damaged_are_not_passed_off_as_received() {
    let console = TestConsole::with(&[paid("m1")]).await;
    console.tamper("UPDATE notification SET digest = zeroblob(32)");
    let raw = console.submit("/notifications/pay:m1/raw", "").await;
    assert_eq!(raw.status, 503);
    let page = console.get("/notifications/pay:m1").await;
    assert!(page.shows("do not match their digest") && page.shows("broken</strong>"));
}
