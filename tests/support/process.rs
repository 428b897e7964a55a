//! Runs the shipped binary as a person would: in a new folder, with real pipes, sockets and
//! signals.

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;
use url::Url;

use super::binary;

/// The signing secrets of the configurations, and the variables that contain them.
pub const HMRC_SECRET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
pub const PAY_SECRET: &str = "webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu";
pub const WHSEC: &str = "whsec_cGlsbGFyYm94LXRlc3Qtc2VjcmV0LTMyLWJ5dGVzISE=";
const VARIABLES: [(&str, &str); 3] = [
    ("HMRC_PUSH_SECRET", HMRC_SECRET),
    ("PAY_SIGNING_SECRET", PAY_SECRET),
    ("LEDGER_WHSEC", WHSEC),
];

/// Personal data of the messages that the tests send.
const PERSONAL: [&str; 4] = [
    "a.tester@example.com",
    "A Tester",
    "1 High Street",
    "LS1 1AA",
];

/// Fails if a log or an error contains a secret of the tests, or personal data of their messages.
#[track_caller]
pub fn assert_discreet(what: &str, text: &str) {
    let secrets = VARIABLES.map(|(_, value)| value);
    for value in secrets.into_iter().chain(PERSONAL) {
        assert!(!text.contains(value), "{what} contains {value}: {text}");
    }
}

/// The log level of every program, if the person who runs the tests wants more of the log searched.
#[expect(
    clippy::disallowed_methods,
    reason = "a setting of the person who runs the tests"
)]
pub fn searched_log_level() -> Option<String> {
    std::env::var("PILLARBOX_TEST_LOG").ok()
}

/// Both senders, with the default destination, the log.
pub const BOTH_SOURCES: &str = r#"
[sources.hmrc]
kind = "hmrc"
secrets = ["env:HMRC_PUSH_SECRET"]

[sources.pay]
kind = "govuk-pay"
secrets = ["env:PAY_SIGNING_SECRET"]
"#;

/// Arguments of `serve` with which tests can run at the same time.
pub const FREE_PORTS: &[&str] = &["--listen", "127.0.0.1:0", "--console", "127.0.0.1:0"];

/// The time limit for every expected event. Only a failing test waits this long.
pub const LONG: Duration = Duration::from_secs(120);

/// Waits until `condition` holds.
#[track_caller]
pub fn until(what: &str, condition: impl FnMut() -> bool) {
    within(LONG, what, condition);
}

