//! What arrives while a list is open, as server-sent events.

use axum::{body::Body, extract::State};

use super::{inbox::ConsoleInbox, page::PageError, query::ListQuery, state::SharedState};
use crate::listener::ConnectionWatch;
use pillarbox::inbox::Row;

/// The media type of a stream.
pub(super) const MEDIA_TYPE: &str = "text/event-stream";

/// How a list of a table is kept up to date.
pub(super) const TABLE_NOTE: &str = "Updates come every 10 seconds.";

/// The address of the stream for a list whose newest row is `latest`.
pub(super) fn address(asked: &ListQuery, latest: Option<String>) -> String {
    let _ = latest;
    asked.address_at("/live", None)
}

/// The identity of the event that a row is.
pub(super) fn event_id(row: &Row) -> String {
    format!("{}~{}", row.received_at.as_millis(), row.key)
}

/// `GET /live`.
pub(super) async fn events<I: ConsoleInbox>(
    State(_state): State<SharedState<I>>,
) -> Result<(), PageError> {
    Err(PageError::NoPage)
}

/// The body of a stream, each part of which shows that the connection is in use.
pub(super) fn watched(body: Body, watch: ConnectionWatch) -> Body {
    let _ = watch;
    body
}
