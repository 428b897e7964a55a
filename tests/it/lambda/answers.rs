//! What only an event can say about path, method and challenge; see `conformance` for the rest.

use serde_json::json;

use test_support::{
    fronts::{FrontRequest, LambdaFront},
    function::{DeployedFunction, post},
    message::{both, hmrc, pay, without_secret},
    server::NOW,
};

#[tokio::test]
async fn no_path_that_only_an_event_can_hold_belongs_to_a_source() {
    let deployed = DeployedFunction::new();
    for (front, source) in LambdaFront::ALL
        .into_iter()
        .flat_map(|front| both().map(|source| (front, source)))
    {
        let name = &source.name;
        let posted = post(&source, source.message("n1", NOW));
        for path in [
            String::new(),
            format!("/{name}\0"),
            format!("/$default/{name}"),
            format!("/{name}?x"),
            format!("/{name}#x"),
        ] {
            for method in ["POST", "GET", "PUT", "HEAD", "OPTIONS"] {
                let posted = FrontRequest {
                    method: method.to_owned(),
                    path: path.clone(),
                    ..posted.clone()
                };
                let answer = deployed.send(front, &posted).await;
                assert_eq!(answer.status, 404, "{front:?} {method} {path:?}");
            }
        }
    }
    assert!(deployed.row("pay:n1").await.is_none() && deployed.row("hmrc:n1").await.is_none());
}

#[tokio::test]
async fn a_stage_and_a_mapping_are_no_part_of_a_path() {
    let deployed = DeployedFunction::new();
    let source = pay();
    let event = |front: LambdaFront, id: &str| {
        front.invocation(&post(&source, source.message(id, NOW)), NOW)
    };

    for (index, (stage, path, status)) in [
        ("prod", "/prod/pay", 200),
        ("prod", "/pay", 200), // behind a custom domain
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
        let mut event = event(LambdaFront::HttpApi, &format!("s{index}"));
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
        let mut event = event(LambdaFront::Rest, &format!("m{index}"));
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
async fn a_method_or_a_challenge_that_no_request_line_can_carry_is_refused() {
    let deployed = DeployedFunction::new();
    for front in LambdaFront::ALL {
        for source in both().iter().chain(&without_secret()) {
            let request = FrontRequest::new("", &format!("{}?challenge=a", source.path()));
            let answer = deployed.send(front, &request).await;
            assert_eq!(
                (answer.status, answer.header("allow")),
                (405, Some("GET, POST")),
                "{front:?}"
            );
        }
        for source in [hmrc(), without_secret()[0].clone()] {
            for query in ["challenge=a\r\nb", "challenge=a b"] {
                let request = FrontRequest::new("GET", &format!("{}?{query}", source.path()));
                assert_eq!(
                    deployed.send(front, &request).await.status,
                    400,
                    "{front:?} {query}"
                );
            }
        }
    }
}
