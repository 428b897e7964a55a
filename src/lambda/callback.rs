//! One request over a front -> the receiving stage -> one answer and one log line.

use bytes::Bytes;
use serde::{Serialize, Serializer, ser::SerializeStruct};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::{
    Invocation, deadline, event::PayloadVersion, http_event::HttpEvent,
    invocation_log::InvocationLog,
};
use crate::{
    app::App,
    domain::Clock,
    inbox::Inbox,
    keyring::{log_unusable_secrets, take_in},
    receive::{self, Callback, HttpAnswer, LONGEST_BODY, Receipt, ReceiptStatus, Refusal, Route},
    senders::Source,
};

/// An answer as every front takes it: the same fields in both payloads, and nothing encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpReply(pub HttpAnswer);

impl Serialize for HttpReply {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut reply = serializer.serialize_struct("HttpReply", 4)?;
        reply.serialize_field("statusCode", &self.0.status)?;
        reply.serialize_field(
            "headers",
            &ReplyHeaders {
                allow: self.0.allow,
                ..ReplyHeaders::default()
            },
        )?;
        reply.serialize_field("body", &self.0.body)?;
        reply.serialize_field("isBase64Encoded", &false)?;
        reply.end()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ReplyHeaders {
    content_type: &'static str,
    x_content_type_options: &'static str,
    cache_control: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    allow: Option<&'static str>,
}

impl Default for ReplyHeaders {
    fn default() -> Self {
        Self {
            content_type: "application/json",
            x_content_type_options: "nosniff",
            cache_control: "no-store",
            allow: None,
        }
    }
}

/// A request taken in, a challenge answered, or neither.
enum CallbackOutcome {
    Challenge(String),
    Stored(Receipt),
}

/// Answers one request. Never fails: a failure is an answer, too.
pub(super) async fn answer<I: Inbox, W: Clock>(
    app: &App<I>,
    world: &W,
    invocation: &Invocation,
    (raw, payload): (&RawValue, PayloadVersion),
    line: &mut InvocationLog,
) -> HttpReply {
    let done = work(app, world, invocation, (raw, payload), line).await;
    let answer = match &done {
        Ok(CallbackOutcome::Challenge(value)) => HttpAnswer::challenge(value),
        Ok(CallbackOutcome::Stored(receipt)) => HttpAnswer::from(receipt),
        Err(refusal) => HttpAnswer::from(refusal),
    };
    line.status = Some(answer.status.into());
    match done {
        Ok(CallbackOutcome::Challenge(_)) => line.outcome = "challenge",
        Ok(CallbackOutcome::Stored(receipt)) => note_receipt(line, receipt),
        Err(refusal) => note_refusal(line, &refusal),
    }
    HttpReply(answer)
}

fn note_receipt(line: &mut InvocationLog, receipt: Receipt) {
    line.key = Some(receipt.key.to_string());
    line.key_label = Some(receipt.key_label);
    (line.outcome, line.reason) = match receipt.stored {
        ReceiptStatus::Recorded => ("recorded", None),
        ReceiptStatus::Duplicate => ("duplicate", None),
        ReceiptStatus::Held(reason) => ("held", Some(reason.to_owned())),
    };
}

fn note_refusal(line: &mut InvocationLog, refusal: &Refusal) {
    line.outcome = "refused";
    line.code = Some(refusal.code());
    line.reason = Some(refusal.to_string());
}

async fn work<I: Inbox, W: Clock>(
    app: &App<I>,
    world: &W,
    invocation: &Invocation,
    (raw, payload): (&RawValue, PayloadVersion),
    line: &mut InvocationLog,
) -> Result<CallbackOutcome, Refusal> {
    let front = HttpEvent::read(raw, payload)?;
    let keys = app.keyring.keys();
    match receive::route(
        keys.sources(),
        front.method(),
        front.path(),
        Some(&front.query()),
    )? {
        Route::Challenge(value) => Ok(CallbackOutcome::Challenge(value)),
        Route::Callback(source) => {
            (line.source, line.kind) = (Some(source.name.to_string()), Some(source.kind.as_str()));
            callback(app, world, source, &front, invocation, line)
                .await
                .map(CallbackOutcome::Stored)
        }
    }
}

async fn callback<I: Inbox, W: Clock>(
    app: &App<I>,
    world: &W,
    source: &Source,
    front: &HttpEvent<'_>,
    invocation: &Invocation,
    line: &mut InvocationLog,
) -> Result<Receipt, Refusal> {
    let body = front.body()?;
    line.body_bytes = Some(body.len() as u64);
    if body.len() > LONGEST_BODY {
        return Err(Refusal::TooLarge);
    }
    let signatures = front.values(source.kind.signature_header());
    let signatures: Vec<&[u8]> = signatures.into_iter().map(str::as_bytes).collect();
    let (storing, copy, received_at) = (Instant::now(), body.clone(), world.now());
    let patience = deadline::patience(front.requested_at(), invocation.deadline, received_at);
    let callback = Callback {
        source,
        signatures: &signatures,
        body,
        received_at,
    };
    let received = take_in(&*app.inbox, &app.keyring, callback, app.window, patience).await;
    line.storing = Some(storing.elapsed());
    log_unusable_secrets(&app.keyring.take_unusable());
    if let Err(Refusal::Signature(_)) = received {
        line.digest8 = Some(digest8(&copy));
    }
    received
}

fn digest8(body: &Bytes) -> String {
    hex::encode(&Sha256::digest(body)[..4])
}
