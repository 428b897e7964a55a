//! One EventBridge bus: the CloudEvent as the detail, so that rules can match anything in it.

mod bus;

use aws_sdk_eventbridge::{
    Client,
    primitives::DateTime,
    types::{PutEventsRequestEntry, PutEventsResultEntry},
};
use bytes::Bytes;
use tokio::sync::OnceCell;

use super::{DeliveryError, Destination, Event, Probe};
use crate::{
    aws::{Aws, AwsLimits, AwsService, sdk_error},
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
    pub fn new(aws: &Aws, bus: EventBus) -> Self {
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
            Err(code) => Err(judge(&code, &self.bus)),
        }
    }
}

impl Destination for EventBridgeDestination {
    async fn deliver(&self, _: &Key, event: &Event) -> Result<(), DeliveryError> {
        // EventBridge takes events for a bus that isn't there, and drops them. So it is looked for,
        // once a process; where we may not look, nothing is known, and the event is sent.
        self.seen.get_or_try_init(|| self.probe()).await?;
        let put = self
            .client
            .put_events()
            .entries(entry(&self.bus, event))
            .send()
            .await;
        let answer = put.map_err(|error| judge(&sdk_error::code(&error), &self.bus))?;
        arrived(answer.entries().first(), &self.bus)
    }
}

/// The entry of one event: the same for ever, since every part of it is.
fn entry(bus: &EventBus, event: &Event) -> PutEventsRequestEntry {
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

/// An answer of 200 says nothing yet: the event's own entry does.
fn arrived(entry: Option<&PutEventsResultEntry>, bus: &EventBus) -> Result<(), DeliveryError> {
    match entry.map(|entry| (entry.error_code(), entry.event_id())) {
        Some((Some(code), _)) => Err(judge(&sdk_error::tidy(code), bus)),
        Some((None, Some(_))) => Ok(()),
        _ => Err(judge(sdk_error::NO_ANSWER, bus)),
    }
}

/// What an error code means. Only what is wrong with this very event is a refusal: a bus that isn't
/// there or may not be written to is somebody's to mend, and nothing dies of it.
fn judge(code: &str, bus: &EventBus) -> DeliveryError {
    let name = bus.name();
    let advice = match code {
        "MalformedDetail" | "InvalidArgument" | "ValidationException" => {
            return DeliveryError::Refused(format!(
                "eventbridge: {name} does not take this event ({code})"
            ));
        }
        code if sdk_error::is_denied(code) => "grant events:PutEvents on it",
        "NotAuthorizedForSourceException"
        | "NotAuthorizedForDetailTypeException"
        | "InvalidAccountIdException" => "check the policy of the bus",
        "ResourceNotFoundException" => "check its name, and that AWS_REGION is its region",
        other => sdk_error::advice(other),
    };
    DeliveryError::Unavailable(format!("eventbridge: {name}: {code}: {advice}"))
}

#[cfg(test)]
mod tests {
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
        let entry = entry(&bus(), &event);
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
    fn only_an_entry_with_an_id_and_no_error_has_arrived() {
        let result = |id: Option<&str>, code: Option<&str>| {
            PutEventsResultEntry::builder()
                .set_event_id(id.map(str::to_owned))
                .set_error_code(code.map(str::to_owned))
                .build()
        };
        assert_eq!(arrived(Some(&result(Some("1"), None)), &bus()), Ok(()));
        for none in [
            None,
            Some(result(None, None)),
            Some(result(Some("1"), Some("ThrottlingException"))),
        ] {
            assert!(
                matches!(
                    arrived(none.as_ref(), &bus()),
                    Err(DeliveryError::Unavailable(_))
                ),
                "{none:?}"
            );
        }
    }

    #[test]
    fn only_what_is_wrong_with_the_event_is_a_refusal() {
        for (code, is_refused, said) in [
            ("MalformedDetail", true, "does not take this event"),
            ("InvalidArgument", true, "does not take this event"),
            ("ValidationException", true, "does not take this event"),
            ("AccessDeniedException", false, "grant events:PutEvents"),
            ("NotAuthorizedForSourceException", false, "policy"),
            ("ResourceNotFoundException", false, "check its name"),
            ("ThrottlingException", false, "tried again"),
            ("InternalFailure", false, "tried again"),
            ("Timeout", false, "tried again"),
            ("SomethingNew", false, "tried again"),
        ] {
            let error = judge(code, &bus());
            assert_eq!(
                matches!(error, DeliveryError::Refused(_)),
                is_refused,
                "{code}"
            );
            assert!(
                error.to_string().contains(said) && error.to_string().contains("ledger"),
                "{error}"
            );
        }
    }
}
