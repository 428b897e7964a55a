//! `pillarbox list`: lists the notifications of the inbox, newest first.

use anstyle::Style;
use clap::Args;

use super::{
    CommandError, GlobalArgs,
    filter::{FilterArgs, nothing_matches},
    output::{BOLD, CommandOutput, GREEN, RED, YELLOW, paint},
    row::{JsonRow, json},
    scan::ScanProgress,
    settings::CommandSettings,
};
use crate::{
    any_inbox::InboxAccess,
    labels::{self, ListZone},
};
use pillarbox::{
    domain::{Clock, Key, State, SystemClock},
    inbox::{InboxError, PageRequest, ReadInbox, Row, RowFilter},
    telemetry::visible,
};

/// The number of rows without --limit.
const DEFAULT_LIMIT: usize = 50;

/// Lists notifications, newest first.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  pillarbox list --state dead\n  pillarbox list --source pay --since \
     2h --json"
)]
pub(super) struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// The largest number of notifications [default: 50, or all with --json]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

impl ListArgs {
    pub(super) async fn run(
        self,
        global: &GlobalArgs,
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        let filter = self.filter.read()?;
        let settings = CommandSettings::load(global)?;
        let (inbox, progress) = ScanProgress::of(
            settings.open_inbox(InboxAccess::Read).await?,
            &filter,
            output,
        )
        .await?;
        let limit = self
            .limit
            .unwrap_or(if self.json { usize::MAX } else { DEFAULT_LIMIT });
        let (mut shown, mut page) = (0, PageRequest::first(inbox.page_rows(limit)));
        while shown < limit {
            let listed = inbox.list(&filter, page).await?;
            progress.finish();
            print_rows(&listed.rows, shown == 0, self.json, output)?;
            print_newer(&listed.newer, output)?;
            print_damaged(&listed.damaged, output)?;
            shown += listed.rows.len();
            let Some(next) = listed.next else { break };
            page = PageRequest {
                limit: inbox.page_rows(limit - shown),
                after: Some(next),
            };
        }
        // Rows outlive the configuration of their source, so an unknown source is an error only
        // here.
        if let (0, Some(name)) = (shown, &filter.source) {
            settings.source(name)?;
        }
        if self.json {
            Ok(())
        } else {
            self.print_note(shown, &filter, &settings, output)
        }
    }

    /// Prints a note after the list: it is empty, or there is more.
    fn print_note(
        &self,
        shown: usize,
        filter: &RowFilter,
        settings: &CommandSettings,
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        if self.limit == Some(0) {
            output.info("--limit 0 shows none.")?;
        } else if shown == 0 {
            let first = settings.config.sources.first();
            let first = first.map_or("pay", |source| source.name.as_str());
            let send = settings.printed(&format!("send {first}"), output);
            output.info(&nothing_matches(filter).unwrap_or_else(|| {
                format!(
                    "The inbox is empty. `{send}` sends a test notification to a running serve."
                )
            }))?;
        } else if shown == DEFAULT_LIMIT && self.limit.is_none() {
            output.info(&format!(
                "These are the newest {shown}; --limit N shows more."
            ))?;
        }
        Ok(())
    }
}

/// Prints rows: lines for people, below a head if they are the first, or one JSON object each.
pub(super) fn print_rows(
    rows: &[Row],
    is_first: bool,
    json_lines: bool,
    output: &mut CommandOutput,
) -> Result<(), CommandError> {
    if !json_lines {
        let zone = ListZone::at(SystemClock.now(), &jiff::tz::TimeZone::system());
        let lines = table(rows, is_first, output.width(), &zone);
        return Ok(lines.iter().try_for_each(|line| output.data(line))?);
    }
    for row in rows {
        output.data(&json(&JsonRow::from(row))?)?;
    }
    Ok(())
}

/// Prints the keys of rows that a newer version wrote, which this version cannot read.
pub(super) fn print_newer(keys: &[Key], output: &mut CommandOutput) -> Result<(), CommandError> {
    for key in keys {
        output.info(&format!(
            "{key} is left out: a newer Pillarbox wrote it, so read it with that version"
        ))?;
    }
    Ok(())
}

/// Prints the errors of damaged rows.
pub(super) fn print_damaged(
    errors: &[InboxError],
    output: &mut CommandOutput,
) -> Result<(), CommandError> {
    for error in errors {
        output.info(&format!("{error}: it is left out"))?;
    }
    Ok(())
}

/// The space between two columns.
const GAP: usize = 2;
/// The indent of a continued line: below the key, or at the edge of a narrow terminal.
const INDENT: usize = 14;
const NARROW: usize = 60;

/// The rows as lines of at most `width` columns. What does not fit beside the key goes to the next
/// line.
fn table(rows: &[Row], with_head: bool, width: usize, zone: &ListZone) -> Vec<String> {
    let received = format!("RECEIVED {}", zone.name());
    let key_width = rows.iter().map(|row| row.key.as_str().len()).max();
    let columns = [received.len(), key_width.unwrap_or_default(), 12];
    let mut lines = Vec::new();
    if with_head && !rows.is_empty() {
        let head = [&*received, "KEY", "EVENT", "STATE"].map(str::to_owned);
        lines.extend(align_cells(&head, columns, width, BOLD));
    }
    for row in rows {
        let cells = [
            zone.day_and_time(row.received_at),
            row.key.to_string(),
            short_event(&row.event_type),
            labels::row_state(row, zone),
        ];
        lines.extend(align_cells(&cells, columns, width, colour(row.state)));
    }
    lines
}

