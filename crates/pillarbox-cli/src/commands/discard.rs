//! `pillarbox discard`: ends notifications that need no action, and erases their bytes.

use clap::Args;

use super::{
    CommandError, GlobalArgs, bulk::BulkArgs, output::CommandOutput, settings::CommandSettings,
};
use crate::acts::{ActScope, RowAct};

/// Ends notifications permanently. They and their bytes stay until they expire.
#[derive(Args)]
#[command(
    after_help = "A filter without --state selects dead and held notifications, or with --erase \
                  all states. Ctrl-C stops between two notifications.\n\n\
                  Examples:\n  pillarbox discard --erase \
                  hmrc:1ed5f407-8096-40d1-87ef-9a2a103eeb85\n  pillarbox discard --erase \
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
        let settings = CommandSettings::load(global)?;
        let act = if self.erase {
            RowAct::Erase
        } else {
            RowAct::Discard
        };
        if self.keys.is_empty() {
            let filter = self.bulk.filter.read_for(&settings)?;
            let scope = ActScope::new(act, filter);
            let discarded = self.bulk.act_on_all(&scope, false, &settings, output);
            return self.print_count(act, discarded.await?, true, output);
        }
        let keys = &self.keys;
        let discarded = self.bulk.act_on_named(act, keys, &settings, output).await?;
        self.print_count(act, discarded, false, output)?;
        CommandError::negative_unless(discarded == keys.len())
    }

    /// Prints how many were discarded; for named notifications, only after a dry run.
    fn print_count(
        &self,
        act: RowAct,
        discarded: usize,
        is_bulk: bool,
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        let participle = act.participle();
        if self.bulk.dry_run {
            output.info(&format!("{discarded} would be {participle}."))?;
        } else if is_bulk {
            output.info(&format!("{discarded} {participle}."))?;
        }
        Ok(())
    }
}
