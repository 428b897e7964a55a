//! References -> secrets: every value fetched, judged, and kept in a type that does not print.

use std::collections::BTreeMap;

use super::{
    Config, DestinationConfig, SourceConfig,
    problem::{Placed, Problem, Problems},
};
use crate::{
    destination::WebhookSecret,
    secret::{Outside, Secret, SecretProblem, SecretRef},
    source::{SigningKey, Source},
};

/// How a secret begins that GOV.UK Pay gives to test webhooks.
const TEST_PREFIX: &str = "webhook_test_";

/// Every secret that receiving and delivering need. What a pull needs is fetched by the pull alone.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// The senders, in the order of the document.
    pub sources: Vec<Source>,
    /// The signing key of the default destination, if it has one.
    pub destination: Option<WebhookSecret>,
    /// The signing keys of the named destinations that have one.
    pub destinations: BTreeMap<String, WebhookSecret>,
}

/// A reference whose value will be needed, kept so that it can be judged even if the rest is wrong.
#[derive(Clone, Debug)]
pub(super) enum Wanted {
    /// A sender's secret, of a source that takes live payments or not.
    Signing { reference: Placed<SecretRef>, live: bool },
    /// A destination's.
    Whsec(Placed<SecretRef>),
}

impl Wanted {
    /// What is wrong with the value, if something is.
    pub(super) fn problem(&self, outside: &Outside<'_>) -> Option<Problem> {
        match self {
            Self::Signing { reference, live } => signing(reference, *live, outside).err(),
            Self::Whsec(reference) => whsec(reference, outside).err(),
        }
    }
}

/// Fetches every secret of `config`.
pub(super) fn fetch(config: &Config, outside: &Outside<'_>) -> Result<Secrets, Problems> {
    let mut problems = Vec::new();
    let sources = config.sources.iter().map(|config| source(config, outside, &mut problems)).collect();
    let mut key = |config| key(config, outside).map_err(|problem| problems.push(problem)).ok().flatten();
    let destination = key(&config.destination);
    let named = config.destinations.iter().filter_map(|(name, config)| Some((name.clone(), key(config)?)));
    let destinations = named.collect();
    Problems::or(problems, Secrets { sources, destination, destinations })
}

fn source(config: &SourceConfig, outside: &Outside<'_>, problems: &mut Vec<Problem>) -> Source {
    let mut keys = Vec::new();
    for (index, reference) in config.secrets.iter().enumerate() {
        let label = format!("{}:{}", index + 1, reference.value);
        match signing(reference, config.live, outside) {
            Ok(secret) => keys.push(SigningKey::new(config.kind, label, &secret)),
            Err(problem) => problems.push(problem),
        }
    }
    Source { name: config.name.clone(), kind: config.kind, keys }
}

fn key(config: &DestinationConfig, outside: &Outside<'_>) -> Result<Option<WebhookSecret>, Problem> {
    match config {
        DestinationConfig::Log => Ok(None),
        DestinationConfig::Https(https) => whsec(&https.secret, outside).map(Some),
    }
}

fn signing(reference: &Placed<SecretRef>, live: bool, outside: &Outside<'_>) -> Result<Secret, Problem> {
    let judged = reference.value.fetch(outside).and_then(|secret| {
        secret.judge()?;
        let opens_live = live && secret.expose().starts_with(TEST_PREFIX);
        if opens_live { Err(SecretProblem::TestOnLive) } else { Ok(secret) }
    });
    judged.map_err(|problem| reference.problem(problem))
}

