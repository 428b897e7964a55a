//! The console over a socket, with a real inbox.

mod list;
mod row;
mod escaping;
mod guard;
mod forms;
mod live;
mod overview;

use std::{collections::HashMap, path::Path};

use rusqlite::Connection;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
};

use super::*;
use crate::{metrics::ServeMetrics, sqlite::SqliteInbox};
use pillarbox::{
    config::Config,
    domain::{Key, SystemClock},
    inbox::ReceiveInbox,
    senders::{
        Entry,
        example::{NOW, pay},
    },
};

/// A running console over a fresh inbox.
pub(super) struct TestConsole {
    pub(super) inbox: Arc<SqliteInbox>,
    pub(super) at: SocketAddr,
    stop: oneshot::Sender<()>,
    served: tokio::task::JoinHandle<()>,
    folder: TempDir,
}

pub(super) fn settings(access: ConsoleAccess) -> ConsoleSettings {
    ConsoleSettings {
        config: Arc::new(Config::demo(Path::new("demo"))),
        inbox_name: "inbox.db".to_owned(),
        access,
        hosts: Vec::new(),
        token: None,
        metrics: Some(ServeMetrics::new()),
        refusals: None,
        senders: Arc::new(HashMap::new),
        actor: "tester@example".to_owned(),
        samples: Vec::new(),
        clock: Arc::new(SystemClock),
    }
}

/// A response.
pub(super) struct TestResponse {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl TestConsole {
    pub(super) async fn start() -> Self {
        Self::start_with(settings(ConsoleAccess::ReadOnly)).await
    }

    pub(super) async fn start_with(settings: ConsoleSettings) -> Self {
        let folder = TempDir::new().unwrap();
        let inbox = Arc::new(SqliteInbox::create(&folder.path().join("inbox.db")).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let console = Console::new(Arc::clone(&inbox), settings, at);
        let served = tokio::spawn(console.serve(listener, async {
            let _ = stopped.await;
        }));
        Self {
            inbox,
            at,
            stop,
            served,
            folder,
        }
    }

    /// A read-only console with these notifications in its inbox.
    pub(super) async fn with(entries: &[Entry]) -> Self {
        let console = Self::start().await;
        for entry in entries {
            console.inbox.record(entry).await.unwrap();
        }
        console
    }

    /// Changes stored rows past the inbox.
    pub(super) fn tamper(&self, sql: &str) {
        Connection::open(self.folder.path().join("inbox.db"))
            .unwrap()
            .execute_batch(sql)
            .unwrap();
    }

    pub(super) async fn get(&self, target: &str) -> TestResponse {
        self.request("GET", target, &self.at.to_string()).await
    }

    pub(super) async fn get_with(&self, target: &str, header: &str) -> TestResponse {
        let at = self.at;
        let request =
            format!("GET {target} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n{header}\r\n\r\n");
        self.send(&request).await
    }

    pub(super) async fn request(&self, method: &str, target: &str, host: &str) -> TestResponse {
        self.send(&format!(
            "{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        ))
        .await
    }

    pub(super) async fn send(&self, request: &str) -> TestResponse {
        send_to(self.at, request).await
    }
}

/// Sends a request, and reads the response until the connection ends.
pub(super) async fn send_to(at: SocketAddr, request: &str) -> TestResponse {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.unwrap();
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let head = String::from_utf8(all[..end].to_vec())
        .unwrap()
        .to_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    TestResponse {
        status,
        head,
        body: all[end..].to_vec(),
    }
}

impl TestResponse {
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(super) fn rows(&self) -> usize {
        self.text().matches("rowheader").count()
    }

    pub(super) fn shows(&self, text: &str) -> bool {
        self.text().contains(text)
    }

    /// Fails unless the page has all of `texts`.
    pub(super) fn assert_shows(&self, texts: &[&str]) {
        for text in texts {
            assert!(self.shows(text), "{text} in {}", self.text());
        }
    }

    /// Fails unless this is a page with `status` and `text`.
    pub(super) fn assert_page(&self, status: u16, text: &str, what: &str) {
        assert_eq!((self.status, self.shows(text)), (status, true), "{what}");
    }

    /// The address of the first link whose text is `text`.
    pub(super) fn link(&self, text: &str) -> String {
        let (before, _) = self.text().split_once(&format!(">{text}</a>")).unwrap();
        let (_, address) = before.rsplit_once("href=\"").unwrap();
        address.split('"').next().unwrap().replace("&#38;", "&")
    }
}

pub(super) fn paid(id: &str) -> Entry {
    pay(id, &format!("payment-{id}"), "card_payment_captured", NOW)
}

pub(super) fn page_of(key: &Key) -> String {
    row_page::address(key)
}

/// Fails if a page has markup or control characters of a sender.
pub(super) fn assert_tame(page: &TestResponse, what: &str) {
    for acting in ["<script>", "<b>", "\u{202e}", "\u{1b}", "\0"] {
        assert!(!page.shows(acting), "{acting:?} in {what}");
    }
}

impl TestConsole {
    /// The token in the forms of a page.
    pub(super) async fn csrf(&self) -> String {
        let page = self.get("/").await;
        let (_, after) = page.text().split_once("name=\"csrf\" value=\"").unwrap();
        after.split('"').next().unwrap().to_owned()
    }

    /// Posts a form with these headers.
    pub(super) async fn post(&self, target: &str, headers: &str, body: &str) -> TestResponse {
        let (at, length) = (self.at, body.len());
        self.send(&format!(
            "POST {target} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\
             {headers}\r\n{body}"
        ))
        .await
    }

    /// Posts a form as a browser does from a page of the console.
    pub(super) async fn submit(&self, target: &str, fields: &str) -> TestResponse {
        let body = format!("csrf={}&{fields}", self.csrf().await);
        let headers = format!("Origin: http://{}\r\n", self.at);
        self.post(target, &headers, &body).await
    }
}
