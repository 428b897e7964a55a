//! The table, its key and the logs.

use serde_json::json;

use super::{TemplateStack, list, stacks};

#[test]
fn the_table_has_one_key_a_sparse_index_a_stream_and_an_expiry() {
    let stack = TemplateStack::with(&[]);
    let expected = json!({
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "shelf", "AttributeType": "S"},
            {"AttributeName": "due_at", "AttributeType": "N"},
        ],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "GlobalSecondaryIndexes": [{
            "IndexName": "shelf",
            "KeySchema": [
                {"AttributeName": "shelf", "KeyType": "HASH"},
                {"AttributeName": "due_at", "KeyType": "RANGE"},
            ],
            "Projection": {
                "ProjectionType": "INCLUDE",
                "NonKeyAttributes": ["state", "event_type", "subject", "received_at"],
            },
        }],
        "StreamSpecification": {"StreamViewType": "NEW_IMAGE"},
        "TimeToLiveSpecification": {"AttributeName": "expires_at", "Enabled": true},
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": true},
        "SSESpecification": {"SSEEnabled": true, "SSEType": "KMS", "KMSMasterKeyId": "<Key.Arn>"},
        "DeletionProtectionEnabled": false,
    });
    assert_eq!(stack.properties("Table"), expected);
}

#[test]
fn the_table_its_key_and_the_logs_outlive_the_stack() {
    for stack in stacks() {
        for (id, resource) in stack.resources() {
            let kinds = [
                "AWS::DynamoDB::Table",
                "AWS::KMS::Key",
                "AWS::Logs::LogGroup",
            ];
            let kept = kinds.contains(&resource["Type"].as_str().unwrap());
            for policy in ["DeletionPolicy", "UpdateReplacePolicy"] {
                assert_eq!(
                    resource
                        .get(policy)
                        .is_some_and(|policy| policy == "Retain"),
                    kept,
                    "{id} {policy}"
                );
            }
        }
    }
    for environment in ["build", "staging", "integration", "production"] {
        let table = TemplateStack::with(&[("Environment", environment)]).properties("Table");
        assert_eq!(table["DeletionProtectionEnabled"], true, "{environment}");
    }
}

#[test]
fn every_log_group_masks_the_personal_data_that_it_looks_for() {
    for stack in stacks() {
        for (id, group) in stack.of_type("AWS::Logs::LogGroup") {
            let properties = &group["Properties"];
            assert_eq!(properties["KmsKeyId"], "<Key.Arn>", "{id}");
            assert_eq!(properties["RetentionInDays"], "7", "{id}");
            let statements = properties["DataProtectionPolicy"]["Statement"]
                .as_array()
                .unwrap();
            assert_eq!(statements.len(), 2, "{id}");
            assert!(statements[0]["Operation"]["Audit"].is_object(), "{id}");
            assert!(
                statements[1]["Operation"]["Deidentify"]["MaskConfig"].is_object(),
                "{id}"
            );
            assert_eq!(
                statements[0]["DataIdentifier"], statements[1]["DataIdentifier"],
                "{id}"
            );
            let identifiers = list(&statements[0]["DataIdentifier"]).join(" ");
            for identifier in [
                "EmailAddress",
                "Address",
                "CreditCardNumber",
                "JsonWebToken",
            ] {
                assert!(identifiers.contains(identifier), "{id} {identifier}");
            }
        }
        for (id, function) in stack.of_type("AWS::Serverless::Function") {
            let group = function["Properties"]["LoggingConfig"]["LogGroup"]
                .as_str()
                .unwrap()
                .to_owned();
            assert!(group.starts_with(&format!("pillarbox-{id}Logs-")), "{id}");
            assert_eq!(stack.properties(&id)["LoggingConfig"]["LogFormat"], "JSON");
            assert_eq!(
                stack.properties(&id)["LoggingConfig"]["ApplicationLogLevel"],
                "INFO"
            );
        }
    }
}

#[test]
fn a_secret_keeps_its_value_whatever_is_switched_off_and_on_again() {
    let all = [
        "DestinationSecret",
        "HmrcApiSecret",
        "HmrcSecret",
        "PayApiSecret",
        "PaySecret",
    ];
    for stack in stacks() {
        let secrets = stack.of_type("AWS::SecretsManager::Secret");
        assert_eq!(secrets.keys().collect::<Vec<_>>(), all);
    }
}
