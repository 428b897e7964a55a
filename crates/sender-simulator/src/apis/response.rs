//! A response of an API.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    header::{self, HeaderName, HeaderValue},
};

use crate::json;

/// A response before it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiResponse {
    /// The status code.
    pub status: u16,
    /// Headers other than content type and length. Names are in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// JSON, unless a header sets another content type.
    pub body: String,
}

impl ApiResponse {
    /// A response with a JSON body.
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// A JSON response whose values are all texts.
    pub(super) fn texts(status: u16, fields: &[(&str, &str)]) -> Self {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, text)| (*name, json::string(text)))
            .collect();
        Self::json(status, json::object(&fields))
    }

    /// A response without a body.
    pub fn empty(status: u16) -> Self {
        Self::json(status, "")
    }

    /// Adds a header, whose name must be in lower case.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Converts it for hyper. An invalid status becomes 500, and an invalid header is left out.
    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let typed = !self.body.is_empty();
        let mut response = Response::new(Full::from(self.body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        if typed {
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
        }
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}
