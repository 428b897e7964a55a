//! The arrows of ARCHITECTURE.md, held against the code: a module names only those below it, and a
//! package only the crates that belong to it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use test_support::repository;

/// Modules that only tests are compiled with, each a file or a folder.
const TEST_MODULES: [&str; 4] = ["tests", "example", "contract", "test_support"];

/// One package: its sources, its modules with those each may use, and the crates it may not name.
struct PackageRules {
    folder: &'static str,
    arrows: &'static [(&'static str, &'static [&'static str])],
    foreign: &'static [&'static str],
}

const PACKAGES: [PackageRules; 4] = [
    PackageRules {
        folder: ".",
        arrows: LIBRARY,
        // The function has no terminal, no HTTP server and no SQLite, and tests bring their
        // senders.
        foreign: &[
            "pillarbox-cli",
            "sender-simulator",
            "rusqlite",
            "hyper",
            "axum",
            "askama",
            "clap",
            "anstream",
            "indicatif",
            "aws-config",
        ],
    },
    PackageRules {
        folder: "crates/pillarbox-cli",
        arrows: COMMAND_LINE,
        foreign: &["lambda_http", "lambda_runtime", "aws-sdk-dynamodb"],
    },
    PackageRules {
        folder: "crates/sender-simulator",
        arrows: &[],
        // It must be able to disagree with the receiver, so it shares no code with it.
        foreign: &["pillarbox", "pillarbox-cli", "rusqlite", "clap", "axum"],
    },
    PackageRules {
        folder: "crates/proof",
        arrows: PROOF,
        // It judges histories and the library; a server's own code is not in its way.
        foreign: &["pillarbox-cli", "rusqlite", "clap", "axum"],
    },
];

/// Every module of the library, and those it may use. No module may use one that is not listed.
const LIBRARY: &[(&str, &[&str])] = &[
    ("text", &[]),
    ("domain", &[]),
    ("aws", &[]),
    ("http_client", &[]),
    ("senders", &["domain"]),
    ("secrets", &["domain", "aws", "senders"]),
    ("inbox", &["domain", "senders"]),
    (
        "destinations",
        &[
            "text",
            "domain",
            "secrets",
            "aws",
            "http_client",
            "senders",
            "inbox",
        ],
    ),
    (
        "config",
        &[
            "domain",
            "secrets",
            "http_client",
            "senders",
            "destinations",
        ],
    ),
    ("telemetry", &["text", "domain"]),
    (
        "receive",
        &["domain", "senders", "secrets", "inbox", "telemetry"],
    ),
    (
        "delivery",
        &["domain", "inbox", "destinations", "telemetry"],
    ),
    (
        "reconcile",
        &[
            "domain",
            "secrets",
            "aws",
            "http_client",
            "senders",
            "inbox",
            "config",
            "telemetry",
        ],
    ),
    (
        "lambda",
        &[
            "domain",
            "secrets",
            "aws",
            "inbox",
            "destinations",
            "config",
            "telemetry",
            "receive",
            "delivery",
            "reconcile",
        ],
    ),
];

/// The same for the command line.
const COMMAND_LINE: &[(&str, &[&str])] = &[
    ("aws", &[]),
    ("lock_holder", &[]),
    ("labels", &[]),
    ("timeline", &["labels"]),
    ("sqlite", &[]),
    ("diagnose", &[]),
    ("evidence", &[]),
    ("payload", &[]),
    ("any_inbox", &["aws", "sqlite"]),
    ("acts", &["aws", "any_inbox"]),
    ("listener", &[]),
    ("metrics", &[]),
    ("payment", &[]),
    ("search", &["sqlite", "any_inbox", "payment"]),
    ("refusals", &["diagnose"]),
    ("overview", &["labels", "sqlite"]),
    (
        "console",
        &[
            "acts",
            "labels",
            "timeline",
            "sqlite",
            "evidence",
            "payload",
            "any_inbox",
            "listener",
            "metrics",
            "overview",
            "payment",
            "refusals",
            "search",
        ],
    ),
    (
        "server",
        &["sqlite", "listener", "lock_holder", "metrics", "refusals"],
    ),
    (
        "commands",
        &[
            "acts",
            "lock_holder",
            "aws",
            "labels",
            "timeline",
            "sqlite",
            "diagnose",
            "evidence",
            "any_inbox",
            "listener",
            "metrics",
            "refusals",
            "overview",
            "payment",
            "search",
            "console",
            "server",
        ],
    ),
];

