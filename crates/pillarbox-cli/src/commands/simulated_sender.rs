//! The arguments of a simulated sender: its source, its callback URL and its secret.

use url::Url;

use super::{
    CommandError, ErrorCode, GlobalArgs, demo,
    local_request::reachable,
    output::CommandOutput,
    settings::{CommandSettings, DEMO, fetch_named_secret, fetch_secret},
};
use pillarbox::{config::SourceConfig, domain::SystemClock, secrets::Secret, senders::SenderKind};
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
    let settings = CommandSettings::load(global)?;
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
    let listen = reachable(settings.config.listen);
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
        return fetch_named_secret("--secret", given).await;
    }
    let Some(first) = source.secrets.first() else {
        return Err(ErrorCode::Secret.error(format!(
            "source {} has no secret yet: sign with --secret env:NAME",
            source.name
        )));
    };
    fetch_secret(&first.value).await
}
