//! What arrives while a list is open, as server-sent events.
//!
//! One task reads the newest rows for all streams, and only while there is one. It publishes each
//! reading as a snapshot, of which only the latest is kept; every stream compares it with the one
//! that it used last, and sends the difference. So a slow reader holds up nothing and costs no
//! memory: it finds a later snapshot. Rows that it cannot know about any more are an event that
//! says to load the page again.
//!
//! The id of an event is the time and the key of a row. A browser that connects again names the
//! last one it has, and gets what arrived since, after a restart of this process, too.

mod feed;
mod stream;

use axum::{
    body::Body,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt;
use url::form_urlencoded;

use super::{
    inbox::ConsoleInbox, page::PageError, query::ListPageQuery, state::SharedConsoleState,
};
use crate::listener::ConnectionWatch;
pub(super) use feed::LiveFeed;
use pillarbox::inbox::Row;
use stream::{LastEvent, LiveStream};

/// The media type of a stream.
pub(super) const MEDIA_TYPE: &str = "text/event-stream";

/// How a list of a table is kept up to date.
pub(super) const TABLE_NOTE: &str = "On a table the numbers of open, dead and held notifications \
                                     are read every 30 seconds while this page is open. Each time \
                                     costs half a read unit for each state and shard, 24 with 16 \
                                     shards.";

/// The address of the stream for a list whose newest row is `latest`.
pub(super) fn address(asked: &ListPageQuery, latest: Option<&Row>) -> String {
    let latest = latest.map_or_else(|| "0".to_owned(), event_id);
    let address = asked.address_at("/live", None);
    let join = if address.contains('?') { '&' } else { '?' };
    let latest: String = form_urlencoded::byte_serialize(latest.as_bytes()).collect();
    format!("{address}{join}latest={latest}")
}

/// The id of the event that a row is.
fn event_id(row: &Row) -> String {
    format!("{}~{}", row.received_at.as_millis(), row.key)
}

/// `GET /live`: the stream of what matches the filter in its address.
pub(super) async fn events<I: ConsoleInbox>(
    State(state): State<SharedConsoleState<I>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let query = query.as_deref().unwrap_or("");
    let asked = ListPageQuery::read(query)?;
    let mut fields = form_urlencoded::parse(query.as_bytes());
    let named = fields.find_map(|(name, value)| (name == "latest").then(|| value.into_owned()));
    let header = headers.get("last-event-id");
    let header = header.and_then(|value| value.to_str().ok());
    let last = LastEvent::parse(header.or(named.as_deref()).unwrap_or_default());
    let Some(snapshots) = LiveFeed::follow(&state) else {
        // The page goes on without updates.
        return Ok(StatusCode::SERVICE_UNAVAILABLE.into_response());
    };
    let stream = LiveStream::new(snapshots, asked.filter(), last, state.stop.clone());
    let headers = [(header::CONTENT_TYPE, MEDIA_TYPE)];
    Ok((headers, Body::from_stream(stream.into_events())).into_response())
}

/// The body of a stream, each part of which shows that its connection is in use.
pub(super) fn watched(body: Body, watch: ConnectionWatch) -> Body {
    Body::new(body.map_frame(move |frame| {
        watch.end(false);
        frame
    }))
}
