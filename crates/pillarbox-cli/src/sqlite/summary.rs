//! What waits in the file, from its indexes: no row is read, but for a few that are retried.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::{
    columns::{COLUMNS, row},
    connection::SqliteError,
};
use pillarbox::{
    domain::{State, Timestamp},
    inbox::{InboxError, InboxSummary, MAX_RETRYING_ROWS, Row, StateSummary, SummaryRequest},
};

/// The times of the first rows of a partition.
const RECEIVED: &str = "SELECT received_at FROM notification INDEXED BY notification_shelf
     WHERE shelf = ?1 || ':0' ORDER BY due_at LIMIT ?2";
const REASONS: &str = "SELECT coalesce(reason, ''), count(*) FROM
         (SELECT reason FROM notification INDEXED BY notification_shelf
          WHERE shelf = 'held:0' ORDER BY due_at LIMIT ?1)
     GROUP BY 1";
const EXPIRED: &str = "SELECT expires_at FROM notification WHERE expires_at <= ?1
     ORDER BY expires_at LIMIT ?2";
/// What counts rows, which is a covering index each.
#[cfg(test)]
pub(super) const COUNTING: [&str; 2] = [RECEIVED, EXPIRED];

/// The summary of the file.
pub(super) fn summary(
    db: &Connection,
    request: &SummaryRequest,
) -> Result<InboxSummary, SqliteError> {
    let (open, overdue) = in_state(db, State::Recorded, request)?;
    let (held, _) = in_state(db, State::Held, request)?;
    let (dead, _) = in_state(db, State::Dead, request)?;
    Ok(InboxSummary {
        open,
        overdue,
        retrying: retrying(db)?,
        dead,
        held,
        held_reasons: held_reasons(db, request.limit)?,
        expired: expired(db, request)?,
    })
}

/// The rows in `state`, and how many of them were received before the time for overdue ones.
fn in_state(
    db: &Connection,
    state: State,
    request: &SummaryRequest,
) -> Result<(StateSummary, usize), SqliteError> {
    let mut select = db.prepare_cached(RECEIVED)?;
    let params = params![state.index_partition(), one_more(request.limit)];
    let rows = select.query_map(params, |row| row.get(0))?;
    let times = rows.map(|at| Ok(Timestamp::from_millis(at?)));
    let times: Vec<Timestamp> = times.collect::<Result<_, SqliteError>>()?;
    let counted = times.iter().take(request.limit);
    let overdue = counted.filter(|at| **at < request.overdue_before).count();
    Ok((StateSummary::of_times(times, request.limit), overdue))
}

/// The open rows with the latest next attempts that have been attempted.
fn retrying(db: &Connection) -> Result<Vec<Row>, SqliteError> {
    let mut select = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM notification INDEXED BY notification_shelf
         WHERE shelf = 'open:0' ORDER BY due_at DESC LIMIT ?1"
    ))?;
    let limit = i64::try_from(MAX_RETRYING_ROWS).unwrap_or(i64::MAX);
    let mut rows = select.query([limit])?;
    let mut retrying = Vec::new();
    while let Some(columns) = rows.next()? {
        match row(columns) {
            Ok(row) if row.attempts > 0 => retrying.push(row),
            Ok(_)
            | Err(SqliteError::Inbox(InboxError::NewerRow { .. } | InboxError::Damaged { .. })) => {
            }
            Err(error) => return Err(error),
        }
    }
    Ok(retrying)
}

fn held_reasons(db: &Connection, limit: usize) -> Result<BTreeMap<String, usize>, SqliteError> {
    let mut select = db.prepare_cached(REASONS)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let reasons = select.query_map([limit], |row| {
        Ok((row.get(0)?, row.get::<_, u32>(1)? as usize))
    })?;
    Ok(reasons.collect::<Result<_, _>>()?)
}

/// The rows that should have been removed.
fn expired(db: &Connection, request: &SummaryRequest) -> Result<Option<StateSummary>, SqliteError> {
    let mut select = db.prepare_cached(EXPIRED)?;
    let params = params![request.expired_before.as_millis(), one_more(request.limit)];
    let rows = select.query_map(params, |row| row.get(0))?;
    let times = rows.map(|at| Ok(Timestamp::from_millis(at?)));
    let times: Vec<Timestamp> = times.collect::<Result<_, SqliteError>>()?;
    let expired = StateSummary::of_times(times, request.limit);
    Ok(Some(expired).filter(|expired| !expired.is_empty()))
}

fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}
