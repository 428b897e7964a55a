//! The whole document: its optional parts, and all of its errors together.

use super::{DAY, EXAMPLE, FINE, check, kinds, problems, with};
use crate::config::*;
use crate::{secrets::SecretRef, senders::SenderKind};

#[test]
fn the_example_of_the_documentation_reads() {
    let config = Config::read(EXAMPLE, "pillarbox.toml").unwrap();

    assert_eq!(
        (config.listen.to_string(), config.console.to_string()),
        ("127.0.0.1:8080".into(), "127.0.0.1:8081".into())
    );
    assert_eq!(
        (config.retention.as_secs(), config.acceptance.0.as_secs()),
        (90 * DAY, 60 * DAY)
    );
    assert_eq!(
        config.inbox,
        InboxConfig::Sqlite {
            path: "pillarbox.db".into()
        }
    );
    let [hmrc, pay] = &config.sources[..] else {
        panic!("two sources")
    };
    assert_eq!(
        (hmrc.name.as_str(), hmrc.kind, hmrc.live),
        ("hmrc", SenderKind::HMRC, false)
    );
    assert_eq!(
        (pay.name.as_str(), pay.kind, pay.live),
        ("pay", SenderKind::GOVUK_PAY, false)
    );
    assert_eq!(
        pay.secrets[0].value,
        SecretRef::Env("PAY_SIGNING_SECRET".into())
    );
    assert_eq!(pay.secrets[0].location.path(), "sources.pay.secrets[0]");

    let pull = hmrc.pull.as_ref().unwrap();
    assert_eq!(
        pull.base_url.as_str(),
        "https://test-api.service.hmrc.gov.uk/"
    );
    assert_eq!(pull.boxes, ["50dca3fc-c37c-4f03-b719-63571333624c"]);
    let references = |source: &SourceConfig| {
        let references = source.pull_references().map(ToString::to_string);
        references.collect::<Vec<_>>()
    };
    assert_eq!(
        references(hmrc),
        ["env:HMRC_CLIENT_ID", "env:HMRC_CLIENT_SECRET"]
    );
    let pull = pay.pull.as_ref().unwrap();
    assert_eq!(
        pull.base_url.as_str(),
        "https://publicapi.payments.service.gov.uk/"
    );
    assert_eq!(references(pay), ["env:PAY_API_KEY"]);

    assert!(matches!(
        config.destination_of(hmrc),
        DestinationConfig::Log
    ));
    let DestinationConfig::Https(ledger) = config.destination_of(pay) else {
        panic!("the ledger")
    };
    assert_eq!(ledger.url.as_str(), "https://ledger.example.gov.uk/events");
}

#[test]
fn omitted_keys_have_defaults_and_sources_keep_their_order() {
    let config = Config::read(
        "[sources.pay]\nkind = \"govuk-pay\"\nsecrets = []\n[sources.hmrc]\nkind \
         = \"hmrc\"\nsecrets = []",
        "pillarbox.toml",
    )
    .unwrap();
    assert_eq!(
        (config.listen.to_string(), config.console.to_string()),
        ("127.0.0.1:8080".into(), "127.0.0.1:8081".into())
    );
    assert_eq!(
        (config.retention.as_secs(), config.acceptance.0.as_secs()),
        (90 * DAY, 60 * DAY)
    );
    assert_eq!(config.inbox, InboxConfig::default());
    assert!(matches!(config.destination, DestinationConfig::Log));
    assert_eq!(
        config
            .sources
            .iter()
            .map(|source| source.name.as_str())
            .collect::<Vec<_>>(),
        ["pay", "hmrc"]
    );
    let secrets = with(&[], |secret_sources| config.secrets(secret_sources)).unwrap();
    assert!(
        secrets.sources.iter().all(|source| source.keys.is_empty()),
        "no secret yet is no problem"
    );
}

#[test]
fn six_mistakes_are_six_errors_each_with_its_line() {
    let document = r#"lissten = "127.0.0.1:8080"
console = "0.0.0.0:8081"
acceptance_days = 20

[sources.pay]
kind = "govukpay"
secrets = ["webhook_live_7mrp1d5lsa5pdfs2bvim2f9cdu"]
destination = "leger"

[destinations.ledger]
kind = "log"
"#;
    check(
        document,
        &[
            "1: lissten is not a known key: did you mean listen?",
            "2: console is not a loopback address: the console shows personal data and has no \
             login; bind it to 127.0.0.1 and reach it through an SSH tunnel",
            "3: acceptance_days is not valid: acceptance_days (20) must be more than 30, because \
             HMRC may push notifications of that age, and 7 days more must be less than \
             retention_days (90), so that a row outlasts its repeats",
            &format!(
                "6: sources.pay.kind must be {}: did you mean \"govuk-pay\"?",
                kinds(|kind| format!("\"{kind}\""))
            ),
            "7: sources.pay.secrets[0] is not a secret reference: write env:NAME, file:PATH or \
             secretsmanager:ARN#field, never the secret itself",
            "8: sources.pay.destination names an unknown destination: did you mean \"ledger\"?",
        ],
    );
}

