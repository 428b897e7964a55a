//! A process: its clock may be wrong, and it may end at any moment.

use std::{
    future::{Future, pending},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use pillarbox::domain::{Clock, Timestamp};
use tokio_util::sync::CancellationToken;

use super::{
    plan::FaultKind,
    random::{SharedRandom, SplitMix64},
    simulation::Simulation,
};
use crate::history::RecordedEvent;

/// A process of the product: a replica, an environment of a function.
pub(crate) struct SimulatedProcess {
    pub(crate) simulation: Arc<Simulation>,
    pub(crate) random: SharedRandom,
    skew: AtomicI64,
    ended: CancellationToken,
}

impl SimulatedProcess {
    pub(crate) fn start(simulation: &Arc<Simulation>, skew: i64) -> Arc<Self> {
        let part = 0x1000 + u64::from(simulation.number());
        Arc::new(Self {
            simulation: Arc::clone(simulation),
            random: SharedRandom::new(SplitMix64::of(simulation.plan.seed, part)),
            skew: AtomicI64::new(skew),
            ended: CancellationToken::new(),
        })
    }

    /// Runs `work` until it ends, or the process does: then it is dropped where it waits.
    pub(crate) async fn run<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.ended.cancelled() => None,
            result = work => Some(result),
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Ends the process, here.
    pub(crate) async fn crash(&self) -> ! {
        // What was under way may be under way for any row.
        self.simulation.note(RecordedEvent::Disturbed {
            key: None,
            fault: FaultKind::Crash.as_str(),
        });
        self.ended.cancel();
        pending::<()>().await;
        unreachable!("a process that has ended goes on")
    }

    /// Sets the clock to so far from the right time.
    pub(crate) fn set_clock(&self, skew: i64) {
        let before = self.skew.swap(skew, Ordering::Relaxed);
        if before != skew {
            self.simulation
                .note(RecordedEvent::ClockSet { by: skew - before });
        }
    }

    /// How far its clock is from the right time; every clock is right once faults have ended.
    pub(crate) fn skew(&self) -> i64 {
        if self.simulation.is_calm() {
            0
        } else {
            self.skew.load(Ordering::Relaxed)
        }
    }

    /// Whether a fault of this kind happens now, of which so many thousandths would.
    pub(crate) fn meets(&self, kind: FaultKind, permille: u64) -> bool {
        let plan = &self.simulation.plan;
        !self.simulation.is_calm()
            && plan.faults.has(kind)
            && self.random.draw(|random| random.is(permille))
    }

    /// A time between these, in milliseconds.
    pub(crate) fn millis(&self, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.random.draw(|random| random.between(least, most)))
    }
}

impl Clock for SimulatedProcess {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.simulation.now().as_millis() + self.skew())
    }

    fn random(&self) -> u64 {
        self.random.draw(SplitMix64::next)
    }
}

/// The senders draw from the process, too, when it calls their APIs.
impl sender_simulator::Clock for SimulatedProcess {
    fn now(&self) -> sender_simulator::Timestamp {
        sender_time(self.simulation.now())
    }

    fn random(&self) -> u64 {
        Clock::random(self)
    }
}

/// The instant as the simulated senders have it.
pub(crate) fn sender_time(at: Timestamp) -> sender_simulator::Timestamp {
    sender_simulator::Timestamp::from_millis(at.as_millis())
}
