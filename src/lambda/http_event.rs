//! A front's invocation -> the request in it, checked field by field before anything decodes it.
//!
//! Path, query and signatures are read from the fields themselves, because a URL normalises a path
//! and a map keeps only one of two headers. `lambda_http` decodes the body, and panics if it is not
//! the base64 that it claims to be, so that is checked first. An unauthenticated caller can send
//! what no front should pass on, such as an invalid host or query. Such an invocation is refused.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::HeaderName;
use lambda_http::Body;
use serde::Deserialize;
use serde_json::value::RawValue;
use url::Url;

use super::{
    deadline,
    event::PayloadVersion,
    fields::{JsonText, RawFields, StringLists, StringPairs},
};
use crate::{
    domain::Timestamp,
    receive::{HttpRequest, Refusal},
};

/// The limit on the names and values of all headers. The fronts allow 10 KB and add their own.
const MAX_HEADERS_BYTES: usize = 16 * 1024;
/// The longest name of a host, a stage or a mapping.
const MAX_NAME_BYTES: usize = 300;

/// A request as its front passed it on, all of its fields checked.
#[derive(Debug)]
pub(super) struct HttpEvent<'a> {
    payload: PayloadVersion,
    /// When the platform stops the function.
    stopped_at: Timestamp,
    fields: HttpEventFields<'a>,
}

#[derive(Debug)]
struct HttpEventFields<'a> {
    http_method: Option<JsonText<'a>>,
    raw_path: Option<JsonText<'a>>,
    path: Option<JsonText<'a>>,
    resource: Option<JsonText<'a>>,
    path_parameters: Option<HashMap<String, String>>,
    raw_query_string: Option<JsonText<'a>>,
    query_string_parameters: StringPairs<'a>,
    multi_value_query_string_parameters: StringLists<'a>,
    headers: StringPairs<'a>,
    multi_value_headers: StringLists<'a>,
    body: Option<&'a RawValue>,
    is_base64_encoded: Option<bool>,
    request_context: RequestContext<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'a> {
    #[serde(borrow)]
    http: Option<HttpContext<'a>>,
    #[serde(borrow)]
    stage: Option<JsonText<'a>>,
    #[serde(borrow)]
    domain_name: Option<JsonText<'a>>,
    time_epoch: Option<i64>,
    request_time_epoch: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct HttpContext<'a> {
    #[serde(borrow)]
    method: JsonText<'a>,
}

impl<'a> HttpEventFields<'a> {
    fn read(fields: &RawFields<'a>) -> serde_json::Result<Self> {
        Ok(Self {
            http_method: fields.decode("httpMethod")?,
            raw_path: fields.decode("rawPath")?,
            path: fields.decode("path")?,
            resource: fields.decode("resource")?,
            path_parameters: fields.decode("pathParameters")?,
            raw_query_string: fields.decode("rawQueryString")?,
            query_string_parameters: fields.decode("queryStringParameters")?,
            multi_value_query_string_parameters: fields
                .decode("multiValueQueryStringParameters")?,
            headers: fields.decode("headers")?,
            multi_value_headers: fields.decode("multiValueHeaders")?,
            body: fields.decode("body")?,
            is_base64_encoded: fields.decode("isBase64Encoded")?,
            request_context: fields.decode("requestContext")?,
        })
    }
}

impl<'a> HttpEvent<'a> {
    /// Reads a request, and refuses one that no front can have received from a sender.
    pub(super) fn read(
        fields: &RawFields<'a>,
        payload: PayloadVersion,
        stopped_at: Timestamp,
    ) -> Result<Self, Refusal> {
        let fields = HttpEventFields::read(fields).map_err(|_| {
            Refusal::Malformed(
                "the invocation lacks the fields of a request, or has others in their place",
            )
        })?;
        let event = Self {
            payload,
            stopped_at,
            fields,
        };
        event.check_headers()?;
        event.check_addresses()?;
        event.check_query()?;
        Ok(event)
    }

