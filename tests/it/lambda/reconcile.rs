//! The scheduled reconcile run: what the senders hold is stored in the table and acknowledged,
//! within the function's time.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use pillarbox::{
    domain::{Clock, Origin, SourceName, State},
    inbox::DeliveryInbox,
    lambda::{InvocationError, Role},
};
use sender_simulator::apis::{
    PayApi,
    pay_api::{PaymentLifecycle, SimulatedPayment},
};
use serde_json::{Value, json};

use super::pull::{API_KEY, ReconcilingFunction, TIMEOUT, hmrc, listen, pay};
use test_support::{
    fronts::{FrontRequest, LambdaFront, batch},
    hmrc_box::{BOX, CLIENT, SECRET, fill, left, ppns},
    manual_clock::{ManualClock, sender_time},
    silent::SilentInbox,
    table,
};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// The lines about `source`, without the fields that every line has.
fn about(lines: &[Value], message: &str, source: &str) -> Vec<Value> {
    let mut about: Vec<Value> = lines
        .iter()
        .filter(|line| line["message"] == message && line["source"] == source)
        .cloned()
        .collect();
    for line in &mut about {
        let fields = line.as_object_mut().unwrap();
        assert_eq!(fields.remove("request_id"), Some(json!("r1")));
        fields.remove("timestamp");
        fields.remove("message");
    }
    about
}

/// What a line of metrics counts.
fn metrics(line: &Value) -> (&str, Vec<(&str, u64)>) {
    let named = line["_aws"]["CloudWatchMetrics"][0]["Metrics"]
        .as_array()
        .unwrap();
    let name = |metric: &'_ Value| metric["Name"].as_str().unwrap().to_owned();
    let fields = line.as_object().unwrap();
    let counted = named.iter().map(|metric| {
        let (name, value) = fields.get_key_value(&name(metric)).unwrap();
        (name.as_str(), value.as_u64().unwrap())
    });
    (line["Source"].as_str().unwrap(), counted.collect())
}

async fn pay_api(clock: &Arc<ManualClock>) -> PayApi {
    let api = PayApi::start(0, clock.clone()).await.unwrap();
    api.with(|accounts| accounts.open(API_KEY));
    api
}

