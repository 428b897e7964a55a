//! Over every front, the accept set of a signature is one string in one header.

use base64::{Engine, prelude::BASE64_STANDARD};
use sender_simulator::Sender;
use serde_json::json;

use test_support::{
    client::CheckedResponse,
    fronts::{Front, FrontRequest},
    function::{Deployed, post, unsigned},
    message::{Source, both, hmrc, hmrc_too, pay, pay_too, with},
    request::{signature, signature_header},
    server::NOW,
};

fn refused(answer: &CheckedResponse, why: impl std::fmt::Debug) {
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (401, r#"{"error":"signature"}"#),
        "{why:?}"
    );
}

fn everywhere() -> impl Iterator<Item = (Front, Source)> {
    Front::ALL
        .into_iter()
        .flat_map(|front| both().map(|source| (front, source)))
}

#[tokio::test]
async fn a_signature_of_any_other_form_is_refused() {
    let deployed = Deployed::new();
    for (front, source) in everywhere() {
        let body = source.message("n1", NOW);
        let good = source.sign(&body);
        let full_width: String = good
            .chars()
            .map(|c| char::from_u32(u32::from(c) + 0xfee0).unwrap())
            .collect();
        let mut forms: Vec<String> = vec![
            String::new(),
            " ".to_owned(),
            "v1,".to_owned(),
            format!("v1,{good}"),
            format!("sha1={good}"),
            format!("0x{good}"),
            format!("0x{}", &good[2..]),
            format!("\"{good}\""),
            format!("{good},"),
            format!("{good}%0a"),
            format!("{good}\u{a0}"),
            format!("\u{a0}{good}"),
            format!("{good}0"),
            format!("0{good}"),
            format!("+f{}", &good[2..]),
            format!("{}+f", &good[..good.len() - 2]),
            format!("{}é", &good[..good.len() - 2]),
            format!("{}é{}", &good[..19], &good[21..]),
            format!("é{}", &good[1..]),
            format!("{}\u{1f600}{}", &good[..1], &good[1..]),
            format!("g{}", &good[1..]),
            good.to_uppercase(),
            good[..1].to_uppercase() + &good[1..] + "A",
            full_width,
            BASE64_STANDARD.encode(hex::decode(&good).unwrap()),
            "0".repeat(good.len()),
            good.chars().rev().collect(),
            good.repeat(2),
            format!("{good},{good}"),
            format!("{good}, {good}"),
        ];
        for length in [39, 41, 63, 65] {
            forms.push(good.chars().cycle().take(length).collect());
        }
        forms.extend((0..good.len()).map(|length| good[..length].to_owned()));
        for form in forms {
            let asked = unsigned(&source, &body).header(signature_header(source.sender), &form);
            refused(&deployed.ask(front, &asked).await, (front, form));
        }
        refused(
            &deployed.ask(front, &unsigned(&source, &body)).await,
            (front, "no header"),
        );
        let newline =
            unsigned(&source, &body).header(signature_header(source.sender), format!("{good}\n"));
        assert_eq!(
            deployed.ask(front, &newline).await.status,
            400,
            "a newline behind it is none of a header"
        );
    }
    assert!(deployed.row("pay:n1").await.is_none() && deployed.row("hmrc:n1").await.is_none());
}

#[tokio::test]
async fn two_signature_headers_are_refused_even_if_both_are_right() {
    let deployed = Deployed::new();
    for (front, source) in everywhere() {
        let body = source.message("n1", NOW);
        let (good, bad) = (source.sign(&body), source.sign("another body"));
        let name = signature_header(source.sender);
        for (first, second) in [(&good, &bad), (&bad, &good), (&good, &good)] {
            for other_name in [name.to_owned(), name.to_lowercase(), name.to_uppercase()] {
                let asked = unsigned(&source, &body)
                    .header(name, first)
                    .header(&other_name, second);
                refused(
                    &deployed.ask(front, &asked).await,
                    (front, first, second, other_name),
                );
            }
        }
    }
    // A REST API that keeps the last of them in `headers` and none beside it still shows but one.
    let source = pay();
    let body = source.message("n1", NOW);
    let mut event = Front::Rest.invocation(&post(&source, &body), NOW);
    event["headers"]["pay-signature"] = json!(source.sign("another body"));
    event["multiValueHeaders"] = json!(null);
    refused(&deployed.answer(&event).await, "two spellings of one name");
}

#[tokio::test]
async fn the_case_of_a_header_name_does_not_matter() {
    let deployed = Deployed::new();
    for (index, (front, source)) in everywhere().enumerate() {
        let name = signature_header(source.sender);
        for (variant, name) in [name.to_owned(), name.to_lowercase(), name.to_uppercase()]
            .iter()
            .enumerate()
        {
            let id = format!("n{index}-{variant}");
            let body = source.message(&id, NOW);
            let asked = unsigned(&source, &body).header(name, source.sign(&body));
            deployed
                .keeps(front, &asked, "recorded", &format!("{}:{id}", source.name))
                .await;
        }
    }
}

