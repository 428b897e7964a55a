//! `pillarbox discard`: ends notifications that need no action, and erases their bytes.

use clap::Args;

use super::{
    CommandError, GlobalArgs, bulk::BulkArgs, output::CommandOutput, settings::CommandSettings,
};
use crate::acts::{ActScope, RowAct};
use pillarbox::config::ConfigOverrides;

/// Ends notifications for good. They stay in the list, and their bytes until they expire.
#[derive(Args)]
#[command(
    after_help = "A filter without --state means what is dead or held; with --erase, every state. \
                  Ctrl-C stops between two notifications.\n\nExamples:\n  pillarbox discard \
                  --erase hmrc:1ed5f407-8096-40d1-87ef-9a2a103eeb85\n  pillarbox discard --erase \
                  --dry-run pay:5s1k7c3g9v2m8a4e0q6i5o1u7t\n  pillarbox discard --erase \
                  --yes --source pay \\\n      \
                  --subject hu20sqlact5260q2nanm0q8u93"
)]
pub(super) struct DiscardArgs {
    /// The keys, as `list` prints them; senders' identifiers, or the beginnings of either
    #[arg(
        value_name = "KEY",
        required_unless_present_any = ["source", "state", "event_type", "subject", "since"],
        conflicts_with_all = [
            "source", "state", "event_type", "subject", "since", "yes", "expect", "rate"
        ]
    )]
    keys: Vec<String>,
    /// Erase their bytes now, of finished notifications, too; a dry run lists every place that
    /// holds bytes of them
    #[arg(long)]
    erase: bool,
    #[command(flatten)]
    bulk: BulkArgs,
}

impl DiscardArgs {
    pub(super) async fn run(
        self,
        global: &GlobalArgs,
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        let settings = CommandSettings::load(global, ConfigOverrides::default())?;
        let act = if self.erase {
            RowAct::Erase
        } else {
            RowAct::Discard
        };
        if self.keys.is_empty() {
            let filter = self.bulk.filter.read_for(&settings)?;
            let scope = ActScope::new(act, filter);
            let discarded = self.bulk.act_on_all(&scope, false, &settings, output);
            let discarded = discarded.await?;
            return self.close(act, discarded, true, output);
        }
        let keys = &self.keys;
        let discarded = self.bulk.act_on_named(act, keys, &settings, output).await?;
        self.close(act, discarded, false, output)?;
        if discarded == keys.len() {
            Ok(())
        } else {
            Err(CommandError::Wanting)
        }
    }

    /// Prints how many; of named ones, only after a dry run.
    fn close(
        &self,
        act: RowAct,
        discarded: usize,
        is_bulk: bool,
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        let participle = act.participle();
        if self.bulk.dry_run {
            output.say(&format!("{discarded} would be {participle}."))?;
        } else if is_bulk {
            output.say(&format!("{discarded} {participle}."))?;
        }
        Ok(())
    }
}
