//! Runs the Lambda's function in this process, in any role, with an inbox in a new folder.

use std::{sync::Arc, time::Duration};

use pillarbox::{
    delivery::DeliveryWorker,
    destinations::Destination,
    domain::{Key, Timestamp},
    inbox::{Inbox, ReadInbox, RetentionPolicy, Row},
    lambda::{Invocation, InvocationError, InvocationReply, LambdaFunction, Role},
    receive::Receiver,
    secrets::Keyring,
    senders::Acceptance,
};
use pillarbox_cli::sqlite::SqliteInbox;
use serde_json::{Value, value::RawValue};
use tempfile::TempDir;

use super::{
    client::CheckedResponse,
    fronts::{FrontRequest, LambdaFront},
    message::{Source, hmrc, hmrc_too, pay, pay_too, without_secret},
    request::signature_header,
    server::{FixedClock, NOW, RecordingDestination, WINDOW},
};

/// The id of every invocation.
pub const REQUEST_ID: &str = "7b61c6af-9ac6-11e6-9a41-93e8deadbeef";
/// The trace of every invocation.
pub const TRACE_HEADER: &str =
    "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";

/// A function under test.
pub struct DeployedFunction<D, I = SqliteInbox> {
    pub function: LambdaFunction<I, D>,
    pub inbox: Arc<I>,
    _folder: TempDir,
}

impl DeployedFunction<RecordingDestination> {
    /// In the role `all`, with every source of [`super::message`] and a destination that records
    /// keys.
    pub fn new() -> Self {
        Self::with(Role::All, RecordingDestination::default())
    }
}

impl<D: Destination> DeployedFunction<D> {
    pub fn with(role: Role, destination: D) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let inbox = SqliteInbox::create(&folder.path().join("inbox.db")).unwrap();
        Self::over(inbox, role, destination, folder)
    }

    /// Posts `body`, and checks that it is stored completely under `key` with this outcome, such as
    /// `held stale`.
    pub async fn keeps(
        &self,
        front: LambdaFront,
        request: &FrontRequest,
        outcome: &str,
        key: &str,
    ) {
        let answer = self.send(front, request).await;
        let (state, _) = outcome.split_once(' ').unwrap_or((outcome, ""));
        assert_eq!(
            (answer.status, answer.body),
            (200, format!(r#"{{"status":"{state}"}}"#)),
            "{front:?} {key}"
        );
        let row = self
            .row(key)
            .await
            .unwrap_or_else(|| panic!("a row under {key}"));
        assert!(
            row.body.as_deref() == Some(request.body.as_slice()),
            "{front:?} {key} has the bytes that were sent"
        );
        let found = [row.state.as_str(), row.reason.as_deref().unwrap_or("")].join(" ");
        assert_eq!(found.trim_end(), outcome, "{front:?} {key}");
    }

    /// Posts a message, which must be recorded under its source's key of this id.
    pub async fn records(&self, front: LambdaFront, source: &Source, id: &str) {
        let request = post(source, source.message(id, NOW));
        let key = format!("{}:{id}", source.name);
        self.keeps(front, &request, "recorded", &key).await;
    }

    pub async fn row(&self, key: &str) -> Option<Row> {
        self.inbox.get(&Key::parse(key).unwrap()).await.unwrap()
    }
}

impl<D: Destination, I: Inbox> DeployedFunction<D, I> {
    pub fn over(inbox: I, role: Role, destination: D, folder: TempDir) -> Self {
        let inbox = Arc::new(inbox);
        let sources = [
            vec![hmrc(), hmrc_too(), pay(), pay_too()],
            without_secret().into(),
        ]
        .concat();
        let keyring = Keyring::fixed(sources.iter().map(Source::configured));
        let retention = RetentionPolicy {
            retention: Duration::from_secs(90 * 24 * 60 * 60),
        };
        let clock = Arc::new(FixedClock);
        let receiver = Receiver::new(
            keyring,
            Arc::clone(&inbox),
            Acceptance(WINDOW),
            clock.clone(),
        );
        let worker = DeliveryWorker::new(Arc::clone(&inbox), destination, clock, retention);
        let function = LambdaFunction::new(role, Some(receiver), Some(Arc::new(worker)), None);
        Self {
            function,
            inbox,
            _folder: folder,
        }
    }

    /// Invokes the function with any JSON.
    pub async fn invoke(&self, event: &Value) -> Result<Value, InvocationError> {
        self.invoke_until(event, NOW.plus(Duration::from_secs(60)))
            .await
    }

    pub async fn invoke_until(
        &self,
        event: &Value,
        deadline: Timestamp,
    ) -> Result<Value, InvocationError> {
        let raw: Box<RawValue> = serde_json::from_str(&event.to_string()).unwrap();
        let invocation = Invocation {
            id: REQUEST_ID.to_owned(),
            deadline,
            trace_header: Some(TRACE_HEADER.to_owned()),
        };
        let reply: InvocationReply = self.function.handle(&raw, &invocation).await?;
        Ok(serde_json::to_value(reply).unwrap())
    }

    /// Invokes the function with the event of a request, and checks the answer.
    pub async fn answer(&self, event: &Value) -> CheckedResponse {
        answer_of(&self.invoke(event).await.unwrap())
    }

    pub async fn send(&self, front: LambdaFront, request: &FrontRequest) -> CheckedResponse {
        self.answer(&front.invocation(request, NOW)).await
    }
}

/// The answer in a reply to a front, which follows the rules for every answer.
pub fn answer_of(reply: &Value) -> CheckedResponse {
    let names: Vec<&str> = reply
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(names, ["body", "headers", "isBase64Encoded", "statusCode"]);
    assert_eq!(reply["isBase64Encoded"], false);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let headers = reply["headers"].as_object().unwrap().iter();
    let answer = CheckedResponse {
        status: reply["statusCode"].as_u64().unwrap().try_into().unwrap(),
        headers: headers
            .map(|(name, value)| (name.clone(), text(value)))
            .collect(),
        body: text(&reply["body"]),
    };
    answer.judge(false);
    assert!(!answer.body.is_empty());
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    answer
}

/// A POST of `body` to the source, without a signature.
pub fn unsigned(source: &Source, body: impl AsRef<[u8]>) -> FrontRequest {
    FrontRequest::new("POST", &source.path())
        .header("Content-Type", "application/json")
        .body(body)
}

/// A POST of `body` to the source, as its sender would sign it.
pub fn post(source: &Source, body: impl AsRef<[u8]>) -> FrontRequest {
    let signature = source.sign(&body);
    unsigned(source, body).header(signature_header(source.sender), signature)
}
