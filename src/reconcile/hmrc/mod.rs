//! Empties HMRC's boxes: list -> record -> acknowledge, in that order, until nothing is left. Only
//! stored notifications are acknowledged, so a run that ends early loses nothing.
//!
//! Each box is listed by status, PENDING first and FAILED second, so that a notification that HMRC
//! gives up meanwhile is still listed. The boxes take turns, because HMRC allows one list of a box
//! in ten seconds.

mod box_state;
mod client;
mod error;
mod mailbox;
mod page;
mod record;
mod report;
mod pager;

use std::{collections::VecDeque, time::Duration};

use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    LockedRun, ProgressEvent, RunEnd, RunFindings, RunOutcome, checkpoint::Checkpoint, last,
};
use crate::{domain::Timestamp, inbox::ReconcileInbox, secrets::Secret};
use client::HmrcClient;
use mailbox::RateLimitedBox;

pub use error::HmrcError;
#[cfg(any(test, feature = "test-support"))]
pub use page::list_for_tests;
pub use report::{BoxPosition, BoxReport, stats};

/// The access to HMRC's API.
#[derive(Clone, Debug)]
pub struct HmrcAccess {
    /// The URL of the API.
    pub base_url: Url,
    /// The ids of the boxes, all of which belong to one application.
    pub boxes: Vec<String>,
    /// The application's client id.
    pub client_id: Secret,
    /// The application's client secret.
    pub client_secret: Secret,
    /// How often the boxes are listed; `None` for every scheduled run of the platform.
    pub every: Option<Duration>,
}

/// HMRC's status of a notification that is not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum NotificationStatus {
    /// Still to be pushed.
    Pending,
    /// Given up.
    Failed,
}

impl NotificationStatus {
    /// The status in HMRC's API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Failed => "FAILED",
        }
    }
}

/// The positions in the boxes that are not done, in the order in which they are served.
#[derive(Debug, Default, Serialize, Deserialize)]
struct BoxPositions {
    boxes: Vec<SavedPosition>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedPosition {
    id: String,
    status: NotificationStatus,
    from: Option<i64>,
}

/// Empties every box of `access`.
pub(super) async fn empty_boxes(
    run: &mut LockedRun<'_, impl ReconcileInbox>,
    access: &HmrcAccess,
) -> RunOutcome {
    let mut boxes: VecDeque<RateLimitedBox> = access
        .boxes
        .iter()
        .map(|id| RateLimitedBox::new(id, run.options.since))
        .collect();
    let emptied = empty(run, access, &mut boxes).await;
    let report_of = |id| {
        boxes
            .iter()
            .find(|mailbox| mailbox.state.id() == id)
            .map(|mailbox| mailbox.state.report())
    };
    let reports: Vec<BoxReport> = access.boxes.iter().filter_map(report_of).collect();
    let ended = match emptied {
        Err(ended) => ended,
        Ok(()) if reports.iter().any(|report| report.error.is_some()) => RunEnd::Incomplete,
        Ok(()) => RunEnd::Completed,
    };
    RunOutcome {
        ended,
        found: RunFindings::Hmrc(reports),
    }
}

async fn empty(
    run: &mut LockedRun<'_, impl ReconcileInbox>,
    access: &HmrcAccess,
    boxes: &mut VecDeque<RateLimitedBox>,
) -> Result<(), RunEnd> {
    if !run.options.by_hand
        && let Some(every) = access.every
        && let Some(due_at) = next_run(run, every).await?
    {
        return Err(RunEnd::NotDue(due_at));
    }
    let (mut checkpoint, positions) = Checkpoint::load::<BoxPositions>(run).await?;
    // A partial or dry run does not move the checkpoint that other runs resume from.
    let saves_checkpoint = run.options.since.is_none() && !run.options.dry_run;
    if saves_checkpoint && !run.options.by_hand {
        resume(boxes, positions);
    }
    let mut client = HmrcClient::new(access).map_err(RunEnd::Hmrc)?;
    let ended = serve_boxes(run, &mut client, boxes).await;
    if saves_checkpoint {
        // If this fails, the next run starts from the beginning, which is only slower.
        let _ = checkpoint.save(run, &checkpoint_of(boxes)).await;
    }
    ended
}

/// When the next run is due, if that is later than now. An end in the future was stored before the
/// clock was set back.
async fn next_run(
    run: &LockedRun<'_, impl ReconcileInbox>,
    every: Duration,
) -> Result<Option<Timestamp>, RunEnd> {
    let last = last::last_run(run.inbox(), run.source).await?;
    let last = last.map(|last| last.at()).filter(|at| *at <= run.now());
    Ok(last
        .map(|at| at.plus(every))
        .filter(|due_at| *due_at > run.now()))
}

/// Serves the boxes in turn, in the order in which they may be listed, until all are done.
async fn serve_boxes(
    run: &mut LockedRun<'_, impl ReconcileInbox>,
    client: &mut HmrcClient<'_>,
    boxes: &mut VecDeque<RateLimitedBox>,
) -> Result<(), RunEnd> {
    loop {
        run.step().await?;
        let now = run.now();
        let open = boxes
            .iter()
            .enumerate()
            .filter(|(_, mailbox)| !mailbox.state.is_done());
        let Some((wait, next)) = open
            .map(|(index, mailbox)| (mailbox.state.time_until_ready(now), index))
            .min()
        else {
            return Ok(());
        };
        if !wait.is_zero() {
            run.context.reporter.on_event(ProgressEvent::Waiting(wait));
            run.pause(wait).await?;
            continue;
        }
        // The box that was served goes to the back of the queue.
        let Some(mut mailbox) = boxes.remove(next) else {
            return Ok(());
        };
        let served = mailbox.serve(run, client).await;
        boxes.push_back(mailbox);
        served?;
    }
}

/// Restores the positions of an earlier run.
fn resume(boxes: &mut VecDeque<RateLimitedBox>, positions: BoxPositions) {
    for saved in positions.boxes.into_iter().rev() {
        if let Some(index) = boxes
            .iter()
            .position(|mailbox| mailbox.state.id() == saved.id)
            && let Some(mut mailbox) = boxes.remove(index)
        {
            mailbox.state.resume(BoxPosition {
                status: saved.status,
                from: saved.from.map(Timestamp::from_millis),
            });
            boxes.push_front(mailbox);
        }
    }
}

fn checkpoint_of(boxes: &VecDeque<RateLimitedBox>) -> BoxPositions {
    let open = boxes.iter().filter(|mailbox| !mailbox.state.is_done());
    let saved = open.map(|mailbox| {
        let BoxPosition { status, from } = mailbox.state.position();
        SavedPosition {
            id: mailbox.state.id().to_owned(),
            status,
            from: from.map(Timestamp::as_millis),
        }
    });
    BoxPositions {
        boxes: saved.collect(),
    }
}
