//! The findings about an inbox: its storage, its integrity and its pending rows.

use std::time::Duration;

use super::{CheckHealth, DoctorFinding, finding, fine, reconcile};
use crate::{
    any_inbox::{AnyInbox, InboxAccess, open_inbox},
    commands::settings::secret_sources,
    overview::{HumanDuration, Overview, OverviewScope, ServeProcess, SourceOverview, count},
    sqlite::SqliteInbox,
};
use pillarbox::{
    config::{Config, InboxConfig},
    domain::{Clock, HeldReason, Origin, State, SystemClock},
    inbox::{InboxError, PageRequest, ReadInbox, ReconcileInbox, RowFilter, StateSummary},
};

/// The clause of the first sentence if the inbox cannot be opened or read.
const UNREADABLE: &str = "the inbox cannot be read";

/// How far the clocks of two machines may differ.
const CLOCK_DIFFERENCE: Duration = Duration::from_secs(5 * 60);

/// This many notifications outside the acceptance window, all on one side, suggest a wrong clock.
const MIN_SUSPECTS: usize = 3;

/// The largest number of held notifications that are examined.
const MAX_SUSPECTS: usize = 500;

/// Opens the inbox for reading; the error is a finding.
pub(super) async fn open(config: &Config) -> Result<AnyInbox, DoctorFinding> {
    let name = name(config);
    if config.inbox.file().is_some_and(|path| !path.exists()) {
        return Err(finding(
            CheckHealth::Look,
            name,
            "does not exist yet: serve creates it, or `pillarbox inbox init`",
        ));
    }
    let opened = open_inbox(config, InboxAccess::Read, &secret_sources()).await;
    opened.map_err(|error| unreadable(name, error.to_string()))
}

fn name(config: &Config) -> String {
    match &config.inbox {
        InboxConfig::Sqlite { path } => format!("inbox {}", path.display()),
        InboxConfig::DynamoDb { table, .. } => format!("inbox {table}"),
    }
}

fn unreadable(name: String, why: String) -> DoctorFinding {
    finding(CheckHealth::Wrong, name, why).with_clause(UNREADABLE)
}

/// The storage and integrity of a local file. Reads the whole file.
pub(super) async fn storage(opened: &Result<AnyInbox, DoctorFinding>) -> Vec<DoctorFinding> {
    let Ok(AnyInbox::Sqlite(inbox)) = opened else {
        return Vec::new();
    };
    let name = format!("inbox {}", inbox.path().display());
    file_findings(inbox, &name)
        .await
        .unwrap_or_else(|error| vec![unreadable(name, error.to_string())])
}

/// The findings about pending rows and about each source, and the clauses of the first sentence.
/// Scans nothing.
pub(super) async fn rows(
    opened: &Result<AnyInbox, DoctorFinding>,
    config: &Config,
) -> (Vec<DoctorFinding>, Vec<String>) {
    let unreadable = |finding: DoctorFinding| {
        let clauses = finding.clause.iter().cloned().collect();
        (vec![finding], clauses)
    };
    match opened {
        Ok(inbox) => row_findings(inbox, &name(config), config)
            .await
            .unwrap_or_else(|error| unreadable(self::unreadable(name(config), error.to_string()))),
        Err(finding) => unreadable(finding.clone()),
    }
}

