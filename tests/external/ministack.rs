//! SQS, EventBridge and Secrets Manager of MiniStack: a second opinion, because the stand-in in
//! `test_support::cloud` shares our reading of AWS's documents. `.ci/run` installs MiniStack.

use std::{io, path::Path, sync::Arc};

use aws_sdk_eventbridge::types::Target;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use pillarbox::{
    aws::{AwsConfig, AwsService},
    config::Config,
    destinations::{
        DeliveryError, Destination, Event, EventBridgeDestination, EventBus, Probe, SqsDestination,
        SqsQueue,
    },
    domain::{Clock, Key, SystemClock},
    receive::{Receipt, Refusal},
    secrets::{
        FetchedSecrets, Keyring, SecretError, SecretRef, SecretSources, SecretsCaller,
        SecretsManager, SecretsManagerError, arns,
    },
};
use pillarbox_cli::sqlite::SqliteInbox;
use sender_simulator::{Sender, signature::sign};
use serde_json::{Value, json};

use test_support::{
    cloud::reached_at,
    ministack::MiniStackProcess,
    posted,
    sample_events::{captured, long},
};

/// A name that is unique to this run, so that several runs can share one MiniStack.
fn unique(name: &str) -> String {
    format!("{name}-{:016x}", SystemClock.random())
}

async fn create_queue(aws: &AwsConfig, name: &str) -> (aws_sdk_sqs::Client, String) {
    let client = aws_sdk_sqs::Client::new(&aws.config(AwsService::Sqs));
    let is_fifo = name.ends_with(".fifo");
    let fifo = is_fifo.then(|| [(QueueAttributeName::FifoQueue, "true".to_owned())].into());
    let created = client
        .create_queue()
        .queue_name(name)
        .set_attributes(fifo)
        .send()
        .await
        .unwrap();
    (client, created.queue_url.unwrap())
}

/// The messages in the queue, in their order. Waits up to `seconds` for the first one.
async fn receive(client: &aws_sdk_sqs::Client, url: &str, seconds: i32) -> Vec<Message> {
    let request = client
        .receive_message()
        .queue_url(url)
        .max_number_of_messages(10)
        .wait_time_seconds(seconds);
    let request = request
        .message_attribute_names("All")
        .message_system_attribute_names(MessageSystemAttributeName::All);
    request.send().await.unwrap().messages.unwrap_or_default()
}

fn id(message: &Message) -> &str {
    message.message_attributes.as_ref().unwrap()["id"]
        .string_value()
        .unwrap()
}

fn text(event: &Event) -> &str {
    std::str::from_utf8(event.json()).unwrap()
}

async fn deliver(destination: &impl Destination, (key, event): &(Key, Event)) {
    destination.deliver(key, event).await.unwrap();
}

#[tokio::test]
async fn a_standard_queue_holds_an_event_as_often_as_it_was_delivered() {
    let ministack = MiniStackProcess::start();
    let aws = reached_at(ministack.url());
    let (client, url) = create_queue(&aws, &unique("ledger")).await;
    let sqs = SqsDestination::new(&aws, SqsQueue::parse(&url).unwrap());
    assert_eq!(sqs.probe().await, Ok(Probe::Exists));
    let payment = captured("pay:m1", Some("p1"));
    deliver(&sqs, &payment).await;
    deliver(&sqs, &payment).await;
    let messages = receive(&client, &url, 5).await;
    assert_eq!(
        messages
            .iter()
            .map(|message| message.body().unwrap())
            .collect::<Vec<_>>(),
        [text(&payment.1); 2]
    );
    assert!(messages.iter().all(|message| id(message) == "pay:m1"));

    deliver(&sqs, &long("hmrc:n1", 300_000)).await;
    let message = receive(&client, &url, 5).await.pop().unwrap();
    let object: Value = serde_json::from_str(message.body().unwrap()).unwrap();
    assert_eq!(
        (&object["dataref"], object.get("data")),
        (&json!("hmrc:n1"), None)
    );

    let gone = SqsQueue::parse(&format!(
        "{}/000000000000/{}",
        ministack.url(),
        unique("gone")
    ))
    .unwrap();
    let (key, event) = payment;
    let error = SqsDestination::new(&aws, gone)
        .deliver(&key, &event)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, DeliveryError::Unavailable(why) if why.contains("check its URL")),
        "{error}"
    );
}

