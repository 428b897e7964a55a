//! The senders' APIs on loopback, and a function that calls them. Its clock advances as it waits.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use pillarbox::{
    config::Config,
    domain::Clock,
    inbox::{Inbox, PageRequest, ReadInbox, Row, RowFilter, dynamodb::DynamoInbox},
    lambda::{Invocation, InvocationError, LambdaFunction, Reconciler, ReconcilerDeps, Role},
    reconcile::RunSleeper,
    telemetry::{FunctionMetrics, LogFormat, LogLayer, MetricsWriter},
};
use sender_simulator::apis::{PayApi, PpnsApi};
use serde_json::{Value, json, value::RawValue};
use tracing::Level;
use tracing_subscriber::{filter::Targets, prelude::*};

use test_support::{
    hmrc_box::{CLIENT, SECRET},
    log_buffer::{LogBuffer, listen_with},
    manual_clock::ManualClock,
    server::RecordingDestination,
    table,
};

pub(crate) const API_KEY: &str = "api_test_7mrp1d5lsa5pdfs2bvim2f9cdu";

/// How long a function may take.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(120);

/// The variables that the documents of these tests name.
fn variable(name: &str) -> Option<String> {
    let values = [
        ("ID", CLIENT),
        ("SECRET", SECRET),
        ("WRONG", "a-client-secret-of-nobody"),
        ("KEY", API_KEY),
    ];
    values
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| (*value).to_owned())
}

/// A source that pulls from `ppns`, with the secret that `secret` names.
pub(crate) fn hmrc(name: &str, ppns: &PpnsApi, box_id: &str, secret: &str) -> String {
    format!(
        "[sources.{name}]\nkind = \"hmrc\"\nsecrets = []\n[sources.{name}.pull]\nbase_url \
         = \"{}\"\n\
         boxes = [\"{box_id}\"]\nclient_id = \"env:ID\"\nclient_secret = \"env:{secret}\"\n",
        ppns.base_url()
    )
}

/// A source that pulls from `api`, with the key that `key` names.
pub(crate) fn pay(api: &PayApi, key: &str) -> String {
    format!(
        "[sources.pay]\nkind = \"govuk-pay\"\nsecrets = []\n[sources.pay.pull]\nbase_url \
         = \"{}\"\napi_key = \"env:{key}\"\n",
        api.base_url()
    )
}

/// Waits by letting the clock pass.
struct ClockSleeper(Arc<ManualClock>);

impl RunSleeper for ClockSleeper {
    fn sleep(&self, time: Duration) -> BoxFuture<'_, ()> {
        self.0.sleep(time)
    }
}

/// A function that reconciles, over a new inbox.
pub(crate) struct ReconcilingFunction<I = DynamoInbox> {
    function: LambdaFunction<I, RecordingDestination>,
    pub(crate) inbox: Arc<I>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) metrics: LogBuffer,
}

impl ReconcilingFunction {
    pub(crate) async fn of(name: &str, clock: &Arc<ManualClock>, document: &str) -> Self {
        Self::over(table::fresh(name).await, Role::Reconcile, clock, document)
    }

    pub(crate) async fn rows(&self) -> Vec<Row> {
        self.inbox
            .list(&RowFilter::default(), PageRequest::first(10_000))
            .await
            .unwrap()
            .rows
    }
}

impl<I: Inbox> ReconcilingFunction<I> {
    pub(crate) fn over(inbox: I, role: Role, clock: &Arc<ManualClock>, document: &str) -> Self {
        let (inbox, metrics) = (Arc::new(inbox), LogBuffer::default());
        let config = Config::read(document, "p").unwrap();
        let surroundings = ReconcilerDeps {
            env: variable,
            manager: None,
            clock: Arc::clone(clock) as Arc<dyn Clock>,
            sleeper: Box::new(ClockSleeper(Arc::clone(clock))),
            holder: Box::new("a test"),
            reporter: Box::new(()),
            metrics: Some(MetricsWriter::new(
                FunctionMetrics::all("pillarbox-Reconciler-1"),
                Box::new(metrics.clone()),
            )),
        };
        let reconciler = Reconciler::new(&config, Arc::clone(&inbox), surroundings);
        let function = LambdaFunction::new(role, None, None, reconciler);
        Self {
            function,
            inbox,
            clock: Arc::clone(clock),
            metrics,
        }
    }

    /// Invokes it by the schedule.
    pub(crate) async fn invoke(&self) -> Result<Value, InvocationError> {
        self.invoke_for(&json!({"role": "reconcile"}), TIMEOUT)
            .await
    }

    pub(crate) async fn invoke_for(
        &self,
        event: &Value,
        time: Duration,
    ) -> Result<Value, InvocationError> {
        let raw: Box<RawValue> = serde_json::from_str(&event.to_string()).unwrap();
        let invocation = Invocation {
            id: "r1".to_owned(),
            deadline: self.clock.now().plus(time),
            trace_header: None,
        };
        Ok(serde_json::to_value(self.function.handle(&raw, &invocation).await?).unwrap())
    }
}

/// Captures the log from now on.
pub(crate) fn listen(clock: &Arc<ManualClock>) -> (LogBuffer, tracing::subscriber::DefaultGuard) {
    let kept = LogBuffer::default();
    let ours = Targets::new().with_target("pillarbox", Level::INFO); // as the shipped binary has it
    let lines = LogLayer::direct(kept.clone(), LogFormat::Json, clock.clone()).with_filter(ours);
    (kept, listen_with(lines))
}
