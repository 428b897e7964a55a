//! Searches by one text: the id of a payment, a box or a notification, a key, or the service's own
//! reference.
//!
//! A local file has an index for each. A table has only the ledgers and the pending index, and is
//! never scanned. So on a table, a payment is found by its full id, a box by its open, dead and
//! held rows, and a reference only through Pay's search ([`payments_by_reference`](
//! pillarbox::reconcile::govuk_pay::payments_by_reference)).

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
};

use crate::{
    any_inbox::{AnyInbox, forward},
    payment::PaymentHistory,
    sqlite::SqliteInbox,
};
use pillarbox::{
    domain::{Key, NotificationId, SourceName},
    inbox::{InboxError, ReadInbox, ReconcileInbox, Row, dynamodb::DynamoInbox},
    senders::{SenderKind, SubjectKind},
};

/// The largest number of notifications shown for a box.
const MAX_BOX_ROWS: usize = 20;
/// The largest number of notifications read for a payment.
const MAX_PAYMENT_ROWS: usize = 100;

/// The sources to search, with their kinds.
pub type SearchedSources = [(SourceName, SenderKind)];

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct SearchResult {
    /// Payments: their sources and Pay's ids.
    pub payments: BTreeSet<(SourceName, String)>,
    /// Notifications by their keys, without those of the payments.
    pub rows: BTreeMap<Key, Row>,
    /// What was not searched, in sentences.
    pub notes: Vec<String>,
}

impl SearchResult {
    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.payments.is_empty() && self.rows.is_empty()
    }

    /// Reads the rows of `keys`, and adds those that exist.
    async fn add_rows(
        &mut self,
        inbox: &impl ReadInbox,
        keys: BTreeSet<Key>,
    ) -> Result<(), InboxError> {
        for key in keys {
            if let Some(row) = inbox.get(&key).await? {
                self.add(row);
            }
        }
        Ok(())
    }

    /// Adds the payment of a row, or the row if it has none.
    fn add(&mut self, row: Row) {
        let source = SourceName::new(row.key.source());
        match (source, &row.subject) {
            (Some(source), Some(payment)) if row.kind.envelope.subject == SubjectKind::Payment => {
                self.payments.insert((source, payment.clone()));
            }
            _ => {
                self.rows.insert(row.key.clone(), row);
            }
        }
    }
}

/// An inbox that can be searched without a scan.
pub trait SearchInbox: ReadInbox + ReconcileInbox {
    /// Searches `sources` for `text`.
    fn search(
        &self,
        text: &str,
        sources: &SearchedSources,
    ) -> impl Future<Output = Result<SearchResult, InboxError>> + Send;

    /// The keys of the notifications of one payment.
    fn payment_keys(
        &self,
        source: &SourceName,
        payment: &str,
    ) -> impl Future<Output = Result<Vec<Key>, InboxError>> + Send;
}

/// Reads the history of a payment.
///
/// # Errors
/// If the inbox cannot be read.
pub async fn read_payment_history(
    inbox: &impl SearchInbox,
    source: &SourceName,
    payment: &str,
) -> Result<PaymentHistory, InboxError> {
    let mut keys = inbox.payment_keys(source, payment).await?;
    keys.truncate(MAX_PAYMENT_ROWS);
    let ledger = inbox.ledger_entries(source, payment).await?;
    let mut rows = Vec::new();
    for key in keys {
        rows.extend(inbox.get(&key).await?);
    }
    Ok(PaymentHistory::new(
        source.as_str(),
        payment,
        &rows,
        &ledger,
    ))
}

impl SearchInbox for SqliteInbox {
    async fn search(
        &self,
        text: &str,
        sources: &SearchedSources,
    ) -> Result<SearchResult, InboxError> {
        let names: Vec<SourceName> = sources.iter().map(|(name, _)| name.clone()).collect();
        let found = self.find(text, &names).await?;
        let mut result = SearchResult::default();
        let keys = found.keys.into_iter().chain(Key::parse(text));
        result.add_rows(self, keys.collect()).await?;
        result.payments.extend(found.payments);
        if found.is_incomplete {
            result.notes.push(
                "Older notifications are not found by their reference yet: serve is indexing them."
                    .to_owned(),
            );
        }
        Ok(result)
    }

    async fn payment_keys(
        &self,
        source: &SourceName,
        payment: &str,
    ) -> Result<Vec<Key>, InboxError> {
        Self::payment_keys(self, source, payment).await
    }
}

impl SearchInbox for DynamoInbox {
    async fn search(
        &self,
        text: &str,
        sources: &SearchedSources,
    ) -> Result<SearchResult, InboxError> {
        let mut result = SearchResult::default();
        let id = NotificationId::new(text);
        let of_source =
            |(source, _): &(SourceName, SenderKind)| Some(Key::new(source, id.as_ref()?));
        let keys = sources.iter().filter_map(of_source).chain(Key::parse(text));
        result.add_rows(self, keys.collect()).await?;
        for (source, kind) in sources {
            let keys = self.payment_keys(source, text).await?;
            if keys.is_empty() {
                continue;
            }
            if kind.envelope.subject == SubjectKind::Payment {
                result.payments.insert((source.clone(), text.to_owned()));
                continue;
            }
            for key in keys.iter().take(MAX_BOX_ROWS) {
                if let Some(row) = self.get(key).await? {
                    result.add(row);
                }
            }
            result.notes.push(format!(
                "Only open, dead and held notifications of the box are shown; `pillarbox list \
                 --source {source} --subject {text}` reads the whole table for the others."
            ));
        }
        Ok(result)
    }

    async fn payment_keys(
        &self,
        source: &SourceName,
        payment: &str,
    ) -> Result<Vec<Key>, InboxError> {
        // The pending index first: a row that leaves it meanwhile is already in the ledger.
        let subjects = BTreeSet::from([payment.to_owned()]);
        let pending = self.pending_events(source, &subjects).await?;
        let ledger = self.ledger_entries(source, payment).await?;
        let mut keys: Vec<Key> = pending.into_iter().map(|event| event.key).collect();
        keys.extend(ledger.into_iter().map(|entry| entry.owner));
        keys.sort();
        keys.dedup();
        Ok(keys)
    }
}

impl SearchInbox for AnyInbox {
    forward! {
        search(text: &str, sources: &SearchedSources) -> SearchResult;
        payment_keys(source: &SourceName, payment: &str) -> Vec<Key>;
    }
}
