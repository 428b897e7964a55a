use std::{collections::HashMap, io, path::Path, time::Duration};

use pillarbox::{
    config::Config,
    domain::{SourceName, SystemClock},
    secrets::{FetchedSecrets, SecretSources},
    senders::{MacAlgorithm, example::TIMESTAMPED},
};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::*;

const PAY: &str = "webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu";
const LIVE: &str = "webhook_live_8nsq2e6mtb6qegt3cwjn3g0dev";
const HMRC: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
const BODY: &str = r#"{"webhook_message_id":"m1","email":"jo@example.org"}"#;

fn log() -> Arc<RefusalLog> {
    let document = r#"
        [sources.pay]
        kind = "govuk-pay"
        secrets = ["env:PAY"]
        [sources.pay-live]
        kind = "govuk-pay"
        live = true
        secrets = ["env:LIVE"]
        [sources.hmrc]
        kind = "hmrc"
        secrets = ["env:HMRC", "env:UNSET"]
    "#;
    let config = Config::read(document, "a test").unwrap();
    let values = HashMap::from([("PAY", PAY), ("LIVE", LIVE), ("HMRC", HMRC)]);
    let secret_sources = SecretSources {
        env: &|name| values.get(name).map(ToString::to_string),
        file: &|_: &Path| Err(io::ErrorKind::NotFound.into()),
        vault: FetchedSecrets::NOTHING,
    };
    let candidates = CandidateSecrets::read(&config.sources, &secret_sources);
    RefusalLog::new(candidates, Arc::new(SystemClock))
}

fn record(source: &str, kind: SenderKind, body: &[u8]) -> RequestRecord {
    let mut record = RequestRecord::default();
    record.source = SourceName::new(source);
    record.kind = Some(kind.as_str());
    record.body_bytes = Some(body.len());
    record.digest_prefix = Some(hex::encode(&Sha256::digest(body)[..4]));
    record
}

fn note(log: &RefusalLog, source: &str, error: SignatureError, headers: &[&str], body: &[u8]) {
    let kind = match source {
        "hmrc" => SenderKind::HMRC,
        _ => SenderKind::GOVUK_PAY,
    };
    let headers: Vec<&[u8]> = headers.iter().map(|header| header.as_bytes()).collect();
    let body = Bytes::copy_from_slice(body);
    log.record(&RefusedPost {
        refusal: &Refusal::Signature(error),
        record: &record(source, kind, &body),
        signatures: &headers,
        body: Some(&body).filter(|body| log.takes_body(body.len())),
    });
}

fn sign(secret: &str, body: &str) -> String {
    use hmac::{Hmac, KeyInit, Mac};
    assert_eq!(
        SenderKind::GOVUK_PAY.signature.algorithm,
        MacAlgorithm::HmacSha256
    );
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    hex::encode(mac.chain_update(body).finalize().into_bytes())
}

