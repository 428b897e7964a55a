//! HMRC's Push Pull Notifications Service (PPNS): pushes and challenges.
//!
//! The facts come from hmrc/push-pull-notifications-api and the libraries that it pins.

use serde_json::Value;
use url::Url;

use super::{
    Clock, MessageBody, Sender, SenderRequest, Timestamp, UnknownEventError, ids, json,
    owned_headers, signature, target,
};

/// The names of the messages that can be requested.
pub const EVENTS: &[&str] = &["json", "xml", "transit", "unicode", "astral"];
/// The box in HMRC's own samples.
pub const SAMPLE_BOX: &str = "50dca3fc-c37c-4f03-b719-63571333624c";

/// The message that a producer posts to a box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HmrcMessage {
    /// `application/json` or `application/xml`: PPNS accepts no other.
    content_type: &'static str,
    /// The producer's text, sent unchanged inside a JSON string.
    text: String,
}

impl HmrcMessage {
    /// A message of type JSON. The text need not be JSON, so that a receiver can be tested.
    pub fn json(text: impl Into<String>) -> Self {
        Self {
            content_type: "application/json",
            text: text.into(),
        }
    }

    /// A message of type XML. The text need not be XML.
    pub fn xml(text: impl Into<String>) -> Self {
        Self {
            content_type: "application/xml",
            text: text.into(),
        }
    }

    /// One of [`EVENTS`], with a unique reference.
    pub fn named(name: &str, clock: &dyn Clock) -> Result<Self, UnknownEventError> {
        let reference = ids::test_reference(clock);
        match name {
            "json" => Ok(Self::json(format!(
                r#"{{"reference":"{reference}","key":"value"}}"#
            ))),
            "xml" => Ok(Self::xml(format!(
                "<someXml><reference>{reference}</reference></someXml>"
            ))),
            "transit" => Ok(Self::json(transit(&reference, clock))),
            "unicode" => Ok(Self::json(format!(
                "{{\"reference\":\"{reference}\",\"name\":\"café, 5 €,\u{2028}two lines\"}}"
            ))),
            "astral" => Ok(Self::json(format!(
                r#"{{"reference":"{reference}","name":"smile 😀 end"}}"#
            ))),
            _ => Err(UnknownEventError {
                name: name.to_owned(),
                known: EVENTS,
            }),
        }
    }

    /// A JSON message of at least `bytes` bytes: a declaration with many lines.
    pub fn long_json(bytes: usize, clock: &dyn Clock) -> Self {
        let head = format!(
            r#"{{"reference":"{}","lines":["#,
            ids::test_reference(clock)
        );
        let line = r#"{"commodity":"0101210000","netMass":"12.500","note":"thé, crème & 茶"}"#;
        Self::json(repeat_line(head, line, ",", "]}", bytes))
    }

    /// An XML message of at least `bytes` bytes, with an XML declaration and line breaks.
    pub fn long_xml(bytes: usize, clock: &dyn Clock) -> Self {
        let head = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <declaration>\n  <reference>{}</reference>\n",
            ids::test_reference(clock)
        );
        let line = "  <line commodity=\"0101210000\"><netMass>12.500</netMass>\
                    <note>thé, crème &amp; 茶</note></line>\n";
        Self::xml(repeat_line(head, line, "", "</declaration>", bytes))
    }
}

/// `head`, then `line` repeated up to a length of `bytes`, then `end`.
fn repeat_line(head: String, line: &str, separator: &str, end: &str, bytes: usize) -> String {
    let mut text = head;
    text.reserve(bytes + line.len() + end.len());
    text.push_str(line);
    while text.len() + end.len() < bytes {
        text.push_str(separator);
        text.push_str(line);
    }
    text.push_str(end);
    text
}

