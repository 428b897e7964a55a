//! What every request and answer has to keep to.

use super::{TestConsole, paid, settings};
use crate::console::*;
use pillarbox::{inbox::ReceiveInbox, secrets::Secret};

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
