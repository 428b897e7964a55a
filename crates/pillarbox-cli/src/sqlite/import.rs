//! Imports rows of another inbox.

use rusqlite::{Connection, named_params};

use super::{
    change::{MAX_INLINE_BYTES, content_digest, index_partition, insert_separate_body},
    connection::SqliteError,
    search,
};
use pillarbox::{
    domain::Timestamp,
    inbox::{ImportOutcome, ROW_VERSION, Row, StoredBody},
    senders::SecretFingerprint,
};

/// Stores the row and its packed body, if its key is free.
pub(super) fn import(
    db: &mut Connection,
    row: &Row,
    body: Option<&StoredBody>,
) -> Result<ImportOutcome, SqliteError> {
    let savepoint = db.savepoint()?; // no row is stored without its body
    let is_long = |body: &&StoredBody| body.bytes.len() > MAX_INLINE_BYTES;
    let long = body.filter(is_long);
    let inline = body.filter(|body| !is_long(body));
    let is_deflated = body.is_some_and(|body| body.deflated);
    if !insert(&savepoint, row, is_deflated, inline)? {
        let stored = content_digest(&savepoint, &row.key)?;
        return Ok(ImportOutcome::of_stored(stored, row));
    }
    if let Some(body) = long {
        insert_separate_body(&savepoint, body)?;
    }
    search::set_reference(&savepoint, row)?;
    savepoint.commit()?;
    Ok(ImportOutcome::Stored)
}

fn insert(
    db: &Connection,
    row: &Row,
    is_deflated: bool,
    inline: Option<&StoredBody>,
) -> Result<bool, rusqlite::Error> {
    let mut insert = db.prepare_cached(
        "INSERT INTO notification (pk, v, state, reason, attempts, budget_from, shelf, due_at, \
         expires_at, origin, kind,
             event_type, subject, event_at, received_at, signature, key_label, \
              secret_fingerprint, digest, content_digest, last_error, history, \
               deflated, body)
         VALUES (:pk, :v, :state, :reason, :attempts, :budget_from, :shelf, :due_at, \
              :expires_at, :origin, :kind,
             :event_type, :subject, :event_at, :received_at, :signature, :key_label, \
              :secret_fingerprint, :digest, :content_digest, :last_error, :history, \
               :deflated, :body)
         ON CONFLICT (pk) DO NOTHING",
    )?;
    let changed = insert.execute(named_params! {
        ":pk": row.key.as_str(),
        ":v": ROW_VERSION,
        ":state": row.state.as_str(),
        ":reason": row.reason,
        ":attempts": row.attempts,
        ":budget_from": row.budget_from.as_millis(),
        ":shelf": index_partition(row.state),
        ":due_at": row.due_at.map(Timestamp::as_millis),
        ":expires_at": row.expires_at.map(Timestamp::as_millis),
        ":origin": row.origin.as_str(),
        ":kind": row.kind.as_str(),
        ":event_type": row.event_type,
        ":subject": row.subject,
        ":event_at": row.event_at.map(Timestamp::as_millis),
        ":received_at": row.received_at.as_millis(),
        ":signature": row.signature,
        ":key_label": row.key_label,
        ":secret_fingerprint": row.secret_fingerprint.as_ref().map(SecretFingerprint::as_bytes),
        ":digest": row.digest,
        ":content_digest": row.content_digest,
        ":last_error": row.last_error,
        ":history": row.history.stored(),
        ":deflated": is_deflated,
        ":body": inline.map(|body| &body.bytes[..]),
    })?;
    Ok(changed == 1)
}
