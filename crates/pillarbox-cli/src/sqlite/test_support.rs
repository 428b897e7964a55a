//! Reads rows with arbitrary values, for the fuzz targets.

use pillarbox::inbox::{InboxError, Row};
use rusqlite::{Connection, params_from_iter, types::Value};

use super::columns::read_packed_row;

/// The number of columns of a row, including its body.
const COLUMN_COUNT: usize = 27;

/// A value of any type.
#[derive(Clone, Debug)]
pub enum AnyColumn {
    /// No value.
    Null,
    /// An integer.
    Integer(i64),
    /// A floating-point number.
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
    /// Creates a reader.
    ///
    /// # Errors
    /// If SQLite cannot open a database in memory.
    pub fn new() -> Result<Self, rusqlite::Error> {
        let connection = Connection::open_in_memory()?;
        connection.execute_batch("CREATE TABLE body (notification INTEGER, bytes BLOB)")?;
        Ok(Self(connection))
    }

    /// Reads the row that has these values in its columns. Missing values are null.
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
        read_packed_row(&self.0, row)?.unpack()
    }
}
