use std::{net::SocketAddr, path::Path};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::{
    console::{Console, ConsoleAccess, ConsoleSettings},
    metrics::ServeMetrics,
    sqlite::{ServeLock, SqliteInbox},
};
use pillarbox::{
    destinations::HttpsFormat,
    domain::Clock,
    inbox::ReceiveInbox,
    senders::{Entry, SenderKind, example},
};

/// An inbox with these entries, and its configuration.
async fn inbox_with(entries: &[Entry]) -> (TempDir, Arc<SqliteInbox>) {
    let folder = tempfile::tempdir().unwrap();
    let inbox = SqliteInbox::create(&folder.path().join("inbox.db")).unwrap();
    for entry in entries {
        inbox.record(entry).await.unwrap();
    }
    (folder, Arc::new(inbox))
}

/// The output of doctor, and whether nothing needs a person.
async fn doctor(folder: &Path, listen: SocketAddr, console: SocketAddr) -> (String, bool) {
    let config = folder.join("pillarbox.toml");
    let document = format!(
        "listen = \"{listen}\"\nconsole = \"{console}\"\n\
         [sources.pay]\nkind = \"govuk-pay\"\nsecrets = []\n"
    );
    std::fs::write(&config, document).unwrap();
    let global = GlobalArgs {
        config: Some(config),
        inbox: Some(format!("sqlite:{}", folder.join("inbox.db").display())),
        ..GlobalArgs::default()
    };
    let (mut output, printed) = CommandOutput::captured();
    let ended = DoctorArgs { json: false }.run(&global, &mut output).await;
    assert!(
        matches!(ended, Ok(()) | Err(CommandError::Negative)),
        "{ended:?}"
    );
    (printed.text(), ended.is_ok())
}

