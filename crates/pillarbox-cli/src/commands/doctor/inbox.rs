//! The findings about an inbox: its storage, its integrity and its pending rows.

use std::{path::Path, time::Duration};

use super::{CheckHealth, DoctorFinding, finding, fine, reconcile};
use crate::{any_inbox::table_inbox, commands::settings::outside, sqlite::SqliteInbox};
use pillarbox::{
    config::{Config, InboxConfig},
    domain::{Clock, HeldReason, Origin, State, SystemClock},
    inbox::{
        InboxError, PageRequest, PendingCount, ReadInbox, ReconcileInbox, RowFilter,
        dynamodb::DynamoInbox,
    },
};

/// An open row older than this means that nothing delivers rows.
const OPEN_TOO_LONG: Duration = Duration::from_secs(15 * 60);

/// Expired rows are removed within minutes.
const EXPIRED_TOO_LONG: Duration = Duration::from_secs(15 * 60);

/// How far the clocks of two machines may differ.
const CLOCK_DIFFERENCE: Duration = Duration::from_secs(5 * 60);

/// So many notifications outside the acceptance window, all on one side, make the clock suspicious.
const SUSPICIOUS: usize = 3;

/// So many held notifications are looked at.
const MAX_SUSPECTS: usize = 500;

pub(super) async fn findings(config: &Config) -> Vec<DoctorFinding> {
    match &config.inbox {
        InboxConfig::Sqlite { path } => file(config, path).await,
        InboxConfig::DynamoDb { table, shards } => table_of(config, table, *shards).await,
    }
}

async fn file(config: &Config, path: &Path) -> Vec<DoctorFinding> {
    let name = format!("inbox {}", path.display());
    if !path.exists() {
        return vec![finding(
            CheckHealth::Look,
            name,
            "does not exist yet: serve creates it, or `pillarbox inbox init`",
        )];
    }
    match SqliteInbox::open_read_only(path) {
        Ok(inbox) => or_why(file_findings(&inbox, &name, config).await, name),
        Err(error) => vec![finding(CheckHealth::Wrong, name, error.to_string())],
    }
}

async fn table_of(config: &Config, table: &str, shards: u32) -> Vec<DoctorFinding> {
    let name = format!("inbox {table}");
    match crate::aws::from_environment(&outside()).await {
        Ok(aws) => {
            let inbox = table_inbox(&aws, table, shards, config);
            or_why(table_findings(&inbox, &name, config).await, name)
        }
        Err(problem) => vec![finding(CheckHealth::Wrong, name, problem.to_string())],
    }
}

fn or_why(findings: Result<Vec<DoctorFinding>, InboxError>, name: String) -> Vec<DoctorFinding> {
    findings.unwrap_or_else(|error| vec![finding(CheckHealth::Wrong, name, error.to_string())])
}

async fn file_findings(
    inbox: &SqliteInbox,
    name: &str,
    config: &Config,
) -> Result<Vec<DoctorFinding>, InboxError> {
    let found = inbox.inspect().await?;
    let mut findings = vec![fine(
        name,
        format!("SQLite {}, schema {}", found.sqlite, found.schema),
    )];
    findings.push(match found.journal_mode.as_str() {
        "wal" if found.flushes_every_commit => {
            fine(name, "WAL, every commit flushed to disk (synchronous=FULL)")
        }
        mode => finding(
            CheckHealth::Wrong,
            name,
            format!("is kept in {mode} mode: copy it to a disk where WAL works"),
        ),
    });
    findings.extend(found.faults.iter().map(|fault| {
        finding(
            CheckHealth::Wrong,
            name,
            format!("is damaged: {fault}. Stop serve, then `pillarbox inbox restore FILE`"),
        )
    }));
    if found.faults.is_empty() {
        findings.push(fine(name, "is sound (integrity_check)"));
    }
    findings.extend(overdue(inbox, name).await?);
    for count in inbox.pending_counts().await? {
        let advice = "is serve running, and the destination up?";
        findings.push(pending(name, &count, advice));
    }
    findings.extend(last_received(inbox, config).await?);
    findings.extend(clock_findings(inbox, config).await?);
    findings.extend(reconcile::last_runs(inbox, config).await?);
    Ok(findings)
}

async fn table_findings(
    inbox: &DynamoInbox,
    name: &str,
    config: &Config,
) -> Result<Vec<DoctorFinding>, InboxError> {
    let faults = inbox.faults().await?;
    if !faults.is_empty() {
        return Ok(faults
            .iter()
            .map(|fault| finding(CheckHealth::Wrong, name, fault.0))
            .collect());
    }
    let mut findings = vec![fine(
        name,
        "has its key, its index, its stream, and lets items expire",
    )];
    for count in inbox.pending_counts().await? {
        let advice = "does the sweep run, and is the destination up?";
        findings.push(pending(name, &count, advice));
    }
    findings.extend(last_received(inbox, config).await?);
    findings.extend(clock_findings(inbox, config).await?);
    findings.extend(reconcile::last_runs(inbox, config).await?);
    Ok(findings)
}

/// Rows that a running serve would have removed by now.
async fn overdue(inbox: &SqliteInbox, name: &str) -> Result<Option<DoctorFinding>, InboxError> {
    let now = SystemClock.now();
    let expired = inbox.expired_rows(now.minus(EXPIRED_TOO_LONG)).await?;
    Ok(expired.map(|expired| {
        let found = format!(
            "{} notifications have expired and are still stored, the first for {}: serve removes \
             them; is it running?",
            expired.rows,
            span(now.since(expired.since))
        );
        finding(CheckHealth::Look, name, found).for_a_person()
    }))
}