/// The same for the proof: a command may use the checker, and the checker knows histories alone.
const PROOF: &[(&str, &[&str])] = &[
    ("arguments", &[]),
    ("sync", &[]),
    ("history", &[]),
    ("checker", &["history"]),
    ("simulate", &["arguments", "history", "checker", "sync"]),
    ("model", &["arguments", "simulate", "sync"]),
    ("planted", &["arguments"]),
    (
        "power",
        &[
            "arguments",
            "history",
            "checker",
            "planted",
            "simulate",
            "sync",
        ],
    ),
    ("second_verifier", &[]),
    ("second_policy", &[]),
    ("receiver_under_test", &["second_verifier"]),
    ("attack", &["receiver_under_test", "second_verifier"]),
    (
        "fuzz",
        &[
            "attack",
            "receiver_under_test",
            "second_policy",
            "second_verifier",
        ],
    ),
    ("forge", &["arguments", "simulate", "sync"]),
    ("timing", &["arguments", "simulate"]),
    // The tests' servers, proxies and processes are a crate of their own.
    (
        "processes",
        &["arguments", "history", "checker", "simulate", "sync"],
    ),
    (
        "kill",
        &["arguments", "history", "processes", "simulate", "sync"],
    ),
    ("faults", &["arguments", "history", "processes", "simulate"]),
];

/// What only some places may name.
const RESERVED: &[(&str, &[&str])] = &[
    // HTTP servers, terminals and argument parsers belong to the edge, and to the senders' APIs.
    (
        "hyper::",
        &[
            "crates/pillarbox-cli/src/listener",
            "crates/pillarbox-cli/src/server",
            "crates/sender-simulator/src/apis",
        ],
    ),
    ("prometheus_client::", &["crates/pillarbox-cli/src/metrics"]),
    ("axum::", &["crates/pillarbox-cli/src/console"]),
    ("clap::", &["crates/pillarbox-cli/src/commands"]),
    (
        "std::process",
        &[
            "src/bin",
            "crates/pillarbox-cli/src/main.rs",
            "crates/pillarbox-cli/src/commands",
            "crates/proof/src/main.rs",
            "crates/proof/src/planted",
            "crates/proof/src/power",
        ],
    ),
    ("lambda_http::", &["src/lambda/http_event.rs"]),
    ("lambda_runtime::", &["src/lambda"]),
    // A database belongs to its inbox.
    ("rusqlite::", &["crates/pillarbox-cli/src/sqlite"]),
    ("aws_sdk_dynamodb::", &["src/inbox/dynamodb"]),
    // How AWS is reached is decided in one place; a person's credentials in another.
    ("hyper_rustls::", &["src/aws"]),
    ("aws_config::", &["crates/pillarbox-cli/src/aws.rs"]),
    ("aws_sdk_sts::", &["crates/pillarbox-cli/src/aws.rs"]),
    (
        "aws_sdk_secretsmanager::",
        &["src/secrets/secrets_manager.rs"],
    ),
    ("aws_sdk_sqs::", &["src/destinations/sqs.rs"]),
    (
        "aws_sdk_eventbridge::",
        &["src/destinations/eventbridge.rs"],
    ),
    // One client decides where outgoing requests may go.
    ("tls_backend_preconfigured", &["src/http_client"]),
    // What a pull returns is authentic, so only the pull clients may vouch for it.
    ("Pulled::listed(", &["src/reconcile/hmrc/page.rs"]),
    ("Pulled::payment(", &["src/reconcile/govuk_pay/client.rs"]),
    // The diagnosis of a refusal tries variants that a receiver must never accept, so it must not
    // decide an answer.
    (
        "diagnose::",
        &[
            "crates/pillarbox-cli/src/commands/verify.rs",
            "crates/pillarbox-cli/src/refusals",
        ],
    ),
    // The clock and the random source are read in one place of each side.
    (
        "Timestamp::now()",
        &[
            "src/domain/clock.rs",
            "crates/sender-simulator/src/clock.rs",
        ],
    ),
    (
        "getrandom::",
        &[
            "src/domain/clock.rs",
            "crates/sender-simulator/src/clock.rs",
        ],
    ),
    // Signatures are made in four places, each with a reason to disagree with the others. The
    // search makes digests of references.
    (
        "hmac::",
        &[
            "src/senders",
            "src/destinations/webhook.rs",
            "crates/sender-simulator/src/signature.rs",
            "crates/pillarbox-cli/src/diagnose",
            "crates/pillarbox-cli/src/sqlite/search.rs",
        ],
    ),
];

