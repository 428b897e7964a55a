//! What of a notification's personal data a person saw.
//!
//! A console that may change something writes it to the audit trail, and shows nothing that it
//! could not write. One that only shows, such as one over a read-only copy, writes it to its own
//! log: a person who may read the inbox can read it with other programs, too.

use super::{inbox::ConsoleInbox, page::PageError, state::ConsoleState};
use pillarbox::domain::Key;

/// Notes that `fields` of a notification are shown next.
pub(super) async fn note<I: ConsoleInbox>(
    state: &ConsoleState<I>,
    key: &Key,
    fields: &[String],
) -> Result<(), PageError> {
    if state.changes_allowed() {
        state.operator.unmask(key, &fields.join(", ")).await?;
    }
    tracing::info!(%key, fields = fields.len(), "masked fields shown in the console");
    Ok(())
}
