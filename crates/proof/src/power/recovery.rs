//! What the shipped `serve` makes of a disk after the power was cut, and whether that is right.

use std::{fs, path::Path, thread, time::Duration};

use tokio::time::Instant;

use super::{
    folder_content::FolderContent,
    messages::{PostConnection, PostOutcome, PostedMessage},
    recording::CutStory,
    served::{PillarboxProgram, RunningServe, describe},
    story::{ListedRow, PowerStory},
};
use crate::checker::{Violation, check};

/// How long the open rows may take; an attempt that the cut interrupted is made again at once.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a process that refuses connections may take to end.
const END_TIMEOUT: Duration = Duration::from_secs(2);
/// How many of those without an answer are sent again.
const MOST_SENT_AGAIN: usize = 4;

/// An inbox that survived, and everything that is known of it.
pub(super) struct RecoveredInbox {
    pub(super) story: PowerStory,
    pub(super) acknowledged: usize,
    /// The rows that were there after the cut.
    pub(super) found: usize,
    /// Of these, how many were still open.
    pub(super) open: usize,
    pub(super) sent_again: usize,
}

/// Starts `serve` on `image`, written to `folder`; has it deliver what is open and receive what is
/// sent again; stops it, and checks the file and the history.
pub(super) fn recover(
    program: &PillarboxProgram,
    folder: &Path,
    image: &FolderContent,
    cut: CutStory,
) -> Result<RecoveredInbox, Vec<Violation>> {
    image
        .write(folder)
        .map_err(|error| vec![rig(describe(folder, &error))])?;
    let output = folder.with_extension("recovered");
    let started = RunningServe::start(&mut program.serve_command(folder), &output);
    let mut serve = started.map_err(|text| vec![violation("start", text)])?;
    let list = |filters: &[&str]| -> Result<Vec<ListedRow>, Vec<Violation>> {
        let lines = program
            .list(folder, filters)
            .map_err(|text| vec![violation("list", text)])?;
        Ok(lines.iter().filter_map(ListedRow::read).collect())
    };

    let rows = list(&[])?;
    let CutStory {
        mut story,
        answered,
        output: before,
        unacknowledged,
        acknowledged,
    } = cut;
    story.found(&rows);
    for (post, status, took) in answered {
        story.answered(post, status, took);
    }
    story.delivered(&before);
    story.disturbed("power cut");
    let sent_again = send_again(&serve, &unacknowledged, &mut story)
        .map_err(|text| vec![unanswered(&mut serve, text)])?;
    let deadline = Instant::now() + DRAIN_TIMEOUT;
    while !list(&["--state", "open"])?.is_empty() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }
    serve.stop().map_err(|text| vec![violation("stop", text)])?;

    let left = list(&[])?;
    story.found(&left);
    for (post, outcome) in &sent_again {
        match outcome.status {
            Some(status) => story.answered(*post, status, outcome.took),
            None => story.stuck("a request after the recovery"),
        }
    }
    let after = fs::read(output.with_extension("stdout")).unwrap_or_default();
    story.delivered(&after);
    let violations = judge(program, folder, &mut story, &left);
    if !violations.is_empty() {
        return Err(violations);
    }
    Ok(RecoveredInbox {
        story,
        acknowledged,
        found: rows.len(),
        open: rows.iter().filter(|row| !row.state.is_finished()).count(),
        sent_again: sent_again.len(),
    })
}

/// Checks the history, which ends with the rows that are left, and the file.
fn judge(
    program: &PillarboxProgram,
    folder: &Path,
    story: &mut PowerStory,
    left: &[ListedRow],
) -> Vec<Violation> {
    story.finished(left);
    let mut violations = check(&story.ended(left));
    violations.extend(judge_file(program, folder));
    violations
}

/// Sends what got no answer again, as its sender would.
fn send_again(
    serve: &RunningServe,
    messages: &[PostedMessage],
    story: &mut PowerStory,
) -> Result<Vec<(u32, PostOutcome)>, String> {
    let url = serve.url("pay")?;
    let mut connection = PostConnection::open(&url).map_err(|error| error.to_string())?;
    let again = messages.iter().enumerate().take(MOST_SENT_AGAIN);
    let posted = again.map(|(index, message)| {
        let post = story.posted(message);
        (post, connection.post(index, message))
    });
    Ok(posted.collect())
}

/// What it means that a request could not be sent: that `serve` has ended, or that the rig has
/// failed.
fn unanswered(serve: &mut RunningServe, text: String) -> Violation {
    let deadline = Instant::now() + END_TIMEOUT;
    while Instant::now() < deadline {
        if let Ok(Some(status)) = serve.ended() {
            return violation("end", format!("serve ended with {status}: {}", serve.log()));
        }
        thread::sleep(Duration::from_millis(4));
    }
    rig(text)
}

/// The file is sound, and every row is what its bytes and its signature say.
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

/// The rig itself has failed, which proves nothing and so counts.
pub(super) fn rig(text: String) -> Violation {
    violation("rig", text)
}
