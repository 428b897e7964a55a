//! A small key-value store with compare-and-swap, for state that processes share: locks, rate
//! limits, checkpoints.
//!
//! Every write has a new random version and names the version that it replaces. If several writers
//! have read the same entry, one succeeds and the others read again. A writer that lost the reply
//! recognises its own version in the stored entry, so a write can be repeated.

/// The key of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KvKey(String);

impl KvKey {
    /// The key `{kind}:{scope}`.
    pub fn new(kind: &str, scope: &str) -> Self {
        Self(format!("{kind}:{scope}"))
    }

    /// `{kind}:{scope}`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An entry of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvEntry {
    /// A new random number for each write.
    pub version: u64,
    /// At most a few hundred kilobytes.
    pub text: String,
}

/// The outcome of a compare-and-swap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CasOutcome {
    /// The entry is stored.
    Stored,
    /// The stored entry has a different version than expected, and was not replaced.
    Conflict(Option<KvEntry>),
}

impl CasOutcome {
    /// The outcome of a write whose condition failed. If `next` is already stored, an earlier
    /// attempt stored it and its reply was lost.
    pub fn of_failed_condition(stored: Option<KvEntry>, next: &KvEntry) -> Self {
        if stored.as_ref() == Some(next) {
            Self::Stored
        } else {
            Self::Conflict(stored)
        }
    }
}
