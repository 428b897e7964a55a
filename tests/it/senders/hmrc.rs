//! HMRC on loopback with one application and one box, and a client that can get everything wrong.

use std::{sync::Arc, time::Duration};

use super::response::{ApiResponse, send};
use reqwest::{Method, RequestBuilder};
use sender_simulator::{
    apis::{
        PpnsApi,
        ppns::{BoxNotification, BoxNotificationStatus, PpnsApplication, READ_SCOPE, WRITE_SCOPE},
    },
    hmrc::HmrcMessage,
};
use test_support::{loopback, manual_clock::ManualClock};

pub(crate) const BOX: &str = "50dca3fc-c37c-4f03-b719-63571333624c";
/// A box of another application.
pub(crate) const FOREIGN_BOX: &str = "11111111-c37c-4f03-b719-63571333624c";
pub(crate) const ACCEPT: &str = "application/vnd.hmrc.1.0+json";

pub(crate) struct PpnsClient {
    pub(crate) ppns: PpnsApi,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) client: reqwest::Client,
    pub(crate) token: String,
}

impl PpnsClient {
    pub(crate) async fn start() -> Self {
        let clock = ManualClock::new();
        let ppns = PpnsApi::start(0, clock.clone()).await.unwrap();
        ppns.with(|boxes| {
            boxes.register(PpnsApplication::new("client-1", "secret-1"));
            boxes.register(PpnsApplication::new("client-2", "secret-2"));
            boxes.open(BOX, "client-1");
            boxes.open(FOREIGN_BOX, "client-2");
        });
        let mut hmrc = Self {
            ppns,
            clock,
            client: loopback::client(),
            token: String::new(),
        };
        hmrc.token = hmrc.token_for(&format!("{READ_SCOPE} {WRITE_SCOPE}")).await;
        hmrc
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, self.ppns.base_url().join(path).unwrap())
    }

    pub(crate) async fn request_token(&self, form: &str) -> ApiResponse {
        let request = self.request(Method::POST, "/oauth/token");
        let request = request
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.to_owned());
        send(request).await.unwrap()
    }

    pub(crate) async fn token_for(&self, scope: &str) -> String {
        let scope = scope.replace(' ', "+");
        let form = format!(
            "client_id=client-1&client_secret=secret-1&grant_type=client_credentials&scope={scope}"
        );
        let response = self.request_token(&form).await;
        assert_eq!(response.status, 200, "{response:?}");
        response.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// What is answered, after a second in which no other call is counted.
    pub(crate) async fn send(&self, request: RequestBuilder) -> ApiResponse {
        self.clock.pass(Duration::from_secs(1));
        send(request).await.unwrap()
    }

    /// A list request that is valid but for its query.
    pub(crate) async fn list(&self, query: &str) -> ApiResponse {
        self.send(self.list_of(BOX, query)).await
    }

    pub(crate) fn list_of(&self, box_id: &str, query: &str) -> RequestBuilder {
        let path = format!("/misc/push-pull-notification/box/{box_id}/notifications{query}");
        self.request(Method::GET, &path)
            .bearer_auth(&self.token)
            .header("accept", ACCEPT)
    }

    /// An acknowledgement that is valid but for its body.
    pub(crate) async fn acknowledge(&self, body: impl Into<reqwest::Body>) -> ApiResponse {
        self.send(
            self.acknowledgement(BOX)
                .header("content-type", "application/json")
                .body(body),
        )
        .await
    }

    pub(crate) fn acknowledgement(&self, box_id: &str) -> RequestBuilder {
        let path = format!("/misc/push-pull-notification/box/{box_id}/notifications/acknowledge");
        self.request(Method::PUT, &path)
            .bearer_auth(&self.token)
            .header("accept", ACCEPT)
    }

    /// Puts a notification into the box and returns its id.
    pub(crate) fn add(&self, status: BoxNotificationStatus) -> String {
        let notification =
            BoxNotification::new(BOX, HmrcMessage::json(r#"{"key":"value"}"#), &*self.clock)
                .with_status(status);
        let id = notification.id.clone();
        self.ppns.with(|boxes| boxes.add(notification));
        id
    }

    pub(crate) fn status(&self, id: &str) -> BoxNotificationStatus {
        self.ppns.with(|boxes| boxes.status(id)).unwrap()
    }
}

pub(crate) fn body_of(ids: &[impl AsRef<str>]) -> String {
    let ids: Vec<&str> = ids.iter().map(AsRef::as_ref).collect();
    serde_json::json!({"notificationIds": ids}).to_string()
}
