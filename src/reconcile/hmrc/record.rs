//! Elements of a list -> rows. What is stored here, and nothing else, may be acknowledged.

use futures_util::future::join_all;

use super::page::{AcknowledgeableId, ListedNotification};
use crate::{
    domain::{Key, Timestamp},
    inbox::{InboxError, ReconcileInbox, Recorded},
    reconcile::{LockedRun, ProgressEvent, RunEnd},
    senders::read,
};

/// How many are recorded at once.
const AT_ONCE: usize = 16;

/// The id of a notification that this process has seen stored. Only [`record`] makes one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct StoredId(AcknowledgeableId);

impl StoredId {
    /// The id.
    pub(super) fn id(&self) -> &AcknowledgeableId {
        &self.0
    }
}

/// What became of one element.
#[derive(Debug)]
pub(super) struct ElementOutcome {
    /// What it is called.
    pub(super) key: Key,
    /// When it was created.
    pub(super) created_at: Option<Timestamp>,
    /// What may be acknowledged of it; `None` if it has no id for that, or is not stored.
    pub(super) stored: Option<StoredId>,
    /// How it was recorded.
    pub(super) how: RecordedAs,
}

/// How an element was recorded.
#[derive(Clone, Debug)]
pub(super) enum RecordedAs {
    /// Now: push had missed it.
    First,
    /// Before.
    Duplicate,
    /// Now, to be looked at by a person.
    Held,
    /// Not at all, and it would not help to try again.
    Refused(InboxError),
    /// Not at all, since that was not asked for.
    OnlySeen,
}

/// Records `elements`, unless the run is only to look. Fails if the inbox does; then nothing of
/// them may be acknowledged.
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
            .take(AT_ONCE)
            .map(|element| one(run, element));
        for outcome in join_all(recording).await {
            outcomes.push(outcome?);
        }
    }
    Ok(outcomes)
}

async fn one(
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
            how: RecordedAs::OnlySeen,
        });
    }
    let how = match run.inbox().record(&entry).await {
        Ok(Recorded::Duplicate) => RecordedAs::Duplicate,
        Ok(Recorded::First) if entry.held.is_none() => RecordedAs::First,
        Ok(Recorded::First | Recorded::Conflict(_)) => RecordedAs::Held,
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
