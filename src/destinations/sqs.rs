//! One SQS queue: the CloudEvent as the body, its key as the attribute `id`.
//!
//! In a FIFO queue the events of one payment or box stay in the order they are handed on, and a
//! copy within five minutes is swallowed by the queue.

mod queue;

use std::collections::HashMap;

use aws_sdk_sqs::{
    Client,
    error::ProvideErrorMetadata,
    operation::send_message::SendMessageOutput,
    types::{
        MessageAttributeValue, MessageSystemAttributeNameForSends, MessageSystemAttributeValue,
    },
};
use bytes::Bytes;
use md5::Md5;
use sha2::{Digest, Sha256};

use super::{DeliveryError, DeliveryTrace, Destination, Event, Probe};
use crate::{
    aws::{
        AwsConfig, AwsLimits, AwsService,
        sdk_error::{self, ErrorClass},
    },
    domain::Key,
};

pub use queue::{SqsQueue, SqsQueueError};

/// The longest message, its attributes included. SQS takes up to 1 MiB since August 2025, but only
/// where the queue's own `MaximumMessageSize` does, which tools still set to the 256 KiB that were
/// the most before.
const LONGEST: usize = 256 * 1024;
/// The longest group and deduplication id.
const LONGEST_TOKEN: usize = 128;
/// The attribute that carries the key, and its type.
const ID: (&str, &str) = ("id", "String");

/// A queue of the team's own.
pub struct SqsDestination {
    client: Client,
    queue: SqsQueue,
}

impl SqsDestination {
    /// `queue`, as it is reached over `aws`.
    pub fn new(aws: &AwsConfig, queue: SqsQueue) -> Self {
        Self {
            client: Client::new(&aws.within(AwsService::Sqs, &AwsLimits::DELIVERY)),
            queue,
        }
    }

    /// Whether the queue is there, without sending anything.
    pub async fn probe(&self) -> Result<Probe, DeliveryError> {
        let asked = self
            .client
            .get_queue_attributes()
            .queue_url(self.queue.url())
            .send()
            .await;
        match asked.map_err(|error| sdk_error::code(&error)) {
            Ok(_) => Ok(Probe::There),
            Err(code) if sdk_error::is_denied(&code) => Ok(Probe::Forbidden),
            Err(code) => Err(failed(&code, "", &self.queue)),
        }
    }
}

impl Destination for SqsDestination {
    async fn deliver(&self, key: &Key, event: &Event) -> Result<(), DeliveryError> {
        let id = MessageAttributeValue::builder()
            .data_type(ID.1)
            .string_value(key.as_str());
        let id = id.build().map_err(|_| {
            DeliveryError::Unavailable("sqs: the attribute can't be made".to_owned())
        })?;
        let (fifo, text) = (FifoAttributes::of(key, event), body(key, event));
        let message = self
            .client
            .send_message()
            .queue_url(self.queue.url())
            .message_body(String::from_utf8_lossy(text))
            .message_attributes(ID.0, id)
            .set_message_system_attributes(trace_attribute())
            .set_message_group_id(self.queue.is_fifo().then_some(fifo.group))
            .set_message_deduplication_id(self.queue.is_fifo().then_some(fifo.deduplication));
        let answer = message.send().await.map_err(|error| {
            let message = error.message().unwrap_or_default();
            failed(&sdk_error::code(&error), message, &self.queue)
        })?;
        confirm(&answer, text, &self.queue)
    }
}

/// The system attribute that carries the trace, which does not count towards the size.
fn trace_attribute()
-> Option<HashMap<MessageSystemAttributeNameForSends, MessageSystemAttributeValue>> {
    let header = DeliveryTrace::current()?.aws_header()?;
    let value = MessageSystemAttributeValue::builder()
        .data_type(ID.1)
        .string_value(header);
    let name = MessageSystemAttributeNameForSends::AwsTraceHeader;
    Some(HashMap::from([(name, value.build().ok()?)]))
}

/// The event, or its claim check where it is too long or has characters that no message may have.
fn body<'a>(key: &Key, event: &'a Event) -> &'a Bytes {
    let room = LONGEST.saturating_sub(ID.0.len() + ID.1.len() + key.as_str().len());
    if event.json().len() <= room && is_sendable(event.json()) {
        event.json()
    } else {
        event.claim_check()
    }
}

/// Whether SQS takes this text. Of what JSON may hold, it refuses these two alone.
fn is_sendable(json: &[u8]) -> bool {
    let holds = |no_character: &str| {
        json.windows(3)
            .any(|bytes| bytes == no_character.as_bytes())
    };
    !holds("\u{FFFE}") && !holds("\u{FFFF}")
}

