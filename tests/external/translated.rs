//! The alarms that AWS's own translator expands the template to are those that the other tests
//! evaluate, on resources that exist then.

use std::{
    collections::BTreeSet,
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::{Map, Value};
use test_support::{cloudformation::TemplateStack, repository};

/// Python with `aws-sam-translator`, where `.ci/run` puts it, or what `PILLARBOX_TEST_TRANSLATOR`
/// names.
#[expect(
    clippy::disallowed_methods,
    reason = "a person who runs the tests says where it is"
)]
fn python() -> PathBuf {
    let named = std::env::var("PILLARBOX_TEST_TRANSLATOR");
    let installed = || repository("target/tools/translator/bin/python");
    named.map_or_else(|_| installed(), PathBuf::from)
}

fn translated(template: &Value) -> Map<String, Value> {
    let mut child = Command::new(python())
        .arg(repository("tests/external/translate.py"))
        .env("AWS_DEFAULT_REGION", "eu-west-2")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("`.ci/run` installs the translator");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(template.to_string().as_bytes()).unwrap();
    drop(stdin);
    let ran = child.wait_with_output().unwrap();
    assert!(ran.status.success());
    let translated: Value = serde_json::from_slice(&ran.stdout).unwrap();
    translated["Resources"].as_object().unwrap().clone()
}

fn alarms(resources: &Map<String, Value>) -> Map<String, Value> {
    let all = resources.iter();
    let alarms = all.filter(|(_, resource)| resource["Type"] == "AWS::CloudWatch::Alarm");
    alarms
        .map(|(id, alarm)| (id.clone(), alarm.clone()))
        .collect()
}

/// The logical ids that a value refers to.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
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
                    (_, member) => references(member, found),
                }
            }
        }
        _ => {}
    }
}

#[test]
fn the_translator_leaves_the_alarms_as_they_are_evaluated_and_on_resources_that_exist() {
    let stack = TemplateStack::with(&[]);
    let written = alarms(stack.template()["Resources"].as_object().unwrap());
    let expanded = translated(stack.template());
    assert_eq!(alarms(&expanded), written);
    let parameters = stack.template()["Parameters"].as_object().unwrap();
    let mut named = BTreeSet::new();
    written
        .values()
        .for_each(|alarm| references(alarm, &mut named));
    assert!(named.contains("Receive") && named.contains("Table"));
    for id in named {
        let is_pseudo = id.starts_with("AWS::");
        assert!(
            is_pseudo || parameters.contains_key(&id) || expanded.contains_key(&id),
            "the expanded template has no resource {id}"
        );
    }
    for id in ["Receive", "Process", "Sweep", "Reconciler"] {
        assert_eq!(expanded[id]["Type"], "AWS::Lambda::Function", "{id}");
    }
}
