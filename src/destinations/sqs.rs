//! Sends events to an SQS queue: the CloudEvent as the body, the key as the attribute `id`.
//!
//! A FIFO queue keeps the events of one payment or box in the order in which they are delivered,
//! and drops a copy within five minutes.

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

/// The limit of a message with its attributes. Since August 2025 SQS accepts up to 1 MiB, but only
/// if the queue's `MaximumMessageSize` does, and tools still set that to the earlier limit of
/// 256 KiB.
const MAX_MESSAGE_BYTES: usize = 256 * 1024;
/// The limit of a group id and of a deduplication id.
const MAX_TOKEN_CHARS: usize = 128;
/// The attribute that contains the key, and its type.
const ID: (&str, &str) = ("id", "String");

/// An SQS queue.
pub struct SqsDestination {
    client: Client,
    queue: SqsQueue,
}

impl SqsDestination {
    /// Connects to `queue`.
    pub fn new(aws: &AwsConfig, queue: SqsQueue) -> Self {
        Self {
            client: Client::new(&aws.within(AwsService::Sqs, &AwsLimits::DELIVERY)),
            queue,
        }
    }

    /// Whether the queue exists. Sends no message.
    pub async fn probe(&self) -> Result<Probe, DeliveryError> {
        let request = self.client.get_queue_attributes();
        match request.queue_url(self.queue.url()).send().await {
            Ok(_) => Ok(Probe::Exists),
            Err(error) => match sdk_error::code(&error) {
                code if sdk_error::is_denied(&code) => Ok(Probe::AccessDenied),
                code => Err(delivery_error(&code, "", &self.queue)),
            },
        }
    }
}

impl Destination for SqsDestination {
    async fn deliver(&self, key: &Key, event: &Event) -> Result<(), DeliveryError> {
        let id = MessageAttributeValue::builder()
            .data_type(ID.1)
            .string_value(key.as_str());
        let id = id.build().map_err(|_| {
            DeliveryError::Unavailable("sqs: the attribute cannot be built".to_owned())
        })?;
        let fifo = FifoAttributes::of(key, event);
        let text = body(key, event);
        let message = self
            .client
            .send_message()
            .queue_url(self.queue.url())
            .message_body(String::from_utf8_lossy(text))
            .message_attributes(ID.0, id)
            .set_message_system_attributes(trace_attribute())
            .set_message_group_id(self.queue.is_fifo().then_some(fifo.group))
            .set_message_deduplication_id(self.queue.is_fifo().then_some(fifo.deduplication));
        let response = message.send().await.map_err(|error| {
            let message = error.message().unwrap_or_default();
            delivery_error(&sdk_error::code(&error), message, &self.queue)
        })?;
        confirm(&response, text, &self.queue)
    }
}

/// The system attribute that contains the trace. It does not count towards the size.
fn trace_attribute()
-> Option<HashMap<MessageSystemAttributeNameForSends, MessageSystemAttributeValue>> {
    let header = DeliveryTrace::current()?.aws_header()?;
    let value = MessageSystemAttributeValue::builder()
        .data_type(ID.1)
        .string_value(header);
    let name = MessageSystemAttributeNameForSends::AwsTraceHeader;
    Some(HashMap::from([(name, value.build().ok()?)]))
}

/// The event, or its claim check if the event is too long or contains characters that SQS refuses.
fn body<'a>(key: &Key, event: &'a Event) -> &'a Bytes {
    let attribute = ID.0.len() + ID.1.len() + key.as_str().len();
    let room = MAX_MESSAGE_BYTES.saturating_sub(attribute);
    if event.json().len() <= room && is_sendable(event.json()) {
        event.json()
    } else {
        event.claim_check()
    }
}

/// Whether SQS accepts this text. Of the characters that JSON may contain, SQS refuses only these
/// two.
fn is_sendable(json: &[u8]) -> bool {
    let refused = ["\u{FFFE}", "\u{FFFF}"].map(str::as_bytes);
    !json.windows(3).any(|bytes| refused.contains(&bytes))
}

/// The ids that a message to a FIFO queue needs.
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

/// `text` if a queue accepts it as an id, otherwise its SHA-256 in hex.
fn token(text: &str) -> String {
    let is_valid = (1..=MAX_TOKEN_CHARS).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_valid {
        text.to_owned()
    } else {
        hex::encode(Sha256::digest(text))
    }
}

