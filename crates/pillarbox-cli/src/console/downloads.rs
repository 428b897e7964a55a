//! Downloads made from one notification: its exact bytes, a Lambda event, and a fixture for tests.
//!
//! Browsers save them and never open them. The bytes and the event contain personal data, so they
//! need a form, and are recorded as shown to a person. A fixture has its personal fields masked.

use axum::{
    Extension,
    extract::{Path, State, rejection::PathRejection},
    http::header,
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{
    form::ConsoleForm, inbox::ConsoleInbox, page::PageError, row_page, state::SharedConsoleState,
    unmask,
};
use crate::{labels, payload};
use pillarbox::inbox::Row;

/// The host of the API that an event names.
const FRONT_HOST: &str = "a1b2c3d4e5.execute-api.eu-west-2.amazonaws.com";
/// An address that is reserved for examples.
const EXAMPLE_ADDRESS: &str = "192.0.2.10";

/// `POST /notifications/{key}/raw`: the exact bytes.
pub(super) async fn raw<I: ConsoleInbox>(
    State(state): State<SharedConsoleState<I>>,
    key: Result<Path<String>, PathRejection>,
    Extension(_): Extension<ConsoleForm>,
) -> Result<Response, PageError> {
    let row = with_body(row_page::find(&*state.inbox, key).await?)?;
    let body = row.proven_body()?.clone();
    unmask::record(&state, &row.key, &["every byte".to_owned()]).await?;
    Ok(attachment(&row, "bin", body))
}

/// `POST /notifications/{key}/event`: the request as an HTTP API passes it to Lambda.
pub(super) async fn event<I: ConsoleInbox>(
    State(state): State<SharedConsoleState<I>>,
    key: Result<Path<String>, PathRejection>,
    Extension(_): Extension<ConsoleForm>,
) -> Result<Response, PageError> {
    let row = with_body(row_page::find(&*state.inbox, key).await?)?;
    let event = lambda_event(&row).ok_or_else(|| unsigned("event"))?;
    row.proven_body()?;
    unmask::record(&state, &row.key, &["every byte".to_owned()]).await?;
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
        "This notification was pulled, so it has no signature for an {what}."
    ))
}

/// A download. Its name does not contain the sender's id, which need not be a valid file name.
fn attachment(row: &Row, suffix: &str, content: impl IntoResponse) -> Response {
    let disposition = format!("attachment; filename=\"{}\"", file_name(row, suffix));
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CONTENT_DISPOSITION, &disposition),
    ];
    (headers, content).into_response()
}

/// The name of a download.
pub(super) fn file_name(row: &Row, suffix: &str) -> String {
    let digest = hex::encode(&row.digest[..8]);
    format!("{}-{digest}.{suffix}", row.key.source())
}

/// A command that posts the same request again from the file of its bytes; `None` without a
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

/// Quotes a word for a shell. Every word is quoted, because a stored text may have been tampered
/// with.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The event of an HTTP API (payload 2.0), like those in the folder `events`.
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
