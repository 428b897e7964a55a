//! A receiver, judged: what the real senders would do to it, found out by doing it.
//!
//! A URL, a sender and its secret come in; a report goes out. Every notification is a new one that
//! says PILLARBOX-TEST, and the report lists them all. No answer is trusted, and no redirect followed.

mod address;
mod aftermath;
mod body;
mod challenge;
mod connection;
mod delivery;
mod fact;
mod judge;
mod markdown;
mod reply;
mod report;
mod route;
mod run;
mod sample;
mod signature;
mod tally;
mod tls;

use std::time::Duration;

use url::Url;

use super::{Sender, TargetError, clear};
use crate::Clock;
use run::Run;

pub use fact::Check;
pub use report::{Finding, Grade, Report, Sent};

/// How long a run may take and wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Nothing new is tried after this long. What is under way ends by the sender's patience, 20 s at most.
    pub limit: Duration,
    /// How long a connection is left silent.
    pub idle: Duration,
    /// From when on an answer is worth a warning; `None` is 1 s with Pay, and 2.5 s with HMRC.
    pub slow: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limit: Duration::from_secs(90),
            idle: Duration::from_secs(3),
            slow: None,
        }
    }
}

/// Why nothing was sent: the URL is not one that a receiver can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct CheckError(#[from] TargetError);

/// Checks the receiver of `sender`'s notifications at `url`, whose secret is `secret`.
///
/// `found` hears of each finding as soon as it is one. What a receiver does wrong, such as not being
/// there, is a finding as well; all of [`checks`] that are about the sender are in the report.
pub async fn check(
    url: &Url,
    sender: Sender,
    secret: &str,
    options: &Options,
    clock: &dyn Clock,
    mut found: impl FnMut(&Finding),
) -> Result<Report, CheckError> {
    clear(url)?;
    let mut run = Run::new((url, sender, secret), options, clock, &mut found);
    address::probe(&mut run);
    if let Err(error) = tls::probe(&mut run).await {
        return Ok(run.abandon(&format!("there is no connection: {error}")));
    }
    challenge::probe(&mut run).await;
    delivery::probe(&mut run).await;
    signature::probe(&mut run).await;
    body::probe(&mut run).await;
    route::probe(&mut run).await;
    connection::probe(&mut run).await;
    aftermath::probe(&mut run).await;
    Ok(run.end())
}

/// Everything that is checked, in the order it is tried.
pub fn checks() -> impl Iterator<Item = &'static Check> {
    let families = [
        address::CHECKS,
        tls::CHECKS,
        challenge::CHECKS,
        delivery::CHECKS,
        signature::CHECKS,
        body::CHECKS,
        route::CHECKS,
        connection::CHECKS,
        aftermath::CHECKS,
    ];
    families.into_iter().flatten().copied()
}
