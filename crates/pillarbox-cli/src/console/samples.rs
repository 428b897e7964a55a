//! Samples: signed notifications in the senders' formats, posted to the demo's sources.
//!
//! Only the demo sends them. Its secrets protect nothing, and samples are posted only to the demo
//! itself, on loopback.

use askama::Template;
use axum::{Extension, extract::State, http::StatusCode, response::Response};
use sender_simulator::{Sender, SystemClock, exchange, is_loopback};
use url::Url;

use super::{
    form::ConsoleForm,
    frame::PageFrame,
    inbox::ConsoleInbox,
    page::{PageError, page},
    sign_in::see_other,
    state::SharedConsoleState,
};
use pillarbox::{
    inbox::{AuditAction, AuditOutcome},
    secrets::Secret,
};

/// A source of the demo, and its secret.
#[derive(Clone)]
pub struct SampleSource {
    /// Its name.
    pub source: String,
    /// Its sender.
    pub sender: Sender,
    /// The loopback address at which this process receives its callbacks.
    pub url: Url,
    /// Its secret.
    pub secret: Secret,
}

#[derive(Template)]
#[template(path = "samples.html")]
struct SamplesPage {
    frame: PageFrame,
    sources: Vec<(String, &'static [&'static str])>,
}

/// `GET /samples`.
pub(super) async fn show<I: ConsoleInbox>(
    State(state): State<SharedConsoleState<I>>,
    Extension(frame): Extension<PageFrame>,
) -> Result<Response, PageError> {
    let sources = state.settings.samples.iter();
    let sources = sources.map(|sample| (sample.source.clone(), sample.sender.events()));
    let sources = sources.collect();
    Ok(page(StatusCode::OK, &SamplesPage { frame, sources }))
}

/// `POST /acts/sample`.
pub(super) async fn send<I: ConsoleInbox>(
    State(state): State<SharedConsoleState<I>>,
    Extension(form): Extension<ConsoleForm>,
) -> Result<Response, PageError> {
    let (source, event) = (form.get("source"), form.get("event"));
    let mut samples = state.settings.samples.iter();
    let sample = samples.find(|sample| Some(sample.source.as_str()) == source);
    let sample = sample.filter(|sample| is_loopback(&sample.url));
    let sample = sample.ok_or(PageError::NoPage)?;
    let known = sample
        .sender
        .events()
        .iter()
        .find(|known| Some(**known) == event);
    let event = *known.ok_or(PageError::NoPage)?;
    let body = sample.sender.body(Some(event), &SystemClock);
    let body = body.map_err(|error| PageError::Refused(error.to_string()))?;
    let request = sample
        .sender
        .request(&body, sample.secret.expose(), &sample.url);
    let target = format!("{}, {event}", sample.source);
    let entry = state
        .operator
        .begin(AuditAction::SendSample, target, Some(1))
        .await?;
    let answered = exchange(&request, &sample.url, sample.sender.client_profile()).await;
    let is_done = answered.as_ref().is_ok_and(|answer| answer.status == 200);
    let (done, outcome) = match is_done {
        true => (1, AuditOutcome::Done),
        false => (0, AuditOutcome::Failed),
    };
    state.operator.complete(entry, done, outcome).await?;
    match answered {
        Ok(_) if is_done => Ok(see_other("/notifications")),
        Ok(answer) => Err(PageError::Refused(format!(
            "the receiver answered {}",
            answer.status
        ))),
        Err(error) => Err(PageError::Refused(error.to_string())),
    }
}
