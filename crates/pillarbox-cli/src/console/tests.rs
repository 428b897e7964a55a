//! The console as a browser meets it: over a socket, before a real inbox.

use std::{collections::HashMap, path::Path, time::Duration};

use rusqlite::Connection;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
};

use super::*;
use crate::{any_inbox::AnyInbox, metrics::ServeMetrics, sqlite::SqliteInbox};
use pillarbox::{
    config::Config,
    domain::{Clock, Key, SystemClock},
    inbox::{DiscardRequest, OperatorInbox, ReceiveInbox},
    secrets::Secret,
    senders::{
        Entry, SenderKind,
        example::{NOW, entry, hmrc, pay},
    },
};

/// A running console over a fresh inbox.
pub(super) struct TestConsole {
    pub(super) inbox: Arc<SqliteInbox>,
    pub(super) at: SocketAddr,
    stop: oneshot::Sender<()>,
    served: tokio::task::JoinHandle<()>,
    folder: TempDir,
}

pub(super) fn settings(access: ConsoleAccess) -> ConsoleSettings {
    ConsoleSettings {
        config: Arc::new(Config::demo(Path::new("demo"))),
        inbox_name: "inbox.db".to_owned(),
        access,
        is_demo: false,
        hosts: Vec::new(),
        token: None,
        metrics: Some(ServeMetrics::new()),
        refusals: None,
        senders: Arc::new(HashMap::new),
        actor: "tester@example".to_owned(),
        samples: Vec::new(),
        clock: Arc::new(SystemClock),
    }
}

/// A response.
pub(super) struct TestResponse {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl TestConsole {
    pub(super) async fn start() -> Self {
        Self::start_with(settings(ConsoleAccess::ReadOnly)).await
    }

