//! The page of one payment: its events in order of the sender's time, and the events that are
//! missing.

use askama::Template;
use axum::{
    Extension,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
    response::Response,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    frame::PageFrame,
    inbox::ConsoleInbox,
    page::{PageError, page},
    row_page,
    state::SharedConsoleState,
};
use crate::{
    labels,
    overview::HumanDuration,
    payment::{PaymentHistory, PaymentHistoryEvent},
    search::read_payment_history,
};
use pillarbox::{domain::SourceName, telemetry::visible};

#[derive(Template)]
#[template(path = "payment_page.html")]
struct PaymentPage {
    frame: PageFrame,
    source: String,
    payment: String,
    facts: Vec<(&'static str, String)>,
    events: Vec<PaymentEventLine>,
    not_received: Vec<String>,
    /// Whether its id can be pasted into a shell.
    is_plain: bool,
}

/// One event. Every text is safe to display.
struct PaymentEventLine {
    address: String,
    event: String,
    at: String,
    amount: String,
    received: String,
    /// The state of its row; empty if the row has expired.
    state: &'static str,
    note: String,
}

/// The address of a payment's page.
pub(super) fn address(source: &SourceName, payment: &str) -> String {
    format!(
        "/payments/{source}/{}",
        utf8_percent_encode(payment, NON_ALPHANUMERIC)
    )
}

/// `GET /payments/{source}/{payment}`.
pub(super) async fn show<I: ConsoleInbox>(
    State(state): State<SharedConsoleState<I>>,
    Extension(frame): Extension<PageFrame>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, PageError> {
    let Path((source, payment)) = path.map_err(|_| PageError::NoPage)?;
    let source = SourceName::new(&source).ok_or(PageError::NoPage)?;
    let history = read_payment_history(&*state.inbox, &source, &payment).await?;
    if history.events.is_empty() {
        return Err(PageError::NoPayment);
    }
    Ok(page(StatusCode::OK, &PaymentPage::of(frame, &history)))
}

impl PaymentPage {
    fn of(frame: PageFrame, history: &PaymentHistory) -> Self {
        let known = &history.facts;
        let reference = known.reference.as_deref().map(visible);
        let facts = [
            ("Your reference", reference.map(|text| text.into_owned())),
            ("Amount", known.amount.map(pounds)),
            ("Refunded", known.refunded.map(pounds)),
        ];
        let known = facts
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        let missing = history.not_received.iter();
        Self {
            frame,
            source: history.source.clone(),
            payment: visible(&history.payment).into_owned(),
            is_plain: history
                .payment
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric()),
            facts: known.collect(),
            events: history.events.iter().map(PaymentEventLine::of).collect(),
            not_received: missing
                .map(|event_type| labels::event(event_type).to_owned())
                .collect(),
        }
    }
}

impl PaymentEventLine {
    fn of(event: &PaymentHistoryEvent) -> Self {
        let row = event.notification.as_ref();
        let at = event.at.map(|at| at.to_string());
        let note = row.map_or_else(
            || "Received and finished. The row has expired".to_owned(),
            |row| {
                let late = row
                    .late_by
                    .map(|late| format!("{} late", HumanDuration(late)));
                let reason = row.reason.as_deref().map(visible);
                let reason = reason.map(|reason| reason.into_owned());
                let notes: Vec<String> = late.into_iter().chain(reason).collect();
                notes.join(", ")
            },
        );
        Self {
            address: row_page::address(&event.key),
            event: visible(labels::event(&event.event_type)).into_owned(),
            at: at.unwrap_or_else(|| "None".to_owned()),
            amount: event.refund.map(pounds).unwrap_or_default(),
            received: row.map_or_else(
                || "Expired".to_owned(),
                |row| format!("{} ({})", row.received_at, row.origin.as_str()),
            ),
            state: row.map_or("", |row| row.state.as_str()),
            note,
        }
    }

    fn has_row(&self) -> bool {
        !self.state.is_empty()
    }
}

fn pounds(pence: u64) -> String {
    let pounds = usize::try_from(pence / 100).unwrap_or(usize::MAX);
    format!("£{}.{:02}", labels::number(pounds), pence % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pence_are_shown_in_pounds() {
        for (pence, expected) in [(0, "£0.00"), (5, "£0.05"), (123_456, "£1,234.56")] {
            assert_eq!(pounds(pence), expected);
        }
    }
}
