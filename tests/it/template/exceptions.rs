//! The exceptions for checkov.

use std::collections::BTreeMap;

use super::TemplateStack;

#[test]
fn every_exception_to_checkov_is_known_and_has_its_reason() {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (id, resource) in TemplateStack::with(&[]).template()["Resources"]
        .as_object()
        .unwrap()
    {
        for skip in resource["Metadata"]["checkov"]["skip"]
            .as_array()
            .into_iter()
            .flatten()
        {
            assert!(skip["comment"].as_str().unwrap().len() > 20, "{id}");
            found
                .entry(id.clone())
                .or_default()
                .push(skip["id"].as_str().unwrap().to_owned());
        }
    }
    let expected: &[(&str, &[&str])] = &[
        ("Process", &["CKV_AWS_116", "CKV_AWS_117"]),
        ("Receive", &["CKV_AWS_116", "CKV_AWS_117"]),
        ("Reconciler", &["CKV_AWS_116", "CKV_AWS_117"]),
        ("Sweep", &["CKV_AWS_116", "CKV_AWS_117"]),
        ("Firewall", &["CKV_AWS_192"]),
        ("RestMethod", &["CKV_AWS_59"]),
        ("RestProbeMethod", &["CKV_AWS_59"]),
        ("RestStage", &["CKV_AWS_73", "CKV_AWS_120"]),
        ("Url", &["CKV_AWS_258"]),
    ];
    let expected: BTreeMap<_, _> = expected
        .iter()
        .map(|(id, ids)| {
            (
                (*id).to_owned(),
                ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>(),
            )
        })
        .collect();
    assert_eq!(found, expected);
}
