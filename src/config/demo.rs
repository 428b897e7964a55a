//! The configuration of `pillarbox serve` when none is given: both senders, generated secrets, and
//! a log as destination.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use super::{
    Config, DestinationConfig, InboxConfig, SourceConfig, addresses,
    error::{ConfigLocation, LocatedValue},
    windows::TimeWindows,
};
use crate::{domain::SourceName, secrets::SecretRef, senders::SenderKind};

/// The demo's configuration. Every file of the demo is in `folder`.
pub(super) fn demo(folder: &Path) -> Config {
    let windows = TimeWindows::default();
    Config {
        listen: addresses::default_listen(),
        console: addresses::default_console(),
        retention: windows.retention(),
        acceptance: windows.acceptance(),
        sources: vec![
            source("hmrc", SenderKind::HMRC, folder),
            source("pay", SenderKind::GOVUK_PAY, folder),
        ],
        inbox: InboxConfig::Sqlite {
            path: folder.join("pillarbox.db"),
        },
        destination: DestinationConfig::Log,
        destinations: BTreeMap::new(),
        routes: Vec::new(),
        outbound_proxy: false,
    }
}

fn source(name: &str, kind: SenderKind, folder: &Path) -> SourceConfig {
    let location = ConfigLocation::new(
        Arc::from("the demo"),
        None,
        format!("sources.{name}.secrets[0]"),
    );
    let secret = LocatedValue {
        value: SecretRef::File(folder.join(format!("{name}.secret"))),
        location,
    };
    SourceConfig {
        name: SourceName::new(name).expect("hmrc and pay have the form of names"),
        kind,
        live: false,
        secrets: vec![secret],
        destination: None,
        webhook: true,
        events: kind.config.webhook_events.to_vec(),
        pull: None,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::{
        config::tests::{HMRC_SECRET, TEST_SECRET, with},
        secrets::{FetchedSecrets, SecretSources},
    };

    #[test]
    fn the_demo_keeps_everything_in_one_folder() {
        let config = Config::demo(Path::new(".pillarbox"));
        assert_eq!(
            config.inbox,
            InboxConfig::Sqlite {
                path: ".pillarbox/pillarbox.db".into()
            }
        );
        assert!(matches!(config.destination, DestinationConfig::Log));
        let read_files = RefCell::new(Vec::new());
        let file = |path: &Path| {
            read_files.borrow_mut().push(path.display().to_string());
            let is_hmrc = path.ends_with("hmrc.secret");
            Ok(if is_hmrc { HMRC_SECRET } else { TEST_SECRET }.to_owned())
        };
        let secrets = config
            .secrets(&SecretSources {
                env: &|_| None,
                file: &file,
                vault: FetchedSecrets::NOTHING,
            })
            .unwrap();
        assert_eq!(
            *read_files.borrow(),
            [".pillarbox/hmrc.secret", ".pillarbox/pay.secret"]
        );
        let labels: Vec<_> = secrets
            .sources
            .iter()
            .map(|source| (source.kind, source.keys[0].label()))
            .collect();
        let expected = [
            (SenderKind::HMRC, "1:file:.pillarbox/hmrc.secret"),
            (SenderKind::GOVUK_PAY, "1:file:.pillarbox/pay.secret"),
        ];
        assert_eq!(labels, expected);

        let missing = with(&[], |secret_sources| config.secrets(secret_sources))
            .unwrap_err()
            .to_string();
        let first = "the demo: sources.hmrc.secrets[0] (file:.pillarbox/hmrc.secret) cannot be \
         read (entity not found): check the path and its permissions";
        assert_eq!(missing.lines().next(), Some(first));
    }
}
