//! `pillarbox list`: what is in the inbox, newest first.

use clap::Args;

use super::{
    CommandError, GlobalArgs,
    output::{BOLD, GREEN, Output, RED, YELLOW, paint},
    row::{JsonRow, json},
    scan::ScanProgress,
    settings::CommandSettings,
    span,
};
use crate::{any_inbox::InboxAccess, labels};
use pillarbox::{
    config::Overrides,
    domain::{Clock, Key, State, SystemClock, Timestamp},
    inbox::{PageRequest, ReadInbox, Row, RowFilter},
    telemetry::visible,
};

/// How many rows people are shown who ask for no number.
const FOR_PEOPLE: usize = 50;
/// Below this width a row becomes a few lines.
const NARROW: usize = 60;

/// Lists notifications, newest first.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  pillarbox list --state dead\n  pillarbox list --source pay --since \
     2h --json"
)]
pub(super) struct ListArgs {
    /// Only this source's
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Only in this state: recorded (or open), delivered, repeat, dead, held, discarded
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Only of this event type, such as card_payment_captured
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Only about this payment or box
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// Only received since then: a date as 2026-03-02T10:15:00Z, or a span as 30m, 2h, 7d
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// At most so many [default: 50, or all with --json]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

impl ListArgs {
    pub(super) async fn run(
        self,
        global: &GlobalArgs,
        output: &mut Output,
    ) -> Result<(), CommandError> {
        let filter = self.filter()?;
        let settings = CommandSettings::load(global, Overrides::default())?;
        let (inbox, progress) = ScanProgress::of(
            settings.open_inbox(InboxAccess::Read).await?,
            &filter,
            output,
        )
        .await?;
        let limit = self
            .limit
            .unwrap_or(if self.json { usize::MAX } else { FOR_PEOPLE });
        let (mut shown, mut page) = (0, PageRequest::first(inbox.page(limit)));
        while shown < limit {
            let listed = inbox.list(&filter, page).await?;
            progress.end();
            self.print(&listed.rows, shown == 0, output)?;
            newer(&listed.newer, output)?;
            shown += listed.rows.len();
            let Some(next) = listed.next else { break };
            page = PageRequest {
                limit: inbox.page(limit - shown),
                after: Some(next),
            };
        }
        // Rows outlive their source's configuration, so only a list without any can be a mistake.
        if let (0, Some(name)) = (shown, &self.source) {
            settings.source(name)?;
        }
        if self.json {
            Ok(())
        } else {
            self.close(shown, &settings, output)
        }
    }

    fn filter(&self) -> Result<RowFilter, CommandError> {
        let state = |name: &String| {
            State::parse(name).ok_or_else(|| {
                let known = State::ALL.map(State::as_str).join(", ");
                CommandError::Usage(format!(
                    "--state {} is no state: choose one of {known}",
                    visible(name)
                ))
            })
        };
        Ok(RowFilter {
            source: self.source.clone(),
            state: self.state.as_ref().map(state).transpose()?,
            event_type: self.event_type.clone(),
            subject: self.subject.clone(),
            since: self
                .since
                .as_deref()
                .map(|when| since(when, SystemClock.now()))
                .transpose()?,
        })
    }

    fn print(&self, rows: &[Row], is_first: bool, output: &mut Output) -> Result<(), CommandError> {
        if !self.json {
            return table(rows, is_first, output);
        }
        for row in rows {
            output.data(&json(&JsonRow::from(row))?)?;
        }
        Ok(())
    }

    /// What a person should know who sees the end of the list.
    fn close(
        &self,
        shown: usize,
        settings: &CommandSettings,
        output: &mut Output,
    ) -> Result<(), CommandError> {
        if shown == 0 {
            let first = settings
                .config
                .sources
                .first()
                .map_or("pay", |source| source.name.as_str());
            output.say(&format!(
                "Nothing here. `pillarbox send {first}` brings a notification to a running serve."
            ))?;
        } else if shown == FOR_PEOPLE && self.limit.is_none() {
            output.say(&format!(
                "These are the newest {shown}; --limit N shows more."
            ))?;
        }
        Ok(())
    }
}

/// Names what is there and this program can't read.
pub(super) fn newer(keys: &[Key], output: &mut Output) -> Result<(), CommandError> {
    for key in keys {
        output.say(&format!(
            "{key} is left out: a newer Pillarbox wrote it, so use that one for it"
        ))?;
    }
    Ok(())
}

/// Reads a date, or a span back from now.
pub(super) fn since(when: &str, now: Timestamp) -> Result<Timestamp, CommandError> {
    let span = || Some(now.minus(span::read(when)?));
    Timestamp::parse(when).or_else(span).ok_or_else(|| {
        CommandError::Usage(
            "--since is neither a date (2026-03-02T10:15:00Z) nor a span (30m, 2h, 7d)".to_owned(),
        )
    })
}

fn table(rows: &[Row], with_head: bool, output: &mut Output) -> Result<(), CommandError> {
    let narrow = output.width().is_some_and(|width| width < NARROW);
    if with_head && !rows.is_empty() && !narrow {
        let head = format!(
            "{:<19}  {:<42}  {:<18}  {:>5}  STATE",
            "RECEIVED", "KEY", "EVENT", "TRIES"
        );
        output.data(&paint(&head, BOLD))?;
    }
    for row in rows {
        let (at, event, state) = (
            labels::local_time(row.received_at),
            visible(labels::event(&row.event_type)),
            state(row),
        );
        let line = if narrow {
            format!("{}\n  {at}\n  {event}\n  {state}", row.key)
        } else {
            format!(
                "{at:<19}  {:<42}  {event:<18}  {:>5}  {state}",
                row.key.as_str(),
                row.attempts
            )
        };
        output.data(&line)?;
    }
    Ok(())
}

/// The state, as a word first and as a colour second.
fn state(row: &Row) -> String {
    let colour = match row.state {
        State::Delivered | State::Repeat => GREEN,
        State::Recorded | State::Held => YELLOW,
        State::Dead | State::Discarded => RED,
    };
    let reason = row
        .reason
        .as_ref()
        .map_or(String::new(), |reason| format!(" ({})", visible(reason)));
    format!("{}{reason}", paint(row.state.as_str(), colour))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_takes_a_date_or_a_span() {
        let now = Timestamp::parse("2026-03-02T10:00:00Z").unwrap();
        for (when, expected) in [
            ("2026-03-01T00:00:00Z", "2026-03-01T00:00:00.000Z"),
            ("30m", "2026-03-02T09:30:00.000Z"),
            ("2h", "2026-03-02T08:00:00.000Z"),
            ("7d", "2026-02-23T10:00:00.000Z"),
        ] {
            assert_eq!(since(when, now).unwrap().to_string(), expected, "{when}");
        }
        for wrong in ["", "h", "yesterday", "-2h", "2w", "é"] {
            assert!(since(wrong, now).is_err(), "{wrong}");
        }
    }
}
