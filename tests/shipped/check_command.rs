//! `pillarbox check`, as a person at a terminal or a script meets it.

use std::{collections::BTreeSet, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ServerConfig, SupportedProtocolVersion,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    version,
};
use sender_simulator::Sender;
use serde_json::Value;
use url::Url;

use test_support::{
    faulty::{FaultyReceiver, PlantedFault},
    process::{BOTH_SOURCES, CommandResult, HMRC_SECRET, PAY_SECRET, ProgramFolder},
};

fn arguments(sender: Sender) -> [&'static str; 4] {
    match sender {
        Sender::Hmrc => ["--kind", "hmrc", "--secret", "env:HMRC_PUSH_SECRET"],
        Sender::GovukPay => ["--kind", "govuk-pay", "--secret", "env:PAY_SIGNING_SECRET"],
    }
}

fn secret(sender: Sender) -> &'static str {
    match sender {
        Sender::Hmrc => HMRC_SECRET,
        Sender::GovukPay => PAY_SECRET,
    }
}

/// Runs the command, beside the runtime that the receiver lives in.
async fn check(
    url: &Url,
    sender: Sender,
    more: &[&str],
    variables: &[(&str, &str)],
) -> CommandResult {
    let url = url.to_string();
    let arguments = [&["check", &url], &arguments(sender)[..], more].concat();
    let folder = ProgramFolder::empty();
    let mut command = folder.command(&arguments);
    command.envs(variables.iter().copied());
    tokio::task::spawn_blocking(move || CommandResult::of(&mut command))
        .await
        .unwrap()
}

fn json(ran: &CommandResult) -> Value {
    assert_eq!(
        (ran.stdout.lines().count(), &*ran.stderr),
        (1, ""),
        "{ran:?}"
    );
    serde_json::from_str(&ran.stdout).unwrap()
}

/// The result of one check in a report.
fn result(report: &Value, id: &str) -> String {
    let findings = report["findings"].as_array().unwrap();
    let finding = findings
        .iter()
        .find(|finding| finding["id"] == id)
        .unwrap_or_else(|| panic!("{id} in {report}"));
    finding["result"].as_str().unwrap().to_owned()
}

