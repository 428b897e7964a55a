//! GOV.UK Pay's payments, looked at one by one: whose events never received?
//!
//! Pay has no list of what it could not push. So every payment created in a window is compared with
//! its ledger in the inbox; what is missing there is asked for again, where the answer is certain,
//! and recorded as it is.

mod received_events;
mod client;
mod error;
mod judge;
mod report;
mod sweep;
mod window;

use url::Url;

use super::{LockedRun, RunEnd, RunFindings, RunOutcome};
use crate::{inbox::ReconcileInbox, secrets::Secret};
use sweep::PaymentSweep;

pub use error::PayError;
pub use judge::ExpectedEvent;
pub use report::{MissingEvent, ObservationStatus, PaymentsReport};

/// How GOV.UK Pay is asked.
#[derive(Clone, Debug)]
pub struct PayAccess {
    /// The API.
    pub base_url: Url,
    /// The account's key.
    pub api_key: Secret,
}

/// Looks at every payment of the window, from where an earlier run stopped.
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
