//! What an inbox holds of a run, read when the run is over.

use std::{collections::HashSet, time::Duration};

use super::super::{
    CommandError,
    list::{damaged, newer},
    output::Output,
    scan::ScanProgress,
    settings::CommandSettings,
};
use crate::any_inbox::{AnyInbox, InboxAccess};
use pillarbox::{
    domain::{Id, Key, SourceName, State, Timestamp},
    inbox::{PageRequest, ReadInbox, Row, RowFilter},
};
use sender_simulator::run::{ReceiverFault, SentMessage, comparison, comparison::StoredMessage};

/// How long handing on may take after the last answer, before what is open counts as open.
const SETTLE: Duration = Duration::from_secs(10);
/// Between two looks at what is open.
const LOOK: Duration = Duration::from_millis(200);
/// The receiver's clock may be behind ours by so much.
const SKEW: Duration = Duration::from_secs(5 * 60);

/// Holds what the sender believes against what the inbox holds of that source.
pub(super) async fn compare(
    settings: &CommandSettings,
    source: &SourceName,
    sent: &[SentMessage],
    began: Timestamp,
    output: &mut Output,
) -> Result<Vec<ReceiverFault>, CommandError> {
    let inbox = settings.open_inbox(InboxAccess::Read).await?;
    settle(&inbox, source, output).await?;
    let filter = RowFilter {
        source: Some(source.as_str().to_owned()),
        since: Some(began.minus(SKEW)),
        ..RowFilter::default()
    };
    let (inbox, progress) = ScanProgress::of(inbox, &filter, output).await?;
    let mut held: Vec<StoredMessage> = read(&inbox, &filter, output)
        .await?
        .into_iter()
        .map(held)
        .collect();
    progress.end();
    // The same seed played again, and captures of another day, are duplicates of what came before.
    let known: HashSet<String> = held.iter().map(|held| held.id.clone()).collect();
    let missing: HashSet<&String> = sent
        .iter()
        .map(|sent| &sent.id)
        .filter(|id| !known.contains(*id))
        .collect();
    for id in missing {
        let Some(id) = Id::new(id) else { continue };
        held.extend(inbox.get(&Key::new(source, &id)).await?.map(self::held));
    }
    Ok(comparison::compare(sent, &held))
}

/// Waits until nothing of the source is open, but not for ever.
async fn settle(
    inbox: &AnyInbox,
    source: &SourceName,
    output: &mut Output,
) -> Result<(), CommandError> {
    let open = RowFilter {
        source: Some(source.as_str().to_owned()),
        state: Some(State::Recorded),
        ..RowFilter::default()
    };
    let deadline = tokio::time::Instant::now() + SETTLE;
    while !inbox
        .list(&open, PageRequest::first(1))
        .await?
        .rows
        .is_empty()
    {
        if tokio::time::Instant::now() > deadline {
            output.say(
                "Some are stored and not handed on yet; whether two keys are handed on can't \
                 be told of those.",
            )?;
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

async fn read(
    inbox: &AnyInbox,
    filter: &RowFilter,
    output: &mut Output,
) -> Result<Vec<Row>, CommandError> {
    let (mut rows, mut page) = (Vec::new(), Some(PageRequest::first(inbox.page(usize::MAX))));
    while let Some(this) = page.take() {
        let listed = inbox.list(filter, this).await?;
        newer(&listed.newer, output)?;
        damaged(&listed.damaged, output)?;
        rows.extend(listed.rows);
        page = listed.next.map(|next| PageRequest {
            limit: inbox.page(usize::MAX),
            after: Some(next),
        });
    }
    Ok(rows)
}

/// A row as the simulator knows it: by the sender's id, whatever mark a conflict has.
fn held(row: Row) -> StoredMessage {
    let id = row.id();
    let event = row
        .event()
        .map(|event| format!("{}|{}", event.subject, event.event));
    StoredMessage {
        id: id.split('~').next().unwrap_or_default().to_owned(),
        key: row.key.to_string(),
        event,
        delivered: row.state == State::Delivered,
    }
}
