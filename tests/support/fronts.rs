//! Simulates the fronts of AWS: turns a request into the invocation of each front, field by field
//! as AWS documents it. Shares no code with the reader of these invocations.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "the example `events` includes this file and uses a part of it"
)]

use base64::{Engine, prelude::BASE64_STANDARD};
use pillarbox::domain::Timestamp;
use serde_json::{Map, Value, json};

/// The fronts through which callbacks can arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LambdaFront {
    HttpApi,
    FunctionUrl,
    Rest,
}

/// A request as its sender sent it.
#[derive(Clone, Debug)]
pub struct FrontRequest {
    pub method: String,
    pub path: String,
    /// Without the question mark.
    pub query: String,
    /// In the sender's order and case; a name can occur twice.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether the front encodes the body in base64. It always does if the body is not UTF-8.
    pub is_base64: bool,
}

impl FrontRequest {
    pub fn new(method: &str, path: &str) -> Self {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            is_base64: false,
        }
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub fn body(self, body: impl AsRef<[u8]>) -> Self {
        Self {
            body: body.as_ref().to_vec(),
            ..self
        }
    }

    pub fn base64(self) -> Self {
        Self {
            is_base64: true,
            ..self
        }
    }
}

impl LambdaFront {
    pub const ALL: [Self; 3] = [Self::HttpApi, Self::FunctionUrl, Self::Rest];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::HttpApi => "http-api",
            Self::FunctionUrl => "function-url",
            Self::Rest => "rest",
        }
    }

    fn domain(self) -> &'static str {
        match self {
            Self::HttpApi => "a1b2c3d4e5.execute-api.eu-west-2.amazonaws.com",
            Self::FunctionUrl => "f6g7h8i9j0k1l2m3n4o5p6q7r8s9t0u1.lambda-url.eu-west-2.on.aws",
            Self::Rest => "k9l8m7n6o5.execute-api.eu-west-2.amazonaws.com",
        }
    }

    /// The invocation for a request that the front received at `at`.
    pub fn invocation(self, request: &FrontRequest, at: Timestamp) -> Value {
        match self {
            Self::HttpApi | Self::FunctionUrl => self.payload_2(request, at),
            Self::Rest => self.payload_1(request, at),
        }
    }

    fn payload_2(self, request: &FrontRequest, at: Timestamp) -> Value {
        let (domain, api) = (self.domain(), self.domain().split('.').next());
        let (route, account) = match self {
            Self::HttpApi if is_probe(request) => ("ANY /-/{probe}", "123456789012"),
            Self::HttpApi => ("ANY /{source}", "123456789012"),
            _ => ("$default", "anonymous"),
        };
        let headers = self.headers(request);
        let mut event = json!({
            "version": "2.0",
            "routeKey": route,
            "rawPath": request.path,
            "rawQueryString": request.query,
            "headers": joined(&headers),
            "requestContext": {
                "accountId": account,
                "apiId": api,
                "domainName": domain,
                "domainPrefix": api,
                "http": {
                    "method": request.method,
                    "path": request.path,
                    "protocol": "HTTP/1.1",
                    "sourceIp": "192.0.2.10",
                    "userAgent": agent(request),
                },
                "requestId": "Zx1yW2vU3tS4rQ5=",
                "routeKey": route,
                "stage": "$default",
                "time": clf(at),
                "timeEpoch": at.as_millis(),
            },
            "isBase64Encoded": is_base64(request),
        });
        if !request.query.is_empty() {
            event["queryStringParameters"] = joined(&decoded(&request.query).collect::<Vec<_>>());
        }
        if self == Self::HttpApi {
            event["pathParameters"] = parameters(request);
        }
        if !request.body.is_empty() {
            event["body"] = body(request);
        }
        event
    }

    fn payload_1(self, request: &FrontRequest, at: Timestamp) -> Value {
        let headers = self.headers(request);
        let query: Vec<(String, String)> = decoded(&request.query).collect();
        let resource = match is_probe(request) {
            true => "/-/{probe}",
            false => "/{source}",
        };
        let or_null = |map: Map<String, Value>| {
            if map.is_empty() {
                Value::Null
            } else {
                Value::Object(map)
            }
        };
        json!({
            "resource": resource,
            "path": request.path,
            "httpMethod": request.method,
            "headers": or_null(last(&headers)),
            "multiValueHeaders": or_null(many(&headers)),
            "queryStringParameters": or_null(last(&query)),
            "multiValueQueryStringParameters": or_null(many(&query)),
            "pathParameters": parameters(request),
            "stageVariables": null,
            "requestContext": {
                "accountId": "123456789012",
                "apiId": "k9l8m7n6o5",
                "domainName": self.domain(),
                "domainPrefix": "k9l8m7n6o5",
                "extendedRequestId": "Aa1Bb2Cc3Dd4Ee5=",
                "httpMethod": request.method,
                "identity": {
                    "accessKey": null,
                    "accountId": null,
                    "caller": null,
                    "cognitoAuthenticationProvider": null,
                    "cognitoAuthenticationType": null,
                    "cognitoIdentityId": null,
                    "cognitoIdentityPoolId": null,
                    "principalOrgId": null,
                    "sourceIp": "192.0.2.10",
                    "user": null,
                    "userAgent": agent(request),
                    "userArn": null,
                },
                "path": format!("/prod{}", request.path),
                "protocol": "HTTP/1.1",
                "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
                "requestTime": clf(at),
                "requestTimeEpoch": at.as_millis(),
                "resourceId": "r3s0rc",
                "resourcePath": resource,
                "stage": "prod",
            },
            "body": if request.body.is_empty() { Value::Null } else { body(request) },
            "isBase64Encoded": is_base64(request),
        })
    }

    /// The sender's headers and the front's own; only a REST API keeps the case of names.
    fn headers(self, request: &FrontRequest) -> Vec<(String, String)> {
        let own = [
            ("Host", self.domain()),
            (
                "X-Amzn-Trace-Id",
                "Root=1-69a56283-5b1e2c3d4f60718293a4b5c6",
            ),
            ("X-Forwarded-For", "192.0.2.10"),
            ("X-Forwarded-Port", "443"),
            ("X-Forwarded-Proto", "https"),
        ];
        let sent = request
            .headers
            .iter()
            .filter(|(name, _)| !name.eq_ignore_ascii_case("host"))
            .cloned();
        let all = sent.chain(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let cased = |(name, value): (String, String)| match self {
            Self::Rest => (name, value),
            Self::HttpApi | Self::FunctionUrl => (name.to_ascii_lowercase(), value),
        };
        all.map(cased).collect()
    }
}