/// Aligns cells in columns, if they fit; the last cell is coloured.
fn align_cells(
    cells: &[String; 4],
    columns: [usize; 3],
    width: usize,
    style: Style,
) -> Vec<String> {
    let indent = if width < NARROW { GAP } else { INDENT }.min(width);
    let (mut lines, mut line, mut column) = (Vec::new(), String::new(), 0);
    for (nth, cell) in cells.iter().enumerate() {
        // A key stays whole, so that it can be copied.
        let longest = if nth == 3 { width - indent } else { usize::MAX };
        let text = clip(cell, longest);
        let used = line.chars().count();
        let start = if nth == 0 {
            0
        } else {
            (used + GAP).max(column)
        };
        if start + text.chars().count() > width {
            lines.push(std::mem::take(&mut line));
            line = " ".repeat(indent);
        } else {
            line.extend(std::iter::repeat_n(' ', start - used));
        }
        column = columns
            .get(nth)
            .map_or(0, |own| column.max(start) + own + GAP);
        line.push_str(&if nth == 3 { paint(&text, style) } else { text });
    }
    lines.push(line);
    lines
}

/// The event without its sender, which the key contains.
fn short_event(event_type: &str) -> String {
    let event = labels::event(event_type);
    let prefixes = ["Payment ", "HMRC "];
    let short = prefixes
        .iter()
        .find_map(|prefix| event.strip_prefix(prefix));
    visible(short.unwrap_or(event)).into_owned()
}

fn clip(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let kept = text.chars().take(columns.saturating_sub(1));
    kept.chain(['…']).collect()
}

fn colour(state: State) -> Style {
    match state {
        State::Delivered | State::Repeat => GREEN,
        State::Recorded | State::Held => YELLOW,
        State::Dead | State::Discarded => RED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::row::example::row;
    use pillarbox::domain::Timestamp;

    const NOW: &str = "2026-03-02T12:00:00Z";

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn listed(rows: &[Row], width: usize) -> Vec<String> {
        let zone = ListZone::at(at(NOW), &jiff::tz::TimeZone::UTC);
        table(rows, true, width, &zone)
            .iter()
            .map(|line| anstream::adapter::strip_str(line).to_string())
            .collect()
    }

    fn one_of_each() -> Vec<Row> {
        let hmrc = "hmrc:1ed5f407-8096-40d1-87ef-9a2a103eeb85";
        let pay = "pay:5s1k7c3g9v2m8a4e0q6i5o1u7t";
        vec![
            row(hmrc, "notification", State::Delivered),
            row(pay, "card_payment_captured", State::Recorded),
            Row {
                attempts: 6,
                last_error: Some("https: status 500".to_owned()),
                due_at: Some(at("2026-03-02T14:05:00Z")),
                ..row(pay, "card_payment_captured", State::Recorded)
            },
            Row {
                reason: Some("conflict".to_owned()),
                ..row(hmrc, "notification", State::Held)
            },
            Row {
                reason: Some("budget spent".to_owned()),
                last_error: Some("x".repeat(300)),
                ..row(pay, "card_payment_captured", State::Dead)
            },
            Row {
                last_error: Some("é".repeat(300)),
                ..row(
                    "a-source-of-a-long-name:1ed5f407-8096-40d1-87ef-9a2a103eeb85",
                    "notification",
                    State::Recorded,
                )
            },
        ]
    }

    #[test]
    fn a_row_with_failed_attempts_shows_their_number_and_the_next_attempt() {
        let lines = listed(&one_of_each()[2..3], 80);
        assert_eq!(
            lines,
            [
                "RECEIVED UTC  KEY                             EVENT         STATE",
                "02 Mar 10:15  pay:5s1k7c3g9v2m8a4e0q6i5o1u7t  captured",
                "              retrying (6), next 14:05, https 500",
            ]
        );
        let other_states = listed(&one_of_each()[..2], 80).join("\n");
        assert!(other_states.contains("delivered") && other_states.contains("recorded"));
        assert!(!other_states.contains("retrying"), "{other_states}");
    }

    #[test]
    fn a_list_fits_its_width_and_names_its_zone() {
        for width in [40, 60, 80, 120] {
            let lines = listed(&one_of_each(), width);
            for line in &lines {
                let columns = line.chars().count();
                let is_only_a_key = line.contains(':') && !line.trim().contains(' ');
                assert!(
                    columns <= width || is_only_a_key,
                    "{columns} > {width}: {line}"
                );
                assert!(!line.ends_with(' '), "`{line}`");
            }
            assert!(lines[0].starts_with("RECEIVED UTC"), "{lines:?}");
        }
    }

    #[test]
    fn delivered_rows_take_one_line_of_80_columns() {
        let rows = [&one_of_each()[0]].map(Clone::clone);
        assert_eq!(
            listed(&rows, 80)[1],
            "02 Mar 10:15  hmrc:1ed5f407-8096-40d1-87ef-9a2a103eeb85  notification  delivered"
        );
    }
}
