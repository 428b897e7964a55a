//! `pillarbox tail`: prints notifications as they arrive, and again when their state changes.

use std::{collections::HashMap, time::Duration};

use clap::Args;
use tokio::time::sleep;

use super::{
    CommandError, GlobalArgs, filter::FilterArgs, list::print_rows, output::CommandOutput,
    settings::CommandSettings,
};
use crate::any_inbox::AnyInbox;
use pillarbox::{
    domain::{Key, State},
    inbox::{PageRequest, ReadInbox, Row, RowFilter, dynamodb::ListStrategy},
};

/// The number of rows that are followed: the newest that match.
const FOLLOWED_ROWS: usize = 500;
/// The number of rows that are printed first.
const FIRST_ROWS: usize = 10;

/// Prints notifications as they arrive, and again when their state changes.
#[derive(Args)]
#[command(
    after_help = "The newest 500 that match are followed. On a table, --state recorded, dead or \
     held is needed, or --source and --subject: anything else would read the whole table each \
     time.\n\nExamples:\n  pillarbox tail\n  pillarbox tail --source pay --json"
)]
pub(super) struct TailArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

impl TailArgs {
    pub(super) async fn run(
        self,
        global: &GlobalArgs,
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        let settings = CommandSettings::load(global)?;
        let (filter, inbox) = self.filter.open(&settings).await?;
        let interval = interval(&inbox, &filter).await?;
        let mut followed = FollowedRows::default();
        for is_first in std::iter::once(true).chain(std::iter::repeat(false)) {
            let page = inbox
                .list(&filter, PageRequest::first(FOLLOWED_ROWS))
                .await?;
            let mut changed = followed.changed(page.rows);
            if is_first {
                changed.drain(..changed.len().saturating_sub(FIRST_ROWS));
            }
            print_rows(&changed, is_first, self.json, output)?;
            sleep(interval).await;
        }
        Ok(())
    }
}

/// The polling interval.
///
/// # Errors
/// A usage error if each poll would scan a table.
async fn interval(inbox: &AnyInbox, filter: &RowFilter) -> Result<Duration, CommandError> {
    let AnyInbox::DynamoDb(table) = inbox else {
        return Ok(Duration::from_millis(500));
    };
    if table.list_strategy(filter).await? == ListStrategy::Scan {
        return Err(CommandError::Usage(format!(
            "following all of table {} would read it whole each time: add --state recorded, dead \
             or held, or --source and --subject",
            table.table()
        )));
    }
    Ok(Duration::from_secs(2))
}

/// The rows of the last poll.
#[derive(Default)]
struct FollowedRows(HashMap<Key, (State, u32)>);

impl FollowedRows {
    /// The rows that are new or changed since the last poll, oldest first.
    fn changed(&mut self, mut rows: Vec<Row>) -> Vec<Row> {
        let printed = |row: &Row| (row.key.clone(), (row.state, row.attempts));
        let now = rows.iter().map(printed).collect();
        let before = std::mem::replace(&mut self.0, now);
        rows.retain(|row| before.get(&row.key) != Some(&(row.state, row.attempts)));
        rows.reverse();
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::row::example::row;

    #[test]
    fn a_row_is_printed_when_it_arrives_and_when_its_state_changes() {
        let mut followed = FollowedRows::default();
        let mut printed = |rows: &[(&str, State, u32)]| {
            let rows = rows.iter().map(|(key, state, attempts)| Row {
                attempts: *attempts,
                ..row(key, "card_payment_captured", *state)
            });
            let changed = followed.changed(rows.collect());
            let keys = changed.iter().map(|row| row.key.encoded_id().to_owned());
            keys.collect::<Vec<_>>()
        };
        let (one, two) = ("pay:one", "pay:two");
        assert_eq!(printed(&[(one, State::Recorded, 0)]), ["one"]);
        assert!(printed(&[(one, State::Recorded, 0)]).is_empty());
        let newest_first = [(two, State::Recorded, 0), (one, State::Recorded, 1)];
        assert_eq!(printed(&newest_first), ["one", "two"]);
        let delivered = [(two, State::Delivered, 1), (one, State::Recorded, 1)];
        assert_eq!(printed(&delivered), ["two"]);
    }
}
