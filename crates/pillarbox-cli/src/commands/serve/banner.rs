//! The banner of `serve`, printed when it is ready.

use std::{io, net::SocketAddr};

use crate::{
    commands::{
        CommandError,
        output::{BOLD, CommandOutput, paint},
        settings::CommandSettings,
    },
    labels,
};
use pillarbox::{
    config::{Config, SourceConfig},
    secrets::Keyring,
};

/// Prints the addresses, and commands to try first.
pub(super) fn print_banner(
    settings: &CommandSettings,
    keyring: &Keyring,
    (bound, console): (SocketAddr, SocketAddr),
    (destinations, inbox): (&[String], &str),
    output: &mut CommandOutput,
) -> Result<(), CommandError> {
    output.info(&format!(
        "{} {}",
        paint("Pillarbox", BOLD),
        env!("CARGO_PKG_VERSION")
    ))?;
    output.info(&format!("  configuration  {}", settings.document_name))?;
    for source in &settings.config.sources {
        for line in source_lines(source, keyring, bound) {
            output.info(&line)?;
        }
    }
    for line in destinations {
        output.info(&format!("  destination    {line}"))?;
    }
    output.info(&format!("  console        http://{console}/"))?;
    output.info(&format!("  inbox          {inbox}"))?;
    if settings.is_demo() {
        print_examples(settings, bound, output)?;
    }
    output.info("Ready. Ctrl-C finishes what is in flight and stops.")?;
    Ok(())
}

/// The callback URL of a source, and how often it is reconciled.
fn source_lines(source: &SourceConfig, keyring: &Keyring, bound: SocketAddr) -> Vec<String> {
    let (name, kind) = (&source.name, source.kind.as_str());
    if !source.webhook {
        return vec![format!("  reconciled     {name} ({kind}; no webhook)")];
    }
    let keys = keyring.keys();
    let has_keys = keys
        .sources()
        .get(name)
        .is_some_and(|source| !source.keys.is_empty());
    let pending = if has_keys {
        ""
    } else {
        "; no secret yet, so POSTs are answered 503"
    };
    let callback = format!("  callback       http://{bound}/{name} ({kind}{pending})");
    let mut lines = vec![callback];
    if let (Some(pull), Some(keys)) = (&source.pull, &source.kind.config.pull) {
        let minutes = pull.every.unwrap_or(keys.every).as_secs() / 60;
        lines.push(format!(
            "                 reconciled every {minutes} minutes"
        ));
    }
    lines
}

/// The destinations: the default one if a source uses it, and each named one with its users.
pub(super) fn destination_lines(config: &Config) -> Vec<String> {
    let users = |name: Option<&str>| {
        let sources = config
            .sources
            .iter()
            .filter(|source| source.destination.as_deref() == name)
            .map(|source| source.name.to_string());
        let routed = config
            .routes
            .iter()
            .filter(|route| Some(route.destination.as_str()) == name)
            .map(|route| format!("{} {}", route.source, route.types.join(" ")));
        let gets_pulled = |source: &&SourceConfig| {
            let mut destinations = config.destinations_of(source);
            destinations.any(|destination| {
                let pulled = destination.pulled().map(|pulled| pulled.value.as_str());
                pulled.is_some() && pulled == name
            })
        };
        let pulled = config
            .sources
            .iter()
            .filter(gets_pulled)
            .map(|source| format!("pulled from {}", source.name));
        let users = sources.chain(routed).chain(pulled);
        users.collect::<Vec<_>>().join(", ")
    };
    let mut lines = Vec::new();
    if config
        .sources
        .iter()
        .any(|source| source.destination.is_none())
    {
        lines.push(labels::destination(&config.destination));
    }
    for (name, kind) in &config.destinations {
        let users = users(Some(name));
        if !users.is_empty() {
            lines.push(format!("{name}: {} ({users})", labels::destination(kind)));
        }
    }
    lines
}

/// Prints commands to try next, ready to paste into a shell.
fn print_examples(
    settings: &CommandSettings,
    bound: SocketAddr,
    output: &mut CommandOutput,
) -> io::Result<()> {
    output.info("Try, in another terminal in this folder:")?;
    for (source, rest) in [
        ("hmrc", ""),
        ("hmrc", " --xml"),
        ("pay", " --event captured"),
        ("pay", " --event refunded --repeat 1"),
    ] {
        // `send` knows the default address, but not one that a flag set.
        let to = if bound.port() == 8080 {
            String::new()
        } else {
            format!(" --to http://{bound}/{source}")
        };
        let send = settings.printed(&format!("send {source}{rest}{to}"), output);
        output.info(&format!("  {}", paint(&send, BOLD)))?;
    }
    let list = settings.printed("list", output);
    output.info(&format!("  {}", paint(&list, BOLD)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::commands::output::tests::run_in_shell;

    #[test]
    fn the_printed_examples_run_in_a_shell() {
        let folder = tempfile::tempdir().unwrap();
        for (bound, to) in [
            ("127.0.0.1:8080", ""),
            ("[::1]:9000", "--to\nhttp://[::1]:9000/pay"),
        ] {
            let (mut output, printed) = CommandOutput::captured();
            let settings = CommandSettings::test(Config::demo(folder.path()));
            print_examples(&settings, bound.parse().unwrap(), &mut output).unwrap();
            let text = printed.text();
            let commands: Vec<&str> = text.lines().filter(|line| line.starts_with("  ")).collect();
            let ran = run_in_shell(&commands.join("\n"), folder.path());
            assert_eq!(ran.len(), 5, "{ran:?}");
            assert_eq!(ran[0].lines().take(2).collect::<Vec<_>>(), ["send", "hmrc"]);
            assert!(ran[2].ends_with(to), "{ran:?}");
            assert_eq!(ran[4], "list");
        }
    }

    #[test]
    fn the_banner_has_the_destination_of_each_source() {
        let document = r#"
            [sources.hmrc]
            kind = "hmrc"
            secrets = []
            destination = "ledger"
            [sources.pay]
            kind = "govuk-pay"
            secrets = []
            [destinations.ledger]
            kind = "https"
            url = "https://ledger.example.gov.uk/events?tenant=secret"
            secret = "env:LEDGER_WHSEC"
            [destinations.unused]
            kind = "log"
        "#;
        let config = Config::read(document, "a test").unwrap();
        assert_eq!(
            destination_lines(&config),
            [
                "log, on standard output",
                "ledger: https, https://ledger.example.gov.uk (hmrc)",
            ]
        );
        assert_eq!(
            destination_lines(&Config::demo(Path::new("demo"))),
            ["log, on standard output"]
        );
    }
}
