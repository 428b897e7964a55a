//! `pillarbox doctor`: says in one sentence whether anything needs a person, then checks the
//! configuration, the inbox and the destinations. Each finding is fine, a warning or an error, and
//! says what to do.

mod inbox;
mod listeners;
mod reconcile;

use std::{sync::Arc, time::Duration};

use clap::Args;
use serde::Serialize;

use super::{
    CommandError, GlobalArgs,
    output::{GREEN, Output, RED, YELLOW, paint},
    row::json,
    settings::{CommandSettings, aws, outside, outside_with, vault},
};
use crate::{labels, overview::sentence};
use pillarbox::{
    aws::Aws,
    config::{Config, DestinationSecrets, Overrides, SourceConfig},
    destinations::{
        DeliveryError, DestinationSettings, EventBridgeDestination, HttpsSettings, Probe,
        SqsDestination,
    },
    domain::SystemClock,
    secrets::{FetchedSecrets, SecretError, SecretRef, SecretSources},
};

/// Says whether anything needs a person; checks the configuration, the inbox and the destinations,
/// without a sender.
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
    /// Why, as a clause of the first sentence.
    #[serde(skip)]
    stuck: Option<String>,
}

impl DoctorFinding {
    /// It needs a person, and is named in the first sentence.
    fn stuck(self, clause: impl Into<String>) -> Self {
        Self {
            stuck: Some(clause.into()),
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
        output: &mut Output,
    ) -> Result<(), CommandError> {
        let settings = CommandSettings::load(global, Overrides::default())?;
        let config = &settings.config;
        let found_listeners = listeners::findings(config).await;
        let found_destinations = destinations(config).await;
        let opened = inbox::open(config).await;
        let (found_rows, needed) = inbox::rows(&opened, config).await;
        // Printed before the rest is checked, which takes longer.
        let found = found_listeners.iter().chain(&found_destinations);
        let mut clauses: Vec<String> = found.filter_map(|found| found.stuck.clone()).collect();
        clauses.dedup();
        clauses.extend(needed);
        self.print(&first_sentence(&clauses), output)?;

        let mut findings = vec![fine("configuration", settings.place.clone())];
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
                output.say(&format!("{count} of these need a person."))?;
                Err(CommandError::Wanting)
            }
        }
    }

    fn print(&self, finding: &DoctorFinding, output: &mut Output) -> Result<(), CommandError> {
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
        stuck: None,
    }
}

fn fine(what: impl Into<String>, found: impl Into<String>) -> DoctorFinding {
    finding(CheckHealth::Fine, what, found)
}

/// What the first finding is about.
const FIRST: &str = "stuck";

/// Whether anything needs a person, in one sentence. The other findings have the details.
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
    let vault = vault(config.references()).await;
    let vault = vault.unwrap_or_else(|why| {
        findings.push(finding(CheckHealth::Wrong, "AWS", why.into_text()));
        FetchedSecrets::default()
    });
    let outside = outside_with(&vault);
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
                .map(|secret| shape(&name, &secret.value, &outside)),
        );
    }
    findings.extend(shared_references(config));
    // What is wrong with a secret in its place, such as a test key on a live source or a value that
    // two sources have, only this knows.
    if let Err(problems) = config.secrets(&outside) {
        findings.extend(
            problems
                .iter()
                .map(|problem| finding(CheckHealth::Wrong, "secret", problem.to_string())),
        );
    }
    findings
}