#[test]
fn imports_point_one_way() {
    for package in &PACKAGES {
        for (file, text) in sources(package) {
            let Some(module) = module_of(&file) else {
                continue;
            };
            let Some((_, allowed)) = package.arrows.iter().find(|(name, _)| *name == module) else {
                assert!(package.arrows.is_empty(), "{module} has no arrows");
                continue;
            };
            for used in modules_used(&text) {
                assert!(
                    used == module || allowed.contains(&used.as_str()),
                    "{file} must not use crate::{used}"
                );
            }
        }
    }
}

#[test]
fn every_module_has_its_arrows_and_every_arrow_its_module() {
    for package in PACKAGES.iter().filter(|package| !package.arrows.is_empty()) {
        let modules: BTreeSet<String> = sources(package)
            .iter()
            .filter_map(|(file, _)| module_of(file))
            .collect();
        let named: BTreeSet<String> = package
            .arrows
            .iter()
            .flat_map(|(name, used)| used.iter().chain([name]))
            .map(|&name| name.to_owned())
            .collect();
        assert_eq!(modules, named, "{}", package.folder);
    }
}

#[test]
fn no_package_depends_on_what_belongs_to_another() {
    for package in &PACKAGES {
        let path = repository(package.folder).join("Cargo.toml");
        let manifest: toml::Table = toml::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        for table in ["dependencies", "dev-dependencies"] {
            let Some(dependencies) = manifest.get(table).and_then(toml::Value::as_table) else {
                continue;
            };
            for (name, dependency) in dependencies {
                let package_name = dependency.get("package").and_then(toml::Value::as_str);
                let name = package_name.unwrap_or(name);
                assert!(
                    !package.foreign.contains(&name),
                    "{} must not depend on {name} ({table})",
                    package.folder
                );
            }
        }
    }
}

#[test]
fn what_is_reserved_to_some_places_is_named_nowhere_else() {
    for (word, places) in RESERVED {
        let mut met = false;
        for (file, text) in PACKAGES.iter().flat_map(sources) {
            let allowed = places.iter().any(|place| file.starts_with(place));
            met |= allowed && text.contains(word);
            assert!(
                allowed || !text.contains(word),
                "{file} must not know {word}"
            );
        }
        assert!(met, "no place names {word}, so this rule guards nothing");
    }
}

#[test]
fn the_test_sees_grouped_and_nested_imports() {
    let text = "use crate::{\n    inbox::{Inbox, Row},\n    notification::Key,\n};\nlet x = \
     crate::receive::route();\n// crate::delivery";
    assert_eq!(
        modules_used(&strip(text)),
        ["inbox", "notification", "receive"]
    );
}

/// A package's files below `src/`, by their path from the root of the repository, without comments
/// and without tests.
fn sources(package: &PackageRules) -> Vec<(String, String)> {
    let root = repository(".");
    let mut files = Vec::new();
    collect(&root.join(package.folder).join("src"), &mut files);
    let relative = |path: &Path| {
        let path = path.strip_prefix(&root).unwrap();
        let path = path.strip_prefix(".").unwrap_or(path);
        path.display().to_string()
    };
    let read = |path: &PathBuf| (relative(path), strip(&fs::read_to_string(path).unwrap()));
    files
        .iter()
        .map(read)
        .filter(|(file, _)| !is_of_tests(file))
        .collect()
}

fn is_of_tests(file: &str) -> bool {
    let mut parts = file.trim_end_matches(".rs").split('/');
    parts.any(|part| TEST_MODULES.contains(&part))
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

/// The top-level module that a file belongs to; the crate's own root and its binaries have none.
fn module_of(file: &str) -> Option<String> {
    let (_, inside) = file.split_once("src/")?;
    let first = inside.split('/').next().unwrap_or(inside);
    let first = first.trim_end_matches(".rs");
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
