//! `pillarbox show`: shows one notification.

use base64::{Engine, prelude::BASE64_STANDARD};
use clap::Args;
use serde::Serialize;

use super::{
    CommandError, GlobalArgs,
    key::{find_key, unknown_key},
    output::{BOLD, CommandOutput, paint},
    row::{JsonHistoryEntry, JsonRow, json, json_history},
    settings::CommandSettings,
};
use crate::{any_inbox::InboxAccess, labels, timeline::timeline};
use pillarbox::{
    domain::{Clock, State, SystemClock},
    inbox::{ReadInbox, Row},
    telemetry::{visible, visible_lines},
};

/// Shows one notification.
#[derive(Args)]
#[command(
    after_help = "Example:\n  pillarbox show pay:5s1k7c3g9v2m8a4e0q6i5o1u7t --raw > body.json"
)]
pub(super) struct ShowArgs {
    /// The key, as `list` prints it; the sender's identifier, or the beginning of either
    key: String,
    /// Print only the exact bytes received
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// A row and its bytes: as text if they are UTF-8, otherwise in base64.
#[derive(Serialize)]
struct ShownRow {
    #[serde(flatten)]
    row: JsonRow,
    signature: Option<String>,
    history: Vec<JsonHistoryEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

impl ShowArgs {
    pub(super) async fn run(
        self,
        global: &GlobalArgs,
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        let settings = CommandSettings::load(global)?;
        let inbox = settings.open_inbox(InboxAccess::Read).await?;
        let row = match find_key(&self.key, &inbox, &settings).await? {
            Some(key) => inbox.get(&key).await?,
            None => None,
        };
        let row = row.ok_or_else(|| unknown_key(&self.key))?;
        if self.raw {
            Ok(output.bytes(row.proven_body()?)?)
        } else if self.json {
            Ok(output.data(&json(&ShownRow::from(&row))?)?)
        } else {
            print(&row, output)
        }
    }
}

impl From<&Row> for ShownRow {
    fn from(row: &Row) -> Self {
        let text = row
            .body
            .as_ref()
            .and_then(|body| std::str::from_utf8(body).ok());
        let other = row.body.as_ref().filter(|_| text.is_none());
        Self {
            row: JsonRow::from(row),
            signature: row.signature.clone(),
            history: json_history(row, SystemClock.now()),
            body: text.map(str::to_owned),
            body_base64: other.map(|body| BASE64_STANDARD.encode(body)),
        }
    }
}

/// The meaning of the state and its reason.
fn meaning(row: &Row) -> String {
    let reason = row.reason.as_deref().filter(|_| row.state == State::Held);
    let reason = reason
        .and_then(labels::held)
        .map(|reason| format!(" {reason}"));
    let retried = (row.state == State::Recorded && row.last_error.is_some())
        .then_some(" The last attempt failed, and the next is at the time below.");
    let more = reason.as_deref().or(retried).unwrap_or_default();
    format!("{}{more}", labels::state(row.state))
}

/// The names and values that are printed, in order.
fn fields(row: &Row) -> [(&'static str, String); 16] {
    let text = |value: &Option<String>| {
        value
            .as_deref()
            .map_or_else(|| "-".to_owned(), |text| visible(text).into_owned())
    };
    let instant = |at: Option<pillarbox::domain::Timestamp>| {
        at.map_or_else(|| "-".to_owned(), labels::local_time)
    };
    let reason = row
        .reason
        .as_ref()
        .map_or(String::new(), |reason| format!(" ({})", visible(reason)));
    [
        ("key", row.key.to_string()),
        (
            "event",
            format!(
                "{} ({})",
                visible(labels::event(&row.event_type)),
                visible(&row.event_type)
            ),
        ),
        ("subject", text(&row.subject)),
        ("state", format!("{}{reason}", row.state)),
        ("meaning", meaning(row)),
        ("attempts", row.attempts.to_string()),
        ("last error", text(&row.last_error)),
        ("event at", instant(row.event_at)),
        ("received at", instant(Some(row.received_at))),
        ("due at", instant(row.due_at)),
        ("expires at", instant(row.expires_at)),
        ("origin", row.origin.as_str().to_owned()),
        ("signed with", text(&row.key_label)),
        ("signature", text(&row.signature)),
        ("sha-256", hex::encode(row.digest)),
        (
            "bytes",
            row.body
                .as_ref()
                .map_or_else(|| "erased".to_owned(), |body| body.len().to_string()),
        ),
    ]
}

fn print(row: &Row, output: &mut CommandOutput) -> Result<(), CommandError> {
    for (name, value) in fields(row) {
        output.data(&format!("{} {value}", paint(&format!("{name:<12}"), BOLD)))?;
    }
    output.data("")?;
    output.data(&paint("timeline", BOLD).to_string())?;
    for step in timeline(row, SystemClock.now(), |_| false) {
        let at = step.at.map_or_else(String::new, labels::local_time);
        let detail = step.detail.filter(|detail| !detail.is_empty());
        let detail = detail.map_or_else(String::new, |detail| format!(": {detail}"));
        output.data(&format!("  {at:<24} {}{detail}", step.title))?;
    }
    if let Some(body) = &row.body {
        output.data("")?;
        output.data(&visible_lines(&String::from_utf8_lossy(body)))?;
    }
    Ok(())
}
