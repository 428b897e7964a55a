//! Kills the function's environments under load: several that receive, one that the stream invokes,
//! and one that sweeps.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use pillarbox::inbox::dynamodb::DynamoInbox;
use sender_simulator::{Sender, SenderRequest};
use serde_json::{Value, json};
use test_support::{
    dynamodb::EMULATOR,
    pump::{InvocationEnd, SeededRandom, StreamPump},
    runtime_api::RuntimeReport,
    table,
};
use tokio::{
    sync::Semaphore,
    task::{JoinHandle, JoinSet, spawn_blocking},
    time::{Instant, sleep},
};

use super::{KillPoint, LaneOutcome, below};
use crate::{
    history::{BodyGenuineness, RecordedEvent},
    processes::{
        environment::LambdaEnvironment,
        point::KillTrap,
        recorder::HistoryRecorder,
        rows::{drain_table, remaining_rows},
        senders::{SeededClock, new_message},
    },
    simulate::{
        random::{SharedRandom, SplitMix64},
        receivers::source_of,
    },
};

/// The number of environments that receive. Each has one request at a time.
const RECEIVERS: usize = 20;
/// The largest number of environments that are frozen at the same time.
const MAX_FROZEN: usize = 6;
/// The number of kills in one set-up.
const KILLS: usize = 24;
const POINT_LIMIT: Duration = Duration::from_secs(8);
const DRAINED: Duration = Duration::from_secs(400);
/// The percentages of lost records and repeated batches.
const STREAM_FAULTS: (u64, u64) = (2, 10);

/// Kills environments at these points, set-up after set-up.
pub(crate) async fn run_lane(points: Vec<KillPoint>, freezes: u64, seed: u64) -> LaneOutcome {
    let mut outcome = LaneOutcome::default();
    let freezer = Arc::new(EnvironmentFreezer::new(
        freezes,
        SplitMix64::of(seed, u64::MAX),
    ));
    let mut draining = JoinSet::new();
    for (number, points) in points.chunks(KILLS).enumerate() {
        let mut random = SplitMix64::of(seed, number as u64);
        let set_up = FunctionSetUp::start(&mut random, &freezer).await;
        for &point in points {
            let (point, in_flight) = set_up.kill_at(point, &mut random).await;
            outcome.counts.add("lambda", point, in_flight);
        }
        draining.spawn(set_up.drain(format!("lambda {number}")));
    }
    outcome.merge_all(draining).await;
    outcome.freezes = freezes - freezer.left.load(Ordering::SeqCst);
    outcome
}

/// Freezes environments after an answer, a limited number of times.
struct EnvironmentFreezer {
    left: AtomicU64,
    permits: Semaphore,
    random: SharedRandom,
}

impl EnvironmentFreezer {
    fn new(times: u64, random: SplitMix64) -> Self {
        Self {
            left: AtomicU64::new(times),
            permits: Semaphore::new(MAX_FROZEN),
            random: SharedRandom::new(random),
        }
    }

    /// Freezes the environment at random: most freezes are short, one in ten takes up to half a
    /// minute.
    async fn freeze(&self, environment: &LambdaEnvironment) {
        let (is_chosen, time) = self.random.draw(|random| {
            let limit = if random.below(10) == 0 { 30 } else { 3 };
            let time = below(random, Duration::from_secs(limit));
            (random.is(50), time)
        });
        let Some(_permit) = self.permits.try_acquire().ok().filter(|_| is_chosen) else {
            return;
        };
        let one_less = |left: u64| left.checked_sub(1);
        let order = Ordering::SeqCst;
        if self.left.fetch_update(order, order, one_less).is_ok() {
            environment.freeze(time).await;
        }
    }
}

/// Kills one environment.
#[derive(Clone)]
struct KillHandle {
    trap: Arc<KillTrap>,
    start_kill: Arc<AtomicU64>,
}

impl KillHandle {
    fn of(environment: &LambdaEnvironment) -> Self {
        Self {
            trap: Arc::clone(&environment.trap),
            start_kill: Arc::clone(&environment.start_kill),
        }
    }
}

