//! Every text of a sender is escaped.

use super::{TestConsole, assert_tame, page_of, paid};
use pillarbox::senders::{
    SenderKind,
    example::{NOW, entry},
};

#[tokio::test]
async fn the_text_of_a_sender_never_becomes_markup() {
    let readable = format!(
        r#"{{"webhook_message_id":"m1","created_date":"{NOW}","resource_id":"<b>\"'",
            "event_type":"<script>","x":"{}"}}"#,
        "<script>\u{202e}"
    );
    let readable = entry(SenderKind::GOVUK_PAY, "pay", readable.into());
    let unreadable = entry(
        SenderKind::GOVUK_PAY,
        "pay",
        "<script>\u{202e}\u{1b}[2J\0".into(),
    );
    let console = TestConsole::with(&[readable.clone(), unreadable.clone()]).await;
    let list = console.get("/notifications").await;
    assert!(list.shows("&#60;script&#62;") && list.shows("&#60;b&#62;&#34;&#39;"));
    assert_tame(&list, "the list");
    for (entry, shown) in [
        (&readable, r"&#60;script&#62;\u{202e}"),
        (&unreadable, r"\u{202e}\u{1b}[2J\u{0}"),
    ] {
        let address = format!("{}/show", page_of(&entry.key));
        let page = console.submit(&address, "bytes=exact").await;
        assert!(page.shows(shown), "{shown}");
        assert_tame(&page, entry.key.as_str());
    }
    let reflected = console
        .get("/notifications?subject=%22%3E%3Cscript%3E%E2%80%AE")
        .await;
    assert_tame(&reflected, "the form");
}

#[tokio::test]
async fn every_stored_text_is_made_visible_and_escaped() {
    let console = TestConsole::with(&[paid("m1")]).await;
    for column in [
        "event_type",
        "subject",
        "reason",
        "last_error",
        "key_label",
        "signature",
    ] {
        console.tamper(&format!(
            "UPDATE notification SET {column} = '<script>{column}\u{202e}\u{1b}[2J'"
        ));
        let page = console.get("/notifications/pay:m1").await;
        let shown = format!(r"&#60;script&#62;{column}\u{{202e}}\u{{1b}}[2J");
        assert!(page.shows(&shown), "{column}");
        assert_tame(&page, column);
        assert_tame(&console.get("/notifications").await, column);
    }
}
