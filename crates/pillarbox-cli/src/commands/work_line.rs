//! The progress of long work, on one line of a terminal that appears after a second.

use std::{
    fs,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use super::output::CommandOutput;

/// How long work may take before the line appears.
const LINE_DELAY: Duration = Duration::from_secs(1);
/// The interval at which a growing file is measured.
const TICK: Duration = Duration::from_millis(200);

/// The line. It is removed when this is dropped.
pub(super) struct WorkLine {
    bar: ProgressBar,
    began: Instant,
}

impl WorkLine {
    /// Counts pieces of work, which `done` names: `12,345 exported in 3s`. Data that scrolls past
    /// on a terminal shows the progress already, so there is no line beside it.
    pub(super) fn counting(done: &str, prints_data: bool) -> Self {
        let line = Self::new(
            None,
            &format!("{{spinner}} {{human_pos}} {done} in {{elapsed}}"),
        );
        if prints_data && io::stdout().is_terminal() {
            line.bar.finish_and_clear();
        }
        line
    }

    /// A bar for work of `total` pieces.
    pub(super) fn bar(total: usize) -> Self {
        Self::new(Some(total as u64), "{wide_bar} {pos} of {len}, {eta} left")
    }

    fn new(total: Option<u64>, template: &str) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template(template);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        Self {
            bar,
            began: Instant::now(),
        }
    }

    /// Counts one more finished piece.
    pub(super) fn add_one(&self) {
        self.bar.inc(1);
        self.show_if_due();
    }

    pub(super) fn set_position(&self, position: u64) {
        self.bar.set_position(position);
        self.show_if_due();
    }

    fn show_if_due(&self) {
        let is_due = self.bar.is_hidden() && self.began.elapsed() >= LINE_DELAY;
        if is_due && !self.bar.is_finished() && CommandOutput::shows_progress() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }

    /// Prints above the line.
    pub(super) fn print_above<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    /// Waits for `work`, which copies `source` to `target`. The line shows the length of `target`.
    pub(super) async fn while_copying<T>(
        source: &Path,
        target: PathBuf,
        work: impl Future<Output = T>,
    ) -> T {
        let length = |path: &Path| fs::metadata(path).map_or(0, |found| found.len());
        let line = Self::new(Some(length(source)), "{wide_bar} {bytes} of {total_bytes}");
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                ended = &mut work => return ended,
                () = tokio::time::sleep(TICK) => {
                    line.set_position(length(&target));
                }
            }
        }
    }
}

impl Drop for WorkLine {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
