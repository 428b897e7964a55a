//! The sources of a server under test, and the messages of their senders.

use pillarbox::{
    domain::{SourceName, Timestamp},
    secrets::Secret,
    senders::{self, SenderKind, SigningKey},
};
use sender_simulator::Sender;
use sha2::{Digest, Sha256};

use super::request;

/// One configured source with its secrets.
#[derive(Clone, Debug)]
pub struct Source {
    pub name: String,
    pub sender: Sender,
    pub secrets: Vec<String>,
}

impl Source {
    pub fn new(name: &str, sender: Sender, secrets: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            sender,
            secrets: secrets.iter().map(|&secret| secret.to_owned()).collect(),
        }
    }

    pub fn path(&self) -> String {
        format!("/{}", self.name)
    }

    /// The signature of `body` under the first secret.
    pub fn sign(&self, body: impl AsRef<[u8]>) -> String {
        request::signature(self.sender, &self.secrets[0], body)
    }

    /// The key under which an unreadable body is stored.
    pub fn unreadable_key(&self, body: impl AsRef<[u8]>) -> String {
        format!(
            "{}:sha256-{}",
            self.name,
            hex::encode(Sha256::digest(body.as_ref()))
        )
    }

    /// A message of this source's sender with this id and date.
    pub fn message(&self, id: &str, at: Timestamp) -> String {
        match self.sender {
            Sender::Hmrc => format!(
                r#"{{"notificationId":"{id}","boxId":"50dca3fc-c37c-4f03-b719-63571333624c",
                    "messageContentType":"application/json","message":"{{\"n\":1}}",
                    "status":"PENDING","createdDateTime":"{at}"}}"#
            ),
            Sender::GovukPay => format!(
                r#"{{"webhook_message_id":"{id}","created_date":"{at}","resource_id":"{}",
                    "api_version":1,"resource_type":"PAYMENT",
                    "event_type":"card_payment_captured","resource":{{"amount":5000}}}}"#,
                payment(id)
            ),
        }
    }

    /// The source in the receiver's configuration.
    pub fn configured(&self) -> senders::Source {
        let kind = SenderKind::parse(self.sender.as_str()).unwrap();
        let key = |(index, secret): (usize, &String)| {
            SigningKey::new(
                kind,
                format!("{}:env:TEST", index + 1),
                &Secret::new(secret.clone()),
            )
        };
        let keys = self.secrets.iter().enumerate().map(key).collect();
        senders::Source {
            name: SourceName::new(&self.name).unwrap(),
            kind,
            keys,
        }
    }
}

/// The payment in the message of [`Source::message`] with this id. Each id has a different payment,
/// because the same event of a payment would be a repeat.
pub fn payment(id: &str) -> String {
    hex::encode(&Sha256::digest(id)[..13])
}

/// A box of HMRC, with its previous secret as the second one.
pub fn hmrc() -> Source {
    Source::new(
        "hmrc",
        Sender::Hmrc,
        &[
            "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
            "234567ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        ],
    )
}

/// Another box of HMRC with the same secrets, which belong to the application.
pub fn hmrc_too() -> Source {
    Source {
        name: "hmrc-too".to_owned(),
        ..hmrc()
    }
}

pub fn pay() -> Source {
    Source::new(
        "pay",
        Sender::GovukPay,
        &["webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu"],
    )
}

pub fn pay_too() -> Source {
    Source::new(
        "pay-too",
        Sender::GovukPay,
        &["webhook_test_0qk4h8d2m6r1v5b9f3j7n0s4w8"],
    )
}

/// A source of each sender without a secret.
pub fn without_secret() -> [Source; 2] {
    [
        Source::new("hmrc-new", Sender::Hmrc, &[]),
        Source::new("pay-new", Sender::GovukPay, &[]),
    ]
}

/// One source of each sender.
pub fn both() -> [Source; 2] {
    [hmrc(), pay()]
}

/// Replaces a part of `text`, which must occur in it.
pub fn with(text: &str, part: &str, other: &str) -> String {
    assert!(text.contains(part), "{part} in {text}");
    text.replacen(part, other, 1)
}

/// Bytes that are incompressible and not UTF-8.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Queries that are not a challenge of HMRC on any front: no challenge, several, another spelling,
/// or characters that must not be echoed.
pub const NO_CHALLENGES: [&str; 20] = [
    "",
    "x=1",
    "challenge",
    "challenge=",
    "Challenge=abc",
    "challenge=a&challenge=b",
    "challenge=a&challenge=a",
    "challenge=a&%63hallenge=b",
    "challenge=<script>alert(1)</script>",
    "challenge=%3Cscript%3E",
    "challenge=a%0d%0aSet-Cookie:x",
    "challenge=%22",
    "challenge=a\"b",
    "challenge=a'b",
    "challenge=%C3%A9",
    "challenge=é",
    "challenge=%ff",
    "challenge=a%00",
    "challenge=a+b",
    "challenge=a_b",
];
