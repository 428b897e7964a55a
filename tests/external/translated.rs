//! AWS's own translator expands the template. The alarms must be those that the other tests
//! evaluate, and must refer to resources of the expanded template.

use std::{collections::BTreeSet, path::PathBuf};

use serde_json::{Map, Value};
use test_support::{cloudformation::TemplateStack, repository};

use super::run_script;

/// Python with `aws-sam-translator`: what `PILLARBOX_TEST_TRANSLATOR` names, or what `.ci/run`
/// installs.
#[expect(
    clippy::disallowed_methods,
    reason = "a setting of the person who runs the tests"
)]
fn python() -> PathBuf {
    let named = std::env::var("PILLARBOX_TEST_TRANSLATOR");
    let installed = || repository("target/tools/translator/bin/python");
    named.map_or_else(|_| installed(), PathBuf::from)
}

/// The resources of the expanded template.
fn expand(template: &Value) -> Map<String, Value> {
    let expanded = run_script(&python(), "translate.py", template);
    let expanded: Value = serde_json::from_str(&expanded).unwrap();
    expanded["Resources"].as_object().unwrap().clone()
}

fn alarms(resources: &Map<String, Value>) -> Map<String, Value> {
    let all = resources.iter();
    let alarms = all.filter(|(_, resource)| resource["Type"] == "AWS::CloudWatch::Alarm");
    alarms
        .map(|(id, alarm)| (id.clone(), alarm.clone()))
        .collect()
}

/// Adds the logical ids that a value refers to.
fn find_references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| find_references(item, found)),
        Value::Object(members) => {
            for (name, member) in members {
                match (name.as_str(), member) {
                    ("Ref", Value::String(id)) => drop(found.insert(id.clone())),
                    ("Fn::GetAtt", Value::String(id)) => {
                        found.extend(id.split('.').next().map(str::to_owned));
                    }
                    ("Fn::GetAtt", Value::Array(parts)) => {
                        found.extend(parts[0].as_str().map(str::to_owned));
                    }
                    (_, member) => find_references(member, found),
                }
            }
        }
        _ => {}
    }
}

#[test]
fn the_translator_keeps_the_alarms_and_the_resources_that_they_refer_to() {
    let stack = TemplateStack::with(&[]);
    let written = alarms(stack.template()["Resources"].as_object().unwrap());
    let expanded = expand(stack.template());
    assert_eq!(alarms(&expanded), written);
    let parameters = stack.template()["Parameters"].as_object().unwrap();
    let mut references = BTreeSet::new();
    written
        .values()
        .for_each(|alarm| find_references(alarm, &mut references));
    assert!(references.contains("Receive") && references.contains("Table"));
    for id in references {
        let is_pseudo = id.starts_with("AWS::");
        assert!(
            is_pseudo || parameters.contains_key(&id) || expanded.contains_key(&id),
            "the expanded template has the resource {id}"
        );
    }
    for id in ["Receive", "Process", "Sweep", "Reconciler"] {
        assert_eq!(expanded[id]["Type"], "AWS::Lambda::Function", "{id}");
    }
}
