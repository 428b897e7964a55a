//! The fields of the log as `docs/logging.md` lists them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::repository;

/// One section of the document.
pub struct LogSection {
    pub heading: String,
    /// The names in its table of fields.
    pub fields: BTreeSet<String>,
    /// Everything between backticks: messages, and fields that its prose describes.
    code: BTreeSet<String>,
}

/// The sections of the document, in its order.
pub fn sections() -> Vec<LogSection> {
    let document = std::fs::read_to_string(repository("docs/logging.md")).unwrap();
    let mut sections: Vec<LogSection> = Vec::new();
    let mut is_table_of_fields = false;
    for line in document.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            sections.push(LogSection {
                heading: heading.to_owned(),
                fields: BTreeSet::new(),
                code: BTreeSet::new(),
            });
        }
        let Some(section) = sections.last_mut() else {
            continue;
        };
        if !line.starts_with('|') {
            is_table_of_fields = false;
        } else if line.starts_with("| Field |") {
            is_table_of_fields = true;
        } else if is_table_of_fields {
            let first = line.split('|').nth(1).unwrap();
            section.fields.extend(code(first));
        }
        section.code.extend(code(line));
    }
    sections
}

#[track_caller]
pub fn section<'a>(sections: &'a [LogSection], heading: &str) -> &'a LogSection {
    let found = sections.iter().find(|section| section.heading == heading);
    found.unwrap_or_else(|| panic!("docs/logging.md has no section {heading}"))
}

/// The texts between backticks in a line of Markdown.
fn code(line: &str) -> impl Iterator<Item = String> {
    line.split('`').skip(1).step_by(2).map(str::to_owned)
}

/// Checks that the section of a log line lists all of its fields, and returns the heading of that
/// section. Metrics, whose names begin with a capital letter or `_`, have a separate document.
#[track_caller]
pub fn check_line(sections: &[LogSection], line: &Value) -> String {
    let message = line["message"].as_str().unwrap_or_else(|| panic!("{line}"));
    let every = section(sections, "Every line");
    let fields: Vec<&String> = line
        .as_object()
        .unwrap()
        .keys()
        .filter(|name| name.starts_with(|first: char| first.is_ascii_lowercase()))
        .filter(|name| !every.fields.contains(*name))
        .collect();
    let of_message = sections
        .iter()
        .filter(|section| section.code.contains(message));
    let mut listed = of_message.filter(|section| {
        let is_listed = |name: &&String| section.code.contains(*name);
        fields.iter().all(is_listed)
    });
    let section = listed
        .next()
        .unwrap_or_else(|| panic!("docs/logging.md does not list this line: {line}"));
    section.heading.clone()
}