#[test]
fn only_sources_and_the_inbox_can_stop_receiving() {
    const INBOX: &str = "[inbox]\nkind = \"dynamodb\"\ntable = \"inbox\"\n";
    for (root, tables, error) in [
        ("acceptance_days = 85", "", "acceptance_days is not valid"),
        ("retention_days = \"long\"", "", "retention_days must be"),
        (
            "console = \"0.0.0.0:8081\"",
            "",
            "console is not a loopback",
        ),
        ("colour = \"red\"", "", "colour is not a known key"),
        ("", "[destination]\nkind = \"sqs\"", "destination needs url"),
        (
            "",
            "[destination]\nkind = \"eventbridge\"\nbus = \"arn:aws:sqs:eu-west-2:1:q\"",
            "destination.bus",
        ),
        (
            "",
            "[destinations.x]\nkind = \"fax\"",
            "destinations.x.kind",
        ),
        (
            "",
            "[sources.pay]\nkind = \"govuk-pay\"\nsecrets = []\ndestination = \"gone\"",
            "sources.pay.destination names an unknown",
        ),
        (
            "",
            "[sources.pay]\nkind = \"govuk-pay\"\nsecrets = []\n[sources.pay.pull]\n",
            "sources.pay.pull needs api_key",
        ),
    ] {
        let document = format!("{root}{FINE}{INBOX}{tables}\n");
        let (config, tolerated) = Config::read_to_receive(&document, "p")
            .unwrap_or_else(|errors| panic!("{errors}\n{document}"));
        let tolerated = tolerated.expect(&document).to_string();
        assert!(tolerated.contains(error), "{tolerated}");
        assert!(config.sources.iter().all(|source| source.pull.is_none()));
        assert!(
            config.acceptance.0.as_secs() + 7 * DAY < config.retention.as_secs(),
            "{document}"
        );
        let refused = Config::read(&document, "p").unwrap_err().to_string();
        assert_eq!(refused, tolerated, "delivering needs all of it");
    }
    for document in [
        format!("acceptance_days = 85\n{FINE}[inbox]\nkind = \"dynamodb\"\n"),
        "acceptance_days = 85\n[sources.pay]\nkind = \"govuk-pay\"\n".to_owned(),
        "acceptance_days = 85\n".to_owned(),
    ] {
        let errors = Config::read_to_receive(&document, "p").unwrap_err();
        assert_eq!(errors.iter().count(), 2, "{errors}");
    }
}

#[test]
fn invalid_toml_is_one_error_that_does_not_repeat_the_text() {
    check(
        "listen = \"127.0.0.1:8080\"\nsecret = webhook_live_7mrp1d5lsa5pdfs2bvim2f9cdu\n",
        &[
            "2: the document is not valid TOML: string values must be quoted, expected literal \
             string",
        ],
    );
    check(
        "\n\n[sources.pay]\n[sources.pay]\n",
        &["4: the document is not valid TOML: duplicate key"],
    );
}

#[test]
fn a_document_without_a_source_is_refused() {
    let expected = "pillarbox.toml: has no sources: add [sources.NAME] with its kind and secrets";
    for document in ["", "[sources]", "listen = \"127.0.0.1:9000\""] {
        assert_eq!(problems(document), expected, "{document}");
    }
}

#[test]
fn addresses_and_windows_are_checked() {
    for (line, expected) in [
        (
            "listen = 8080",
            "listen must be an address and a port, such as 127.0.0.1:8080",
        ),
        (
            "listen = \"localhost\"",
            "listen must be an address and a port, such as 127.0.0.1:8080",
        ),
        (
            "listen = \"127.0.0.1:8081\"",
            "listen puts listen and console both on port 8081: give them different ports",
        ),
        (
            "listen = \"0.0.0.0:8081\"",
            "listen puts listen and console both on port 8081: give them different ports",
        ),
        ("console = \"[::1]:8080\"", ""),
        (
            "console = \"127.0.0.1:8080\"",
            "console puts listen and console both on port 8080: give them different ports",
        ),
        (
            "retention_days = 0",
            "retention_days must be a whole number from 1 to 3650",
        ),
        (
            "retention_days = 1.5",
            "retention_days must be a whole number from 1 to 3650",
        ),
        (
            "acceptance_days = -1",
            "acceptance_days must be a whole number from 1 to 3650",
        ),
        (
            "acceptance_days = 99_999_999_999",
            "acceptance_days must be a whole number from 1 to 3650",
        ),
        (
            "retention_days = 67",
            "retention_days is not valid: acceptance_days (60) must be more than 30, because HMRC \
             may push notifications of that age, and 7 days more must be less than retention_days \
             (67), so that a row outlasts its repeats",
        ),
        ("retention_days = 68", ""),
        ("acceptance_days = 0x20", ""),
    ] {
        let read = Config::read(&format!("{line}{FINE}"), "p");
        let message = read.map_or_else(|problems| problems.to_string(), |_| String::new());
        assert_eq!(
            message.strip_prefix("p:1: ").unwrap_or(&message),
            expected,
            "{line}"
        );
    }
    let free = Config::read(
        &format!("listen = \"127.0.0.1:0\"\nconsole = \"127.0.0.1:0\"{FINE}"),
        "p",
    );
    assert!(free.is_ok(), "port 0 is another port each time");
}

#[test]
fn a_document_cut_off_anywhere_is_read_or_refused_and_never_panics() {
    for (end, _) in EXAMPLE.char_indices() {
        let outcome = Config::read(&EXAMPLE[..end], "p");
        assert!(outcome.map_or_else(
            |problems| problems.iter().next().is_some(),
            |config| !config.sources.is_empty()
        ));
    }
}
