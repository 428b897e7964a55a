//! What people and programs hear while a run goes on: a line a message, and a bar that moves.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::super::{
    CommandError,
    output::{GREEN, Output, RED, millis, paint},
};
use sender_simulator::{
    ExchangeOutcome,
    run::{
        DeliveryOutcome, ExchangeRecord, RunEvent, SettledMessage, capture::ExchangeRecorder,
        outcome_label,
    },
};

/// A bar is only shown for what takes longer.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// So many refused signatures, and not one accepted, are no accident.
const REFUSED: u32 = 10;

/// How the run is told.
pub(super) struct ReportStyle {
    /// One JSON object a message.
    pub(super) json: bool,
    /// Nothing for single messages.
    pub(super) quiet: bool,
    /// Where every exchange is kept.
    pub(super) record: Option<ExchangeRecorder>,
}

/// Tells a run as it goes on, and stops it where going on makes no sense.
pub(super) struct SimulationReporter<'a> {
    style: ReportStyle,
    output: Mutex<&'a mut Output>,
    bar: ProgressBar,
    shows_bar: bool,
    stop: CancellationToken,
    failed: Mutex<Option<CommandError>>,
    accepted: AtomicBool,
    refused: AtomicU32,
}

impl<'a> SimulationReporter<'a> {
    pub(super) fn new(
        style: ReportStyle,
        total: u64,
        stop: CancellationToken,
        output: Mutex<&'a mut Output>,
    ) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        let look = ProgressStyle::with_template("{elapsed} [{bar:30}] {pos} of {len}, {per_sec}");
        bar.set_style(look.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let shows_bar = Output::may_move();
        let (failed, accepted, refused) =
            (Mutex::default(), AtomicBool::new(false), AtomicU32::new(0));
        Self {
            style,
            output,
            bar,
            shows_bar,
            stop,
            failed,
            accepted,
            refused,
        }
    }

    /// Takes in what the run tells.
    pub(super) fn hear(&self, seen: RunEvent<'_>) {
        let told = match seen {
            RunEvent::Exchanged(exchanged) => self.exchanged(&exchanged),
            RunEvent::Settled(settled) => self.settled(settled),
        };
        if let Err(failure) = told {
            self.give_up(failure);
        }
        if self.shows_bar && self.bar.is_hidden() && self.bar.elapsed() > MAX_WAIT {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }

    /// Takes the bar away, and says why the run had to stop, if it had to.
    pub(super) fn end(&self) -> Result<(), CommandError> {
        self.bar.finish_and_clear();
        let failed = self
            .failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        failed.map_or(Ok(()), Err)
    }

    fn exchanged(&self, exchanged: &ExchangeRecord<'_>) -> Result<(), CommandError> {
        if let Some(recorder) = &self.style.record {
            let kept = recorder.record(exchanged);
            kept.map_err(|error| {
                CommandError::Failed(format!("an exchange can't be kept: {error}"))
            })?;
        }
        if exchanged.kind.is_genuine() {
            self.judge_the_secret(exchanged.outcome)?;
        }
        Ok(())
    }

    /// A wrong secret would be refused for days, by the timetable.
    fn judge_the_secret(&self, outcome: ExchangeOutcome) -> Result<(), CommandError> {
        match outcome {
            ExchangeOutcome::Answered {
                status: 400 | 401 | 403,
                ..
            } => {
                let refused = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
                if refused == REFUSED && !self.accepted.load(Ordering::Relaxed) {
                    return Err(CommandError::Failed(format!(
                        "the first {REFUSED} notifications were all refused as not authentic (400, \
                         401 or 403): the receiver has another secret, its URL belongs to another \
                         source, or it rewrites the body; choose the secret with --secret \
                         env:NAME, or find the cause with `pillarbox check`"
                    )));
                }
            }
            _ => self.accepted.store(true, Ordering::Relaxed),
        }
        Ok(())
    }

    fn settled(&self, settled: &SettledMessage) -> Result<(), CommandError> {
        self.bar.inc(1);
        if self.style.quiet {
            return Ok(());
        }
        let line = if self.style.json {
            json_line(settled)
        } else {
            line(settled)
        };
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(self.bar.suspend(|| output.data(&line))?)
    }

    fn give_up(&self, failure: CommandError) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.get_or_insert(failure);
        self.stop.cancel();
    }
}

fn line(settled: &SettledMessage) -> String {
    let SettledMessage {
        sender,
        id,
        kind,
        outcome,
        attempts,
        requests,
        last_exchange,
        took,
    } = settled;
    let is_well = match outcome {
        DeliveryOutcome::Acknowledged => !kind.is_hostile(),
        DeliveryOutcome::Refused => true,
        DeliveryOutcome::Failed | DeliveryOutcome::LostByRedirect => false,
    };
    let outcome = paint(outcome.as_str(), if is_well { GREEN } else { RED });
    let again = if *requests > 1 {
        format!(", attempt {attempts}, request {requests}")
    } else {
        String::new()
    };
    let kind = if kind.is_genuine() {
        String::new()
    } else {
        format!("{} ", kind.as_str())
    };
    format!(
        "{} {id}: {kind}{outcome}, {} in {} ms{again}",
        sender.as_str(),
        outcome_label(*last_exchange),
        millis(*took)
    )
}

fn json_line(settled: &SettledMessage) -> String {
    let status = match settled.last_exchange {
        ExchangeOutcome::Answered { status, .. } => Some(status),
        _ => None,
    };
    json!({
        "sender": settled.sender.as_str(),
        "id": settled.id,
        "what": settled.kind.as_str(),
        "fate": settled.outcome.as_str(),
        "attempts": settled.attempts,
        "requests": settled.requests,
        "status": status,
        "outcome": outcome_label(settled.last_exchange),
        "took_us": u64::try_from(settled.took.as_micros()).unwrap_or(u64::MAX),
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_whose_first_notifications_are_all_refused_ends() {
        for (first, refusal, ends) in [
            (401, 401, true),
            (403, 403, true),
            (400, 400, true),
            (401, 400, true),
            (200, 400, false),
            (500, 500, false),
        ] {
            let (mut output, _) = Output::captured();
            let style = ReportStyle {
                json: false,
                quiet: true,
                record: None,
            };
            let output = Mutex::new(&mut output);
            let reporter = SimulationReporter::new(style, 20, CancellationToken::new(), output);
            let mut statuses = std::iter::once(first).chain(std::iter::repeat_n(refusal, 19));
            let judged = statuses
                .try_for_each(|status| reporter.judge_the_secret(ExchangeOutcome::status(status)));
            assert_eq!(judged.is_err(), ends, "{first} {refusal}");
        }
    }
}
