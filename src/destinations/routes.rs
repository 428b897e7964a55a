//! Which notifications go where.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::Semaphore;

use super::{DeliveryError, DeliveryReport, Destination, Event, InFlightPermit};
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
    pub destination: LimitedDestination<D>,
    /// Where those go that were pulled; `None` if they go to the same destination.
    pub pulled: Option<LimitedDestination<D>>,
}

/// A destination, its name, and how many deliveries it takes at once.
pub struct LimitedDestination<D> {
    name: Option<Arc<str>>,
    destination: Arc<D>,
    places: Option<Arc<Semaphore>>,
}

impl<D> LimitedDestination<D> {
    /// A destination that takes `in_flight` deliveries at once; any number if it is `None`.
    pub fn new(destination: Arc<D>, in_flight: Option<usize>) -> Self {
        Self {
            name: None,
            destination,
            places: in_flight.map(|places| Arc::new(Semaphore::new(places))),
        }
    }

    /// The same destination under a name, which its deliveries report.
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
            places: self.places.clone(),
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
        if let Some(name) = &destination.name {
            DeliveryReport::set_destination(name);
        }
        destination.destination.deliver(key, event).await
    }

    /// A row shows its type only once it is claimed, so a delivery takes a place at every
    /// destination that its source has.
    fn reserve(&self, source: &str) -> Option<InFlightPermit> {
        let routes = self.sources.get(source);
        let own = routes.and_then(|routes| routes.own.as_ref());
        let types = routes.into_iter().flat_map(|routes| routes.types.values());
        let routes = std::iter::once(own.unwrap_or(&self.default)).chain(types);
        let destinations = routes
            .flat_map(|route| std::iter::once(&route.destination).chain(route.pulled.as_ref()));
        let mut taken: Vec<&Arc<Semaphore>> = Vec::new();
        let mut permit = InFlightPermit::default();
        for places in destinations.filter_map(|limited| limited.places.as_ref()) {
            if taken.iter().any(|other| Arc::ptr_eq(other, places)) {
                continue;
            }
            permit
                .places
                .push(Arc::clone(places).try_acquire_owned().ok()?);
            taken.push(places);
        }
        Some(permit)
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
            destination: LimitedDestination::new(to("handler"), None),
            pulled: Some(LimitedDestination::new(to("pulled"), None)),
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

    #[test]
    fn a_source_has_as_many_places_as_the_strictest_of_its_destinations_and_shares_them() {
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let limited = |places| {
            let destination = Arc::new(NotingDestination("any", Arc::clone(&arrived)));
            LimitedDestination::new(destination, places)
        };
        let to = |destination: &LimitedDestination<_>| DestinationRoute {
            destination: destination.clone(),
            pulled: None,
        };
        let (two, one) = (limited(Some(2)), limited(Some(1)));
        let routes = DestinationRoutes::to(to(&limited(None)))
            .with("pay", to(&two))
            .with("other", to(&two))
            .with_type("other", "card_payment_refunded", to(&one))
            .with_type("other", "card_payment_failed", to(&two));
        let first = routes.reserve("pay").unwrap();
        let second = routes.reserve("other").unwrap();
        assert!(routes.reserve("pay").is_none(), "both places are taken");
        drop(first);
        assert!(routes.reserve("other").is_none(), "refunds have one place");
        let third = routes.reserve("pay").expect("what failed took no place");
        drop((second, third));
        assert!(routes.reserve("other").is_some());
        assert!((0..1000).all(|_| routes.reserve("hmrc").is_some()));
    }
}
