//! One narrow role a function.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{FUNCTIONS, PULLING, TemplateStack, configuration::document, list, shapes, stacks};

/// A role's statements by their `Sid`.
fn statements(stack: &TemplateStack, role: &str) -> BTreeMap<String, Value> {
    let policies = stack.properties(role)["Policies"].clone();
    let all = policies
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|it| it["PolicyDocument"]["Statement"].as_array().unwrap());
    all.map(|statement| {
        (
            statement["Sid"].as_str().unwrap().to_owned(),
            statement.clone(),
        )
    })
    .collect()
}

#[test]
fn no_role_may_do_everything_or_something_to_everything() {
    for stack in stacks() {
        for id in stack
            .of_type("AWS::IAM::Role")
            .into_keys()
            .filter(|id| id != "DeployRole")
        {
            for (sid, statement) in statements(&stack, &id) {
                assert_eq!(statement["Effect"], "Allow", "{id} {sid}");
                assert!(
                    !statement.as_object().unwrap().contains_key("NotAction"),
                    "{id} {sid}"
                );
                let allowed = list(&statement["Action"]);
                assert!(
                    !allowed.is_empty() && allowed.iter().all(|action| !action.contains('*')),
                    "{id} {sid}"
                );
                let resources = list(&statement["Resource"]);
                assert!(!resources.is_empty(), "{id} {sid}");
                // A table's streams come and go; the last part of their names is a time. IAM knows
                // no resource for listing them.
                let wild = |resource: &&str| {
                    resource.contains('*') && **resource != *"<Table.Arn>/stream/*"
                };
                if sid != "ListStreams" {
                    assert!(!resources.iter().any(wild), "{id} {sid}: {resources:?}");
                }
            }
        }
    }
}

#[test]
fn every_role_has_the_configured_boundary_and_managed_policy() {
    for (stack, has_boundary) in [
        (TemplateStack::with(&PULLING), false),
        (TemplateStack::with(&shapes()[3]), true),
    ] {
        for (id, role) in stack.of_type("AWS::IAM::Role") {
            let boundary = &role["Properties"]["PermissionsBoundary"];
            assert_eq!(boundary.is_string(), has_boundary, "{id}");
            let managed = list(&role["Properties"]["ManagedPolicyArns"]);
            let expected: &[&str] = match (id.as_str(), has_boundary) {
                ("DeployRole", _) => {
                    &["arn:aws:iam::aws:policy/service-role/AWSCodeDeployRoleForLambdaLimited"]
                }
                (_, true) => &["arn:aws:iam::aws:policy/AWSXRayDaemonWriteAccess"],
                (_, false) => &[],
            };
            assert_eq!(managed, expected, "{id}");
        }
        for (id, event) in [("Sweep", "EveryMinute"), ("Reconciler", "EveryFiveMinutes")] {
            let schedule = &stack.properties(id)["Events"][event]["Properties"];
            assert_eq!(
                schedule.get("PermissionsBoundary").is_some(),
                has_boundary,
                "{id}"
            );
        }
    }
}

#[test]
fn receive_may_write_rows_and_read_one_item_that_is_none() {
    let stack = TemplateStack::with(&PULLING);
    let may = statements(&stack, "ReceiveRole");
    assert_eq!(
        may.keys().collect::<Vec<_>>(),
        ["Key", "Log", "Record", "SenderSecrets", "WarmUp"]
    );
    let warm_up = json!({
        "Sid": "WarmUp", "Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": "<Table.Arn>",
        "Condition": {
            "ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["~warm"]},
            "Null": {"dynamodb:LeadingKeys": "false"},
        },
    });
    assert_eq!(may["WarmUp"], warm_up);
    assert_eq!(
        may["SenderSecrets"]["Action"],
        "secretsmanager:GetSecretValue"
    );
    assert_eq!(
        list(&may["Key"]["Action"]),
        ["kms:Decrypt", "kms:GenerateDataKey"]
    );
    assert_eq!(may["Key"]["Resource"], "<Key.Arn>");
}

