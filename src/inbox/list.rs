//! What a list of rows is narrowed by, and where it goes on.

use crate::domain::{State, Timestamp};

/// Which rows to list; what is `None` doesn't narrow.
#[derive(Clone, Debug, Default)]
pub struct RowFilter {
    /// Only this source's.
    pub source: Option<String>,
    /// Only in this state.
    pub state: Option<State>,
    /// Only of this event type.
    pub event_type: Option<String>,
    /// Only about this payment or box.
    pub subject: Option<String>,
    /// Only received at or after this instant.
    pub since: Option<Timestamp>,
}

/// Whose due rows are wanted. A source whose destination is down must not hide what is due behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceFilter {
    /// Only this source's.
    Only(String),
    /// All but these sources'.
    AllBut(Vec<String>),
}

impl SourceFilter {
    /// Everybody's.
    pub const ALL: Self = Self::AllBut(Vec::new());
}

/// Which part of a list.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// At most so many rows.
    pub limit: usize,
    /// Where the page before it ended; `None` for the first.
    pub after: Option<ListCursor>,
}

impl PageRequest {
    /// The first `limit` rows.
    pub fn first(limit: usize) -> Self {
        Self { limit, after: None }
    }
}

/// A place in a list. Its text means something only to the inbox that gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListCursor(pub String);
