//! Delivery from a table and its stream, while records are lost and repeated, the processor is
//! stopped, and the destination fails a third of the time: no event is lost or left open.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use pillarbox::{
    delivery::{
        DeliveryWorker, RunDeadline,
        stream_batch::{BatchOutcome, BatchRecord, SequenceNumber, run},
        sweep::SweepRunner,
    },
    destinations::{DeliveryError, Destination, Event},
    domain::{Clock, Key, State, Timestamp},
    inbox::{
        DeliveryInbox, ReadInbox, ReceiveInbox, RecordOutcome, RetentionPolicy, Row, SourceFilter,
        dynamodb::DynamoInbox,
    },
};
use sender_simulator::Sender;
use serde_json::Value;

use test_support::{
    dynamodb,
    manual_clock::ManualClock,
    pump::{InvocationEnd, SeededRandom, StreamPump},
    table,
};

/// When a [`ManualClock`] begins.
const START: Timestamp = Timestamp::from_millis(1_772_446_531_480);
const RETENTION: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// The time limit of the function.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A destination that records events by key, and fails as often as configured.
#[derive(Default)]
struct DeliveryLedger {
    rng: Mutex<Option<SeededRandom>>,
    arrived: Mutex<HashMap<Key, (Vec<u8>, usize)>>,
}

impl DeliveryLedger {
    fn failing(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            rng: Mutex::new(Some(SeededRandom::new(seed))),
            ..Self::default()
        })
    }

    fn arrivals(&self, key: &Key) -> usize {
        self.arrived
            .lock()
            .unwrap()
            .get(key)
            .map_or(0, |(_, times)| *times)
    }
}

/// The destination of a worker.
struct LedgerDestination(Arc<DeliveryLedger>);

impl Destination for LedgerDestination {
    async fn deliver(&self, key: &Key, event: &Event) -> Result<(), DeliveryError> {
        tokio::task::yield_now().await;
        // The destination refuses one event in a hundred permanently.
        if key.as_str().ends_with("07") {
            return Err(DeliveryError::Refused("ledger: status 422".into()));
        }
        let drawn = self
            .0
            .rng
            .lock()
            .unwrap()
            .as_mut()
            .map_or(9, |rng| rng.below(9));
        if drawn < 2 {
            return Err(DeliveryError::Unavailable("ledger: status 503".into()));
        }
        let mut arrived = self.0.arrived.lock().unwrap();
        let (bytes, times) = arrived
            .entry(key.clone())
            .or_insert_with(|| (event.json().to_vec(), 0));
        assert_eq!(
            bytes,
            event.json(),
            "{key} has the same bytes in every attempt"
        );
        *times += 1;
        // The event arrived, and its answer is lost.
        if drawn == 2 {
            Err(DeliveryError::Unavailable(
                "ledger: no answer in time".into(),
            ))
        } else {
            Ok(())
        }
    }
}

type PumpWorker = DeliveryWorker<DynamoInbox, LedgerDestination>;

fn worker(
    inbox: &DynamoInbox,
    ledger: &Arc<DeliveryLedger>,
    clock: &Arc<ManualClock>,
) -> Arc<PumpWorker> {
    let retention = RetentionPolicy {
        retention: RETENTION,
    };
    Arc::new(DeliveryWorker::new(
        Arc::new(inbox.clone()),
        LedgerDestination(Arc::clone(ledger)),
        clock.clone(),
        retention,
    ))
}

fn records(event: &Value) -> Vec<BatchRecord> {
    let record = |record: &Value| {
        let sequence =
            SequenceNumber::parse(record["dynamodb"]["SequenceNumber"].as_str().unwrap()).unwrap();
        BatchRecord {
            sequence,
            key: Key::parse(record["dynamodb"]["NewImage"]["pk"]["S"].as_str().unwrap()),
        }
    };
    event["Records"]
        .as_array()
        .unwrap()
        .iter()
        .map(record)
        .collect()
}

