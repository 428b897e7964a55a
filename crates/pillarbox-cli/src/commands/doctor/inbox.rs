//! The findings about an inbox: its storage, its integrity and its pending rows.

use std::time::Duration;

use super::{CheckHealth, DoctorFinding, finding, fine, reconcile, stuck};
use crate::{
    any_inbox::{AnyInbox, InboxAccess, open_inbox},
    commands::settings::outside,
    sqlite::{ServeLock, SqliteInbox},
};
use pillarbox::{
    config::{Config, InboxConfig},
    delivery::CircuitBreaker,
    domain::{Clock, HeldReason, Origin, State, SystemClock},
    inbox::{InboxError, PageRequest, PendingCount, ReadInbox, ReconcileInbox, RowFilter},
};

/// An open row older than this means that nothing delivers rows.
const OPEN_TOO_LONG: Duration = Duration::from_secs(15 * 60);

/// Expired rows are removed within minutes.
const EXPIRED_TOO_LONG: Duration = Duration::from_secs(15 * 60);

/// How far the clocks of two machines may differ.
const CLOCK_DIFFERENCE: Duration = Duration::from_secs(5 * 60);

/// So many notifications outside the acceptance window, all on one side, make the clock suspicious.
const SUSPICIOUS: usize = 3;

/// So many open notifications of a source are looked at.
const MAX_FAILING: usize = 100;

/// So many held notifications are looked at.
const MAX_SUSPECTS: usize = 500;

/// Opens the inbox to read it; a finding if it cannot be.
pub(super) async fn open(config: &Config) -> Result<AnyInbox, DoctorFinding> {
    let name = name(config);
    if config.inbox.file().is_some_and(|path| !path.exists()) {
        return Err(finding(
            CheckHealth::Look,
            name,
            "does not exist yet: serve creates it, or `pillarbox inbox init`",
        ));
    }
    let opened = open_inbox(config, InboxAccess::Read, &outside()).await;
    opened.map_err(|error| unreadable(name, error.to_string()))
}

fn name(config: &Config) -> String {
    match &config.inbox {
        InboxConfig::Sqlite { path } => format!("inbox {}", path.display()),
        InboxConfig::DynamoDb { table, .. } => format!("inbox {table}"),
    }
}

fn unreadable(name: String, why: String) -> DoctorFinding {
    finding(CheckHealth::Wrong, name, why).stuck("the inbox cannot be read")
}

/// The storage and integrity of a local file, which takes as long as the file is large.
pub(super) async fn storage(opened: &Result<AnyInbox, DoctorFinding>) -> Vec<DoctorFinding> {
    let Ok(AnyInbox::Sqlite(inbox)) = opened else {
        return Vec::new();
    };
    let name = format!("inbox {}", inbox.path().display());
    or_why(file_findings(inbox, &name).await, name)
}

/// The rows that wait, and what is known of each source. Nothing is scanned.
pub(super) async fn rows(
    opened: &Result<AnyInbox, DoctorFinding>,
    config: &Config,
) -> Vec<DoctorFinding> {
    let name = name(config);
    match opened {
        Ok(inbox) => or_why(row_findings(inbox, &name, config).await, name),
        Err(finding) => vec![finding.clone()],
    }
}

fn or_why(findings: Result<Vec<DoctorFinding>, InboxError>, name: String) -> Vec<DoctorFinding> {
    findings.unwrap_or_else(|error| vec![unreadable(name, error.to_string())])
}

async fn file_findings(inbox: &SqliteInbox, name: &str) -> Result<Vec<DoctorFinding>, InboxError> {
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
    Ok(findings)
}

