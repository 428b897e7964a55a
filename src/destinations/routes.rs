//! Routes each notification to its destination.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::Semaphore;

use super::{DeliveryError, DeliveryReport, Destination, Event, InFlightPermit};
use crate::domain::Key;

/// A default destination, and the destinations of particular sources and event types.
pub struct DestinationRoutes<D> {
    default: DestinationRoute<D>,
    sources: HashMap<String, SourceRoutes<D>>,
}

/// The destinations of one source.
struct SourceRoutes<D> {
    /// For the event types that have no route; `None` for the default destination.
    other_types: Option<DestinationRoute<D>>,
    types: HashMap<String, DestinationRoute<D>>,
}

impl<D> Default for SourceRoutes<D> {
    fn default() -> Self {
        Self {
            other_types: None,
            types: HashMap::new(),
        }
    }
}

/// A destination, and optionally another one for pulled notifications, which are not signed.
pub struct DestinationRoute<D> {
    /// The destination of notifications.
    pub destination: LimitedDestination<D>,
    /// The destination of pulled notifications; `None` if it is the same.
    pub pulled: Option<LimitedDestination<D>>,
}

/// A destination, its name, and its limit of concurrent deliveries.
pub struct LimitedDestination<D> {
    name: Option<Arc<str>>,
    destination: Arc<D>,
    in_flight: Option<Arc<Semaphore>>,
}

impl<D> LimitedDestination<D> {
    /// A destination with at most `in_flight` concurrent deliveries; without a limit if `None`.
    pub fn new(destination: Arc<D>, in_flight: Option<usize>) -> Self {
        Self {
            name: None,
            destination,
            in_flight: in_flight.map(|limit| Arc::new(Semaphore::new(limit))),
        }
    }

    /// The same destination with a name, which its deliveries report.
    pub fn named(self, name: &str) -> Self {
        Self {
            name: Some(name.into()),
            ..self
        }
    }
}

impl<D> Clone for LimitedDestination<D> {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            destination: Arc::clone(&self.destination),
            in_flight: self.in_flight.clone(),
        }
    }
}

impl<D> Clone for DestinationRoute<D> {
    fn clone(&self) -> Self {
        Self {
            destination: self.destination.clone(),
            pulled: self.pulled.clone(),
        }
    }
}

impl<D> From<Arc<D>> for DestinationRoute<D> {
    fn from(destination: Arc<D>) -> Self {
        Self {
            destination: LimitedDestination::new(destination, None),
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
    pub fn with_source(mut self, source: &str, route: DestinationRoute<D>) -> Self {
        self.source_routes(source).other_types = Some(route);
        self
    }

    /// Sends the notifications of `source` with this event type to `route`.
    pub fn with_type(mut self, source: &str, event_type: &str, route: DestinationRoute<D>) -> Self {
        let types = &mut self.source_routes(source).types;
        types.insert(event_type.to_owned(), route);
        self
    }

    fn source_routes(&mut self, source: &str) -> &mut SourceRoutes<D> {
        self.sources.entry(source.to_owned()).or_default()
    }

    /// The route of the event's type, else that of its source, else the default.
    fn route(&self, event: &Event) -> &DestinationRoute<D> {
        let routes = self.sources.get(event.source());
        let route = routes.and_then(|routes| {
            let of_type = routes.types.get(event.event_type());
            of_type.or(routes.other_types.as_ref())
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
        if let Some(name) = &destination.name {
            DeliveryReport::set_destination(name);
        }
        destination.destination.deliver(key, event).await
    }

    /// The event type of a row is not known until the row is claimed, so a delivery reserves
    /// capacity at every destination of its source.
    fn reserve(&self, source: &str) -> Option<InFlightPermit> {
        let routes = self.sources.get(source);
        let other_types = routes.and_then(|routes| routes.other_types.as_ref());
        let types = routes.into_iter().flat_map(|routes| routes.types.values());
        let routes = std::iter::once(other_types.unwrap_or(&self.default)).chain(types);
        let destinations = routes
            .flat_map(|route| std::iter::once(&route.destination).chain(route.pulled.as_ref()));
        let mut acquired: Vec<&Arc<Semaphore>> = Vec::new();
        let mut permits = Vec::new();
        for semaphore in destinations.filter_map(|limited| limited.in_flight.as_ref()) {
            if !acquired.iter().any(|other| Arc::ptr_eq(other, semaphore)) {
                permits.push(Arc::clone(semaphore).try_acquire_owned().ok()?);
                acquired.push(semaphore);
            }
        }
        Some(InFlightPermit { _permits: permits })
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

    /// Records each delivery under this name.
    struct NamedDestination(&'static str, Arc<Mutex<Vec<String>>>);

    impl Destination for NamedDestination {
        async fn deliver(&self, key: &Key, _: &Event) -> Result<(), DeliveryError> {
            self.1.lock().unwrap().push(format!("{key} {}", self.0));
            Ok(())
        }
    }

    #[tokio::test]
    async fn the_route_of_a_type_precedes_that_of_its_source_and_both_precede_the_default() {
        let delivered = Arc::new(Mutex::new(Vec::new()));
        let to = |name| Arc::new(NamedDestination(name, Arc::clone(&delivered)));
        let handler = DestinationRoute {
            destination: LimitedDestination::new(to("handler"), None),
            pulled: Some(LimitedDestination::new(to("pulled"), None)),
        };
        let routes = DestinationRoutes::to(to("default"))
            .with_source("hmrc", handler.clone())
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
            *delivered.lock().unwrap(),
            [
                "pay:a refunds",
                "pay:b default",
                "pay:observed-p1-6b7143137ff55b56 pulled",
                "hmrc:c handler",
                "hmrc:d pulled",
            ]
        );
    }

    #[test]
    fn a_source_has_the_lowest_limit_of_its_destinations_which_sources_share() {
        let delivered = Arc::new(Mutex::new(Vec::new()));
        let limited = |in_flight| {
            let destination = Arc::new(NamedDestination("any", Arc::clone(&delivered)));
            LimitedDestination::new(destination, in_flight)
        };
        let to = |destination: &LimitedDestination<_>| DestinationRoute {
            destination: destination.clone(),
            pulled: None,
        };
        let (two, one) = (limited(Some(2)), limited(Some(1)));
        let routes = DestinationRoutes::to(to(&limited(None)))
            .with_source("pay", to(&two))
            .with_source("other", to(&two))
            .with_type("other", "card_payment_refunded", to(&one))
            .with_type("other", "card_payment_failed", to(&two));
        let first = routes.reserve("pay").unwrap();
        let second = routes.reserve("other").unwrap();
        assert!(
            routes.reserve("pay").is_none(),
            "two deliveries are in flight"
        );
        drop(first);
        assert!(
            routes.reserve("other").is_none(),
            "refunds have a limit of one"
        );
        let third = routes
            .reserve("pay")
            .expect("a failed call reserves nothing");
        drop((second, third));
        assert!(routes.reserve("other").is_some());
        assert!((0..1000).all(|_| routes.reserve("hmrc").is_some()));
    }
}
