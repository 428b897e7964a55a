//! `pillarbox find`: finds a payment, a reference, a notification or a box by one text.

use clap::Args;
use serde::Serialize;

use super::{
    CommandError, ErrorCode, GlobalArgs,
    list::print_rows,
    output::{BOLD, CommandOutput, paint},
    row::json,
    sender_access,
    settings::CommandSettings,
};
use crate::{
    any_inbox::{AnyInbox, InboxAccess},
    labels,
    overview::HumanDuration,
    payment::{PaymentHistory, PaymentHistoryEvent},
    search::{SearchInbox, SearchResult, read_payment_history},
};
use pillarbox::{
    config::SourceConfig,
    domain::{Clock, NotificationId, SourceName, SystemClock},
    inbox::Row,
    reconcile::{
        SenderAccess,
        govuk_pay::{PayAccess, PaymentAtPay, payment_at_pay, payments_by_reference},
    },
    senders::SenderKind,
    telemetry::visible,
};

/// A shorter text would match too much.
const MIN_CHARACTERS: usize = 3;
/// The largest number of payments that are printed.
const MAX_PAYMENTS: usize = 10;

/// Finds a payment, a reference, a notification or a box.
#[derive(Args)]
#[command(
    after_help = "TEXT is a payment id or its beginning, the service's own reference, a \
                  notification id, a key, or an HMRC box id.\n\
                  On a table a payment id must be whole, and a reference is looked up at GOV.UK \
                  Pay, with the API key of the source's `pull`. Nothing is scanned.\n\
                  Exits with 1 if nothing is found.\n\nExamples:\n  pillarbox find ORDER-1234\n  \
                  pillarbox find 6otjqrvh3l --ask"
)]
pub(super) struct FindArgs {
    /// What to look for
    #[arg(value_name = "TEXT")]
    text: String,
    /// Ask GOV.UK Pay now which events of the payment are missing
    #[arg(long = "ask")]
    query_pay: bool,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

impl FindArgs {
    pub(super) async fn run(
        self,
        global: &GlobalArgs,
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        let text = self.text.trim();
        if text.chars().count() < MIN_CHARACTERS {
            return Err(CommandError::Usage(format!(
                "write at least {MIN_CHARACTERS} characters of what you look for"
            )));
        }
        let settings = CommandSettings::load(global)?;
        let inbox = settings.open_inbox(InboxAccess::Read).await?;
        let sources = settings.config.sources.iter();
        let sources: Vec<_> = sources
            .map(|source| (source.name.clone(), source.kind))
            .collect();
        let mut found = inbox.search(text, &sources).await?;
        if let (AnyInbox::DynamoDb(_), true) = (&inbox, found.is_empty()) {
            find_at_pay(&settings, text, &mut found).await?;
        }
        for note in &found.notes {
            output.info(note)?;
        }
        if found.is_empty() {
            output.info(&format!("Nothing matches `{}`.", visible(text)))?;
            return Err(CommandError::Negative);
        }
        let rows: Vec<Row> = found.rows.into_values().collect();
        print_rows(&rows, true, self.json, output)?;
        if found.payments.len() > MAX_PAYMENTS {
            output.info(&format!(
                "{} payment ids begin with this text; these are the first {MAX_PAYMENTS}.",
                found.payments.len()
            ))?;
        }
        for (source, payment) in found.payments.iter().take(MAX_PAYMENTS) {
            self.print_payment(&settings, &inbox, (source, payment), output)
                .await?;
        }
        Ok(())
    }

