//! `pillarbox doctor`: will it work? Each line is fine, worth a look, or wrong, and says what to
//! do.

mod inbox;
mod reconcile;

use std::{net::TcpListener, time::Duration};

use clap::Args;
use serde::Serialize;

use super::{
    CommandError, GlobalArgs,
    output::{GREEN, Output, RED, YELLOW, paint},
    row::json,
    settings::{CommandSettings, aws, outside_with, vault},
};
use pillarbox::{
    aws::Aws,
    config::{Config, DestinationConfig, Overrides},
    destinations::{DeliveryError, EventBridgeDestination, Probe, SqsDestination, probe_https},
    secrets::{FetchedSecrets, SecretError, SecretRef, SecretSources},
};

/// Checks everything that can be checked without a sender.
#[derive(Args)]
#[command(after_help = "Exits with 1 if anything is wrong.")]
pub(super) struct DoctorArgs {
    /// One JSON object a line
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

/// One thing that was checked.
#[derive(Serialize)]
struct DoctorFinding {
    health: CheckHealth,
    what: String,
    found: String,
}

impl DoctorArgs {
    pub(super) async fn run(
        self,
        global: &GlobalArgs,
        output: &mut Output,
    ) -> Result<(), CommandError> {
        let settings = CommandSettings::load(global, Overrides::default())?;
        let config = &settings.config;
        let mut findings = vec![fine("configuration", settings.place.clone())];
        findings.push(fine(
            "retention",
            format!("{} days", days(config.retention)),
        ));
        findings.push(fine(
            "acceptance",
            format!("{} days", days(config.acceptance.0)),
        ));
        findings.push(port("listen", config.listen));
        findings.push(port("console", config.console));
        findings.extend(secrets(config).await);
        findings.extend(destinations(config).await);
        findings.extend(inbox::findings(config).await);
        findings.extend(reconcile::credentials(config).await);
        for finding in &findings {
            output.data(&if self.json {
                json(finding)?
            } else {
                line(finding)
            })?;
        }
        let is_wrong = findings
            .iter()
            .any(|finding| finding.health == CheckHealth::Wrong);
        if is_wrong {
            Err(CommandError::Wanting)
        } else {
            Ok(())
        }
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
    }
}

fn fine(what: impl Into<String>, found: impl Into<String>) -> DoctorFinding {
    finding(CheckHealth::Fine, what, found)
}

fn line(finding: &DoctorFinding) -> String {
    let mark = match finding.health {
        CheckHealth::Fine => paint(" fine", GREEN),
        CheckHealth::Look => paint(" look", YELLOW),
        CheckHealth::Wrong => paint("wrong", RED),
    };
    format!("{mark}  {}: {}", finding.what, finding.found)
}

fn port(name: &str, address: std::net::SocketAddr) -> DoctorFinding {
    match TcpListener::bind(address) {
        Ok(_) => fine(name, format!("{address} is free")),
        Err(error) => {
            let hint = "a running serve has it, or another program: then choose another with";
            finding(
                CheckHealth::Look,
                name,
                format!("{address} can't be listened on ({error}); {hint} --{name}"),
            )
        }
    }
}

/// The shape of every secret, never its value.
async fn secrets(config: &Config) -> Vec<DoctorFinding> {
    let mut findings = Vec::new();
    let vault = vault(config.references()).await;
    let vault = vault.unwrap_or_else(|why| {
        findings.push(finding(CheckHealth::Wrong, "AWS", why.into_text()));
        FetchedSecrets::default()
    });
    let outside = outside_with(&vault);
    for source in &config.sources {
        let name = format!("source {} ({})", source.name, source.kind.as_str());
        if source.secrets.is_empty() {
            let found = "has no secret yet: challenges are answered, POSTs get 503. Add it to its \
             `secrets`";
            findings.push(finding(CheckHealth::Look, name.clone(), found));
        }
        findings.extend(
            source
                .secrets
                .iter()
                .map(|secret| shape(&name, &secret.value, &outside)),
        );
    }
    // What is wrong with a secret in its place, such as a test key on a live source, only this
    // knows.
    if let Err(problems) = config.secrets(&outside) {
        findings.extend(
            problems
                .iter()
                .map(|problem| finding(CheckHealth::Wrong, "secret", problem.to_string())),
        );
    }
    findings
}

fn shape(name: &str, reference: &SecretRef, outside: &SecretSources<'_>) -> DoctorFinding {
    match reference.fetch(outside) {
        Ok(secret) => fine(
            name,
            format!("{reference} is there ({})", secret.fingerprint()),
        ),
        Err(none @ SecretError::NoneYet) => {
            finding(CheckHealth::Look, name, format!("{reference} {none}"))
        }
        Err(problem) => finding(CheckHealth::Wrong, name, format!("{reference} {problem}")),
    }
}

/// Whether each destination is there; nothing is sent to it.
async fn destinations(config: &Config) -> Vec<DoctorFinding> {
    let named = config
        .destinations
        .iter()
        .map(|(name, kind)| (format!("destination {name}"), kind));
    let mut findings = Vec::new();
    for (name, kind) in
        std::iter::once(("destination".to_owned(), &config.destination)).chain(named)
    {
        findings.push(match kind {
            DestinationConfig::Log => fine(name, "log, on standard output"),
            DestinationConfig::Https(https) => reach(&name, &https.url).await,
            DestinationConfig::Sqs(queue) => {
                let (what, may) = (format!("sqs, {}", queue.url()), "sqs:GetQueueAttributes");
                let look = async |aws: Aws| SqsDestination::new(&aws, queue.clone()).probe().await;
                on_aws(&name, &what, may, look).await
            }
            DestinationConfig::EventBridge(bus) => {
                let (what, may) = (
                    format!("eventbridge, {}", bus.as_str()),
                    "events:DescribeEventBus",
                );
                let look =
                    async |aws: Aws| EventBridgeDestination::new(&aws, bus.clone()).probe().await;
                on_aws(&name, &what, may, look).await
            }
        });
    }
    findings
}

/// Whether `what` is there, as far as we may look: sending needs no permission to.
async fn on_aws(
    name: &str,
    what: &str,
    may: &str,
    look: impl AsyncFnOnce(Aws) -> Result<Probe, DeliveryError>,
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
    match look(aws).await {
        Ok(Probe::There) => fine(name, format!("{what}, is there")),
        Ok(Probe::Forbidden) => finding(
            CheckHealth::Look,
            name,
            format!("{what}: whether it is there can't be seen without {may}"),
        ),
        Err(why) => finding(CheckHealth::Wrong, name, format!("{what}: {why}")),
    }
}

/// Whether an endpoint answers on the path that a delivery takes.
async fn reach(name: &str, url: &url::Url) -> DoctorFinding {
    let origin = url.origin().ascii_serialization();
    match probe_https(url).await {
        Ok(()) => fine(name, format!("{origin} answers")),
        Err(why) => finding(
            CheckHealth::Wrong,
            name,
            format!("{origin}: {why}. Check the name, its addresses and the firewall"),
        ),
    }
}

fn days(duration: Duration) -> u64 {
    duration.as_secs() / (24 * 60 * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_endpoint_whose_name_has_a_private_address_is_wrong_though_it_accepts_connections() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = format!("https://localhost:{port}/events?token=x");
        let found = reach("destination", &url.parse().unwrap()).await;
        assert!(found.health == CheckHealth::Wrong, "{}", found.found);
        assert_eq!(
            found.found,
            format!(
                "https://localhost:{port}: https: the name resolves to a private address, where \
                 nothing is sent. Check the name, its addresses and the firewall"
            )
        );
    }
}
