use super::*;
use crate::{
    config::tests::{EXAMPLE, HMRC_SECRET, TEST_SECRET, WHSEC, with},
    secrets::FetchedSecrets,
};

fn read_with_secrets(
    document: &str,
    name: &str,
    secret_sources: &SecretSources<'_>,
) -> Result<ResolvedSecrets, ConfigErrors> {
    Config::read_to_use(document, name, secret_sources)?.secrets(secret_sources)
}

#[test]
fn the_secrets_of_the_example_are_labelled_by_position_and_reference() {
    let variables = [
        ("HMRC_PUSH_SECRET", HMRC_SECRET),
        ("PAY_SIGNING_SECRET", TEST_SECRET),
        ("LEDGER_WHSEC", WHSEC),
    ];
    let secrets = with(&variables, |secret_sources| {
        read_with_secrets(EXAMPLE, "pillarbox.toml", secret_sources)
    })
    .unwrap();

    let labels: Vec<_> = secrets
        .sources
        .iter()
        .map(|source| (source.name.as_str(), source.keys[0].label()))
        .collect();
    assert_eq!(
        labels,
        [
            ("hmrc", "1:env:HMRC_PUSH_SECRET"),
            ("pay", "1:env:PAY_SIGNING_SECRET")
        ]
    );
    assert!(secrets.destinations.default.is_empty());
    assert_eq!(secrets.destinations.named["ledger"].len(), 1);
    for secret in [HMRC_SECRET, TEST_SECRET, WHSEC] {
        assert!(!format!("{secrets:?}").contains(secret));
    }
}

#[test]
fn weak_secrets_are_refused_with_their_places() {
    let document = r#"
[sources.pay]
kind = "govuk-pay"
live = true
secrets = [
  "env:EMPTY", "env:UNSET",
  "env:TEST", "file:/run/secrets/pay", "env:SHORT"]
[destination]
kind = "https"
url = "https://ledger.example.gov.uk/"
secret = "env:UNSET"
[destinations.other]
kind = "https"
url = "https://other.example.gov.uk/"
secret = "env:TEST"
"#;
    let variables = [("EMPTY", ""), ("TEST", TEST_SECRET), ("SHORT", "hunter2")];
    let expected = "\
pillarbox.toml:6: sources.pay.secrets[0] (env:EMPTY) is empty: put the secret there exactly as \
 the sender shows it
pillarbox.toml:6: sources.pay.secrets[1] (env:UNSET) is not set: set that environment variable, \
 or write secrets = [] to answer challenges only for now
pillarbox.toml:7: sources.pay.secrets[2] (env:TEST) is a test secret (webhook_test_…) on a source \
 with live = true: use the live webhook's secret, or set live = false
pillarbox.toml:7: sources.pay.secrets[3] (file:/run/secrets/pay) cannot be read (entity not \
 found): check the path and its permissions
pillarbox.toml:7: sources.pay.secrets[4] (env:SHORT) is only 7 bytes long, and a secret needs at \
 least 16: copy the whole of it
pillarbox.toml:11: destination.secret (env:UNSET) is not set: set that environment variable
pillarbox.toml:15: destinations.other.secret (env:TEST) is not a Standard Webhooks secret: whsec_ \
 and 24 to 64 bytes in base64";
    let read = |document: &str| {
        with(&variables, |secret_sources| {
            read_with_secrets(document, "pillarbox.toml", secret_sources).map(|_| ())
        })
    };
    assert_eq!(read(document).unwrap_err().to_string(), expected);

    let mistaken = format!("{document}colour = \"red\"\n");
    let both = format!(
        "{expected}\npillarbox.toml:16: destinations.other.colour is not a known key: known \
         here are kind, allow, url, ca, in_flight, format, secrets, secret"
    );
    assert_eq!(
        read(&mistaken).unwrap_err().to_string(),
        both,
        "one list holds both sorts"
    );
}