    async fn print_payment(
        &self,
        settings: &CommandSettings,
        inbox: &AnyInbox,
        (source, payment): (&SourceName, &str),
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        let history = read_payment_history(inbox, source, payment).await?;
        let at_pay = match self.query_pay {
            true => query_pay(settings, inbox, (source, payment)).await?,
            false => None,
        };
        if self.json {
            Ok(output.data(&json(&JsonPayment::new(&history, at_pay.as_ref()))?)?)
        } else {
            print_history(&history, at_pay.as_ref(), output)
        }
    }
}

/// Adds the payments that have this reference at Pay.
async fn find_at_pay(
    settings: &CommandSettings,
    reference: &str,
    found: &mut SearchResult,
) -> Result<(), CommandError> {
    let is_pay = |source: &&SourceConfig| source.kind == SenderKind::GOVUK_PAY;
    for source in settings.config.sources.iter().filter(is_pay) {
        let Some(access) = pay_access(source).await? else {
            found.notes.push(format!(
                "A reference of source {} cannot be looked up: on a table, this needs the API key \
                 of its `pull`.",
                source.name
            ));
            continue;
        };
        let ids = payments_by_reference(&access, reference).await;
        let ids = ids.map_err(|error| pay_error(&source.name, &error))?;
        let payments = ids.into_iter().map(|id| id.as_str().to_owned());
        found
            .payments
            .extend(payments.map(|id| (source.name.clone(), id)));
    }
    Ok(())
}

/// The current state of a payment at Pay; `None` if Pay has no such payment.
async fn query_pay(
    settings: &CommandSettings,
    inbox: &AnyInbox,
    (source, payment): (&SourceName, &str),
) -> Result<Option<PaymentAtPay>, CommandError> {
    let config = settings.source(source.as_str())?;
    let Some(access) = pay_access(config).await? else {
        return Err(ErrorCode::NotReconciled.error(format!(
            "source {source} has no `pull`, whose API key --ask needs"
        )));
    };
    let Some(id) = NotificationId::new(payment) else {
        return Ok(None);
    };
    let found = payment_at_pay(&access, inbox, (source, &id), SystemClock.now()).await?;
    found.map_err(|error| pay_error(source, &error))
}

async fn pay_access(source: &SourceConfig) -> Result<Option<PayAccess>, CommandError> {
    Ok(match sender_access::access(source).await? {
        Some(SenderAccess::GovukPay(access)) => Some(access),
        _ => None,
    })
}

fn pay_error(source: &SourceName, error: &impl std::fmt::Display) -> CommandError {
    CommandError::Failed(format!(
        "cannot query GOV.UK Pay for source {source}: {error}"
    ))
}

fn print_history(
    history: &PaymentHistory,
    at_pay: Option<&PaymentAtPay>,
    output: &mut CommandOutput,
) -> Result<(), CommandError> {
    let mut title = vec![format!("Payment {} ({})", history.payment, history.source)];
    let facts = &history.facts;
    title.extend(
        facts
            .reference
            .as_ref()
            .map(|text| format!("reference {text}")),
    );
    title.extend(facts.amount.map(pounds));
    let refunded = facts.refunded.filter(|refunded| *refunded > 0);
    title.extend(refunded.map(|refunded| format!("{} refunded", pounds(refunded))));
    output.data(&paint(&visible(&title.join(", ")), BOLD))?;
    for event in &history.events {
        output.data(&format!("  {}", event_line(event)))?;
    }
    if history.events.is_empty() {
        output.data("  no event was received")?;
    }
    for event_type in &history.not_received {
        output.data(&format!("  {}: not received", labels::event(event_type)))?;
    }
    if let Some(at_pay) = at_pay {
        output.data(&format!("  at Pay now: {}", visible(&at_pay.status)))?;
        for awaited in &at_pay.awaited {
            let word = if awaited.is_missing {
                "missing"
            } else {
                "not yet received"
            };
            output.data(&format!(
                "  {}: {word}",
                labels::event(awaited.event.as_str())
            ))?;
        }
    }
    Ok(())
}

/// One line of an event: its date, its type, how late it was received, its state and its key.
fn event_line(event: &PaymentHistoryEvent) -> String {
    let at = event
        .at
        .map_or_else(|| "no date".to_owned(), labels::local_time);
    let mut parts = vec![visible(labels::event(&event.event_type)).into_owned()];
    parts.extend(event.refund.map(pounds));
    match &event.notification {
        None => parts.push("received, and expired".to_owned()),
        Some(notification) => {
            parts.push(match notification.late_by {
                Some(late) => format!("received {} late", HumanDuration(late)),
                None => "received in time".to_owned(),
            });
            let state = notification.state;
            let reason = notification.reason.as_deref().map(visible);
            parts.push(reason.map_or(state.to_string(), |reason| format!("{state} ({reason})")));
        }
    }
    format!("{at}  {}  {}", parts.join(", "), event.key)
}

/// An amount in pence as pounds.
fn pounds(pence: u64) -> String {
    format!("£{}.{:02}", pence / 100, pence % 100)
}

/// The fields of a payment. Their names are stable.
#[derive(Serialize)]
struct JsonPayment<'a> {
    payment: &'a str,
    source: &'a str,
    reference: Option<&'a str>,
    amount: Option<u64>,
    refunded: Option<u64>,
    events: Vec<JsonEvent<'a>>,
    not_received: &'a [&'static str],
    at_pay: Option<JsonAtPay<'a>>,
}

/// One event of a payment.
#[derive(Serialize)]
struct JsonEvent<'a> {
    key: &'a str,
    event_type: &'a str,
    event_at: Option<String>,
    refund: Option<u64>,
    received_at: Option<String>,
    late_seconds: Option<u64>,
    origin: Option<&'static str>,
    state: Option<&'static str>,
    reason: Option<&'a str>,
}

/// The current state at Pay.
#[derive(Serialize)]
struct JsonAtPay<'a> {
    status: &'a str,
    missing: Vec<&'static str>,
    awaited: Vec<&'static str>,
}

impl<'a> JsonPayment<'a> {
    fn new(history: &'a PaymentHistory, at_pay: Option<&'a PaymentAtPay>) -> Self {
        Self {
            payment: &history.payment,
            source: &history.source,
            reference: history.facts.reference.as_deref(),
            amount: history.facts.amount,
            refunded: history.facts.refunded,
            events: history.events.iter().map(JsonEvent::from).collect(),
            not_received: &history.not_received,
            at_pay: at_pay.map(|at_pay| JsonAtPay {
                status: &at_pay.status,
                missing: events(at_pay, true),
                awaited: events(at_pay, false),
            }),
        }
    }
}

/// The awaited events that are missing, or those that are not missing yet.
fn events(at_pay: &PaymentAtPay, is_missing: bool) -> Vec<&'static str> {
    let awaited = at_pay.awaited.iter();
    let awaited = awaited.filter(|awaited| awaited.is_missing == is_missing);
    awaited.map(|awaited| awaited.event.as_str()).collect()
}

impl<'a> From<&'a PaymentHistoryEvent> for JsonEvent<'a> {
    fn from(event: &'a PaymentHistoryEvent) -> Self {
        let notification = event.notification.as_ref();
        Self {
            key: event.key.as_str(),
            event_type: &event.event_type,
            event_at: event.at.map(|at| at.to_string()),
            refund: event.refund,
            received_at: notification.map(|one| one.received_at.to_string()),
            late_seconds: notification.and_then(|one| Some(one.late_by?.as_secs())),
            origin: notification.map(|one| one.origin.as_str()),
            state: notification.map(|one| one.state.as_str()),
            reason: notification.and_then(|one| one.reason.as_deref()),
        }
    }
}
