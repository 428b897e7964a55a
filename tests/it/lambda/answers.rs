//! Method and path over every front, the challenge, and a source without a secret.

use serde_json::json;

use test_support::{
    fronts::{Front, FrontRequest},
    function::{Deployed, post, unsigned},
    message::{NO_CHALLENGES, both, hmrc, pay, without_secret},
    server::NOW,
};

#[tokio::test]
async fn no_other_spelling_of_a_path_is_ours_on_any_front() {
    let deployed = Deployed::new();
    for (front, source) in Front::ALL
        .into_iter()
        .flat_map(|front| both().map(|source| (front, source)))
    {
        let name = &source.name;
        let asked = post(&source, source.message("n1", NOW));
        for path in [
            "/".to_owned(),
            String::new(),
            format!("/{name}/"),
            format!("//{name}"),
            format!("/{name}//"),
            format!("/./{name}"),
            format!("/x/../{name}"),
            format!("/{name}/../{name}"),
            format!("/%2e%2e/{name}"),
            format!("/{name}/.."),
            format!("/%2F{name}"),
            format!("/{name}%2F"),
            format!("/{name}%00"),
            format!("/{name}\0"),
            format!("/{name};x"),
            format!("/{}", name.to_uppercase()),
            format!("/%{:02x}{}", name.as_bytes()[0], &name[1..]),
            format!("/prod/{name}"),
            format!("/$default/{name}"),
            format!("/{name}/{name}"),
            name.clone(),
            format!("/{name}?x"),
            format!("/{name}#x"),
            "/nobody".to_owned(),
            "/é".to_owned(),
        ] {
            for method in ["POST", "GET", "PUT", "HEAD", "OPTIONS"] {
                let asked = FrontRequest {
                    method: method.to_owned(),
                    path: path.clone(),
                    ..asked.clone()
                };
                let answer = deployed.ask(front, &asked).await;
                assert_eq!(answer.status, 404, "{front:?} {method} {path:?}");
            }
        }
    }
    assert!(deployed.row("pay:n1").await.is_none() && deployed.row("hmrc:n1").await.is_none());
}

#[tokio::test]
async fn a_stage_and_a_mapping_are_no_part_of_a_path() {
    let deployed = Deployed::new();
    let source = pay();
    let event =
        |front: Front, id: &str| front.invocation(&post(&source, source.message(id, NOW)), NOW);

    for (index, (stage, path, status)) in [
        ("prod", "/prod/pay", 200),
        ("prod", "/pay", 200), // behind a domain of one's own
        ("v1", "/v1/pay", 200),
        ("pay", "/pay/pay", 200),
        ("prod", "/Prod/pay", 404),
        ("prod", "/prodpay", 404),
        ("prod", "/prod/prod/pay", 404),
        ("prod", "/prod//pay", 404),
        ("prod", "/prod", 404),
        ("$default", "/$default/pay", 404),
        ("", "//pay", 404),
    ]
    .into_iter()
    .enumerate()
    {
        let mut event = event(Front::HttpApi, &format!("s{index}"));
        event["rawPath"] = json!(path);
        event["requestContext"]["stage"] = json!(stage);
        assert_eq!(
            deployed.answer(&event).await.status,
            status,
            "{stage} {path}"
        );
    }
    for (index, (resource, parameters, path, status)) in [
        ("/{source}", json!({"source": "pay"}), "/hooks/pay", 200),
        ("/{proxy+}", json!({"proxy": "pay"}), "/hooks/v1/pay", 200),
        ("/pay", json!(null), "/hooks/pay", 200),
        ("/pay", json!(null), "/pay", 200),
        ("/{source}", json!({"source": "pay"}), "/hooks/%70ay", 404),
        ("/{source}", json!({"source": "pay"}), "/hooks//pay", 404),
        ("/{source}", json!({"source": "pay"}), "/hooks/../pay", 404),
        ("/{source}", json!({"source": "pay"}), "/hooks/pay/", 404),
        ("/{source}", json!({"source": "pay"}), "//pay", 404),
        ("/{source}", json!({"source": "pay"}), "/ho oks/pay", 404),
        ("/{source}", json!({"source": "hmrc"}), "/hooks/pay", 404),
        (
            "/{proxy+}",
            json!({"proxy": "hooks/pay"}),
            "/hooks/pay",
            404,
        ),
        ("/{proxy+}", json!(null), "/hooks/pay", 404),
        ("/{other}", json!({"source": "pay"}), "/hooks/pay", 404),
    ]
    .into_iter()
    .enumerate()
    {
        let mut event = event(Front::Rest, &format!("m{index}"));
        (event["resource"], event["pathParameters"], event["path"]) =
            (json!(resource), parameters, json!(path));
        assert_eq!(
            deployed.answer(&event).await.status,
            status,
            "{resource} {path}"
        );
    }
}

