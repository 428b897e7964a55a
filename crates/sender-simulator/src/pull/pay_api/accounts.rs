//! What Pay holds: accounts by their API keys, and their payments.

use std::{collections::HashMap, time::Duration};

use super::{super::rate::Rate, Life, Payment, Problem};
use crate::Timestamp;

/// How many calls a second an account may make, unless a test says otherwise: Pay's own default for reading.
pub const CALLS_A_SECOND: usize = 75;

/// Everything that Pay knows.
pub struct Accounts {
    accounts: HashMap<String, Account>,
    rate: Rate,
    lag: Duration,
}

#[derive(Default)]
struct Account {
    payments: Vec<Payment>,
    /// Payment id to its place.
    places: HashMap<String, usize>,
}

impl Accounts {
    pub(super) fn new() -> Self {
        Self {
            accounts: HashMap::new(),
            rate: Rate::new(CALLS_A_SECOND),
            lag: Duration::ZERO,
        }
    }

    /// Opens an account, which has one key here.
    pub fn open(&mut self, api_key: &str) {
        self.accounts.entry(api_key.to_owned()).or_default();
    }

    /// Closes an account: its key is refused from now on.
    pub fn close(&mut self, api_key: &str) {
        self.accounts.remove(api_key);
    }

    /// Adds payments to an account, which is opened for them if it has to be.
    pub fn add(&mut self, api_key: &str, payments: impl IntoIterator<Item = Payment>) {
        let account = self.accounts.entry(api_key.to_owned()).or_default();
        for payment in payments {
            account
                .places
                .insert(payment.id().to_owned(), account.payments.len());
            account.payments.push(payment);
        }
    }

    /// Gives a payment another life; an unknown one is passed over. What has happened by now should not change with it.
    pub fn set_life(&mut self, api_key: &str, id: &str, life: Life) {
        let Some(account) = self.accounts.get_mut(api_key) else {
            return;
        };
        if let Some(place) = account.places.get(id) {
            account.payments[*place].life = life;
        }
    }

    /// How many calls a second an account may make, [`CALLS_A_SECOND`] at first.
    pub fn set_rate(&mut self, calls_a_second: usize) {
        self.rate.set(calls_a_second);
    }

    /// How far a search, and a payment's list of refunds, lag behind. Both show everything as it was so long ago; a
    /// payment asked for by its id, and its events, are always as they are now.
    pub fn set_lag(&mut self, lag: Duration) {
        self.lag = lag;
    }

    pub(super) fn lag(&self) -> Duration {
        self.lag
    }

    pub(super) fn admit(&mut self, api_key: &str, now: Timestamp) -> Result<(), Problem> {
        if !self.accounts.contains_key(api_key) {
            return Err(Problem::Unauthorised);
        }
        if self.rate.takes(api_key, now) {
            Ok(())
        } else {
            Err(Problem::TooMany)
        }
    }

    /// The payments of an account that have begun by then, in the order they were added.
    pub(super) fn payments(
        &self,
        api_key: &str,
        then: Timestamp,
    ) -> impl Iterator<Item = &Payment> {
        let payments = self
            .accounts
            .get(api_key)
            .map(|account| account.payments.as_slice())
            .unwrap_or_default();
        payments
            .iter()
            .filter(move |payment| payment.created() <= then)
    }

    /// One payment of an account, if it has begun by then.
    pub(super) fn payment(&self, api_key: &str, id: &str, then: Timestamp) -> Option<&Payment> {
        let account = self.accounts.get(api_key)?;
        let payment = &account.payments[*account.places.get(id)?];
        (payment.created() <= then).then_some(payment)
    }
}