/// Invokes the processor. With `stops_after`, the invocation is dropped after that time.
async fn invoke(
    worker: &Arc<PumpWorker>,
    event: &Value,
    stops_after: Option<Duration>,
) -> InvocationEnd {
    let batch = records(event);
    let until = RunDeadline::before(worker.clock.now().plus(TIMEOUT));
    let work = run(worker, &batch, until, |_| {});
    let outcome = match stops_after {
        None => Some(work.await),
        Some(after) => tokio::time::timeout(after, work).await.ok(),
    };
    match outcome {
        None => InvocationEnd::Error,
        Some((BatchOutcome::Done, _)) => InvocationEnd::Done,
        Some((BatchOutcome::ResumeFrom(sequence), _)) => {
            InvocationEnd::ResumeFrom(sequence.to_string())
        }
    }
}

/// Sweeps once a minute of the test's time until no row is open; returns the number of minutes.
async fn sweep_until_drained(
    inbox: &DynamoInbox,
    worker: &Arc<PumpWorker>,
    clock: &ManualClock,
) -> usize {
    let sweeper = SweepRunner::new(Arc::clone(worker));
    for minute in 0.. {
        sweeper
            .sweep(RunDeadline::before(clock.now().plus(2 * TIMEOUT)), |_| {})
            .await
            .unwrap();
        let open = inbox
            .find_due(&SourceFilter::ALL, clock.now().plus(RETENTION), 1)
            .await
            .unwrap();
        if open.is_empty() {
            return minute;
        }
        assert!(minute < 5 * 24 * 60, "stuck for five days: {open:?}");
        clock.pass(Duration::from_secs(60));
    }
    unreachable!()
}

async fn all_rows(inbox: &DynamoInbox) -> BTreeMap<Key, Row> {
    let rows = table::rows(inbox).await.into_iter();
    rows.map(|row| (row.key.clone(), row)).collect()
}

