//! Reconciles the inbox with the senders' APIs, and records the notifications that push missed.
//!
//! HMRC's boxes are emptied: list -> record -> acknowledge, in that order. GOV.UK Pay's payments
//! are compared with their ledgers, and a payment with missing events is reported, and its current
//! state is recorded. A run may end at any point without loss: recorded notifications are durable,
//! unacknowledged ones stay with HMRC, and the next run resumes.

mod backoff;
mod checkpoint;
mod credentials;
pub mod govuk_pay;
pub mod hmrc;
mod last;
mod log;
mod outcome;
mod progress_event;
mod rate_limiter;
mod record;
mod run;
mod schedule;
mod sleeper;
mod transport;

#[cfg(test)]
pub(crate) mod test_support;

use crate::{
    domain::{SourceName, Timestamp},
    inbox::ReconcileInbox,
};

pub use last::{LastRun, last_run};
pub use outcome::{ReconcileStats, RunEnd, RunFindings, RunOutcome};
pub use progress_event::{ProgressEvent, RunReporter};
use run::LockedRun;
pub use run::RunContext;
pub use schedule::{Reconciler, ReconcilerDeps, RunLimits};
pub use sleeper::{RunSleeper, TokioSleeper};
pub use transport::{
    ClientResponse, NetworkTransport, RequestError, ResponseError, SenderTransport,
};

/// The access to one sender's API, with its credentials.
#[derive(Clone, Debug)]
pub enum SenderAccess {
    /// HMRC's boxes.
    Hmrc(hmrc::HmrcAccess),
    /// GOV.UK Pay's payments.
    GovukPay(govuk_pay::PayAccess),
}

/// The options of one run.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// When the run must have ended; `None` for no limit.
    pub deadline: Option<Timestamp>,
    /// Limits the run to notifications and payments created since then; `None` for everything that
    /// the sender retains.
    pub since: Option<Timestamp>,
    /// Whether the run only reports, and neither records nor acknowledges.
    pub dry_run: bool,
    /// Whether a person started the run. Such a run starts from the beginning, without waiting for
    /// the sweep interval.
    pub by_hand: bool,
}

/// Records the notifications that the sender of `source` holds and has not pushed.
///
/// Returns no error: the outcome has the reason for the end and the findings.
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
                found: RunFindings::empty(access),
            };
        }
    };
    let outcome = match access {
        SenderAccess::Hmrc(access) => hmrc::empty_boxes(&mut run, access).await,
        SenderAccess::GovukPay(access) => govuk_pay::sweep(&mut run, access).await,
    };
    if !options.dry_run
        && let Err(error) = last::save(context.inbox, context.clock, source, &outcome).await
    {
        tracing::warn!(source = source.as_str(), reason = %error, "run result not stored");
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
        secrets::Secret,
        senders::{Acceptance, example::NOW},
    };

    /// A run is spawned as a task, so its future must be `Send`.
    fn sendable<F: Future + Send>(future: F) -> F {
        future
    }

    #[tokio::test]
    async fn an_unreachable_sender_is_retried_and_then_given_up() {
        let rig = ReconcileRig::new();
        let secret = || Secret::new("a secret of the tests alone".to_owned());
        let base_url = Url::parse("http://127.0.0.1:1/").unwrap();
        let context = RunContext {
            inbox: &rig.inbox,
            clock: &rig.clock,
            sleeper: &rig.clock,
            transport: &NetworkTransport,
            stop: &rig.stop,
            holder: &"a test",
            reporter: &(),
            window: Acceptance(Duration::from_secs(60 * 24 * 60 * 60)),
        };
        let hmrc = SenderAccess::Hmrc(hmrc::HmrcAccess {
            base_url: base_url.clone(),
            boxes: vec!["50dca3fc-c37c-4f03-b719-63571333624c".to_owned()],
            client_id: secret(),
            client_secret: secret(),
            every: None,
        });
        let (source, options) = (SourceName::new("s").unwrap(), RunOptions::default());
        let outcome = sendable(run(&source, &hmrc, &options, &context)).await;
        assert!(
            matches!(outcome.ended, RunEnd::Incomplete),
            "{}",
            outcome.ended
        );
        let RunFindings::Hmrc(boxes) = outcome.found else {
            panic!("the findings are HMRC's")
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
            every: Duration::from_secs(30 * 60),
            after: Duration::from_secs(3 * 60 * 60),
            events: None,
        });
        let outcome = sendable(run(&source, &pay, &options, &context)).await;
        let not_there = govuk_pay::PayError::Unanswered(RequestError::NoConnection);
        assert!(
            matches!(&outcome.ended, RunEnd::GovukPay(error) if *error == not_there),
            "{}",
            outcome.ended
        );
        assert!(outcome.ended.is_failure());
    }
}
