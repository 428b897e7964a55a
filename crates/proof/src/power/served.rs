//! Runs the shipped `pillarbox` in a folder.

use std::{
    env,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use crate::planted::VARIABLE;

/// The secrets of both sources.
pub(super) const HMRC_SECRET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
pub(super) const PAY_SECRET: &str = "webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu";

/// A configuration with both senders. Events go to standard output.
pub(super) const CONFIGURATION: &str = r#"
[sources.hmrc]
kind = "hmrc"
secrets = ["env:HMRC_PUSH_SECRET"]

[sources.pay]
kind = "govuk-pay"
secrets = ["env:PAY_SIGNING_SECRET"]
"#;

/// Longer than `serve` needs to start or stop.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// The path of the program.
pub(super) struct PillarboxProgram(pub(super) PathBuf);

/// The exit code and the output of a command.
pub(super) struct CommandRun {
    pub(super) code: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl PillarboxProgram {
    /// A command in `folder`. Its environment has only the secrets, the log level, and the selected
    /// planted fault.
    pub(super) fn command(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.0);
        command
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .env("HMRC_PUSH_SECRET", HMRC_SECRET)
            .env("PAY_SIGNING_SECRET", PAY_SECRET)
            .env("PILLARBOX_LOG", "warn")
            .envs(env::vars_os().filter(|(name, _)| name == VARIABLE))
            .stdin(Stdio::null());
        command
    }

    /// `serve` on free ports.
    pub(super) fn serve_command(&self, folder: &Path) -> Command {
        let free_ports = ["--listen", "127.0.0.1:0", "--console", "127.0.0.1:0"];
        self.command(folder, &[&["serve"], &free_ports[..]].concat())
    }

    pub(super) fn run(&self, folder: &Path, arguments: &[&str]) -> Result<CommandRun, String> {
        finish(&mut self.command(folder, arguments))
    }

    /// The rows that `list --json` prints.
    pub(super) fn list(&self, folder: &Path, filters: &[&str]) -> Result<Vec<Value>, String> {
        let run = self.run(folder, &[&["list", "--json"], filters].concat())?;
        if run.code != 0 {
            return Err(format!("list ended with {}: {}", run.code, run.stderr));
        }
        let lines = run.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).map_err(|error| error.to_string()))
            .collect()
    }
}

/// Runs a command to its end.
pub(super) fn finish(command: &mut Command) -> Result<CommandRun, String> {
    let output = command.output().map_err(|error| error.to_string())?;
    Ok(CommandRun {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// A running `serve`, which is killed on drop.
pub(super) struct RunningServe {
    child: Child,
    stderr: PathBuf,
}

impl RunningServe {
    /// Starts `serve` with its output in files named after `output`, and waits until it is ready.
    pub(super) fn start(command: &mut Command, output: &Path) -> Result<Self, String> {
        let stderr = output.with_extension("stderr");
        let open = |path: &Path| File::create(path).map_err(|error| describe(path, &error));
        command
            .stdout(open(&output.with_extension("stdout"))?)
            .stderr(open(&stderr)?);
        let child = command.spawn().map_err(|error| error.to_string())?;
        let mut serve = Self { child, stderr };
        let deadline = Instant::now() + START_TIMEOUT;
        while !serve.log().contains("Ready.") {
            if let Some(status) = serve.exit_status()? {
                return Err(format!("serve ended with {status}: {}", serve.log()));
            }
            if Instant::now() > deadline {
                return Err(format!("serve is not ready: {}", serve.log()));
            }
            thread::sleep(Duration::from_millis(4));
        }
        Ok(serve)
    }

    pub(super) fn exit_status(&mut self) -> Result<Option<std::process::ExitStatus>, String> {
        self.child.try_wait().map_err(|error| error.to_string())
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    /// The callback URL of a source.
    pub(super) fn url(&self, source: &str) -> Result<Url, String> {
        let log = self.log();
        let url = log
            .split_whitespace()
            .find(|word| word.starts_with("http://") && word.ends_with(&format!("/{source}")));
        let url = url.and_then(|url| Url::parse(url).ok());
        url.ok_or_else(|| format!("serve prints no callback URL of {source}: {log}"))
    }

    /// Stops `serve` with SIGTERM, and waits until it exits successfully.
    pub(super) fn stop(mut self) -> Result<(), String> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)
            .map_err(|error| error.to_string())?;
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline {
            match self.exit_status()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(format!("serve ended with {status}: {}", self.log())),
                None => thread::sleep(Duration::from_millis(4)),
            }
        }
        Err("serve does not stop".to_owned())
    }
}

impl Drop for RunningServe {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have exited
        let _ = self.child.wait();
    }
}

pub(super) fn describe(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}
