//! One exchange with the receiver, over the connections of the sender's client.

use std::time::Duration;

use tokio::time::Instant;
use url::Url;

use super::{ExchangeResult, PlannedMessage, RunDriver, outcome_of};
use crate::{
    Clock, DeliveryAttempt, ExchangeError, ExchangeOutcome, ReceiverConnection, ReceiverResponse,
    Sender, SenderRequest, SystemClock, exchange,
    run::{MessageKind, injected_faults::DisconnectPoint},
};

/// The number of pieces of a slow body.
const SLOW_PIECES: usize = 10;

/// The pause between two pieces of a slow body.
const SLOW_PAUSE: Duration = Duration::from_millis(100);

impl RunDriver<'_> {
    pub(super) async fn exchange(
        &self,
        message: PlannedMessage,
        attempt: DeliveryAttempt,
        url: &Url,
        request: &SenderRequest,
    ) -> (ExchangeResult, Duration) {
        let (began, profile) = (Instant::now(), self.plan.sender.client_profile());
        let request = &self.with_cookies(message.kind, url, request);
        let result = if self.clock.elapsed() < self.plan.fault_rates.outage {
            Err(ExchangeOutcome::Unreachable)
        } else if url == &self.plan.url {
            let exchange = self.exchange_pooled(request, message.slow);
            let result = tokio::time::timeout(profile.total_timeout, exchange).await;
            result
                .unwrap_or(Err(ExchangeError::TimedOut))
                .map_err(outcome_of)
        } else {
            exchange(request, url, profile).await.map_err(outcome_of)
        };
        let took = began.elapsed();
        if let Ok(response) = &result {
            self.cookies().store(url, response, SystemClock.now());
        }
        self.report_exchange(message.kind, attempt, url, request, &result, took);
        (result, took)
    }

    /// The request with the receiver's cookies, in Pay's last header. A forged message has none.
    fn with_cookies(&self, kind: MessageKind, url: &Url, request: &SenderRequest) -> SenderRequest {
        let mut request = request.clone();
        if self.plan.sender == Sender::GovukPay && kind.is_genuine() {
            let cookies = self.cookies().header(url, SystemClock.now());
            let header = cookies.map(|cookies| ("Cookie".to_owned(), cookies));
            request.headers.extend(header);
        }
        request
    }

    async fn exchange_pooled(
        &self,
        request: &SenderRequest,
        slow: bool,
    ) -> Result<ReceiverResponse, ExchangeError> {
        let mut connection = self.pool.take(&self.plan.url).await?;
        let response = if slow {
            connection
                .send_in_pieces(SLOW_PIECES, SLOW_PAUSE, request)
                .await
        } else {
            connection.send(request).await
        };
        self.pool.put(connection);
        response
    }

    /// Sends a part of a request and disconnects.
    pub(super) async fn abandon(&self, message: PlannedMessage, point: DisconnectPoint) {
        let _thread = self.first_attempts.acquire().await;
        let request = self.signed(&self.body(message));
        let bytes = match point {
            DisconnectPoint::InBody => request.body.len() / 2,
            DisconnectPoint::BeforeResponse => request.body.len(),
        };
        self.stats().summary.abandoned += 1;
        let profile = self.plan.sender.client_profile();
        if let Ok(connection) = ReceiverConnection::open(&self.plan.url, profile).await {
            connection.abandon(&request, bytes).await;
        }
    }
}