/// A table, and the running environments of its function.
struct FunctionSetUp {
    inbox: DynamoInbox,
    recorder: Arc<HistoryRecorder>,
    receivers: Vec<KillHandle>,
    processor: KillHandle,
    sweeper: KillHandle,
    stop_sending: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    sending: Vec<JoinHandle<()>>,
    working: Vec<JoinHandle<()>>,
}

impl FunctionSetUp {
    async fn start(random: &mut SplitMix64, freezer: &Arc<EnvironmentFreezer>) -> Self {
        let inbox = table::fresh("kill-lambda").await;
        let recorder = Arc::new(HistoryRecorder::new(true));
        let in_flight = Arc::<AtomicUsize>::default();
        let (stop_sending, stop) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let (mut receivers, mut sending) = (Vec::new(), Vec::new());
        let new = async |number: usize, role: &str| {
            let identity = (number, role, inbox.table());
            let environment = LambdaEnvironment::new(identity, &recorder, &in_flight).await;
            (KillHandle::of(&environment), environment)
        };
        for number in 1..=RECEIVERS {
            let (receiver, environment) = new(number, "receive").await;
            receivers.push(receiver);
            let sender = OneSender {
                environment,
                clock: SeededClock::new(SplitMix64::of(random.next(), 1)),
                recorder: Arc::clone(&recorder),
                freezer: Arc::clone(freezer),
            };
            sending.push(tokio::spawn(sender.send_all(Arc::clone(&stop_sending))));
        }
        let (processor, environment) = new(RECEIVERS + 1, "process").await;
        let pump = StreamPump::at(&EMULATOR.endpoint, inbox.table()).await;
        let stream = StreamReader {
            environment,
            pump,
            chance: SeededRandom::new(random.next()),
            freezer: Arc::clone(freezer),
            recorder: Arc::clone(&recorder),
        };
        let (sweeper, sweeping) = new(RECEIVERS + 2, "sweep").await;
        let (runtime, stop_stream) = (tokio::runtime::Handle::current(), Arc::clone(&stop));
        let working = vec![
            spawn_blocking(move || runtime.block_on(stream.run(stop_stream))),
            tokio::spawn(sweep_all(sweeping, Arc::clone(&stop))),
        ];
        Self {
            inbox,
            recorder,
            receivers,
            processor,
            sweeper,
            stop_sending,
            stop,
            sending,
            working,
        }
    }

    /// Kills an environment when it reaches `point`.
    async fn kill_at(&self, point: KillPoint, random: &mut SplitMix64) -> (KillPoint, usize) {
        let any = random.index(self.receivers.len());
        let victim = match point {
            KillPoint::Start | KillPoint::PutSeen | KillPoint::PutDone | KillPoint::Answered => {
                &self.receivers[any]
            }
            KillPoint::SweepQuery => &self.sweeper,
            _ => &self.processor,
        };
        sleep(Duration::from_millis(random.below(300))).await;
        if point == KillPoint::Start {
            let after = random.below(80);
            victim.start_kill.store(after + 1, Ordering::SeqCst);
            let end = Instant::now() + POINT_LIMIT;
            while victim.start_kill.load(Ordering::SeqCst) > 0 && Instant::now() < end {
                sleep(Duration::from_millis(1)).await;
            }
            return (point, victim.trap.in_flight());
        }
        let is_reached = victim.trap.kill_at(point, POINT_LIMIT).await;
        let in_flight = victim.trap.in_flight();
        if !is_reached {
            self.recorder
                .problem(format!("no function reached: {point}"));
        }
        (point, in_flight)
    }

    /// Waits until all rows are finished, and checks the history.
    async fn drain(self, name: String) -> LaneOutcome {
        let mut outcome = LaneOutcome::default();
        self.stop_sending.store(true, Ordering::SeqCst);
        join(self.sending, &self.recorder).await;
        drain_table(&self.inbox, &self.recorder, DRAINED).await;
        self.stop.store(true, Ordering::SeqCst);
        join(self.working, &self.recorder).await;
        self.recorder.finish(remaining_rows(&self.inbox).await);
        outcome.judge(&name, &self.recorder);
        outcome
    }
}

