//! The arrows of ARCHITECTURE.md, held against the code: a layer names only what stands below it.

#![allow(
    clippy::unwrap_used,
    reason = "clippy does not take the helpers of a test for one"
)]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Every module of the library, and those it may use. What is not named here may be used by nobody.
const ARROWS: &[(&str, &[&str])] = &[
    ("notification", &[]),
    ("world", &["notification"]),
    ("text", &[]),
    ("secret", &[]),
    ("aws", &["secret"]),
    ("outbound", &[]),
    ("source", &["notification", "secret"]),
    ("inbox", &["notification", "source"]),
    (
        "destination",
        &[
            "notification",
            "world",
            "secret",
            "aws",
            "outbound",
            "source",
            "inbox",
        ],
    ),
    (
        "config",
        &[
            "notification",
            "secret",
            "outbound",
            "source",
            "destination",
        ],
    ),
    (
        "process",
        &["notification", "world", "inbox", "destination"],
    ),
    ("receive", &["notification", "source", "inbox"]),
    (
        "reconcile",
        &[
            "notification",
            "world",
            "secret",
            "outbound",
            "source",
            "inbox",
        ],
    ),
    (
        "keyring",
        &[
            "notification",
            "world",
            "secret",
            "aws",
            "source",
            "inbox",
            "config",
            "receive",
        ],
    ),
    ("simulate", &["notification", "world"]),
    ("observe", &["world", "text"]),
    (
        "app",
        &[
            "notification",
            "world",
            "secret",
            "aws",
            "source",
            "inbox",
            "destination",
            "config",
            "keyring",
            "reconcile",
        ],
    ),
    (
        "entry",
        &[
            "notification",
            "world",
            "text",
            "secret",
            "aws",
            "source",
            "inbox",
            "destination",
            "config",
            "process",
            "receive",
            "reconcile",
            "keyring",
            "simulate",
            "observe",
            "app",
        ],
    ),
];

/// What only some places may know.
const SECRETS_OF_THE_HOUSE: &[(&str, &[&str])] = &[
    // HTTP servers, terminals and argument parsers are known at the edge alone, and where the senders' own are played.
    ("hyper::", &["entry", "simulate/pull/server.rs"]),
    ("axum::", &["entry/console"]),
    ("clap::", &["entry/cli"]),
    (
        "std::process",
        &["main.rs", "bin/", "entry/cli", "entry/lambda/run.rs"],
    ),
    // A database is known to its inbox alone.
    ("rusqlite::", &["inbox/sqlite"]),
    ("aws_sdk_dynamodb::", &["inbox/dynamodb"]),
    // How AWS is reached is decided in one place.
    ("aws_smithy_http_client::", &["aws"]),
    ("aws_config::", &["aws"]),
    ("aws_sdk_secretsmanager::", &["aws/secretsmanager.rs"]),
    ("aws_sdk_sqs::", &["destination/sqs.rs"]),
    ("aws_sdk_eventbridge::", &["destination/eventbridge.rs"]),
    // Requests of our own go where one place lets them.
    ("tls_backend_preconfigured", &["outbound"]),
    // What a pull brings is authentic, so only those who pull may say that something is that.
    ("Pulled::listed(", &["reconcile/hmrc/page.rs"]),
    ("Pulled::payment(", &["reconcile/govuk_pay/client.rs"]),
    // Only a person's command tries what a receiver must never accept.
    ("diagnose::", &["source/diagnose", "entry/cli/verify.rs"]),
    // The clock and chance are read in one place.
    ("Timestamp::now()", &["entry/system.rs"]),
    ("getrandom::", &["entry/system.rs"]),
    // Signatures are made in three places, each with a reason of its own to disagree.
    (
        "hmac::",
        &["source", "destination/webhook.rs", "simulate/sign.rs"],
    ),
];

#[test]
fn imports_point_one_way() {
    for (file, text) in sources() {
        let Some(layer) = layer_of(&file) else {
            continue;
        };
        let (_, allowed) = ARROWS
            .iter()
            .find(|(name, _)| *name == layer)
            .unwrap_or_else(|| panic!("{layer} has no place"));
        for used in modules_used(&text) {
            assert!(
                used == layer || allowed.contains(&used.as_str()),
                "{file} must not use crate::{used}"
            );
        }
    }
}

#[test]
fn every_module_has_its_arrows_and_every_arrow_its_module() {
    let mut modules: Vec<String> = sources()
        .iter()
        .filter_map(|(file, _)| layer_of(file))
        .collect();
    modules.sort();
    modules.dedup();
    let mut named: Vec<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    named.sort_unstable();
    assert_eq!(modules, named);
}

#[test]
fn what_only_some_places_may_know_is_known_nowhere_else() {
    for (word, places) in SECRETS_OF_THE_HOUSE {
        let mut met = false;
        for (file, text) in sources() {
            let allowed = places.iter().any(|place| file.starts_with(place));
            met |= allowed && text.contains(word);
            assert!(
                allowed || !text.contains(word),
                "{file} must not know {word}"
            );
        }
        assert!(met, "{word} is known nowhere, so this rule guards nothing");
    }
}

#[test]
fn the_test_sees_grouped_and_nested_imports() {
    let text = "use crate::{\n    inbox::{Inbox, Row},\n    notification::Key,\n};\nlet x = crate::receive::route();\n// crate::app";
    assert_eq!(
        modules_used(&strip(text)),
        ["inbox", "notification", "receive"]
    );
}

/// The library's files below `src/`, without comments and without the tests inside them.
fn sources() -> Vec<(String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&src, &mut files);
    let relative = |path: &Path| path.strip_prefix(&src).unwrap().display().to_string();
    let is_test = |file: &str| {
        ["tests.rs", "example.rs", "contract.rs", "scripted.rs"]
            .iter()
            .any(|name| file.ends_with(name))
    };
    let read = |path: &PathBuf| (relative(path), strip(&fs::read_to_string(path).unwrap()));
    files
        .iter()
        .map(read)
        .filter(|(file, _)| !is_test(file))
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn strip(text: &str) -> String {
    let code = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    let lines = code
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// The top-level module a file belongs to; the crate's own root and its binaries belong to none.
fn layer_of(file: &str) -> Option<String> {
    let first = file
        .split('/')
        .next()
        .unwrap_or(file)
        .trim_end_matches(".rs");
    (!["lib", "main", "bin"].contains(&first)).then(|| first.to_owned())
}

/// The modules a text reaches through `crate::`.
fn modules_used(text: &str) -> Vec<String> {
    let word = |text: &str| {
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect::<String>()
    };
    let mut used = Vec::new();
    for after in text.split("crate::").skip(1) {
        match after.strip_prefix('{') {
            None => used.push(word(after)),
            Some(group) => used.extend(heads(group).iter().map(|head| word(head))),
        }
    }
    used
}

/// The items of a `{…}` group, up to its closing brace, without splitting nested groups.
fn heads(group: &str) -> Vec<String> {
    let (mut depth, mut items) = (0, vec![String::new()]);
    for character in group.chars() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => items.push(String::new()),
            _ => items.last_mut().unwrap().push(character),
        }
    }
    items
        .iter()
        .map(|item| item.trim().to_owned())
        .filter(|item| !item.is_empty())
        .collect()
}
