//! Names, as far as a test can check them: a type name is used once in a package, an error type
//! ends in `Error`, words that were replaced stay away, and lines end at 100 columns.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use test_support::repository;

/// The packages, each with its folders.
const PACKAGES: [(&str, &[&str]); 5] = [
    ("pillarbox", &["src"]),
    ("pillarbox-cli", &["crates/pillarbox-cli/src"]),
    ("sender-simulator", &["crates/sender-simulator/src"]),
    ("proof", &["crates/proof/src"]),
    (
        "pillarbox-tests",
        &[
            "tests/it",
            "tests/shipped",
            "tests/slow",
            "tests/external",
            "tests/support",
        ],
    ),
];

/// Error types with another ending: a refusal is what a sender gets.
/// `ConfigErrors` are several at once, and a `RunEnd` is success, too.
const NOT_CALLED_ERROR: [&str; 3] = ["Refusal", "ConfigErrors", "RunEnd"];

/// The only type names of one word. Every other type name has a qualifier.
const CENTRAL_NOUNS: &[&str] = &[
    "Acceptance",
    "Check",
    "Checkpoint",
    "Claim",
    "Clock",
    "Command",
    "Config",
    "Console",
    "Destination",
    "Diagnosis",
    "Entry",
    "Event",
    "Fence",
    "Grade",
    "History",
    "Inbox",
    "Invocation",
    "Key",
    "Keyring",
    "Lease",
    "Mark",
    "Operator",
    "Origin",
    "Overview",
    "Payment",
    "Probe",
    "Pulled",
    "Readiness",
    "Receipt",
    "Receiver",
    "Reconciler",
    "Refusal",
    "Role",
    "Route",
    "Row",
    "Secret",
    "Sender",
    "Server",
    "Simulation",
    "Source",
    "State",
    "Sweep",
    "Timestamp",
    "Verified",
    "Violation",
];

/// Type names that did not describe the type.
const REPLACED_TYPES: &[&str] = &[
    "Around",
    "AskedFields",
    "Books",
    "Brake",
    "CallFate",
    "Came",
    "Come",
    "Crew",
    "CutStory",
    "Desk",
    "Dice",
    "DiskManner",
    "Ended",
    "Failure",
    "Fate",
    "Fault",
    "Floor",
    "Herald",
    "Keeping",
    "Kept",
    "Lines",
    "Manner",
    "Memo",
    "MemoName",
    "News",
    "NoAnswer",
    "NoBus",
    "NotTried",
    "Numbers",
    "Outside",
    "Owner",
    "Pace",
    "Parts",
    "PaymentStory",
    "Place",
    "Placed",
    "PowerStory",
    "Problem",
    "Progress",
    "Reach",
    "Said",
    "Shelf",
    "Sight",
    "Standing",
    "Surroundings",
    "Swapped",
    "Taking",
    "Tally",
    "Teller",
    "Trouble",
    "Twists",
    "Unanswered",
    "Unreadable",
    "Until",
    "Unusable",
    "Unwritten",
    "Walk",
    "What",
    "Whose",
    "World",
];

/// Functions, constants and modules that were renamed.
const REPLACED_ITEMS: &[&str] = &[
    "DOWN_AFTER",
    "PATIENCE",
    "SHELVES",
    "becomes",
    "befall",
    "befalls",
    "is_on",
    "is_ripe",
    "lacking",
    "look",
    "lose",
    "meet",
    "observe",
    "outbound",
    "own",
    "paced",
    "projects",
    "scripted",
    "shout",
    "swap_memo",
    "take_in",
    "words",
];

