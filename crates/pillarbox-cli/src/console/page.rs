//! Converts pages and errors to HTTP responses, and chooses the status of each error.

use askama::Template;
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};

use super::frame::PageFrame;
use crate::acts::ActError;
use pillarbox::{inbox::InboxError, telemetry::visible};

/// Why a page cannot be shown, or a form is refused.
#[derive(Debug)]
pub(super) enum PageError {
    /// No page has this address.
    NoPage,
    /// No notification has this key.
    NoNotification,
    /// No notification is about this payment.
    NoPayment,
    /// The bytes of the notification have been erased.
    Erased,
    /// The address names an unknown state.
    NoState,
    /// The address has a date that cannot be read.
    NoDate,
    /// The request names another host.
    Host,
    /// The browser has not signed in.
    SignIn,
    /// The token is wrong.
    Token,
    /// The console does not support the method.
    Method,
    /// The page has no form.
    NoForm,
    /// The form comes from another site, or from a process that has ended.
    Forged,
    /// The form is too long.
    FormSize,
    /// The console was opened without permission to change anything.
    ReadOnly,
    /// The act is not possible, for this reason.
    Refused(String),
    /// The notification is ended, and these copies of its bytes are left.
    BytesLeft(String),
    /// An act failed.
    Act(ActError),
    /// The inbox cannot be read or changed.
    Inbox(InboxError),
}

/// The text of an error page. The guard has the frame, and renders the page.
#[derive(Clone)]
pub(super) struct ErrorText {
    status: StatusCode,
    heading: &'static str,
    advice: &'static str,
    detail: Option<String>,
    kind: ErrorKind,
}

/// What a page shows beside an error.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ErrorKind {
    /// The navigation.
    Framed,
    /// Nothing: the browser must not see more.
    Bare,
    /// A form to sign in.
    SignIn,
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ErrorPage<'a> {
    frame: PageFrame,
    text: &'a ErrorText,
    has_sign_in: bool,
}

impl PageError {
    fn status(&self) -> StatusCode {
        match self {
            // Erased bytes are not found either. The page explains why.
            Self::NoPage | Self::NoNotification | Self::NoPayment | Self::Erased => {
                StatusCode::NOT_FOUND
            }
            Self::NoState | Self::NoDate => StatusCode::BAD_REQUEST,
            Self::Host => StatusCode::MISDIRECTED_REQUEST,
            Self::SignIn | Self::Token => StatusCode::UNAUTHORIZED,
            Self::Method | Self::NoForm => StatusCode::METHOD_NOT_ALLOWED,
            Self::Forged | Self::ReadOnly => StatusCode::FORBIDDEN,
            Self::FormSize => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Refused(_) | Self::BytesLeft(_) => StatusCode::CONFLICT,
            Self::Act(_) | Self::Inbox(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The heading and the advice: what is wrong, and what to do about it.
    fn sentences(&self) -> (&'static str, &'static str) {
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
            Self::NoPayment => (
                "Payment not found",
                "No notification here is about this payment. Finished notifications are removed \
                 after the retention period.",
            ),
            Self::Erased => (
                "The bytes have been erased",
                "Someone discarded this notification and erased its bytes. The rest of its record \
                 is kept.",
            ),
            Self::NoState => (
                "Unknown state",
                "Choose a state from the list of notifications.",
            ),
            Self::NoDate => (
                "Invalid date",
                "Enter a date as 2026-03-02, or a time as 2026-03-02T10:15. Times are in UTC.",
            ),
            Self::Host => (
                "This address is not the console’s",
                "Use the address that was printed when the console started, or localhost with the \
                 port of your tunnel.",
            ),
            Self::SignIn => (
                "Sign in",
                "This console is open beyond one machine. Enter the token that it was started \
                 with.",
            ),
            Self::Token => (
                "The token is not correct",
                "Enter the value that --token names, without quotation marks or spaces.",
            ),
            Self::Method => (
                "The console does not support this method",
                "It answers GET, HEAD and POST. To change a notification, open its page, or use \
                 the pillarbox command.",
            ),
            Self::NoForm => (
                "This page has no form",
                "Nothing was changed. To change a notification, open its page, or use the \
                 pillarbox command.",
            ),
            Self::Forged => (
                "Nothing was changed",
                "The form was not sent by a page of this console, or the console was restarted \
                 since. Open the page again, and repeat what you did.",
            ),
            Self::FormSize => (
                "The form is too long",
                "Nothing was changed. Choose fewer notifications at once.",
            ),
            Self::ReadOnly => (
                "This console is read-only",
                "Nothing was changed. Start it with --allow-changes, or use the pillarbox command.",
            ),
            Self::Refused(_) => ("Nothing was changed", "The reason is:"),
            Self::BytesLeft(_) => (
                "Bytes are left",
                "The notification is ended. Erase it again to remove these copies:",
            ),
            Self::Act(ActError::NotAudited(_)) => (
                "Nothing was changed",
                "A change must be written to the audit trail first.",
            ),
            Self::Act(ActError::EndNotAudited(_)) => (
                "The change was made",
                "Its entry in the audit trail still has the outcome “started”.",
            ),
            Self::Act(ActError::Inbox(_)) => (
                "The inbox failed",
                "The page of the notification shows whether the change was made.",
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
        let (heading, advice) = self.sentences();
        let detail = match &self {
            Self::Inbox(error) => Some(visible(&error.to_string()).into_owned()),
            Self::Refused(reason) | Self::BytesLeft(reason) => Some(visible(reason).into_owned()),
            Self::Act(error) => Some(visible(&error.to_string()).into_owned()),
            _ => None,
        };
        let text = ErrorText {
            status: self.status(),
            heading,
            advice,
            detail,
            kind: match self {
                Self::Host => ErrorKind::Bare,
                Self::SignIn | Self::Token => ErrorKind::SignIn,
                _ => ErrorKind::Framed,
            },
        };
        let mut response = text.status.into_response();
        let allowed = match self {
            Self::Method => Some("GET, HEAD, POST"),
            Self::NoForm => Some("GET, HEAD"),
            _ => None,
        };
        if let Some(allowed) = allowed {
            response
                .headers_mut()
                .insert(header::ALLOW, HeaderValue::from_static(allowed));
        }
        response.extensions_mut().insert(text);
        response
    }
}

impl From<ActError> for PageError {
    fn from(error: ActError) -> Self {
        Self::Act(error)
    }
}

impl From<InboxError> for PageError {
    fn from(error: InboxError) -> Self {
        Self::Inbox(error)
    }
}

/// Adds the page with `frame` to a response that is an error.
pub(super) fn with_error_page(mut response: Response, frame: PageFrame) -> Response {
    let Some(text) = response.extensions_mut().remove::<ErrorText>() else {
        return response;
    };
    let has_sign_in = text.kind == ErrorKind::SignIn;
    let frame = PageFrame {
        is_admitted: text.kind == ErrorKind::Framed,
        ..frame
    };
    let body = page(
        text.status,
        &ErrorPage {
            frame,
            text: &text,
            has_sign_in,
        },
    );
    let (mut parts, body) = body.into_parts();
    // Such as `Allow`.
    parts.headers.extend(response.headers().clone());
    Response::from_parts(parts, body)
}

/// Renders a page.
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
