//! Compares the results of a finished run with the inbox.

use std::{collections::HashSet, time::Duration};

use super::super::{
    CommandError,
    output::CommandOutput,
    scan::{RowPages, ScanProgress},
    settings::CommandSettings,
};
use crate::any_inbox::{AnyInbox, InboxAccess};
use pillarbox::{
    domain::{Key, NotificationId, SourceName, State, Timestamp},
    inbox::{PageRequest, ReadInbox, Row, RowFilter},
};
use sender_simulator::run::{ReceiverFault, SentMessage, comparison, comparison::StoredMessage};

/// How long to wait for deliveries after the last response.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);
/// The interval between two queries for open rows.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// How far the receiver's clock may be behind this one.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

/// Compares the sender's records with the rows of that source in the inbox.
pub(super) async fn compare(
    settings: &CommandSettings,
    source: &SourceName,
    sent: &[SentMessage],
    began: Timestamp,
    output: &mut CommandOutput,
) -> Result<Vec<ReceiverFault>, CommandError> {
    let inbox = settings.open_inbox(InboxAccess::Read).await?;
    wait_until_delivered(&inbox, source, output).await?;
    let filter = RowFilter {
        source: Some(source.as_str().to_owned()),
        since: Some(began.minus(MAX_CLOCK_SKEW)),
        ..RowFilter::default()
    };
    let (inbox, progress) = ScanProgress::of(inbox, &filter, output).await?;
    let (mut stored, mut pages) = (Vec::new(), RowPages::new(&inbox, &filter, &progress));
    while let Some(page) = pages.next(output).await? {
        stored.extend(page.rows.into_iter().map(stored_message));
    }
    // If the seed is reused, or captures of another day are replayed, the rows are older than the
    // run.
    let known: HashSet<String> = stored.iter().map(|stored| stored.id.clone()).collect();
    let missing: HashSet<&String> = sent
        .iter()
        .map(|sent| &sent.id)
        .filter(|id| !known.contains(*id))
        .collect();
    for id in missing {
        let Some(id) = NotificationId::new(id) else {
            continue;
        };
        stored.extend(inbox.get(&Key::new(source, &id)).await?.map(stored_message));
    }
    Ok(comparison::compare(sent, &stored))
}

/// Waits until the source has no open rows, or the time limit passes.
async fn wait_until_delivered(
    inbox: &AnyInbox,
    source: &SourceName,
    output: &mut CommandOutput,
) -> Result<(), CommandError> {
    let open = RowFilter {
        source: Some(source.as_str().to_owned()),
        state: Some(State::Recorded),
        ..RowFilter::default()
    };
    let deadline = tokio::time::Instant::now() + SETTLE_TIMEOUT;
    while !inbox
        .list(&open, PageRequest::first(1))
        .await?
        .rows
        .is_empty()
    {
        if tokio::time::Instant::now() > deadline {
            output.info(
                "Some notifications are stored and not delivered yet; for those, delivery under \
                 two keys cannot be checked.",
            )?;
            break;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

/// A row under the sender's id, without the mark of a conflict.
fn stored_message(row: Row) -> StoredMessage {
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
