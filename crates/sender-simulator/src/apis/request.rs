//! A complete request to an API.

use bytes::Bytes;
use hyper::{HeaderMap, header};
use percent_encoding::percent_decode_str;
#[cfg(any(test, feature = "test-apis"))]
use url::Url;

/// A request with its whole body.
#[derive(Clone, Debug)]
pub struct ApiRequest {
    /// Scheme, host and port of the server, with which links in a response begin.
    #[cfg_attr(
        not(any(test, feature = "test-apis")),
        expect(dead_code, reason = "for Pay's API")
    )]
    pub(super) origin: String,
    pub(super) method: String,
    /// As in the request line.
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// The credentials in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ApiCredentials<'a> {
    None,
    Bearer(&'a str),
    /// Another scheme, or several headers.
    Other,
}

impl ApiRequest {
    /// A request that no server received, for an API that is called in the same process.
    #[cfg(any(test, feature = "test-apis"))]
    pub fn new(method: &str, url: &Url, headers: HeaderMap, body: Bytes) -> Self {
        Self {
            origin: url.origin().ascii_serialization(),
            method: method.to_owned(),
            path: url.path().to_owned(),
            query: url.query().map(str::to_owned),
            headers,
            body,
        }
    }

    #[cfg(any(test, feature = "test-apis"))]
    /// Path and query, as in the request line.
    pub(super) fn target(&self) -> String {
        self.query.as_ref().map_or_else(
            || self.path.clone(),
            |query| format!("{}?{query}", self.path),
        )
    }

    /// The segments of the path, decoded.
    pub(super) fn segments(&self) -> Vec<String> {
        self.path
            .split('/')
            .skip(1)
            .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
            .collect()
    }

    /// The query's names and values, decoded like a form: a plus is a space.
    pub(super) fn parameters(&self) -> Vec<(String, String)> {
        form(self.query.as_deref().unwrap_or_default().as_bytes())
    }

    /// A header's value, if the header occurs once and is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let only = values.next().filter(|_| values.next().is_none())?;
        only.to_str().ok()
    }

    /// The content type without its parameters, in lower case.
    pub(super) fn content_type(&self) -> Option<String> {
        let value = self.header(header::CONTENT_TYPE.as_str())?;
        value
            .split(';')
            .next()
            .map(|kind| kind.trim().to_ascii_lowercase())
    }

    pub(super) fn credentials(&self) -> ApiCredentials<'_> {
        if !self.headers.contains_key(header::AUTHORIZATION) {
            return ApiCredentials::None;
        }
        let value = self
            .header(header::AUTHORIZATION.as_str())
            .and_then(|value| value.split_once(' '));
        match value {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                ApiCredentials::Bearer(token.trim())
            }
            _ => ApiCredentials::Other,
        }
    }
}

/// Parses a form, or a query in the same format.
pub(super) fn form(bytes: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(bytes).into_owned().collect()
}

/// The first value of a parameter.
pub(super) fn first_value<'a>(parameters: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut values = parameters.iter().filter(|(known, _)| known == name);
    values.next().map(|(_, value)| value.as_str())
}

/// The value of a parameter that occurs once.
pub(super) fn value_of<'a>(parameters: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut values = parameters
        .iter()
        .filter(|(known, _)| known == name)
        .map(|(_, value)| value.as_str());
    values.next().filter(|_| values.next().is_none())
}
