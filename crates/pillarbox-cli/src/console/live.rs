//! Live updates of open lists, as server-sent events.
//!
//! One task reads the newest rows for all streams, while there are streams. It publishes each read
//! as a snapshot, and keeps only the latest. Each stream compares the latest snapshot with the one
//! that it used before, and sends the difference. So a slow browser delays nothing and needs no
//! memory: it gets a later snapshot. If it may have missed rows, an event tells it to reload the
//! page.
//!
//! The id of an event is the time and the key of a row. A browser that reconnects sends the last id
//! that it has, and gets the rows that arrived since, even after a restart of this process.

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
pub(super) fn address(query: &ListPageQuery, latest: Option<&Row>) -> String {
    let latest = latest.map_or_else(|| "0".to_owned(), event_id);
    let address = query.address_at("/live", None);
    let join = if address.contains('?') { '&' } else { '?' };
    let latest: String = form_urlencoded::byte_serialize(latest.as_bytes()).collect();
    format!("{address}{join}latest={latest}")
}

/// The id of the event about a row.
fn event_id(row: &Row) -> String {
    format!("{}~{}", row.received_at.as_millis(), row.key)
}

/// `GET /live`: a stream of the rows that match the filter in the address.
pub(super) async fn events<I: ConsoleInbox>(
    State(state): State<SharedConsoleState<I>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let query = query.as_deref().unwrap_or("");
    let list_query = ListPageQuery::read(query)?;
    let mut fields = form_urlencoded::parse(query.as_bytes());
    let named = fields.find_map(|(name, value)| (name == "latest").then(|| value.into_owned()));
    let header = headers.get("last-event-id");
    let header = header.and_then(|value| value.to_str().ok());
    let last = LastEvent::parse(header.or(named.as_deref()).unwrap_or_default());
    let Some(snapshots) = LiveFeed::follow(&state) else {
        // The page works without updates.
        return Ok(StatusCode::SERVICE_UNAVAILABLE.into_response());
    };
    let stream = LiveStream::new(snapshots, list_query.filter(), last, state.stop.clone());
    let headers = [(header::CONTENT_TYPE, MEDIA_TYPE)];
    Ok((headers, Body::from_stream(stream.into_events())).into_response())
}

/// The body of a stream. Each frame marks its connection as in use.
pub(super) fn watched(body: Body, watch: ConnectionWatch) -> Body {
    Body::new(body.map_frame(move |frame| {
        watch.end(false);
        frame
    }))
}