/// The transit service's announcement of a message from customs to a trader. Fields are in its
/// order.
fn transit(reference: &str, clock: &dyn Clock) -> String {
    let (departure, message) = (ids::hex16(clock), ids::hex16(clock));
    let xml = format!(
        "<ncts:CC928C xmlns:ncts=\"http://ncts.dgtaxud.ec\" PhaseID=\"NCTS5.0\">\n  \
         <messageType>CC928C</messageType>\n  \
         <TransitOperation>\n    <LRN>{reference}</LRN>\n  </TransitOperation>\n\
         </ncts:CC928C>"
    );
    let uri = format!("/customs/transits/movements/departures/{departure}/messages/{message}");
    json::object(&[
        ("messageUri", json::string(&uri)),
        ("notificationType", json::string("MESSAGE_RECEIVED")),
        ("messageId", json::string(&message)),
        ("enrollmentEORINumber", json::string("GB000000000000")),
        ("departureId", json::string(&departure)),
        ("messageType", json::string("IE928")),
        ("messageBody", json::string(&xml)),
    ])
}

/// A new notification of `message` in the box, created now.
pub fn body(message: &HmrcMessage, box_id: &str, clock: &dyn Clock) -> MessageBody {
    envelope(&ids::uuid(clock), message, box_id, clock.now())
}

/// The notification with this id and creation date. The same arguments give the same bytes.
///
/// HMRC signs this text, then parses and serialises it again to send it. The second serialiser
/// escapes characters beyond U+FFFF, so the two forms differ.
pub fn envelope(id: &str, message: &HmrcMessage, box_id: &str, created: Timestamp) -> MessageBody {
    let signed = json::object(&fields(id, message, box_id, "PENDING", created));
    MessageBody {
        id: id.to_owned(),
        wire: json::escape_astral(&signed),
        signed,
    }
}

/// The fields of a notification, in order. A push and a list contain the same.
pub(super) fn fields(
    id: &str,
    message: &HmrcMessage,
    box_id: &str,
    status: &str,
    created: Timestamp,
) -> Vec<(&'static str, String)> {
    vec![
        ("notificationId", json::string(id)),
        ("boxId", json::string(box_id)),
        ("messageContentType", json::string(message.content_type)),
        ("message", json::string(&message.text)),
        ("status", json::string(status)),
        ("createdDateTime", json::string(&format_date(created))),
    ]
}

/// A new box id.
pub fn new_box_id(clock: &dyn Clock) -> String {
    ids::uuid(clock)
}

/// Always with three decimals and `+0000`, never `Z`.
fn format_date(instant: Timestamp) -> String {
    format!("{}+0000", instant.to_string().trim_end_matches('Z'))
}

/// The push of `body` to `url`. Its content type is JSON even if the message is XML.
pub(super) fn push_request(body: &MessageBody, secret: &str, url: &Url) -> SenderRequest {
    let signature = signature::sign(Sender::Hmrc, secret, body.signed.as_bytes());
    let [version, user_agent, host, accept] = client_headers(url);
    let headers = [
        ("Content-Type", "application/json".to_owned()),
        version,
        user_agent,
        (Sender::Hmrc.signature_header(), signature),
        ("content-length", body.wire.len().to_string()),
        host,
        accept,
    ];
    SenderRequest::post(&headers, body)
}

/// The request that HMRC sends before it accepts a callback URL, and its URL. The request's id is
/// the challenge.
pub fn challenge(url: &Url, clock: &dyn Clock) -> (SenderRequest, Url) {
    let challenge = ids::uuid(clock);
    let mut challenged = url.clone();
    challenged.set_query(Some(&match url.query() {
        Some(query) if !query.is_empty() => format!("{query}&challenge={challenge}"),
        _ => format!("challenge={challenge}"),
    }));
    let headers = owned_headers(&client_headers(url));
    (SenderRequest::get(headers, challenge), challenged)
}

/// Whether HMRC accepts this response to a challenge: the status is neither 4xx nor 5xx, and the
/// body is a JSON object whose `challenge` is exactly that string. HMRC ignores the content type.
pub fn is_echo(challenge: &str, status: u16, body: &[u8]) -> bool {
    let echoed = serde_json::from_slice::<Value>(body).ok();
    let echoed = echoed
        .as_ref()
        .and_then(Value::as_object)
        .and_then(|object| object.get("challenge"));
    status < 400 && echoed.and_then(Value::as_str) == Some(challenge)
}

