//! Standard output and standard error that are full, torn or unread, under a running `serve`.

use std::{
    fs::{File, OpenOptions},
    io::{Write, pipe},
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    time::Duration,
};

use pillarbox::domain::{Clock, SystemClock};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};

use test_support::{
    binary,
    client::HttpConnection,
    message::pay,
    process::{BOTH_SOURCES, ProgramFolder, until},
    request::RawRequest,
};

/// A `serve` whose streams are not ours, on a port that we know.
struct QuietServe {
    child: Child,
    address: SocketAddr,
}

impl QuietServe {
    fn start(command: &mut Command) -> Self {
        let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let child = command
            .args(["serve", "--console", "127.0.0.1:0", "--listen"])
            .arg(address.to_string())
            .spawn()
            .unwrap();
        let serve = Self { child, address };
        until("it listens", || {
            std::net::TcpStream::connect(address).is_ok()
        });
        serve
    }

    async fn post(&self, id: &str) {
        let body = pay().message(id, SystemClock.now());
        let request = RawRequest::post(&pay(), body).bytes();
        let answer = HttpConnection::connect(self.address)
            .await
            .send(request)
            .await;
        assert_eq!(answer.status, 200, "{id}");
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends SIGTERM, and requires a successful exit.
    fn stop(&mut self) {
        kill_process(self.pid(), Signal::TERM).unwrap();
        let mut ended = None;
        until("serve has stopped", || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        });
        assert_eq!(ended.unwrap().code(), Some(0));
    }
}

impl Drop for QuietServe {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_standard_error_that_takes_nothing_stops_neither_start_nor_receiving_nor_the_end() {
    let (unread, mut full) = pipe().unwrap();
    full.write_all(&[b'x'; 64 * 1024]).unwrap(); // as much as a pipe holds
    let full_disk = OpenOptions::new().write(true).open("/dev/full").unwrap();
    for stderr in [Stdio::from(full_disk), Stdio::from(full)] {
        let folder = ProgramFolder::with(BOTH_SOURCES);
        let mut command = folder.command(&[]);
        command.stdout(Stdio::null()).stderr(stderr);
        let mut serve = QuietServe::start(&mut command);
        for n in 0..20 {
            serve.post(&format!("n{n}")).await;
        }
        until("everything is delivered", || {
            folder.count("delivered") == 20
        });
        serve.stop();
    }
    drop(unread);
}

/// The keys of the whole lines of an output.
fn keys(file: &str, folder: &ProgramFolder) -> Vec<String> {
    let text = folder.read(file);
    let events = text.lines().filter_map(|line| {
        let event: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(event["id"].as_str()?.to_owned())
    });
    events.collect()
}

#[tokio::test]
async fn an_event_whose_line_was_torn_is_written_again_on_a_line_of_its_own() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let begun = folder.write("events.log", "half a line");
    let events = OpenOptions::new().append(true).open(&begun).unwrap();
    let mut command = folder.command_of("sh", &["-c", r#"trap "" XFSZ; exec "$0" "$@""#]);
    command.arg(binary("pillarbox-under-test"));
    command
        .stdout(events.try_clone().unwrap())
        .stderr(Stdio::null());
    let mut serve = QuietServe::start(&mut command);
    serve.post("first").await;
    until("the first is delivered", || folder.count("delivered") == 1);
    assert_eq!(
        keys("events.log", &folder),
        ["pay:first"],
        "not glued to what was torn"
    );

    // Larger than the inbox, which the limit below leaves alone.
    events.set_len(64 * 1024 * 1024).unwrap();
    let limit = |current| {
        let limit = Rlimit {
            current,
            maximum: None,
        };
        prlimit(Some(serve.pid()), Resource::Fsize, limit).unwrap();
    };
    limit(Some(64 * 1024 * 1024 + 40));
    for n in 0..5 {
        serve.post(&format!("n{n}")).await;
    }
    until("the disk is full", || {
        let open = folder.list(&["--state", "open"]);
        open.len() == 5 && open.iter().all(|row| row["attempts"] != 0)
    });
    limit(None);
    until("everything is delivered", || folder.count("delivered") == 6);
    let mut written = keys("events.log", &folder);
    written.sort();
    written.dedup();
    assert_eq!(written.len(), 6, "delivered and readable: {written:?}");
    serve.stop();
}

#[tokio::test]
async fn a_path_cannot_steer_the_display_of_a_log() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let mut command = folder.command(&[]);
    let log = folder.write("serve.log", "");
    command
        .stdout(Stdio::null())
        .stderr(File::create(&log).unwrap());
    let mut serve = QuietServe::start(&mut command);
    let path = "/a\u{202e}b\u{9b}c\u{2028}\u{feff}\u{e0041}";
    let request = RawRequest::new("GET", path).bytes();
    let answer = HttpConnection::connect(serve.address)
        .await
        .send(request)
        .await;
    assert_eq!(answer.status, 404);
    tokio::time::sleep(Duration::from_millis(50)).await;
    serve.stop();
    let log = folder.read("serve.log");
    let line = log.lines().find(|line| line.contains("not_found")).unwrap();
    assert!(line.is_ascii(), "{line}");
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["path"], path, "it stays the same value");
}