#[tokio::test]
async fn a_fifo_queue_keeps_the_order_of_a_payment_and_drops_copies() {
    let ministack = MiniStackProcess::start();
    let aws = reached_at(ministack.url());
    let (client, url) = create_queue(&aws, &format!("{}.fifo", unique("ledger"))).await;
    let sqs = SqsDestination::new(&aws, SqsQueue::parse(&url).unwrap());
    let events = [
        captured("pay:m1", Some("p1")),
        captured("pay:m2", Some("p1")),
        captured(&format!("pay:{}", "m".repeat(200)), Some("a payment")),
    ];
    for event in events.iter().chain(&events) {
        deliver(&sqs, event).await;
    }
    let mut messages = Vec::new();
    while messages.len() < events.len() {
        let more = receive(&client, &url, 5).await;
        assert!(!more.is_empty(), "{messages:?}");
        for message in &more {
            client
                .delete_message()
                .queue_url(&url)
                .receipt_handle(message.receipt_handle().unwrap())
                .send()
                .await
                .unwrap();
        }
        messages.extend(more);
    }
    let of_p1 = |message: &&Message| {
        message
            .attributes()
            .unwrap()
            .get(&MessageSystemAttributeName::MessageGroupId)
            .is_some_and(|group| group == "p1")
    };
    assert_eq!(
        messages.iter().filter(of_p1).map(id).collect::<Vec<_>>(),
        ["pay:m1", "pay:m2"]
    );
    assert_eq!(messages.len(), 3);
    assert!(
        receive(&client, &url, 1).await.is_empty(),
        "the queue drops the copies"
    );
}

#[tokio::test]
async fn an_event_on_a_bus_reaches_a_queue_through_a_rule() {
    let ministack = MiniStackProcess::start();
    let aws = reached_at(ministack.url());
    let (client, url) = create_queue(&aws, &unique("events")).await;
    let name = unique("ledger");
    let bus = EventBridgeDestination::new(&aws, EventBus::parse(&name).unwrap());
    let payment = captured("pay:m1", Some("p1"));
    let error = bus.deliver(&payment.0, &payment.1).await.unwrap_err();
    assert!(
        matches!(&error, DeliveryError::Unavailable(why) if why.contains("check its name")),
        "{error}"
    );

    let events = aws_sdk_eventbridge::Client::new(&aws.config(AwsService::EventBridge));
    events.create_event_bus().name(&name).send().await.unwrap();
    let attributes = client
        .get_queue_attributes()
        .queue_url(&url)
        .attribute_names(QueueAttributeName::QueueArn);
    let attributes = attributes.send().await.unwrap().attributes.unwrap();
    let target = Target::builder()
        .id("queue")
        .arn(&attributes[&QueueAttributeName::QueueArn])
        .build()
        .unwrap();
    let pattern = json!({
        "source": ["pillarbox.pay"], "detail-type": ["card_payment_captured"],
        "detail": {"data": {"amount": [5000]}},
    });
    events
        .put_rule()
        .name("paid")
        .event_bus_name(&name)
        .event_pattern(pattern.to_string())
        .send()
        .await
        .unwrap();
    events
        .put_targets()
        .rule("paid")
        .event_bus_name(&name)
        .targets(target)
        .send()
        .await
        .unwrap();

    deliver(&bus, &payment).await;
    deliver(&bus, &long("hmrc:n1", 300_000)).await;
    let messages = receive(&client, &url, 5).await;
    assert_eq!(messages.len(), 1, "the rule matches one of the two events");
    let event: Value = serde_json::from_str(messages[0].body().unwrap()).unwrap();
    assert_eq!(
        event["detail"],
        serde_json::from_slice::<Value>(payment.1.json()).unwrap()
    );
    // MiniStack replaces the time, so it is not compared.
    assert_eq!(event["source"], "pillarbox.pay");
    assert_eq!(bus.probe().await, Ok(Probe::Exists));
}

