//! Every file in `events/`: made by the command and by nobody else, and answered as its list says.

#[path = "../../examples/events/made.rs"]
mod made;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use pillarbox::{
    config::Config,
    delivery::DeliveryWorker,
    domain::{Clock, State, Timestamp},
    inbox::{PageRequest, ReadInbox, RetentionPolicy, RowFilter},
    lambda::{Invocation, InvocationError, LambdaFunction, Role},
    receive::Receiver,
    secrets::{FetchedSecrets, Keyring, SecretSources},
};
use pillarbox_cli::sqlite::SqliteInbox;
use serde_json::{Value, json, value::RawValue};
use tempfile::TempDir;

use test_support::{fronts, repository, server::RecordingDestination};

fn folder() -> PathBuf {
    repository("events")
}

/// Every file below `events/`, by name.
fn files() -> BTreeMap<String, String> {
    fn collect(at: &Path, files: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, files);
            } else {
                let name = path.strip_prefix(folder()).unwrap().display().to_string();
                files.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut files = BTreeMap::new();
    collect(&folder(), &mut files);
    files
}

/// When they were made, as their list says.
fn made_at(files: &BTreeMap<String, String>) -> Timestamp {
    let (_, rest) = files["README.md"].split_once("made for ").unwrap();
    Timestamp::parse(rest.split_whitespace().next().unwrap()).unwrap()
}

struct At(Timestamp);

impl Clock for At {
    fn now(&self) -> Timestamp {
        self.0
    }

    fn random(&self) -> u64 {
        7
    }
}

/// A function with the configuration and the secrets of `local.env`, but for its inbox.
struct EventsFunction {
    function: LambdaFunction<SqliteInbox, RecordingDestination>,
    inbox: Arc<SqliteInbox>,
    arrived: RecordingDestination,
    at: Timestamp,
    _folder: TempDir,
}

impl EventsFunction {
    fn new(environment: &str, at: Timestamp) -> Self {
        let variables = variables(environment);
        let env = |name: &str| variables.get(name).cloned();
        let outside = SecretSources {
            env: &env,
            file: &|_| Err(std::io::ErrorKind::NotFound.into()),
            vault: FetchedSecrets::NOTHING,
        };
        let config =
            Config::read_to_use(&variables["PILLARBOX_CONFIG"], "local.env", &outside).unwrap();
        let clock = Arc::new(At(at));
        let keyring = Keyring::new(config.source_secrets(), &outside, None, clock.clone());
        assert!(keyring.take_unusable().is_empty());
        let folder = TempDir::new().unwrap();
        let inbox = Arc::new(SqliteInbox::create(&folder.path().join("inbox.db")).unwrap());
        let receiver = Receiver::new(
            keyring,
            Arc::clone(&inbox),
            config.acceptance,
            clock.clone(),
        );
        let retention = RetentionPolicy {
            retention: config.retention,
        };
        let arrived = RecordingDestination::default();
        let worker = DeliveryWorker::new(Arc::clone(&inbox), arrived.clone(), clock, retention);
        let function = LambdaFunction::new(Role::All, Some(receiver), Some(Arc::new(worker)), None);
        Self {
            function,
            inbox,
            arrived,
            at,
            _folder: folder,
        }
    }

    async fn invoke(&self, event: &str) -> Result<Value, InvocationError> {
        let raw: Box<RawValue> = serde_json::from_str(event).unwrap();
        let deadline = self.at.plus(Duration::from_secs(60));
        let reply = self
            .function
            .handle(
                &raw,
                &Invocation {
                    id: "local".to_owned(),
                    deadline,
                },
            )
            .await?;
        Ok(serde_json::to_value(reply).unwrap())
    }
}

