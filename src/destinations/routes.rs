//! Which source's notifications go where.

use std::{collections::HashMap, sync::Arc};

use super::{DeliveryError, Destination, Event};
use crate::domain::Key;

/// One destination for all sources, but those that have one of their own.
pub struct DestinationRoutes<D> {
    default: Arc<D>,
    own: HashMap<String, Arc<D>>,
}

impl<D> DestinationRoutes<D> {
    /// Sends everything to `default`.
    pub fn to(default: Arc<D>) -> Self {
        Self {
            default,
            own: HashMap::new(),
        }
    }

    /// Sends the notifications of `source` to `destination`.
    pub fn with(mut self, source: &str, destination: Arc<D>) -> Self {
        self.own.insert(source.to_owned(), destination);
        self
    }
}

impl<D: Destination> Destination for DestinationRoutes<D> {
    async fn deliver(&self, key: &Key, event: &Event) -> Result<(), DeliveryError> {
        self.own
            .get(event.source())
            .unwrap_or(&self.default)
            .deliver(key, event)
            .await
    }
}
