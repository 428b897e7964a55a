//! The senders' APIs as reconcile reaches them: their own rules, behind a network that fails.

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
    simulation::lock,
};
use crate::history::RecordedEvent;

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
        let is_faulty = process.meets(FaultKind::ApiFails, 2 * process.simulation.plan.rate);
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

    /// The answer of the sender's own rules, whose effect and content are noted.
    fn answer(&self, request: &Request) -> ApiResponse {
        let simulation = &self.0.simulation;
        let body = request
            .body()
            .and_then(reqwest::Body::as_bytes)
            .unwrap_or_default();
        let body = bytes::Bytes::copy_from_slice(body);
        let (method, url) = (request.method().as_str(), request.url());
        let asked = ApiRequest::new(method, url, request.headers().clone(), body.clone());
        let now = sender_time(simulation.now());
        if url.path().starts_with("/v1/") {
            let response = lock(&simulation.accounts).answer(&asked, now, &*self.0);
            if response.status == 200 {
                self.note_listed("pay", response.body.as_bytes());
            }
            return response;
        }
        let response = lock(&simulation.boxes).answer(&asked, now, &*self.0);
        match (response.status, url.path().ends_with("/acknowledge")) {
            (204, true) => self.note_acknowledged(&body),
            (200, false) => {
                let elements = serde_json::from_str::<Vec<&RawValue>>(&response.body);
                for element in elements.unwrap_or_default() {
                    self.note_listed("hmrc", element.get().as_bytes());
                }
            }
            _ => {}
        }
        response
    }

    fn note_listed(&self, source: &str, bytes: &[u8]) {
        let digest = digest_of(bytes);
        self.0.simulation.note(RecordedEvent::Listed {
            source: source.to_owned(),
            digest,
        });
    }

    fn note_acknowledged(&self, body: &[u8]) {
        let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let ids = body["notificationIds"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let ids: Vec<String> = ids
            .iter()
            .filter_map(|id| id.as_str())
            .map(str::to_owned)
            .collect();
        for id in &ids {
            lock(&self.0.simulation.acknowledged).insert(id.clone(), true);
        }
        self.0.simulation.note(RecordedEvent::PullAcknowledged {
            source: "hmrc".to_owned(),
            ids,
        });
    }
}

fn failed(status: u16) -> ClientResponse {
    ClientResponse {
        status,
        body: bytes::Bytes::from_static(b"{}"),
    }
}