#[tokio::test]
async fn what_both_senders_never_pushed_is_recorded_and_acknowledged_in_one_invocation() {
    let clock = ManualClock::new();
    let (ppns, api) = (ppns(clock.clone()).await, pay_api(&clock).await);
    fill(&ppns, &*clock, 250);
    let payment = SimulatedPayment::new(
        PaymentLifecycle::Failed,
        sender_time(clock.now()).minus(HOUR * 24),
        &*clock,
    );
    let id = payment.id().to_owned();
    api.with(|accounts| accounts.add(API_KEY, [payment]));
    let document = hmrc("hmrc", &ppns, BOX, "SECRET") + &pay(&api, "KEY");
    let reconciling = ReconcilingFunction::of("pulled", &clock, &document).await;
    let last_received = clock.now().minus(HOUR);
    reconciling
        .inbox
        .record_last_received(&SourceName::new("hmrc").unwrap(), last_received)
        .await
        .unwrap();
    let (log, _listening) = listen(&clock);

    let expected = json!({"recorded": 251, "acknowledged": 250, "missing": 1,
        "ended": {"hmrc": "completed", "pay": "completed"}});
    assert_eq!(reconciling.invoke().await.unwrap(), expected);
    assert_eq!(left(&ppns), 0);
    let rows = reconciling.rows().await;
    assert_eq!(rows.len(), 251);
    assert!(
        rows.iter()
            .all(|row| (row.state, row.origin) == (State::Recorded, Origin::Pull))
    );

    let silent = clock.now().since(last_received).as_secs();
    let lines = log.lines();
    let of_hmrc = json!({"level": "INFO", "source": "hmrc", "ended": "completed", "seen": 250,
        "recorded": 250,
        "duplicates": 0, "held": 0, "acknowledged": 250, "missing": 0, "errors": 0,
        "oldest_unacknowledged_seconds": 0, "silent_seconds": silent});
    assert_eq!(about(&lines, "reconciled", "hmrc"), [of_hmrc]);
    let of_pay = json!({"level": "INFO", "source": "pay", "ended": "completed", "seen": 1,
        "recorded": 1, "duplicates": 0,
        "held": 0, "acknowledged": 0, "missing": 1, "newly_missing": 1, "errors": 0});
    assert_eq!(about(&lines, "reconciled", "pay"), [of_pay]);
    let missing = about(&lines, "event missing at GOV.UK Pay", "pay");
    let key = rows
        .iter()
        .find(|row| row.key.source() == "pay")
        .unwrap()
        .key
        .to_string();
    assert_eq!(missing.len(), 1);
    assert_eq!(
        [
            &missing[0]["level"],
            &missing[0]["key"],
            &missing[0]["payment"],
            &missing[0]["event_type"]
        ],
        ["WARN", key.as_str(), id.as_str(), "card_payment_failed"]
    );
    assert_eq!(lines.len(), 4, "and the invocation's own: {lines:?}");

    let counted = reconciling.metrics.lines();
    let expected = [
        ("hmrc", vec![("PulledMissed", 250)]),
        ("pay", vec![("PulledMissed", 1), ("MissingEvents", 1)]),
    ];
    assert_eq!([0, 1].map(|index| metrics(&counted[index])), expected);
    assert_eq!(counted.len(), 2);

    // A missing secret stays missing; it was logged.
    clock.pass(HOUR);
    let again = json!({"recorded": 0, "acknowledged": 0, "missing": 1,
        "ended": {"hmrc": "completed", "pay": "completed"}});
    assert_eq!(reconciling.invoke().await.unwrap(), again);
    let lines = log.lines();
    assert_eq!(
        about(&lines, "event missing at GOV.UK Pay", "pay"),
        Vec::<Value>::new()
    );
    assert_eq!(about(&lines, "reconciled", "pay")[0]["newly_missing"], 0);
    assert_eq!(reconciling.metrics.text(), "");
}

#[tokio::test]
async fn no_personal_data_and_no_secret_is_logged_by_reconcile() {
    let clock = ManualClock::new();
    let (ppns, api) = (ppns(clock.clone()).await, pay_api(&clock).await);
    fill(&ppns, &*clock, 3);
    let payment = SimulatedPayment::new(
        PaymentLifecycle::Refunded,
        sender_time(clock.now()).minus(HOUR * 72),
        &*clock,
    );
    let reference = payment.reference().to_owned();
    api.with(|accounts| accounts.add(API_KEY, [payment]));
    let document = hmrc("hmrc", &ppns, BOX, "SECRET") + &pay(&api, "KEY");
    let reconciling = ReconcilingFunction::of("unsaid", &clock, &document).await;
    let (log, _listening) = listen(&clock);
    reconciling.invoke().await.unwrap();
    let log = log.text() + &reconciling.metrics.text();
    assert!(
        log.contains("event missing at GOV.UK Pay") && log.contains("PulledMissed"),
        "{log}"
    );
    for absent in [SECRET, CLIENT, API_KEY, reference.as_str(), "@", "number"] {
        assert!(!log.contains(absent), "{absent} {log}");
    }
}

#[tokio::test]
async fn credentials_that_are_refused_fail_the_invocation_with_what_to_do() {
    let clock = ManualClock::new();
    let ppns = ppns(clock.clone()).await;
    fill(&ppns, &*clock, 3);
    let reconciling =
        ReconcilingFunction::of("refused", &clock, &hmrc("hmrc", &ppns, BOX, "WRONG")).await;
    let (log, _listening) = listen(&clock);
    let failure = reconciling.invoke().await.unwrap_err();
    assert_eq!(failure.name(), "Reconcile");
    let what_to_do = "take both from the application in the Developer Hub";
    assert!(failure.to_string().contains(what_to_do), "{failure}");
    let lines = log.lines();
    let line = &about(&lines, "reconciled", "hmrc")[0];
    assert_eq!(
        (&line["level"], &line["ended"]),
        (&json!("ERROR"), &json!("sender"))
    );
    assert!(
        line["reason"].as_str().unwrap().contains(what_to_do),
        "{line}"
    );
    assert_eq!(
        metrics(&reconciling.metrics.lines()[0]).1,
        [("PullFailures", 1)]
    );
    assert_eq!((left(&ppns), reconciling.rows().await.len()), (3, 0));
}

