//! The options that select notifications, for every command that lists them.

use clap::Args;

use super::{CommandError, settings::CommandSettings};
use crate::{
    any_inbox::{AnyInbox, InboxAccess},
    labels,
};
use pillarbox::{
    config::parse_span,
    domain::{Clock, State, SystemClock, Timestamp},
    inbox::RowFilter,
    telemetry::visible,
};

/// The filter of a command.
#[derive(Args)]
pub(super) struct FilterArgs {
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
    /// Only notifications received since a date, such as 2026-03-02T10:15:00Z, or within a span,
    /// such as 30m, 2h or 7d
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
}

impl FilterArgs {
    /// Reads the options, checks that the source is configured, and opens the inbox.
    pub(super) async fn open(
        &self,
        settings: &CommandSettings,
    ) -> Result<(RowFilter, AnyInbox), CommandError> {
        let filter = self.read_for(settings)?;
        Ok((filter, settings.open_inbox(InboxAccess::Read).await?))
    }

    /// Reads the options, and checks that the source is configured.
    pub(super) fn read_for(&self, settings: &CommandSettings) -> Result<RowFilter, CommandError> {
        let filter = self.read()?;
        if let Some(name) = &filter.source {
            settings.source(name)?;
        }
        Ok(filter)
    }

    /// Reads the options.
    pub(super) fn read(&self) -> Result<RowFilter, CommandError> {
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
            ..RowFilter::default()
        })
    }
}

/// Reads a date, or a span back from now.
pub(super) fn since(when: &str, now: Timestamp) -> Result<Timestamp, CommandError> {
    let span = || Some(now.minus(parse_span(when)?));
    Timestamp::parse(when).or_else(span).ok_or_else(|| {
        CommandError::Usage(
            "--since is neither a date (2026-03-02T10:15:00Z) nor a span (30m, 2h, 7d)".to_owned(),
        )
    })
}

/// The message that nothing matches the filter; `None` without a filter.
pub(super) fn nothing_matches(filter: &RowFilter) -> Option<String> {
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
        Some(State::Repeat) => words.push("is a repeat".to_owned()),
        Some(state) => words.push(format!("is {state}")),
        None if filter.since.is_some() => {}
        None if words.len() == 1 => return None,
        None => words.push("was found".to_owned()),
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

    #[test]
    fn an_empty_list_repeats_its_filter() {
        let since = Timestamp::parse("2026-03-02T10:00:00Z").unwrap();
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
                    state: Some(State::Repeat),
                    ..filter()
                },
                Some("No notification is a repeat.".to_owned()),
            ),
            (
                RowFilter {
                    source: Some("pay".to_owned()),
                    ..filter()
                },
                Some("No notification of source pay was found.".to_owned()),
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
            assert_eq!(nothing_matches(&filter), expected);
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