/// What a shell and `cargo lambda` read out of it: `NAME=value`, or `NAME='lines'`.
fn variables(environment: &str) -> BTreeMap<String, String> {
    let (mut variables, mut rest) = (BTreeMap::new(), environment);
    while let Some((line, after)) = rest.split_once('\n') {
        rest = after;
        let Some((name, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let value = match value.strip_prefix('\'') {
            None => value,
            Some(_) => {
                let (lines, after) = environment
                    .split_once(&format!("{name}='"))
                    .unwrap()
                    .1
                    .split_once('\'')
                    .unwrap();
                rest = after;
                lines
            }
        };
        variables.insert(name.to_owned(), value.to_owned());
    }
    variables
}

#[test]
fn the_files_are_what_the_command_makes_for_their_date_and_nothing_else() {
    let files = files();
    let made = made::everything(made_at(&files));
    assert_eq!(
        files.keys().collect::<Vec<_>>(),
        made.keys().collect::<Vec<_>>()
    );
    for (name, content) in &made {
        assert!(
            &files[name] == content,
            "events/{name} was changed: `cargo run --example events` makes it"
        );
    }
}

#[tokio::test]
async fn every_file_is_answered_as_the_list_says() {
    let files = files();
    let at = made_at(&files);
    let mut replayed = BTreeSet::new();
    let local = EventsFunction::new(&files["local.env"], at);
    for made::Example { name, answer, .. } in made::examples(at) {
        let done = local.invoke(&files[&name]).await;
        check(&name, answer, &done);
        replayed.insert(name);
    }
    let others = ["README.md", "local.env"];
    for name in files
        .keys()
        .filter(|name| !others.contains(&name.as_str()) && !name.starts_with("bodies/"))
    {
        assert!(replayed.contains(name), "events/{name} is in no list");
    }
    let arrived = local.arrived.0.lock().unwrap().clone();
    assert!(!arrived.is_empty());
    let rows = local
        .inbox
        .list(&RowFilter::default(), PageRequest::first(1_000))
        .await
        .unwrap()
        .rows;
    for row in rows.iter().filter(|row| row.state != State::Held) {
        assert!(
            arrived.iter().any(|key| key == row.key.as_str()),
            "{} was handed on",
            row.key
        );
    }
}

#[track_caller]
fn check(name: &str, answer: &str, done: &Result<Value, InvocationError>) {
    let words: Vec<&str> = answer.split([' ', ',']).collect();
    match (words[0], done) {
        ("error", Err(failure)) => assert_eq!(failure.name(), words[1], "{name}"),
        ("how", Ok(reply)) => assert!(reply["delivered"].is_u64(), "{name} {reply}"),
        (r#"{"batchItemFailures":[]}"#, Ok(reply)) => {
            assert_eq!(*reply, json!({"batchItemFailures": []}), "{name}")
        }
        (status, Ok(reply)) => {
            assert_eq!(reply["statusCode"].to_string(), status, "{name} {reply}");
            let body: Value = serde_json::from_str(reply["body"].as_str().unwrap()).unwrap();
            match words.get(1) {
                Some(&"recorded") => {
                    assert!(
                        ["recorded", "duplicate"].contains(&body["status"].as_str().unwrap()),
                        "{name}"
                    )
                }
                Some(&"held") => assert!(
                    ["held", "duplicate"].contains(&body["status"].as_str().unwrap()),
                    "{name}"
                ),
                Some(_) => assert!(body["challenge"].is_string(), "{name} {body}"),
                None => assert!(body["error"].is_string(), "{name} {body}"),
            }
        }
        (_, Err(failure)) => panic!("{name}: {failure}"),
    }
}

/// Over one front alone, so that nothing of it was there before.
#[tokio::test]
async fn each_front_records_each_notification_once() {
    let files = files();
    let at = made_at(&files);
    for front in fronts::Front::ALL {
        let local = EventsFunction::new(&files["local.env"], at);
        for expected in ["recorded", "duplicate"] {
            for body in files.keys().filter_map(|name| name.strip_prefix("bodies/")) {
                let name = format!("{}/{body}", front.as_str());
                let reply = local.invoke(&files[&name]).await.unwrap();
                assert_eq!(
                    reply["body"],
                    format!(r#"{{"status":"{expected}"}}"#),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn the_bodies_are_those_in_the_invocations() {
    let files = files();
    for (name, body) in files
        .iter()
        .filter_map(|(name, body)| Some((name.strip_prefix("bodies/")?, body)))
    {
        for front in fronts::Front::ALL {
            let event: Value =
                serde_json::from_str(&files[&format!("{}/{name}", front.as_str())]).unwrap();
            assert_eq!(event["body"], *body, "{} {name}", front.as_str());
        }
    }
}