/// Whether the request is for the probes' route.
fn is_probe(request: &FrontRequest) -> bool {
    request.path.starts_with("/-/")
}

fn parameters(request: &FrontRequest) -> Value {
    match request.path.strip_prefix("/-/") {
        Some(probe) => json!({"probe": probe}),
        None => json!({"source": request.path.trim_start_matches('/')}),
    }
}

/// A batch of a table's stream: one `INSERT` for each key and state.
pub fn batch(changes: &[(&str, &str)]) -> Value {
    let records = changes
        .iter()
        .enumerate()
        .map(|(index, (pk, state))| record(index, "INSERT", pk, state));
    json!({"Records": records.collect::<Vec<_>>()})
}

/// A record of a table's stream.
pub fn record(index: usize, event: &str, pk: &str, state: &str) -> Value {
    json!({
        "eventID": format!("{:032x}", 0x1001 + index),
        "eventName": event,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "eu-west-2",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_772_446_531,
            "Keys": {"pk": {"S": pk}},
            "NewImage": {
                "pk": {"S": pk},
                "v": {"N": "1"},
                "state": {"S": state},
                "attempts": {"N": "0"},
            },
            "SequenceNumber": sequence(index),
            "SizeBytes": 412,
            "StreamViewType": "NEW_IMAGE",
        },
        "eventSourceARN": "arn:aws:dynamodb:eu-west-2:123456789012:table/pillarbox/stream/\
                           2026-03-02T10:00:00.000",
    })
}

/// The sequence number of the record at this index in a batch. The numbers pass a power of ten, so
/// that their order as text is not their order as numbers.
pub fn sequence(index: usize) -> String {
    format!("{}", 999_999_999_999_999_999_998_u128 + index as u128)
}

fn joined(headers: &[(String, String)]) -> Value {
    let mut all = Map::new();
    for (name, value) in headers {
        let value = match all.get(name).and_then(Value::as_str) {
            Some(before) => format!("{before},{value}"),
            None => value.clone(),
        };
        all.insert(name.clone(), value.into());
    }
    all.into()
}

/// The last value of each name.
fn last(pairs: &[(String, String)]) -> Map<String, Value> {
    pairs
        .iter()
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect()
}

/// All values of each name.
fn many(pairs: &[(String, String)]) -> Map<String, Value> {
    let values_of = |name: &str| {
        pairs
            .iter()
            .filter(|(other, _)| other == name)
            .map(|(_, value)| value)
            .collect::<Vec<_>>()
    };
    pairs
        .iter()
        .map(|(name, _)| (name.clone(), json!(values_of(name))))
        .collect()
}

fn decoded(query: &str) -> impl Iterator<Item = (String, String)> {
    url::form_urlencoded::parse(query.as_bytes()).into_owned()
}

fn agent(request: &FrontRequest) -> Option<&str> {
    request
        .headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("user-agent"))
        .map(|(_, value)| value.as_str())
}

fn is_base64(request: &FrontRequest) -> bool {
    request.is_base64 || std::str::from_utf8(&request.body).is_err()
}

fn body(request: &FrontRequest) -> Value {
    match std::str::from_utf8(&request.body) {
        Ok(text) if !request.is_base64 => json!(text),
        _ => json!(BASE64_STANDARD.encode(&request.body)),
    }
}

/// `02/Mar/2026:10:15:31 +0000`
fn clf(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_millisecond(at.as_millis()).expect("an instant of this age");
    at.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string()
}
