//! A process. Its clock may be wrong, and it may crash at any instant.

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

/// A process of the product: a replica, or an environment of a function.
pub(crate) struct SimulatedProcess {
    pub(crate) simulation: Arc<Simulation>,
    pub(crate) random: SharedRandom,
    skew: AtomicI64,
    ended: CancellationToken,
}

impl SimulatedProcess {
    pub(crate) fn start(simulation: &Arc<Simulation>, skew: i64) -> Arc<Self> {
        let part = 0x1000 + u64::from(simulation.next_number());
        Arc::new(Self {
            simulation: Arc::clone(simulation),
            random: SharedRandom::new(SplitMix64::of(simulation.plan.seed, part)),
            skew: AtomicI64::new(skew),
            ended: CancellationToken::new(),
        })
    }

    /// Runs `work` to its end. Drops it and returns `None` if the process crashes before.
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

    /// Crashes the process at this point.
    pub(crate) async fn crash(&self) -> ! {
        // The process may have been working on any row.
        self.simulation.record(RecordedEvent::FaultInjected {
            key: None,
            fault: FaultKind::Crash.as_str(),
        });
        self.ended.cancel();
        pending::<()>().await;
        unreachable!("a crashed process continues")
    }

    /// Sets the clock to this number of milliseconds from the correct time.
    pub(crate) fn set_clock(&self, skew: i64) {
        let before = self.skew.swap(skew, Ordering::Relaxed);
        if before != skew {
            self.simulation
                .record(RecordedEvent::ClockSet { by: skew - before });
        }
    }

    /// Sets the clock to a random time up to a day from the correct time, or to the correct time.
    pub(crate) fn jump_clock(&self, random: &mut SplitMix64) {
        let day = 24 * 60 * 60 * 1000;
        let skew = random.below(2 * day).cast_signed() - day.cast_signed();
        self.set_clock(if random.is(300) { 0 } else { skew });
    }

    /// The difference of its clock from the correct time; zero after the faults have ended.
    pub(crate) fn skew(&self) -> i64 {
        if self.simulation.faults_ended() {
            0
        } else {
            self.skew.load(Ordering::Relaxed)
        }
    }

    /// Whether to inject a fault of this kind now, with a probability in thousandths.
    pub(crate) fn draws_fault(&self, kind: FaultKind, permille: u64) -> bool {
        let plan = &self.simulation.plan;
        !self.simulation.faults_ended()
            && plan.faults.has(kind)
            && self.random.draw(|random| random.is(permille))
    }

    /// A random duration between these bounds, in milliseconds.
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

/// For the senders' APIs when this process calls them.
impl sender_simulator::Clock for SimulatedProcess {
    fn now(&self) -> sender_simulator::Timestamp {
        sender_time(self.simulation.now())
    }

    fn random(&self) -> u64 {
        Clock::random(self)
    }
}

/// Converts an instant for the simulated senders.
pub(crate) fn sender_time(at: Timestamp) -> sender_simulator::Timestamp {
    sender_simulator::Timestamp::from_millis(at.as_millis())
}
