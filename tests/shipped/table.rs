//! The commands on a table of DynamoDB, as people run them.

use std::time::Duration;

use pillarbox::{
    domain::{Clock, Key, State, SystemClock, Timestamp},
    inbox::{Claim, DeliveryInbox, Fence, Lease, LeaseId, Mark, ReadInbox, dynamodb::DynamoInbox},
};
use serde_json::Value;

use test_support::{
    cloudformation::TemplateStack,
    process::{BOTH_SOURCES, CommandResult, ProgramFolder},
    table,
};

/// Runs a command with the emulator's variables.
fn run(folder: &ProgramFolder, arguments: &[&str]) -> CommandResult {
    CommandResult::of(folder.command(arguments).envs(table::variables()))
}

fn on(table: &DynamoInbox) -> [String; 2] {
    ["--inbox".to_owned(), format!("dynamodb:{}", table.table())]
}

fn run_on(folder: &ProgramFolder, table: &DynamoInbox, arguments: &[&str]) -> CommandResult {
    let on = on(table);
    run(
        folder,
        &[arguments, &[on[0].as_str(), on[1].as_str()]].concat(),
    )
}

fn keys(ran: &CommandResult) -> Vec<String> {
    let key = |line: &str| {
        serde_json::from_str::<Value>(line).unwrap()["key"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    ran.stdout.lines().map(key).collect()
}

async fn claimed(inbox: &DynamoInbox, key: &Key, now: Timestamp) -> Fence {
    let lease = Lease {
        id: LeaseId(1),
        until: now.plus(Duration::from_secs(150)),
    };
    inbox
        .claim(
            key,
            &Claim {
                now,
                lease,
                first_backoff: Duration::from_secs(5),
            },
        )
        .await
        .unwrap()
        .unwrap()
        .1
}

/// A table with one row each that is open, delivered and dead.
async fn table_with_rows() -> (DynamoInbox, [Key; 3]) {
    let inbox = table::fresh("commands").await;
    let now = SystemClock.now();
    let at = |seconds| now.minus(Duration::from_secs(seconds));
    let open = table::store(&inbox, "open", "payment-1", "card_payment_started", at(30)).await;
    let delivered = table::store(
        &inbox,
        "delivered",
        "payment-1",
        "card_payment_succeeded",
        at(20),
    )
    .await;
    let dead = table::store(&inbox, "dead", "payment-2", "card_payment_captured", at(10)).await;
    let fence = claimed(&inbox, &delivered, now).await;
    let row = inbox.get(&delivered).await.unwrap().unwrap();
    inbox
        .claim_event(
            &row.event().unwrap(),
            &delivered,
            now.plus(Duration::from_secs(1_000)),
        )
        .await
        .unwrap();
    let expires_at = now.plus(Duration::from_secs(1_000));
    inbox
        .mark(&fence, &Mark::Delivered { expires_at })
        .await
        .unwrap();
    let fence = claimed(&inbox, &dead, now).await;
    let mark = Mark::Dead {
        reason: "refused".into(),
        error: "https: status 422".into(),
        at: now,
    };
    inbox.mark(&fence, &mark).await.unwrap();
    (inbox, [open, delivered, dead])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_development_table_is_made_once_and_its_faults_are_named() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let inbox = table::inbox_in(&table::unique("made"));
    let missing = run_on(&folder, &inbox, &["list", "--state", "open"]);
    assert_eq!(missing.code, 1);
    assert!(
        missing.stderr.contains("there is no such table here"),
        "{}",
        missing.stderr
    );

    let made = run_on(&folder, &inbox, &["inbox", "init"]);
    assert_eq!(made.code, 0, "{made:?}");
    assert!(
        made.stderr
            .contains(&format!("The table {} is ready.", inbox.table())),
        "{}",
        made.stderr
    );
    assert!(
        made.stderr.contains("For development only"),
        "{}",
        made.stderr
    );
    let again = run_on(&folder, &inbox, &["inbox", "init"]);
    assert!(
        again.code == 0
            && again
                .stderr
                .contains("already exists, and is set up correctly"),
        "{again:?}"
    );

    let doctor = run_on(&folder, &inbox, &["doctor"]);
    assert_eq!(doctor.code, 0, "{doctor:?}");
    assert!(
        doctor
            .stdout
            .contains("has its key, its index, its stream, and lets items expire"),
        "{}",
        doctor.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_and_a_payment_are_listed_without_reading_the_whole_table() {
    let (inbox, [open, delivered, dead]) = table_with_rows().await;
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let whole = "Reading the whole of table";
    for (filters, expected, reads_all) in [
        (&["--state", "open"][..], vec![&open], false),
        (&["--state", "dead"], vec![&dead], false),
        (&["--state", "held"], vec![], false),
        (&["--state", "dead", "--source", "hmrc"], vec![], false),
        (
            &["--source", "pay", "--subject", "payment-1"],
            vec![&delivered, &open],
            false,
        ),
        (&["--state", "delivered"], vec![&delivered], true),
        (&["--type", "card_payment_captured"], vec![&dead], true),
        (&[], vec![&dead, &delivered, &open], true),
        (&["--limit", "2"], vec![&dead, &delivered], true),
    ] {
        let ran = run_on(&folder, &inbox, &[&["list", "--json"], filters].concat());
        assert_eq!(ran.code, 0, "{filters:?}: {ran:?}");
        let expected: Vec<&str> = expected.into_iter().map(Key::as_str).collect();
        assert_eq!(keys(&ran), expected, "{filters:?}");
        assert_eq!(
            ran.stderr.contains(whole),
            reads_all,
            "{filters:?}: {}",
            ran.stderr
        );
    }
    let people = run_on(&folder, &inbox, &["list"]);
    assert!(
        people.code == 0 && people.stdout.lines().count() == 4,
        "{people:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_shown_sent_again_and_ended() {
    let (inbox, [open, delivered, dead]) = table_with_rows().await;
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let shown = run_on(&folder, &inbox, &["show", dead.as_str(), "--raw"]);
    let body = inbox.get(&dead).await.unwrap().unwrap().body.unwrap();
    assert_eq!((shown.code, shown.bytes), (0, body.to_vec()));

    let dry = run_on(&folder, &inbox, &["replay", "--dead", "--dry-run"]);
    assert!(
        dry.code == 0 && dry.stdout.trim() == dead.as_str(),
        "{dry:?}"
    );
    let replayed = run_on(&folder, &inbox, &["replay", "--dead"]);
    assert!(
        replayed.code == 0 && replayed.stdout.trim() == dead.as_str(),
        "{replayed:?}"
    );
    assert_eq!(
        inbox.get(&dead).await.unwrap().unwrap().state,
        State::Recorded
    );

    let finished = run_on(&folder, &inbox, &["discard", delivered.as_str()]);
    assert!(
        finished.code == 1 && finished.stderr.contains("will expire"),
        "{finished:?}"
    );
    let erased = run_on(&folder, &inbox, &["discard", open.as_str(), "--erase"]);
    assert_eq!(erased.code, 0, "{erased:?}");
    let row = inbox.get(&open).await.unwrap().unwrap();
    assert_eq!((row.state, row.body), (State::Discarded, None));
}

/// A row that this version cannot read is reported.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_a_later_version_is_named_by_every_command_that_lists() {
    let (inbox, [_, _, dead]) = table_with_rows().await;
    let client = aws_sdk_dynamodb::Client::new(
        &table::aws(&table::variables()).config(pillarbox::aws::AwsService::DynamoDb),
    );
    let text = |value: &str| aws_sdk_dynamodb::types::AttributeValue::S(value.to_owned());
    let newer = client
        .update_item()
        .table_name(inbox.table())
        .key("pk", text(dead.as_str()));
    let two = aws_sdk_dynamodb::types::AttributeValue::N("2".to_owned());
    newer
        .update_expression("SET v = :v")
        .expression_attribute_values(":v", two)
        .send()
        .await
        .unwrap();

    let folder = ProgramFolder::with(BOTH_SOURCES);
    let words = format!("{dead} is left out: a newer Pillarbox wrote it");
    for (command, code) in [
        (&["list"][..], 0),
        (&["replay", "--dead"], 0),
        (&["verify", "--stored"], 1),
    ] {
        let ran = run_on(&folder, &inbox, command);
        assert!(
            ran.code == code && ran.stderr.contains(&words),
            "{command:?}: {ran:?}"
        );
    }
    let stored = run_on(&folder, &inbox, &["verify", "--stored"]);
    assert!(
        stored.stderr.contains("Reading the whole of table"),
        "{stored:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_reports_pending_rows_of_a_table_and_the_last_notification_of_each_source() {
    let (inbox, [_, delivered, _]) = table_with_rows().await;
    let source = pillarbox::domain::SourceName::new(delivered.source()).unwrap();
    inbox
        .record_last_received(&source, SystemClock.now())
        .await
        .unwrap();
    let doctor = run_on(&ProgramFolder::with(BOTH_SOURCES), &inbox, &["doctor"]);
    assert_eq!(doctor.code, 1, "the dead row needs a person: {doctor:?}");
    for line in [
        "1 open, the oldest received",
        "1 dead, the oldest received",
        "source pay: last notification",
    ] {
        assert!(doctor.stdout.contains(line), "{line}: {}", doctor.stdout);
    }
}

#[test]
fn an_empty_endpoint_is_an_error_that_names_its_variable() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    for name in ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL"] {
        for command in [&["inbox", "init"][..], &["serve"]] {
            let on_table = [command, &["--inbox", "dynamodb:anything"]].concat();
            let mut command = folder.command(&on_table);
            let ran = CommandResult::of(command.envs(table::variables()).env(name, ""));
            assert_eq!(ran.code, 2, "{ran:?}");
            let error = format!("error[PB008]: {name} is empty");
            assert!(ran.stderr.contains(&error), "{ran:?}");
        }
    }
}

#[test]
fn unreachable_aws_is_an_error_that_says_what_to_do() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let list = ["list", "--state", "open", "--inbox", "dynamodb:anything"];
    let closed_port = ("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1".to_owned());
    for (variables, words, code) in [
        (vec![], "error[PB008]: AWS_REGION is not set", 2),
        (
            table::variables()
                .into_iter()
                .filter(|(name, _)| !name.ends_with("DYNAMODB"))
                .chain([closed_port])
                .collect(),
            "DynamoDB cannot be reached",
            1,
        ),
    ] {
        // No profile of the machine's, and no question to a metadata service.
        let quiet = [
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_CONFIG_FILE", "none"),
            ("HOME", "/nonexistent"),
        ];
        let run = |arguments: &[&str]| {
            let mut command = folder.command(arguments);
            CommandResult::of(command.envs(quiet).envs(variables.clone()))
        };
        let ran = run(&list);
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
        let doctor = run(&["doctor", "--inbox", "dynamodb:anything"]);
        let first = doctor.stdout.lines().next();
        let sentence = "wrong  Something needs you: the inbox cannot be read.";
        assert_eq!((first, doctor.code), (Some(sentence), 1), "{doctor:?}");
    }
}

/// The settings by which rows are found, delivered and removed; the rest of the template's table
/// protects it.
#[tokio::test(flavor = "multi_thread")]
async fn a_development_table_is_the_one_that_the_template_makes() {
    let inbox = table::fresh("template").await;
    let client = aws_sdk_dynamodb::Client::new(
        &table::aws(&table::variables()).config(pillarbox::aws::AwsService::DynamoDb),
    );
    let described = client
        .describe_table()
        .table_name(inbox.table())
        .send()
        .await
        .unwrap();
    let (made, template) = (
        described.table().unwrap(),
        TemplateStack::with(&[]).properties("Table"),
    );

    let keys = |schema: &[aws_sdk_dynamodb::types::KeySchemaElement]| {
        let key = |key: &aws_sdk_dynamodb::types::KeySchemaElement| {
            serde_json::json!({
                "AttributeName": key.attribute_name(),
                "KeyType": key.key_type().as_str(),
            })
        };
        Value::Array(schema.iter().map(key).collect())
    };
    assert_eq!(template["KeySchema"], keys(made.key_schema()));
    let of_types: Vec<_> = made
        .attribute_definitions()
        .iter()
        .map(|one| (one.attribute_name(), one.attribute_type().as_str()))
        .collect();
    let expected = template["AttributeDefinitions"].as_array().unwrap();
    assert_eq!(of_types.len(), expected.len());
    for attribute in expected {
        let of_type = (
            attribute["AttributeName"].as_str().unwrap(),
            attribute["AttributeType"].as_str().unwrap(),
        );
        assert!(of_types.contains(&of_type), "{of_type:?}");
    }

    let indexes = template["GlobalSecondaryIndexes"].as_array().unwrap();
    assert_eq!(
        (indexes.len(), made.global_secondary_indexes().len()),
        (1, 1)
    );
    let (index, made_index) = (&indexes[0], &made.global_secondary_indexes()[0]);
    assert_eq!(index["IndexName"], made_index.index_name().unwrap());
    assert_eq!(index["KeySchema"], keys(made_index.key_schema()));
    let projection = made_index.projection().unwrap();
    assert_eq!(
        index["Projection"]["ProjectionType"],
        projection.projection_type().unwrap().as_str()
    );
    let carried = |list: Vec<&str>| {
        list.into_iter()
            .map(str::to_owned)
            .collect::<std::collections::BTreeSet<_>>()
    };
    let wanted = index["Projection"]["NonKeyAttributes"].as_array().unwrap();
    assert_eq!(
        carried(wanted.iter().map(|name| name.as_str().unwrap()).collect()),
        carried(
            projection
                .non_key_attributes()
                .iter()
                .map(String::as_str)
                .collect()
        )
    );

    let stream = made.stream_specification().unwrap();
    assert_eq!(
        template["StreamSpecification"]["StreamViewType"],
        stream.stream_view_type().unwrap().as_str()
    );
    let expiry = client
        .describe_time_to_live()
        .table_name(inbox.table())
        .send()
        .await
        .unwrap();
    let expiry = expiry
        .time_to_live_description()
        .and_then(|expiry| expiry.attribute_name())
        .unwrap()
        .to_owned();
    assert_eq!(template["TimeToLiveSpecification"]["AttributeName"], expiry);
    assert_eq!(template["TimeToLiveSpecification"]["Enabled"], true);
    assert_eq!(template["BillingMode"], "PAY_PER_REQUEST");
}
