//! Changes to the file. Each is one or a few statements inside the writer's transaction.

#[cfg(test)]
mod tests;

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, named_params, params};

use super::{
    audit,
    columns::{COLUMNS, PackedRow, read_packed_row, read_row, sql_limit},
    connection::SqliteError,
    expiry::{BATCH_BYTES, PurgedBatch},
    search,
};
use pillarbox::{
    domain::{Key, SourceName, State, Timestamp},
    inbox::{
        CasOutcome, Claim, DiscardOutcome, DiscardRequest, EventClaim, Fence, InboxError, KvEntry,
        KvKey, MAX_AHEAD, MAX_BACKOFF, Mark, MarkOutcome, ROW_VERSION, RecordOutcome,
        ReplayOutcome, Row, StoredBody,
    },
    senders::{Entry, EventName, SecretFingerprint},
};

/// Longer stored bodies are in the table `body`.
pub(super) const MAX_INLINE_BYTES: usize = 8 * 1024;
/// The index partition of open rows. SQLite has one shard, since there is one machine.
const OPEN_PARTITION: &str = "open:0";

/// An entry whose body is already compressed, so that the writer need not do it.
pub(super) struct PreparedInsert {
    entry: Entry,
    body: StoredBody,
    /// The service's own reference, for searches.
    reference: Option<String>,
}

impl PreparedInsert {
    pub(super) fn new(entry: &Entry) -> Self {
        Self {
            body: StoredBody::pack(&entry.body),
            reference: (entry.kind.envelope.payment)(&entry.event_type, &entry.body)
                .and_then(|facts| facts.reference),
            entry: entry.clone(),
        }
    }
}

/// Stores the entry, or finds what is stored under its key.
pub(super) fn record(
    db: &mut Connection,
    prepared: &PreparedInsert,
) -> Result<RecordOutcome, SqliteError> {
    if insert(db, &prepared.entry, prepared)? {
        return Ok(RecordOutcome::First);
    }
    if content_digest(db, &prepared.entry.key)? == Some(prepared.entry.content_digest) {
        return Ok(RecordOutcome::Duplicate);
    }
    let conflict = prepared.entry.as_conflict();
    if insert(db, &conflict, prepared)? {
        return Ok(RecordOutcome::Conflict(conflict.key));
    }
    if content_digest(db, &conflict.key)? == Some(conflict.content_digest) {
        return Ok(RecordOutcome::Duplicate);
    }
    Err(InboxError::ConflictTaken { key: conflict.key }.into())
}

/// Inserts a row, and a long body beside it; false if the key is taken.
fn insert(
    db: &mut Connection,
    entry: &Entry,
    prepared: &PreparedInsert,
) -> Result<bool, SqliteError> {
    let body = &prepared.body;
    if body.bytes.len() <= MAX_INLINE_BYTES {
        return Ok(insert_row(db, entry, prepared, Some(&body.bytes))?);
    }
    let savepoint = db.savepoint()?; // no row is stored without its body
    let first = insert_row(&savepoint, entry, prepared, None)?;
    if first {
        insert_separate_body(&savepoint, body)?;
    }
    savepoint.commit()?;
    Ok(first)
}

/// Stores the body of the row that was just inserted in the table `body`.
pub(super) fn insert_separate_body(
    db: &Connection,
    body: &StoredBody,
) -> Result<(), rusqlite::Error> {
    let mut insert = db.prepare_cached(
        "INSERT INTO body (notification, bytes) VALUES (last_insert_rowid(), ?1)",
    )?;
    insert.execute([&body.bytes[..]]).map(drop)
}

