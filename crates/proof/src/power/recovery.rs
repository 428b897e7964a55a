//! Starts the shipped `serve` on a disk after a power cut, and checks the result.

use std::{fs, path::Path, thread, time::Duration};

use tokio::time::Instant;

use super::{
    folder_content::FolderContent,
    messages::{PostConnection, PostOutcome, PostedMessage},
    observed_history::{ListedRow, ObservedHistory},
    recording::InterruptedRun,
    served::{PillarboxProgram, RunningServe, describe},
};
use crate::checker::{Violation, check};

/// The time limit for delivering open rows. `serve` repeats interrupted attempts immediately.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// The time in which a process that refuses connections must exit.
const END_TIMEOUT: Duration = Duration::from_secs(2);
/// The largest number of unacknowledged messages that are sent again.
const MAX_SENT_AGAIN: usize = 4;

/// An inbox that survived, and its history.
pub(super) struct RecoveredInbox {
    pub(super) observed: ObservedHistory,
    pub(super) acknowledged: usize,
    /// The number of rows after the cut.
    pub(super) found: usize,
    /// The number of these that were open.
    pub(super) open: usize,
    pub(super) sent_again: usize,
}

/// Writes `image` to `folder` and starts `serve` on it. It delivers the open rows and receives some
/// messages again. Then stops it, and checks the file and the history.
pub(super) fn recover(
    program: &PillarboxProgram,
    folder: &Path,
    image: &FolderContent,
    cut: InterruptedRun,
) -> Result<RecoveredInbox, Vec<Violation>> {
    image
        .write(folder)
        .map_err(|error| vec![rig(describe(folder, &error))])?;
    let output = folder.with_extension("recovered");
    let started = RunningServe::start(&mut program.serve_command(folder), &output);
    let mut serve = started.map_err(|text| vec![violation("start", text)])?;

    let rows = list(program, folder, &[])?;
    let InterruptedRun {
        mut observed,
        answered,
        output: before,
        unacknowledged,
        acknowledged,
    } = cut;
    observed.found(&rows);
    for (post, status, took) in answered {
        observed.answered(post, status, took);
    }
    observed.delivered(&before);
    observed.fault_injected("power cut");
    let sent_again = send_again(&serve, &unacknowledged, &mut observed)
        .map_err(|text| vec![unanswered(&mut serve, text)])?;
    await_drained(program, folder)?;
    serve.stop().map_err(|text| vec![violation("stop", text)])?;

    let left = list(program, folder, &[])?;
    observed.found(&left);
    record_answers(&sent_again, &mut observed);
    let after = fs::read(output.with_extension("stdout")).unwrap_or_default();
    observed.delivered(&after);
    let violations = judge(program, folder, &mut observed, &left);
    if !violations.is_empty() {
        return Err(violations);
    }
    Ok(RecoveredInbox {
        observed,
        acknowledged,
        found: rows.len(),
        open: rows.iter().filter(|row| !row.state.is_finished()).count(),
        sent_again: sent_again.len(),
    })
}

/// The rows of the inbox that these filters select.
fn list(
    program: &PillarboxProgram,
    folder: &Path,
    filters: &[&str],
) -> Result<Vec<ListedRow>, Vec<Violation>> {
    let lines = program
        .list(folder, filters)
        .map_err(|text| vec![violation("list", text)])?;
    Ok(lines.iter().filter_map(ListedRow::read).collect())
}

/// Waits until no row is open, or until the time limit.
fn await_drained(program: &PillarboxProgram, folder: &Path) -> Result<(), Vec<Violation>> {
    let deadline = Instant::now() + DRAIN_TIMEOUT;
    while !list(program, folder, &["--state", "open"])?.is_empty() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Records the answers to the messages that were sent again.
fn record_answers(sent_again: &[(u32, PostOutcome)], observed: &mut ObservedHistory) {
    for (post, outcome) in sent_again {
        match outcome.status {
            Some(status) => observed.answered(*post, status, outcome.took),
            None => observed.stuck("a request after the recovery"),
        }
    }
}

/// Checks the history, which ends with these rows, and the file.
fn judge(
    program: &PillarboxProgram,
    folder: &Path,
    observed: &mut ObservedHistory,
    left: &[ListedRow],
) -> Vec<Violation> {
    observed.finished(left);
    let mut violations = check(&observed.ended(left));
    violations.extend(judge_file(program, folder));
    violations
}

/// Sends unacknowledged messages again, as their senders would.
fn send_again(
    serve: &RunningServe,
    messages: &[PostedMessage],
    observed: &mut ObservedHistory,
) -> Result<Vec<(u32, PostOutcome)>, String> {
    let url = serve.url("pay")?;
    let mut connection = PostConnection::open(&url).map_err(|error| error.to_string())?;
    let again = messages.iter().enumerate().take(MAX_SENT_AGAIN);
    let posted = again.map(|(index, message)| {
        let post = observed.posted(message);
        (post, connection.post(index, message))
    });
    Ok(posted.collect())
}

/// The violation if a request could not be sent: `serve` has exited, or the test rig has failed.
fn unanswered(serve: &mut RunningServe, text: String) -> Violation {
    let deadline = Instant::now() + END_TIMEOUT;
    while Instant::now() < deadline {
        if let Ok(Some(status)) = serve.exit_status() {
            return violation("end", format!("serve ended with {status}: {}", serve.log()));
        }
        thread::sleep(Duration::from_millis(4));
    }
    rig(text)
}

/// Checks that the file is sound, and that every row matches its bytes and its signature.
fn judge_file(program: &PillarboxProgram, folder: &Path) -> Vec<Violation> {
    let mut violations = Vec::new();
    match program.run(folder, &["doctor"]) {
        Ok(run) if run.stdout.contains("is sound (integrity_check)") => {}
        Ok(run) => violations.push(violation("integrity", run.stdout + &run.stderr)),
        Err(text) => violations.push(rig(text)),
    }
    match program.run(folder, &["verify", "--stored"]) {
        Ok(run) if run.code == 0 => {}
        Ok(run) => violations.push(violation("I6", run.stdout + &run.stderr)),
        Err(text) => violations.push(rig(text)),
    }
    violations
}

pub(super) fn violation(rule: &'static str, text: String) -> Violation {
    Violation { rule, text }
}

/// A failure of the test rig, which counts as a violation.
pub(super) fn rig(text: String) -> Violation {
    violation("rig", text)
}
