//! The state of Pay: accounts by their API keys, and their payments.

use std::{collections::HashMap, time::Duration};

use super::{super::rate_limiter::ApiRateLimiter, PayApiError, PaymentLifecycle, SimulatedPayment};
use crate::Timestamp;

/// The limit on calls per second for an account: Pay's default for reading.
pub const MAX_CALLS_PER_SECOND: usize = 75;

/// The state of Pay.
pub struct PayAccounts {
    accounts: HashMap<String, PayAccount>,
    rate_limiter: ApiRateLimiter,
    lag: Duration,
}

#[derive(Default)]
struct PayAccount {
    payments: Vec<SimulatedPayment>,
    /// Payment id to its position.
    positions: HashMap<String, usize>,
}

impl Default for PayAccounts {
    fn default() -> Self {
        Self::new()
    }
}

impl PayAccounts {
    /// No accounts.
    pub fn new() -> Self {
        Self {
            accounts: HashMap::new(),
            rate_limiter: ApiRateLimiter::new(MAX_CALLS_PER_SECOND),
            lag: Duration::ZERO,
        }
    }

    /// Opens an account with one API key.
    pub fn open(&mut self, api_key: &str) {
        self.accounts.entry(api_key.to_owned()).or_default();
    }

    /// Closes an account: its API key is refused from now on.
    pub fn close(&mut self, api_key: &str) {
        self.accounts.remove(api_key);
    }

    /// Adds payments to an account, and opens it if necessary.
    pub fn add(&mut self, api_key: &str, payments: impl IntoIterator<Item = SimulatedPayment>) {
        let account = self.accounts.entry(api_key.to_owned()).or_default();
        for payment in payments {
            account
                .positions
                .insert(payment.id().to_owned(), account.payments.len());
            account.payments.push(payment);
        }
    }

    /// Changes the lifecycle of a payment. Past events should stay the same. An unknown id is
    /// ignored.
    pub fn set_lifecycle(&mut self, api_key: &str, id: &str, lifecycle: PaymentLifecycle) {
        let Some(account) = self.accounts.get_mut(api_key) else {
            return;
        };
        if let Some(position) = account.positions.get(id) {
            account.payments[*position].lifecycle = lifecycle;
        }
    }

    /// Sets the limit on calls per second, which is [`MAX_CALLS_PER_SECOND`] at first.
    pub fn set_rate_limit(&mut self, max_per_second: usize) {
        self.rate_limiter.max_per_second = max_per_second;
    }

    /// Sets the lag of a search and of a payment's list of refunds. Both show the state of that
    /// time ago; a payment by its id, and its events, are always current.
    pub fn set_lag(&mut self, lag: Duration) {
        self.lag = lag;
    }

    pub(super) fn lag(&self) -> Duration {
        self.lag
    }

    pub(super) fn admit(&mut self, api_key: &str, now: Timestamp) -> Result<(), PayApiError> {
        if !self.accounts.contains_key(api_key) {
            return Err(PayApiError::Unauthorised);
        }
        if self.rate_limiter.try_acquire(api_key, now) {
            Ok(())
        } else {
            Err(PayApiError::TooMany)
        }
    }

    /// The payments of an account that were created by `then`, in the order added.
    pub(super) fn payments(
        &self,
        api_key: &str,
        then: Timestamp,
    ) -> impl Iterator<Item = &SimulatedPayment> {
        let payments = self
            .accounts
            .get(api_key)
            .map(|account| account.payments.as_slice())
            .unwrap_or_default();
        payments
            .iter()
            .filter(move |payment| payment.created() <= then)
    }

    /// A payment of an account, if it was created by `then`.
    pub(super) fn payment(
        &self,
        api_key: &str,
        id: &str,
        then: Timestamp,
    ) -> Option<&SimulatedPayment> {
        let account = self.accounts.get(api_key)?;
        let payment = &account.payments[*account.positions.get(id)?];
        (payment.created() <= then).then_some(payment)
    }
}