/// What a FIFO queue needs to know of a message.
#[derive(Debug, PartialEq, Eq)]
struct FifoAttributes {
    group: String,
    deduplication: String,
}

impl FifoAttributes {
    fn of(key: &Key, event: &Event) -> Self {
        Self {
            group: token(event.subject().unwrap_or(key.as_str())),
            deduplication: token(key.as_str()),
        }
    }
}

/// `text` where a queue takes it as an id, or else its SHA-256 in hex.
fn token(text: &str) -> String {
    let is_taken = (1..=LONGEST_TOKEN).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_taken {
        text.to_owned()
    } else {
        hex::encode(Sha256::digest(text))
    }
}

/// Whether the answer confirms that the queue has this very text: only SQS knows a message id and
/// the digest.
fn confirm(answer: &SendMessageOutput, sent: &[u8], queue: &SqsQueue) -> Result<(), DeliveryError> {
    let digest = hex::encode(Md5::digest(sent));
    let is_confirmed = answer.message_id.as_ref().is_some_and(|id| !id.is_empty())
        && answer.md5_of_message_body.as_ref() == Some(&digest);
    if is_confirmed {
        Ok(())
    } else {
        Err(failed(sdk_error::NO_ANSWER, "", queue))
    }
}

/// The meaning of an error code, and what to do. Only what is wrong with this very message is a
/// refusal: `InvalidParameterValue` is that only if the message is too long, which the service's
/// own `message` says; otherwise the whole call is wrong.
fn classify(code: &str, message: &str) -> (ErrorClass, &'static str) {
    match code {
        "InvalidMessageContents" => (ErrorClass::Refusal, "it has characters that no queue takes"),
        "InvalidParameterValue" if message.contains("must be shorter than") => {
            (ErrorClass::Refusal, "check its MaximumMessageSize")
        }
        code if sdk_error::is_denied(code) => {
            (ErrorClass::Configuration, "grant sqs:SendMessage on it")
        }
        "KmsAccessDenied" => (
            ErrorClass::Configuration,
            "grant kms:GenerateDataKey and kms:Decrypt on its key",
        ),
        "KmsDisabled" | "KmsInvalidKeyUsage" | "KmsInvalidState" | "KmsNotFound"
        | "KmsOptInRequired" => (
            ErrorClass::Configuration,
            "check the key it is encrypted with",
        ),
        "QueueDoesNotExist" | "NonExistentQueue" | "InvalidAddress" => (
            ErrorClass::Configuration,
            "check its URL, and that AWS_REGION is its region",
        ),
        "QueueDeletedRecently" | "UnsupportedOperation" => {
            (ErrorClass::Configuration, "check the queue and its URL")
        }
        other => sdk_error::classify_common(other),
    }
}

