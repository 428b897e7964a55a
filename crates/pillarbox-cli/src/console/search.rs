//! The results of the search box, which are those of `pillarbox find`.

use askama::Template;
use axum::{
    Extension,
    extract::{RawQuery, State},
    http::StatusCode,
    response::Response,
};
use url::form_urlencoded;

use super::{
    frame::PageFrame,
    inbox::ConsoleInbox,
    list::ListLine,
    page::{PageError, page},
    payment_page, row_page,
    sign_in::see_other,
    state::SharedConsoleState,
};
use pillarbox::telemetry::visible;

/// The shortest text that is searched for. A shorter one would find half of the inbox.
const MIN_CHARACTERS: usize = 3;
/// The longest text that is searched for. No id or reference is longer.
const MAX_CHARACTERS: usize = 500;
/// The most payments that are listed.
const MAX_PAYMENTS: usize = 50;

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage {
    frame: PageFrame,
    /// The text that was searched for, safe to display.
    text: String,
    /// What is wrong with it.
    problem: Option<String>,
    payments: Vec<FoundPayment>,
    has_more: bool,
    lines: Vec<ListLine>,
    notes: Vec<String>,
}

/// A payment that was found.
struct FoundPayment {
    source: String,
    payment: String,
    address: String,
}

/// `GET /search`. Redirects to the page of a single result.
pub(super) async fn show<I: ConsoleInbox>(
    State(state): State<SharedConsoleState<I>>,
    Extension(mut frame): Extension<PageFrame>,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    let query = query.unwrap_or_default();
    let mut fields = form_urlencoded::parse(query.as_bytes());
    let text = fields.find_map(|(name, value)| (name == "q").then(|| value.trim().to_owned()));
    let text = text.unwrap_or_default();
    frame.search = visible(&text).into_owned();
    let mut found = SearchPage {
        text: frame.search.clone(),
        frame,
        problem: problem(&text),
        payments: Vec::new(),
        has_more: false,
        lines: Vec::new(),
        notes: Vec::new(),
    };
    if found.problem.is_some() {
        return Ok(page(StatusCode::OK, &found));
    }
    let sources = state.settings.config.sources.iter();
    let sources: Vec<_> = sources
        .map(|source| (source.name.clone(), source.kind))
        .collect();
    let result = state.inbox.search(&text, &sources).await?;
    match (result.payments.first(), result.rows.first_key_value()) {
        (Some((source, payment)), None) if result.payments.len() == 1 => {
            return Ok(see_other(&payment_page::address(source, payment)));
        }
        (None, Some((key, _))) if result.rows.len() == 1 => {
            return Ok(see_other(&row_page::address(key)));
        }
        _ => {}
    }
    let payments = result.payments.iter().take(MAX_PAYMENTS);
    let payments = payments.map(|(source, payment)| FoundPayment {
        source: source.to_string(),
        payment: visible(payment).into_owned(),
        address: payment_page::address(source, payment),
    });
    found.payments = payments.collect();
    found.has_more = result.payments.len() > MAX_PAYMENTS;
    found.lines = result.rows.values().map(ListLine::of).collect();
    found.notes = result.notes;
    Ok(page(StatusCode::OK, &found))
}

fn problem(text: &str) -> Option<String> {
    match text.chars().count() {
        0..MIN_CHARACTERS => Some(format!("Enter at least {MIN_CHARACTERS} characters")),
        MIN_CHARACTERS..=MAX_CHARACTERS => None,
        _ => Some(format!("Enter at most {MAX_CHARACTERS} characters")),
    }
}
