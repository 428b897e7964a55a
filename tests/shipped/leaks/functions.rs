//! The Lambda in each role, over a table that works and over one whose errors quote the item, with
//! destinations and senders' APIs that repeat their requests.

use std::time::Duration;

use pillarbox::domain::{Clock, SystemClock};
use serde_json::{Value, json};
use test_support::{
    canaries::{
        CanaryKind::{Hostile, Secret, Signature},
        value,
    },
    echo::{EchoReply, EchoServer, EchoedRequest},
    fronts::{FrontRequest, LambdaFront, batch},
    message::Source,
    request::{self, signature_header},
    runtime_api::{BootstrapProcess, RuntimeReport},
    table,
};

use super::{
    serving::{apis, ledger, variables},
    sources::CanarySources,
};

const QUEUE: &str = "https://sqs.eu-west-2.amazonaws.com/123456789012/ledger.fifo";
const ARN: &str = "arn:aws:secretsmanager:eu-west-2:123456789012:secret:pay-AbCdEf";
/// More than an invocation needs, and less than a run waits for HMRC's rate limit.
const TIME: Duration = Duration::from_secs(15);

/// A function's variables: its role, its document and where AWS is.
fn function(
    sources: &CanarySources,
    role: &str,
    document: String,
    aws: &[(&'static str, String)],
) -> Vec<(&'static str, String)> {
    let mut all = variables(sources);
    all.retain(|(name, _)| !aws.iter().any(|(other, _)| name == other));
    all.extend_from_slice(aws);
    all.extend([
        ("_HANDLER", role.to_owned()),
        ("PILLARBOX_CONFIG", document),
    ]);
    all
}

fn inbox(table: &str) -> String {
    format!("[inbox]\nkind = \"dynamodb\"\ntable = \"{table}\"\n")
}

fn destination(kind: &str, ledger: &EchoServer) -> String {
    let settings = match kind {
        "https" => format!(
            "url = \"{}/events\"\nsecrets = [\"env:LEDGER_CURRENT\", \"env:LEDGER_PREVIOUS\"]\n",
            ledger.url()
        ),
        "sqs" => format!("url = \"{QUEUE}\"\n"),
        _ => "bus = \"ledger\"\n".to_owned(),
    };
    format!("[destination]\nkind = \"{kind}\"\n{settings}")
}

/// A function's report to Lambda, as text.
fn report_text(report: &RuntimeReport) -> String {
    match report {
        RuntimeReport::Reply(_, value)
        | RuntimeReport::Failed(_, value)
        | RuntimeReport::InitError(value) => value.to_string(),
    }
}

/// A POST of `body`, genuine under the current or the previous secret, or forged.
fn event(
    sources: &mut CanarySources,
    front: LambdaFront,
    source: &Source,
    body: &str,
    how: usize,
) -> Value {
    let stranger = "a secret of a stranger".to_owned();
    let secret = source.secrets.get(how).unwrap_or(&stranger);
    let signature = request::signature(source.sender, secret, body);
    sources.canaries.watch(Signature, "a signature", &signature);
    let request = FrontRequest::new("POST", &source.path())
        .header("Content-Type", "application/json")
        .header("Authorization", value("stranger's header"))
        .header(&value("stranger's header name"), "1")
        .header(signature_header(source.sender), signature)
        .body(body);
    front.invocation(&request, SystemClock.now())
}

/// Genuine messages with every outcome, forged ones, and events that are none.
fn received(sources: &mut CanarySources) -> Vec<Value> {
    let mut events = Vec::new();
    for source in [sources.pay.clone(), sources.hmrc.clone()] {
        for front in LambdaFront::ALL {
            for (nth, name) in ["delivered", "refused", "retried"].into_iter().enumerate() {
                let message = sources.message(&source, &format!("{name}-{}", front.as_str()));
                for how in [nth % 2, 2] {
                    events.push(event(sources, front, &source, &message, how));
                }
                let broken = message.replace('}', "");
                events.push(event(sources, front, &source, &broken, 0));
            }
        }
    }
    let hostile = json!({value("stranger's header name"): value("stranger's body")});
    let mut mangled = events[0].clone();
    mangled["headers"] = json!({"host": [value("stranger's header")]});
    mangled["isBase64Encoded"] = json!(value("stranger's body"));
    events.extend([hostile, mangled, json!(value("stranger's body"))]);
    events
}

/// Invokes a function with each event, and searches its reports and its log.
async fn search(sources: &CanarySources, variables: &[(&'static str, String)], events: &[Value]) {
    let role = &variables
        .iter()
        .find(|(name, _)| *name == "_HANDLER")
        .unwrap()
        .1;
    let mut bootstrap = BootstrapProcess::start(variables).await;
    let mut can_begin = true;
    for event in events {
        let report = bootstrap.invoke_for(event, TIME).await;
        sources
            .canaries
            .assert_none(&format!("the report of {role}"), report_text(&report));
        if matches!(report, RuntimeReport::InitError(_)) {
            can_begin = false;
            break;
        }
    }
    let lines = match can_begin {
        true => bootstrap.kill(),
        false => bootstrap.end().1,
    };
    assert!(!lines.is_empty(), "{role}");
    sources
        .canaries
        .assert_none(&format!("the log of {role}"), lines.join("\n"));
}

fn changes(sources: &[&str]) -> Value {
    let keys: Vec<String> = sources
        .iter()
        .flat_map(|source| {
            let names = ["delivered", "refused", "retried"];
            names.map(|name| format!("{source}:{name}-{}", LambdaFront::HttpApi.as_str()))
        })
        .collect();
    let changes: Vec<_> = keys.iter().map(|key| (key.as_str(), "recorded")).collect();
    batch(&changes)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaks_from_the_function_in_any_role() {
    let mut sources = CanarySources::new();
    let (ledger, apis) = (ledger().await, apis(400).await);
    let aws = EchoServer::answering(|_| EchoReply::Repeat(400)).await;
    let other: Vec<_> = ["SQS", "EVENTBRIDGE"]
        .map(|name| match name {
            "SQS" => ("AWS_ENDPOINT_URL_SQS", aws.url()),
            _ => ("AWS_ENDPOINT_URL_EVENTBRIDGE", aws.url()),
        })
        .into();
    let document = |sources: &CanarySources, kind: &str, table: &str| {
        let (settings, to) = (
            sources.configuration(&apis.url()),
            destination(kind, &ledger),
        );
        format!("{settings}{}{to}", inbox(table))
    };
    for kind in ["https", "sqs", "eventbridge"] {
        let table = table::fresh("leaks").await;
        let document = document(&sources, kind, table.table());
        let events = received(&mut sources);
        let receive = function(&sources, "receive", document.clone(), &other);
        search(&sources, &receive, &events).await;
        let process = function(&sources, "process", document.clone(), &other);
        search(&sources, &process, &[changes(&["pay", "hmrc"]), json!([1])]).await;
        let sweep = function(&sources, "sweep", document.clone(), &other);
        search(&sources, &sweep, &[json!({"role": "sweep"})]).await;
    }
    let received: String = ledger
        .received()
        .iter()
        .map(|one| one.head.clone() + &one.body)
        .collect();
    sources
        .canaries
        .assert_no(&[Secret, Signature, Hostile], "the destination", &received);
    sources
        .canaries
        .assert_all_personal("", "the destination", &received);
    for call in aws.received() {
        let head = call
            .head
            .lines()
            .filter(|line| !line.starts_with("authorization"));
        let head = head.filter(|line| !line.starts_with("x-amz-security-token"));
        let head: Vec<_> = head.collect();
        sources
            .canaries
            .assert_none("the head of a call", head.join("\n"));
        let mut body: Value = serde_json::from_str(&call.body).unwrap();
        if let Some(members) = body.as_object_mut() {
            members.remove("MessageBody");
        }
        if let Some(detail) = body.pointer_mut("/Entries/0/Detail") {
            *detail = Value::Null;
        }
        sources
            .canaries
            .assert_none("what surrounds a message", body.to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaks_from_reconciling_with_apis_that_repeat_their_credentials() {
    let sources = CanarySources::new();
    for status in [400, 401, 403, 404, 422, 429, 500, 501, 200] {
        let (apis, table) = (apis(status).await, table::fresh("leaks-pull").await);
        let document = format!(
            "{}{}[destination]\nkind = \"log\"\n",
            sources.configuration(&apis.url()),
            inbox(table.table())
        );
        let reconcile = function(&sources, "reconcile", document, &[]);
        search(&sources, &reconcile, &[json!({"role": "reconcile"})]).await;
        let received: String = apis
            .received()
            .iter()
            .map(|call| call.head.clone())
            .collect();
        for endpoint in ["/oauth/token", "/notifications", "/v1/payments"] {
            let has_no_token = status == 422 && endpoint == "/notifications";
            assert!(
                received.contains(endpoint) != has_no_token,
                "{status}: {received}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaks_from_a_function_whose_table_quotes_the_item_in_its_errors() {
    let mut sources = CanarySources::new();
    let ledger = ledger().await;
    for status in [400, 500] {
        let aws = EchoServer::answering(move |_| EchoReply::Repeat(status)).await;
        let everywhere = [("AWS_ENDPOINT_URL_DYNAMODB", aws.url())];
        let document = format!(
            "{}{}{}",
            sources.configuration("http://127.0.0.1:1"),
            inbox("away"),
            destination("https", &ledger)
        );
        let mut events = received(&mut sources);
        events.truncate(4);
        for (role, events) in [
            ("receive", events),
            ("process", vec![changes(&["pay"])]),
            ("sweep", vec![json!({"role": "sweep"})]),
            ("reconcile", vec![json!({"role": "reconcile"})]),
        ] {
            let function = function(&sources, role, document.clone(), &everywhere);
            search(&sources, &function, &events).await;
        }
        let put = |call: &EchoedRequest| call.head.contains("PutItem");
        assert!(aws.received().iter().any(put), "an error quoted an item");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaks_from_secrets_that_cannot_be_used() {
    let mut sources = CanarySources::new();
    let secret = value("Pay current");
    let short = &secret[..13];
    sources.canaries.watch(Secret, "a short secret", short);
    for stored in [
        json!({"current": format!("{secret} ")}).to_string(),
        json!({"current": short}).to_string(),
        json!({"current": {"nested": secret}}).to_string(),
        json!({"current": 7, "other": secret}).to_string(),
        json!([secret]).to_string(),
        secret.clone(),
        format!("{{\"current\": \"{secret}"),
    ] {
        let answer = json!({"ARN": ARN, "SecretString": stored}).to_string();
        let vault =
            EchoServer::answering(move |_: &EchoedRequest| EchoReply::Body(200, answer.clone()));
        let vault = [("AWS_ENDPOINT_URL_SECRETS_MANAGER", vault.await.url())];
        let document = format!(
            "[sources.pay]\nkind = \"govuk-pay\"\nlive = true\n\
             secrets = [\"secretsmanager:{ARN}#current\", \"env:PAY_PREVIOUS\"]\n{}\
             [destination]\nkind = \"https\"\nurl = \"https://ledger.example.gov.uk/\"\n\
             secret = \"secretsmanager:{ARN}#current\"\n",
            inbox("away")
        );
        let pay = sources.pay.clone();
        let message = sources.message(&pay, "m1");
        let events = [event(&mut sources, LambdaFront::HttpApi, &pay, &message, 0)];
        for role in ["receive", "process"] {
            let function = function(&sources, role, document.clone(), &vault);
            search(&sources, &function, &events).await;
        }
    }
}
