//! What HMRC keeps of a run, served for whoever pulls it.

use std::sync::Arc;

use super::{
    super::{
        CommandError,
        output::{BOLD, Output, paint},
        settings::CommandSettings,
    },
    SimulatedSource,
};
use pillarbox::config::InboxConfig;
use sender_simulator::SystemClock;
use sender_simulator::{
    Sender,
    apis::{
        Ppns,
        ppns::{NotificationStatus, PpnsApplication},
    },
    run::{DeliveryOutcome, SettledMessage, box_id, notifications},
};

/// More are not kept in memory.
const MOST: u64 = 100_000;
/// The application the box belongs to; whoever pulls from this machine may know its secret.
const CLIENT_ID: &str = "pillarbox-simulated-application";
const CLIENT_SECRET: &str = "simulated-client-secret-of-no-use";

/// One box, served.
pub(super) struct SimulatedBox {
    server: Ppns,
    source: String,
    box_id: String,
}

impl SimulatedBox {
    /// Serves everything of the run, all of it pending still.
    pub(super) async fn open(part: &SimulatedSource, port: u16) -> Result<Self, CommandError> {
        if part.plan.count > MOST {
            return Err(CommandError::Usage(format!(
                "--serve-pull keeps at most {MOST} notifications: choose a smaller --count"
            )));
        }
        let server = Ppns::start(port, Arc::new(SystemClock)).await.map_err(|error| {
            CommandError::Failed(format!(
                "port {port} can't be listened on ({error}): choose another with --serve-pull PORT"
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

    /// What came of a push is what a pull sees of it.
    pub(super) fn settled(&self, settled: &SettledMessage) {
        let status = match settled.outcome {
            DeliveryOutcome::Acknowledged | DeliveryOutcome::LostByRedirect => {
                NotificationStatus::Acknowledged
            }
            DeliveryOutcome::Failed => NotificationStatus::Failed,
            DeliveryOutcome::Refused => return,
        };
        if settled.sender == Sender::Hmrc && settled.kind.is_genuine() {
            self.server
                .with(|boxes| boxes.set_status(&settled.id, status));
        }
    }

    /// Says how it can be pulled from, and serves until Ctrl-C.
    pub(super) async fn serve(
        self,
        settings: &CommandSettings,
        output: &mut Output,
    ) -> Result<(), CommandError> {
        let base_url = self
            .server
            .base_url()
            .as_str()
            .trim_end_matches('/')
            .to_owned();
        output.say(&format!(
            "HMRC keeps {}, at {base_url} until Ctrl-C. To pull what push missed, in another terminal in this folder:",
            self.tally()
        ))?;
        for line in self.configuration(&base_url, settings)? {
            output.say(&format!("  {}", paint(&line, BOLD)))?;
        }
        tokio::signal::ctrl_c().await?;
        Ok(output.say(&format!("HMRC keeps {}.", self.tally()))?)
    }

    fn tally(&self) -> String {
        let tally = self.server.with(|boxes| boxes.count_by_status());
        format!(
            "{} PENDING, {} FAILED, {} ACKNOWLEDGED",
            tally.pending, tally.failed, tally.acknowledged
        )
    }

    /// The lines that reconcile with this box, exactly as they can be pasted.
    fn configuration(
        &self,
        base_url: &str,
        settings: &CommandSettings,
    ) -> Result<Vec<String>, CommandError> {
        let (source, box_id) = (&self.source, &self.box_id);
        let secrets = &settings.source(source)?.secrets;
        let secrets: Vec<String> = secrets
            .iter()
            .map(|secret| format!("\"{}\"", secret.value))
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
            format!("cargo run -q -- reconcile {source} --config simulated.toml --inbox {inbox}"),
        ];
        Ok(lines.into())
    }
}
