//! Errors of an inbox: a variant for each case that a caller handles differently.

use crate::domain::Key;

/// Why an operation failed. Nothing was changed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InboxError {
    /// The inbox cannot be reached, read or written. A retry may succeed.
    #[error("the inbox is unavailable: {0}")]
    Unavailable(String),
    /// A later version of this program wrote the row, which is left alone.
    #[error("{key} has row version {found}, newer than this program knows: run a newer Pillarbox")]
    NewerRow {
        /// The row.
        key: Key,
        /// Its version.
        found: u32,
    },
    /// The stored row is not what was written.
    #[error("{key} is damaged: {what}")]
    Damaged {
        /// The row.
        key: Key,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A third content has the same conflict key.
    #[error("{key} is taken by a third content: keep the request and report this")]
    ConflictTaken {
        /// The key that is taken.
        key: Key,
    },
}
