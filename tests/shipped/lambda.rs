//! The shipped binary under Lambda's own API, over a table: what holds in one process must hold in
//! this.

use std::time::Duration;

use pillarbox::{
    domain::{Clock, Key, State, SystemClock, Timestamp},
    inbox::{PageRequest, ReadInbox, RowFilter, dynamodb::DynamoInbox},
};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::{net::TcpListener, time::Instant};

use test_support::{
    binary,
    fronts::{FrontRequest, LambdaFront, batch, sequence},
    function::{post, unsigned},
    message::{Source, both, hmrc, pay},
    runtime_api::{BootstrapProcess, RuntimeReport, deployed},
    table,
};

fn now() -> Timestamp {
    SystemClock.now()
}

async fn table(name: &str) -> (String, DynamoInbox) {
    let name = table::unique(name);
    let inbox = table::inbox_in(&name);
    inbox.init().await.unwrap();
    (name, inbox)
}

async fn state(inbox: &DynamoInbox, key: &str) -> Option<State> {
    inbox
        .get(&Key::parse(key).unwrap())
        .await
        .unwrap()
        .map(|row| row.state)
}

async fn keys(inbox: &DynamoInbox) -> Vec<String> {
    let listed = inbox
        .list(&RowFilter::default(), PageRequest::first(1_000))
        .await
        .unwrap();
    let mut keys: Vec<String> = listed.rows.iter().map(|row| row.key.to_string()).collect();
    keys.sort();
    keys
}

fn genuine(front: LambdaFront, source: &Source, id: &str) -> Value {
    front.invocation(&post(source, source.message(id, now())), now())
}

/// The lines it wrote, each one JSON object with a time and a level of its own, or an event's
/// envelope.
fn lines(bootstrap: &BootstrapProcess) -> Vec<Value> {
    let lines = bootstrap.lines();
    let read =
        |line: &String| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
    lines.iter().map(read).collect()
}

