//! Errors of an inbox: a variant for each case that a caller handles differently.

use crate::domain::Key;

/// Why an operation failed. Nothing was changed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InboxError {
    /// The inbox cannot be reached, read or written. A retry may succeed.
    #[error("the inbox is unavailable: {0}")]
    Unavailable(String),
    /// A later version of this program wrote the row. It was not changed.
    #[error("{key} has row version {found}, newer than this program knows: run a newer Pillarbox")]
    NewerRow {
        /// The key of the row.
        key: Key,
        /// Its version.
        found: u32,
    },
    /// The stored row differs from what was written.
    #[error("{key} is damaged: {what}")]
    Damaged {
        /// The key of the row.
        key: Key,
        /// The damage.
        what: &'static str,
    },
    /// The conflict key already belongs to other content.
    #[error("{key} is taken by a third content: keep the request and report this")]
    ConflictTaken {
        /// The key that is taken.
        key: Key,
    },
}
