//! Filters and pages of a list of rows.

use super::{InboxError, Row};
use crate::{
    domain::{Key, State, Timestamp},
    senders::SenderKind,
};

/// Which rows to list. A field that is `None` matches every row.
#[derive(Clone, Debug, Default)]
pub struct RowFilter {
    /// Only rows of this source.
    pub source: Option<String>,
    /// Only rows in this state.
    pub state: Option<State>,
    /// Only rows of this event type.
    pub event_type: Option<String>,
    /// Only rows of this payment or box.
    pub subject: Option<String>,
    /// Only rows received at or after this time.
    pub since: Option<Timestamp>,
    /// Only rows received before this time.
    pub until: Option<Timestamp>,
    /// Only rows of this kind of sender.
    pub kind: Option<SenderKind>,
}

impl RowFilter {
    /// Whether the list includes a row.
    pub fn matches(&self, row: &Row) -> bool {
        let is_text = |wanted: &Option<String>, text: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == text)
        };
        is_text(&self.source, row.key.source())
            && is_text(&self.event_type, &row.event_type)
            && (self.subject.is_none() || self.subject == row.subject)
            && self.state.is_none_or(|state| state == row.state)
            && self.kind.is_none_or(|kind| kind == row.kind)
            && self.since.is_none_or(|since| since <= row.received_at)
            && self.until.is_none_or(|until| until > row.received_at)
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

    /// Whether the filter includes rows of `source`.
    pub fn includes(&self, source: &str) -> bool {
        match self {
            Self::Only(only) => only == source,
            Self::Except(others) => !others.iter().any(|other| other == source),
        }
    }
}

/// Which page of a list to return.
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
    /// Damaged rows, which cannot be shown. The rows after them are listed.
    pub damaged: Vec<InboxError>,
}