fn failed(code: &str, message: &str, queue: &SqsQueue) -> DeliveryError {
    // Older names follow `AWS.SimpleQueueService.`.
    let code = code.rsplit('.').next().unwrap_or(code);
    let (class, advice) = classify(code, message);
    let why = format!("sqs: {}: {code}: {advice}", queue.name());
    DeliveryError::of_aws(class, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        destinations::example,
        senders::example::{NOW, pay},
    };

    fn key(text: &str) -> Key {
        Key::parse(text).unwrap()
    }

    #[test]
    fn a_group_is_the_subject_and_a_deduplication_id_the_key_where_a_queue_takes_them() {
        let long = format!("pay:{}", "x".repeat(125));
        let hashed = |text: &str| hex::encode(Sha256::digest(text));
        for (text, expected) in [
            ("p1", "p1".to_owned()),
            ("pay:a%20b~0123abcd", "pay:a%20b~0123abcd".to_owned()),
            (&"x".repeat(128), "x".repeat(128)),
            (&long, hashed(&long)),
            ("two words", hashed("two words")),
            ("é", hashed("é")),
            ("", hashed("")),
        ] {
            assert_eq!(token(text), expected);
            assert!(token(text).len() <= LONGEST_TOKEN);
        }
        let event = example::event(&pay("m1", "p1", "card_payment_succeeded", NOW));
        let fifo = FifoAttributes {
            group: "p1".to_owned(),
            deduplication: "pay:m1".to_owned(),
        };
        assert_eq!(FifoAttributes::of(&key("pay:m1"), &event), fifo);
    }

    #[test]
    fn a_message_is_256_kib_long_at_most_with_its_attribute() {
        let room = LONGEST - "id".len() - "String".len() - "hmrc:n1".len();
        for (length, is_whole) in [(room, true), (room + 1, false)] {
            let event = example::event_of_length(length);
            let sent = body(&key("hmrc:n1"), &event);
            assert_eq!(sent == event.json(), is_whole, "{length}");
            assert_eq!(sent == event.claim_check(), !is_whole, "{length}");
        }
    }

    #[test]
    fn what_no_message_may_hold_stays_in_the_inbox() {
        for (text, is_whole) in [
            ("\u{FFFD}", true),
            ("\u{10FFFF}", true),
            ("\u{FFFE}", false),
            ("\u{FFFF}", false),
        ] {
            let event = example::event(&crate::senders::example::hmrc(
                "n1",
                &format!(r#"{{"x":"{text}"}}"#),
            ));
            assert_eq!(
                body(&key("hmrc:n1"), &event) == event.json(),
                is_whole,
                "{text:?}"
            );
        }
    }

    #[test]
    fn only_what_is_wrong_with_the_message_is_a_refusal() {
        use ErrorClass::{Configuration, Refusal, Transient};
        let queue =
            SqsQueue::parse("https://sqs.eu-west-2.amazonaws.com/111122223333/ledger").unwrap();
        let too_long = "One or more parameters are invalid. Reason: Message must be shorter than \
                        262144 bytes.";
        for (code, message, class, advice) in [
            ("InvalidMessageContents", "", Refusal, "characters"),
            (
                "InvalidParameterValue",
                too_long,
                Refusal,
                "MaximumMessageSize",
            ),
            (
                "InvalidParameterValue",
                "Value for QueueUrl is invalid",
                Configuration,
                "check",
            ),
            ("InvalidParameterValue", "", Configuration, "check"),
            ("AccessDenied", "", Configuration, "grant sqs:SendMessage"),
            (
                "AccessDeniedException",
                "",
                Configuration,
                "grant sqs:SendMessage",
            ),
            ("NotAuthorized", "", Configuration, "grant sqs:SendMessage"),
            ("InvalidAddress", "", Configuration, "check its URL"),
            ("QueueDoesNotExist", "", Configuration, "check its URL"),
            (
                "AWS.SimpleQueueService.NonExistentQueue",
                "",
                Configuration,
                "check its URL",
            ),
            (
                "AWS.SimpleQueueService.QueueDeletedRecently",
                "",
                Configuration,
                "the queue",
            ),
            ("UnsupportedOperation", "", Configuration, "the queue"),
            ("InvalidSecurity", "", Configuration, "credentials"),
            ("KmsAccessDenied", "", Configuration, "kms:GenerateDataKey"),
            ("KmsDisabled", "", Configuration, "the key"),
            ("KmsInvalidKeyUsage", "", Configuration, "the key"),
            ("KmsInvalidState", "", Configuration, "the key"),
            ("KmsNotFound", "", Configuration, "the key"),
            ("KmsOptInRequired", "", Configuration, "the key"),
            ("KmsThrottled", "", Transient, "tried again"),
            ("RequestThrottled", "", Transient, "tried again"),
            ("OverLimit", "", Transient, "tried again"),
            ("SomethingNew", too_long, Transient, "tried again"),
        ] {
            let name = code.rsplit('.').next().unwrap();
            assert_eq!(classify(name, message).0, class, "{code}");
            let error = failed(code, message, &queue);
            assert_eq!(
                matches!(error, DeliveryError::Refused(_)),
                class == Refusal,
                "{code}"
            );
            let text = error.to_string();
            assert!(
                text.contains(advice) && text.contains("ledger") && !text.contains("262144"),
                "{text}"
            );
        }
    }

    #[test]
    fn only_an_answer_with_an_id_and_the_digest_of_what_was_sent_confirms_it() {
        let queue =
            SqsQueue::parse("https://sqs.eu-west-2.amazonaws.com/111122223333/ledger").unwrap();
        let answer = |id: Option<&str>, digest: Option<&str>| {
            SendMessageOutput::builder()
                .set_message_id(id.map(str::to_owned))
                .set_md5_of_message_body(digest.map(str::to_owned))
                .build()
        };
        let digest = Some("5d41402abc4b2a76b9719d911017c592");
        for (answer, is_confirmed) in [
            (answer(Some("1"), digest), true),
            (answer(Some("1"), None), false),
            (
                answer(Some("1"), Some("d41d8cd98f00b204e9800998ecf8427e")),
                false,
            ),
            (answer(Some(""), digest), false),
            (answer(None, digest), false),
        ] {
            let confirmed = confirm(&answer, b"hello", &queue);
            assert_eq!(confirmed.is_ok(), is_confirmed, "{answer:?}");
            assert!(!matches!(confirmed, Err(DeliveryError::Refused(_))));
        }
    }
}
