//! Runs the real server on a free port, in a new folder and at a fixed time.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use pillarbox::{
    delivery::DeliveryWorker,
    destinations::{DeliveryError, Destination, Event},
    domain::{Clock, Key, SourceName, Timestamp},
    inbox::{PageRequest, ReadInbox, RetentionPolicy, Row, RowFilter},
    receive::Receiver,
    secrets::Keyring,
    senders::Acceptance,
};
use pillarbox_cli::{
    metrics::ServeMetrics,
    refusals::{CandidateSecrets, RefusalLog},
    server::{NewRows, Server as Serving, SweepDuty},
    sqlite::SqliteInbox,
};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{
    client::{CheckedResponse, HttpConnection},
    manual_clock::sender_time,
    memory_folder::memory_folder,
    message::{Source, hmrc, hmrc_too, pay, pay_too, without_secret},
    request::RawRequest,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How old a notification may be.
pub const WINDOW: Duration = Duration::from_secs(60 * DAY.as_secs());
/// How far its date may lie in the future.
pub const AHEAD: Duration = DAY;
/// 2026-03-02T10:15:31.480Z.
pub const NOW: Timestamp = Timestamp::from_millis(1_772_446_531_480);

/// A clock that always returns [`NOW`].
pub struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        NOW
    }

    fn random(&self) -> u64 {
        0x0123_4567_89ab_cdef
    }
}

/// The simulated senders use the same time.
impl sender_simulator::Clock for FixedClock {
    fn now(&self) -> sender_simulator::Timestamp {
        sender_time(NOW)
    }

    fn random(&self) -> u64 {
        Clock::random(self)
    }
}

/// An unreachable destination, so that stored rows do not change.
pub struct RefusingDestination;

impl Destination for RefusingDestination {
    async fn deliver(&self, _: &Key, _: &Event) -> Result<(), DeliveryError> {
        Err(DeliveryError::Unavailable("away".to_owned()))
    }
}

/// A destination that accepts every event and records its key.
#[derive(Clone, Default)]
pub struct RecordingDestination(pub Arc<Mutex<Vec<String>>>);

impl Destination for RecordingDestination {
    async fn deliver(&self, key: &Key, _: &Event) -> Result<(), DeliveryError> {
        self.0.lock().unwrap().push(key.to_string());
        Ok(())
    }
}

/// A server under test.
pub struct Server {
    pub address: SocketAddr,
    pub inbox: Arc<SqliteInbox>,
    pub metrics: Arc<ServeMetrics>,
    folder: TempDir,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Server {
    /// Starts a server with every source of [`super::message`] and an unreachable destination.
    pub async fn start() -> Self {
        let sources = [
            vec![hmrc(), hmrc_too(), pay(), pay_too()],
            without_secret().into(),
        ]
        .concat();
        Self::with(&sources, RefusingDestination).await
    }

    pub async fn with(sources: &[Source], destination: impl Destination) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        Self::on(listener, sources, destination).await
    }

    /// Starts a server on an existing listener.
    pub async fn on(
        listener: TcpListener,
        sources: &[Source],
        destination: impl Destination,
    ) -> Self {
        let folder = memory_folder();
        let inbox = Arc::new(SqliteInbox::create(&folder.path().join("inbox.db")).unwrap());
        let receiver = Receiver::new(
            Keyring::fixed(sources.iter().map(Source::configured)),
            Arc::clone(&inbox),
            Acceptance(WINDOW),
            Arc::new(FixedClock),
        );
        let retention = RetentionPolicy {
            retention: Duration::from_secs(90 * DAY.as_secs()),
        };
        let worker = DeliveryWorker::new(
            Arc::clone(&inbox),
            destination,
            Arc::new(FixedClock),
            retention,
        );
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let names: Vec<SourceName> = sources
            .iter()
            .filter_map(|source| SourceName::new(&source.name))
            .collect();
        let metrics = ServeMetrics::new();
        metrics.declare(&names);
        let server = Serving {
            receiver,
            worker,
            new_rows: NewRows::default(),
            metrics: Arc::clone(&metrics),
            refusals: RefusalLog::new(CandidateSecrets::default(), Arc::new(FixedClock)),
            sources: None,
            duty: SweepDuty::always(),
        };
        let serving = tokio::spawn(async move { server.run(listener, stopped).await.unwrap() });
        let server = Self {
            address,
            inbox,
            metrics,
            folder,
            stop,
            serving,
        };
        server.send(&RawRequest::new("GET", "/").bytes()).await; // waits until it has started
        server
    }