/// The headers of every request, in HMRC's order: first those that HMRC sets, sorted by name, then
/// those that its HTTP client adds.
fn client_headers(url: &Url) -> [(&'static str, String); 4] {
    [
        ("Http-ClientV2-Version", "15.8.0".to_owned()),
        ("User-Agent", "push-pull-notifications-api".to_owned()),
        ("host", target::host_header(url)),
        ("accept", "*/*".to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::{super::tests::TestClock, *};

    const ID: &str = "1ed5f407-8096-40d1-87ef-9a2a103eeb85";
    const CREATED: Timestamp = Timestamp::from_millis(1_591_006_823_160);

    #[test]
    fn the_published_samples_are_reproduced_byte_for_byte_with_their_signatures() {
        for (message, expected, signature) in [
            (
                HmrcMessage::json(r#"{"key":"value"}"#),
                include_str!("../../../tests/fixtures/hmrc/json-push.json"),
                "184a249ff8f8f14e11f7e3ec31404134c6e0c8e9",
            ),
            (
                HmrcMessage::xml("<someXml>xmlValue</someXml>"),
                include_str!("../../../tests/fixtures/hmrc/xml-push.json"),
                "b70afe3204bea95e52dd4eb98fdaf23a6d757978",
            ),
            (
                HmrcMessage::json(r#"{"name":"smile 😀 end"}"#),
                include_str!("../../../tests/fixtures/hmrc/astral-push.json"),
                "c6dc9e3c564cdc0c43bcad8df5c91b5fd0ec7f8e",
            ),
        ] {
            let body = envelope(ID, &message, SAMPLE_BOX, CREATED);
            assert_eq!(body.wire, expected);
            let request = push_request(
                &body,
                "sample key",
                &Url::parse("https://receiver.example.gov.uk/hmrc").unwrap(),
            );
            assert_eq!(
                request.headers[3],
                ("X-Hub-Signature".to_owned(), signature.to_owned())
            );
            assert_eq!(request.body, expected.as_bytes());
        }
    }

    #[test]
    fn the_signed_and_the_sent_form_differ_only_for_characters_beyond_u_ffff() {
        for (text, differ) in [
            ("é € \u{2028} \u{1} / \\", false),
            (r"\ud83d\ude00", false),
            ("😀", true),
        ] {
            let body = envelope(ID, &HmrcMessage::xml(text), SAMPLE_BOX, CREATED);
            assert_eq!(body.signed != body.wire, differ, "{text}");
            let (signed, wire): (Value, Value) = (
                serde_json::from_str(&body.signed).unwrap(),
                serde_json::from_str(&body.wire).unwrap(),
            );
            assert_eq!(signed, wire);
            assert_eq!(signed["message"], text);
        }
    }

    #[test]
    fn a_date_has_three_decimals_and_a_numeric_offset() {
        for (ms, expected) in [
            (1_591_006_823_160, "2020-06-01T10:20:23.160+0000"),
            (1_591_006_823_000, "2020-06-01T10:20:23.000+0000"),
            (0, "1970-01-01T00:00:00.000+0000"),
        ] {
            assert_eq!(format_date(Timestamp::from_millis(ms)), expected);
        }
    }

    #[test]
    fn every_named_message_matches_its_content_type() {
        let clock = TestClock::new();
        for name in EVENTS {
            let message = HmrcMessage::named(name, &clock).unwrap();
            assert!(message.text.contains("PILLARBOX-TEST-"), "{name}");
            match message.content_type {
                "application/json" => assert!(
                    serde_json::from_str::<Value>(&message.text).is_ok(),
                    "{name}"
                ),
                _ => assert!(message.text.starts_with('<'), "{name}"),
            }
        }
        let error = HmrcMessage::named("succeeded", &clock)
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "the sender has no event `succeeded`; it has json, xml, transit, unicode, astral"
        );
    }

    #[test]
    fn a_long_message_has_the_requested_length_and_matches_its_content_type() {
        let clock = TestClock::new();
        for bytes in [1, 1024, 100 * 1024, 2 * 1024 * 1024] {
            let (json, xml) = (
                HmrcMessage::long_json(bytes, &clock),
                HmrcMessage::long_xml(bytes, &clock),
            );
            assert!(serde_json::from_str::<Value>(&json.text).is_ok());
            assert!(xml.text.ends_with("</declaration>"));
            for text in [json.text, xml.text] {
                assert!(
                    (bytes..bytes + 512).contains(&text.len()),
                    "{} for {bytes}",
                    text.len()
                );
                assert!(text.contains("PILLARBOX-TEST-"));
            }
        }
    }

    #[test]
    fn a_transit_message_has_its_fields_in_hmrcs_order() {
        let message = HmrcMessage::named("transit", &TestClock::new()).unwrap();
        let order = [
            "messageUri",
            "notificationType",
            "messageId",
            "enrollmentEORINumber",
            "departureId",
            "messageType",
            "messageBody",
        ];
        let positions: Vec<usize> = order
            .iter()
            .map(|name| {
                message
                    .text
                    .find(&format!("\"{name}\":"))
                    .expect("the field is there")
            })
            .collect();
        assert!(positions.is_sorted());
    }

    #[test]
    fn a_push_has_hmrcs_headers_in_hmrcs_case_and_order() {
        let body = body(&HmrcMessage::xml("<a/>"), SAMPLE_BOX, &TestClock::new());
        let request = push_request(
            &body,
            "sample key",
            &Url::parse("https://receiver.example.gov.uk/hmrc").unwrap(),
        );
        let expected = [
            "Content-Type",
            "Http-ClientV2-Version",
            "User-Agent",
            "X-Hub-Signature",
            "content-length",
            "host",
            "accept",
        ];
        assert_eq!(request.header_names(), expected);
        assert_eq!(request.headers[0].1, "application/json");
        assert_eq!(request.headers[4].1, request.body.len().to_string());
        assert_eq!(request.headers[5].1, "receiver.example.gov.uk");
    }

    #[test]
    fn a_challenge_follows_the_query_of_the_callback_url() {
        for (url, before) in [
            ("https://receiver.example.gov.uk/hmrc", "/hmrc?challenge="),
            (
                "https://receiver.example.gov.uk/hmrc?team=7",
                "/hmrc?team=7&challenge=",
            ),
            ("https://receiver.example.gov.uk", "/?challenge="),
        ] {
            let (request, challenged) = challenge(&Url::parse(url).unwrap(), &TestClock::new());
            let expected = format!("https://receiver.example.gov.uk{before}{}", request.id);
            assert_eq!(challenged.as_str(), expected);
            assert_eq!((request.method, request.body.len()), ("GET", 0));
            assert_eq!(
                request.header_names(),
                ["Http-ClientV2-Version", "User-Agent", "host", "accept"]
            );
        }
    }

    #[test]
    fn only_the_exact_string_in_a_json_object_is_an_echo() {
        for (status, body, accepted) in [
            (200, r#"{"challenge":"12-ab"}"#, true),
            (200, r#" {"more":1,"challenge":"12-ab"} "#, true),
            (201, r#"{"challenge":"12-ab"}"#, true),
            (400, r#"{"challenge":"12-ab"}"#, false),
            (500, r#"{"challenge":"12-ab"}"#, false),
            (200, r#"{"challenge":"12-AB"}"#, false),
            (200, r#"{"challenge":12}"#, false),
            (200, r#"["12-ab"]"#, false),
            (200, "12-ab", false),
            (200, "", false),
            (200, "\u{feff}{\"challenge\":\"12-ab\"}", false),
        ] {
            assert_eq!(
                is_echo("12-ab", status, body.as_bytes()),
                accepted,
                "{status} {body}"
            );
        }
    }
}
