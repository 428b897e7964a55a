//! The document every function is given, and that no secret is in it.

use std::{collections::BTreeSet, fs};

use pillarbox::config::Config;

use test_support::repository;

use super::{BOX, PULLING, TemplateStack, stacks};

/// How every secret of a stack begins.
const SECRET: &str =
    "secretsmanager:arn:aws:secretsmanager:eu-west-2:123456789012:secret:pillarbox-";

/// What Lambda allows all variables of a function together.
const VARIABLES: usize = 4096;

/// The document that every function of a stack is given.
pub(super) fn document(stack: &TemplateStack) -> String {
    let documents = stack
        .of_type("AWS::Serverless::Function")
        .into_keys()
        .map(|id| {
            let variables = stack.properties(&id)["Environment"]["Variables"].clone();
            let names: Vec<_> = variables.as_object().unwrap().keys().cloned().collect();
            assert_eq!(
                names,
                ["PILLARBOX_CONFIG", "PILLARBOX_LOG", "PILLARBOX_METRICS"],
                "{id}"
            );
            variables["PILLARBOX_CONFIG"].as_str().unwrap().to_owned()
        });
    let distinct: BTreeSet<_> = documents.collect();
    assert_eq!(distinct.len(), 1);
    distinct.into_iter().next().unwrap()
}

/// The value in a document, and the value expected.
fn check(parameters: &[(&str, &str)], expected: &str) {
    let document = document(&TemplateStack::with(parameters));
    let [found, expected] =
        [&document, expected].map(|text| toml::from_str::<toml::Table>(text).unwrap());
    assert_eq!(found, expected, "{document}");
}

#[test]
fn the_defaults_receive_from_both_senders_and_deliver_to_the_stacks_bus() {
    let expected = r#"
retention_days = 90
acceptance_days = 60
[inbox]
kind = "dynamodb"
table = "pillarbox-Table-1ABCDEFGHIJKL"
shards = 16
[sources.hmrc]
kind = "hmrc"
secrets = [
    "SECRET-HmrcSecret-1ABCDEFGHIJKL-AbCdEf#current",
    "SECRET-HmrcSecret-1ABCDEFGHIJKL-AbCdEf#previous",
]
[sources.pay]
kind = "govuk-pay"
live = false
secrets = [
    "SECRET-PaySecret-1ABCDEFGHIJKL-AbCdEf#current",
    "SECRET-PaySecret-1ABCDEFGHIJKL-AbCdEf#previous",
]
[destination]
kind = "eventbridge"
bus = "pillarbox-notifications"
"#;
    check(&[], &expected.replace("SECRET-", SECRET));
}

#[test]
fn pulls_name_their_boxes_and_their_credentials() {
    let second = "00000000-0000-4000-8000-000000000000";
    let boxes = format!("{BOX},{second}");
    let given = [
        ("Reconcile", "on"),
        ("HmrcBoxes", boxes.as_str()),
        ("HmrcEnvironment", "production"),
    ];
    let document: toml::Table = toml::from_str(&document(&TemplateStack::with(&given))).unwrap();
    let secret = |id: &str| format!("{SECRET}{id}-1ABCDEFGHIJKL-AbCdEf");
    let expected = toml::toml! {
        environment = "production"
        boxes = ["50dca3fc-c37c-4f03-b719-63571333624c", "00000000-0000-4000-8000-000000000000"]
    };
    let hmrc = document["sources"]["hmrc"]["pull"].as_table().unwrap();
    assert_eq!(hmrc["environment"], expected["environment"]);
    assert_eq!(hmrc["boxes"], expected["boxes"]);
    assert_eq!(
        hmrc["client_id"].as_str(),
        Some(format!("{}#client_id", secret("HmrcApiSecret")).as_str())
    );
    assert_eq!(
        hmrc["client_secret"].as_str(),
        Some(format!("{}#client_secret", secret("HmrcApiSecret")).as_str())
    );
    let pay = document["sources"]["pay"]["pull"].as_table().unwrap();
    assert_eq!(
        pay["api_key"].as_str(),
        Some(format!("{}#api_key", secret("PayApiSecret")).as_str())
    );
    assert_eq!((hmrc.len(), pay.len()), (4, 1));
}

#[test]
fn a_sender_that_is_off_is_not_in_the_document() {
    for (off, left) in [("Hmrc", "pay"), ("Pay", "hmrc")] {
        let given = [&PULLING[..], &[(off, "off")]].concat();
        let document: toml::Table =
            toml::from_str(&document(&TemplateStack::with(&given))).unwrap();
        assert_eq!(
            document["sources"]
                .as_table()
                .unwrap()
                .keys()
                .collect::<Vec<_>>(),
            [left]
        );
    }
}

