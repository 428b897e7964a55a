//! The inbox in memory, for tests: the simplest implementation of the contract.
//!
//! All state is behind one mutex, so every method is one atomic change. Rows have an expiry date,
//! but only [`MemoryInbox::expire`] removes them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

use super::{
    AuditEntry, AuditInbox, BodyCopy, CasOutcome, Claim, DeliveryInbox, DiscardOutcome,
    DiscardRequest, EventClaim, Fence, ImportOutcome, InboxError, InboxSummary, KvEntry, KvKey,
    LedgerEntry, ListCursor, MAX_BACKOFF, MAX_RETRYING_ROWS, Mark, MarkOutcome, OperatorInbox,
    PageRequest, PendingEvent, PendingGauges, ReadInbox, ReceiveInbox, ReconcileInbox,
    RecordOutcome, ReplayOutcome, Row, RowFilter, RowPage, SourceFilter, StateSummary,
    SummaryRequest, SweepStatus, is_due, record_sweep, silent_since,
};
use crate::{
    domain::{Key, SourceName, State, Timestamp},
    senders::{Entry, EventName},
};

/// An inbox that lasts as long as its process.
#[derive(Debug, Default)]
pub struct MemoryInbox(Mutex<MemoryTables>);

#[derive(Debug, Default)]
struct MemoryTables {
    rows: BTreeMap<Key, Row>,
    /// The owner of each event, by source, subject and event.
    ledger: BTreeMap<(String, String, String), Key>,
    last_received: BTreeMap<SourceName, Timestamp>,
    kv: BTreeMap<String, KvEntry>,
    audit: BTreeMap<(Timestamp, u64), AuditEntry>,
}

impl MemoryInbox {
    /// Replaces the bytes of a row to simulate damage; `None` for lost bytes.
    pub fn replace_body(&self, key: &Key, body: Option<Bytes>) {
        if let Some(row) = self.tables().rows.get_mut(key) {
            row.body = body;
        }
    }

    /// Removes the expired rows, as a store does some time after their expiry, and returns them.
    pub fn expire(&self, now: Timestamp) -> Vec<Row> {
        let mut tables = self.tables();
        let is_expired = |_: &Key, row: &mut Row| row.expires_at.is_some_and(|at| at <= now);
        let expired = tables.rows.extract_if(.., is_expired);
        expired.map(|(_, row)| row).collect()
    }

    /// Stores a row in any state. Replaces a row with the same key.
    pub fn put_row(&self, row: Row) {
        self.tables().rows.insert(row.key.clone(), row);
    }

    /// Every row with its bytes, by key.
    pub fn rows(&self) -> Vec<Row> {
        self.tables().rows.values().cloned().collect()
    }

    fn tables(&self) -> MutexGuard<'_, MemoryTables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryTables {
    /// Stores the entry.
    ///
    /// # Errors
    /// If its key is taken, the content digest of the stored row.
    fn insert(&mut self, entry: &Entry) -> Result<(), [u8; 32]> {
        if let Some(taken) = self.rows.get(&entry.key) {
            return Err(taken.content_digest);
        }
        self.rows.insert(entry.key.clone(), Row::new(entry));
        Ok(())
    }

    /// The rows in `state`, by due date.
    fn rows_in(&self, state: State) -> Vec<&Row> {
        let in_state = |row: &&Row| row.state == state;
        let mut rows: Vec<&Row> = self.rows.values().filter(in_state).collect();
        rows.sort_by_key(|row| row.due_at);
        rows
    }

    /// The row, if the claim of `fence` is still valid.
    fn fenced(&mut self, fence: &Fence) -> Option<&mut Row> {
        self.rows.get_mut(&fence.key).filter(|row| {
            row.state == State::Recorded
                && row.attempts == fence.attempt
                && row.lease.is_some_and(|lease| lease.id == fence.lease)
        })
    }
}

fn without_body(row: &Row) -> Row {
    Row {
        body: None,
        ..row.clone()
    }
}

fn is_row_due(row: &Row, now: Timestamp) -> bool {
    row.due_at.is_some_and(|due_at| is_due(due_at, now))
}

