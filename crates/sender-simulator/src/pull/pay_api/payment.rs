//! One payment that lives: what the webhooks say of it, and what the API shows.

use std::time::Duration;

use super::life::{Life, State, Step};
use crate::{
    Body, Clock, Timestamp,
    govuk_pay::{self, Event, Failure},
    random,
};

/// A payment and its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    pub(super) story: govuk_pay::Payment,
    pub(super) life: Life,
    pub(super) refund_ids: [String; 2],
}

/// One message that Pay sends about a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// What it tells.
    pub event: Event,
    /// When that happened, which is the date in the message.
    pub at: Timestamp,
    /// The message, under an id of its own.
    pub body: Body,
}

impl Payment {
    /// A payment begun at `created`.
    pub fn new(life: Life, created: Timestamp, clock: &dyn Clock) -> Self {
        let story = govuk_pay::Payment::new(created, clock);
        Self {
            story,
            life,
            refund_ids: [random::pay_id(clock), random::pay_id(clock)],
        }
    }

    /// So many of them, the first begun at `first`, each other one `every` later than the one before.
    pub fn several(
        life: Life,
        count: u32,
        first: Timestamp,
        every: Duration,
        clock: &dyn Clock,
    ) -> Vec<Self> {
        (0..count)
            .map(|n| Self::new(life, first.plus(every.saturating_mul(n)), clock))
            .collect()
    }

    /// Its id, the same in webhooks and API.
    pub fn id(&self) -> &str {
        self.story.id()
    }

    /// What the service calls it.
    pub fn reference(&self) -> &str {
        self.story.reference()
    }

    /// When it began.
    pub fn created(&self) -> Timestamp {
        self.story.created()
    }

    /// How it goes.
    pub fn life(&self) -> Life {
        self.life
    }

    /// Every message that Pay sends in the whole of its life, in the order of what they tell. A caller that asks before
    /// the life is over leaves out those whose time has not come, and those it wants lost.
    pub fn webhooks(&self, clock: &dyn Clock) -> Vec<Webhook> {
        self.life
            .steps()
            .iter()
            .filter_map(|step| self.webhook(*step, clock))
            .collect()
    }

    fn webhook(&self, step: Step, clock: &dyn Clock) -> Option<Webhook> {
        let (event, body) = match step {
            Step::Succeeded => (Event::Succeeded, self.story.body(Event::Succeeded, clock)),
            Step::Captured => (Event::Captured, self.story.body(Event::Captured, clock)),
            Step::Refunded(0) => (Event::Refunded, self.story.body(Event::Refunded, clock)),
            Step::Refunded(_) => (Event::Refunded, self.story.second_refund(clock)),
            Step::Expired => (Event::Expired, self.story.body(Event::Expired, clock)),
            Step::Rejected => (Event::Failed, self.story.failed(Failure::Rejected, clock)),
            Step::CancelledByUser | Step::CancelledByService => {
                (Event::Failed, self.story.failed(Failure::Cancelled, clock))
            }
            Step::ProviderError => (
                Event::Failed,
                self.story.failed(Failure::ProviderError, clock),
            ),
            Step::Created
            | Step::Started
            | Step::Submitted
            | Step::Capturable
            | Step::CaptureSubmitted
            | Step::RefundSubmitted(_)
            | Step::RefundFailed(_)
            | Step::CaptureFailed => return None,
        };
        Some(Webhook {
            event,
            at: self.at(step),
            body,
        })
    }

    /// What has happened by `now`, in its order.
    pub(super) fn steps_by(&self, now: Timestamp) -> impl DoubleEndedIterator<Item = Step> {
        self.life
            .steps()
            .iter()
            .copied()
            .filter(move |step| self.at(*step) <= now)
    }

    /// The state it is in by `now`; one that has not begun is in its first.
    pub(super) fn state(&self, now: Timestamp) -> State {
        let latest = self.steps_by(now).rev().find_map(Step::state);
        latest
            .or_else(|| Step::Created.state())
            .expect("a payment is created in a state")
    }

    /// Whether that has happened by `now`.
    pub(super) fn has(&self, step: Step, now: Timestamp) -> bool {
        self.steps_by(now).any(|past| past == step)
    }

    /// When that happens.
    pub(super) fn at(&self, step: Step) -> Timestamp {
        self.created().plus(step.after())
    }
}
