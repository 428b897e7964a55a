//! The one line of each invocation: what became of it, under names that stay, and nothing of what
//! was in it.

use std::{sync::Arc, time::Duration};

use pillarbox::{
    delivery::FIRST_BACKOFF,
    domain::{SourceName, Timestamp},
    inbox::{DeliveryInbox, ReceiveInbox},
    lambda::Role,
    telemetry::{FunctionMetrics, LogFormat, LogLayer, MetricSet},
};
use serde_json::{Value, json};

use test_support::{
    fronts::{FrontRequest, LambdaFront, batch},
    function::{DeployedFunction, post, unsigned},
    log_buffer::{LogBuffer, listen_with},
    message::{both, hmrc, pay, with, without_secret},
    server::{FixedClock, NOW, RecordingDestination, RefusingDestination},
};

fn listen() -> (LogBuffer, tracing::subscriber::DefaultGuard) {
    let kept = LogBuffer::default();
    let lines = LogLayer::direct(kept.clone(), LogFormat::Json, Arc::new(FixedClock));
    (kept, listen_with(lines))
}

/// The line's fields that do not depend on the speed of the machine.
#[track_caller]
fn the_line(kept: &LogBuffer) -> Value {
    let mut lines = kept.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    let mut line = lines.remove(0);
    let fields = line.as_object_mut().unwrap();
    assert_eq!(
        fields.remove("timestamp"),
        Some(json!("2026-03-02T10:15:31.480Z"))
    );
    assert_eq!(
        fields.remove("request_id"),
        Some(json!("7b61c6af-9ac6-11e6-9a41-93e8deadbeef"))
    );
    assert_eq!(fields.remove("version"), Some(json!("0.1.0")));
    assert!(fields.remove("message").unwrap().is_string());
    assert!(fields.remove("took_us").unwrap().is_u64());
    if let Some(stored) = fields.remove("store_us") {
        assert!(stored.is_u64());
    }
    line
}

#[tokio::test]
async fn one_line_reports_the_outcome_of_a_request() {
    let deployed = DeployedFunction::new();
    let (kept, _listening) = listen();
    let source = pay();
    let body = source.message("n1", NOW);
    let bytes = body.len();

    deployed
        .send(LambdaFront::HttpApi, &post(&source, &body))
        .await;
    let recorded = json!({"level": "INFO", "role": "all", "source": "pay", "kind": "govuk-pay",
        "key": "pay:n1",
        "outcome": "recorded", "status": 200, "key_label": "1:env:TEST", "body_bytes": bytes,
            "cold_start": true});
    assert_eq!(the_line(&kept), recorded);

    deployed
        .send(LambdaFront::Rest, &post(&source, &body))
        .await;
    let mut duplicate = recorded;
    (duplicate["outcome"], duplicate["cold_start"]) = (json!("duplicate"), json!(false));
    assert_eq!(the_line(&kept), duplicate);

    deployed
        .send(
            LambdaFront::HttpApi,
            &post(
                &source,
                with(&body, "5000", "1").replace("captured", "failed"),
            ),
        )
        .await;
    let held = the_line(&kept);
    assert_eq!(
        (&held["level"], &held["outcome"], &held["reason"]),
        (&json!("WARN"), &json!("held"), &json!("conflict"))
    );

    deployed
        .send(LambdaFront::FunctionUrl, &unsigned(&source, "x"))
        .await;
    assert_eq!(
        the_line(&kept),
        json!({"level": "WARN", "role": "all", "source": "pay", "kind": "govuk-pay",
            "outcome": "refused",
            "code": "signature", "reason": "no signature header", "status": 401, "body_bytes": 1,
            "digest_prefix": "2d711642", "cold_start": false})
    );

    deployed
        .send(
            LambdaFront::HttpApi,
            &FrontRequest::new("GET", "/hmrc?challenge=abc"),
        )
        .await;
    assert_eq!(
        the_line(&kept),
        json!({"level": "INFO", "role": "all", "outcome": "challenge", "status": 200,
            "cold_start": false})
    );
}

