//! Pulls what push missed: asks a sender what it still holds, and records it through the same door.
//!
//! HMRC's boxes are emptied: list -> record -> acknowledge, in that order. GOV.UK Pay is asked for
//! payments, and those whose events never came are named and recorded as they are now. A run can be
//! ended at any instant, by anybody: what it has recorded stands, what it has not acknowledged is
//! still there, and a later run goes on.

mod backoff;
mod checkpoint;
mod credentials;
pub mod govuk_pay;
pub mod hmrc;
mod last;
mod lock;
mod log;
mod metrics;
mod outcome;
mod progress_event;
mod rate_limiter;
mod record;
mod run;
mod schedule;
mod sleeper;

#[cfg(test)]
mod test_support;

use crate::{
    domain::{SourceName, Timestamp},
    inbox::ReconcileInbox,
};

pub use last::{LastRun, last_run};
pub use metrics::MetricsWriter;
pub use outcome::{ReconcileStats, RunEnd, RunFindings, RunOutcome};
pub use progress_event::{ProgressEvent, RunReporter};
use run::LockedRun;
pub use run::RunContext;
pub use schedule::{Reconciler, ReconcilerDeps, RunLimits};
pub use sleeper::{Sleeper, TokioSleeper};

/// How one source is asked, its secrets fetched.
#[derive(Clone, Debug)]
pub enum SenderAccess {
    /// HMRC's boxes.
    Hmrc(hmrc::HmrcAccess),
    /// GOV.UK Pay's payments.
    GovukPay(govuk_pay::PayAccess),
}

/// What is asked of one run.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// When it has to have ended; `None` is for a person who waits.
    pub deadline: Option<Timestamp>,
    /// Only notifications and payments created since then; `None` for everything the sender may
    /// still hold.
    pub since: Option<Timestamp>,
    /// Whether to look and report only: nothing is recorded or acknowledged.
    pub dry_run: bool,
    /// Whether a person asked: then it begins anew, however short a time ago the last one ended.
    pub by_hand: bool,
}

/// Asks the sender of `source` for what it never pushed.
///
/// Never fails as a whole: the outcome says how far it got, why it ended, and what it found.
pub async fn run(
    source: &SourceName,
    access: &SenderAccess,
    options: &RunOptions,
    context: &RunContext<'_, impl ReconcileInbox>,
) -> RunOutcome {
    let mut run = match LockedRun::begin(context, source, options).await {
        Ok(run) => run,
        Err(ended) => {
            return RunOutcome {
                ended,
                found: RunFindings::nothing(access),
            };
        }
    };
    let outcome = match access {
        SenderAccess::Hmrc(access) => hmrc::empty_boxes(&mut run, access).await,
        SenderAccess::GovukPay(access) => govuk_pay::sweep(&mut run, access).await,
    };
    if !options.dry_run
        && let Err(error) = last::keep(context.inbox, context.clock, source, &outcome).await
    {
        tracing::warn!(source = source.as_str(), reason = %error, "how a run ended could not be \
         kept");
    }
    run.end().await;
    outcome
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use url::Url;

    use super::{test_support::ReconcileRig, *};
    use crate::{
        domain::Clock,
        http_client::RequestError,
        secrets::Secret,
        senders::{Acceptance, example::NOW},
    };

    /// A run is somebody's task, which may go on in another thread.
    fn sendable<F: Future + Send>(future: F) -> F {
        future
    }

    #[tokio::test]
    async fn a_sender_that_is_not_there_is_waited_for_and_then_given_up() {
        let rig = ReconcileRig::new();
        let secret = || Secret::new("a secret of the tests alone".to_owned());
        let base_url = Url::parse("http://127.0.0.1:1/").unwrap();
        let context = RunContext {
            inbox: &rig.inbox,
            clock: &rig.clock,
            sleeper: &rig.clock,
            stop: &rig.stop,
            reporter: &(),
            window: Acceptance(Duration::from_secs(60 * 24 * 60 * 60)),
        };
        let hmrc = SenderAccess::Hmrc(hmrc::HmrcAccess {
            base_url: base_url.clone(),
            boxes: vec!["50dca3fc-c37c-4f03-b719-63571333624c".to_owned()],
            client_id: secret(),
            client_secret: secret(),
        });
        let (source, options) = (SourceName::new("s").unwrap(), RunOptions::default());
        let outcome = sendable(run(&source, &hmrc, &options, &context)).await;
        assert!(
            matches!(outcome.ended, RunEnd::Incomplete),
            "{}",
            outcome.ended
        );
        let RunFindings::Hmrc(boxes) = outcome.found else {
            panic!("it is HMRC that was asked")
        };
        assert_eq!(
            boxes[0].error,
            Some(hmrc::HmrcError::Unanswered(RequestError::NoConnection))
        );
        let waited = rig.clock.now().since(NOW);
        assert!(
            waited > Duration::from_secs(50) && waited < Duration::from_secs(150),
            "{waited:?}"
        );

        let pay = SenderAccess::GovukPay(govuk_pay::PayAccess {
            base_url,
            api_key: secret(),
        });
        let outcome = sendable(run(&source, &pay, &options, &context)).await;
        let not_there = govuk_pay::PayError::Unanswered(RequestError::NoConnection);
        assert!(
            matches!(&outcome.ended, RunEnd::GovukPay(fault) if *fault == not_there),
            "{}",
            outcome.ended
        );
        assert!(outcome.ended.is_failure());
    }
}
