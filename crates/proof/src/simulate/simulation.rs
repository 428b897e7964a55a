//! The state that all parts of one simulated run share: the table, the history, virtual time.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use pillarbox::{
    domain::{State, Timestamp},
    inbox::{MemoryInbox, Row},
};
use sender_simulator::apis::{pay_api::PayAccounts, ppns::PpnsBoxes};
use tokio::{sync::Notify, time::Instant};

use super::{plan::HistoryPlan, stream::StreamShards};
use crate::{
    history::{History, RecordedEvent},
    sync::lock,
};

/// The beginning of every run: 2026-03-02T10:15:31.480Z.
pub(crate) const BEGINNING: i64 = 1_772_446_531_480;

/// One run.
pub(crate) struct Simulation {
    pub(crate) plan: HistoryPlan,
    /// The model table.
    pub(crate) table: MemoryInbox,
    /// Notified when a row is stored or replayed.
    pub(crate) changed: Notify,
    pub(crate) stream: Mutex<StreamShards>,
    /// HMRC's boxes.
    pub(crate) boxes: Mutex<PpnsBoxes>,
    /// Whether each of HMRC's notifications is acknowledged, by push or pull.
    pub(crate) acknowledged: Mutex<BTreeMap<String, bool>>,
    /// Pay's accounts.
    pub(crate) accounts: Mutex<PayAccounts>,
    /// The number of rotations of each sender's secret: at the sender, and at the receiver.
    pub(crate) signed_with: [AtomicU64; 2],
    pub(crate) installed: [AtomicU64; 2],
    faults_ended: AtomicBool,
    history: Mutex<History>,
    began: Instant,
    numbers: AtomicU32,
}

impl Simulation {
    pub(crate) fn new(plan: HistoryPlan) -> Self {
        let history = History {
            retention: Some(plan.retention()),
            is_reconciled: true,
            ..History::default()
        };
        Self {
            plan,
            table: MemoryInbox::default(),
            changed: Notify::new(),
            stream: Mutex::default(),
            boxes: Mutex::default(),
            acknowledged: Mutex::default(),
            accounts: Mutex::default(),
            signed_with: Default::default(),
            installed: Default::default(),
            faults_ended: AtomicBool::new(false),
            history: Mutex::new(history),
            began: Instant::now(),
            numbers: AtomicU32::new(0),
        }
    }

    /// Milliseconds since the beginning.
    pub(crate) fn elapsed(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// The correct time.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(BEGINNING + self.elapsed())
    }

    pub(crate) fn record(&self, event: RecordedEvent) {
        let at = self.elapsed();
        lock(&self.history).push(at, event);
    }

    pub(crate) fn faults_ended(&self) -> bool {
        self.faults_ended.load(Ordering::Relaxed)
    }

    /// Ends the faults.
    pub(crate) fn end_faults(&self) {
        self.faults_ended.store(true, Ordering::Relaxed);
        self.record(RecordedEvent::FaultsEnded);
        self.changed.notify_waiters();
    }

    /// A unique number.
    pub(crate) fn next_number(&self) -> u32 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn take_history(&self) -> History {
        std::mem::take(&mut *lock(&self.history))
    }

    /// The open rows.
    pub(crate) fn open_rows(&self) -> Vec<Row> {
        let mut rows = self.table.rows();
        rows.retain(|row| row.state == State::Recorded);
        rows
    }

    /// The time until a row may be claimed, by the correct clock; `None` if no row is open.
    pub(crate) fn time_until_due(&self) -> Option<Duration> {
        let now = self.now();
        let due = |row: &Row| {
            let due_at = row.due_at.map_or(Duration::ZERO, |at| at.since(now));
            let lease = row
                .lease
                .map_or(Duration::ZERO, |lease| lease.until.since(now));
            due_at.max(lease).min(Duration::from_secs(65 * 60))
        };
        self.open_rows().iter().map(due).min()
    }
}
