//! GOV.UK Pay's API for reading payments: one by its id, or several by a search, and their refunds.
//!
//! The facts come from alphagov/pay-publicapi, pay-ledger and pay-connector. A payment is a
//! function of time: its state follows from its lifecycle and its age. A search can lag behind, as
//! in the real API.

mod accounts;
mod lifecycle;
mod payment;
mod error;
mod search;
mod view;

use std::{io, sync::Arc};

use super::{ApiRequest, ApiResponse, ApiServer, SenderApi, request::ApiCredentials};
use crate::{Clock, Timestamp};

pub use accounts::{MAX_CALLS_PER_SECOND, PayAccounts};
pub use error::PayApiError;
pub use lifecycle::PaymentLifecycle;
pub use payment::{PaymentWebhook, SimulatedPayment};

/// GOV.UK Pay's API on loopback.
pub type PayApi = ApiServer<PayAccounts>;

/// An endpoint of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayEndpoint {
    /// `GET /v1/payments`.
    Search,
    /// `GET /v1/payments/{id}`.
    Payment,
    /// `GET /v1/payments/{id}/events`.
    Events,
    /// `GET /v1/payments/{id}/refunds`.
    Refunds,
    /// `GET /v1/refunds`.
    RefundSearch,
}

impl ApiServer<PayAccounts> {
    /// Serves without accounts, on 127.0.0.1 at `port`, or at a free port for 0. Fails if the port
    /// is in use.
    pub async fn start(port: u16, clock: Arc<dyn Clock>) -> io::Result<Self> {
        Self::serve(port, clock, PayAccounts::new()).await
    }
}

/// The endpoint and the payment id of a request. The id of a search is empty.
fn route(request: &ApiRequest) -> Result<(PayEndpoint, String), PayApiError> {
    let segments = request.segments();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (endpoint, id) = match segments[..] {
        ["v1", "payments"] => (PayEndpoint::Search, ""),
        ["v1", "refunds"] => (PayEndpoint::RefundSearch, ""),
        ["v1", "payments", id] => (PayEndpoint::Payment, id),
        ["v1", "payments", id, "events"] => (PayEndpoint::Events, id),
        ["v1", "payments", id, "refunds"] => (PayEndpoint::Refunds, id),
        _ => return Err(PayApiError::Path),
    };
    if request.method == "GET" {
        Ok((endpoint, id.to_owned()))
    } else {
        Err(PayApiError::Method)
    }
}

impl SenderApi for PayAccounts {
    type Endpoint = PayEndpoint;

    fn endpoint(request: &ApiRequest) -> Option<PayEndpoint> {
        route(request).ok().map(|(endpoint, _)| endpoint)
    }

    fn answer(&mut self, request: &ApiRequest, now: Timestamp, _: &dyn Clock) -> ApiResponse {
        self.handle(request, now).unwrap_or_else(ApiResponse::from)
    }
}

impl PayAccounts {
    /// Checks the key, then the rate limit, then the request.
    fn handle(&mut self, request: &ApiRequest, now: Timestamp) -> Result<ApiResponse, PayApiError> {
        let ApiCredentials::Bearer(key) = request.credentials() else {
            return Err(PayApiError::Unauthorised);
        };
        self.admit(key, now)?;
        let (endpoint, id) = route(request)?;
        let lagging = now.minus(self.lag());
        let json = match endpoint {
            PayEndpoint::Search => search::search(self.payments(key, lagging), request, lagging)?,
            PayEndpoint::RefundSearch => {
                search::search_refunds(self.payments(key, lagging), request, lagging)?
            }
            PayEndpoint::Payment => {
                let payment = self.payment(key, &id, now).ok_or(PayApiError::NoPayment)?;
                view::payment(payment, &request.origin, now).to_string()
            }
            PayEndpoint::Events => {
                let payment = self.payment(key, &id, now).ok_or(PayApiError::NoEvents)?;
                view::events(payment, &request.origin, now).to_string()
            }
            PayEndpoint::Refunds => {
                let payment = self
                    .payment(key, &id, lagging)
                    .ok_or(PayApiError::NoRefunds)?;
                view::refunds(payment, &request.origin, lagging).to_string()
            }
        };
        Ok(ApiResponse::json(200, json))
    }
}