/// The rows of the sources, and what a long body is written with.
#[test]
fn receive_and_reconcile_may_write_rows_of_the_stacks_sources_and_their_bodies_alone() {
    for (off, sources) in [
        (None, &["hmrc:*", "pay:*"][..]),
        (Some(("Pay", "off")), &["hmrc:*"]),
        (Some(("Hmrc", "off")), &["pay:*"]),
    ] {
        let given: Vec<_> = PULLING.into_iter().chain(off).collect();
        let stack = TemplateStack::with(&given);
        let items = [sources, &["~body:*", "~parts:*"]].concat();
        let record = json!({
            "Sid": "Record", "Effect": "Allow", "Action": "dynamodb:PutItem",
            "Resource": "<Table.Arn>",
            "Condition": {
                "ForAllValues:StringLike": {"dynamodb:LeadingKeys": items},
                "Null": {"dynamodb:LeadingKeys": "false"},
            },
        });
        for role in ["ReceiveRole", "ReconcilerRole"] {
            assert_eq!(statements(&stack, role)["Record"], record, "{role}");
        }
        let document = document(&stack);
        for source in sources {
            let table = format!("[sources.{}]", source.trim_end_matches(":*"));
            assert!(document.contains(&table), "{table}");
        }
        assert_eq!(document.matches("kind = ").count(), sources.len() + 2);
    }
}

#[test]
fn reconcile_may_write_rows_and_entries_and_read_ledgers_but_no_row() {
    let may = statements(&TemplateStack::with(&PULLING), "ReconcilerRole");
    let all = [
        "Credentials",
        "Heard",
        "Key",
        "Ledgers",
        "Log",
        "Memos",
        "Record",
        "Shelf",
    ];
    assert_eq!(may.keys().collect::<Vec<_>>(), all);
    assert_eq!(
        list(&may["Memos"]["Action"]),
        ["dynamodb:GetItem", "dynamodb:UpdateItem"]
    );
    assert_eq!(may["Ledgers"]["Action"], "dynamodb:GetItem");
    assert_eq!(may["Heard"]["Action"], "dynamodb:GetItem");
    for (sid, items) in [
        ("Memos", "~memo:*"),
        ("Ledgers", "~subject:*"),
        ("Heard", "~source:*"),
    ] {
        let condition = json!({
            "ForAllValues:StringLike": {"dynamodb:LeadingKeys": [items]},
            "Null": {"dynamodb:LeadingKeys": "false"},
        });
        assert_eq!(
            (&may[sid]["Resource"], &may[sid]["Condition"]),
            (&json!("<Table.Arn>"), &condition)
        );
    }
    assert_eq!(may["Shelf"]["Action"], "dynamodb:Query");
    assert_eq!(may["Shelf"]["Resource"], "<Table.Arn>/index/shelf");
}

#[test]
fn process_and_sweep_may_read_and_update_rows_and_only_sweep_may_list_them() {
    let stack = TemplateStack::with(&[]);
    let rows = ["dynamodb:GetItem", "dynamodb:UpdateItem"];
    let (process, sweep) = (
        statements(&stack, "ProcessRole"),
        statements(&stack, "SweepRole"),
    );
    assert_eq!(
        process.keys().collect::<Vec<_>>(),
        [
            "Bus",
            "Failures",
            "Key",
            "ListStreams",
            "Log",
            "Rows",
            "Stream"
        ]
    );
    let streams = json!({"Sid": "ListStreams", "Effect": "Allow",
        "Action": "dynamodb:ListStreams", "Resource": "*"});
    assert_eq!(process["ListStreams"], streams);
    assert!(!list(&process["Stream"]["Action"]).contains(&"dynamodb:ListStreams"));
    assert_eq!(
        sweep.keys().collect::<Vec<_>>(),
        ["Bus", "Key", "Log", "Rows", "Shelf"]
    );
    for may in [&process, &sweep] {
        assert_eq!(
            list(&may["Bus"]["Action"]),
            ["events:PutEvents", "events:DescribeEventBus"]
        );
        assert_eq!(list(&may["Rows"]["Action"]), rows);
        assert_eq!(may["Rows"]["Resource"], "<Table.Arn>");
    }
    assert_eq!(sweep["Shelf"]["Action"], "dynamodb:Query");
    assert_eq!(sweep["Shelf"]["Resource"], "<Table.Arn>/index/shelf");
}

#[test]
fn each_secret_is_read_by_the_role_that_works_with_it_and_by_no_other() {
    for stack in stacks() {
        let arn = |id: &str| stack.resolve(&json!({ "Ref": id })).unwrap();
        let readers = |secret: &Value| -> BTreeSet<_> {
            let roles = stack.of_type("AWS::IAM::Role").into_keys();
            let reads = |role: &String| {
                let may = if role == "DeployRole" {
                    BTreeMap::new()
                } else {
                    statements(&stack, role)
                };
                may.values().any(|statement| {
                    list(&statement["Resource"]).contains(&secret.as_str().unwrap())
                })
            };
            roles.filter(reads).collect()
        };
        for id in stack.of_type("AWS::SecretsManager::Secret").into_keys() {
            let expected: &[&str] = match id.as_str() {
                "HmrcSecret" if stack.condition("UseHmrc") => &["ReceiveRole"],
                "PaySecret" if stack.condition("UsePay") => &["ReceiveRole"],
                "HmrcApiSecret" if stack.condition("UseHmrcPull") => &["ReconcilerRole"],
                "PayApiSecret" if stack.condition("UsePayPull") => &["ReconcilerRole"],
                "DestinationSecret" if stack.condition("ToHttpsWithOwnSecret") => {
                    &["ProcessRole", "SweepRole"]
                }
                _ => &[],
            };
            assert_eq!(
                readers(&arn(&id)),
                expected.iter().map(|role| (*role).to_owned()).collect(),
                "{id}"
            );
        }
    }
}