/// Some advice for senders' secrets would mislead here: nothing is sent without this one, and we choose it.
fn whsec(reference: &Placed<SecretRef>, outside: &Outside<'_>) -> Result<WebhookSecret, Problem> {
    let judged = reference.value.fetch(outside).and_then(|secret| WebhookSecret::new(&secret));
    judged.map_err(|problem| match problem {
        SecretProblem::Unset => reference.problem("is not set: set that environment variable"),
        SecretProblem::Empty => reference.problem("is empty: put whsec_ and 24 to 64 random bytes in base64 there"),
        other => reference.problem(other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{EXAMPLE, HMRC_SECRET, TEST_SECRET, WHSEC, with};

    #[test]
    fn the_secrets_of_the_example_are_labelled_by_position_and_reference() {
        let variables =
            [("HMRC_PUSH_SECRET", HMRC_SECRET), ("PAY_SIGNING_SECRET", TEST_SECRET), ("LEDGER_WHSEC", WHSEC)];
        let (_, secrets) =
            with(&variables, |outside| Config::read_with_secrets(EXAMPLE, "pillarbox.toml", outside)).unwrap();

        let labels: Vec<_> =
            secrets.sources.iter().map(|source| (source.name.as_str(), source.keys[0].label())).collect();
        assert_eq!(labels, [("hmrc", "1:env:HMRC_PUSH_SECRET"), ("pay", "1:env:PAY_SIGNING_SECRET")]);
        assert!(secrets.destination.is_none());
        assert!(secrets.destinations.contains_key("ledger"));
        for secret in [HMRC_SECRET, TEST_SECRET, WHSEC] {
            assert!(!format!("{secrets:?}").contains(secret));
        }
    }

    #[test]
    fn secrets_that_could_not_protect_anything_are_refused_by_place() {
        let document = r#"
[sources.pay]
kind = "govuk-pay"
live = true
secrets = [
  "env:EMPTY", "env:UNSET",
  "env:TEST", "file:/run/secrets/pay", "env:SHORT"]
[destination]
kind = "https"
url = "https://ledger.example.gov.uk/"
secret = "env:UNSET"
[destinations.other]
kind = "https"
url = "https://other.example.gov.uk/"
secret = "env:TEST"
"#;
        let variables = [("EMPTY", ""), ("TEST", TEST_SECRET), ("SHORT", "hunter2")];
        let expected = "\
pillarbox.toml:6: sources.pay.secrets[0] (env:EMPTY) is empty: put the secret there exactly as the sender shows it
pillarbox.toml:6: sources.pay.secrets[1] (env:UNSET) is not set: set that environment variable, or write secrets = [] to answer challenges only for now
pillarbox.toml:7: sources.pay.secrets[2] (env:TEST) is a test secret (webhook_test_…) on a source with live = true: use the live webhook's secret, or set live = false
pillarbox.toml:7: sources.pay.secrets[3] (file:/run/secrets/pay) can't be read (entity not found): check the path and its permissions
pillarbox.toml:7: sources.pay.secrets[4] (env:SHORT) is only 7 bytes long, and a secret needs at least 16: copy the whole of it
pillarbox.toml:11: destination.secret (env:UNSET) is not set: set that environment variable
pillarbox.toml:15: destinations.other.secret (env:TEST) is not a Standard Webhooks secret: whsec_ and 24 to 64 bytes in base64";
        let read = |document: &str| {
            with(&variables, |outside| Config::read_with_secrets(document, "pillarbox.toml", outside).map(|_| ()))
        };
        assert_eq!(read(document).unwrap_err().to_string(), expected);

        let mistaken = format!("{document}colour = \"red\"\n");
        let both = format!(
            "{expected}\npillarbox.toml:16: destinations.other.colour is not a known key: known here are kind, url, secret"
        );
        assert_eq!(read(&mistaken).unwrap_err().to_string(), both, "one list holds both sorts");
    }

    #[test]
    fn a_source_that_can_not_be_read_has_its_secrets_judged_all_the_same() {
        let document = "[sources.Pay]\nkind = \"pay\"\nsecrets = [\"env:UNSET\"]\n";
        let read = with(&[], |outside| Config::read_with_secrets(document, "p", outside).map(|_| ()));
        let lines: Vec<_> = read.unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[2].starts_with("p:3: sources.Pay.secrets[0] (env:UNSET) is not set"), "{lines:?}");
    }
}