fn insert_row(
    db: &Connection,
    entry: &Entry,
    prepared: &PreparedInsert,
    inline: Option<&[u8]>,
) -> Result<bool, rusqlite::Error> {
    let state = if entry.held.is_some() {
        State::Held
    } else {
        State::Recorded
    };
    let reference = prepared.reference.as_deref();
    let reference = reference
        .map(|text| search::reference_digest(db, text))
        .transpose()?;
    let mut insert = db.prepare_cached(
        "INSERT INTO notification (pk, v, state, reason, attempts, budget_from, shelf, due_at, \
         origin, kind,
             event_type, subject, event_at, received_at, signature, key_label, \
              secret_fingerprint, digest, content_digest, deflated, reference, body)
         VALUES (:pk, :v, :state, :reason, 0, :at, :shelf, :at, :origin, :kind,
             :event_type, :subject, :event_at, :at, :signature, :key_label, \
              :secret_fingerprint, :digest, :content_digest, :deflated, :reference, :body)
         ON CONFLICT (pk) DO NOTHING",
    )?;
    let changed = insert.execute(named_params! {
        ":pk": entry.key.as_str(),
        ":v": ROW_VERSION,
        ":state": state.as_str(),
        ":reason": entry.held.map(|reason| reason.as_str()),
        ":at": entry.received_at.as_millis(),
        ":shelf": index_partition(state),
        ":origin": entry.origin.as_str(),
        ":kind": entry.kind.as_str(),
        ":event_type": entry.event_type,
        ":subject": entry.subject,
        ":event_at": entry.event_at.map(Timestamp::as_millis),
        ":signature": entry.signature,
        ":key_label": entry.key_label,
        ":secret_fingerprint": entry.secret_fingerprint.as_ref().map(SecretFingerprint::as_bytes),
        ":digest": entry.digest,
        ":content_digest": entry.content_digest,
        ":deflated": prepared.body.deflated,
        ":reference": reference,
        ":body": inline,
    })?;
    Ok(changed == 1)
}

pub(super) fn content_digest(
    db: &Connection,
    key: &Key,
) -> Result<Option<[u8; 32]>, rusqlite::Error> {
    let mut select = db.prepare_cached("SELECT content_digest FROM notification WHERE pk = ?1")?;
    select
        .query_row([key.as_str()], |row| row.get(0))
        .optional()
}

/// Claims the row for one attempt, if it is open, due and not leased.
pub(super) fn claim(
    db: &Connection,
    key: &Key,
    claim: &Claim,
) -> Result<Option<PackedRow>, SqliteError> {
    let mut update = db.prepare_cached(&format!(
        "UPDATE notification SET
             attempts = attempts + 1, lease = :lease, lease_until = :until,
             due_at = iif(attempts = 0, due_at,
                 :now + min(:backoff << min(attempts - 1, 20), :max)),
             budget_from = iif(attempts = 0, budget_from, min(budget_from, :now))
         WHERE pk = :pk AND state = 'recorded' AND v <= :v
             AND (lease_until IS NULL OR lease_until <= :now OR lease_until > :ahead)
             AND (attempts = 0 OR due_at <= :now OR due_at > :ahead)
         RETURNING {COLUMNS}, body"
    ))?;
    let mut rows = update.query(named_params! {
        ":pk": key.as_str(),
        ":v": ROW_VERSION,
        ":lease": claim.lease.id.0.cast_signed(),
        ":until": claim.lease.until.as_millis(),
        ":now": claim.now.as_millis(),
        ":ahead": claim.now.plus(MAX_AHEAD).as_millis(),
        ":backoff": millis(claim.first_backoff.min(MAX_BACKOFF)),
        ":max": millis(MAX_BACKOFF),
    })?;
    let Some(columns) = rows.next()? else {
        return Ok(None);
    };
    read_packed_row(db, columns).map(Some)
}

/// Claims the event for `key`, unless another key holds it.
pub(super) fn claim_event(
    db: &Connection,
    event: &EventName,
    key: &Key,
    expires_at: Timestamp,
) -> Result<EventClaim, SqliteError> {
    let mut insert = db.prepare_cached(
        "INSERT INTO subject (source, subject, event, owner, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO NOTHING",
    )?;
    let expires_at = expires_at.as_millis();
    if insert.execute(params![
        event.source,
        event.subject,
        event.event,
        key.as_str(),
        expires_at
    ])? == 1
    {
        // The whole ledger of a payment expires together, after its last event.
        let mut rest = db.prepare_cached(
            "UPDATE subject SET expires_at = ?3 WHERE source = ?1 AND subject = ?2 AND expires_at \
             < ?3",
        )?;
        rest.execute(params![event.source, event.subject, expires_at])?;
        return Ok(EventClaim::Acquired);
    }
    let mut select = db.prepare_cached(
        "SELECT owner FROM subject WHERE source = ?1 AND subject = ?2 AND event = ?3",
    )?;
    let owner: String = select
        .query_row(params![event.source, event.subject, event.event], |row| {
            row.get(0)
        })?;
    match Key::parse(&owner) {
        Some(owner) if owner != *key => Ok(EventClaim::HeldBy(owner)),
        _ => Ok(EventClaim::Acquired),
    }
}

