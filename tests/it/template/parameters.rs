//! The parameters of the template, and the values that it refuses before it creates anything.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use serde_json::Value;

use test_support::repository;

use super::TemplateStack;

#[test]
fn everything_optional_defaults_to_none_and_the_rest_to_what_is_documented() {
    let documented = [
        ("Environment", "dev"),
        ("Architecture", "arm64"),
        ("LambdaDeploymentPreference", "AllAtOnce"),
        ("FrontDoor", "http-api"),
        ("LogLevel", "INFO"),
        ("LogRetentionDays", "7"),
        ("CreateAlarms", "true"),
        ("MinimalAlarms", "false"),
        ("HmrcSilenceHours", "off"),
        ("PaySilenceHours", "off"),
        ("Tracing", "PassThrough"),
        ("Reconcile", "off"),
        ("Hmrc", "on"),
        ("HmrcEnvironment", "sandbox"),
        ("Pay", "on"),
        ("PayLive", "false"),
        ("DestinationKind", "eventbridge"),
        ("RetentionDays", "90"),
        ("AcceptanceDays", "60"),
        ("Shards", "16"),
        ("ThrottleRate", "500"),
        ("ThrottleBurst", "1000"),
    ];
    let optional = [
        "PermissionsBoundary",
        "CodeSigningConfigArn",
        "NotificationTopicArn",
        "AlarmEmail",
        "CSLSSubscriptionEndpointArn",
        "DomainName",
        "CertificateArn",
        "HostedZoneId",
        "RunBookURL",
        "HmrcBoxes",
        "ConfigurationSecretArn",
        "SourceNames",
        "SourceSecretArns",
        "PullSecretArns",
        "DestinationSecretArns",
        "DestinationBusArn",
        "DestinationQueueArn",
        "DestinationUrl",
        "DestinationSecretArn",
        "DestinationKeyArn",
        "ReceiveConcurrency",
        "ProcessConcurrency",
        "SweepConcurrency",
        "ReconcileConcurrency",
    ];
    let expected: BTreeMap<_, _> = documented
        .into_iter()
        .chain(optional.map(|name| (name, "none")))
        .map(|(n, d)| (n.to_owned(), d))
        .collect();
    let stack = TemplateStack::with(&[]);
    let parameters = stack.template()["Parameters"].as_object().unwrap();
    let text = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    let found: BTreeMap<_, _> = parameters
        .iter()
        .map(|(name, it)| (name.clone(), text(&it["Default"])))
        .collect();
    assert_eq!(
        found,
        expected
            .into_iter()
            .map(|(name, default)| (name, default.to_owned()))
            .collect()
    );
    assert!(
        parameters
            .values()
            .all(|parameter| parameter["Description"].is_string())
    );
}

#[test]
fn every_parameter_is_in_a_group() {
    let stack = TemplateStack::with(&[]);
    let groups = &stack.template()["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"];
    let grouped: Vec<_> = groups
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["Parameters"].as_array().unwrap())
        .collect();
    let named: BTreeSet<_> = grouped.iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(named.len(), grouped.len());
    assert_eq!(
        named,
        stack.template()["Parameters"]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect()
    );
}

