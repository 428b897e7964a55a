//! The events of a run.

use std::time::Duration;

use url::Url;

use crate::{DeliveryAttempt, ExchangeOutcome, ReceiverResponse, Sender, SenderRequest};

/// The kind of a message, as the receiver should treat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// An ordinary notification.
    Notification,
    /// The event of another notification, with a different id.
    SecondId,
    /// Signed with another key. The receiver must refuse it.
    Forged,
    /// Truncated after signing. The receiver must refuse it.
    Truncated,
    /// A request of an earlier run, unchanged.
    Replayed,
    /// HMRC's challenge to a callback URL.
    Challenge,
}

impl MessageKind {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Notification => "notification",
            Self::SecondId => "second-id",
            Self::Forged => "forged",
            Self::Truncated => "truncated",
            Self::Replayed => "replayed",
            Self::Challenge => "challenge",
        }
    }

    /// Whether the receiver must accept it.
    pub fn is_genuine(self) -> bool {
        matches!(self, Self::Notification | Self::SecondId)
    }

    /// Whether the receiver must refuse it.
    pub fn is_hostile(self) -> bool {
        matches!(self, Self::Forged | Self::Truncated)
    }
}

/// The outcome of a message, as its sender recorded it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeliveryOutcome {
    /// Accepted. It is never sent again.
    Acknowledged,
    /// Given up after the last attempt.
    Failed,
    /// A redirect turned it into a GET without a body, which succeeded. The sender counts it as
    /// delivered.
    LostByRedirect,
    /// Refused, as a forged message must be.
    Refused,
}

impl DeliveryOutcome {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Failed => "failed",
            Self::LostByRedirect => "lost-by-redirect",
            Self::Refused => "refused",
        }
    }
}

/// One request and its outcome.
#[derive(Clone, Copy, Debug)]
pub struct ExchangeRecord<'a> {
    /// Its position in the run, from 1.
    pub number: u64,
    /// The simulated sender.
    pub sender: Sender,
    /// The kind of message.
    pub kind: MessageKind,
    /// The sender's attempt.
    pub attempt: DeliveryAttempt,
    /// The URL of this request, which may be that of a redirect.
    pub url: &'a Url,
    /// The request.
    pub request: &'a SenderRequest,
    /// The response, if there was one.
    pub response: Option<&'a ReceiverResponse>,
    /// The outcome.
    pub outcome: ExchangeOutcome,
    /// The real time that it took.
    pub took: Duration,
}

/// A message that the sender will not send again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettledMessage {
    /// The simulated sender.
    pub sender: Sender,
    /// The sender's id, which is part of the body.
    pub id: String,
    /// The kind of message.
    pub kind: MessageKind,
    /// The outcome that the sender recorded.
    pub outcome: DeliveryOutcome,
    /// The number of attempts in the sender's schedule.
    pub attempts: u32,
    /// The number of requests.
    pub requests: u32,
    /// The outcome of the last request.
    pub last_exchange: ExchangeOutcome,
    /// The real time that the last request took.
    pub took: Duration,
}

/// An event of a run.
#[derive(Clone, Copy, Debug)]
pub enum RunEvent<'a> {
    /// A request ended.
    Exchanged(ExchangeRecord<'a>),
    /// A message is settled.
    Settled(&'a SettledMessage),
    /// A message waits for its next attempt.
    WaitBegan,
    /// A message no longer waits.
    WaitEnded,
    /// One of the planned notifications, or of the replayed requests, is complete with all that its
    /// injected faults add.
    Completed,
}
