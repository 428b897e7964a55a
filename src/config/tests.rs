//! Whole documents, and every error in them.

use std::{io, path::Path};

use super::*;
use crate::{
    secrets::{FetchedSecrets, SecretRef},
    senders::SenderKind,
};

pub(super) const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
pub(super) const TEST_SECRET: &str = "webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu";
pub(super) const HMRC_SECRET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const DAY: u64 = 24 * 60 * 60;

/// A valid source, for documents with errors elsewhere.
pub(super) const FINE: &str = "\n[sources.hmrc]\nkind = \"hmrc\"\nsecrets = []\n";

/// The example of the documentation, with every key.
pub(super) const EXAMPLE: &str = r#"
listen = "127.0.0.1:8080"
console = "127.0.0.1:8081"
retention_days = 90
acceptance_days = 60

[sources.hmrc]                      # served at /hmrc
kind = "hmrc"
secrets = ["env:HMRC_PUSH_SECRET"]  # the list is the rotation overlap
[sources.hmrc.pull]                 # optional
environment = "sandbox"             # or "production"; base_url = "…" for tests
boxes = ["50dca3fc-c37c-4f03-b719-63571333624c"]
client_id = "env:HMRC_CLIENT_ID"
client_secret = "env:HMRC_CLIENT_SECRET"

[sources.pay]                       # served at /pay
kind = "govuk-pay"
secrets = ["env:PAY_SIGNING_SECRET"]
live = false
destination = "ledger"              # optional: by name
[sources.pay.pull]
api_key = "env:PAY_API_KEY"         # base_url = "…" for tests

[inbox]
kind = "sqlite"
path = "pillarbox.db"

[destination]                       # the default one; others are [destinations.NAME]
kind = "log"
[destinations.ledger]
kind = "https"
url = "https://ledger.example.gov.uk/events"
secret = "env:LEDGER_WHSEC"
"#;

/// Runs `work` with `variables` set and no files.
pub(super) fn with<T>(variables: &[(&str, &str)], work: impl FnOnce(&SecretSources<'_>) -> T) -> T {
    let env = |name: &str| {
        variables
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| (*value).to_owned())
    };
    let file = |_: &Path| Err(io::ErrorKind::NotFound.into());
    work(&SecretSources {
        env: &env,
        file: &file,
        vault: FetchedSecrets::NOTHING,
    })
}

fn problems(document: &str) -> String {
    Config::read(document, "pillarbox.toml")
        .map(|_| ())
        .unwrap_err()
        .to_string()
}

