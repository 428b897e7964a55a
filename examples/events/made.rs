//! Generates the files of `events/`. The same instant gives the same files on every machine.

use std::{collections::BTreeMap, fmt::Write, sync::Mutex};

use pillarbox::domain::Timestamp;
use sender_simulator::{Clock, MessageBody, Sender};
use serde_json::{Value, json};
use url::Url;

use crate::fronts::{FrontRequest, LambdaFront, batch, record};

/// The secrets that sign the messages. No sender has ever used them.
pub(crate) const HMRC_SECRET: &str = "LOCALEVENTSONLYLOCALEVENTSONLY22";
pub(crate) const PAY_SECRET: &str = "webhook_test_localeventsonlylocaleve";

/// The bodies: the name, sender and event of each.
const BODIES: [(&str, Sender, &str); 16] = [
    ("hmrc-json", Sender::Hmrc, "json"),
    ("hmrc-xml", Sender::Hmrc, "xml"),
    ("hmrc-transit", Sender::Hmrc, "transit"),
    ("hmrc-astral", Sender::Hmrc, "astral"),
    ("pay-succeeded", Sender::GovukPay, "succeeded"),
    ("pay-captured", Sender::GovukPay, "captured"),
    ("pay-refunded", Sender::GovukPay, "refunded"),
    ("pay-failed", Sender::GovukPay, "failed"),
    ("pay-expired", Sender::GovukPay, "expired"),
    ("hmrc-unicode", Sender::Hmrc, "unicode"),
    ("pay-apple-pay", Sender::GovukPay, "apple-pay"),
    ("pay-google-pay", Sender::GovukPay, "google-pay"),
    ("pay-telephone", Sender::GovukPay, "telephone"),
    ("pay-delayed-capture", Sender::GovukPay, "delayed-capture"),
    ("pay-agreement", Sender::GovukPay, "agreement"),
    (
        "pay-corporate-surcharge",
        Sender::GovukPay,
        "corporate-surcharge",
    ),
];

/// One invocation: its file, its purpose, and the expected answer.
pub(crate) struct Example {
    pub(crate) name: String,
    pub(crate) shows: &'static str,
    pub(crate) answer: &'static str,
    pub(crate) event: Value,
}

/// Every file of `events/`, by name.
pub(crate) fn everything(at: Timestamp) -> BTreeMap<String, String> {
    let mut files: BTreeMap<String, String> = bodies(at)
        .into_iter()
        .map(|(name, _, body)| (format!("bodies/{name}.json"), body.wire))
        .collect();
    let examples = examples(at);
    files.insert("README.md".to_owned(), readme(at, &examples));
    files.insert(
        "local.env".to_owned(),
        LOCAL
            .replace("{hmrc}", HMRC_SECRET)
            .replace("{pay}", PAY_SECRET),
    );
    for example in examples {
        files.insert(example.name, format!("{:#}\n", example.event));
    }
    files
}

