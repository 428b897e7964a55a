//! A report as a Markdown document, for the decision to go live. No I/O.

use super::report::{CheckFinding, CheckReport, Grade, SentNotification};

impl CheckReport {
    /// The whole report in Markdown. Text from the receiver is escaped.
    pub fn markdown(&self) -> String {
        let mut out = format!(
            "# Conformance of a receiver of {}\n\n",
            self.sender.as_str()
        );
        for (name, value) in [
            ("Receiver", escaped(&self.url)),
            ("Simulated sender", self.sender.as_str().to_owned()),
            ("Started", self.started_at.to_string()),
            ("Took", format!("{} ms", self.took.as_millis())),
            (
                "Checked by",
                concat!("Pillarbox ", env!("CARGO_PKG_VERSION")).to_owned(),
            ),
            ("Result", self.summary()),
        ] {
            out.push_str(&format!("* {name}: {value}\n"));
        }
        out.push_str("\n| finding | result | expected | seen |\n|---|---|---|---|\n");
        for CheckFinding {
            id,
            title,
            result,
            seen,
            ..
        } in &self.findings
        {
            out.push_str(&format!(
                "| `{id}` | {} | {title} | {} |\n",
                result.as_str(),
                escaped(seen)
            ));
        }
        for (grade, heading) in [(Grade::Failed, "Failed"), (Grade::Warning, "Warnings")] {
            let mut of_grade = self
                .findings
                .iter()
                .filter(|finding| finding.result == grade)
                .peekable();
            if of_grade.peek().is_some() {
                out.push_str(&format!("\n## {heading}\n"));
            }
            of_grade.for_each(|finding| out.push_str(&details(finding)));
        }
        out.push_str(&self.sent_as_markdown());
        out
    }

    fn sent_as_markdown(&self) -> String {
        let mut out = "\n## Test data sent\n\n\
            Each of these may be stored at the receiver, unless the status is a refusal.\n\n\
            | id | answer |\n|---|---|\n"
            .to_owned();
        for SentNotification { id, status } in &self.sent {
            let status = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
            out.push_str(&format!("| `{id}` | {status} |\n"));
        }
        out
    }
}

fn details(finding: &CheckFinding) -> String {
    let CheckFinding {
        id,
        title,
        seen,
        why,
        sender,
        source,
        fix,
        ..
    } = finding;
    format!(
        "\n### `{id}`: {title}\n\n* Seen: {}\n* Why it matters: {why}\n* Who does it: {sender} \
         ({source})\n* How to fix it: {fix}\n",
        escaped(seen)
    )
}

/// Escapes text, so that it is neither markup nor the end of a table cell.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if "\\`*_[]<>|".contains(character) {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::report;

    #[test]
    fn a_report_escapes_text_from_the_receiver() {
        let expected = concat!(
            "# Conformance of a receiver of hmrc\n\n",
            "* Receiver: https://receiver.example.gov.uk/hmrc\n",
            "* Simulated sender: hmrc\n",
            "* Started: 2026-03-02T10:15:31.480Z\n",
            "* Took: 1500 ms\n",
            "* Checked by: Pillarbox ",
            env!("CARGO_PKG_VERSION"),
            "\n",
            "* Result: 1 failed, 0 warnings, 1 passed, 1 not tried\n\n",
            "| finding | result | expected | seen |\n|---|---|---|---|\n",
            "| `one` | passed | The receiver is correct | 200 |\n",
            "| `two` | failed | The receiver is correct | 302 to https://x/\\<b\\>\\|\\` |\n",
            "| `three` | not tried | The receiver is correct | plain http |\n",
            "\n## Failed\n\n### `two`: The receiver is correct\n\n",
            "* Seen: 302 to https://x/\\<b\\>\\|\\`\n* Why it matters: It matters.\n",
            "* Who does it: HMRC (a file)\n* How to fix it: Fix it.\n",
            "\n## Test data sent\n\n",
            "Each of these may be stored at the receiver, unless the status is a refusal.\n\n",
            "| id | answer |\n|---|---|\n| `first` | 200 |\n| `second` | 401 |\n| `third` | none \
             |\n",
        );
        assert_eq!(report().markdown(), expected);
    }
}
