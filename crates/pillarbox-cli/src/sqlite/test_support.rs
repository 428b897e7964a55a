//! Reads rows that no inbox has written, for the fuzz targets.

use pillarbox::inbox::{InboxError, Row};
use rusqlite::{Connection, params_from_iter, types::Value};

use super::columns::packed_row;

/// How many columns a row has, its body included.
const COLUMN_COUNT: usize = 27;

/// A value of any type.
#[derive(Clone, Debug)]
pub enum AnyColumn {
    /// No value.
    Null,
    /// A whole number.
    Integer(i64),
    /// Another number.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl From<AnyColumn> for Value {
    fn from(value: AnyColumn) -> Self {
        match value {
            AnyColumn::Null => Self::Null,
            AnyColumn::Integer(number) => Self::Integer(number),
            AnyColumn::Real(number) => Self::Real(number),
            AnyColumn::Text(text) => Self::Text(text),
            AnyColumn::Bytes(bytes) => Self::Blob(bytes),
        }
    }
}

/// Reads rows of a database in memory.
pub struct ColumnReader(Connection);

impl ColumnReader {
    /// A reader of any values.
    ///
    /// # Errors
    /// If SQLite cannot open a database in memory.
    pub fn new() -> Result<Self, rusqlite::Error> {
        let connection = Connection::open_in_memory()?;
        connection.execute_batch("CREATE TABLE body (notification INTEGER, bytes BLOB)")?;
        Ok(Self(connection))
    }

    /// Reads the row that has these values in its columns; those that are missing are null.
    pub fn read(&self, mut values: Vec<AnyColumn>) -> Result<Row, InboxError> {
        values.resize(COLUMN_COUNT, AnyColumn::Null);
        let marks = vec!["?"; COLUMN_COUNT].join(",");
        let failed = |error: rusqlite::Error| InboxError::Unavailable(error.to_string());
        let select = self.0.prepare_cached(&format!("SELECT {marks}"));
        let mut select = select.map_err(failed)?;
        let values = values.into_iter().map(Value::from);
        let mut rows = select.query(params_from_iter(values)).map_err(failed)?;
        let row = rows.next().map_err(failed)?;
        let row = row.ok_or_else(|| InboxError::Unavailable("no row".to_owned()))?;
        packed_row(&self.0, row)?.unpack()
    }
}
