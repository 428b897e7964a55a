//! A keyring over Secrets Manager: rotation, withdrawal, forgeries, and a Secrets Manager that is
//! away.

use std::{
    io::{self, Write},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::join_all;
use pillarbox::{
    config::Config,
    domain::Clock,
    receive::{Receipt, Refusal},
    secrets::{FetchedSecrets, Keyring, SecretSources, SecretsManager, log_unusable_secrets},
    senders::SignatureError,
    telemetry::{FunctionMetrics, LogFormat, LogLayer},
};
use pillarbox_cli::sqlite::SqliteInbox;
use sender_simulator::{Sender, signature::sign};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, error::Elapsed, sleep, timeout};

use test_support::{
    cloud::{CloudReply, SimulatedAws},
    log_buffer::listen_with,
    manual_clock::ManualClock,
    posted,
    sample_events::AT,
    server::FixedClock,
};

const ARN: &str = "arn:aws:secretsmanager:eu-west-2:111122223333:secret:pay-AbCdEf";
const OLD: &str = "webhook_test_old1d5lsa5pdfs2bvim2f9cdu";
const NEW: &str = "webhook_test_new1d5lsa5pdfs2bvim2f9cdu";
const FORGED: &str = "webhook_test_forged5lsa5pdfs2bvim2f9cdu";
const KEPT: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// The longest time that an answer may take: the sender waits three seconds.
const IN_TIME: Duration = Duration::from_millis(2_500);

/// The log lines about secrets that cannot be used.
#[derive(Clone, Default)]
struct SecretLog(Arc<Mutex<Vec<u8>>>);

impl SecretLog {
    fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let lines = LogLayer::direct(log.clone(), LogFormat::Json, Arc::new(FixedClock));
        (log, listen_with(lines))
    }

    /// The lines since the last call.
    fn take(&self) -> Vec<String> {
        let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
        let about_secrets = |line: &&str| {
            line.contains("a secret cannot be used") || line.contains("two sources have one secret")
        };
        text.lines()
            .filter(about_secrets)
            .map(str::to_owned)
            .collect()
    }
}

impl Write for SecretLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A receiver whose source `pay` has its secrets in Secrets Manager, and whose `hmrc` has not.
struct RotatingReceiver {
    cloud: SimulatedAws,
    held: Arc<Mutex<CloudReply>>,
    keyring: Arc<Keyring>,
    inbox: Arc<SqliteInbox>,
    clock: Arc<ManualClock>,
    _folder: TempDir,
}

fn holding(current: &str) -> CloudReply {
    CloudReply::Done(json!({"SecretString": json!({"current": current}).to_string()}))
}

/// A keyring of a document's sources. Each environment variable has the value `secret`.
fn keyring(
    document: &str,
    secret: &str,
    cloud: &SimulatedAws,
    clock: &Arc<ManualClock>,
) -> Arc<Keyring> {
    let config = Config::read(document, "p").unwrap();
    let file = |_: &Path| Err(io::ErrorKind::NotFound.into());
    let secret_sources = SecretSources {
        env: &|_| Some(secret.to_owned()),
        file: &file,
        vault: FetchedSecrets::NOTHING,
    };
    let manager = SecretsManager::new(&cloud.aws());
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    Keyring::new(
        config.source_secrets(),
        &secret_sources,
        Some(manager),
        clock,
    )
}

impl RotatingReceiver {
    /// Secrets Manager holds `OLD`, and was read at the start.
    async fn warm() -> Self {
        let receiver = Self::cold(holding(OLD)).await;
        receiver.keyring.warm().await;
        assert_eq!(receiver.readings(), 1);
        receiver
    }

    async fn cold(held: CloudReply) -> Self {
        let held = Arc::new(Mutex::new(held));
        let answer = Arc::clone(&held);
        let cloud = SimulatedAws::answering(move |_| answer.lock().unwrap().clone()).await;
        let clock = ManualClock::new();
        let document = format!(
            "[sources.pay]\nkind = \"govuk-pay\"\nsecrets = [\"secretsmanager:{ARN}#current\"]\n\
             [sources.hmrc]\nkind = \"hmrc\"\nsecrets = [\"env:KEPT\"]\n"
        );
        let keyring = keyring(&document, KEPT, &cloud, &clock);
        let folder = tempfile::tempdir().unwrap();
        let inbox = Arc::new(SqliteInbox::create(&folder.path().join("inbox.db")).unwrap());
        Self {
            cloud,
            held,
            keyring,
            inbox,
            clock,
            _folder: folder,
        }
    }

    fn hold(&self, reply: CloudReply) {
        *self.held.lock().unwrap() = reply;
    }

