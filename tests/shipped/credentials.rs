//! Credentials of AWS as every AWS tool finds them in a container, each from a stand-in on
//! loopback.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use pillarbox::domain::{Clock, SystemClock, Timestamp};
use rustix::process::Signal;
use serde_json::json;
use tokio::net::TcpListener;

use test_support::process::{
    BOTH_SOURCES, CommandResult, FREE_PORTS, ProgramFolder, RunningServe, until,
};

/// What a pod presents to its agent, or to the token service.
const TOKEN: &str = "a.token.of-the-pod";

/// A table, an agent with the credentials of a container, and the token service.
struct StandIn {
    url: String,
    seen: Arc<Mutex<Vec<String>>>,
}

/// The credentials of a request: the access key that signed it, or else its path and action.
async fn answer(
    request: Request<Incoming>,
    seen: Arc<Mutex<Vec<String>>>,
    given: Arc<Mutex<Vec<Timestamp>>>,
) -> Response<Full<Bytes>> {
    let header = |name: &str| {
        let value = request.headers().get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let (path, target) = (request.uri().path().to_owned(), header("x-amz-target"));
    let authorization = header("authorization");
    if path.starts_with("/credentials") {
        seen.lock().unwrap().push(format!("{path} {authorization}"));
        let mut given = given.lock().unwrap();
        let number = given.len();
        let is_short = number == 0 && path.ends_with("/short");
        let seconds = if is_short { 120 } else { 3_600 };
        let expiry = SystemClock.now().plus(Duration::from_secs(seconds));
        given.push(expiry);
        let body = json!({
            "AccessKeyId": format!("AKIDAGENT{number}"), "SecretAccessKey": "canary",
            "Token": "session", "Expiration": expiry.to_string(),
        });
        return reply(body.to_string());
    }
    let body = request.into_body().collect().await.unwrap().to_bytes();
    if target.is_empty() {
        let form = String::from_utf8(body.to_vec()).unwrap();
        let presents_token = form.contains(TOKEN);
        seen.lock()
            .unwrap()
            .push(format!("token service, token {presents_token}"));
        let expiry = SystemClock.now().plus(Duration::from_secs(3_600));
        let credentials = format!(
            "<AccessKeyId>AKIDROLE</AccessKeyId><SecretAccessKey>canary</SecretAccessKey>\
             <SessionToken>session</SessionToken><Expiration>{expiry}</Expiration>"
        );
        let answer = "AssumeRoleWithWebIdentity";
        let space = "https://sts.amazonaws.com/doc/2011-06-15/";
        return reply(format!(
            "<{answer}Response xmlns=\"{space}\"><{answer}Result><Credentials>{credentials}\
             </Credentials></{answer}Result></{answer}Response>"
        ));
    }
    let signed_by = authorization.split(['=', '/']).nth(1).unwrap_or_default();
    seen.lock().unwrap().push(format!("table by {signed_by}"));
    let operation = target.rsplit('.').next().unwrap();
    let is_conditional = String::from_utf8_lossy(&body).contains("attribute_exists(pk) AND");
    let refused = |code: &str| {
        let mut reply = reply(json!({"__type": format!("x#{code}"), "message": "no"}).to_string());
        *reply.status_mut() = hyper::StatusCode::BAD_REQUEST;
        reply
    };
    match operation {
        "DescribeTable" => refused("AccessDeniedException"),
        "PutItem" | "UpdateItem" if is_conditional => refused("ConditionalCheckFailedException"),
        "Query" => reply(json!({"Items": [], "Count": 0}).to_string()),
        _ => reply("{}".to_owned()),
    }
}

fn reply(body: String) -> Response<Full<Bytes>> {
    let reply = Response::builder().header("x-amzn-requestid", "stand-in");
    reply.body(Full::from(body)).unwrap()
}

impl StandIn {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let (shared, given) = (Arc::clone(&seen), Arc::default());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, given) = (Arc::clone(&shared), Arc::clone(&given));
                let service = service_fn(move |request| {
                    let answer = answer(request, Arc::clone(&seen), Arc::clone(&given));
                    async move { Ok::<_, Infallible>(answer.await) }
                });
                tokio::spawn(async move {
                    let stream = TokioIo::new(stream);
                    let _ = http1::Builder::new()
                        .serve_connection(stream, service)
                        .await;
                });
            }
        });
        Self { url, seen }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// What a process needs besides its credentials.
    fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_REGION", "eu-west-2".to_owned()),
            ("AWS_ENDPOINT_URL_DYNAMODB", self.url.clone()),
            ("AWS_ENDPOINT_URL_STS", self.url.clone()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    }
}

