//! One table of requests, sent over each of the four ways in: `serve`, an HTTP API, a Function URL
//! and a REST API. The same request gets the same answer and leaves the same rows on all of them.
//!
//! What only one of them can carry, such as bytes that are not UTF-8 or a stage in a path, is
//! tested beside it, in `receive` and `lambda`.

mod requests;
mod signatures;
mod notifications;

use std::collections::BTreeSet;

use notifications::{characters_beyond_the_basic_plane, genuine_notifications};
use pillarbox::inbox::{PageRequest, ReadInbox, Row, RowFilter};
use requests::{challenges, methods, paths, probes};
use signatures::{
    bodies_that_were_not_signed, signature_forms, signatures_of_others, signatures_twice,
    sources_without_a_secret,
};
use test_support::{
    client::CheckedResponse,
    fronts::{FrontRequest, LambdaFront},
    function::DeployedFunction,
    request::RawRequest,
    server::{NOW, RecordingDestination, Server},
};

/// A request, its answer, and the row that it leaves.
struct ConformanceCase {
    name: String,
    request: FrontRequest,
    status: u16,
    /// Without one, only the status counts.
    body: Option<String>,
    row: Option<StoredRow>,
}

/// The row under a key, with the bytes of the request that stored it.
struct StoredRow {
    key: String,
    /// The state, and the reason if there is one, such as `held stale`.
    outcome: String,
    /// Which secret matched.
    key_label: Option<&'static str>,
}

impl ConformanceCase {
    fn refused(name: impl Into<String>, request: FrontRequest, status: u16, code: &str) -> Self {
        Self {
            name: name.into(),
            request,
            status,
            body: Some(format!(r#"{{"error":"{code}"}}"#)),
            row: None,
        }
    }

    fn challenge(name: impl Into<String>, request: FrontRequest, value: &str) -> Self {
        Self {
            name: name.into(),
            request,
            status: 200,
            body: Some(format!(r#"{{"challenge":"{value}"}}"#)),
            row: None,
        }
    }

    /// A request that is stored as `outcome` under `key`.
    fn stored(
        name: impl Into<String>,
        request: FrontRequest,
        outcome: &str,
        key: impl Into<String>,
    ) -> Self {
        let (state, _) = outcome.split_once(' ').unwrap_or((outcome, ""));
        Self {
            name: name.into(),
            request,
            status: 200,
            body: Some(format!(r#"{{"status":"{state}"}}"#)),
            row: Some(StoredRow {
                key: key.into(),
                outcome: outcome.to_owned(),
                key_label: None,
            }),
        }
    }

    /// A request that the HTTP parser of one entry point refuses, and the receiver on another.
    fn by_status_alone(mut self) -> Self {
        self.body = None;
        self
    }

    fn matched_by(mut self, key_label: &'static str) -> Self {
        if let Some(row) = &mut self.row {
            row.key_label = Some(key_label);
        }
        self
    }

    fn duplicate(name: impl Into<String>, request: FrontRequest) -> Self {
        Self {
            name: name.into(),
            request,
            status: 200,
            body: Some(r#"{"status":"duplicate"}"#.to_owned()),
            row: None,
        }
    }
}

/// An entry point with its own inbox.
enum EntryPoint {
    Serve(Server),
    Lambda(LambdaFront, Box<DeployedFunction<RecordingDestination>>),
}

impl EntryPoint {
    async fn all() -> Vec<Self> {
        let mut all = vec![Self::Serve(Server::start().await)];
        all.extend(
            LambdaFront::ALL.map(|front| Self::Lambda(front, Box::new(DeployedFunction::new()))),
        );
        all
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Serve(_) => "serve",
            Self::Lambda(front, _) => front.as_str(),
        }
    }

    async fn send(&self, request: &FrontRequest) -> CheckedResponse {
        match self {
            Self::Serve(server) => server.send(&bytes(request)).await,
            Self::Lambda(front, deployed) => deployed.send(*front, request).await,
        }
    }

    async fn rows(&self) -> Vec<Row> {
        let (filter, page) = (RowFilter::default(), PageRequest::first(10_000));
        let listed = match self {
            Self::Serve(server) => server.inbox.list(&filter, page).await,
            Self::Lambda(_, deployed) => deployed.inbox.list(&filter, page).await,
        };
        listed.unwrap().rows
    }

    async fn row(&self, key: &str) -> Option<Row> {
        match self {
            Self::Serve(server) => server.row(key).await,
            Self::Lambda(_, deployed) => deployed.row(key).await,
        }
    }

    /// Sends the whole table, and checks each answer, each row, and that there are no other rows.
    async fn conforms(&self, cases: &[ConformanceCase]) {
        let mut keys = BTreeSet::new();
        for case in cases {
            let what = format!("{}: {}", self.name(), case.name);
            let answer = self.send(&case.request).await;
            assert_eq!(answer.status, case.status, "{what}");
            if let Some(body) = case.body.as_ref().filter(|_| case.request.method != "HEAD") {
                assert_eq!(&answer.body, body, "{what}");
            }
            let Some(expected) = &case.row else {
                continue;
            };
            keys.insert(expected.key.clone());
            let row = self.row(&expected.key).await;
            let row = row.unwrap_or_else(|| panic!("{what}: no row under {}", expected.key));
            assert!(
                row.body.as_deref() == Some(case.request.body.as_slice()),
                "{what}: {} has other bytes than were sent",
                expected.key
            );
            row.proven_body().unwrap();
            let outcome = [row.state.as_str(), row.reason.as_deref().unwrap_or("")].join(" ");
            assert_eq!(outcome.trim_end(), expected.outcome, "{what}");
            assert_eq!(row.received_at, NOW, "{what}");
            let is_signature = |(name, _): &&(String, String)| {
                ["x-hub-signature", "pay-signature"].contains(&name.to_lowercase().as_str())
            };
            let sent = case.request.headers.iter().find(is_signature);
            assert_eq!(
                row.signature.as_ref(),
                sent.map(|(_, value)| value),
                "{what}"
            );
            if let Some(label) = expected.key_label {
                assert_eq!(row.key_label.as_deref(), Some(label), "{what}");
            }
        }
        let rows = self.rows().await;
        let stored: BTreeSet<String> = rows.iter().map(|row| row.key.to_string()).collect();
        assert_eq!(
            stored,
            keys,
            "{}: the rows of the table and no others",
            self.name()
        );
    }
}

/// The request as its sender writes it.
fn bytes(request: &FrontRequest) -> Vec<u8> {
    let target = match request.query.as_str() {
        "" => request.path.clone(),
        query => format!("{}?{query}", request.path),
    };
    let request_line = RawRequest::new(&request.method, &target).body(&request.body);
    let with_headers = request
        .headers
        .iter()
        .fold(request_line, |all, (name, value)| all.header(name, value));
    with_headers.bytes()
}

#[tokio::test]
async fn a_request_gets_one_answer_and_leaves_one_row_whatever_carries_it() {
    let cases: Vec<ConformanceCase> = [
        probes(),
        paths(),
        methods(),
        challenges(),
        sources_without_a_secret(),
        signature_forms(),
        signatures_twice(),
        signatures_of_others(),
        bodies_that_were_not_signed(),
        genuine_notifications(),
        characters_beyond_the_basic_plane(),
    ]
    .into_iter()
    .flatten()
    .collect();
    assert!(cases.len() > 800, "{} cases", cases.len());
    for entry_point in EntryPoint::all().await {
        entry_point.conforms(&cases).await;
    }
}
