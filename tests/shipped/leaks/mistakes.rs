//! What a person gets wrong: a secret in place of a reference, in the wrong variable, in a URL, or
//! in a file that is read as something else. No error repeats it.

use serde_json::json;
use test_support::{
    canaries::{
        CanaryKind::{Personal, Secret},
        CanarySet,
    },
    process::{BOTH_SOURCES, CommandResult, FREE_PORTS, ProgramFolder},
    runtime_api::{BootstrapProcess, RuntimeReport},
};

/// Configurations with a value where a reference belongs, whole or broken.
fn documents(secret: &str) -> Vec<String> {
    let pay = |secrets: &str| format!("[sources.pay]\nkind = \"govuk-pay\"\n{secrets}\n");
    let mut documents: Vec<String> = [
        format!("secrets = [\"{secret}\"]"),
        format!("secrets = [\"webhook_live_{secret}\"]"),
        format!("secrets = [\"env:webhook_live_{secret}\"]"),
        format!("secrets = [\"env:{secret}=\"]"),
        format!("secrets = [\"file:whsec_{secret}\"]"),
        format!("secrets = [\"secretsmanager:{secret}\"]"),
        format!("secrets = [{secret}]"),
        format!("secrets = [\"{secret}"),
        format!("secrets = \"{secret}\""),
        format!("secrets = {{ value = \"{secret}\" }}"),
        format!("secret = \"{secret}\""),
        format!("secrets = []\nlive = \"{secret}\""),
        format!("secrets = []\n[sources.pay.pull]\napi_key = \"api_live_{secret}\""),
        format!("secrets = []\n[sources.pay.pull]\napi_key = \"{secret}\""),
        format!("secrets = []\n[sources.pay.pull]\napi_key = \"{secret}\"\napi_key = \"{secret}\""),
        format!("secrets = []\ndestination = \"{secret}\""),
        format!("secrets = []\nkind = \"{secret}\""),
    ]
    .iter()
    .map(|secrets| pay(secrets))
    .collect();
    documents.extend(
        [
            format!(
                "kind = \"https\"\nurl = \"https://u:{secret}@example.com/\"\nsecret = \"env:W\""
            ),
            format!(
                "kind = \"https\"\nurl = \"https://{secret}@example.com/\"\nsecret = \"env:W\""
            ),
            format!(
                "kind = \"https\"\nurl = \"https://example.com/\"\nsecret = \"whsec_{secret}\""
            ),
            format!("kind = \"https\"\nurl = \"https://example.com/\"\nsecrets = [\"{secret}\"]"),
            format!("kind = \"https\"\nurl = \"{secret}\"\nsecret = \"env:W\""),
            format!("kind = \"sqs\"\nurl = \"https://u:{secret}@sqs.eu-west-2.amazonaws.com/1/q\""),
            format!("kind = \"{secret}\""),
        ]
        .iter()
        .map(|settings| format!("{BOTH_SOURCES}[destination]\n{settings}\n")),
    );
    documents.extend([secret.to_owned(), format!("{{\"current\": \"{secret}\"}}")]);
    documents
}

fn printed(ran: &CommandResult) -> String {
    format!("{}{}", ran.stdout, ran.stderr)
}

#[test]
fn no_error_about_a_configuration_repeats_a_value() {
    let mut canaries = CanarySet::default();
    let secret = canaries.add(Secret, "a pasted secret");
    for document in documents(&secret) {
        let folder = ProgramFolder::with(&document);
        for arguments in [
            &[&["serve"], FREE_PORTS].concat()[..],
            &["doctor"],
            &["list", "--json"],
        ] {
            let ran = folder.run(arguments);
            assert_ne!(ran.code, 0, "{document}: {ran:?}");
            canaries.assert_none(&document, printed(&ran));
        }
    }
}

#[tokio::test]
async fn no_function_repeats_a_value_of_its_configuration() {
    let mut canaries = CanarySet::default();
    let secret = canaries.add(Secret, "a pasted secret");
    for document in documents(&secret).into_iter().step_by(3) {
        let variables = [
            ("_HANDLER", "receive".to_owned()),
            ("PILLARBOX_CONFIG", document.clone()),
        ];
        let mut bootstrap = BootstrapProcess::start(&variables).await;
        let report = bootstrap.next_report().await;
        let RuntimeReport::InitError(why) = report else {
            panic!("{document}: {report:?}")
        };
        canaries.assert_none(&document, why.to_string());
        canaries.assert_none(&document, bootstrap.lines().join("\n"));
    }
}

