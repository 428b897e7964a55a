//! `pillarbox replay`: delivers notifications again.

use clap::Args;

use super::{
    CommandError, GlobalArgs, bulk::BulkArgs, output::CommandOutput, settings::CommandSettings,
};
use crate::acts::{ActScope, RowAct};
use pillarbox::domain::State;

/// Sets notifications back to recorded, so that they are delivered again under the same key; open
/// ones are due immediately.
#[derive(Args)]
#[command(
    after_help = "A filter without --state, --dead or --held selects dead and held notifications. \
                  Ctrl-C stops between two notifications.\n\nExamples:\n  pillarbox replay \
                  pay:5s1k7c3g9v2m8a4e0q6i5o1u7t\n  pillarbox replay --dead --dry-run\n  \
                  pillarbox replay --source pay --state delivered --since 2h --rate 20 --yes"
)]
pub(super) struct ReplayArgs {
    /// The keys, as `list` prints them; senders' identifiers, or the beginnings of either
    #[arg(
        value_name = "KEY",
        required_unless_present_any = [
            "dead", "held", "source", "state", "event_type", "subject", "since"
        ],
        conflicts_with_all = [
            "dead", "held", "source", "state", "event_type", "subject", "since", "yes", "expect",
            "rate"
        ]
    )]
    keys: Vec<String>,
    /// All dead notifications
    #[arg(long, conflicts_with = "state")]
    dead: bool,
    /// All held notifications except unreadable ones
    #[arg(long, conflicts_with = "state")]
    held: bool,
    #[command(flatten)]
    bulk: BulkArgs,
}

impl ReplayArgs {
    pub(super) async fn run(
        self,
        global: &GlobalArgs,
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        let settings = CommandSettings::load(global)?;
        if self.keys.is_empty() {
            let scope = self.scope(&settings)?;
            let is_named = self.dead || self.held;
            let replayed = self.bulk.act_on_all(&scope, is_named, &settings, output);
            return self.print_count(replayed.await?, output);
        }
        let keys = &self.keys;
        let replayed = self
            .bulk
            .act_on_named(RowAct::Replay, keys, &settings, output)
            .await?;
        self.print_count(replayed, output)?;
        CommandError::negative_unless(replayed == keys.len())
    }

    fn scope(&self, settings: &CommandSettings) -> Result<ActScope, CommandError> {
        let filter = self.bulk.filter.read_for(settings)?;
        let named = [(self.dead, State::Dead), (self.held, State::Held)];
        let states = named.into_iter().filter(|(is_named, _)| *is_named);
        let states: Vec<State> = states.map(|(_, state)| state).collect();
        Ok(if states.is_empty() {
            ActScope::new(RowAct::Replay, filter)
        } else {
            ActScope::in_states(RowAct::Replay, filter, states)
        })
    }

    fn print_count(&self, replayed: usize, output: &mut CommandOutput) -> Result<(), CommandError> {
        let verb = if self.bulk.dry_run {
            "would be replayed"
        } else {
            "replayed; a running serve delivers them"
        };
        Ok(output.info(&format!("{replayed} {verb}."))?)
    }
}
