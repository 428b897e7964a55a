//! `pillarbox discard`: ends notifications that need no action.

use clap::Args;

use super::{
    CommandError, GlobalArgs,
    output::Output,
    settings::CommandSettings,
    show::{no_such, parse_key},
};
use crate::any_inbox::InboxAccess;
use pillarbox::{
    config::Overrides,
    domain::{Clock, SystemClock},
    inbox::{Discarded, OperatorInbox, RetentionPolicy},
};

/// Ends open, dead or held notifications. They stay in the list, and their bytes until they expire.
#[derive(Args)]
#[command(
    after_help = "Example:\n  pillarbox discard --erase hmrc:1ed5f407-8096-40d1-87ef-9a2a103eeb85"
)]
pub(super) struct DiscardArgs {
    /// The keys, as `list` prints them
    #[arg(value_name = "KEY", required = true)]
    keys: Vec<String>,
    /// Erase their bytes now
    #[arg(long)]
    erase: bool,
}

impl DiscardArgs {
    pub(super) async fn run(
        self,
        global: &GlobalArgs,
        output: &mut Output,
    ) -> Result<(), CommandError> {
        let settings = CommandSettings::load(global, Overrides::default())?;
        let keys = self
            .keys
            .iter()
            .map(|key| parse_key(key))
            .collect::<Result<Vec<_>, _>>()?;
        let inbox = settings.open_inbox(InboxAccess::Change).await?;
        let expires_at = RetentionPolicy {
            retention: settings.config.retention,
        }
        .row_expiry(SystemClock.now());
        let mut discarded = 0;
        for key in &keys {
            match inbox.discard(key, self.erase, expires_at).await? {
                Discarded::Done => {
                    discarded += 1;
                    output.data(key.as_str())?;
                }
                Discarded::Refused(why) => output.say(&format!("{key} is left alone: {why}"))?,
                Discarded::Absent => output.error(&no_such(key))?,
            }
        }
        if discarded == keys.len() {
            Ok(())
        } else {
            Err(CommandError::Wanting)
        }
    }
}