#[test]
fn each_kind_of_destination_is_given_what_it_needs() {
    let secret = "arn:aws:secretsmanager:eu-west-2:123456789012:secret:ledger-AbCdEf";
    for (given, expected) in [
        (
            &[("DestinationKind", "log")][..],
            "kind = \"log\"".to_owned(),
        ),
        (
            &[(
                "DestinationBusArn",
                "arn:aws:events:eu-west-2:123456789012:event-bus/orders",
            )],
            "kind = \"eventbridge\"\nbus \
             = \"arn:aws:events:eu-west-2:123456789012:event-bus/orders\""
                .to_owned(),
        ),
        (
            &[
                ("DestinationKind", "sqs"),
                (
                    "DestinationQueueArn",
                    "arn:aws:sqs:eu-west-1:999999999999:orders.fifo",
                ),
            ],
            "kind = \"sqs\"\nurl \
             = \"https://sqs.eu-west-1.amazonaws.com/999999999999/orders.fifo\""
                .to_owned(),
        ),
        (
            &[
                ("DestinationKind", "https"),
                ("DestinationUrl", "https://ledger.example.gov.uk/events"),
                ("DestinationSecretArn", secret),
            ],
            format!(
                "kind = \"https\"\nurl = \"https://ledger.example.gov.uk/events\"\nsecret \
                 = \"secretsmanager:{secret}#current\""
            ),
        ),
    ] {
        let document: toml::Table = toml::from_str(&document(&TemplateStack::with(given))).unwrap();
        assert_eq!(
            document["destination"].as_table().unwrap(),
            &toml::from_str::<toml::Table>(&expected).unwrap()
        );
    }
}

#[test]
fn every_document_is_a_configuration() {
    for stack in stacks() {
        let document = document(&stack);
        Config::read(&document, "PILLARBOX_CONFIG")
            .unwrap_or_else(|problems| panic!("{problems}\n{document}"));
    }
}

#[test]
fn the_longest_configuration_fits_into_what_lambda_allows() {
    let boxes = [BOX; 20].join(",");
    let target = format!("https://{}", "x".repeat(504));
    let secret = format!(
        "arn:aws:secretsmanager:eu-west-2:123456789012:secret:{}",
        "x".repeat(203)
    );
    let longest = [
        ("Reconcile", "on"),
        ("HmrcBoxes", boxes.as_str()),
        ("HmrcEnvironment", "production"),
        ("PayLive", "false"),
        ("RetentionDays", "3650"),
        ("AcceptanceDays", "60"),
        ("Shards", "1024"),
        ("DestinationKind", "https"),
        ("DestinationUrl", target.as_str()),
        ("DestinationSecretArn", secret.as_str()),
        ("LogLevel", "ERROR"),
    ];
    // The longest name a stack can have.
    let stack = TemplateStack::with(&longest).named(&"n".repeat(128));
    let parameters = &stack.template()["Parameters"];
    assert_eq!(
        parameters["DestinationUrl"]["MaxLength"],
        512,
        "{}",
        target.len()
    );
    assert_eq!(
        parameters["DestinationSecretArn"]["MaxLength"],
        256,
        "{}",
        secret.len()
    );
    assert!(
        parameters["HmrcBoxes"]["AllowedPattern"]
            .as_str()
            .unwrap()
            .contains("{0,19}")
    );
    let document = document(&stack);
    let others = [
        "PILLARBOX_CONFIG",
        "PILLARBOX_LOG",
        "ERROR",
        "PILLARBOX_METRICS",
        "minimal",
    ];
    let length = document.len() + others.concat().len();
    assert!(
        (VARIABLES * 3 / 4..=VARIABLES).contains(&length),
        "{length}"
    );
}

#[test]
fn no_value_of_a_secret_is_in_the_template() {
    for stack in stacks() {
        for (id, secret) in stack.of_type("AWS::SecretsManager::Secret") {
            let keys: Vec<_> = secret["Properties"]
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect();
            assert_eq!(keys, ["Description", "KmsKeyId"], "{id}");
        }
        let document = document(&stack);
        let secret = |line: &&str| {
            ["secret", "client_id", "api_key"]
                .iter()
                .any(|key| line.starts_with(key))
                && line.contains('=')
        };
        for reference in document
            .lines()
            .filter(secret)
            .flat_map(|line| line.split('"').skip(1).step_by(2))
        {
            assert!(
                reference.starts_with("secretsmanager:arn:aws:secretsmanager:"),
                "{reference}"
            );
        }
    }
    let path = repository("template.yaml");
    let text = fs::read_to_string(path).unwrap();
    for value in [
        "webhook_test_",
        "webhook_live_",
        "BEGIN ",
        "AKIA",
        "NoEcho",
        "resolve:",
    ] {
        assert!(!text.contains(value), "{value}");
    }
    // The words for the form of a secret may be there, a secret in that form not.
    let follows = |rest: &str| {
        rest.chars()
            .next()
            .is_some_and(|next| next.is_ascii_alphanumeric())
    };
    assert!(!text.split("whsec_").skip(1).any(follows));
}