/// Sources that share a secret, which their configuration says by naming one reference in both.
fn shared_references(config: &Config) -> Vec<DoctorFinding> {
    let mut findings = Vec::new();
    for (index, source) in config.sources.iter().enumerate() {
        for secret in &source.secrets {
            let has_it = |other: &&SourceConfig| {
                let mut secrets = other.secrets.iter();
                secrets.any(|earlier| earlier.value == secret.value)
            };
            if let Some(other) = config.sources[..index].iter().find(has_it) {
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
            DestinationSettings::Https(https) => reach(&name, https, routes.outbound_proxy).await,
            DestinationSettings::Sqs(queue) => {
                let may = "sqs:GetQueueAttributes";
                let look = async |aws: Aws| SqsDestination::new(&aws, queue.clone()).probe().await;
                on_aws(&name, &what, may, look).await
            }
            DestinationSettings::EventBridge(bus) => {
                let may = "events:DescribeEventBus";
                let look =
                    async |aws: Aws| EventBridgeDestination::new(&aws, bus.clone()).probe().await;
                on_aws(&name, &what, may, look).await
            }
        };
        findings.push(match found.health {
            CheckHealth::Wrong => {
                let clause = format!("the {} cannot be reached", found.what);
                found.stuck(clause)
            }
            CheckHealth::Fine | CheckHealth::Look => found,
        });
    }
    findings
}

/// Sources that are pulled from, and whose destination takes only what they signed.
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
            let found = "what is pulled is held (unsigned), because its destination takes only \
                         what its sender signed. Set `pulled` there to the name of another";
            finding(CheckHealth::Look, format!("source {}", source.name), found)
        })
        .collect()
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
async fn reach(name: &str, https: &HttpsSettings, outbound_proxy: bool) -> DoctorFinding {
    let origin = https.url.origin().ascii_serialization();
    let endpoint = https.endpoint(outbound_proxy, &outside(), Arc::new(SystemClock));
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
mod tests {
    use std::{net::SocketAddr, path::Path};

    use tempfile::TempDir;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;
    use crate::{
        console::{Console, ConsoleAccess, ConsoleSettings},
        metrics::ServeMetrics,
        sqlite::{ServeLock, SqliteInbox},
    };
    use pillarbox::{
        destinations::HttpsFormat,
        domain::Clock,
        inbox::ReceiveInbox,
        senders::{Entry, SenderKind, example},
    };

    /// An inbox with these entries, and its configuration.
    async fn inbox_with(entries: &[Entry]) -> (TempDir, Arc<SqliteInbox>) {
        let folder = tempfile::tempdir().unwrap();
        let inbox = SqliteInbox::create(&folder.path().join("inbox.db")).unwrap();
        for entry in entries {
            inbox.record(entry).await.unwrap();
        }
        (folder, Arc::new(inbox))
    }

    /// What doctor says, and whether nothing needs a person.
    async fn doctor(folder: &Path, listen: SocketAddr, console: SocketAddr) -> (String, bool) {
        let config = folder.join("pillarbox.toml");
        let document = format!(
            "listen = \"{listen}\"\nconsole = \"{console}\"\n\
             [sources.pay]\nkind = \"govuk-pay\"\nsecrets = []\n"
        );
        std::fs::write(&config, document).unwrap();
        let global = GlobalArgs {
            config: Some(config),
            inbox: Some(format!("sqlite:{}", folder.join("inbox.db").display())),
            ..GlobalArgs::default()
        };
        let (mut output, printed) = Output::captured();
        let ended = DoctorArgs { json: false }.run(&global, &mut output).await;
        assert!(
            matches!(ended, Ok(()) | Err(CommandError::Wanting)),
            "{ended:?}"
        );
        (printed.text(), ended.is_ok())
    }

    /// An address that nothing uses.
    async fn free() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    }

    /// A server that gives one answer, or none.
    async fn server(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        address
    }

    const CALLBACK: &str = "HTTP/1.1 200 OK\r\n\r\nok";

    #[tokio::test]
    async fn what_waits_for_a_person_ends_with_1() {
        let unreadable = example::entry(SenderKind::GOVUK_PAY, "pay", "no JSON".into());
        let mut overdue = example::hmrc("n1", "{}");
        overdue.received_at = SystemClock.now().minus(Duration::from_secs(60 * 60));
        for (entries, words, sentence, is_well) in [
            (
                &[][..],
                "look  serve: does not run",
                " fine  Nothing needs you.",
                true,
            ),
            (
                &[unreadable],
                "1 held",
                "wrong  Something needs you: 1 notification is held.",
                false,
            ),
            (
                &[overdue],
                "1 open",
                "wrong  Something needs you: 1 notification waits for up to 1 h.",
                false,
            ),
        ] {
            let (folder, _inbox) = inbox_with(entries).await;
            let (printed, ended_well) = doctor(folder.path(), free().await, free().await).await;
            assert_eq!(printed.lines().next(), Some(sentence));
            assert!(
                printed.contains(words) && ended_well == is_well,
                "{printed}"
            );
            assert_eq!(
                printed.contains("1 of these need a person"),
                !is_well,
                "{printed}"
            );
            assert!(printed.contains("fine  listen: 127.0.0.1:"), "{printed}");
        }
    }

    /// A backup has no lock file: nothing serves it, and that is no fault.
    #[tokio::test]
    async fn what_waits_while_serve_does_not_run_needs_a_person_at_once() {
        let mut entry = example::hmrc("n1", "{}");
        entry.received_at = SystemClock.now();
        let (folder, _inbox) = inbox_with(&[entry]).await;
        let (printed, is_well) = doctor(folder.path(), free().await, free().await).await;
        assert!(is_well, "{printed}");
        drop(ServeLock::take(&folder.path().join("inbox.db")).unwrap());
        let (printed, is_well) = doctor(folder.path(), free().await, free().await).await;
        assert_eq!(
            (printed.lines().next(), is_well),
            (
                Some("wrong  Something needs you: 1 notification waits while serve does not run."),
                false
            )
        );
    }

    #[tokio::test]
    async fn doctor_knows_the_serve_that_runs_on_its_inbox() {
        let (folder, inbox) = inbox_with(&[]).await;
        let _lock = ServeLock::take(&folder.path().join("inbox.db")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let console_at = listener.local_addr().unwrap();
        let console = ConsoleSettings {
            config: Arc::new(Config::demo(folder.path())),
            inbox_name: "a test".to_owned(),
            access: ConsoleAccess::ReadOnly,
            is_demo: false,
            hosts: Vec::new(),
            token: None,
            metrics: Some(ServeMetrics::new()),
            refusals: None,
            senders: Arc::new(std::collections::HashMap::new),
            actor: "a test".to_owned(),
            samples: Vec::new(),
            clock: Arc::new(SystemClock),
        };
        let console = Console::new(inbox, console, console_at);
        tokio::spawn(console.serve(listener, std::future::pending()));
        let callback = server(CALLBACK).await;

        let (printed, is_well) = doctor(folder.path(), callback, console_at).await;
        for words in [
            format!("fine  listen: the running serve answers at {callback}"),
            format!("fine  console: the running serve answers at {console_at}"),
            "fine  serve: runs on this inbox".to_owned(),
        ] {
            assert!(printed.contains(&words), "{words} is missing: {printed}");
        }
        assert!(is_well, "{printed}");

        let (printed, is_well) = doctor(folder.path(), callback, free().await).await;
        assert!(
            printed.contains("started with another --console") && is_well,
            "{printed}"
        );

        for other in ["", "HTTP/1.1 200 OK\r\n\r\nIt works!"] {
            let (printed, is_well) = doctor(folder.path(), server(other).await, console_at).await;
            assert!(printed.contains("wrong  listen") && !is_well, "{printed}");
        }
    }

    #[tokio::test]
    async fn one_value_behind_two_references_is_wrong_and_one_reference_of_two_sources_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name).display().to_string();
        for name in ["one", "two"] {
            std::fs::write(place(name), "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567").unwrap();
        }
        let source = |name: &str, secret: &str| {
            let secret = place(secret);
            format!("[sources.{name}]\nkind = \"hmrc\"\nsecrets = [\"file:{secret}\"]\n")
        };
        for (second, health, words) in [
            (
                "two",
                CheckHealth::Wrong,
                "holds the same value as a secret of sources.vat",
            ),
            ("one", CheckHealth::Look, "is a secret of source vat too"),
        ] {
            let document = source("vat", "one") + &source("vat-again", second);
            let findings = secrets(&Config::read(&document, "p").unwrap()).await;
            let found = findings.iter().filter(|one| one.found.contains(words));
            let found: Vec<_> = found.map(|one| one.health == health).collect();
            assert_eq!(found, [true], "{words}");
            assert!(findings.iter().all(|one| !one.found.contains("ABCDEF")));
        }
    }

    #[tokio::test]
    async fn an_address_in_use_without_serve_is_another_program_s() {
        let (folder, _inbox) = inbox_with(&[]).await;
        let (printed, _) = doctor(folder.path(), server(CALLBACK).await, free().await).await;
        assert!(
            printed.contains("look  listen: cannot listen on"),
            "{printed}"
        );
        assert!(printed.contains("look  serve: does not run"), "{printed}");
    }

    #[tokio::test]
    async fn an_endpoint_is_asked_on_the_way_that_a_delivery_takes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let https = |url: &str| HttpsSettings {
            url: format!("{url}:{port}/events?token=x").parse().unwrap(),
            format: HttpsFormat::AsSent(None),
            allow: Vec::new(),
            ca: None,
            in_flight: None,
        };
        // It accepts connections, and deliveries open none.
        let found = reach("destination", &https("https://localhost"), false).await;
        assert!(found.health == CheckHealth::Wrong, "{}", found.found);
        let words = "its URL is https to a private, link-local or loopback address";
        assert!(found.found.contains(words), "{}", found.found);
        assert!(!found.found.contains("token"), "{}", found.found);

        let missing = HttpsSettings {
            allow: vec!["127.0.0.1/32".parse().unwrap()],
            ca: Some("no such file".into()),
            ..https("https://127.0.0.1")
        };
        let found = reach("destination", &missing, false).await;
        let words = "its ca file cannot be read (entity not found)";
        assert!(found.found.contains(words), "{}", found.found);
    }
}
