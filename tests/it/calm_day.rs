//! A calm day, minute by minute, in one process: 10,000 notifications and what is normal among so
//! many raise no alarm.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use pillarbox::{
    delivery::DeliveryWorker,
    destinations::{DeliveryError, Destination, Event},
    domain::{Clock, Key, SourceName, Timestamp},
    inbox::{MemoryInbox, RetentionPolicy},
    lambda::{Invocation, LambdaFunction, Role},
    receive::Receiver,
    secrets::Keyring,
    senders::Acceptance,
    telemetry::FunctionMetrics,
};
use serde_json::{Value, json, value::RawValue};
use test_support::{
    cloudformation::TemplateStack,
    cloudwatch::{
        AlarmState, AlarmTransition, AlarmWatch, MetricAlarm, MetricStore, read_line, series,
    },
    fronts::{FrontRequest, LambdaFront, batch},
    function::post,
    log_buffer::LogBuffer,
    manual_clock::ManualClock,
    message::{Source, both, hmrc, pay},
};

use crate::lambda::listen;

const NOTIFICATIONS: usize = 10_000;
const MINUTES: usize = 24 * 60;
const MINUTE: Duration = Duration::from_secs(60);
const RETENTION: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// Until every alarm has seen a first datapoint: a new stack has had no sweep.
const WARM_UP_MINUTES: usize = 30;

const PARAMETERS: &[(&str, &str)] = &[
    ("HmrcSilenceHours", "1"),
    ("PaySilenceHours", "1"),
    ("ReceiveConcurrency", "100"),
];

/// Where events go: one attempt in fifty fails.
#[derive(Clone, Default)]
struct MostlyWell(Arc<AtomicUsize>);

impl Destination for MostlyWell {
    async fn deliver(&self, _: &Key, _: &Event) -> Result<(), DeliveryError> {
        match self.0.fetch_add(1, Ordering::Relaxed) % 50 {
            7 => Err(DeliveryError::Unavailable("ledger: status 503".into())),
            _ => Ok(()),
        }
    }
}