#[tokio::test]
async fn other_methods_are_named_the_two_there_are() {
    let deployed = Deployed::new();
    for front in Front::ALL {
        for source in both().iter().chain(&without_secret()) {
            for method in [
                "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "post", "BREW", "",
            ] {
                let answer = deployed
                    .ask(
                        front,
                        &FrontRequest::new(method, &format!("{}?challenge=a", source.path())),
                    )
                    .await;
                assert_eq!(
                    (answer.status, answer.header("allow")),
                    (405, Some("GET, POST")),
                    "{front:?} {method}"
                );
            }
        }
    }
}

#[tokio::test]
async fn only_one_harmless_challenge_is_given_back() {
    let deployed = Deployed::new();
    let longest = "a".repeat(128);
    for (front, source) in Front::ALL
        .into_iter()
        .flat_map(|front| [hmrc(), without_secret()[0].clone()].map(|s| (front, s)))
    {
        let ask = async |query: &str| {
            deployed
                .ask(
                    front,
                    &FrontRequest::new("GET", &format!("{}?{query}", source.path())),
                )
                .await
        };
        for (query, value) in [
            (
                "challenge=1ed5f407-8096-40d1-87ef-9a2a103eeb85",
                "1ed5f407-8096-40d1-87ef-9a2a103eeb85",
            ),
            ("team=7&challenge=A-z0&x", "A-z0"),
            ("challenge=%31ab", "1ab"),
            (&format!("challenge={longest}"), &longest),
        ] {
            let answer = ask(query).await;
            assert_eq!(
                (answer.status, answer.body),
                (200, format!(r#"{{"challenge":"{value}"}}"#)),
                "{front:?} {query}"
            );
        }
        let longer = format!("challenge={longest}a");
        for query in NO_CHALLENGES.into_iter().chain([
            longer.as_str(),
            "challenge[]=a",
            "challenge=a\r\nb",
            "challenge=a b",
        ]) {
            assert_eq!(ask(query).await.status, 400, "{front:?} {query}");
        }
    }
    for (front, source) in Front::ALL
        .into_iter()
        .flat_map(|front| [pay(), without_secret()[1].clone()].map(|s| (front, s)))
    {
        let answer = deployed
            .ask(
                front,
                &FrontRequest::new("GET", &format!("{}?challenge=abc", source.path())),
            )
            .await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (400, r#"{"error":"challenge"}"#),
            "Pay sends none"
        );
    }
}

#[tokio::test]
async fn a_source_without_a_secret_is_not_ready_whoever_signs() {
    let deployed = Deployed::new();
    for (front, index) in Front::ALL
        .into_iter()
        .flat_map(|front| [(front, 0), (front, 1)])
    {
        let (source, signer) = (&without_secret()[index], &both()[index]);
        let signed = FrontRequest {
            path: source.path(),
            ..post(signer, signer.message("n1", NOW))
        };
        for asked in [signed, unsigned(source, "x"), unsigned(source, "")] {
            let answer = deployed.ask(front, &asked).await;
            assert_eq!(
                (answer.status, answer.body.as_str()),
                (503, r#"{"error":"no_secret"}"#),
                "{front:?}"
            );
        }
    }
}
