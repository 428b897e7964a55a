//! Reports the progress of a scan of a whole table, which costs time and money.

use std::{
    io::{IsTerminal, Write, stderr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{CommandError, output::CommandOutput};
use crate::any_inbox::AnyInbox;
use pillarbox::inbox::{
    RowFilter,
    dynamodb::{DynamoInbox, ListStrategy},
};

/// The progress of a scan.
pub(super) struct ScanProgress(Arc<AtomicUsize>);

impl ScanProgress {
    /// If `filter` requires a scan of the whole table, prints a warning and shows the progress.
    pub(super) async fn of(
        inbox: AnyInbox,
        filter: &RowFilter,
        output: &mut CommandOutput,
    ) -> Result<(AnyInbox, Self), CommandError> {
        let read = Arc::new(AtomicUsize::new(0));
        let inbox = match inbox {
            AnyInbox::DynamoDb(table)
                if table.list_strategy(filter).await? == ListStrategy::Scan =>
            {
                output.say(&announcement(&table))?;
                let scanned_items = Arc::clone(&read);
                AnyInbox::DynamoDb(table.with_scan_progress(move |scanned| {
                    show(scanned_items.fetch_add(scanned.items, Ordering::Relaxed) + scanned.items)
                }))
            }
            other => other,
        };
        Ok((inbox, Self(read)))
    }

    /// Removes the progress line.
    pub(super) fn end(&self) {
        if self.0.swap(0, Ordering::Relaxed) > 0 && stderr().is_terminal() {
            let _ = writeln!(stderr());
        }
    }
}

fn announcement(table: &DynamoInbox) -> String {
    format!(
        "Reading the whole of table {}: only open, dead and held rows, and a payment's (--source \
         and --subject), have an index.",
        table.table()
    )
}

fn show(items: usize) {
    if stderr().is_terminal() {
        let _ = write!(stderr(), "\r{items} items read");
    }
}
