//! `serve` on both inboxes, with a destination and senders' APIs that repeat what they are sent in
//! their errors; then its console, the commands, and all that it has written.

use std::{fs, net::SocketAddr};

use pillarbox::inbox::dynamodb::DynamoInbox;
use rustix::process::Signal;
use serde_json::json;
use test_support::{
    canaries::{
        ALL_KINDS,
        CanaryKind::{Hostile, Secret, Signature},
        value,
    },
    client::HttpConnection,
    echo::{EchoReply, EchoServer, EchoedRequest},
    message::with,
    process::{FREE_PORTS, ProgramFolder, RunningServe, until},
    table,
};

use super::{commands, console, sources::CanarySources};

/// A `serve` whose peers all repeat their requests.
pub(super) struct LeakTestServe {
    pub(super) sources: CanarySources,
    pub(super) folder: ProgramFolder,
    pub(super) serve: RunningServe,
    /// The destination.
    pub(super) ledger: EchoServer,
    /// The table that it works on.
    pub(super) table: Option<DynamoInbox>,
}

/// A destination that refuses what is called `refused`, is down for what is called `retried`, and
/// repeats the data of every event in a page.
pub(super) async fn ledger() -> EchoServer {
    EchoServer::answering(|request| {
        let status = match &request.body {
            body if body.contains("refused") => 422,
            body if body.contains("retried") => 503,
            _ => 200,
        };
        let (_, data) = request.body.split_once("\"data\":").unwrap_or_default();
        EchoReply::Body(status, format!("<p>cannot read {data}"))
    })
    .await
}

/// The APIs of both senders: everything is refused with `status`, and a token as well if that is
/// 422.
pub(super) async fn apis(status: u16) -> EchoServer {
    EchoServer::answering(move |request: &EchoedRequest| {
        if status != 422 && request.head.starts_with("POST /oauth/token") {
            let token = json!({"access_token": value("OAuth token"), "token_type": "bearer",
                "expires_in": 14_400});
            return EchoReply::Body(200, token.to_string());
        }
        EchoReply::Repeat(status)
    })
    .await
}

impl LeakTestServe {
    async fn start(table: Option<DynamoInbox>) -> Self {
        let sources = CanarySources::new();
        let (ledger, apis) = (ledger().await, apis(400).await);
        let inbox = table.as_ref().map_or_else(String::new, |table| {
            let name = table.table();
            format!("[inbox]\nkind = \"dynamodb\"\ntable = \"{name}\"\n")
        });
        let folder = ProgramFolder::with(&format!(
            "{}{inbox}[destination]\nkind = \"https\"\nurl = \"{}/events\"\n\
             secrets = [\"env:LEDGER_CURRENT\", \"env:LEDGER_PREVIOUS\"]\n",
            sources.configuration(&apis.url()),
            ledger.url()
        ));
        let mut served = Self {
            serve: RunningServe::spawn(
                folder
                    .command(&[&["serve"], FREE_PORTS].concat())
                    .envs(variables(&sources)),
            ),
            sources,
            folder,
            ledger,
            table,
        };
        served.serve.await_ready();
        served
    }

    /// An address that the banner names.
    pub(super) fn address(&self, name: &str) -> SocketAddr {
        let line = self.serve.stderr.find(&format!("{name} ")).unwrap();
        let (_, rest) = line.split_once("http://").unwrap();
        rest.split('/').next().unwrap().parse().unwrap()
    }

    async fn send(&self, request: impl AsRef<[u8]>) -> Option<u16> {
        let mut client = HttpConnection::connect(self.address("callback")).await;
        client.write_some(request).await;
        client.answer().await.map(|answer| answer.status)
    }

    /// Genuine notifications with every outcome, and strangers' requests.
    async fn drive(&mut self) {
        for source in [self.sources.pay.clone(), self.sources.hmrc.clone()] {
            let message = self.sources.message(&source, "delivered");
            let changed = with(&message, "delivered", "delivered\",\"changed\":\"yes");
            let conflict = match source.name.as_str() {
                "pay" => with(&message, "5000", "4000"),
                _ => with(&message, r#"{\"#, r#"{\"more\":1,\"#),
            };
            let stale = self.sources.message(&source, "stale");
            let year =
                &pillarbox::domain::Clock::now(&pillarbox::domain::SystemClock).to_string()[..4];
            for (body, is_previous) in [
                (message.clone(), false),
                (message.clone(), true),
                (changed, false),
                (conflict, true),
                (self.sources.message(&source, "refused"), true),
                (self.sources.message(&source, "retried"), false),
                (stale.replace(&format!("\"{year}-"), "\"1999-"), false),
                (message.replace('}', ""), false),
                (format!("{{\"x\": {message}"), true),
                (format!("\"{}\"", value("Pay /email")), true),
            ] {
                let request = self.sources.post(&source, &body, is_previous);
                assert_eq!(self.send(request.bytes()).await, Some(200), "{body}");
            }
            for request in self.sources.strange(&source) {
                assert_ne!(self.send(request).await, Some(200));
            }
        }
        until("both destinations' failures are stored", || {
            let log = self.serve.stderr.all().concat();
            [
                "delivery failed, will retry",
                "delivery failed for good",
                "notification delivered",
            ]
            .iter()
            .all(|message| log.matches(message).count() >= 2)
                && log.matches("\"reconciled\"").count() >= 2
        });
    }

    /// Stops it, and searches its output and its files.
    fn search(mut self) {
        assert!(self.serve.stop(Signal::TERM).success());
        let canaries = &self.sources.canaries;
        canaries.assert_none("standard error", self.serve.stderr.all().join("\n"));
        canaries.assert_none("standard output", self.serve.stdout.all().join("\n"));
        let received = self.ledger.received();
        let sent: String = received
            .iter()
            .map(|one| format!("{}{}", one.head, one.body))
            .collect();
        canaries.assert_no(&[Secret, Signature, Hostile], "the destination", &sent);
        canaries.assert_all_personal("", "the destination", &sent);
        for entry in fs::read_dir(self.folder.path()).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            // The inbox holds received content, and no secret of the receiver.
            let kinds = match name.starts_with("pillarbox.db") {
                true => &[Secret, Hostile][..],
                false => &ALL_KINDS,
            };
            canaries.assert_no(kinds, &name, fs::read(&path).unwrap());
        }
    }
}

/// The environment of every process: canaries, and where the emulator is.
pub(super) fn variables(sources: &CanarySources) -> Vec<(&'static str, String)> {
    let mut variables = sources.variables.clone();
    let endpoint = table::variables().into_iter();
    variables.extend(endpoint.filter(|(name, _)| *name == "AWS_ENDPOINT_URL_DYNAMODB"));
    variables
}

async fn nothing_leaks(table: Option<DynamoInbox>) {
    let mut served = LeakTestServe::start(table).await;
    served.drive().await;
    console::search(&served).await;
    commands::search(&served);
    served.search();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaks_from_serve_its_console_and_the_commands_on_a_file() {
    nothing_leaks(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaks_from_serve_its_console_and_the_commands_on_a_table() {
    nothing_leaks(Some(table::fresh("leaks").await)).await;
}