#[tokio::test]
async fn a_source_without_secrets_is_logged_and_the_others_are_reconciled() {
    let clock = ManualClock::new();
    let (ppns, api) = (ppns(clock.clone()).await, pay_api(&clock).await);
    fill(&ppns, &*clock, 3);
    let document = hmrc("hmrc", &ppns, BOX, "SECRET") + &pay(&api, "NOWHERE");
    let reconciling = ReconcilingFunction::of("unset", &clock, &document).await;
    let (log, _listening) = listen(&clock);
    let expected = json!({"recorded": 3, "acknowledged": 3, "missing": 0,
        "ended": {"hmrc": "completed", "pay": "no_credentials"}});
    assert_eq!(reconciling.invoke().await.unwrap(), expected);
    let lines = log.lines();
    let shouted = lines
        .iter()
        .find(|line| line["message"] == "a secret cannot be used")
        .unwrap();
    assert_eq!(
        (&shouted["level"], &shouted["source"]),
        (&json!("ERROR"), &json!("pay"))
    );
    assert!(
        shouted["reason"]
            .as_str()
            .unwrap()
            .contains("(env:NOWHERE) is not set: set that environment variable")
    );
    assert_eq!(about(&lines, "reconciled", "pay")[0]["level"], "ERROR");
    assert_eq!(
        metrics(&reconciling.metrics.lines()[1]).1,
        [("PullFailures", 1)]
    );
    assert!(api.calls().is_empty(), "no API is called without a key");
}

#[tokio::test]
async fn a_box_that_is_not_there_is_named_with_what_to_do() {
    let clock = ManualClock::new();
    let ppns = ppns(clock.clone()).await;
    let unknown = "00000000-0000-4000-8000-000000000000";
    let reconciling =
        ReconcilingFunction::of("unknown", &clock, &hmrc("hmrc", &ppns, unknown, "SECRET")).await;
    let (log, _listening) = listen(&clock);
    reconciling.invoke().await.unwrap();
    let lines = log.lines();
    let trouble = &about(&lines, "box not emptied", "hmrc")[0];
    assert_eq!(
        (&trouble["level"], &trouble["box_id"]),
        (&json!("WARN"), &json!(unknown))
    );
    assert!(
        trouble["reason"].as_str().unwrap().contains("check its id"),
        "{trouble}"
    );
    assert_eq!(about(&lines, "reconciled", "hmrc")[0]["level"], "WARN");
    assert_eq!(
        metrics(&reconciling.metrics.lines()[0]).1,
        [("PullFailures", 1)]
    );
}

#[tokio::test]
async fn of_two_invocations_at_once_one_works_and_the_other_reports_that_it_did_not() {
    let clock = ManualClock::new();
    let ppns = ppns(clock.clone()).await;
    fill(&ppns, &*clock, 250);
    let reconciling =
        ReconcilingFunction::of("twice", &clock, &hmrc("hmrc", &ppns, BOX, "SECRET")).await;
    let (one, other) = tokio::join!(reconciling.invoke(), reconciling.invoke());
    let ended = [one.unwrap(), other.unwrap()]
        .map(|reply| reply["ended"]["hmrc"].as_str().unwrap().to_owned());
    assert_eq!(
        BTreeSet::from(ended),
        ["already_running".to_owned(), "completed".to_owned()].into()
    );
    assert_eq!((left(&ppns), reconciling.rows().await.len()), (0, 250));
}

