//! Runs one history: first with faults, then without, until all work is complete.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use sender_simulator::Sender;
use tokio::{runtime::Builder, task::JoinSet};

use super::{
    delivery::sweep,
    person,
    plan::{FaultKind, HistoryPlan},
    process::SimulatedProcess,
    receivers::ReceiverFront,
    reconciler::{compare_payments, empty_boxes, is_waiting, open, run_once},
    senders::{SenderNetwork, messages, rotate},
    simulation::Simulation,
    stream::read_shard,
};
use crate::{
    history::{History, RecordedEvent},
    sync::lock,
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Runs the history of a plan on this thread.
pub(crate) fn run(plan: &HistoryPlan) -> History {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime
        .expect("a runtime without I/O")
        .block_on(run_in_runtime(plan.clone()))
}

async fn run_in_runtime(plan: HistoryPlan) -> History {
    let simulation = Arc::new(Simulation::new(plan));
    open(&simulation);
    let network = Arc::new(SenderNetwork {
        front: ReceiverFront::new(&simulation),
        simulation: Arc::clone(&simulation),
        captured: Default::default(),
    });
    let mut others = JoinSet::new();
    let senders = begin(&simulation, &network, &mut others);
    tokio::time::sleep(simulation.plan.span()).await;
    end_faults(&simulation);
    drain(&simulation, senders).await;
    run_until_complete(&simulation, &network).await;
    others.shutdown().await;
    record_remaining_rows(&simulation);
    simulation.take_history()
}

/// Starts all tasks. Returns the senders; the other tasks never end.
fn begin(
    simulation: &Arc<Simulation>,
    network: &Arc<SenderNetwork>,
    others: &mut JoinSet<()>,
) -> JoinSet<()> {
    let mut senders = JoinSet::new();
    for (number, message) in messages(simulation).into_iter().enumerate() {
        senders.spawn(Arc::clone(network).send(message, number as u64));
    }
    for shard in 0..2 {
        others.spawn(read_shard(Arc::clone(simulation), shard));
    }
    let sweepers = 1 + simulation.plan.seed % 2;
    for number in 0..sweepers {
        others.spawn(sweep(Arc::clone(simulation), number));
    }
    if simulation.plan.boxed > 0 {
        others.spawn(empty_boxes(Arc::clone(simulation), 0));
        others.spawn(empty_boxes(Arc::clone(simulation), 1));
    }
    if simulation.plan.payments > 0 {
        others.spawn(compare_payments(Arc::clone(simulation)));
    }
    let faults = simulation.plan.faults;
    if faults.has(FaultKind::Person) {
        others.spawn(person::decide(Arc::clone(simulation)));
    }
    if faults.has(FaultKind::Stranger) {
        others.spawn(Arc::clone(network).attack());
    }
    if faults.has(FaultKind::Rotation) {
        others.spawn(rotate(Arc::clone(simulation)));
    }
    senders
}

/// Ends the faults: every clock is correct, and every secret is installed.
fn end_faults(simulation: &Simulation) {
    for index in 0..2 {
        let signed_with = simulation.signed_with[index].load(Ordering::Relaxed);
        simulation.installed[index].fetch_max(signed_with, Ordering::Relaxed);
        let installed = simulation.installed[index].load(Ordering::Relaxed);
        simulation.signed_with[index].fetch_max(installed, Ordering::Relaxed);
    }
    simulation.end_faults();
}

/// Waits until the senders have ended and no row is open.
async fn drain(simulation: &Arc<Simulation>, mut senders: JoinSet<()>) {
    let longest = tokio::time::timeout(5 * 24 * HOUR, async {
        while senders.join_next().await.is_some() {}
    });
    if longest.await.is_err() {
        simulation.record(RecordedEvent::Stuck {
            what: "a sender".to_owned(),
        });
    }
    wait_until_no_row_is_open(simulation).await;
}

/// Waits until no row is open, at most 12 hours.
async fn wait_until_no_row_is_open(simulation: &Simulation) {
    // A process may still be frozen for hours after the faults have ended.
    for _ in 0..12 * 60 {
        if simulation.open_rows().is_empty() {
            return;
        }
        tokio::time::sleep(MINUTE).await;
    }
}

/// Reconciles until no message is missing. In one history of four, all rows then expire, and
/// captured requests are sent again.
async fn run_until_complete(simulation: &Arc<Simulation>, network: &Arc<SenderNetwork>) {
    for _ in 0..20 {
        if !is_waiting(simulation) {
            break;
        }
        run_once(&SimulatedProcess::start(simulation, 0), Sender::Hmrc).await;
        tokio::time::sleep(5 * MINUTE).await;
    }
    if simulation.plan.payments > 0 {
        for wait in [4 * HOUR, 4 * HOUR, 48 * HOUR] {
            tokio::time::sleep(wait).await;
            run_once(&SimulatedProcess::start(simulation, 0), Sender::GovukPay).await;
        }
    }
    wait_until_no_row_is_open(simulation).await;
    if simulation.plan.seed.is_multiple_of(4) {
        tokio::time::sleep(simulation.plan.retention() + 24 * HOUR).await;
        person::expire(simulation);
        network.replay_captured().await;
        wait_until_no_row_is_open(simulation).await;
    }
    if is_waiting(simulation) {
        let acknowledged = lock(&simulation.acknowledged);
        for (id, _) in acknowledged.iter().filter(|(_, is)| !**is) {
            simulation.record(RecordedEvent::Unacknowledged {
                source: "hmrc".to_owned(),
                id: id.clone(),
            });
        }
    }
}

fn record_remaining_rows(simulation: &Simulation) {
    for row in simulation.table.rows() {
        let digest = row
            .body
            .as_ref()
            .map(|body| super::content::digest_of(body));
        simulation.record(RecordedEvent::Remaining {
            key: row.key.to_string(),
            state: row.state.into(),
            digest,
        });
    }
}
