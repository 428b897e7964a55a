//! A stack of the template: the shipped `bootstrap` once for each function that is used, over a
//! separate table, with the variables, names and alarms that the template gives them.
//!
//! The test advances the time. The processes have the machine's clock, so the times of their
//! lines are moved: a line is placed at the simulated time of its invocation. Between two changes
//! the lines of the last sweep and the last reconcile run are repeated, as often as the template's
//! schedules run: nothing else would come out of another run. The series of AWS are derived from
//! what AWS derives them from (the reports to the Runtime API, the answers, the stream), or
//! supplied by the test.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use pillarbox::{
    aws::AwsService,
    domain::{Clock, Key, State, SystemClock, Timestamp},
    inbox::{
        OperatorInbox, PageRequest, ReadInbox, RowFilter,
        dynamodb::{DynamoInbox, TableSettings},
    },
};
use rustix::process::Signal;
use sender_simulator::apis::{PayApi, PpnsApi, ppns::BoxNotificationStatus};
use serde_json::{Value, json};
use test_support::{
    cloud::{AwsCall, CloudReply, SimulatedAws},
    cloudformation::TemplateStack,
    cloudwatch::{AlarmWatch, MetricAlarm, MetricSeries, MetricStore, read_line, series},
    dynamodb::EMULATOR,
    fault_proxy::{FaultProxy, InjectedFault},
    fronts::{FrontRequest, LambdaFront, batch},
    function::post,
    hmrc_box::{CLIENT, SECRET, fill, ppns},
    message::{Source, hmrc, pay},
    pump::{InvocationEnd, PumpCounts, SeededRandom, StreamPump},
    runtime_api::{BootstrapProcess, RuntimeReport},
    table,
};

pub(crate) const API_KEY: &str = "api_test_7mrp1d5lsa5pdfs2bvim2f9cdu";

/// Midnight of the simulated day.
const START: Timestamp = Timestamp::from_millis(1_772_409_600_000);
const MINUTE: Duration = Duration::from_secs(60);
/// How long an invocation may take: enough for one list of a box, and too short to wait for a
/// second one.
const TIMEOUT: Duration = Duration::from_secs(15);

/// One function's process.
struct RunningFunction {
    bootstrap: BootstrapProcess,
    /// The lines that were read.
    lines: usize,
    invocations: usize,
}

/// What an invocation left in the log and in AWS's own metrics.
#[derive(Clone, Default)]
struct InvocationTrace {
    lines: Vec<String>,
    began: Option<Timestamp>,
    has_failed: bool,
    took: Duration,
}

