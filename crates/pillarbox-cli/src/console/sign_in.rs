//! Signing in to a console that is open beyond one machine.
//!
//! The token of the command line is exchanged for a cookie with a random value of this process, so
//! that the token itself is in no browser's store, and a restart signs every browser out.

use std::time::Duration;

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{
    form::ConsoleForm,
    frame::cookie,
    inbox::ConsoleInbox,
    page::PageError,
    state::{ConsoleState, SharedConsoleState, is_same_secret},
};

/// Where the form to sign in is posted.
pub(super) const ADDRESS: &str = "/sign-in";

const SESSION_COOKIE: &str = "pillarbox_session";

/// How long a wrong token takes to be answered, so that guessing is slow.
const WRONG_TOKEN_DELAY: Duration = Duration::from_secs(1);

/// Whether a request may see the console: the console has no token, the browser has signed in, or
/// the request has the token itself, as a scrape does.
pub(super) fn is_signed_in<I>(state: &ConsoleState<I>, headers: &HeaderMap) -> bool {
    let Some(token) = &state.settings.token else {
        return true;
    };
    let session = cookie(headers, SESSION_COOKIE);
    let bearer = headers.get(header::AUTHORIZATION);
    let bearer = bearer
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    session.is_some_and(|given| state.session.matches(given))
        || bearer.is_some_and(|given| is_same_secret(given, token.expose()))
}

/// `GET /sign-in`.
pub(super) async fn show() -> PageError {
    PageError::SignIn
}

/// `POST /sign-in`.
pub(super) async fn sign_in<I: ConsoleInbox>(
    State(state): State<SharedConsoleState<I>>,
    Extension(form): Extension<ConsoleForm>,
) -> Result<Response, PageError> {
    let given = form.get("token").unwrap_or_default();
    let token = state.settings.token.as_ref();
    if !token.is_some_and(|token| is_same_secret(given.trim(), token.expose())) {
        tracing::warn!("a wrong token was given to the console");
        tokio::time::sleep(WRONG_TOKEN_DELAY).await;
        return Err(PageError::Token);
    }
    let session = state.session.as_str();
    Ok(redirect_with_cookie("/", SESSION_COOKIE, session))
}

/// `POST /sign-out`.
pub(super) async fn sign_out() -> Response {
    redirect_with_cookie("/", SESSION_COOKIE, "")
}

/// A redirect to a page of the console that sets a cookie, which no script may read and no other
/// site's request carries.
pub(super) fn redirect_with_cookie(target: &str, name: &str, value: &str) -> Response {
    let cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age=31536000");
    let mut response = see_other(target);
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// Redirects to `target`, a path of the console, after a form.
pub(super) fn see_other(target: &str) -> Response {
    // `//` and `/\` would begin the name of another host.
    let is_path = target.starts_with('/') && !target[1..].starts_with(['/', '\\']);
    let target = if is_path { target } else { "/" };
    let target = HeaderValue::from_str(target).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, target)]).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_never_redirects_to_another_host() {
        for (given, target) in [
            ("/notifications?state=dead", "/notifications?state=dead"),
            ("/", "/"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example/", "/"),
            ("", "/"),
            ("/\r\nset-cookie: a=b", "/"),
        ] {
            let response = see_other(given);
            assert_eq!(response.headers()[header::LOCATION], target, "{given}");
        }
    }
}
