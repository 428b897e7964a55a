//! One line of `--json` of a command that changes notifications.

use serde::Serialize;

use super::{CommandError, output::CommandOutput, row::json};
use pillarbox::{
    domain::Key,
    inbox::{AuditAction, InboxError},
};

/// The result for one notification. The names are stable.
#[derive(Serialize)]
pub(super) struct JsonAct<'a> {
    /// Its line in an imported file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) line: Option<usize>,
    pub(super) key: Option<&'a str>,
    pub(super) action: &'static str,
    pub(super) dry_run: bool,
    /// Whether it is done, or would be.
    pub(super) done: bool,
    /// Why not.
    pub(super) reason: Option<String>,
}

impl<'a> JsonAct<'a> {
    /// `reason` is `None` if it is done.
    pub(super) fn new(action: AuditAction, key: Option<&'a str>, reason: Option<String>) -> Self {
        Self {
            line: None,
            key,
            action: action.as_str(),
            dry_run: false,
            done: reason.is_none(),
            reason,
        }
    }

    pub(super) fn print(&self, output: &mut CommandOutput) -> Result<(), CommandError> {
        Ok(output.data(&json(self)?)?)
    }
}

/// Rows that cannot be read: the key, the verdict, and the reason.
pub(super) fn unreadable<'a>(
    newer: &'a [Key],
    damaged: &'a [InboxError],
) -> impl Iterator<Item = (Option<&'a str>, &'static str, String)> {
    let newer = newer.iter().map(|key| {
        let why = "a newer Pillarbox wrote it".to_owned();
        (Some(key.as_str()), "newer", why)
    });
    let damaged = damaged.iter().map(|error| {
        let key = match error {
            InboxError::Damaged { key, .. } => Some(key.as_str()),
            _ => None,
        };
        (key, "broken", error.to_string())
    });
    newer.chain(damaged)
}