#[test]
fn process_and_sweep_reach_the_configured_destination_and_no_other_and_receive_and_reconcile_none()
{
    let statements_of = |kind: &str| -> &[&str] {
        match kind {
            "eventbridge" => &["Bus"],
            "sqs" => &["DestinationKey", "Queue"],
            "https" => &["DestinationKey", "DestinationSecret"],
            _ => &[],
        }
    };
    let key = (
        "DestinationKeyArn",
        "arn:aws:kms:eu-west-2:123456789012:key/1",
    );
    for (kind, target, reached) in [
        ("eventbridge", "none", "<EventBus.Arn>"),
        (
            "eventbridge",
            "arn:aws:events:eu-west-2:1:event-bus/b",
            "arn:aws:events:eu-west-2:1:event-bus/b",
        ),
        (
            "sqs",
            "arn:aws:sqs:eu-west-2:1:q",
            "arn:aws:sqs:eu-west-2:1:q",
        ),
        (
            "https",
            "https://ledger.example.gov.uk/",
            "arn:aws:secretsmanager:eu-west-2:1:secret:s-AbCdEf",
        ),
        ("log", "none", ""),
    ] {
        let secret = (
            "DestinationSecretArn",
            "arn:aws:secretsmanager:eu-west-2:1:secret:s-AbCdEf",
        );
        let parameter = match kind {
            "sqs" => "DestinationQueueArn",
            "https" => "DestinationUrl",
            _ => "DestinationBusArn",
        };
        let given = [("DestinationKind", kind), (parameter, target), secret, key];
        let stack = TemplateStack::with(&[&PULLING[..], &given].concat());
        for role in FUNCTIONS.map(|(id, _)| format!("{id}Role")) {
            let may = statements(&stack, &role);
            let outward = ["Bus", "DestinationKey", "DestinationSecret", "Queue"];
            let found: Vec<_> = may
                .keys()
                .filter(|sid| outward.contains(&sid.as_str()))
                .collect();
            let hands_on = ["ProcessRole", "SweepRole"].contains(&role.as_str());
            assert_eq!(
                found,
                if hands_on { statements_of(kind) } else { &[] },
                "{role} {kind}"
            );
            for sid in found.iter().filter(|sid| ***sid != "DestinationKey") {
                assert_eq!(may[*sid]["Resource"], reached);
            }
        }
    }
}

#[test]
fn people_get_one_policy_to_read_rows_and_one_to_replay_them() {
    let stack = TemplateStack::with(&[]);
    let policy = |id: &str| {
        let document = stack.properties(id)["PolicyDocument"].clone();
        document["Statement"].as_array().unwrap().clone()
    };
    let read = json!({
        "Sid": "Read", "Effect": "Allow",
        "Action": ["dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan"],
        "Resource": ["<Table.Arn>", "<Table.Arn>/index/shelf"],
    });
    // The same key encrypts the secrets, which neither policy may read.
    let key = json!({
        "Sid": "Key", "Effect": "Allow", "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
        "Resource": "<Key.Arn>",
        "Condition": {"StringEquals": {"kms:ViaService": "dynamodb.eu-west-2.amazonaws.com"}},
    });
    let update = json!({
        "Sid": "Update", "Effect": "Allow", "Action": "dynamodb:UpdateItem",
        "Resource": "<Table.Arn>",
    });
    let put = |sid: &str, items: &str| {
        json!({
            "Sid": sid, "Effect": "Allow", "Action": "dynamodb:PutItem",
            "Resource": "<Table.Arn>",
            "Condition": {
                "ForAllValues:StringLike": {"dynamodb:LeadingKeys": [items]},
                "Null": {"dynamodb:LeadingKeys": "false"},
            },
        })
    };
    let (audit, bodies) = (put("Audit", "~audit:*"), put("Bodies", "~parts:*"));
    assert_eq!(
        policy("ReadPolicy"),
        [read.clone(), audit.clone(), key.clone()]
    );
    assert_eq!(policy("ReplayPolicy"), [read, audit, update, bodies, key]);
    for (output, id) in [
        ("ReadPolicyArn", "ReadPolicy"),
        ("ReplayPolicyArn", "ReplayPolicy"),
    ] {
        assert_eq!(
            stack.template()["Outputs"][output]["Value"],
            json!({ "Ref": id })
        );
    }
}

