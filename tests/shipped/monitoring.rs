//! What a person and a machine see of the shipped programs: the metrics of `serve`, the fields of
//! every line, and the first sentence of `doctor`.

use std::{net::SocketAddr, time::Duration};

use pillarbox::{
    domain::{Clock as _, SystemClock as Now},
    inbox::dynamodb::DynamoInbox,
};
use sender_simulator::{Clock, MessageBody, Sender, SystemClock, exchange};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

use test_support::{
    documented_log::{check_line, section, sections},
    endpoint::{ConsumerEndpoint, EndpointReply},
    fronts::{FrontRequest, LambdaFront, batch},
    function::{post, unsigned},
    message::{Source, hmrc, pay},
    process::{HMRC_SECRET, PAY_SECRET, ProgramFolder, RunningServe, WHSEC, until},
    runtime_api::{BootstrapProcess, deployed},
    table,
};

/// The section of `docs/logging.md` about a batch or a sweep.
const INVOCATION: &str = "A Lambda invocation that is not a request";

/// Sends one request and returns the whole answer.
async fn fetch(address: SocketAddr, method: &str, target: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request =
        format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// An address that the banner of `serve` names.
fn address(serve: &RunningServe, name: &str) -> SocketAddr {
    let line = serve.stderr.find(name).unwrap();
    let (_, rest) = line.split_once("http://").unwrap();
    rest.split('/').next().unwrap().parse().unwrap()
}

/// Posts a body signed with `secret`, and returns the status.
async fn send(serve: &RunningServe, sender: Sender, body: &MessageBody, secret: &str) -> u16 {
    let source = match sender {
        Sender::Hmrc => "hmrc",
        Sender::GovukPay => "pay",
    };
    let url = serve.url(source);
    let request = sender.request(body, secret, &url);
    exchange(&request, &url, sender.client_profile())
        .await
        .unwrap()
        .status
}

fn captured(clock: &dyn Clock) -> MessageBody {
    Sender::GovukPay.body(None, clock).unwrap()
}

/// The value of a series in a scrape.
fn value(scrape: &str, series: &str) -> Option<u64> {
    let line = scrape.lines().find_map(|line| line.strip_prefix(series))?;
    line.trim().parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_and_doctor_show_what_is_stuck() {
    let endpoint = ConsumerEndpoint::opened();
    endpoint.answers(
        |delivery, _| match delivery.text().contains("notification") {
            true => EndpointReply::Status(422),
            false => EndpointReply::Status(204),
        },
    );
    let folder = ProgramFolder::with(&endpoint.configuration());
    let serve = folder.serve();
    let console = address(&serve, "console");
    let paid = captured(&SystemClock);
    let filed = Sender::Hmrc.body(None, &SystemClock).unwrap();
    for (sender, body, secret, status) in [
        (Sender::GovukPay, &paid, PAY_SECRET, 200),
        (Sender::GovukPay, &paid, PAY_SECRET, 200),
        (
            Sender::GovukPay,
            &paid,
            "another secret of some length",
            401,
        ),
        (Sender::Hmrc, &filed, HMRC_SECRET, 200),
    ] {
        assert_eq!(send(&serve, sender, body, secret).await, status);
    }
    until("the endpoint refused", || folder.count("dead") == 1);
    let answer = fetch(console, "GET", "/metrics").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    for (series, expected) in [
        ("pillarbox_received_total{source=\"pay\"}", 3),
        ("pillarbox_recorded_total{source=\"pay\"}", 1),
        ("pillarbox_duplicate_total{source=\"pay\"}", 1),
        ("pillarbox_invalid_signature_total{source=\"pay\"}", 1),
        ("pillarbox_answer_time_seconds_count{source=\"pay\"}", 3),
        ("pillarbox_delivered_total{source=\"pay\"}", 1),
        ("pillarbox_delivery_delay_seconds_count{source=\"pay\"}", 1),
        ("pillarbox_dead_total{source=\"hmrc\"}", 1),
        ("pillarbox_dead_total{source=\"pay\"}", 0),
        ("pillarbox_dead_rows", 1),
        ("pillarbox_held_rows", 0),
        ("pillarbox_open_rows", 0),
        ("pillarbox_silence_hours{source=\"pay\"}", 0),
    ] {
        assert_eq!(value(&answer, series), Some(expected), "{series}: {answer}");
    }
    assert!(
        value(&answer, "pillarbox_sweep_run_total") > Some(0),
        "{answer}"
    );
    for secret in [&*paid.id, PAY_SECRET, "422"] {
        assert!(!answer.contains(secret), "{answer}");
    }

    let doctor = folder.run(&["doctor"]);
    assert_eq!(doctor.code, 1);
    let first = doctor.stdout.lines().next();
    assert_eq!(
        first,
        Some("wrong  Something needs you: 1 notification is dead.")
    );
    assert_eq!(
        folder.run(&["discard", &format!("hmrc:{}", filed.id)]).code,
        0
    );
    let doctor = folder.run(&["doctor"]);
    assert_eq!(doctor.code, 0, "{doctor:?}");
    let first = doctor.stdout.lines().next().unwrap();
    assert!(first.starts_with(" fine  Nothing needs you."), "{first}");
}

/// A thousand concurrent scrapers take no sender's connection and do not slow receiving.
#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_scrapes_does_not_slow_receiving() {
    let folder = ProgramFolder::with(test_support::process::BOTH_SOURCES);
    let serve = folder.serve();
    let console = address(&serve, "console");
    let mut scrapes = JoinSet::new();
    for _ in 0..1_000 {
        let scrape = async move { fetch(console, "GET", "/metrics").await };
        scrapes.spawn(timeout(Duration::from_secs(30), scrape));
    }
    for _ in 0..100 {
        let body = captured(&SystemClock);
        let posted = send(&serve, Sender::GovukPay, &body, PAY_SECRET);
        let answered = timeout(Duration::from_secs(3), posted).await;
        assert_eq!(answered.ok(), Some(200), "GOV.UK Pay hangs up after 3 s");
    }
    let mut answered = 0;
    while let Some(scrape) = scrapes.join_next().await {
        // The console makes room for new connections, so some are closed.
        if let Ok(Ok(answer)) = scrape.unwrap() {
            answered += usize::from(answer.contains("pillarbox_received_total"));
        }
    }
    assert!(answered > 0);
    let after = fetch(console, "GET", "/metrics").await.unwrap();
    let received = value(&after, "pillarbox_received_total{source=\"pay\"}");
    assert_eq!(received, Some(100));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_serve_has_the_documented_fields_and_no_others() {
    let endpoint = ConsumerEndpoint::opened();
    endpoint.answers(|_, before| match before {
        0 => EndpointReply::Status(503),
        _ => EndpointReply::Status(422),
    });
    let folder = ProgramFolder::with(&endpoint.configuration());
    let mut command = folder.serve_command();
    command.env("PILLARBOX_LOG", "debug");
    let mut serve = RunningServe::spawn(&mut command);
    serve.await_ready();
    let callback = address(&serve, "callback");
    for (method, target) in [
        ("GET", "/hmrc?challenge=abc"),
        ("GET", "/-/healthz"),
        ("GET", "/nothing"),
        ("PUT", "/pay"),
    ] {
        fetch(callback, method, target).await.unwrap();
    }
    let body = captured(&SystemClock);
    for secret in [PAY_SECRET, PAY_SECRET, "another secret of some length"] {
        send(&serve, Sender::GovukPay, &body, secret).await;
    }
    until("an attempt failed", || {
        serve.stderr.find("\"retry\"").is_some()
    });
    until("an attempt failed for good", || {
        serve.stderr.find("\"dead\"").is_some()
    });
    serve.stop(rustix::process::Signal::TERM);

    let sections = sections();
    let mut outcomes = std::collections::BTreeSet::new();
    for line in serve.stderr.all() {
        // The banner is for people.
        if let Ok(line) = serde_json::from_str::<Value>(&line) {
            check_line(&sections, &line);
            outcomes.extend(line["outcome"].as_str().map(str::to_owned));
        }
    }
    for outcome in [
        "recorded",
        "duplicate",
        "challenge",
        "probe",
        "refused",
        "retry",
        "dead",
    ] {
        assert!(
            outcomes.contains(outcome),
            "{outcome} is not in {outcomes:?}"
        );
    }
}

async fn new_table(name: &str) -> (String, DynamoInbox) {
    let name = table::unique(name);
    let inbox = table::inbox_in(&name);
    inbox.init().await.unwrap();
    (name, inbox)
}

fn genuine(source: &Source, id: &str) -> Value {
    let now = Now.now();
    LambdaFront::HttpApi.invocation(&post(source, source.message(id, now)), now)
}

/// One notification on its way through the shipped functions, and what its endpoint gets.
#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_bootstrap_has_the_documented_fields_and_the_endpoint_the_ids() {
    let endpoint = ConsumerEndpoint::opened();
    endpoint.answers(|delivery, _| match delivery.key() {
        "pay:b" => EndpointReply::Status(503),
        "pay:c" => EndpointReply::Status(422),
        _ => EndpointReply::Status(204),
    });
    let (name, _inbox) = new_table("observed").await;
    let mut variables = deployed("all", &name);
    for (variable, value) in &mut variables {
        if *variable == "PILLARBOX_CONFIG" {
            let url = endpoint.url();
            *value = value.replace(
                "kind = \"log\"",
                &format!("kind = \"https\"\nurl = \"{url}\"\nsecret = \"env:LEDGER_WHSEC\""),
            );
        }
    }
    variables.push(("LEDGER_WHSEC", WHSEC.to_owned()));
    variables.push(("AWS_LAMBDA_FUNCTION_NAME", "pillarbox-1".to_owned()));
    let mut function = BootstrapProcess::start(&variables).await;
    let challenge = FrontRequest::new("GET", "/hmrc?challenge=abc");
    let challenge = LambdaFront::HttpApi.invocation(&challenge, Now.now());
    let refused = LambdaFront::HttpApi.invocation(&unsigned(&pay(), "x"), Now.now());
    for event in [
        &challenge,
        &refused,
        &genuine(&pay(), "a"),
        &genuine(&pay(), "b"),
        &genuine(&pay(), "c"),
        &genuine(&hmrc(), "d"),
        &batch(&[
            ("pay:a", "recorded"),
            ("pay:b", "recorded"),
            ("pay:c", "recorded"),
        ]),
        &batch(&[("hmrc:d", "recorded")]),
        &json!({"role": "sweep"}),
    ] {
        function.invoke(event).await;
    }
    let sections = sections();
    let lines = function.lines();
    let lines: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut invocation_fields = std::collections::BTreeSet::new();
    for line in &lines {
        let heading = check_line(&sections, line);
        if heading == INVOCATION {
            invocation_fields.extend(line.as_object().unwrap().keys().cloned());
        }
    }
    for field in &section(&sections, INVOCATION).fields {
        // Only a failure, and a destination that is down, have these.
        let is_rare = ["reason", "down"].contains(&field.as_str());
        assert!(
            is_rare || invocation_fields.contains(field),
            "{field}: {lines:?}"
        );
    }
    for (key, invocation) in [
        ("pay:a", "7"),
        ("pay:b", "7"),
        ("pay:c", "7"),
        ("hmrc:d", "8"),
    ] {
        let of_key: Vec<&Value> = lines.iter().filter(|line| line["key"] == key).collect();
        let [received, delivered] = &of_key[..] else {
            panic!("{key}: {of_key:?}")
        };
        assert_eq!(received["outcome"], "recorded");
        let request_id = delivered["request_id"].as_str().unwrap();
        assert_eq!(request_id, invocation, "{delivered}");
        let [at_endpoint] = &endpoint.attempts(key)[..] else {
            panic!("{key} was attempted once")
        };
        assert_eq!(at_endpoint.header("x-request-id"), request_id);
        assert_eq!(
            at_endpoint.header("traceparent"),
            "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01"
        );
    }
}