/// Writes how an attempt ended, if its claim is still valid.
pub(super) fn mark(
    db: &Connection,
    fence: &Fence,
    mark: &Mark,
) -> Result<MarkOutcome, SqliteError> {
    let (state, reason, error, due_at, expires_at) = match mark {
        Mark::Delivered { expires_at } => (State::Delivered, None, None, None, Some(expires_at)),
        Mark::Repeat { of, expires_at } => (
            State::Repeat,
            Some(of.as_str()),
            None,
            None,
            Some(expires_at),
        ),
        Mark::Retry { due_at, error } => (State::Recorded, None, Some(error), Some(due_at), None),
        Mark::Dead { reason, error, at } => (
            State::Dead,
            Some(reason.as_str()),
            Some(error),
            Some(at),
            None,
        ),
        Mark::Held { reason, at } => (State::Held, Some(reason.as_str()), None, Some(at), None),
    };
    let mut update = db.prepare_cached(
        "UPDATE notification SET state = :state, reason = :reason, \
         last_error = iif(:finished, NULL, coalesce(:error, last_error)),
             history = :history,
             shelf = :shelf, due_at = :due_at, expires_at = :expires_at, lease = NULL, \
              lease_until = NULL
         WHERE pk = :pk AND state = 'recorded' AND attempts = :attempt AND lease = :lease",
    )?;
    let changed = update.execute(named_params! {
        ":pk": fence.key.as_str(),
        ":attempt": fence.attempt,
        ":lease": fence.lease.0.cast_signed(),
        ":state": state.as_str(),
        ":reason": reason,
        ":error": error,
        ":finished": state.is_finished(),
        ":history": fence.history.stored(),
        ":shelf": index_partition(state),
        ":due_at": due_at.map(|at| at.as_millis()),
        ":expires_at": expires_at.map(|at| at.as_millis()),
    })?;
    Ok(match changed {
        0 if state_of(db, &fence.key)? == Some(State::Discarded) => MarkOutcome::Discarded,
        0 => MarkOutcome::Lost,
        _ => MarkOutcome::Done,
    })
}

/// Sets a row back to recorded.
pub(super) fn replay(
    db: &Connection,
    key: &Key,
    now: Timestamp,
) -> Result<ReplayOutcome, SqliteError> {
    let Some(mut row) = find(db, key)? else {
        return Ok(ReplayOutcome::Absent);
    };
    if let Err(why) = row.replayable(now) {
        return Ok(ReplayOutcome::Refused(why));
    }
    row.history.add_replay(now, row.attempts);
    let mut update = db.prepare_cached(
        "UPDATE notification SET state = 'recorded', reason = NULL, attempts = 0, lease = NULL, \
         lease_until = NULL, last_error = NULL, history = :history,
             budget_from = :now, due_at = :now, shelf = :open, expires_at = NULL
         WHERE pk = :pk",
    )?;
    update.execute(named_params! {
        ":pk": key.as_str(),
        ":history": row.history.stored(),
        ":now": now.as_millis(),
        ":open": OPEN_PARTITION,
    })?;
    Ok(ReplayOutcome::Done)
}

/// Ends a row for good, and erases every copy of its bytes on request.
pub(super) fn discard(
    db: &Connection,
    key: &Key,
    request: &DiscardRequest,
) -> Result<DiscardOutcome, SqliteError> {
    let Some(mut row) = find(db, key)? else {
        return Ok(DiscardOutcome::Absent);
    };
    if let Err(why) = row.discardable(request.erase, request.now) {
        return Ok(DiscardOutcome::Refused(why));
    }
    row.history
        .add_discard(request.now, row.attempts, request.erase);
    let mut update = db.prepare_cached(
        "UPDATE notification SET state = 'discarded', reason = iif(state = 'delivered', state, \
         reason),
             shelf = NULL, due_at = NULL, expires_at = :expires_at, lease = NULL, lease_until = \
              NULL,
             history = :history, body = iif(:erase, NULL, body)
         WHERE pk = :pk",
    )?;
    update.execute(named_params! {
        ":pk": key.as_str(),
        ":erase": request.erase,
        ":history": row.history.stored(),
        ":expires_at": request.expires_at.as_millis(),
    })?;
    if request.erase {
        let mut update =
            db.prepare_cached("UPDATE notification SET reference = NULL WHERE pk = ?1")?;
        update.execute([key.as_str()])?;
        let mut delete = db.prepare_cached(
            "DELETE FROM body WHERE notification = (SELECT id FROM notification WHERE pk = ?1)",
        )?;
        delete.execute([key.as_str()])?;
    }
    Ok(DiscardOutcome::Done)
}

