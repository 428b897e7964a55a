//! What Pillarbox logs: one record for each request, each attempt to deliver and each reconcile
//! run.
//!
//! Each record is a type with one writer, so its fields have the same names on every platform;
//! `docs/logging.md` lists them. Bodies, signatures, secrets and personal data are never fields, so
//! a line cannot hold them. Text from unauthenticated callers is escaped.

mod panics;
mod log_layer;
mod platform;
mod request;
mod metrics;
mod attempt;
mod reconcile;
mod sample;

use std::time::Duration;

pub use crate::text::{visible, visible_lines};
pub use attempt::AttemptRecord;
#[cfg(test)]
pub(crate) use log_layer::test_support;
pub use log_layer::{LinePrinter, LogFormat, LogLayer};
pub(crate) use metrics::{
    CONFLICT_ROWS, DEAD_ROWS, DELIVERED, DELIVERY_DELAY, EmbeddedMetrics, HELD_ROWS,
    OLDEST_OPEN_SECONDS, OPEN_ROWS, REPEAT, SILENCE_HOURS,
};
pub use metrics::{
    COUNTED_FIELD, FunctionMetrics, METRICS, MetricDefinition, MetricFrequency, MetricSet,
    MetricsWriter, NAMESPACE,
};
pub use panics::log_panics;
pub use platform::PlatformFields;
pub use reconcile::ReconcileRecord;
pub use request::RequestRecord;
pub use sample::{MetricSample, MetricValue};

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::{Key, SourceName, Timestamp};
    use test_support::logged;

    #[test]
    fn a_request_is_one_line_with_the_fields_that_are_known() {
        let recorded = RequestRecord {
            source: SourceName::new("pay"),
            kind: Some("govuk-pay"),
            key: Key::parse("pay:6otj"),
            outcome: "recorded",
            status: Some(200),
            key_label: Some("1:env:PAY".to_owned()),
            body_bytes: Some(1222),
            store: Some(Duration::from_micros(570)),
            took: Some(Duration::from_micros(577)),
            ..RequestRecord::default()
        };
        assert_eq!(
            logged(LogFormat::Readable { colour: false }, || recorded.log()),
            "10:15:31  INFO notification recorded source=pay kind=govuk-pay key=pay:6otj \
             outcome=recorded status=200 key_label=1:env:PAY body_bytes=1222 store_us=570 \
             took_us=577\n"
        );
    }

    #[test]
    fn the_line_of_a_request_to_a_function_holds_its_metrics() {
        let pay = SourceName::new("pay");
        for (source, outcome, code, reason, metric) in [
            (&pay, "recorded", None, None, "Recorded"),
            (&pay, "duplicate", None, None, "Duplicate"),
            (&pay, "held", None, Some("stale"), "Held"),
            (&pay, "held", None, Some("conflict"), "Conflict"),
            (&pay, "refused", Some("signature"), None, "InvalidSignature"),
            (&pay, "refused", Some("no_secret"), None, "NoSecret"),
            (&pay, "refused", Some("too_large"), None, "TooLarge"),
            (&pay, "refused", Some("malformed"), None, "OtherRefused"),
            (&None, "challenge", None, None, ""),
        ] {
            let record = RequestRecord {
                platform: PlatformFields {
                    function: Some(FunctionMetrics::all("f")),
                    ..PlatformFields::default()
                },
                source: source.clone(),
                outcome,
                code,
                reason: reason.map(str::to_owned),
                took: Some(Duration::from_micros(2_999)),
                ..RequestRecord::default()
            };
            let line = logged(LogFormat::Json, || record.log());
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(line.get("_aws").is_some(), source.is_some(), "{line}");
            if source.is_some() {
                assert_eq!((&line["Received"], &line[metric]), (&1.into(), &1.into()));
                assert_eq!(
                    (&line["Source"], &line["AnswerTime"]),
                    (&"pay".into(), &2.into())
                );
                assert_eq!(line["_aws"]["Timestamp"], 1_772_446_531_480_i64);
                assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Namespace"], NAMESPACE);
            }
            let text = logged(LogFormat::Readable { colour: false }, || record.log());
            assert!(!text.contains("CloudWatch"), "{text}");
        }
    }

    #[test]
    fn the_level_of_a_request_follows_from_its_outcome() {
        for (outcome, status, level) in [
            ("recorded", 200, "INFO"),
            ("duplicate", 200, "INFO"),
            ("challenge", 200, "INFO"),
            ("held", 200, "WARN"),
            ("refused", 401, "WARN"),
            ("refused", 503, "ERROR"),
        ] {
            let record = RequestRecord {
                outcome,
                status: Some(status),
                ..RequestRecord::default()
            };
            let line = logged(LogFormat::Json, || record.log());
            assert!(line.contains(&format!(r#""level":"{level}""#)), "{line}");
        }
        let unanswered = logged(LogFormat::Json, || RequestRecord::default().log());
        assert!(unanswered.contains(r#""level":"ERROR""#), "{unanswered}");
    }

    #[test]
    fn the_line_of_a_retried_attempt_has_its_time_and_its_reason() {
        let retry = AttemptRecord {
            platform: PlatformFields::default(),
            key: Key::parse("pay:6otj").unwrap(),
            outcome: "retry",
            attempt: Some(3),
            reason: Some("https: status 503".to_owned()),
            original_key: None,
            retry_at: Some(Timestamp::from_millis(1_772_446_531_480)),
            age: Duration::ZERO,
            took: Duration::from_micros(9),
        };
        assert_eq!(
            logged(LogFormat::Json, || retry.log()),
            "{\"timestamp\":\"2026-03-02T10:15:31.480Z\",\"level\":\"WARN\",\
             \"message\":\"delivery failed, will retry\",\"source\":\"pay\",\
             \"key\":\"pay:6otj\",\"outcome\":\"retry\",\"attempt\":3,\
             \"retry_at\":\"2026-03-02T10:15:31.480Z\",\"reason\":\"https: status 503\",\
             \"took_us\":9}\n"
        );
    }

    #[test]
    fn a_reconcile_run_that_did_nothing_is_an_error_and_one_that_failed_in_part_a_warning() {
        let record = ReconcileRecord {
            request_id: Some("r1".to_owned()),
            source: "hmrc".to_owned(),
            ended: "completed",
            seen: 9,
            recorded: 1,
            missed_by_push: 1,
            duplicates: 8,
            acknowledged: 9,
            oldest_unacknowledged: Some(Duration::ZERO),
            ..ReconcileRecord::default()
        };
        let fields = "\"request_id\":\"r1\",\"source\":\"hmrc\",\"ended\":\"completed\",\
                      \"seen\":9,\"recorded\":1,\"duplicates\":8,\"held\":0,\
                      \"acknowledged\":9,\"missing\":0,\"errors\":0,\
                      \"oldest_unacknowledged_seconds\":0}";
        let line = logged(LogFormat::Json, || record.log());
        assert!(line.contains(fields), "{line}");
        for (reason, errors, level) in [
            (None, 0, "INFO"),
            (None, 1, "WARN"),
            (Some("HMRC refused the client".to_owned()), 1, "ERROR"),
        ] {
            let record = ReconcileRecord {
                reason,
                errors,
                ..record.clone()
            };
            let line = logged(LogFormat::Json, || record.log());
            assert!(line.contains(&format!(r#""level":"{level}""#)), "{line}");
        }
    }

    /// The fields of a section of `docs/logging.md` and those of every line.
    fn documented(heading: &str) -> BTreeSet<String> {
        let document = include_str!("../../docs/logging.md");
        let fields = |heading: &str| {
            let (_, section) = document.split_once(&format!("\n## {heading}\n")).unwrap();
            let (section, _) = section.split_once("\n## ").unwrap();
            let tables = section.split("\n\n").map(str::trim);
            let rows = tables.filter(|table| table.starts_with("| Field |"));
            let rows = rows.flat_map(|table| table.lines().skip(2));
            rows.map(|row| row.split('`').nth(1).unwrap().to_owned())
                .collect::<BTreeSet<_>>()
        };
        &fields("Every line") | &fields(heading)
    }

    /// A record whose every field is known has every documented field, and no other. The fields
    /// that only some platforms have are among them.
    #[test]
    fn a_line_has_the_documented_fields() {
        let text = || Some("x".to_owned());
        let platform = PlatformFields {
            request_id: text(),
            function: None,
            role: Some("receive"),
            version: Some("0.1.0"),
            cold_start: Some(true),
        };
        let request = RequestRecord {
            platform: platform.clone(),
            source: SourceName::new("pay"),
            kind: Some("govuk-pay"),
            path: text(),
            key: Key::parse("pay:6otj"),
            outcome: "held",
            code: Some("signature"),
            reason: text(),
            status: Some(200),
            key_label: text(),
            body_bytes: Some(1),
            digest_prefix: text(),
            store: Some(Duration::ZERO),
            took: Some(Duration::ZERO),
        };
        let attempt = AttemptRecord {
            platform,
            key: Key::parse("pay:6otj").unwrap(),
            outcome: "retry",
            attempt: Some(3),
            reason: text(),
            original_key: Key::parse("pay:5kqr"),
            retry_at: Some(Timestamp::from_millis(0)),
            age: Duration::ZERO,
            took: Duration::ZERO,
        };
        let run = ReconcileRecord {
            request_id: text(),
            source: "hmrc".to_owned(),
            ended: "completed",
            reason: text(),
            seen: 0,
            recorded: 0,
            missed_by_push: 0,
            duplicates: 0,
            held: 0,
            acknowledged: 0,
            missing: 0,
            newly_missing: Some(0),
            errors: 0,
            oldest_unacknowledged: Some(Duration::ZERO),
            silent: Some(Duration::ZERO),
        };
        let log: [(&str, &dyn Fn()); 3] = [
            ("A request", &|| request.log()),
            ("An attempt to deliver", &|| attempt.log()),
            ("A reconcile run", &|| run.log()),
        ];
        for (heading, log) in log {
            let line = logged(LogFormat::Json, log);
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            let fields = line.as_object().unwrap().keys().cloned();
            assert_eq!(
                fields.collect::<BTreeSet<_>>(),
                documented(heading),
                "{heading}"
            );
        }
    }
}
