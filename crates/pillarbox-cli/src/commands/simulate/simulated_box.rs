//! Serves HMRC's pull API with the notifications of a run.

use std::sync::Arc;

use super::{
    super::{
        CommandError, ErrorCode,
        output::{BOLD, CommandOutput, paint, shell_word},
        settings::CommandSettings,
    },
    SimulatedSource,
};
use pillarbox::config::InboxConfig;
use sender_simulator::SystemClock;
use sender_simulator::{
    Sender,
    apis::{
        PpnsApi,
        ppns::{BoxNotificationStatus, PpnsApplication},
    },
    run::{DeliveryOutcome, SettledMessage, box_id, notifications},
};

/// The largest number of notifications, since all are in memory.
const MAX_NOTIFICATIONS: u64 = 100_000;
/// The application that owns the box. Its secret is valid only for this simulated API.
const CLIENT_ID: &str = "pillarbox-simulated-application";
const CLIENT_SECRET: &str = "simulated-client-secret-of-no-use";

/// HMRC's API with the box of one run.
pub(super) struct SimulatedBox {
    server: PpnsApi,
    source: String,
    box_id: String,
}

impl SimulatedBox {
    /// Serves all notifications of the run, with the status PENDING.
    pub(super) async fn open(part: &SimulatedSource, port: u16) -> Result<Self, CommandError> {
        if part.plan.count > MAX_NOTIFICATIONS {
            return Err(CommandError::Usage(format!(
                "--serve-pull keeps at most {MAX_NOTIFICATIONS} notifications: choose a smaller \
                 --count"
            )));
        }
        let server = PpnsApi::start(port, Arc::new(SystemClock))
            .await
            .map_err(|error| {
                ErrorCode::Listen.error(format!(
                    "cannot listen on port {port} ({error}): choose another with --serve-pull PORT"
                ))
            })?;
        let box_id = box_id(&part.plan);
        server.with(|boxes| {
            boxes.register(PpnsApplication::new(CLIENT_ID, CLIENT_SECRET));
            boxes.open(&box_id, CLIENT_ID);
            notifications(&part.plan).for_each(|notification| boxes.add(notification));
        });
        Ok(Self {
            server,
            source: part.source.to_string(),
            box_id,
        })
    }

    /// Updates the status of a notification after its push.
    pub(super) fn settled(&self, settled: &SettledMessage) {
        let status = match settled.outcome {
            DeliveryOutcome::Acknowledged | DeliveryOutcome::LostByRedirect => {
                BoxNotificationStatus::Acknowledged
            }
            DeliveryOutcome::Failed => BoxNotificationStatus::Failed,
            DeliveryOutcome::Refused => return,
        };
        if settled.sender == Sender::Hmrc && settled.kind.is_genuine() {
            self.server
                .with(|boxes| boxes.set_status(&settled.id, status));
        }
    }

    /// Prints how to pull from it, and serves until Ctrl-C.
    pub(super) async fn serve(
        self,
        settings: &CommandSettings,
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        self.print_instructions(settings, output)?;
        tokio::signal::ctrl_c().await?;
        Ok(output.info(&format!("HMRC's box has {}.", self.status_counts()))?)
    }

    /// Prints how to pull from the box. The lines begin in the first column, because a shell ends a
    /// here-document only there.
    fn print_instructions(
        &self,
        settings: &CommandSettings,
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        let base_url = self
            .server
            .base_url()
            .as_str()
            .trim_end_matches('/')
            .to_owned();
        output.info(&format!(
            "HMRC's box has {}, at {base_url} until Ctrl-C. To pull what was not pushed, in \
             another terminal in this folder:",
            self.status_counts()
        ))?;
        for line in self.configuration(&base_url, settings, &output.program())? {
            output.info(&paint(&line, BOLD))?;
        }
        Ok(())
    }

    fn status_counts(&self) -> String {
        let counts = self.server.with(|boxes| boxes.count_by_status());
        format!(
            "{} PENDING, {} FAILED, {} ACKNOWLEDGED",
            counts.pending, counts.failed, counts.acknowledged
        )
    }

