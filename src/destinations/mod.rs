//! Where notifications go after they are stored.
//!
//! A destination receives a stored row as an [`Event`] and returns whether it was delivered. It may
//! receive an event more than once, always under the same key.

mod any;
mod as_sent;
mod event;
mod eventbridge;
#[cfg(any(test, feature = "test-support"))]
pub mod example;
mod https;
mod https_endpoint;
mod log;
mod report;
mod routes;
mod sqs;
mod trace;
mod webhook;

use std::{future::Future, time::Duration};

use tokio::sync::OwnedSemaphorePermit;

use crate::{aws::sdk_error::ErrorClass, domain::Key};

pub use crate::http_client::{HttpClientError, OutboundProxyError, TrustedRootsError};
pub use any::{
    AnyDestination, DestinationDeps, DestinationError, DestinationSettings, HttpsFormat,
    HttpsSettings, RouteSettings, TypeRoute,
};
pub use as_sent::AsSentDestination;
pub use event::{Event, SignedMessage};
pub use eventbridge::{EventBridgeDestination, EventBus, EventBusError};
pub use https::HttpsDestination;
pub use https_endpoint::{HttpsEndpoint, HttpsError};
pub use log::LogDestination;
pub use report::DeliveryReport;
pub use routes::{DestinationRoute, DestinationRoutes, LimitedDestination};
pub use sqs::{SqsDestination, SqsQueue, SqsQueueError};
pub use trace::DeliveryTrace;
pub use webhook::WebhookSecret;

/// Where notifications are delivered.
pub trait Destination: Send + Sync + 'static {
    /// Delivers `event`, and returns once it has been delivered.
    ///
    /// The same event may be delivered again, after a crash or a lost answer, always with the same
    /// `key` and the same bytes: deduplicate by the key.
    ///
    /// Several events are delivered concurrently. The future of an attempt that takes longer than
    /// 30 s is dropped, and the attempt counts as [`DeliveryError::Unavailable`]; so does a panic.
    ///
    /// # Errors
    /// A [`DeliveryError`] decides whether the event is retried. Its text is logged and stored with
    /// the notification, so it must not contain secrets or personal data.
    fn deliver(
        &self,
        key: &Key,
        event: &Event,
    ) -> impl Future<Output = Result<(), DeliveryError>> + Send;

    /// Reserves capacity for one more delivery of `source`, until the permit is dropped. `None` if
    /// the limit of concurrent deliveries is reached: the event then waits.
    fn reserve(&self, _source: &str) -> Option<InFlightPermit> {
        Some(InFlightPermit::default())
    }
}

/// Permission to make one delivery: a permit of each limited destination that it may go to. The
/// default holds none, for destinations without a limit.
#[derive(Debug, Default)]
pub struct InFlightPermit {
    _permits: Vec<OwnedSemaphorePermit>,
}

/// Why an event was not delivered. A variant for each consequence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeliveryError {
    /// The destination refuses this event permanently: the notification is dead until a person
    /// replays it.
    #[error("refused: {0}")]
    Refused(String),
    /// The destination cannot accept the event now: it is retried with exponential backoff, for
    /// three days.
    #[error("{0}")]
    Unavailable(String),
    /// The destination cannot accept the event now and asks for a delay: it is retried after that
    /// delay or later.
    #[error("{reason}")]
    Busy {
        /// Why it cannot accept the event.
        reason: String,
        /// The delay that it asks for. A delay of more than an hour is shortened to an hour.
        delay: Duration,
    },
    /// The destination accepts only messages that their sender signed, and this one was pulled: the
    /// notification is held until a person replays it.
    #[error("it was pulled, so its sender did not sign it")]
    Unsigned,
}

impl DeliveryError {
    /// An AWS error of this class, with its `reason`.
    fn from_aws(class: ErrorClass, reason: String) -> Self {
        match class {
            ErrorClass::Refusal => Self::Refused(reason),
            ErrorClass::Transient | ErrorClass::Configuration => Self::Unavailable(reason),
        }
    }
}

/// The result of looking for a queue or bus on AWS without sending anything to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// It exists.
    Exists,
    /// Reading it is not permitted. Sending to it may be.
    AccessDenied,
}
