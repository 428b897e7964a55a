//! Records which personal data of a notification a person saw.
//!
//! A console that allows changes writes it to the audit trail, and shows nothing that it could not
//! write. A read-only console, such as one over a copy, writes it to its log alone: a person who
//! may read the inbox can read it with other programs, too.

use super::{inbox::ConsoleInbox, page::PageError, state::ConsoleState};
use pillarbox::domain::Key;

/// Records that `fields` of a notification are about to be shown.
pub(super) async fn record<I: ConsoleInbox>(
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
