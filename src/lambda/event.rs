//! An invocation's JSON -> what it is, by the names of its fields, before anything is decoded.
//!
//! Nothing is guessed by trying one decoder after the other, and nothing of the content is ever
//! said.

use std::collections::HashMap;

use serde_json::value::RawValue;

const SEVERAL: &str = "an object that could be several things";

/// What an invocation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventShape {
    /// A request over one of the fronts.
    Http(PayloadVersion),
    /// A batch of a table's stream.
    Stream,
    /// The schedule of the sweep.
    Sweep,
    /// The schedule of reconciling.
    Reconcile,
    /// None of these, or not clearly one: what it looks like.
    Foreign(&'static str),
}

/// The two forms in which fronts hand requests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadVersion {
    /// A REST API's.
    V1,
    /// An HTTP API's or a Function URL's.
    V2,
}

impl EventShape {
    /// What it is, for messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http(PayloadVersion::V1) => "a request (payload 1.0)",
            Self::Http(PayloadVersion::V2) => "a request (payload 2.0)",
            Self::Stream => "a batch of DynamoDB records",
            Self::Sweep => "the schedule of the sweep",
            Self::Reconcile => "the schedule of reconciling",
            Self::Foreign(what) => what,
        }
    }
}

type EventFields<'a> = HashMap<String, &'a RawValue>;

/// Tells what an invocation is.
pub fn shape(raw: &RawValue) -> EventShape {
    let Some(top) = object(raw) else {
        return EventShape::Foreign("no JSON object");
    };
    let clues = [http(&top), records(&top), schedule(&top)];
    let mut found = clues.into_iter().flatten();
    match (found.next(), found.next()) {
        (Some(shape), None) => shape,
        (Some(_), Some(_)) => EventShape::Foreign(SEVERAL),
        (None, _) => EventShape::Foreign("an object of no shape that is known here"),
    }
}

fn http(top: &EventFields<'_>) -> Option<EventShape> {
    let context = object(top.get("requestContext")?)?;
    if context.contains_key("elb") {
        return Some(EventShape::Foreign("a load balancer's request"));
    }
    let has_place = top.contains_key("resource") || top.contains_key("path");
    let is_v1 = top.contains_key("httpMethod") && has_place;
    let is_v2 = text(top, "version").as_deref() == Some("2.0") && context.contains_key("http");
    match (is_v1, is_v2) {
        // Another decoder than ours might take it for the other one.
        (true, _) if context.contains_key("http") => Some(EventShape::Foreign(SEVERAL)),
        (_, true) if top.contains_key("httpMethod") => Some(EventShape::Foreign(SEVERAL)),
        (true, false) => Some(EventShape::Http(PayloadVersion::V1)),
        (false, true) => Some(EventShape::Http(PayloadVersion::V2)),
        _ => None,
    }
}

fn records(top: &EventFields<'_>) -> Option<EventShape> {
    let records: Vec<&RawValue> = serde_json::from_str(top.get("Records")?.get()).ok()?;
    let is_streamed = |record: &&RawValue| {
        object(record)
            .is_some_and(|record| text(&record, "eventSource").as_deref() == Some("aws:dynamodb"))
    };
    Some(match records.is_empty() {
        true => EventShape::Foreign("a batch without a record"),
        false if records.iter().all(is_streamed) => EventShape::Stream,
        false => EventShape::Foreign("records of something else than DynamoDB"),
    })
}

/// The template's schedules say which role they are for; a rule of EventBridge's own making says
/// nothing.
fn schedule(top: &EventFields<'_>) -> Option<EventShape> {
    match text(top, "role").as_deref() {
        Some("sweep") => return Some(EventShape::Sweep),
        Some("reconcile") => return Some(EventShape::Reconcile),
        Some(_) => return Some(EventShape::Foreign("the schedule of another role")),
        None => {}
    }
    let source = text(top, "source")?;
    let is_timed = text(top, "detail-type").as_deref() == Some("Scheduled Event");
    match source.as_str() {
        "aws.events" | "aws.scheduler" if is_timed => Some(EventShape::Sweep),
        _ => Some(EventShape::Foreign(
            "an event of EventBridge's that is no schedule",
        )),
    }
}

/// The fields of an object. What looks like one to some decoders, such as an array, is none.
fn object(raw: &RawValue) -> Option<EventFields<'_>> {
    serde_json::from_str(raw.get()).ok()
}

fn text(fields: &EventFields<'_>, name: &str) -> Option<String> {
    serde_json::from_str(fields.get(name)?.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape_of(json: &str) -> EventShape {
        shape(&RawValue::from_string(json.to_owned()).unwrap())
    }

    #[test]
    fn an_invocation_is_told_by_the_names_of_its_fields() {
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
    fn everything_else_is_foreign_and_said_to_be_by_its_shape_alone() {
        let nothing = "an object of no shape that is known here";
        for (json, what) in [
            ("null", "no JSON object"),
            ("7", "no JSON object"),
            (r#""sweep""#, "no JSON object"),
            ("[]", "no JSON object"),
            (r#"["2.0",{"http":{}}]"#, "no JSON object"),
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
                "a load balancer's request",
            ),
            (
                r#"{"requestContext":{"routeKey":"$connect","eventType":"CONNECT"}}"#,
                nothing,
            ),
            (r#"{"Records":[]}"#, "a batch without a record"),
            (r#"{"Records":{}}"#, nothing),
            (
                r#"{"Records":[{"eventSource":"aws:sqs"}]}"#,
                "records of something else than DynamoDB",
            ),
            (
                r#"{"Records":[{"eventSource":"aws:dynamodb"},{"eventSource":"aws:kinesis"}]}"#,
                "records of something else than DynamoDB",
            ),
            (
                r#"{"Records":[{"EventSource":"aws:sns"}]}"#,
                "records of something else than DynamoDB",
            ),
            (
                r#"{"Records":["aws:dynamodb"]}"#,
                "records of something else than DynamoDB",
            ),
            (r#"{"role":"process"}"#, "the schedule of another role"),
            (r#"{"role":"Sweep"}"#, "the schedule of another role"),
            (r#"{"role":"Reconcile"}"#, "the schedule of another role"),
            (r#"{"role":1}"#, nothing),
            (
                r#"{"source":"aws.s3","detail-type":"Object Created"}"#,
                "an event of EventBridge's that is no schedule",
            ),
            (
                r#"{"source":"aws.events"}"#,
                "an event of EventBridge's that is no schedule",
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
