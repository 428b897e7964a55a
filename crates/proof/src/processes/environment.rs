//! Lambda environments: the shipped `bootstrap` under the Runtime API, with a proxy in front of the
//! table and a queue that records each event. After a kill, the next invocation starts a new
//! process.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use pillarbox::domain::{Clock, SystemClock};
use rustix::process::Signal;
use sender_simulator::{Sender, SenderRequest};
use serde_json::{Value, json};
use test_support::{
    client::CheckedResponse,
    cloud::{AwsCall, CloudReply, SimulatedAws},
    fault_proxy::FaultProxy,
    fronts::{FrontRequest, LambdaFront},
    function::answer_of,
    runtime_api::{BootstrapProcess, RuntimeReport, deployed},
};
use tokio::{
    task::block_in_place,
    time::{Instant, sleep, timeout},
};

use super::{
    fault_plan::FaultPlan,
    point::{KillPoint, KillTrap},
    recorder::HistoryRecorder,
    table_calls::observed_table,
};
use crate::simulate::receivers::source_of;

/// The time limit of an invocation.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The interval between checks of whether a process still runs.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// The largest number of processes of one environment.
const MAX_PROCESSES: usize = 1_000_000;
/// The time until the queue has read all requests of a killed process.
const SETTLED: Duration = Duration::from_millis(30);

/// An environment, which runs one `bootstrap` after another.
pub(crate) struct LambdaEnvironment {
    variables: Vec<(&'static str, String)>,
    bootstrap: Option<BootstrapProcess>,
    recorder: Arc<HistoryRecorder>,
    pub(crate) trap: Arc<KillTrap>,
    process: Arc<AtomicUsize>,
    /// The number of milliseconds after its start at which the next process is killed, plus one; 0
    /// for no kill.
    pub(crate) start_kill: Arc<AtomicU64>,
    pub(crate) plan: Arc<FaultPlan>,
    _proxy: FaultProxy,
    _queue: SimulatedAws,
}

impl LambdaEnvironment {
    /// An environment with this number and role on a table.
    pub(crate) async fn new(
        (number, role, table): (usize, &str, &str),
        recorder: &Arc<HistoryRecorder>,
        in_flight: &Arc<AtomicUsize>,
    ) -> Self {
        let trap = Arc::new(KillTrap::sharing(in_flight));
        let process = Arc::new(AtomicUsize::new(number * MAX_PROCESSES));
        let plan = Arc::<FaultPlan>::default();
        let proxy = observed_table(recorder, &trap, &process, &plan).await;
        let queue = queue(recorder, &trap, &process).await;
        Self {
            variables: variables(role, table, &proxy.endpoint, &queue),
            bootstrap: None,
            recorder: Arc::clone(recorder),
            trap,
            process,
            start_kill: Arc::default(),
            plan,
            _proxy: proxy,
            _queue: queue,
        }
    }

    async fn start(&mut self) {
        self.process.fetch_add(1, Ordering::SeqCst);
        let bootstrap = BootstrapProcess::start(&self.variables).await;
        self.trap.set_target(Some(bootstrap.pid()));
        self.bootstrap = Some(bootstrap);
    }

    /// Kills the process.
    async fn end(&mut self) {
        self.trap.set_target(None);
        block_in_place(|| self.bootstrap = None);
        sleep(SETTLED).await;
        self.recorder.killed(self.process.load(Ordering::SeqCst));
    }

    /// Invokes the function; `None` if the process was killed before it answered.
    pub(crate) async fn invoke(&mut self, event: &Value) -> Option<RuntimeReport> {
        let start_kill = self.start_kill.swap(0, Ordering::SeqCst);
        if start_kill > 0 {
            self.end().await;
            self.start().await;
            sleep(Duration::from_millis(start_kill - 1)).await;
            self.end().await;
        }
        if self.bootstrap.is_none() {
            self.start().await;
        }
        let bootstrap = self.bootstrap.as_mut()?;
        bootstrap.send(event.to_string(), TIMEOUT);
        loop {
            if let Ok(report) = timeout(POLL_INTERVAL, bootstrap.next_report()).await {
                return Some(report);
            }
            if !bootstrap.is_alive() {
                self.end().await;
                return None;
            }
        }
    }

    /// Posts a request through API Gateway; `None` if there was no answer.
    pub(crate) async fn post(
        &mut self,
        sender: Sender,
        request: &SenderRequest,
    ) -> Option<CheckedResponse> {
        let path = format!("/{}", source_of(sender));
        let mut front = FrontRequest::new("POST", &path).body(&request.body);
        for (name, value) in &request.headers {
            front = front.header(name, value);
        }
        let event = LambdaFront::HttpApi.invocation(&front, SystemClock.now());
        match self.invoke(&event).await? {
            RuntimeReport::Reply(_, reply) => Some(answer_of(&reply)),
            other => {
                self.recorder.problem(format!("{other:?}"));
                None
            }
        }
    }

    /// Freezes the process for `time`, as Lambda does after an answer, or until a kill is planned.
    pub(crate) async fn freeze(&self, time: Duration) {
        let Some(bootstrap) = &self.bootstrap else {
            return;
        };
        bootstrap.signal(Signal::STOP);
        let end = Instant::now() + time;
        while Instant::now() < end && !self.trap.is_armed() {
            sleep(POLL_INTERVAL).await;
        }
        bootstrap.signal(Signal::CONT);
    }
}

/// The function's environment variables, with the proxy as its table and a queue as its
/// destination.
fn variables(
    role: &str,
    table: &str,
    endpoint: &str,
    queue: &SimulatedAws,
) -> Vec<(&'static str, String)> {
    let mut variables = deployed(role, table);
    for (name, value) in &mut variables {
        match *name {
            "AWS_ENDPOINT_URL_DYNAMODB" => endpoint.clone_into(value),
            "PILLARBOX_CONFIG" => {
                let url = "https://sqs.eu-west-2.amazonaws.com/111122223333/ledger";
                let sqs = format!("kind = \"sqs\"\nurl = \"{url}\"\n");
                *value = value.replace("kind = \"log\"\n", &sqs);
            }
            _ => {}
        }
    }
    variables.push(("AWS_ENDPOINT_URL_SQS", queue.url()));
    variables
}

/// A queue that records each event, and sometimes fails before it accepts one.
async fn queue(
    recorder: &Arc<HistoryRecorder>,
    trap: &Arc<KillTrap>,
    process: &Arc<AtomicUsize>,
) -> SimulatedAws {
    let (recorder, trap) = (Arc::clone(recorder), Arc::clone(trap));
    let process = Arc::clone(process);
    let calls = AtomicUsize::new(0);
    SimulatedAws::answering(move |call: &AwsCall| {
        if calls.fetch_add(1, Ordering::SeqCst) % 40 == 39 {
            return CloudReply::Fault(503, "ServiceUnavailable", "injected");
        }
        let text = |path: &str| {
            let value = call.body.pointer(path).and_then(Value::as_str);
            value.unwrap_or_default().to_owned()
        };
        let key = text("/MessageAttributes/id/StringValue");
        let number = recorder.delivering(process.load(Ordering::SeqCst), &key);
        recorder.accepted(&key, number, text("/MessageBody").as_bytes());
        if trap.reached(KillPoint::DestinationSeen) {
            return CloudReply::Silence;
        }
        recorder.returned(number);
        trap.destination_answered();
        CloudReply::Done(json!({"MessageId": "1"}))
    })
    .await
}