fn bodies(at: Timestamp) -> Vec<(&'static str, Sender, MessageBody)> {
    let body = |(index, (name, sender, event)): (usize, &(&'static str, Sender, &str))| {
        let clock = FixedClock {
            at,
            seed: Mutex::new(at.as_millis().unsigned_abs().wrapping_add(index as u64)),
        };
        (
            *name,
            *sender,
            sender
                .body(Some(event), &clock)
                .expect("the sender has each event"),
        )
    };
    BODIES.iter().enumerate().map(body).collect()
}

/// Every invocation, in the order of the list in the README.
pub(crate) fn examples(at: Timestamp) -> Vec<Example> {
    let bodies = bodies(at);
    let mut examples: Vec<Example> = LambdaFront::ALL
        .into_iter()
        .flat_map(|front| requests(front, &bodies, at))
        .collect();
    examples.extend(batches(&bodies));
    examples.extend(schedules(at));
    examples
}

fn requests(
    front: LambdaFront,
    bodies: &[(&str, Sender, MessageBody)],
    at: Timestamp,
) -> Vec<Example> {
    let signed = |name: &str| {
        let (_, sender, body) = bodies
            .iter()
            .find(|(known, ..)| *known == name)
            .expect("the body exists");
        request(*sender, body)
    };
    let mut examples = Vec::new();
    let mut add = |name: &str, shows, answer, request: &FrontRequest| {
        let name = format!("{}/{name}.json", front.as_str());
        examples.push(Example {
            name,
            shows,
            answer,
            event: front.invocation(request, at),
        });
    };
    let challenge = FrontRequest::new(
        "GET",
        "/hmrc?challenge=1ed5f407-8096-40d1-87ef-9a2a103eeb85",
    )
    .header("User-Agent", "push-pull-notifications-api");
    add(
        "challenge",
        "HMRC asks whether the address is ours",
        r#"200 {"challenge":…}"#,
        &challenge,
    );
    for (name, shows) in [
        ("hmrc-json", "a push"),
        ("hmrc-xml", "a push whose message is XML"),
        ("hmrc-transit", "a push of the transit service"),
        (
            "hmrc-astral",
            "a push signed in another form than it is sent in",
        ),
        (
            "hmrc-unicode",
            "a push with é, € and U+2028, which HMRC does not escape",
        ),
        ("pay-succeeded", "the user has confirmed"),
        ("pay-captured", "the money has moved"),
        ("pay-refunded", "a refund went through"),
        ("pay-failed", "the card was rejected"),
        ("pay-expired", "the user did not finish in time"),
        (
            "pay-apple-pay",
            "Apple Pay: no e-mail address and no billing address",
        ),
        ("pay-google-pay", "Google Pay: the same"),
        (
            "pay-telephone",
            "a payment over the telephone was captured; its success is never sent",
        ),
        (
            "pay-delayed-capture",
            "the service has asked for the capture",
        ),
        (
            "pay-agreement",
            "a payment under an agreement: no return_url",
        ),
        (
            "pay-corporate-surcharge",
            "a corporate card: corporate_card_surcharge and total_amount",
        ),
    ] {
        add(
            name,
            shows,
            "200 recorded, and 200 duplicate when it is sent again",
            &signed(name),
        );
    }
    let pay = signed("pay-captured");
    add(
        "pay-base64",
        "the same as pay-captured, in base64",
        "200 recorded, or duplicate",
        &pay.clone().base64(),
    );
    let (unknown, no_event) = (
        other_event(&pay, "card_payment_disputed"),
        "an unknown event type",
    );
    add(
        "pay-unknown-event",
        no_event,
        "200 recorded, and 200 duplicate when it is sent again",
        &unknown,
    );
    let unreadable = resigned(&pay, b"{\"not\": \"a message\"}");
    add(
        "pay-unreadable",
        "genuine, but unreadable",
        "200 held",
        &unreadable,
    );
    let without = FrontRequest {
        headers: other_headers(&pay, |_| None),
        ..pay.clone()
    };
    add("pay-unsigned", "no signature", "401", &without);
    let upper = FrontRequest {
        headers: other_headers(&pay, |value| Some(value.to_uppercase())),
        ..pay.clone()
    };
    add("pay-upper-case", "a signature in upper case", "401", &upper);
    let wrong = FrontRequest {
        body: [&pay.body[..], b" "].concat(),
        ..pay.clone()
    };
    add(
        "pay-other-bytes",
        "a signature over other bytes",
        "401",
        &wrong,
    );
    let twice = pay
        .headers
        .iter()
        .find(|(name, _)| name == SIGNATURE)
        .map(|(_, value)| value.clone())
        .unwrap_or_default();
    add(
        "pay-two-signatures",
        "two signatures, both right",
        "401",
        &pay.clone().header(SIGNATURE, twice),
    );
    add(
        "other-path",
        "a path without a source",
        "404",
        &FrontRequest {
            path: "/pay/".to_owned(),
            ..pay.clone()
        },
    );
    add(
        "other-method",
        "another method",
        "405",
        &FrontRequest {
            method: "PUT".to_owned(),
            ..pay.clone()
        },
    );
    examples
}

const SIGNATURE: &str = "Pay-Signature";

/// The request with which a sender posts `body`.
fn request(sender: Sender, body: &MessageBody) -> FrontRequest {
    let (secret, path) = match sender {
        Sender::Hmrc => (HMRC_SECRET, "/hmrc"),
        Sender::GovukPay => (PAY_SECRET, "/pay"),
    };
    let url = Url::parse(&format!("https://callbacks.example.gov.uk{path}")).expect("a URL");
    let request = sender.request(body, secret, &url);
    let headers = request
        .headers
        .into_iter()
        .filter(|(name, _)| !name.eq_ignore_ascii_case("connection"))
        .collect();
    FrontRequest {
        headers,
        ..FrontRequest::new("POST", path).body(request.body)
    }
}

/// The same request with other bytes and their signature.
fn resigned(pay: &FrontRequest, body: &[u8]) -> FrontRequest {
    let text = String::from_utf8_lossy(body).into_owned();
    let body = MessageBody {
        id: String::new(),
        signed: text.clone(),
        wire: text,
    };
    FrontRequest {
        path: pay.path.clone(),
        ..request(Sender::GovukPay, &body)
    }
}

/// The same message about another event, with another id.
fn other_event(pay: &FrontRequest, event: &str) -> FrontRequest {
    let text = String::from_utf8_lossy(&pay.body).replacen("card_payment_captured", event, 1);
    let id = "\"webhook_message_id\":\"";
    let at = text.find(id).map_or(0, |at| at + id.len());
    resigned(
        pay,
        format!("{}0{}", &text[..at], &text[at + 1..]).as_bytes(),
    )
}

fn other_headers(
    request: &FrontRequest,
    change: impl Fn(&str) -> Option<String>,
) -> Vec<(String, String)> {
    let changed = |(name, value): &(String, String)| match name == SIGNATURE {
        true => Some((name.clone(), change(value)?)),
        false => Some((name.clone(), value.clone())),
    };
    request.headers.iter().filter_map(changed).collect()
}

fn batches(bodies: &[(&str, Sender, MessageBody)]) -> Vec<Example> {
    let key = |name: &str| {
        let (_, sender, body) = bodies
            .iter()
            .find(|(known, ..)| *known == name)
            .expect("the body exists");
        let source = if *sender == Sender::Hmrc {
            "hmrc"
        } else {
            "pay"
        };
        format!("{source}:{}", body.id)
    };
    let (hmrc, pay) = (key("hmrc-json"), key("pay-captured"));
    let done = r#"{"batchItemFailures":[]}, the rows delivered if they exist"#;
    let other = json!({"Records": [
        record(0, "INSERT", "~source:pay", "recorded"),
        record(1, "INSERT", &pay, "held"),
        record(2, "MODIFY", &pay, "recorded"),
        record(3, "REMOVE", &pay, "recorded"),
    ]});
    let mut unnamed = batch(&[(&hmrc, "recorded")]);
    unnamed["Records"][0]["dynamodb"]["SequenceNumber"] = json!("");
    [
        ("one", "one new row", done, batch(&[(&hmrc, "recorded")])),
        (
            "two",
            "two new rows",
            done,
            batch(&[(&hmrc, "recorded"), (&pay, "recorded")]),
        ),
        (
            "nothing-to-do",
            "changes that are not new recorded rows",
            r#"{"batchItemFailures":[]}"#,
            other,
        ),
        (
            "no-sequence",
            "a record without a sequence number",
            "error MalformedRecord",
            unnamed,
        ),
    ]
    .map(|(name, shows, answer, event)| Example {
        name: format!("stream/{name}.json"),
        shows,
        answer,
        event,
    })
    .into()
}

fn schedules(at: Timestamp) -> Vec<Example> {
    let seconds = at.to_string().get(..19).unwrap_or_default().to_owned();
    let rule = json!({
        "version": "0",
        "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "123456789012",
        "time": format!("{seconds}Z"),
        "region": "eu-west-2",
        "resources": ["arn:aws:events:eu-west-2:123456789012:rule/pillarbox-sweep"],
        "detail": {},
    });
    let queue = json!({"Records": [{
        "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
        "body": "{}",
        "attributes": {},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-2:123456789012:other",
        "awsRegion": "eu-west-2",
    }]});
    [
        (
            "schedule/sweep",
            "what the template's schedule sends",
            "the number of rows delivered",
            json!({"role": "sweep"}),
        ),
        (
            "schedule/reconcile",
            "what the template's other schedule sends; nothing is pulled from a source here",
            "error ForeignEvent",
            json!({"role": "reconcile"}),
        ),
        (
            "schedule/rule",
            "what a rule of EventBridge sends",
            "the number of rows delivered",
            rule,
        ),
        (
            "foreign/sqs",
            "a queue's messages, which no role handles",
            "error ForeignEvent",
            queue,
        ),
    ]
    .map(|(name, shows, answer, event)| Example {
        name: format!("{name}.json"),
        shows,
        answer,
        event,
    })
    .into()
}

fn readme(at: Timestamp, examples: &[Example]) -> String {
    let mut text = README.replace("{at}", &at.to_string());
    for Example {
        name,
        shows,
        answer,
        ..
    } in examples
    {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| [{name}]({name}) | {shows} | {answer} |");
    }
    text
}

const README: &str = "\
# Events

Events that invoke the function, in AWS's own formats: of every front, for every role, and some \
 that no role handles.
`bodies/` contains the messages of the senders, byte for byte.

All files were made for {at} by `cargo run --example events`. Run it again to date them today.
Never edit a file by hand: a signature covers exact bytes.
Pillarbox answers 200 to a notification older than 60 days and holds it as stale, so generate the \
 files again before you use them.

`local.env` contains the secrets of these signatures, which no sender uses, and the other \
 variables of a function
on this machine, with the table `pillarbox` of an emulator on 127.0.0.1:8000:
[docs/lambda-local.md](../docs/lambda-local.md) explains its use. `tests/it/events.rs` invokes the \
 function with every file.

| event | what it shows | answer |
|---|---|---|
";

const LOCAL: &str = "\
# Variables of a function on this machine, made by `cargo run --example events`. These secrets are \
 for examples only.
AWS_REGION=eu-west-2
AWS_ACCESS_KEY_ID=local
AWS_SECRET_ACCESS_KEY=local
AWS_ENDPOINT_URL=http://127.0.0.1:8000
HMRC_PUSH_SECRET={hmrc}
PAY_SIGNING_SECRET={pay}
PILLARBOX_CONFIG='
[sources.hmrc]
kind = \"hmrc\"
secrets = [\"env:HMRC_PUSH_SECRET\"]
[sources.pay]
kind = \"govuk-pay\"
secrets = [\"env:PAY_SIGNING_SECRET\"]
[inbox]
kind = \"dynamodb\"
table = \"pillarbox\"
[destination]
kind = \"log\"
'
";

/// A clock that stands still, with random numbers that depend only on its instant.
struct FixedClock {
    at: Timestamp,
    seed: Mutex<u64>,
}

impl Clock for FixedClock {
    fn now(&self) -> sender_simulator::Timestamp {
        sender_simulator::Timestamp::from_millis(self.at.as_millis())
    }

    fn random(&self) -> u64 {
        let mut seed = self
            .seed
            .lock()
            .expect("no thread panics while holding the lock");
        *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15); // SplitMix64
        let mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
