//! Tests a receiver with requests like the real sender's, and reports its mistakes and their
//! consequences.
//!
//! A check takes a URL, a sender and its secret, and returns a report. Every notification is new
//! and contains PILLARBOX-TEST, and the report lists them all. Redirects are not followed, except
//! those of HMRC's challenge.

mod callback_url;
mod final_checks;
mod accepted_bodies;
mod challenge;
mod keep_alive;
mod delivery;
mod definition;
mod grading;
mod markdown;
mod timed_response;
mod report;
mod other_routes;
mod run;
mod samples;
mod forgeries;
mod response_stats;
mod tls;

use std::time::Duration;

use url::Url;

use super::{Sender, TargetError, check_target};
use crate::Clock;
use run::CheckRun;

pub use definition::Check;
pub use report::{CheckFinding, CheckReport, Grade, SentNotification};

/// Time limits of a check run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckOptions {
    /// No request is started after this time. One in progress ends within the sender's time limit,
    /// at most 20 s.
    pub limit: Duration,
    /// How long a connection is left idle.
    pub idle: Duration,
    /// The response time from which on there is a warning; `None` is 1 s with Pay, and 2.5 s with
    /// HMRC.
    pub slow: Option<Duration>,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self {
            limit: Duration::from_secs(90),
            idle: Duration::from_secs(3),
            slow: None,
        }
    }
}

/// Nothing was sent, because the URL must not receive test data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct CheckError(#[from] TargetError);

/// Checks the receiver of `sender`'s notifications at `url`, whose secret is `secret`.
///
/// `on_finding` is called immediately after each check. The report has a finding for each of
/// [`checks`] that applies to the sender, even if the receiver is unreachable.
pub async fn check(
    url: &Url,
    sender: Sender,
    secret: &str,
    options: &CheckOptions,
    clock: &dyn Clock,
    mut on_finding: impl FnMut(&CheckFinding),
) -> Result<CheckReport, CheckError> {
    check_target(url)?;
    let mut run = CheckRun::new((url, sender, secret), options, clock, &mut on_finding);
    callback_url::probe(&mut run);
    if let Err(error) = tls::probe(&mut run).await {
        return Ok(run.abandon(&format!("there is no connection: {error}")));
    }
    challenge::probe(&mut run).await;
    delivery::probe(&mut run).await;
    forgeries::probe(&mut run).await;
    accepted_bodies::probe(&mut run).await;
    other_routes::probe(&mut run).await;
    keep_alive::probe(&mut run).await;
    final_checks::probe(&mut run).await;
    Ok(run.end())
}

/// All checks, in order.
pub fn checks() -> impl Iterator<Item = &'static Check> {
    let families = [
        callback_url::CHECKS,
        tls::CHECKS,
        challenge::CHECKS,
        delivery::CHECKS,
        forgeries::CHECKS,
        accepted_bodies::CHECKS,
        other_routes::CHECKS,
        keep_alive::CHECKS,
        final_checks::CHECKS,
    ];
    families.into_iter().flatten().copied()
}
