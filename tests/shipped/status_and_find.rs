//! `status` and `find`, as a person on call runs them: beside a running `serve`, and on a table.

use rustix::process::Signal;
use sender_simulator::{
    Clock, SystemClock,
    apis::{
        PayApi,
        pay_api::{PaymentLifecycle, SimulatedPayment},
    },
};
use serde_json::Value;
use std::{sync::Arc, time::Duration};

use pillarbox::domain::{Clock as _, SystemClock as InboxClock};
use pillarbox::inbox::{DeliveryInbox, ReadInbox};
use test_support::{
    endpoint::{ConsumerEndpoint, EndpointReply},
    process::{BOTH_SOURCES, CommandResult, ProgramFolder, until},
    table,
};

fn object(ran: &CommandResult) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn status_says_what_needs_a_person_and_ends_with_1_until_nothing_does() {
    let endpoint = ConsumerEndpoint::opened();
    endpoint.answers(|_, _| EndpointReply::Status(422));
    let folder = ProgramFolder::with(&endpoint.configuration());
    let mut serve = folder.serve();
    let quiet = folder.run(&["status"]);
    assert_eq!(quiet.code, 0, "{quiet:?}");
    assert_eq!(quiet.stdout.lines().next(), Some("Nothing needs you."));

    let url = serve.url("pay").to_string();
    let sent = folder.run(&["send", "pay", "--to", &url]);
    assert_eq!(sent.code, 0, "{sent:?}");
    until("it is dead", || folder.count("dead") == 1);
    let status = folder.run(&["status"]);
    assert_eq!(status.code, 1, "{status:?}");
    let mut lines = status.stdout.lines();
    assert_eq!(
        lines.next(),
        Some("Something needs you: 1 notification is dead.")
    );
    let action = lines.next().unwrap();
    assert!(action.ends_with(" list --state dead"), "{action}");
    until("a sweep is recorded", || {
        object(&folder.run(&["status", "--json"]))["last_sweep"].is_string()
    });
    let json = object(&folder.run(&["status", "--json"]));
    for (pointer, expected) in [
        ("/needs_a_person", Value::from(true)),
        ("/needed/0/command", "pillarbox list --state dead".into()),
        ("/dead/rows", 1.into()),
        ("/dead/has_more", false.into()),
        ("/serve_is_running", true.into()),
    ] {
        assert_eq!(json.pointer(pointer), Some(&expected), "{pointer}: {json}");
    }

    let discarded = folder.list(&["--state", "dead"]);
    let key = discarded[0]["key"].as_str().unwrap();
    assert_eq!(folder.run(&["discard", key]).code, 0);
    assert_eq!(folder.run(&["status"]).code, 0);
    assert!(serve.stop(Signal::TERM).success());
    let json = object(&folder.run(&["status", "--json"]));
    assert_eq!(json["serve_is_running"], false);
}

#[test]
fn a_payment_is_found_by_its_id_its_beginning_and_its_reference() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let serve = folder.serve();
    let url = serve.url("pay").to_string();
    assert_eq!(folder.run(&["send", "pay", "--to", &url]).code, 0);
    until("it is delivered", || folder.count("delivered") == 1);
    let row = &folder.list(&[])[0];
    let [payment, key, id] = ["subject", "key", "id"].map(|name| row[name].as_str().unwrap());
    let found = object(&folder.run(&["find", payment, "--json"]));
    assert_eq!(found["payment"], payment);
    assert_eq!(found["events"][0]["state"], "delivered");
    let reference = found["reference"].as_str().unwrap().to_uppercase();
    for text in [payment, &payment[..8], key, id, &reference] {
        let found = folder.run(&["find", text, "--json"]);
        assert_eq!(object(&found)["payment"], payment, "{text}");
    }
    let words = folder.run(&["find", payment]);
    assert!(words.stdout.contains("delivered"), "{words:?}");
    for (text, code) in [("nothing-like-it", 1), ("ab", 2)] {
        assert_eq!(folder.run(&["find", text]).code, code, "{text}");
    }
    let erased = folder.run(&["discard", key, "--erase"]);
    assert_eq!(erased.code, 0, "{erased:?}");
    assert_eq!(folder.run(&["find", &reference]).code, 1);
}

const KEY: &str = "api_test_7mrp1d5lsa5pdfs2bvim2f9cdu";

#[tokio::test(flavor = "multi_thread")]
async fn on_a_table_a_reference_is_looked_for_at_pay_and_a_payment_in_its_ledger() {
    let pay = PayApi::start(0, Arc::new(SystemClock)).await.unwrap();
    pay.with(|accounts| accounts.open(KEY));
    let begun = SystemClock
        .now()
        .minus(Duration::from_secs(2 * 24 * 60 * 60));
    let payment = SimulatedPayment::new(PaymentLifecycle::Failed, begun, &SystemClock);
    let (id, reference) = (payment.id().to_owned(), payment.reference().to_owned());
    pay.with(|accounts| accounts.add(KEY, [payment]));
    let base_url = pay.base_url();
    let folder = ProgramFolder::with(&format!(
        "{BOTH_SOURCES}\n[sources.pay.pull]\nbase_url = \"{base_url}\"\n\
         api_key = \"env:API_KEY\"\n"
    ));
    let inbox = table::fresh("find").await;
    let run = |arguments: &[&str]| {
        let on = format!("dynamodb:{}", inbox.table());
        let mut command = folder.command(&[arguments, &["--inbox", &on]].concat());
        CommandResult::of(command.envs(table::variables()).env("API_KEY", KEY))
    };
    assert_eq!(run(&["find", &id]).code, 1, "it is not here");

    let now = InboxClock.now();
    let key = table::store(&inbox, "message-1", &id, "card_payment_succeeded", now).await;
    for text in [&*id, key.as_str(), "message-1", &reference] {
        let found = object(&run(&["find", text, "--json"]));
        assert_eq!(found["payment"], *id, "{text}");
        assert_eq!(found["events"][0]["key"], key.as_str(), "{text}");
    }
    let row = inbox.get(&key).await.unwrap().unwrap();
    let expires_at = now.plus(Duration::from_secs(1_000));
    let event = row.event().unwrap();
    inbox.claim_event(&event, &key, expires_at).await.unwrap();
    let with_pay = object(&run(&["find", &id, "--ask", "--json"]));
    assert_eq!(with_pay["at_pay"]["status"], "failed", "{with_pay}");
    let missing = &with_pay["at_pay"]["missing"];
    assert_eq!(missing[0], "card_payment_failed", "{with_pay}");

    let status = object(&run(&["status", "--json"]));
    assert_eq!(status["open"]["rows"], 1, "{status}");
    assert_eq!(status["needs_a_person"], false, "{status}");
}
