//! What goes wrong, as flags: each beats what the scenario says.

use std::time::Duration;

use clap::Args;

use super::super::{CommandError, span};
use sender_simulator::run::{FaultRates, RunPlan, Scenario};

/// What goes wrong on the way; shares are in percent of the notifications.
#[derive(Args)]
#[command(next_help_heading = "What goes wrong")]
pub(super) struct ChaosFlags {
    /// A mixture with a name
    #[arg(long, value_name = "NAME", default_value = "calm")]
    scenario: String,
    /// Never sent, as if they were lost at the sender's
    #[arg(
        long,
        value_name = "PERCENT",
        num_args = 0..=1,
        default_missing_value = "10",
        value_parser = percent(),
    )]
    lost: Option<u8>,
    /// Posted again, byte for byte, after they were taken
    #[arg(
        long,
        value_name = "PERCENT",
        num_args = 0..=1,
        default_missing_value = "10",
        value_parser = percent(),
    )]
    duplicate: Option<u8>,
    /// Posted twice at the same time
    #[arg(
        long,
        value_name = "PERCENT",
        num_args = 0..=1,
        default_missing_value = "10",
        value_parser = percent(),
    )]
    concurrent: Option<u8>,
    /// Told again under another id, as Pay does
    #[arg(
        long,
        value_name = "PERCENT",
        num_args = 0..=1,
        default_missing_value = "10",
        value_parser = percent(),
    )]
    second_id: Option<u8>,
    /// Later ones overtake earlier ones
    #[arg(long)]
    reorder: bool,
    /// All begin at once
    #[arg(long)]
    burst: bool,
    /// Beside so many a forged one, signed with another key: must be refused
    #[arg(
        long,
        value_name = "PERCENT",
        num_args = 0..=1,
        default_missing_value = "10",
        value_parser = percent(),
    )]
    wrong_key: Option<u8>,
    /// After half of them, everything is signed with this secret
    #[arg(long, value_name = "REF")]
    rotate_to: Option<String>,
    /// Beside so many one whose second half is missing: must be refused
    #[arg(
        long,
        value_name = "PERCENT",
        num_args = 0..=1,
        default_missing_value = "10",
        value_parser = percent(),
    )]
    truncate: Option<u8>,
    /// The body comes in drips, for a second
    #[arg(
        long,
        value_name = "PERCENT",
        num_args = 0..=1,
        default_missing_value = "10",
        value_parser = percent(),
    )]
    slow: Option<u8>,
    /// The line goes dead in the middle of the body or before the answer, and they are posted again
    #[arg(
        long,
        value_name = "PERCENT",
        num_args = 0..=1,
        default_missing_value = "10",
        value_parser = percent(),
    )]
    disconnect: Option<u8>,
    /// The receiver is out of reach for so long, in the sender's time, from the beginning
    #[arg(long, value_name = "SPAN", value_parser = span::argument)]
    outage: Option<Duration>,
    /// A callback URL has just been saved at HMRC: it is challenged, and so many that had been kept
    /// come at once
    #[arg(long, value_name = "N")]
    backlog: Option<u64>,
}

fn percent() -> clap::builder::RangedI64ValueParser<u8> {
    clap::value_parser!(u8).range(0..=100)
}

impl ChaosFlags {
    /// Where the second secret is, if the key is rotated.
    pub(super) fn rotate_to(&self) -> Option<&str> {
        self.rotate_to.as_deref()
    }

    /// Writes into `plan` what goes wrong.
    pub(super) fn apply(&self, plan: &mut RunPlan) -> Result<(), CommandError> {
        let scenario = Scenario::named(&self.scenario).ok_or_else(|| {
            let known =
                Scenario::ALL.map(|scenario| format!("{} ({})", scenario.name, scenario.about));
            CommandError::Usage(format!(
                "there is no scenario `{}`; there are: {}",
                self.scenario,
                known.join("; ")
            ))
        })?;
        let base = scenario.fault_rates;
        plan.fault_rates = FaultRates {
            lost: self.lost.unwrap_or(base.lost),
            duplicate: self.duplicate.unwrap_or(base.duplicate),
            concurrent: self.concurrent.unwrap_or(base.concurrent),
            second_id: self.second_id.unwrap_or(base.second_id),
            reorder: self.reorder || base.reorder,
            burst: self.burst || base.burst,
            wrong_key: self.wrong_key.unwrap_or(base.wrong_key),
            truncate: self.truncate.unwrap_or(base.truncate),
            slow: self.slow.unwrap_or(base.slow),
            disconnect: self.disconnect.unwrap_or(base.disconnect),
            outage: self.outage.unwrap_or(base.outage),
        };
        let backlog = self
            .backlog
            .unwrap_or(if scenario.backlog { plan.count } else { 0 });
        plan.backlog = backlog.min(plan.count);
        Ok(())
    }
}
