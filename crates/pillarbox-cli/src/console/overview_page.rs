//! The first page: what needs a person, or that nothing does.

use axum::{Extension, extract::State, http::StatusCode, response::Response};

use askama::Template;

use super::{
    frame::PageFrame,
    inbox::ConsoleInbox,
    page::{PageError, page},
    state::SharedState,
};

#[derive(Template)]
#[template(path = "overview_page.html")]
struct OverviewPage {
    frame: PageFrame,
}

/// `GET /`.
pub(super) async fn show<I: ConsoleInbox>(
    State(_state): State<SharedState<I>>,
    Extension(frame): Extension<PageFrame>,
) -> Result<Response, PageError> {
    Ok(page(StatusCode::OK, &OverviewPage { frame }))
}
