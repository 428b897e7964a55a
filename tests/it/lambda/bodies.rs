//! The bytes that are verified and kept are the bytes that were sent, whatever the front made of
//! them.

use pillarbox::receive::MAX_BODY_BYTES;
use serde_json::json;

use test_support::{
    fronts::LambdaFront,
    function::{DeployedFunction, post, unsigned},
    message::{both, noise, pay, with, without_secret},
    server::NOW,
};

#[tokio::test]
async fn bodies_come_back_whole_as_text_and_in_base64() {
    let deployed = DeployedFunction::new();
    for (front, source) in LambdaFront::ALL
        .into_iter()
        .flat_map(|front| both().map(|source| (front, source)))
    {
        let mut bodies: Vec<Vec<u8>> = [
            "",
            " ",
            "x",
            "\u{feff}{}",
            "é😀\u{2028}\0\u{7f}",
            "\r\n\t\"\\/",
            "{}",
            "null",
        ]
        .map(|text| text.as_bytes().to_vec())
        .into();
        bodies.extend([1, 8_191, 8_193, 358_401].map(noise));
        for body in bodies {
            let key = source.unreadable_key(&body);
            let request = post(&source, &body);
            if deployed.row(&key).await.is_none() {
                deployed
                    .keeps(front, &request, "held unreadable", &key)
                    .await;
            }
            for again in [request.clone(), request.clone().base64()] {
                let answer = deployed.send(front, &again).await;
                assert_eq!(
                    answer.body, r#"{"status":"duplicate"}"#,
                    "{front:?} {key}: the same bytes"
                );
            }
        }
        let id = format!("n-{}", front.as_str());
        let text = with(&source.message(&id, NOW), "{", r#"{"x":"é😀\u20ac\\\"","#);
        let key = format!("{}:{id}", source.name);
        deployed
            .keeps(front, &post(&source, &text).base64(), "recorded", &key)
            .await;
        assert_eq!(
            deployed.send(front, &post(&source, &text)).await.body,
            r#"{"status":"duplicate"}"#
        );
    }
}

#[tokio::test]
async fn long_bodies_fit_and_longer_ones_are_refused_before_anything_else_is_looked_at() {
    let deployed = DeployedFunction::new();
    let source = pay();
    let fits = noise(1_000_000);
    deployed
        .keeps(
            LambdaFront::HttpApi,
            &post(&source, &fits),
            "held unreadable",
            &source.unreadable_key(&fits),
        )
        .await;
    let text = with(
        &source.message("n1", NOW),
        "{",
        &format!("{{\"x\":\"{}\",", "é\\\\".repeat(500_000)),
    );
    deployed
        .keeps(
            LambdaFront::Rest,
            &post(&source, &text),
            "recorded",
            "pay:n1",
        )
        .await;
    let long = noise(MAX_BODY_BYTES + 1);
    for request in [
        post(&source, &long),
        unsigned(&source, &long),
        unsigned(&without_secret()[1], &long),
    ] {
        assert_eq!(deployed.send(LambdaFront::Rest, &request).await.status, 413);
    }
}

#[tokio::test]
async fn a_body_that_claims_to_be_base64_and_is_not_is_refused() {
    let deployed = DeployedFunction::new();
    for (front, source) in LambdaFront::ALL
        .into_iter()
        .flat_map(|front| both().map(|source| (front, source)))
    {
        let request = post(&source, source.message("n1", NOW)).base64();
        for body in [
            json!("!!!"),
            json!("é"),
            json!("e30"),
            json!("e30=="),
            json!("e30=\n"),
            json!(" e30="),
            json!("e31="),
            json!("=e30"),
            json!("e30=e30="),
            json!("_-8="),
            json!({}),
            json!(7),
            json!(["e30="]),
        ] {
            let mut event = front.invocation(&request, NOW);
            event["body"] = body.clone();
            let answer = deployed.answer(&event).await;
            assert_eq!(
                (answer.status, answer.body.as_str()),
                (400, r#"{"error":"malformed"}"#),
                "{front:?} {body}"
            );
        }
        let mut event = front.invocation(&unsigned(&source, "").base64(), NOW);
        event["body"] = json!(null);
        assert_eq!(
            deployed.answer(&event).await.status,
            401,
            "an empty body is one, too"
        );
        event["body"] = json!("");
        assert_eq!(deployed.answer(&event).await.status, 401);
    }
}

#[tokio::test]
async fn an_encoding_of_the_senders_own_is_left_alone() {
    let deployed = DeployedFunction::new();
    for front in LambdaFront::ALL {
        let packed = [&b"\x1f\x8b\x08"[..], front.as_str().as_bytes()].concat();
        let request = post(&pay(), &packed).header("Content-Encoding", "gzip");
        deployed
            .keeps(
                front,
                &request,
                "held unreadable",
                &pay().unreadable_key(&packed),
            )
            .await;
    }
}
