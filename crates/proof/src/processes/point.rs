//! The points at which a process is killed: instants that are observable from outside.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::Notify;

use crate::sync::lock;

/// The smallest number of requests in flight when a process that receives is killed.
pub(crate) const LEAST_IN_FLIGHT: usize = 10;
/// The time between the answer of a destination and the kill, in which the answer arrives.
const ANSWER_DELAY: Duration = Duration::from_micros(500);

/// The point at which a process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum KillPoint {
    /// Before it listens.
    Start,
    /// A random instant.
    Random,
    /// An answer 200 has just been read.
    Answered,
    /// The inbox file's log has just been written.
    LogWritten,
    /// Before a row or a part of a body is stored.
    PutSeen,
    /// A row or a part of a body is stored, before the reply.
    PutDone,
    /// Before a row is claimed.
    ClaimSeen,
    /// A row is claimed, before the reply.
    ClaimDone,
    /// Before a payment event is entered in its ledger.
    LedgerSeen,
    /// A payment event is in its ledger, before the reply.
    LedgerDone,
    /// The destination has the event and does not answer.
    DestinationSeen,
    /// The destination has just answered.
    DestinationAnswered,
    /// Before an outcome is written.
    MarkSeen,
    /// An outcome is written, before the reply.
    MarkDone,
    /// During the sweep's query for due rows.
    SweepQuery,
    /// During the shutdown after SIGTERM.
    Draining,
    /// Writes fail, because the disk is full.
    DiskFull,
    /// Before HMRC accepts an acknowledgement.
    AcknowledgeSeen,
    /// HMRC has accepted an acknowledgement, before the response.
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
    state: Mutex<TrapState>,
    killed: Notify,
    in_flight: Arc<AtomicUsize>,
}

#[derive(Default)]
struct TrapState {
    /// The running process, until it is reaped.
    target: Option<Pid>,
    armed: Option<KillPoint>,
}

impl KillTrap {
    /// A trap that shares its count of requests in flight with other traps.
    pub(crate) fn sharing(in_flight: &Arc<AtomicUsize>) -> Self {
        Self {
            in_flight: Arc::clone(in_flight),
            ..Self::default()
        }
    }

    pub(crate) fn set_target(&self, target: Option<Pid>) {
        lock(&self.state).target = target;
    }

    /// Kills the process when it reaches `point`. Returns `false` if it does not in time.
    pub(crate) async fn kill_at(&self, point: KillPoint, limit: Duration) -> bool {
        lock(&self.state).armed = Some(point);
        let killed = tokio::time::timeout(limit, self.killed.notified()).await;
        lock(&self.state).armed = None;
        killed.is_ok()
    }

    pub(crate) fn is_armed(&self) -> bool {
        lock(&self.state).armed.is_some()
    }

    /// The number of requests without an answer.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    pub(crate) fn request_begins(&self) {
        self.in_flight.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn request_ends(&self) {
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
    }

    /// Called when the process reaches `point`. Returns whether it was killed there.
    pub(crate) fn reached(&self, point: KillPoint) -> bool {
        let mut state = lock(&self.state);
        if state.armed != Some(point) || self.in_flight() < LEAST_IN_FLIGHT {
            return false;
        }
        let Some(target) = state.target else {
            return false;
        };
        state.armed = None;
        kill_process(target, Signal::KILL).expect("the child is not reaped yet");
        self.killed.notify_one();
        true
    }

    /// Called when the destination answers. The process reaches the point when it has the answer.
    pub(crate) fn destination_answered(self: &Arc<Self>) {
        let trap = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(ANSWER_DELAY).await;
            trap.reached(KillPoint::DestinationAnswered);
        });
    }
}

/// The number of kills at each point, and the requests in flight at each kill.
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
