//! Clients that simulate both senders. Each sends one notification after another, and repeats each
//! until it gets a 200, while receivers stop and fail. Afterwards a ledger of the acknowledged
//! notifications is compared with the rows and the deliveries.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use sender_simulator::{Clock, ReceiverConnection, Sender, SenderRequest, SystemClock, Timestamp};
use serde_json::Value;
use tokio::{sync::watch, task::JoinHandle};
use url::Url;

use test_support::process::{HMRC_SECRET, PAY_SECRET, RunningServe};

const CLIENTS: u64 = 16;
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(3);
const RETRY_DELAY: Duration = Duration::from_millis(2);

/// Real time, and random numbers from a seed.
pub(super) struct SeededClock(AtomicU64);

impl SeededClock {
    pub(super) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    pub(super) fn below(&self, limit: u64) -> u64 {
        self.random() % limit
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

#[expect(
    clippy::disallowed_methods,
    reason = "a setting of the person who starts a long run"
)]
pub(super) fn read_number(variable: &str) -> Option<u64> {
    std::env::var(variable)
        .ok()
        .map(|text| text.parse().expect("a number"))
}

/// The URLs of the running receivers; empty while none runs.
pub(super) type ReceiverUrls = watch::Receiver<Vec<Url>>;

/// The ledger that all clients share.
#[derive(Default)]
pub(super) struct ClientLedger {
    /// Every key that got a 200, with the SHA-256 of the bytes that were sent.
    pub(super) acknowledged: Mutex<HashMap<String, String>>,
    pub(super) posts: AtomicU64,
    pub(super) failures: AtomicU64,
}

/// Posts a notification until it gets a 200, and returns the status word of that answer.
async fn post_until_acknowledged(
    sender: Sender,
    request: &SenderRequest,
    connection: &mut Option<(Url, ReceiverConnection)>,
    receivers: &mut ReceiverUrls,
    ledger: &ClientLedger,
) -> String {
    loop {
        let post = ledger.posts.fetch_add(1, Ordering::Relaxed);
        let url = {
            let roots = receivers.wait_for(|roots| !roots.is_empty()).await.unwrap();
            // Round robin, as a load balancer.
            let turn = usize::try_from(post).unwrap() % roots.len();
            roots[turn].join(source(sender)).unwrap()
        };
        let answer = async {
            if connection
                .as_ref()
                .is_none_or(|(to, connection)| *to != url || !connection.is_open())
            {
                *connection = Some((
                    url.clone(),
                    ReceiverConnection::open(&url, RESPONSE_TIMEOUT).await?,
                ));
            }
            connection.as_mut().unwrap().1.send(request).await
        };
        match answer.await {
            Ok(answer) if answer.status == 200 => {
                let body: Value = serde_json::from_slice(&answer.body).unwrap();
                return body["status"].as_str().unwrap().to_owned();
            }
            Ok(answer) => assert_eq!(
                answer.status, 503,
                "a genuine request is never refused: {answer:?}"
            ),
            Err(_) => *connection = None,
        }
        ledger.failures.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(RETRY_DELAY).await;
    }
}

fn source(sender: Sender) -> &'static str {
    match sender {
        Sender::Hmrc => "hmrc",
        Sender::GovukPay => "pay",
    }
}