#[tokio::test]
async fn keys_and_headers_of_others_do_not_count() {
    let deployed = Deployed::new();
    for front in Front::ALL {
        for (source, other) in [(hmrc(), pay()), (pay(), hmrc()), (pay(), pay_too())] {
            let body = source.message("n1", NOW);
            for asked in [
                unsigned(&source, &body).header(signature_header(source.sender), other.sign(&body)),
                unsigned(&source, &body).header(signature_header(other.sender), other.sign(&body)),
                unsigned(&source, &body).header("X-Signature", source.sign(&body)),
            ] {
                refused(
                    &deployed.ask(front, &asked).await,
                    (front, &source.name, &asked.headers),
                );
            }
        }
        let body = pay().message("n1", NOW);
        let without_prefix = with(&pay().secrets[0], "webhook_test_", "");
        let signature = signature(Sender::GovukPay, &without_prefix, &body);
        refused(
            &deployed
                .ask(
                    front,
                    &unsigned(&pay(), &body).header("Pay-Signature", signature),
                )
                .await,
            front,
        );
    }
}

#[tokio::test]
async fn every_active_secret_counts_and_the_one_that_matched_is_kept() {
    let deployed = Deployed::new();
    let source = hmrc();
    for front in Front::ALL {
        for (index, secret) in source.secrets.iter().enumerate() {
            let id = format!("{}-{index}", front.as_str());
            let body = source.message(&id, NOW);
            let asked = unsigned(&source, &body)
                .header("X-Hub-Signature", signature(source.sender, secret, &body));
            deployed
                .keeps(front, &asked, "recorded", &format!("hmrc:{id}"))
                .await;
            let row = deployed.row(&format!("hmrc:{id}")).await.unwrap();
            assert_eq!(row.key_label, Some(format!("{}:env:TEST", index + 1)));
        }
        let id = format!("{}-0", front.as_str());
        let too = post(&hmrc_too(), source.message(&id, NOW));
        deployed
            .keeps(front, &too, "recorded", &format!("hmrc-too:{id}"))
            .await;
    }
}

#[tokio::test]
async fn hmrcs_signed_form_of_characters_beyond_the_bmp_counts_and_the_sent_bytes_are_kept() {
    let deployed = Deployed::new();
    let source = hmrc();
    for front in Front::ALL {
        let body = |id: &str, name: &str| {
            let id = format!("{}-{id}", front.as_str());
            with(
                &source.message(&id, NOW),
                r#"\"n\":1"#,
                &format!(r#"\"n\":\"{name}\""#),
            )
        };
        for (id, sent, signed) in [
            ("escaped", r"\uD83D\uDE00", "😀"),
            ("never-escaped", "😀", "😀"),
            ("text-about-an-escape", r"\\ud83d\\ude00", r"\\ud83d\\ude00"),
        ] {
            for asked in [
                unsigned(&source, body(id, sent)),
                unsigned(&source, body(id, sent)).base64(),
            ] {
                let asked = asked.header("X-Hub-Signature", source.sign(body(id, signed)));
                assert_eq!(
                    deployed.ask(front, &asked).await.status,
                    200,
                    "{front:?} {id}"
                );
            }
            let row = deployed
                .row(&format!("hmrc:{}-{id}", front.as_str()))
                .await
                .unwrap();
            assert_eq!(row.body.unwrap(), body(id, sent));
        }
        let rewritten = unsigned(&source, body("x", r"\\ud83d\\ude00"));
        refused(
            &deployed
                .ask(
                    front,
                    &rewritten.header("X-Hub-Signature", source.sign(body("x", "😀"))),
                )
                .await,
            front,
        );
    }
}

#[tokio::test]
async fn a_header_of_somebody_elses_beyond_ascii_keeps_nobody_out() {
    let deployed = Deployed::new();
    for (front, source) in everywhere() {
        let id = format!("n-{}", front.as_str());
        let asked =
            post(&source, source.message(&id, NOW)).header("X-City", "Llanfairpwllgwyngyll – café");
        for asked in [asked.clone().base64(), asked] {
            assert_eq!(deployed.ask(front, &asked).await.status, 200, "{front:?}");
        }
        let row = deployed
            .row(&format!("{}:{id}", source.name))
            .await
            .unwrap();
        assert_eq!(row.body.unwrap(), source.message(&id, NOW));
    }
}

/// Of both signature headers, whatever else an invocation holds.
#[tokio::test]
async fn a_signature_outside_the_headers_is_none() {
    let deployed = Deployed::new();
    let source = pay();
    let body = source.message("n1", NOW);
    let query = FrontRequest {
        query: format!("Pay-Signature={}", source.sign(&body)),
        ..unsigned(&source, &body)
    };
    for front in Front::ALL {
        refused(&deployed.ask(front, &query).await, front);
        let mut event = front.invocation(&unsigned(&source, &body), NOW);
        event["Pay-Signature"] = json!(source.sign(&body));
        event["requestContext"]["pay-signature"] = json!(source.sign(&body));
        refused(&deployed.answer(&event).await, front);
    }
}