impl ReceiveInbox for MemoryInbox {
    async fn record(&self, entry: &Entry) -> Result<RecordOutcome, InboxError> {
        let mut tables = self.tables();
        match tables.insert(entry) {
            Ok(()) => return Ok(RecordOutcome::First),
            Err(stored) if stored == entry.content_digest => return Ok(RecordOutcome::Duplicate),
            Err(_) => {}
        }
        let conflict = entry.as_conflict();
        match tables.insert(&conflict) {
            Ok(()) => Ok(RecordOutcome::Conflict(conflict.key)),
            Err(stored) if stored == conflict.content_digest => Ok(RecordOutcome::Duplicate),
            Err(_) => Err(InboxError::ConflictTaken { key: conflict.key }),
        }
    }

    async fn probe(&self) -> Result<(), InboxError> {
        Ok(())
    }
}

impl DeliveryInbox for MemoryInbox {
    async fn find_due(
        &self,
        sources: &SourceFilter,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Key>, InboxError> {
        let tables = self.tables();
        let due = tables.rows.values().filter(|row| {
            row.state == State::Recorded
                && is_row_due(row, now)
                && !row.is_leased(now)
                && sources.includes(row.key.source())
        });
        let mut due: Vec<&Row> = due.collect();
        due.sort_by_key(|row| row.due_at);
        let keys = due.into_iter().map(|row| row.key.clone());
        Ok(keys.take(limit).collect())
    }

    async fn claim(&self, key: &Key, claim: &Claim) -> Result<Option<(Row, Fence)>, InboxError> {
        let mut tables = self.tables();
        let Some(row) = tables.rows.get_mut(key).filter(|row| {
            row.state == State::Recorded
                && !row.is_leased(claim.now)
                && (row.attempts == 0 || is_row_due(row, claim.now))
        }) else {
            return Ok(None);
        };
        if let Some(doublings) = row.attempts.checked_sub(1) {
            let backoff = claim
                .first_backoff
                .saturating_mul(2u32.saturating_pow(doublings));
            row.due_at = Some(claim.now.plus(backoff.min(MAX_BACKOFF)));
            row.budget_from = row.budget_from.min(claim.now);
        }
        row.attempts += 1;
        row.lease = Some(claim.lease);
        let fence = Fence {
            key: key.clone(),
            attempt: row.attempts,
            lease: claim.lease.id,
            parts: None,
            history: row.history.clone(),
        };
        Ok(Some((row.clone(), fence)))
    }

    async fn claim_event(
        &self,
        event: &EventName,
        key: &Key,
        _: Timestamp,
    ) -> Result<EventClaim, InboxError> {
        let EventName {
            source,
            subject,
            event,
        } = event.clone();
        let mut tables = self.tables();
        let owner = tables
            .ledger
            .entry((source, subject, event))
            .or_insert_with(|| key.clone());
        Ok(if owner == key {
            EventClaim::Acquired
        } else {
            EventClaim::HeldBy(owner.clone())
        })
    }

    async fn mark(&self, fence: &Fence, mark: &Mark) -> Result<MarkOutcome, InboxError> {
        let mut tables = self.tables();
        let Some(row) = tables.fenced(fence) else {
            let row = tables.rows.get(&fence.key);
            let is_discarded = row.is_some_and(|row| row.state == State::Discarded);
            return Ok(if is_discarded {
                MarkOutcome::Discarded
            } else {
                MarkOutcome::Lost
            });
        };
        row.lease = None;
        row.due_at = None;
        row.history = fence.history.clone();
        match mark.clone() {
            Mark::Delivered { expires_at } => {
                row.state = State::Delivered;
                row.last_error = None;
                row.expires_at = Some(expires_at);
            }
            Mark::Repeat { of, expires_at } => {
                row.state = State::Repeat;
                row.last_error = None;
                row.reason = Some(of.to_string());
                row.expires_at = Some(expires_at);
            }
            Mark::Retry { due_at, error } => {
                row.due_at = Some(due_at);
                row.last_error = Some(error);
            }
            Mark::Dead { reason, error, at } => {
                row.state = State::Dead;
                row.reason = Some(reason);
                row.last_error = Some(error);
                row.due_at = Some(at);
            }
            Mark::Held { reason, at } => {
                row.state = State::Held;
                row.reason = Some(reason.to_string());
                row.due_at = Some(at);
            }
        }
        Ok(MarkOutcome::Done)
    }

    async fn record_last_received(
        &self,
        source: &SourceName,
        at: Timestamp,
    ) -> Result<(), InboxError> {
        let mut tables = self.tables();
        let last = tables.last_received.entry(source.clone()).or_insert(at);
        *last = at.max(*last);
        Ok(())
    }

    async fn pending_gauges(
        &self,
        open_before: Timestamp,
        limit: usize,
    ) -> Result<PendingGauges, InboxError> {
        let tables = self.tables();
        let mut gauges = PendingGauges::default();
        for state in [State::Recorded, State::Dead, State::Held] {
            for row in tables.rows_in(state).into_iter().take(limit) {
                gauges += PendingGauges::of_row(state, &row.key, row.received_at, open_before);
            }
        }
        Ok(gauges)
    }

    async fn silent_since(
        &self,
        source: &SourceName,
        now: Timestamp,
    ) -> Result<Timestamp, InboxError> {
        silent_since(self, source, now).await
    }

    async fn record_sweep(&self, status: &SweepStatus, version: u64) -> Result<(), InboxError> {
        record_sweep(self, status, version).await
    }
}

impl ReconcileInbox for MemoryInbox {
    async fn ledger_entries(
        &self,
        source: &SourceName,
        subject: &str,
    ) -> Result<Vec<LedgerEntry>, InboxError> {
        let tables = self.tables();
        let of_subject = tables
            .ledger
            .iter()
            .filter(|((of, about, _), _)| of == source.as_str() && about == subject);
        let entries = of_subject.map(|((_, _, event), owner)| LedgerEntry {
            event: event.clone(),
            owner: owner.clone(),
        });
        Ok(entries.collect())
    }

