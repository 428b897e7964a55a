//! Files made of one notification: its exact bytes, an event of Lambda, and a fixture for tests.
//!
//! Browsers save them and open none. The bytes and the event hold personal data, so they are posted
//! for, and noted as what a person saw; a fixture has its personal fields masked.

use axum::{
    Extension,
    extract::{Path, State, rejection::PathRejection},
    http::header,
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{
    form::ConsoleForm, inbox::ConsoleInbox, page::PageError, row_page, seen,
    state::SharedConsoleState,
};
use crate::{labels, payload};
use pillarbox::inbox::Row;

/// What stands in an event for the front that a request came through.
const FRONT_HOST: &str = "a1b2c3d4e5.execute-api.eu-west-2.amazonaws.com";
/// An address that is kept for examples.
const EXAMPLE_ADDRESS: &str = "192.0.2.10";

/// `POST /notifications/{key}/raw`: the exact bytes.
pub(super) async fn raw<I: ConsoleInbox>(
    State(state): State<SharedConsoleState<I>>,
    key: Result<Path<String>, PathRejection>,
    Extension(_): Extension<ConsoleForm>,
) -> Result<Response, PageError> {
    let row = with_body(row_page::find(&*state.inbox, key).await?)?;
    let body = row.proven_body()?.clone();
    seen::note(&state, &row.key, &["every byte".to_owned()]).await?;
    Ok(attachment(&row, "bin", body))
}

/// `POST /notifications/{key}/event`: the request as Lambda's HTTP API would pass it on.
pub(super) async fn event<I: ConsoleInbox>(
    State(state): State<SharedConsoleState<I>>,
    key: Result<Path<String>, PathRejection>,
    Extension(_): Extension<ConsoleForm>,
) -> Result<Response, PageError> {
    let row = with_body(row_page::find(&*state.inbox, key).await?)?;
    let event = lambda_event(&row).ok_or_else(|| unsigned("event"))?;
    row.proven_body()?;
    seen::note(&state, &row.key, &["every byte".to_owned()]).await?;
    let text = serde_json::to_string_pretty(&event).unwrap_or_default();
    Ok(attachment(&row, "event.json", text + "\n"))
}

/// `GET /notifications/{key}/fixture`: the body with its personal fields masked.
pub(super) async fn fixture<I: ConsoleInbox>(
    State(state): State<SharedConsoleState<I>>,
    key: Result<Path<String>, PathRejection>,
) -> Result<Response, PageError> {
    let row = with_body(row_page::find(&*state.inbox, key).await?)?;
    let text = std::str::from_utf8(row.proven_body()?).ok();
    let text = text.filter(|text| payload::json_error(text).is_none());
    let text = text.ok_or_else(|| {
        let why = "What was received is not JSON, so its personal fields cannot be masked.";
        PageError::Refused(why.to_owned())
    })?;
    let masked = payload::masked(text, row_page::has_message(&row));
    Ok(attachment(&row, "fixture.json", masked))
}

fn with_body(row: Row) -> Result<Row, PageError> {
    match row.body {
        Some(_) => Ok(row),
        None => Err(PageError::Erased),
    }
}

fn unsigned(what: &str) -> PageError {
    PageError::Refused(format!(
        "This notification was pulled, so there is no signature to make an {what} with."
    ))
}

/// A file under a name of our own making: a sender's id may be no fit name for a file.
fn attachment(row: &Row, suffix: &str, content: impl IntoResponse) -> Response {
    let name = file_name(row, suffix);
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}\""),
        ),
    ];
    let mut response = content.into_response();
    for (name, value) in headers {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// The name of a file made of a notification.
pub(super) fn file_name(row: &Row, suffix: &str) -> String {
    let digest = hex::encode(&row.digest[..8]);
    format!("{}-{digest}.{suffix}", row.key.source())
}

/// A command that posts the same request again, with the file of its bytes; `None` if there is no
/// signature.
pub(super) fn curl(row: &Row, listen: std::net::SocketAddr) -> Option<String> {
    let signature = row.signature.as_deref()?;
    let host = match listen.ip().is_unspecified() {
        true => format!("127.0.0.1:{}", listen.port()),
        false => listen.to_string(),
    };
    let words = [
        "curl --request POST --header".to_owned(),
        quoted(&format!("Content-Type: {}", row.kind.content_type)),
        "--header".to_owned(),
        quoted(&format!("{}: {signature}", row.kind.signature.header)),
        "--data-binary".to_owned(),
        quoted(&format!("@{}", file_name(row, "bin"))),
        quoted(&format!("http://{host}/{}", row.key.source())),
    ];
    Some(words.join(" "))
}

/// A word for a shell. A stored text may have been changed since, so it is quoted whatever it is.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The event of an HTTP API (payload 2.0), as those in the folder `events`.
fn lambda_event(row: &Row) -> Option<Value> {
    let (signature, body) = (row.signature.as_deref()?, row.body.as_ref()?);
    let (source, kind) = (row.key.source(), row.kind);
    let (body_text, is_base64) = match std::str::from_utf8(body) {
        Ok(text) => (text.to_owned(), false),
        Err(_) => (BASE64_STANDARD.encode(body), true),
    };
    let path = format!("/{source}");
    Some(json!({
        "version": "2.0",
        "routeKey": "ANY /{source}",
        "rawPath": path,
        "rawQueryString": "",
        "pathParameters": { "source": source },
        "headers": {
            "content-length": body.len().to_string(),
            "content-type": kind.content_type,
            "host": FRONT_HOST,
            kind.signature.header: signature,
            "x-forwarded-for": EXAMPLE_ADDRESS,
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
        },
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "a1b2c3d4e5",
            "domainName": FRONT_HOST,
            "domainPrefix": "a1b2c3d4e5",
            "http": {
                "method": "POST",
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": EXAMPLE_ADDRESS,
                "userAgent": "pillarbox",
            },
            "requestId": "Zx1yW2vU3tS4rQ5=",
            "routeKey": "ANY /{source}",
            "stage": "$default",
            "time": labels::request_time(row.received_at),
            "timeEpoch": row.received_at.as_millis(),
        },
        "body": body_text,
        "isBase64Encoded": is_base64,
    }))
}