/// The three functions of a stack over one inbox, by one clock.
struct CalmStack {
    stack: TemplateStack,
    clock: Arc<ManualClock>,
    functions: [(&'static str, LambdaFunction<MemoryInbox, MostlyWell>); 3],
    lines: LogBuffer,
    metrics: MetricStore,
    /// What was recorded since process last read its stream.
    unread: Vec<String>,
}

impl CalmStack {
    fn new(clock: &Arc<ManualClock>, lines: LogBuffer) -> Self {
        let stack = TemplateStack::with(PARAMETERS);
        let inbox = Arc::new(MemoryInbox::default());
        let keyring = Keyring::fixed(both().iter().map(Source::configured));
        let destination = MostlyWell::default();
        let window = Acceptance(Duration::from_secs(60 * 24 * 60 * 60));
        let function = |id: &'static str, role: Role| {
            let receiver = Receiver::new(
                Arc::clone(&keyring),
                Arc::clone(&inbox),
                window,
                clock.clone(),
            );
            let retention = RetentionPolicy {
                retention: RETENTION,
            };
            let worker = DeliveryWorker::new(
                Arc::clone(&inbox),
                destination.clone(),
                clock.clone(),
                retention,
            );
            let function = LambdaFunction::new(role, Some(receiver), Some(Arc::new(worker)), None);
            let metrics = FunctionMetrics::all(&reference(&stack, id));
            let sources = both().map(|source| SourceName::new(&source.name).unwrap());
            (id, function.with_metrics(metrics, sources.into()))
        };
        let functions = [
            function("Receive", Role::Receive),
            function("Process", Role::Process),
            function("Sweep", Role::Sweep),
        ];
        Self {
            clock: Arc::clone(clock),
            functions,
            stack,
            lines,
            metrics: MetricStore::default(),
            unread: Vec::new(),
        }
    }

    fn now(&self) -> Timestamp {
        Clock::now(&*self.clock)
    }

    /// Invokes a function, and takes the metrics of its lines and those that AWS adds.
    async fn invoke(&mut self, id: &str, event: &Value) -> Value {
        let raw: Box<RawValue> = serde_json::from_str(&event.to_string()).unwrap();
        let invocation = Invocation {
            id: "r1".to_owned(),
            deadline: self.now().plus(MINUTE),
            trace_header: None,
        };
        let (_, function) = self
            .functions
            .iter()
            .find(|(known, _)| *known == id)
            .unwrap();
        let reply = function.handle(&raw, &invocation).await.unwrap();
        let lines = self.lines.lines();
        for line in &lines {
            read_line(&line.to_string(), &mut self.metrics, |time| time);
        }
        let (function, group) = (
            reference(&self.stack, id),
            reference(&self.stack, &format!("{id}Logs")),
        );
        let (function, group) = ([("FunctionName", &*function)], [("LogGroupName", &*group)]);
        for (metric, value) in [
            ("Invocations", 1.0),
            ("Errors", 0.0),
            ("Throttles", 0.0),
            ("ConcurrentExecutions", 1.0),
        ] {
            self.put("AWS/Lambda", metric, &function, value, "Count");
        }
        let events = lines.len() as f64;
        self.put("AWS/Logs", "IncomingLogEvents", &group, events, "None");
        serde_json::to_value(reply).unwrap()
    }

    fn put(
        &mut self,
        namespace: &str,
        metric: &str,
        dimensions: &[(&str, &str)],
        value: f64,
        unit: &str,
    ) {
        let now = self.now();
        let series = series(namespace, metric, dimensions);
        self.metrics.put(series, now, value, unit);
    }

    async fn request(&mut self, request: &FrontRequest) -> u64 {
        let event = LambdaFront::HttpApi.invocation(request, self.now());
        let reply = self.invoke("Receive", &event).await;
        let status = reply["statusCode"].as_u64().unwrap();
        let api = reference(&self.stack, "Api");
        let api = [("ApiId", api.as_str()), ("Stage", "$default")];
        let is_5xx = f64::from(u8::from(status >= 500));
        self.put("AWS/ApiGateway", "5xx", &api, is_5xx, "Count");
        self.put("AWS/ApiGateway", "Latency", &api, 12.0, "Milliseconds");
        status
    }

    /// Posts a notification; process finds it in its stream, if it is new.
    async fn post(&mut self, source: &Source, id: &str, sent: Timestamp) {
        let status = self.request(&post(source, source.message(id, sent))).await;
        assert_eq!(status, 200);
        let key = format!("{}:{id}", source.name);
        if !self.unread.contains(&key) {
            self.unread.push(key);
        }
    }

    /// The minute's runs: process reads its stream, and sweep runs.
    async fn run_minute(&mut self) {
        let unread = std::mem::take(&mut self.unread);
        for keys in unread.chunks(25) {
            let changes: Vec<_> = keys.iter().map(|key| (key.as_str(), "recorded")).collect();
            self.invoke("Process", &batch(&changes)).await;
            let process = reference(&self.stack, "Process");
            let process = [("FunctionName", process.as_str())];
            self.put("AWS/Lambda", "IteratorAge", &process, 900.0, "Milliseconds");
        }
        self.invoke("Sweep", &json!({"role": "sweep"})).await;
        let queue = self
            .stack
            .resolve(&json!({"Fn::GetAtt": "Failures.QueueName"}));
        let queue = queue.unwrap();
        let queue = [("QueueName", queue.as_str().unwrap())];
        self.put(
            "AWS/SQS",
            "ApproximateNumberOfMessagesVisible",
            &queue,
            0.0,
            "Count",
        );
    }
}

fn reference(stack: &TemplateStack, id: &str) -> String {
    let resolved = stack.resolve(&json!({"Ref": id})).unwrap();
    resolved.as_str().unwrap().to_owned()
}

fn alarms_of(transitions: &[AlarmTransition]) -> Vec<&AlarmTransition> {
    let changes = transitions.iter();
    changes
        .filter(|change| change.to == AlarmState::Alarm)
        .collect()
}

#[tokio::test]
async fn a_calm_day_of_ten_thousand_notifications_raises_no_alarm() {
    let clock = ManualClock::new();
    let (lines, _listening) = listen(&clock);
    let mut stack = CalmStack::new(&clock, lines);
    let alarms = stack.stack.of_type("AWS::CloudWatch::Alarm");
    let alarms = alarms
        .iter()
        .map(|(id, alarm)| MetricAlarm::read(id, &alarm["Properties"]));
    let mut watch = AlarmWatch::new(alarms, stack.now());
    let mut posted = 0;
    for minute in 0..WARM_UP_MINUTES + MINUTES {
        let day = minute.saturating_sub(WARM_UP_MINUTES);
        if minute == WARM_UP_MINUTES {
            assert_eq!(watch.firing().len(), 0, "the stack is in use");
            watch.transitions.clear();
        }
        if minute % 60 == 45 {
            // A stranger who looks for something else, and one who guesses.
            let scan = FrontRequest::new("GET", "/.env");
            assert_eq!(stack.request(&scan).await, 404);
            let forged = FrontRequest::new("POST", "/pay")
                .header("Pay-Signature", "0".repeat(64))
                .body("{}");
            assert_eq!(stack.request(&forged).await, 401);
        }
        while posted < (day + 1) * NOTIFICATIONS / MINUTES {
            let source = if posted % 3 == 0 { hmrc() } else { pay() };
            let (id, now) = (format!("d{posted}"), stack.now());
            stack.post(&source, &id, now).await;
            if posted % 20 == 3 {
                stack.post(&source, &id, now).await; // one in twenty is sent twice
            }
            posted += 1;
        }
        stack.run_minute().await;
        clock.pass(MINUTE);
        watch.advance(&stack.metrics, stack.now());
    }
    assert_eq!(posted, NOTIFICATIONS);
    assert_eq!(
        alarms_of(&watch.transitions),
        Vec::<&AlarmTransition>::new()
    );
    // What was measured is a day's traffic, and not silence.
    let total = |metric: &str, id: &str, source: Option<&str>| {
        let function = reference(&stack.stack, id);
        let mut dimensions = vec![("FunctionName", function.as_str())];
        dimensions.extend(source.map(|source| ("Source", source)));
        let day = (stack.now(), MINUTE * 1_500);
        let series = series("Pillarbox", metric, &dimensions);
        stack.metrics.values(&series, None, day).iter().sum::<f64>()
    };
    let of_both = |metric: &str, id: &str| {
        let each = ["hmrc", "pay"].map(|source| total(metric, id, Some(source)));
        each.iter().sum::<f64>()
    };
    assert_eq!(of_both("Recorded", "Receive"), 10_000.0);
    assert_eq!(of_both("Duplicate", "Receive"), 500.0);
    let failed = of_both("Retried", "Process") + of_both("Retried", "Sweep");
    assert!((100.0..400.0).contains(&failed), "{failed} attempts failed");
    let delivered = total("Delivered", "Process", None) + total("Delivered", "Sweep", None);
    assert!(delivered > 9_990.0, "{delivered}");
}
