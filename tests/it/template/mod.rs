//! The template, held to what it promises: what each function may do and when it runs, the
//! configuration it is given, and that alarms watch series that exist.

mod alarms;
mod configuration;
mod dashboard;
mod exceptions;
mod front;
mod functions;
mod kept;
mod parameters;
mod prices;
mod roles;
mod series;

use std::collections::BTreeSet;

use serde_json::Value;
use test_support::cloudformation::TemplateStack;

/// A box id, as HMRC makes them.
const BOX: &str = "50dca3fc-c37c-4f03-b719-63571333624c";
/// The four functions by their role.
const FUNCTIONS: [(&str, &str); 4] = [
    ("Receive", "receive"),
    ("Process", "process"),
    ("Sweep", "sweep"),
    ("Reconciler", "reconcile"),
];

/// Parameters that make every conditional part of the pulls.
const PULLING: [(&str, &str); 2] = [("Reconcile", "on"), ("HmrcBoxes", BOX)];

/// Sets of parameters that between them make everything the template can.
fn shapes() -> Vec<Vec<(&'static str, &'static str)>> {
    let domain = [
        ("DomainName", "callbacks.service.gov.uk"),
        (
            "CertificateArn",
            "arn:aws:acm:eu-west-2:123456789012:certificate/0-0",
        ),
        ("HostedZoneId", "Z123"),
    ];
    let caps = [
        ("ReceiveConcurrency", "100"),
        ("ProcessConcurrency", "100"),
        ("SweepConcurrency", "2"),
        ("ReconcileConcurrency", "1"),
        ("HmrcSilenceHours", "96"),
        ("PaySilenceHours", "24"),
    ];
    let all = [
        (
            "PermissionsBoundary",
            "arn:aws:iam::123456789012:policy/boundary",
        ),
        (
            "CodeSigningConfigArn",
            "arn:aws:lambda:eu-west-2:123456789012:code-signing-config:csc-0123456789abcdef0",
        ),
        ("LambdaDeploymentPreference", "Canary10Percent5Minutes"),
        (
            "NotificationTopicArn",
            "arn:aws:sns:eu-west-2:123456789012:alarms",
        ),
        (
            "CSLSSubscriptionEndpointArn",
            "arn:aws:logs:eu-west-2:123456789012:destination:csls",
        ),
        ("Tracing", "Active"),
        (
            "DestinationKeyArn",
            "arn:aws:kms:eu-west-2:123456789012:key/1",
        ),
    ];
    let https = [
        ("DestinationKind", "https"),
        ("DestinationUrl", "https://ledger.example.gov.uk/events"),
    ];
    let queue = [
        ("DestinationKind", "sqs"),
        (
            "DestinationQueueArn",
            "arn:aws:sqs:eu-west-2:123456789012:q.fifo",
        ),
    ];
    let bus = [(
        "DestinationBusArn",
        "arn:aws:events:eu-west-2:123456789012:event-bus/orders",
    )];
    let secret = [(
        "DestinationSecretArn",
        "arn:aws:secretsmanager:eu-west-2:123456789012:secret:ledger-AbCdEf",
    )];
    vec![
        vec![],
        vec![
            ("FrontDoor", "function-url"),
            ("Pay", "off"),
            ("DestinationKind", "log"),
        ],
        vec![
            ("FrontDoor", "rest-waf"),
            ("Hmrc", "off"),
            ("Reconcile", "on"),
            ("CreateAlarms", "false"),
        ],
        [&PULLING[..], &domain, &caps, &all, &https].concat(),
        [
            &PULLING[..],
            &domain,
            &caps,
            &all,
            &https,
            &secret,
            &[("FrontDoor", "rest-waf")],
        ]
        .concat(),
        [
            &PULLING[..],
            &queue,
            &[
                ("MinimalAlarms", "true"),
                ("AlarmEmail", "team@example.gov.uk"),
            ],
        ]
        .concat(),
        bus.to_vec(),
    ]
}

fn stacks() -> Vec<TemplateStack> {
    let stacks: Vec<_> = shapes()
        .iter()
        .map(|shape| TemplateStack::with(shape))
        .collect();
    for stack in &stacks {
        assert_eq!(stack.refusals(), Vec::<String>::new());
    }
    stacks
}

#[test]
fn the_shapes_between_them_make_everything_there_is() {
    let made: BTreeSet<_> = stacks()
        .iter()
        .flat_map(|stack| stack.resources().into_keys())
        .collect();
    let all: BTreeSet<_> = TemplateStack::with(&[]).template()["Resources"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert_eq!(made, all);
}

/// It is deployed from a bucket: what is sent with the call may have 51,200 bytes.
#[test]
fn the_template_is_within_the_limits_of_cloudformation() {
    let text = std::fs::read_to_string(test_support::repository("template.yaml")).unwrap();
    assert!(text.len() < 500_000, "1 MB, once SAM has written it out");
    let stack = TemplateStack::with(&[]);
    let count = |section: &str| stack.template()[section].as_object().unwrap().len();
    assert!(count("Resources") < 400, "500, once SAM has added its own");
    assert!(count("Parameters") <= 200 && count("Outputs") <= 200);
    let settings = std::fs::read_to_string(test_support::repository("samconfig.toml")).unwrap();
    let environments = settings.matches(".deploy.parameters]").count();
    assert_eq!(settings.matches("resolve_s3 = true").count(), environments);
}

/// One string or a list of them, as policies have it.
fn list(value: &Value) -> Vec<&str> {
    value.as_array().map_or_else(
        || vec![value.as_str().unwrap()],
        |items| items.iter().map(|item| item.as_str().unwrap()).collect(),
    )
}
