//! Forms that change one notification. Each has a page that explains the act and asks for
//! confirmation.
//!
//! Every address that changes something begins with `/acts/`, which the guard refuses unless
//! changes are allowed. The confirmation pages are reached by links, so they work by keyboard and
//! without scripts. They change nothing.

use askama::Template;
use axum::{
    Extension, Router,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
    response::Response,
    routing::{get, post},
};

use super::{
    bulk,
    form::ConsoleForm,
    frame::PageFrame,
    inbox::ConsoleInbox,
    page::{PageError, page},
    row_page, samples,
    sign_in::see_other,
    state::SharedConsoleState,
};
use crate::{
    acts::{RowAct, RowResult},
    labels,
};
use pillarbox::{
    domain::{Key, State as RowState, Timestamp},
    inbox::{BodyCopy, Row},
    telemetry::visible,
};

/// Everything that can be done to one notification.
const ACTS: [RowAct; 3] = [RowAct::Replay, RowAct::Discard, RowAct::Erase];

/// An act as a page offers it.
pub(super) struct OfferedAct {
    pub(super) name: &'static str,
    /// The last segment of its address.
    pub(super) word: &'static str,
    /// Why it is not possible now.
    pub(super) refused: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "act.html")]
struct ActPage {
    frame: PageFrame,
    question: String,
    name: &'static str,
    word: &'static str,
    effect: &'static str,
    refused: Option<String>,
    event: String,
    key: String,
    state: RowState,
    address: String,
    copies: Vec<String>,
}

/// The routes of the acts.
pub(super) fn routes<I: ConsoleInbox>() -> Router<SharedConsoleState<I>> {
    let mut router = Router::new();
    for act in ACTS {
        let word = word(act);
        router = router
            .route(
                &format!("/notifications/{{key}}/{word}"),
                get(move |state, frame, key| confirmation_page::<I>(act, state, frame, key)),
            )
            .route(
                &format!("/acts/{word}"),
                post(move |state, form| change::<I>(act, state, form)),
            );
    }
    router
        .route("/bulk", get(bulk::choose::<I>))
        .route("/bulk/{id}", get(bulk::progress::<I>))
        .route("/acts/bulk", post(bulk::start::<I>))
        .route("/acts/stop", post(bulk::stop::<I>))
        .route("/samples", get(samples::show::<I>))
        .route("/acts/sample", post(samples::send::<I>))
}

/// The act in an address.
pub(super) fn word(act: RowAct) -> &'static str {
    match act {
        RowAct::Replay => "replay",
        RowAct::Discard => "discard",
        RowAct::Erase => "erase",
    }
}

/// The act that a word in an address means.
pub(super) fn parse(given: &str) -> Option<RowAct> {
    ACTS.into_iter().find(|act| word(*act) == given)
}

/// The act on a button.
pub(super) fn name(act: RowAct) -> &'static str {
    match act {
        RowAct::Replay => "Replay",
        RowAct::Discard => "Discard",
        RowAct::Erase => "Erase",
    }
}

/// What an act does.
pub(super) fn effect(act: RowAct) -> &'static str {
    match act {
        RowAct::Replay => {
            "It is delivered again under the same key, as soon as a running serve or the function \
             finds it. A destination that has seen its key should ignore it."
        }
        RowAct::Discard => {
            "It is ended permanently and never delivered. Its bytes are kept until it expires."
        }
        RowAct::Erase => {
            "It is ended permanently, and every copy of its bytes in the inbox is erased now. Its \
             key and its hashes are kept, so that a copy is not stored again. This cannot be \
             undone."
        }
    }
}

/// Confirms a completed act on the page that follows.
pub(super) fn notice(done: &str) -> Option<&'static str> {
    Some(match parse(done)? {
        RowAct::Replay => "Replayed. It will be delivered again shortly.",
        RowAct::Discard => "Discarded. It will not be delivered.",
        RowAct::Erase => "Erased. No copy of its bytes is left in the inbox.",
    })
}

/// The acts on `row`, including those that are not possible now.
pub(super) fn offered(row: &Row, now: Timestamp) -> Vec<OfferedAct> {
    let offered = ACTS.into_iter().map(|act| OfferedAct {
        name: name(act),
        word: word(act),
        refused: act.is_possible(row, now).err(),
    });
    offered.collect()
}

/// `GET /notifications/{key}/{act}`: the page that confirms an act.
async fn confirmation_page<I: ConsoleInbox>(
    act: RowAct,
    State(state): State<SharedConsoleState<I>>,
    Extension(frame): Extension<PageFrame>,
    key: Result<Path<String>, PathRejection>,
) -> Result<Response, PageError> {
    if !state.changes_allowed() {
        return Err(PageError::ReadOnly);
    }
    let row = row_page::find(&*state.inbox, key).await?;
    let copies = match act {
        RowAct::Erase => state.inbox.body_copies(&row.key).await?,
        RowAct::Replay | RowAct::Discard => Vec::new(),
    };
    let refused = act.is_possible(&row, state.settings.clock.now()).err();
    let confirmation = ActPage {
        frame,
        question: format!("{} this notification?", name(act)),
        name: name(act),
        word: word(act),
        effect: effect(act),
        refused: refused.map(str::to_owned),
        event: visible(labels::event(&row.event_type)).into_owned(),
        key: visible(row.key.as_str()).into_owned(),
        state: row.state,
        address: row_page::address(&row.key),
        copies: copies.iter().map(describe_copy).collect(),
    };
    Ok(page(StatusCode::OK, &confirmation))
}

fn describe_copy(copy: &BodyCopy) -> String {
    visible(&format!("{} bytes in {}", copy.bytes, copy.location)).into_owned()
}

/// `POST /acts/{act}`.
async fn change<I: ConsoleInbox>(
    act: RowAct,
    State(state): State<SharedConsoleState<I>>,
    Extension(form): Extension<ConsoleForm>,
) -> Result<Response, PageError> {
    let key = form.get("key").and_then(Key::parse);
    let key = key.ok_or(PageError::NoNotification)?;
    match state.operator.act_on(act, &key).await? {
        RowResult::Done => {
            let address = row_page::address(&key);
            Ok(see_other(&format!("{address}?done={}", word(act))))
        }
        RowResult::Absent => Err(PageError::NoNotification),
        RowResult::Refused(why) => Err(PageError::Refused(why.to_owned())),
        RowResult::Unreadable(error) => Err(error.into()),
        RowResult::BytesLeft(copies) => {
            let copies: Vec<String> = copies.iter().map(describe_copy).collect();
            Err(PageError::BytesLeft(copies.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests;