#[test]
fn a_secret_that_does_not_have_its_sender_s_form_is_refused() {
    let checked = |kind: &str, live: &str, secret: &str| {
        let document = format!("[sources.s]\nkind = \"{kind}\"\n{live}\nsecrets = [\"env:S\"]\n");
        let read = with(&[("S", secret)], |secret_sources| {
            read_with_secrets(&document, "p", secret_sources).map(|_| ())
        });
        read.map_err(|problems| problems.to_string())
    };
    let quoted = |secret: &str| format!("\"{secret}\"");
    let refused = |form: &str| {
        Err(format!(
            "p:4: sources.s.secrets[0] (env:S) is not {form}, which is the form of this sender's \
             secrets: copy it exactly as the sender shows it, without quotation marks"
        ))
    };
    let pay = "webhook_test_ or webhook_live_ and then letters and digits";
    for live in ["live = false", "live = true"] {
        for wrong in [
            quoted(TEST_SECRET),
            format!("PAY_SECRET={TEST_SECRET}"),
            format!("{LIVE_SECRET}-"),
            format!("{LIVE_SECRET}\u{e9}"),
            "webhook_prod_7mrp1d5lsa5pdfs2bvim2f9cdu".to_owned(),
            HMRC_SECRET.to_owned(),
        ] {
            assert_eq!(checked("govuk-pay", live, &wrong), refused(pay), "{wrong}");
        }
        assert_eq!(checked("govuk-pay", live, LIVE_SECRET), Ok(()));
    }
    let hmrc = "32 letters and digits";
    for wrong in [
        quoted(HMRC_SECRET),
        format!("{HMRC_SECRET}A"),
        HMRC_SECRET.replace('A', "-"),
        TEST_SECRET.to_owned(),
    ] {
        assert_eq!(checked("hmrc", "", &wrong), refused(hmrc), "{wrong}");
    }
    assert_eq!(checked("hmrc", "", HMRC_SECRET), Ok(()));
}

#[test]
fn the_secrets_of_a_source_that_cannot_be_read_are_checked() {
    let document = "[sources.Pay]\nkind = \"pay\"\nsecrets = [\"env:UNSET\"]\n";
    let read = with(&[], |secret_sources| {
        read_with_secrets(document, "p", secret_sources).map(|_| ())
    });
    let lines: Vec<_> = read.unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(
        lines[2].starts_with("p:3: sources.Pay.secrets[0] (env:UNSET) is not set"),
        "{lines:?}"
    );
}

