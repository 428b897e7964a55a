//! Two senders whose secrets and messages are made of canaries.

use base64::{Engine, prelude::BASE64_STANDARD};
use pillarbox::domain::{Clock, SystemClock};
use sender_simulator::Sender;
use serde_json::{Value, json};
use test_support::{
    canaries::{
        CanaryKind::{Hostile, Personal, Secret, Signature},
        CanarySet, value,
    },
    message::{Source, payment},
    request::{self, RawRequest, signature_header},
};

pub(super) const BOX: &str = "50dca3fc-c37c-4f03-b719-63571333624c";

/// The fields of Pay's messages that hold personal data, and what stands before the canary.
const PAY_FIELDS: [(&str, &str); 13] = [
    ("/reference", ""),
    ("/description", "Fee of "),
    ("/email", "a."),
    ("/return_url", "https://service.example.gov.uk/return/"),
    ("/card_details/cardholder_name", "Ms "),
    ("/card_details/last_digits_card_number", ""),
    ("/card_details/first_digits_card_number", ""),
    ("/card_details/expiry_date", ""),
    ("/card_details/billing_address/line1", "1 "),
    ("/card_details/billing_address/line2", "Flat \"4\", "),
    ("/card_details/billing_address/city", "Leeds "),
    ("/card_details/billing_address/postcode", "LS1 "),
    ("/metadata/case", ""),
];

/// Fields of a message that HMRC carries.
const HMRC_FIELDS: [&str; 4] = ["eori", "trader_name", "address", "free_text"];

/// Every configured secret and every field, each with its canary.
pub(super) struct CanarySources {
    pub(super) canaries: CanarySet,
    pub(super) hmrc: Source,
    pub(super) pay: Source,
    /// The variables of a process.
    pub(super) variables: Vec<(&'static str, String)>,
}

impl CanarySources {
    pub(super) fn new() -> Self {
        let mut canaries = CanarySet::default();
        let mut secret = |name: &str| canaries.add(Secret, name);
        // HMRC's secrets have 32 letters and digits.
        let [current, previous] = ["HMRC current", "HMRC previous"].map(|name| {
            let end = secret(&format!("{name}, its end"));
            format!("{}{}", secret(name), &end[..12])
        });
        let pay = ["Pay current", "Pay previous"].map(|name| secret(name).to_owned());
        let pay = pay.map(|secret| format!("webhook_test_{secret}"));
        let whsec = ["destination current", "destination previous"].map(|name| {
            let key = format!("{}{}", secret(name), secret(&format!("{name}, its end")));
            format!("whsec_{}", BASE64_STANDARD.encode(key))
        });
        let variables = vec![
            ("HMRC_CURRENT", current.clone()),
            ("HMRC_PREVIOUS", previous.clone()),
            ("PAY_CURRENT", pay[0].clone()),
            ("PAY_PREVIOUS", pay[1].clone()),
            ("LEDGER_CURRENT", whsec[0].clone()),
            ("LEDGER_PREVIOUS", whsec[1].clone()),
            ("CLIENT_ID", "a-client-id-of-hmrc-s".to_owned()),
            ("CLIENT_SECRET", secret("OAuth client secret")),
            ("API_KEY", format!("api_test_{}", secret("Pay API key"))),
            ("CONSOLE_TOKEN", secret("console token")),
            ("AWS_REGION", "eu-west-2".to_owned()),
            ("AWS_ACCESS_KEY_ID", secret("AWS access key")),
            ("AWS_SECRET_ACCESS_KEY", secret("AWS secret key")),
            ("AWS_SESSION_TOKEN", secret("AWS session token")),
            (
                "HTTPS_PROXY",
                format!(
                    "http://{}:{}@127.0.0.1:1",
                    secret("proxy user"),
                    secret("proxy password")
                ),
            ),
            ("RUST_LOG", "trace".to_owned()),
            ("RUST_BACKTRACE", "full".to_owned()),
            ("PILLARBOX_LOG", "trace".to_owned()),
        ];
        secret("OAuth token");
        for (name, _) in PAY_FIELDS {
            canaries.add(Personal, &format!("Pay {name}"));
        }
        canaries.add(Personal, "Pay name in metadata");
        for name in HMRC_FIELDS {
            canaries.add(Personal, &format!("HMRC {name}"));
        }
        for name in ["body", "header", "header name", "query", "cookie"] {
            canaries.add(Hostile, &format!("stranger's {name}"));
        }
        Self {
            canaries,
            hmrc: Source::new("hmrc", Sender::Hmrc, &[&current, &previous]),
            pay: Source::new("pay", Sender::GovukPay, &[&pay[0], &pay[1]]),
            variables,
        }
    }

