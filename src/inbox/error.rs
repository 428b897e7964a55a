//! What can go wrong with an inbox, told apart only where its caller acts differently.

use crate::domain::Key;

/// Why an inbox could not do what it was asked. Nothing was changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum InboxError {
    /// It can't be reached, read or written now; trying again may help.
    #[error("the inbox can't be used right now: {0}")]
    Unavailable(String),
    /// A row was written by a later version than this one, and is left alone.
    #[error("{key} has row version {found}, newer than this program knows: run a newer Pillarbox")]
    NewerRow {
        /// The row.
        key: Key,
        /// Its version.
        found: u32,
    },
    /// A row can't be what we wrote.
    #[error("{key} is damaged: {what}")]
    Damaged {
        /// The row.
        key: Key,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Two different contents have the same conflict key; nothing was stored.
    #[error("{key} is taken by a third content: keep the request and report this")]
    ConflictTaken {
        /// The key that is taken.
        key: Key,
    },
}
