//! GOV.UK Pay's payments, looked at one by one: whose events never came?
//!
//! Pay has no list of what it could not push. So every payment created in a window is compared with its ledger in the
//! inbox; what is missing there is asked for again, where the answer is certain, and recorded as it is.

mod books;
mod client;
mod fault;
mod judge;
mod report;
mod sweep;
mod window;

use url::Url;

use super::{Ended, Found, Outcome, Run, Sleeper};
use crate::{inbox::Inbox, secret::Secret, world::World};
use sweep::Sweep;

pub use fault::Fault;
pub use judge::What;
pub use report::{Missing, Observed, Report};

/// How GOV.UK Pay is asked.
#[derive(Clone, Debug)]
pub struct Access {
    /// The API.
    pub base_url: Url,
    /// The account's key.
    pub api_key: Secret,
}

/// Looks at every payment of the window, from where an earlier run stopped.
pub(super) async fn sweep<I: Inbox, W: World, S: Sleeper>(run: &mut Run<'_, I, W, S>, access: &Access) -> Outcome {
    let mut report = Report::default();
    let ended = match Sweep::begin(run, access, &mut report).await {
        Ok(mut sweep) => sweep.finish(run, &mut report).await.err().unwrap_or(Ended::Whole),
        Err(ended) => ended,
    };
    Outcome { ended, found: Found::GovukPay(report) }
}
