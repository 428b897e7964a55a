//! The shipped binary killed at the worst moments, and its secret changed under way: nothing is
//! lost.

use std::{collections::HashSet, sync::Arc, time::Duration};

use pillarbox::{
    delivery::{DeliveryWorker, RunDeadline, sweep::SweepRunner},
    destinations::{DeliveryError, Destination, Event},
    domain::{Clock, Key, State, SystemClock, Timestamp},
    inbox::{ReadInbox, RetentionPolicy, dynamodb::DynamoInbox},
};
use rustix::process::Signal;
use serde_json::{Value, json};

use test_support::{
    cloud::{CloudReply, SimulatedAws},
    dynamodb::EMULATOR,
    fault_proxy::{FaultProxy, InjectedFault},
    fronts::LambdaFront,
    function::post,
    message::{Source, pay},
    pump::{InvocationEnd, SeededRandom, StreamPump},
    runtime_api::{BootstrapProcess, RuntimeReport, deployed},
    table,
};

/// Longer than any lease.
const LATER: Duration = Duration::from_secs(10 * 60);

fn posted(source: &Source, id: &str, created: Timestamp) -> Value {
    LambdaFront::HttpApi.invocation(
        &post(source, source.message(id, created)),
        SystemClock.now(),
    )
}

/// The same variables, with the table reached elsewhere.
fn through(endpoint: &str, variables: &[(&'static str, String)]) -> Vec<(&'static str, String)> {
    let elsewhere = ("AWS_ENDPOINT_URL_DYNAMODB", endpoint.to_owned());
    variables
        .iter()
        .filter(|(name, _)| *name != elsewhere.0)
        .cloned()
        .chain([elsewhere.clone()])
        .collect()
}

async fn states(inbox: &DynamoInbox) -> Vec<(Key, State)> {
    let rows = table::rows(inbox).await.into_iter();
    rows.map(|row| (row.key, row.state)).collect()
}

#[tokio::test]
async fn killed_between_the_write_and_the_answer_the_row_is_there_and_the_next_post_is_a_duplicate()
{
    let inbox = table::fresh("killed").await;
    let variables = deployed("receive", inbox.table());
    let hangs = FaultProxy::before(&EMULATOR.endpoint, |call| match call.operation {
        "PutItem" => InjectedFault::HangsAfter,
        _ => InjectedFault::None,
    })
    .await;
    let event = posted(&pay(), "m1", SystemClock.now());
    let mut receive = BootstrapProcess::start(&through(&hangs.endpoint, &variables)).await;
    receive.send(event.to_string(), Duration::from_secs(5));
    let key = Key::parse("pay:m1").unwrap();
    while inbox.get(&key).await.unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    receive.signal(Signal::KILL);

    let mut receive = BootstrapProcess::start(&variables).await;
    let answer = receive.answer(&event).await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, r#"{"status":"duplicate"}"#)
    );
    assert_eq!(states(&inbox).await, [(key, State::Recorded)]);
}

#[tokio::test]
async fn a_secret_that_is_changed_under_way_costs_no_notification() {
    let inbox = table::fresh("rotated").await;
    let (old, new) = (
        Source::new(
            "pay",
            pay().sender,
            &["webhook_test_thefirstsecretofthistest"],
        ),
        pay(),
    );
    let holding = |current: &str, previous: &str| {
        let value = json!({"current": current, "previous": previous}).to_string();
        move |_: &test_support::cloud::AwsCall| CloudReply::Done(json!({"SecretString": value}))
    };
    let cloud =
        SimulatedAws::answering(holding(&old.secrets[0], "a secret of long ago, withdrawn")).await;
    let arn = "arn:aws:secretsmanager:eu-west-2:123456789012:secret:pay-AbCdEf";
    let mut variables = deployed("receive", inbox.table());
    for (name, value) in &mut variables {
        if *name == "PILLARBOX_CONFIG" {
            *value = value.replace(
                "[\"env:PAY\"]",
                &format!("[\"secretsmanager:{arn}#current\", \"secretsmanager:{arn}#previous\"]"),
            );
        }
    }
    variables.push(("AWS_ENDPOINT_URL_SECRETS_MANAGER", cloud.url()));
    let (mut receive, created) = (BootstrapProcess::start(&variables).await, SystemClock.now());
    for id in 0..20 {
        // GOV.UK Pay switches immediately; an operator installs the new secret a little later.
        let signer = if id < 5 { &old } else { &new };
        if id == 7 {
            cloud.answers(holding(&new.secrets[0], &old.secrets[0]));
        }
        let status = receive
            .answer(&posted(signer, &format!("m{id}"), created))
            .await
            .status;
        let is_missing = (5..7).contains(&id);
        if is_missing {
            assert_eq!(status, 401, "{id}: its key isn't there yet");
        } else if status == 401 {
            // The one reading that 30 s allow was spent on a signature that no key had made.
            assert!((7..20).contains(&id), "{id}");
        } else {
            assert_eq!(status, 200, "{id}");
        }
    }
    assert!(
        cloud.calls("GetSecretValue").len() <= 4,
        "{} readings",
        cloud.calls("GetSecretValue").len()
    );
    // A new environment reads anew; what was refused comes again, and what was taken in is a
    // duplicate.
    let mut receive = BootstrapProcess::start(&variables).await;
    for id in 0..20 {
        let signer = if id % 2 == 0 { &old } else { &new };
        let answer = receive
            .answer(&posted(signer, &format!("m{id}"), created))
            .await;
        assert_eq!(answer.status, 200, "{id}: both are active");
    }
    assert_eq!(states(&inbox).await.len(), 20);
}

/// Where everything arrives that the killed processes left open.
struct RecoveringDestination;

impl Destination for RecoveringDestination {
    async fn deliver(&self, _: &Key, _: &Event) -> Result<(), DeliveryError> {
        Ok(())
    }
}

/// The clock of a later hour.
struct LaterClock;

impl Clock for LaterClock {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus(LATER)
    }

    fn random(&self) -> u64 {
        SystemClock.random()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_processor_that_is_killed_repeatedly_leaves_no_row_undelivered() {
    const COUNT: usize = 300;
    let inbox = table::fresh("deaths").await;
    let mut receive = BootstrapProcess::start(&deployed("receive", inbox.table())).await;
    for id in 0..COUNT {
        assert_eq!(
            receive
                .answer(&posted(&pay(), &format!("m{id}"), SystemClock.now()))
                .await
                .status,
            200
        );
    }
    let variables = deployed("process", inbox.table());
    let (mut process, mut chance, mut deaths) = (
        BootstrapProcess::start(&variables).await,
        SeededRandom::new(3),
        0,
    );
    let mut deliveries: HashSet<String> = HashSet::new();
    let mut stream = StreamPump::at(&EMULATOR.endpoint, inbox.table()).await;
    let pumped = stream
        .drain(&mut SeededRandom::new(4), (2, 10), async |event| {
            process.send(event.to_string(), Duration::from_secs(60));
            if chance.is(40) {
                tokio::time::sleep(Duration::from_millis(chance.below(25))).await;
                process.signal(Signal::KILL);
                deaths += 1;
                deliveries.extend(delivered_keys(&process));
                process = BootstrapProcess::start(&variables).await;
                return InvocationEnd::Error;
            }
            match process.next_report().await {
                RuntimeReport::Reply(_, reply) => InvocationEnd::of(&reply),
                other => panic!("{other:?}"),
            }
        })
        .await;
    deliveries.extend(delivered_keys(&process));
    assert!(deaths > 5 && pumped.lost > 0, "{deaths} deaths, {pumped:?}");

    for (key, state) in states(&inbox).await {
        match state {
            State::Delivered => assert!(deliveries.contains(key.as_str()), "{key} never arrived"),
            State::Recorded => {}
            other => panic!("{key} is {other}"),
        }
    }
    // What a dead process had claimed is free once its lease has lapsed.
    let retention = RetentionPolicy {
        retention: Duration::from_secs(90 * 24 * 60 * 60),
    };
    let sweeper = SweepRunner::new(Arc::new(DeliveryWorker::new(
        Arc::new(inbox.clone()),
        RecoveringDestination,
        Arc::new(LaterClock),
        retention,
    )));
    sweeper
        .sweep(RunDeadline::before(LaterClock.now().plus(LATER)), |_| {})
        .await
        .unwrap();
    let states = states(&inbox).await;
    assert_eq!(states.len(), COUNT);
    assert!(
        states.iter().all(|(_, state)| *state == State::Delivered),
        "{states:?}"
    );
}

/// The keys of the events that a process wrote to its log.
fn delivered_keys(process: &BootstrapProcess) -> Vec<String> {
    let lines = process.lines();
    let event = |line: &String| {
        serde_json::from_str::<Value>(line)
            .ok()
            .filter(|line| line["specversion"] == "1.0")
    };
    lines
        .iter()
        .filter_map(event)
        .map(|event| event["id"].as_str().unwrap().to_owned())
        .collect()
}
