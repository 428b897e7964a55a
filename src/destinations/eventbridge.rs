//! Puts events on an EventBridge bus. The detail is the whole CloudEvent, so that rules can match
//! any part of it.

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

/// The limit of an entry, counted as EventBridge counts: 14 bytes for the time, and the UTF-8 of
/// source, detail type and detail. An entry must be smaller.
const MAX_ENTRY_BYTES: usize = 256 * 1024;
const TIME_BYTES: usize = 14;
const MAX_DETAIL_TYPE_CHARS: usize = 128;

/// A custom bus.
pub struct EventBridgeDestination {
    client: Client,
    bus: EventBus,
    /// The result of the first successful probe in this process.
    probed: OnceCell<Probe>,
}

impl EventBridgeDestination {
    /// Connects to `bus`.
    pub fn new(aws: &AwsConfig, bus: EventBus) -> Self {
        Self {
            client: Client::new(&aws.within(AwsService::EventBridge, &AwsLimits::DELIVERY)),
            bus,
            probed: OnceCell::new(),
        }
    }

    /// Whether the bus exists. Sends no event.
    pub async fn probe(&self) -> Result<Probe, DeliveryError> {
        let request = self.client.describe_event_bus().name(self.bus.as_str());
        match request.send().await {
            Ok(_) => Ok(Probe::Exists),
            Err(error) => match sdk_error::code(&error) {
                code if sdk_error::is_denied(&code) => Ok(Probe::AccessDenied),
                code => Err(delivery_error(classify_call, &code, "", &self.bus)),
            },
        }
    }
}

impl Destination for EventBridgeDestination {
    async fn deliver(&self, _: &Key, event: &Event) -> Result<(), DeliveryError> {
        // EventBridge accepts events for a bus that does not exist, and drops them. So each process
        // checks once that the bus exists. If reading the bus is not permitted, the event is sent.
        self.probed.get_or_try_init(|| self.probe()).await?;
        let trace = DeliveryTrace::current().and_then(|trace| trace.aws_header());
        let entry = entry(&self.bus, event, trace);
        let response = self.client.put_events().entries(entry).send().await;
        let response = response.map_err(|error| {
            let message = error.message().unwrap_or_default();
            delivery_error(classify_call, &sdk_error::code(&error), message, &self.bus)
        })?;
        confirm(&response, &self.bus)
    }
}

/// The entry of one event. Only the trace differs between two attempts.
fn entry(bus: &EventBus, event: &Event, trace: Option<String>) -> PutEventsRequestEntry {
    let source = format!("pillarbox.{}", event.source());
    let detail_type = detail_type(event);
    let detail = detail(&source, &detail_type, event);
    let time = event.time().map(|time| time.as_millis());
    PutEventsRequestEntry::builder()
        .event_bus_name(bus.as_str())
        .set_time(time.map(DateTime::from_millis))
        .detail(String::from_utf8_lossy(detail))
        .source(source)
        .detail_type(detail_type)
        .set_trace_header(trace)
        .build()
}

/// The event's type, cut to the limit. The detail contains the whole type.
fn detail_type(event: &Event) -> String {
    let chars = event.event_type().chars();
    chars.take(MAX_DETAIL_TYPE_CHARS).collect()
}

fn detail<'a>(source: &str, detail_type: &str, event: &'a Event) -> &'a Bytes {
    let room = MAX_ENTRY_BYTES.saturating_sub(TIME_BYTES + source.len() + detail_type.len());
    if event.json().len() < room {
        event.json()
    } else {
        event.claim_check()
    }
}

/// Checks that the bus has the event. Status 200 alone does not confirm that: the event's own entry
/// does, if the count of failed entries agrees with it.
fn confirm(response: &PutEventsOutput, bus: &EventBus) -> Result<(), DeliveryError> {
    if let [entry] = response.entries() {
        match (entry.error_code(), entry.event_id()) {
            (Some(code), _) => {
                let message = entry.error_message().unwrap_or_default();
                let code = sdk_error::displayable_code(code);
                return Err(delivery_error(classify_entry, &code, message, bus));
            }
            (None, Some(id)) if !id.is_empty() && response.failed_entry_count() == 0 => {
                return Ok(());
            }
            _ => {}
        }
    }
    Err(delivery_error(classify_call, sdk_error::NO_ANSWER, "", bus))
}