    fn pass(&self, seconds: i64) {
        self.clock.turn(seconds * 1_000);
    }

    /// How often Secrets Manager was queried.
    fn readings(&self) -> usize {
        self.cloud.times()
    }

    /// What becomes of a payment signed with `secret`.
    async fn pay(&self, id: &str, secret: &str) -> Result<Receipt, Refusal> {
        let body = format!(
            r#"{{"webhook_message_id":"{id}","created_date":"{AT}","resource_id":"{id}",
                "event_type":"card_payment_captured","resource":{{}}}}"#
        );
        self.post(
            "pay",
            &sign(Sender::GovukPay, secret, body.as_bytes()),
            body,
        )
        .await
    }

    async fn post(&self, source: &str, signature: &str, body: String) -> Result<Receipt, Refusal> {
        let began = Instant::now();
        let place = (&self.inbox, &self.keyring);
        let received = posted::post(place, Arc::new(FixedClock), source, signature, body).await;
        assert!(
            began.elapsed() < IN_TIME,
            "{source} is answered after {:?}",
            began.elapsed()
        );
        received
    }
}

#[track_caller]
fn taken(received: Result<Receipt, Refusal>) {
    assert_eq!(received.unwrap().key_label, "1:pay-AbCdEf#current");
}

#[track_caller]
fn refused(received: &Result<Receipt, Refusal>) {
    assert!(
        matches!(received, Err(Refusal::Signature(SignatureError::Wrong))),
        "{received:?}"
    );
}

#[tokio::test]
async fn a_key_that_was_just_installed_costs_one_reading_and_no_refusal() {
    let receiver = RotatingReceiver::warm().await;
    for n in 0..20 {
        taken(receiver.pay(&format!("before-{n}"), OLD).await);
    }
    receiver.hold(holding(NEW));
    receiver.pass(31);
    for n in 0..20 {
        taken(receiver.pay(&format!("after-{n}"), NEW).await);
    }
    assert_eq!(
        receiver.readings(),
        2,
        "one at the start, and one for the new key"
    );
    refused(&receiver.pay("late", OLD).await);
}

#[tokio::test]
async fn a_rotation_right_after_a_reading_costs_its_sender_one_more_try() {
    let receiver = RotatingReceiver::warm().await;
    receiver.hold(holding(NEW));
    receiver.pass(29);
    refused(&receiver.pay("m1", NEW).await);
    assert_eq!(receiver.readings(), 1);
    receiver.pass(60); // Pay retries after a minute
    taken(receiver.pay("m1", NEW).await);
    assert_eq!(receiver.readings(), 2);
}

