//! An answer -> the reply of an invocation, in the form that every front accepts.

use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::receive::HttpAnswer;

/// The reply to a front: the same fields for both payload versions, and nothing encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpReply(pub HttpAnswer);

impl Serialize for HttpReply {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut reply = serializer.serialize_struct("HttpReply", 4)?;
        reply.serialize_field("statusCode", &self.0.status)?;
        reply.serialize_field(
            "headers",
            &ReplyHeaders {
                content_type: self.0.content_type,
                x_content_type_options: "nosniff",
                cache_control: "no-store",
                allow: self.0.allow,
            },
        )?;
        reply.serialize_field("body", &self.0.body)?;
        reply.serialize_field("isBase64Encoded", &false)?;
        reply.end()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ReplyHeaders {
    content_type: &'static str,
    x_content_type_options: &'static str,
    cache_control: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    allow: Option<&'static str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_has_no_header_that_a_sender_would_act_on() {
        let reply = HttpReply(HttpAnswer {
            status: 503,
            content_type: "application/json",
            body: r#"{"error":"inbox"}"#.to_owned(),
            allow: None,
        });
        let reply = serde_json::to_value(&reply).unwrap();
        let headers = serde_json::json!({
            "content-type": "application/json",
            "x-content-type-options": "nosniff",
            "cache-control": "no-store",
        });
        assert_eq!(
            (&reply["statusCode"], &reply["headers"]),
            (&503.into(), &headers)
        );
    }
}
