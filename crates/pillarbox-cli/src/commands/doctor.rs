//! `pillarbox doctor`: reports in one sentence whether anything needs a person, then checks the
//! configuration, the inbox and the destinations. Each finding is fine, a warning or an error, with
//! what to do.

mod inbox;
mod listeners;
mod reconcile;

use std::{sync::Arc, time::Duration};

use clap::Args;
use serde::Serialize;

use super::{
    CommandError, GlobalArgs,
    output::{CommandOutput, GREEN, RED, YELLOW, paint},
    row::json,
    settings::{CommandSettings, aws, fetch_vault, secret_sources, secret_sources_with},
};
use crate::{labels, overview::sentence};
use pillarbox::{
    aws::AwsConfig,
    config::{Config, DestinationSecrets, SourceConfig},
    destinations::{
        DeliveryError, DestinationSettings, EventBridgeDestination, HttpsSettings, Probe,
        SqsDestination,
    },
    domain::SystemClock,
    secrets::{FetchedSecrets, SecretError, SecretRef, SecretSources},
};

/// Reports whether anything needs a person; checks the configuration, the inbox and the
/// destinations, without a sender.
#[derive(Args)]
#[command(
    after_help = "Exits with 1 if anything needs a person: dead, held or overdue notifications, \
                  a destination that cannot be reached, notifications that wait while serve does \
                  not run."
)]
pub(super) struct DoctorArgs {
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum CheckHealth {
    Fine,
    Look,
    Wrong,
}

/// The result of one check.
#[derive(Clone, Serialize)]
struct DoctorFinding {
    health: CheckHealth,
    what: String,
    found: String,
    /// Whether it needs a person.
    #[serde(skip)]
    needs_person: bool,
    /// Its clause of the first sentence.
    #[serde(skip)]
    clause: Option<String>,
}

impl DoctorFinding {
    /// The finding, which needs a person and has a clause in the first sentence.
    fn with_clause(self, clause: impl Into<String>) -> Self {
        Self {
            clause: Some(clause.into()),
            ..self.for_a_person()
        }
    }

    fn for_a_person(self) -> Self {
        Self {
            needs_person: true,
            ..self
        }
    }
}

impl DoctorArgs {
    pub(super) async fn run(
        self,
        global: &GlobalArgs,
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        let settings = CommandSettings::load(global)?;
        let config = &settings.config;
        let found_listeners = listeners::findings(config).await;
        let found_destinations = destinations(config).await;
        let opened = inbox::open(config).await;
        let (found_rows, needed) = inbox::rows(&opened, config).await;
        // Printed first, since the other checks take longer.
        let found = found_listeners.iter().chain(&found_destinations);
        let mut clauses: Vec<String> = found.filter_map(|found| found.clause.clone()).collect();
        clauses.dedup();
        clauses.extend(needed);
        self.print(&first_sentence(&clauses), output)?;

        let mut findings = vec![fine("configuration", settings.document_name.clone())];
        findings.push(fine(
            "retention",
            format!("{} days", days(config.retention)),
        ));
        findings.push(fine(
            "acceptance",
            format!("{} days", days(config.acceptance.0)),
        ));
        findings.extend(found_listeners);
        findings.extend(secrets(config).await);
        findings.extend(found_destinations);
        findings.extend(held_pulls(config));
        findings.extend(inbox::storage(&opened).await);
        findings.extend(found_rows);
        findings.extend(reconcile::credentials(config).await);
        for finding in &findings {
            self.print(finding, output)?;
        }
        let waiting = findings.iter().filter(|finding| finding.needs_person);
        match waiting.count() {
            0 => Ok(()),
            count => {
                output.info(&format!("{count} of these need a person."))?;
                Err(CommandError::Negative)
            }
        }
    }

