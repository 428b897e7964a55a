//! The shipped binary, its secrets in Secrets Manager and its events on AWS, from the command line
//! to the queue.

use std::process::Command;

use rustix::process::Signal;
use sender_simulator::{Sender, SystemClock, exchange};
use serde_json::{Value, json};

use test_support::{
    cloud::{AwsCall, CloudReply, SimulatedAws, variables},
    process::{CommandResult, FREE_PORTS, PAY_SECRET, ProgramFolder, RunningServe, until},
};

const ARN: &str = "arn:aws:secretsmanager:eu-west-2:111122223333:secret:pay-AbCdEf";

/// Everything on AWS: the secret, a queue for one source, and the bus for the rest.
fn configuration() -> String {
    format!(
        r#"
[sources.pay]
kind = "govuk-pay"
secrets = ["secretsmanager:{ARN}#current", "secretsmanager:{ARN}#previous"]
destination = "queue"
[sources.hmrc]
kind = "hmrc"
secrets = ["env:HMRC_PUSH_SECRET"]
[destination]
kind = "eventbridge"
bus = "ledger"
[destinations.queue]
kind = "sqs"
url = "https://sqs.eu-west-2.amazonaws.com/111122223333/ledger.fifo"
"#
    )
}

fn well(call: &AwsCall) -> CloudReply {
    CloudReply::Done(match call.target.as_str() {
        "GetSecretValue" => json!({"SecretString": json!({"current": PAY_SECRET}).to_string()}),
        "SendMessage" => json!({"MessageId": "5fea7756"}),
        "PutEvents" => json!({"FailedEntryCount": 0, "Entries": [{"EventId": "11710aed"}]}),
        "GetQueueAttributes" => json!({}),
        _ => json!({"Name": "ledger"}),
    })
}

fn on(cloud: &SimulatedAws, command: &mut Command) -> RunningServe {
    let mut serve = RunningServe::spawn(command.envs(variables(&cloud.url())));
    serve.await_ready();
    serve
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_goes_from_its_sender_to_the_queue_and_no_secret_is_ever_printed() {
    let cloud = SimulatedAws::answering(well).await;
    let folder = ProgramFolder::with(&configuration());
    let mut serve = on(
        &cloud,
        &mut folder.command(&[&["serve"], FREE_PORTS].concat()),
    );
    for source in ["pay", "hmrc"] {
        let url = serve.url(source).to_string();
        let mut command = folder.command(&["send", source, "--to", &url]);
        let sent = CommandResult::of(command.envs(variables(&cloud.url())));
        assert_eq!(sent.code, 0, "{sent:?}");
    }
    until("both are delivered", || folder.count("delivered") == 2);
    let rows = folder.list(&["--source", "pay"]);
    let message = &cloud.calls("SendMessage")[0].body;
    assert_eq!(
        message["MessageAttributes"]["id"]["StringValue"],
        rows[0]["key"]
    );
    let event: Value = serde_json::from_str(message["MessageBody"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&event["id"], &event["source"]),
        (&rows[0]["key"], &json!("/pay"))
    );
    assert_eq!(
        cloud.calls("PutEvents")[0].body["Entries"][0]["Source"],
        "pillarbox.hmrc"
    );

    for command in [&["doctor"][..], &["verify", "--stored"]] {
        let ran = CommandResult::of(folder.command(command).envs(variables(&cloud.url())));
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    let doctor =
        CommandResult::of(folder.command(&["doctor"]).envs(variables(&cloud.url()))).stdout;
    assert!(
        doctor.contains("look  source pay (govuk-pay): secretsmanager:")
            && doctor.contains("no value"),
        "{doctor}"
    );
    assert!(
        doctor.contains("eventbridge, ledger, is there")
            && doctor.contains("ledger.fifo, is there"),
        "{doctor}"
    );
    assert!(serve.stop(Signal::TERM).success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_serve_takes_a_new_key_without_a_restart() {
    let cloud = SimulatedAws::answering(well).await;
    let folder = ProgramFolder::with(&configuration());
    let serve = on(&cloud, &mut folder.serve_command());
    let new = "webhook_test_0qk4h8d2m6r1v5b9f3j7n0s4w8";
    cloud.answers(move |call| match call.target.as_str() {
        "GetSecretValue" => {
            CloudReply::Done(json!({"SecretString": json!({"current": new}).to_string()}))
        }
        _ => well(call),
    });
    let url = serve.url("pay");
    let body = Sender::GovukPay.body(None, &SystemClock).unwrap();
    let answer = exchange(
        &Sender::GovukPay.request(&body, new, &url),
        &url,
        Sender::GovukPay.client_profile(),
    )
    .await
    .unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_secrets_is_refused_with_an_error_that_says_what_to_do() {
    for (reply, reason) in [
        (
            CloudReply::Fault(400, "AccessDeniedException", "canary"),
            "grant secretsmanager:GetSecretValue",
        ),
        (
            CloudReply::Fault(400, "ResourceNotFoundException", "canary"),
            "check the ARN",
        ),
        (
            CloudReply::Done(json!({"SecretString": r#"{"current":"canary"}"#})),
            "only 6 bytes long",
        ),
        (CloudReply::Drop, "check the network"),
    ] {
        let cloud = SimulatedAws::answering(move |_| reply.clone()).await;
        let folder = ProgramFolder::with(&configuration());
        let ran = CommandResult::of(
            folder
                .command(&[&["serve"], FREE_PORTS].concat())
                .envs(variables(&cloud.url())),
        );
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(
            ran.stderr.contains("sources.pay.secrets[0]") && ran.stderr.contains(reason),
            "{ran:?}"
        );
        assert!(!ran.stderr.contains("canary"), "{ran:?}");
    }
    let nowhere = ProgramFolder::with(&configuration()).run(&[&["serve"], FREE_PORTS].concat());
    assert_eq!(nowhere.code, 2);
    assert!(
        nowhere.stderr.contains("AWS_REGION is not set"),
        "{nowhere:?}"
    );
}
