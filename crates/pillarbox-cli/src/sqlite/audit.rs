//! The audit trail of the file.

use rusqlite::{Connection, params};

use super::{columns::sql_limit, connection::SqliteError};
use pillarbox::{
    domain::Timestamp,
    inbox::{AuditAction, AuditEntry, AuditOutcome, InboxError},
};

/// Stores an entry, or replaces the one with the same time and id.
pub(super) fn write(
    db: &Connection,
    entry: &AuditEntry,
    expires_at: Timestamp,
) -> Result<(), SqliteError> {
    let mut insert = db.prepare_cached(
        "INSERT OR REPLACE INTO audit (at, id, actor, action, target, planned, done, outcome, \
         expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    insert.execute(params![
        entry.at.as_millis(),
        entry.id.cast_signed(),
        entry.actor,
        entry.action.as_str(),
        entry.target,
        entry.planned.map(u64::cast_signed),
        entry.done.cast_signed(),
        entry.outcome.as_str(),
        expires_at.as_millis(),
    ])?;
    Ok(())
}

/// The newest entries since a time, newest first.
pub(super) fn entries(
    db: &Connection,
    since: Option<Timestamp>,
    limit: usize,
) -> Result<Vec<AuditEntry>, SqliteError> {
    let mut select = db.prepare_cached(
        "SELECT at, id, actor, action, target, planned, done, outcome FROM audit
         WHERE at >= ?1 ORDER BY at DESC, id DESC LIMIT ?2",
    )?;
    let since = since.map_or(0, Timestamp::as_millis);
    let mut rows = select.query(params![since, sql_limit(limit)])?;
    let mut entries = Vec::new();
    while let Some(columns) = rows.next()? {
        entries.push(read_entry(columns)?);
    }
    Ok(entries)
}

fn read_entry(columns: &rusqlite::Row<'_>) -> Result<AuditEntry, SqliteError> {
    let (action, outcome): (String, String) = (columns.get(3)?, columns.get(7)?);
    let unknown = || InboxError::Unavailable("an audit entry is damaged".to_owned());
    Ok(AuditEntry {
        at: Timestamp::from_millis(columns.get(0)?),
        id: columns.get::<_, i64>(1)?.cast_unsigned(),
        actor: columns.get(2)?,
        action: AuditAction::parse(&action).ok_or_else(unknown)?,
        target: columns.get(4)?,
        planned: columns.get::<_, Option<i64>>(5)?.map(i64::cast_unsigned),
        done: columns.get::<_, i64>(6)?.cast_unsigned(),
        outcome: AuditOutcome::parse(&outcome).ok_or_else(unknown)?,
    })
}

/// Removes at most `limit` expired entries; returns how many.
pub(super) fn purge(db: &Connection, now: i64, limit: i64) -> Result<usize, SqliteError> {
    let mut delete = db.prepare_cached(
        "DELETE FROM audit WHERE (at, id) IN
             (SELECT at, id FROM audit WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
    )?;
    Ok(delete.execute([now, limit])?)
}