/// Checks every error of `document`. `expected` omits the document's name.
#[track_caller]
fn check(document: &str, expected: &[&str]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|line| format!("pillarbox.toml:{line}"))
        .collect();
    assert_eq!(problems(document), expected.join("\n"), "{document}");
}

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
    assert_eq!(pay.secrets[0].place.path(), "sources.pay.secrets[0]");

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
    let secrets = with(&[], |outside| config.secrets(outside)).unwrap();
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
             login; \
             bind it to 127.0.0.1 and reach it through an SSH tunnel",
            "3: acceptance_days is not valid: acceptance_days (20) must be more than 30, because \
             HMRC may push notifications of that age, and 7 days more must \
             be less than retention_days (90), so that a row \
              outlasts its repeats",
            "6: sources.pay.kind must be \"hmrc\", \"govuk-pay\" or \"timestamped\": did you \
             mean \"govuk-pay\"?",
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
            "2: the document is not TOML here: string values must be quoted, expected literal \
             string",
        ],
    );
    check(
        "\n\n[sources.pay]\n[sources.pay]\n",
        &["4: the document is not TOML here: duplicate key"],
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
            "retention_days is not valid: acceptance_days (60) must be more than 30, because \
             HMRC may push notifications of that age, and 7 days more must \
             be less than retention_days (67), so that a row outlasts \
              its repeats",
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
fn the_error_of_an_invalid_source_says_what_to_write() {
    check(
        "[sources.Pay]\nkind = \"govuk-pay\"\nsecrets = []",
        &[
            "1: sources.Pay is not a valid source name: begin with a-z, then up to 31 of a-z, 0-9 \
             and -",
        ],
    );
    check(
        "[sources.pay]",
        &[
            "1: sources.pay needs kind: write kind = \"hmrc\", kind = \"govuk-pay\" or kind \
             = \"timestamped\"",
            "1: sources.pay needs secrets: write secrets = [\"env:NAME\"], or secrets = [] while \
             there is none yet",
        ],
    );
    check(
        "[sources.pay]\nkind = \"stripe\"\nsecrets = \"env:PAY\"\nlive = \"yes\"\ncolour = 1\n",
        &[
            "2: sources.pay.kind must be \"hmrc\", \"govuk-pay\" or \"timestamped\"",
            "3: sources.pay.secrets must be a list: write [\"env:NAME\"]",
            "4: sources.pay.live must be true or false",
            "5: sources.pay.colour is not a known key: known here are kind, live, webhook, \
             secrets, destination, pull",
        ],
    );
    check(
        "[sources.hmrc]\nkind = \"hmrc\"\nsecret = [\"env:A\"]\nsecrets = [\"env:A\",\n \
         7,\n \"secretsmanager:arn\"]\nlive = true\n",
        &[
            "3: sources.hmrc.secret is not a known key: did you mean secrets?",
            "5: sources.hmrc.secrets[1] is not a secret reference: write env:NAME, file:PATH or \
             secretsmanager:ARN#field, never the secret itself",
            "6: sources.hmrc.secrets[2] is not the ARN of a secret: write \
             secretsmanager:ARN#field, with the whole \
             ARN (arn:aws:…) and the name of a field",
            "7: sources.hmrc.live is for govuk-pay only: remove it, since HMRC's secrets don't \
             say whether they are \
             live",
        ],
    );
    check(
        "sources = 1",
        &["1: sources must be a table: write [sources]"],
    );
    check(
        "[sources]\npay = 1",
        &["2: sources.pay must be a table: write [sources.pay]"],
    );
}

#[test]
fn a_long_name_that_may_be_a_secret_is_not_repeated() {
    check(
        &format!("{TEST_SECRET} = true{FINE}"),
        &[
            "1: (a name of 39 characters) is not a known key: known here are listen, console, \
             retention_days, \
           acceptance_days, inbox, destination, destinations, sources, routes, outbound_proxy",
        ],
    );
}

#[test]
fn a_secret_belongs_to_one_source_but_hmrc_issues_one_for_all_boxes() {
    let source = |name: &str, kind: &str, secrets: &str| {
        format!("[sources.{name}]\nkind = \"{kind}\"\nsecrets = [{secrets}]\n")
    };
    check(
        &source("pay", "govuk-pay", "\"env:A\", \"env:B\", \"env:A\""),
        &["3: sources.pay.secrets[2] (env:A) is listed twice: remove one of the two"],
    );
    check(
        &(source("pay", "govuk-pay", "\"env:A\"") + &source("pay-2", "govuk-pay", "\"env:A\"")),
        &[
            "6: sources.pay-2.secrets[0] (env:A) is also a secret of sources.pay: \
             each source needs its own",
        ],
    );
    check(
        &(source("hmrc", "hmrc", "\"env:A\"") + &source("pay", "govuk-pay", "\"env:A\"")),
        &[
            "6: sources.pay.secrets[0] (env:A) is also a secret of sources.hmrc: \
             each source needs its own",
        ],
    );
    let boxes = source("vat", "hmrc", "\"env:A\"") + &source("customs", "hmrc", "\"env:A\"");
    assert!(Config::read(&boxes, "p").is_ok());
}

/// What follows is under a handler of one sender's own messages.
const AS_SENT: &str = "[destination]\nkind = \"https\"\n\
                       url = \"https://handler.example.gov.uk/pay\"\n\
                       format = \"as-sent\"\n";

#[test]
fn messages_as_sent_go_to_an_https_handler_and_what_was_pulled_elsewhere() {
    let ledger = "[destinations.ledger]\nkind = \"sqs\"\n\
                  url = \"https://sqs.eu-west-2.amazonaws.com/1/q\"\n";
    let other = "[destinations.other]\nkind = \"https\"\nurl = \"https://other.example.gov.uk/\"\n\
                 format = \"as-sent\"\n";
    let only = "is for kind = \"https\" only: a queue, a bus and a log carry no header of the \
                sender, so nothing could be verified there; remove it";
    let sqs =
        "[destination]\nkind = \"sqs\"\nurl = \"https://sqs.eu-west-2.amazonaws.com/1/q.fifo\"\n";
    for (document, problem) in [
        (AS_SENT.to_owned(), String::new()),
        (
            format!("{AS_SENT}pulled = \"ledger\"\n{ledger}"),
            String::new(),
        ),
        (
            format!("{AS_SENT}pulled = \"leger\"\n{ledger}"),
            "5: destination.pulled names an unknown destination: did you mean \"ledger\"?"
                .to_owned(),
        ),
        (
            format!("{AS_SENT}pulled = \"ledger\"\n"),
            "5: destination.pulled names an unknown destination: add [destinations.NAME], or \
             remove this key"
                .to_owned(),
        ),
        (
            format!("{AS_SENT}pulled = \"other\"\n{other}"),
            "5: destination.pulled names a destination that takes only what its sender signed, \
             too: name one with another format"
                .to_owned(),
        ),
        (
            format!("{other}pulled = \"other\"\n"),
            "5: destinations.other.pulled names a destination that takes only what its sender \
             signed, too: name one with another format"
                .to_owned(),
        ),
        (
            format!("{AS_SENT}secret = \"env:A\"\n"),
            "5: destination.secret is not used with format = \"as-sent\", which carries the \
             sender's own signature: remove it, or the format"
                .to_owned(),
        ),
        (
            AS_SENT.replace("as-sent", "as_sent"),
            "4: destination.format must be \"cloudevents\" or \"as-sent\": did you mean \
             \"as-sent\"?"
                .to_owned(),
        ),
        (
            format!("{sqs}format = \"as-sent\"\n"),
            format!("4: destination.format {only}"),
        ),
        (
            "[destination]\nkind = \"eventbridge\"\nbus = \"b\"\nformat = \"as-sent\"\n".to_owned(),
            format!("4: destination.format {only}"),
        ),
        (
            "[destination]\nkind = \"log\"\nformat = \"as-sent\"\n".to_owned(),
            format!("3: destination.format {only}"),
        ),
    ] {
        let document = format!("{document}{FINE}");
        if problem.is_empty() {
            Config::read(&document, "p").unwrap();
        } else {
            let found = problems(&document);
            assert!(
                found.contains(&format!("pillarbox.toml:{problem}")),
                "{document}\n{found}"
            );
        }
    }
}

#[test]
fn event_types_are_routed_by_names_that_are_configured() {
    let document = |routes: &str| {
        format!(
            "{routes}\n[destinations.ledger]\nkind = \"log\"\n[destinations.refunds]\nkind = \
             \"log\"\n[sources.pay]\nkind = \"govuk-pay\"\nsecrets = []{FINE}"
        )
    };
    let route = |source: &str, types: &str, destination: &str| {
        format!(
            "[[routes]]\nsource = \"{source}\"\ntypes = {types}\ndestination = \"{destination}\"\n"
        )
    };
    let refunded = r#"["card_payment_refunded"]"#;
    let fine = route("pay", refunded, "refunds") + &route("hmrc", r#"["notification"]"#, "ledger");
    let config = Config::read(&document(&fine), "p").unwrap();
    let routes: Vec<_> = config
        .routes
        .iter()
        .map(|route| (route.source.as_str(), &*route.types[0], &*route.destination))
        .collect();
    assert_eq!(
        routes,
        [
            ("pay", "card_payment_refunded", "refunds"),
            ("hmrc", "notification", "ledger")
        ]
    );
    for (routes, expected) in [
        (
            route("pa", refunded, "refunds"),
            "2: routes[0].source names an unknown source: did you mean \"pay\"?",
        ),
        (
            route("stripe", refunded, "refunds"),
            "2: routes[0].source names an unknown source: write one of those configured, pay or \
             hmrc",
        ),
        (
            route("pay", r#"["card_payment_refund"]"#, "refunds"),
            "did you mean \"card_payment_refunded\"?",
        ),
        (
            route("hmrc", refunded, "refunds"),
            "3: routes[0].types[0] must be \"notification\"",
        ),
        (
            route("pay", "[]", "refunds"),
            "3: routes[0].types must be a list of one or more event types",
        ),
        (
            route("pay", refunded, "refund"),
            "4: routes[0].destination names an unknown destination: did you mean \"refunds\"?",
        ),
        (
            route("pay", refunded, "refunds") + &route("pay", refunded, "ledger"),
            "5: routes[1] routes card_payment_refunded of pay, as routes[0] does: name a type in \
             one route only",
        ),
        (
            "[routes]\nsource = \"pay\"\n".to_owned(),
            "1: routes must be a list of tables: write [[routes]]",
        ),
        (
            route("pay", refunded, "refunds").replace("source", "sauce"),
            "1: routes[0] needs source",
        ),
    ] {
        let found = problems(&document(&routes));
        assert!(found.contains(expected), "{routes}{found}");
    }
}

#[test]
fn the_error_of_an_invalid_inbox_or_destination_says_what_to_write() {
    for (table, expected) in [
        (
            "[inbox]",
            "1: inbox needs kind: write kind = \"sqlite\" or kind = \"dynamodb\"",
        ),
        ("[inbox]\nkind = \"sqlite\"", ""),
        (
            "[inbox]\nkind = \"sqlte\"",
            "2: inbox.kind must be \"sqlite\" or \"dynamodb\": did you mean \"sqlite\"?",
        ),
        (
            "[inbox]\nkind = \"dynamodb\"\ntable = \"pillarbox\"\nshards = 4",
            "",
        ),
        (
            "[inbox]\nkind = \"dynamodb\"",
            "1: inbox needs table: write table = \"NAME\"",
        ),
        (
            "[inbox]\nkind = \"dynamodb\"\ntable = \"a b\"",
            "3: inbox.table is not a valid table name: write 3 to 255 of A-Z, a-z, 0-9, _, - and .",
        ),
        (
            "[inbox]\nkind = \"dynamodb\"\ntable = \"pillarbox\"\nshards = 0",
            "4: inbox.shards must be a whole number from 1 to 1024",
        ),
        (
            "[inbox]\nkind = \"sqlite\"\npth = \"p\"",
            "3: inbox.pth is not a known key: did you mean path?",
        ),
        (
            "[inbox]\nkind = \"sqlite\"\npath = 1",
            "3: inbox.path must be a path in quotes",
        ),
        (
            "[inbox]\nkind = \"sqlite\"\npath = \":memory:\"",
            "3: inbox.path does not name a file on disk: write its path, such as pillarbox.db",
        ),
        (
            "[destination]",
            "1: destination needs kind: write kind = \"log\", \"https\", \"sqs\" \
             or \"eventbridge\"",
        ),
        (
            "[destination]\nkind = \"kafka\"",
            "2: destination.kind must be \"log\", \"https\", \"sqs\" or \"eventbridge\"",
        ),
        (
            "[destination]\nkind = \"sqs\"\nurl = \"https://sqs.eu-west-2.amazonaws.com/1/q.fifo\"",
            "",
        ),
        (
            "[destination]\nkind = \"sqs\"\nurl = \"http://127.0.0.1:4566/1/q\"",
            "",
        ),
        (
            "[destination]\nkind = \"sqs\"",
            "1: destination needs url: write url \
             = \"https://sqs.REGION.amazonaws.com/ACCOUNT/NAME\"",
        ),
        (
            "[destination]\nkind = \"sqs\"\nurl = \"https://sqs.eu-west-2.amazonaws.com\"",
            "3: destination.url is not the URL of a queue: copy it whole, such as \
             https://sqs.eu-west-2.amazonaws.com/111122223333/NAME",
        ),
        (
            "[destination]\nkind = \"sqs\"\nurl = \"http://sqs.eu-west-2.amazonaws.com/1/q\"",
            "3: destination.url is plain http to another machine: write https, which http may \
             replace on loopback only",
        ),
        (
            "[destination]\nkind = \"sqs\"\nurl \
             = \"https://sqs.eu-west-2.amazonaws.com/1/q\"\nbus = \"b\"",
            "4: destination.bus is not a known key: known here are kind, url",
        ),
        (
            "[destination]\nkind = \"eventbridge\"\nbus = \"ledger\"",
            "",
        ),
        (
            "[destination]\nkind = \"eventbridge\"",
            "1: destination needs bus: write bus = \"NAME\"",
        ),
        (
            "[destination]\nkind = \"eventbridge\"\nbus = \"a bus\"",
            "3: destination.bus is not a bus: write its name, or its ARN \
             (arn:aws:events:REGION:ACCOUNT:event-bus/NAME)",
        ),
        (
            "[destination]\nkind = \"log\"\nurl = \"https://x.example\"",
            "3: destination.url is not a known key: known here are kind",
        ),
        (
            "[destination]\nkind = \"https\"\nurl = \"http://x.example\"\nsecret = \"env:A\"",
            "3: destination.url is plain http to another machine: write https, which http may \
             replace on loopback only",
        ),
        (
            "[destination]\nkind = \"https\"\nurl = \"http://127.0.0.1:9000\"",
            "1: destination needs secret: write secret = \"env:NAME\"",
        ),
        (
            "[destinations.Ledger]\nkind = \"log\"",
            "1: destinations.Ledger is not a valid destination name: begin with a-z, then up to 31 \
             of a-z, 0-9 and -",
        ),
    ] {
        let read = Config::read(&format!("{table}{FINE}"), "p");
        let message = read.map_or_else(|problems| problems.to_string(), |_| String::new());
        assert_eq!(
            message.strip_prefix("p:").unwrap_or(&message),
            expected,
            "{table}"
        );
    }
}

#[test]
fn a_source_names_a_configured_destination() {
    let document = |name: &str, rest: &str| {
        format!("[sources.pay]\nkind = \"govuk-pay\"\nsecrets = []\ndestination = {name}\n{rest}")
    };
    let none = "4: sources.pay.destination names an unknown destination: add \
     [destinations.NAME], or \
     remove this key";
    check(&document("\"ledger\"", ""), &[none]);
    let two = "[destinations.a]\nkind = \"log\"\n[destinations.b]\nkind = \"log\"\n";
    let written = "4: sources.pay.destination names an unknown destination: write one of \
     those configured, a or b";
    check(&document("\"ledger\"", two), &[written]);
    check(
        &document("1", two),
        &["4: sources.pay.destination must be the name of a destination in quotes"],
    );
    let broken = "[destinations.ledger]\nkind = \"logg\"\n";
    let kind = "6: destinations.ledger.kind must be \"log\", \"https\", \"sqs\" \
     or \"eventbridge\": did you mean \"log\"?";
    check(&document("\"ledger\"", broken), &[kind]);
}

#[test]
fn the_error_of_an_invalid_pull_says_what_to_write() {
    check(
        "[sources.hmrc]\nkind = \"hmrc\"\nsecrets = []\n[sources.hmrc.pull]\nenviroment \
         = \"sandbox\"\nboxes = []\n\
         client_id = \"abcdefgh\"\n",
        &[
            "4: sources.hmrc.pull needs environment: write environment = \"sandbox\" or \
             environment = \"production\"",
            "4: sources.hmrc.pull needs client_secret: write client_secret = \"env:NAME\"",
            "5: sources.hmrc.pull.enviroment is not a known key: did you mean environment?",
            "6: sources.hmrc.pull.boxes must be a list of one or more box ids: write \
             [\"50dca3fc-c37c-4f03-b719-63571333624c\"]",
            "7: sources.hmrc.pull.client_id is not a secret reference: write env:NAME, file:PATH \
             or \
             secretsmanager:ARN#field, never the secret itself",
        ],
    );
    check(
        "[sources.hmrc]\nkind = \"hmrc\"\nsecrets = []\npull.base_url \
         = \"http://127.0.0.1:1\"\npull.boxes = [\"b\"]\n\
         pull.client_id = \"env:ID\"\npull.client_secret = \"env:SECRET\"\n",
        &[
            "5: sources.hmrc.pull.boxes[0] must be a box id, a UUID such as \
             50dca3fc-c37c-4f03-b719-63571333624c",
        ],
    );
    check(
        "[sources.pay]\nkind = \"govuk-pay\"\nsecrets = []\n[sources.pay.pull]\nbase_url \
         = \"http://10.0.0.1\"\n",
        &[
            "4: sources.pay.pull needs api_key: write api_key = \"env:NAME\"",
            "5: sources.pay.pull.base_url is plain http to another machine: write https, which \
             http may replace on \
             loopback only",
        ],
    );
}

#[test]
fn debug_shows_no_more_of_a_destination_than_its_origin() {
    let document = format!(
        "[destination]\nkind = \"https\"\nurl \
         = \"https://x.example/hook/s3cr3t?token=s3cr3t\"\nsecret = \"env:A\"{FINE}"
    );
    let shown = format!("{:?}", Config::read(&document, "p").unwrap());
    assert!(
        shown.contains("https://x.example") && !shown.contains("s3cr3t"),
        "{shown}"
    );
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

#[test]
fn a_source_without_a_webhook_needs_a_pull_and_no_secret() {
    let document =
        |more: &str| format!("[sources.m]\nkind = \"govuk-pay\"\nwebhook = false\n{more}");
    let pull = "pull = { api_key = \"env:K\", every = \"30m\", after = \"3h\" }";
    let config = Config::read(&document(pull), "p").unwrap();
    let source = &config.sources[0];
    let pull = source.pull.as_ref().unwrap();
    assert!(!source.webhook && config.source_secrets().is_empty());
    assert_eq!(
        (
            pull.every.map(|every| every.as_secs()),
            pull.after.as_secs()
        ),
        (Some(30 * 60), 3 * 60 * 60)
    );
    for (more, problem) in [
        ("", "so it needs [sources.m.pull]"),
        (
            "pull = { api_key = \"env:K\", every = \"soon\" }",
            "a span of a minute to a day",
        ),
        (
            "pull = { api_key = \"env:K\", every = \"30s\" }",
            "a span of a minute to a day",
        ),
        (
            "pull = { api_key = \"env:K\", after = \"15d\" }",
            "a span of at most 14 days",
        ),
        (
            "pull = { api_key = \"env:K\" }\nsecrets = [\"env:S\"]",
            "verifies what a webhook posts",
        ),
        (
            "pull = { api_key = \"env:K\" }\nevents = []",
            "says what a webhook subscribes to",
        ),
    ] {
        let errors = Config::read(&document(more), "p").unwrap_err().to_string();
        assert!(errors.contains(problem), "{more}: {errors}");
    }
}

#[test]
fn an_event_that_pay_does_not_send_is_refused_with_the_nearest() {
    let document = |events: &str| {
        format!("[sources.p]\nkind = \"govuk-pay\"\nsecrets = []\nevents = {events}\n")
    };
    let config = Config::read(&document("[\"card_payment_captured\"]"), "p").unwrap();
    assert_eq!(config.sources[0].events, ["card_payment_captured"]);
    for (events, problem) in [
        (
            "[\"card_payment_capture\"]",
            "did you mean \"card_payment_captured\"?",
        ),
        (
            "[\"card_payment_settled\"]",
            "must be \"card_payment_succeeded\"",
        ),
        ("[]", "must be a list of the events that are ticked"),
    ] {
        let errors = Config::read(&document(events), "p")
            .unwrap_err()
            .to_string();
        assert!(errors.contains(problem), "{events}: {errors}");
    }
}
