//! Which notifications go where.

use std::{collections::HashMap, sync::Arc};

use super::{DeliveryError, Destination, Event};
use crate::domain::Key;

/// One destination for all sources, except those that have another.
pub struct DestinationRoutes<D> {
    default: DestinationRoute<D>,
    sources: HashMap<String, DestinationRoute<D>>,
}

/// A destination, and another for what its sender did not sign.
pub struct DestinationRoute<D> {
    /// Where notifications go.
    pub destination: Arc<D>,
    /// Where those go that were pulled; `None` if they go to the same destination.
    pub pulled: Option<Arc<D>>,
}

impl<D> Clone for DestinationRoute<D> {
    fn clone(&self) -> Self {
        Self {
            destination: Arc::clone(&self.destination),
            pulled: self.pulled.clone(),
        }
    }
}

impl<D> From<Arc<D>> for DestinationRoute<D> {
    fn from(destination: Arc<D>) -> Self {
        Self {
            destination,
            pulled: None,
        }
    }
}

impl<D> DestinationRoutes<D> {
    /// Sends everything to `default`.
    pub fn to(default: impl Into<DestinationRoute<D>>) -> Self {
        Self {
            default: default.into(),
            sources: HashMap::new(),
        }
    }

    /// Sends the notifications of `source` to `route`.
    pub fn with(mut self, source: &str, route: DestinationRoute<D>) -> Self {
        self.sources.insert(source.to_owned(), route);
        self
    }
}

impl<D: Destination> Destination for DestinationRoutes<D> {
    async fn deliver(&self, key: &Key, event: &Event) -> Result<(), DeliveryError> {
        let route = self.sources.get(event.source()).unwrap_or(&self.default);
        let destination = match &route.pulled {
            Some(pulled) if event.signed().is_none() => pulled,
            _ => &route.destination,
        };
        destination.deliver(key, event).await
    }
}