    /// The path of the inbox file.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("inbox.db")
    }

    pub async fn client(&self) -> HttpConnection {
        HttpConnection::connect(self.address).await
    }

    /// Sends a request on a new connection.
    pub async fn send(&self, bytes: &[u8]) -> CheckedResponse {
        self.client().await.send(bytes).await
    }

    /// Posts `body` as the source's sender would.
    pub async fn post(&self, source: &Source, body: impl AsRef<[u8]>) -> CheckedResponse {
        self.send(&RawRequest::post(source, body).bytes()).await
    }

    /// Posts `body`, and checks that it is stored completely under `key` with this outcome, such as
    /// `held stale`.
    pub async fn keeps(&self, source: &Source, body: impl AsRef<[u8]>, outcome: &str, key: &str) {
        let answer = self.post(source, &body).await;
        let (state, _) = outcome.split_once(' ').unwrap_or((outcome, ""));
        let excerpt =
            String::from_utf8_lossy(&body.as_ref()[..body.as_ref().len().min(300)]).into_owned();
        assert_eq!(
            (answer.status, answer.body),
            (200, format!(r#"{{"status":"{state}"}}"#)),
            "{excerpt}"
        );
        self.has(source, body, outcome, key).await;
    }

    /// Posts `body`, which must be recorded under the source's key of this id.
    pub async fn records(&self, source: &Source, body: impl AsRef<[u8]>, id: &str) {
        let key = format!("{}:{id}", source.name);
        self.keeps(source, body, "recorded", &key).await;
    }

    /// Posts `body`, which must be held as unreadable.
    pub async fn holds_unreadable(&self, source: &Source, body: impl AsRef<[u8]>) {
        let key = source.unreadable_key(&body);
        self.keeps(source, body, "held unreadable", &key).await;
    }

    /// Checks that the exact `body` is stored under `key`, with its signature and this outcome.
    pub async fn has(&self, source: &Source, body: impl AsRef<[u8]>, outcome: &str, key: &str) {
        let row = self
            .row(key)
            .await
            .unwrap_or_else(|| panic!("a row under {key}"));
        assert!(
            row.body.as_deref() == Some(body.as_ref()),
            "{key} has the bytes that were sent"
        );
        row.proven_body().unwrap();
        let found = [row.state.as_str(), row.reason.as_deref().unwrap_or("")].join(" ");
        assert_eq!(found.trim_end(), outcome, "{key}");
        assert_eq!(row.received_at, NOW);
        let configured = source.configured();
        let header = row.signature.expect("a pushed row has its signature");
        pillarbox::senders::verify(
            configured.kind,
            &configured.keys,
            &[header.as_bytes()],
            row.body.unwrap(),
            row.received_at,
        )
        .unwrap();
    }

    pub async fn row(&self, key: &str) -> Option<Row> {
        self.inbox.get(&Key::parse(key).unwrap()).await.unwrap()
    }

    /// The keys of all rows, oldest first.
    pub async fn keys(&self) -> Vec<String> {
        let listed = self
            .inbox
            .list(&RowFilter::default(), PageRequest::first(10_000))
            .await
            .unwrap();
        listed
            .rows
            .iter()
            .rev()
            .map(|row| row.key.to_string())
            .collect()
    }

    /// Stops the server, waits until it has stopped, and returns its folder.
    pub async fn stop(self) -> TempDir {
        self.stop.cancel();
        self.serving.await.unwrap();
        self.folder
    }
}
