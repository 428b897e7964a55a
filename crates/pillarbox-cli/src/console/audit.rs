//! The audit trail: who changed what.

use axum::{Extension, extract::State, http::StatusCode, response::Response};

use askama::Template;

use super::{
    frame::PageFrame,
    inbox::ConsoleInbox,
    page::{PageError, page},
    state::SharedState,
};

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    frame: PageFrame,
}

/// `GET /audit`.
pub(super) async fn show<I: ConsoleInbox>(
    State(_state): State<SharedState<I>>,
    Extension(frame): Extension<PageFrame>,
) -> Result<Response, PageError> {
    Ok(page(StatusCode::OK, &AuditPage { frame }))
}