async fn file_findings(inbox: &SqliteInbox, name: &str) -> Result<Vec<DoctorFinding>, InboxError> {
    let found = inbox.inspect().await?;
    let mut findings = vec![fine(
        name,
        format!("SQLite {}, schema {}", found.sqlite, found.schema),
    )];
    findings.push(match found.journal_mode.as_str() {
        "wal" => fine(
            name,
            "WAL; serve flushes every commit to disk (synchronous=FULL)",
        ),
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
    Ok(findings)
}

async fn row_findings(
    inbox: &AnyInbox,
    name: &str,
    config: &Config,
) -> Result<(Vec<DoctorFinding>, Vec<String>), InboxError> {
    let mut findings = Vec::new();
    let mut advice = "is serve running, and the destination up?";
    if let AnyInbox::DynamoDb(table) = inbox {
        let faults = table.errors().await?;
        if !faults.is_empty() {
            let faults = faults.into_iter();
            let findings = faults.map(|fault| unreadable(name.to_owned(), fault.0.to_owned()));
            return Ok((findings.collect(), vec![UNREADABLE.to_owned()]));
        }
        findings.push(fine(
            name,
            "has its key, its index, its stream, and lets items expire",
        ));
        advice = "does the sweep run, and is the destination up?";
    }
    let overview = Overview::read(inbox, &OverviewScope::of(config), SystemClock.now()).await?;
    findings.extend(pending(name, &overview, advice));
    findings.extend(overview.sources.iter().filter_map(failing));
    findings.extend(expiry(name, &overview));
    findings.extend(overview.sources.iter().filter_map(last_received));
    findings.extend(clock_findings(inbox, config).await?);
    findings.extend(reconcile::last_runs(&overview));
    let needed = overview.needs_a_person().into_iter();
    Ok((findings, needed.map(|one| one.clause).collect()))
}

/// The failing deliveries of a source.
fn failing(source: &SourceOverview) -> Option<DoctorFinding> {
    let found = match &source.failing {
        Some(failing) => format!(
            "{} attempts to deliver {} open notifications failed: {}",
            failing.attempts, failing.rows, failing.error
        ),
        None if source.circuit_is_open => {
            "the circuit breaker of its destination is open: one attempt a second is made"
                .to_owned()
        }
        None => return None,
    };
    let name = format!("source {}", source.name);
    Some(finding(CheckHealth::Look, name, found).for_a_person())
}

/// Rows that a running serve would have removed by now.
fn expiry(name: &str, overview: &Overview) -> Option<DoctorFinding> {
    let expired = overview.inbox.expired?;
    let found = format!(
        "{} notifications have expired and are still stored, the first for {}: serve removes \
         them; is it running?",
        count(&expired),
        overview.age(expired.oldest?)
    );
    Some(finding(CheckHealth::Look, name, found).for_a_person())
}

/// The findings about the open, dead and held rows; `advice` is for rows open for too long.
fn pending(name: &str, overview: &Overview, advice: &str) -> Vec<DoctorFinding> {
    let inbox = &overview.inbox;
    let found = |summary: &StateSummary, word| {
        let age = overview.age(summary.oldest?);
        let rows = count(summary);
        Some(format!("{rows} {word}, the oldest received {age} ago"))
    };
    let open = found(&inbox.open, "open").map(|found| match inbox.overdue {
        _ if overview.serve == ServeProcess::Stopped => fine(name, found).for_a_person(),
        0 => fine(name, found),
        _ => finding(CheckHealth::Look, name, format!("{found}: {advice}")).for_a_person(),
    });
    let ended = [(&inbox.dead, "dead"), (&inbox.held, "held")].map(|(summary, word)| {
        let found = found(summary, word)?;
        let found = format!("{found}: `pillarbox list --state {word}`, then replay or discard");
        Some(finding(CheckHealth::Look, name, found).for_a_person())
    });
    open.into_iter()
        .chain(ended.into_iter().flatten())
        .collect()
}

fn last_received(source: &SourceOverview) -> Option<DoctorFinding> {
    let (at, now) = (source.last_received?, SystemClock.now());
    let name = format!("source {}", source.name);
    if at > now.plus(CLOCK_DIFFERENCE) {
        let why = format!(
            "last notification at {at}, which is in the future: a clock was wrong. Until then, \
             this does not show when the last one was received"
        );
        return Some(finding(CheckHealth::Look, name, why));
    }
    let age = HumanDuration(now.since(at));
    Some(fine(name, format!("last notification {age} ago")))
}

/// Sources whose recent pushes are all dated outside the acceptance window, on one side. Delivery
/// stores the time of the last push within the window.
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
            let is_recent = last_within.is_none_or(|at| row.received_at > at);
            let ahead = row.event_at? > row.received_at;
            (is_stale && is_recent && row.origin == Origin::Push).then_some(ahead)
        });
        let are_ahead: Vec<bool> = are_ahead.collect();
        let count = are_ahead.len();
        let ahead = are_ahead.into_iter().filter(|ahead| *ahead).count();
        let side = match ahead {
            _ if count < MIN_SUSPECTS => continue,
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

#[cfg(test)]
mod tests {
    use pillarbox::{
        domain::Timestamp,
        inbox::{DeliveryInbox, MemoryInbox, ReceiveInbox},
        senders::example::{NOW, pay},
    };

    use super::*;

    #[tokio::test]
    async fn doctor_suspects_the_clock_if_all_pushes_since_the_last_valid_one_are_on_one_side() {
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
