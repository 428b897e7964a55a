//! Pay's API on loopback with one account and a client of it.

use std::{sync::Arc, time::Duration};

use reqwest::{Method, RequestBuilder};
use sender_simulator::{
    Clock, Timestamp,
    apis::{
        PayApi,
        pay_api::{PaymentLifecycle, SimulatedPayment},
    },
};
use serde_json::Value;
use test_support::{loopback, manual_clock::ManualClock};

use super::response::{ApiResponse, send};

pub(crate) const KEY: &str = "api_test_7mrp1d5lsa5pdfs2bvim2f9cdu";
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) struct PayApiClient {
    pub(crate) api: PayApi,
    pub(crate) clock: Arc<ManualClock>,
    client: reqwest::Client,
}

impl PayApiClient {
    pub(crate) async fn start() -> Self {
        let clock = ManualClock::new();
        let api = PayApi::start(0, clock.clone()).await.unwrap();
        api.with(|accounts| {
            accounts.open(KEY);
            accounts.set_rate_limit(usize::MAX);
        });
        Self {
            api,
            clock,
            client: loopback::client(),
        }
    }

    /// A payment that began this long ago.
    pub(crate) fn add(&self, life: PaymentLifecycle, ago: Duration) -> SimulatedPayment {
        let payment = SimulatedPayment::new(life, self.ago(ago), &*self.clock);
        self.api
            .with(|accounts| accounts.add(KEY, [payment.clone()]));
        payment
    }

    pub(crate) fn ago(&self, ago: Duration) -> Timestamp {
        self.clock.now().minus(ago)
    }

    pub(crate) fn request(&self, method: Method, target: &str) -> RequestBuilder {
        self.client
            .request(method, self.api.base_url().join(target).unwrap())
    }

    /// What the account is answered.
    pub(crate) async fn get(&self, target: &str) -> ApiResponse {
        send(self.request(Method::GET, target).bearer_auth(KEY))
            .await
            .unwrap()
    }

    /// What the account is answered, if it is answered well.
    pub(crate) async fn found(&self, target: &str) -> Value {
        let response = self.get(target).await;
        assert_eq!(response.status, 200, "{target} {}", response.text);
        response.json()
    }

    /// The ids that a search finds on one page.
    pub(crate) async fn ids(&self, query: &str) -> Vec<String> {
        let page = self.found(&format!("/v1/payments{query}")).await;
        ids_of(&page)
    }
}

pub(crate) fn ids_of(page: &Value) -> Vec<String> {
    page["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["payment_id"].as_str().unwrap().to_owned())
        .collect()
}
