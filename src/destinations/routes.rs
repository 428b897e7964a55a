//! Which notifications go where.

use std::{collections::HashMap, sync::Arc};

use super::{DeliveryError, Destination, Event};
use crate::domain::Key;

/// One destination for all sources, except those that have another.
pub struct DestinationRoutes<D> {
    default: DestinationRoute<D>,
    sources: HashMap<String, SourceRoutes<D>>,
}

/// The destinations of one source.
struct SourceRoutes<D> {
    /// Of the types that have none; `None` for the default destination.
    own: Option<DestinationRoute<D>>,
    types: HashMap<String, DestinationRoute<D>>,
}

impl<D> Default for SourceRoutes<D> {
    fn default() -> Self {
        Self {
            own: None,
            types: HashMap::new(),
        }
    }
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
        self.of(source).own = Some(route);
        self
    }

    /// Sends the notifications of `source` with that event type to `route`.
    pub fn with_type(mut self, source: &str, event_type: &str, route: DestinationRoute<D>) -> Self {
        self.of(source).types.insert(event_type.to_owned(), route);
        self
    }

    fn of(&mut self, source: &str) -> &mut SourceRoutes<D> {
        self.sources.entry(source.to_owned()).or_default()
    }

    /// The route of an event: that of its type, else that of its source, else the default.
    fn route(&self, event: &Event) -> &DestinationRoute<D> {
        let routes = self.sources.get(event.source());
        let route = routes.and_then(|routes| {
            let of_type = routes.types.get(event.event_type());
            of_type.or(routes.own.as_ref())
        });
        route.unwrap_or(&self.default)
    }
}

impl<D: Destination> Destination for DestinationRoutes<D> {
    async fn deliver(&self, key: &Key, event: &Event) -> Result<(), DeliveryError> {
        let route = self.route(event);
        let destination = match &route.pulled {
            Some(pulled) if event.signed().is_none() => pulled,
            _ => &route.destination,
        };
        destination.deliver(key, event).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::{
        destinations::example::event,
        senders::example::{NOW, hmrc, hmrc_pulled, observed, pay},
    };

    /// Notes under its own name what arrives.
    struct NotingDestination(&'static str, Arc<Mutex<Vec<String>>>);

    impl Destination for NotingDestination {
        async fn deliver(&self, key: &Key, _: &Event) -> Result<(), DeliveryError> {
            self.1.lock().unwrap().push(format!("{key} {}", self.0));
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_route_of_a_type_comes_before_that_of_its_source_and_both_before_the_default() {
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let to = |name| Arc::new(NotingDestination(name, Arc::clone(&arrived)));
        let handler = DestinationRoute {
            destination: to("handler"),
            pulled: Some(to("pulled")),
        };
        let routes = DestinationRoutes::to(to("default"))
            .with("hmrc", handler.clone())
            .with_type("pay", "card_payment_refunded", to("refunds").into())
            .with_type("pay", "observed", handler)
            .with_type("other", "card_payment_captured", to("other").into());
        for entry in [
            pay("a", "p1", "card_payment_refunded", NOW),
            pay("b", "p1", "card_payment_captured", NOW),
            observed("p1"),
            hmrc("c", "{}"),
            hmrc_pulled("d", "{}"),
        ] {
            routes.deliver(&entry.key, &event(&entry)).await.unwrap();
        }
        assert_eq!(
            *arrived.lock().unwrap(),
            [
                "pay:a refunds",
                "pay:b default",
                "pay:observed-p1-6b7143137ff55b56 pulled",
                "hmrc:c handler",
                "hmrc:d pulled",
            ]
        );
    }
}
