//! The findings about reconciling: the credentials, and the result of the last run.

use std::time::Duration;

use super::{CheckHealth, DoctorFinding, finding, fine, inbox::span};
use crate::commands::sender_access;
use pillarbox::{
    config::{Config, SourceConfig},
    domain::{Clock, SystemClock},
    inbox::{InboxError, ReconcileInbox},
    reconcile::{LastRun, last_run},
};

/// Runs start every five minutes. After this time without one, reconciling does not run.
const SILENT: Duration = Duration::from_secs(60 * 60);
/// HMRC gives up pushing after about six hours: what is older was certainly missed.
const PUSHED: Duration = Duration::from_secs(6 * 60 * 60);

/// Whether the credentials of each source's API can be used. The API is not called.
pub(super) async fn credentials(config: &Config) -> Vec<DoctorFinding> {
    let mut findings = Vec::new();
    for source in config.sources.iter().filter(|source| source.pull.is_some()) {
        let name = name(source);
        findings.push(match sender_access::access(source).await {
            Ok(_) => fine(
                name,
                "has its credentials; `pillarbox reconcile --dry-run` tries them",
            ),
            Err(why) => finding(CheckHealth::Wrong, name, why.into_text()),
        });
    }
    findings
}

/// How the last run of each source ended.
pub(super) async fn last_runs(
    inbox: &impl ReconcileInbox,
    config: &Config,
) -> Result<Vec<DoctorFinding>, InboxError> {
    let mut findings = Vec::new();
    for source in config.sources.iter().filter(|source| source.pull.is_some()) {
        match last_run(inbox, &source.name).await? {
            Some(last) => findings.extend(about(&name(source), &last)),
            None => findings.push(finding(
                CheckHealth::Look,
                name(source),
                "its sender was never asked: serve does that, the reconcile function, or \
                 `pillarbox reconcile`",
            )),
        }
    }
    Ok(findings)
}

fn name(source: &SourceConfig) -> String {
    format!("pull {}", source.name)
}

fn about(name: &str, last: &LastRun) -> Vec<DoctorFinding> {
    let now = SystemClock.now();
    let ago = now.since(last.at());
    let ended = format!("last run {} ago: {}", span(ago), last.ended);
    let mut findings = vec![if last.failed {
        finding(CheckHealth::Wrong, name, ended).stuck(format!("the last run of {name} failed"))
    } else if ago > SILENT {
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
        let found = format!("the oldest left unacknowledged is {} old", span(age));
        findings.push(if age > PUSHED {
            finding(CheckHealth::Look, name, found)
                .stuck(format!("{name} leaves a notification in its box"))
        } else {
            fine(name, found)
        });
    }
    findings
}