#[tokio::test]
async fn a_thousand_forgeries_cost_one_reading_in_30_s() {
    let receiver = RotatingReceiver::warm().await;
    for round in 1..=3 {
        receiver.pass(30);
        let forged = join_all(
            (0..1_000)
                .map(|n| async move { n.to_string() })
                .collect::<Vec<_>>(),
        )
        .await;
        let received = join_all(forged.iter().map(|id| receiver.pay(id, FORGED))).await;
        received.iter().for_each(refused);
        for id in 0..100 {
            refused(&receiver.pay(&id.to_string(), FORGED).await);
        }
        assert_eq!(receiver.readings(), 1 + round);
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_does_not_keep_a_key_out() {
    let receiver = RotatingReceiver::warm().await;
    receiver.hold(holding(NEW));
    receiver.pass(-24 * 60 * 60);
    taken(receiver.pay("m1", NEW).await);
    assert_eq!(receiver.readings(), 2);
}

#[tokio::test]
async fn a_withdrawn_key_ends_after_five_minutes() {
    let receiver = RotatingReceiver::warm().await;
    receiver.hold(holding(NEW));
    receiver.pass(299);
    taken(receiver.pay("m1", OLD).await);
    assert_eq!(
        receiver.readings(),
        1,
        "a copy that is young is not read again for a signature that matches"
    );
    receiver.pass(1);
    refused(&receiver.pay("m2", OLD).await);
    taken(receiver.pay("m3", NEW).await);
    assert_eq!(receiver.readings(), 2);
}

/// Two sources of one account with different secrets.
#[tokio::test]
async fn a_secret_that_becomes_another_source_s_is_logged_and_refuses_no_genuine_request() {
    let held = Arc::new(Mutex::new(holding(OLD)));
    let answer = Arc::clone(&held);
    let cloud = SimulatedAws::answering(move |_| answer.lock().unwrap().clone()).await;
    let document = format!(
        "[sources.other]\nkind = \"govuk-pay\"\nsecrets = [\"env:OTHER\"]\n\
         [sources.pay]\nkind = \"govuk-pay\"\nsecrets = [\"secretsmanager:{ARN}#current\"]\n"
    );
    let clock = ManualClock::new();
    let keyring = keyring(&document, NEW, &cloud, &clock);
    keyring.warm().await;
    assert!(keyring.take_fetch_errors().is_empty());

    *held.lock().unwrap() = holding(NEW);
    clock.turn(31_000);
    let keys = keyring.renewed(&keyring.keys()).await;
    let (log, _logging) = SecretLog::start();
    log_unusable_secrets(&keyring.take_fetch_errors());
    let logged = log.take();
    assert_eq!(logged.len(), 1, "{logged:?}");
    assert!(
        logged[0].contains("ERROR") && logged[0].contains("sources.other"),
        "{logged:?}"
    );
    assert!(!logged[0].contains(NEW), "{logged:?}");
    assert!(keys.sources().values().all(|source| source.keys.len() == 1));
}

#[tokio::test]
async fn an_old_copy_stands_while_it_can_not_be_read_again() {
    let receiver = RotatingReceiver::warm().await;
    let (log, _logging) = SecretLog::start();
    for (away, seconds) in [
        (CloudReply::Fault(400, "AccessDeniedException", ""), 300),
        (CloudReply::Silence, 30),
        (CloudReply::Drop, 30),
    ] {
        receiver.hold(away);
        receiver.pass(seconds);
        let before = receiver.readings();
        for n in 0..10 {
            taken(receiver.pay(&format!("m{seconds}-{n}"), OLD).await);
        }
        assert!(
            (1..=2).contains(&(receiver.readings() - before)),
            "tried once for all of them, at most twice on the wire"
        );
        let logged = log.take();
        assert_eq!(
            logged.len(),
            1,
            "that is logged once, although the copy stands: {logged:?}"
        );
    }
    receiver.hold(holding(NEW));
    receiver.pass(30);
    refused(&receiver.pay("end", OLD).await);
}

#[tokio::test]
async fn all_waiting_requests_share_one_reading() {
    let receiver = RotatingReceiver::warm().await;
    receiver.pass(31);
    receiver.hold(CloudReply::Late(
        Duration::from_millis(200),
        json!({"SecretString": json!({"current": NEW}).to_string()}),
    ));
    let ids: Vec<_> = (0..200).map(|n| format!("m{n}")).collect();
    join_all(ids.iter().map(|id| receiver.pay(id, NEW)))
        .await
        .into_iter()
        .for_each(taken);
    assert_eq!(receiver.readings(), 2);
}

#[tokio::test]
async fn a_sender_that_hangs_up_does_not_take_the_reading_along() {
    let receiver = RotatingReceiver::warm().await;
    receiver.pass(31);
    receiver.hold(CloudReply::Late(
        Duration::from_millis(200),
        json!({"SecretString": json!({"current": NEW}).to_string()}),
    ));
    let hung_up = timeout(Duration::from_millis(50), receiver.pay("m1", FORGED)).await;
    let _: Elapsed = hung_up.expect_err("it hung up");
    taken(receiver.pay("m2", NEW).await);
    assert_eq!(receiver.readings(), 2);
}

#[tokio::test]
async fn until_there_is_a_key_everything_is_503_and_the_first_one_needs_no_restart() {
    let missing =
        "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT";
    for (start, unusable_count) in [
        (
            CloudReply::Fault(400, "ResourceNotFoundException", missing),
            0,
        ),
        (CloudReply::Fault(400, "AccessDeniedException", ""), 1),
        (CloudReply::Fault(500, "InternalServiceError", ""), 1),
        (holding("short"), 1),
    ] {
        let receiver = RotatingReceiver::cold(start.clone()).await;
        receiver.keyring.warm().await;
        assert_eq!(
            receiver.keyring.take_fetch_errors().len(),
            unusable_count,
            "{start:?}"
        );
        receiver.pass(31);
        for n in 0..10 {
            let received = receiver.pay(&format!("m{n}"), OLD).await;
            assert!(
                matches!(received, Err(Refusal::NoSecret)),
                "{start:?}: {received:?}"
            );
        }
        receiver.hold(holding(OLD));
        receiver.pass(30);
        taken(receiver.pay("m0", OLD).await);
    }
}

#[tokio::test]
async fn a_start_that_failed_is_made_up_for_by_the_first_request() {
    let receiver = RotatingReceiver::cold(CloudReply::Drop).await;
    receiver.keyring.warm().await;
    receiver.hold(holding(OLD));
    taken(receiver.pay("m1", OLD).await);
}

#[tokio::test]
async fn a_secrets_manager_that_hangs_is_answered_for_in_time() {
    let receiver = RotatingReceiver::warm().await;
    receiver.hold(CloudReply::Silence);
    receiver.pass(31);
    let began = Instant::now();
    refused(&receiver.pay("m1", NEW).await);
    assert!(
        began.elapsed() < Duration::from_millis(1_300),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_source_whose_secrets_are_elsewhere_never_causes_a_call() {
    let receiver = RotatingReceiver::cold(holding(OLD)).await;
    receiver.pass(1_000);
    let wrong = receiver
        .post("hmrc", &"0".repeat(40), "{}".to_owned())
        .await;
    refused(&wrong);
    let genuine = receiver
        .post("hmrc", &sign(Sender::Hmrc, KEPT, b"{}"), "{}".to_owned())
        .await;
    assert_eq!(genuine.unwrap().key_label, "1:env:KEPT");
    assert_eq!(receiver.readings(), 0);
    for malformed in ["", "00", &"A".repeat(64)] {
        receiver.keyring.warm().await;
        let before = receiver.readings();
        receiver.pass(31);
        let received = receiver.post("pay", malformed, "{}".to_owned()).await;
        assert!(
            matches!(received, Err(Refusal::Signature(SignatureError::Malformed))),
            "{received:?}"
        );
        assert_eq!(
            receiver.readings(),
            before,
            "what has no form can be no newer key's"
        );
    }
}

#[tokio::test]
async fn a_process_without_such_secrets_never_calls_aws() {
    let cloud = SimulatedAws::answering(|_| panic!("AWS is not called")).await;
    let document = "[sources.pay]\nkind = \"govuk-pay\"\nsecrets = [\"env:PAY\"]\n";
    let keyring = keyring(document, OLD, &cloud, &ManualClock::new());
    keyring.warm().await;
    let keys = keyring.keys();
    assert!(Arc::ptr_eq(&keys, &keyring.renewed(&keys).await));
    sleep(Duration::from_millis(50)).await;
    assert_eq!(cloud.times(), 0);
}

#[tokio::test]
async fn an_unusable_key_is_ignored_logged_once_and_never_shown() {
    let receiver = RotatingReceiver::warm().await;
    let (log, _logging) = SecretLog::start();
    receiver.hold(holding("webhook_test_canary\n"));
    receiver.pass(31);
    let received = receiver.pay("m1", FORGED).await;
    assert!(
        matches!(received, Err(Refusal::NoSecret)),
        "the value it took the place of is gone: {received:?}"
    );
    let logged = log.take();
    assert_eq!(logged.len(), 1, "{logged:?}");
    let line = &logged[0];
    assert!(line.contains(r#""source":"pay""#), "{line}");
    assert!(
        line.contains("white space") && !line.contains("canary"),
        "{line}"
    );
    let unusable = format!("{:?}", receiver.keyring.take_fetch_errors());
    assert_eq!(unusable, "[]", "it was logged, and once");
}

/// A function's log counts each secret that cannot be read, and each whose value is refused.
#[tokio::test]
async fn secrets_that_cannot_be_used_are_counted_in_the_line_that_reports_them() {
    let denied = || CloudReply::Fault(400, "AccessDeniedException", "");
    let padded = || holding("webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu ");
    for (reply, metric) in [
        (denied(), Some("SecretReadFailure")),
        (padded(), Some("SecretRefused")),
        (holding(NEW), None),
    ] {
        let receiver = RotatingReceiver::cold(reply).await;
        let log = SecretLog::default();
        let lines = LogLayer::direct(log.clone(), LogFormat::Json, Arc::new(FixedClock))
            .with_metrics(FunctionMetrics::all("pillarbox-Receive-1"));
        let _logging = listen_with(lines);
        receiver.keyring.warm().await;
        log_unusable_secrets(&receiver.keyring.take_fetch_errors());
        let logged = log.take();
        assert_eq!(logged.len(), usize::from(metric.is_some()), "{logged:?}");
        let (Some(metric), Some(line)) = (metric, logged.first()) else {
            continue;
        };
        let line: Value = serde_json::from_str(line).unwrap();
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(
            (
                &line[metric],
                &line["FunctionName"],
                &directive["Dimensions"]
            ),
            (
                &json!(1),
                &json!("pillarbox-Receive-1"),
                &json!([["FunctionName"]])
            )
        );
        assert_eq!(
            directive["Metrics"],
            json!([{"Name": metric, "Unit": "Count"}])
        );
        assert!(line["metric"].is_null(), "{line}");
    }
}
