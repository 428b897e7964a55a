//! What only an event can do to a signature; see `conformance` for the rest.

use serde_json::json;

use test_support::{
    client::CheckedResponse,
    fronts::{FrontRequest, LambdaFront},
    function::{DeployedFunction, post, unsigned},
    message::{Source, both, pay},
    request::signature_header,
    server::NOW,
};

fn refused(answer: &CheckedResponse, why: impl std::fmt::Debug) {
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (401, r#"{"error":"signature"}"#),
        "{why:?}"
    );
}

fn everywhere() -> impl Iterator<Item = (LambdaFront, Source)> {
    LambdaFront::ALL
        .into_iter()
        .flat_map(|front| both().map(|source| (front, source)))
}

/// Of both signature headers, whatever else an invocation holds.
#[tokio::test]
async fn a_signature_outside_the_headers_is_none() {
    let deployed = DeployedFunction::new();
    let source = pay();
    let body = source.message("n1", NOW);
    let query = FrontRequest {
        query: format!("Pay-Signature={}", source.sign(&body)),
        ..unsigned(&source, &body)
    };
    for front in LambdaFront::ALL {
        refused(&deployed.send(front, &query).await, front);
        let mut event = front.invocation(&unsigned(&source, &body), NOW);
        event["Pay-Signature"] = json!(source.sign(&body));
        event["requestContext"]["pay-signature"] = json!(source.sign(&body));
        refused(&deployed.answer(&event).await, front);
    }
}

#[tokio::test]
async fn a_newline_behind_a_signature_is_malformed() {
    let deployed = DeployedFunction::new();
    for (front, source) in everywhere() {
        let body = source.message("n1", NOW);
        let signature = format!("{}\n", source.sign(&body));
        let request = unsigned(&source, &body).header(signature_header(source.sender), signature);
        assert_eq!(
            deployed.send(front, &request).await.status,
            400,
            "{front:?}"
        );
    }
}

/// Two spellings of one name in `headers` are two headers, with or without `multiValueHeaders`.
#[tokio::test]
async fn two_spellings_of_a_signature_header_are_refused() {
    let deployed = DeployedFunction::new();
    let source = pay();
    let body = source.message("n1", NOW);
    let mut event = LambdaFront::Rest.invocation(&post(&source, &body), NOW);
    event["headers"]["pay-signature"] = json!(source.sign("another body"));
    event["multiValueHeaders"] = json!(null);
    refused(&deployed.answer(&event).await, "two spellings of one name");
}
