//! The senders' APIs on loopback, and a function that asks them while a clock passes as it waits.

use std::{
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use pillarbox::{
    config::Config,
    domain::Clock,
    inbox::{Inbox, PageRequest, Row, RowFilter, dynamodb::DynamoInbox},
    lambda::{Invocation, InvocationError, LambdaFunction, Reconciler, ReconcilerDeps, Role},
    reconcile::Sleeper,
    telemetry::{LogFormat, LogLayer},
};
use sender_simulator::{apis::{ppns::{BoxNotification, NotificationStatus, PpnsApplication}, PayApi, Ppns}, hmrc::HmrcMessage};
use serde_json::{Value, json, value::RawValue};
use tracing::Level;
use tracing_subscriber::{filter::Targets, prelude::*};

use crate::{
    clock::ManualClock,
    support::{server::Remembers, table},
};

pub(crate) const BOX: &str = "50dca3fc-c37c-4f03-b719-63571333624c";
pub(crate) const CLIENT: &str = "a-client-id-of-the-application";
pub(crate) const SECRET: &str = "a-client-secret-of-the-application";
pub(crate) const API_KEY: &str = "api_test_7mrp1d5lsa5pdfs2bvim2f9cdu";

/// How long a function may take.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(120);

/// HMRC with one box that is ours, by this clock.
pub(crate) async fn ppns(world: Arc<dyn Clock>) -> Ppns {
    let ppns = Ppns::start(0, world).await.unwrap();
    ppns.with(|boxes| {
        boxes.register(PpnsApplication::new(CLIENT, SECRET));
        boxes.open(BOX, CLIENT);
    });
    ppns
}

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
pub(crate) fn hmrc(name: &str, ppns: &Ppns, box_id: &str, secret: &str) -> String {
    format!(
        "[sources.{name}]\nkind = \"hmrc\"\nsecrets = []\n[sources.{name}.pull]\nbase_url = \"{}\"\n\
         boxes = [\"{box_id}\"]\nclient_id = \"env:ID\"\nclient_secret = \"env:{secret}\"\n",
        ppns.base_url()
    )
}

/// A source that pulls from `api`, with the key that `key` names.
pub(crate) fn pay(api: &PayApi, key: &str) -> String {
    format!(
        "[sources.pay]\nkind = \"govuk-pay\"\nsecrets = []\n[sources.pay.pull]\nbase_url = \"{}\"\napi_key = \"env:{key}\"\n",
        api.base_url()
    )
}

/// Waits by letting the clock pass.
struct Passing(Arc<ManualClock>);

impl Sleeper for Passing {
    async fn sleep(&self, time: Duration) {
        self.0.pass(time);
        tokio::task::yield_now().await;
    }
}

/// What was written to it.
#[derive(Clone, Default)]
pub(crate) struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Kept {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// What was written since the last time, each line one JSON object.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
            .collect()
    }
}

/// A function that reconciles, over an inbox of its own.
pub(crate) struct Reconciling<I = DynamoInbox> {
    function: LambdaFunction<I, Remembers, ManualClock, Passing>,
    pub(crate) inbox: Arc<I>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) metrics: Kept,
}

impl Reconciling {
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

impl<I: Inbox> Reconciling<I> {
    pub(crate) fn over(inbox: I, role: Role, clock: &Arc<ManualClock>, document: &str) -> Self {
        let (inbox, metrics) = (Arc::new(inbox), Kept::default());
        let config = Config::read(document, "p").unwrap();
        let surroundings = ReconcilerDeps {
            env: variable,
            manager: None,
            sleeper: Passing(Arc::clone(clock)),
            function: "pillarbox-Reconciler-1".to_owned(),
            metrics: Box::new(metrics.clone()),
        };
        let reconciler = Reconciler::new(&config, Arc::clone(&inbox), surroundings);
        let function = LambdaFunction::new(role, Arc::clone(clock), None, None, reconciler);
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
        };
        Ok(serde_json::to_value(self.function.handle(&raw, &invocation).await?).unwrap())
    }
}

/// Keeps what is said from now on.
pub(crate) fn listen(clock: &Arc<ManualClock>) -> (Kept, tracing::subscriber::DefaultGuard) {
    let kept = Kept::default();
    let ours = Targets::new().with_target("pillarbox", Level::INFO); // as the shipped binary has it
    let lines =
        LogLayer::direct(kept.clone(), LogFormat::Json, Arc::clone(clock)).with_filter(ours);
    (
        kept,
        tracing::subscriber::set_default(tracing_subscriber::registry().with(lines)),
    )
}

/// Puts so many notifications into the box that HMRC has given up, one a minute until seven hours ago.
pub(crate) fn fill(ppns: &Ppns, world: &dyn Clock, count: u64) {
    for number in 0..count {
        let new = BoxNotification::new(
            BOX,
            HmrcMessage::json(format!(r#"{{"number":{number}}}"#)),
            world,
        );
        let created = world
            .now()
            .minus(Duration::from_secs(60 * (420 + count - number)));
        ppns.with(|boxes| boxes.add(new.with_status(NotificationStatus::Failed).created(created)));
    }
}

/// How many HMRC holds that nobody has acknowledged.
pub(crate) fn left(ppns: &Ppns) -> usize {
    let tally = ppns.with(|boxes| boxes.count_by_status());
    tally.pending + tally.failed
}