/// Simulates both senders until stopped. The last notification, too, is repeated until its 200.
async fn run_client(
    rng: SeededClock,
    mut receivers: ReceiverUrls,
    ledger: Arc<ClientLedger>,
    stop: Arc<AtomicBool>,
) {
    let (mut connection, mut second_connection) = (HashMap::new(), HashMap::new());
    let mut second_receivers = receivers.clone();
    while !stop.load(Ordering::Relaxed) {
        let (sender, secret) =
            [(Sender::Hmrc, HMRC_SECRET), (Sender::GovukPay, PAY_SECRET)][rng.below(2) as usize];
        let event = sender.events()[rng.below(sender.events().len() as u64) as usize];
        let body = sender.body(Some(event), &rng).unwrap();
        let any = Url::parse("http://127.0.0.1/").unwrap();
        let request = sender.request(&body, secret, &any);
        let connection = connection.entry(sender.as_str()).or_default();
        let first = post_until_acknowledged(sender, &request, connection, &mut receivers, &ledger);
        if rng.below(4) == 0 {
            let second_connection = second_connection.entry(sender.as_str()).or_default();
            let second = post_until_acknowledged(
                sender,
                &request,
                second_connection,
                &mut second_receivers,
                &ledger,
            );
            let statuses = tokio::join!(first, second);
            assert!(
                statuses.0 == "duplicate" || statuses.1 == "duplicate",
                "both copies were new: {statuses:?}"
            );
        } else {
            first.await;
        }
        let key = format!("{}:{}", source(sender), request.id);
        let digest = sha256(&request.body);
        ledger.acknowledged.lock().unwrap().insert(key, digest);
        if rng.below(8) == 0 {
            let again =
                post_until_acknowledged(sender, &request, connection, &mut receivers, &ledger)
                    .await;
            assert_eq!(
                again, "duplicate",
                "an acknowledged notification is a duplicate"
            );
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    hex::encode(Sha256::digest(bytes))
}

/// Clients that send until they are stopped.
pub(super) struct LoadClients {
    pub(super) ledger: Arc<ClientLedger>,
    stop: Arc<AtomicBool>,
    running: Vec<JoinHandle<()>>,
}

impl LoadClients {
    pub(super) fn start(rng: &SeededClock, receivers: &ReceiverUrls) -> Self {
        let (ledger, stop) = (Arc::<ClientLedger>::default(), Arc::<AtomicBool>::default());
        let running = (0..CLIENTS)
            .map(|_| {
                let rng = SeededClock::new(rng.random());
                let (ledger, stop) = (Arc::clone(&ledger), Arc::clone(&stop));
                tokio::spawn(run_client(rng, receivers.clone(), ledger, stop))
            })
            .collect();
        Self {
            ledger,
            stop,
            running,
        }
    }

    /// Stops the clients, and returns the acknowledged notifications.
    pub(super) async fn stop(self) -> HashMap<String, String> {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.running {
            client.await.unwrap();
        }
        self.ledger.acknowledged.lock().unwrap().clone()
    }
}

/// Checks the stored rows and the deliveries against the acknowledged notifications.
pub(super) fn check_ledger(
    acknowledged: &HashMap<String, String>,
    rows: &HashMap<String, Value>,
    deliveries: &DeliveredEvents,
) {
    for (key, digest) in acknowledged {
        let row = rows
            .get(key)
            .unwrap_or_else(|| panic!("{key} was acknowledged and is not stored"));
        assert_eq!(row["digest"], **digest, "{key} is stored with other bytes");
        assert_eq!(row["state"], "delivered", "{row}");
        assert!(
            deliveries.lines.contains_key(key),
            "{key} is marked delivered and was never delivered"
        );
    }
    assert_eq!(
        rows.len(),
        acknowledged.len(),
        "only acknowledged notifications are stored"
    );
    assert_eq!(
        deliveries.lines.len(),
        acknowledged.len(),
        "only acknowledged notifications are delivered"
    );
}

/// The deliveries of all `serve` processes.
#[derive(Default)]
pub(super) struct DeliveredEvents {
    /// The line of each key.
    lines: HashMap<String, String>,
    /// The number of repeated deliveries.
    pub(super) more_than_once: usize,
    /// The keys delivered without a fault, none of which may be delivered so again.
    undisturbed: HashSet<String>,
}

impl DeliveredEvents {
    /// Adds the deliveries of a process. A process that was killed, or cut off from its inbox, may
    /// have delivered an event without recording it; one that logs an unwritten outcome has. All
    /// other deliveries must be unique.
    pub(super) fn add(&mut self, serve: &RunningServe, is_disturbed: bool) {
        let unwritten = serve.unwritten_outcomes();
        for line in serve.stdout.all() {
            let event: Value = serde_json::from_str(&line).expect("every whole line is JSON");
            let key = event["id"].as_str().unwrap().to_owned();
            assert!(
                is_disturbed || unwritten.contains(&key) || self.undisturbed.insert(key.clone()),
                "{key} was delivered twice without a fault: {:?}",
                serve.stderr.find(&key)
            );
            if let Some(before) = self.lines.get(&key) {
                assert_eq!(*before, line, "every attempt delivers the same event");
                self.more_than_once += 1;
            } else {
                self.lines.insert(key, line);
            }
        }
    }
}
