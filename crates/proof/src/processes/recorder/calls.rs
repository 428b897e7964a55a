//! Records calls of destinations, and ends those of a killed process.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use super::{HeldClaim, HistoryRecorder, KnownRow, claimed};
use crate::{history::RecordedEvent, simulate::content::digest_of};

impl HistoryRecorder {
    /// Records that a process calls a destination. Returns the number of the call.
    pub(crate) fn delivering(&self, process: usize, key: &str) -> u32 {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let recording = &mut *self.lock();
        recording.calls.insert(call, (key.to_owned(), process));
        let row = recording.rows.entry(key.to_owned()).or_default();
        if !self.observes_inbox {
            row.attempts += 1;
            let claim = HeldClaim {
                attempt: row.attempts,
                lease: u64::from(call),
                process,
            };
            row.claim = Some(claim);
            self.push(recording, claimed(key, claim, 0));
        }
        let key = key.to_owned();
        self.push(recording, RecordedEvent::Delivering { key, call });
        call
    }

    pub(crate) fn accepted(&self, key: &str, call: u32, bytes: &[u8]) {
        let digest = digest_of(bytes);
        let recording = &mut *self.lock();
        recording
            .rows
            .entry(key.to_owned())
            .or_default()
            .was_accepted = true;
        let key = key.to_owned();
        self.push(recording, RecordedEvent::Accepted { key, call, digest });
    }

    pub(crate) fn returned(&self, call: u32) {
        let recording = &mut *self.lock();
        if let Some((key, _)) = recording.calls.remove(&call) {
            let refused = false;
            self.push(recording, RecordedEvent::Returned { key, call, refused });
        }
    }

    /// Records a fault that affects a row.
    pub(crate) fn fault_injected(&self, key: &str, fault: &'static str) {
        let key = Some(key.to_owned());
        self.push(
            &mut self.lock(),
            RecordedEvent::FaultInjected { key, fault },
        );
    }

    /// Records that a process was killed: its calls end, and its claimed rows have a fault.
    pub(crate) fn killed(&self, process: usize) {
        let recording = &mut *self.lock();
        let calls: Vec<u32> = of_process(&recording.calls, process);
        for call in calls {
            if let Some((key, _)) = recording.calls.remove(&call) {
                let refused = false;
                self.push(recording, RecordedEvent::Returned { key, call, refused });
            }
        }
        let held = |row: &KnownRow| row.claim.is_some_and(|claim| claim.process == process);
        let rows = recording.rows.iter().filter(|(_, row)| held(row));
        let keys: Vec<String> = rows.map(|(key, _)| key.clone()).collect();
        for key in keys {
            let (key, fault) = (Some(key), "kill");
            self.push(recording, RecordedEvent::FaultInjected { key, fault });
        }
    }
}

fn of_process(calls: &BTreeMap<u32, (String, usize)>, process: usize) -> Vec<u32> {
    let calls = calls.iter().filter(|(_, (_, caller))| *caller == process);
    calls.map(|(call, _)| *call).collect()
}
