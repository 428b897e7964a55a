//! Three `serve` processes on one table, one of which is killed, frozen, stopped or cut off from
//! the table every second. Nothing that was acknowledged is missing, every event is delivered under
//! one key, and twice only if a process ended, or was cut off, between delivery and mark.
//!
//! `PILLARBOX_TEST_REPLICA_FAULTS` sets the number of faults. A killed replica has leases of 150 s
//! on its current rows. A short run makes them lapse, a long run (100 faults or more) waits for
//! them. The long run:
//! `PILLARBOX_TEST_REPLICA_FAULTS=600 cargo test --release -p pillarbox-tests --test slow --
//! replicas --nocapture`.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustix::process::Signal;
use sender_simulator::{Clock, SystemClock};
use serde_json::Value;
use tokio::{sync::watch, time::Instant};
use url::Url;

use super::clients::{DeliveredEvents, LoadClients, SeededClock, check_ledger, read_number};
use test_support::{
    dynamodb::EMULATOR,
    fault_proxy::{FaultProxy, InjectedFault},
    process::{CommandResult, FREE_PORTS, ProgramFolder, RunningServe, by_key, within},
    table,
};

const REPLICAS: usize = 3;
/// From this number of faults on, the test waits for leases to lapse.
const LONG_RUN: u64 = 100;
/// Leases, backoff and the sweep lease, one after the other.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// The time in which attempts end before the test makes their leases lapse.
const SETTLE_TIME: Duration = Duration::from_secs(5);

/// One of the three replicas. It is restarted at the same endpoint.
struct ReplicaProcess {
    serve: RunningServe,
    endpoint: String,
    /// Whether it was cut off from the table since it started.
    was_cut_off: bool,
}

impl ReplicaProcess {
    fn start(folder: &ProgramFolder, endpoint: &str) -> Self {
        let mut command = folder.command(&[&["serve"], FREE_PORTS].concat());
        command
            .envs(table::variables())
            .env("AWS_ENDPOINT_URL_DYNAMODB", endpoint)
            .env("PILLARBOX_LOG", "warn");
        let mut serve = RunningServe::spawn(&mut command);
        serve.await_ready();
        Self {
            serve,
            endpoint: endpoint.to_owned(),
            was_cut_off: false,
        }
    }

    fn restart(&mut self, folder: &ProgramFolder) {
        *self = Self::start(folder, &self.endpoint);
    }

    fn url(&self) -> Url {
        self.serve.url("pay")
    }
}

fn urls<'a>(replicas: impl IntoIterator<Item = &'a ReplicaProcess>) -> Vec<Url> {
    replicas.into_iter().map(ReplicaProcess::url).collect()
}

fn run(folder: &ProgramFolder, arguments: &[&str]) -> CommandResult {
    CommandResult::of(folder.command(arguments).envs(table::variables()))
}