/// The newest entry, once its diagnosis is complete.
fn diagnosed(log: &RefusalLog) -> RefusedRequest {
    let began = Instant::now();
    loop {
        let newest = log.report().latest.remove(0);
        if newest.diagnosis != DiagnosisState::Pending {
            return newest;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{newest:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_refusal_has_its_reason_and_its_likely_cause() {
    use SignatureError::{Malformed, Missing, Several, Wrong};
    let log = log();
    let check = |error, headers: &[&str], body: &str, reason: &str, cause: &str| {
        note(&log, "pay", error, headers, body.as_bytes());
        let newest = diagnosed(&log);
        assert_eq!((newest.source.as_str(), newest.reason), ("pay", reason));
        assert_eq!((newest.status, newest.body_bytes), (401, Some(body.len())));
        let all = newest.causes.join(" ");
        assert!(all.contains(cause), "{reason} {cause}: {all}");
        assert_eq!(newest.causes.is_empty(), cause.is_empty(), "{all}");
    };
    let right = sign(PAY, BODY);
    check(Missing, &[], BODY, "missing", "");
    check(Several, &[&right, &right], BODY, "several", "");
    for (header, reason, cause) in [
        (&right[1..], "wrong_length", "it was cut"),
        ("", "malformed", "is empty"),
        (&right.to_uppercase(), "wrong_case", "upper-case hex"),
        (&format!("\"{right}\""), "malformed", "quotation marks"),
    ] {
        check(Malformed, &[header], BODY, reason, cause);
    }
    for (signed_with, cause) in [
        (PAY, "which is not in use"),
        (&format!("{PAY}\n"), "a newline or space"),
        (&format!("\"{PAY}\""), "quotation marks around"),
        (&format!("{PAY}\u{200b}"), "an invisible character"),
        (&PAY[13..], "without webhook_test_"),
        (LIVE, "a live webhook's secret"),
    ] {
        check(Wrong, &[&sign(signed_with, BODY)], BODY, "wrong", cause);
    }
    let pretty = "{\n  \"webhook_message_id\": \"m1\",\n  \"email\": \"jo@example.org\"\n}";
    for (body, cause) in [
        (pretty, "parsed and written again"),
        ("{}", "None of the usual causes"),
    ] {
        check(Wrong, &[&right], body, "wrong", cause);
    }
}

#[test]
fn the_form_of_a_signature_is_distinguished_from_the_part_of_the_header_that_holds_it() {
    let upper = "A".repeat(64);
    for (header, word) in [
        (format!("t=1,v1={upper}"), "wrong_case"),
        ("t=1,v1=aa".to_owned(), "wrong_length"),
        ("t=1,v1=".to_owned(), "malformed"),
        (upper, "malformed"),
    ] {
        assert_eq!(form_error(TIMESTAMPED, header.as_bytes()), word, "{header}");
    }
}

#[test]
fn a_test_secret_on_a_live_source_is_named() {
    let log = log();
    let header = sign(PAY, BODY);
    note(
        &log,
        "pay-live",
        SignatureError::Wrong,
        &[&header],
        BODY.as_bytes(),
    );
    let causes = diagnosed(&log).causes;
    assert!(causes[0].contains("1:env:PAY of source pay"), "{causes:?}");
    assert!(causes[1].contains("a test webhook's secret"), "{causes:?}");
}

#[test]
fn other_refusals_of_a_source_are_kept_and_requests_without_a_source_are_not() {
    let log = log();
    let body = Bytes::from_static(b"{}");
    for (refusal, reason) in [
        (Refusal::TooLarge, "too_large"),
        (Refusal::Slow, "slow"),
        (Refusal::Malformed("the body broke off"), "broken_off"),
        (Refusal::NoSecret, "missing"),
    ] {
        let refused = |record: &RequestRecord| {
            log.record(&RefusedPost {
                refusal: &refusal,
                record,
                signatures: &[],
                body: None,
            });
        };
        refused(&record("pay", SenderKind::GOVUK_PAY, &body));
        refused(&RequestRecord::default());
        let newest = diagnosed(&log);
        assert_eq!((newest.reason, newest.causes.len()), (reason, 0));
    }
    assert_eq!(log.report().latest.len(), 4);
}

#[test]
fn neither_body_nor_signature_nor_secret_is_kept_or_shown() {
    let log = log();
    for header in [
        sign(PAY, BODY),
        sign(&format!("{PAY}\n"), BODY),
        PAY.to_owned(),
    ] {
        for error in [SignatureError::Wrong, SignatureError::Malformed] {
            note(&log, "pay", error, &[&header], BODY.as_bytes());
            diagnosed(&log);
            let shown = serde_json::to_string(&log.report()).unwrap();
            for hidden in [
                PAY,
                &PAY[13..],
                LIVE,
                HMRC,
                &header,
                "jo@example.org",
                &sign(PAY, BODY),
            ] {
                assert!(!shown.contains(hidden), "{shown}");
            }
        }
    }
}

#[test]
fn a_long_body_is_diagnosed_by_its_header_alone() {
    let log = log();
    let body = vec![b'x'; diagnosis::MAX_BODY_BYTES + 1];
    assert!(log.takes_body(diagnosis::MAX_BODY_BYTES) && !log.takes_body(body.len()));
    note(
        &log,
        "pay",
        SignatureError::Wrong,
        &[&"0".repeat(64)],
        &body,
    );
    let newest = diagnosed(&log);
    assert_eq!(newest.causes.len(), 1, "{newest:?}");
    assert!(newest.causes[0].contains("longer than 16 KB"), "{newest:?}");
}

#[test]
fn a_flood_of_forgeries_is_counted_and_costs_neither_memory_nor_time() {
    let log = log();
    let (header, body) = ("0".repeat(64), vec![b'['; diagnosis::MAX_BODY_BYTES]);
    let flood = 20_000;
    let began = Instant::now();
    for _ in 0..flood {
        note(&log, "pay", SignatureError::Wrong, &[&header], &body);
    }
    let each = began.elapsed() / flood;
    // The test itself hashes and copies 16 KB each time, which takes most of this.
    assert!(each < Duration::from_millis(5), "{each:?}");
    let report = log.report();
    assert_eq!(report.latest.len(), MAX_REFUSALS);
    let count = RefusalCount {
        source: "pay".to_owned(),
        reason: "wrong",
        count: u64::from(flood),
    };
    assert_eq!(report.counts, [count]);
    let is_skipped = |one: &&RefusedRequest| one.diagnosis == DiagnosisState::Skipped;
    let skipped = report.latest.iter().filter(is_skipped).count();
    assert!(skipped > MAX_REFUSALS / 2, "{skipped}");
    // A diagnosis whose entry is no longer kept changes nothing.
    log.entries.set_causes(0, vec!["too late".to_owned()]);
    assert!(
        log.report()
            .latest
            .iter()
            .all(|one| !one.causes.contains(&"too late".to_owned()))
    );
}