/// A stack under test.
pub(crate) struct SimulatedStack {
    stack: TemplateStack,
    pub(crate) inbox: DynamoInbox,
    pub(crate) cloud: SimulatedAws,
    faults: Arc<Mutex<(&'static str, InjectedFault)>>,
    dynamodb: FaultProxy,
    functions: BTreeMap<&'static str, RunningFunction>,
    pub(crate) ppns: PpnsApi,
    pub(crate) pay_api: PayApi,
    /// What stands in the functions' configuration in place of something else: the senders' APIs
    /// are on loopback.
    replaced: Vec<(String, String)>,
    pump: Option<StreamPump>,
    front: LambdaFront,
    pub(crate) metrics: MetricStore,
    pub(crate) watch: AlarmWatch,
    pub(crate) now: Timestamp,
    /// When the oldest record was written that process has not read.
    unread_since: Option<Timestamp>,
    /// When each message was put into the failure queue.
    pub(crate) failures: Vec<Timestamp>,
    pub(crate) days_to_expiry: Option<f64>,
    /// The last run of each schedule; `None` if the next one is to be run really.
    runs: BTreeMap<&'static str, InvocationTrace>,
    /// The functions whose schedules are off.
    pub(crate) stopped: Vec<&'static str>,
    /// The functions whose lines are lost, and their metrics with them.
    pub(crate) unlogged: Vec<&'static str>,
    posts: usize,
}

impl SimulatedStack {
    /// A stack with these parameters in which nothing has happened.
    pub(crate) async fn new(parameters: &[(&str, &str)]) -> Self {
        // One shard, because a sweep queries each.
        let parameters = [parameters, &[("Shards", "1")]].concat();
        let stack = TemplateStack::with(&parameters).named(&table::unique("alarms"));
        assert_eq!(stack.refusals(), Vec::<String>::new());
        let reference = |id: &str| name(&stack, &json!({"Ref": id}));
        let settings = TableSettings {
            table: reference("Table"),
            shards: 1,
            first_due: Duration::from_secs(120),
            retention: Duration::from_secs(90 * 24 * 60 * 60),
        };
        let inbox = DynamoInbox::new(
            &table::aws(&table::variables()).config(AwsService::DynamoDb),
            settings,
        );
        inbox.init().await.unwrap();
        let alarms = stack.of_type("AWS::CloudWatch::Alarm");
        let alarms = alarms
            .iter()
            .map(|(id, alarm)| MetricAlarm::read(id, &alarm["Properties"]));
        let watch = AlarmWatch::new(alarms, START);
        let faults = Arc::new(Mutex::new(("", InjectedFault::None)));
        let plan = Arc::clone(&faults);
        let dynamodb = FaultProxy::before(&EMULATOR.endpoint, move |call| {
            let (operation, fault) = *plan.lock().unwrap();
            match call.operation == operation {
                true => fault,
                false => InjectedFault::None,
            }
        });
        let front = match stack.condition("IsRestApi") {
            true => LambdaFront::Rest,
            false if stack.condition("IsFunctionUrl") => LambdaFront::FunctionUrl,
            false => LambdaFront::HttpApi,
        };
        let ppns = ppns(Arc::new(sender_simulator::SystemClock)).await;
        let pay_api = PayApi::start(0, Arc::new(sender_simulator::SystemClock))
            .await
            .unwrap();
        pay_api.with(|accounts| accounts.open(API_KEY));
        let replaced = vec![
            (
                r#"environment = "sandbox""#.to_owned(),
                format!("base_url = \"{}\"", ppns.base_url()),
            ),
            (
                "[sources.pay.pull]".to_owned(),
                format!("[sources.pay.pull]\nbase_url = \"{}\"", pay_api.base_url()),
            ),
        ];
        Self {
            cloud: SimulatedAws::answering(well).await,
            dynamodb: dynamodb.await,
            pump: Some(StreamPump::at(&EMULATOR.endpoint, inbox.table()).await),
            ppns,
            pay_api,
            replaced,
            stack,
            inbox,
            faults,
            functions: BTreeMap::new(),
            front,
            metrics: MetricStore::default(),
            watch,
            now: START,
            unread_since: None,
            failures: Vec::new(),
            days_to_expiry: Some(200.0),
            runs: BTreeMap::new(),
            stopped: Vec::new(),
            unlogged: Vec::new(),
            posts: 0,
        }
    }

    /// Ends every process: the next invocation of each is a cold start, and the next run of each
    /// schedule is run really.
    pub(crate) fn restart(&mut self) {
        self.functions.clear();
        self.runs.clear();
    }

    /// Puts a fault on every call of this operation of DynamoDB from now on.
    pub(crate) fn inject(&mut self, operation: &'static str, fault: InjectedFault) {
        *self.faults.lock().unwrap() = (operation, fault);
        self.restart();
    }

    /// Has the cloud answer so, and as it should where this gives no answer.
    pub(crate) fn cloud_answers(
        &mut self,
        badly: impl Fn(&AwsCall) -> Option<CloudReply> + Send + Sync + 'static,
    ) {
        self.cloud
            .answers(move |call| badly(call).unwrap_or_else(|| well(call)));
        self.restart();
    }

    /// Puts `count` notifications into HMRC's box that are hours old. All that it holds then have
    /// this status.
    pub(crate) fn fill_box_with(&self, status: BoxNotificationStatus, count: u64) -> &PpnsApi {
        fill(&self.ppns, &sender_simulator::SystemClock, count);
        self.ppns.with(|boxes| {
            let ids = boxes.notifications().iter().map(|one| one.id.clone());
            let ids: Vec<String> = ids.collect();
            for id in ids {
                boxes.set_status(&id, status);
            }
        });
        &self.ppns
    }

    /// Posts a notification while the lines of a function are lost.
    pub(crate) async fn post_without_log(&mut self, id: &'static str) {
        self.unlogged = vec![id];
        assert_eq!(self.post_new(&pay()).await, 200);
    }

    /// Posts what each sender of the stack posts on any day.
    pub(crate) async fn post_usual(&mut self) {
        for (source, condition) in [(hmrc(), "UseHmrc"), (pay(), "UsePay")] {
            if self.stack.condition(condition) {
                assert_eq!(self.post_new(&source).await, 200);
            }
        }
    }

