//! The findings about reconciling: the credentials, and the result of the last run.

use std::time::Duration;

use super::{CheckHealth, DoctorFinding, finding, fine};
use crate::{
    commands::sender_access,
    overview::{HumanDuration, Overview, UNACKNOWLEDGED_AFTER},
};
use pillarbox::{
    config::Config,
    domain::{Clock, SourceName, SystemClock},
    reconcile::LastRun,
};

/// Runs start every five minutes. After this time without one, reconciling has stopped.
const OVERDUE_AFTER: Duration = Duration::from_secs(60 * 60);

/// Checks the credentials of each source's API, without calling the API.
pub(super) async fn credentials(config: &Config) -> Vec<DoctorFinding> {
    let mut findings = Vec::new();
    for source in config.sources.iter().filter(|source| source.pull.is_some()) {
        let name = name(&source.name);
        findings.push(match sender_access::access(source).await {
            Ok(_) => fine(
                name,
                format!(
                    "has its credentials; `pillarbox reconcile {} --dry-run` tries them",
                    source.name
                ),
            ),
            Err(why) => finding(CheckHealth::Wrong, name, why.into_text()),
        });
    }
    findings
}

/// The result of the last run of each source.
pub(super) fn last_runs(overview: &Overview) -> Vec<DoctorFinding> {
    let sources = overview
        .sources
        .iter()
        .filter(|source| source.is_reconciled);
    let of_source = sources.map(|source| {
        let name = name(&source.name);
        match &source.last_run {
            Some(last) => run_findings(&name, last),
            None => vec![finding(
                CheckHealth::Look,
                name,
                "never reconciled: serve, the reconcile function or `pillarbox reconcile` does \
                 that",
            )],
        }
    });
    of_source.flatten().collect()
}

fn name(source: &SourceName) -> String {
    format!("pull {source}")
}

fn run_findings(name: &str, last: &LastRun) -> Vec<DoctorFinding> {
    let now = SystemClock.now();
    let ago = now.since(last.at());
    let ended = format!("last run {} ago: {}", HumanDuration(ago), last.ended);
    let mut findings = vec![if last.failed {
        finding(CheckHealth::Wrong, name, ended)
    } else if ago > OVERDUE_AFTER {
        finding(
            CheckHealth::Look,
            name,
            format!("{ended}. No run since: is serve running, or the function?"),
        )
    } else {
        fine(name, ended)
    }];
    if last.recorded > 0 {
        let found = format!(
            "the last run recorded {} that were not pushed: was the receiver unreachable?",
            last.recorded
        );
        findings.push(finding(CheckHealth::Look, name, found));
    }
    if last.missing > 0 {
        let found = format!(
            "{} events of payments are missing: see `pillarbox list --type observed`",
            last.missing
        );
        findings.push(finding(CheckHealth::Look, name, found));
    }
    if last.errors > 0 {
        let found = format!(
            "{} boxes or payments could not be read: see the log",
            last.errors
        );
        findings.push(finding(CheckHealth::Look, name, found));
    }
    if let Some(oldest) = last.oldest() {
        let age = now.since(oldest);
        let found = format!(
            "the oldest left unacknowledged is {} old",
            HumanDuration(age)
        );
        findings.push(if age > UNACKNOWLEDGED_AFTER {
            finding(CheckHealth::Look, name, found).for_a_person()
        } else {
            fine(name, found)
        });
    }
    findings
}
