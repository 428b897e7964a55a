//! `pillarbox discard`: ends notifications that need no action, and erases their bytes.

use clap::Args;

use super::{
    CommandError, ErrorCode, GlobalArgs,
    output::Output,
    settings::CommandSettings,
    show::{no_such, parse_key},
};
use crate::any_inbox::{AnyInbox, InboxAccess};
use pillarbox::{
    config::Overrides,
    domain::{Clock, Key, SystemClock},
    inbox::{DiscardRequest, Discarded, InboxError, OperatorInbox, ReadInbox, RetentionPolicy},
};

/// Ends notifications for good. They stay in the list, and their bytes until they expire.
#[derive(Args)]
#[command(after_help = "Examples:\n  pillarbox discard --erase \
                  hmrc:1ed5f407-8096-40d1-87ef-9a2a103eeb85\n  pillarbox discard --erase \
                  --dry-run pay:5s1k7c3g9v2m8a4e0q6i5o1u7t")]
pub(super) struct DiscardArgs {
    /// The keys, as `list` prints them
    #[arg(value_name = "KEY", required = true)]
    keys: Vec<String>,
    /// Erase their bytes now, of finished notifications, too
    #[arg(long)]
    erase: bool,
    /// Only list what would be discarded, with every place that holds bytes of it
    #[arg(long)]
    dry_run: bool,
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
        let access = if self.dry_run {
            InboxAccess::Read
        } else {
            InboxAccess::Change
        };
        let inbox = settings.open_inbox(access).await?;
        let retention = RetentionPolicy {
            retention: settings.config.retention,
        };
        let mut discarded = 0;
        for key in &keys {
            let now = SystemClock.now();
            let request = DiscardRequest {
                erase: self.erase,
                now,
                expires_at: retention.row_expiry(now),
            };
            match self.one(&inbox, key, &request, output).await? {
                Discarded::Done if self.has_left_bytes(&inbox, key, output).await? => {}
                Discarded::Done => {
                    discarded += 1;
                    output.data(key.as_str())?;
                }
                Discarded::Refused(why) => output.say(&format!("{key} is left alone: {why}"))?,
                Discarded::Absent => output.error(&no_such(key))?,
            }
        }
        if self.dry_run {
            let verb = if self.erase { "erased" } else { "discarded" };
            output.say(&format!("{discarded} would be {verb}."))?;
        }
        if discarded == keys.len() {
            Ok(())
        } else {
            Err(CommandError::Wanting)
        }
    }

    async fn one(
        &self,
        inbox: &AnyInbox,
        key: &Key,
        request: &DiscardRequest,
        output: &mut Output,
    ) -> Result<Discarded, CommandError> {
        if !self.dry_run {
            return Ok(inbox.discard(key, request).await?);
        }
        let row = match inbox.get(key).await {
            Ok(None) => return Ok(Discarded::Absent),
            // Damaged bytes can be erased, too.
            Err(InboxError::Damaged { .. }) => None,
            read => read?,
        };
        if let Some(Err(why)) = row.map(|row| row.discardable(self.erase, request.now)) {
            return Ok(Discarded::Refused(why));
        }
        if self.erase {
            for copy in inbox.body_copies(key).await? {
                output.say(&format!("{key}: {} bytes in {}", copy.bytes, copy.place))?;
            }
        }
        Ok(Discarded::Done)
    }

    /// Whether an erased notification still has bytes somewhere, which is said.
    async fn has_left_bytes(
        &self,
        inbox: &AnyInbox,
        key: &Key,
        output: &mut Output,
    ) -> Result<bool, CommandError> {
        if self.dry_run || !self.erase {
            return Ok(false);
        }
        let left = inbox.body_copies(key).await?;
        for copy in &left {
            output.error(&ErrorCode::BytesLeft.error(format!(
                "{key}: {} bytes are still in {}: run the command again",
                copy.bytes, copy.place
            )))?;
        }
        Ok(!left.is_empty())
    }
}
