//! Flags and environment variables that override the document. A flag overrides a variable.

use std::net::SocketAddr;

use super::{
    Config, InboxConfig,
    addresses::{self, AddressSetting},
    error::{ConfigError, ConfigErrors, ConfigLocation, LocatedValue},
};
use crate::secrets::SecretSources;

/// The flags of the command line that override the document.
#[derive(Clone, Debug, Default)]
pub struct ConfigOverrides {
    /// `--listen`, which overrides `PILLARBOX_LISTEN`.
    pub listen: Option<String>,
    /// `--console`, which overrides `PILLARBOX_CONSOLE`.
    pub console: Option<String>,
    /// `--inbox`, which overrides `PILLARBOX_INBOX`.
    pub inbox: Option<String>,
}

impl ConfigOverrides {
    /// Applies flags and variables to `config`. If one of them is invalid, `config` is unchanged.
    ///
    /// An empty variable counts as unset.
    pub fn apply(
        &self,
        config: &mut Config,
        secret_sources: &SecretSources<'_>,
    ) -> Result<(), ConfigErrors> {
        let mut problems = Vec::new();
        let listen = find_override("--listen", &self.listen, "PILLARBOX_LISTEN", secret_sources);
        let listen = address(listen, config.listen, &mut problems);
        let console = find_override(
            "--console",
            &self.console,
            "PILLARBOX_CONSOLE",
            secret_sources,
        );
        let console = address(console, config.console, &mut problems);
        let inbox = find_override("--inbox", &self.inbox, "PILLARBOX_INBOX", secret_sources);
        let inbox = inbox.and_then(|given| {
            collect_error(
                &given.location,
                InboxConfig::parse(&given.value),
                &mut problems,
            )
        });
        problems.extend(addresses::check(&listen, &console));
        ConfigErrors::or(problems, ())?;
        (config.listen, config.console) = (listen.value, console.value);
        config.inbox = inbox.unwrap_or_else(|| config.inbox.clone());
        Ok(())
    }
}

/// The value of the flag, or else of the variable.
fn find_override(
    flag: &str,
    given: &Option<String>,
    variable: &str,
    secret_sources: &SecretSources<'_>,
) -> Option<LocatedValue<String>> {
    let flag = given.clone().map(|value| LocatedValue {
        value,
        location: ConfigLocation::named(flag),
    });
    let variable = || {
        (secret_sources.env)(variable)
            .filter(|value| !value.is_empty())
            .zip(Some(ConfigLocation::named(variable)))
    };
    flag.or_else(|| variable().map(|(value, location)| LocatedValue { value, location }))
}

fn address(
    given: Option<LocatedValue<String>>,
    document: SocketAddr,
    problems: &mut Vec<ConfigError>,
) -> AddressSetting {
    let read = given.and_then(|LocatedValue { value, location }| {
        let value = collect_error(
            &location,
            value.parse().map_err(|_| addresses::MUST),
            problems,
        )?;
        Some(AddressSetting {
            value,
            location: Some(location),
        })
    });
    read.unwrap_or_else(|| AddressSetting::unset(document))
}

