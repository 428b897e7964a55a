//! The page of one notification, with hostile content.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::super::tests::{TestConsole, TestResponse, assert_tame, page_of, settings};
use super::*;
use crate::console::{ConsoleAccess, ConsoleSettings};
use pillarbox::{
    domain::Clock,
    inbox::{AuditAction, AuditInbox, ReceiveInbox},
    senders::{
        Entry, SenderKind,
        example::{NOW, entry, hmrc, pay},
    },
};

const PAY: &str = include_str!("../../../../../events/bodies/pay-captured.json");
const MODEL: &str = include_str!("../../../../../events/http-api/pay-captured.json");
const MASKED: [&str; 7] = [
    "a.tester@example.com",
    "C-1029",
    "PILLARBOX-TEST",
    "Leeds",
    "A Tester",
    "4242",
    "LS1 1AA",
];

/// A notification of Pay with every field, and a date for which it is not held.
fn card_payment() -> Entry {
    let body = PAY.replace("2026-11-25T03:00:00.000Z", &NOW.to_string());
    entry(SenderKind::GOVUK_PAY, "pay", body.into())
}

async fn console_with(entry: &Entry, access: ConsoleAccess) -> TestConsole {
    let console = TestConsole::start_with(settings(access)).await;
    console.inbox.record(entry).await.unwrap();
    console
}

/// The number of the field at `path`, from its button.
fn number_of(page: &TestResponse, path: &str) -> String {
    let end = format!("<span class=\"hidden\"> {path}</span>");
    let found = page.text().split_once(&end);
    let (before, _) = found.unwrap_or_else(|| panic!("{path}"));
    let (_, value) = before.rsplit_once("value=\"").unwrap();
    value.split('"').next().unwrap().to_owned()
}

fn hides_all(page: &TestResponse) -> bool {
    let text = String::from_utf8_lossy(&page.body);
    MASKED.iter().all(|hidden| !text.contains(hidden))
}

/// The audited fields, in order.
async fn unmasked(console: &TestConsole) -> Vec<String> {
    let entries = console.inbox.audit_entries(None, 100).await.unwrap();
    let entries = entries.into_iter().rev();
    let targets = entries.map(|entry| {
        assert_eq!(entry.action, AuditAction::Unmask);
        entry.target
    });
    targets.collect()
}

#[tokio::test]
async fn personal_fields_are_shown_one_by_one_for_one_view_and_audited() {
    let entry = card_payment();
    let console = console_with(&entry, ConsoleAccess::Changes).await;
    let address = page_of(&entry.key);
    let hidden = console.get(&address).await;
    assert!(hides_all(&hidden));
    hidden.assert_shows(&[
        "hidden, 20 characters",
        "&#34;Visa&#34;",
        "card_payment_captured",
    ]);
    let email = number_of(&hidden, "resource.email");
    let city = number_of(&hidden, "resource.card_details.billing_address.city");
    let metadata = number_of(&hidden, "resource.metadata.case_id");
    let show = format!("{address}/show");
    let one = console.submit(&show, &format!("show={email}")).await;
    assert!(one.shows("a.tester@example.com") && !one.shows("Leeds"));
    let fields = format!("show={email}&show={city}");
    let two = console.submit(&show, &fields).await;
    assert!(two.shows("a.tester@example.com") && two.shows("Leeds"));
    assert!(!two.shows("A Tester"));
    console.submit(&show, &format!("show={metadata}")).await;
    assert!(hides_all(&console.get(&address).await), "for one view");
    let expected = [
        "resource.email",
        "resource.card_details.billing_address, resource.email",
        "resource.metadata",
    ];
    let expected = expected.map(|fields| format!("{}, {fields}", entry.key));
    assert_eq!(unmasked(&console).await, expected);
}

