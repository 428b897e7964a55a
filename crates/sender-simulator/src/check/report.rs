//! The report of a check run, and its JSON. No I/O.

use std::time::Duration;

use serde::Serialize;
use url::Url;

use super::{super::Sender, definition::Check};
use crate::Timestamp;

/// The grade of a receiver for one check, ordered from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// The check was not tried; the finding has the reason.
    NotTried,
    /// The receiver is correct.
    Passed,
    /// No notification is lost, but the receiver should be reviewed.
    Warning,
    /// The real sender would lose a notification, or an attacker could insert one.
    Failed,
}

impl Grade {
    /// The grade in words, as in JSON but with a space.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotTried => "not tried",
            Self::Passed => "passed",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// The result of one check. No field contains a secret, a signature or a body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckFinding {
    /// The check's stable name.
    pub id: &'static str,
    /// The behaviour of a correct receiver.
    pub title: &'static str,
    /// The grade of this receiver.
    pub result: Grade,
    /// The observation (statuses, relevant headers, times), or why the check was not tried.
    pub seen: String,
    /// Why it matters.
    pub why: &'static str,
    /// Who causes it: a sender, or anyone who knows the URL.
    pub sender: &'static str,
    /// The source of the fact.
    pub source: &'static str,
    /// How to fix it.
    pub fix: &'static str,
}

impl CheckFinding {
    /// The finding of a check; `None` if the check does not apply to this sender.
    pub(super) fn of(check: &Check, sender: Sender, result: Grade, seen: String) -> Option<Self> {
        let (who, fact) = check.of(sender)?;
        let Check { id, title, fix, .. } = *check;
        Some(Self {
            id,
            title,
            result,
            seen,
            why: fact.why,
            sender: who,
            source: fact.source,
            fix,
        })
    }
}

/// A sent notification, listed so that test data can be found and removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SentNotification {
    /// The sender's id.
    pub id: String,
    /// The last status, or that of an accepted copy; `None` if there was no response.
    pub status: Option<u16>,
}

impl SentNotification {
    /// Whether the receiver may have stored it: it responded with 2xx or not at all.
    pub fn may_be_stored(&self) -> bool {
        self.status
            .is_none_or(|status| (200..300).contains(&status))
    }
}

/// The report of one check run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReport {
    /// The receiver's URL, without the values of its query.
    pub url: String,
    /// The simulated sender.
    pub sender: Sender,
    /// The start of the run.
    pub started_at: Timestamp,
    /// The duration of the run.
    pub took: Duration,
    /// The findings, in order.
    pub findings: Vec<CheckFinding>,
    /// The sent notifications, in order.
    pub sent: Vec<SentNotification>,
}

/// The JSON of a report. The names of its fields are stable.
#[derive(Serialize)]
struct ReportJson<'a> {
    url: &'a str,
    kind: &'static str,
    pillarbox: &'static str,
    started_at: String,
    took_ms: u128,
    passed: usize,
    warnings: usize,
    failed: usize,
    not_tried: usize,
    findings: &'a [CheckFinding],
    sent: &'a [SentNotification],
}

impl CheckReport {
    /// Whether no check failed.
    pub fn is_sound(&self) -> bool {
        self.count(Grade::Failed) == 0
    }

    /// The number of findings with this grade.
    pub fn count(&self, grade: Grade) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.result == grade)
            .count()
    }

    /// The finding with this id.
    pub fn finding(&self, id: &str) -> Option<&CheckFinding> {
        self.findings.iter().find(|finding| finding.id == id)
    }

    /// The number of findings of each grade, in one line.
    pub fn summary(&self) -> String {
        let count = |grade| self.count(grade);
        format!(
            "{} failed, {} {}, {} passed, {} not tried",
            count(Grade::Failed),
            count(Grade::Warning),
            if count(Grade::Warning) == 1 {
                "warning"
            } else {
                "warnings"
            },
            count(Grade::Passed),
            count(Grade::NotTried),
        )
    }

    /// The report as one JSON object.
    pub fn json(&self) -> String {
        let json = ReportJson {
            url: &self.url,
            kind: self.sender.as_str(),
            pillarbox: env!("CARGO_PKG_VERSION"),
            started_at: self.started_at.to_string(),
            took_ms: self.took.as_millis(),
            passed: self.count(Grade::Passed),
            warnings: self.count(Grade::Warning),
            failed: self.count(Grade::Failed),
            not_tried: self.count(Grade::NotTried),
            findings: &self.findings,
            sent: &self.sent,
        };
        serde_json::to_string(&json).expect("a report always serialises")
    }
}

