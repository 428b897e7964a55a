//! Short texts under names: what several processes have to agree on, and none of it a notification.

/// A memo's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KvKey(String);

impl KvKey {
    /// The memo about `what` that belongs to `whose`.
    pub fn new(what: &str, whose: &str) -> Self {
        Self(format!("{what}:{whose}"))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What stands under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvEntry {
    /// Who wrote it and when, so to speak: a random number that whoever writes draws afresh.
    pub version: u64,
    /// What it says; a few hundred kilobytes at most.
    pub text: String,
}

/// How a memo's exchange ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CasOutcome {
    /// It says what it was to say.
    Done,
    /// It was not what its writer had seen. This is what stands there, and goes on standing.
    Refused(Option<KvEntry>),
}

impl CasOutcome {
    /// What a refused exchange comes to: done after all, if what stands there is the very memo that was to be written.
    /// Its answer was lost then, and it was written a second time.
    pub fn refused_by(there: Option<KvEntry>, next: &KvEntry) -> Self {
        if there.as_ref() == Some(next) {
            Self::Done
        } else {
            Self::Refused(there)
        }
    }
}
