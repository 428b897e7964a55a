//! A row's columns, there and back.

use rusqlite::types::Type;

use super::connection::SqliteError;
use pillarbox::{
    domain::{Key, Origin, State, Timestamp},
    inbox::{InboxError, Lease, LeaseId, ROW_VERSION, Row, StoredBody},
};

/// What every reader of rows selects, in this order; the body comes after it where it is wanted.
pub(super) const COLUMNS: &str = "id, pk, v, state, reason, attempts, lease, lease_until, budget_from, due_at, \
     expires_at, origin, event_type, subject, event_at, received_at, signature, key_label, digest, content_digest, \
     last_error, deflated";

/// Reads the columns of [`COLUMNS`]; the row's place in the order of arrival comes with it.
pub(super) fn row(columns: &rusqlite::Row<'_>) -> Result<(i64, Row), SqliteError> {
    let key: String = columns.get(1)?;
    let key = Key::parse(&key).ok_or_else(|| unfit(1, "a key"))?;
    let found: u32 = columns.get(2)?;
    if found > ROW_VERSION {
        return Err(InboxError::NewerRow { key, found }.into());
    }
    let (state, origin): (String, String) = (columns.get(3)?, columns.get(11)?);
    let lease = match (columns.get::<_, Option<i64>>(6)?, instant(columns, 7)?) {
        (Some(id), Some(until)) => Some(Lease {
            id: LeaseId(id.cast_unsigned()),
            until,
        }),
        _ => None,
    };
    let row = Row {
        key,
        body: None,
        digest: columns.get(18)?,
        content_digest: columns.get(19)?,
        signature: columns.get(16)?,
        key_label: columns.get(17)?,
        event_type: columns.get(12)?,
        subject: columns.get(13)?,
        event_at: instant(columns, 14)?,
        received_at: instant(columns, 15)?.ok_or_else(|| unfit(15, "an instant"))?,
        origin: Origin::parse(&origin).ok_or_else(|| unfit(11, "an origin"))?,
        state: State::parse(&state).ok_or_else(|| unfit(3, "a state"))?,
        reason: columns.get(4)?,
        attempts: columns.get(5)?,
        lease,
        budget_from: instant(columns, 8)?.ok_or_else(|| unfit(8, "an instant"))?,
        last_error: columns.get(20)?,
        due_at: instant(columns, 9)?,
        expires_at: instant(columns, 10)?,
    };
    Ok((columns.get(0)?, row))
}

/// A row whose bytes are still as they are kept: unpacking them is for the reader, not the writer.
pub(super) struct PackedRow {
    row: Row,
    body: Option<StoredBody>,
}

impl PackedRow {
    pub(super) fn unpack(self) -> Result<Row, InboxError> {
        let damaged = || InboxError::Damaged {
            key: self.row.key.clone(),
            what: "its bytes can't be unpacked",
        };
        let body = self
            .body
            .map(|body| body.unpack().map_err(|_| damaged()))
            .transpose()?;
        Ok(Row { body, ..self.row })
    }

    /// For an attempt: bytes that can't be unpacked count as gone, so that the row ends as damaged
    /// where somebody sees it, instead of failing every claim for ever.
    pub(super) fn unpack_for_work(self) -> Row {
        Row {
            body: self.body.and_then(|body| body.unpack().ok()),
            ..self.row
        }
    }
}

/// Reads the columns of [`COLUMNS`] and `body` after them, from the row or from its own table.
pub(super) fn whole_row(
    db: &rusqlite::Connection,
    columns: &rusqlite::Row<'_>,
) -> Result<PackedRow, SqliteError> {
    let (id, row) = row(columns)?;
    let inline: Option<Vec<u8>> = columns.get(22)?;
    let bytes = match inline {
        Some(bytes) => Some(bytes),
        None => beside(db, id)?,
    };
    let deflated: bool = columns.get(21)?;
    let body = bytes.map(|bytes| StoredBody {
        deflated,
        bytes: bytes.into(),
    });
    Ok(PackedRow { row, body })
}

fn beside(db: &rusqlite::Connection, id: i64) -> Result<Option<Vec<u8>>, SqliteError> {
    let mut select = db.prepare_cached("SELECT bytes FROM body WHERE notification = ?1")?;
    let mut rows = select.query([id])?;
    Ok(rows.next()?.map(|row| row.get(0)).transpose()?)
}

fn instant(columns: &rusqlite::Row<'_>, at: usize) -> Result<Option<Timestamp>, rusqlite::Error> {
    Ok(columns
        .get::<_, Option<i64>>(at)?
        .map(Timestamp::from_millis))
}

fn unfit(column: usize, what: &str) -> SqliteError {
    SqliteError::Sqlite(rusqlite::Error::FromSqlConversionFailure(
        column,
        Type::Text,
        format!("a stored value is not {what}").into(),
    ))
}