#[tokio::test]
async fn a_backlog_takes_several_invocations_and_each_ends_before_it_is_stopped() {
    let clock = ManualClock::new();
    let ppns = ppns(clock.clone()).await;
    fill(&ppns, &*clock, 700);
    let reconciling =
        ReconcilingFunction::of("backlog", &clock, &hmrc("hmrc", &ppns, BOX, "SECRET")).await;
    let time = Duration::from_secs(45);
    let mut runs = 0;
    loop {
        let began = clock.now();
        let reply = reconciling
            .invoke_for(&json!({"role": "reconcile"}), time)
            .await
            .unwrap();
        assert!(
            clock.now() <= began.plus(time).minus(Duration::from_secs(10)),
            "something is left for the end"
        );
        assert_eq!(
            reconciling.rows().await.len() + left(&ppns),
            700,
            "nothing is lost, and nothing twice"
        );
        runs += 1;
        match reply["ended"]["hmrc"].as_str().unwrap() {
            "deadline" => clock.pass(Duration::from_secs(300)),
            "completed" => break,
            other => panic!("{other}"),
        }
    }
    assert!((2..10).contains(&runs), "{runs}");
    assert_eq!(left(&ppns), 0);
}

#[tokio::test]
async fn an_inbox_that_can_not_be_reached_fails_the_invocation() {
    let clock = ManualClock::new();
    let ppns = ppns(clock.clone()).await;
    fill(&ppns, &*clock, 1);
    let nowhere = table::inbox_in("no-such-table");
    let reconciling = ReconcilingFunction::over(
        nowhere,
        Role::Reconcile,
        &clock,
        &hmrc("hmrc", &ppns, BOX, "SECRET"),
    );
    let failure = reconciling.invoke().await.unwrap_err();
    assert!(
        failure
            .to_string()
            .starts_with("nothing could be reconciled: hmrc: the inbox"),
        "{failure}"
    );
    assert!(
        ppns.calls().is_empty(),
        "no list is requested that could not be stored"
    );
}

#[tokio::test]
async fn what_hangs_is_cut_off_in_time_for_an_answer() {
    let clock = ManualClock::new();
    let ppns = ppns(clock.clone()).await;
    let reconciling = ReconcilingFunction::over(
        SilentInbox,
        Role::Reconcile,
        &clock,
        &hmrc("hmrc", &ppns, BOX, "SECRET"),
    );
    let reply = reconciling
        .invoke_for(&json!({"role": "reconcile"}), Duration::from_millis(400))
        .await
        .unwrap();
    assert_eq!(reply["ended"], json!({"hmrc": "cut_off"}));
    assert_eq!(
        metrics(&reconciling.metrics.lines()[0]).1,
        [("PullFailures", 1)]
    );
}

#[tokio::test]
async fn any_other_event_is_an_error() {
    let clock = ManualClock::new();
    let ppns = ppns(clock.clone()).await;
    let reconciling =
        ReconcilingFunction::of("foreign", &clock, &hmrc("hmrc", &ppns, BOX, "SECRET")).await;
    for event in [
        json!({"role": "sweep"}),
        json!({"role": "process"}),
        json!({"role": "Reconcile"}),
        json!({"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}),
        batch(&[("hmrc:n1", "recorded")]),
        LambdaFront::HttpApi.invocation(
            &FrontRequest::new("GET", "/hmrc?challenge=abc"),
            clock.now(),
        ),
        json!({}),
        json!(null),
    ] {
        let failure = reconciling.invoke_for(&event, TIMEOUT).await.unwrap_err();
        assert!(
            matches!(failure, InvocationError::Foreign { .. }),
            "{event} {failure}"
        );
        assert!(
            failure.to_string().contains("the role reconcile"),
            "{failure}"
        );
    }
    assert!(ppns.calls().is_empty());
}

#[tokio::test]
async fn only_the_role_and_the_one_that_plays_all_take_the_schedule() {
    let clock = ManualClock::new();
    let ppns = ppns(clock.clone()).await;
    let document = hmrc("hmrc", &ppns, BOX, "SECRET");
    for role in [
        Role::Receive,
        Role::Process,
        Role::Sweep,
        Role::Reconcile,
        Role::All,
    ] {
        let inbox = table::fresh("schedule").await;
        let done = ReconcilingFunction::over(inbox, role, &clock, &document)
            .invoke()
            .await;
        match role {
            Role::Reconcile | Role::All => assert_eq!(done.unwrap()["ended"]["hmrc"], "completed"),
            _ => assert!(
                matches!(done, Err(InvocationError::Foreign { .. })),
                "{role}"
            ),
        }
    }
}
