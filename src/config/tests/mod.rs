//! Whole documents, and every error in them.

mod document;
mod sources;
mod destinations;

use std::{io, path::Path};

use super::*;
use crate::{secrets::FetchedSecrets, senders::SenderKind};

pub(super) const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

pub(super) const TEST_SECRET: &str = "webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu";

pub(super) const HMRC_SECRET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

const DAY: u64 = 24 * 60 * 60;

/// A valid source, for documents with errors elsewhere.
pub(super) const FINE: &str = "\n[sources.hmrc]\nkind = \"hmrc\"\nsecrets = []\n";

/// The example of the documentation, with every key.
pub(super) const EXAMPLE: &str = r#"
listen = "127.0.0.1:8080"
console = "127.0.0.1:8081"
retention_days = 90
acceptance_days = 60

[sources.hmrc]                      # served at /hmrc
kind = "hmrc"
secrets = ["env:HMRC_PUSH_SECRET"]  # the list is the rotation overlap
[sources.hmrc.pull]                 # optional
environment = "sandbox"             # or "production"; base_url = "…" for tests
boxes = ["50dca3fc-c37c-4f03-b719-63571333624c"]
client_id = "env:HMRC_CLIENT_ID"
client_secret = "env:HMRC_CLIENT_SECRET"

[sources.pay]                       # served at /pay
kind = "govuk-pay"
secrets = ["env:PAY_SIGNING_SECRET"]
live = false
destination = "ledger"              # optional: by name
[sources.pay.pull]
api_key = "env:PAY_API_KEY"         # base_url = "…" for tests

[inbox]
kind = "sqlite"
path = "pillarbox.db"

[destination]                       # the default one; others are [destinations.NAME]
kind = "log"
[destinations.ledger]
kind = "https"
url = "https://ledger.example.gov.uk/events"
secret = "env:LEDGER_WHSEC"
"#;

/// Runs `work` with `variables` set and no files.
pub(super) fn with<T>(variables: &[(&str, &str)], work: impl FnOnce(&SecretSources<'_>) -> T) -> T {
    let env = |name: &str| {
        variables
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| (*value).to_owned())
    };
    let file = |_: &Path| Err(io::ErrorKind::NotFound.into());
    work(&SecretSources {
        env: &env,
        file: &file,
        vault: FetchedSecrets::NOTHING,
    })
}

fn problems(document: &str) -> String {
    Config::read(document, "pillarbox.toml")
        .map(|_| ())
        .unwrap_err()
        .to_string()
}

/// Checks every error of `document`. `expected` omits the document's name.
#[track_caller]
/// Every kind of source as an error lists them, each written by `write`.
fn kinds(write: impl Fn(&str) -> String) -> String {
    let kinds: Vec<_> = SenderKind::ALL
        .iter()
        .map(|kind| write(kind.name))
        .collect();
    suggest::choice(kinds.iter().map(String::as_str))
}

fn check(document: &str, expected: &[&str]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|line| format!("pillarbox.toml:{line}"))
        .collect();
    assert_eq!(problems(document), expected.join("\n"), "{document}");
}
