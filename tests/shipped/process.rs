//! What happens to a notification after its 200, as its destinations see it.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use rustix::process::Signal;
use sender_simulator::{Clock, MessageBody, Sender, SystemClock, exchange, govuk_pay, hmrc};
use serde_json::Value;

use test_support::{
    binary,
    endpoint::{ConsumerEndpoint, EndpointReply, ReceivedDelivery},
    process::{
        BOTH_SOURCES, CommandResult, FREE_PORTS, HMRC_SECRET, PAY_SECRET, ProgramFolder,
        RunningServe, by_key, until,
    },
};

/// Posts a notification, and returns its key once it has its 200.
async fn post(serve: &RunningServe, sender: Sender, body: &MessageBody) -> String {
    let (source, secret) = match sender {
        Sender::Hmrc => ("hmrc", HMRC_SECRET),
        Sender::GovukPay => ("pay", PAY_SECRET),
    };
    let url = serve.url(source);
    let answer = exchange(
        &sender.request(body, secret, &url),
        &url,
        sender.client_profile(),
    )
    .await
    .unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    format!("{source}:{}", body.id)
}

/// Every event of both senders, once.
async fn post_one_of_each(serve: &RunningServe) -> HashSet<String> {
    let mut keys = HashSet::new();
    for sender in Sender::ALL {
        for event in sender.events() {
            keys.insert(
                post(
                    serve,
                    sender,
                    &sender.body(Some(event), &SystemClock).unwrap(),
                )
                .await,
            );
        }
    }
    keys
}

fn paid() -> MessageBody {
    Sender::GovukPay.body(None, &SystemClock).unwrap()
}

fn json(text: &str) -> MessageBody {
    hmrc::body(
        &hmrc::HmrcMessage::json(text),
        hmrc::SAMPLE_BOX,
        &SystemClock,
    )
}

/// What is read of an event whose data may hold numbers that fit no type.
#[derive(serde::Deserialize)]
struct EventId<'a> {
    id: &'a str,
}

/// Every request was signed, and each key always had the same bytes.
fn check_promises(received: &[ReceivedDelivery]) -> HashSet<String> {
    let mut bodies: HashMap<&str, &ReceivedDelivery> = HashMap::new();
    for request in received {
        request.check_signature();
        assert_eq!(request.target, "POST /events?team=7");
        assert_eq!(
            request.header("content-type"),
            "application/cloudevents+json; charset=utf-8"
        );
        let event: EventId<'_> = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(event.id, request.key());
        let first = bodies.entry(request.key()).or_insert(request);
        assert_eq!(
            first.body,
            request.body,
            "{} changed between two attempts",
            request.key()
        );
    }
    bodies.into_keys().map(str::to_owned).collect()
}