#[test]
fn two_references_to_one_value_are_refused_in_two_sources() {
    let other = "webhook_live_7mrp1d5lsa5pdfs2bvim2f9cdu";
    let variables = [
        ("A", TEST_SECRET),
        ("B", TEST_SECRET),
        ("C", other),
        ("H", HMRC_SECRET),
        ("I", HMRC_SECRET),
    ];
    let source = |name: &str, kind: &str, secrets: &str| {
        format!("[sources.{name}]\nkind = \"{kind}\"\nsecrets = {secrets}\n")
    };
    let same = "holds the same value as a secret of sources.one: each needs its own";
    for (kind, first, second, problem) in [
        ("govuk-pay", r#"["env:A"]"#, r#"["env:C"]"#, None),
        ("govuk-pay", r#"["env:A"]"#, r#"["env:B"]"#, Some(same)),
        (
            "govuk-pay",
            r#"["env:C", "env:A"]"#,
            r#"["env:B"]"#,
            Some(same),
        ),
        ("govuk-pay", r#"["env:A", "env:B"]"#, r#"["env:C"]"#, None),
        ("hmrc", r#"["env:H"]"#, r#"["env:H"]"#, None),
        ("hmrc", r#"["env:H"]"#, r#"["env:I"]"#, Some(same)),
    ] {
        let document = source("one", kind, first) + &source("two", kind, second);
        let (strict, usable) = with(&variables, |secret_sources| {
            let config = Config::read(&document, "p").unwrap();
            let strict = config.sender_secrets(secret_sources);
            (strict, config.usable_sender_secrets(secret_sources))
        });
        let message = strict.err().map(|problems| problems.to_string());
        assert_eq!(
            message.is_some(),
            problem.is_some(),
            "{document}: {message:?}"
        );
        if let Some(words) = problem {
            let message = message.as_ref().unwrap();
            assert!(
                message.starts_with("p:6: sources.two.secrets[0]"),
                "{message}"
            );
            assert!(
                message.contains(words) && !message.contains(TEST_SECRET),
                "{message}"
            );
            assert_eq!(
                message.contains("name the same reference in both"),
                kind == "hmrc",
                "{message}"
            );
            assert_eq!(usable.1[0].why, SecretError::Shared);
        }
        assert!(
            usable.0.iter().all(|source| !source.keys.is_empty()),
            "genuine notifications are accepted all the same"
        );
    }
}

/// A document whose secrets are all kept under one ARN.
const MANAGED: &str = r#"
[sources.pay]
kind = "govuk-pay"
live = true
secrets = [
  "secretsmanager:arn:aws:secretsmanager:eu-west-2:111122223333:secret:pay-AbCdEf#current",
  "secretsmanager:arn:aws:secretsmanager:eu-west-2:111122223333:secret:pay-AbCdEf#previous",
]
[destination]
kind = "https"
url = "https://ledger.example.gov.uk/"
secret = "secretsmanager:arn:aws:secretsmanager:eu-west-2:111122223333:secret:pay-AbCdEf#whsec"
"#;
const ARN: &str = "arn:aws:secretsmanager:eu-west-2:111122223333:secret:pay-AbCdEf";
const LIVE_SECRET: &str = "webhook_live_7mrp1d5lsa5pdfs2bvim2f9cdu";

fn holding(read: Result<Option<String>, SecretsManagerError>) -> FetchedSecrets {
    let mut vault = FetchedSecrets::default();
    vault.put(ARN.to_owned(), read.map(|text| text.map(Secret::new)));
    vault
}

/// The labels of the usable keys, and the errors of the others with their places.
fn usable(vault: &FetchedSecrets) -> (Vec<String>, Vec<String>) {
    let config = Config::read(MANAGED, "p").unwrap();
    with(&[], |secret_sources| {
        let secret_sources = SecretSources {
            vault,
            ..*secret_sources
        };
        let (sources, unusable) = config.usable_sender_secrets(&secret_sources);
        let strict = config.sender_secrets(&secret_sources);
        assert_eq!(
            strict.is_ok(),
            unusable.is_empty(),
            "strict is the same without the leniency"
        );
        let labels = sources[0]
            .keys
            .iter()
            .map(|key| key.label().to_owned())
            .collect();
        (
            labels,
            unusable
                .iter()
                .map(|one| format!("{:?}: {}", one.why, one.problem))
                .collect(),
        )
    })
}

#[test]
fn a_secret_without_a_value_is_skipped_and_an_unusable_one_is_reported() {
    let [current, previous] = ["current", "previous"].map(|field| {
        format!(
            "sources.pay.secrets[{}] (secretsmanager:{ARN}#{field})",
            usize::from(field == "previous")
        )
    });
    let (fields, no_fields) = (
        |current: &str, previous: &str| {
            Ok(Some(format!(
                r#"{{"current":"{current}","previous":"{previous}"}}"#
            )))
        },
        Vec::<String>::new(),
    );
    let both = [
        "1:pay-AbCdEf#current".to_owned(),
        "2:pay-AbCdEf#previous".to_owned(),
    ];
    for (read, labels, wrong) in [
        (
            fields(LIVE_SECRET, LIVE_SECRET),
            &both[..],
            no_fields.clone(),
        ),
        (Ok(None), &[], vec![]),
        (Ok(Some("{}".to_owned())), &[], vec![]),
        (
            Ok(Some(format!(r#"{{"current":"{LIVE_SECRET}"}}"#))),
            &both[..1],
            vec![],
        ),
        (
            fields(TEST_SECRET, LIVE_SECRET),
            &both[1..],
            vec![format!(
                "TestOnLive: p:6: {current} {}",
                SecretError::TestOnLive
            )],
        ),
        (
            fields(LIVE_SECRET, ""),
            &both[..1],
            vec![format!("Empty: p:7: {previous} {}", SecretError::Empty)],
        ),
        (
            Ok(Some(LIVE_SECRET.to_owned())),
            &[],
            vec![
                format!("NoFields: p:6: {current} {}", SecretError::NoFields),
                format!("NoFields: p:7: {previous} {}", SecretError::NoFields),
            ],
        ),
        (
            Err(SecretsManagerError::Denied),
            &[],
            vec![
                format!(
                    "Unread(Denied): p:6: {current} {}",
                    SecretsManagerError::Denied
                ),
                format!(
                    "Unread(Denied): p:7: {previous} {}",
                    SecretsManagerError::Denied
                ),
            ],
        ),
    ] {
        let (found, messages) = usable(&holding(read.clone()));
        assert_eq!((&found[..], &messages), (labels, &wrong), "{read:?}");
        assert!(
            messages
                .iter()
                .all(|line| !line.contains(LIVE_SECRET) && !line.contains(TEST_SECRET))
        );
    }
}

#[test]
fn a_missing_destination_secret_is_an_error_of_no_source() {
    let config = Config::read(MANAGED, "p").unwrap();
    let outcome = |read| {
        with(&[], |secret_sources| {
            let vault = holding(read);
            let (secrets, unusable) = config.usable_destination_secrets(&SecretSources {
                vault: &vault,
                ..*secret_sources
            });
            (
                !secrets.default.is_empty(),
                unusable
                    .iter()
                    .map(|one| (one.source.is_some(), one.why))
                    .collect::<Vec<_>>(),
            )
        })
    };
    assert_eq!(
        outcome(Ok(Some(format!(r#"{{"whsec":"{WHSEC}"}}"#)))),
        (true, vec![])
    );
    assert_eq!(
        outcome(Ok(None)),
        (false, vec![(false, SecretError::NoneYet)])
    );
    let away = SecretError::Unread(SecretsManagerError::Unavailable);
    assert_eq!(
        outcome(Err(SecretsManagerError::Unavailable)),
        (false, vec![(false, away)])
    );
}

#[test]
fn the_credentials_of_an_api_are_fetched_for_reconciling_alone() {
    let config = Config::read(EXAMPLE, "p").unwrap();
    let all = [
        ("HMRC_CLIENT_ID", "a client id of HMRC's"),
        ("HMRC_CLIENT_SECRET", HMRC_SECRET),
        ("PAY_API_KEY", "api_test_7mrp1d5lsa5pdfs2bvim2f9cdu"),
    ];
    let [hmrc, pay] = &config.sources[..] else {
        panic!("two sources")
    };
    with(&all, |secret_sources| {
        let hmrc = hmrc.pull_secrets(secret_sources).unwrap();
        let shown = format!("{hmrc:?}");
        let [client_id, client_secret] = &hmrc.unwrap()[..] else {
            panic!("HMRC needs two credentials")
        };
        assert_eq!(client_id.expose(), "a client id of HMRC's");
        assert_eq!(client_secret.expose(), HMRC_SECRET);
        assert!(!shown.contains(HMRC_SECRET));
        assert_eq!(pay.pull_secrets(secret_sources).unwrap().unwrap().len(), 1);
        let live = SourceConfig {
            live: true,
            ..pay.clone()
        };
        assert_eq!(
            live.pull_secrets(secret_sources).unwrap_err()[0].why,
            SecretError::TestKeyOnLive
        );
        let none = SourceConfig {
            pull: None,
            ..pay.clone()
        };
        assert!(none.pull_secrets(secret_sources).unwrap().is_none());
    });
    with(&all[2..], |secret_sources| {
        let unusable = hmrc.pull_secrets(secret_sources).unwrap_err();
        let messages: Vec<_> = unusable.iter().map(|one| one.problem.to_string()).collect();
        assert_eq!(messages.len(), 2, "{messages:?}");
        assert!(
            messages[0].ends_with("(env:HMRC_CLIENT_ID) is not set: set that environment variable"),
            "{messages:?}"
        );
    });
    let references: Vec<_> = config.pull_references().map(ToString::to_string).collect();
    assert_eq!(
        references,
        [
            "env:HMRC_CLIENT_ID",
            "env:HMRC_CLIENT_SECRET",
            "env:PAY_API_KEY"
        ]
    );
}

#[test]
fn each_role_has_its_own_references_and_an_invalid_document_queries_none() {
    let config = Config::read(MANAGED, "p").unwrap();
    assert_eq!(
        config
            .sender_references()
            .filter_map(SecretRef::arn)
            .collect::<Vec<_>>(),
        [ARN, ARN]
    );
    assert_eq!(
        config
            .destination_references()
            .filter_map(SecretRef::arn)
            .collect::<Vec<_>>(),
        [ARN]
    );
    let broken = format!("colour = \"red\"{MANAGED}");
    let messages = with(&[], |secret_sources| {
        read_with_secrets(&broken, "p", secret_sources)
    })
    .unwrap_err();
    assert_eq!(messages.iter().count(), 1, "{messages}");
}