/// Sets when a source last sent something to `at`, unless a later time is stored.
pub(super) fn record_last_received(
    db: &Connection,
    source: &SourceName,
    at: Timestamp,
) -> Result<(), SqliteError> {
    let mut upsert = db.prepare_cached(
        "INSERT INTO source (name, heard_at) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET heard_at = excluded.heard_at WHERE excluded.heard_at > \
          heard_at",
    )?;
    upsert.execute(params![source.as_str(), at.as_millis()])?;
    Ok(())
}

/// Stores `next`, if the current entry has the expected version.
pub(super) fn compare_and_swap(
    db: &Connection,
    key: &KvKey,
    expected_version: Option<u64>,
    next: &KvEntry,
) -> Result<CasOutcome, SqliteError> {
    let version = next.version.cast_signed();
    let changed = match expected_version {
        None => {
            let mut insert = db.prepare_cached(
                "INSERT INTO memo (name, version, text) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            )?;
            insert.execute(params![key.as_str(), version, next.text])?
        }
        Some(expected) => {
            let mut update = db.prepare_cached(
                "UPDATE memo SET version = ?2, text = ?3 WHERE name = ?1 AND version = ?4",
            )?;
            update.execute(params![
                key.as_str(),
                version,
                next.text,
                expected.cast_signed()
            ])?
        }
    };
    if changed == 1 {
        Ok(CasOutcome::Stored)
    } else {
        let stored = super::query::kv_get(db, key)?;
        Ok(CasOutcome::of_failed_condition(stored, next))
    }
}

/// Releases every lease.
pub(super) fn release_leases(db: &mut Connection) -> Result<usize, SqliteError> {
    Ok(db.execute(
        "UPDATE notification SET lease = NULL, lease_until = NULL WHERE shelf = ?1 AND lease IS \
         NOT NULL",
        [OPEN_PARTITION],
    )?)
}

/// Removes a batch of expired rows with their bodies, of expired ledger entries, and of expired
/// audit entries.
pub(super) fn purge(
    db: &Connection,
    now: Timestamp,
    limit: usize,
) -> Result<PurgedBatch, SqliteError> {
    let (now, max_rows) = (now.as_millis(), sql_limit(limit));
    let mut select = db.prepare_cached(
        "SELECT id, coalesce(length(bytes), 0) FROM notification LEFT JOIN body ON id = \
         notification
         WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2",
    )?;
    let (mut expired, mut bytes) = (Vec::new(), 0);
    let mut rows = select.query([now, max_rows])?;
    while bytes < BATCH_BYTES
        && let Some(row) = rows.next()?
    {
        expired.push(row.get::<_, i64>(0)?);
        bytes += row.get::<_, i64>(1)?.unsigned_abs();
    }
    drop(rows);
    let mut delete = db.prepare_cached("DELETE FROM notification WHERE id = ?1")?;
    for id in &expired {
        delete.execute([id])?;
    }
    let mut delete = db.prepare_cached(
        "DELETE FROM subject WHERE (source, subject, event) IN
             (SELECT source, subject, event FROM subject WHERE expires_at <= ?1 ORDER BY \
              expires_at LIMIT ?2)",
    )?;
    let ledger_entries = delete.execute([now, max_rows])?;
    let audit_entries = audit::purge(db, now, max_rows)?;
    Ok(PurgedBatch {
        rows: expired.len(),
        is_last: expired.len() < limit
            && bytes < BATCH_BYTES
            && ledger_entries.max(audit_entries) < limit,
    })
}

/// Reads a row without its body, because the body may be damaged.
fn find(db: &Connection, key: &Key) -> Result<Option<Row>, SqliteError> {
    let mut select =
        db.prepare_cached(&format!("SELECT {COLUMNS} FROM notification WHERE pk = ?1"))?;
    let mut rows = select.query([key.as_str()])?;
    rows.next()?.map(read_row).transpose()
}

/// The state of a row; a row of a later version is an error.
fn state_of(db: &Connection, key: &Key) -> Result<Option<State>, SqliteError> {
    let mut select = db.prepare_cached("SELECT v, state FROM notification WHERE pk = ?1")?;
    let found: Option<(u32, String)> = select
        .query_row([key.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match found {
        None => Ok(None),
        Some((found, _)) if found > ROW_VERSION => Err(InboxError::NewerRow {
            key: key.clone(),
            found,
        }
        .into()),
        Some((_, state)) => Ok(State::parse(&state)),
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn index_partition(state: State) -> Option<String> {
    state
        .index_partition()
        .map(|partition| format!("{partition}:0"))
}