#[test]
fn no_error_about_a_secret_or_a_proxy_repeats_it() {
    let mut canaries = CanarySet::default();
    let secret = canaries.add(Secret, "a secret");
    let https = "[destination]\nkind = \"https\"\nurl = \"https://example.com/\"\n\
                 secret = \"env:LEDGER_WHSEC\"\n";
    let proxied = format!("outbound_proxy = true\n{BOTH_SOURCES}{https}");
    let folder = ProgramFolder::with(&proxied);
    let url = "http://127.0.0.1:1/pay";
    folder.write("secret", format!("{secret}\nmore\n"));
    for (name, text) in [
        ("PAY_SIGNING_SECRET", format!(" {secret}")),
        ("PAY_SIGNING_SECRET", format!("\"{secret}\"")),
        ("PAY_SIGNING_SECRET", secret[..12].to_owned()),
        (
            "HTTPS_PROXY",
            format!("socks5://me:{secret}@proxy.example:1080"),
        ),
        ("HTTPS_PROXY", format!("http://me:{secret}@127.0.0.1:1")),
        ("HTTPS_PROXY", secret.clone()),
        ("LEDGER_WHSEC", secret.clone()),
        ("LEDGER_WHSEC", format!("whsec_{secret}")),
        ("PILLARBOX_LOG", secret.clone()),
        ("PILLARBOX_LISTEN", secret.clone()),
        ("PILLARBOX_CONFIG", format!("secretsmanager:{secret}")),
        (
            "AWS_ENDPOINT_URL",
            format!("http://me:{secret}@127.0.0.1:1"),
        ),
        ("AWS_PROFILE", secret.clone()),
    ] {
        for arguments in [
            &["doctor"][..],
            &["status"],
            &["send", "pay", "--to", url],
            &[
                "check",
                url,
                "--kind",
                "govuk-pay",
                "--secret",
                "env:PAY_SIGNING_SECRET",
            ],
            &[
                "check",
                url,
                "--kind",
                "govuk-pay",
                "--secret",
                "file:secret",
            ],
            &["check", url, "--kind", "govuk-pay", "--secret", &secret],
            &[
                "console",
                "--listen",
                "127.0.0.1:0",
                "--allow-host",
                "x",
                "--token",
                &secret,
            ],
            &["list", "--inbox", "dynamodb:away"],
        ] {
            let ran = CommandResult::of(folder.command(arguments).env(name, &text));
            assert_ne!(ran.code, 0, "{name}={text} {arguments:?} {ran:?}");
            canaries.assert_none(&format!("{name}={text} {arguments:?}"), printed(&ran));
        }
    }
}

#[test]
fn verify_repeats_neither_the_message_nor_the_signature_nor_what_it_should_be() {
    let mut canaries = CanarySet::default();
    let (name, given) = (
        canaries.add(Personal, "a name"),
        canaries.add(Secret, "a signature"),
    );
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let body = json!({"webhook_message_id": "m1", "cardholder_name": name}).to_string();
    folder.write("body.json", &body);
    let right = test_support::message::pay().sign(&body);
    canaries.watch(Secret, "the right signature", &right);
    let wrong = format!("{}0", &right[..63]);
    for signature in [&given, &wrong, &right, &right.to_uppercase()] {
        let ran = folder.run(&[
            "verify",
            "--source",
            "pay",
            "--body",
            "body.json",
            "--signature",
            signature,
        ]);
        canaries.assert_none("verify", printed(&ran));
    }
}

#[test]
fn import_repeats_nothing_of_a_line_that_is_not_one_of_export() {
    let mut canaries = CanarySet::default();
    let name = canaries.add(Personal, "a name");
    let folder = ProgramFolder::with(BOTH_SOURCES);
    assert_eq!(folder.run(&["inbox", "init"]).code, 0);
    for line in [
        json!(name).to_string(),
        json!([name]).to_string(),
        json!({"name": name}).to_string(),
        json!({"key": {"name": name}}).to_string(),
        json!({"key": "pay:m1", "attempts": name}).to_string(),
        json!({"key": "pay:m1", "body_base64": [name]}).to_string(),
        json!({"key": name, "kind": name, "event_type": name, "state": name}).to_string(),
        format!("{{\"body_base64\": \"{name}"),
        name.clone(),
        format!("\"{name}\": {{"),
    ] {
        folder.write("lines.jsonl", format!("{line}\n"));
        for arguments in [
            &["import", "lines.jsonl"][..],
            &["import", "lines.jsonl", "--json"],
        ] {
            let ran = folder.run(arguments);
            assert_eq!(ran.code, 1, "{ran:?}");
            canaries.assert_none(&line, printed(&ran));
        }
    }
}
