//! What all parts of one simulated run share: the table, the history, virtual time.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
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
use crate::history::{History, RecordedEvent};

/// When every run begins: 2026-03-02T10:15:31.480Z.
pub(crate) const BEGINNING: i64 = 1_772_446_531_480;

/// One run.
pub(crate) struct Simulation {
    pub(crate) plan: HistoryPlan,
    /// The model table.
    pub(crate) table: MemoryInbox,
    /// Notified when a row is stored or set back.
    pub(crate) changed: Notify,
    pub(crate) stream: Mutex<StreamShards>,
    /// HMRC's boxes.
    pub(crate) boxes: Mutex<PpnsBoxes>,
    /// HMRC's notifications that were acknowledged, by push or pull.
    pub(crate) acknowledged: Mutex<BTreeMap<String, bool>>,
    /// Pay's accounts.
    pub(crate) accounts: Mutex<PayAccounts>,
    /// How many secrets of each sender were replaced: as signed, and as installed.
    pub(crate) signed_with: [AtomicU64; 2],
    pub(crate) installed: [AtomicU64; 2],
    is_calm: AtomicBool,
    history: Mutex<History>,
    began: Instant,
    numbers: AtomicU32,
}

/// Locks what only one task at a time can hold, since none awaits meanwhile.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
            is_calm: AtomicBool::new(false),
            history: Mutex::new(history),
            began: Instant::now(),
            numbers: AtomicU32::new(0),
        }
    }

    /// Milliseconds since the beginning.
    pub(crate) fn elapsed(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// The right time.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(BEGINNING + self.elapsed())
    }

    pub(crate) fn note(&self, what: RecordedEvent) {
        let at = self.elapsed();
        lock(&self.history).push(at, what);
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.is_calm.load(Ordering::Relaxed)
    }

    /// Ends the faults.
    pub(crate) fn calm(&self) {
        self.is_calm.store(true, Ordering::Relaxed);
        self.note(RecordedEvent::Calmed);
        self.changed.notify_waiters();
    }

    /// A number that no other call gets.
    pub(crate) fn number(&self) -> u32 {
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

    /// How long until a row may be claimed, by the right clock; `None` if no row is open.
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