    /// The key of the one held row.
    pub(crate) async fn held_key(&self) -> String {
        let filter = RowFilter {
            state: Some(State::Held),
            ..RowFilter::default()
        };
        let listed = self.inbox.list(&filter, PageRequest::first(10)).await;
        let rows = listed.unwrap().rows;
        assert_eq!(rows.len(), 1);
        rows[0].key.to_string()
    }

    /// Invokes sweep until every row is delivered, for `at_most`.
    pub(crate) async fn sweep_until_delivered(&mut self, at_most: Duration) {
        let until = SystemClock.now().plus(at_most);
        let is_open = |states: &[(State, usize)]| {
            let mut states = states.iter();
            states.any(|(state, _)| *state == State::Recorded)
        };
        while is_open(&self.count_by_state().await) {
            assert!(SystemClock.now() < until, "rows are open");
            self.run_anew();
            self.pass(1).await;
        }
    }

    /// How many rows are in each state.
    pub(crate) async fn count_by_state(&self) -> Vec<(State, usize)> {
        let mut counts: Vec<(State, usize)> = Vec::new();
        for row in table::rows(&self.inbox).await {
            match counts.iter_mut().find(|(state, _)| *state == row.state) {
                Some((_, count)) => *count += 1,
                None => counts.push((row.state, 1)),
            }
        }
        counts
    }

    /// The stack's name.
    pub(crate) fn name(&self) -> String {
        name(&self.stack, &json!({"Ref": "AWS::StackName"}))
    }

    /// The name of a function.
    pub(crate) fn function(&self, id: &str) -> String {
        name(&self.stack, &json!({"Ref": id}))
    }

    /// A series of AWS that the test supplies a value of, now.
    pub(crate) fn supply(&mut self, series: MetricSeries, value: f64, unit: &str) {
        self.metrics.put(series, self.now, value, unit);
    }

    /// A metric of a function in `AWS/Lambda`.
    pub(crate) fn supply_of_function(&mut self, id: &str, metric: &str, value: f64, unit: &str) {
        let series = series(
            "AWS/Lambda",
            metric,
            &[("FunctionName", &self.function(id))],
        );
        self.supply(series, value, unit);
    }

    /// A metric of the table in `AWS/DynamoDB`, with another dimension if it has one.
    pub(crate) fn supply_of_table(&mut self, metric: &str, other: &[(&str, &str)], value: f64) {
        let table = self.inbox.table().to_owned();
        let dimensions = [&[("TableName", table.as_str())], other].concat();
        self.supply(series("AWS/DynamoDB", metric, &dimensions), value, "Count");
    }

    fn variables(&self, id: &str) -> Vec<(&'static str, String)> {
        let properties = self.stack.properties(id);
        let deployed = properties["Environment"]["Variables"].as_object().unwrap();
        let mut variables = table::variables();
        if self.faults.lock().unwrap().1 != InjectedFault::None {
            variables.retain(|(name, _)| *name != "AWS_ENDPOINT_URL_DYNAMODB");
            let proxied = self.dynamodb.endpoint.clone();
            variables.push(("AWS_ENDPOINT_URL_DYNAMODB", proxied));
        }
        variables.extend([
            ("AWS_ENDPOINT_URL", self.cloud.url()),
            (
                "_HANDLER",
                properties["Handler"].as_str().unwrap().to_owned(),
            ),
            ("AWS_LAMBDA_FUNCTION_NAME", self.function(id)),
        ]);
        for (name, value) in deployed {
            let mut value = value.as_str().unwrap().to_owned();
            for (old, new) in &self.replaced {
                value = value.replace(old, new);
            }
            let name: &'static str = match name.as_str() {
                "PILLARBOX_CONFIG" => "PILLARBOX_CONFIG",
                "PILLARBOX_LOG" => "PILLARBOX_LOG",
                "PILLARBOX_METRICS" => "PILLARBOX_METRICS",
                other => panic!("{other} is a variable this test does not know"),
            };
            variables.push((name, value));
        }
        variables
    }