/// Words that are not allowed as an identifier anywhere.
const REPLACED_WORDS: &[&str] = &[
    "ask",
    "asked",
    "asks",
    "befell",
    "beside",
    "came",
    "crew",
    "dice",
    "errand",
    "fate",
    "fates",
    "handed_on",
    "hear",
    "heard",
    "keeping",
    "manner",
    "memo",
    "nobody",
    "outside",
    "patience",
    "said",
    "shelf",
    "somebody",
    "stories",
    "story",
    "suspicion",
    "tally",
    "tell",
    "telling",
    "tidy",
    "told",
    "unswept",
    "welch",
    "whoever",
    "whose",
    "world",
];

#[test]
fn a_type_name_is_used_once_in_a_package() {
    for (package, _) in PACKAGES {
        let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (file, code) in code_of(package) {
            for name in types(&code) {
                places.entry(name).or_default().push(file.clone());
            }
        }
        places.retain(|_, files| files.len() > 1);
        assert!(places.is_empty(), "{package}: {places:#?}");
    }
}

#[test]
fn a_type_name_of_one_word_is_a_central_noun() {
    let mut found = BTreeSet::new();
    for (package, _) in PACKAGES {
        for (file, code) in code_of(package) {
            let is_one_word = |name: &String| !name[1..].contains(char::is_uppercase);
            let names = types(&code).into_iter().filter(is_one_word);
            found.extend(
                names
                    .filter(|name| {
                        name.len() > 1
                            && !name.starts_with(char::is_lowercase)
                            && !CENTRAL_NOUNS.contains(&name.as_str())
                    })
                    .map(|name| format!("{name} in {file}")),
            );
        }
    }
    assert!(found.is_empty(), "add a word that says which: {found:#?}");
}

#[test]
fn an_error_type_ends_in_error() {
    for (package, _) in PACKAGES {
        for (file, code) in code_of(package) {
            for name in errors(&code) {
                assert!(
                    name.ends_with("Error") || NOT_CALLED_ERROR.contains(&name.as_str()),
                    "{file}: {name} is an error and not called one"
                );
            }
        }
    }
}

