//! `pillarbox audit`: who changed notifications, and when.

use clap::Args;
use serde::Serialize;

use super::{
    CommandError, GlobalArgs, filter::since, output::CommandOutput, row::json,
    settings::CommandSettings,
};
use crate::{any_inbox::InboxAccess, labels};
use pillarbox::{
    domain::{Clock, SystemClock},
    inbox::{AuditEntry, AuditInbox},
};

/// The number of entries without --limit.
const DEFAULT_LIMIT: usize = 50;

/// Lists who replayed, discarded, erased, imported, unmasked or sent what, newest first.
#[derive(Args)]
#[command(
    after_help = "An entry is written before the first change and again at the end: `started` \
     means that it is in progress, or that its process died.\n\n\
     Examples:\n  pillarbox audit --since 7d\n  pillarbox audit --json"
)]
pub(super) struct AuditArgs {
    /// Only acts since a date, such as 2026-03-02T10:15:00Z, or within a span, such as 30m, 2h or
    /// 7d
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// The largest number of entries [default: 50, or all with --json]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

/// An entry as it is printed. The names are stable.
#[derive(Serialize)]
struct JsonAudit<'a> {
    at: String,
    actor: &'a str,
    action: &'static str,
    target: &'a str,
    planned: Option<u64>,
    done: u64,
    outcome: &'static str,
    id: String,
}

impl AuditArgs {
    pub(super) async fn run(
        self,
        global: &GlobalArgs,
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        let now = SystemClock.now();
        let when = self.since.as_deref().map(|when| since(when, now));
        let when = when.transpose()?;
        let settings = CommandSettings::load(global)?;
        let inbox = settings.open_inbox(InboxAccess::Read).await?;
        let all = if self.json { usize::MAX } else { DEFAULT_LIMIT };
        let entries = inbox.audit_entries(when, self.limit.unwrap_or(all)).await?;
        if self.json {
            return entries
                .iter()
                .try_for_each(|entry| Ok(output.data(&json(&JsonAudit::from(entry))?)?));
        }
        if entries.is_empty() {
            return Ok(output.info("Nothing was changed by a person.")?);
        }
        entries
            .iter()
            .try_for_each(|entry| Ok(output.data(&line(entry))?))
    }
}

impl<'a> From<&'a AuditEntry> for JsonAudit<'a> {
    fn from(entry: &'a AuditEntry) -> Self {
        Self {
            at: entry.at.to_string(),
            actor: &entry.actor,
            action: entry.action.as_str(),
            target: &entry.target,
            planned: entry.planned,
            done: entry.done,
            outcome: entry.outcome.as_str(),
            id: format!("{:016x}", entry.id),
        }
    }
}

fn line(entry: &AuditEntry) -> String {
    let planned = entry
        .planned
        .map_or(String::new(), |planned| format!(" of {planned}"));
    format!(
        "{}  {}  {}  {}  {}{planned} {}",
        labels::local_time(entry.at),
        entry.actor,
        entry.action.as_str(),
        entry.target,
        entry.done,
        entry.outcome.as_str()
    )
}