fn last_errors(folder: &ProgramFolder) -> HashSet<String> {
    let rows = folder.list(&["--state", "open"]);
    rows.iter()
        .filter_map(|row| row["last_error"].as_str().map(str::to_owned))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_was_down_gets_everything_once_it_is_up() {
    let mut endpoint = ConsumerEndpoint::closed();
    endpoint.answers(|_, _| EndpointReply::Status(503));
    let folder = ProgramFolder::with(&endpoint.configuration());
    let serve = folder.serve();
    let mut keys = post_one_of_each(&serve).await;
    until("connections were refused", || {
        last_errors(&folder).contains("https: no connection")
    });

    endpoint.open();
    keys.extend(post_one_of_each(&serve).await);
    until("the endpoint answered 503", || {
        last_errors(&folder).contains("https: status 503")
    });

    endpoint.answers(|_, before| match before {
        0 => EndpointReply::Status(500),
        _ => EndpointReply::Late(Duration::from_millis(300)),
    });
    keys.extend(post_one_of_each(&serve).await);
    until("everything has arrived", || {
        folder.count("delivered") == keys.len()
    });

    let rows = by_key(folder.list(&[]));
    assert_eq!(rows.keys().cloned().collect::<HashSet<_>>(), keys);
    assert_eq!(check_promises(&endpoint.received()), keys);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_recorded_while_no_destination_could_be_reached_outlives_a_restart() {
    let mut endpoint = ConsumerEndpoint::closed();
    let folder = ProgramFolder::with(&endpoint.configuration());
    let mut serve = folder.serve();
    let keys = post_one_of_each(&serve).await;
    assert!(
        serve.stop(Signal::INT).success(),
        "Ctrl-C is an orderly end"
    );
    assert_eq!(folder.count("open"), keys.len());

    endpoint.open();
    let _serve = folder.serve();
    until("everything has arrived", || {
        folder.count("delivered") == keys.len()
    });
    assert_eq!(check_promises(&endpoint.received()), keys);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_422_makes_a_row_dead_and_a_replay_delivers_it() {
    let endpoint = ConsumerEndpoint::opened();
    endpoint.answers(|_, _| EndpointReply::Status(422));
    let folder = ProgramFolder::with(&endpoint.configuration());
    let serve = folder.serve();
    let key = post(&serve, Sender::GovukPay, &paid()).await;
    until("it is dead", || folder.count("dead") == 1);
    let row = &folder.list(&[])[0];
    assert_eq!(
        (&row["reason"], &row["last_error"]),
        (&"refused".into(), &"refused: https: status 422".into())
    );
    assert_eq!(endpoint.times(), 1, "a refusal is not tried again");

    endpoint.answers(|_, _| EndpointReply::Status(200));
    let replay = folder.run(&["replay", "--dead"]);
    assert_eq!((replay.code, replay.stdout), (0, format!("{key}\n")));
    until("it has arrived", || folder.count("delivered") == 1);
    assert_eq!(endpoint.attempts(&key).len(), 2);
    check_promises(&endpoint.received());
    shows_both_attempts_and_the_replay(&folder, &key);
}

/// Shows a row by its sender's id, as `send` prints it, and by how that begins.
fn shows_both_attempts_and_the_replay(folder: &ProgramFolder, key: &str) {
    let id = key.strip_prefix("pay:").unwrap();
    let shown = folder.run(&["show", "--json", id]);
    let row: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(
        (&row["key"], &row["replays"], &row["last_error"]),
        (&key.into(), &1.into(), &serde_json::Value::Null)
    );
    let history = row["history"].as_array().unwrap();
    let entry = |at: usize| {
        let entry = &history[at];
        (&entry["kind"], &entry["outcome"], &entry["status"])
    };
    let none = &serde_json::Value::Null;
    assert_eq!(
        entry(0),
        (&"attempt".into(), &"refused".into(), &422.into())
    );
    assert_eq!(entry(1), (&"replayed".into(), none, none));
    assert_eq!(
        entry(2),
        (&"attempt".into(), &"delivered".into(), &200.into())
    );
    assert!(row["delivered_at"].as_str() >= history[2]["began_at"].as_str());

    let shown = folder.run(&["show", &id[..8]]).stdout;
    let steps = [
        "Received",
        "Verified: Signed with",
        "Recorded",
        "Attempt 1 was refused permanently",
        "status 422",
        "Replayed by a person: After 1 attempt.",
        "Attempt 1 delivered it",
    ];
    let mut rest = shown.split_once("timeline").unwrap().1;
    for step in steps {
        let after = rest.split_once(step);
        rest = after
            .unwrap_or_else(|| panic!("{step} is not next in {rest}"))
            .1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn not_found_unauthorised_and_redirects_are_tried_again_and_never_followed() {
    let elsewhere = ConsumerEndpoint::opened();
    let endpoint = ConsumerEndpoint::opened();
    let folder = ProgramFolder::with(&endpoint.configuration());
    let serve = folder.serve();
    let bodies =
        ["404", "401", "302", "307"].map(|status| json(&format!(r#"{{"answer":"{status}"}}"#)));
    let to = elsewhere.url();
    endpoint.answers(move |delivery, before| match (before, delivery.text()) {
        (1.., _) => EndpointReply::Status(204),
        (0, text) if text.contains("404") => EndpointReply::Status(404),
        (0, text) if text.contains("401") => EndpointReply::Status(401),
        (0, _) => EndpointReply::Redirect(to.clone()),
    });
    for body in &bodies {
        post(&serve, Sender::Hmrc, body).await;
    }
    until("all have arrived", || {
        folder.count("delivered") == bodies.len()
    });
    for body in &bodies {
        assert_eq!(endpoint.attempts(&format!("hmrc:{}", body.id)).len(), 2);
    }
    check_promises(&endpoint.received());
    assert_eq!(elsewhere.times(), 0, "a redirect was followed");
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_an_endless_answer_nor_a_missing_one_holds_up_the_rest() {
    let endpoint = ConsumerEndpoint::opened();
    endpoint.answers(|delivery, before| match (before, delivery.text()) {
        (0, text) if text.contains("silence") => EndpointReply::Silence,
        (_, text) if text.contains("endless") => EndpointReply::Endless,
        _ => EndpointReply::Status(204),
    });
    let folder = ProgramFolder::with(&endpoint.configuration());
    let serve = folder.serve();
    for _ in 0..3 {
        post(&serve, Sender::Hmrc, &json(r#"{"answer":"silence"}"#)).await;
    }
    until("the silent ones are being tried", || endpoint.times() == 3);
    for _ in 0..8 {
        post(&serve, Sender::Hmrc, &json(r#"{"answer":"endless"}"#)).await;
    }
    let rest = post_one_of_each(&serve).await;
    until("the endless ones and the rest have arrived", || {
        folder.count("delivered") == 8 + rest.len()
    });
    assert_eq!(
        folder.count("open"),
        3,
        "the silent ones are still waiting for an answer"
    );
    until("the silent ones have arrived, too", || {
        folder.count("open") == 0
    });
    check_promises(&endpoint.received());
    let once = endpoint
        .received()
        .iter()
        .filter(|delivery| delivery.text().contains("endless"))
        .count();
    assert_eq!(once, 8, "a 200 counts, whatever follows it");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_source_reaches_the_destination_it_names() {
    let (ours, ledger) = (ConsumerEndpoint::opened(), ConsumerEndpoint::opened());
    let own = format!(
        "[destinations.ledger]\nkind = \"https\"\nurl = \"{}\"\nsecret = \"env:LEDGER_WHSEC\"\n",
        ledger.url()
    );
    let named = ours.configuration().replace(
        "kind = \"govuk-pay\"",
        "kind = \"govuk-pay\"\ndestination = \"ledger\"",
    );
    let folder = ProgramFolder::with(&(named + &own));
    let serve = folder.serve();
    let keys = post_one_of_each(&serve).await;
    until("everything has arrived", || {
        folder.count("delivered") == keys.len()
    });
    for (endpoint, source) in [(&ours, "hmrc:"), (&ledger, "pay:")] {
        let expected = keys
            .iter()
            .filter(|key| key.starts_with(source))
            .cloned()
            .collect();
        assert_eq!(check_promises(&endpoint.received()), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_destination_that_is_down_does_not_hold_up_another() {
    let (ours, down) = (ConsumerEndpoint::opened(), ConsumerEndpoint::closed());
    let own = format!(
        "[destinations.ledger]\nkind = \"https\"\nurl = \"{}\"\nsecret = \"env:LEDGER_WHSEC\"\n",
        down.url()
    );
    let named = ours.configuration().replace(
        "kind = \"govuk-pay\"",
        "kind = \"govuk-pay\"\ndestination = \"ledger\"",
    );
    let folder = ProgramFolder::with(&(named + &own));
    let serve = folder.serve();
    for _ in 0..12 {
        post(&serve, Sender::GovukPay, &paid()).await;
    }
    until("the ledger counts as down", || {
        !last_errors(&folder).is_empty()
    });
    let key = post(&serve, Sender::Hmrc, &json("{}")).await;
    until("HMRC's has arrived", || ours.attempts(&key).len() == 1);
    until("and is marked so", || folder.count("delivered") == 1);
    assert_eq!(folder.count("open"), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_pay_sends_under_a_second_id_arrives_once_and_shows_as_repeat() {
    let endpoint = ConsumerEndpoint::opened();
    let folder = ProgramFolder::with(&endpoint.configuration());
    let serve = folder.serve();
    let begun = SystemClock
        .now()
        .minus(govuk_pay::PaymentEvent::Captured.after());
    let payment = govuk_pay::PaymentMessages::new(begun, &SystemClock);
    let (first, second) = (
        payment.body(govuk_pay::PaymentEvent::Captured, &SystemClock),
        payment.body(govuk_pay::PaymentEvent::Captured, &SystemClock),
    );
    let refund = payment.body(govuk_pay::PaymentEvent::Succeeded, &SystemClock);

    let original = post(&serve, Sender::GovukPay, &first).await;
    until("the first has arrived", || folder.count("delivered") == 1);
    let repeat = post(&serve, Sender::GovukPay, &second).await;
    let other = post(&serve, Sender::GovukPay, &refund).await;
    until("nothing is open", || folder.count("open") == 0);

    let rows = by_key(folder.list(&[]));
    assert_eq!(rows[&repeat]["state"], "repeat");
    assert_eq!(rows[&repeat]["reason"], *original);
    assert_eq!(
        rows[&other]["state"], "delivered",
        "another event of the same payment is not a repeat"
    );
    assert_eq!(
        check_promises(&endpoint.received()),
        HashSet::from([original, other])
    );
    assert_eq!(
        folder.run(&["show", "--raw", &repeat]).bytes,
        second.wire.into_bytes(),
        "it is kept whole"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_keep_their_digits_and_xml_arrives_as_a_string() {
    let endpoint = ConsumerEndpoint::opened();
    let folder = ProgramFolder::with(&endpoint.configuration());
    let serve = folder.serve();
    let odd =
        r#"{"duty": 1.10, "huge":1e400, "id":12345678901234567890123, "zero":-0.0, "a":1,"a":2}"#;
    let numbers = post(&serve, Sender::Hmrc, &json(odd)).await;
    let xml = "<a b=\"c\">\n  £ 😀 &amp; \\u0041</a>";
    let message = hmrc::HmrcMessage::xml(xml);
    let marked_up = post(
        &serve,
        Sender::Hmrc,
        &hmrc::body(&message, hmrc::SAMPLE_BOX, &SystemClock),
    )
    .await;
    until("both have arrived", || folder.count("delivered") == 2);

    let delivery = &endpoint.attempts(&numbers)[0];
    assert!(
        delivery.text().ends_with(&format!(
            r#""datacontenttype":"application/json","data":{odd}}}"#
        )),
        "{delivery:?}"
    );
    let event: Value = serde_json::from_slice(&endpoint.attempts(&marked_up)[0].body).unwrap();
    assert_eq!(
        (&event["datacontenttype"], &event["data"]),
        (&"application/xml".into(), &xml.into())
    );
    assert_eq!(event["type"], "uk.gov.hmrc.ppns.notification");
    assert_eq!(event["subject"], hmrc::SAMPLE_BOX);
    check_promises(&endpoint.received());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unread_log_does_not_stop_the_receiver() {
    /// More lines than a pipe holds.
    const MANY: usize = 700;
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let mut serve = RunningServe::spawn_unread(&mut folder.serve_command());
    serve.await_ready();
    let mut keys = HashSet::new();
    for _ in 0..MANY {
        keys.insert(post(&serve, Sender::GovukPay, &paid()).await);
    }
    assert!(
        folder.count("open") > 0,
        "the pipe is full, and what did not fit is still open"
    );
    keys.insert(post(&serve, Sender::Hmrc, &json("{}")).await);

    serve.read_stdout();
    until("everything is delivered", || {
        folder.count("delivered") == MANY + 1
    });
    assert!(serve.stop(Signal::TERM).success());
    let logged: HashSet<String> = serve
        .stdout
        .all()
        .iter()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["id"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(logged, keys);
}

#[test]
fn serve_refuses_two_sources_whose_references_hold_one_value() {
    let folder = ProgramFolder::with(
        "[sources.one]\nkind = \"govuk-pay\"\nsecrets = [\"env:PAY_SIGNING_SECRET\"]\n\
         [sources.two]\nkind = \"govuk-pay\"\nsecrets = [\"env:COPY\"]\n",
    );
    // A `serve` that starts would run for ever.
    let program = binary("pillarbox-under-test").display().to_string();
    let serve = [&["60", program.as_str(), "serve"], FREE_PORTS].concat();
    let mut limited = folder.command_of("timeout", &serve);
    let refused = CommandResult::of(limited.env("COPY", PAY_SECRET));
    assert_eq!(refused.code, 2, "{refused:?}");
    let words = "sources.two.secrets[0] (env:COPY) holds the same value as a secret of sources.one";
    assert!(refused.stderr.contains(words), "{refused:?}");
}