#[test]
fn parameters_that_can_not_work_together_are_refused_before_anything_is_made() {
    for (parameters, says) in [
        (
            &[("Hmrc", "off"), ("Pay", "off")][..],
            "Hmrc or Pay must be on.",
        ),
        (
            &[("DomainName", "callbacks.service.gov.uk")],
            "DomainName needs CertificateArn.",
        ),
        (
            &[("Reconcile", "on"), ("Pay", "off")],
            "Without Pay there is nothing to reconcile but HMRC's boxes, so Reconcile needs \
             HmrcBoxes.",
        ),
        (
            &[
                ("Pay", "off"),
                ("PayLive", "true"),
                ("DomainName", "a.gov.uk"),
                ("CertificateArn", "arn"),
            ],
            "PayLive needs Pay.",
        ),
        (
            &[
                ("AlarmEmail", "a@example.gov.uk"),
                ("CreateAlarms", "false"),
            ],
            "AlarmEmail needs CreateAlarms.",
        ),
        (
            &[
                ("AlarmEmail", "a@example.gov.uk"),
                ("NotificationTopicArn", "arn"),
            ],
            "AlarmEmail is for the stack's own topic: subscribe it to NotificationTopicArn \
             instead.",
        ),
        (
            &[("DestinationKind", "sqs")],
            "The DestinationKind sqs needs DestinationQueueArn.",
        ),
        (
            &[("DestinationKind", "https")],
            "The DestinationKind https needs DestinationUrl.",
        ),
        (
            &[("DestinationKind", "log"), ("DestinationBusArn", "arn")],
            "DestinationBusArn is for the DestinationKind eventbridge only.",
        ),
        (
            &[("DestinationQueueArn", "arn")],
            "DestinationQueueArn is for the DestinationKind sqs only.",
        ),
        (
            &[("DestinationUrl", "https://ledger.example.gov.uk/")],
            "DestinationUrl is for the DestinationKind https only.",
        ),
        (
            &[("RetentionDays", "67")],
            "A RetentionDays of less than 68 needs an AcceptanceDays of 31.",
        ),
        (
            &[("PayLive", "true")],
            "Live GOV.UK Pay webhooks are sent to names under gov.uk only, so PayLive needs \
             DomainName.",
        ),
        (
            &[
                ("FrontDoor", "function-url"),
                ("DomainName", "a.gov.uk"),
                ("CertificateArn", "arn"),
            ],
            "A function URL cannot have a DomainName.",
        ),
    ] {
        assert_eq!(
            TemplateStack::with(parameters).refusals(),
            [says],
            "{parameters:?}"
        );
    }
}

#[test]
fn every_window_that_the_template_allows_is_one_that_the_functions_accept() {
    let parameters = TemplateStack::with(&[]).template()["Parameters"].clone();
    let bounds = |name: &str| ["MinValue", "MaxValue"].map(|end| parameters[name][end].clone());
    assert_eq!(bounds("RetentionDays"), [39, 3650]);
    assert_eq!(bounds("AcceptanceDays"), [31, 60]);
    let days = (39..=69).map(|days| (days, 60));
    for (days, window) in days.chain([(39, 31), (67, 31), (67, 32), (90, 31), (3650, 60)]) {
        let [kept, accepted] = [days, window].map(|count: u32| count.to_string());
        let given = [
            ("RetentionDays", kept.as_str()),
            ("AcceptanceDays", accepted.as_str()),
        ];
        let fits = days >= 68 || window == 31;
        assert!(!fits || window + 7 < days);
        assert_eq!(
            TemplateStack::with(&given).refusals().is_empty(),
            fits,
            "{given:?}"
        );
    }
}

/// `sam build` compiles for the architecture that it is given, and `sam deploy` does not look.
#[test]
fn each_environment_is_built_for_the_architecture_that_it_is_deployed_with() {
    let text = fs::read_to_string(repository("samconfig.toml")).unwrap();
    let document: toml::Table = toml::from_str(&text).unwrap();
    let environments = document.iter().filter(|(_, value)| value.is_table());
    let mut count = 0;
    for (name, commands) in environments {
        let architecture = |command: &str| {
            let overrides = commands[command]["parameters"]["parameter_overrides"].as_array();
            let all = overrides.unwrap().iter().map(|one| one.as_str().unwrap());
            let found: Vec<_> = all.filter(|one| one.starts_with("Architecture=")).collect();
            assert_eq!(found.len(), 1, "{name} {command}");
            found[0].to_owned()
        };
        assert_eq!(architecture("build"), architecture("deploy"), "{name}");
        count += 1;
    }
    assert_eq!(count, 3);
}
