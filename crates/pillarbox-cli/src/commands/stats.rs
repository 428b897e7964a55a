//! `pillarbox stats`: counts notifications by source, event and state.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;

use super::{
    CommandError, GlobalArgs,
    filter::{FilterArgs, nothing_matches},
    output::{BOLD, CommandOutput, paint},
    row::json,
    scan::{RowPages, ScanProgress},
    settings::CommandSettings,
};
use crate::any_inbox::InboxAccess;
use pillarbox::{domain::State, inbox::Row, telemetry::visible};

/// Counts notifications by source, event and state.
#[derive(Args)]
#[command(after_help = "Examples:\n  pillarbox stats --since 24h\n  pillarbox stats --json")]
pub(super) struct StatsArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

/// One line of the statistics.
#[derive(Serialize)]
struct RowCount<'a> {
    source: &'a str,
    event_type: &'a str,
    state: &'static str,
    count: usize,
}

impl StatsArgs {
    pub(super) async fn run(
        self,
        global: &GlobalArgs,
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        let filter = self.filter.read()?;
        let settings = CommandSettings::load(global)?;
        let inbox = settings.open_inbox(InboxAccess::Read).await?;
        let (inbox, progress) = ScanProgress::of(inbox, &filter, output).await?;
        let mut counts = RowCounts::default();
        let mut pages = RowPages::new(&inbox, &filter, &progress);
        while let Some(listed) = pages.next(output).await? {
            listed.rows.iter().for_each(|row| counts.add(row));
        }
        if let (true, Some(name)) = (counts.0.is_empty(), &filter.source) {
            settings.source(name)?;
        }
        if self.json {
            return counts
                .lines()
                .try_for_each(|line| Ok(output.data(&json(&line)?)?));
        }
        if counts.0.is_empty() {
            let nothing =
                nothing_matches(&filter).unwrap_or_else(|| "The inbox is empty.".to_owned());
            return Ok(output.info(&nothing)?);
        }
        print(&counts, output)
    }
}

/// The number of rows by source, event type and state.
#[derive(Default)]
struct RowCounts(BTreeMap<(String, String, &'static str), usize>);

impl RowCounts {
    fn add(&mut self, row: &Row) {
        let source = row.key.source().to_owned();
        let group = (source, row.event_type.clone(), row.state.as_str());
        *self.0.entry(group).or_default() += 1;
    }

    fn lines(&self) -> impl Iterator<Item = RowCount<'_>> {
        self.0.iter().map(|(group, count)| RowCount {
            source: &group.0,
            event_type: &group.1,
            state: group.2,
            count: *count,
        })
    }
}

/// Prints a line for each source and event, with the number in each state, and the totals.
fn print(counts: &RowCounts, output: &mut CommandOutput) -> Result<(), CommandError> {
    let mut events: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    let mut totals: BTreeMap<&str, usize> = BTreeMap::new();
    for line in counts.lines() {
        let states = events.entry((line.source, line.event_type)).or_default();
        states.push(format!("{} {}", line.count, line.state));
        *totals.entry(line.state).or_default() += line.count;
    }
    for ((source, event_type), states) in events {
        let name = format!("{source} {}", visible(event_type));
        output.data(&format!("{} {}", paint(&name, BOLD), states.join(", ")))?;
    }
    let in_order = State::ALL.map(State::as_str);
    let totals = in_order.iter().filter_map(|state| {
        let count = totals.get(state)?;
        Some(format!("{count} {state}"))
    });
    Ok(output.data(&format!("total {}", totals.collect::<Vec<_>>().join(", ")))?)
}