fn collect_error<T>(
    location: &ConfigLocation,
    made: Result<T, impl std::fmt::Display>,
    problems: &mut Vec<ConfigError>,
) -> Option<T> {
    made.map_err(|what| problems.push(location.problem(what)))
        .ok()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::tests::{FINE, with};

    #[test]
    fn flags_override_variables_which_override_the_document() {
        let document = format!(
            "listen = \"127.0.0.1:1\"\nconsole = \"127.0.0.1:2\"\ninbox.kind \
             = \"sqlite\"\ninbox.path = \"1.db\"{FINE}"
        );
        let flag = |value: &str| (!value.is_empty()).then(|| value.to_owned());
        for (flags, variables, expected) in [
            (
                ["", "", ""],
                ["", "", ""],
                ["127.0.0.1:1", "127.0.0.1:2", "1.db"],
            ),
            (
                ["", "", ""],
                ["0.0.0.0:3", "127.0.0.1:4", "sqlite:2.db"],
                ["0.0.0.0:3", "127.0.0.1:4", "2.db"],
            ),
            (
                ["127.0.0.1:5", "", "sqlite:3.db"],
                ["0.0.0.0:3", "127.0.0.1:4", ""],
                ["127.0.0.1:5", "127.0.0.1:4", "3.db"],
            ),
            (
                ["", "[::1]:6", ""],
                ["nonsense", "nonsense", ""],
                ["", "", ""],
            ),
            (
                ["127.0.0.1:5", "[::1]:6", "sqlite:3.db"],
                ["nonsense", "nonsense", "nonsense"],
                ["127.0.0.1:5", "[::1]:6", "3.db"],
            ),
        ] {
            let mut config = Config::read(&document, "p").unwrap();
            let names = ["PILLARBOX_LISTEN", "PILLARBOX_CONSOLE", "PILLARBOX_INBOX"];
            let variables: Vec<_> = names.into_iter().zip(variables).collect();
            let [listen, console, inbox] = flags.map(flag);
            let outcome = with(&variables, |secret_sources| {
                ConfigOverrides {
                    listen,
                    console,
                    inbox,
                }
                .apply(&mut config, secret_sources)
            });
            if expected[0].is_empty() {
                let expected =
                    "PILLARBOX_LISTEN must be an address and a port, such as 127.0.0.1:8080";
                assert_eq!(outcome.unwrap_err().to_string(), expected);
                assert_eq!(
                    config.console.to_string(),
                    "127.0.0.1:2",
                    "a refusal leaves everything as it was"
                );
                continue;
            }
            outcome.unwrap();
            let expected_inbox = InboxConfig::parse(&format!("sqlite:{}", expected[2])).unwrap();
            assert_eq!(
                [config.listen.to_string(), config.console.to_string()],
                expected[..2]
            );
            assert_eq!(config.inbox, expected_inbox);
        }
    }

    #[test]
    fn an_invalid_flag_or_variable_is_named_in_the_error() {
        for (flags, variable, expected) in [
            (
                ["8080", "", ""],
                ("", ""),
                "--listen must be an address and a port, such as 127.0.0.1:8080",
            ),
            (
                ["", "", "pillarbox.db"],
                ("", ""),
                "--inbox must be sqlite:PATH or dynamodb:TABLE",
            ),
            (
                ["", "", ""],
                ("PILLARBOX_INBOX", "dynamodb:a table"),
                "PILLARBOX_INBOX is not a valid table name: write 3 to \
                 255 of A-Z, a-z, 0-9, _, - and .",
            ),
            (
                ["", "192.168.0.7:8081", ""],
                ("", ""),
                "--console is not a loopback address: the console shows personal data and has no \
                 login; bind it to 127.0.0.1 and reach it through an SSH tunnel",
            ),
            (
                ["", "", ""],
                ("PILLARBOX_LISTEN", "127.0.0.1:8081"),
                "PILLARBOX_LISTEN puts listen and console both on port 8081: give them different \
                 ports",
            ),
            (
                ["x", "", "y"],
                ("PILLARBOX_CONSOLE", "z"),
                "--listen must be an address and a port, such as 127.0.0.1:8080\n\
                 PILLARBOX_CONSOLE must be an address and a port, such as 127.0.0.1:8080\n\
                 --inbox must be sqlite:PATH or dynamodb:TABLE",
            ),
        ] {
            let [listen, console, inbox] =
                flags.map(|value| (!value.is_empty()).then(|| value.to_owned()));
            let mut config = Config::demo(Path::new("."));
            let outcome = with(&[variable], |secret_sources| {
                ConfigOverrides {
                    listen,
                    console,
                    inbox,
                }
                .apply(&mut config, secret_sources)
            });
            assert_eq!(outcome.unwrap_err().to_string(), expected);
        }
    }
}
