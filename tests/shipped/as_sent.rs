//! Handlers that verify a sender's own signature, behind a destination with `format = "as-sent"`.

use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sender_simulator::{
    Clock, MessageBody, Sender, SystemClock,
    apis::{PpnsApi, ppns::PpnsApplication},
    exchange,
    hmrc::{self, HmrcMessage},
};
use sha1::Sha1;
use sha2::Sha256;

use test_support::{
    endpoint::{ConsumerEndpoint, EndpointReply, ReceivedDelivery},
    process::{BOTH_SOURCES, HMRC_SECRET, PAY_SECRET, ProgramFolder, RunningServe, WHSEC, until},
};

/// What a handler expects of a request of GOV.UK Pay: the HMAC of the raw body.
fn pay_digits(body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(PAY_SECRET.as_bytes()).unwrap();
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

/// What a handler expects of a request of HMRC.
fn hmrc_digits(body: &[u8]) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(HMRC_SECRET.as_bytes()).unwrap();
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

/// A configuration in which `handler` gets everything as sent; `more` ends its table.
fn handled_by(handler: &ConsumerEndpoint, more: &str) -> String {
    format!(
        "{BOTH_SOURCES}\n[destination]\nkind = \"https\"\nformat = \"as-sent\"\n\
         url = \"{}\"\n{more}",
        handler.url()
    )
}

async fn post(serve: &RunningServe, sender: Sender, body: &MessageBody) -> String {
    let (source, secret) = match sender {
        Sender::Hmrc => ("hmrc", HMRC_SECRET),
        Sender::GovukPay => ("pay", PAY_SECRET),
    };
    let url = serve.url(source);
    let request = sender.request(body, secret, &url);
    let answer = exchange(&request, &url, sender.client_profile()).await;
    assert_eq!(answer.unwrap().status, 200);
    format!("{source}:{}", body.id)
}

/// Checks that a delivery is exactly the sender's request, with the key in an additional header.
fn check(delivery: &ReceivedDelivery, header: &str, body: &MessageBody, digits: &str) {
    assert_eq!(delivery.text(), body.wire);
    assert_eq!(delivery.header(header), digits);
    assert_eq!(delivery.header("content-type"), "application/json");
    let ours = delivery
        .headers
        .iter()
        .filter(|(name, _)| name.starts_with("webhook-"));
    assert_eq!(
        ours.count(),
        1,
        "no signature of ours: {:?}",
        delivery.headers
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_of_gov_uk_pay_gets_every_event_as_pay_signed_it() {
    let handler = ConsumerEndpoint::opened();
    // A handler refuses what it cannot verify, and this one fails once before it takes anything.
    handler.answers(|delivery, before| {
        let is_genuine = delivery.header("pay-signature") == pay_digits(&delivery.body);
        EndpointReply::Status(match (is_genuine, before) {
            (false, _) => 401,
            (true, 0) => 503,
            (true, _) => 200,
        })
    });
    let folder = ProgramFolder::with(&handled_by(&handler, ""));
    let serve = folder.serve();
    let mut sent = Vec::new();
    for event in Sender::GovukPay.events() {
        let body = Sender::GovukPay.body(Some(event), &SystemClock).unwrap();
        sent.push((post(&serve, Sender::GovukPay, &body).await, body));
    }
    until("everything is delivered", || {
        folder.count("delivered") == sent.len()
    });
    for (key, body) in &sent {
        let attempts = handler.attempts(key);
        assert_eq!(attempts.len(), 2);
        for delivery in &attempts {
            check(
                delivery,
                "pay-signature",
                body,
                &pay_digits(body.wire.as_bytes()),
            );
        }
    }
}

/// HMRC signs a character beyond U+FFFF as itself and sends it as two escapes. A handler of HMRC's
/// messages has to know that in any case, and gets the same two things here.
#[tokio::test(flavor = "multi_thread")]
async fn a_handler_of_hmrc_gets_what_hmrc_sent_beside_the_signature_of_what_it_signed() {
    let handler = ConsumerEndpoint::opened();
    let folder = ProgramFolder::with(&handled_by(&handler, ""));
    let serve = folder.serve();
    let messages = [
        HmrcMessage::json("{\"duty\": 1.10, \"n\":1e400}"),
        HmrcMessage::json("{\"name\":\"smile 😀 end\"}"),
        HmrcMessage::xml("<a>😀 &amp; 💷</a>"),
    ];
    for message in &messages {
        let body = hmrc::body(message, hmrc::SAMPLE_BOX, &SystemClock);
        let key = post(&serve, Sender::Hmrc, &body).await;
        until("it is delivered", || !handler.attempts(&key).is_empty());
        let delivery = &handler.attempts(&key)[0];
        check(
            delivery,
            "x-hub-signature",
            &body,
            &hmrc_digits(body.signed.as_bytes()),
        );
        let is_escaped = body.wire != body.signed;
        assert_eq!(is_escaped, body.signed.contains('😀'));
        assert_eq!(
            hmrc_digits(&delivery.body) != delivery.header("x-hub-signature"),
            is_escaped
        );
    }
}

const CLIENT: [&str; 2] = ["a-client-id-of-hmrc-s", "a-client-secret-of-hmrc-s"];

#[test]
fn what_was_pulled_is_not_signed_for_its_sender_but_held_or_delivered_elsewhere() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ppns = runtime.block_on(PpnsApi::start(0, clock)).unwrap();
    ppns.with(|boxes| {
        boxes.register(PpnsApplication::new(CLIENT[0], CLIENT[1]));
        boxes.open(hmrc::SAMPLE_BOX, CLIENT[0]);
    });
    ppns.post(hmrc::SAMPLE_BOX, HmrcMessage::json("{\"n\":1}"));
    let (handler, ledger) = (ConsumerEndpoint::opened(), ConsumerEndpoint::opened());
    let pull = format!(
        "[sources.hmrc.pull]\nbase_url = \"{}\"\nboxes = [\"{}\"]\nclient_id = \"env:CLIENT_ID\"\n\
         client_secret = \"env:CLIENT_SECRET\"\n",
        ppns.base_url(),
        hmrc::SAMPLE_BOX
    );
    let folder = ProgramFolder::with(&handled_by(&handler, &pull));
    let start = || {
        let mut command = folder.serve_command();
        command.envs([("CLIENT_ID", CLIENT[0]), ("CLIENT_SECRET", CLIENT[1])]);
        let mut serve = RunningServe::spawn(&mut command);
        serve.await_ready();
        serve
    };
    let serve = start();
    until("it is held", || folder.count("held") == 1);
    let held = folder.list(&["--state", "held"]).remove(0);
    assert_eq!(
        (&held["reason"], &held["origin"]),
        (&"unsigned".into(), &"pull".into())
    );
    assert_eq!(folder.run(&["verify", "--stored"]).code, 0);
    let doctor = folder.run(&["doctor"]);
    assert!(
        doctor
            .stdout
            .contains("pulled notifications are held (unsigned)"),
        "{doctor:?}"
    );
    drop(serve);

    let elsewhere = format!(
        "pulled = \"ledger\"\n[destinations.ledger]\nkind = \"https\"\nurl = \"{}\"\n\
         secret = \"env:LEDGER_WHSEC\"\n{pull}",
        ledger.url()
    );
    folder.write("pillarbox.toml", handled_by(&handler, &elsewhere));
    let serve = start();
    let key = held["key"].as_str().unwrap();
    assert_eq!(folder.run(&["replay", key]).code, 0);
    until("it is delivered", || folder.count("delivered") == 1);
    let received = ledger.received();
    assert_eq!(received.len(), 1);
    let is_probe = |delivery: &ReceivedDelivery| delivery.target.starts_with("HEAD ");
    assert!(
        handler.received().iter().all(is_probe),
        "only doctor queries the handler"
    );
    received[0].check_signature();
    assert!(serve.stderr.all().iter().all(|line| !line.contains(WHSEC)));
}

#[test]
fn serve_refuses_messages_as_sent_in_a_queue_before_it_listens() {
    let folder = ProgramFolder::with(&format!(
        "{BOTH_SOURCES}\n[destination]\nkind = \"sqs\"\nformat = \"as-sent\"\n\
         url = \"https://sqs.eu-west-2.amazonaws.com/111122223333/ledger.fifo\"\n"
    ));
    let ran = folder.run(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--console",
        "127.0.0.1:0",
    ]);
    assert_eq!(ran.code, 2, "{ran:?}");
    let words = "destination.format is for kind = \"https\" only: a queue, a bus and a log carry \
                 no header of the sender";
    assert!(
        ran.stderr.contains(words) && !ran.stderr.contains("Ready"),
        "{ran:?}"
    );
}