#[tokio::test]
async fn a_missing_field_is_neither_shown_nor_audited() {
    let entry = card_payment();
    let console = console_with(&entry, ConsoleAccess::Changes).await;
    let show = format!("{}/show", page_of(&entry.key));
    for fields in [
        "",
        "show=",
        "show=99",
        "show=-1",
        "show=m0",
        "show=x",
        "bytes=all",
    ] {
        let page = console.submit(&show, fields).await;
        assert!(page.status == 200 && hides_all(&page), "{fields}");
    }
    assert_eq!(unmasked(&console).await, [""; 0]);
}

#[tokio::test]
async fn a_field_that_cannot_be_audited_is_not_shown() {
    let entry = card_payment();
    let console = console_with(&entry, ConsoleAccess::Changes).await;
    console.tamper(
        "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END;",
    );
    let address = page_of(&entry.key);
    for (target, fields) in [
        ("show", "show=0"),
        ("show", "bytes=hex"),
        ("raw", ""),
        ("event", ""),
    ] {
        let target = format!("{address}/{target}");
        let answer = console.submit(&target, fields).await;
        assert!(answer.status == 503 && hides_all(&answer), "{target}");
    }
}

#[tokio::test]
async fn a_read_only_console_names_the_flag_for_changes_and_writes_nothing() {
    let entry = card_payment();
    let console = console_with(&entry, ConsoleAccess::ReadOnly).await;
    let address = page_of(&entry.key);
    let page = console.get(&address).await;
    assert!(page.shows("--allow-changes") && !page.shows("/replay\""));
    let fields = format!("show={}", number_of(&page, "resource.email"));
    let shown = console.submit(&format!("{address}/show"), &fields).await;
    assert!(shown.shows("a.tester@example.com"));
    assert_eq!(unmasked(&console).await, [""; 0]);
    for act in ["replay", "discard", "erase"] {
        let answer = console.get(&format!("{address}/{act}")).await;
        assert!(answer.status == 403 && answer.shows("--allow-changes"));
    }
}

#[tokio::test]
async fn the_message_of_hmrc_is_hidden_until_shown_with_its_own_fields_masked() {
    let message = "{\"trader\":{\"name\":\"Jo <b>Doe</b>\"},\"mrn\":\"23GB\u{202e}\"}";
    let entry = hmrc("n1", message);
    let console = console_with(&entry, ConsoleAccess::Changes).await;
    let show = format!("{}/show", page_of(&entry.key));
    let hidden = console.get(&page_of(&entry.key)).await;
    assert!(!hidden.shows("mrn") && !hidden.shows("Doe"));
    let number = number_of(&hidden, "message");
    let parsed = console.submit(&show, &format!("show={number}")).await;
    assert!(parsed.shows("The message in it") && parsed.shows("23GB"));
    assert!(!parsed.shows("Doe"), "its own fields are masked");
    let name = number_of(&parsed, "trader.name");
    let fields = format!("show={number}&show={name}");
    let shown = console.submit(&show, &fields).await;
    assert!(shown.shows("Jo &#60;b&#62;Doe"));
    assert_tame(&shown, "the message");
    let last = unmasked(&console).await.pop().unwrap();
    assert_eq!(last, format!("{}, message, message.trader.name", entry.key));

    let entry = hmrc("n2", "<a>\u{202e}<script>alert(1)</script></a>");
    console.inbox.record(&entry).await.unwrap();
    let show = format!("{}/show", page_of(&entry.key));
    let text = console.submit(&show, &format!("show={number}")).await;
    assert!(text.shows("&#60;a&#62;\\u{202e}"), "{}", text.text());
    assert_tame(&text, "an XML message");
}

