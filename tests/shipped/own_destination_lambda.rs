//! `examples/own_destination_lambda.rs`, run as Lambda would run it.

use std::{fs, process::Command, time::Duration};

use pillarbox::{
    aws::AwsService,
    domain::{Clock, Key, State, SystemClock, Timestamp},
    inbox::{
        ReadInbox, Row,
        dynamodb::{DynamoInbox, TableSettings},
    },
};
use serde_json::{Value, json};
use tempfile::TempDir;

use test_support::{
    binary,
    fronts::{LambdaFront, batch},
    function::post,
    message::pay,
    runtime_api::{BootstrapProcess, RuntimeReport, deployed},
    table,
};

/// A table, and the folder that the functions over it write to.
struct OwnDestination {
    inbox: DynamoInbox,
    folder: TempDir,
    /// The date of the notifications.
    at: Timestamp,
}

impl OwnDestination {
    async fn new(name: &str) -> Self {
        let inbox = table::fresh(name).await;
        Self {
            inbox,
            folder: tempfile::tempdir().unwrap(),
            at: SystemClock.now(),
        }
    }

    fn variables(&self, role: &str) -> Vec<(&'static str, String)> {
        let mut variables = deployed(role, self.inbox.table());
        variables.push(("EVENTS_FOLDER", self.folder.path().display().to_string()));
        variables
    }

    async fn start(&self, role: &str) -> BootstrapProcess {
        start(&self.variables(role)).await
    }

    /// The files that were delivered, and removes them.
    fn take_files(&self) -> Vec<String> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.folder.path()).unwrap() {
            let path = entry.unwrap().path();
            let event: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            assert_eq!(event["data"]["amount"], 5000, "{event}");
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap();
            assert_eq!(event["id"], name);
            names.push(name.to_owned());
            fs::remove_file(path).unwrap();
        }
        names.sort();
        names
    }

    /// Posts a notification, which must be answered as recorded or as a duplicate.
    async fn receive(&self, function: &mut BootstrapProcess, id: &str, status: &str) {
        let request = post(&pay(), pay().message(id, self.at));
        let event = LambdaFront::HttpApi.invocation(&request, SystemClock.now());
        let answer = function.answer(&event).await;
        let expected = format!(r#"{{"status":"{status}"}}"#);
        assert_eq!((answer.status, answer.body), (200, expected));
    }

    async fn row(&self, key: &str) -> Row {
        let row = self.inbox.get(&Key::parse(key).unwrap()).await.unwrap();
        row.unwrap()
    }
}

async fn start(variables: &[(&'static str, String)]) -> BootstrapProcess {
    let program = Command::new(binary("own-destination-lambda-under-test"));
    BootstrapProcess::start_program(program, variables).await
}

/// Invokes `function` with the batch of a stream, whose every outcome must be written.
async fn process(function: &mut BootstrapProcess, key: &str) {
    match function.invoke(&batch(&[(key, "recorded")])).await {
        RuntimeReport::Reply(_, reply) => assert_eq!(reply, json!({"batchItemFailures": []})),
        other => panic!("{other:?} {:?}", function.lines()),
    }
}

async fn sweep(function: &mut BootstrapProcess) -> Value {
    match function.invoke(&json!({"role": "sweep"})).await {
        RuntimeReport::Reply(_, reply) => reply,
        other => panic!("{other:?} {:?}", function.lines()),
    }
}

#[tokio::test]
async fn a_posted_notification_arrives_once_in_a_custom_destination() {
    let own = OwnDestination::new("own").await;
    let mut all = own.start("bootstrap").await;
    own.receive(&mut all, "a", "recorded").await;
    assert_eq!(own.take_files(), Vec::<String>::new(), "stored first");
    process(&mut all, "pay:a").await;
    assert_eq!(own.take_files(), ["pay:a"]);
    assert_eq!(own.row("pay:a").await.state, State::Delivered);

    own.receive(&mut all, "a", "duplicate").await;
    process(&mut all, "pay:a").await;
    sweep(&mut all).await;
    assert_eq!(own.take_files(), Vec::<String>::new(), "once a key");
    let logged = all.lines();
    assert!(
        logged.iter().all(|line| !line.contains("specversion")),
        "it goes nowhere else: {logged:?}"
    );
}

#[tokio::test]
async fn every_role_that_delivers_delivers_to_it() {
    let own = OwnDestination::new("own-roles").await;
    own.receive(&mut own.start("receive").await, "a", "recorded")
        .await;
    process(&mut own.start("process").await, "pay:a").await;
    assert_eq!(own.take_files(), ["pay:a"]);

    let mut settings = TableSettings::new(own.inbox.table(), 16, Duration::from_secs(90 * 86_400));
    settings.first_due = Duration::ZERO;
    let sdk = table::aws(&table::variables()).config(AwsService::DynamoDb);
    let due_at_once = DynamoInbox::new(&sdk, settings);
    let now = SystemClock.now();
    let key = table::store(&due_at_once, "b", "p1", "card_payment_captured", now).await;
    let reply = sweep(&mut own.start("sweep").await).await;
    assert_eq!(reply["delivered"], 1, "{reply}");
    assert_eq!(own.take_files(), [key.as_str()]);
}

#[tokio::test]
async fn a_destination_that_fails_leaves_the_row_open() {
    let own = OwnDestination::new("own-fails").await;
    let mut variables = own.variables("bootstrap");
    variables.retain(|(name, _)| *name != "EVENTS_FOLDER");
    variables.push(("EVENTS_FOLDER", "/nowhere/events".to_owned()));
    let mut all = start(&variables).await;
    own.receive(&mut all, "a", "recorded").await;
    process(&mut all, "pay:a").await;
    let row = own.row("pay:a").await;
    assert_eq!((row.state, row.attempts), (State::Recorded, 1));
    let error = row.last_error.unwrap();
    assert!(error.contains("No such file"), "{error}");
    assert!(row.due_at.is_some(), "it is tried again");
}

/// As `serve_to` refuses it; but where a function receives, it goes on receiving.
#[tokio::test]
async fn a_configuration_that_names_destinations_delivers_nothing_and_receives_all_the_same() {
    let own = OwnDestination::new("own-named").await;
    let queue = "[destinations.queue]\nkind = \"sqs\"\n\
        url = \"https://sqs.eu-west-2.amazonaws.com/111122223333/ledger\"\n";
    let named = |role: &str| {
        let mut variables = own.variables(role);
        for (name, value) in &mut variables {
            if *name == "PILLARBOX_CONFIG" {
                value.push_str(queue);
            }
        }
        variables
    };
    for role in ["process", "sweep"] {
        let mut function = start(&named(role)).await;
        let RuntimeReport::InitError(report) = function.next_report().await else {
            panic!("{role} starts");
        };
        assert_eq!(report["errorType"], "Destination");
        let message = report["errorMessage"].as_str().unwrap();
        assert!(
            message.starts_with("PILLARBOX_CONFIG names destinations"),
            "{message}"
        );
    }
    own.receive(&mut start(&named("receive")).await, "a", "recorded")
        .await;

    let mut all = start(&named("all")).await;
    own.receive(&mut all, "b", "recorded").await;
    process(&mut all, "pay:b").await;
    let row = own.row("pay:b").await;
    assert_eq!(row.state, State::Recorded);
    let error = row.last_error.unwrap();
    assert!(error.contains("names destinations"), "{error}");
    let logged = all.lines();
    assert!(
        logged
            .iter()
            .any(|line| line.contains("\"ERROR\"") && line.contains("names destinations")),
        "{logged:?}"
    );
    assert_eq!(own.take_files(), Vec::<String>::new());
}
