//! Reads all rows that match a filter. A table without an index for the filter is scanned, which
//! costs time and money, so the progress is shown.

use std::{
    io::{IsTerminal, Write, stderr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{
    CommandError,
    list::{print_damaged, print_newer},
    output::CommandOutput,
};
use crate::any_inbox::AnyInbox;
use pillarbox::inbox::{
    PageRequest, ReadInbox, RowFilter, RowPage,
    dynamodb::{DynamoInbox, ListStrategy},
};

/// The progress of a scan: the number of items read.
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
                output.info(&announcement(&table))?;
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
    pub(super) fn finish(&self) {
        if self.0.swap(0, Ordering::Relaxed) > 0 && stderr().is_terminal() {
            let _ = writeln!(stderr());
        }
    }
}

/// All rows that match a filter, page by page.
pub(super) struct RowPages<'a> {
    inbox: &'a AnyInbox,
    filter: &'a RowFilter,
    progress: &'a ScanProgress,
    next: Option<PageRequest>,
}

impl<'a> RowPages<'a> {
    pub(super) fn new(
        inbox: &'a AnyInbox,
        filter: &'a RowFilter,
        progress: &'a ScanProgress,
    ) -> Self {
        Self {
            inbox,
            filter,
            progress,
            next: Some(PageRequest::first(inbox.page_rows(usize::MAX))),
        }
    }

    /// Reads the next page, and prints which rows cannot be read.
    pub(super) async fn next(
        &mut self,
        output: &mut CommandOutput,
    ) -> Result<Option<RowPage>, CommandError> {
        let Some(request) = self.next.take() else {
            return Ok(None);
        };
        let limit = request.limit;
        let page = self.inbox.list(self.filter, request).await?;
        self.progress.finish();
        print_newer(&page.newer, output)?;
        print_damaged(&page.damaged, output)?;
        self.next = page.next.clone().map(|after| PageRequest {
            limit,
            after: Some(after),
        });
        Ok(Some(page))
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