const LIST: [&str; 5] = ["list", "--state", "dead", "--inbox", "dynamodb:inbox"];

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_found_as_every_aws_tool_finds_them_in_a_container() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let token = folder.write("token", TOKEN).display().to_string();
    let profile = "[team]\naws_access_key_id = AKIDPROFILE\naws_secret_access_key = canary\n";
    let profile = folder.write("credentials", profile).display().to_string();
    let role = "arn:aws:iam::111122223333:role/pillarbox".to_owned();
    let text = str::to_owned;
    type Variables<'a> = Vec<(&'a str, String)>;
    type Cases<'a> = Vec<(Box<dyn Fn(&str) -> Variables<'a>>, Vec<&'a str>)>;
    let cases: Cases<'_> = vec![
        (
            Box::new(move |_| {
                vec![
                    ("AWS_ACCESS_KEY_ID", text("AKIDVARIABLE")),
                    ("AWS_SECRET_ACCESS_KEY", text("canary")),
                ]
            }),
            vec!["table by AKIDVARIABLE"],
        ),
        (
            Box::new(move |_| {
                vec![
                    ("AWS_SHARED_CREDENTIALS_FILE", profile.clone()),
                    ("AWS_PROFILE", text("team")),
                ]
            }),
            vec!["table by AKIDPROFILE"],
        ),
        (
            // The task role of ECS.
            Box::new(|url| {
                let uri = format!("{url}/credentials/ecs");
                vec![("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri)]
            }),
            vec!["/credentials/ecs ", "table by AKIDAGENT0"],
        ),
        (
            // EKS Pod Identity.
            Box::new({
                let token = token.clone();
                move |url| {
                    let uri = format!("{url}/credentials/eks");
                    vec![
                        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri),
                        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.clone()),
                    ]
                }
            }),
            vec!["/credentials/eks a.token.of-the-pod", "table by AKIDAGENT0"],
        ),
        (
            // A web identity, such as a service account of Kubernetes.
            Box::new(move |_| {
                vec![
                    ("AWS_WEB_IDENTITY_TOKEN_FILE", token.clone()),
                    ("AWS_ROLE_ARN", role.clone()),
                ]
            }),
            vec!["token service, token true", "table by AKIDROLE"],
        ),
    ];
    for (variables, expected) in cases {
        let stand_in = StandIn::start().await;
        let mut command = folder.command(&LIST);
        command
            .envs(stand_in.variables())
            .envs(variables(&stand_in.url));
        let ran = CommandResult::of(&mut command);
        let mut seen = stand_in.seen();
        seen.dedup();
        assert_eq!(
            (ran.code, seen),
            (0, expected.into_iter().map(text).collect()),
            "{ran:?}"
        );
        assert!(
            !ran.stderr.contains("canary") && !ran.stderr.contains(TOKEN),
            "{ran:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_cannot_be_loaded_are_an_error_that_names_where_to_look() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let nowhere = "http://127.0.0.1:1/credentials".to_owned();
    let elsewhere = "http://192.0.2.1/credentials".to_owned();
    let missing = "/nonexistent/token".to_owned();
    let role = "arn:aws:iam::111122223333:role/pillarbox".to_owned();
    for (variables, sentence) in [
        (
            vec![],
            "no AWS credentials were found: give the container a role",
        ),
        (
            vec![("AWS_CONTAINER_CREDENTIALS_FULL_URI", nowhere)],
            "cannot be loaded: their source failed, or refused: check \
             AWS_CONTAINER_CREDENTIALS_FULL_URI and the role behind them",
        ),
        (
            vec![("AWS_CONTAINER_CREDENTIALS_FULL_URI", elsewhere)],
            "their source is not configured correctly: check AWS_CONTAINER_CREDENTIALS_FULL_URI",
        ),
        (
            vec![
                ("AWS_WEB_IDENTITY_TOKEN_FILE", missing),
                ("AWS_ROLE_ARN", role),
            ],
            "check AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN and the role behind them",
        ),
    ] {
        let stand_in = StandIn::start().await;
        let mut command = folder.command(&[&["serve", LIST[3], LIST[4]], FREE_PORTS].concat());
        let ran = CommandResult::of(command.envs(stand_in.variables()).envs(variables));
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.stderr.contains(sentence), "{sentence}: {}", ran.stderr);
        assert!(
            !ran.stderr.contains("callback  "),
            "nothing listens: {ran:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_serve_renews_its_credentials_before_they_expire() {
    let stand_in = StandIn::start().await;
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let uri = format!("{}/credentials/short", stand_in.url);
    let mut command = folder.command(&[&["serve", LIST[3], LIST[4]], FREE_PORTS].concat());
    command
        .envs(stand_in.variables())
        .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri);
    let mut serve = RunningServe::spawn(&mut command);
    serve.await_ready();
    // The first credentials are good for two minutes more.
    until("requests are signed with the second credentials", || {
        stand_in.seen().contains(&"table by AKIDAGENT1".to_owned())
    });
    let for_credentials = |line: &&String| line.starts_with("/credentials");
    assert_eq!(stand_in.seen().iter().filter(for_credentials).count(), 2);
    assert!(serve.stop(Signal::TERM).success());
}