/// Checks that the queue has exactly this text. Only SQS returns a message id with the digest.
fn confirm(
    response: &SendMessageOutput,
    sent: &[u8],
    queue: &SqsQueue,
) -> Result<(), DeliveryError> {
    let digest = hex::encode(Md5::digest(sent));
    let has_id = response.message_id().is_some_and(|id| !id.is_empty());
    if has_id && response.md5_of_message_body() == Some(&digest) {
        Ok(())
    } else {
        Err(delivery_error(sdk_error::NO_ANSWER, "", queue))
    }
}

/// The class of an error code, and advice. Only an error that the message itself causes is a
/// refusal. `InvalidParameterValue` is one only if the service's `message` says that the message is
/// too long; otherwise the whole call is wrong.
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

fn delivery_error(code: &str, message: &str, queue: &SqsQueue) -> DeliveryError {
    // Older codes have the prefix `AWS.SimpleQueueService.`.
    let code = code.rsplit('.').next().unwrap_or(code);
    let (class, advice) = classify(code, message);
    let reason = format!("sqs: {}: {code}: {advice}", queue.name());
    DeliveryError::from_aws(class, reason)
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

    fn queue() -> SqsQueue {
        SqsQueue::parse("https://sqs.eu-west-2.amazonaws.com/111122223333/ledger").unwrap()
    }

    #[test]
    fn the_group_is_the_subject_and_the_deduplication_id_the_key_if_they_are_valid_ids() {
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
            assert!(token(text).len() <= MAX_TOKEN_CHARS);
        }
        let event = example::event(&pay("m1", "p1", "card_payment_succeeded", NOW));
        let fifo = FifoAttributes {
            group: "p1".to_owned(),
            deduplication: "pay:m1".to_owned(),
        };
        assert_eq!(FifoAttributes::of(&key("pay:m1"), &event), fifo);
    }

    #[test]
    fn a_message_with_its_attribute_has_at_most_256_kib() {
        let room = MAX_MESSAGE_BYTES - "id".len() - "String".len() - "hmrc:n1".len();
        for (length, is_whole) in [(room, true), (room + 1, false)] {
            let event = example::event_of_length(length);
            let sent = body(&key("hmrc:n1"), &event);
            assert_eq!(sent == event.json(), is_whole, "{length}");
            assert_eq!(sent == event.claim_check(), !is_whole, "{length}");
        }
    }

    #[test]
    fn an_event_with_characters_that_sqs_refuses_is_replaced_by_its_claim_check() {
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
    fn only_errors_of_the_message_itself_are_refusals() {
        use ErrorClass::{Configuration, Refusal, Transient};
        let too_long = "One or more parameters are invalid. Reason: Message must be shorter than \
                        262144 bytes.";
        let invalid_url = "Value for QueueUrl is invalid";
        let grant = "grant sqs:SendMessage";
        let limit = "MaximumMessageSize";
        let old = |code: &str| format!("AWS.SimpleQueueService.{code}");
        for (code, message, class, advice) in [
            ("InvalidMessageContents", "", Refusal, "characters"),
            ("InvalidParameterValue", too_long, Refusal, limit),
            ("InvalidParameterValue", invalid_url, Configuration, "check"),
            ("InvalidParameterValue", "", Configuration, "check"),
            ("AccessDenied", "", Configuration, grant),
            ("AccessDeniedException", "", Configuration, grant),
            ("NotAuthorized", "", Configuration, grant),
            ("InvalidAddress", "", Configuration, "check its URL"),
            ("QueueDoesNotExist", "", Configuration, "check its URL"),
            (&old("NonExistentQueue"), "", Configuration, "its URL"),
            (&old("QueueDeletedRecently"), "", Configuration, "the queue"),
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
            let error = delivery_error(code, message, &queue());
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
    fn only_a_response_with_an_id_and_the_digest_of_the_text_confirms_a_message() {
        let response = |id: Option<&str>, digest: Option<&str>| {
            SendMessageOutput::builder()
                .set_message_id(id.map(str::to_owned))
                .set_md5_of_message_body(digest.map(str::to_owned))
                .build()
        };
        let digest = Some("5d41402abc4b2a76b9719d911017c592");
        let other_digest = Some("d41d8cd98f00b204e9800998ecf8427e");
        for (response, is_confirmed) in [
            (response(Some("1"), digest), true),
            (response(Some("1"), None), false),
            (response(Some("1"), other_digest), false),
            (response(Some(""), digest), false),
            (response(None, digest), false),
        ] {
            let confirmed = confirm(&response, b"hello", &queue());
            assert_eq!(confirmed.is_ok(), is_confirmed, "{response:?}");
            assert!(!matches!(confirmed, Err(DeliveryError::Refused(_))));
        }
    }
}