    async fn running(&mut self, id: &'static str) -> &mut RunningFunction {
        if !self.functions.contains_key(id) {
            let bootstrap = BootstrapProcess::start(&self.variables(id)).await;
            let running = RunningFunction {
                bootstrap,
                lines: 0,
                invocations: 0,
            };
            self.functions.insert(id, running);
        }
        self.functions.get_mut(id).unwrap()
    }

    /// Invokes the process of a function, and keeps its output.
    pub(crate) async fn invoke(&mut self, id: &'static str, event: &Value) -> RuntimeReport {
        let running = self.running(id).await;
        let began = SystemClock.now();
        let report = running.bootstrap.invoke_for(event, TIMEOUT).await;
        running.invocations += 1;
        let took = SystemClock.now().since(began);
        let lines = running.read(&report).await;
        if matches!(report, RuntimeReport::InitError(_)) {
            self.functions.remove(id);
        }
        let trace = InvocationTrace {
            lines,
            began: Some(began),
            has_failed: !matches!(report, RuntimeReport::Reply(..)),
            took,
        };
        self.place(id, &trace);
        if id == "Sweep" || id == "Reconciler" {
            self.runs.insert(id, trace);
        } else {
            self.runs.remove("Sweep");
        }
        report
    }

    /// The process of a function is killed while it serves an invocation, as the platform does when
    /// it is out of memory or time.
    pub(crate) async fn crash(&mut self, id: &'static str, event: &Value) {
        let running = self.running(id).await;
        running.bootstrap.signal(Signal::STOP);
        running.bootstrap.send(event.to_string(), TIMEOUT);
        running.bootstrap.signal(Signal::KILL);
        self.functions.remove(id);
        let trace = InvocationTrace {
            has_failed: true,
            ..InvocationTrace::default()
        };
        self.place(id, &trace);
    }

    /// Puts the metrics of an invocation at the simulated time.
    fn place(&mut self, id: &str, trace: &InvocationTrace) {
        let now = self.now;
        let has_log = !self.unlogged.contains(&id);
        for line in trace.lines.iter().filter(|_| has_log) {
            let moved = |time: Timestamp| {
                let began = trace.began.unwrap_or(time);
                now.plus(time.since(began))
            };
            read_line(line, &mut self.metrics, moved);
        }
        if has_log && !trace.lines.is_empty() {
            let group = self.function(&format!("{id}Logs"));
            let events = series("AWS/Logs", "IncomingLogEvents", &[("LogGroupName", &group)]);
            self.supply(events, trace.lines.len() as f64, "None");
        }
        let errors = f64::from(u8::from(trace.has_failed));
        self.supply_of_function(id, "Invocations", 1.0, "Count");
        self.supply_of_function(id, "Errors", errors, "Count");
        self.supply_of_function(id, "Throttles", 0.0, "Count");
        self.supply_of_function(id, "ConcurrentExecutions", 1.0, "Count");
        let millis = trace.took.as_secs_f64() * 1000.0;
        self.supply_of_function(id, "Duration", millis, "Milliseconds");
    }

    /// Sends a request through the front, and returns the status of the answer.
    pub(crate) async fn request(&mut self, request: &FrontRequest) -> u16 {
        let event = self.front.invocation(request, SystemClock.now());
        let began = SystemClock.now();
        let report = self.invoke("Receive", &event).await;
        let status = match &report {
            RuntimeReport::Reply(_, reply) => reply["statusCode"].as_u64().unwrap(),
            _ => 500,
        };
        let took = SystemClock.now().since(began);
        self.answered(status, took);
        if status == 200 {
            self.has_recorded();
        }
        u16::try_from(status).unwrap()
    }

    /// The front's own metrics of an answer.
    pub(crate) fn answered(&mut self, status: u64, took: Duration) {
        let api = "AWS/ApiGateway";
        let (namespace, names, dimensions) = match self.front {
            LambdaFront::Rest => (
                api,
                ["4XXError", "5XXError", "Latency"],
                vec![("ApiName", self.name()), ("Stage", "live".to_owned())],
            ),
            LambdaFront::HttpApi => (
                api,
                ["4xx", "5xx", "Latency"],
                vec![
                    ("ApiId", self.function("Api")),
                    ("Stage", "$default".to_owned()),
                ],
            ),
            LambdaFront::FunctionUrl => (
                "AWS/Lambda",
                ["Url4xxCount", "Url5xxCount", "UrlRequestLatency"],
                vec![("FunctionName", self.function("Receive"))],
            ),
        };
        let dimensions: Vec<(&str, &str)> = dimensions
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        for (metric, class) in names.into_iter().zip([4, 5]) {
            let is_of_class = f64::from(u8::from(status / 100 == class));
            let series = series(namespace, metric, &dimensions);
            self.supply(series, is_of_class, "Count");
        }
        let latency = series(namespace, names[2], &dimensions);
        self.supply(latency, took.as_secs_f64() * 1000.0, "Milliseconds");
    }

