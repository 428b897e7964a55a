//! The style sheet and the script. Both are part of the program, so that nothing is fetched from
//! elsewhere.

use axum::{http::header, response::IntoResponse};

/// The style sheet.
pub(super) async fn style() -> impl IntoResponse {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8")];
    (headers, include_str!("console.css"))
}

/// The script.
pub(super) async fn script() -> impl IntoResponse {
    let headers = [(header::CONTENT_TYPE, "text/javascript; charset=utf-8")];
    (headers, include_str!("console.js"))
}