#[tokio::test]
async fn every_front_is_answered_and_each_notification_is_one_row_in_the_table() {
    let (name, inbox) = table("fronts").await;
    let mut bootstrap = BootstrapProcess::start(&deployed("bootstrap", &name)).await;
    for front in LambdaFront::ALL {
        let challenge =
            front.invocation(&FrontRequest::new("GET", "/hmrc?challenge=1ed5f407"), now());
        assert_eq!(
            bootstrap.answer(&challenge).await.body,
            r#"{"challenge":"1ed5f407"}"#
        );
        for source in both() {
            let body = source.message(front.as_str(), now());
            let events = [post(&source, &body), post(&source, &body).base64()]
                .map(|request| front.invocation(&request, now()));
            for (event, status) in events.iter().zip(["recorded", "duplicate"]) {
                let answer = bootstrap.answer(event).await;
                assert_eq!(
                    (answer.status, answer.body),
                    (200, format!(r#"{{"status":"{status}"}}"#)),
                    "{front:?}"
                );
            }
            let row = inbox
                .get(&Key::parse(&format!("{}:{}", source.name, front.as_str())).unwrap())
                .await
                .unwrap();
            assert_eq!(row.unwrap().body.unwrap(), body);
        }
    }
    assert_eq!(keys(&inbox).await.len(), LambdaFront::ALL.len() * 2);
    let lines = lines(&bootstrap);
    assert_eq!(
        lines.len(),
        LambdaFront::ALL.len() * 5,
        "one line an invocation"
    );
    for (index, line) in lines.iter().enumerate() {
        assert!(
            Timestamp::parse(line["timestamp"].as_str().unwrap()).is_some(),
            "{line}"
        );
        assert_eq!(
            (&line["level"], &line["request_id"]),
            (&json!("INFO"), &json!((index + 1).to_string()))
        );
        assert_eq!(line["cold_start"], index == 0);
    }
}

#[tokio::test]
async fn a_batch_and_a_sweep_deliver_received_notifications() {
    let (name, inbox) = table("handed-on").await;
    let mut receive = BootstrapProcess::start(&deployed("receive", &name)).await;
    for (source, id) in [(pay(), "a"), (hmrc(), "b"), (pay(), "c")] {
        let event = genuine(LambdaFront::HttpApi, &source, id);
        assert_eq!(receive.answer(&event).await.status, 200);
    }
    let mut process = BootstrapProcess::start(&deployed("process", &name)).await;
    let records = batch(&[
        ("pay:a", "recorded"),
        ("hmrc:b", "recorded"),
        ("~source:pay", "recorded"),
    ]);
    for _ in 0..2 {
        let report = process.invoke(&records).await;
        assert!(
            matches!(&report, RuntimeReport::Reply(_,
                reply) if *reply == json!({"batchItemFailures": []})),
            "{report:?}"
        );
    }
    let mut sweep = BootstrapProcess::start(&deployed("sweep", &name)).await;
    sweep.invoke(&json!({"role": "sweep"})).await;
    assert_eq!(
        state(&inbox, "pay:c").await,
        Some(State::Recorded),
        "the stream's turn is not over yet"
    );
    for key in ["pay:a", "hmrc:b"] {
        assert_eq!(state(&inbox, key).await, Some(State::Delivered), "{key}");
    }
    let deliveries: Vec<Value> = lines(&process)
        .into_iter()
        .filter(|line| line.get("specversion").is_some())
        .collect();
    assert_eq!(deliveries.len(), 2, "each once");
    assert!(deliveries.iter().all(|event| event.get("data").is_none()));
}

#[tokio::test]
async fn a_foreign_event_is_an_error_in_every_role_and_the_process_goes_on() {
    let (name, _) = table("roles").await;
    let http =
        LambdaFront::HttpApi.invocation(&FrontRequest::new("GET", "/hmrc?challenge=abc"), now());
    let stream = batch(&[("hmrc:nobody", "recorded")]);
    let schedule = json!({"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}});
    // No source has a pull table here, so no role handles that schedule.
    let reconcile = json!({"role": "reconcile"});
    let events = [
        ("receive", &http),
        ("process", &stream),
        ("sweep", &schedule),
        ("nobody", &reconcile),
    ];
    for role in ["receive", "process", "sweep", "all"] {
        let mut bootstrap = BootstrapProcess::start(&deployed(role, &name)).await;
        for (own, event) in events {
            match bootstrap.invoke(event).await {
                RuntimeReport::Reply(..) => assert!(
                    own != "nobody" && (role == own || role == "all"),
                    "{role} takes {own}"
                ),
                RuntimeReport::Failed(_, failure) => {
                    assert!(
                        own == "nobody" || (role != own && role != "all"),
                        "{role} refuses {own}: {failure}"
                    );
                    assert_eq!(failure["errorType"], "ForeignEvent");
                    assert!(
                        failure["errorMessage"].as_str().unwrap().contains(role),
                        "{failure}"
                    );
                }
                other => panic!("{other:?}"),
            }
        }
        for foreign in [
            json!(null),
            json!({"canary": "canary"}),
            json!({"Records": [{"eventSource": "aws:sqs"}]}),
        ] {
            let report = bootstrap.invoke(&foreign).await;
            assert!(
                matches!(&report, RuntimeReport::Failed(_,
                    failure) if !failure.to_string().contains("canary")),
                "{report:?}"
            );
        }
        assert!(bootstrap.is_alive());
    }
}

#[tokio::test]
async fn hostile_events_are_answered_400_and_the_process_goes_on() {
    let (name, inbox) = table("hostile").await;
    let mut bootstrap = BootstrapProcess::start(&deployed("receive", &name)).await;
    for front in LambdaFront::ALL {
        for (pointer, value) in [
            ("/headers/host", json!("%zz")),
            ("/headers/host", json!("a b")),
            ("/headers/Host", json!("[::1")),
            ("/headers/host", json!("")),
            ("/headers/x-other", json!("a\u{0}b")),
            ("/requestContext/domainName", json!("a b")),
            ("/isBase64Encoded", json!("yes")),
            ("/body", json!(7)),
        ] {
            let mut event = genuine(front, &pay(), "n1");
            let (map, field) = pointer.rsplit_once('/').unwrap();
            event.pointer_mut(map).unwrap()[field] = value;
            assert_eq!(
                bootstrap.answer(&event).await.status,
                400,
                "{front:?} {pointer}"
            );
        }
        // The scheme of a hop does not show who signed, so the notification is genuine.
        for (header, scheme) in [
            ("x-forwarded-proto", ""),
            ("x-forwarded-proto", "%"),
            ("x-forwarded-proto", "https,https"),
            ("X-Forwarded-Proto", "1http"),
        ] {
            let mut event = genuine(front, &pay(), "n2");
            event["headers"][header] = json!(scheme);
            let status = bootstrap.answer(&event).await.status;
            assert_eq!(status, 200, "{front:?} {scheme:?}");
        }
        let mut event = front.invocation(&post(&pay(), "{}").base64(), now());
        event["body"] = json!("!!!");
        assert_eq!(
            bootstrap.answer(&event).await.status,
            400,
            "{front:?} invalid base64"
        );
        if front != LambdaFront::Rest {
            let mut event = genuine(front, &pay(), "n1");
            event["rawQueryString"] = json!("<\" ");
            assert_eq!(
                bootstrap.answer(&event).await.status,
                400,
                "{front:?} query"
            );
        }
        let event = front.invocation(&unsigned(&pay(), "x"), now());
        assert_eq!(bootstrap.answer(&event).await.status, 401);
    }
    let stored = keys(&inbox).await;
    assert!(
        stored.iter().all(|key| key.starts_with("pay:n2")),
        "{stored:?}"
    );
    let event = genuine(LambdaFront::Rest, &pay(), "n1");
    assert_eq!(bootstrap.answer(&event).await.status, 200);
    assert!(
        bootstrap
            .lines()
            .iter()
            .all(|line| !line.contains("panicked"))
    );
}

/// A configuration that no destination can be built from, with a window that does not fit.
fn mistaken(role: &str, table: &str) -> Vec<(&'static str, String)> {
    let mut variables = deployed(role, table);
    for (name, value) in &mut variables {
        if *name == "PILLARBOX_CONFIG" {
            let log = "[destination]\nkind = \"log\"\n";
            let bus =
                "[destination]\nkind = \"eventbridge\"\nbus = \"arn:aws:sqs:eu-west-2:1:q\"\n";
            assert!(value.contains(log));
            *value = format!("acceptance_days = 85\n{}", value.replace(log, bus));
        }
    }
    variables
}

#[tokio::test]
async fn mistakes_about_destinations_and_windows_stop_deliveries_and_never_receiving() {
    for (role, name) in [("receive", "mistaken-receive"), ("all", "mistaken-all")] {
        let (name, inbox) = table(name).await;
        let mut bootstrap = BootstrapProcess::start(&mistaken(role, &name)).await;
        let answer = bootstrap
            .answer(&genuine(LambdaFront::HttpApi, &pay(), "1"))
            .await;
        assert_eq!(answer.status, 200, "{role}: {}", answer.body);
        assert_eq!(state(&inbox, "pay:1").await, Some(State::Recorded));
        let lines = lines(&bootstrap);
        for part in ["acceptance_days is not valid", "destination.bus"] {
            let is_logged = lines.iter().any(|line| {
                line["level"] == "ERROR" && line["reason"].as_str().unwrap().contains(part)
            });
            assert!(is_logged, "{role} {part}: {lines:?}");
        }
    }
    for role in ["process", "sweep"] {
        let mut bootstrap = BootstrapProcess::start(&mistaken(role, "pillarbox")).await;
        let RuntimeReport::InitError(report) = bootstrap.next_report().await else {
            panic!("{role} started")
        };
        assert_eq!(report["errorType"], "Configuration", "{report}");
    }
}

#[tokio::test]
async fn a_function_that_cannot_start_reports_why_and_ends() {
    let good = || deployed("receive", "pillarbox");
    let with = |name: &'static str, value: &str| {
        let mut variables = good();
        variables.retain(|(known, _)| *known != name);
        variables.push((name, value.to_owned()));
        variables
    };
    let local = "[sources.pay]\nkind = \"govuk-pay\"\nsecrets = []\n";
    for (variables, name, part) in [
        (
            with("PILLARBOX_ROLE", "reconcile"),
            "Configuration",
            "no source is pulled from",
        ),
        (
            with("_HANDLER", "recieve"),
            "Role",
            "the function's handler names an unknown role (`recieve`)",
        ),
        (
            with("PILLARBOX_CONFIG", ""),
            "Configuration",
            "PILLARBOX_CONFIG is not set",
        ),
        (
            with("PILLARBOX_CONFIG", "colour = \"red\""),
            "Configuration",
            "colour",
        ),
        (
            with("PILLARBOX_CONFIG", local),
            "Configuration",
            "the inbox is a local file",
        ),
        (
            with("PILLARBOX_INBOX", "elsewhere"),
            "Configuration",
            "PILLARBOX_INBOX",
        ),
        (with("AWS_REGION", ""), "Aws", "AWS_REGION is not set"),
        (with("AWS_CA_BUNDLE", "/nowhere.pem"), "Aws", "/nowhere.pem"),
    ] {
        let mut bootstrap = BootstrapProcess::start(&variables).await;
        let RuntimeReport::InitError(report) = bootstrap.next_report().await else {
            panic!("{part}")
        };
        assert_eq!(report["errorType"], name, "{report}");
        assert!(
            report["errorMessage"].as_str().unwrap().contains(part),
            "{report}"
        );
        let (status, lines) = bootstrap.end();
        assert_eq!(status.code(), Some(1), "{lines:?}");
        assert!(
            lines.last().unwrap().contains("the function ended"),
            "{lines:?}"
        );
    }
}

#[test]
fn outside_lambda_it_explains_its_purpose() {
    let ran = std::process::Command::new(binary("bootstrap-under-test"))
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(2));
    assert!(ran.stdout.is_empty());
    assert!(
        String::from_utf8(ran.stderr)
            .unwrap()
            .contains("pillarbox serve")
    );
}

/// An environment is frozen the moment it has answered, for minutes or for good.
#[tokio::test]
async fn a_freeze_right_after_the_answer_loses_nothing() {
    let (name, inbox) = table("frozen").await;
    let mut bootstrap = BootstrapProcess::start(&deployed("all", &name)).await;
    for round in 0..10 {
        let (id, key) = (format!("n{round}"), format!("pay:n{round}"));
        let event = genuine(LambdaFront::HttpApi, &pay(), &id);
        let report = bootstrap.invoke(&event).await;
        bootstrap.signal(Signal::STOP);
        assert!(
            matches!(&report, RuntimeReport::Reply(_, reply) if reply["statusCode"] == 200),
            "{report:?}"
        );
        assert_eq!(
            state(&inbox, &key).await,
            Some(State::Recorded),
            "stored before it was answered"
        );
        tokio::time::sleep(Duration::from_millis(20)).await; // the pipe's reader is not frozen
        let lines_before = bootstrap
            .lines()
            .iter()
            .filter(|line| line.contains(&format!("\"{key}\"")))
            .count();
        assert_eq!(lines_before, 1, "its line was out before, too");

        bootstrap.send(
            batch(&[(&key, "recorded")]).to_string(),
            Duration::from_secs(60),
        );
        bootstrap.signal(Signal::CONT);
        let report = bootstrap.next_report().await;
        bootstrap.signal(Signal::STOP);
        assert!(
            matches!(&report, RuntimeReport::Reply(_,
                reply) if *reply == json!({"batchItemFailures": []})),
            "{report:?}"
        );
        assert_eq!(
            state(&inbox, &key).await,
            Some(State::Delivered),
            "delivered before it was answered"
        );
        bootstrap.signal(Signal::CONT);
    }
    let lines = lines(&bootstrap);
    assert_eq!(
        lines
            .iter()
            .filter(|line| line.get("specversion").is_some())
            .count(),
        10,
        "each delivered once"
    );
}

/// A listener that accepts connections and never answers.
async fn silence() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.push(stream);
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn a_table_that_never_answers_is_a_503_in_time_and_no_batch_is_done() {
    let mut variables = deployed("all", "pillarbox");
    variables.retain(|(name, _)| *name != "AWS_ENDPOINT_URL_DYNAMODB");
    variables.push(("AWS_ENDPOINT_URL_DYNAMODB", silence().await));
    let began = Instant::now();
    let mut bootstrap = BootstrapProcess::start(&variables).await;
    let challenge =
        LambdaFront::HttpApi.invocation(&FrontRequest::new("GET", "/hmrc?challenge=abc"), now());
    assert_eq!(
        bootstrap.answer(&challenge).await.status,
        200,
        "the warm-up gives up"
    );
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "well before the platform does: {:?}",
        began.elapsed()
    );

    for (front, source) in LambdaFront::ALL.into_iter().zip([pay(), hmrc(), pay()]) {
        let (event, began) = (genuine(front, &source, "n1"), Instant::now());
        let answer = bootstrap.answer(&event).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (503, r#"{"error":"inbox"}"#)
        );
        assert!(
            began.elapsed() < Duration::from_millis(2_500),
            "{:?}",
            began.elapsed()
        );
    }
    for time in [300, 0] {
        let began = Instant::now();
        let report = bootstrap
            .invoke_for(
                &genuine(LambdaFront::Rest, &pay(), "n1"),
                Duration::from_millis(time),
            )
            .await;
        assert!(
            matches!(&report, RuntimeReport::Reply(_, reply) if reply["statusCode"] == 503),
            "{report:?}"
        );
        assert!(
            began.elapsed() < Duration::from_millis(time + 300),
            "{:?}",
            began.elapsed()
        );
    }
    let report = bootstrap
        .invoke_for(&batch(&[("pay:n1", "recorded")]), Duration::from_secs(4))
        .await;
    let expected = json!({"batchItemFailures": [{"itemIdentifier": sequence(0)}]});
    assert!(
        matches!(&report, RuntimeReport::Reply(_, reply) if *reply == expected),
        "{report:?}"
    );
    let report = bootstrap
        .invoke_for(&json!({"role": "sweep"}), Duration::from_secs(30))
        .await;
    assert!(
        matches!(&report, RuntimeReport::Failed(_, failure) if failure["errorType"] == "Inbox"),
        "{report:?}"
    );
    assert!(bootstrap.is_alive());
}

#[tokio::test]
async fn an_event_that_is_not_json_is_an_error_without_its_content() {
    let (name, _) = table("no-json").await;
    let mut bootstrap = BootstrapProcess::start(&deployed("all", &name)).await;
    for text in ["", "canary", "{\"canary\":", "{\"a\":1}canary", "\u{0}"] {
        let report = bootstrap
            .invoke_text(text.to_owned(), Duration::from_secs(5))
            .await;
        assert!(
            matches!(&report, RuntimeReport::Failed(_,
                failure) if !failure.to_string().contains("canary")),
            "{report:?}"
        );
    }
    let event = genuine(LambdaFront::HttpApi, &pay(), "n1");
    assert_eq!(bootstrap.answer(&event).await.status, 200);
    assert!(
        bootstrap
            .lines()
            .iter()
            .all(|line| !line.contains("canary")),
        "{:?}",
        bootstrap.lines()
    );
}