    /// Posts a new, genuine notification.
    pub(crate) async fn post_new(&mut self, source: &Source) -> u16 {
        self.posts += 1;
        let body = source.message(&format!("n{}", self.posts), SystemClock.now());
        self.request(&post(source, body)).await
    }

    /// Posts a new notification that is signed with another secret.
    pub(crate) async fn post_forged(&mut self, source: &Source) -> u16 {
        let other = Source {
            secrets: vec!["a-secret-that-is-not-configured".to_owned()],
            ..source.clone()
        };
        self.post_new(&other).await
    }

    /// The stream has a new record.
    pub(crate) fn has_recorded(&mut self) {
        self.unread_since.get_or_insert(self.now);
        self.runs.remove("Sweep");
    }

    /// The next run of each schedule is run really.
    pub(crate) fn run_anew(&mut self) {
        self.runs.clear();
    }

    /// A person replays a row, and it is delivered immediately.
    pub(crate) async fn replay(&mut self, key: &Key) {
        self.inbox.replay(key, SystemClock.now()).await.unwrap();
        let batch = batch(&[(key.as_str(), "recorded")]);
        self.invoke("Process", &batch).await;
    }

    /// Sets when a source was last received, by the machine's clock.
    pub(crate) async fn last_received(&mut self, source: &str, ago: Duration) {
        let at = SystemClock.now().minus(ago).as_millis();
        let update = self.client().update_item().table_name(self.inbox.table());
        update
            .key("pk", AttributeValue::S(format!("~source:{source}")))
            .update_expression("SET heard_at = :at")
            .expression_attribute_values(":at", AttributeValue::N(at.to_string()))
            .send()
            .await
            .unwrap();
        self.runs.clear();
    }

    fn client(&self) -> Client {
        Client::new(&table::aws(&table::variables()).config(AwsService::DynamoDb))
    }

    /// Has process read its stream to the end.
    pub(crate) async fn stream(&mut self) -> PumpCounts {
        let mut pump = self.pump.take().unwrap();
        let age = self.unread_since.map(|since| self.now.since(since));
        let stack = &mut *self;
        let read = async |event: Value| {
            let age = age.unwrap_or_default().as_secs_f64() * 1000.0;
            stack.supply_of_function("Process", "IteratorAge", age, "Milliseconds");
            match stack.invoke("Process", &event).await {
                RuntimeReport::Reply(_, reply) => InvocationEnd::of(&reply),
                _ => InvocationEnd::Error,
            }
        };
        let pumped = pump.drain(&mut SeededRandom::new(1), (0, 0), read).await;
        self.pump = Some(pump);
        self.unread_since = None;
        let failed = std::iter::repeat_n(self.now, pumped.given_up);
        self.failures.extend(failed);
        pumped
    }

    /// Lets this many minutes pass: the schedules run, process reads its stream, and every alarm is
    /// evaluated each minute.
    pub(crate) async fn pass(&mut self, minutes: u64) {
        for _ in 0..minutes {
            if !self.stopped.contains(&"Process") && self.unread_since.is_some() {
                self.stream().await;
            }
            self.scheduled("Sweep", "sweep").await;
            let minute = self.now.since(START).as_secs() / 60;
            if self.stack.condition("UseReconcile") && minute.is_multiple_of(5) {
                self.scheduled("Reconciler", "reconcile").await;
            }
            self.publish_platform_metrics();
            self.now = self.now.plus(MINUTE);
            self.watch.advance(&self.metrics, self.now);
        }
    }

    async fn scheduled(&mut self, id: &'static str, role: &str) {
        if self.stopped.contains(&id) {
            return;
        }
        match self.runs.get(id).cloned() {
            Some(run) => self.place(id, &run),
            None => {
                if id == "Reconciler" {
                    self.forget_shared_state().await;
                }
                self.invoke(id, &json!({"role": role})).await;
            }
        }
    }