/// The metrics of the only line, by name, and their dimensions.
#[track_caller]
fn metrics_of(kept: &LogBuffer) -> (Value, Vec<String>) {
    let line = the_line(kept);
    let directive = &line["_aws"]["CloudWatchMetrics"][0];
    let metrics = directive["Metrics"].as_array().unwrap().iter();
    let named = metrics.map(|metric| {
        let name = metric["Name"].as_str().unwrap();
        assert!(!line[name].is_null(), "{line}");
        name.to_owned()
    });
    (directive["Dimensions"][0].clone(), named.collect())
}

#[tokio::test]
async fn the_line_of_an_invocation_holds_its_metrics() {
    let mut deployed = DeployedFunction::new();
    deployed.function = deployed
        .function
        .with_metrics(FunctionMetrics::all("pillarbox"), Vec::new());
    let (kept, _listening) = listen();
    let by_source = json!(["FunctionName", "Source"]);
    for (request, outcome) in [
        (post(&pay(), pay().message("n1", NOW)), "Recorded"),
        (post(&pay(), pay().message("n1", NOW)), "Duplicate"),
        (unsigned(&pay(), "x"), "InvalidSignature"),
        (unsigned(&without_secret()[0], "x"), "NoSecret"),
    ] {
        deployed.send(LambdaFront::HttpApi, &request).await;
        let (dimensions, names) = metrics_of(&kept);
        assert_eq!(names, ["Received", outcome, "AnswerTime"]);
        assert_eq!(dimensions, by_source);
    }
    deployed.invoke(&json!({"role": "sweep"})).await.unwrap();
    let (dimensions, names) = metrics_of(&kept);
    assert_eq!(names, ["Delivered", "DeliveryDelay", "SweepRun"]);
    assert_eq!(dimensions, json!(["FunctionName"]));
}

/// The metrics of all lines, by the source they are about: name and value.
fn all_metrics(kept: &LogBuffer) -> Vec<(String, String, u64)> {
    let mut found = Vec::new();
    for line in kept.lines() {
        let metrics = &line["_aws"]["CloudWatchMetrics"][0]["Metrics"];
        for metric in metrics.as_array().into_iter().flatten() {
            let name = metric["Name"].as_str().unwrap();
            let source = line["Source"].as_str().unwrap_or_default();
            let value = line[name].as_u64().unwrap();
            found.push((source.to_owned(), name.to_owned(), value));
        }
    }
    found
}

#[tokio::test]
async fn a_sweep_measures_what_is_stuck_and_how_long_each_source_is_silent() {
    let hour = Duration::from_secs(3600);
    let mut deployed = DeployedFunction::with(Role::All, RefusingDestination);
    let [hmrc_name, pay_name] = ["hmrc", "pay"].map(|name| SourceName::new(name).unwrap());
    let named = FunctionMetrics::all("pillarbox");
    deployed.function = deployed
        .function
        .with_metrics(named, vec![hmrc_name.clone(), pay_name.clone()]);
    deployed
        .inbox
        .record_last_received(&pay_name, NOW.minus(3 * hour))
        .await
        .unwrap();
    deployed
        .inbox
        .silent_since(&hmrc_name, NOW.minus(30 * hour))
        .await
        .unwrap();
    let old = test_support::table::entry(
        sender_simulator::Sender::GovukPay,
        pay().message("late", NOW.minus(hour)),
        NOW.minus(hour),
    );
    deployed.inbox.record(&old).await.unwrap();
    for body in ["{}".to_owned(), pay().message("n1", NOW)] {
        deployed
            .send(LambdaFront::HttpApi, &post(&pay(), body))
            .await;
    }
    let other = with(&pay().message("n1", NOW), "5000", "1").replace("captured", "failed");
    deployed
        .send(LambdaFront::HttpApi, &post(&pay(), other))
        .await;

    let (kept, _listening) = listen();
    deployed.invoke(&json!({"role": "sweep"})).await.unwrap();
    let expected = [
        ("pay", "Retried", 1),
        ("pay", "Retried", 1),
        ("hmrc", "SilenceHours", 30),
        ("pay", "SilenceHours", 3),
        ("", "SweepRun", 1),
        ("", "OldestOpenSeconds", 3600),
        ("", "OpenRows", 1),
        ("", "HeldRows", 1),
        ("", "ConflictRows", 1),
    ];
    let expected =
        expected.map(|(source, name, value)| (source.to_owned(), name.to_owned(), value));
    assert_eq!(all_metrics(&kept), expected);
}

