//! Runs `serve` in a new folder and measures its memory.

use std::{
    cell::RefCell,
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

pub(crate) struct Server {
    child: Child,
    folder: TempDir,
    address: SocketAddr,
    secret: String,
    memory: Memory,
}

impl Server {
    /// Starts a release build on free ports without configuration, as in the README.
    pub(crate) fn start() -> Self {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_pillarbox"))
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--console",
                "127.0.0.1:0",
            ])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut address = None;
        for line in lines.by_ref() {
            let line = line.unwrap();
            if let Some(rest) = line.trim().strip_prefix("callback       http://") {
                address = rest.split('/').next().map(|text| text.parse().unwrap());
            }
            if line.starts_with("Ready.") {
                break;
            }
        }
        // Reads the rest of the log, as a journal would, so that the pipe does not fill up.
        std::thread::spawn(move || lines.for_each(drop));
        let secret = fs::read_to_string(folder.path().join(".pillarbox/pay.secret")).unwrap();
        let memory = Memory {
            pid: child.id(),
            samples: RefCell::default(),
        };
        Self {
            child,
            folder,
            address: address.unwrap(),
            secret,
            memory,
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Waits until no row is open, checks that `count` rows are delivered, and returns the count.
    pub(crate) async fn wait_until_drained(&self, count: u64, timeout: Duration) -> u64 {
        let inbox =
            rusqlite::Connection::open(self.folder().join(".pillarbox/pillarbox.db")).unwrap();
        let began = Instant::now();
        loop {
            // Open rows are few and indexed. Counting the delivered rows is slow, so it happens
            // once.
            let open: u64 = count_rows(&inbox, "shelf = 'open:0'");
            if open == 0 || began.elapsed() > timeout {
                let delivered = count_rows(&inbox, "state = 'delivered'");
                assert_eq!(
                    delivered, count,
                    "every acknowledged notification is stored once and delivered"
                );
                return delivered;
            }
            self.memory.sample();
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

fn count_rows(inbox: &rusqlite::Connection, which: &str) -> u64 {
    let sql = format!("SELECT count(*) FROM notification WHERE {which}");
    let count: i64 = inbox.query_row(&sql, [], |row| row.get(0)).unwrap();
    count.cast_unsigned()
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Resident memory over the run.
pub(crate) struct Memory {
    pid: u32,
    samples: RefCell<Vec<u64>>,
}

impl Memory {
    pub(crate) fn sample(&self) {
        let Ok(status) = fs::read_to_string(format!("/proc/{}/status", self.pid)) else {
            return;
        };
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes =
            line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        self.samples.borrow_mut().extend(kilobytes);
    }

    pub(crate) fn summary(&self) -> String {
        let samples = self.samples.borrow();
        let at = |part: usize| {
            samples
                .get(samples.len() * part / 4)
                .or(samples.last())
                .map_or(0, |kb| kb / 1024)
        };
        let most = samples.iter().max().map_or(0, |kb| kb / 1024);
        format!(
            "{} MB after a quarter, {} MB at half, {} MB at the end, {most} MB at most",
            at(1),
            at(2),
            at(4)
        )
    }
}
