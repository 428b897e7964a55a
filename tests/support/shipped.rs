//! Runs the shipped binary as a child process and collects all of its output.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, channel},
    thread::JoinHandle,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{
    binary,
    client::{DEADLINE, HttpConnection},
    message::{Source, hmrc, pay},
    process::assert_discreet,
};

/// `pillarbox serve` in a new folder, with the sources `hmrc` and `pay`.
pub struct ServeProcess {
    pub address: SocketAddr,
    pub console: SocketAddr,
    child: Child,
    folder: TempDir,
    lines: Receiver<String>,
    stdout: Option<JoinHandle<String>>,
}

/// The exit status of a process, and its output since it was ready.
pub struct ExitedProcess {
    pub status: ExitStatus,
    pub stderr: Vec<String>,
    pub stdout: String,
    pub folder: TempDir,
}

impl ServeProcess {
    pub fn start(sources: &[Source; 2]) -> Self {
        Self::launch(Command::new(binary("pillarbox-under-test")), sources)
    }

    /// Starts it so that a write past the system's file size limit is an error and does not end the
    /// process.
    pub fn start_ignoring_file_size_signal() -> Self {
        Self::start_after(r#"trap "" XFSZ"#)
    }

    /// Starts it after a shell command, such as `ulimit -n 64`.
    pub fn start_after(command: &str) -> Self {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &format!(r#"{command}; exec "$0" "$@""#)])
            .arg(binary("pillarbox-under-test"));
        Self::launch(shell, &[hmrc(), pay()])
    }

    fn launch(mut command: Command, [hmrc, pay]: &[Source; 2]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = "listen = \"127.0.0.1:0\"\nconsole = \"127.0.0.1:0\"\n\
            [sources.hmrc]\nkind = \"hmrc\"\nsecrets = [\"env:HMRC\"]\n\
            [sources.pay]\nkind = \"govuk-pay\"\nsecrets = [\"env:PAY\"]\n\
            [inbox]\nkind = \"sqlite\"\npath = \"inbox.db\"\n\
            [destination]\nkind = \"log\"\n";
        std::fs::write(folder.path().join("pillarbox.toml"), config).unwrap();
        command
            .arg("serve")
            .current_dir(folder.path())
            .env_clear()
            .env("PILLARBOX_LOG", "trace");
        command
            .env("HMRC", &hmrc.secrets[0])
            .env("PAY", &pay.secrets[0]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();

        let (sender, lines) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            stderr
                .lines()
                .try_for_each(|line| sender.send(line.unwrap()))
        });
        let mut out = child.stdout.take().unwrap();
        let stdout = std::thread::spawn(move || {
            let mut text = String::new();
            out.read_to_string(&mut text).unwrap();
            text
        });
        let mut process = Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            console: SocketAddr::from(([127, 0, 0, 1], 0)),
            child,
            folder,
            lines,
            stdout: Some(stdout),
        };
        (process.address, process.console) = process.wait_until_ready();
        process
    }

    /// Waits for the end of the banner, and returns the addresses of the callbacks and the console.
    fn wait_until_ready(&self) -> (SocketAddr, SocketAddr) {
        let (mut callbacks, mut console) = (None, None);
        let after = |line: &str, words: &str| {
            let (_, rest) = line.split_once(words)?;
            rest.split('/').next()?.parse().ok()
        };
        loop {
            let line = self
                .lines
                .recv_timeout(DEADLINE)
                .expect("the banner ends with Ready");
            callbacks = callbacks.or(after(&line, "callback       http://"));
            console = console.or(after(&line, "console        http://"));
            if line.starts_with("Ready") {
                let named = callbacks.zip(console);
                return named.expect("the banner names the callbacks and the console");
            }
        }
    }

    /// The resident memory now and at its peak, in bytes; `None` where the system has no `/proc`.
    pub fn memory(&self) -> Option<(u64, u64)> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).ok()?;
        let kilobytes = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        };
        Some((kilobytes("VmRSS:")? * 1024, kilobytes("VmHWM:")? * 1024))
    }

    pub fn inbox(&self) -> PathBuf {
        self.folder.path().join("inbox.db")
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub async fn client(&self) -> HttpConnection {
        HttpConnection::connect(self.address).await
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for the process to end, and returns its result.
    pub fn end(mut self) -> ExitedProcess {
        let status = self.child.wait().unwrap();
        let stdout = self.stdout.take().unwrap().join().unwrap();
        let stderr: Vec<String> = self.lines.iter().collect();
        assert_discreet("the log of serve", &stderr.join("\n"));
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        ExitedProcess {
            status,
            stderr,
            stdout,
            folder,
        }
    }
}

impl Drop for ServeProcess {
    fn drop(&mut self) {
        let _ = self.child.kill(); // still runs only if the test failed
        let _ = self.child.wait();
    }
}
