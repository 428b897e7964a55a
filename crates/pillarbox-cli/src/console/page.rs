//! Converts a page or an error to an HTTP response. The only module that chooses a status.

use askama::Template;
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};

use pillarbox::{inbox::InboxError, telemetry::visible};

/// Why a page cannot be shown.
#[derive(Debug)]
pub(super) enum PageError {
    /// No page has this address.
    NoPage,
    /// No notification has this key.
    NoNotification,
    /// The notification is there; its bytes are not.
    Erased,
    /// The address names an unknown state.
    NoState,
    /// The request names another host.
    Host,
    /// The request is not a read request.
    Method,
    /// The inbox cannot be read.
    Inbox(InboxError),
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ErrorPage {
    heading: &'static str,
    advice: &'static str,
    detail: Option<String>,
    link: bool,
}

impl PageError {
    fn status(&self) -> StatusCode {
        match self {
            // Erased bytes are as absent as any others; the page says why.
            Self::NoPage | Self::NoNotification | Self::Erased => StatusCode::NOT_FOUND,
            Self::NoState => StatusCode::BAD_REQUEST,
            Self::Host => StatusCode::MISDIRECTED_REQUEST,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Inbox(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What is wrong, and what to do about it.
    fn text(&self) -> (&'static str, &'static str) {
        match self {
            Self::NoPage => (
                "Page not found",
                "If you typed the web address, check it is correct.",
            ),
            Self::NoNotification => (
                "Notification not found",
                "The inbox has no notification with this key. Finished notifications are removed \
                 after the retention period.",
            ),
            Self::Erased => (
                "The bytes have been erased",
                "Someone discarded this notification and erased its bytes. The rest of its record \
                 is kept.",
            ),
            Self::NoState => (
                "There is no such state",
                "Choose a state from the list of notifications.",
            ),
            Self::Host => (
                "This address is not the console’s",
                "Use the address that was printed when the console started, or localhost with the \
                 port of your tunnel.",
            ),
            Self::Method => (
                "The console only shows",
                "To change a notification, use the pillarbox command.",
            ),
            Self::Inbox(_) => (
                "The inbox cannot be read",
                "Nothing has been lost or changed. Check that the inbox is there and can be \
                 reached, then reload this page.",
            ),
        }
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        if let Self::Inbox(error) = &self {
            tracing::error!(reason = %error, "the console could not read the inbox");
        }
        let (heading, advice) = self.text();
        let detail = match &self {
            Self::Inbox(error) => Some(visible(&error.to_string()).into_owned()),
            _ => None,
        };
        let link = !matches!(self, Self::Host);
        let mut response = page(
            self.status(),
            &ErrorPage {
                heading,
                advice,
                detail,
                link,
            },
        );
        if let Self::Method = self {
            response
                .headers_mut()
                .insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        response
    }
}

impl From<InboxError> for PageError {
    fn from(error: InboxError) -> Self {
        Self::Inbox(error)
    }
}

/// The page that `template` makes.
pub(super) fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(reason = %error, "a console page could not be written");
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                "The page could not be written.",
            )
                .into_response()
        }
    }
}
