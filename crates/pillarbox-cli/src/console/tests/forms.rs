//! Forms: what changes a row or the browser's settings.

use super::{TestConsole, paid, send_to, settings};
use crate::console::*;
use crate::{any_inbox::AnyInbox, sqlite::SqliteInbox};

#[tokio::test]
async fn a_form_is_accepted_only_from_a_page_of_this_process() {
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
    let fields = "theme=dark&here=/charts";
    let head = console.submit("/preferences", fields).await.head;
    assert!(head.contains("location: /charts\r\n"), "{head}");
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
async fn the_browser_keeps_the_theme_and_the_shortcuts() {
    let console = TestConsole::start().await;
    let cookies = "Cookie: pillarbox_theme=dark; pillarbox_shortcuts=off";
    let plain = console.get("/notifications").await;
    let chosen = console.get_with("/notifications", cookies).await;
    for (page, class, shortcuts) in [(plain, "system", "on"), (chosen, "dark", "off")] {
        page.assert_shows(&[
            &format!("class=\"theme-{class}\""),
            &format!("data-shortcuts=\"{shortcuts}\""),
        ]);
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
async fn a_console_over_a_read_only_inbox_shows_every_page() {
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
        let request = format!("GET {target} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n");
        let answer = send_to(at, &request).await;
        assert!(
            [200, 303].contains(&answer.status),
            "{target}: {}",
            answer.head
        );
    }
}