fn event(id: usize, payment: usize) -> String {
    format!(
        r#"{{"webhook_message_id":"m{id:05}","created_date":"{START}","resource_id":"p{payment}",
            "event_type":"card_payment_succeeded","resource":{{"amount":5000}}}}"#
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_notifications_are_each_delivered_under_one_key_or_dead() {
    const COUNT: usize = 10_000;
    let (inbox, clock, ledger) = (
        table::fresh("storm").await,
        ManualClock::new(),
        DeliveryLedger::failing(7),
    );
    let worker = worker(&inbox, &ledger, &clock);
    let mut rng = SeededRandom::new(42);
    let mut pump = StreamPump::at(&dynamodb::EMULATOR.endpoint, inbox.table()).await;
    let (mut acknowledged, mut firsts, mut lost, mut stopped) = (HashSet::new(), 0, 0, 0);
    for thousand in 0..COUNT / 1_000 {
        // 5 % are sent twice at the same time; 1 % are an earlier event under another id.
        let ids = (thousand * 1_000..(thousand + 1) * 1_000)
            .flat_map(|id| vec![id; if id % 20 == 3 { 2 } else { 1 }]);
        let posts = ids.map(|id| {
            let payment = if id % 100 == 99 { id - 1 } else { id };
            let entry = table::entry(Sender::GovukPay, event(id, payment), START);
            let inbox = &inbox;
            async move { (entry.key.clone(), inbox.record(&entry).await.unwrap()) }
        });
        let recorded: Vec<_> = stream::iter(posts).buffer_unordered(32).collect().await;
        firsts += recorded
            .iter()
            .filter(|(_, recorded)| *recorded == RecordOutcome::First)
            .count();
        acknowledged.extend(recorded.into_iter().map(|(key, _)| key));
        let mut stops = SeededRandom::new(thousand as u64);
        let pumped = pump
            .drain(&mut rng, (1, 5), async |event| {
                let stops_after = stops.is(10).then(|| Duration::from_millis(stops.below(20)));
                let invoked = invoke(&worker, &event, stops_after).await;
                stopped += usize::from(invoked == InvocationEnd::Error);
                invoked
            })
            .await;
        lost += pumped.lost;
        clock.pass(Duration::from_secs(5));
    }
    let minutes = sweep_until_drained(&inbox, &worker, &clock).await;
    println!("{lost} records lost, {stopped} invocations stopped, drained after {minutes} minutes");
    assert!(
        lost > 50 && stopped > 10,
        "more than 50 records are lost and 10 invocations stopped: {lost}, {stopped}"
    );

    assert_eq!(
        (acknowledged.len(), firsts),
        (COUNT, COUNT),
        "exactly one copy of each notification is the first"
    );
    let rows = all_rows(&inbox).await;
    assert_eq!(
        rows.keys().cloned().collect::<HashSet<_>>(),
        acknowledged,
        "every acknowledged notification has one row, and there are no others"
    );
    let (mut repeats, mut dead) = (0, Vec::new());
    for (key, row) in &rows {
        match row.state {
            State::Delivered => assert!(
                ledger.arrivals(key) >= 1,
                "{key} is marked delivered and has arrived"
            ),
            State::Repeat => {
                let owner = Key::parse(row.reason.as_deref().unwrap()).unwrap();
                assert!(
                    matches!(rows[&owner].state, State::Delivered | State::Dead),
                    "{key} repeats {owner}"
                );
                assert_eq!(ledger.arrivals(key), 0);
                repeats += 1;
            }
            State::Dead => dead.push(key),
            other => panic!("{key} is stuck as {other}"),
        }
    }
    assert_eq!(repeats, COUNT / 100);
    assert_eq!(
        dead.len(),
        COUNT / 100,
        "only events that the destination refuses are dead"
    );
    for key in dead {
        let row = inbox.get(key).await.unwrap().unwrap();
        assert!(
            row.proven_body().is_ok() && row.expires_at.is_none(),
            "{key} keeps its bytes"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_under_a_second_id_is_delivered_if_its_owner_stops_between_claim_and_delivery() {
    let (inbox, clock, ledger) = (
        table::fresh("second").await,
        ManualClock::new(),
        Arc::new(DeliveryLedger::default()),
    );
    let worker = worker(&inbox, &ledger, &clock);
    let ids = [event(1, 1), event(2, 1)].map(|body| table::entry(Sender::GovukPay, body, START));
    for entry in &ids {
        inbox.record(entry).await.unwrap();
    }
    let [first, second] = ids.map(|entry| entry.key);
    // The first claimed the event in the ledger and was not delivered.
    let claim = pillarbox::inbox::Claim {
        now: START,
        lease: pillarbox::inbox::Lease {
            id: pillarbox::inbox::LeaseId(1),
            until: START.plus(Duration::from_secs(150)),
        },
        first_backoff: Duration::from_secs(5),
    };
    let (row, _) = inbox.claim(&first, &claim).await.unwrap().unwrap();
    inbox
        .claim_event(&row.event().unwrap(), &first, START.plus(RETENTION))
        .await
        .unwrap();

    worker.process(&second).await.unwrap();
    assert_eq!((ledger.arrivals(&first), ledger.arrivals(&second)), (0, 0));
    sweep_until_drained(&inbox, &worker, &clock).await;
    assert_eq!((ledger.arrivals(&first), ledger.arrivals(&second)), (1, 0));
    let rows = all_rows(&inbox).await;
    assert_eq!(
        (rows[&first].state, rows[&second].state),
        (State::Delivered, State::Repeat)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sweep_delivers_the_rows_of_a_day_without_the_stream() {
    let (inbox, clock, ledger) = (
        table::fresh("dry").await,
        ManualClock::new(),
        Arc::new(DeliveryLedger::default()),
    );
    let worker = worker(&inbox, &ledger, &clock);
    for id in (0..300).filter(|id| id % 100 != 7) {
        inbox
            .record(&table::entry(Sender::GovukPay, event(id, id), START))
            .await
            .unwrap();
    }
    let mut pump = StreamPump::at(&dynamodb::EMULATOR.endpoint, inbox.table()).await;
    clock.pass(Duration::from_secs(25 * 60 * 60));
    let pumped = pump
        .drain(
            &mut SeededRandom::new(1),
            (100, 0),
            async |_| unreachable!(),
        )
        .await;
    assert_eq!(pumped.lost, 297);
    sweep_until_drained(&inbox, &worker, &clock).await;
    assert!(
        all_rows(&inbox)
            .await
            .iter()
            .all(|(key, row)| row.state == State::Delivered && ledger.arrivals(key) == 1)
    );
}
