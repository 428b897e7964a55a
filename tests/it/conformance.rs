//! One table of requests, sent over each of the four ways in: `serve`, an HTTP API, a Function URL
//! and a REST API. The same request gets the same answer and leaves the same rows on all of them.
//!
//! What only one of them can carry, such as bytes that are not UTF-8 or a stage in a path, is
//! tested beside it, in `receive` and `lambda`.

use std::collections::BTreeSet;

use base64::{Engine, prelude::BASE64_STANDARD};
use pillarbox::inbox::{PageRequest, ReadInbox, Row, RowFilter};
use sender_simulator::Sender;

use test_support::{
    client::CheckedResponse,
    fronts::{Front, FrontRequest},
    function::{Deployed, post, unsigned},
    message::{NO_CHALLENGES, Source, both, hmrc, hmrc_too, pay, pay_too, with, without_secret},
    request::{Request, signature, signature_header},
    server::{NOW, RecordingDestination, Server, WINDOW},
};

/// A request, its answer, and the row that it leaves.
struct Case {
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

impl Case {
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

    /// A request that the HTTP parser of one way in refuses, and the receiver on another.
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

/// A way in, with an inbox that belongs to it.
enum WayIn {
    Serve(Server),
    Lambda(Front, Box<Deployed<RecordingDestination>>),
}

impl WayIn {
    async fn all() -> Vec<Self> {
        let mut all = vec![Self::Serve(Server::start().await)];
        all.extend(Front::ALL.map(|front| Self::Lambda(front, Box::new(Deployed::new()))));
        all
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Serve(_) => "serve",
            Self::Lambda(front, _) => front.as_str(),
        }
    }