#[test]
fn replaced_names_stay_away() {
    let mut found = BTreeSet::new();
    for (file, code) in PACKAGES.iter().flat_map(|(package, _)| code_of(package)) {
        let is_type = |name: &String| REPLACED_TYPES.contains(&name.as_str());
        let is_item = |name: &String| REPLACED_ITEMS.contains(&name.as_str());
        let is_word = |name: &&str| REPLACED_WORDS.contains(name);
        found.extend(
            types(&code)
                .into_iter()
                .filter(is_type)
                .chain(
                    items(&code, &["fn", "const", "static", "mod"])
                        .into_iter()
                        .filter(is_item),
                )
                .chain(identifiers(&code).filter(is_word).map(str::to_owned))
                .map(|name| format!("{name} in {file}")),
        );
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn lines_end_at_100_columns() {
    let mut long = Vec::new();
    for folder in ["src", "crates", "tests", "examples", "benches"] {
        for (file, text) in files(folder) {
            for (number, line) in (1..).zip(text.lines()) {
                if line.chars().count() > 100 {
                    long.push(format!("{file}:{number}"));
                }
            }
        }
    }
    assert!(long.is_empty(), "{} lines: {long:#?}", long.len());
}

#[test]
fn a_document_names_tests_that_there_are() {
    let tests: BTreeSet<String> = ["src", "crates", "tests"]
        .into_iter()
        .flat_map(files)
        .flat_map(|(_, text)| items(&strip(&text), &["fn"]))
        .collect();
    for document in ["SECURITY.md", "docs/limits.md", "docs/privacy.md"] {
        let text = fs::read_to_string(repository(document)).unwrap();
        let named: Vec<&str> = text
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|code| code.matches('_').count() >= 3 && !code.contains(['.', '<']))
            .filter(|code| identifiers(code).eq([*code]))
            .collect();
        assert!(!named.is_empty(), "{document} names no test");
        for name in named {
            assert!(tests.contains(name), "{document}: no test {name}");
        }
    }
}

#[test]
fn the_test_sees_types_errors_and_items_and_no_comment_or_text() {
    let code = strip(
        r##"
        /// struct InAComment
        #[derive(Debug, thiserror::Error)]
        #[error("enum InAText")]
        pub(crate) enum Wrong { #[error("x")] A }
        struct Other<'a>(&'a str); // enum AtTheEnd
        impl std::error::Error for Other<'_> {}
        impl<T> Error for Generic<T> {}
        impl Iterator for Wrong { type Item = char; }
type Alias = u8;
        const RAW: &str = r#"struct "InARawText"#;
        const QUOTE: char = '"';
        fn look() { let _ = "\" struct Escaped"; }
        mod words;
        "##,
    );
    assert_eq!(types(&code), ["Wrong", "Other", "Alias"]);
    assert_eq!(errors(&code), ["Wrong", "Other", "Generic"]);
    assert_eq!(
        items(&code, &["fn", "const", "mod"]),
        ["RAW", "QUOTE", "look", "words"]
    );
}

/// A package's files with their code: no comments and no text in quotes.
fn code_of(package: &str) -> Vec<(String, String)> {
    let (_, folders) = PACKAGES.iter().find(|(name, _)| *name == package).unwrap();
    let files = folders.iter().flat_map(|folder| files(folder));
    files.map(|(file, text)| (file, strip(&text))).collect()
}

/// The Rust files below a folder of the repository, by their path from its root.
fn files(folder: &str) -> Vec<(String, String)> {
    fn collect(at: &Path, name: &str, files: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            let file = path.file_name().unwrap().to_str().unwrap();
            let name = format!("{name}/{file}");
            if path.is_dir() && file != "target" {
                collect(&path, &name, files);
            } else if file.ends_with(".rs") {
                files.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut files = Vec::new();
    collect(&repository(folder), folder, &mut files);
    files
}

/// The code without comments, and with nothing in its quotes.
fn strip(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(length) = raw_text(rest) {
            length
        } else if first == '"' {
            quoted(rest)
        } else if rest.starts_with("'\"'") {
            3
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        code.push(' ');
        rest = &rest[skipped..];
    }
    code
}

/// The length of a raw text that begins here.
fn raw_text(text: &str) -> Option<usize> {
    let hashes = text
        .strip_prefix('r')?
        .chars()
        .take_while(|&c| c == '#')
        .count();
    let inside = text[1 + hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(2 + hashes + inside.find(&end)? + end.len())
}

/// The length of a text in quotes that begins here.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn identifiers(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
}

/// What is declared with one of these keywords.
fn items(code: &str, keywords: &[&str]) -> Vec<String> {
    let words: Vec<&str> = identifiers(code).collect();
    words
        .windows(2)
        .filter(|pair| keywords.contains(&pair[0]) && !KEYWORDS.contains(&pair[1]))
        .map(|pair| pair[1].to_owned())
        .collect()
}

/// What may follow `const` or `unsafe` before the keyword that counts.
const KEYWORDS: [&str; 4] = ["fn", "unsafe", "async", "_"];

/// The types a file declares. An alias begins its line; any other `type` belongs to a trait.
fn types(code: &str) -> Vec<String> {
    code.lines()
        .flat_map(|line| {
            let keywords: &[&str] = &["struct", "enum", "union", "trait", "type"];
            items(
                line,
                if line.starts_with(' ') {
                    &keywords[..4]
                } else {
                    keywords
                },
            )
        })
        .collect()
}

/// The types a file makes an error, by hand or by `thiserror`.
fn errors(code: &str) -> Vec<String> {
    let mut errors = Vec::new();
    for after in code.split("#[derive(").skip(1) {
        let (traits, rest) = after.split_once(")]").unwrap();
        if identifiers(traits).any(|name| name == "Error") {
            errors.extend(items(rest, &["struct", "enum"]).into_iter().next());
        }
    }
    for after in code.split("Error for ").skip(1) {
        errors.extend(identifiers(after).next().map(str::to_owned));
    }
    errors
}