#[tokio::test]
async fn a_body_that_is_not_json_or_text_is_shown_up_to_its_first_error() {
    let console = TestConsole::start_with(settings(ConsoleAccess::Changes)).await;
    let damaged = b"{\"id\":1,\"email\":\"jo@example.org\",]";
    for (body, text) in [
        (&damaged[..], "in line 1, at byte 34"),
        (b"\xff\xfe<script>jo@example.org", "from number 0 on"),
        (b"jo@example.org", "in line 1, at byte 1 of it"),
        (b"", "in line 1, at byte 0"),
    ] {
        let entry = entry(SenderKind::GOVUK_PAY, "pay", Bytes::copy_from_slice(body));
        console.inbox.record(&entry).await.unwrap();
        let page = console.get(&page_of(&entry.key)).await;
        page.assert_shows(&[text]);
        assert!(!page.shows("jo@example.org"), "{text}");
        assert_tame(&page, text);
        let show = format!("{}/show", page_of(&entry.key));
        let hex = console.submit(&show, "bytes=hex").await;
        assert_eq!(hex.shows("00000000  "), !body.is_empty());
        assert_tame(&hex, "hex");
        assert_tame(&console.submit(&show, "bytes=exact").await, "exact");
    }
}

#[tokio::test]
async fn the_page_of_a_long_body_has_a_bounded_length() {
    let console = TestConsole::start_with(settings(ConsoleAccess::Changes)).await;
    let text = "x".repeat(2 * 1024 * 1024);
    let rows = "[0],".repeat(200_000);
    for body in [
        format!("{{\"webhook_message_id\":\"m1\",\"a\":\"{text}\"}}"),
        format!("{{\"webhook_message_id\":\"m2\",\"metadata\":[{rows}0]}}"),
        format!("{}{text}", "\u{202e}".repeat(300_000)),
        "[".repeat(2 * 1024 * 1024),
    ] {
        let entry = entry(SenderKind::GOVUK_PAY, "pay", body.clone().into());
        console.inbox.record(&entry).await.unwrap();
        let address = page_of(&entry.key);
        let page = console.get(&address).await;
        assert_eq!(page.status, 200);
        assert!(page.body.len() < 2 * 1024 * 1024, "{}", page.body.len());
        for view in ["bytes=exact", "bytes=hex"] {
            let page = console.submit(&format!("{address}/show"), view).await;
            assert!(page.body.len() < 2 * 1024 * 1024, "{view}");
            assert!(page.shows("This is the beginning"), "{view}");
        }
        let raw = console.submit(&format!("{address}/raw"), "").await;
        assert_eq!(raw.body, body.as_bytes());
    }
}

fn names(value: &serde_json::Value) -> Vec<&String> {
    let mut names: Vec<&String> = value.as_object().unwrap().keys().collect();
    names.sort();
    names
}

#[tokio::test]
async fn downloads_are_attachments_that_no_browser_opens() {
    let entry = card_payment();
    let console = console_with(&entry, ConsoleAccess::Changes).await;
    let address = page_of(&entry.key);
    let raw = console.submit(&format!("{address}/raw"), "").await;
    let event = console.submit(&format!("{address}/event"), "").await;
    let fixture = console.get(&format!("{address}/fixture")).await;
    let digest = hex::encode(&entry.digest[..8]);
    for (answer, suffix) in [
        (&raw, "bin"),
        (&event, "event.json"),
        (&fixture, "fixture.json"),
    ] {
        assert_eq!(answer.status, 200, "{suffix}");
        let name = format!("attachment; filename=\"pay-{digest}.{suffix}\"\r\n");
        for header in ["content-type: application/octet-stream\r\n", &name] {
            assert!(answer.head.contains(header), "{header} in {}", answer.head);
        }
    }
    assert_eq!(raw.body, entry.body);
    assert_eq!(unmasked(&console).await.len(), 2, "a fixture shows nothing");

    let event: serde_json::Value = serde_json::from_slice(&event.body).unwrap();
    let model: serde_json::Value = serde_json::from_str(MODEL).unwrap();
    assert_eq!(names(&event), names(&model));
    let (context, model_context) = (&event["requestContext"], &model["requestContext"]);
    assert_eq!(names(context), names(model_context));
    assert_eq!(context["time"], "02/Mar/2026:10:15:31 +0000");
    assert_eq!(event["body"].as_str().unwrap().as_bytes(), entry.body);
    let signature = entry.signature.as_ref().unwrap();
    assert_eq!(event["headers"]["pay-signature"], **signature);
    assert_eq!(event["rawPath"], "/pay");

    assert!(hides_all(&fixture));
    let masked: serde_json::Value = serde_json::from_slice(&fixture.body).unwrap();
    let exact: serde_json::Value = serde_json::from_slice(&entry.body).unwrap();
    assert_eq!(masked["resource_id"], exact["resource_id"]);
}

