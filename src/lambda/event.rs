//! Recognises the kind of an invocation by the names of its JSON fields, before anything is
//! decoded.
//!
//! Only one decoder is used, so an event is never read as another kind. No message repeats the
//! content of an event.

use serde_json::value::RawValue;

use super::fields::RawFields;

const SEVERAL: &str = "an ambiguous object";

/// The kind of an invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventShape {
    /// An HTTP request.
    Http(PayloadVersion),
    /// A batch of the table's stream.
    Stream,
    /// A scheduled sweep.
    Sweep,
    /// A scheduled reconcile run.
    Reconcile,
    /// None of these, or ambiguous, with a description for the log.
    Foreign(&'static str),
}

/// The two payload formats of HTTP events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadVersion {
    /// The format of a REST API.
    V1,
    /// The format of an HTTP API or a Function URL.
    V2,
}

impl EventShape {
    /// A description for log messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http(PayloadVersion::V1) => "a request (payload 1.0)",
            Self::Http(PayloadVersion::V2) => "a request (payload 2.0)",
            Self::Stream => "a batch of DynamoDB records",
            Self::Sweep => "a scheduled sweep",
            Self::Reconcile => "a scheduled reconcile run",
            Self::Foreign(what) => what,
        }
    }
}

/// Recognises an invocation.
pub fn shape(raw: &RawValue) -> EventShape {
    read(raw).0
}

/// Recognises an invocation, and returns its fields with its shape.
pub(super) fn read(raw: &RawValue) -> (EventShape, RawFields<'_>) {
    let Some(top) = RawFields::read(raw) else {
        let shape = EventShape::Foreign("not a JSON object");
        return (shape, RawFields::default());
    };
    let clues = [http(&top), records(&top), schedule(&top)];
    let mut found = clues.into_iter().flatten();
    let shape = match (found.next(), found.next()) {
        (Some(shape), None) => shape,
        (Some(_), Some(_)) => EventShape::Foreign(SEVERAL),
        (None, _) => EventShape::Foreign("an object of an unknown shape"),
    };
    (shape, top)
}

fn http(top: &RawFields<'_>) -> Option<EventShape> {
    let context = RawFields::read(top.get("requestContext")?)?;
    if context.contains("elb") {
        return Some(EventShape::Foreign("a request of a load balancer"));
    }
    let has_place = top.contains("resource") || top.contains("path");
    let is_v1 = top.contains("httpMethod") && has_place;
    let is_v2 = top.text("version").as_deref() == Some("2.0") && context.contains("http");
    match (is_v1, is_v2) {
        // Another decoder might read it as the other format.
        (true, _) if context.contains("http") => Some(EventShape::Foreign(SEVERAL)),
        (_, true) if top.contains("httpMethod") => Some(EventShape::Foreign(SEVERAL)),
        (true, false) => Some(EventShape::Http(PayloadVersion::V1)),
        (false, true) => Some(EventShape::Http(PayloadVersion::V2)),
        _ => None,
    }
}

fn records(top: &RawFields<'_>) -> Option<EventShape> {
    let records: Vec<&RawValue> = serde_json::from_str(top.get("Records")?.get()).ok()?;
    let is_streamed = |record: &&RawValue| {
        RawFields::read(record)
            .is_some_and(|record| record.text("eventSource").as_deref() == Some("aws:dynamodb"))
    };
    Some(match records.is_empty() {
        true => EventShape::Foreign("a batch without a record"),
        false if records.iter().all(is_streamed) => EventShape::Stream,
        false => EventShape::Foreign("records that are not from DynamoDB"),
    })
}