/// No function acts for a person, so none of them is allowed to write the audit record.
#[test]
fn no_function_may_put_an_entry_into_the_audit_trail() {
    for stack in stacks() {
        let roles = stack.of_type("AWS::IAM::Role").into_keys();
        for role in roles.filter(|role| role != "DeployRole") {
            for (sid, statement) in statements(&stack, &role) {
                let condition = &statement["Condition"]["ForAllValues:StringLike"];
                let items = condition.get("dynamodb:LeadingKeys").map(list);
                let items = items.unwrap_or_default();
                let is_audit = |item: &&str| "~audit:".starts_with(item.trim_end_matches('*'));
                let may_put = list(&statement["Action"]).contains(&"dynamodb:PutItem");
                assert!(
                    !may_put || !items.is_empty() && !items.iter().any(is_audit),
                    "{role} {sid}: {items:?}"
                );
            }
        }
    }
}

/// More sources than one of each sender: their document, and what is in it.
const MORE: [(&str, &str); 5] = [
    (
        "ConfigurationSecretArn",
        "arn:aws:secretsmanager:eu-west-2:123456789012:secret:pillarbox-AbCdEf",
    ),
    ("SourceNames", "pay-leeds,hmrc-two"),
    (
        "SourceSecretArns",
        "arn:aws:secretsmanager:eu-west-2:123456789012:secret:a-AbCdEf,\
         arn:aws:secretsmanager:eu-west-2:123456789012:secret:b-AbCdEf",
    ),
    (
        "PullSecretArns",
        "arn:aws:secretsmanager:eu-west-2:123456789012:secret:c-AbCdEf",
    ),
    (
        "DestinationSecretArns",
        "arn:aws:secretsmanager:eu-west-2:123456789012:secret:d-AbCdEf",
    ),
];

#[test]
fn the_sources_of_a_document_in_secrets_manager_give_each_role_what_it_needs_of_them() {
    let given: Vec<_> = PULLING.into_iter().chain(MORE).collect();
    let stack = TemplateStack::with(&given);
    assert_eq!(stack.refusals(), Vec::<String>::new());
    assert_eq!(document(&stack), format!("secretsmanager:{}", MORE[0].1));
    let bare = TemplateStack::with(&PULLING);
    for (role, more) in [
        (
            "ReceiveRole",
            &["Document", "MoreSenderSecrets", "RecordMore"][..],
        ),
        ("ProcessRole", &["Document", "MoreDestinationSecrets"]),
        ("SweepRole", &["Document", "MoreDestinationSecrets"]),
        (
            "ReconcilerRole",
            &["Document", "MoreCredentials", "RecordMore"],
        ),
    ] {
        let (with, without) = (statements(&stack, role), statements(&bare, role));
        let added: Vec<_> = with
            .keys()
            .filter(|sid| !without.contains_key(*sid))
            .collect();
        assert_eq!(added, more, "{role}");
        assert_eq!(with["Document"]["Resource"], MORE[0].1);
        if let Some(record) = with.get("RecordMore") {
            let keys = &record["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"];
            assert_eq!(list(keys), ["pay-leeds:*", "hmrc-two:*"]);
            assert_eq!(record["Action"], "dynamodb:PutItem");
        }
        for (sid, (_, arns)) in [
            ("MoreSenderSecrets", MORE[2]),
            ("MoreCredentials", MORE[3]),
            ("MoreDestinationSecrets", MORE[4]),
        ] {
            if let Some(statement) = with.get(sid) {
                assert_eq!(statement["Action"], "secretsmanager:GetSecretValue");
                let expected: Vec<&str> = arns.split(',').collect();
                assert_eq!(list(&statement["Resource"]), expected);
            }
        }
    }
}

#[test]
fn more_sources_need_their_document_and_their_names() {
    let without_names = TemplateStack::with(&MORE[..1]).refusals();
    assert_eq!(without_names.len(), 1, "{without_names:?}");
    assert!(without_names[0].contains("ConfigurationSecretArn needs SourceNames"));
    for alone in &MORE[1..] {
        let refused = TemplateStack::with(&[*alone]).refusals();
        assert_eq!(refused.len(), 1, "{refused:?}");
        assert!(
            refused[0].ends_with("need ConfigurationSecretArn."),
            "{refused:?}"
        );
    }
}