#[tokio::test]
async fn the_command_to_post_it_again_quotes_every_stored_text() {
    let entry = card_payment();
    let console = console_with(&entry, ConsoleAccess::Changes).await;
    let page = console.get(&page_of(&entry.key)).await;
    let signature = entry.signature.as_ref().unwrap();
    let header = format!("&#39;pay-signature: {signature}&#39;");
    assert!(page.shows(&header), "{}", page.text());
    console.tamper("UPDATE notification SET signature = '''; rm -rf ~; <script>'");
    let page = console.get(&page_of(&entry.key)).await;
    let quoted = r"&#39;pay-signature: &#39;\&#39;&#39;; rm -rf ~; &#60;script&#62;&#39;";
    assert!(page.shows(quoted), "{}", page.text());
    assert_tame(&page, "the command");
}

#[tokio::test]
async fn notifications_about_the_same_payment_are_related() {
    let of_payment = |id| pay(id, "p1", "card_payment_captured", NOW);
    let entries = [
        of_payment("m1"),
        of_payment("m2"),
        pay("m3", "p2", "x", NOW),
    ];
    let console = TestConsole::with(&entries).await;
    console
        .tamper("UPDATE notification SET state = 'repeat', reason = 'pay:m1' WHERE pk = 'pay:m2'");
    let page = console.get("/notifications/pay:m1").await;
    assert!(page.shows("repeats this one") && page.shows("pay:m2"));
    assert!(!page.shows("pay:m3"));
    let body = String::from_utf8(entries[0].body.to_vec()).unwrap();
    let body = body.replace("\"p1\"", "\"p9\"");
    let conflict = entry(SenderKind::GOVUK_PAY, "pay", body.into());
    console.inbox.record(&conflict).await.unwrap();
    let list = console.get("/notifications?state=held").await;
    let address = "/notifications/pay%3Am1~";
    let (_, after) = list.text().split_once(address).unwrap();
    let key = format!("{address}{}", after.split('"').next().unwrap());
    let page = console.get(&key).await;
    let original = "href=\"/notifications/pay%3Am1\"";
    assert!(page.shows(original), "{}", page.text());
}

struct ClockAt(Timestamp);

impl Clock for ClockAt {
    fn now(&self) -> Timestamp {
        self.0
    }

    fn random(&self) -> u64 {
        7
    }
}

#[tokio::test]
async fn the_page_shows_what_happened_and_when_its_sender_would_send_it_again() {
    let entry = pay("m1", "p1", "card_payment_captured", NOW);
    for (seconds, is_shown) in [(30, true), (7 * 24 * 60 * 60, false)] {
        let now = NOW.plus(Duration::from_secs(seconds));
        let console = TestConsole::start_with(ConsoleSettings {
            clock: Arc::new(ClockAt(now)),
            ..settings(ConsoleAccess::ReadOnly)
        })
        .await;
        console.inbox.record(&entry).await.unwrap();
        let page = console.get("/notifications/pay:m1").await;
        page.assert_shows(&["What happened", "Signed with 1:env:TEST", "Next attempt"]);
        for text in [
            "Next attempt of GOV.UK Pay",
            "2026-03-02T10:16:31.480Z",
            "tries until 2026-03-05T11:21:31.480Z",
        ] {
            assert_eq!(page.shows(text), is_shown, "{text} after {seconds} s");
        }
    }
}
