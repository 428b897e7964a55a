//! Requests that belong to no planned message: forgeries, cut bodies, replays, the challenge.

use super::{PlannedMessage, RunDriver};
use crate::{
    DeliveryAttempt, ExchangeOutcome, SenderRequest, hmrc,
    redirect::{self, RedirectOutcome},
    run::{
        DeliveryOutcome, MessageKind, SettledMessage,
        capture::CapturedRequest,
        messages,
        seeded_rng::{RngStream, SeededRng},
    },
};

impl RunDriver<'_> {
    /// Sends a forged message, signed with a key that is not the receiver's.
    pub(super) async fn forge(&self, n: u64) {
        let (body, wrong_key) = (
            messages::unrelated(self.plan, n),
            format!("not-{}", self.secret()),
        );
        let request = self.plan.sender.request(&body, &wrong_key, &self.plan.url);
        self.post_once(MessageKind::Forged, &request).await;
    }

    /// Sends a message whose second half was removed after signing. Its length header matches.
    pub(super) async fn truncate(&self, n: u64) {
        let mut request = self.signed(&messages::unrelated(self.plan, n ^ (1 << 63)));
        request.body.truncate(request.body.len() / 2);
        request.set_header("content-length", &request.body.len().to_string());
        self.post_once(MessageKind::Truncated, &request).await;
    }

    /// Sends a captured request of an earlier run. Its signature is still valid.
    pub(super) async fn replay(&self, capture: &CapturedRequest) {
        let request = redirect::readdress(capture.request.clone(), &self.plan.url);
        self.post_once(MessageKind::Replayed, &request).await;
    }

    /// Sends a request that has no retry schedule.
    async fn post_once(&self, kind: MessageKind, request: &SenderRequest) {
        self.stats().begin(&request.id, kind);
        let _thread = self.first_attempts.acquire().await;
        let first = DeliveryAttempt::FIRST;
        let message = PlannedMessage {
            kind,
            n: 0,
            first,
            slow: false,
        };
        let (result, took) = self.exchange(message, first, &self.plan.url, request).await;
        let last_exchange = self.outcome(&result);
        let is_accepted = matches!(
            last_exchange,
            ExchangeOutcome::Answered {
                status: 200..300,
                ..
            }
        );
        let outcome = if is_accepted {
            DeliveryOutcome::Acknowledged
        } else {
            DeliveryOutcome::Refused
        };
        self.settle(SettledMessage {
            sender: self.plan.sender,
            id: request.id.clone(),
            kind,
            outcome,
            attempts: 1,
            requests: 1,
            last_exchange,
            took,
        });
    }

    /// Sends the challenge that HMRC sends before it accepts a callback URL.
    pub(super) async fn challenge(&self) -> bool {
        let rng = SeededRng::new(self.plan.seed, RngStream::Challenge, 0, self.plan.start);
        let (request, url) = hmrc::challenge(&self.plan.url, &rng);
        let id = request.id.clone();
        let first = DeliveryAttempt::FIRST;
        let message = PlannedMessage {
            kind: MessageKind::Challenge,
            n: 0,
            first,
            slow: false,
        };
        let result = self.attempt(message, first, request, url, &mut 0).await;
        let echoed = result
            .response
            .is_some_and(|response| hmrc::is_echo(&id, response.status, &response.body));
        match (result.redirected, echoed) {
            (RedirectOutcome::Nowhere, true) => {}
            (RedirectOutcome::ToResponse, true) => self.stats().accept_redirected_challenge(&id),
            (RedirectOutcome::Elsewhere, _) => self.stats().lose_challenge(&id),
            (_, false) => self.stats().refuse_challenge(&id),
        }
        echoed
    }
}
