use std::{sync::Arc, time::Duration};

use super::super::tests::{TestConsole, assert_tame, settings};
use crate::{
    console::{ConsoleAccess, ConsoleSettings},
    refusals::{CandidateSecrets, RefusalLog, RefusedPost},
};
use pillarbox::{
    domain::{SourceName, SystemClock},
    receive::Refusal,
    senders::{SenderKind, SignatureError},
    telemetry::RequestRecord,
};

#[tokio::test]
async fn refused_requests_are_listed_with_their_causes_and_without_their_content() {
    let log = RefusalLog::new(CandidateSecrets::default(), Arc::new(SystemClock));
    let console = TestConsole::start_with(ConsoleSettings {
        refusals: Some(Arc::clone(&log)),
        ..settings(ConsoleAccess::ReadOnly)
    })
    .await;
    let none = console.get("/refusals").await;
    assert!(none.shows("No request to a source has been refused since"));
    let mut record = RequestRecord::default();
    record.source = SourceName::new("pay");
    record.kind = Some(SenderKind::GOVUK_PAY.as_str());
    record.body_bytes = Some(1_222);
    record.digest_prefix = Some("0badcafe".to_owned());
    let header = "<script>\u{202e}";
    let body = b"{\"email\":\"jo@example.org\"}"[..].into();
    log.record(&RefusedPost {
        refusal: &Refusal::Signature(SignatureError::Malformed),
        record: &record,
        signatures: &[header.as_bytes()],
        body: Some(&body),
    });
    let page = loop {
        let page = console.get("/refusals").await;
        if !page.shows("is being looked for") {
            break page;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    page.assert_shows(&[
        "1 refused request",
        "malformed</strong> Answered 401",
        "characters other than hex digits",
        "0badcafe",
        "1222",
        "60 seconds",
    ]);
    assert_tame(&page, "the header");
    let json = console.get("/refusals.json").await;
    assert!(json.head.contains("content-type: application/json\r\n"));
    let report: serde_json::Value = serde_json::from_slice(&json.body).unwrap();
    assert_eq!(report["latest"][0]["reason"], "malformed");
    assert_eq!(report["counts"][0]["count"], 1);
    for answer in [&page, &json] {
        assert!(!answer.shows("jo@example") && !answer.shows("202e"));
    }
}

#[tokio::test]
async fn a_console_without_a_receiver_says_where_refusals_are() {
    let console = TestConsole::start().await;
    let page = console.get("/refusals").await;
    assert!(page.shows("opened over an inbox alone"));
    assert_eq!(console.get("/refusals.json").await.status, 404);
}
