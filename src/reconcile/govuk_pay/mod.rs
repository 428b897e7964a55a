//! Finds payments of GOV.UK Pay whose events were not received.
//!
//! Pay has no list of the webhooks that it could not push. So every payment created in a window is
//! compared with its ledger in the inbox. A payment with missing events is read again, because a
//! search may be out of date, and its current state is recorded.

mod received_events;
mod client;
mod error;
mod judge;
mod lookup;
mod report;
mod sweep;
mod window;

use std::time::Duration;

use url::Url;

use super::{LockedRun, RunEnd, RunFindings, RunOutcome};
use crate::{inbox::ReconcileInbox, secrets::Secret};
use sweep::PaymentSweep;

#[cfg(any(test, feature = "test-support"))]
pub use client::search_for_tests;
pub use error::PayError;
pub use judge::ExpectedEvent;
pub use lookup::{AwaitedEvent, PaymentAtPay, payment_at_pay, payments_by_reference};
pub use report::{MissingEvent, ObservationStatus, PaymentsReport};

/// The access to GOV.UK Pay's API.
#[derive(Clone, Debug)]
pub struct PayAccess {
    /// The URL of the API.
    pub base_url: Url,
    /// The account's API key.
    pub api_key: Secret,
    /// How often the payments are compared.
    pub every: Duration,
    /// How long Pay has to push an event; of a source without a webhook, the age at which a payment
    /// is checked.
    pub after: Duration,
    /// The events that the webhook subscribes to; `None` without a webhook.
    pub events: Option<Vec<&'static str>>,
}

/// Checks every payment of the window, starting where an earlier run stopped.
pub(super) async fn sweep(
    run: &mut LockedRun<'_, impl ReconcileInbox>,
    access: &PayAccess,
) -> RunOutcome {
    let mut report = PaymentsReport::default();
    let ended = match PaymentSweep::begin(run, access, &mut report).await {
        Ok(mut sweep) => sweep
            .finish(run, &mut report)
            .await
            .err()
            .unwrap_or(RunEnd::Completed),
        Err(ended) => ended,
    };
    RunOutcome {
        ended,
        found: RunFindings::GovukPay(report),
    }
}
