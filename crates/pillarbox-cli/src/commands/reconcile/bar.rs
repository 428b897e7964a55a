//! How far a run is, for people who wait for it.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::super::output::Output;
use pillarbox::reconcile::{ProgressEvent, RunReporter};

/// How often the bar is drawn anew while a run waits for its turn.
const TICK: Duration = Duration::from_millis(200);

/// One line that says what has been done, and what is waited for.
pub(super) struct ProgressLine {
    bar: ProgressBar,
    recorded: AtomicUsize,
    acknowledged: AtomicUsize,
    missing: AtomicUsize,
}

impl ProgressLine {
    pub(super) fn new() -> Self {
        let target = if Output::may_move() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        let look = ProgressStyle::with_template("{spinner} {elapsed}  {msg}");
        bar.set_style(look.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.enable_steady_tick(TICK);
        Self {
            bar,
            recorded: AtomicUsize::new(0),
            acknowledged: AtomicUsize::new(0),
            missing: AtomicUsize::new(0),
        }
    }

    /// Takes it away.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }

    fn say(&self, now: &str) {
        let count = |of: &AtomicUsize| of.load(Ordering::Relaxed);
        let (recorded, acknowledged, missing) = (
            count(&self.recorded),
            count(&self.acknowledged),
            count(&self.missing),
        );
        self.bar.set_message(format!(
            "{recorded} recorded, {acknowledged} acknowledged, {missing} missing; {now}"
        ));
    }
}

impl RunReporter for ProgressLine {
    fn tell(&self, news: ProgressEvent<'_>) {
        match news {
            ProgressEvent::Waiting(time) => {
                self.say(&format!("waiting {} s for its turn", time.as_secs() + 1))
            }
            ProgressEvent::Listed { status, count, .. } => {
                self.say(&format!("{count} {} listed", status.as_str()))
            }
            ProgressEvent::Recorded(_) => {
                self.recorded.fetch_add(1, Ordering::Relaxed);
            }
            ProgressEvent::Acknowledged { count, .. } => {
                self.acknowledged.fetch_add(count, Ordering::Relaxed);
                self.say("acknowledging");
            }
            ProgressEvent::BoxTrouble { box_id, fault } => {
                self.say(&format!("box {box_id}: {fault}"))
            }
            ProgressEvent::PayTrouble(fault) => self.say(&fault.to_string()),
            ProgressEvent::Swept { payments, at, .. } => {
                self.say(&format!("{payments} payments looked at, back to {at}"))
            }
            ProgressEvent::Missing(_) => {
                self.missing.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
