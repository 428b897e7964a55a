//! `pillarbox serve`: runs the receiver, the deliveries, reconciling and the console in one
//! process.

mod banner;
mod console;
mod reachable;
mod start;

use std::sync::Arc;

use clap::Args;

use super::{
    CommandError, ErrorCode, GlobalArgs, demo,
    output::CommandOutput,
    settings::{CommandSettings, aws, secret_sources, secret_sources_with},
    stderr_log::log_to_stderr,
};
use crate::{
    console::ConsoleAccess,
    metrics::ServeMetrics,
    refusals::{CandidateSecrets, RefusalLog},
};
use banner::destination_lines;
use pillarbox::{
    aws::AwsConfig,
    config::{ConfigOverrides, DestinationSecrets},
    destinations::{Destination, DestinationDeps, LogDestination},
    domain::SystemClock,
    secrets::{FetchedSecrets, Keyring, SecretsCaller, SecretsManager, arns},
};
use start::ServeStart;

pub(super) use console::sender_lookup;

/// Receives notifications, stores them, and delivers them.
#[derive(Args, Default)]
pub(super) struct ServeArgs {
    /// The address for senders [default: 127.0.0.1:8080]; overrides PILLARBOX_LISTEN and the
    /// configuration
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// The address of the console [default: 127.0.0.1:8081]; overrides PILLARBOX_CONSOLE and the
    /// configuration
    #[arg(long, value_name = "ADDR")]
    console: Option<String>,
    /// Let the console replay, discard and erase; the demo's always can
    #[arg(long)]
    allow_changes: bool,
}

/// Everything that `serve` needs to open its inbox.
struct LoadedServe {
    settings: CommandSettings,
    keyring: Arc<Keyring>,
    secrets: DestinationSecrets,
    refusals: Arc<RefusalLog>,
    aws: Option<AwsConfig>,
    access: ConsoleAccess,
    metrics: Arc<ServeMetrics>,
    clock: Arc<SystemClock>,
}

impl ServeArgs {
    pub(super) async fn run(
        self,
        global: &GlobalArgs,
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        let loaded = self.load(global, output).await?;
        let log = LogDestination::on_stdout().map_err(|error| {
            ErrorCode::Output.error(format!("standard output cannot be used: {error}"))
        })?;
        let config = &loaded.settings.config;
        let routes = config.route_settings(&loaded.secrets);
        let (destination, errors) = routes.build(&DestinationDeps {
            aws: loaded.aws.as_ref(),
            clock: loaded.clock.clone(),
            secret_sources: &secret_sources(),
            log: &|| Ok(log.clone()),
        });
        if let Some(error) = errors.first() {
            return Err(ErrorCode::Config.error(error));
        }
        let lines = destination_lines(config);
        loaded.deliver_to(destination, &lines).run(output).await
    }

    /// The same with a custom destination, which no configuration names.
    pub(super) async fn run_to(
        self,
        destination: impl Destination,
        global: &GlobalArgs,
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        let loaded = self.load(global, output).await?;
        let (config, document_name) = (&loaded.settings.config, &loaded.settings.document_name);
        let checked = config.check_own_destination();
        checked.map_err(|error| ErrorCode::Config.error(format!("{document_name} {error}")))?;
        let lines = ["of this program".to_owned()];
        loaded.deliver_to(destination, &lines).run(output).await
    }

    /// Reads the configuration; creates the demo's secrets first.
    fn load_settings(&self, global: &GlobalArgs) -> Result<CommandSettings, CommandError> {
        let flags = ConfigOverrides {
            listen: self.listen.clone(),
            console: self.console.clone(),
            inbox: None,
        };
        let settings = CommandSettings::load_with(global, flags.clone());
        if let Ok(settings) = &settings
            && settings.is_demo()
        {
            demo::prepare(&settings.config, &SystemClock)?;
        }
        CommandSettings::load_checked(global, flags)
    }

    /// Opens the log, and reads the configuration and the secrets.
    async fn load(
        self,
        global: &GlobalArgs,
        output: &mut CommandOutput,
    ) -> Result<LoadedServe, CommandError> {
        let metrics = ServeMetrics::new();
        log_to_stderr(&metrics, output)?;
        let settings = self.load_settings(global)?;
        let access = if self.allow_changes || settings.is_demo() {
            ConsoleAccess::Changes
        } else {
            ConsoleAccess::ReadOnly
        };
        let config = &settings.config;
        let aws = if config.is_on_aws() || config.inbox.is_on_aws() {
            Some(aws().await?)
        } else {
            None
        };
        let manager = aws.as_ref().map(SecretsManager::new);
        let vault = match &manager {
            Some(manager) => {
                manager
                    .read(&arns(config.references()), SecretsCaller::Background)
                    .await
            }
            None => FetchedSecrets::default(),
        };
        let secret_sources = secret_sources_with(&vault);
        let secrets = config.secrets(&secret_sources)?;
        let candidates = CandidateSecrets::read(&config.sources, &secret_sources);
        let keyring = Keyring::new(
            config.source_secrets(),
            &secret_sources,
            manager,
            Arc::new(SystemClock),
        );
        Ok(LoadedServe {
            settings,
            keyring,
            secrets: secrets.destinations,
            refusals: RefusalLog::new(candidates, Arc::new(SystemClock)),
            aws,
            access,
            metrics,
            clock: Arc::new(SystemClock),
        })
    }
}

impl LoadedServe {
    /// `destination_lines` describe the destination in the banner.
    fn deliver_to<D>(self, destination: D, destination_lines: &[String]) -> ServeStart<'_, D> {
        ServeStart {
            settings: self.settings,
            keyring: self.keyring,
            aws: self.aws,
            access: self.access,
            destination,
            destination_lines,
            metrics: self.metrics,
            refusals: self.refusals,
            clock: self.clock,
        }
    }
}
