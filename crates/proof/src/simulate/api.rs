//! The senders' APIs behind a network that fails, for reconcile.

use std::{sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, FutureExt};
use pillarbox::reconcile::{ClientResponse, RequestError, ResponseError, SenderTransport};
use reqwest::{Request, RequestBuilder};
use sender_simulator::apis::{ApiRequest, ApiResponse, SenderApi};
use serde_json::value::RawValue;

use super::{
    content::digest_of,
    plan::FaultKind,
    process::{SimulatedProcess, sender_time},
};
use crate::{history::RecordedEvent, sync::lock};

/// The network of one process.
pub(crate) struct SimulatedTransport(pub(crate) Arc<SimulatedProcess>);

impl SenderTransport for SimulatedTransport {
    fn send(
        &self,
        request: RequestBuilder,
        _: usize,
    ) -> BoxFuture<'_, Result<ClientResponse, ResponseError>> {
        let request = request.build().expect("the product's requests are whole");
        self.exchange(request).boxed()
    }
}

impl SimulatedTransport {
    async fn exchange(&self, request: Request) -> Result<ClientResponse, ResponseError> {
        let process = &self.0;
        tokio::time::sleep(process.millis(5, 400)).await;
        let is_faulty = process.draws_fault(FaultKind::ApiFails, 2 * process.simulation.plan.rate);
        let fault = is_faulty.then(|| process.random.draw(|random| random.below(6)));
        let unanswered = |error| Err(ResponseError::Unanswered(error));
        match fault {
            Some(0) => return unanswered(RequestError::NoConnection),
            Some(1) => return Ok(failed(503)),
            Some(2) => return Ok(failed(429)),
            Some(3) => tokio::time::sleep(Duration::from_secs(19)).await,
            _ => {}
        }
        let response = self.answer(&request);
        match fault {
            Some(4) => unanswered(RequestError::BrokeOff),
            Some(5) => {
                tokio::time::sleep(Duration::from_secs(20)).await;
                unanswered(RequestError::Late)
            }
            _ => Ok(ClientResponse {
                status: response.status,
                body: response.body.into(),
            }),
        }
    }

    /// Answers by the sender's rules, and records the effect and the content.
    fn answer(&self, request: &Request) -> ApiResponse {
        let simulation = &self.0.simulation;
        let (url, api_request) = (request.url(), api_request(request));
        let now = sender_time(simulation.now());
        if url.path().starts_with("/v1/") {
            let response = lock(&simulation.accounts).answer(&api_request, now, &*self.0);
            if response.status == 200 {
                self.record_listed("pay", response.body.as_bytes());
            }
            return response;
        }
        let response = lock(&simulation.boxes).answer(&api_request, now, &*self.0);
        match (response.status, url.path().ends_with("/acknowledge")) {
            (204, true) => self.record_acknowledged(acknowledged_ids(request)),
            (200, false) => {
                let elements = serde_json::from_str::<Vec<&RawValue>>(&response.body);
                for element in elements.unwrap_or_default() {
                    self.record_listed("hmrc", element.get().as_bytes());
                }
            }
            _ => {}
        }
        response
    }

    fn record_listed(&self, source: &str, bytes: &[u8]) {
        let digest = digest_of(bytes);
        self.0.simulation.record(RecordedEvent::Listed {
            source: source.to_owned(),
            digest,
        });
    }

    fn record_acknowledged(&self, ids: Vec<String>) {
        for id in &ids {
            lock(&self.0.simulation.acknowledged).insert(id.clone(), true);
        }
        self.0.simulation.record(RecordedEvent::PullAcknowledged {
            source: "hmrc".to_owned(),
            ids,
        });
    }
}

fn body(request: &Request) -> &[u8] {
    let body = request.body().and_then(reqwest::Body::as_bytes);
    body.unwrap_or_default()
}

/// The request for a simulated API.
pub(crate) fn api_request(request: &Request) -> ApiRequest {
    let (method, headers) = (request.method().as_str(), request.headers().clone());
    let body = bytes::Bytes::copy_from_slice(body(request));
    ApiRequest::new(method, request.url(), headers, body)
}

/// The ids in an acknowledgement.
pub(crate) fn acknowledged_ids(request: &Request) -> Vec<String> {
    let body: serde_json::Value = serde_json::from_slice(body(request)).unwrap_or_default();
    let ids = body["notificationIds"].as_array().into_iter().flatten();
    let ids = ids.filter_map(|id| id.as_str());
    ids.map(str::to_owned).collect()
}

fn failed(status: u16) -> ClientResponse {
    ClientResponse {
        status,
        body: bytes::Bytes::from_static(b"{}"),
    }
}
