//! A simulated sender on the command line: its source, its callback URL and its secret.

use url::Url;

use super::{
    CommandError, ErrorCode, GlobalArgs, demo,
    output::CommandOutput,
    settings::{CommandSettings, DEMO, fetch},
};
use pillarbox::{
    config::{ConfigOverrides, SourceConfig},
    domain::SystemClock,
    secrets::{Secret, SecretRef},
    senders::SenderKind,
};
use sender_simulator::Sender;

/// The simulated sender of this kind.
pub(super) fn sender(kind: SenderKind) -> Result<Sender, CommandError> {
    Sender::parse(kind.as_str()).ok_or_else(|| {
        CommandError::Usage(format!("the simulator does not support {}", kind.title))
    })
}

/// The configuration. Creates the demo's secrets, so that a sender can sign before `serve` has
/// started.
pub(super) fn settings(
    global: &GlobalArgs,
    output: &mut CommandOutput,
) -> Result<CommandSettings, CommandError> {
    let settings = CommandSettings::load(global, ConfigOverrides::default())?;
    if settings.is_demo() && demo::prepare(&settings.config, &SystemClock)? {
        let folder = std::path::absolute(DEMO)?;
        output.warning(&format!(
            "new secrets were created in {}: a serve that was started in another folder has \
             others, and answers 401",
            folder.display()
        ))?;
    }
    Ok(settings)
}

/// The given callback URL, or the source's at the configured address.
pub(super) fn url(
    given: Option<&str>,
    settings: &CommandSettings,
    source: &SourceConfig,
) -> Result<Url, CommandError> {
    let mut listen = settings.config.listen;
    if listen.ip().is_unspecified() {
        listen.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let text = given.map_or_else(|| format!("http://{listen}/{}", source.name), str::to_owned);
    Url::parse(&text)
        .map_err(|_| CommandError::Usage("--to is not a URL: write https://HOST/PATH".to_owned()))
}

/// The given secret, or the source's first.
pub(super) async fn secret(
    given: Option<&str>,
    source: &SourceConfig,
) -> Result<Secret, CommandError> {
    if let Some(given) = given {
        return named("--secret", given).await;
    }
    let none = || {
        format!(
            "source {} has no secret yet: sign with --secret env:NAME",
            source.name
        )
    };
    fetch(
        &source
            .secrets
            .first()
            .ok_or_else(|| ErrorCode::Secret.error(none()))?
            .value,
    )
    .await
}

/// The secret that a flag refers to.
pub(super) async fn named(flag: &str, reference: &str) -> Result<Secret, CommandError> {
    let reference = SecretRef::parse(reference)
        .map_err(|problem| ErrorCode::Secret.error(format!("{flag} {problem}")))?;
    fetch(&reference).await
}