fn rows(folder: &ProgramFolder, filters: &[&str]) -> HashMap<String, Value> {
    let ran = run(folder, &[&["list", "--json"], filters].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    let rows = ran.stdout.lines();
    by_key(
        rows.map(|line| serde_json::from_str(line).unwrap())
            .collect(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_are_killed_frozen_stopped_and_cut_off_lose_nothing() {
    let faults = read_number("PILLARBOX_TEST_REPLICA_FAULTS").unwrap_or(8);
    let seed = read_number("PILLARBOX_TEST_SEED").unwrap_or_else(|| SystemClock.random());
    println!("PILLARBOX_TEST_REPLICA_FAULTS={faults} PILLARBOX_TEST_SEED={seed}");
    let rng = SeededClock::new(seed);
    let began = Instant::now();

    let table = table::fresh("chaos").await;
    let folder = ProgramFolder::on_table(table.table());
    let is_cut_off = Arc::new(AtomicBool::new(false));
    let plan = Arc::clone(&is_cut_off);
    let proxy = FaultProxy::before(&EMULATOR.endpoint, move |_| {
        match plan.load(Ordering::Relaxed) {
            true => InjectedFault::HangsAfter,
            false => InjectedFault::None,
        }
    })
    .await;
    let endpoints = [&EMULATOR.endpoint, &EMULATOR.endpoint, &proxy.endpoint];
    let mut replicas: Vec<ReplicaProcess> = endpoints
        .map(|endpoint| ReplicaProcess::start(&folder, endpoint))
        .into();
    let (receiver_urls, receivers) = watch::channel(urls(&replicas));
    let clients = LoadClients::start(&rng, &receivers);
    let ledger = Arc::clone(&clients.ledger);

    let mut deliveries = DeliveredEvents::default();
    let mut injected = [0u64; 4];
    for fault in 0..faults {
        // The kinds of fault take turns; the replica is random.
        let (kind, victim) = (fault % 4, rng.below(REPLICAS as u64) as usize);
        let victim = if kind == 3 { REPLICAS - 1 } else { victim };
        injected[kind as usize] += 1;
        let lasts = Duration::from_millis(200 + rng.below(800));
        match kind {
            0 => {
                let serve = &mut replicas[victim].serve;
                serve.kill();
                deliveries.add(serve, true);
                // A load balancer notices only after a while.
                tokio::time::sleep(lasts / 2).await;
                replicas[victim].restart(&folder);
            }
            1 => {
                replicas[victim].serve.signal(Signal::STOP);
                tokio::time::sleep(lasts).await;
                replicas[victim].serve.signal(Signal::CONT);
            }
            2 => {
                assert!(replicas[victim].serve.stop(Signal::TERM).success());
                let was_cut_off = replicas[victim].was_cut_off;
                deliveries.add(&replicas[victim].serve, was_cut_off);
                replicas[victim].restart(&folder);
            }
            _ => {
                replicas[victim].was_cut_off = true;
                is_cut_off.store(true, Ordering::Relaxed);
                tokio::time::sleep(lasts * 3).await;
                is_cut_off.store(false, Ordering::Relaxed);
            }
        }
        receiver_urls.send(urls(&replicas)).unwrap();
        tokio::time::sleep(Duration::from_secs(1).saturating_sub(lasts)).await;
    }

    let acknowledged = clients.stop().await;
    if faults < LONG_RUN {
        tokio::time::sleep(SETTLE_TIME).await;
        let open = rows(&folder, &["--state", "open"]);
        let attempts = |row: &Value| u32::try_from(row["attempts"].as_u64().unwrap()).unwrap();
        let open: Vec<(String, u32)> = open
            .into_iter()
            .map(|(key, row)| (key, attempts(&row)))
            .collect();
        table::lapse_leases(table.table(), &open).await;
    }
    within(DRAIN_TIMEOUT, "everything is delivered", || {
        std::thread::sleep(Duration::from_millis(500));
        rows(&folder, &["--state", "open"]).is_empty()
    });
    for replica in &mut replicas {
        assert!(replica.serve.stop(Signal::TERM).success());
        deliveries.add(&replica.serve, replica.was_cut_off);
    }
    check_ledger(&acknowledged, &rows(&folder, &[]), &deliveries);

    let verified = run(&folder, &["verify", "--stored"]);
    assert_eq!(verified.code, 0, "{verified:?}");
    println!(
        "{} kills, {} freezes, {} stops, {} partitions; {} notifications, {} POSTs of which {} \
         failed, {} delivered more than once, {} s",
        injected[0],
        injected[1],
        injected[2],
        injected[3],
        acknowledged.len(),
        ledger.posts.load(Ordering::Relaxed),
        ledger.failures.load(Ordering::Relaxed),
        deliveries.more_than_once,
        began.elapsed().as_secs(),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_sweeper_is_replaced_and_logs_it_when_it_resumes() {
    let table = table::fresh("frozen").await;
    let folder = ProgramFolder::on_table(table.table());
    let start = || {
        let mut command = folder.command(&[&["serve"], FREE_PORTS].concat());
        let mut serve = RunningServe::spawn(command.envs(table::variables()));
        serve.await_ready();
        serve
    };
    let has_logged = |serve: &RunningServe, line: &str| serve.stderr.find(line).is_some();
    let (sweeps, lost) = ("this replica sweeps now", "another replica sweeps now");
    let mut frozen = start();
    within(DRAIN_TIMEOUT, "the first replica sweeps", || {
        has_logged(&frozen, sweeps)
    });
    let mut other = start();
    frozen.signal(Signal::STOP);
    within(DRAIN_TIMEOUT, "the second replica sweeps", || {
        has_logged(&other, sweeps)
    });
    frozen.signal(Signal::CONT);
    within(DRAIN_TIMEOUT, "the first replica logs its loss", || {
        has_logged(&frozen, lost)
    });
    for serve in [&mut frozen, &mut other] {
        assert!(serve.stop(Signal::TERM).success());
    }
    assert!(!has_logged(&other, lost));
}
