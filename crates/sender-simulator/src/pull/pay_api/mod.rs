//! GOV.UK Pay's API when it is asked about payments: one by its id, or many by a search.
//!
//! Facts are from alphagov/pay-publicapi, pay-ledger and pay-connector. A payment is a function of time: what the API
//! shows follows from its life and from how long ago it began. A search can lag behind, as the real one does.

mod accounts;
mod life;
mod payment;
mod problem;
mod search;
mod view;

use std::{io, sync::Arc};

use super::{Ask, Reply, Server, Service, ask::Credentials};
use crate::{Clock, Timestamp};

pub use accounts::{Accounts, CALLS_A_SECOND};
pub use life::Life;
pub use payment::{Payment, Webhook};
pub use problem::Problem;

/// GOV.UK Pay's API on loopback.
pub type PayApi = Server<Accounts>;

/// What can be asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `GET /v1/payments`.
    Search,
    /// `GET /v1/payments/{id}`.
    Payment,
    /// `GET /v1/payments/{id}/events`.
    Events,
    /// `GET /v1/payments/{id}/refunds`.
    Refunds,
}

impl Server<Accounts> {
    /// Serves no account yet, on 127.0.0.1 at `port`, or at a free one for 0. Fails if the port is taken.
    pub async fn start(port: u16, clock: Arc<dyn Clock>) -> io::Result<Self> {
        Self::serve(port, clock, Accounts::new()).await
    }
}

/// An endpoint, and the payment it is about; a search has none.
fn route(ask: &Ask) -> Result<(Endpoint, String), Problem> {
    let segments = ask.segments();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (endpoint, id) = match segments[..] {
        ["v1", "payments"] => (Endpoint::Search, ""),
        ["v1", "payments", id] => (Endpoint::Payment, id),
        ["v1", "payments", id, "events"] => (Endpoint::Events, id),
        ["v1", "payments", id, "refunds"] => (Endpoint::Refunds, id),
        _ => return Err(Problem::Path),
    };
    if ask.method == "GET" {
        Ok((endpoint, id.to_owned()))
    } else {
        Err(Problem::Method)
    }
}

impl Service for Accounts {
    type Endpoint = Endpoint;

    fn endpoint(ask: &Ask) -> Option<Endpoint> {
        route(ask).ok().map(|(endpoint, _)| endpoint)
    }

    fn answer(&mut self, ask: &Ask, now: Timestamp, _: &dyn Clock) -> Reply {
        self.work(ask, now).unwrap_or_else(Reply::from)
    }
}

impl Accounts {
    /// A key comes first, then the rate, then what is asked.
    fn work(&mut self, ask: &Ask, now: Timestamp) -> Result<Reply, Problem> {
        let Credentials::Bearer(key) = ask.credentials() else {
            return Err(Problem::Unauthorised);
        };
        self.admit(key, now)?;
        let (endpoint, id) = route(ask)?;
        let lagging = now.minus(self.lag());
        let json = match endpoint {
            Endpoint::Search => search::search(self.payments(key, lagging), ask, lagging)?,
            Endpoint::Payment => {
                let payment = self.payment(key, &id, now).ok_or(Problem::NoPayment)?;
                view::payment(payment, &ask.origin, now).to_string()
            }
            Endpoint::Events => {
                let payment = self.payment(key, &id, now).ok_or(Problem::NoEvents)?;
                view::events(payment, &ask.origin, now).to_string()
            }
            Endpoint::Refunds => {
                let payment = self.payment(key, &id, lagging).ok_or(Problem::NoRefunds)?;
                view::refunds(payment, &ask.origin, lagging).to_string()
            }
        };
        Ok(Reply::json(200, json))
    }
}
