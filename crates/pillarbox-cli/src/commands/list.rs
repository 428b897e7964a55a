//! `pillarbox list`: lists the notifications of the inbox, newest first.

use anstyle::Style;
use clap::Args;

use super::{
    CommandError, GlobalArgs,
    output::{BOLD, GREEN, Output, RED, YELLOW, paint},
    row::{JsonRow, json},
    scan::ScanProgress,
    settings::CommandSettings,
    span,
};
use crate::{
    any_inbox::InboxAccess,
    labels::{self, ListZone},
};
use pillarbox::{
    config::Overrides,
    domain::{Clock, Key, State, SystemClock, Timestamp},
    inbox::{InboxError, PageRequest, ReadInbox, Row, RowFilter},
    telemetry::visible,
};

/// The number of rows without --limit.
const FOR_PEOPLE: usize = 50;

/// Lists notifications, newest first.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  pillarbox list --state dead\n  pillarbox list --source pay --since \
     2h --json"
)]
pub(super) struct ListArgs {
    /// Only notifications of this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Only notifications in this state: recorded (or open), delivered, repeat, dead, held or
    /// discarded
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Only notifications of this event type, such as card_payment_captured
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Only notifications about this payment or box
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// Only notifications received since: a date as 2026-03-02T10:15:00Z, or a span as 30m, 2h, 7d
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
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
            damaged(&listed.damaged, output)?;
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
            self.close(shown, &filter, &settings, output)
        }
    }

    fn filter(&self) -> Result<RowFilter, CommandError> {
        let state = |name: &String| {
            State::parse(name).ok_or_else(|| {
                let known = State::ALL.map(State::as_str).join(", ");
                CommandError::Usage(format!(
                    "unknown state `{}`: choose one of {known}",
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
            let zone = ListZone::at(SystemClock.now(), &jiff::tz::TimeZone::system());
            let lines = table(rows, is_first, output.width(), &zone);
            return Ok(lines.iter().try_for_each(|line| output.data(line))?);
        }
        for row in rows {
            output.data(&json(&JsonRow::from(row))?)?;
        }
        Ok(())
    }

    /// Prints a note after the list: it is empty, or there is more.
    fn close(
        &self,
        shown: usize,
        filter: &RowFilter,
        settings: &CommandSettings,
        output: &mut Output,
    ) -> Result<(), CommandError> {
        if shown == 0 {
            let first = settings.config.sources.first();
            let first = first.map_or("pay", |source| source.name.as_str());
            let program = output.program();
            output.say(&nothing(filter).unwrap_or_else(|| {
                format!(
                    "Nothing here. `{program} send {first}` brings a notification to a running \
                     serve."
                )
            }))?;
        } else if shown == FOR_PEOPLE && self.limit.is_none() {
            output.say(&format!(
                "These are the newest {shown}; --limit N shows more."
            ))?;
        }
        Ok(())
    }
}

/// Names rows that a newer version wrote, which this one cannot read.
pub(super) fn newer(keys: &[Key], output: &mut Output) -> Result<(), CommandError> {
    for key in keys {
        output.say(&format!(
            "{key} is left out: a newer Pillarbox wrote it, so use that one for it"
        ))?;
    }
    Ok(())
}

/// Names what is there and damaged.
pub(super) fn damaged(errors: &[InboxError], output: &mut Output) -> Result<(), CommandError> {
    for error in errors {
        output.say(&format!("{error}: it is left out"))?;
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

/// Between two columns.
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
        lines.extend(lay_out(&head, columns, width, BOLD));
    }
    for row in rows {
        let cells = [
            zone.day_and_time(row.received_at),
            row.key.to_string(),
            short_event(&row.event_type),
            state(row, zone),
        ];
        lines.extend(lay_out(&cells, columns, width, colour(row.state)));
    }
    lines
}

/// Aligns cells in columns, where there is room; the last is painted.
fn lay_out(cells: &[String; 4], columns: [usize; 3], width: usize, style: Style) -> Vec<String> {
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

/// The state, with its reason or the next attempt.
fn state(row: &Row, zone: &ListZone) -> String {
    match (&row.last_error, &row.reason) {
        (Some(error), _) if row.state == State::Recorded => {
            let next = row
                .due_at
                .map_or(String::new(), |at| format!(", next {}", zone.time(at)));
            let error = error.replace(": status ", " ");
            format!("retrying ({}){next}, {}", row.attempts, visible(&error))
        }
        (_, Some(reason)) => format!("{} ({})", row.state, visible(reason)),
        (_, None) => row.state.to_string(),
    }
}

/// A sentence that nothing matches the filter; `None` without a filter.
fn nothing(filter: &RowFilter) -> Option<String> {
    let mut words = vec!["No notification".to_owned()];
    words.extend(
        filter
            .source
            .as_ref()
            .map(|source| format!("of source {source}")),
    );
    words.extend(
        filter
            .event_type
            .as_ref()
            .map(|name| format!("of type {name}")),
    );
    words.extend(
        filter
            .subject
            .as_ref()
            .map(|subject| format!("about {subject}")),
    );
    match filter.state {
        Some(state) => words.push(format!("is {state}")),
        None if filter.since.is_some() => {}
        None if words.len() == 1 => return None,
        None => words.push("is here".to_owned()),
    }
    if let Some(since) = filter.since {
        let joint = if filter.state.is_some() {
            "and was"
        } else {
            "was"
        };
        words.push(format!(
            "{joint} received since {}",
            labels::local_time(since)
        ));
    }
    Some(visible(&format!("{}.", words.join(" "))).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use pillarbox::senders::SenderKind;

    const NOW: &str = "2026-03-02T12:00:00Z";

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn row(key: &str, event_type: &str, state: State) -> Row {
        Row {
            kind: SenderKind::GOVUK_PAY,
            key: Key::parse(key).unwrap(),
            body: None,
            digest: [0; 32],
            content_digest: [0; 32],
            signature: None,
            key_label: None,
            secret_fingerprint: None,
            event_type: event_type.to_owned(),
            subject: None,
            event_at: None,
            received_at: at("2026-03-02T10:15:31Z"),
            origin: pillarbox::domain::Origin::Push,
            state,
            reason: None,
            index_partition: None,
            attempts: 1,
            lease: None,
            budget_from: at(NOW),
            last_error: None,
            due_at: None,
            expires_at: None,
        }
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
    fn a_row_that_failed_says_how_often_and_what_comes_next() {
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

    #[test]
    fn an_empty_list_repeats_its_filter() {
        let since = at("2026-03-02T10:00:00Z");
        let filter = RowFilter::default;
        for (filter, expected) in [
            (filter(), None),
            (
                RowFilter {
                    state: Some(State::Dead),
                    ..filter()
                },
                Some("No notification is dead.".to_owned()),
            ),
            (
                RowFilter {
                    source: Some("pay".to_owned()),
                    ..filter()
                },
                Some("No notification of source pay is here.".to_owned()),
            ),
            (
                RowFilter {
                    event_type: Some("card_payment_captured".to_owned()),
                    subject: Some("p1".to_owned()),
                    state: Some(State::Held),
                    ..filter()
                },
                Some("No notification of type card_payment_captured about p1 is held.".to_owned()),
            ),
            (
                RowFilter {
                    since: Some(since),
                    ..filter()
                },
                Some(format!(
                    "No notification was received since {}.",
                    labels::local_time(since)
                )),
            ),
            (
                RowFilter {
                    state: Some(State::Dead),
                    since: Some(since),
                    ..filter()
                },
                Some(format!(
                    "No notification is dead and was received since {}.",
                    labels::local_time(since)
                )),
            ),
        ] {
            assert_eq!(nothing(&filter), expected);
        }
    }

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
