//! Where notifications go after they are stored.
//!
//! A stored row comes in as an [`Event`]; what happened to it goes out. Whoever receives it may get
//! it more than once, always under the same key.

mod any;
mod event;
mod eventbridge;
#[cfg(any(test, feature = "test-support"))]
pub mod example;
mod https;
mod log;
mod routes;
mod sqs;
mod webhook;

use std::future::Future;

use crate::domain::Key;

pub use any::{
    AnyDestination, DestinationDeps, DestinationError, DestinationSettings, RouteSettings,
};
pub use event::Event;
pub use eventbridge::{EventBridgeDestination, EventBus, EventBusError};
pub use https::{HttpsDestination, HttpsError, probe_https, resolve_https};
pub use log::LogDestination;
pub use routes::DestinationRoutes;
pub use sqs::{SqsDestination, SqsQueue, SqsQueueError};
pub use webhook::WebhookSecret;

/// Somewhere a notification can be handed on to.
pub trait Destination: Send + Sync + 'static {
    /// Hands `event` on, and returns once it has arrived.
    ///
    /// The same event may be handed on again, after a crash or a lost answer, always with the same
    /// `key` and the same bytes: that is what to dedupe by.
    fn deliver(
        &self,
        key: &Key,
        event: &Event,
    ) -> impl Future<Output = Result<(), DeliveryError>> + Send;
}

/// Why an event did not arrive, told apart only by what follows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// Refused for good: trying again would only be refused again.
    #[error("refused: {0}")]
    Refused(String),
    /// Not now: tried again until the budget runs out.
    #[error("{0}")]
    Unavailable(String),
}

/// What can be seen of a destination on AWS without sending anything to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// It is there.
    There,
    /// We may not look, which says nothing of sending.
    Forbidden,
}
