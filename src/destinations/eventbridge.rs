//! One EventBridge bus: the CloudEvent as the detail, so that rules can match anything in it.

mod bus;

use aws_sdk_eventbridge::{
    Client, error::ProvideErrorMetadata, operation::put_events::PutEventsOutput,
    primitives::DateTime, types::PutEventsRequestEntry,
};
use bytes::Bytes;
use tokio::sync::OnceCell;

use super::{DeliveryError, DeliveryTrace, Destination, Event, Probe};
use crate::{
    aws::{
        AwsConfig, AwsLimits, AwsService,
        sdk_error::{self, ErrorClass},
    },
    domain::Key,
};

pub use bus::{EventBus, EventBusError};

/// The largest entry, counted as EventBridge counts: 14 bytes for the time, and the UTF-8 of
/// source, detail type and detail.
const LARGEST: usize = 256 * 1024;
const TIME: usize = 14;
/// The longest detail type, in characters.
const LONGEST_TYPE: usize = 128;

/// A bus of the team's own.
pub struct EventBridgeDestination {
    client: Client,
    bus: EventBus,
    seen: OnceCell<Probe>,
}

impl EventBridgeDestination {
    /// `bus`, as it is reached over `aws`.
    pub fn new(aws: &AwsConfig, bus: EventBus) -> Self {
        let client = Client::new(&aws.within(AwsService::EventBridge, &AwsLimits::DELIVERY));
        Self {
            client,
            bus,
            seen: OnceCell::new(),
        }
    }

    /// Whether the bus is there, without sending anything.
    pub async fn probe(&self) -> Result<Probe, DeliveryError> {
        let asked = self
            .client
            .describe_event_bus()
            .name(self.bus.as_str())
            .send()
            .await;
        match asked.map_err(|error| sdk_error::code(&error)) {
            Ok(_) => Ok(Probe::There),
            Err(code) if sdk_error::is_denied(&code) => Ok(Probe::Forbidden),
            Err(code) => Err(failed(classify_call, &code, "", &self.bus)),
        }
    }
}

impl Destination for EventBridgeDestination {
    async fn deliver(&self, _: &Key, event: &Event) -> Result<(), DeliveryError> {
        // EventBridge takes events for a bus that isn't there, and drops them. So it is looked for,
        // once a process; where we may not look, nothing is known, and the event is sent.
        self.seen.get_or_try_init(|| self.probe()).await?;
        let trace = DeliveryTrace::current().and_then(|trace| trace.aws_header());
        let put = self
            .client
            .put_events()
            .entries(entry(&self.bus, event, trace))
            .send()
            .await;
        let answer = put.map_err(|error| {
            let message = error.message().unwrap_or_default();
            failed(classify_call, &sdk_error::code(&error), message, &self.bus)
        })?;
        confirm(&answer, &self.bus)
    }
}

/// The entry of one event: the same for ever except for the trace, since every part of it is.
fn entry(bus: &EventBus, event: &Event, trace: Option<String>) -> PutEventsRequestEntry {
    let (source, detail_type) = (format!("pillarbox.{}", event.source()), detail_type(event));
    let detail = detail(&source, &detail_type, event);
    PutEventsRequestEntry::builder()
        .event_bus_name(bus.as_str())
        .set_time(
            event
                .time()
                .map(|time| DateTime::from_millis(time.as_millis())),
        )
        .detail(String::from_utf8_lossy(detail))
        .source(source)
        .detail_type(detail_type)
        .set_trace_header(trace)
        .build()
}

/// The event's type, as long as it may be; the whole of it stands in the detail.
fn detail_type(event: &Event) -> String {
    event.event_type().chars().take(LONGEST_TYPE).collect()
}

fn detail<'a>(source: &str, detail_type: &str, event: &'a Event) -> &'a Bytes {
    let room = LARGEST.saturating_sub(TIME + source.len() + detail_type.len());
    if event.json().len() < room {
        event.json()
    } else {
        event.claim_check()
    }
}

