//! What only bytes on a connection can do to a signature; see `conformance` for the rest.

use sender_simulator::Sender;

use test_support::{
    client::CheckedResponse,
    message::{Source, both},
    request::{RawRequest, signature_header},
    server::{NOW, RefusingDestination, Server},
    vectors::{SignatureVector, vectors},
};

fn refused(answer: &CheckedResponse, why: impl std::fmt::Debug) {
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (401, r#"{"error":"signature"}"#),
        "{why:?}"
    );
}

#[tokio::test]
async fn a_signature_that_is_no_text_or_is_cut_by_a_newline_is_refused() {
    let server = Server::start().await;
    for source in both() {
        let body = source.message("n1", NOW);
        let good = source.sign(&body);
        let forms = [
            [good.as_bytes(), b"\xa0"].concat(),
            [&good.as_bytes()[..good.len() - 1], b"\xff"].concat(),
        ];

        let mut client = server.client().await;
        for form in forms {
            let request =
                RawRequest::unsigned(&source, &body).header(signature_header(source.sender), &form);
            refused(
                &client.send(request.bytes()).await,
                String::from_utf8_lossy(&form),
            );
        }

        // A newline ends the header, and the one behind it the head: the body is another one then.
        let mut raw = RawRequest::unsigned(&source, &body)
            .head(&format!("Content-Length: {}\r\n", body.len()));
        raw.truncate(raw.len() - 2);
        raw.extend(
            format!(
                "{}: {good}\n\r\n\r\n{body}",
                signature_header(source.sender)
            )
            .into_bytes(),
        );
        refused(&server.send(&raw).await, "a newline behind it");
    }
    assert!(server.keys().await.is_empty());
}

#[tokio::test]
async fn spaces_around_a_header_value_are_no_part_of_it() {
    let server = Server::start().await;
    for source in both() {
        let body = source.message("n1", NOW);
        for (name, value) in [
            (
                signature_header(source.sender).to_owned(),
                format!("  {}\t ", source.sign(&body)),
            ),
            (
                signature_header(source.sender).to_uppercase(),
                source.sign(&body),
            ),
            (
                signature_header(source.sender).to_lowercase(),
                source.sign(&body),
            ),
        ] {
            let answer = server
                .send(
                    &RawRequest::unsigned(&source, &body)
                        .header(&name, value)
                        .bytes(),
                )
                .await;
            assert_eq!(answer.status, 200, "{name}");
        }
        server
            .has(&source, &body, "recorded", &format!("{}:n1", source.name))
            .await;
    }
}

#[tokio::test]
async fn every_vector_is_answered_as_marked() {
    let vectors = vectors();
    let source = |(index, vector): (usize, &SignatureVector)| {
        let sender = if vector.scheme == "hmrc-sha1" {
            Sender::Hmrc
        } else {
            Sender::GovukPay
        };
        Source::new(&format!("vector-{index}"), sender, &[&vector.secret])
    };
    let sources: Vec<Source> = vectors.iter().enumerate().map(source).collect();
    let server = Server::with(&sources, RefusingDestination).await;
    for (source, vector) in sources.iter().zip(&vectors) {
        let body = vector.body();
        let request = RawRequest::unsigned(source, &body)
            .header(signature_header(source.sender), &vector.signature);
        let answer = server.send(&request.bytes()).await;
        assert_eq!(
            answer.status,
            if vector.valid { 200 } else { 401 },
            "{}",
            vector.name
        );
    }
    let valid = vectors.iter().filter(|vector| vector.valid).count();
    assert_eq!(server.keys().await.len(), valid);
}
