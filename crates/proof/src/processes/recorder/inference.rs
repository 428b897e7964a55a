//! Infers events from the rows in an inbox after its process has ended.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use super::{HeldClaim, HistoryRecorder, RecorderState, claimed, marked};
use crate::history::{History, RecordedEvent, RowState, Sha256Digest, TimedRecord};

/// A row in an inbox.
pub(crate) struct FoundRow {
    pub(crate) key: String,
    pub(crate) state: RowState,
    pub(crate) reason: String,
    pub(crate) digest: Sha256Digest,
}

impl HistoryRecorder {
    /// Records the rows in an inbox file after its process has ended.
    pub(crate) fn found(&self, rows: &[FoundRow]) {
        let recording = &mut *self.lock();
        let first_posts = std::mem::take(&mut recording.first_posts);
        let mut stored: BTreeMap<usize, Vec<RecordedEvent>> = BTreeMap::new();
        for found in rows {
            if recording
                .rows
                .get(&found.key)
                .is_some_and(|row| row.state.is_some())
            {
                continue;
            }
            let end = recording.history.records.len();
            // Bytes that no sender posted are a violation at any position.
            let index = first_posts
                .get(&found.digest)
                .map_or(end, |index| index + 1);
            let content = recording.contents.get(&found.digest);
            let held = (found.state == RowState::Held).then_some("held");
            stored
                .entry(index)
                .or_default()
                .push(RecordedEvent::Stored {
                    key: found.key.clone(),
                    content: content.copied().unwrap_or_default(),
                    digest: found.digest,
                    held,
                });
            let state = held.map_or(RowState::Open, |_| RowState::Held);
            recording.rows.entry(found.key.clone()).or_default().state = Some(state);
        }
        insert(&mut recording.history, stored);
        for found in rows {
            self.compare(recording, found);
        }
    }

    /// Infers the changes of a row since the last read.
    fn compare(&self, recording: &mut RecorderState, found: &FoundRow) {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let row = recording.rows.entry(found.key.clone()).or_default();
        if row.state == Some(found.state) {
            if found.state == RowState::Open && row.was_accepted {
                let (key, fault) = (Some(found.key.clone()), "kill");
                self.push(recording, RecordedEvent::FaultInjected { key, fault });
            }
            return;
        }
        row.state = Some(found.state);
        let recorded = row.claim.take();
        let claim = recorded.unwrap_or(HeldClaim {
            attempt: row.attempts + 1,
            lease: u64::from(call),
            process: 0,
        });
        if recorded.is_none() {
            self.push(recording, claimed(&found.key, claim, 0));
        }
        let claim = (claim.attempt, claim.lease);
        let event = marked(&found.key, claim, found.state, &found.reason);
        self.push(recording, event);
    }
}

/// Inserts events at these indices, each with the time of the event before it.
fn insert(history: &mut History, mut at: BTreeMap<usize, Vec<RecordedEvent>>) {
    let old = std::mem::take(&mut history.records);
    let (mut time, end) = (0, old.len());
    let mut put = |index: usize, time: i64, records: &mut Vec<TimedRecord>| {
        for event in at.remove(&index).into_iter().flatten() {
            records.push(TimedRecord { at: time, event });
        }
    };
    for (index, record) in old.into_iter().enumerate() {
        put(index, time, &mut history.records);
        time = record.at;
        history.records.push(record);
    }
    put(end, time, &mut history.records);
}