    /// The commands that reconcile with this box, ready to paste into a shell.
    fn configuration(
        &self,
        base_url: &str,
        settings: &CommandSettings,
        program: &str,
    ) -> Result<Vec<String>, CommandError> {
        let (source, box_id) = (&self.source, &self.box_id);
        let secrets = &settings.source(source)?.secrets;
        let secrets: Vec<String> = secrets
            .iter()
            .map(|secret| toml_string(&secret.value.to_string()))
            .collect();
        let inbox = match &settings.config.inbox {
            InboxConfig::Sqlite { path } => format!("sqlite:{}", path.display()),
            InboxConfig::DynamoDb { table, .. } => format!("dynamodb:{table}"),
        };
        let lines = [
            "cat > simulated.toml <<'END'".to_owned(),
            format!("[sources.{source}]"),
            "kind = \"hmrc\"".to_owned(),
            format!("secrets = [{}]", secrets.join(", ")),
            format!("[sources.{source}.pull]"),
            format!("base_url = \"{base_url}\""),
            format!("boxes = [\"{box_id}\"]"),
            "client_id = \"env:SIMULATED_CLIENT_ID\"".to_owned(),
            "client_secret = \"env:SIMULATED_CLIENT_SECRET\"".to_owned(),
            "END".to_owned(),
            format!(
                "export SIMULATED_CLIENT_ID={CLIENT_ID} SIMULATED_CLIENT_SECRET={CLIENT_SECRET}"
            ),
            format!(
                "{program} reconcile {source} --config simulated.toml --inbox {}",
                shell_word(&inbox)
            ),
        ];
        Ok(lines.into())
    }
}

/// A string in TOML. Every JSON string is one.
fn toml_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use url::Url;

    use super::*;
    use crate::commands::output::tests::run_in_shell;
    use pillarbox::config::Config;
    use sender_simulator::{Clock, run::RunPlan};

    #[tokio::test]
    async fn the_instructions_of_serve_pull_run_in_a_shell() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["demo", "it's a \"folder\""] {
            let settings = CommandSettings::test(Config::demo(&folder.path().join(name)));
            let source = settings.source("hmrc").unwrap().name.clone();
            let url = Url::parse("http://127.0.0.1:8080/hmrc").unwrap();
            let mut plan =
                RunPlan::new(Sender::Hmrc, url, "secret".to_owned(), 7, SystemClock.now());
            plan.count = 3;
            let simulated = SimulatedBox::open(&SimulatedSource { source, plan }, 0)
                .await
                .unwrap();
            let (mut output, printed) = CommandOutput::captured();
            simulated
                .print_instructions(&settings, &mut output)
                .unwrap();

            let (heading, commands) = printed.text().split_once(":\n").map(to_owned_pair).unwrap();
            assert!(heading.contains("3 PENDING"), "{heading}");
            let ran = run_in_shell(&commands, folder.path());
            let inbox = folder.path().join(name).join("pillarbox.db");
            let expected = [
                "reconcile",
                "hmrc",
                "--config",
                "simulated.toml",
                "--inbox",
                &format!("sqlite:{}", inbox.display()),
            ];
            assert_eq!(ran, [expected.join("\n")], "{commands}");
            assert_valid(&folder.path().join("simulated.toml"), &settings);
        }
    }

    fn to_owned_pair((one, other): (&str, &str)) -> (String, String) {
        (one.to_owned(), other.to_owned())
    }

    fn assert_valid(path: &Path, settings: &CommandSettings) {
        let document = fs::read_to_string(path).unwrap();
        let config = Config::read(&document, "simulated.toml").unwrap();
        assert!(config.sources[0].pull.is_some(), "{document}");
        let secrets = |config: &Config| {
            let secrets = config
                .sources
                .iter()
                .find(|source| source.name.as_str() == "hmrc");
            let secrets = secrets.unwrap().secrets.iter();
            secrets
                .map(|secret| secret.value.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(secrets(&config), secrets(&settings.config));
    }
}
