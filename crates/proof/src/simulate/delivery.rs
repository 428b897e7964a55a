//! Delivery: the destination that the workers call, and the sweep that finds due rows.

use std::{sync::Arc, time::Duration};

use pillarbox::{
    delivery::{DeliveryWorker, RunDeadline, sweep::SweepRunner},
    destinations::{DeliveryError, Destination, Event},
    domain::{Clock, Key},
    inbox::RetentionPolicy,
};

use super::{
    content::digest_of, plan::FaultKind, process::SimulatedProcess, random::SplitMix64,
    simulation::Simulation, table::SimulatedInbox,
};
use crate::history::RecordedEvent;

/// The message of planned panics.
pub(crate) const PLANNED_PANIC: &str = "a planned panic";

/// The destination of one process.
pub(crate) struct SimulatedDestination(Arc<SimulatedProcess>);

/// Records the end of a call when it is dropped.
struct DestinationCall<'a> {
    simulation: &'a Simulation,
    key: &'a Key,
    number: u32,
    refused: bool,
}

impl Drop for DestinationCall<'_> {
    fn drop(&mut self) {
        self.simulation.record(RecordedEvent::Returned {
            key: self.key.to_string(),
            call: self.number,
            refused: self.refused,
        });
    }
}

impl DestinationCall<'_> {
    /// Records that the destination accepted the event.
    fn accept(&self, event: &Event) {
        let signed = event.signed().map_or(&b""[..], |signed| &signed.body);
        let digest = digest_of(&[event.json(), signed].concat());
        let (key, call) = (self.key.to_string(), self.number);
        self.simulation
            .record(RecordedEvent::Accepted { key, call, digest });
    }

    fn record_fault(&self, fault: FaultKind) {
        let key = Some(self.key.to_string());
        self.simulation.record(RecordedEvent::FaultInjected {
            key,
            fault: fault.as_str(),
        });
    }
}

fn unavailable(why: &str) -> Result<(), DeliveryError> {
    Err(DeliveryError::Unavailable(format!("simulated: {why}")))
}

impl SimulatedDestination {
    /// Whether the destination is down because the run begins with an outage.
    fn has_outage(&self) -> bool {
        let simulation = &self.0.simulation;
        simulation.elapsed() < i64::try_from(simulation.plan.outage * 1000).unwrap_or(0)
            && !simulation.faults_ended()
    }

    /// Fails as a destination that is busy or down.
    fn fail(&self) -> Result<(), DeliveryError> {
        match self.0.random.draw(|random| random.below(3)) {
            0 => Err(DeliveryError::Busy {
                reason: "simulated: busy".to_owned(),
                delay: self.0.millis(1_000, 7_200_000),
            }),
            _ => unavailable("down"),
        }
    }
}

impl Destination for SimulatedDestination {
    async fn deliver(&self, key: &Key, event: &Event) -> Result<(), DeliveryError> {
        let (process, simulation) = (&self.0, &self.0.simulation);
        let number = simulation.next_number();
        simulation.record(RecordedEvent::Delivering {
            key: key.to_string(),
            call: number,
        });
        let mut call = DestinationCall {
            simulation,
            key,
            number,
            refused: false,
        };
        tokio::time::sleep(process.millis(1, 300)).await;
        let rate = 2 * simulation.plan.rate;
        if self.has_outage() || process.draws_fault(FaultKind::DestinationDown, rate) {
            return self.fail();
        }
        if process.draws_fault(FaultKind::DestinationLost, rate) {
            call.record_fault(FaultKind::DestinationLost);
            call.accept(event);
            return unavailable("no answer");
        }
        if process.draws_fault(FaultKind::DestinationRefuses, rate) {
            call.refused = true;
            return Err(DeliveryError::Refused("simulated: status 422".to_owned()));
        }
        if process.draws_fault(FaultKind::DestinationSlow, rate) {
            call.record_fault(FaultKind::DestinationSlow);
            tokio::time::sleep(process.millis(1_000, 60_000)).await;
            call.accept(event);
            tokio::time::sleep(process.millis(1_000, 60_000)).await;
            return Ok(());
        }
        if process.draws_fault(FaultKind::DestinationPanics, rate) {
            call.record_fault(FaultKind::DestinationPanics);
            panic!("{PLANNED_PANIC}");
        }
        if process.draws_fault(FaultKind::Crash, rate / 4) {
            if process.random.draw(|random| random.is(500)) {
                call.accept(event);
            }
            process.crash().await;
        }
        call.accept(event);
        Ok(())
    }
}

/// The worker of a process.
pub(crate) fn start_worker(
    process: &Arc<SimulatedProcess>,
) -> Arc<DeliveryWorker<SimulatedInbox, SimulatedDestination>> {
    let retention = RetentionPolicy {
        retention: process.simulation.plan.retention(),
    };
    Arc::new(DeliveryWorker::new(
        Arc::new(SimulatedInbox(Arc::clone(process))),
        SimulatedDestination(Arc::clone(process)),
        Arc::clone(process) as Arc<dyn Clock>,
        retention,
    ))
}

/// Sweeps forever, once a minute while a row is due.
pub(crate) async fn sweep(simulation: Arc<Simulation>, number: u64) {
    let minute = Duration::from_secs(60);
    let mut random = SplitMix64::of(simulation.plan.seed, 0x200 + number);
    let mut process = SimulatedProcess::start(&simulation, 0);
    let mut sweeper = SweepRunner::new(start_worker(&process));
    let mut idle = minute;
    loop {
        match simulation.time_until_due() {
            None => {
                simulation.changed.notified().await;
                tokio::time::sleep(minute).await;
            }
            // With a wrong clock or lease a sweep may find nothing. Then the interval grows.
            Some(wait) => tokio::time::sleep(wait.max(idle)).await,
        }
        if !simulation.faults_ended()
            && simulation.plan.faults.has(FaultKind::Freeze)
            && random.is(20)
        {
            tokio::time::sleep(Duration::from_secs(random.between(60, 4 * 60 * 60))).await;
        }
        set_clock(&process, &mut random);
        let deadline = RunDeadline::before(process.now().plus(minute));
        let mut attempts = 0;
        let work = sweeper.sweep(deadline, |_| attempts += 1);
        let swept = process.run(work).await;
        idle = match (attempts, simulation.faults_ended()) {
            (0, false) => (idle * 2).min(16 * minute),
            _ => minute,
        };
        if swept.is_none() || random.is(50) {
            process = SimulatedProcess::start(&simulation, process.skew());
            sweeper = SweepRunner::new(start_worker(&process));
        }
    }
}

/// Sets the clock of a process at random, if clocks are wrong in this run.
fn set_clock(process: &SimulatedProcess, random: &mut SplitMix64) {
    let is_due = random.is(200);
    if is_due
        && !process.simulation.faults_ended()
        && process.simulation.plan.faults.has(FaultKind::ClockJump)
    {
        process.jump_clock(random);
    }
}
