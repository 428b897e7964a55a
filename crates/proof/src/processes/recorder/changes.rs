//! What a proxy sees of the inbox: rows stored, claimed and marked.

use pillarbox::domain::{Clock, SystemClock};

use super::{HeldClaim, HistoryRecorder, QUIET, claimed, marked};
use crate::history::{RecordedEvent, RowState, Sha256Digest};

impl HistoryRecorder {
    /// A row was stored; `is_new` unless it is only seen to be there.
    pub(crate) fn stored(
        &self,
        key: &str,
        digest: Sha256Digest,
        held: Option<&'static str>,
        is_new: bool,
    ) {
        let recording = &mut *self.lock();
        let row = recording.rows.entry(key.to_owned()).or_default();
        let was_written = row.was_written;
        row.was_written |= is_new;
        // The reply of the write itself may be seen after what shows that the row is there.
        if row.state.is_some() && !(is_new && was_written) {
            return;
        }
        let content = recording.contents.get(&digest).copied().unwrap_or_default();
        let state = held.map_or(RowState::Open, |_| RowState::Held);
        recording.rows.entry(key.to_owned()).or_default().state = Some(state);
        let key = key.to_owned();
        self.push(
            recording,
            RecordedEvent::Stored {
                key,
                content,
                digest,
                held,
            },
        );
    }

    pub(crate) fn claimed(&self, key: &str, claim: HeldClaim, until: i64) {
        let recording = &mut *self.lock();
        if !recording.claims.insert(claim.lease) {
            return;
        }
        let row = recording.rows.entry(key.to_owned()).or_default();
        row.claim = Some(claim);
        row.was_claimed = true;
        row.claimed_at = self.at(SystemClock.now().as_millis());
        self.push(recording, claimed(key, claim, until));
    }

    /// Whether nothing was ever done about an open row.
    pub(crate) fn is_untouched(&self, key: &str) -> bool {
        let recording = self.lock();
        let row = recording.rows.get(key);
        row.is_some_and(|row| row.state == Some(RowState::Open) && !row.was_claimed)
    }

    pub(crate) fn marked(&self, key: &str, claim: (u32, u64), state: RowState, reason: &str) {
        let recording = &mut *self.lock();
        if !recording.marks.insert(claim.1) {
            return;
        }
        let row = recording.rows.entry(key.to_owned()).or_default();
        row.claim = None;
        row.state = Some(state);
        self.push(recording, marked(key, claim, state, reason));
    }

    /// Whether no attempt at a row can be under way: it is not claimed, or was so long ago.
    pub(crate) fn is_at_rest(&self, key: &str) -> bool {
        let quiet = i64::try_from(QUIET.as_millis()).unwrap_or(i64::MAX);
        let now = self.at(SystemClock.now().as_millis());
        let recording = self.lock();
        let row = recording.rows.get(key);
        row.is_none_or(|row| row.claim.is_none() || now - row.claimed_at > quiet)
    }

    /// The rows whose claim the harness ended, because nothing lives that holds it.
    pub(crate) fn lapsed(&self, rows: &[(String, u32)]) {
        let recording = &mut *self.lock();
        for (key, _) in rows {
            let row = recording.rows.entry(key.clone()).or_default();
            if let Some(claim) = row.claim.take() {
                let claim = (claim.attempt, claim.lease);
                self.push(recording, marked(key, claim, RowState::Open, "lapsed"));
            }
        }
    }
}