    async fn pending_events(
        &self,
        source: &SourceName,
        subjects: &BTreeSet<String>,
    ) -> Result<Vec<PendingEvent>, InboxError> {
        let tables = self.tables();
        let pending = tables.rows.values().filter_map(|row| {
            row.state.index_partition()?;
            let subject = row.subject.clone().filter(|subject| {
                row.key.source() == source.as_str() && subjects.contains(subject)
            })?;
            Some(PendingEvent {
                key: row.key.clone(),
                event_type: row.event_type.clone(),
                subject,
            })
        });
        Ok(pending.collect())
    }

    async fn last_received(&self, source: &SourceName) -> Result<Option<Timestamp>, InboxError> {
        Ok(self.tables().last_received.get(source).copied())
    }

    async fn kv_get(&self, key: &KvKey) -> Result<Option<KvEntry>, InboxError> {
        Ok(self.tables().kv.get(key.as_str()).cloned())
    }

    async fn compare_and_swap(
        &self,
        key: &KvKey,
        expected_version: Option<u64>,
        next: &KvEntry,
    ) -> Result<CasOutcome, InboxError> {
        let mut tables = self.tables();
        let stored = tables.kv.get(key.as_str()).cloned();
        if stored.as_ref().map(|stored| stored.version) != expected_version {
            return Ok(CasOutcome::of_failed_condition(stored, next));
        }
        tables.kv.insert(key.as_str().to_owned(), next.clone());
        Ok(CasOutcome::Stored)
    }
}

impl ReadInbox for MemoryInbox {
    async fn get(&self, key: &Key) -> Result<Option<Row>, InboxError> {
        Ok(self.tables().rows.get(key).cloned())
    }

    async fn list(&self, filter: &RowFilter, page: PageRequest) -> Result<RowPage, InboxError> {
        let tables = self.tables();
        let is_wanted = |row: &&Row| filter.matches(row);
        let mut rows: Vec<&Row> = tables.rows.values().filter(is_wanted).collect();
        rows.sort_by(|one, other| {
            (other.received_at, &other.key).cmp(&(one.received_at, &one.key))
        });
        let start = page.after.map_or(0, |ListCursor(last)| {
            let last = rows.iter().position(|row| row.key.as_str() == last);
            last.map_or(0, |last| last + 1)
        });
        let rows = rows[start..].iter().take(page.limit);
        let rows: Vec<Row> = rows.map(|row| without_body(row)).collect();
        let next = rows.last().filter(|_| rows.len() == page.limit);
        Ok(RowPage {
            next: next.map(|last| ListCursor(last.key.to_string())),
            rows,
            ..RowPage::default()
        })
    }

