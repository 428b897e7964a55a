//! Injected faults as flags. Each overrides the scenario.

use std::time::Duration;

use clap::Args;

use super::super::{CommandError, span};
use sender_simulator::run::{FaultRates, FaultScenario, RunPlan};

/// The faults to inject. A rate is a percentage of the notifications, 10 if no value is given.
#[derive(Args)]
#[command(next_help_heading = "Injected faults")]
pub(super) struct FaultFlags {
    /// A named combination of faults
    #[arg(long, value_name = "NAME", default_value = "calm")]
    scenario: String,
    /// Never sent, as if the sender had lost them
    #[arg(long, value_name = "PERCENT", value_parser = percent())]
    lost: Option<Option<u8>>,
    /// Sent again, byte for byte, after they were acknowledged
    #[arg(long, value_name = "PERCENT", value_parser = percent())]
    duplicate: Option<Option<u8>>,
    /// Sent twice at the same time
    #[arg(long, value_name = "PERCENT", value_parser = percent())]
    concurrent: Option<Option<u8>>,
    /// Sent again with another id, as Pay does
    #[arg(long, value_name = "PERCENT", value_parser = percent())]
    second_id: Option<Option<u8>>,
    /// Send notifications out of order
    #[arg(long)]
    reorder: bool,
    /// Send all notifications at once
    #[arg(long)]
    burst: bool,
    /// Followed by a forged notification, signed with another key: it must be refused
    #[arg(long, value_name = "PERCENT", value_parser = percent())]
    wrong_key: Option<Option<u8>>,
    /// Sign with this secret after half of the notifications
    #[arg(long, value_name = "REF")]
    rotate_to: Option<String>,
    /// Followed by a truncated notification: it must be refused
    #[arg(long, value_name = "PERCENT", value_parser = percent())]
    truncate: Option<Option<u8>>,
    /// Sent slowly, in pieces over a second
    #[arg(long, value_name = "PERCENT", value_parser = percent())]
    slow: Option<Option<u8>>,
    /// Disconnected within the body or before the response, then sent again
    #[arg(long, value_name = "PERCENT", value_parser = percent())]
    disconnect: Option<Option<u8>>,
    /// The receiver is unreachable for this long from the start, in the sender's time
    #[arg(long, value_name = "SPAN", value_parser = span::argument)]
    outage: Option<Duration>,
    /// A callback URL was just saved at HMRC: it is challenged, and the stored notifications, this
    /// many, are sent at once
    #[arg(long, value_name = "N")]
    backlog: Option<u64>,
}

/// The rate of a flag without a value.
const DEFAULT_PERCENT: u8 = 10;

/// The rate that `flag` sets, or that of the scenario.
fn rate(flag: Option<Option<u8>>, scenario: u8) -> u8 {
    flag.map_or(scenario, |percent| percent.unwrap_or(DEFAULT_PERCENT))
}

fn percent() -> clap::builder::RangedI64ValueParser<u8> {
    clap::value_parser!(u8).range(0..=100)
}

impl FaultFlags {
    /// The reference to the second secret, if the key is rotated.
    pub(super) fn rotate_to(&self) -> Option<&str> {
        self.rotate_to.as_deref()
    }

    /// Sets the faults of `plan`.
    pub(super) fn apply(&self, plan: &mut RunPlan) -> Result<(), CommandError> {
        let scenario = FaultScenario::named(&self.scenario).ok_or_else(|| {
            let known = FaultScenario::ALL
                .map(|scenario| format!("{} ({})", scenario.name, scenario.about));
            CommandError::Usage(format!(
                "unknown scenario `{}`: choose one of {}",
                self.scenario,
                known.join("; ")
            ))
        })?;
        let base = scenario.fault_rates;
        plan.fault_rates = FaultRates {
            lost: rate(self.lost, base.lost),
            duplicate: rate(self.duplicate, base.duplicate),
            concurrent: rate(self.concurrent, base.concurrent),
            second_id: rate(self.second_id, base.second_id),
            reorder: self.reorder || base.reorder,
            burst: self.burst || base.burst,
            wrong_key: rate(self.wrong_key, base.wrong_key),
            truncate: rate(self.truncate, base.truncate),
            slow: rate(self.slow, base.slow),
            disconnect: rate(self.disconnect, base.disconnect),
            outage: self.outage.unwrap_or(base.outage),
        };
        let backlog = self
            .backlog
            .unwrap_or(if scenario.backlog { plan.count } else { 0 });
        plan.backlog = backlog.min(plan.count);
        Ok(())
    }
}
