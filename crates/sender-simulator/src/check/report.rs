//! What was found, and that as JSON. Pure.

use std::time::Duration;

use serde::Serialize;
use url::Url;

use super::{super::Sender, fact::Check};
use crate::Timestamp;

/// How a receiver did. The later of two is the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// It could not be judged, and the finding says why.
    NotTried,
    /// As it should be.
    Passed,
    /// No notification is lost by it, but somebody should look.
    Warning,
    /// The real sender would lose something, or somebody else could get something in.
    Failed,
}

impl Grade {
    /// The grade in words, the same as in JSON but for the space.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotTried => "not tried",
            Self::Passed => "passed",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// One thing that was checked. No field ever holds a secret, a signature or a body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check's stable name.
    pub id: &'static str,
    /// What a sound receiver does.
    pub title: &'static str,
    /// How this one did.
    pub result: Grade,
    /// What was seen, or why nothing could be: statuses, headers of consequence, times.
    pub seen: String,
    /// Why it matters.
    pub why: &'static str,
    /// Whose doing it is: a sender's, or anybody's.
    pub sender: &'static str,
    /// Where the fact can be read.
    pub source: &'static str,
    /// How to put it right.
    pub fix: &'static str,
}

impl Finding {
    /// What a check came to for this sender; `None` if it is not about it.
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

/// A notification that was sent, so that test data can be found again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sent {
    /// The sender's own id of it.
    pub id: String,
    /// What it was answered, the last time unless a copy was taken; `None` where no answer came.
    pub status: Option<u16>,
}

impl Sent {
    /// Whether the receiver may have kept it: it said so, or said nothing.
    pub fn may_be_stored(&self) -> bool {
        self.status
            .is_none_or(|status| (200..300).contains(&status))
    }
}

/// Everything one run found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The receiver, without the values of its query.
    pub url: String,
    /// Who was played.
    pub sender: Sender,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// What was found, in the order it was tried.
    pub findings: Vec<Finding>,
    /// What was sent, in that order.
    pub sent: Vec<Sent>,
}

/// The report as programs read it. The names of its fields are stable.
#[derive(Serialize)]
struct Json<'a> {
    url: &'a str,
    kind: &'static str,
    pillarbox: &'static str,
    started_at: String,
    took_ms: u128,
    passed: usize,
    warnings: usize,
    failed: usize,
    not_tried: usize,
    findings: &'a [Finding],
    sent: &'a [Sent],
}

impl Report {
    /// Whether nothing failed.
    pub fn is_sound(&self) -> bool {
        self.count(Grade::Failed) == 0
    }

    /// How many findings have this grade.
    pub fn count(&self, grade: Grade) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.result == grade)
            .count()
    }

    /// The finding of this id.
    pub fn finding(&self, id: &str) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.id == id)
    }

    /// How many of each grade, in a line.
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

    /// One JSON object.
    pub fn json(&self) -> String {
        let json = Json {
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
        serde_json::to_string(&json).expect("a report is text and numbers")
    }
}

/// The URL as a report names it: a query may hold a token, so only the names in it are told.
pub(super) fn told(url: &Url) -> String {
    let mut told = url.clone();
    let names: Vec<String> = url
        .query_pairs()
        .map(|(name, _)| format!("{}=…", plain(&name, 40)))
        .collect();
    told.set_query(None);
    if names.is_empty() {
        told.to_string()
    } else {
        format!("{told}?{}", names.join("&"))
    }
}

/// What a receiver wrote, cut to `most` characters of printable ASCII.
pub(super) fn plain(text: &str, most: usize) -> String {
    let shown = |c: char| {
        if c.is_ascii_graphic() || c == ' ' {
            c
        } else {
            '?'
        }
    };
    let mut out: String = text.chars().take(most).map(shown).collect();
    if text.chars().nth(most).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn finding(id: &'static str, result: Grade, seen: &str) -> Finding {
        let words = (
            "It is as it should be",
            "It matters.",
            "HMRC",
            "a file",
            "Mend it.",
        );
        let (title, why, sender, source, fix) = words;
        Finding {
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

    pub(in super::super) fn report() -> Report {
        Report {
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
                Sent {
                    id: "first".to_owned(),
                    status: Some(200),
                },
                Sent {
                    id: "second".to_owned(),
                    status: Some(401),
                },
                Sent {
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
            r#"{"id":"one","title":"It is as it should be","result":"passed","seen":"200","why":"It matters.","#,
            r#""sender":"HMRC","source":"a file","fix":"Mend it."},"#,
            r#"{"id":"two","title":"It is as it should be","result":"failed","seen":"302 to https://x/<b>|`","#,
            r#""why":"It matters.","sender":"HMRC","source":"a file","fix":"Mend it."},"#,
            r#"{"id":"three","title":"It is as it should be","result":"not_tried","seen":"plain http","#,
            r#""why":"It matters.","sender":"HMRC","source":"a file","fix":"Mend it."}],"#,
            r#""sent":[{"id":"first","status":200},{"id":"second","status":401},{"id":"third","status":null}]}"#,
        );
        assert_eq!(report().json(), expected);
    }

    #[test]
    fn what_was_answered_with_success_or_not_at_all_may_be_stored() {
        let stored: Vec<String> = report()
            .sent
            .into_iter()
            .filter(Sent::may_be_stored)
            .map(|sent| sent.id)
            .collect();
        assert_eq!(stored, ["first", "third"]);
    }

    #[test]
    fn a_url_is_told_without_what_its_query_holds() {
        for (url, expected) in [
            ("https://x.gov.uk/pay", "https://x.gov.uk/pay"),
            (
                "https://x.gov.uk/pay?token=hush&team=7",
                "https://x.gov.uk/pay?token=…&team=…",
            ),
        ] {
            assert_eq!(told(&Url::parse(url).unwrap()), expected);
        }
    }

    #[test]
    fn what_a_receiver_writes_is_cut_and_made_plain() {
        assert_eq!(plain("a\u{1b}[31m é b", 20), "a?[31m ? b");
        assert_eq!(plain("abcdef", 3), "abc…");
    }
}
