//! `serve` is killed again and again under load, and keeps its promise.
//!
//! Clients play both senders: each sends one notification after another, every one until it gets
//! its 200, whatever becomes of `serve` meanwhile. The clients' ledger is then held against the
//! inbox and against everything that all `serve` processes delivered.
//!
//! `PILLARBOX_TEST_KILLS` sets the number of kills, `PILLARBOX_TEST_SEED` the chance. The long run:
//! `PILLARBOX_TEST_KILLS=200 cargo test -p pillarbox-tests --test slow --release -- --nocapture`.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use rustix::process::Signal;
use sender_simulator::{Clock, ReceiverConnection, Sender, SenderRequest, SystemClock, Timestamp};
use serde_json::Value;
use tokio::{sync::watch, time::Instant};
use url::Url;

use test_support::process::{BOTH_SOURCES, Folder, HMRC_SECRET, PAY_SECRET, Serve, by_key, within};

const CLIENTS: u64 = 16;
const MAX_WAIT: Duration = Duration::from_secs(3);
/// How long a client waits before it tries again.
const PAUSE: Duration = Duration::from_millis(2);
/// A row that several kills caught in the middle waits for its pushed-on time: 5 s, 10 s, 20 s, …
const DRAINED: Duration = Duration::from_secs(15 * 60);

/// Real time, and chance from a seed.
struct SeededClock(AtomicU64);

impl SeededClock {
    fn below(&self, sides: u64) -> u64 {
        self.random() % sides
    }
}

impl Clock for SeededClock {
    fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    /// SplitMix64.
    fn random(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[expect(clippy::disallowed_methods, reason = "how a long run is asked for")]
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable)
        .ok()
        .map(|text| text.parse().expect("a number"))
}

/// Where `serve` is now; nowhere while it is dead.
type Whereabouts = watch::Receiver<Option<Url>>;

/// What the clients know.
#[derive(Default)]
struct ClientLedger {
    /// Every key that got a 200, with the SHA-256 of the bytes that were sent.
    acknowledged: Mutex<HashMap<String, String>>,
    posts: AtomicU64,
    failures: AtomicU64,
}

/// Posts one notification until it gets its 200, and returns the status word of that answer.
async fn deliver(
    sender: Sender,
    request: &SenderRequest,
    line: &mut Option<ReceiverConnection>,
    serve: &mut Whereabouts,
    ledger: &ClientLedger,
) -> String {
    loop {
        let root = serve
            .wait_for(Option::is_some)
            .await
            .unwrap()
            .clone()
            .unwrap();
        let url = root.join(source(sender)).unwrap();
        let answer = async {
            if line.as_ref().is_none_or(|line| !line.is_open()) {
                *line = Some(ReceiverConnection::open(&url, MAX_WAIT).await?);
            }
            line.as_mut().unwrap().send(request).await
        };
        ledger.posts.fetch_add(1, Ordering::Relaxed);
        match answer.await {
            Ok(answer) if answer.status == 200 => {
                let body: Value = serde_json::from_slice(&answer.body).unwrap();
                return body["status"].as_str().unwrap().to_owned();
            }
            Ok(answer) => assert_eq!(
                answer.status, 503,
                "a genuine request is never refused: {answer:?}"
            ),
            Err(_) => *line = None,
        }
        ledger.failures.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(PAUSE).await;
    }
}

fn source(sender: Sender) -> &'static str {
    match sender {
        Sender::Hmrc => "hmrc",
        Sender::GovukPay => "pay",
    }
}

