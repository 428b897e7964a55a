//! Records the changes of rows that a proxy observes: stored, claimed and marked.

use pillarbox::domain::{Clock, SystemClock};

use super::{HeldClaim, HistoryRecorder, QUIET_PERIOD, claimed, marked};
use crate::history::{RecordedEvent, RowState, Sha256Digest};

impl HistoryRecorder {
    /// Records a stored row. `is_new` is false if the reply only shows that the row exists.
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
        // The reply to the write may be observed after a reply that shows the row.
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

    /// Whether a row is open and was never claimed.
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

    /// Whether no attempt can be in progress: the row is not claimed, or was claimed long ago.
    pub(crate) fn is_at_rest(&self, key: &str) -> bool {
        let quiet = i64::try_from(QUIET_PERIOD.as_millis()).unwrap_or(i64::MAX);
        let now = self.at(SystemClock.now().as_millis());
        let recording = self.lock();
        let row = recording.rows.get(key);
        row.is_none_or(|row| row.claim.is_none() || now - row.claimed_at > quiet)
    }

    /// Records that the harness ended the leases of these rows, because their processes are dead.
    pub(crate) fn record_ended_leases(&self, rows: &[(String, u32)]) {
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
