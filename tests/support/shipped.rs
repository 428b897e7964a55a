//! The shipped binary as a child process, with everything it says.

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
    client::{Client, DEADLINE},
    message::{Source, hmrc, pay},
};

/// `pillarbox serve` in a new folder, with the sources `hmrc` and `pay`.
pub struct Process {
    pub address: SocketAddr,
    child: Child,
    folder: TempDir,
    lines: Receiver<String>,
    stdout: Option<JoinHandle<String>>,
}

/// The result of a process: how it ended, and its output since it was ready.
pub struct ExitedProcess {
    pub status: ExitStatus,
    pub stderr: Vec<String>,
    pub stdout: String,
    pub folder: TempDir,
}

impl Process {
    pub fn start(sources: &[Source; 2]) -> Self {
        Self::launch(Command::new(binary("pillarbox-under-test")), sources)
    }

    /// With a write past the system's limit as an error, not as the end of the process.
    pub fn start_unharmed_by_limits() -> Self {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", r#"trap "" XFSZ; exec "$0" "$@""#])
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

        let (said, lines) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || stderr.lines().try_for_each(|line| said.send(line.unwrap())));
        let mut out = child.stdout.take().unwrap();
        let stdout = std::thread::spawn(move || {
            let mut text = String::new();
            out.read_to_string(&mut text).unwrap();
            text
        });
        let mut process = Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            child,
            folder,
            lines,
            stdout: Some(stdout),
        };
        process.address = process.wait_until_ready();
        process
    }

    fn wait_until_ready(&self) -> SocketAddr {
        let mut address = None;
        loop {
            let line = self
                .lines
                .recv_timeout(DEADLINE)
                .expect("the banner ends with Ready");
            if let Some((_, rest)) = line.split_once("callback       http://") {
                address = rest
                    .split('/')
                    .next()
                    .and_then(|address| address.parse().ok());
            }
            if line.starts_with("Ready") {
                return address.expect("the banner names the callbacks");
            }
        }
    }

    pub fn inbox(&self) -> PathBuf {
        self.folder.path().join("inbox.db")
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for the process to end.
    pub fn end(mut self) -> ExitedProcess {
        let status = self.child.wait().unwrap();
        let stdout = self.stdout.take().unwrap().join().unwrap();
        let stderr = self.lines.iter().collect();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        ExitedProcess {
            status,
            stderr,
            stdout,
            folder,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it has ended already, unless the test failed
        let _ = self.child.wait();
    }
}