/// Simulates both senders in turn until stopped; the last notification is still brought to its
/// 200.
async fn client(
    dice: SeededClock,
    mut serve: Whereabouts,
    ledger: Arc<ClientLedger>,
    stop: Arc<AtomicBool>,
) {
    let (mut line, mut second_line) = (HashMap::new(), HashMap::new());
    let mut second_serve = serve.clone();
    while !stop.load(Ordering::Relaxed) {
        let (sender, secret) =
            [(Sender::Hmrc, HMRC_SECRET), (Sender::GovukPay, PAY_SECRET)][dice.below(2) as usize];
        let event = sender.events()[dice.below(sender.events().len() as u64) as usize];
        let body = sender.body(Some(event), &dice).unwrap();
        let any = Url::parse("http://127.0.0.1/").unwrap();
        let request = sender.request(&body, secret, &any);
        let line = line.entry(sender.as_str()).or_default();
        let first = deliver(sender, &request, line, &mut serve, &ledger);
        if dice.below(4) == 0 {
            let second_line = second_line.entry(sender.as_str()).or_default();
            let second = deliver(sender, &request, second_line, &mut second_serve, &ledger);
            let said = tokio::join!(first, second);
            assert!(
                said.0 == "duplicate" || said.1 == "duplicate",
                "both copies were new: {said:?}"
            );
        } else {
            first.await;
        }
        let key = format!("{}:{}", source(sender), request.id);
        let digest = sha256(&request.body);
        ledger.acknowledged.lock().unwrap().insert(key, digest);
        if dice.below(8) == 0 {
            let again = deliver(sender, &request, line, &mut serve, &ledger).await;
            assert_eq!(again, "duplicate", "what was acknowledged is known");
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    hex::encode(Sha256::digest(bytes))
}

/// Everything that all `serve` processes delivered: each key's line, and how often.
#[derive(Default)]
struct HandedOn {
    lines: HashMap<String, String>,
    more_than_once: usize,
}

impl HandedOn {
    fn add(&mut self, serve: &Serve) {
        for line in serve.stdout.all() {
            let event: Value = serde_json::from_str(&line).expect("every whole line is JSON");
            let key = event["id"].as_str().unwrap().to_owned();
            if let Some(before) = self.lines.get(&key) {
                assert_eq!(*before, line, "an event changed between two attempts");
                self.more_than_once += 1;
            } else {
                self.lines.insert(key, line);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_notification_survives_every_kill_and_is_delivered() {
    let kills = number("PILLARBOX_TEST_KILLS").unwrap_or(20);
    let seed = number("PILLARBOX_TEST_SEED").unwrap_or_else(|| SystemClock.random());
    println!("PILLARBOX_TEST_KILLS={kills} PILLARBOX_TEST_SEED={seed}");
    let dice = SeededClock(AtomicU64::new(seed));
    let began = Instant::now();

    let folder = Folder::with(BOTH_SOURCES);
    let (tell, serve_at) = watch::channel(None);
    let (ledger, stop) = (
        Arc::new(ClientLedger::default()),
        Arc::new(AtomicBool::new(false)),
    );
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            client(
                SeededClock(AtomicU64::new(dice.random())),
                serve_at.clone(),
                Arc::clone(&ledger),
                Arc::clone(&stop),
            )
        })
        .map(tokio::spawn)
        .collect();

    let mut handed_on = HandedOn::default();
    for _ in 0..kills {
        let mut serve = Serve::spawn(&mut folder.serve_command());
        // One in eight dies on its way up; the others somewhere in their first 400 ms of work.
        if dice.below(8) == 0 {
            tokio::time::sleep(Duration::from_micros(dice.below(60_000))).await;
        } else {
            serve.await_ready();
            tell.send(Some(serve.url("pay"))).unwrap();
            tokio::time::sleep(Duration::from_micros(dice.below(400_000))).await;
        }
        serve.kill();
        tell.send(None).unwrap();
        handed_on.add(&serve);
    }

    let mut serve = folder.serve();
    tell.send(Some(serve.url("pay"))).unwrap();
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let acknowledged = ledger.acknowledged.lock().unwrap().clone();
    within(DRAINED, "everything is delivered", || {
        folder.count("open") == 0
    });

    let rows = by_key(folder.list(&[]));
    for (key, digest) in &acknowledged {
        let row = rows
            .get(key)
            .unwrap_or_else(|| panic!("{key} was acknowledged and is not stored"));
        assert_eq!(row["digest"], **digest, "{key} is stored with other bytes");
        assert_eq!(row["state"], "delivered", "{row}");
    }
    assert_eq!(
        rows.len(),
        acknowledged.len(),
        "every client brought all it sent to a 200, and nothing else came"
    );

    assert!(serve.stop(Signal::TERM).success());
    handed_on.add(&serve);
    for key in acknowledged.keys() {
        assert!(
            handed_on.lines.contains_key(key),
            "{key} is marked delivered and was never delivered"
        );
    }
    assert_eq!(
        handed_on.lines.len(),
        acknowledged.len(),
        "only acknowledged notifications are delivered"
    );

    let proven = folder.run(&["verify", "--stored"]);
    assert_eq!(proven.code, 0, "{proven:?}");
    assert!(
        proven
            .stdout
            .starts_with(&format!("{} signed and proven", acknowledged.len())),
        "{proven:?}"
    );
    println!(
        "{kills} kills, {} notifications, {} POSTs of which {} failed, {} handed on more than \
         once, {} s",
        acknowledged.len(),
        ledger.posts.load(Ordering::Relaxed),
        ledger.failures.load(Ordering::Relaxed),
        handed_on.more_than_once,
        began.elapsed().as_secs(),
    );
}
