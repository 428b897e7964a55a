//! What a notification costs on a table, counted by DynamoDB's own figures of each write.

use std::fs;

use pillarbox::{domain::Key, inbox::ReadInbox, lambda::Role};
use serde_json::Value;
use tempfile::TempDir;

use test_support::{
    dynamodb::EMULATOR,
    fault_proxy::{FaultProxy, InjectedFault},
    fronts::{LambdaFront, batch},
    function::{DeployedFunction, post},
    message::{Source, hmrc, noise, pay},
    repository,
    server::{NOW, RecordingDestination},
    table,
};

/// Digits that do not compress.
fn filler(length: usize) -> String {
    let mut text = hex::encode(noise(length / 2 + 1));
    text.truncate(length);
    text
}

/// A body of `length` bytes, as the sender makes them.
fn body(source: &Source, id: &str, length: usize) -> String {
    if source.name == "hmrc" {
        let empty = source.message(id, NOW);
        let text = filler(length - empty.len());
        return empty.replace("{\\\"n\\\":1}", &format!("{{\\\"n\\\":1}}{text}"));
    }
    let name = if length < 1_000 {
        "card_payment_expired"
    } else {
        "card_payment_captured"
    };
    let fixture = repository("tests/fixtures/pay").join(format!("{name}.json"));
    let mut body: Value = serde_json::from_slice(&fs::read(fixture).unwrap()).unwrap();
    body["webhook_message_id"] = id.into();
    body["created_date"] = NOW.to_string().into();
    body["resource_id"] = id.into();
    let missing = length.saturating_sub(body.to_string().len());
    if missing > 100 {
        body["resource"]["metadata"] = serde_json::json!({"order": filler(missing - 30)});
    }
    body.to_string()
}

/// The write units of the second of two notifications, from its receipt to its delivery, on the
/// table and on its index. The first also stores when its source was last received.
async fn units(source: &Source, length: usize) -> (u32, u32) {
    let proxy = FaultProxy::before(&EMULATOR.endpoint, |_| InjectedFault::None).await;
    let mut variables = table::variables();
    variables.retain(|(name, _)| *name != "AWS_ENDPOINT_URL_DYNAMODB");
    variables.push(("AWS_ENDPOINT_URL_DYNAMODB", proxy.endpoint.clone()));
    let inbox = table::inbox_at(&variables, &table::unique("costs"));
    inbox.init().await.unwrap();
    let deployed = DeployedFunction::over(
        inbox,
        Role::All,
        RecordingDestination::default(),
        TempDir::new().unwrap(),
    );
    for id in ["first", "second"] {
        proxy.take_writes();
        let request = post(source, body(source, id, length));
        assert_eq!(
            deployed.send(LambdaFront::HttpApi, &request).await.status,
            200
        );
        let key = format!("{}:{id}", source.name);
        deployed
            .invoke(&batch(&[(&key, "recorded")]))
            .await
            .unwrap();
        let row = deployed
            .inbox
            .get(&Key::parse(&key).unwrap())
            .await
            .unwrap();
        let row = row.unwrap();
        assert_eq!(row.state.as_str(), "delivered");
    }
    let writes = proxy.take_writes();
    (
        writes.iter().map(|write| write.table).sum(),
        writes.iter().map(|write| write.index).sum(),
    )
}

/// US dollars for a million notifications, as docs/deploy.md computes them.
fn price((table, index): (u32, u32)) -> String {
    let hundredths_of_cents = 7_423 * (table + index) + 27_700;
    let cents = (hundredths_of_cents + 50) / 100;
    format!("{}.{:02}", cents / 100, cents % 100)
}

fn cells(units: (u32, u32)) -> String {
    format!("{} + {} | {}", units.0, units.1, price(units))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_costs_are_those_that_are_counted() {
    let [scale, deploy] = ["docs/scale.md", "docs/deploy.md"]
        .map(|path| fs::read_to_string(repository(path)).unwrap());
    for length in [300, 800, 1_200, 3_000, 20_000] {
        let hmrc = units(&hmrc(), length).await;
        // GOV.UK Pay has no message that is shorter.
        let pay = (length >= 764).then_some(units(&pay(), length).await);
        let size = format!("{}.{}", length / 1_000, length % 1_000 / 100);
        let of_pay = pay.map_or_else(|| " | ".to_owned(), |pay| format!(" {} ", cells(pay)));
        let row = format!("| {size} KB | {} |{of_pay}|", cells(hmrc));
        assert!(scale.contains(&row), "scale.md lacks {row}");
        for units in [Some(hmrc), pay].into_iter().flatten() {
            let price = price(units);
            assert!(deploy.contains(&price), "deploy.md lacks {price}");
        }
    }
}