const OLD: &str = "webhook_test_old1d5lsa5pdfs2bvim2f9cdu";
const NEW: &str = "webhook_test_new1d5lsa5pdfs2bvim2f9cdu";

/// A receiver of Pay whose only secret is in Secrets Manager: its keyring, and a function that
/// posts a notification.
async fn receiver(
    aws: &AwsConfig,
    arn: &str,
) -> (
    Arc<Keyring>,
    impl AsyncFn(&str, &str) -> Result<Receipt, Refusal>,
) {
    let document = format!(
        "[sources.pay]\nkind = \"govuk-pay\"\nsecrets = [\"secretsmanager:{arn}#current\"]\n"
    );
    let config = Config::read(&document, "p").unwrap();
    let file = |_: &Path| Err(io::ErrorKind::NotFound.into());
    let sources = SecretSources {
        env: &|_| None,
        file: &file,
        vault: FetchedSecrets::NOTHING,
    };
    let keyring = Keyring::new(
        config.source_secrets(),
        &sources,
        Some(SecretsManager::new(aws)),
        Arc::new(SystemClock),
    );
    let folder = tempfile::tempdir().unwrap();
    let inbox = Arc::new(SqliteInbox::create(&folder.path().join("inbox.db")).unwrap());
    let ring = Arc::clone(&keyring);
    let pay = async move |id: &str, secret: &str| {
        let _ = &folder;
        let body = format!(
            r#"{{"webhook_message_id":"{id}","created_date":"{}","resource_id":"{id}",
                "event_type":"card_payment_captured","resource":{{}}}}"#,
            SystemClock.now()
        );
        let signature = sign(Sender::GovukPay, secret, body.as_bytes());
        posted::post(
            (&inbox, &ring),
            Arc::new(SystemClock),
            "pay",
            &signature,
            body,
        )
        .await
    };
    (keyring, pay)
}

#[tokio::test]
async fn a_secret_can_be_empty_at_first_and_a_new_value_needs_no_restart() {
    let ministack = MiniStackProcess::start();
    let aws = reached_at(ministack.url());
    let secrets = aws_sdk_secretsmanager::Client::new(&aws.config(AwsService::SecretsManager));
    let created = secrets
        .create_secret()
        .name(unique("pillarbox/pay"))
        .send()
        .await
        .unwrap();
    let arn = created.arn.unwrap();

    let reference = SecretRef::parse(&format!("secretsmanager:{arn}#current")).unwrap();
    let vault = SecretsManager::new(&aws)
        .read(&arns([&reference]), SecretsCaller::Background)
        .await;
    let sources = SecretSources {
        env: &|_| None,
        file: &|_| Err(io::ErrorKind::NotFound.into()),
        vault: &vault,
    };
    assert_eq!(
        reference.fetch(&sources).unwrap_err(),
        SecretError::NoneYet,
        "the secret exists and has no value"
    );

    let missing = SecretRef::parse(&format!("secretsmanager:{arn}-gone#current")).unwrap();
    let vault = SecretsManager::new(&aws)
        .read(&arns([&missing]), SecretsCaller::Background)
        .await;
    let sources = SecretSources {
        vault: &vault,
        ..sources
    };
    assert_eq!(
        missing.fetch(&sources).unwrap_err(),
        SecretError::Unread(SecretsManagerError::Missing)
    );

    let put = async |value: &str| {
        let text = json!({"current": value}).to_string();
        secrets
            .put_secret_value()
            .secret_id(&arn)
            .secret_string(text)
            .send()
            .await
            .unwrap();
    };
    let (keyring, pay) = receiver(&aws, &arn).await;
    keyring.warm().await;
    assert!(matches!(pay("m1", OLD).await, Err(Refusal::NoSecret)));
    put(OLD).await;
    keyring.warm().await; // a request reads the secret again only after 30 s
    assert!(pay("m1", OLD).await.is_ok());

    put(NEW).await;
    let (_, pay) = receiver(&aws, &arn).await; // without `warm`, the first request reads the secret
    assert!(pay("m2", NEW).await.is_ok());
    let refused = pay("m3", OLD).await;
    assert!(matches!(refused, Err(Refusal::Signature(_))), "{refused:?}");
}
