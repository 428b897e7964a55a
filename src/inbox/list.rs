//! Filters and pages of a list of rows.

use super::{InboxError, Row};
use crate::{
    domain::{Key, State, Timestamp},
    senders::SenderKind,
};

/// Which rows to list; a field that is `None` excludes nothing.
#[derive(Clone, Debug, Default)]
pub struct RowFilter {
    /// Only rows of this source.
    pub source: Option<String>,
    /// Only rows in this state.
    pub state: Option<State>,
    /// Only rows of this event type.
    pub event_type: Option<String>,
    /// Only rows about this payment or box.
    pub subject: Option<String>,
    /// Only rows received at or after this time.
    pub since: Option<Timestamp>,
    /// Only rows received before this time.
    pub until: Option<Timestamp>,
    /// Only rows of this kind of sender.
    pub kind: Option<SenderKind>,
}

impl RowFilter {
    /// Whether a row is wanted.
    pub fn matches(&self, row: &Row) -> bool {
        let Self {
            source,
            state,
            event_type,
            subject,
            since,
            until,
            kind,
        } = self;
        source
            .as_ref()
            .is_none_or(|source| source == row.key.source())
            && state.is_none_or(|state| state == row.state)
            && event_type
                .as_ref()
                .is_none_or(|wanted| *wanted == row.event_type)
            && (subject.is_none() || *subject == row.subject)
            && since.is_none_or(|since| since <= row.received_at)
            && until.is_none_or(|until| until > row.received_at)
            && kind.is_none_or(|kind| kind == row.kind)
    }
}

/// Which sources to find due rows of. A source whose destination is down must not hide the due rows
/// of the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceFilter {
    /// Only this source.
    Only(String),
    /// Every source except these.
    Except(Vec<String>),
}

impl SourceFilter {
    /// Every source.
    pub const ALL: Self = Self::Except(Vec::new());

    /// Whether rows of `source` are wanted.
    pub fn includes(&self, source: &str) -> bool {
        match self {
            Self::Only(only) => only == source,
            Self::Except(others) => !others.iter().any(|other| other == source),
        }
    }
}

/// Which part of a list.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// The most rows to return.
    pub limit: usize,
    /// The end of the page before; `None` for the first page.
    pub after: Option<ListCursor>,
}

impl PageRequest {
    /// The first `limit` rows.
    pub fn first(limit: usize) -> Self {
        Self { limit, after: None }
    }
}

/// A position in a list. Only the inbox that returned it can read its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListCursor(pub String);

/// One page of a list.
#[derive(Clone, Debug, Default)]
pub struct RowPage {
    /// The rows, without their bytes.
    pub rows: Vec<Row>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<ListCursor>,
    /// Rows of a later version than this program knows, which cannot be shown.
    pub newer: Vec<Key>,
    /// Why other rows cannot be shown: they are damaged, and hide none behind them.
    pub damaged: Vec<InboxError>,
}
