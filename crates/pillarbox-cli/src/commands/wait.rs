//! `pillarbox wait`: waits until notifications match, for tests of a system that receives them.

use std::{num::NonZeroUsize, time::Duration};

use clap::Args;
use tokio::time::{Instant, sleep};

use super::{
    CommandError, ErrorCode, GlobalArgs, filter::FilterArgs, list::print_rows,
    output::CommandOutput, scan::ScanProgress, settings::CommandSettings, span,
};
use crate::any_inbox::AnyInbox;
use pillarbox::inbox::{PageRequest, ReadInbox};

/// Waits until notifications match, and prints them.
#[derive(Args)]
#[command(
    after_help = "Exit codes: 0 they matched, 1 they did not within the time.\n\n\
     Examples:\n  pillarbox wait --source pay --state delivered\n  pillarbox wait --state \
     delivered --since 1m --count 10 --timeout 2m"
)]
pub(super) struct WaitArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// How many must match
    #[arg(long, value_name = "N", default_value = "1")]
    count: NonZeroUsize,
    /// How long to wait: 30s, 5m, 2h
    #[arg(long, value_name = "SPAN", default_value = "30s", value_parser = span::argument)]
    timeout: Duration,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

impl WaitArgs {
    pub(super) async fn run(
        self,
        global: &GlobalArgs,
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        let settings = CommandSettings::load(global)?;
        let (filter, inbox) = self.filter.open(&settings).await?;
        let (inbox, progress) = ScanProgress::of(inbox, &filter, output).await?;
        let count = self.count.get();
        let deadline = Instant::now() + self.timeout;
        loop {
            let page = inbox.list(&filter, PageRequest::first(count)).await?;
            progress.finish();
            if page.rows.len() >= count {
                return print_rows(&page.rows, true, self.json, output);
            }
            if Instant::now() >= deadline {
                return Err(ErrorCode::WaitTimeout.error(format!(
                    "{} of {count} matched within {} s",
                    page.rows.len(),
                    self.timeout.as_secs()
                )));
            }
            let next = Instant::now() + interval(&inbox);
            sleep(next.min(deadline) - Instant::now()).await;
        }
    }
}

/// The polling interval. Each poll of a table costs money.
fn interval(inbox: &AnyInbox) -> Duration {
    match inbox {
        AnyInbox::Sqlite(_) => Duration::from_millis(200),
        AnyInbox::DynamoDb(_) => Duration::from_secs(5),
    }
}
