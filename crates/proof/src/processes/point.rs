//! The points at which a process is killed: instants that are visible from outside.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::Notify;

/// How many requests are under way at least when a process that receives is killed.
pub(crate) const LEAST_IN_FLIGHT: usize = 10;

/// Where a process is when it is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum KillPoint {
    /// Before it listens.
    Start,
    /// Anywhere.
    Random,
    /// An answer 200 has just been read.
    Answered,
    /// The inbox file's log has just been written.
    LogWritten,
    /// A row or a part of a body is to be stored.
    PutSeen,
    /// A row or a part of a body is stored, and the process does not know.
    PutDone,
    /// A row is to be claimed.
    ClaimSeen,
    /// A row is claimed, and the process does not know.
    ClaimDone,
    /// A payment's event is to be entered in its ledger.
    LedgerSeen,
    /// A payment's event is in its ledger, and the process does not know.
    LedgerDone,
    /// The destination has the event and does not answer.
    DestinationSeen,
    /// The destination has just answered.
    DestinationAnswered,
    /// An outcome is to be written.
    MarkSeen,
    /// An outcome is written, and the process does not know.
    MarkDone,
    /// The sweep asks for what is due.
    SweepQuery,
    /// It was asked to stop, and finishes what it began.
    Draining,
    /// Writes fail, because the disk is full.
    DiskFull,
    /// HMRC is to take an acknowledgement.
    AcknowledgeSeen,
    /// HMRC has taken an acknowledgement, and the process does not know.
    AcknowledgeDone,
}

impl fmt::Display for KillPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, letter) in format!("{self:?}").char_indices() {
            if index > 0 && letter.is_uppercase() {
                f.write_str(" ")?;
            }
            write!(f, "{}", letter.to_lowercase())?;
        }
        Ok(())
    }
}

/// Kills a process when it reaches a point.
#[derive(Default)]
pub(crate) struct KillTrap {
    aim: Mutex<TrapState>,
    sprung: Notify,
    in_flight: Arc<AtomicUsize>,
}

#[derive(Default)]
struct TrapState {
    /// The process that runs, until it is waited for.
    target: Option<Pid>,
    armed: Option<KillPoint>,
}

impl KillTrap {
    /// A trap of a process that shares its requests in flight with others.
    pub(crate) fn sharing(in_flight: &Arc<AtomicUsize>) -> Self {
        Self {
            in_flight: Arc::clone(in_flight),
            ..Self::default()
        }
    }

    /// Names the process that runs now.
    pub(crate) fn aim(&self, target: Option<Pid>) {
        self.lock().target = target;
    }

    /// Waits until the process is killed at `point`; `false` if it does not get there in time.
    pub(crate) async fn spring(&self, point: KillPoint, limit: Duration) -> bool {
        self.lock().armed = Some(point);
        let sprung = tokio::time::timeout(limit, self.sprung.notified()).await;
        self.lock().armed = None;
        sprung.is_ok()
    }

    pub(crate) fn is_armed(&self) -> bool {
        self.lock().armed.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, TrapState> {
        self.aim.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The requests that have no answer yet.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    pub(crate) fn request_begins(&self) {
        self.in_flight.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn request_ends(&self) {
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
    }

    /// Says that the process has reached `point`. Whether it was killed there.
    pub(crate) fn reached(&self, point: KillPoint) -> bool {
        let mut aim = self.lock();
        if aim.armed != Some(point) || self.in_flight() < LEAST_IN_FLIGHT {
            return false;
        }
        let Some(target) = aim.target else {
            return false;
        };
        aim.armed = None;
        kill_process(target, Signal::KILL).expect("a child that was not waited for");
        self.sprung.notify_one();
        true
    }
}

/// What kills did.
#[derive(Default)]
pub(crate) struct KillCounts {
    points: BTreeMap<(&'static str, KillPoint), u64>,
    in_flight: Vec<usize>,
}

impl KillCounts {
    pub(crate) fn add(&mut self, lane: &'static str, point: KillPoint, in_flight: usize) {
        *self.points.entry((lane, point)).or_default() += 1;
        self.in_flight.push(in_flight);
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for (point, count) in other.points {
            *self.points.entry(point).or_default() += count;
        }
        self.in_flight.extend(other.in_flight);
    }

    pub(crate) fn kills(&self) -> u64 {
        self.points.values().sum()
    }

    pub(crate) fn print(&mut self) {
        for ((lane, point), count) in &self.points {
            println!("  {lane:<8} {point:<22} {count}");
        }
        self.in_flight.sort_unstable();
        let busy = self
            .in_flight
            .partition_point(|&count| count < LEAST_IN_FLIGHT);
        println!(
            "  requests in flight: {LEAST_IN_FLIGHT} or more at {} of {} kills, median {}",
            self.in_flight.len() - busy,
            self.in_flight.len(),
            self.in_flight.get(self.in_flight.len() / 2).unwrap_or(&0),
        );
    }
}
