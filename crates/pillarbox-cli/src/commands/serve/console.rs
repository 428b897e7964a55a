//! The settings of the console of `serve`.

use std::{net::SocketAddr, sync::Arc};

use sender_simulator::Sender;
use url::Url;

use super::start::ServeStart;
use crate::{
    acts::{aws_actor, local_actor},
    commands::settings::{CommandSettings, secret_sources},
    console::{ConsoleAccess, ConsoleSettings, SampleSource, SenderLookup},
};
use pillarbox::{config::SourceConfig, secrets::Keyring};

impl<D> ServeStart<'_, D> {
    /// The settings of the console; `bound` is the address for senders.
    pub(super) async fn console_settings(
        &self,
        inbox_name: &str,
        bound: SocketAddr,
    ) -> ConsoleSettings {
        let settings = &self.settings;
        ConsoleSettings {
            config: Arc::new(settings.config.clone()),
            inbox_name: inbox_name.to_owned(),
            access: self.access,
            hosts: Vec::new(),
            token: None,
            metrics: Some(Arc::clone(&self.metrics)),
            refusals: Some(Arc::clone(&self.refusals)),
            senders: sender_lookup(&self.keyring),
            actor: match &self.aws {
                // Only changes need the identity, which costs a request.
                Some(aws)
                    if settings.config.inbox.is_on_aws()
                        && self.access == ConsoleAccess::Changes =>
                {
                    aws_actor(aws).await
                }
                _ => local_actor(),
            },
            samples: samples(settings, bound),
            clock: self.clock.clone(),
        }
    }
}

/// The demo's sources, to which the console can send samples.
fn samples(settings: &CommandSettings, bound: SocketAddr) -> Vec<SampleSource> {
    let sources = settings.config.sources.iter();
    let sources = sources.filter(|_| settings.is_demo() && bound.ip().is_loopback());
    let sample = |source: &SourceConfig| {
        Some(SampleSource {
            source: source.name.to_string(),
            sender: Sender::parse(source.kind.as_str())?,
            url: Url::parse(&format!("http://{bound}/{}", source.name)).ok()?,
            secret: source
                .secrets
                .first()?
                .value
                .fetch(&secret_sources())
                .ok()?,
        })
    };
    sources.filter_map(sample).collect()
}

/// Looks up the senders with the current keys of `keyring`.
pub(in crate::commands) fn sender_lookup(keyring: &Arc<Keyring>) -> SenderLookup {
    let keyring = Arc::clone(keyring);
    Arc::new(move || {
        let keys = keyring.keys();
        let sources = keys.sources().iter();
        sources
            .map(|(name, source)| (name.as_str().to_owned(), source.clone()))
            .collect()
    })
}
