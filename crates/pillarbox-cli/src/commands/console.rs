//! `pillarbox console`: the operator's pages over any inbox, including a deployed table.

use std::{net::SocketAddr, sync::Arc};

use clap::Args;

use super::{
    CommandError, GlobalArgs,
    listen::bind,
    output::{BOLD, CommandOutput, paint},
    serve::sender_lookup,
    settings::{CommandSettings, aws, fetch_secret, fetch_vault, secret_sources_with},
    signals::stop_on_signals,
    stderr_log::log_to_stderr,
};
use crate::{
    acts::{aws_actor, local_actor},
    any_inbox::InboxAccess,
    console::{Console, ConsoleAccess, ConsoleSettings, SenderLookup},
    metrics::ServeMetrics,
};
use pillarbox::{
    config::InboxConfig,
    domain::{Clock, SystemClock},
    inbox::DeliveryInbox,
    secrets::{Keyring, Secret, SecretRef},
    telemetry::visible,
};

/// Opens the operator's pages over an inbox, with your own credentials.
#[derive(Args)]
#[command(
    after_help = "It is read-only, unless --allow-changes is given. It listens on loopback \
                  only, unless --allow-host and --token are given.\n\nExamples:\n  \
                  pillarbox console --inbox dynamodb:pillarbox\n  \
                  pillarbox console --inbox sqlite:pillarbox.db --listen 127.0.0.1:9000\n  \
                  pillarbox console --listen 0.0.0.0:8081 \\\n      \
                  --allow-host console.example.gov.uk --token file:/run/secrets/console"
)]
pub(super) struct ConsoleArgs {
    /// The address of the console [default: 127.0.0.1:8081]; overrides PILLARBOX_CONSOLE and the
    /// configuration
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Let it replay, discard and erase
    #[arg(long)]
    allow_changes: bool,
    /// A host name under which browsers reach it; lets it listen beyond loopback
    #[arg(long, value_name = "HOST", requires = "token")]
    allow_host: Vec<String>,
    /// The token that signs in, as env:NAME, file:PATH or secretsmanager:ARN#field
    #[arg(long, value_name = "REF")]
    token: Option<String>,
}

impl ConsoleArgs {
    pub(super) async fn run(
        self,
        global: &GlobalArgs,
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        log_to_stderr(&ServeMetrics::new(), output)?;
        let settings = CommandSettings::load(global)?;
        let address = self.listen.unwrap_or(settings.config.console);
        self.check(address)?;
        let token = self.fetch_token().await?;
        let (access, inbox_access) = match self.allow_changes {
            true => (ConsoleAccess::Changes, InboxAccess::Change),
            false => (ConsoleAccess::ReadOnly, InboxAccess::Read),
        };
        let inbox = Arc::new(settings.open_inbox(inbox_access).await?);
        // Fails now, rather than on every page, if the inbox is missing or unreachable.
        inbox.pending_gauges(SystemClock.now(), 1).await?;
        let listener = bind(address, "listen")?;
        let bound = listener.local_addr()?;
        let stop = stop_on_signals()?;
        let inbox_name = match &settings.config.inbox {
            InboxConfig::Sqlite { path } => path.display().to_string(),
            InboxConfig::DynamoDb { table, .. } => format!("table {table}"),
        };
        self.print_banner(bound, &inbox_name, output)?;
        let senders = senders(&settings).await?;
        let actor = match settings.config.inbox.is_on_aws() && self.allow_changes {
            true => aws_actor(&aws().await?).await,
            false => local_actor(),
        };
        let console = ConsoleSettings {
            config: Arc::new(settings.config),
            inbox_name,
            access,
            hosts: self.allow_host,
            token,
            metrics: None,
            refusals: None,
            senders,
            actor,
            samples: Vec::new(),
            clock: Arc::new(SystemClock),
        };
        let console = Console::new(inbox, console, bound);
        console.serve(listener, stop.cancelled_owned()).await;
        output.info("Stopped.")?;
        Ok(())
    }

