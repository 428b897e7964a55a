//! The state that all pages of a console share.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::{
    bulk::BulkActs, guard::AllowedHosts, inbox::ConsoleInbox, live::LiveFeed, samples::SampleSource,
};
use crate::{acts::Operator, evidence::ProofContext, metrics::ServeMetrics, refusals::RefusalLog};
use pillarbox::{
    config::{Config, InboxConfig, SourceConfig},
    domain::Clock,
    secrets::Secret,
    senders::Source,
};

/// What a person may do with a console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsoleAccess {
    /// See everything, and change nothing.
    ReadOnly,
    /// Replay, discard and erase, too.
    Changes,
}

/// Returns the senders with their current keys, by name.
pub type SenderLookup = Arc<dyn Fn() -> HashMap<String, Source> + Send + Sync>;

/// The settings of a console.
#[derive(Clone)]
pub struct ConsoleSettings {
    /// The sources, the retention and the destinations that the pages name.
    pub config: Arc<Config>,
    /// The name of the inbox for a person: a path, or `table NAME`.
    pub inbox_name: String,
    /// What a person may do.
    pub access: ConsoleAccess,
    /// The host names, beside loopback names, under which a browser may reach the console.
    pub hosts: Vec<String>,
    /// The token to sign in with; without it, everyone who can reach the address may read.
    pub token: Option<Secret>,
    /// The metrics of the process, if it counts any.
    pub metrics: Option<Arc<ServeMetrics>>,
    /// The requests that this process refused, if it receives any.
    pub refusals: Option<Arc<RefusalLog>>,
    /// The senders with their current keys, by name.
    pub senders: SenderLookup,
    /// The person that the audit trail names.
    pub actor: String,
    /// The sources that samples can be sent to: those of the demo.
    pub samples: Vec<SampleSource>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// The state that the handlers of a console share.
pub(super) struct ConsoleState<I> {
    pub(super) inbox: Arc<I>,
    /// The person at the console, for every change.
    pub(super) operator: Operator<I>,
    pub(super) bulk: BulkActs,
    pub(super) settings: ConsoleSettings,
    pub(super) hosts: AllowedHosts,
    /// Proves that a form was made by this process.
    pub(super) csrf: ProcessToken,
    /// Proves that a browser has signed in to this process.
    pub(super) session: ProcessToken,
    /// What arrives, for the lists that are open.
    pub(super) live: LiveFeed,
    /// Cancelled when the console stops, so that open streams end.
    pub(super) stop: CancellationToken,
}

/// The state as a handler gets it.
pub(super) type SharedConsoleState<I> = Arc<ConsoleState<I>>;

impl<I: ConsoleInbox> ConsoleState<I> {
    pub(super) fn new(inbox: Arc<I>, settings: ConsoleSettings, bound: SocketAddr) -> Self {
        let retention = settings.config.retention;
        Self {
            operator: Operator::new(Arc::clone(&inbox), settings.actor.clone(), retention),
            bulk: BulkActs::default(),
            inbox,
            hosts: AllowedHosts::of(bound, &settings.hosts),
            csrf: ProcessToken::random(&*settings.clock),
            session: ProcessToken::random(&*settings.clock),
            live: LiveFeed::new(),
            stop: CancellationToken::new(),
            settings,
        }
    }
}

impl<I> ConsoleState<I> {
    /// What stored rows are compared with.
    pub(super) fn proof_context(&self) -> ProofContext {
        ProofContext {
            sources: (self.settings.senders)(),
            shards: match self.settings.config.inbox {
                InboxConfig::DynamoDb { .. } => None,
                InboxConfig::Sqlite { .. } => Some(1),
            },
            now: self.settings.clock.now(),
        }
    }

    /// The configuration of a source.
    pub(super) fn source(&self, name: &str) -> Option<&SourceConfig> {
        let mut sources = self.settings.config.sources.iter();
        sources.find(|source| source.name.as_str() == name)
    }

    /// Whether a person may change something.
    pub(super) fn changes_allowed(&self) -> bool {
        self.settings.access == ConsoleAccess::Changes
    }
}

/// A random value that is made at the start of a process and never stored.
pub(super) struct ProcessToken(String);

impl ProcessToken {
    fn random(clock: &dyn Clock) -> Self {
        let words: [u64; 4] = std::array::from_fn(|_| clock.random());
        Self(words.map(|word| format!("{word:016x}")).concat())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `given` is this token.
    pub(super) fn matches(&self, given: &str) -> bool {
        is_same_secret(&self.0, given)
    }
}

/// Whether two secrets are equal, in constant time: every byte of their digests is compared.
pub(super) fn is_same_secret(one: &str, other: &str) -> bool {
    let (one, other) = (Sha256::digest(one), Sha256::digest(other));
    let differences = one.iter().zip(other.iter()).map(|(one, other)| one ^ other);
    differences.fold(0, |all, difference| all | difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use pillarbox::domain::SystemClock;

    #[test]
    fn a_token_matches_itself_and_nothing_else() {
        let token = ProcessToken::random(&SystemClock);
        assert_eq!(token.as_str().len(), 64);
        assert!(token.matches(token.as_str()));
        let other = ProcessToken::random(&SystemClock);
        for wrong in ["", "x", &token.as_str()[1..], other.as_str()] {
            assert!(!token.matches(wrong), "{wrong}");
        }
    }
}
