//! A front's invocation -> the request in it, looked at field by field before anybody else reads it.
//!
//! `lambda_http` builds the request, and panics on what no front should let through but a stranger can
//! send: a `Host` that is no host, a query that is no query, a body that is not the base64 it says it is.
//! None of that reaches it. What decides (path, query, signatures) is taken from the fields themselves,
//! since on its way through a URL a path is put in order and doubled headers collapse to one.

use std::{borrow::Cow, collections::HashMap};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use url::Url;

use super::{
    event::PayloadVersion,
    fields::{StringLists, StringPairs},
};
use crate::{domain::Timestamp, receive::Refusal};

/// The most that the names and values of all headers may have. The fronts allow 10 KB and add their own.
const LONGEST_HEADERS: usize = 16 * 1024;
/// The longest name a host, a stage or a mapping may have.
const LONGEST_NAME: usize = 300;
/// The most that a query may have; with host and path it must stay under the 64 KB a URL may have.
const LONGEST_QUERY: usize = 8 * 1024;

/// A request as its front handed it on, with nothing in it that is not allowed to be there.
#[derive(Debug)]
pub(super) struct HttpEvent<'a> {
    raw: &'a RawValue,
    payload: PayloadVersion,
    fields: HttpEventFields<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HttpEventFields<'a> {
    http_method: Option<String>,
    raw_path: Option<String>,
    path: Option<String>,
    resource: Option<String>,
    path_parameters: Option<HashMap<String, String>>,
    raw_query_string: Option<String>,
    #[serde(default)]
    query_string_parameters: StringPairs,
    #[serde(default)]
    multi_value_query_string_parameters: StringLists,
    #[serde(default)]
    headers: StringPairs,
    #[serde(default)]
    multi_value_headers: StringLists,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
    is_base64_encoded: Option<bool>,
    request_context: RequestContext,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext {
    http: Option<HttpContext>,
    stage: Option<String>,
    domain_name: Option<String>,
    time_epoch: Option<i64>,
    request_time_epoch: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct HttpContext {
    method: String,
}

impl<'a> HttpEvent<'a> {
    /// Takes a request apart, and refuses one that no front of ours can have had from a sender.
    pub(super) fn read(raw: &'a RawValue, payload: PayloadVersion) -> Result<Self, Refusal> {
        let fields: HttpEventFields<'a> = serde_json::from_str(raw.get()).map_err(|_| {
            Refusal::Malformed(
                "the invocation lacks the fields of a request, or has others in their place",
            )
        })?;
        let front = Self {
            raw,
            payload,
            fields,
        };
        front.check_headers()?;
        front.check_addresses()?;
        front.check_query()?;
        Ok(front)
    }

    /// The method, as it was sent.
    pub(super) fn method(&self) -> &str {
        let method = match self.payload {
            PayloadVersion::V1 => self.fields.http_method.as_deref(),
            PayloadVersion::V2 => self
                .fields
                .request_context
                .http
                .as_ref()
                .map(|http| http.method.as_str()),
        };
        method.unwrap_or_default()
    }

    /// The path as it was sent, without what the front put before it: an HTTP API's stage, or the name
    /// that a REST API is mapped to on a domain. In what is left no other spelling is ours.
    pub(super) fn path(&self) -> &str {
        match self.payload {
            PayloadVersion::V1 => unmapped(&self.fields),
            PayloadVersion::V2 => unstaged(&self.fields),
        }
    }

    /// The query, as it was sent or as good as.
    pub(super) fn query(&self) -> Cow<'_, str> {
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

    /// Every value of a header, whatever the case of its name. A REST API keeps but one of several in
    /// `headers`, and all of them beside it.
    pub(super) fn values(&self, name: &str) -> Vec<&str> {
        let of = |(known, _): &(&str, &str)| known.eq_ignore_ascii_case(name);
        let all: Vec<&str> = self
            .fields
            .multi_value_headers
            .iter()
            .filter(of)
            .map(|(_, value)| value)
            .collect();
        if all.is_empty() || self.payload == PayloadVersion::V2 {
            return self
                .fields
                .headers
                .iter()
                .filter(of)
                .map(|(_, value)| value)
                .collect();
        }
        all
    }

    /// When the front had the request.
    pub(super) fn requested_at(&self) -> Option<Timestamp> {
        let context = &self.fields.request_context;
        let at = match self.payload {
            PayloadVersion::V1 => context.request_time_epoch,
            PayloadVersion::V2 => context.time_epoch,
        };
        at.map(Timestamp::from_millis)
    }

    /// The exact bytes that were sent.
    pub(super) fn body(&self) -> Result<Bytes, Refusal> {
        self.check_base64()?;
        let request = lambda_http::request::from_str(self.raw.get())
            .map_err(|_| Refusal::Malformed("the invocation can't be read as a request"))?;
        Ok(match request.into_body() {
            lambda_http::Body::Text(text) => text.into(),
            lambda_http::Body::Binary(bytes) => bytes.into(),
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
            > LONGEST_HEADERS
        {
            return Err(Refusal::HeadersTooLarge);
        }
        let steers = |text: &str| text.chars().any(|c| c.is_control() && c != '\t');
        match self
            .headers()
            .any(|(name, value)| steers(name) || steers(value))
        {
            true => Err(Refusal::Malformed("a header holds a control character")),
            false => Ok(()),
        }
    }

    /// `lambda_http` makes a URL of scheme, host and path, and takes for granted that it is one.
    fn check_addresses(&self) -> Result<(), Refusal> {
        let context = &self.fields.request_context;
        let hosts = self.named("host").chain(context.domain_name.as_deref());
        if !hosts.into_iter().all(is_host) {
            return Err(Refusal::Malformed("the host is no host"));
        }
        if !self
            .named("x-forwarded-proto")
            .all(|scheme| matches!(scheme, "http" | "https"))
        {
            return Err(Refusal::Malformed(
                "the forwarded protocol is neither http nor https",
            ));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-$".contains(&byte);
        let is_stage = |stage: &str| stage.len() <= LONGEST_NAME && stage.bytes().all(plain);
        match context.stage.as_deref().is_none_or(is_stage) {
            true => Ok(()),
            false => Err(Refusal::Malformed("the stage is no stage")),
        }
    }

    fn named(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.headers()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    fn check_query(&self) -> Result<(), Refusal> {
        let query = self.query();
        let is_query = query.len() <= LONGEST_QUERY
            && format!("/?{query}")
                .parse::<http::uri::PathAndQuery>()
                .is_ok();
        if is_query {
            Ok(())
        } else {
            Err(Refusal::Malformed("the query is no query"))
        }
    }

    fn check_base64(&self) -> Result<(), Refusal> {
        let Some(body) = self
            .fields
            .body
            .filter(|_| self.fields.is_base64_encoded == Some(true))
        else {
            return Ok(());
        };
        let decoded = serde_json::from_str::<Cow<'_, str>>(body.get())
            .ok()
            .map(|text| BASE64_STANDARD.decode(&*text));
        match decoded {
            Some(Ok(_)) => Ok(()),
            _ => Err(Refusal::Malformed(
                "the body is not the base64 it is said to be",
            )),
        }
    }
}

/// What can stand between `https://` and a path: a name or an address, and a port.
fn is_host(host: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    (1..=LONGEST_NAME).contains(&host.len())
        && host.bytes().all(plain)
        && Url::parse(&format!("https://{host}/")).is_ok()
}

/// `/prod/hmrc` in the stage `prod` is `/hmrc`; the stage `$default` has no name in a path.
fn unstaged<'a>(fields: &'a HttpEventFields<'_>) -> &'a str {
    let path = fields.raw_path.as_deref().unwrap_or_default();
    let stage = fields
        .request_context
        .stage
        .as_deref()
        .filter(|stage| !stage.is_empty() && *stage != "$default");
    let rest = stage.and_then(|stage| path.strip_prefix('/')?.strip_prefix(stage));
    rest.filter(|rest| rest.starts_with('/')).unwrap_or(path)
}

/// `/hooks/hmrc` is `/hmrc` where the front says that its resource `/{source}` was asked for: then
/// `/hooks` is where the API is mapped to, which is no part of the resource.
fn unmapped<'a>(fields: &'a HttpEventFields<'_>) -> &'a str {
    let path = fields.path.as_deref().unwrap_or_default();
    let Some(asked) = asked(fields) else {
        return path;
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let is_name = |name: &str| !matches!(name, "" | "." | "..") && name.bytes().all(plain);
    let is_mapping = |mapping: &str| {
        mapping.len() <= LONGEST_NAME
            && mapping
                .strip_prefix('/')
                .is_some_and(|names| names.split('/').all(is_name))
    };
    match path.strip_suffix(asked.as_str()) {
        Some(mapping) if is_mapping(mapping) => &path[mapping.len()..],
        _ => path,
    }
}

/// The resource with its parameters in place, as a path.
fn asked(fields: &HttpEventFields<'_>) -> Option<String> {
    let (resource, parameters) = (fields.resource.as_deref()?, fields.path_parameters.as_ref());
    let mut asked = String::new();
    for part in resource.strip_prefix('/')?.split('/') {
        let name = part
            .strip_prefix('{')
            .and_then(|part| part.strip_suffix('}'));
        let value = match name {
            Some(name) => parameters?.get(name.trim_end_matches('+'))?,
            None => part,
        };
        asked.extend(["/", value]);
    }
    Some(asked)
}