    async fn fetch_token(&self) -> Result<Option<Secret>, CommandError> {
        let Some(reference) = &self.token else {
            return Ok(None);
        };
        let reference = SecretRef::parse(reference)
            .map_err(|error| CommandError::Usage(format!("--token {error}")))?;
        fetch_secret(&reference).await.map(Some)
    }

    /// Refuses an address beyond loopback without a host name and a token.
    fn check(&self, address: SocketAddr) -> Result<(), CommandError> {
        if let Some(wrong) = self.allow_host.iter().find(|host| !is_host(host)) {
            return Err(CommandError::Usage(format!(
                "--allow-host takes a host name without a scheme, a port or a path, such as \
                 console.example.gov.uk, not `{}`",
                visible(wrong)
            )));
        }
        let is_beyond = !address.ip().to_canonical().is_loopback();
        if is_beyond && (self.allow_host.is_empty() || self.token.is_none()) {
            return Err(CommandError::Usage(format!(
                "{address} is not a loopback address, and the console shows personal data: reach \
                 it through an SSH tunnel, or give --allow-host with the name that browsers use, \
                 and --token"
            )));
        }
        Ok(())
    }

    fn print_banner(
        &self,
        bound: SocketAddr,
        inbox: &str,
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        let version = env!("CARGO_PKG_VERSION");
        output.info(&format!("{} {version}", paint("Pillarbox", BOLD)))?;
        output.info(&format!("  inbox          {inbox}"))?;
        output.info(&format!("  console        http://{bound}/"))?;
        let access = match self.allow_changes {
            true => "replays, discards and erases; each change is in the audit trail",
            false => "read-only; --allow-changes lets it replay, discard and erase",
        };
        output.info(&format!("  access         {access}"))?;
        if !self.allow_host.is_empty() {
            let hosts = self.allow_host.join(", ");
            tracing::warn!(
                address = %bound,
                %hosts,
                "the console is open beyond this machine: it shows personal data to everyone with \
                 the token, and without a TLS proxy both can be read in transit"
            );
        }
        output.info("Ready. Ctrl-C stops it.")?;
        Ok(())
    }
}

/// The senders, with the secrets that this person can read.
async fn senders(settings: &CommandSettings) -> Result<SenderLookup, CommandError> {
    let vault = fetch_vault(settings.config.sender_references()).await?;
    let secrets = settings.config.source_secrets();
    let clock = Arc::new(SystemClock);
    let keyring = Keyring::new(secrets, &secret_sources_with(&vault), None, clock);
    Ok(sender_lookup(&keyring))
}

/// Whether `text` is a host name or an address, and nothing more.
fn is_host(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    let is_address = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .is_some_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok());
    is_address || (!text.is_empty() && text.chars().all(is_part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_loopback_the_console_needs_a_host_and_a_token() {
        let args = |hosts: &[&str], token: Option<&str>| ConsoleArgs {
            listen: None,
            allow_changes: false,
            allow_host: hosts.iter().map(|&host| host.to_owned()).collect(),
            token: token.map(str::to_owned),
        };
        let (host, token) = (["console.example"], Some("env:TOKEN"));
        for (address, args, is_allowed) in [
            ("127.0.0.1:8081", args(&[], None), true),
            ("[::1]:8081", args(&[], None), true),
            ("127.0.0.1:8081", args(&host, token), true),
            ("0.0.0.0:8081", args(&host, token), true),
            ("192.0.2.7:8081", args(&["[2001:db8::1]"], token), true),
            ("0.0.0.0:8081", args(&[], None), false),
            ("[::]:8081", args(&[], token), false),
            ("192.0.2.7:8081", args(&host, None), false),
            ("0.0.0.0:8081", args(&["https://a.example"], token), false),
            ("0.0.0.0:8081", args(&["a.example:443"], token), false),
            ("0.0.0.0:8081", args(&[""], token), false),
        ] {
            let checked = args.check(address.parse().unwrap());
            assert_eq!(
                checked.is_ok(),
                is_allowed,
                "{address} {:?}",
                args.allow_host
            );
        }
    }
}
