//! The rules for every request and answer.

use super::{TestConsole, paid, settings};
use crate::console::*;
use pillarbox::{inbox::ReceiveInbox, secrets::Secret};

#[tokio::test]
async fn a_request_for_another_host_is_misdirected() {
    let console = TestConsole::with(&[paid("m1")]).await;
    let port = console.at.port();
    for host in [
        "evil.example",
        "127.0.0.2",
        "",
        &format!("evil.example:{port}"),
        &format!("127.0.0.1:{port}.example"),
    ] {
        let answer = console.request("GET", "/", host).await;
        assert_eq!((answer.status, answer.rows()), (421, 0), "{host}");
    }
    for host in [&format!("localhost:{port}"), "localhost:9000", "[::1]:9000"] {
        assert_eq!(
            console.request("GET", "/", host).await.status,
            200,
            "{host}"
        );
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
async fn an_unsupported_method_is_refused() {
    let console = TestConsole::with(&[paid("m1")]).await;
    let host = console.at.to_string();
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
        for target in ["/", "/notifications/pay:m1", "/console.css", "/none"] {
            let answer = console.request(method, target, &host).await;
            assert_eq!(answer.status, 405, "{method} {target}");
            assert!(answer.head.contains("allow: get, head, post\r\n"));
        }
    }
    let head = console.request("HEAD", "/", &host).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[tokio::test]
async fn every_answer_has_the_security_headers() {
    let console = TestConsole::with(&[paid("m1")]).await;
    let host = console.at.to_string();
    let mut answers = vec![
        console.request("GET", "/", "evil.example").await,
        console.request("POST", "/", &host).await,
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
        answers.push(console.request("HEAD", target, &host).await);
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
            let head = &answer.head;
            assert!(head.contains(header), "{header} is missing in {head}");
        }
        assert!(!answer.head.contains("access-control"));
    }
}

#[tokio::test]
async fn an_inbox_that_cannot_be_read_has_an_error_page() {
    let console = TestConsole::with(&[paid("m1")]).await;
    console.tamper("UPDATE notification SET v = 99");
    for target in ["/notifications/pay:m1", "/notifications/pay:m1/fixture"] {
        let answer = console.get(target).await;
        answer.assert_page(503, "The inbox cannot be read", target);
        assert!(answer.shows("run a newer Pillarbox"), "{target}");
    }
    console.inbox.record(&paid("m2")).await.unwrap();
    let list = console.get("/notifications").await;
    assert_eq!(list.status, 200);
    assert!(list.shows("pay:m1 is left out: a newer Pillarbox wrote it"));
    assert!(list.shows("pay:m2"), "the others are listed");
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
async fn metrics_follow_the_rules_of_all_pages() {
    let console = TestConsole::start().await;
    let port = console.at.port();
    for (method, host, status) in [
        ("GET", format!("127.0.0.1:{port}"), 200),
        ("GET", "localhost:9090".to_owned(), 200),
        ("HEAD", format!("127.0.0.1:{port}"), 200),
        ("POST", format!("127.0.0.1:{port}"), 403),
        ("GET", "prometheus.example:8081".to_owned(), 421),
    ] {
        let response = console.request(method, "/metrics", &host).await;
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
        assert!(answer.status == 401 && !answer.shows("m1"), "{target}");
    }
    assert_eq!(console.get("/console.css").await.status, 200);
    let wrong = console.submit("/sign-in", "token=wrong").await;
    assert!(wrong.status == 401 && !wrong.head.contains("set-cookie"));
    let token = "token=correct+horse+battery+staple";
    let right = console.submit("/sign-in", token).await;
    assert_eq!(right.status, 303);
    let (_, session) = right.head.split_once("set-cookie: ").unwrap();
    let session = session.split(';').next().unwrap();
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
        let answer = console.get_with("/notifications", &header).await;
        assert_eq!(answer.status, status, "{header}");
    }
}