#[tokio::test]
async fn a_last_notification_that_is_dated_in_the_future_is_reported_and_measures_no_silence() {
    let mut deployed = DeployedFunction::new();
    let pay = SourceName::new("pay").unwrap();
    let named = FunctionMetrics::all("pillarbox");
    deployed.function = deployed.function.with_metrics(named, vec![pay.clone()]);
    let (kept, _listening) = listen();
    for (ahead, expected) in [
        (299, &["SilenceHours", "SweepRun"][..]),
        (301, &["SweepRun"]),
    ] {
        let at = NOW.plus(Duration::from_secs(ahead));
        deployed.inbox.record_last_received(&pay, at).await.unwrap();
        deployed.invoke(&json!({"role": "sweep"})).await.unwrap();
        let is_reported = kept.text().contains(r#""level":"ERROR""#);
        assert_eq!(is_reported, expected.len() == 1, "{}", kept.text());
        let names: Vec<_> = all_metrics(&kept)
            .into_iter()
            .map(|(_, name, _)| name)
            .collect();
        assert_eq!(names, expected, "{ahead} s");
    }
}

#[tokio::test]
async fn a_sweep_with_the_minimal_metrics_counts_only_that_it_ran() {
    let mut deployed = DeployedFunction::new();
    let named = FunctionMetrics {
        set: MetricSet::Minimal,
        ..FunctionMetrics::all("pillarbox")
    };
    let sources = vec![SourceName::new("pay").unwrap()];
    deployed.function = deployed.function.with_metrics(named, sources);
    let (kept, _listening) = listen();
    deployed
        .send(LambdaFront::HttpApi, &post(&pay(), "{}"))
        .await;
    deployed
        .send(
            LambdaFront::HttpApi,
            &post(&pay(), pay().message("n1", NOW)),
        )
        .await;
    deployed.invoke(&json!({"role": "sweep"})).await.unwrap();
    let names: Vec<_> = all_metrics(&kept)
        .into_iter()
        .map(|(_, name, _)| name)
        .collect();
    assert_eq!(names, ["Received", "Received", "SweepRun"]);
}

#[tokio::test]
async fn one_line_reports_the_outcome_of_a_batch_and_of_a_sweep() {
    let deployed = DeployedFunction::new();
    for source in both() {
        deployed
            .send(
                LambdaFront::HttpApi,
                &post(&source, source.message("n1", NOW)),
            )
            .await;
    }
    let (kept, _listening) = listen();
    let none = json!({"repeat": 0, "retry": 0, "dead": 0, "held": 0, "lost": 0,
        "unwritten": 0, "level": "INFO", "role": "all", "cold_start": false});
    let expect = |more: Value| {
        let mut line = none.clone();
        line.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        line
    };

    deployed
        .invoke(&batch(&[("pay:n1", "recorded")]))
        .await
        .unwrap();
    let one = json!({"outcome": "processed", "key": "pay:n1", "records": 1, "delivered": 1,
        "not_ours": 0});
    assert_eq!(
        the_line(&kept),
        expect(one),
        "the error names a single failed item"
    );

    deployed
        .invoke(&batch(&[("pay:n1", "recorded"), ("hmrc:n2", "recorded")]))
        .await
        .unwrap();
    let two = json!({"outcome": "processed", "records": 2, "delivered": 0, "not_ours": 2});
    assert_eq!(the_line(&kept), expect(two));

    deployed.invoke(&json!({"role": "sweep"})).await.unwrap();
    assert_eq!(
        the_line(&kept),
        expect(json!({"outcome": "swept", "key": "hmrc:n1", "delivered": 1, "not_ours": 0}))
    );
}

#[tokio::test]
async fn a_failed_attempt_has_a_separate_line() {
    let deployed = DeployedFunction::with(Role::All, RefusingDestination);
    deployed
        .send(
            LambdaFront::HttpApi,
            &post(&hmrc(), hmrc().message("n1", NOW)),
        )
        .await;
    let (kept, _listening) = listen();
    deployed.invoke(&json!({"role": "sweep"})).await.unwrap();
    let lines = kept.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(
        (&lines[0]["level"], &lines[0]["key"], &lines[0]["reason"]),
        (&json!("WARN"), &json!("hmrc:n1"), &json!("away"))
    );
    for name in ["request_id", "role", "version"] {
        assert!(lines[0][name].is_string(), "{name}: {}", lines[0]);
        assert_eq!(lines[0][name], lines[1][name]);
    }
    let retry_at = Timestamp::parse(lines[0]["retry_at"].as_str().unwrap()).unwrap();
    assert!(
        retry_at >= NOW && retry_at.since(NOW) <= FIRST_BACKOFF,
        "{retry_at}"
    );
    assert_eq!(
        (&lines[1]["outcome"], &lines[1]["retry"]),
        (&json!("swept"), &json!(1))
    );
}

#[tokio::test]
async fn one_line_reports_why_an_invocation_failed() {
    let deployed = DeployedFunction::with(Role::Process, RecordingDestination::default());
    let (kept, _listening) = listen();
    for (event, reason) in [
        (
            json!({"role": "sweep"}),
            "the role process does not handle a scheduled sweep: check what invokes the \
             function",
        ),
        (
            json!({"canary": "canary"}),
            "the role process does not handle an object of an unknown shape: check what \
             invokes the function",
        ),
        (
            json!({"Records": [{"eventSource": "aws:dynamodb"}]}),
            "a record of the batch lacks the fields that a table's stream gives it (with new \
             images)",
        ),
    ] {
        deployed.invoke(&event).await.unwrap_err();
        let line = the_line(&kept);
        assert_eq!(
            (&line["level"], &line["outcome"], &line["reason"]),
            (&json!("ERROR"), &json!("error"), &json!(reason))
        );
    }
}

#[tokio::test]
async fn no_part_of_a_request_is_logged() {
    let deployed = DeployedFunction::new();
    let (kept, _listening) = listen();
    let canary = "canary-8d1f";
    for (front, source) in LambdaFront::ALL
        .into_iter()
        .flat_map(|front| both().map(|source| (front, source)))
    {
        let body = with(
            &source.message("n1", NOW),
            "{",
            &format!(r#"{{"x":"{canary}","#),
        );
        for request in [
            post(&source, &body).header("X-Canary", canary),
            unsigned(&source, &body)
                .header("X-Hub-Signature", canary)
                .header("Pay-Signature", canary),
            FrontRequest::new("GET", &format!("/hmrc?challenge={canary}")),
            FrontRequest::new("GET", &format!("/hmrc?challenge=<{canary}>")),
            FrontRequest::new("GET", &format!("/{canary}")),
            FrontRequest::new(canary, "/pay"),
            post(&source, &body)
                .header("Host", canary)
                .header("X-Control", format!("{canary}\r\n\u{1b}[31m")),
            post(&source, &body[..body.len() - 1]),
        ] {
            deployed.send(front, &request).await;
        }
    }
    let log_text = kept.text();
    assert!(!log_text.contains("canary"), "{log_text}");
    for secret in [&hmrc().secrets[0], &pay().secrets[0]] {
        assert!(!log_text.contains(secret.as_str()));
    }
    assert!(!log_text.chars().any(|c| c.is_control() && c != '\n'));
    kept.lines();
}