/// Whether the answer confirms that the bus has the event. A status of 200 does not: the entry of
/// the event does, if the count of failed entries agrees.
fn confirm(answer: &PutEventsOutput, bus: &EventBus) -> Result<(), DeliveryError> {
    match answer.entries() {
        [entry] => match (entry.error_code(), entry.event_id()) {
            (Some(code), _) => {
                let message = entry.error_message().unwrap_or_default();
                Err(failed(classify_entry, &sdk_error::tidy(code), message, bus))
            }
            (None, Some(id)) if !id.is_empty() && answer.failed_entry_count() == 0 => Ok(()),
            _ => Err(failed(classify_call, sdk_error::NO_ANSWER, "", bus)),
        },
        _ => Err(failed(classify_call, sdk_error::NO_ANSWER, "", bus)),
    }
}

/// The meaning of an entry's error code, and what to do. `InvalidArgument` is about this very event
/// only if the service's own `message` names what the event determines: the bus and the source are
/// the same for all.
fn classify_entry(code: &str, message: &str) -> (ErrorClass, &'static str) {
    let is_of_event = ["Detail", "Time"].iter().any(|name| message.contains(name));
    match code {
        "MalformedDetail" => (ErrorClass::Refusal, "it does not take this event"),
        "InvalidArgument" if is_of_event => (ErrorClass::Refusal, "it does not take this event"),
        "InvalidArgument" => (
            ErrorClass::Configuration,
            "check the name of the bus and of the source",
        ),
        other => classify_call(other, message),
    }
}

/// The meaning of the error code of a whole call, and what to do. Nothing of it is about one event,
/// except that the event is too large.
fn classify_call(code: &str, message: &str) -> (ErrorClass, &'static str) {
    match code {
        "ValidationException" if message.contains("over the limit") => (
            ErrorClass::Refusal,
            "it does not take an event of this size",
        ),
        code if sdk_error::is_denied(code) => {
            (ErrorClass::Configuration, "grant events:PutEvents on it")
        }
        "NotAuthorizedForSourceException"
        | "NotAuthorizedForDetailTypeException"
        | "InvalidAccountIdException" => (ErrorClass::Configuration, "check the policy of the bus"),
        "RedactionFailure" | "LoggingFailure" => (
            ErrorClass::Configuration,
            "check the key and the logs of the bus",
        ),
        "ResourceNotFoundException" => (
            ErrorClass::Configuration,
            "check its name, and that AWS_REGION is its region",
        ),
        "OperationDisabledException" | "InvalidStateException" => {
            (ErrorClass::Configuration, "check the bus")
        }
        other => sdk_error::classify_common(other),
    }
}

