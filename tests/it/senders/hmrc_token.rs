//! `POST /oauth/token`.

use std::time::Duration;

use reqwest::Method;
use sender_simulator::apis::ppns::{
    PpnsApplication, PpnsEndpoint, READ_SCOPE, TOKEN_LIFETIME, WRITE_SCOPE,
};
use serde_json::json;

use super::{hmrc::PpnsClient, response::send};

const GOOD: &str = "client_id=client-1&client_secret=secret-1&grant_type=client_credentials";

#[tokio::test]
async fn a_token_response_has_its_lifetime_and_scopes() {
    let hmrc = PpnsClient::start().await;
    for (scope, expected) in [
        (
            "&scope=read:pull-notifications+write:notifications",
            "read:pull-notifications write:notifications",
        ),
        ("&scope=write%3Anotifications", "write:notifications"),
        ("", ""),
    ] {
        let response = hmrc.request_token(&format!("{GOOD}{scope}")).await;
        assert_eq!(response.status, 200, "{scope}");
        let mut answer = response.json();
        let token = answer["access_token"].take();
        assert!(token.as_str().unwrap().len() >= 32, "{token}");
        let rest = json!({"access_token": null, "token_type": "bearer", "expires_in": 14_400,
            "scope": expected});
        assert_eq!(answer, rest);
    }
}

#[tokio::test]
async fn a_request_for_a_token_is_refused_with_an_oauth_error() {
    let hmrc = PpnsClient::start().await;
    let reader = PpnsApplication {
        scopes: vec![READ_SCOPE.to_owned()],
        ..PpnsApplication::new("reader", "secret-3")
    };
    hmrc.ppns.with(|boxes| boxes.register(reader));
    for (form, expected) in [
        ("", (400, "invalid_request")),
        (
            "client_id=client-1&client_secret=secret-1",
            (400, "invalid_request"),
        ),
        (
            "client_id=client-1&grant_type=client_credentials",
            (400, "invalid_request"),
        ),
        (
            "client_id=client-1&client_secret=&grant_type=client_credentials",
            (400, "invalid_request"),
        ),
        (
            "client_id=client-1&client_secret=secret-1&grant_type=password",
            (400, "invalid_request"),
        ),
        (
            "client_id=a&client_id=b&client_secret=c&grant_type=client_credentials",
            (400, "invalid_request"),
        ),
        (
            "client_id=client-1&client_secret=secret-2&grant_type=client_credentials",
            (401, "invalid_client"),
        ),
        (
            "client_id=nobody&client_secret=secret-1&grant_type=client_credentials",
            (401, "invalid_client"),
        ),
        (
            &format!("{GOOD}&scope=read:notifications"),
            (400, "invalid_scope"),
        ),
        (
            &format!("{GOOD}&scope={READ_SCOPE}+read:vat"),
            (400, "invalid_scope"),
        ),
        (
            &format!(
                "client_id=reader&client_secret=secret-3&grant_type=client_credentials\
                 &scope={WRITE_SCOPE}"
            ),
            (400, "invalid_scope"),
        ),
    ] {
        let response = hmrc.request_token(form).await;
        assert_eq!(
            (response.status, response.json()["error"].as_str().unwrap()),
            expected,
            "{form}"
        );
        assert!(response.json()["error_description"].is_string());
    }
}

#[tokio::test]
async fn credentials_belong_into_a_form_in_the_body() {
    let hmrc = PpnsClient::start().await;
    let in_the_query = hmrc.request(Method::POST, &format!("/oauth/token?{GOOD}"));
    let as_json = hmrc
        .request(Method::POST, "/oauth/token")
        .header("content-type", "application/json")
        .body("{}");
    let in_a_header = hmrc
        .request(Method::POST, "/oauth/token")
        .basic_auth("client-1", Some("secret-1"));
    for request in [in_the_query, as_json, in_a_header] {
        let response = send(request).await.unwrap();
        assert_eq!(
            (response.status, &response.json()["error"]),
            (400, &json!("invalid_request"))
        );
    }
}

#[tokio::test]
async fn a_token_is_good_until_its_time_is_over_or_it_is_taken_back() {
    let mut hmrc = PpnsClient::start().await;
    assert_eq!(hmrc.list("").await.status, 200);
    hmrc.clock.pass(TOKEN_LIFETIME - Duration::from_secs(3));
    assert_eq!(hmrc.list("").await.status, 200, "one second before");
    assert_eq!(
        hmrc.list("").await.refusal(),
        (401, "INVALID_CREDENTIALS".to_owned())
    );

    hmrc.token = hmrc.token_for(READ_SCOPE).await;
    assert_eq!(hmrc.list("").await.status, 200);
    hmrc.ppns.with(|boxes| boxes.revoke_tokens());
    assert_eq!(
        hmrc.list("").await.refusal(),
        (401, "INVALID_CREDENTIALS".to_owned())
    );
    assert_eq!(hmrc.ppns.calls().to(PpnsEndpoint::Token).len(), 2);
}

#[tokio::test]
async fn a_token_is_good_for_its_own_scopes_only() {
    let mut hmrc = PpnsClient::start().await;
    for (scope, list, acknowledge) in [
        (READ_SCOPE, 200, 403),
        (WRITE_SCOPE, 403, 400),
        ("", 403, 403),
    ] {
        hmrc.token = hmrc.token_for(scope).await;
        assert_eq!(hmrc.list("").await.status, list, "{scope}");
        assert_eq!(hmrc.acknowledge("{}").await.status, acknowledge, "{scope}");
    }
    assert_eq!(
        hmrc.list("").await.refusal(),
        (403, "INVALID_SCOPE".to_owned())
    );
}