    /// Both sources, each with both secrets, and the APIs that events are pulled from.
    pub(super) fn configuration(&self, api: &str) -> String {
        format!(
            "[sources.hmrc]\nkind = \"hmrc\"\nsecrets = [\"env:HMRC_CURRENT\", \
             \"env:HMRC_PREVIOUS\"]\n\
             [sources.hmrc.pull]\nbase_url = \"{api}\"\nboxes = [\"{BOX}\"]\n\
             client_id = \"env:CLIENT_ID\"\nclient_secret = \"env:CLIENT_SECRET\"\n\
             [sources.pay]\nkind = \"govuk-pay\"\nsecrets = [\"env:PAY_CURRENT\", \
             \"env:PAY_PREVIOUS\"]\n\
             [sources.pay.pull]\nbase_url = \"{api}\"\napi_key = \"env:API_KEY\"\n"
        )
    }

    /// A message of `source` with a canary in each personal field.
    pub(super) fn message(&self, source: &Source, id: &str) -> String {
        let at = SystemClock.now();
        match source.sender {
            Sender::GovukPay => {
                let mut resource = json!({"amount": 5000, "card_details": {"billing_address": {}},
                    "metadata": {value("Pay name in metadata"): 1}});
                for (path, before) in PAY_FIELDS {
                    let value = format!("{before}{}", value(&format!("Pay {path}")));
                    put(&mut resource, path, value);
                }
                json!({"webhook_message_id": id, "created_date": at.to_string(),
                    "resource_id": payment(id), "api_version": 1, "resource_type": "PAYMENT",
                    "event_type": "card_payment_captured", "resource": resource})
                .to_string()
            }
            Sender::Hmrc => {
                let field = |name: &&str| ((*name).to_owned(), value(&format!("HMRC {name}")));
                let inner: std::collections::BTreeMap<_, _> =
                    HMRC_FIELDS.iter().map(field).collect();
                json!({"notificationId": id, "boxId": BOX,
                    "messageContentType": "application/json",
                    "message": json!(inner).to_string(), "status": "PENDING",
                    "createdDateTime": at.to_string()})
                .to_string()
            }
        }
    }

    /// A genuine POST of `body`, signed with the previous secret if `is_previous`. Its signature is
    /// watched from now on.
    pub(super) fn post(&mut self, source: &Source, body: &str, is_previous: bool) -> RawRequest {
        let secret = &source.secrets[usize::from(is_previous)];
        let signature = request::signature(source.sender, secret, body);
        self.canaries.watch(Signature, "a signature", &signature);
        RawRequest::unsigned(source, body)
            .header(signature_header(source.sender), &signature)
            .header(
                "Authorization",
                format!("Bearer {}", value("stranger's header")),
            )
            .header("Cookie", format!("session={}", value("stranger's cookie")))
    }

    /// Requests of strangers that carry canaries in every place, and what a sender may get wrong.
    pub(super) fn strange(&mut self, source: &Source) -> Vec<Vec<u8>> {
        let [body, header, name, query] = ["body", "header", "header name", "query"]
            .map(|part| value(&format!("stranger's {part}")));
        let path = source.path();
        let message = self.message(source, "forged");
        let forged = request::signature(source.sender, "a secret of a stranger", &message);
        self.canaries
            .watch(Signature, "a forged signature", &forged);
        let signature = signature_header(source.sender);
        let unsigned = || RawRequest::unsigned(source, &message).header(&name, &header);
        let lines = [
            format!("GET {path}?challenge={query}_&x={query} HTTP/1.1"),
            format!("POST {path}?token={query} HTTP/1.1"),
            format!("PUT {path}?token={query} HTTP/1.1"),
            format!("POST /none?token={query} HTTP/1.1"),
            format!("POST {path}/../%0d%0a?{query} HTTP/1.1"),
            format!("GET {query} HTTP/1.1"),
            query.clone(),
        ];
        let mut requests = vec![
            unsigned(),
            unsigned().header(signature, &forged),
            unsigned().header(signature, &header),
            unsigned()
                .header(signature, &forged)
                .header(signature, &header),
            unsigned().header("User-Agent", format!("{header}\u{1f426}")),
            unsigned().header("X", format!("{header}\u{1}")),
            unsigned().header("X", header.repeat(700)),
            unsigned().header("Content-Length", "1"),
            unsigned().header("Transfer-Encoding", &header),
            RawRequest::unsigned(source, &body).header("Host", &header),
            RawRequest::unsigned(source, &body).header("Expect", &header),
        ];
        requests.extend(lines.iter().map(|line| unsigned().line(line)));
        requests.iter().map(RawRequest::bytes).collect()
    }
}

fn put(object: &mut Value, path: &str, value: String) {
    let (parent, name) = path.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap()[name] = value.into();
}
