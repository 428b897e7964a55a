//! Method and path, the challenge, and a source without a secret.

use test_support::{
    message::{NO_CHALLENGES, both, hmrc, pay, without_secret},
    request::Request,
    server::{NOW, Server},
};

#[tokio::test]
async fn no_other_spelling_of_a_path_is_ours_and_none_is_redirected() {
    let server = Server::start().await;
    for source in both() {
        let request = Request::post(&source, source.message("n1", NOW));
        let name = &source.name;
        for target in [
            "/".to_owned(),
            format!("/{name}/"),
            format!("//{name}"),
            format!("/{name}//"),
            format!("/./{name}"),
            format!("/x/../{name}"),
            format!("/../{name}"),
            format!("/%2e%2e/{name}"),
            format!("/{name}/.."),
            format!("/%2F{name}"),
            format!("/{name}%2F"),
            format!("/{name}%2f?x=1"),
            format!("/{name}%00"),
            format!("/{name}%20"),
            format!("/{name};x"),
            format!("/{name};jsessionid=1?a=b"),
            format!("/{}", name.to_uppercase()),
            format!("/{}{}", name[..1].to_uppercase(), &name[1..]),
            format!("/%{:02x}{}", name.as_bytes()[0], &name[1..]),
            format!("/prod/{name}"),
            format!("/{name}/{name}"),
            format!("/{name}x"),
            name.clone(),
            "/nobody".to_owned(),
            "/~body".to_owned(),
            "/é".to_owned(),
            "*".to_owned(),
        ] {
            for method in ["POST", "GET", "PUT", "HEAD", "OPTIONS"] {
                let bytes = request
                    .clone()
                    .line(&format!("{method} {target} HTTP/1.1"))
                    .bytes();
                let answer = server.ask(&bytes).await;
                assert_eq!(answer.status, 404, "{method} {target}");
            }
        }
    }
    assert!(server.keys().await.is_empty());
}

#[tokio::test]
async fn a_query_and_an_absolute_target_do_not_change_the_path() {
    let server = Server::start().await;
    for source in both() {
        let name = &source.name;
        for (index, target) in [
            format!("/{name}?team=7"),
            format!("/{name}?"),
            format!("http://localhost/{name}"),
        ]
        .iter()
        .enumerate()
        {
            let body = source.message(&format!("n{index}"), NOW);
            let request = Request::post(&source, &body).line(&format!("POST {target} HTTP/1.1"));
            assert_eq!(
                server.ask(&request.bytes()).await.body,
                r#"{"status":"recorded"}"#,
                "{target}"
            );
            server
                .has(&source, &body, "recorded", &format!("{name}:n{index}"))
                .await;
        }
    }
}

#[tokio::test]
async fn other_methods_are_named_the_two_there_are() {
    let server = Server::start().await;
    for source in both().iter().chain(&without_secret()) {
        for method in [
            "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "post", "get", "BREW",
        ] {
            let request = Request::new(method, &format!("{}?challenge=abc", source.path()));
            let answer = server.ask(&request.bytes()).await;
            assert_eq!(
                (answer.status, answer.header("allow")),
                (405, Some("GET, POST")),
                "{method}"
            );
        }
    }
}

#[tokio::test]
async fn only_one_harmless_challenge_is_given_back() {
    let server = Server::start().await;
    let longest = "a".repeat(128);
    for source in [&hmrc(), &without_secret()[0]] {
        for (query, value) in [
            (
                "challenge=1ed5f407-8096-40d1-87ef-9a2a103eeb85",
                "1ed5f407-8096-40d1-87ef-9a2a103eeb85",
            ),
            ("team=7&challenge=A-z0&x", "A-z0"),
            ("challenge=%31ab", "1ab"),
            (&format!("challenge={longest}"), &longest),
        ] {
            let answer = server
                .ask(&Request::new("GET", &format!("{}?{query}", source.path())).bytes())
                .await;
            assert_eq!(
                (answer.status, answer.body.as_str()),
                (200, format!(r#"{{"challenge":"{value}"}}"#).as_str())
            );
            assert_eq!(answer.header("content-type"), Some("application/json"));
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
            assert_eq!(answer.header("cache-control"), Some("no-store"));
        }
        let longer = format!("challenge={longest}a");
        for query in NO_CHALLENGES
            .into_iter()
            .chain([longer.as_str(), "challenge[]=a"])
        {
            let answer = server
                .ask(&Request::new("GET", &format!("{}?{query}", source.path())).bytes())
                .await;
            assert_eq!(answer.status, 400, "{query}");
        }
    }
    for source in [&pay(), &without_secret()[1]] {
        let answer = server
            .ask(&Request::new("GET", &format!("{}?challenge=abc", source.path())).bytes())
            .await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (400, r#"{"error":"challenge"}"#),
            "Pay sends none"
        );
    }
    let raw_line_end = server
        .ask(b"GET /hmrc?challenge=a\r\nb HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    assert_eq!(raw_line_end.status, 400);
}

#[tokio::test]
async fn a_source_without_a_secret_is_not_ready_whoever_signs() {
    let server = Server::start().await;
    for (source, signer) in without_secret().iter().zip(both()) {
        let body = signer.message("n1", NOW);
        let signed =
            Request::post(&signer, &body).line(&format!("POST {} HTTP/1.1", source.path()));
        for request in [
            signed,
            Request::unsigned(source, &body),
            Request::unsigned(source, ""),
        ] {
            let answer = server.ask(&request.bytes()).await;
            assert_eq!(
                (answer.status, answer.body.as_str()),
                (503, r#"{"error":"no_secret"}"#)
            );
        }
    }
    assert!(server.keys().await.is_empty());
}
