//! What only a request line can say about path and challenge; see `conformance` for the rest.

use test_support::{
    message::both,
    request::RawRequest,
    server::{NOW, Server},
};

#[tokio::test]
async fn a_query_and_an_absolute_target_do_not_change_the_path() {
    let server = Server::start().await;
    for source in both() {
        let name = &source.name;
        for (index, target) in [format!("/{name}?"), format!("http://localhost/{name}")]
            .iter()
            .enumerate()
        {
            let body = source.message(&format!("n{index}"), NOW);
            let request = RawRequest::post(&source, &body).line(&format!("POST {target} HTTP/1.1"));
            assert_eq!(
                server.send(&request.bytes()).await.body,
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
async fn a_challenge_is_neither_cached_nor_sniffed_and_a_line_end_in_it_is_refused() {
    let server = Server::start().await;
    let answer = server
        .send(&RawRequest::new("GET", "/hmrc?challenge=abc").bytes())
        .await;
    assert_eq!(answer.body, r#"{"challenge":"abc"}"#);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let raw_line_end = server
        .send(b"GET /hmrc?challenge=a\r\nb HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    assert_eq!(raw_line_end.status, 400);
}