/// A free address.
async fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// A server that always sends the same response, which may be empty.
async fn server(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

const CALLBACK: &str = "HTTP/1.1 200 OK\r\n\r\nok";

#[tokio::test]
async fn doctor_exits_with_1_if_a_row_needs_a_person() {
    let unreadable = example::entry(SenderKind::GOVUK_PAY, "pay", "no JSON".into());
    let mut overdue = example::hmrc("n1", "{}");
    overdue.received_at = SystemClock.now().minus(Duration::from_secs(60 * 60));
    for (entries, words, sentence, is_well) in [
        (
            &[][..],
            "look  serve: does not run",
            " fine  Nothing needs you.",
            true,
        ),
        (
            &[unreadable],
            "1 held",
            "wrong  Something needs you: 1 notification is held.",
            false,
        ),
        (
            &[overdue],
            "1 open",
            "wrong  Something needs you: 1 notification waits for up to 1 h.",
            false,
        ),
    ] {
        let (folder, _inbox) = inbox_with(entries).await;
        let (printed, ended_well) = doctor(folder.path(), free().await, free().await).await;
        assert_eq!(printed.lines().next(), Some(sentence));
        assert!(
            printed.contains(words) && ended_well == is_well,
            "{printed}"
        );
        assert_eq!(
            printed.contains("1 of these need a person"),
            !is_well,
            "{printed}"
        );
        assert!(printed.contains("fine  listen: 127.0.0.1:"), "{printed}");
    }
}

/// A backup has no lock file: no process serves it, and that is not an error.
#[tokio::test]
async fn an_open_row_needs_a_person_immediately_if_serve_has_stopped() {
    let mut entry = example::hmrc("n1", "{}");
    entry.received_at = SystemClock.now();
    let (folder, _inbox) = inbox_with(&[entry]).await;
    let (printed, is_well) = doctor(folder.path(), free().await, free().await).await;
    assert!(is_well, "{printed}");
    drop(ServeLock::acquire(&folder.path().join("inbox.db")).unwrap());
    let (printed, is_well) = doctor(folder.path(), free().await, free().await).await;
    assert_eq!(
        (printed.lines().next(), is_well),
        (
            Some("wrong  Something needs you: 1 notification waits while serve does not run."),
            false
        )
    );
}

#[tokio::test]
async fn doctor_recognises_the_serve_that_runs_on_its_inbox() {
    let (folder, inbox) = inbox_with(&[]).await;
    let _lock = ServeLock::acquire(&folder.path().join("inbox.db")).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let console_at = listener.local_addr().unwrap();
    let console = ConsoleSettings {
        config: Arc::new(Config::demo(folder.path())),
        inbox_name: "a test".to_owned(),
        access: ConsoleAccess::ReadOnly,
        hosts: Vec::new(),
        token: None,
        metrics: Some(ServeMetrics::new()),
        refusals: None,
        senders: Arc::new(std::collections::HashMap::new),
        actor: "a test".to_owned(),
        samples: Vec::new(),
        clock: Arc::new(SystemClock),
    };
    let console = Console::new(inbox, console, console_at);
    tokio::spawn(console.serve(listener, std::future::pending()));
    let callback = server(CALLBACK).await;

    let (printed, is_well) = doctor(folder.path(), callback, console_at).await;
    for words in [
        format!("fine  listen: the running serve answers at {callback}"),
        format!("fine  console: the running serve answers at {console_at}"),
        "fine  serve: runs on this inbox".to_owned(),
    ] {
        assert!(printed.contains(&words), "{words} is missing: {printed}");
    }
    assert!(is_well, "{printed}");

    let (printed, is_well) = doctor(folder.path(), callback, free().await).await;
    assert!(
        printed.contains("started with another --console") && is_well,
        "{printed}"
    );

    for other in ["", "HTTP/1.1 200 OK\r\n\r\nIt works!"] {
        let (printed, is_well) = doctor(folder.path(), server(other).await, console_at).await;
        assert!(printed.contains("wrong  listen") && !is_well, "{printed}");
    }
}

#[tokio::test]
async fn one_value_behind_two_references_is_wrong_and_one_reference_of_two_sources_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    for name in ["one", "two"] {
        std::fs::write(path(name), "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567").unwrap();
    }
    let source = |name: &str, secret: &str| {
        let secret = path(secret);
        format!("[sources.{name}]\nkind = \"hmrc\"\nsecrets = [\"file:{secret}\"]\n")
    };
    for (second, health, words) in [
        (
            "two",
            CheckHealth::Wrong,
            "holds the same value as a secret of sources.vat",
        ),
        ("one", CheckHealth::Look, "is a secret of source vat too"),
    ] {
        let document = source("vat", "one") + &source("vat-again", second);
        let findings = secrets(&Config::read(&document, "p").unwrap()).await;
        let found = findings.iter().filter(|one| one.found.contains(words));
        let found: Vec<_> = found.map(|one| one.health == health).collect();
        assert_eq!(found, [true], "{words}");
        assert!(findings.iter().all(|one| !one.found.contains("ABCDEF")));
    }
}

#[tokio::test]
async fn an_address_in_use_without_serve_belongs_to_another_program() {
    let (folder, _inbox) = inbox_with(&[]).await;
    let (printed, _) = doctor(folder.path(), server(CALLBACK).await, free().await).await;
    assert!(
        printed.contains("look  listen: cannot listen on"),
        "{printed}"
    );
    assert!(printed.contains("look  serve: does not run"), "{printed}");
}

#[tokio::test]
async fn an_endpoint_is_probed_as_a_delivery_reaches_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let https = |url: &str| HttpsSettings {
        url: format!("{url}:{port}/events?token=x").parse().unwrap(),
        format: HttpsFormat::AsSent(None),
        allow: Vec::new(),
        ca: None,
        in_flight: None,
    };
    // It accepts connections, but a delivery would not open one.
    let found = probe_https("destination", &https("https://localhost"), false).await;
    assert!(found.health == CheckHealth::Wrong, "{}", found.found);
    let words = "its URL is https to a private, link-local or loopback address";
    assert!(found.found.contains(words), "{}", found.found);
    assert!(!found.found.contains("token"), "{}", found.found);

    let missing = HttpsSettings {
        allow: vec!["127.0.0.1/32".parse().unwrap()],
        ca: Some("no such file".into()),
        ..https("https://127.0.0.1")
    };
    let found = probe_https("destination", &missing, false).await;
    let words = "its ca file cannot be read (entity not found)";
    assert!(found.found.contains(words), "{}", found.found);
}