/// Waits until `condition` holds, for `deadline` at most.
#[track_caller]
pub fn within(deadline: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + deadline;
    while !condition() {
        assert!(Instant::now() < end, "after {deadline:?} still not: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A folder in which `pillarbox` runs, with only the secrets in its environment.
pub struct ProgramFolder {
    dir: TempDir,
}

impl ProgramFolder {
    /// Without any configuration: the demo.
    pub fn empty() -> Self {
        Self {
            dir: TempDir::with_prefix("pillarbox-").unwrap(),
        }
    }

    /// With a `pillarbox.toml`.
    pub fn with(configuration: &str) -> Self {
        let folder = Self::empty();
        folder.write("pillarbox.toml", configuration);
        folder
    }

    /// With both senders, and the inbox in this table.
    pub fn on_table(table: &str) -> Self {
        Self::with(&format!(
            "{BOTH_SOURCES}[inbox]\nkind = \"dynamodb\"\ntable = \"{table}\"\n"
        ))
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap()
    }

    /// A command of `pillarbox` that has not started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(binary("pillarbox-under-test"), arguments)
    }

    /// A command of another program that has not started.
    pub fn command_of(&self, program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .envs(VARIABLES)
            .stdin(Stdio::null());
        command
    }

    /// Runs a command and waits for its end.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> CommandResult {
        CommandResult::of(&mut self.command(arguments))
    }

    /// The rows of `list --json` with these filters, newest first.
    #[track_caller]
    pub fn list(&self, filters: &[&str]) -> Vec<Value> {
        let ran = self.run(&[&["list", "--json"], filters].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The number of rows in a state.
    #[track_caller]
    pub fn count(&self, state: &str) -> usize {
        self.list(&["--state", state]).len()
    }

    /// Starts `serve` and waits until it is ready.
    #[track_caller]
    pub fn serve(&self) -> RunningServe {
        let mut serve = RunningServe::spawn(&mut self.serve_command());
        serve.await_ready();
        serve
    }

    /// `serve` on a free port.
    pub fn serve_command(&self) -> Command {
        let mut command = self.command(&[&["serve"], FREE_PORTS].concat());
        // Some tests log a lot.
        let level = searched_log_level().unwrap_or_else(|| "warn".to_owned());
        command.env("PILLARBOX_LOG", level);
        command
    }
}

/// A command that has ended.
#[derive(Debug)]
pub struct CommandResult {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub bytes: Vec<u8>,
}

impl CommandResult {
    #[track_caller]
    pub fn of(command: &mut Command) -> Self {
        let Output {
            status,
            stdout,
            stderr,
        } = command.output().unwrap();
        let ran = Self {
            code: status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
            bytes: stdout,
        };
        ran.check_output(command);
        ran
    }

    /// No command prints the value of a secret, and none panics.
    #[track_caller]
    fn check_output(&self, command: &Command) {
        assert_discreet(&format!("{command:?}"), &self.stderr);
        for text in [&self.stdout, &self.stderr] {
            for (name, value) in VARIABLES {
                assert!(!text.contains(value), "{command:?} prints {name}: {text}");
            }
            assert!(!text.contains("panicked"), "{command:?}: {text}");
            assert!(
                !text.contains('\u{1b}'),
                "{command:?} is coloured without a terminal: {text:?}"
            );
        }
    }
}

/// The lines that a process has written so far. A thread reads them from its pipe.
#[derive(Clone, Default)]
pub struct OutputLines(Arc<Mutex<Vec<String>>>);

impl OutputLines {
    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    pub fn find(&self, part: &str) -> Option<String> {
        self.0
            .lock()
            .unwrap()
            .iter()
            .find(|line| line.contains(part))
            .cloned()
    }

    /// Reads `pipe` to its end. An incomplete last line is dropped: the process was killed while it
    /// wrote it.
    fn gather(&self, pipe: impl Read + Send + 'static) -> JoinHandle<()> {
        let lines = self.clone();
        std::thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe.read_until(b'\n', &mut line).unwrap_or(0) > 0 && line.pop() == Some(b'\n') {
                lines
                    .0
                    .lock()
                    .unwrap()
                    .push(String::from_utf8_lossy(&line).into_owned());
                line.clear();
            }
        })
    }
}

/// A running `serve`, or another server. It is killed when this is dropped.
pub struct RunningServe {
    child: Child,
    readers: Vec<JoinHandle<()>>,
    pub stdout: OutputLines,
    pub stderr: OutputLines,
}

impl RunningServe {
    /// Starts the process and reads all of its output.
    pub fn spawn(command: &mut Command) -> Self {
        let mut serve = Self::spawn_unread(command);
        serve.read_stdout();
        serve
    }

    /// Starts the process with its standard output in a file.
    pub fn spawn_to(command: &mut Command, stdout: fs::File) -> Self {
        let mut child = command
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = OutputLines::default();
        let readers = vec![stderr.gather(child.stderr.take().unwrap())];
        Self {
            child,
            readers,
            stdout: OutputLines::default(),
            stderr,
        }
    }

    /// Starts the process and does not read its standard output, so that the pipe fills up.
    pub fn spawn_unread(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdout, stderr) = (OutputLines::default(), OutputLines::default());
        let readers = vec![stderr.gather(child.stderr.take().unwrap())];
        Self {
            child,
            readers,
            stdout,
            stderr,
        }
    }

    /// Begins to read standard output.
    pub fn read_stdout(&mut self) {
        self.readers
            .push(self.stdout.gather(self.child.stdout.take().unwrap()));
    }

    #[track_caller]
    pub fn await_ready(&mut self) {
        until("serve is ready", || {
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none(),
                "serve ended: {ended:?} {:?}",
                self.stderr.all()
            );
            self.stderr.find("Ready.").is_some()
        });
    }

    /// The callback URL of a source, once it has been printed.
    pub fn url(&self, source: &str) -> Url {
        let line = self
            .stderr
            .find(&format!("/{source} ("))
            .expect("the callback URL is printed before `Ready.`");
        let url = line
            .split_whitespace()
            .find(|word| word.starts_with("http://"))
            .unwrap();
        Url::parse(url).unwrap()
    }

    /// Stops the process with a signal, as systemd or Ctrl-C would, and returns its exit status.
    pub fn stop(&mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        let mut ended = None;
        until("serve has stopped", || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        });
        self.readers
            .drain(..)
            .for_each(|reader| reader.join().unwrap());
        ended.unwrap()
    }

    /// Kills the process and reads the rest of its output.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.readers
            .drain(..)
            .for_each(|reader| reader.join().unwrap());
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// The processor time of all its threads so far, from Linux's `/proc`.
    pub fn processor_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let ticks = fields.split(' ').skip(11).take(2);
        let ticks: u64 = ticks.map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// The keys of the attempts whose outcome it could not write, according to its log. Each may be
    /// delivered again.
    pub fn unwritten_outcomes(&self) -> Vec<String> {
        let key = |line: String| {
            let line: Value = serde_json::from_str(&line).ok()?;
            let message = line["message"].as_str()?;
            let is_unwritten = message.starts_with("outcome not written")
                || message == "claim ended before the outcome was written";
            Some(line["key"].as_str().filter(|_| is_unwritten)?.to_owned())
        };
        self.stderr.all().into_iter().filter_map(key).collect()
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

impl Drop for RunningServe {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !std::thread::panicking() {
            assert_discreet("the log of serve", &self.stderr.all().join("\n"));
        }
    }
}

/// The rows of a list by their keys, each of which must be unique.
#[track_caller]
pub fn by_key(rows: Vec<Value>) -> HashMap<String, Value> {
    let count = rows.len();
    let keyed: HashMap<String, Value> = rows
        .into_iter()
        .map(|row| (row["key"].as_str().unwrap().to_owned(), row))
        .collect();
    assert_eq!(keyed.len(), count, "a key is stored twice");
    keyed
}
