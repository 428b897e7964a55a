//! A person's preferences, which the browser keeps in cookies: the theme and the shortcuts.

use axum::{Extension, response::Response};

use super::{
    form::ConsoleForm,
    frame::{ColourTheme, SHORTCUTS_COOKIE, THEME_COOKIE},
    sign_in::{redirect_with_cookie, see_other},
};

/// `POST /preferences`.
pub(super) async fn set(Extension(form): Extension<ConsoleForm>) -> Response {
    let here = form.get("here").unwrap_or("/");
    if let Some((_, name)) = form.get("theme").and_then(ColourTheme::find) {
        return redirect_with_cookie(here, THEME_COOKIE, name);
    }
    match form.get("shortcuts") {
        Some("on") => redirect_with_cookie(here, SHORTCUTS_COOKIE, "on"),
        Some("off") => redirect_with_cookie(here, SHORTCUTS_COOKIE, "off"),
        _ => see_other(here),
    }
}
