//! `pillarbox replay`: delivers notifications again.

use clap::Args;

use super::{
    CommandError, GlobalArgs,
    list::{damaged, newer},
    output::Output,
    settings::CommandSettings,
    show::{no_such, parse_key},
};
use crate::any_inbox::{AnyInbox, InboxAccess};
use pillarbox::{
    config::Overrides,
    domain::{Clock, Key, State, SystemClock},
    inbox::{OperatorInbox, PageRequest, ReadInbox, Replayed, RowFilter},
};

/// Sets notifications back to recorded, so that they are handed on again under the same key; open
/// ones, at once.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  pillarbox replay pay:5s1k7c3g9v2m8a4e0q6i5o1u7t\n  pillarbox \
     replay --dead --dry-run"
)]
pub(super) struct ReplayArgs {
    /// The keys, as `list` prints them
    #[arg(value_name = "KEY", required_unless_present_any = ["dead", "held"])]
    keys: Vec<String>,
    /// All dead notifications
    #[arg(long, conflicts_with = "keys")]
    dead: bool,
    /// All held notifications except unreadable ones
    #[arg(long, conflicts_with = "keys")]
    held: bool,
    /// Only list and count what would be replayed
    #[arg(long)]
    dry_run: bool,
}

impl ReplayArgs {
    pub(super) async fn run(
        self,
        global: &GlobalArgs,
        output: &mut Output,
    ) -> Result<(), CommandError> {
        let settings = CommandSettings::load(global, Overrides::default())?;
        let named = self
            .keys
            .iter()
            .map(|key| parse_key(key))
            .collect::<Result<Vec<_>, _>>()?;
        let access = if self.dry_run {
            InboxAccess::Read
        } else {
            InboxAccess::Change
        };
        let inbox = settings.open_inbox(access).await?;
        let keys = if named.is_empty() {
            self.shelved(&inbox, output).await?
        } else {
            named
        };
        let mut replayed = 0;
        for key in &keys {
            match self.one(&inbox, key).await? {
                Replayed::Done => {
                    replayed += 1;
                    output.data(key.as_str())?;
                }
                Replayed::Refused(why) => output.say(&format!("{key} is left alone: {why}"))?,
                Replayed::Absent => output.error(&no_such(key))?,
            }
        }
        let verb = if self.dry_run {
            "would be replayed"
        } else {
            "replayed; a running serve delivers them"
        };
        output.say(&format!("{replayed} {verb}."))?;
        if replayed == keys.len() {
            Ok(())
        } else {
            Err(CommandError::Wanting)
        }
    }

    async fn one(&self, inbox: &AnyInbox, key: &Key) -> Result<Replayed, CommandError> {
        if !self.dry_run {
            return Ok(inbox.replay(key, SystemClock.now()).await?);
        }
        let row = inbox.get(key).await?;
        Ok(row.map_or(Replayed::Absent, |row| {
            row.replayable(SystemClock.now())
                .map_or_else(Replayed::Refused, |()| Replayed::Done)
        }))
    }

    /// The keys of all rows in the chosen partitions of the pending index, oldest first. Unreadable
    /// rows are reported and skipped.
    async fn shelved(
        &self,
        inbox: &AnyInbox,
        output: &mut Output,
    ) -> Result<Vec<Key>, CommandError> {
        let mut keys = Vec::new();
        for (wanted, state) in [(self.dead, State::Dead), (self.held, State::Held)] {
            let filter = RowFilter {
                state: Some(state),
                ..RowFilter::default()
            };
            let mut page = wanted.then(|| PageRequest::first(inbox.page(usize::MAX)));
            while let Some(this) = page.take() {
                let listed = inbox.list(&filter, this).await?;
                newer(&listed.newer, output)?;
                damaged(&listed.damaged, output)?;
                for row in listed.rows {
                    match row.replayable(SystemClock.now()) {
                        Ok(()) => keys.push(row.key),
                        Err(why) => output.say(&format!("{} is left alone: {why}", row.key))?,
                    }
                }
                page = listed.next.map(|next| PageRequest {
                    limit: inbox.page(usize::MAX),
                    after: Some(next),
                });
            }
        }
        keys.reverse();
        Ok(keys)
    }
}
