//! Delivers a message as its sender does: attempts, repetitions, redirects.

use tokio::sync::Semaphore;
use url::Url;

use super::{AttemptEnd, PlannedMessage, RunDriver, SenderAttemptResult};
use crate::{
    DeliveryAttempt, ExchangeOutcome, MessageBody, NextAction, Sender, SenderRequest, decide,
    redirect::{RedirectChain, RedirectOutcome, RedirectStep},
    run::{MessageKind, RunEvent, SettledMessage, messages},
};

impl RunDriver<'_> {
    /// Sends a message on the sender's schedule until it is settled.
    pub(super) async fn deliver(&self, message: PlannedMessage) {
        let (mut attempt, mut requests) = (message.first, 0);
        loop {
            let thread = self.threads(message, attempt).acquire().await;
            let body = self.body(message);
            if requests == 0 {
                self.stats().begin(&body.id, message.kind);
            }
            let request = self.signed(&body);
            let result = self
                .attempt(
                    message,
                    attempt,
                    request,
                    self.plan.url.clone(),
                    &mut requests,
                )
                .await;
            drop((thread, body));
            attempt = result.attempt;
            match result.end {
                AttemptEnd::Settled(outcome) => {
                    return self.settle(SettledMessage {
                        sender: self.plan.sender,
                        id: self.body(message).id,
                        kind: message.kind,
                        outcome,
                        attempts: attempt.number - message.first.number + 1,
                        requests,
                        last_exchange: result.outcome,
                        took: result.took,
                    });
                }
                AttemptEnd::Retry(wait) => {
                    self.stats().summary.retries += 1;
                    (self.on_event)(RunEvent::WaitBegan);
                    self.clock.sleep(wait).await;
                    (self.on_event)(RunEvent::WaitEnded);
                    attempt = DeliveryAttempt {
                        number: attempt.number + 1,
                        copy: 1,
                    };
                }
            }
        }
    }

    /// The threads that make this attempt. The job that repeats pushes also sends the backlog.
    pub(super) fn threads(&self, message: PlannedMessage, attempt: DeliveryAttempt) -> &Semaphore {
        let is_retry = attempt.number > message.first.number;
        if is_retry || self.is_backlog(message.n) {
            &self.retries
        } else {
            &self.first_attempts
        }
    }

    /// Makes one attempt as the sender's client does: repeats some requests immediately, and
    /// follows redirects.
    ///
    /// The message is lost if a GET succeeds, because it has no body, or if a redirect leads to a
    /// URL that must not receive test data.
    pub(super) async fn attempt(
        &self,
        message: PlannedMessage,
        mut attempt: DeliveryAttempt,
        request: SenderRequest,
        url: Url,
        requests: &mut u32,
    ) -> SenderAttemptResult {
        let sender = self.plan.sender;
        let mut chain = RedirectChain::new(sender, request, url);
        loop {
            *requests += 1;
            let (result, took) = self
                .exchange(message, attempt, &chain.url, &chain.request)
                .await;
            let mut outcome = self.outcome(&result);
            let mut next = decide(sender, outcome, attempt).next;
            if let NextAction::Repost(wait) = next {
                self.stats().summary.reposts += 1;
                self.clock.sleep(wait).await;
                attempt.copy += 1;
                continue;
            }
            let whole = next == NextAction::FollowWhole;
            if whole || next == NextAction::FollowWithoutBody {
                let location = result.as_ref().ok();
                let location = location.and_then(|response| response.header("location"));
                match chain.follow(whole, location.unwrap_or_default()) {
                    RedirectStep::Follow => {
                        if sender == Sender::GovukPay {
                            attempt.copy = 1; // Pay's client may repeat each request once
                        }
                        continue;
                    }
                    RedirectStep::Elsewhere => {}
                    RedirectStep::TooMany => {
                        outcome = ExchangeOutcome::TooManyRedirects;
                        next = decide(sender, outcome, attempt).next;
                    }
                }
            }
            let is_lost = chain.outcome == RedirectOutcome::Elsewhere
                || next == NextAction::Acknowledged && chain.request.method == "GET";
            return SenderAttemptResult {
                end: AttemptEnd::of(next, is_lost),
                attempt,
                outcome,
                response: result.ok(),
                redirected: chain.outcome,
                took,
            };
        }
    }

    pub(super) fn body(&self, message: PlannedMessage) -> MessageBody {
        match message.kind {
            MessageKind::SecondId => messages::with_second_id(self.plan, message.n),
            _ => messages::body(self.plan, message.n),
        }
    }
}