    /// What AWS publishes without an invocation: the state of the failure queue and of the
    /// certificate.
    fn publish_platform_metrics(&mut self) {
        let queue = name(&self.stack, &json!({"Fn::GetAtt": "Failures.QueueName"}));
        let queue = [("QueueName", queue.as_str())];
        let oldest = self.failures.first().map(|since| self.now.since(*since));
        let age = oldest.unwrap_or_default().as_secs_f64();
        let visible = series("AWS/SQS", "ApproximateNumberOfMessagesVisible", &queue);
        self.supply(visible, self.failures.len() as f64, "Count");
        let oldest = series("AWS/SQS", "ApproximateAgeOfOldestMessage", &queue);
        self.supply(oldest, age, "Seconds");
        let is_full_hour = (self.now.since(START).as_secs() / 60).is_multiple_of(60);
        if let Some(days) = self.days_to_expiry.filter(|_| is_full_hour) {
            let certificate = name(&self.stack, &json!({"Ref": "CertificateArn"}));
            let dimensions = [("CertificateArn", certificate.as_str())];
            let series = series("AWS/CertificateManager", "DaysToExpiry", &dimensions);
            self.supply(series, days, "None");
        }
    }

    /// Removes the locks, rate limits and checkpoints of reconcile, which are by the machine's
    /// clock: for the simulated one their time is over.
    async fn forget_shared_state(&self) {
        let client = self.client();
        let scanned = client.scan().table_name(self.inbox.table()).send().await;
        for item in scanned.unwrap().items() {
            let key = item["pk"].as_s().unwrap();
            if key.starts_with("~memo:") && !key.starts_with("~memo:watched:") {
                let delete = client.delete_item().table_name(self.inbox.table());
                let key = AttributeValue::S(key.clone());
                delete.key("pk", key).send().await.unwrap();
            }
        }
    }

    /// The logical ids of the alarms that fire.
    pub(crate) fn firing(&self) -> Vec<&str> {
        let firing = self.watch.firing();
        firing.iter().map(|alarm| alarm.id.as_str()).collect()
    }
}

impl RunningFunction {
    /// The lines since the last invocation. The last of them is the invocation's own, which was
    /// written before the report.
    async fn read(&mut self, report: &RuntimeReport) -> Vec<String> {
        let id = format!(r#""request_id":"{}""#, self.invocations);
        let deadline = SystemClock.now().plus(Duration::from_secs(5));
        loop {
            let lines = self.bootstrap.lines_from(self.lines);
            let is_last = |line: &String| line.contains(&id) && line.contains(r#""cold_start":"#);
            let has_ended = matches!(report, RuntimeReport::InitError(_));
            if has_ended || lines.iter().any(is_last) {
                self.lines += lines.len();
                return lines;
            }
            assert!(SystemClock.now() < deadline, "{lines:?}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn name(stack: &TemplateStack, reference: &Value) -> String {
    let resolved = stack.resolve(reference).unwrap();
    resolved.as_str().unwrap().to_owned()
}

/// AWS without a fault: every secret has a value, and the bus takes every event.
fn well(call: &AwsCall) -> CloudReply {
    CloudReply::Done(match call.target.as_str() {
        "GetSecretValue" => json!({"SecretString": secret(&call.body).to_string()}),
        "PutEvents" => json!({"FailedEntryCount": 0, "Entries": [{"EventId": "11710aed"}]}),
        _ => json!({"Name": "pillarbox"}),
    })
}

/// EventBridge's answer for a failed entry.
pub(crate) fn entry_failed(code: &str) -> CloudReply {
    let entry = json!({"ErrorCode": code, "ErrorMessage": "injected by the test"});
    CloudReply::Done(json!({"FailedEntryCount": 1, "Entries": [entry]}))
}

fn secret(call: &Value) -> Value {
    let arn = call["SecretId"].as_str().unwrap();
    let secrets = [
        ("-HmrcSecret-", json!({"current": hmrc().secrets[0]})),
        ("-PaySecret-", json!({"current": pay().secrets[0]})),
        (
            "-HmrcApiSecret-",
            json!({"client_id": CLIENT, "client_secret": SECRET}),
        ),
        ("-PayApiSecret-", json!({"api_key": API_KEY})),
    ];
    let found = secrets.iter().find(|(name, _)| arn.contains(name));
    found.unwrap_or_else(|| panic!("{arn}")).1.clone()
}
