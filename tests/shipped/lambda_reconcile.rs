//! Reconciling in the shipped binary: the role's own secrets and no others, and a change of them
//! without a deployment.

use std::{sync::Arc, time::Duration};

use pillarbox::inbox::{PageRequest, ReadInbox, RowFilter};
use sender_simulator::SystemClock;
use serde_json::{Value, json};

use test_support::{
    cloud::{AwsCall, CloudReply, SimulatedAws},
    hmrc_box::{BOX, CLIENT, SECRET, fill, left, ppns},
    runtime_api::{BootstrapProcess, RuntimeReport},
    table,
};

const ARN: &str = "arn:aws:secretsmanager:eu-west-2:123456789012:secret:hmrc-api-AbCdEf";

fn holding(client_secret: &str) -> impl Fn(&AwsCall) -> CloudReply + use<> {
    let value = json!({"client_id": CLIENT, "client_secret": client_secret}).to_string();
    move |_| CloudReply::Done(json!({"SecretString": value}))
}

/// A source whose push secret and whose destination's are elsewhere, and may not be read by this
/// role.
fn configuration(base_url: &str, table: &str) -> String {
    let other = "arn:aws:secretsmanager:eu-west-2:123456789012:secret:other-AbCdEf";
    format!(
        "[sources.hmrc]\nkind = \"hmrc\"\nsecrets = [\"secretsmanager:{other}#current\"]\n\
         [sources.hmrc.pull]\nbase_url = \"{base_url}\"\nboxes = [\"{BOX}\"]\n\
         client_id = \"secretsmanager:{ARN}#client_id\"\nclient_secret \
          = \"secretsmanager:{ARN}#client_secret\"\n\
         [inbox]\nkind = \"dynamodb\"\ntable = \"{table}\"\n\
         [destination]\nkind = \"https\"\nurl = \"https://ledger.example.gov.uk/\"\nsecret \
          = \"secretsmanager:{other}#current\"\n"
    )
}

fn variables(document: String, cloud: &SimulatedAws) -> Vec<(&'static str, String)> {
    let mut variables = table::variables();
    variables.extend([
        ("_HANDLER", "reconcile".to_owned()),
        ("PILLARBOX_CONFIG", document),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", cloud.url()),
    ]);
    variables
}

#[tokio::test]
async fn a_client_secret_that_was_changed_is_used_by_the_next_invocation() {
    let ppns = ppns(Arc::new(SystemClock)).await;
    fill(&ppns, &SystemClock, 5);
    ppns.with(|boxes| {
        let ids: Vec<String> = boxes
            .notifications()
            .iter()
            .map(|one| one.id.clone())
            .collect();
        ids.iter().for_each(|id| {
            boxes.set_status(
                id,
                sender_simulator::apis::ppns::BoxNotificationStatus::Pending,
            )
        });
    });
    let (inbox, cloud) = (
        table::fresh("shipped-pull").await,
        SimulatedAws::answering(holding("the one of before")).await,
    );
    let document = configuration(ppns.base_url().as_str(), inbox.table());
    let mut bootstrap = BootstrapProcess::start(&variables(document, &cloud)).await;
    let schedule = json!({"role": "reconcile"});
    // A second list would have to wait longer than there is time: what is done by then counts.
    let time = Duration::from_secs(15);
    match bootstrap.invoke_for(&schedule, time).await {
        RuntimeReport::Failed(_, failure) => {
            assert_eq!(failure["errorType"], "Reconcile");
            let message = failure["errorMessage"].as_str().unwrap();
            assert!(
                message.contains("take both from the application in the Developer Hub"),
                "{message}"
            );
        }
        other => panic!("{other:?}"),
    }
    cloud.answers(holding(SECRET));
    match bootstrap.invoke_for(&schedule, time).await {
        RuntimeReport::Reply(_, reply) => {
            let expected = json!({"recorded": 5, "acknowledged": 5, "missing": 0,
                "ended": {"hmrc": "deadline"}});
            assert_eq!(reply, expected, "{:?}", bootstrap.lines());
        }
        other => panic!("{other:?} {:?}", bootstrap.lines()),
    }
    assert_eq!(left(&ppns), 0);
    assert_eq!(
        inbox
            .list(&RowFilter::default(), PageRequest::first(10))
            .await
            .unwrap()
            .rows
            .len(),
        5
    );

    let requested: Vec<Value> = cloud
        .calls("GetSecretValue")
        .iter()
        .map(|call| call.body["SecretId"].clone())
        .collect();
    assert_eq!(
        requested,
        [ARN, ARN],
        "once an invocation, and nothing that is another role's"
    );
    let lines: Vec<Value> = bootstrap
        .lines()
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let counted: Vec<&Value> = lines
        .iter()
        .filter(|line| line.get("_aws").is_some())
        .collect();
    for (name, values) in [
        ("ReconcileRun", &[1, 1][..]),
        ("PullFailures", &[1]),
        ("PulledMissed", &[5]),
    ] {
        let found = counted.iter().filter_map(|line| line[name].as_u64());
        assert_eq!(found.collect::<Vec<_>>(), values, "{name}");
    }
    assert!(
        counted
            .iter()
            .all(|line| line["FunctionName"] == "pillarbox")
    );
    assert!(!bootstrap.lines().concat().contains(SECRET));
}
