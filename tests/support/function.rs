//! The Lambda's function in this process: every role, over an inbox in a folder of its own.

use std::{sync::Arc, time::Duration};

use pillarbox::{
    app::App,
    delivery::DeliveryWorker,
    destinations::Destination,
    domain::{Key, Timestamp},
    inbox::{Inbox, RetentionPolicy, Row},
    keyring::Keyring,
    lambda::{Invocation, InvocationError, InvocationReply, LambdaFunction, Role},
    senders::Acceptance,
};
use pillarbox_cli::sqlite::SqliteInbox;
use serde_json::{Value, value::RawValue};
use tempfile::TempDir;

use super::{
    client::Answer,
    fronts::{Asked, Front},
    message::{Source, hmrc, hmrc_too, pay, pay_too, without_secret},
    request::signature_header,
    server::{NOW, Remembers, Still, WINDOW},
};

/// A function under test.
pub(crate) struct Deployed<D, I = SqliteInbox> {
    pub(crate) function: LambdaFunction<I, D, Still>,
    pub(crate) inbox: Arc<I>,
    _folder: TempDir,
}

impl Deployed<Remembers> {
    /// In the role `all`, with every source of [`super::message`] and a destination that remembers.
    pub(crate) fn new() -> Self {
        Self::with(Role::All, Remembers::default())
    }
}

impl<D: Destination> Deployed<D> {
    pub(crate) fn with(role: Role, destination: D) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let inbox = SqliteInbox::create(&folder.path().join("inbox.db")).unwrap();
        Self::over(inbox, role, destination, folder)
    }

    /// Posts `body`, which must end as `outcome`, such as `held stale`, and be kept whole under `key`.
    pub(crate) async fn keeps(&self, front: Front, asked: &Asked, outcome: &str, key: &str) {
        let answer = self.ask(front, asked).await;
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
            row.body.as_deref() == Some(asked.body.as_slice()),
            "{front:?} {key} has other bytes than came"
        );
        let found = [row.state.as_str(), row.reason.as_deref().unwrap_or("")].join(" ");
        assert_eq!(found.trim_end(), outcome, "{front:?} {key}");
    }

    pub(crate) async fn row(&self, key: &str) -> Option<Row> {
        self.inbox.get(&Key::parse(key).unwrap()).await.unwrap()
    }
}

impl<D: Destination, I: Inbox> Deployed<D, I> {
    pub(crate) fn over(inbox: I, role: Role, destination: D, folder: TempDir) -> Self {
        let inbox = Arc::new(inbox);
        let sources = [
            vec![hmrc(), hmrc_too(), pay(), pay_too()],
            without_secret().into(),
        ]
        .concat();
        let keyring = Keyring::fixed(sources.iter().map(Source::configured));
        let keeping = RetentionPolicy {
            retention: Duration::from_secs(90 * 24 * 60 * 60),
        };
        let app = App {
            keyring,
            inbox: Arc::clone(&inbox),
            window: Acceptance(WINDOW),
            keeping,
        };
        let world = Arc::new(Still);
        let worker =
            DeliveryWorker::new(Arc::clone(&inbox), destination, Arc::clone(&world), keeping);
        let function = LambdaFunction::new(role, world, Some(app), Some(Arc::new(worker)), None);
        Self {
            function,
            inbox,
            _folder: folder,
        }
    }

    /// Invokes it with any JSON.
    pub(crate) async fn invoke(&self, event: &Value) -> Result<Value, InvocationError> {
        self.invoke_until(event, NOW.plus(Duration::from_secs(60)))
            .await
    }

    pub(crate) async fn invoke_until(
        &self,
        event: &Value,
        deadline: Timestamp,
    ) -> Result<Value, InvocationError> {
        let raw: Box<RawValue> = serde_json::from_str(&event.to_string()).unwrap();
        let invocation = Invocation {
            id: "7b61c6af-9ac6-11e6-9a41-93e8deadbeef".to_owned(),
            deadline,
        };
        let reply: InvocationReply = self.function.handle(&raw, &invocation).await?;
        Ok(serde_json::to_value(reply).unwrap())
    }

    /// Invokes it with a request's event, and judges the answer.
    pub(crate) async fn answer(&self, event: &Value) -> Answer {
        answer_of(&self.invoke(event).await.unwrap())
    }

    pub(crate) async fn ask(&self, front: Front, asked: &Asked) -> Answer {
        self.answer(&front.invocation(asked, NOW)).await
    }
}

/// The answer in a reply to a front, judged as every answer is.
pub(crate) fn answer_of(reply: &Value) -> Answer {
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
    let answer = Answer {
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
pub(crate) fn unsigned(source: &Source, body: impl AsRef<[u8]>) -> Asked {
    Asked::new("POST", &source.path())
        .header("Content-Type", "application/json")
        .body(body)
}

/// A POST of `body` to the source, as its sender would sign it.
pub(crate) fn post(source: &Source, body: impl AsRef<[u8]>) -> Asked {
    let signature = source.sign(&body);
    unsigned(source, body).header(signature_header(source.sender), signature)
}
