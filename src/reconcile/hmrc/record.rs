//! Records the elements of a list. Only an element that is stored here may be acknowledged.

use futures_util::future::join_all;

use super::page::{AcknowledgeableId, ListedNotification};
use crate::{
    domain::{Key, Timestamp},
    inbox::{InboxError, ReconcileInbox, RecordOutcome},
    reconcile::{LockedRun, ProgressEvent, RunEnd},
    senders::read,
};

/// The maximum number of elements that are recorded concurrently.
const CONCURRENCY: usize = 16;

/// The id of a stored notification. Only [`record`] creates one, so nothing else can be
/// acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct StoredId(AcknowledgeableId);

impl StoredId {
    /// The id.
    pub(super) fn id(&self) -> &AcknowledgeableId {
        &self.0
    }
}

/// The outcome of one element.
#[derive(Debug)]
pub(super) struct ElementOutcome {
    /// The key of its row.
    pub(super) key: Key,
    /// When it was created.
    pub(super) created_at: Option<Timestamp>,
    /// The id to acknowledge; `None` if the element is not stored, or has no usable id.
    pub(super) stored: Option<StoredId>,
    /// How the element was recorded.
    pub(super) how: RecordedAs,
}

/// How an element was recorded.
#[derive(Clone, Debug)]
pub(super) enum RecordedAs {
    /// Recorded now, because push had missed it.
    First,
    /// Recorded before.
    Duplicate,
    /// Recorded now and held for a person.
    Held,
    /// Refused by the inbox for good.
    Refused(InboxError),
    /// Not recorded, because this is a dry run.
    DryRun,
}

/// Records `elements`, unless this is a dry run. If the inbox fails, none of them may be
/// acknowledged.
pub(super) async fn record(
    run: &mut LockedRun<'_, impl ReconcileInbox>,
    elements: Vec<ListedNotification>,
) -> Result<Vec<ElementOutcome>, RunEnd> {
    let mut outcomes = Vec::with_capacity(elements.len());
    let mut elements = elements.into_iter().peekable();
    while elements.peek().is_some() {
        run.step().await?;
        let recording = elements
            .by_ref()
            .take(CONCURRENCY)
            .map(|element| record_element(run, element));
        for outcome in join_all(recording).await {
            outcomes.push(outcome?);
        }
    }
    Ok(outcomes)
}

async fn record_element(
    run: &LockedRun<'_, impl ReconcileInbox>,
    element: ListedNotification,
) -> Result<ElementOutcome, InboxError> {
    let ListedNotification {
        id,
        created_at,
        pulled,
    } = element;
    let entry = read(run.source, pulled, run.now(), run.context.window);
    if run.options.dry_run {
        return Ok(ElementOutcome {
            key: entry.key,
            created_at,
            stored: None,
            how: RecordedAs::DryRun,
        });
    }
    let how = match run.inbox().record(&entry).await {
        Ok(RecordOutcome::Duplicate) => RecordedAs::Duplicate,
        Ok(RecordOutcome::First) if entry.held.is_none() => RecordedAs::First,
        Ok(RecordOutcome::First | RecordOutcome::Conflict(_)) => RecordedAs::Held,
        Err(error @ InboxError::Unavailable(_)) => return Err(error),
        Err(error) => RecordedAs::Refused(error),
    };
    if matches!(how, RecordedAs::First | RecordedAs::Held) {
        run.context
            .reporter
            .on_event(ProgressEvent::Recorded(&entry.key));
    }
    let stored = id
        .map(StoredId)
        .filter(|_| !matches!(how, RecordedAs::Refused(_)));
    Ok(ElementOutcome {
        key: entry.key,
        created_at,
        stored,
        how,
    })
}
