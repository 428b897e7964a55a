//! One browser's stream: the difference between two snapshots, as events.

use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    fmt::Write as _,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, stream};
use serde::Serialize;
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    event_id,
    feed::{FOLLOWED_ROWS, LiveSnapshot},
};
use crate::console::list::ListLine;
use pillarbox::{
    domain::{Key, State, Timestamp},
    inbox::{Row, RowFilter},
};

/// The time without events after which a stream sends a heartbeat.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a browser waits before it reconnects, in milliseconds.
const RECONNECT_MS: u32 = 2_000;

/// The last event that a browser has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LastEvent {
    at: Timestamp,
    key: Option<Key>,
}

impl LastEvent {
    /// Reads the id of an event; `None` if it is not one of ours.
    pub(super) fn parse(id: &str) -> Option<Self> {
        let (at, key) = id.split_once('~').unwrap_or((id, ""));
        Some(Self {
            at: Timestamp::from_millis(at.parse().ok()?),
            key: Key::parse(key),
        })
    }
}

/// A stream before it is sent.
pub(super) struct LiveStream {
    snapshots: watch::Receiver<LiveSnapshot>,
    filter: RowFilter,
    last: Option<LastEvent>,
    stop: CancellationToken,
    /// The rows of the last snapshot, and whether the browser has them.
    known: Option<HashMap<Key, StreamedRow>>,
    counts: Option<String>,
    has_failed: bool,
    /// The id of the last row that was sent.
    id: String,
    events: VecDeque<String>,
}

/// A row of the last snapshot.
#[derive(Clone, Copy, PartialEq, Eq)]
struct StreamedRow {
    state: State,
    attempts: u32,
    is_listed: bool,
}

impl StreamedRow {
    fn of(row: &Row, is_listed: bool) -> Self {
        Self {
            state: row.state,
            attempts: row.attempts,
            is_listed,
        }
    }
}

#[derive(Serialize)]
struct LiveMessage<'a> {
    text: &'a str,
}

impl LiveStream {
    pub(super) fn new(
        mut snapshots: watch::Receiver<LiveSnapshot>,
        filter: RowFilter,
        last: Option<LastEvent>,
        stop: CancellationToken,
    ) -> Self {
        snapshots.mark_changed();
        let id = last.as_ref().map_or_else(String::new, |last| {
            let key = last.key.as_ref().map_or("", Key::as_str);
            format!("{}~{key}", last.at.as_millis())
        });
        let mut live = Self {
            snapshots,
            filter,
            last,
            stop,
            known: None,
            counts: None,
            has_failed: false,
            id,
            events: VecDeque::new(),
        };
        live.events.push_back(format!("retry: {RECONNECT_MS}\n\n"));
        live.push("heartbeat", "{}");
        live
    }

    /// The events, until the console stops.
    pub(super) fn into_events(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::unfold(self, |mut live| async move {
            let event = live.next().await?;
            Some((Ok(Bytes::from(event)), live))
        })
    }

    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            let stop = self.stop.clone();
            tokio::select! {
                () = stop.cancelled() => return None,
                changed = self.snapshots.changed() => changed.ok()?,
                () = sleep(HEARTBEAT) => self.push("heartbeat", "{}"),
            }
            if self.events.is_empty() {
                let snapshot = self.snapshots.borrow_and_update().clone();
                self.queue_snapshot(snapshot);
            }
        }
    }

    /// Queues the events that bring the browser up to date with a snapshot.
    fn queue_snapshot(&mut self, snapshot: LiveSnapshot) {
        let has_failed = matches!(snapshot, LiveSnapshot::Failed);
        match snapshot {
            LiveSnapshot::Pending => return,
            LiveSnapshot::Rows(rows) => self.queue_rows(&rows),
            LiveSnapshot::Counts(counts) => {
                if self.counts.as_ref().is_some_and(|last| *last != counts) {
                    self.push_reload(&format!("Now {counts}"));
                }
                self.counts = Some(counts);
            }
            LiveSnapshot::Failed => {
                if !self.has_failed {
                    self.push("failed", "{}");
                }
            }
        }
        if self.has_failed && !has_failed {
            self.push("heartbeat", "{}");
        }
        self.has_failed = has_failed;
    }

    fn queue_rows(&mut self, rows: &[Row]) {
        let is_first = self.known.is_none();
        let had = match self.known.take() {
            Some(known) => known,
            None => self.rows_in_browser(rows),
        };
        let is_gap = rows.len() == FOLLOWED_ROWS
            && !rows.iter().any(|row| had.contains_key(&row.key))
            && !(is_first && self.last.is_none());
        let mut known = HashMap::with_capacity(rows.len());
        let mut new = 0;
        for row in rows.iter().rev() {
            let before = had.get(&row.key).copied();
            let matches = self.filter.matches(row);
            let was_listed = before.is_some_and(|before| before.is_listed);
            let now = StreamedRow::of(row, was_listed || matches);
            known.insert(row.key.clone(), now);
            if is_gap || before == Some(now) {
                continue;
            }
            if matches && !was_listed {
                self.id = event_id(row);
                new += 1;
                self.push_line("new", row);
            } else if was_listed {
                self.push_line("change", row);
            }
        }
        self.known = Some(known);
        if is_gap {
            self.id = rows.first().map_or_else(String::new, event_id);
            self.push_reload("Many new notifications");
        }
        tracing::trace!(new, "a console was updated");
    }

    /// The rows of the first snapshot that the browser already has, from the page that opened the
    /// stream or from an earlier stream.
    fn rows_in_browser(&self, rows: &[Row]) -> HashMap<Key, StreamedRow> {
        let first = match &self.last {
            None => 0,
            Some(last) => rows
                .iter()
                .position(|row| Some(&row.key) == last.key.as_ref() || row.received_at < last.at)
                .unwrap_or(rows.len()),
        };
        let had = rows[first..].iter().map(|row| {
            let known = StreamedRow::of(row, self.filter.matches(row));
            (row.key.clone(), known)
        });
        had.collect()
    }

    fn push_line(&mut self, event: &str, row: &Row) {
        // Texts and numbers can always be serialised.
        let data = serde_json::to_string(&ListLine::of(row)).unwrap_or_default();
        self.push(event, &data);
    }

    fn push_reload(&mut self, text: &str) {
        let data = serde_json::to_string(&LiveMessage { text }).unwrap_or_default();
        self.push("reload", &data);
    }

    fn push(&mut self, event: &str, data: &str) {
        let mut text = format!("event: {event}\n");
        if !self.id.is_empty() {
            let _ = writeln!(text, "id: {}", self.id);
        }
        let _ = write!(text, "data: {data}\n\n");
        self.events.push_back(text);
    }
}

#[cfg(test)]
mod tests;
