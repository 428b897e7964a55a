//! Reports a run in progress: a line for each message, and a progress bar.

use std::{
    convert::Infallible,
    fmt::Write,
    future::pending,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::super::{
    CommandError, ErrorCode,
    output::{CommandOutput, GREEN, RED, millis, paint},
};
use sender_simulator::{
    ExchangeOutcome,
    run::{
        DeliveryOutcome, ExchangeRecord, RunEvent, SettledMessage, capture::ExchangeRecorder,
        outcome_label,
    },
};

/// The progress bar is shown after this time.
const BAR_DELAY: Duration = Duration::from_secs(1);
/// The interval at which the bar is redrawn, also while every message waits.
const TICK: Duration = Duration::from_millis(250);
/// After this many refused notifications and none accepted, the run ends.
const MAX_REFUSED: u32 = 10;

/// What is reported.
pub(super) struct ReportStyle {
    /// Print one JSON object per message.
    pub(super) json: bool,
    /// Print nothing for single messages.
    pub(super) quiet: bool,
    /// Records every exchange.
    pub(super) record: Option<ExchangeRecorder>,
}

/// Reports a run in progress, and stops it if every notification is refused.
pub(super) struct SimulationReporter<'a> {
    style: ReportStyle,
    output: Mutex<&'a mut CommandOutput>,
    bar: ProgressBar,
    waiting: AtomicU64,
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
        output: Mutex<&'a mut CommandOutput>,
    ) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        let style_of_bar =
            ProgressStyle::with_template("{elapsed} [{bar:30}] {pos} of {len}, {rate}{msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .with_key("rate", rate);
        bar.set_style(style_of_bar);
        let (failed, accepted, refused) =
            (Mutex::default(), AtomicBool::new(false), AtomicU32::new(0));
        Self {
            style,
            output,
            bar,
            waiting: AtomicU64::new(0),
            stop,
            failed,
            accepted,
            refused,
        }
    }

    /// Handles one event of the run.
    pub(super) fn on_event(&self, event: RunEvent<'_>) {
        let handled = match event {
            RunEvent::Exchanged(exchanged) => self.exchanged(&exchanged),
            RunEvent::Settled(settled) => self.settled(settled),
            RunEvent::WaitBegan => self.waiting(self.waiting.fetch_add(1, Ordering::Relaxed) + 1),
            RunEvent::WaitEnded => self.waiting(self.waiting.fetch_sub(1, Ordering::Relaxed) - 1),
            RunEvent::Completed => {
                self.bar.inc(1);
                Ok(())
            }
        };
        if let Err(failure) = handled {
            self.give_up(failure);
        }
    }

    /// Shows the bar once the run takes longer than [`BAR_DELAY`], where there is a terminal.
    pub(super) async fn show_bar(&self) -> Infallible {
        tokio::time::sleep(BAR_DELAY).await;
        if CommandOutput::shows_progress() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.bar.enable_steady_tick(TICK);
        }
        pending().await
    }

    /// Removes the bar. Returns the error that stopped the run, if there is one.
    pub(super) fn finish(&self) -> Result<(), CommandError> {
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
            let recorded = recorder.record(exchanged);
            recorded.map_err(|error| {
                ErrorCode::LocalFile.error(format!("cannot record an exchange: {error}"))
            })?;
        }
        if exchanged.kind.is_genuine() {
            self.check_secret(exchanged.outcome)?;
        }
        Ok(())
    }

    /// Ends the run if the secret seems wrong: the sender would retry for days.
    fn check_secret(&self, outcome: ExchangeOutcome) -> Result<(), CommandError> {
        match outcome {
            ExchangeOutcome::Answered {
                status: 400 | 401 | 403,
                ..
            } => {
                let refused = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
                if refused == MAX_REFUSED && !self.accepted.load(Ordering::Relaxed) {
                    return Err(ErrorCode::Receiver.error(format!(
                        "the first {MAX_REFUSED} notifications were all refused as not authentic \
                         (400, 401 or 403): the receiver has another secret, its URL belongs to \
                         another source, or it rewrites the body; choose the secret with --secret \
                         env:NAME, or find the cause with `pillarbox check`"
                    )));
                }
            }
            _ => self.accepted.store(true, Ordering::Relaxed),
        }
        Ok(())
    }

    fn settled(&self, settled: &SettledMessage) -> Result<(), CommandError> {
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

    fn waiting(&self, messages: u64) -> Result<(), CommandError> {
        self.bar.set_message(match messages {
            0 => String::new(),
            messages => format!(", {messages} waiting for the next attempt"),
        });
        Ok(())
    }

    fn give_up(&self, failure: CommandError) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.get_or_insert(failure);
        self.stop.cancel();
    }
}

/// The number of messages that complete per second.
fn rate(state: &ProgressState, text: &mut dyn Write) {
    let _ = write!(text, "{:.0}/s", state.per_sec());
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
    use std::{io, sync::Arc};

    use indicatif::TermLike;

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
            let (mut output, _) = CommandOutput::captured();
            let style = ReportStyle {
                json: false,
                quiet: true,
                record: None,
            };
            let output = Mutex::new(&mut output);
            let reporter = SimulationReporter::new(style, 20, CancellationToken::new(), output);
            let mut statuses = std::iter::once(first).chain(std::iter::repeat_n(refusal, 19));
            let checked = statuses
                .try_for_each(|status| reporter.check_secret(ExchangeOutcome::status(status)));
            assert_eq!(checked.is_err(), ends, "{first} {refusal}");
        }
    }

    /// A terminal that keeps what is written.
    #[derive(Clone, Debug, Default)]
    struct TestTerminal(Arc<Mutex<String>>);

    impl TermLike for TestTerminal {
        fn width(&self) -> u16 {
            100
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, line: &str) -> io::Result<()> {
            self.write_str(line)
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            self.0.lock().unwrap().clear();
            Ok(())
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_bar_counts_planned_messages_and_shows_how_many_wait() {
        let mut output = CommandOutput::captured().0;
        let style = ReportStyle {
            json: false,
            quiet: true,
            record: None,
        };
        let stop = CancellationToken::new();
        let reporter = SimulationReporter::new(style, 200, stop, Mutex::new(&mut output));
        let terminal = TestTerminal::default();
        let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
        reporter.bar.set_draw_target(target);
        let settled = SettledMessage {
            sender: sender_simulator::Sender::Hmrc,
            id: "a forgery".to_owned(),
            kind: sender_simulator::run::MessageKind::Forged,
            outcome: DeliveryOutcome::Refused,
            attempts: 1,
            requests: 1,
            last_exchange: ExchangeOutcome::status(401),
            took: Duration::ZERO,
        };
        for _ in 0..282 {
            reporter.on_event(RunEvent::Settled(&settled));
        }
        for event in [
            RunEvent::Completed,
            RunEvent::WaitBegan,
            RunEvent::WaitBegan,
        ] {
            reporter.on_event(event);
        }
        reporter.on_event(RunEvent::WaitEnded);
        reporter.bar.force_draw();
        let shown = terminal.0.lock().unwrap().clone();
        let (_, shown) = shown.split_once("] ").unwrap();
        assert!(shown.starts_with("1 of 200, "), "{shown}");
        let (rate, waiting) = shown["1 of 200, ".len()..].split_once("/s").unwrap();
        assert!(rate.parse::<u64>().is_ok(), "{shown}");
        assert_eq!(waiting.trim(), ", 1 waiting for the next attempt");
    }
}
