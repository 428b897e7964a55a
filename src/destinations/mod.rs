//! Where notifications go after they are stored.
//!
//! A destination receives a stored row as an [`Event`], and returns whether it arrived. It may get
//! an event more than once, always under the same key.

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
    /// Delivers `event`, and returns once it has arrived.
    ///
    /// The same event may be delivered again, after a crash or a lost answer, always with the same
    /// `key` and the same bytes: deduplicate by the key.
    ///
    /// Several events are delivered at once. An attempt that takes longer than 30 s is dropped
    /// where it waits and counts as [`DeliveryError::Unavailable`]; so does a panic.
    ///
    /// # Errors
    /// A [`DeliveryError`] decides whether the event is tried again. Its text is logged and stored
    /// with the notification, so it must not hold secrets or personal data.
    fn deliver(
        &self,
        key: &Key,
        event: &Event,
    ) -> impl Future<Output = Result<(), DeliveryError>> + Send;

    /// Takes the place of one more delivery of `source`, which is free again when the permit is
    /// dropped. `None` if as many are under way as may be: the event is not tried yet.
    fn reserve(&self, _source: &str) -> Option<InFlightPermit> {
        Some(InFlightPermit::default())
    }
}

/// The place of one delivery, at every destination that it may go to. By default there are any
/// number of them.
#[derive(Debug, Default)]
pub struct InFlightPermit {
    places: Vec<OwnedSemaphorePermit>,
}

/// Why an event did not arrive. A variant for each consequence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeliveryError {
    /// The destination refuses this event for good: the notification is dead, until a person
    /// replays it.
    #[error("refused: {0}")]
    Refused(String),
    /// The destination cannot take the event now: it is tried again with growing pauses, for three
    /// days.
    #[error("{0}")]
    Unavailable(String),
    /// The destination cannot take the event now, and says when it may: it is tried again then, or
    /// later.
    #[error("{reason}")]
    Busy {
        /// Why it cannot take it.
        reason: String,
        /// How long to wait, up to an hour; longer waits are cut to that.
        delay: Duration,
    },
    /// The destination takes only what its sender signed, and this was pulled: the notification is
    /// held, until a person replays it.
    #[error("it was pulled, so its sender did not sign it")]
    Unsigned,
}

impl DeliveryError {
    /// What an error of AWS's means for the event.
    fn of_aws(class: ErrorClass, why: String) -> Self {
        match class {
            ErrorClass::Refusal => Self::Refused(why),
            ErrorClass::Transient | ErrorClass::Configuration => Self::Unavailable(why),
        }
    }
}

/// What can be seen of a destination on AWS without sending anything to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// It exists.
    There,
    /// Reading it is not permitted. Sending to it may be.
    Forbidden,
}