async fn join(tasks: Vec<JoinHandle<()>>, recorder: &HistoryRecorder) {
    for task in tasks {
        match tokio::time::timeout(DRAINED, task).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => recorder.problem(error.to_string()),
            Err(_) => recorder.stuck("an environment".to_owned()),
        }
    }
}

/// A sender that posts to one environment, each message until it is answered 200.
struct OneSender {
    environment: LambdaEnvironment,
    clock: SeededClock,
    recorder: Arc<HistoryRecorder>,
    freezer: Arc<EnvironmentFreezer>,
}

impl OneSender {
    async fn send_all(mut self, stop: Arc<AtomicBool>) {
        while !stop.load(Ordering::SeqCst) {
            let (sender, request) = new_message(&self.clock);
            let source = source_of(sender);
            self.recorder.created(source, &request.id, &request.body);
            while self.post(sender, &request).await != Some(200) {}
            self.recorder.ended(source, &request.id, true);
        }
    }

    /// The status of the answer, if there is one.
    async fn post(&mut self, sender: Sender, request: &SenderRequest) -> Option<u16> {
        let known = (source_of(sender), request.id.as_str());
        let posted = self
            .recorder
            .posted(known, &request.body, BodyGenuineness::Proven);
        self.environment.trap.request_begins();
        let answer = self.environment.post(sender, request).await;
        self.environment.trap.request_ends();
        let status = answer?.status;
        self.recorder.answered(&posted, status);
        if status == 200 {
            self.environment.trap.reached(KillPoint::Answered);
        }
        self.freezer.freeze(&self.environment).await;
        Some(status)
    }
}

/// Invokes the function for the table's stream, as AWS does.
struct StreamReader {
    environment: LambdaEnvironment,
    pump: StreamPump,
    chance: SeededRandom,
    recorder: Arc<HistoryRecorder>,
    freezer: Arc<EnvironmentFreezer>,
}

impl StreamReader {
    async fn run(mut self, stop: Arc<AtomicBool>) {
        while !stop.load(Ordering::SeqCst) {
            let Self {
                environment,
                pump,
                chance,
                recorder,
                freezer,
            } = &mut self;
            let function = async |event: Value| match environment.invoke(&event).await {
                Some(RuntimeReport::Reply(_, reply)) => {
                    let invoked = InvocationEnd::of(&reply);
                    recorder.push_event(untouched(recorder, &event, &invoked));
                    freezer.freeze(environment).await;
                    invoked
                }
                _ => InvocationEnd::Error,
            };
            pump.drain(chance, STREAM_FAULTS, function).await;
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The rows of a batch that are answered as done without an attempt.
fn untouched(recorder: &HistoryRecorder, event: &Value, invoked: &InvocationEnd) -> RecordedEvent {
    let records = event["Records"].as_array().cloned().unwrap_or_default();
    let number = |record: &Value| record["dynamodb"]["SequenceNumber"].clone();
    let end = match invoked {
        InvocationEnd::Done => records.len(),
        InvocationEnd::ResumeFrom(from) => {
            let named = records.iter().position(|record| number(record) == **from);
            named.unwrap_or_default()
        }
        InvocationEnd::Error => 0,
    };
    let key = |record: &Value| {
        record["dynamodb"]["Keys"]["pk"]["S"]
            .as_str()
            .map(str::to_owned)
    };
    let done = records[..end].iter().filter_map(key);
    RecordedEvent::StreamAnswered {
        records: records.len(),
        untouched: done.filter(|key| recorder.is_untouched(key)).collect(),
    }
}

async fn sweep_all(mut environment: LambdaEnvironment, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::SeqCst) {
        environment.invoke(&json!({"role": "sweep"})).await;
        sleep(Duration::from_millis(200)).await;
    }
}
