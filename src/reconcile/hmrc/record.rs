//! Elements of a list -> rows. What is stored here, and nothing else, may be acknowledged.

use futures_util::future::join_all;

use super::page::{Element, Uuid};
use crate::{
    inbox::{Inbox, InboxError, Recorded},
    notification::{Key, Timestamp},
    reconcile::{Ended, News, Run, Sleeper},
    source::read,
    world::World,
};

/// How many are recorded at once.
const AT_ONCE: usize = 16;

/// The id of a notification that this process has seen stored. Only [`record`] makes one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Stored(Uuid);

impl Stored {
    /// The id.
    pub(super) fn id(&self) -> &Uuid {
        &self.0
    }
}

/// What became of one element.
#[derive(Debug)]
pub(super) struct Outcome {
    /// What it is called.
    pub(super) key: Key,
    /// When it was created.
    pub(super) created_at: Option<Timestamp>,
    /// What may be acknowledged of it; `None` if it has no id for that, or is not stored.
    pub(super) stored: Option<Stored>,
    /// How it was recorded.
    pub(super) how: How,
}

/// How an element was recorded.
#[derive(Clone, Debug)]
pub(super) enum How {
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

/// Records `elements`, unless the run is only to look. Fails if the inbox does; then nothing of them may be acknowledged.
pub(super) async fn record<I: Inbox, W: World, S: Sleeper>(
    run: &mut Run<'_, I, W, S>,
    elements: Vec<Element>,
) -> Result<Vec<Outcome>, Ended> {
    let mut outcomes = Vec::with_capacity(elements.len());
    let mut elements = elements.into_iter().peekable();
    while elements.peek().is_some() {
        run.step().await?;
        let recording = elements.by_ref().take(AT_ONCE).map(|element| one(run, element));
        for outcome in join_all(recording).await {
            outcomes.push(outcome?);
        }
    }
    Ok(outcomes)
}

async fn one<I: Inbox, W: World, S: Sleeper>(run: &Run<'_, I, W, S>, element: Element) -> Result<Outcome, InboxError> {
    let Element { id, created_at, pulled } = element;
    let entry = read(run.source, pulled, run.now(), run.around.window);
    if run.options.dry_run {
        return Ok(Outcome { key: entry.key, created_at, stored: None, how: How::OnlySeen });
    }
    let how = match run.inbox().record(&entry).await {
        Ok(Recorded::Duplicate) => How::Duplicate,
        Ok(Recorded::First) if entry.held.is_none() => How::First,
        Ok(Recorded::First | Recorded::Conflict(_)) => How::Held,
        Err(error @ InboxError::Unavailable(_)) => return Err(error),
        Err(error) => How::Refused(error),
    };
    if matches!(how, How::First | How::Held) {
        run.around.observer.tell(News::Recorded(&entry.key));
    }
    let stored = id.map(Stored).filter(|_| !matches!(how, How::Refused(_)));
    Ok(Outcome { key: entry.key, created_at, stored, how })
}