    fn print(
        &self,
        finding: &DoctorFinding,
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        Ok(output.data(&if self.json {
            json(finding)?
        } else {
            line(finding)
        })?)
    }
}

fn finding(
    health: CheckHealth,
    what: impl Into<String>,
    found: impl Into<String>,
) -> DoctorFinding {
    DoctorFinding {
        health,
        what: what.into(),
        found: found.into(),
        needs_person: health == CheckHealth::Wrong,
        clause: None,
    }
}

fn fine(what: impl Into<String>, found: impl Into<String>) -> DoctorFinding {
    finding(CheckHealth::Fine, what, found)
}

/// The subject of the first finding.
const FIRST: &str = "stuck";

/// The finding whether anything needs a person. The other findings have the details.
fn first_sentence(clauses: &[String]) -> DoctorFinding {
    let health = match clauses {
        [] => CheckHealth::Fine,
        _ => CheckHealth::Wrong,
    };
    finding(health, FIRST, sentence(clauses))
}

fn line(finding: &DoctorFinding) -> String {
    let mark = match finding.health {
        CheckHealth::Fine => paint(" fine", GREEN),
        CheckHealth::Look => paint(" look", YELLOW),
        CheckHealth::Wrong => paint("wrong", RED),
    };
    if finding.what == FIRST {
        return format!("{mark}  {}", finding.found);
    }
    format!("{mark}  {}: {}", finding.what, finding.found)
}

/// Checks the format of every secret. Never prints its value.
async fn secrets(config: &Config) -> Vec<DoctorFinding> {
    let mut findings = Vec::new();
    let vault = fetch_vault(config.references()).await;
    let vault = vault.unwrap_or_else(|why| {
        findings.push(finding(CheckHealth::Wrong, "AWS", why.into_text()));
        FetchedSecrets::default()
    });
    let secret_sources = secret_sources_with(&vault);
    for source in &config.sources {
        let name = format!("source {} ({})", source.name, source.kind.as_str());
        if source.webhook && source.secrets.is_empty() {
            let found = "has no secret yet: challenges are answered, POSTs get 503. Add it to its \
             `secrets`";
            findings.push(finding(CheckHealth::Look, name.clone(), found));
        }
        findings.extend(
            source
                .secrets
                .iter()
                .map(|secret| check_secret(&name, &secret.value, &secret_sources)),
        );
    }
    findings.extend(shared_references(config));
    // Only this finds errors that depend on the source, such as a test key on a live source, or a
    // value that two sources have.
    if let Err(errors) = config.secrets(&secret_sources) {
        let wrong = |error: String| finding(CheckHealth::Wrong, "secret", error);
        findings.extend(errors.iter().map(|error| wrong(error.to_string())));
    }
    findings
}

/// Sources that share a secret because both name the same reference.
fn shared_references(config: &Config) -> Vec<DoctorFinding> {
    let mut findings = Vec::new();
    for (index, source) in config.sources.iter().enumerate() {
        for secret in &source.secrets {
            let has_secret = |other: &&SourceConfig| {
                let mut secrets = other.secrets.iter();
                secrets.any(|earlier| earlier.value == secret.value)
            };
            if let Some(other) = config.sources[..index].iter().find(has_secret) {
                let found = format!(
                    "{} is a secret of source {} too: each accepts what was signed for the other",
                    secret.value, other.name
                );
                let name = format!("source {} ({})", source.name, source.kind.as_str());
                findings.push(finding(CheckHealth::Look, name, found));
            }
        }
    }
    findings
}

fn check_secret(
    name: &str,
    reference: &SecretRef,
    secret_sources: &SecretSources<'_>,
) -> DoctorFinding {
    match reference.fetch(secret_sources) {
        Ok(secret) => fine(
            name,
            format!("{reference} is there ({})", secret.fingerprint()),
        ),
        Err(error) => {
            let health = match error {
                SecretError::NoneYet => CheckHealth::Look,
                _ => CheckHealth::Wrong,
            };
            finding(health, name, format!("{reference} {error}"))
        }
    }
}

/// Checks that each destination exists, without sending to it.
async fn destinations(config: &Config) -> Vec<DoctorFinding> {
    let routes = config.route_settings(&DestinationSecrets::default());
    let named = config.destinations.iter();
    let named =
        named.map(|(name, kind)| (format!("destination {name}"), kind, &routes.named[name]));
    let default = (
        "destination".to_owned(),
        &config.destination,
        &routes.default,
    );
    let mut findings = Vec::new();
    for (name, kind, settings) in std::iter::once(default).chain(named) {
        let what = labels::destination(kind);
        let found = match settings {
            DestinationSettings::Log => fine(name, what),
            DestinationSettings::Https(https) => {
                probe_https(&name, https, routes.outbound_proxy).await
            }
            DestinationSettings::Sqs(queue) => {
                let permission = "sqs:GetQueueAttributes";
                let probe =
                    async |aws: AwsConfig| SqsDestination::new(&aws, queue.clone()).probe().await;
                probe_on_aws(&name, &what, permission, probe).await
            }
            DestinationSettings::EventBridge(bus) => {
                let permission = "events:DescribeEventBus";
                let probe = async |aws: AwsConfig| {
                    EventBridgeDestination::new(&aws, bus.clone()).probe().await
                };
                probe_on_aws(&name, &what, permission, probe).await
            }
        };
        findings.push(match found.health {
            CheckHealth::Wrong => {
                let clause = format!("the {} cannot be reached", found.what);
                found.with_clause(clause)
            }
            CheckHealth::Fine | CheckHealth::Look => found,
        });
    }
    findings
}

/// Pulled sources whose destination takes only signed notifications.
fn held_pulls(config: &Config) -> Vec<DoctorFinding> {
    let is_held = |source: &&SourceConfig| {
        let mut destinations = config.destinations_of(source);
        source.pull.is_some()
            && destinations.any(|destination| {
                destination.takes_signed_only() && destination.pulled().is_none()
            })
    };
    let sources = config.sources.iter().filter(is_held);
    sources
        .map(|source| {
            let found = "pulled notifications are held (unsigned), because its destination \
                         takes only signed ones. Set `pulled` there to the name of another";
            finding(CheckHealth::Look, format!("source {}", source.name), found)
        })
        .collect()
}

/// Checks that a queue or bus exists. Deliveries do not need this permission, so without it the
/// finding is only a warning.
async fn probe_on_aws(
    name: &str,
    what: &str,
    permission: &str,
    probe: impl AsyncFnOnce(AwsConfig) -> Result<Probe, DeliveryError>,
) -> DoctorFinding {
    let aws = match aws().await {
        Ok(aws) => aws,
        Err(why) => {
            return finding(
                CheckHealth::Wrong,
                name,
                format!("{what}: {}", why.into_text()),
            );
        }
    };
    match probe(aws).await {
        Ok(Probe::Exists) => fine(name, format!("{what}, is there")),
        Ok(Probe::AccessDenied) => finding(
            CheckHealth::Look,
            name,
            format!("{what}: cannot check that it exists without {permission}"),
        ),
        Err(why) => finding(CheckHealth::Wrong, name, format!("{what}: {why}")),
    }
}

/// Checks that an endpoint responds, over the same connection as a delivery.
async fn probe_https(name: &str, https: &HttpsSettings, outbound_proxy: bool) -> DoctorFinding {
    let origin = https.url.origin().ascii_serialization();
    let endpoint = https.endpoint(outbound_proxy, &secret_sources(), Arc::new(SystemClock));
    let probed = match endpoint {
        Ok(endpoint) => endpoint.probe().await.map_err(|why| why.to_string()),
        Err(why) => Err(why.to_string()),
    };
    match probed {
        Ok(()) => fine(name, format!("{origin} answers")),
        Err(why) => finding(
            CheckHealth::Wrong,
            name,
            format!(
                "{origin}: {why}. Check the name, its addresses, its certificate and the firewall"
            ),
        ),
    }
}

fn days(duration: Duration) -> u64 {
    duration.as_secs() / (24 * 60 * 60)
}

#[cfg(test)]
mod tests;
