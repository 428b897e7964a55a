//! A table with a `serve` and several functions, and the cases that run on them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use pillarbox::inbox::dynamodb::DynamoInbox;
use rustix::process::Signal;
use sender_simulator::{Sender, SenderRequest};
use test_support::{
    endpoint::ConsumerEndpoint,
    fault_proxy::{FaultProxy, InjectedFault},
    process::{FREE_PORTS, ProgramFolder, RunningServe},
    table,
};
use tokio::{
    sync::watch,
    task::{JoinSet, block_in_place},
};

use super::FirstAnswers;
use crate::{
    history::BodyGenuineness,
    processes::{
        destination::EventSink,
        environment::LambdaEnvironment,
        fault_plan::{FaultPlan, PlannedFault},
        outcome::LaneOutcome,
        point::KillTrap,
        recorder::HistoryRecorder,
        rows::{drain_table, remaining_rows},
        senders::{SeededClock, SenderConnection, SenderContext, new_message},
        table_calls::observed_table,
    },
    simulate::{random::SplitMix64, receivers::source_of},
};

/// The number of concurrent cases. Most of them wait because of a fault.
const SENDERS: u64 = 96;
/// The number of functions that receive. Each has one case at a time.
const FUNCTIONS: usize = 16;
const DRAINED: Duration = Duration::from_secs(400);

/// One table, and the processes on it.
pub(super) struct FaultSetUp {
    number: u64,
    seed: u64,
    inbox: DynamoInbox,
    recorder: Arc<HistoryRecorder>,
    plan: Arc<FaultPlan>,
    sending: Arc<SenderContext>,
    answers: Arc<FirstAnswers>,
    environments: tokio::sync::Mutex<Vec<LambdaEnvironment>>,
    serve: RunningServe,
    _proxy: FaultProxy,
    _endpoint: ConsumerEndpoint,
    _receiver: watch::Sender<Option<url::Url>>,
}

impl FaultSetUp {
    pub(super) async fn start(number: u64, seed: u64, answers: &Arc<FirstAnswers>) -> Self {
        let inbox = table::fresh("faults").await;
        let recorder = Arc::new(HistoryRecorder::new(true));
        let (trap, process) = (Arc::<KillTrap>::default(), Arc::new(AtomicUsize::new(1)));
        let sink = EventSink::new(&recorder, &trap, &process, SplitMix64::of(seed, 1));
        let (endpoint, plan) = (sink.endpoint(), Arc::<FaultPlan>::default());
        let proxy = observed_table(&recorder, &trap, &process, &plan).await;
        let folder = ProgramFolder::with(&format!(
            "{}[inbox]\nkind = \"dynamodb\"\ntable = \"{}\"\n",
            endpoint.configuration(),
            inbox.table()
        ));
        let mut command = folder.command(&[&["serve"], FREE_PORTS].concat());
        command
            .envs(table::variables())
            .env("PILLARBOX_LOG", "error");
        command.env("AWS_ENDPOINT_URL_DYNAMODB", &proxy.endpoint);
        let mut serve = RunningServe::spawn(&mut command);
        block_in_place(|| serve.await_ready());
        let (receiver, watched) = watch::channel(Some(serve.url("pay")));
        let sending = Arc::new(SenderContext {
            recorder: Arc::clone(&recorder),
            trap,
            receiver: watched,
            stop: AtomicBool::new(false),
        });
        let in_flight = Arc::<AtomicUsize>::default();
        let mut environments = Vec::new();
        for number in 1..=FUNCTIONS {
            let identity = (number, "receive", inbox.table());
            environments.push(LambdaEnvironment::new(identity, &recorder, &in_flight).await);
        }
        Self {
            number,
            seed,
            inbox,
            recorder,
            plan,
            sending,
            answers: Arc::clone(answers),
            environments: tokio::sync::Mutex::new(environments),
            serve,
            _proxy: proxy,
            _endpoint: endpoint,
            _receiver: receiver,
        }
    }

    /// Runs this number of cases, one in four of them through functions.
    pub(super) async fn run(&self, cases: u64) {
        let left = Arc::new(AtomicU64::new(cases));
        let mut running = JoinSet::new();
        for sender in 0..SENDERS {
            let case = self.cases(&left, sender);
            let sending = Arc::clone(&self.sending);
            running.spawn(case.run_on_serve(sending));
        }
        let environments = std::mem::take(&mut *self.environments.lock().await);
        let functions = (SENDERS..).zip(environments);
        let function_cases = Arc::new(AtomicU64::new(cases / 4));
        left.fetch_sub(cases / 4, Ordering::SeqCst);
        for (sender, environment) in functions {
            let mut case = self.cases(&function_cases, sender);
            case.plan = Arc::clone(&environment.plan);
            running.spawn(case.run_on(environment));
        }
        while let Some(ended) = running.join_next().await {
            match ended {
                Ok(Some(environment)) => self.environments.lock().await.push(environment),
                Ok(None) => {}
                Err(error) => self.recorder.problem(error.to_string()),
            }
        }
    }

