//! One history from its beginning to its end: faults, then calm, in which everything must drain.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use sender_simulator::Sender;
use tokio::{runtime::Builder, task::JoinSet};

use super::{
    delivery::sweep,
    person,
    plan::{FaultKind, Plan},
    process::Process,
    receivers::Front,
    reconciler::{compare_payments, empty_boxes, is_waiting, open, run_once},
    senders::{Network, messages, rotate},
    stream::read_shard,
    table::state_of,
    world::{World, lock},
};
use crate::history::{Happened, History};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Runs the history of a plan, alone on this thread.
pub(crate) fn run(plan: &Plan) -> History {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without I/O").block_on(run_in_runtime(plan.clone()))
}

async fn run_in_runtime(plan: Plan) -> History {
    let world = Arc::new(World::new(plan));
    open(&world);
    let network = Arc::new(Network {
        front: Front::new(&world),
        world: Arc::clone(&world),
        seen: Default::default(),
    });
    let mut others = JoinSet::new();
    let senders = begin(&world, &network, &mut others);
    tokio::time::sleep(world.plan.span()).await;
    calm(&world);
    drain(&world, senders).await;
    settle(&world, &network).await;
    others.shutdown().await;
    note_what_is_left(&world);
    world.take_history()
}

/// Starts everybody; returns the senders, who end.
fn begin(world: &Arc<World>, network: &Arc<Network>, others: &mut JoinSet<()>) -> JoinSet<()> {
    let mut senders = JoinSet::new();
    for (number, message) in messages(world).into_iter().enumerate() {
        senders.spawn(Arc::clone(network).send(message, number as u64));
    }
    for shard in 0..2 {
        others.spawn(read_shard(Arc::clone(world), shard));
    }
    let sweepers = 1 + world.plan.seed % 2;
    for number in 0..sweepers {
        others.spawn(sweep(Arc::clone(world), number));
    }
    if world.plan.boxed > 0 {
        others.spawn(empty_boxes(Arc::clone(world), 0));
        others.spawn(empty_boxes(Arc::clone(world), 1));
    }
    if world.plan.payments > 0 {
        others.spawn(compare_payments(Arc::clone(world)));
    }
    let faults = world.plan.faults;
    if faults.has(FaultKind::Person) {
        others.spawn(person::decide(Arc::clone(world)));
    }
    if faults.has(FaultKind::Stranger) {
        others.spawn(Arc::clone(network).attack());
    }
    if faults.has(FaultKind::Rotation) {
        others.spawn(rotate(Arc::clone(world)));
    }
    senders
}

/// Ends the faults: every clock is right, every secret installed.
fn calm(world: &World) {
    for index in 0..2 {
        let signed_with = world.signed_with[index].load(Ordering::Relaxed);
        world.installed[index].fetch_max(signed_with, Ordering::Relaxed);
        let installed = world.installed[index].load(Ordering::Relaxed);
        world.signed_with[index].fetch_max(installed, Ordering::Relaxed);
    }
    world.calm();
}

/// Waits until the senders have ended and no row is open.
async fn drain(world: &Arc<World>, mut senders: JoinSet<()>) {
    let longest = tokio::time::timeout(5 * 24 * HOUR, async {
        while senders.join_next().await.is_some() {}
    });
    if longest.await.is_err() {
        world.note(Happened::Stuck { what: "a sender".to_owned() });
    }
    no_open_rows(world).await;
}

/// Waits until no row is open, or too long.
async fn no_open_rows(world: &World) {
    // A process may have stood still for hours when the faults ended.
    for _ in 0..12 * 60 {
        if world.open_rows().is_empty() {
            return;
        }
        tokio::time::sleep(MINUTE).await;
    }
}

/// Reconciles until nothing is missing, and lets everything expire, once.
async fn settle(world: &Arc<World>, network: &Arc<Network>) {
    for _ in 0..20 {
        if !is_waiting(world) {
            break;
        }
        run_once(&Process::start(world, 0), Sender::Hmrc).await;
        tokio::time::sleep(5 * MINUTE).await;
    }
    if world.plan.payments > 0 {
        for wait in [4 * HOUR, 4 * HOUR, 48 * HOUR] {
            tokio::time::sleep(wait).await;
            run_once(&Process::start(world, 0), Sender::GovukPay).await;
        }
    }
    no_open_rows(world).await;
    if world.plan.seed.is_multiple_of(4) {
        tokio::time::sleep(world.plan.retention() + 24 * HOUR).await;
        person::expire(world);
        network.replay_captured().await;
        no_open_rows(world).await;
    }
    if is_waiting(world) {
        let acknowledged = lock(&world.acknowledged);
        for (id, _) in acknowledged.iter().filter(|(_, is)| !**is) {
            world.note(Happened::Unacknowledged { source: "hmrc".to_owned(), id: id.clone() });
        }
    }
}

fn note_what_is_left(world: &World) {
    for row in world.table.rows() {
        let digest = row.body.as_ref().map(|body| super::content::digest_of(body));
        world.note(Happened::Left { key: row.key.to_string(), state: state_of(&row), digest });
    }
}
