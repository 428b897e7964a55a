//! `serve` is killed repeatedly under load, and loses nothing.
//!
//! `proof kill` kills more kinds of processes at more points. This test is the short version for
//! the test command. It also covers what `proof kill` does not: events on standard output, and
//! `verify --stored` on the rows of killed processes.
//!
//! `PILLARBOX_TEST_KILLS` sets the number of kills, `PILLARBOX_TEST_SEED` the seed. The long run:
//! `PILLARBOX_TEST_KILLS=200 cargo test -p pillarbox-tests --test slow --release -- --nocapture`.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use rustix::process::Signal;
use sender_simulator::{Clock, SystemClock};
use tokio::{sync::watch, time::Instant};

use super::clients::{DeliveredEvents, LoadClients, SeededClock, check_ledger, read_number};
use test_support::process::{BOTH_SOURCES, ProgramFolder, RunningServe, by_key, within};

/// The backoff of a row that was in flight at several kills: 5 s, 10 s, 20 s, …
const DRAIN_TIMEOUT: Duration = Duration::from_secs(15 * 60);

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_notification_survives_every_kill_and_is_delivered() {
    let kills = read_number("PILLARBOX_TEST_KILLS").unwrap_or(20);
    let seed = read_number("PILLARBOX_TEST_SEED").unwrap_or_else(|| SystemClock.random());
    println!("PILLARBOX_TEST_KILLS={kills} PILLARBOX_TEST_SEED={seed}");
    let rng = SeededClock::new(seed);
    let began = Instant::now();

    let folder = ProgramFolder::with(BOTH_SOURCES);
    let (receiver_urls, serve_at) = watch::channel(Vec::new());
    let clients = LoadClients::start(&rng, &serve_at);
    let ledger = Arc::clone(&clients.ledger);

    let mut deliveries = DeliveredEvents::default();
    for _ in 0..kills {
        let mut serve = RunningServe::spawn(&mut folder.serve_command());
        // One process in eight is killed while it starts, the others within 400 ms after that.
        if rng.below(8) == 0 {
            tokio::time::sleep(Duration::from_micros(rng.below(60_000))).await;
        } else {
            serve.await_ready();
            receiver_urls.send(vec![serve.url("pay")]).unwrap();
            tokio::time::sleep(Duration::from_micros(rng.below(400_000))).await;
        }
        serve.kill();
        receiver_urls.send(Vec::new()).unwrap();
        deliveries.add(&serve, true);
    }

    let mut serve = folder.serve();
    receiver_urls.send(vec![serve.url("pay")]).unwrap();
    let acknowledged = clients.stop().await;
    within(DRAIN_TIMEOUT, "everything is delivered", || {
        folder.count("open") == 0
    });

    let rows = by_key(folder.list(&[]));
    assert!(serve.stop(Signal::TERM).success());
    deliveries.add(&serve, false);
    check_ledger(&acknowledged, &rows, &deliveries);

    let verified = folder.run(&["verify", "--stored"]);
    assert_eq!(verified.code, 0, "{verified:?}");
    assert!(
        verified
            .stdout
            .starts_with(&format!("{} signed and proven", acknowledged.len())),
        "{verified:?}"
    );
    println!(
        "{kills} kills, {} notifications, {} POSTs of which {} failed, {} delivered more than \
         once, {} s",
        acknowledged.len(),
        ledger.posts.load(Ordering::Relaxed),
        ledger.failures.load(Ordering::Relaxed),
        deliveries.more_than_once,
        began.elapsed().as_secs(),
    );
}