    async fn ask(&self, request: &FrontRequest) -> CheckedResponse {
        match self {
            Self::Serve(server) => server.ask(&bytes(request)).await,
            Self::Lambda(front, deployed) => deployed.ask(*front, request).await,
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
    async fn conforms(&self, cases: &[Case]) {
        let mut keys = BTreeSet::new();
        for case in cases {
            let what = format!("{}: {}", self.name(), case.name);
            let answer = self.ask(&case.request).await;
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
    let request_line = Request::new(&request.method, &target).body(&request.body);
    let with_headers = request
        .headers
        .iter()
        .fold(request_line, |all, (name, value)| all.header(name, value));
    with_headers.bytes()
}

#[tokio::test]
async fn a_request_gets_one_answer_and_leaves_one_row_whatever_carries_it() {
    let cases: Vec<Case> = [
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
    for way in WayIn::all().await {
        way.conforms(&cases).await;
    }
}

/// No other spelling of a path is a source's, and none is redirected.
fn paths() -> Vec<Case> {
    let mut cases = Vec::new();
    for source in both() {
        let name = &source.name;
        let genuine = post(&source, source.message("n1", NOW));
        for target in [
            "/".to_owned(),
            format!("/{name}/"),
            format!("//{name}"),
            format!("/{name}//"),
            format!("/./{name}"),
            format!("/x/../{name}"),
            format!("/../{name}"),
            format!("/%2e%2e/{name}"),
            format!("/{name}/.."),
            format!("/{name}/../{name}"),
            format!("/%2F{name}"),
            format!("/{name}%2F"),
            format!("/{name}%2f?x=1"),
            format!("/{name}%00"),
            format!("/{name}%20"),
            format!("/{name};x"),
            format!("/{name};jsessionid=1?a=b"),
            format!("/{}", name.to_uppercase()),
            format!("/{}{}", name[..1].to_uppercase(), &name[1..]),
            format!("/%{:02x}{}", name.as_bytes()[0], &name[1..]),
            format!("/prod/{name}"),
            format!("/{name}/{name}"),
            format!("/{name}x"),
            name.clone(),
            "/unknown".to_owned(),
            "/~body".to_owned(),
            "/é".to_owned(),
            "*".to_owned(),
        ] {
            for method in ["POST", "GET", "PUT", "HEAD", "OPTIONS"] {
                let FrontRequest { path, query, .. } = FrontRequest::new(method, &target);
                let request = FrontRequest {
                    method: method.to_owned(),
                    path,
                    query,
                    ..genuine.clone()
                };
                cases.push(Case::refused(
                    format!("{method} {target}"),
                    request,
                    404,
                    "not_found",
                ));
            }
        }
    }
    cases
}

/// Monitors have two paths, which take GET alone and no other spelling.
fn probes() -> Vec<Case> {
    let mut cases = Vec::new();
    for path in ["/-/healthz", "/-/readyz"] {
        for target in [path.to_owned(), format!("{path}?challenge=abc")] {
            cases.push(Case {
                name: target.clone(),
                request: FrontRequest::new("GET", &target),
                status: 200,
                body: Some("ok".to_owned()),
                row: None,
            });
        }
        for method in ["HEAD", "OPTIONS", "POST", "PUT", "DELETE", "get", "BREW"] {
            let request = FrontRequest::new(method, path);
            let name = format!("{method} {path}");
            cases.push(Case::refused(name, request, 405, "method"));
        }
        for target in [
            format!("{path}/"),
            format!("/{path}"),
            path.to_uppercase(),
            path.replace("/-/", "/-//"),
            path.replace("/-/", "/%2d/"),
            path.replace("/-", ""),
            format!("{path}/pay"),
            "/-".to_owned(),
            "/-/".to_owned(),
        ] {
            for method in ["GET", "POST", "HEAD"] {
                let request = FrontRequest::new(method, &target);
                let name = format!("{method} {target}");
                cases.push(Case::refused(name, request, 404, "not_found"));
            }
        }
    }
    cases
}

fn methods() -> Vec<Case> {
    let mut cases = Vec::new();
    for source in both().iter().chain(&without_secret()) {
        for method in [
            "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "post", "get", "BREW",
        ] {
            let target = format!("{}?challenge=abc", source.path());
            let request = FrontRequest::new(method, &target);
            cases.push(Case::refused(
                format!("{method} {target}"),
                request,
                405,
                "method",
            ));
        }
    }
    cases
}

/// HMRC's challenge, with or without a secret, and no other sender's.
fn challenges() -> Vec<Case> {
    let longest = "a".repeat(128);
    let longer = format!("challenge={longest}a");
    let mut cases = Vec::new();
    for source in [&hmrc(), &without_secret()[0]] {
        let get = |query: &str| FrontRequest::new("GET", &format!("{}?{query}", source.path()));
        for (query, value) in [
            (
                "challenge=1ed5f407-8096-40d1-87ef-9a2a103eeb85",
                "1ed5f407-8096-40d1-87ef-9a2a103eeb85",
            ),
            ("team=7&challenge=A-z0&x", "A-z0"),
            ("challenge=%31ab", "1ab"),
            (&format!("challenge={longest}"), &longest),
        ] {
            cases.push(Case::challenge(query, get(query), value));
        }
        for query in NO_CHALLENGES
            .into_iter()
            .chain([longer.as_str(), "challenge[]=a"])
        {
            let case = Case::refused(query, get(query), 400, "challenge");
            let is_uri = query
                .chars()
                .all(|c| c.is_ascii_graphic() && !"<>\"".contains(c));
            cases.push(if is_uri { case } else { case.by_status_alone() });
        }
    }
    for source in [&pay(), &without_secret()[1]] {
        let request = FrontRequest::new("GET", &format!("{}?challenge=abc", source.path()));
        cases.push(Case::refused(
            "a challenge that Pay never sends",
            request,
            400,
            "challenge",
        ));
    }
    cases
}

fn sources_without_a_secret() -> Vec<Case> {
    let mut cases = Vec::new();
    for (source, signer) in without_secret().iter().zip(both()) {
        let signed = FrontRequest {
            path: source.path(),
            ..post(&signer, signer.message("n1", NOW))
        };
        for request in [signed, unsigned(source, "x"), unsigned(source, "")] {
            cases.push(Case::refused("no secret yet", request, 503, "no_secret"));
        }
    }
    cases
}

/// The accept set of a signature is one string.
fn signature_forms() -> Vec<Case> {
    let mut cases = Vec::new();
    for source in both() {
        let body = source.message("n1", NOW);
        let good = source.sign(&body);
        let upper_at_even = |(at, c): (usize, char)| match at % 2 {
            0 => c.to_ascii_uppercase(),
            _ => c,
        };
        let full_width = |c: char| char::from_u32(u32::from(c) + 0xfee0).unwrap();
        let mut forms: Vec<String> = vec![
            String::new(),
            " ".to_owned(),
            "\t \t".to_owned(),
            "v1,".to_owned(),
            format!("v1,{good}"),
            format!("v1={good}"),
            format!("sha1={good}"),
            format!("sha256={good}"),
            format!("0x{good}"),
            format!("0x{}", &good[2..]),
            format!("\"{good}\""),
            format!("{good},"),
            format!(",{good}"),
            format!("{good};"),
            format!("{good}\\n"),
            format!("{good}%0a"),
            format!("{good}\u{a0}"),
            format!("\u{a0}{good}"),
            format!("{good}0"),
            format!("{good}00"),
            format!("0{good}"),
            format!("{} {}", &good[..20], &good[20..]),
            format!("{} {}", &good[..20], &good[21..]),
            format!("+f{}", &good[2..]),
            format!("{}+f", &good[..good.len() - 2]),
            format!("-{}", &good[1..]),
            format!("é{}", &good[1..]),
            format!("{}é", &good[..good.len() - 2]),
            format!("{}é{}", &good[..19], &good[21..]),
            format!("{}\u{1f600}{}", &good[..1], &good[1..]),
            format!("g{}", &good[1..]),
            good.to_uppercase(),
            good[..1].to_uppercase() + &good[1..] + "A",
            good.char_indices().map(upper_at_even).collect(),
            good.chars().map(full_width).collect(),
            BASE64_STANDARD.encode(hex::decode(&good).unwrap()),
            "0".repeat(good.len()),
            "z".repeat(good.len()),
            good.chars().rev().collect(),
            good.repeat(2),
        ];
        for length in [39, 40, 41, 63, 64, 65] {
            let other: String = good.chars().cycle().take(length).collect();
            forms.extend((other != good).then_some(other));
        }
        // The right digits, cut to any length; and one digit changed, everywhere.
        forms.extend((0..good.len()).map(|length| good[..length].to_owned()));
        forms.extend((0..good.len()).map(|at| {
            let digit = if &good[at..=at] == "0" { "1" } else { "0" };
            format!("{}{digit}{}", &good[..at], &good[at + 1..])
        }));
        let header = signature_header(source.sender);
        for form in forms {
            let request = unsigned(&source, &body).header(header, &form);
            cases.push(Case::refused(
                format!("{header}: {form:?}"),
                request,
                401,
                "signature",
            ));
        }
        let request = unsigned(&source, &body);
        cases.push(Case::refused("no signature", request, 401, "signature"));
        let query = FrontRequest {
            query: format!("{header}={good}"),
            ..unsigned(&source, &body)
        };
        cases.push(Case::refused(
            "a signature in the query",
            query,
            401,
            "signature",
        ));
    }
    cases
}

/// Two signatures are refused, even if both are right.
fn signatures_twice() -> Vec<Case> {
    let mut cases = Vec::new();
    for source in both() {
        let body = source.message("n1", NOW);
        let (good, bad) = (source.sign(&body), source.sign("another body"));
        let name = signature_header(source.sender);
        for (one, two) in [
            (&good, &bad),
            (&bad, &good),
            (&good, &good),
            (&good, &String::new()),
            (&String::new(), &good),
        ] {
            for other_name in [name.to_owned(), name.to_lowercase(), name.to_uppercase()] {
                let request = unsigned(&source, &body)
                    .header(name, one)
                    .header(&other_name, two);
                let case = format!("{name}: {one:?}, {other_name}: {two:?}");
                cases.push(Case::refused(case, request, 401, "signature"));
            }
            for joint in [",", ", ", ";", " "] {
                // Behind a space, an empty part leaves the other part alone.
                if joint == " " && (one.is_empty() || two.is_empty()) {
                    continue;
                }
                let joined = [one.as_str(), two].join(joint);
                let request = unsigned(&source, &body).header(name, &joined);
                cases.push(Case::refused(
                    format!("{name}: {joined}"),
                    request,
                    401,
                    "signature",
                ));
            }
        }
    }
    cases
}

/// A signature counts only under the header, the algorithm and the key of its source.
fn signatures_of_others() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut refuse = |source: &Source, header: &str, value: String| {
        let request = unsigned(source, source.message("n1", NOW)).header(header, &value);
        cases.push(Case::refused(
            format!("{header}: {value}"),
            request,
            401,
            "signature",
        ));
    };
    for (source, other) in [(hmrc(), pay()), (pay(), hmrc()), (pay(), pay_too())] {
        let body = source.message("n1", NOW);
        let (own, foreign) = (
            signature_header(source.sender),
            signature_header(other.sender),
        );
        let by = |secret: &str| signature(source.sender, secret, &body);
        let swapped = signature(other.sender, &source.secrets[0], &body);
        if own != foreign {
            refuse(&source, foreign, source.sign(&body)); // in the other's header
            refuse(&source, own, swapped.clone()); // by the other's algorithm
            refuse(&source, foreign, swapped); // both
        }
        refuse(&source, own, other.sign(&body)); // all the other's
        refuse(&source, foreign, other.sign(&body)); // and in its header
        refuse(&source, own, by(&other.secrets[0])); // by the other's key
        refuse(&source, own, by("")); // by no key
        refuse(&source, own, by(&format!("{}\n", source.secrets[0])));
        refuse(&source, "X-Signature", source.sign(&body));
        for suffix in ["-256", "s", "_"] {
            refuse(&source, &format!("{own}{suffix}"), source.sign(&body));
        }
    }
    let body = hmrc().message("n1", NOW);
    let lower_case = hmrc().secrets[0].to_lowercase();
    refuse(
        &hmrc(),
        "X-Hub-Signature",
        signature(Sender::Hmrc, &lower_case, body),
    );
    let (body, secret) = (pay().message("n1", NOW), &pay().secrets[0]);
    for other in [
        with(secret, "webhook_test_", ""),
        with(secret, "_test_", "_live_"),
        secret.to_uppercase(),
    ] {
        refuse(
            &pay(),
            "Pay-Signature",
            signature(Sender::GovukPay, &other, &body),
        );
    }
    cases
}

/// Only the signed bytes count, not what is like them.
fn bodies_that_were_not_signed() -> Vec<Case> {
    let mut cases = Vec::new();
    for source in both() {
        let text = with(
            &source.message("n1", NOW),
            "\"n1\"",
            "\"n1\",\"x\":\"café £\"",
        );
        let body = text.as_bytes();
        let parsed: serde_json::Value = serde_json::from_slice(body).unwrap();
        for (what, sent) in [
            (
                "Latin-1",
                text.chars()
                    .map(|c| u8::try_from(u32::from(c)).unwrap())
                    .collect(),
            ),
            ("a byte order mark", [b"\xef\xbb\xbf", body].concat()),
            ("a newline after it", [body, b"\n"].concat()),
            ("a space before it", [b" ", body].concat()),
            ("its end cut off", body[..body.len() - 1].to_vec()),
            ("nothing", Vec::new()),
            ("serialised again", serde_json::to_vec(&parsed).unwrap()),
            ("escaped", text.replace('é', "\\u00e9").into_bytes()),
            ("base64", BASE64_STANDARD.encode(body).into_bytes()),
            ("twice", body.repeat(2)),
        ] {
            let header = signature_header(source.sender);
            let request = unsigned(&source, sent).header(header, source.sign(body));
            cases.push(Case::refused(what, request, 401, "signature"));
        }
    }
    cases
}

/// What is stored, under which key, and in which state.
fn genuine_notifications() -> Vec<Case> {
    let mut cases = Vec::new();
    for source in both() {
        let name = &source.name;
        let key = |id: &str| format!("{name}:{id}");
        let text = source.message("stored", NOW);
        cases.push(Case::stored(
            "stored",
            post(&source, &text),
            "recorded",
            key("stored"),
        ));
        cases.push(Case::duplicate("the same again", post(&source, &text)));
        cases.push(Case::duplicate("in base64", post(&source, &text).base64()));

        let query = FrontRequest {
            query: "team=7".to_owned(),
            ..post(&source, source.message("with-query", NOW))
        };
        cases.push(Case::stored(
            "a query",
            query,
            "recorded",
            key("with-query"),
        ));
        let header = signature_header(source.sender);
        for (at, header) in [
            header.to_owned(),
            header.to_lowercase(),
            header.to_uppercase(),
        ]
        .iter()
        .enumerate()
        {
            let id = format!("header-{at}");
            let body = source.message(&id, NOW);
            let request = unsigned(&source, &body).header(header, source.sign(&body));
            cases.push(Case::stored(header, request, "recorded", key(&id)));
        }
        let body = source.message("city", NOW);
        let city = post(&source, &body).header("X-City", "Llanfairpwllgwyngyll – café");
        cases.push(Case::stored(
            "not ASCII",
            city.clone(),
            "recorded",
            key("city"),
        ));
        cases.push(Case::duplicate("not ASCII, in base64", city.base64()));

        let at_the_edge = source.message("edge", NOW.minus(WINDOW));
        cases.push(Case::stored(
            "as old as may be",
            post(&source, at_the_edge),
            "recorded",
            key("edge"),
        ));
        let day = std::time::Duration::from_secs(24 * 60 * 60);
        let stale = source.message("stale", NOW.minus(WINDOW + day));
        cases.push(Case::stored(
            "too old",
            post(&source, stale),
            "held stale",
            key("stale"),
        ));
        for bytes in ["", "{}", "null", "\u{feff}{}", "é😀\u{2028}\0\u{7f}"] {
            cases.push(Case::stored(
                format!("unreadable: {bytes:?}"),
                post(&source, bytes),
                "held unreadable",
                source.unreadable_key(bytes),
            ));
        }
    }
    for (secret, (id, label)) in hmrc()
        .secrets
        .iter()
        .zip([("secret-1", "1:env:TEST"), ("secret-2", "2:env:TEST")])
    {
        let body = hmrc().message(id, NOW);
        let signature = signature(Sender::Hmrc, secret, &body);
        let request = unsigned(&hmrc(), &body).header("X-Hub-Signature", signature);
        let case = Case::stored(id, request, "recorded", format!("hmrc:{id}"));
        cases.push(case.matched_by(label));
    }
    // The second box of the same application has the same secret, and a row apart.
    let too = post(&hmrc_too(), hmrc_too().message("stored", NOW));
    cases.push(Case::stored(
        "the other box",
        too,
        "recorded",
        "hmrc-too:stored",
    ));
    cases
}

/// HMRC signs a string and sends it escaped, so those two forms count and no other.
fn characters_beyond_the_basic_plane() -> Vec<Case> {
    let body = |id: &str, name: &str| {
        let text = format!(r#"\"n\":\"{name}\""#);
        with(&hmrc().message(id, NOW), r#"\"n\":1"#, &text)
    };
    let request = |id: &str, sent: &str, signed: &str| {
        let signature = hmrc().sign(body(id, signed));
        unsigned(&hmrc(), body(id, sent)).header("X-Hub-Signature", signature)
    };
    let mut cases = Vec::new();
    for (id, sent, signed) in [
        ("escaped", r"\uD83D\uDE00", "😀"),
        ("lower-case", r"\ud83d\ude00", "😀"),
        ("as-sent", r"\uD83D\uDE00", r"\uD83D\uDE00"),
        ("never-escaped", "😀", "😀"),
        ("text-about-an-escape", r"\\ud83d\\ude00", r"\\ud83d\\ude00"),
        ("both", r"\\ud83d\\ude00 \uD83D\uDE00", r"\\ud83d\\ude00 😀"),
    ] {
        let case = request(id, sent, signed);
        cases.push(Case::stored(
            id,
            case.clone(),
            "recorded",
            format!("hmrc:{id}"),
        ));
        cases.push(Case::duplicate(format!("{id} in base64"), case.base64()));
    }
    for (id, sent, signed) in [
        ("text-rewritten", r"\\ud83d\\ude00", "😀"),
        (
            "half-rewritten",
            r"\uD83D\uDE00 \uD83D\uDE00",
            r"😀 \uD83D\uDE00",
        ),
        ("in-the-bmp", r"\u00e9", "é"),
        ("other-way-round", "😀", r"\uD83D\uDE00"),
    ] {
        cases.push(Case::refused(
            id,
            request(id, sent, signed),
            401,
            "signature",
        ));
    }
    let pays = |name: &str| {
        let amount = format!(r#"5000,"x":"{name}""#);
        with(&pay().message("n1", NOW), "5000", &amount)
    };
    let signature = pay().sign(pays("😀"));
    let request = unsigned(&pay(), pays(r"\uD83D\uDE00")).header("Pay-Signature", signature);
    cases.push(Case::refused("Pay has one form", request, 401, "signature"));
    cases
}
