//! Notifications about the same payment.

use super::address;
use crate::console::{list::ListLine, page::PageError, query::ListPageQuery};
use pillarbox::{
    domain::{Key, State},
    inbox::{PageRequest, ReadInbox, Row, RowFilter},
    telemetry::visible,
};

/// The most related notifications that are listed.
const MAX_RELATED: usize = 20;

/// Notifications about the same payment, and what this one conflicts with.
pub(super) struct RelatedPanel {
    pub(super) conflict_with: Option<(String, String)>,
    pub(super) lines: Vec<RelatedLine>,
    /// The address of the list of all of them.
    pub(super) all: Option<String>,
}

pub(super) struct RelatedLine {
    pub(super) line: ListLine,
    /// Whether it repeats the notification of the page.
    pub(super) repeats_this: bool,
}

impl RelatedPanel {
    pub(super) async fn of(inbox: &impl ReadInbox, row: &Row) -> Result<Self, PageError> {
        let (before, mark) = row.key.as_str().rsplit_once('~').unzip();
        let original = before.filter(|_| mark.is_some()).and_then(Key::parse);
        let conflict_with = original.map(|key| (visible(key.as_str()).into_owned(), address(&key)));
        let mut panel = Self {
            conflict_with,
            lines: Vec::new(),
            all: None,
        };
        // A box has thousands of notifications, which are not related; a payment has a few.
        let Some(subject) = row.subject.clone().filter(|_| row.event().is_some()) else {
            return Ok(panel);
        };
        let filter = RowFilter {
            source: Some(row.key.source().to_owned()),
            subject: Some(subject),
            ..RowFilter::default()
        };
        let request = PageRequest::first(MAX_RELATED + 1);
        let listed = inbox.list(&filter, request).await?;
        let has_more = listed.next.is_some();
        let others = listed.rows.iter().filter(|other| other.key != row.key);
        let is_repeat = |other: &Row| {
            other.state == State::Repeat && other.reason.as_deref() == Some(row.key.as_str())
        };
        let lines = others.take(MAX_RELATED).map(|other| RelatedLine {
            line: ListLine::of(other),
            repeats_this: is_repeat(other),
        });
        panel.lines.extend(lines);
        panel.all = has_more.then(|| ListPageQuery::of(&filter).address(None));
        Ok(panel)
    }
}
