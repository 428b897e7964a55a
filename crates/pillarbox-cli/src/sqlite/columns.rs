//! Reads rows from columns.

use rusqlite::{Params, Statement, types::Type};

use super::connection::SqliteError;
use pillarbox::{
    domain::{Key, Origin, State, Timestamp},
    inbox::{DeliveryHistory, InboxError, Lease, LeaseId, ROW_VERSION, Row, StoredBody},
    senders::{SecretFingerprint, SenderKind},
};

/// The columns of a row; a query that needs the body selects it after them.
pub(super) const COLUMNS: &str = "id, pk, v, state, reason, attempts, lease, lease_until, \
 budget_from, due_at, \
     expires_at, origin, event_type, subject, event_at, received_at, signature, key_label, \
      digest, content_digest, \
     last_error, deflated, kind, secret_fingerprint, shelf, history";

/// Reads [`COLUMNS`]. The first column is the id, by which rows are in order of arrival.
///
/// A stored value that cannot be read is an error of the inbox, not of SQLite.
pub(super) fn read_row(columns: &rusqlite::Row<'_>) -> Result<Row, SqliteError> {
    let (id, key): (i64, String) = (columns.get(0)?, columns.get(1)?);
    let Some(key) = Key::parse(&key) else {
        return Err(InboxError::Unavailable(format!("row {id} has an invalid key")).into());
    };
    read_row_of(&key, columns).map_err(|error| match error {
        SqliteError::Sqlite(
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..),
        ) => {
            let what = "a stored value cannot be read";
            InboxError::Damaged { key, what }.into()
        }
        other => other,
    })
}

fn read_row_of(key: &Key, columns: &rusqlite::Row<'_>) -> Result<Row, SqliteError> {
    let found: u32 = columns.get(2)?;
    if found > ROW_VERSION {
        let key = key.clone();
        return Err(InboxError::NewerRow { key, found }.into());
    }
    let state: String = columns.get(3)?;
    let origin: String = columns.get(11)?;
    let kind: String = columns.get(22)?;
    // No claim writes a time without an id. It is read because it prevents every claim of the row.
    let lease_id: Option<i64> = columns.get(6)?;
    let lease = time(columns, 7)?.map(|until| Lease {
        id: LeaseId(lease_id.unwrap_or(0).cast_unsigned()),
        until,
    });
    let fingerprint: Option<Vec<u8>> = columns.get(23)?;
    let history: Option<Vec<u8>> = columns.get(25)?;
    Ok(Row {
        key: key.clone(),
        body: None,
        digest: columns.get(18)?,
        content_digest: columns.get(19)?,
        signature: columns.get(16)?,
        key_label: columns.get(17)?,
        secret_fingerprint: fingerprint.and_then(|bytes| SecretFingerprint::from_bytes(&bytes)),
        kind: SenderKind::parse(&kind).ok_or_else(|| invalid(22, "a kind"))?,
        event_type: columns.get(12)?,
        subject: columns.get(13)?,
        event_at: time(columns, 14)?,
        received_at: time(columns, 15)?.ok_or_else(|| invalid(15, "a time"))?,
        origin: Origin::parse(&origin).ok_or_else(|| invalid(11, "an origin"))?,
        state: State::parse(&state).ok_or_else(|| invalid(3, "a state"))?,
        reason: columns.get(4)?,
        index_partition: columns.get(24)?,
        attempts: columns.get(5)?,
        lease,
        budget_from: time(columns, 8)?.ok_or_else(|| invalid(8, "a time"))?,
        last_error: columns.get(20)?,
        due_at: time(columns, 9)?,
        expires_at: time(columns, 10)?,
        history: history.map_or_else(DeliveryHistory::default, |stored| {
            DeliveryHistory::decode(&stored)
        }),
    })
}

/// A row whose body is still packed, so that the caller and not the writer unpacks it.
pub(super) struct PackedRow {
    row: Row,
    body: Option<StoredBody>,
}

impl PackedRow {
    pub(super) fn unpack(self) -> Result<Row, InboxError> {
        let damaged = || InboxError::Damaged {
            key: self.row.key.clone(),
            what: "its bytes cannot be unpacked",
        };
        let body = self
            .body
            .map(|body| body.unpack().map_err(|_| damaged()))
            .transpose()?;
        Ok(Row { body, ..self.row })
    }

    /// Unpacks the row for a delivery attempt. A body that cannot be unpacked counts as missing, so
    /// that the row becomes dead as damaged instead of failing every claim.
    pub(super) fn unpack_for_attempt(self) -> Row {
        Row {
            body: self.body.and_then(|body| body.unpack().ok()),
            ..self.row
        }
    }
}

/// Reads [`COLUMNS`] and then the body, from the row or from the table `body`.
pub(super) fn read_packed_row(
    db: &rusqlite::Connection,
    columns: &rusqlite::Row<'_>,
) -> Result<PackedRow, SqliteError> {
    let (id, row) = (columns.get(0)?, read_row(columns)?);
    let inline: Option<Vec<u8>> = columns.get(26)?;
    let bytes = match inline {
        Some(bytes) => Some(bytes),
        None => read_separate_body(db, id)?,
    };
    let deflated: bool = columns.get(21)?;
    let body = bytes.map(|bytes| StoredBody {
        deflated,
        bytes: bytes.into(),
    });
    Ok(PackedRow { row, body })
}

fn read_separate_body(db: &rusqlite::Connection, id: i64) -> Result<Option<Vec<u8>>, SqliteError> {
    let mut select = db.prepare_cached("SELECT bytes FROM body WHERE notification = ?1")?;
    let mut rows = select.query([id])?;
    Ok(rows.next()?.map(|row| row.get(0)).transpose()?)
}

/// Runs a query of keys. A key that cannot be parsed is left out.
pub(super) fn query_keys(
    select: &mut Statement<'_>,
    params: impl Params,
) -> Result<Vec<Key>, SqliteError> {
    let keys = select.query_map(params, |row| row.get::<_, String>(0))?;
    let keys = keys.map(|key| Ok(Key::parse(&key?)));
    keys.filter_map(Result::transpose).collect()
}

/// A number of rows as a parameter of a statement.
pub(super) fn sql_limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

fn time(columns: &rusqlite::Row<'_>, at: usize) -> Result<Option<Timestamp>, rusqlite::Error> {
    let millis: Option<i64> = columns.get(at)?;
    Ok(millis.map(Timestamp::from_millis))
}

fn invalid(column: usize, what: &str) -> SqliteError {
    SqliteError::Sqlite(rusqlite::Error::FromSqlConversionFailure(
        column,
        Type::Text,
        format!("a stored value is not {what}").into(),
    ))
}
