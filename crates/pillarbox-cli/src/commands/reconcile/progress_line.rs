//! The progress of a run, on one line of a terminal.

use std::{
    io::{self, Write},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::super::output::CommandOutput;
use pillarbox::reconcile::{ProgressEvent, RunReporter};

/// The interval at which the line is redrawn during a wait.
const TICK: Duration = Duration::from_millis(200);

/// One line with the results so far, and what the run waits for.
pub(super) struct ProgressLine {
    bar: ProgressBar,
    recorded: AtomicUsize,
    acknowledged: AtomicUsize,
    missing: AtomicUsize,
    /// The last failed request, until one succeeds.
    failure: Mutex<Option<String>>,
}

impl ProgressLine {
    pub(super) fn new() -> Self {
        let target = if CommandOutput::shows_progress() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        let style = ProgressStyle::with_template("{spinner} {elapsed}  {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.enable_steady_tick(TICK);
        Self {
            bar,
            recorded: AtomicUsize::new(0),
            acknowledged: AtomicUsize::new(0),
            missing: AtomicUsize::new(0),
            failure: Mutex::new(None),
        }
    }

    /// Removes the line.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn show(&self, now: &str) {
        let count = |of: &AtomicUsize| of.load(Ordering::Relaxed);
        self.bar.set_message(format!(
            "{} recorded, {} acknowledged, {} missing; {now}",
            count(&self.recorded),
            count(&self.acknowledged),
            count(&self.missing)
        ));
    }

    fn succeeded(&self, now: &str) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.show(now);
    }

    /// Shows a failed request. Without a terminal, only the first of several in a row is printed.
    fn failed(&self, failure: String) {
        let text = format!(
            "{failure}. It is tried again, up to 8 times in about two minutes; Ctrl-C ends the run"
        );
        self.show(&text);
        let mut last = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none() && self.bar.is_hidden() {
            // If standard error is closed, the failure cannot be reported.
            let _ = writeln!(io::stderr(), "{text}.");
        }
        *last = Some(failure);
    }

    fn waiting(&self, time: Duration) {
        let seconds = time.as_secs() + 1;
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        match &*failure {
            Some(failure) => self.show(&format!(
                "{failure}; next attempt in {seconds} s, up to 8 in about two minutes"
            )),
            None => self.show(&format!(
                "waiting {seconds} s: HMRC allows one list of a box in 10 seconds"
            )),
        }
    }
}

impl RunReporter for ProgressLine {
    fn on_event(&self, event: ProgressEvent<'_>) {
        match event {
            ProgressEvent::Waiting(time) => self.waiting(time),
            ProgressEvent::Listed { status, count, .. } => {
                self.succeeded(&format!("{count} {} listed", status.as_str()));
            }
            ProgressEvent::Recorded(_) => {
                self.recorded.fetch_add(1, Ordering::Relaxed);
            }
            ProgressEvent::Acknowledged { count, .. } => {
                self.acknowledged.fetch_add(count, Ordering::Relaxed);
                self.succeeded("acknowledging");
            }
            ProgressEvent::BoxFailed { box_id, error } => {
                self.failed(format!("box {box_id}: {error}"));
            }
            ProgressEvent::PayFailed(error) => self.failed(error.to_string()),
            ProgressEvent::PaymentsChecked { payments, at, .. } => {
                self.succeeded(&format!("{payments} payments checked, back to {at}"));
            }
            ProgressEvent::Missing(_) => {
                self.missing.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}