    /// When the front received the request.
    fn requested_at(&self) -> Option<Timestamp> {
        let context = &self.fields.request_context;
        let at = match self.payload {
            PayloadVersion::V1 => context.request_time_epoch,
            PayloadVersion::V2 => context.time_epoch,
        };
        at.map(Timestamp::from_millis)
    }

    /// The exact bytes that were sent.
    fn read_body(&self) -> Result<Bytes, Refusal> {
        let is_name = |name: &str| HeaderName::from_bytes(name.as_bytes()).is_ok();
        if !self.headers().all(|(name, _)| is_name(name)) {
            return Err(Refusal::Malformed("a header has an invalid name"));
        }
        let Some(body) = self.fields.body else {
            return Ok(Bytes::new());
        };
        let text: JsonText<'_> = serde_json::from_str(body.get())
            .map_err(|_| Refusal::Malformed("the body is not text"))?;
        let is_encoded = self.fields.is_base64_encoded == Some(true);
        if is_encoded && BASE64_STANDARD.decode(&*text).is_err() {
            return Err(Refusal::Malformed(
                "the body is not base64, though it claims to be",
            ));
        }
        Ok(match Body::from_maybe_encoded(is_encoded, &text) {
            Body::Text(text) => text.into(),
            Body::Binary(bytes) => bytes.into(),
            _ => Bytes::new(),
        })
    }

    fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields
            .headers
            .iter()
            .chain(self.fields.multi_value_headers.iter())
    }

    fn check_headers(&self) -> Result<(), Refusal> {
        let length = |headers: &mut dyn Iterator<Item = (&str, &str)>| -> usize {
            headers.map(|(name, value)| name.len() + value.len()).sum()
        };
        let fields = &self.fields;
        if length(&mut fields.headers.iter()).max(length(&mut fields.multi_value_headers.iter()))
            > MAX_HEADERS_BYTES
        {
            return Err(Refusal::HeadersTooLarge);
        }
        let steers = |text: &str| text.bytes().any(|b| b.is_ascii_control() && b != b'\t');
        match self
            .headers()
            .any(|(name, value)| steers(name) || steers(value))
        {
            true => Err(Refusal::Malformed("a header holds a control character")),
            false => Ok(()),
        }
    }

    /// No sender sends a host that cannot be part of a URL.
    fn check_addresses(&self) -> Result<(), Refusal> {
        let context = &self.fields.request_context;
        let hosts = self.named("host").chain(context.domain_name.as_deref());
        let hosts: BTreeSet<&str> = hosts.collect(); // a front names one host twice
        if !hosts.into_iter().all(is_host) {
            return Err(Refusal::Malformed("invalid host"));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-$".contains(&byte);
        let is_stage = |stage: &str| stage.len() <= MAX_NAME_BYTES && stage.bytes().all(plain);
        match context.stage.as_deref().is_none_or(is_stage) {
            true => Ok(()),
            false => Err(Refusal::Malformed("invalid stage")),
        }
    }

    fn named(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.headers()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// A query may be as long as a URL. Every front and `serve` accept less, but encoded again, the
    /// query of a REST API can be several times as long as it was sent.
    fn check_query(&self) -> Result<(), Refusal> {
        let target = format!("/?{}", self.query());
        match target.parse::<http::uri::PathAndQuery>() {
            Ok(_) => Ok(()),
            Err(_) => Err(Refusal::Malformed("invalid query")),
        }
    }
}

impl HttpRequest for HttpEvent<'_> {
    fn method(&self) -> &str {
        let method = match self.payload {
            PayloadVersion::V1 => self.fields.http_method.as_deref(),
            PayloadVersion::V2 => self
                .fields
                .request_context
                .http
                .as_ref()
                .map(|http| &*http.method),
        };
        method.unwrap_or_default()
    }

    /// Leaves out the stage of an HTTP API, which has the resource `$default` in payload 1.0, or
    /// the name that a REST API is mapped to on a domain. No other spelling of the rest is served.
    fn path(&self) -> &str {
        let fields = &self.fields;
        match self.payload {
            PayloadVersion::V1 if fields.resource.as_deref() != Some("$default") => {
                without_mapping(fields)
            }
            PayloadVersion::V1 => without_stage(fields.path.as_deref(), &fields.request_context),
            PayloadVersion::V2 => {
                without_stage(fields.raw_path.as_deref(), &fields.request_context)
            }
        }
    }

    /// A REST API passes the query on decoded, so it is encoded again.
    fn query(&self) -> Cow<'_, str> {
        let fields = &self.fields;
        match self.payload {
            PayloadVersion::V2 => {
                Cow::Borrowed(fields.raw_query_string.as_deref().unwrap_or_default())
            }
            PayloadVersion::V1 => {
                let mut query = url::form_urlencoded::Serializer::new(String::new());
                match fields.multi_value_query_string_parameters.is_empty() {
                    false => query.extend_pairs(fields.multi_value_query_string_parameters.iter()),
                    true => query.extend_pairs(fields.query_string_parameters.iter()),
                };
                Cow::Owned(query.finish())
            }
        }
    }

    /// A REST API keeps one of several values in `headers`, and all of them in `multiValueHeaders`.
    fn header_values(&self, name: &str) -> Vec<&[u8]> {
        let is_named = |(known, _): &(&str, &str)| known.eq_ignore_ascii_case(name);
        let fields = &self.fields;
        let all = fields.multi_value_headers.iter().filter(is_named);
        let all: Vec<&[u8]> = all.map(|(_, value)| value.as_bytes()).collect();
        if all.is_empty() || self.payload == PayloadVersion::V2 {
            let headers = fields.headers.iter().filter(is_named);
            return headers.map(|(_, value)| value.as_bytes()).collect();
        }
        all
    }

    async fn body(&mut self) -> Result<Bytes, Refusal> {
        self.read_body()
    }

    /// The time limit begins at the front's request time, and the platform may stop the function
    /// before it ends.
    fn time_left(&self, received_at: Timestamp) -> Duration {
        deadline::time_left(self.requested_at(), self.stopped_at, received_at)
    }
}