    pub(super) async fn start_with(settings: ConsoleSettings) -> Self {
        let folder = TempDir::new().unwrap();
        let inbox = Arc::new(SqliteInbox::create(&folder.path().join("inbox.db")).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let console = Console::new(Arc::clone(&inbox), settings, at);
        let served = tokio::spawn(console.serve(listener, async {
            let _ = stopped.await;
        }));
        Self {
            inbox,
            at,
            stop,
            served,
            folder,
        }
    }

    /// A console with these in its inbox.
    pub(super) async fn with(entries: &[Entry]) -> Self {
        let console = Self::start().await;
        for entry in entries {
            console.inbox.record(entry).await.unwrap();
        }
        console
    }

    /// Changes what is stored, as no sender could.
    pub(super) fn tamper(&self, sql: &str) {
        Connection::open(self.folder.path().join("inbox.db"))
            .unwrap()
            .execute_batch(sql)
            .unwrap();
    }

    pub(super) async fn get(&self, target: &str) -> TestResponse {
        self.ask("GET", target, &self.at.to_string()).await
    }

    pub(super) async fn ask(&self, method: &str, target: &str, host: &str) -> TestResponse {
        self.send(&format!(
            "{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        ))
        .await
    }

    pub(super) async fn send(&self, request: &str) -> TestResponse {
        let mut stream = TcpStream::connect(self.at).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        let head = String::from_utf8(all[..end].to_vec())
            .unwrap()
            .to_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        TestResponse {
            status,
            head,
            body: all[end..].to_vec(),
        }
    }
}

impl TestResponse {
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(super) fn rows(&self) -> usize {
        self.text().matches("rowheader").count()
    }

    pub(super) fn shows(&self, text: &str) -> bool {
        self.text().contains(text)
    }

    /// The address of the first link whose text is `text`.
    pub(super) fn link(&self, text: &str) -> String {
        let (before, _) = self.text().split_once(&format!(">{text}</a>")).unwrap();
        let (_, address) = before.rsplit_once("href=\"").unwrap();
        address.split('"').next().unwrap().replace("&#38;", "&")
    }
}

pub(super) fn paid(id: &str) -> Entry {
    pay(id, &format!("payment-{id}"), "card_payment_captured", NOW)
}

pub(super) fn page_of(key: &Key) -> String {
    row_page::address(key)
}

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
    for text in [
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
    ] {
        assert!(list.shows(text), "{text}");
    }
    assert!(
        list.text().find("unreadable") < list.text().find("payment-m1"),
        "newest first"
    );
}

#[tokio::test]
async fn an_empty_list_says_how_to_get_the_first_notification() {
    let console = TestConsole::start().await;
    let empty = console.get("/notifications").await;
    assert_eq!(empty.status, 200);
    assert!(
        empty.shows("pillarbox send pay")
            && empty.shows("<title>0 notifications – Pillarbox</title>")
    );
    let narrowed = console.get("/notifications?state=dead").await;
    assert!(narrowed.shows("No notifications match") && !narrowed.shows("pillarbox send pay"));
    assert!(narrowed.shows("<title>0 dead notifications – Pillarbox</title>"));
}

#[tokio::test]
async fn a_filter_in_the_address_narrows_the_list_and_stands_in_the_form() {
    let console = TestConsole::with(&[paid("m1"), paid("m2"), hmrc("n1", "{}")]).await;
    for (query, rows) in [
        ("source=pay", 2),
        ("source=pay&state=recorded", 2),
        ("state=open&type=notification", 1),
        ("subject=payment-m2", 1),
        ("state=held", 0),
        ("source=&state=&type=&subject=", 3),
    ] {
        assert_eq!(
            console.get(&format!("/notifications?{query}")).await.rows(),
            rows,
            "{query}"
        );
    }
    let one = console
        .get("/notifications?source=pay&state=recorded&subject=payment-m2")
        .await;
    assert!(one.shows("<title>1 recorded notification – Pillarbox</title>"));
    assert!(
        one.shows(r#"<option value="recorded" selected>"#) && one.shows(r#"value="payment-m2""#)
    );
    let unknown = console.get("/notifications?state=lost").await;
    assert_eq!(
        (unknown.status, unknown.shows("There is no such state")),
        (400, true)
    );
}

#[tokio::test]
async fn older_notifications_are_one_link_away_and_none_is_missed() {
    let entries: Vec<_> = (0..51)
        .map(|n| paid(&format!("m{n}")))
        .chain([hmrc("n1", "{}")])
        .collect();
    let console = TestConsole::with(&entries).await;
    let newest = console.get("/notifications?source=pay").await;
    assert_eq!(newest.rows(), 50);
    assert!(newest.shows("<title>Newest 50 notifications – Pillarbox</title>"));
    // What comes meanwhile must not push a row from one page to the next.
    console.inbox.record(&paid("late")).await.unwrap();
    let older = console.get(&newest.link("Older notifications")).await;
    assert_eq!(
        (
            older.rows(),
            older.shows("payment-m0<"),
            older.shows("payment-m1<")
        ),
        (1, true, false)
    );
    assert_eq!(
        older.link("Newest notifications"),
        "/notifications?source=pay"
    );
    assert!(!older.shows("Older notifications"));
}

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

/// Fails if a page holds anything that would act instead of being shown.
pub(super) fn assert_tame(page: &TestResponse, what: &str) {
    for acting in ["<script>", "<b>", "\u{202e}", "\u{1b}", "\0"] {
        assert!(!page.shows(acting), "{acting:?} in {what}");
    }
}

#[tokio::test]
async fn what_a_sender_wrote_is_text_and_never_markup() {
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

#[tokio::test]
async fn another_host_is_misdirected() {
    let console = TestConsole::with(&[paid("m1")]).await;
    let port = console.at.port();
    for host in [
        "evil.example",
        "127.0.0.2",
        "",
        &format!("evil.example:{port}"),
        &format!("127.0.0.1:{port}.example"),
    ] {
        let answer = console.ask("GET", "/", host).await;
        assert_eq!((answer.status, answer.rows()), (421, 0), "{host}");
    }
    for host in [&format!("localhost:{port}"), "localhost:9000", "[::1]:9000"] {
        assert_eq!(console.ask("GET", "/", host).await.status, 200, "{host}");
    }
    let ours = console.at;
    for request in [
        format!(
            "GET / HTTP/1.1\r\nHost: {ours}\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
        ),
        format!("GET http://evil.example/ HTTP/1.1\r\nHost: {ours}\r\nConnection: close\r\n\r\n"),
        "GET / HTTP/1.0\r\n\r\n".to_owned(),
    ] {
        assert_eq!(console.send(&request).await.status, 421, "{request}");
    }
}

#[tokio::test]
async fn a_method_that_the_console_does_not_have_is_refused() {
    let console = TestConsole::with(&[paid("m1")]).await;
    let host = console.at.to_string();
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
        for target in ["/", "/notifications/pay:m1", "/console.css", "/none"] {
            let answer = console.ask(method, target, &host).await;
            assert_eq!(answer.status, 405, "{method} {target}");
            assert!(answer.head.contains("allow: get, head, post\r\n"));
        }
    }
    let head = console.ask("HEAD", "/", &host).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[tokio::test]
async fn every_answer_carries_the_safety_headers() {
    let console = TestConsole::with(&[paid("m1")]).await;
    let host = console.at.to_string();
    let mut answers = vec![
        console.ask("GET", "/", "evil.example").await,
        console.ask("POST", "/", &host).await,
    ];
    for target in [
        "/",
        "/console.css",
        "/none",
        "/notifications?state=lost",
        "/notifications/pay:m1",
        "/notifications/pay:m1/fixture",
    ] {
        answers.push(console.get(target).await);
        answers.push(console.ask("HEAD", target, &host).await);
    }
    console.tamper("UPDATE notification SET v = 99");
    answers.push(console.get("/notifications").await);
    for answer in answers {
        for header in [
            "content-security-policy: default-src 'none'; style-src 'self'; script-src 'self'; \
             img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; \
             frame-ancestors 'none'\r\n",
            "x-content-type-options: nosniff\r\n",
            "referrer-policy: no-referrer\r\n",
            "cache-control: no-store\r\n",
        ] {
            assert!(
                answer.head.contains(header),
                "{header} is missing in {}",
                answer.head
            );
        }
        assert!(!answer.head.contains("access-control"));
    }
}

#[tokio::test]
async fn an_inbox_that_can_not_be_read_is_a_page_of_its_own() {
    let console = TestConsole::with(&[paid("m1")]).await;
    console.tamper("UPDATE notification SET v = 99");
    for target in ["/notifications/pay:m1", "/notifications/pay:m1/fixture"] {
        let answer = console.get(target).await;
        assert_eq!(
            (answer.status, answer.shows("The inbox cannot be read")),
            (503, true),
            "{target}"
        );
        assert!(answer.shows("run a newer Pillarbox"), "{target}");
    }
    console.inbox.record(&paid("m2")).await.unwrap();
    let list = console.get("/notifications").await;
    assert_eq!(list.status, 200);
    assert!(list.shows("pay:m1 is left out: a newer Pillarbox wrote it"));
    assert!(list.shows("pay:m2"), "it hides no other");
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

#[tokio::test]
async fn pages_have_no_inline_script_and_no_inline_style() {
    let console = TestConsole::with(&[paid("m1")]).await;
    for target in ["/", "/notifications/pay:m1", "/refusals", "/audit", "/none"] {
        let page = console.get(target).await;
        let one_script = r#"<script src="/console.js" defer></script>"#;
        assert_eq!(page.text().matches("<script").count(), 1, "{target}");
        assert!(page.shows(one_script), "{target}");
        for forbidden in ["<style", " style=", " onclick=", "javascript:", "=\"http"] {
            assert!(!page.shows(forbidden), "{forbidden} in {target}");
        }
        assert_eq!(page.text().matches("<h1").count(), 1, "{target}");
        assert!(page.shows(r##"<a class="skip" href="#main">"##), "{target}");
    }
    let style = console.get("/console.css").await;
    assert!(style.status == 200 && style.head.contains("content-type: text/css"));
}

#[tokio::test]
async fn a_console_told_to_stop_stops_although_a_browser_holds_a_connection() {
    let console = TestConsole::start().await;
    let mut idle = TcpStream::connect(console.at).await.unwrap();
    idle.write_all(format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", console.at).as_bytes())
        .await
        .unwrap();
    assert!(idle.read(&mut [0; 64]).await.unwrap() > 0);
    console.stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(10), console.served)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn metrics_follow_the_rules_of_every_other_page() {
    let console = TestConsole::start().await;
    let port = console.at.port();
    for (method, host, status) in [
        ("GET", format!("127.0.0.1:{port}"), 200),
        ("GET", "localhost:9090".to_owned(), 200),
        ("HEAD", format!("127.0.0.1:{port}"), 200),
        ("POST", format!("127.0.0.1:{port}"), 403),
        ("GET", "prometheus.example:8081".to_owned(), 421),
    ] {
        let response = console.ask(method, "/metrics", &host).await;
        assert_eq!(response.status, status, "{method} {host}");
        let is_text = response
            .head
            .contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n");
        assert_eq!(is_text, status == 200, "{}", response.head);
        assert!(response.head.contains("cache-control: no-store\r\n"));
    }
}

impl TestConsole {
    /// The hidden field of the forms of a page.
    pub(super) async fn csrf(&self) -> String {
        let page = self.get("/").await;
        let (_, after) = page.text().split_once("name=\"csrf\" value=\"").unwrap();
        after.split('"').next().unwrap().to_owned()
    }

    /// Posts a form with these headers.
    pub(super) async fn post(&self, target: &str, headers: &str, body: &str) -> TestResponse {
        let (at, length) = (self.at, body.len());
        self.send(&format!(
            "POST {target} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\
             {headers}\r\n{body}"
        ))
        .await
    }

    /// Posts a form as a browser does from a page of the console.
    pub(super) async fn submit(&self, target: &str, fields: &str) -> TestResponse {
        let body = format!("csrf={}&{fields}", self.csrf().await);
        let headers = format!("Origin: http://{}\r\n", self.at);
        self.post(target, &headers, &body).await
    }
}

#[tokio::test]
async fn a_form_passes_only_from_a_page_of_this_process() {
    let console = TestConsole::start().await;
    let (at, csrf) = (console.at, console.csrf().await);
    let ours = format!("Origin: http://{at}\r\n");
    let foreign = "Origin: http://evil.example\r\n";
    let other_port = "Origin: http://127.0.0.1:1\r\n";
    let fields = format!("csrf={csrf}&theme=dark&here=/charts");
    for (headers, body, status, why) in [
        (ours.as_str(), fields.as_str(), 303, "a form of a page"),
        (
            "Origin: null\r\nSec-Fetch-Site: same-origin\r\n",
            &fields,
            303,
            "a page without referrer",
        ),
        (foreign, &fields, 403, "another site"),
        (other_port, &fields, 403, "another port"),
        ("", &fields, 403, "no origin"),
        ("Origin: null\r\n", &fields, 403, "an opaque origin"),
        (&ours, "theme=dark", 403, "no token"),
        (&ours, "csrf=&theme=dark", 403, "an empty token"),
        (
            &ours,
            &format!("csrf={}", &csrf[1..]),
            403,
            "a part of the token",
        ),
    ] {
        let answer = console.post("/preferences", headers, body).await;
        assert_eq!(answer.status, status, "{why}");
        assert_eq!(answer.head.contains("set-cookie"), status == 303, "{why}");
    }
    let answer = console
        .submit("/preferences", "theme=dark&here=/charts")
        .await;
    assert!(
        answer.head.contains("location: /charts\r\n"),
        "{}",
        answer.head
    );
    let json = format!("POST /preferences HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n{ours}");
    let json = format!("{json}Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{{}}");
    assert_eq!(console.send(&json).await.status, 403);
    let other = TestConsole::start().await;
    let stale = format!("csrf={csrf}&theme=dark");
    let headers = format!("Origin: http://{}\r\n", other.at);
    let answer = other.post("/preferences", &headers, &stale).await;
    assert_eq!(answer.status, 403, "the token of another process");
}

#[tokio::test]
async fn a_form_that_is_too_long_or_ambiguous_changes_nothing() {
    let console = TestConsole::start().await;
    let (at, csrf) = (console.at, console.csrf().await);
    let origin = format!("Origin: http://{at}\r\n");
    for (length, status) in [(1_000, 303), (65 * 1024, 413), (2 * 1024 * 1024, 413)] {
        let body = format!("csrf={csrf}&x={}", "x".repeat(length));
        let answer = console.post("/preferences", &origin, &body).await;
        assert_eq!(answer.status, status, "{length}");
    }
    let twice = format!("{origin}Transfer-Encoding: chunked\r\n");
    let answer = console.post("/preferences", &twice, "0\r\n\r\n").await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn an_act_needs_permission_whatever_its_form_says() {
    let console = TestConsole::with(&[paid("m1")]).await;
    let answer = console.submit("/acts/replay", "key=pay:m1").await;
    assert_eq!(answer.status, 403);
    assert!(answer.shows("--allow-changes"));
}

#[tokio::test]
async fn the_theme_and_the_shortcuts_are_kept_by_the_browser() {
    let console = TestConsole::start().await;
    let cookies = "Cookie: pillarbox_theme=dark; pillarbox_shortcuts=off\r\n";
    let (at, plain) = (console.at, console.get("/notifications").await);
    let chosen = console
        .send(&format!(
            "GET /notifications HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n{cookies}\r\n"
        ))
        .await;
    for (page, class, shortcuts) in [(plain, "system", "on"), (chosen, "dark", "off")] {
        assert!(page.shows(&format!("class=\"theme-{class}\"")), "{class}");
        assert!(
            page.shows(&format!("data-shortcuts=\"{shortcuts}\"")),
            "{class}"
        );
    }
    for (fields, cookie) in [
        ("theme=light", "pillarbox_theme=light; "),
        ("shortcuts=off", "pillarbox_shortcuts=off; "),
    ] {
        let answer = console.submit("/preferences", fields).await;
        assert!(answer.head.contains(cookie), "{}", answer.head);
        assert!(answer.head.contains("httponly; samesite=strict"));
    }
    let unknown = console.submit("/preferences", "theme=%0d%0aX:y").await;
    assert!(!unknown.head.contains("set-cookie"));
}

#[tokio::test]
async fn a_console_with_a_token_shows_nothing_before_its_browser_has_signed_in() {
    let token = Secret::new("correct horse battery staple".to_owned());
    let console = TestConsole::start_with(ConsoleSettings {
        token: Some(token),
        ..settings(ConsoleAccess::ReadOnly)
    })
    .await;
    console.inbox.record(&paid("m1")).await.unwrap();
    for target in [
        "/",
        "/notifications",
        "/notifications/pay:m1",
        "/metrics",
        "/live",
    ] {
        let answer = console.get(target).await;
        assert_eq!(
            (answer.status, answer.shows("m1")),
            (401, false),
            "{target}"
        );
    }
    assert_eq!(console.get("/console.css").await.status, 200);
    let wrong = console.submit("/sign-in", "token=wrong").await;
    assert_eq!(
        (wrong.status, wrong.head.contains("set-cookie")),
        (401, false)
    );
    let right = console
        .submit("/sign-in", "token=correct+horse+battery+staple")
        .await;
    assert_eq!(right.status, 303);
    let (_, session) = right.head.split_once("set-cookie: ").unwrap();
    let session = session.split(';').next().unwrap();
    let at = console.at;
    for (header, status) in [
        (format!("Cookie: {session}"), 200),
        (
            "Authorization: Bearer correct horse battery staple".to_owned(),
            200,
        ),
        ("Cookie: pillarbox_session=".to_owned(), 401),
        (
            "Cookie: pillarbox_session=correct horse battery staple".to_owned(),
            401,
        ),
    ] {
        let answer = console
            .send(&format!(
                "GET /notifications HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\
                 {header}\r\n\r\n"
            ))
            .await;
        assert_eq!(answer.status, status, "{header}");
    }
}

/// A stream that a browser reads.
struct TestStream {
    stream: TcpStream,
    text: String,
}

impl TestStream {
    async fn open(console: &TestConsole, target: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(console.at).await.unwrap();
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n",
            console.at
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        Self {
            stream,
            text: String::new(),
        }
    }

    /// Reads until the stream has sent `text`.
    async fn until(&mut self, text: &str) -> &str {
        let found = tokio::time::timeout(Duration::from_secs(20), async {
            let mut buffer = [0; 4096];
            while !self.text.contains(text) {
                let read = self.stream.read(&mut buffer).await.unwrap();
                assert!(read > 0, "the stream has ended: {}", self.text);
                self.text
                    .push_str(&String::from_utf8_lossy(&buffer[..read]));
            }
        });
        found
            .await
            .unwrap_or_else(|_| panic!("no {text} in {}", self.text));
        &self.text
    }

    fn count(&self, text: &str) -> usize {
        self.text.matches(text).count()
    }
}

#[tokio::test]
async fn a_notification_that_arrives_is_on_the_stream_and_is_there_once_after_a_reconnect() {
    let console = TestConsole::with(&[paid("m1")]).await;
    let list = console.get("/notifications").await;
    let (_, address) = list.text().split_once("data-stream=\"").unwrap();
    let address = address.split('"').next().unwrap().replace("&#38;", "&");
    let mut stream = TestStream::open(&console, &address, "").await;
    let head = stream.until("event: heartbeat").await.to_lowercase();
    assert!(
        head.contains("content-type: text/event-stream\r\n"),
        "{head}"
    );
    assert!(head.contains("cache-control: no-store\r\n"), "{head}");
    console.inbox.record(&paid("m2")).await.unwrap();
    let text = stream.until("payment-m2").await;
    assert!(text.contains("event: new\nid: ") && text.contains(r#""event":"Payment captured""#));
    assert_eq!(stream.count("payment-m1"), 0, "the page has it");
    let mut ids = stream
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("id: "));
    let id = ids.next_back().unwrap().to_owned();
    drop(stream);
    console.inbox.record(&paid("m3")).await.unwrap();
    let header = format!("Last-Event-ID: {id}\r\n");
    let mut again = TestStream::open(&console, &address, &header).await;
    again.until("payment-m3").await;
    console.inbox.record(&paid("m4")).await.unwrap();
    again.until("payment-m4").await;
    assert_eq!(
        (again.count("payment-m2"), again.count("payment-m3")),
        (0, 1)
    );
}

#[tokio::test]
async fn a_stream_has_the_filter_of_its_list_and_nothing_hostile() {
    let console = TestConsole::start().await;
    let mut stream = TestStream::open(&console, "/live?source=hmrc&latest=0", "").await;
    stream.until("heartbeat").await;
    console.inbox.record(&paid("m1")).await.unwrap();
    let hostile = format!(
        r#"{{"webhook_message_id":"m2","created_date":"{NOW}","resource_id":"a\nevent: new",
        "event_type":"x\u202e"}}"#
    );
    console
        .inbox
        .record(&entry(SenderKind::GOVUK_PAY, "hmrc", hostile.into()))
        .await
        .unwrap();
    stream.until(r#""key":"hmrc:m2""#).await;
    assert_eq!(stream.count("payment-m1"), 0);
    assert_eq!(stream.count("event: new"), 1, "{}", stream.text);
    assert!(!stream.text.contains('\u{202e}'));
}

#[tokio::test]
async fn a_console_that_stops_ends_its_streams() {
    let console = TestConsole::start().await;
    let mut stream = TestStream::open(&console, "/live", "").await;
    stream.until("heartbeat").await;
    console.stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(4), console.served)
        .await
        .expect("no stream holds it")
        .unwrap();
}

#[tokio::test]
async fn ten_consoles_and_their_pages_are_answered_and_streams_have_a_limit() {
    let console = TestConsole::with(&[paid("m1")]).await;
    let mut streams = Vec::new();
    for _ in 0..10 {
        let mut stream = TestStream::open(&console, "/live?latest=0", "").await;
        stream.until("payment-m1").await;
        streams.push(stream);
    }
    for _ in 0..40 {
        assert_eq!(console.get("/notifications").await.status, 200);
    }
    console.inbox.record(&paid("m2")).await.unwrap();
    for stream in &mut streams {
        stream.until("payment-m2").await;
    }
    for _ in 10..24 {
        let mut stream = TestStream::open(&console, "/live", "").await;
        stream.until("heartbeat").await;
        streams.push(stream);
    }
    assert_eq!(console.get("/live").await.status, 503);
    drop(streams);
}

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
    for text in [
        r#"<svg class="chart""#,
        "The last 24 hours as a table",
        "The last 30 days as a table",
        "order of the rows",
        "Nothing has been answered yet",
        r#"<td class="number">3</td>"#,
    ] {
        assert!(charts.shows(text), "{text}");
    }
    assert!(!charts.shows("style="));
}

#[tokio::test]
async fn the_first_page_says_that_nothing_needs_you_or_what_does_with_the_list_that_holds_it() {
    let console = TestConsole::with(&[paid("m1")]).await;
    console.tamper(&format!(
        "UPDATE notification SET received_at = {}",
        SystemClock.now().as_millis()
    ));
    let well = console.get("/").await;
    assert_eq!(well.status, 200);
    for text in [
        "<title>Nothing needs you – Pillarbox</title>",
        r#"<h1 id="needs">Nothing needs you</h1>"#,
        r#"href="/notifications?state=recorded""#,
        r#"href="/notifications?source=pay""#,
        "Nothing yet",
    ] {
        assert!(well.shows(text), "{text}");
    }
    console.tamper("UPDATE notification SET state = 'dead', shelf = 'dead:0', reason = '<script>'");
    let needs = console.get("/").await;
    for text in [
        "<title>1 thing needs you – Pillarbox</title>",
        r#"<a href="/notifications?state=dead">1 notification is dead</a>"#,
        "pillarbox list --state dead",
    ] {
        assert!(needs.shows(text), "{text}");
    }
    assert_eq!(console.get("/notifications?state=dead").await.rows(), 1);
}

#[tokio::test]
async fn the_search_box_leads_to_the_one_result_or_lists_several() {
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
    let story = console.get("/payments/pay/payment-m1").await;
    for text in [
        "Payment captured",
        "Payment refunded",
        "/notifications/pay%3Am2",
    ] {
        assert!(story.shows(text), "{text}");
    }
    for (query, text) in [
        ("x", "Enter at least 3 characters"),
        ("", "Enter at least 3 characters"),
        ("nothing-like-it", "Nothing here is"),
        ("%3Cscript%3E%E2%80%AE", r"&#60;script&#62;\u{202e}"),
    ] {
        let page = console.get(&format!("/search?q={query}")).await;
        assert_eq!((page.status, page.shows(text)), (200, true), "{query}");
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

#[tokio::test]
async fn a_copy_that_nobody_may_write_is_shown_and_refuses_to_change() {
    let made = TestConsole::with(&[paid("m1")]).await;
    made.stop.send(()).unwrap();
    made.served.await.unwrap();
    let path = made.folder.path().join("inbox.db");
    drop(made.inbox);
    let inbox = AnyInbox::Sqlite(SqliteInbox::open_read_only(&path).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let console = Console::new(Arc::new(inbox), settings(ConsoleAccess::ReadOnly), at);
    tokio::spawn(console.serve(listener, std::future::pending()));
    for target in [
        "/",
        "/notifications",
        "/charts",
        "/search?q=payment-m1",
        "/audit",
    ] {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let request = format!("GET {target} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let is_found = answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.1 303");
        assert!(is_found, "{target}: {answer}");
    }
}
