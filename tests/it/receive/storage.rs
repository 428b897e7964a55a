//! An inbox that is slow, away or spoilt: 503 in time, nothing acknowledged, and no restart needed.

use std::{fs, sync::Arc, time::Duration};

use futures_util::future::join_all;
use pillarbox::{
    domain::Key,
    inbox::{InboxError, ReadInbox},
    receive::Refusal,
    secrets::Keyring,
};
use rusqlite::Connection;
use tokio::time::{Instant, sleep};

use test_support::{
    client::CheckedResponse,
    message::both,
    posted,
    request::RawRequest,
    server::FixedClock,
    server::{NOW, Server},
    silent::SilentInbox,
};

/// The one figure that is a promise: Pay hangs up at 3 s.
const IN_TIME: Duration = Duration::from_millis(2_500);

fn unavailable(answer: &CheckedResponse) {
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (503, r#"{"error":"inbox"}"#)
    );
}

#[tokio::test]
async fn a_stalled_inbox_is_answered_503_in_time_and_recovers() {
    let server = Server::start().await;
    let elsewhere = Connection::open(server.file()).unwrap();
    elsewhere.execute_batch("BEGIN IMMEDIATE").unwrap();
    // They are sent one after the other, so that later ones also wait for earlier ones.
    let posts = (0..20u32).map(async |n| {
        sleep(Duration::from_millis(100) * n).await;
        let source = &both()[n as usize % 2];
        let mut client = server.client().await;
        let began = Instant::now();
        let answer = client
            .send(RawRequest::post(source, source.message(&format!("n{n}"), NOW)).bytes())
            .await;
        (answer, began.elapsed())
    });
    for (answer, took) in join_all(posts).await {
        unavailable(&answer);
        assert!(took < IN_TIME, "{took:?}");
    }
    assert!(server.keys().await.is_empty());

    elsewhere.execute_batch("ROLLBACK").unwrap();
    for source in both() {
        server
            .records(&source, source.message("after", NOW), "after")
            .await;
    }
    let doubtful: Vec<String> = server
        .keys()
        .await
        .into_iter()
        .filter(|key| !key.ends_with(":after"))
        .collect();
    for source in both() {
        for n in (0..20).filter(|n| both()[n % 2].name == source.name) {
            // A refused request may have been stored nevertheless; its next attempt shows it.
            let answer = server
                .post(&source, source.message(&format!("n{n}"), NOW))
                .await;
            let stored = doubtful.contains(&format!("{}:n{n}", source.name));
            assert_eq!(answer.body.contains("duplicate"), stored, "{answer:?}");
        }
    }
    assert_eq!(server.keys().await.len(), 22);
}

#[tokio::test]
async fn an_inbox_file_that_is_gone_comes_back_without_a_restart() {
    let server = Server::start().await;
    let aside = server.file().with_extension("aside");
    for (index, source) in both().iter().enumerate() {
        server
            .records(source, source.message("before", NOW), "before")
            .await;
        fs::rename(server.file(), &aside).unwrap();
        for n in 0..3 {
            unavailable(
                &server
                    .post(source, source.message(&format!("gone{n}"), NOW))
                    .await,
            );
        }
        assert!(
            !server.file().exists(),
            "no second inbox is begun in secret"
        );
        fs::rename(&aside, server.file()).unwrap();
        server
            .records(source, source.message("after", NOW), "after")
            .await;
        assert_eq!(server.keys().await.len(), 2 * (index + 1));
    }
}

#[tokio::test]
async fn an_inbox_file_that_is_spoilt_acknowledges_nothing_until_it_is_whole_again() {
    let server = Server::start().await;
    let aside = server.file().with_extension("aside");
    let [source, _] = both();
    server
        .records(&source, source.message("before", NOW), "before")
        .await;
    let elsewhere = Connection::open(server.file()).unwrap();
    let _: i64 = elsewhere
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
        .unwrap();
    fs::rename(server.file(), &aside).unwrap();
    for (what, spoilt) in [
        ("no database", vec![0x55; 64 * 1024]),
        ("not ours", fs::read(&aside).unwrap()[..4096].into()),
    ] {
        fs::write(server.file(), spoilt).unwrap();
        for n in 0..3 {
            let answer = server
                .post(&source, source.message(&format!("spoilt{n}"), NOW))
                .await;
            assert_eq!(answer.status, 503, "{what}");
        }
        let read = server.inbox.get(&Key::parse("hmrc:before").unwrap()).await;
        assert!(
            matches!(read, Err(InboxError::Unavailable(_))),
            "nor is the file that was there before read any more: {what}: {read:?}"
        );
        fs::remove_file(server.file()).unwrap();
    }
    fs::create_dir(server.file()).unwrap();
    unavailable(&server.post(&source, source.message("spoilt", NOW)).await);
    fs::remove_dir(server.file()).unwrap();
    fs::rename(&aside, server.file()).unwrap();
    server
        .records(&source, source.message("after", NOW), "after")
        .await;
    assert_eq!(server.keys().await, ["hmrc:before", "hmrc:after"]);
}

/// Without a socket: the local server has no other inbox than SQLite's.
#[tokio::test(start_paused = true)]
async fn an_inbox_that_never_answers_is_given_up_in_time() {
    for source in both() {
        let (body, configured) = (source.message("n1", NOW), source.configured());
        let signature = source.sign(&body);
        let name = configured.name.to_string();
        let (inbox, keyring) = (Arc::new(SilentInbox), Keyring::fixed([configured]));
        let (place, clock) = ((&inbox, &keyring), Arc::new(FixedClock));
        let began = Instant::now();
        let received = posted::post(place, clock, &name, &signature, body).await;
        let refusal = received.unwrap_err();
        assert!(matches!(refusal, Refusal::Inbox(_)), "{refusal}");
        assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
    }
}