/// Whether `host` is valid between `https://` and a path: a name or an address, with or without a
/// port.
fn is_host(host: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    (1..=MAX_NAME_BYTES).contains(&host.len())
        && host.bytes().all(plain)
        && Url::parse(&format!("https://{host}/")).is_ok()
}

/// `/prod/hmrc` in the stage `prod` is `/hmrc`; the stage `$default` has no name in a path.
fn without_stage<'a>(path: Option<&'a str>, context: &RequestContext<'_>) -> &'a str {
    let path = path.unwrap_or_default();
    let stage = context.stage.as_deref();
    let stage = stage.filter(|stage| !stage.is_empty() && *stage != "$default");
    let rest = stage.and_then(|stage| path.strip_prefix('/')?.strip_prefix(stage));
    rest.filter(|rest| rest.starts_with('/')).unwrap_or(path)
}

/// `/hooks/hmrc` is `/hmrc` if the front reports the resource `/{source}`: then `/hooks` is the
/// path that the API is mapped to, which is not part of the resource.
fn without_mapping<'a>(fields: &'a HttpEventFields<'_>) -> &'a str {
    let path = fields.path.as_deref().unwrap_or_default();
    let Some(resource) = resource_path(fields) else {
        return path;
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let is_name = |name: &str| !matches!(name, "" | "." | "..") && name.bytes().all(plain);
    let is_mapping = |mapping: &str| {
        mapping.len() <= MAX_NAME_BYTES
            && mapping
                .strip_prefix('/')
                .is_some_and(|names| names.split('/').all(is_name))
    };
    match path.strip_suffix(resource.as_str()) {
        Some(mapping) if is_mapping(mapping) => &path[mapping.len()..],
        _ => path,
    }
}

/// The path of the resource, with the values of its parameters.
fn resource_path(fields: &HttpEventFields<'_>) -> Option<String> {
    let (resource, parameters) = (fields.resource.as_deref()?, fields.path_parameters.as_ref());
    let mut path = String::new();
    for part in resource.strip_prefix('/')?.split('/') {
        let name = part
            .strip_prefix('{')
            .and_then(|part| part.strip_suffix('}'));
        let value = match name {
            Some(name) => parameters?.get(name.trim_end_matches('+'))?,
            None => part,
        };
        path.extend(["/", value]);
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: serde_json::Value) -> Box<RawValue> {
        RawValue::from_string(json.to_string()).unwrap()
    }

    fn read(raw: &RawValue, payload: PayloadVersion) -> Result<HttpEvent<'_>, Refusal> {
        let fields = RawFields::read(raw).unwrap();
        HttpEvent::read(&fields, payload, Timestamp::from_millis(0))
    }

    #[test]
    fn the_protocol_of_every_hop_is_accepted_and_the_body_is_read_whatever_it_is() {
        for protocol in [
            "https",
            "https,https",
            "https, http",
            "HTTPS",
            "ws",
            "",
            "é",
        ] {
            let v1 = raw(serde_json::json!({
                "httpMethod": "POST", "path": "/pay", "body": "e30=", "isBase64Encoded": true,
                "headers": {"X-Forwarded-Proto": protocol, "Pay-Signature": "00"},
                "multiValueHeaders": {
                    "X-Forwarded-Proto": [protocol, "https"], "Pay-Signature": ["00"],
                },
                "requestContext": {
                    "httpMethod": "POST", "stage": "prod", "domainName": "pay.example.gov.uk",
                },
            }));
            let v2 = raw(serde_json::json!({
                "version": "2.0", "rawPath": "/pay", "body": "e30=", "isBase64Encoded": true,
                "headers": {"x-forwarded-proto": protocol, "pay-signature": "00"},
                "requestContext": {
                    "http": {"method": "POST"}, "stage": "$default", "timeEpoch": 0,
                    "domainName": "pay.example.gov.uk",
                },
            }));
            for (raw, payload) in [(&v1, PayloadVersion::V1), (&v2, PayloadVersion::V2)] {
                let event = read(raw, payload).unwrap();
                let body = event.read_body().map_err(|refusal| refusal.to_string());
                assert_eq!(body.as_deref(), Ok(&b"{}"[..]), "{protocol} {payload:?}");
                assert_eq!(event.header_values("pay-signature"), [b"00"]);
            }
        }
    }

    #[test]
    fn an_event_with_two_fields_of_one_name_is_refused() {
        for name in ["body", "headers", "isBase64Encoded", "requestContext"] {
            let twice = format!(r#""{name}":null,"{name}":null"#);
            let v1 = format!(r#"{{"httpMethod":"POST","path":"/pay",{twice}}}"#);
            let v1 = RawValue::from_string(v1).unwrap();
            let refusal = read(&v1, PayloadVersion::V1).unwrap_err();
            assert_eq!(refusal.status(), 400, "{name}");
        }
    }

    #[test]
    fn the_stage_is_left_out_of_a_path_in_both_payloads() {
        for (resource, stage, path, expected) in [
            ("$default", "prod", "/prod/hmrc", "/hmrc"),
            ("$default", "prod", "/hmrc", "/hmrc"),
            ("$default", "prod", "/production/hmrc", "/production/hmrc"),
            ("$default", "prod", "/prod", "/prod"),
            ("$default", "$default", "/prod/hmrc", "/prod/hmrc"),
            ("/{source}", "prod", "/hmrc", "/hmrc"),
            ("/{source}", "prod", "/hooks/hmrc", "/hmrc"),
            ("/{source}", "hmrc", "/hmrc", "/hmrc"),
        ] {
            let v1 = raw(serde_json::json!({
                "httpMethod": "GET", "path": path, "resource": resource,
                "pathParameters": {"source": "hmrc"}, "requestContext": {"stage": stage},
            }));
            let event = read(&v1, PayloadVersion::V1).unwrap();
            assert_eq!(event.path(), expected, "{resource} {stage} {path}");
            if resource == "$default" {
                let v2 = raw(serde_json::json!({
                    "version": "2.0", "rawPath": path,
                    "requestContext": {"http": {"method": "GET"}, "stage": stage},
                }));
                let event = read(&v2, PayloadVersion::V2).unwrap();
                assert_eq!(event.path(), expected, "{stage} {path}");
            }
        }
    }
}