    fn cases(&self, left: &Arc<AtomicU64>, sender: u64) -> CaseRunner {
        CaseRunner {
            left: Arc::clone(left),
            clock: SeededClock::new(SplitMix64::of(self.seed, 100 + sender)),
            recorder: Arc::clone(&self.recorder),
            plan: Arc::clone(&self.plan),
            answers: Arc::clone(&self.answers),
        }
    }

    /// Waits until all rows are delivered, and checks the history.
    pub(super) async fn drain(mut self) -> (LaneOutcome, BTreeMap<String, u64>) {
        let mut outcome = LaneOutcome::default();
        self.plan.end();
        drain_table(&self.inbox, &self.recorder, DRAINED).await;
        if !block_in_place(|| self.serve.stop(Signal::TERM)).success() {
            self.recorder
                .problem("serve exits with an error".to_owned());
        }
        self.recorder.finish(remaining_rows(&self.inbox).await);
        outcome.judge(&format!("set-up {}", self.number), &self.recorder);
        let mut injected = self.plan.injected();
        for environment in self.environments.into_inner() {
            for (kind, count) in environment.plan.injected() {
                *injected.entry(kind).or_insert(0) += count;
            }
        }
        (outcome, injected)
    }
}

/// Runs cases one after the other.
struct CaseRunner {
    left: Arc<AtomicU64>,
    clock: SeededClock,
    recorder: Arc<HistoryRecorder>,
    plan: Arc<FaultPlan>,
    answers: Arc<FirstAnswers>,
}

impl CaseRunner {
    /// Creates a notification and plans its fault. Returns also whether the fault affects the
    /// delivery attempt instead of storing.
    fn next(&self, may_be_of_attempt: bool) -> Option<(Sender, SenderRequest, String, bool)> {
        let one_less = |left: u64| left.checked_sub(1);
        let order = Ordering::SeqCst;
        let case = self.left.fetch_update(order, order, one_less).ok()?;
        let (sender, request) = new_message(&self.clock);
        let key = format!("{}:{}", source_of(sender), request.id);
        let kinds = InjectedFault::EVERY;
        let is_of_attempt = may_be_of_attempt && self.clock.below(4) == 0;
        let planned = PlannedFault {
            fault: kinds[case as usize % kinds.len()],
            times: 1 + self.clock.below(3) as u32,
            is_of_attempt,
        };
        self.plan.set(&key, planned);
        self.recorder
            .created(source_of(sender), &request.id, &request.body);
        Some((sender, request, key, is_of_attempt))
    }

    /// Counts the first answer to a notification, and ends its faults.
    fn count_first_answer(&self, key: &str, is_of_attempt: bool, outcome: Option<&str>) {
        if !is_of_attempt {
            self.answers.add(outcome.unwrap_or_default());
            self.plan.clear(key);
        }
    }

    async fn run_on_serve(self, sending: Arc<SenderContext>) -> Option<LambdaEnvironment> {
        let mut connection: SenderConnection = None;
        while let Some((sender, request, key, is_of_attempt)) = self.next(true) {
            let proven = BodyGenuineness::Proven;
            let outcome = sending
                .post(sender, &request, proven, &mut connection)
                .await;
            self.count_first_answer(&key, is_of_attempt, outcome.as_deref());
            if outcome.is_none() {
                self.recorder.problem(format!("{key} has no answer"));
            }
            let again = sending.deliver(sender, &request, &mut connection).await;
            self.recorder.ended(source_of(sender), &request.id, true);
            if outcome.as_deref().is_some_and(|outcome| outcome != "inbox") && again != "duplicate"
            {
                self.recorder
                    .problem(format!("{key} is acknowledged, and recorded again"));
            }
        }
        None
    }

    async fn run_on(self, mut environment: LambdaEnvironment) -> Option<LambdaEnvironment> {
        while let Some((sender, request, key, _)) = self.next(false) {
            for post in 0.. {
                let known = (source_of(sender), request.id.as_str());
                let proven = BodyGenuineness::Proven;
                let posted = self.recorder.posted(known, &request.body, proven);
                let answer = environment.post(sender, &request).await;
                let Some(answer) = answer else {
                    self.recorder.problem(format!("{key} has no answer"));
                    return None;
                };
                self.recorder.answered(&posted, answer.status);
                if post == 0 {
                    let is_new = answer.body.contains("recorded");
                    let outcome = match (answer.status, is_new) {
                        (200, true) => "recorded",
                        (200, false) => "duplicate",
                        _ => "inbox",
                    };
                    self.count_first_answer(&key, false, Some(outcome));
                } else if answer.status == 200 {
                    break;
                }
            }
            self.recorder.ended(source_of(sender), &request.id, true);
        }
        Some(environment)
    }
}