/// The template's schedules have a role; a plain EventBridge schedule has none.
fn schedule(top: &RawFields<'_>) -> Option<EventShape> {
    match top.text("role").as_deref() {
        Some("sweep") => return Some(EventShape::Sweep),
        Some("reconcile") => return Some(EventShape::Reconcile),
        Some(_) => return Some(EventShape::Foreign("a schedule of another role")),
        None => {}
    }
    let source = top.text("source")?;
    let is_timed = top.text("detail-type").as_deref() == Some("Scheduled Event");
    match &*source {
        "aws.events" | "aws.scheduler" if is_timed => Some(EventShape::Sweep),
        _ => Some(EventShape::Foreign(
            "an EventBridge event that is not a schedule",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape_of(json: &str) -> EventShape {
        shape(&RawValue::from_string(json.to_owned()).unwrap())
    }

    #[test]
    fn an_invocation_is_recognised_by_the_names_of_its_fields() {
        for (json, expected) in [
            (
                r#"{"version":"2.0","requestContext":{"http":{}}}"#,
                EventShape::Http(PayloadVersion::V2),
            ),
            (
                r#"{"httpMethod":"GET","path":"/","requestContext":{}}"#,
                EventShape::Http(PayloadVersion::V1),
            ),
            (
                r#"{"httpMethod":"GET","resource":"/","requestContext":{}}"#,
                EventShape::Http(PayloadVersion::V1),
            ),
            (
                r#"{"version":"1.0","httpMethod":"GET","path":"/","requestContext":{}}"#,
                EventShape::Http(PayloadVersion::V1),
            ),
            (
                r#"{"Records":[{"eventSource":"aws:dynamodb"}]}"#,
                EventShape::Stream,
            ),
            (
                r#"{"Records":[{"eventSource":"aws:dynamodb"},{"eventSource":"aws:dynamodb"}]}"#,
                EventShape::Stream,
            ),
            (r#"{"role":"sweep"}"#, EventShape::Sweep),
            (r#"{"role":"reconcile"}"#, EventShape::Reconcile),
            (
                r#"{"source":"aws.events","detail-type":"Scheduled Event"}"#,
                EventShape::Sweep,
            ),
            (
                r#"{"source":"aws.scheduler","detail-type":"Scheduled Event"}"#,
                EventShape::Sweep,
            ),
        ] {
            assert_eq!(shape_of(json), expected, "{json}");
        }
    }

    #[test]
    fn every_other_event_is_foreign_and_described_by_its_shape_alone() {
        let nothing = "an object of an unknown shape";
        for (json, what) in [
            ("null", "not a JSON object"),
            ("7", "not a JSON object"),
            (r#""sweep""#, "not a JSON object"),
            ("[]", "not a JSON object"),
            (r#"["2.0",{"http":{}}]"#, "not a JSON object"),
            ("{}", nothing),
            (r#"{"challenge":"abc"}"#, nothing),
            (r#"{"httpMethod":"GET","path":"/"}"#, nothing),
            (
                r#"{"httpMethod":"GET","path":"/","requestContext":[]}"#,
                nothing,
            ),
            (
                r#"{"httpMethod":"GET","path":"/","requestContext":null}"#,
                nothing,
            ),
            (r#"{"version":"2.0","requestContext":{}}"#, nothing),
            (r#"{"version":"2.0","requestContext":["http"]}"#, nothing),
            (r#"{"version":2.0,"requestContext":{"http":{}}}"#, nothing),
            (
                r#"{"httpMethod":"GET","path":"/","requestContext":{"elb":{}}}"#,
                "a request of a load balancer",
            ),
            (
                r#"{"requestContext":{"routeKey":"$connect","eventType":"CONNECT"}}"#,
                nothing,
            ),
            (r#"{"Records":[]}"#, "a batch without a record"),
            (r#"{"Records":{}}"#, nothing),
            (
                r#"{"Records":[{"eventSource":"aws:sqs"}]}"#,
                "records that are not from DynamoDB",
            ),
            (
                r#"{"Records":[{"eventSource":"aws:dynamodb"},{"eventSource":"aws:kinesis"}]}"#,
                "records that are not from DynamoDB",
            ),
            (
                r#"{"Records":[{"EventSource":"aws:sns"}]}"#,
                "records that are not from DynamoDB",
            ),
            (
                r#"{"Records":["aws:dynamodb"]}"#,
                "records that are not from DynamoDB",
            ),
            (r#"{"role":"process"}"#, "a schedule of another role"),
            (r#"{"role":"Sweep"}"#, "a schedule of another role"),
            (r#"{"role":"Reconcile"}"#, "a schedule of another role"),
            (r#"{"role":1}"#, nothing),
            (
                r#"{"source":"aws.s3","detail-type":"Object Created"}"#,
                "an EventBridge event that is not a schedule",
            ),
            (
                r#"{"source":"aws.events"}"#,
                "an EventBridge event that is not a schedule",
            ),
            (
                r#"{"version":"2.0","httpMethod":"GET","path":"/","requestContext":{"http":{}}}"#,
                SEVERAL,
            ),
            (
                r#"{"version":"2.0","httpMethod":"GET","requestContext":{"http":{}}}"#,
                SEVERAL,
            ),
            (
                r#"{"httpMethod":"GET","path":"/","requestContext":{"http":{}}}"#,
                SEVERAL,
            ),
            (
                r#"{"role":"sweep","Records":[{"eventSource":"aws:dynamodb"}]}"#,
                SEVERAL,
            ),
            (
                r#"{"role":"sweep","version":"2.0","requestContext":{"http":{}}}"#,
                SEVERAL,
            ),
        ] {
            assert_eq!(shape_of(json), EventShape::Foreign(what), "{json}");
        }
    }
}
