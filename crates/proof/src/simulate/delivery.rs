//! Delivery: the destination that the workers call, and the sweep that finds what is due.

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

/// Said by the panics that are planned, so that others are shown.
pub(crate) const PLANNED_PANIC: &str = "a planned panic";

/// A destination as one process calls it.
pub(crate) struct SimulatedDestination(Arc<SimulatedProcess>);

/// Notes the end of a call, however it ends: a call that is dropped ends, too.
struct DestinationCall<'a> {
    simulation: &'a Simulation,
    key: &'a Key,
    number: u32,
    refused: bool,
}

impl Drop for DestinationCall<'_> {
    fn drop(&mut self) {
        self.simulation.note(RecordedEvent::Returned {
            key: self.key.to_string(),
            call: self.number,
            refused: self.refused,
        });
    }
}

impl DestinationCall<'_> {
    /// The destination has the event now.
    fn accept(&self, event: &Event) {
        let signed = event.signed().map_or(&b""[..], |signed| &signed.body);
        let digest = digest_of(&[event.json(), signed].concat());
        let (key, call) = (self.key.to_string(), self.number);
        self.simulation
            .note(RecordedEvent::Accepted { key, call, digest });
    }

    fn disturb(&self, fault: FaultKind) {
        let key = Some(self.key.to_string());
        self.simulation.note(RecordedEvent::Disturbed {
            key,
            fault: fault.as_str(),
        });
    }
}

fn unavailable(why: &str) -> Result<(), DeliveryError> {
    Err(DeliveryError::Unavailable(format!("simulated: {why}")))
}

impl Destination for SimulatedDestination {
    async fn deliver(&self, key: &Key, event: &Event) -> Result<(), DeliveryError> {
        let (process, simulation) = (&self.0, &self.0.simulation);
        let number = simulation.number();
        simulation.note(RecordedEvent::Delivering {
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
        let is_down =
            simulation.elapsed() < i64::try_from(simulation.plan.outage * 1000).unwrap_or(0);
        if is_down && !simulation.is_calm() || process.meets(FaultKind::DestinationDown, rate) {
            return match process.random.draw(|random| random.below(3)) {
                0 => Err(DeliveryError::Busy {
                    reason: "simulated: busy".to_owned(),
                    delay: process.millis(1_000, 7_200_000),
                }),
                _ => unavailable("down"),
            };
        }
        if process.meets(FaultKind::DestinationLost, rate) {
            call.disturb(FaultKind::DestinationLost);
            call.accept(event);
            return unavailable("no answer");
        }
        if process.meets(FaultKind::DestinationRefuses, rate) {
            call.refused = true;
            return Err(DeliveryError::Refused("simulated: status 422".to_owned()));
        }
        if process.meets(FaultKind::DestinationSlow, rate) {
            call.disturb(FaultKind::DestinationSlow);
            tokio::time::sleep(process.millis(1_000, 60_000)).await;
            call.accept(event);
            tokio::time::sleep(process.millis(1_000, 60_000)).await;
            return Ok(());
        }
        if process.meets(FaultKind::DestinationPanics, rate) {
            call.disturb(FaultKind::DestinationPanics);
            panic!("{PLANNED_PANIC}");
        }
        if process.meets(FaultKind::Crash, rate / 4) {
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

/// Sweeps for ever, once a minute while something is due.
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
            // Where a clock is wrong, or a lease, a sweep may find nothing: it looks less often.
            Some(wait) => tokio::time::sleep(wait.max(idle)).await,
        }
        if !simulation.is_calm() && simulation.plan.faults.has(FaultKind::Freeze) && random.is(20) {
            tokio::time::sleep(Duration::from_secs(random.between(60, 4 * 60 * 60))).await;
        }
        set_clock(&process, &mut random);
        let deadline = RunDeadline::before(process.now().plus(minute));
        let mut attempts = 0;
        let work = sweeper.sweep(deadline, |_| attempts += 1);
        let swept = process.run(work).await;
        idle = match (attempts, simulation.is_calm()) {
            (0, false) => (idle * 2).min(16 * minute),
            _ => minute,
        };
        if swept.is_none() || random.is(50) {
            process = SimulatedProcess::start(&simulation, process.skew());
            sweeper = SweepRunner::new(start_worker(&process));
        }
    }
}

/// Sets the clock of a process now and then, if clocks are wrong in this run.
fn set_clock(process: &SimulatedProcess, random: &mut SplitMix64) {
    let is_due = random.is(200);
    if is_due
        && !process.simulation.is_calm()
        && process.simulation.plan.faults.has(FaultKind::ClockJump)
    {
        let most = 24 * 60 * 60 * 1000;
        let by = i64::try_from(random.below(2 * most)).unwrap_or(0) - 24 * 60 * 60 * 1000;
        process.set_clock(if random.is(300) { 0 } else { by });
    }
}
