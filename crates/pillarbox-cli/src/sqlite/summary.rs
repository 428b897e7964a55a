//! A summary of the pending rows, from the indexes alone. Only a few rows with failed attempts are
//! read.

use std::collections::BTreeMap;

use rusqlite::{Connection, Params, Statement, params};

use super::{
    columns::{COLUMNS, read_row, sql_limit},
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
/// The queries that count rows. A covering index answers each.
#[cfg(test)]
pub(super) const COUNTING: [&str; 2] = [RECEIVED, EXPIRED];

/// The summary of the file.
pub(super) fn summary(
    db: &Connection,
    request: &SummaryRequest,
) -> Result<InboxSummary, SqliteError> {
    let (open, overdue) = summarise_state(db, State::Recorded, request)?;
    let (held, _) = summarise_state(db, State::Held, request)?;
    let (dead, _) = summarise_state(db, State::Dead, request)?;
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

/// Summarises the rows in `state`, and counts those that are overdue.
fn summarise_state(
    db: &Connection,
    state: State,
    request: &SummaryRequest,
) -> Result<(StateSummary, usize), SqliteError> {
    let mut select = db.prepare_cached(RECEIVED)?;
    let params = params![state.index_partition(), one_more(request.limit)];
    let times = query_times(&mut select, params)?;
    let counted = times.iter().take(request.limit);
    let overdue = counted.filter(|at| **at < request.overdue_before).count();
    Ok((StateSummary::of_times(times, request.limit), overdue))
}

/// The attempted ones among the open rows whose next attempts are latest.
fn retrying(db: &Connection) -> Result<Vec<Row>, SqliteError> {
    let mut select = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM notification INDEXED BY notification_shelf
         WHERE shelf = 'open:0' ORDER BY due_at DESC LIMIT ?1"
    ))?;
    let mut rows = select.query([sql_limit(MAX_RETRYING_ROWS)])?;
    let mut retrying = Vec::new();
    while let Some(columns) = rows.next()? {
        match read_row(columns) {
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
    let reasons = select.query_map([sql_limit(limit)], |row| {
        Ok((row.get(0)?, row.get::<_, u32>(1)? as usize))
    })?;
    Ok(reasons.collect::<Result<_, _>>()?)
}

/// The expired rows that have not been removed.
fn expired(db: &Connection, request: &SummaryRequest) -> Result<Option<StateSummary>, SqliteError> {
    let mut select = db.prepare_cached(EXPIRED)?;
    let params = params![request.expired_before.as_millis(), one_more(request.limit)];
    let times = query_times(&mut select, params)?;
    let expired = StateSummary::of_times(times, request.limit);
    Ok(Some(expired).filter(|expired| !expired.is_empty()))
}

/// Runs a query of times.
fn query_times(
    select: &mut Statement<'_>,
    params: impl Params,
) -> Result<Vec<Timestamp>, rusqlite::Error> {
    let times = select.query_map(params, |row| Ok(Timestamp::from_millis(row.get(0)?)))?;
    times.collect()
}

/// One more than `limit`, which shows whether there are more.
fn one_more(limit: usize) -> i64 {
    sql_limit(limit).saturating_add(1)
}
