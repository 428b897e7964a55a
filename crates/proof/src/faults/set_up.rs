//! A table, a `serve` and some functions on it, and the cases that they are put through.

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
        rows::{drain_table, rows_left},
        senders::{SeededClock, SenderConnection, SenderContext, new_message, source_of},
        table_calls::observed_table,
    },
    simulate::random::SplitMix64,
};

/// Cases under way at once: most of them wait for what a fault holds back.
const SENDERS: u64 = 96;
/// Functions that receive, each of which has one case at a time.
const FUNCTIONS: usize = 16;
const DRAINED: Duration = Duration::from_secs(400);

/// One table with what runs on it.
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
            let place = (number, "receive", inbox.table());
            environments.push(LambdaEnvironment::new(place, &recorder, &in_flight).await);
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

    /// Runs so many cases, one in four of them through functions.
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

    /// Lets everything be delivered, and judges the history.
    pub(super) async fn drain(mut self) -> (LaneOutcome, BTreeMap<String, u64>) {
        let mut outcome = LaneOutcome::default();
        self.plan.end();
        drain_table(&self.inbox, &self.recorder, DRAINED).await;
        if !block_in_place(|| self.serve.stop(Signal::TERM)).success() {
            self.recorder.problem("serve does not end well".to_owned());
        }
        self.recorder.finish(rows_left(&self.inbox).await);
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

/// Cases, one after the other.
struct CaseRunner {
    left: Arc<AtomicU64>,
    clock: SeededClock,
    recorder: Arc<HistoryRecorder>,
    plan: Arc<FaultPlan>,
    answers: Arc<FirstAnswers>,
}

impl CaseRunner {
    /// A new notification with a fault before it.
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

    fn is_first(&self, key: &str, is_of_attempt: bool, word: Option<&str>) {
        if !is_of_attempt {
            self.answers.add(word.unwrap_or_default());
            self.plan.clear(key);
        }
    }

    async fn run_on_serve(self, sending: Arc<SenderContext>) -> Option<LambdaEnvironment> {
        let mut line: SenderConnection = None;
        while let Some((sender, request, key, is_of_attempt)) = self.next(true) {
            let proven = BodyGenuineness::Proven;
            let word = sending.post(sender, &request, proven, &mut line).await;
            self.is_first(&key, is_of_attempt, word.as_deref());
            if word.is_none() {
                self.recorder.problem(format!("{key} has no answer"));
            }
            let again = sending.deliver(sender, &request, &mut line).await;
            self.recorder.ended(source_of(sender), &request.id, true);
            if word.as_deref().is_some_and(|word| word != "inbox") && again != "duplicate" {
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
                    let word = match (answer.status, is_new) {
                        (200, true) => "recorded",
                        (200, false) => "duplicate",
                        _ => "inbox",
                    };
                    self.is_first(&key, false, Some(word));
                } else if answer.status == 200 {
                    break;
                }
            }
            self.recorder.ended(source_of(sender), &request.id, true);
        }
        Some(environment)
    }
}