#[test]
fn our_own_server_is_sound_and_its_test_data_is_listed() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let serve = folder.serve();
    for (sender, name) in [(Sender::Hmrc, "hmrc"), (Sender::GovukPay, "pay")] {
        let url = serve.url(name).to_string();
        let ran = folder.run(&[&["check", &url], &arguments(sender)[..]].concat());
        assert_eq!((ran.code, &*ran.stderr), (0, ""), "{ran:?}");
        assert!(
            ran.stdout.contains("PASS  duplicate: ") && !ran.stdout.contains("FAIL"),
            "{ran:?}"
        );
        assert!(ran.stdout.contains("\n0 failed, "), "{ran:?}");
        let (_, list) = ran
            .stdout
            .split_once("\nTest data that may be stored there now, ")
            .unwrap();
        let listed: BTreeSet<&str> = list
            .lines()
            .filter_map(|line| line.strip_prefix("  "))
            .collect();
        let rows = folder.list(&["--source", name]);
        // An unreadable notification has no id; its row is found by its bytes.
        let stored = rows
            .iter()
            .filter(|row| row["reason"] != "unreadable")
            .map(|row| row["id"].as_str().unwrap());
        let stored: BTreeSet<&str> = stored.collect();
        assert!(
            stored.len() > 15 && stored.is_subset(&listed),
            "{stored:?} {listed:?}"
        );
        assert_eq!(
            (listed.len(), rows.len()),
            (stored.len() + 1, stored.len() + 1),
            "{listed:?}"
        );
        let unreadable = listed.difference(&stored).next().unwrap();
        assert!(unreadable.starts_with("PILLARBOX-TEST-"), "{unreadable}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_explained_and_ends_with_1() {
    let receiver =
        FaultyReceiver::start(Sender::GovukPay, PlantedFault::AcceptsUnsigned, PAY_SECRET).await;
    let ran = check(&receiver.url(), Sender::GovukPay, &[], &[]).await;
    assert_eq!((ran.code, &*ran.stderr), (1, ""), "{ran:?}");
    let after = ran
        .stdout
        .split("FAIL  unsigned: ")
        .nth(1)
        .unwrap_or_else(|| panic!("{ran:?}"));
    let block: Vec<&str> = after.lines().take(4).collect();
    assert!(block[0].ends_with(". Seen: 200"), "{block:?}");
    for (line, start) in block[1..]
        .iter()
        .zip(["      Why: ", "      Who: anyone", "      Fix: "])
    {
        assert!(line.starts_with(start), "{block:?}");
    }
    assert!(
        ran.stdout
            .trim_end()
            .lines()
            .last()
            .unwrap()
            .starts_with("1 failed, "),
        "{ran:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_is_one_json_object_or_one_document() {
    let receiver = FaultyReceiver::start(
        Sender::Hmrc,
        PlantedFault::ConflictsOnDuplicate,
        HMRC_SECRET,
    )
    .await;
    let ran = check(&receiver.url(), Sender::Hmrc, &["--json"], &[]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    let report = json(&ran);
    assert_eq!(
        (&report["kind"], &report["url"]),
        (&"hmrc".into(), &receiver.url().as_str().into())
    );
    assert_eq!(
        (&report["failed"], &report["warnings"]),
        (&2.into(), &0.into())
    );
    assert_eq!(
        (result(&report, "duplicate"), result(&report, "https")),
        ("failed".into(), "not_tried".into())
    );
    for finding in report["findings"].as_array().unwrap() {
        for field in [
            "id", "title", "result", "seen", "why", "sender", "source", "fix",
        ] {
            assert!(finding[field].is_string(), "{field} is missing: {finding}");
        }
    }
    let sent: BTreeSet<_> = report["sent"]
        .as_array()
        .unwrap()
        .iter()
        .map(|sent| sent["id"].as_str().unwrap())
        .collect();
    assert!(receiver.held().iter().all(|id| sent.contains(&**id)));

    let ran = check(&receiver.url(), Sender::Hmrc, &["--markdown"], &[]).await;
    assert_eq!((ran.code, &*ran.stderr), (1, ""), "{ran:?}");
    for part in [
        "# Conformance of a receiver of hmrc\n",
        "| `duplicate` | failed |",
        "\n## Failed\n",
        "\n## Test data sent\n",
    ] {
        assert!(ran.stdout.contains(part), "{part} is missing: {ran:?}");
    }
}

#[test]
fn an_unreachable_receiver_is_a_failure() {
    let folder = ProgramFolder::empty();
    let ran = folder.run(
        &[
            &["check", "http://127.0.0.1:1/pay"],
            &arguments(Sender::GovukPay)[..],
        ]
        .concat(),
    );
    assert_eq!((ran.code, &*ran.stderr), (1, ""), "{ran:?}");
    assert!(
        ran.stdout.contains("FAIL  reachable: ")
            && ran.stdout.contains("cannot connect to 127.0.0.1:1"),
        "{ran:?}"
    );
    assert!(
        ran.stdout.contains("SKIP  accepted: ") && !ran.stdout.contains("Test data"),
        "{ran:?}"
    );
}

#[test]
fn a_mistake_on_the_command_line_is_named_and_exits_with_2() {
    let folder = ProgramFolder::empty();
    folder.write("short.secret", "short");
    let here = "http://127.0.0.1:1/pay";
    let (kind, good) = (
        ["--kind", "govuk-pay"],
        ["--secret", "env:PAY_SIGNING_SECRET"],
    );
    let yes = ["--yes-store-test-data"];
    let cases: [(&[&str], &[&str]); 13] = [
        (&[], &["URL", "--kind", "--secret"]),
        (&[&[here], &kind[..]].concat(), &["--secret"]),
        (
            &[&[here, "--kind", "pay"], &good[..]].concat(),
            &["hmrc, govuk-pay"],
        ),
        (
            &[&["pay"], &kind[..], &good].concat(),
            &["not a URL", "https://HOST/PATH"],
        ),
        (
            &[&[here, "--secret", PAY_SECRET], &kind[..]].concat(),
            &["--secret"],
        ),
        (
            &[&[here, "--secret", "env:UNSET"], &kind[..]].concat(),
            &["env:UNSET", "not set"],
        ),
        (
            &[&[here, "--secret", "file:short.secret"], &kind[..]].concat(),
            &["only 5 bytes long"],
        ),
        (
            &[&[here, "--json", "--markdown"], &kind[..], &good].concat(),
            &["--markdown"],
        ),
        (
            &[&["https://receiver.example.gov.uk/pay"], &kind[..], &good].concat(),
            &["receiver.example.gov.uk", "--yes-store-test-data"],
        ),
        (
            &[
                &["http://receiver.example.gov.uk/pay"],
                &kind[..],
                &good,
                &yes,
            ]
            .concat(),
            &["plain http", "use https://"],
        ),
        (
            &[&["http://user:word@localhost/pay"], &kind[..], &good].concat(),
            &["user name"],
        ),
        (
            &[&["http://localhost/pay#top"], &kind[..], &good].concat(),
            &["#fragment"],
        ),
        (
            &[&["ftp://localhost/pay"], &kind[..], &good].concat(),
            &["`ftp:` URLs"],
        ),
    ];
    for (arguments, words) in cases {
        let ran = folder.run(&[&["check"], arguments].concat());
        assert_eq!((ran.code, &*ran.stdout), (2, ""), "{ran:?}");
        for word in words {
            assert!(ran.stderr.contains(word), "`{word}` is missing: {ran:?}");
        }
    }
}

/// An authority of this test alone, and a certificate of it for `name`.
fn tls(name: &str, versions: &[&'static SupportedProtocolVersion]) -> (String, ServerConfig) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()])
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap();
    let config = builder
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    (authority.pem(), config)
}

/// Not on macOS, which trusts its keychain alone and so never this test's authority.
#[cfg(not(target_os = "macos"))]
#[tokio::test(flavor = "multi_thread")]
async fn tls_is_graded_by_its_certificate_and_its_versions() {
    const OLD: &[&SupportedProtocolVersion] = &[&version::TLS12];
    const NEW: &[&SupportedProtocolVersion] = &[&version::TLS13];
    const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS12, &version::TLS13];
    for (sender, name, trusted, versions, code, certificate, tls_1_2, accepted) in [
        (
            Sender::Hmrc,
            "localhost",
            true,
            BOTH,
            0,
            "passed",
            Some("passed"),
            "passed",
        ),
        (
            Sender::Hmrc,
            "localhost",
            true,
            OLD,
            0,
            "passed",
            Some("passed"),
            "passed",
        ),
        (
            Sender::Hmrc,
            "localhost",
            true,
            NEW,
            1,
            "passed",
            Some("failed"),
            "not_tried",
        ),
        (
            Sender::Hmrc,
            "localhost",
            false,
            BOTH,
            1,
            "failed",
            Some("passed"),
            "not_tried",
        ),
        (
            Sender::Hmrc,
            "other.example",
            true,
            BOTH,
            1,
            "failed",
            Some("passed"),
            "not_tried",
        ),
        (
            Sender::GovukPay,
            "localhost",
            true,
            BOTH,
            0,
            "passed",
            None,
            "passed",
        ),
        (
            Sender::GovukPay,
            "localhost",
            true,
            NEW,
            0,
            "passed",
            None,
            "passed",
        ),
        (
            Sender::GovukPay,
            "localhost",
            false,
            BOTH,
            1,
            "failed",
            None,
            "not_tried",
        ),
    ] {
        let (authority, config) = tls(name, versions);
        let receiver =
            FaultyReceiver::start_with(config, sender, PlantedFault::Sound, secret(sender)).await;
        let roots = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(roots.path(), authority).unwrap();
        let trust = [("SSL_CERT_FILE", roots.path().to_str().unwrap())];
        let ran = check(
            &receiver.url(),
            sender,
            &["--json"],
            if trusted { &trust } else { &[] },
        )
        .await;
        let case = format!("{sender:?} {name} {trusted} {versions:?}: {ran:?}");
        assert_eq!(ran.code, code, "{case}");
        let report = json(&ran);
        assert_eq!(
            (result(&report, "https"), result(&report, "reachable")),
            ("passed".into(), "passed".into()),
            "{case}"
        );
        assert_eq!(
            (result(&report, "certificate"), result(&report, "accepted")),
            (certificate.into(), accepted.into()),
            "{case}"
        );
        if let Some(expected) = tls_1_2 {
            assert_eq!(result(&report, "tls-1-2"), expected, "{case}");
        }
        assert_eq!(receiver.held().is_empty(), accepted != "passed", "{case}");
    }
}