/// The finding about one partition of the pending index; `advice` is for rows open for too long.
fn pending(name: &str, count: &PendingCount, advice: &str) -> DoctorFinding {
    let age = SystemClock.now().since(count.oldest);
    let found = format!(
        "{} {}, the oldest received {} ago",
        count.rows,
        count.partition,
        span(age)
    );
    match count.partition.as_str() {
        "open" if age > OPEN_TOO_LONG => {
            finding(CheckHealth::Look, name, format!("{found}: {advice}")).for_a_person()
        }
        "open" => fine(name, found),
        other => finding(
            CheckHealth::Look,
            name,
            format!("{found}: `pillarbox list --state {other}`, then replay or discard"),
        )
        .for_a_person(),
    }
}

async fn last_received(
    inbox: &impl ReconcileInbox,
    config: &Config,
) -> Result<Vec<DoctorFinding>, InboxError> {
    let mut findings = Vec::new();
    for source in &config.sources {
        if let Some(at) = inbox.last_received(&source.name).await? {
            let (name, now) = (format!("source {}", source.name), SystemClock.now());
            findings.push(if at > now.plus(CLOCK_DIFFERENCE) {
                let why = format!(
                    "last heard at {at}, which is in the future: a clock was wrong. Until then, \
                     this does not show whether it is heard"
                );
                finding(CheckHealth::Look, name, why)
            } else {
                fine(
                    name,
                    format!("last notification {} ago", span(now.since(at))),
                )
            });
        }
    }
    Ok(findings)
}

/// The sources of which everything that was pushed of late is dated outside the acceptance window,
/// on one side. Delivery notes when it processes a push within the window.
async fn clock_findings(
    inbox: &(impl ReconcileInbox + ReadInbox),
    config: &Config,
) -> Result<Vec<DoctorFinding>, InboxError> {
    let mut findings = Vec::new();
    for source in &config.sources {
        let filter = RowFilter {
            source: Some(source.name.as_str().to_owned()),
            state: Some(State::Held),
            ..RowFilter::default()
        };
        let held = inbox
            .list(&filter, PageRequest::first(MAX_SUSPECTS))
            .await?;
        let last_within = inbox.last_received(&source.name).await?;
        let are_ahead = held.rows.iter().filter_map(|row| {
            let is_stale = row.reason.as_deref() == Some(HeldReason::Stale.as_str());
            let is_news = last_within.is_none_or(|at| row.received_at > at);
            let ahead = row.event_at? > row.received_at;
            (is_stale && is_news && row.origin == Origin::Push).then_some(ahead)
        });
        let are_ahead: Vec<bool> = are_ahead.collect();
        let count = are_ahead.len();
        let ahead = are_ahead.into_iter().filter(|ahead| *ahead).count();
        let side = match ahead {
            _ if count < SUSPICIOUS => continue,
            0 => "far behind",
            ahead if ahead == count => "ahead of",
            _ => continue,
        };
        findings.push(finding(
            CheckHealth::Look,
            format!("source {}", source.name),
            format!(
                "the last {count} notifications are held, all dated {side} the clock that received \
                 them: that clock may be wrong. It is {} here now; correct it, then `pillarbox \
                 replay --held`",
                SystemClock.now()
            ),
        ));
    }
    Ok(findings)
}

/// A span in its largest unit.
pub(super) fn span(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3_600 => format!("{} min", seconds / 60),
        seconds @ 3_600..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use pillarbox::{
        domain::Timestamp,
        inbox::{DeliveryInbox, MemoryInbox, ReceiveInbox},
        senders::example::{NOW, pay},
    };

    use super::*;

    #[tokio::test]
    async fn doctor_suspects_our_clock_when_everything_since_the_last_good_push_is_on_one_side() {
        let document = "[sources.pay]\nkind = \"govuk-pay\"\nsecrets = []\n";
        let config = Config::read(document, "test").unwrap();
        for (days, words) in [
            (
                &[3, 4, 3][..],
                Some("the last 3 notifications are held, all dated ahead of"),
            ),
            (
                &[-61, -70, -61, -90],
                Some("the last 4 notifications are held, all dated far behind"),
            ),
            (&[3, 3], None),
            (&[3, 3, -61, 3], None),
        ] {
            let inbox = MemoryInbox::default();
            for (nth, days) in days.iter().enumerate() {
                let dated = Timestamp::from_millis(NOW.as_millis() + days * 24 * 60 * 60 * 1000);
                let entry = pay(&format!("m{nth}"), "p1", "card_payment_captured", dated);
                inbox.record(&entry).await.unwrap();
            }
            let found = clock_findings(&inbox, &config).await.unwrap();
            assert_eq!(found.len(), usize::from(words.is_some()), "{days:?}");
            for (found, words) in found.iter().zip(words) {
                assert!(found.found.starts_with(words), "{}", found.found);
            }
            let later = NOW.plus(Duration::from_secs(1));
            let pay = &config.sources[0].name;
            inbox.record_last_received(pay, later).await.unwrap();
            let found = clock_findings(&inbox, &config).await.unwrap();
            assert!(found.is_empty(), "a later push was within the window");
        }
    }
}
