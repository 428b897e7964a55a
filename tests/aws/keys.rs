//! A keyring over Secrets Manager: rotation, withdrawal, forgeries, and a Secrets Manager that is away.

use std::{
    collections::HashSet,
    io,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use pillarbox::{
    aws::SecretsManager,
    config::Config,
    domain::{Clock, SourceName, Timestamp},
    keyring::{Keyring, take_in},
    receive::{Callback, PATIENCE, Receipt, Refusal},
    secrets::{FetchedSecrets, SecretSources},
    senders::{Acceptance, SignatureError},
};
use pillarbox_cli::sqlite::SqliteInbox;
use sender_simulator::{signature::sign, Sender};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

use super::handed_on::AT;
use crate::cloud::{Cloud, Reply};

const ARN: &str = "arn:aws:secretsmanager:eu-west-2:111122223333:secret:pay-AbCdEf";
const OLD: &str = "webhook_test_old1d5lsa5pdfs2bvim2f9cdu";
const NEW: &str = "webhook_test_new1d5lsa5pdfs2bvim2f9cdu";
const FORGED: &str = "webhook_test_forged5lsa5pdfs2bvim2f9cdu";
const KEPT: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// A sender's patience, and what an answer may take of it.
const IN_TIME: Duration = Duration::from_millis(2_500);

/// A clock that goes when it is told to.
struct ManualClock(AtomicI64);

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn random(&self) -> u64 {
        7
    }
}

/// A receiver whose source `pay` has its secrets in Secrets Manager, and whose `hmrc` has not.
struct Desk {
    cloud: Cloud,
    held: Arc<Mutex<Reply>>,
    keyring: Arc<Keyring>,
    inbox: SqliteInbox,
    clock: Arc<ManualClock>,
    _folder: TempDir,
}

fn holding(current: &str) -> Reply {
    Reply::Done(json!({"SecretString": json!({"current": current}).to_string()}))
}

impl Desk {
    /// Secrets Manager holds `OLD`, and was read at the start.
    async fn warm() -> Self {
        let desk = Self::cold(holding(OLD)).await;
        desk.keyring.warm().await;
        assert_eq!(desk.readings(), 1);
        desk
    }

    async fn cold(held: Reply) -> Self {
        let held = Arc::new(Mutex::new(held));
        let answer = Arc::clone(&held);
        let cloud = Cloud::answering(move |_| answer.lock().unwrap().clone()).await;
        let clock = Arc::new(ManualClock(AtomicI64::new(AT.as_millis())));
        let document = format!(
            "[sources.pay]\nkind = \"govuk-pay\"\nsecrets = [\"secretsmanager:{ARN}#current\"]\n\
             [sources.hmrc]\nkind = \"hmrc\"\nsecrets = [\"env:KEPT\"]\n"
        );
        let config = Config::read(&document, "p").unwrap();
        let file = |_: &Path| Err(io::ErrorKind::NotFound.into());
        let outside = SecretSources {
            env: &|_| Some(KEPT.to_owned()),
            file: &file,
            vault: FetchedSecrets::NOTHING,
        };
        let manager = SecretsManager::new(&cloud.aws());
        let keyring = Keyring::new(
            config,
            &outside,
            Some(manager),
            Arc::clone(&clock) as Arc<dyn Clock>,
        );
        let folder = tempfile::tempdir().unwrap();
        let inbox = SqliteInbox::create(&folder.path().join("inbox.db")).unwrap();
        Self {
            cloud,
            held,
            keyring,
            inbox,
            clock,
            _folder: folder,
        }
    }

    fn hold(&self, reply: Reply) {
        *self.held.lock().unwrap() = reply;
    }

    fn pass(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds * 1_000, Ordering::SeqCst);
    }

    /// How often Secrets Manager was asked.
    fn readings(&self) -> usize {
        self.cloud.times()
    }

    /// What becomes of a payment signed with `secret`.
    async fn pay(&self, id: &str, secret: &str) -> Result<Receipt, Refusal> {
        let body = format!(
            r#"{{"webhook_message_id":"{id}","created_date":"{AT}","resource_id":"{id}","event_type":"card_payment_captured","resource":{{}}}}"#
        );
        self.post(
            "pay",
            &sign(Sender::GovukPay, secret, body.as_bytes()),
            body,
        )
        .await
    }

    async fn post(&self, source: &str, signature: &str, body: String) -> Result<Receipt, Refusal> {
        let keys = self.keyring.keys();
        let callback = Callback {
            source: &keys.sources()[&SourceName::new(source).unwrap()],
            signatures: &[signature.as_bytes()],
            body: body.into(),
            received_at: AT,
        };
        let window = Acceptance(Duration::from_secs(60 * 24 * 60 * 60));
        let began = Instant::now();
        let received = take_in(&self.inbox, &self.keyring, callback, window, PATIENCE).await;
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
    let desk = Desk::warm().await;
    for n in 0..20 {
        taken(desk.pay(&format!("before-{n}"), OLD).await);
    }
    desk.hold(holding(NEW));
    desk.pass(31);
    for n in 0..20 {
        taken(desk.pay(&format!("after-{n}"), NEW).await);
    }
    assert_eq!(
        desk.readings(),
        2,
        "one at the start, and one for the new key"
    );
    refused(&desk.pay("late", OLD).await);
}