/// The class of an entry's error code, and advice. `InvalidArgument` is the event's own error only
/// if the service's `message` names a parameter that differs between events. The bus and the source
/// do not.
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

/// The class of a whole call's error code, and advice. The only such error that the event itself
/// causes is that it is too large.
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

fn delivery_error(
    classify: fn(&str, &str) -> (ErrorClass, &'static str),
    code: &str,
    message: &str,
    bus: &EventBus,
) -> DeliveryError {
    let (class, advice) = classify(code, message);
    let reason = format!("eventbridge: {}: {code}: {advice}", bus.name());
    DeliveryError::from_aws(class, reason)
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
    fn an_entry_has_the_source_the_type_the_time_and_the_trace_of_its_event() {
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
    fn a_detail_type_has_at_most_128_characters() {
        let event = example::event(&pay("m1", "p1", &"x".repeat(200), NOW));
        assert_eq!(detail_type(&event).len(), MAX_DETAIL_TYPE_CHARS);
        assert!(event.event_type().starts_with(&detail_type(&event)));
    }

    #[test]
    fn an_entry_is_smaller_than_256_kib_as_eventbridge_counts() {
        let event_type = "notification";
        let too_large = MAX_ENTRY_BYTES - TIME_BYTES - "pillarbox.hmrc".len() - event_type.len();
        for (length, is_whole) in [(too_large - 1, true), (too_large, false)] {
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
        let response = |failed: i32, entries: &[PutEventsResultEntry]| {
            PutEventsOutput::builder()
                .failed_entry_count(failed)
                .set_entries(Some(entries.to_vec()))
                .build()
        };
        let put = result(Some("1"), None);
        assert_eq!(
            confirm(&response(0, std::slice::from_ref(&put)), &bus()),
            Ok(())
        );
        for other in [
            response(0, &[]),
            response(0, &[result(None, None)]),
            response(0, &[result(Some(""), None)]),
            response(1, std::slice::from_ref(&put)),
            response(0, &[put.clone(), put]),
            response(1, &[result(Some("1"), Some("ThrottlingException"))]),
        ] {
            let confirmed = confirm(&other, &bus());
            assert!(
                matches!(confirmed, Err(DeliveryError::Unavailable(_))),
                "{other:?}"
            );
        }
    }

    #[test]
    fn only_errors_of_the_event_itself_are_refusals() {
        use ErrorClass::{Configuration as Config, Refusal, Transient};
        let detail = "Parameter Detail is not valid. Reason: Detail is not an object.";
        let name = "Parameter EventBusName is not valid.";
        let size = "Total size of the entries in the request is over the limit.";
        let retried = "tried again";
        // The class of the event's own entry with this code, and that of the whole call.
        let differing = [
            ("MalformedDetail", "", Refusal, Transient, ""),
            ("InvalidArgument", detail, Refusal, Transient, ""),
            ("InvalidArgument", name, Config, Transient, ""),
            ("InvalidArgument", "", Config, Transient, ""),
            ("ValidationException", size, Refusal, Refusal, "size"),
            ("ValidationException", detail, Config, Config, "check"),
            ("SomethingNew", detail, Transient, Transient, retried),
        ];
        let same = [
            ("ValidationException", Config, "check"),
            ("AccessDeniedException", Config, "grant events:PutEvents"),
            ("NotAuthorizedForSourceException", Config, "policy"),
            ("NotAuthorizedForDetailTypeException", Config, "policy"),
            ("InvalidAccountIdException", Config, "policy"),
            ("RedactionFailure", Config, "the key"),
            ("ResourceNotFoundException", Config, "check its name"),
            ("OperationDisabledException", Config, "check the bus"),
            ("ThrottlingException", Transient, retried),
            ("InternalFailure", Transient, retried),
            ("InternalException", Transient, retried),
            ("Timeout", Transient, retried),
        ];
        let same = same.map(|(code, class, advice)| (code, "", class, class, advice));
        for (code, message, of_entry, of_call, advice) in differing.into_iter().chain(same) {
            assert_eq!(
                classify_entry(code, message).0,
                of_entry,
                "{code} {message}"
            );
            assert_eq!(classify_call(code, message).0, of_call, "{code} {message}");
            let error = delivery_error(classify_call, code, message, &bus()).to_string();
            assert!(
                error.contains(advice) && error.contains("ledger") && !error.contains("Parameter"),
                "{error}"
            );
        }
    }
}