/// The URL without the values of its query, which may contain a token.
pub(super) fn redacted(url: &Url) -> String {
    let mut redacted = url.clone();
    let names: Vec<String> = url
        .query_pairs()
        .map(|(name, _)| format!("{}=…", plain(&name, 40)))
        .collect();
    redacted.set_query(None);
    if names.is_empty() {
        redacted.to_string()
    } else {
        format!("{redacted}?{}", names.join("&"))
    }
}

/// A receiver's text, cut to `max` characters of printable ASCII.
pub(super) fn plain(text: &str, max: usize) -> String {
    let shown = |c: char| {
        if c.is_ascii_graphic() || c == ' ' {
            c
        } else {
            '?'
        }
    };
    let mut out: String = text.chars().take(max).map(shown).collect();
    if text.chars().nth(max).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn finding(id: &'static str, result: Grade, seen: &str) -> CheckFinding {
        let texts = (
            "The receiver is correct",
            "It matters.",
            "HMRC",
            "a file",
            "Fix it.",
        );
        let (title, why, sender, source, fix) = texts;
        CheckFinding {
            id,
            title,
            result,
            seen: seen.to_owned(),
            why,
            sender,
            source,
            fix,
        }
    }

    pub(in super::super) fn report() -> CheckReport {
        CheckReport {
            url: "https://receiver.example.gov.uk/hmrc".to_owned(),
            sender: Sender::Hmrc,
            started_at: Timestamp::from_millis(1_772_446_531_480),
            took: Duration::from_millis(1_500),
            findings: vec![
                finding("one", Grade::Passed, "200"),
                finding("two", Grade::Failed, "302 to https://x/<b>|`"),
                finding("three", Grade::NotTried, "plain http"),
            ],
            sent: vec![
                SentNotification {
                    id: "first".to_owned(),
                    status: Some(200),
                },
                SentNotification {
                    id: "second".to_owned(),
                    status: Some(401),
                },
                SentNotification {
                    id: "third".to_owned(),
                    status: None,
                },
            ],
        }
    }

    #[test]
    fn a_report_is_one_json_object_with_stable_names() {
        let expected = concat!(
            r#"{"url":"https://receiver.example.gov.uk/hmrc","kind":"hmrc","pillarbox":""#,
            env!("CARGO_PKG_VERSION"),
            r#"","started_at":"2026-03-02T10:15:31.480Z","took_ms":1500,"#,
            r#""passed":1,"warnings":0,"failed":1,"not_tried":1,"findings":["#,
            r#"{"id":"one","title":"The receiver is correct","result":"passed","#,
            r#""seen":"200","why":"It matters.","#,
            r#""sender":"HMRC","source":"a file","fix":"Fix it."},"#,
            r#"{"id":"two","title":"The receiver is correct","result":"failed","#,
            r#""seen":"302 to https://x/<b>|`","#,
            r#""why":"It matters.","sender":"HMRC","source":"a file","fix":"Fix it."},"#,
            r#"{"id":"three","title":"The receiver is correct","result":"not_tried","#,
            r#""seen":"plain http","#,
            r#""why":"It matters.","sender":"HMRC","source":"a file","fix":"Fix it."}],"#,
            r#""sent":[{"id":"first","status":200},{"id":"second","status":401},"#,
            r#"{"id":"third","status":null}]}"#,
        );
        assert_eq!(report().json(), expected);
    }

    #[test]
    fn a_notification_without_a_refusal_may_be_stored() {
        let stored: Vec<String> = report()
            .sent
            .into_iter()
            .filter(SentNotification::may_be_stored)
            .map(|sent| sent.id)
            .collect();
        assert_eq!(stored, ["first", "third"]);
    }

    #[test]
    fn the_values_of_a_url_s_query_are_redacted() {
        for (url, expected) in [
            ("https://x.gov.uk/pay", "https://x.gov.uk/pay"),
            (
                "https://x.gov.uk/pay?token=hush&team=7",
                "https://x.gov.uk/pay?token=…&team=…",
            ),
        ] {
            assert_eq!(redacted(&Url::parse(url).unwrap()), expected);
        }
    }

    #[test]
    fn a_receiver_s_text_is_cut_to_printable_ascii() {
        assert_eq!(plain("a\u{1b}[31m é b", 20), "a?[31m ? b");
        assert_eq!(plain("abcdef", 3), "abc…");
    }
}