async fn row_findings(
    inbox: &AnyInbox,
    name: &str,
    config: &Config,
) -> Result<Vec<DoctorFinding>, InboxError> {
    let mut findings = Vec::new();
    let mut advice = "is serve running, and the destination up?";
    if let AnyInbox::DynamoDb(table) = inbox {
        let faults = table.faults().await?;
        if !faults.is_empty() {
            let faults = faults.into_iter();
            return Ok(faults
                .map(|fault| unreadable(name.to_owned(), fault.0.to_owned()))
                .collect());
        }
        findings.push(fine(
            name,
            "has its key, its index, its stream, and lets items expire",
        ));
        advice = "does the sweep run, and is the destination up?";
    }
    let counts = inbox.pending_counts().await?;
    let serve_is_down = config
        .inbox
        .file()
        .is_some_and(|path| ServeLock::was_taken(path) && !ServeLock::is_held(path));
    for count in &counts {
        let found = pending(name, count, advice);
        findings.push(match count.partition.as_str() {
            "open" if serve_is_down => {
                found.stuck(stuck::waiting(count.rows, "while serve does not run"))
            }
            _ => found,
        });
    }
    findings.extend(failing(inbox, config).await?);
    findings.extend(last_received(inbox, config).await?);
    findings.extend(clock_findings(inbox, config).await?);
    findings.extend(reconcile::last_runs(inbox, config).await?);
    Ok(findings)
}

/// The sources whose deliveries have failed so often that their circuit is open, or would be in a
/// process that had made the attempts.
async fn failing(
    inbox: &impl ReadInbox,
    config: &Config,
) -> Result<Vec<DoctorFinding>, InboxError> {
    let mut findings = Vec::new();
    for source in &config.sources {
        let filter = RowFilter {
            source: Some(source.name.as_str().to_owned()),
            state: Some(State::Recorded),
            ..RowFilter::default()
        };
        let page = PageRequest::first(MAX_FAILING);
        let open = inbox.list(&filter, page).await?.rows;
        let failed = open.iter().filter(|row| row.last_error.is_some());
        let attempts: u32 = failed.clone().map(|row| row.attempts).sum();
        if attempts < CircuitBreaker::FAILURE_THRESHOLD {
            continue;
        }
        let Some(why) = failed.clone().find_map(|row| row.last_error.as_deref()) else {
            continue;
        };
        let rows = failed.count();
        findings.push(
            finding(
                CheckHealth::Look,
                format!("source {}", source.name),
                format!("{attempts} attempts to deliver {rows} open notifications failed: {why}"),
            )
            .stuck(format!("the deliveries of {} fail", source.name)),
        );
    }
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
            finding(CheckHealth::Look, name, format!("{found}: {advice}")).stuck(stuck::waiting(
                count.rows,
                &format!("for up to {}", span(age)),
            ))
        }
        "open" => fine(name, found),
        other => finding(
            CheckHealth::Look,
            name,
            format!("{found}: `pillarbox list --state {other}`, then replay or discard"),
        )
        .stuck(stuck::in_state(count.rows, other)),
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
        domain::{Key, Timestamp},
        inbox::{Claim, DeliveryInbox, Lease, LeaseId, Mark, MemoryInbox, ReceiveInbox},
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

    /// The stored error is that of the last attempt; the attempts of several rows count together.
    #[tokio::test]
    async fn deliveries_that_fail_again_and_again_are_stuck_before_they_are_overdue() {
        let document = "[sources.pay]\nkind = \"govuk-pay\"\nsecrets = []\n";
        let config = Config::read(document, "test").unwrap();
        for (attempts, stuck) in [(3, None), (4, Some("the deliveries of pay fail"))] {
            let inbox = MemoryInbox::default();
            for id in ["m1", "m2"] {
                let entry = pay(id, "p1", "card_payment_captured", NOW);
                inbox.record(&entry).await.unwrap();
                for nth in 0..attempts {
                    fail(&inbox, &entry.key, NOW.plus(Duration::from_secs(nth))).await;
                }
            }
            let found = failing(&inbox, &config).await.unwrap();
            let clause = found.first().and_then(|found| found.stuck.as_deref());
            assert_eq!(clause, stuck, "{attempts} attempts each");
        }
    }

    /// One attempt at `now` that fails.
    async fn fail(inbox: &MemoryInbox, key: &Key, now: Timestamp) {
        let until = now.plus(Duration::from_secs(1));
        let claim = Claim {
            now,
            lease: Lease {
                id: LeaseId(1),
                until,
            },
            first_backoff: Duration::from_secs(1),
        };
        let (_, fence) = inbox.claim(key, &claim).await.unwrap().unwrap();
        let mark = Mark::Retry {
            due_at: until,
            error: "https: status 503".to_owned(),
        };
        inbox.mark(&fence, &mark).await.unwrap();
    }
}