fn failed(
    classify: fn(&str, &str) -> (ErrorClass, &'static str),
    code: &str,
    message: &str,
    bus: &EventBus,
) -> DeliveryError {
    let (class, advice) = classify(code, message);
    let why = format!("eventbridge: {}: {code}: {advice}", bus.name());
    DeliveryError::of_aws(class, why)
}

#[cfg(test)]
mod tests {
    use aws_sdk_eventbridge::types::PutEventsResultEntry;

    use super::*;
    use crate::{
        destinations::example,
        senders::example::{NOW, pay},
    };

    fn bus() -> EventBus {
        EventBus::parse("ledger").unwrap()
    }

    #[test]
    fn an_entry_says_who_tells_of_what_and_when() {
        let event = example::event(&pay("m1", "p1", "card_payment_succeeded", NOW));
        let entry = entry(&bus(), &event, Some("Root=1".to_owned()));
        assert_eq!(entry.trace_header(), Some("Root=1"));
        assert_eq!(entry.event_bus_name(), Some("ledger"));
        assert_eq!(entry.source(), Some("pillarbox.pay"));
        assert_eq!(entry.detail_type(), Some("card_payment_succeeded"));
        assert_eq!(entry.detail().map(str::as_bytes), Some(&event.json()[..]));
        assert_eq!(
            entry.time().and_then(|time| time.to_millis().ok()),
            Some(NOW.as_millis())
        );
    }

    #[test]
    fn a_type_is_128_characters_long_at_most_and_whole_in_the_detail() {
        let event = example::event(&pay("m1", "p1", &"x".repeat(200), NOW));
        assert_eq!(detail_type(&event).len(), LONGEST_TYPE);
        assert!(event.event_type().starts_with(&detail_type(&event)));
    }

    #[test]
    fn an_entry_is_less_than_256_kib_large_as_eventbridge_counts() {
        let event_type = "notification";
        let least_too_large = LARGEST - TIME - "pillarbox.hmrc".len() - event_type.len();
        for (length, is_whole) in [(least_too_large - 1, true), (least_too_large, false)] {
            let event = example::event_of_length(length);
            let sent = detail("pillarbox.hmrc", event_type, &event);
            assert_eq!(sent == event.json(), is_whole, "{length}");
            assert_eq!(sent == event.claim_check(), !is_whole, "{length}");
        }
    }

    #[test]
    fn only_one_entry_with_an_id_and_no_error_confirms_an_event() {
        let result = |id: Option<&str>, code: Option<&str>| {
            PutEventsResultEntry::builder()
                .set_event_id(id.map(str::to_owned))
                .set_error_code(code.map(str::to_owned))
                .build()
        };
        let answer = |failed: i32, entries: &[PutEventsResultEntry]| {
            PutEventsOutput::builder()
                .failed_entry_count(failed)
                .set_entries(Some(entries.to_vec()))
                .build()
        };
        let put = result(Some("1"), None);
        assert_eq!(
            confirm(&answer(0, std::slice::from_ref(&put)), &bus()),
            Ok(())
        );
        for other in [
            answer(0, &[]),
            answer(0, &[result(None, None)]),
            answer(0, &[result(Some(""), None)]),
            answer(1, std::slice::from_ref(&put)),
            answer(0, &[put.clone(), put]),
            answer(1, &[result(Some("1"), Some("ThrottlingException"))]),
        ] {
            let confirmed = confirm(&other, &bus());
            assert!(
                matches!(confirmed, Err(DeliveryError::Unavailable(_))),
                "{other:?}"
            );
        }
    }

    #[test]
    fn only_what_is_wrong_with_the_event_is_a_refusal() {
        use ErrorClass::{Configuration, Refusal, Transient};
        let detail = "Parameter Detail is not valid. Reason: Detail is not an object.";
        let name = "Parameter EventBusName is not valid.";
        let size = "Total size of the entries in the request is over the limit.";
        // The error of the event's own entry, and of the whole call with the same code.
        for (code, message, of_entry, of_call, advice) in [
            ("MalformedDetail", "", Refusal, Transient, ""),
            ("InvalidArgument", detail, Refusal, Transient, ""),
            ("InvalidArgument", name, Configuration, Transient, ""),
            ("InvalidArgument", "", Configuration, Transient, ""),
            ("ValidationException", size, Refusal, Refusal, "size"),
            (
                "ValidationException",
                detail,
                Configuration,
                Configuration,
                "check",
            ),
            (
                "ValidationException",
                "",
                Configuration,
                Configuration,
                "check",
            ),
            (
                "AccessDeniedException",
                "",
                Configuration,
                Configuration,
                "grant events:PutEvents",
            ),
            (
                "NotAuthorizedForSourceException",
                "",
                Configuration,
                Configuration,
                "policy",
            ),
            (
                "NotAuthorizedForDetailTypeException",
                "",
                Configuration,
                Configuration,
                "policy",
            ),
            (
                "InvalidAccountIdException",
                "",
                Configuration,
                Configuration,
                "policy",
            ),
            (
                "RedactionFailure",
                "",
                Configuration,
                Configuration,
                "the key",
            ),
            (
                "ResourceNotFoundException",
                "",
                Configuration,
                Configuration,
                "check its name",
            ),
            (
                "OperationDisabledException",
                "",
                Configuration,
                Configuration,
                "check the bus",
            ),
            (
                "ThrottlingException",
                "",
                Transient,
                Transient,
                "tried again",
            ),
            ("InternalFailure", "", Transient, Transient, "tried again"),
            ("InternalException", "", Transient, Transient, "tried again"),
            ("Timeout", "", Transient, Transient, "tried again"),
            ("SomethingNew", detail, Transient, Transient, "tried again"),
        ] {
            assert_eq!(
                classify_entry(code, message).0,
                of_entry,
                "{code} {message}"
            );
            assert_eq!(classify_call(code, message).0, of_call, "{code} {message}");
            let error = failed(classify_call, code, message, &bus()).to_string();
            assert!(
                error.contains(advice) && error.contains("ledger") && !error.contains("Parameter"),
                "{error}"
            );
        }
    }
}