#[tokio::test]
async fn a_rotation_right_after_a_reading_costs_its_sender_one_more_try() {
    let desk = Desk::warm().await;
    desk.hold(holding(NEW));
    desk.pass(29);
    refused(&desk.pay("m1", NEW).await);
    assert_eq!(desk.readings(), 1);
    desk.pass(60); // which is when Pay tries again
    taken(desk.pay("m1", NEW).await);
    assert_eq!(desk.readings(), 2);
}

#[tokio::test]
async fn a_thousand_forgeries_cost_one_reading_in_30_s() {
    let desk = Desk::warm().await;
    for round in 1..=3 {
        desk.pass(30);
        let forged = join_all(
            (0..1_000)
                .map(|n| async move { n.to_string() })
                .collect::<Vec<_>>(),
        )
        .await;
        let received = join_all(forged.iter().map(|id| desk.pay(id, FORGED))).await;
        received.iter().for_each(refused);
        for id in 0..100 {
            refused(&desk.pay(&id.to_string(), FORGED).await);
        }
        assert_eq!(desk.readings(), 1 + round);
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_does_not_keep_a_key_out() {
    let desk = Desk::warm().await;
    desk.hold(holding(NEW));
    desk.pass(-24 * 60 * 60);
    taken(desk.pay("m1", NEW).await);
    assert_eq!(desk.readings(), 2);
}

#[tokio::test]
async fn a_withdrawn_key_ends_after_five_minutes() {
    let desk = Desk::warm().await;
    desk.hold(holding(NEW));
    desk.pass(299);
    taken(desk.pay("m1", OLD).await);
    assert_eq!(
        desk.readings(),
        1,
        "a copy that is young is not read again for a signature that matches"
    );
    desk.pass(1);
    refused(&desk.pay("m2", OLD).await);
    taken(desk.pay("m3", NEW).await);
    assert_eq!(desk.readings(), 2);
}

#[tokio::test]
async fn an_old_copy_stands_while_it_can_not_be_read_again() {
    let desk = Desk::warm().await;
    for (away, seconds) in [
        (Reply::Fault(400, "AccessDeniedException", ""), 300),
        (Reply::Silence, 30),
        (Reply::Drop, 30),
    ] {
        desk.hold(away);
        desk.pass(seconds);
        let before = desk.readings();
        for n in 0..10 {
            taken(desk.pay(&format!("m{seconds}-{n}"), OLD).await);
        }
        assert!(
            (1..=2).contains(&(desk.readings() - before)),
            "tried once for all of them, at most twice on the wire"
        );
        let said = desk.keyring.take_unusable();
        assert_eq!(
            said.len(),
            1,
            "that is said, although the copy stands: {said:?}"
        );
        assert_eq!(desk.keyring.take_unusable().len(), 0, "once");
    }
    desk.hold(holding(NEW));
    desk.pass(30);
    refused(&desk.pay("end", OLD).await);
}

#[tokio::test]
async fn everybody_who_waits_shares_one_reading() {
    let desk = Desk::warm().await;
    desk.pass(31);
    desk.hold(Reply::Late(
        Duration::from_millis(200),
        json!({"SecretString": json!({"current": NEW}).to_string()}),
    ));
    let ids: Vec<_> = (0..200).map(|n| format!("m{n}")).collect();
    join_all(ids.iter().map(|id| desk.pay(id, NEW)))
        .await
        .into_iter()
        .for_each(taken);
    assert_eq!(desk.readings(), 2);
}

#[tokio::test]
async fn a_sender_that_hangs_up_does_not_take_the_reading_along() {
    let desk = Desk::warm().await;
    desk.pass(31);
    desk.hold(Reply::Late(
        Duration::from_millis(200),
        json!({"SecretString": json!({"current": NEW}).to_string()}),
    ));
    assert!(
        timeout(Duration::from_millis(50), desk.pay("m1", FORGED))
            .await
            .is_err(),
        "it hung up"
    );
    taken(desk.pay("m2", NEW).await);
    assert_eq!(desk.readings(), 2);
}

#[tokio::test]
async fn until_there_is_a_key_everything_is_503_and_the_first_one_needs_no_restart() {
    let missing =
        "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT";
    for (start, said) in [
        (Reply::Fault(400, "ResourceNotFoundException", missing), 0),
        (Reply::Fault(400, "AccessDeniedException", ""), 1),
        (Reply::Fault(500, "InternalServiceError", ""), 1),
        (holding("short"), 1),
    ] {
        let desk = Desk::cold(start.clone()).await;
        desk.keyring.warm().await;
        assert_eq!(desk.keyring.take_unusable().len(), said, "{start:?}");
        desk.pass(31);
        for n in 0..10 {
            let received = desk.pay(&format!("m{n}"), OLD).await;
            assert!(
                matches!(received, Err(Refusal::NoSecret)),
                "{start:?}: {received:?}"
            );
        }
        desk.hold(holding(OLD));
        desk.pass(30);
        taken(desk.pay("m0", OLD).await);
    }
}

#[tokio::test]
async fn a_start_that_failed_is_made_up_for_by_the_first_request() {
    let desk = Desk::cold(Reply::Drop).await;
    desk.keyring.warm().await;
    desk.hold(holding(OLD));
    taken(desk.pay("m1", OLD).await);
}

#[tokio::test]
async fn a_secrets_manager_that_hangs_is_answered_for_in_time() {
    let desk = Desk::warm().await;
    desk.hold(Reply::Silence);
    desk.pass(31);
    let began = Instant::now();
    refused(&desk.pay("m1", NEW).await);
    assert!(
        began.elapsed() < Duration::from_millis(1_300),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_source_whose_secrets_are_elsewhere_never_causes_a_call() {
    let desk = Desk::cold(holding(OLD)).await;
    desk.pass(1_000);
    let wrong = desk.post("hmrc", &"0".repeat(40), "{}".to_owned()).await;
    refused(&wrong);
    let genuine = desk
        .post(
            "hmrc",
            &sign(Sender::Hmrc, KEPT, b"{}"),
            "{}".to_owned(),
        )
        .await;
    assert_eq!(genuine.unwrap().key_label, "1:env:KEPT");
    assert_eq!(desk.readings(), 0);
    for malformed in ["", "00", &"A".repeat(64)] {
        desk.keyring.warm().await;
        let before = desk.readings();
        desk.pass(31);
        let received = desk.post("pay", malformed, "{}".to_owned()).await;
        assert!(
            matches!(received, Err(Refusal::Signature(SignatureError::Malformed))),
            "{received:?}"
        );
        assert_eq!(
            desk.readings(),
            before,
            "what has no form can be no newer key's"
        );
    }
}

#[tokio::test]
async fn a_process_without_such_secrets_never_calls_aws() {
    let cloud = Cloud::answering(|_| panic!("nobody calls")).await;
    let config = Config::read(
        "[sources.pay]\nkind = \"govuk-pay\"\nsecrets = [\"env:PAY\"]\n",
        "p",
    )
    .unwrap();
    let file = |_: &Path| Err(io::ErrorKind::NotFound.into());
    let outside = SecretSources {
        env: &|_| Some(OLD.to_owned()),
        file: &file,
        vault: FetchedSecrets::NOTHING,
    };
    let world = Arc::new(ManualClock(AtomicI64::new(0)));
    let keyring = Keyring::new(
        config,
        &outside,
        Some(SecretsManager::new(&cloud.aws())),
        world,
    );
    keyring.warm().await;
    let keys = keyring.keys();
    assert!(Arc::ptr_eq(&keys, &keyring.renewed(&keys).await));
    sleep(Duration::from_millis(50)).await;
    assert_eq!(cloud.times(), 0);
}

#[tokio::test]
async fn a_key_that_can_not_be_used_is_ignored_said_once_and_shown_nowhere() {
    let desk = Desk::warm().await;
    desk.hold(holding("webhook_test_canary\n"));
    desk.pass(31);
    let received = desk.pay("m1", FORGED).await;
    assert!(
        matches!(received, Err(Refusal::NoSecret)),
        "the value it took the place of is gone: {received:?}"
    );
    let unusable = desk.keyring.take_unusable();
    assert_eq!(
        unusable
            .iter()
            .map(|one| one.source.as_ref().unwrap().as_str())
            .collect::<HashSet<_>>()
            .len(),
        1
    );
    let said = format!("{unusable:?} {}", unusable[0].problem);
    assert!(
        said.contains("white space") && !said.contains("canary"),
        "{said}"
    );
    assert!(desk.keyring.take_unusable().is_empty());
}