    async fn summary(&self, request: &SummaryRequest) -> Result<InboxSummary, InboxError> {
        let tables = self.tables();
        let summary = |rows: &[&Row]| {
            StateSummary::of_times(rows.iter().map(|row| row.received_at), request.limit)
        };
        let open = tables.rows_in(State::Recorded);
        let held = tables.rows_in(State::Held);
        let counted = open.iter().take(request.limit);
        let is_overdue = |row: &&&Row| row.received_at < request.overdue_before;
        let mut held_reasons = BTreeMap::<String, usize>::new();
        for row in held.iter().take(request.limit) {
            *held_reasons
                .entry(row.reason.clone().unwrap_or_default())
                .or_default() += 1;
        }
        let last = open.iter().rev().take(MAX_RETRYING_ROWS);
        let retrying = last.filter(|row| row.attempts > 0);
        Ok(InboxSummary {
            open: summary(&open),
            overdue: counted.filter(is_overdue).count(),
            retrying: retrying.map(|row| without_body(row)).collect(),
            dead: summary(&tables.rows_in(State::Dead)),
            held: summary(&held),
            held_reasons,
            expired: None, // this inbox does not remove rows
        })
    }
}

impl OperatorInbox for MemoryInbox {
    async fn replay(&self, key: &Key, now: Timestamp) -> Result<ReplayOutcome, InboxError> {
        let mut tables = self.tables();
        let Some(row) = tables.rows.get_mut(key) else {
            return Ok(ReplayOutcome::Absent);
        };
        if let Err(reason) = row.replayable(now) {
            return Ok(ReplayOutcome::Refused(reason));
        }
        row.history.add_replay(now, row.attempts);
        row.state = State::Recorded;
        row.reason = None;
        row.last_error = None;
        row.attempts = 0;
        row.lease = None;
        row.budget_from = now;
        row.due_at = Some(now);
        row.expires_at = None;
        Ok(ReplayOutcome::Done)
    }

    async fn discard(
        &self,
        key: &Key,
        request: &DiscardRequest,
    ) -> Result<DiscardOutcome, InboxError> {
        let mut tables = self.tables();
        let Some(row) = tables.rows.get_mut(key) else {
            return Ok(DiscardOutcome::Absent);
        };
        if let Err(reason) = row.discardable(request.erase, request.now) {
            return Ok(DiscardOutcome::Refused(reason));
        }
        if row.state == State::Delivered {
            row.reason = Some(State::Delivered.to_string());
        }
        row.history
            .add_discard(request.now, row.attempts, request.erase);
        row.state = State::Discarded;
        row.lease = None;
        row.due_at = None;
        row.expires_at = Some(request.expires_at);
        if request.erase {
            row.body = None;
        }
        Ok(DiscardOutcome::Done)
    }

    async fn import(&self, row: &Row) -> Result<ImportOutcome, InboxError> {
        let mut tables = self.tables();
        if let Some(stored) = tables.rows.get(&row.key) {
            return Ok(ImportOutcome::of_stored(Some(stored.content_digest), row));
        }
        let imported = Row {
            lease: None,
            index_partition: None,
            ..row.clone()
        };
        tables.rows.insert(row.key.clone(), imported);
        Ok(ImportOutcome::Stored)
    }

    async fn body_copies(&self, key: &Key) -> Result<Vec<BodyCopy>, InboxError> {
        let tables = self.tables();
        let body = tables.rows.get(key).and_then(|row| row.body.as_ref());
        let copy = body.map(|body| BodyCopy {
            location: key.to_string(),
            bytes: body.len(),
        });
        Ok(copy.into_iter().collect())
    }
}

impl AuditInbox for MemoryInbox {
    async fn write_audit_entry(
        &self,
        entry: &AuditEntry,
        _expires_at: Timestamp,
    ) -> Result<(), InboxError> {
        let audit = &mut self.tables().audit;
        audit.insert((entry.at, entry.id), entry.clone());
        Ok(())
    }

    async fn audit_entries(
        &self,
        since: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, InboxError> {
        let tables = self.tables();
        let newest = tables.audit.values().rev();
        let wanted = newest.filter(|entry| since.is_none_or(|since| entry.at >= since));
        Ok(wanted.take(limit).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    crate::inbox_contract!(Box::new(super::MemoryInbox::default()));
}
