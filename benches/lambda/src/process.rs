//! A program under measurement, started as Lambda would start it: with only Lambda's environment.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    time::{ClockId, clock_getcpuclockid},
    unistd::Pid,
};

use crate::programs::Program;

/// A running program, killed when dropped.
pub(crate) struct Process {
    child: Child,
    /// The instant before the start.
    pub(crate) started: Instant,
    clock: ClockId,
    log: PathBuf,
}

impl Process {
    /// Starts `program` with these variables and those that Lambda sets. Its output goes to a file
    /// in `folder`.
    pub(crate) fn start(
        program: &Program,
        api: SocketAddr,
        variables: &[(&str, String)],
        folder: &Path,
    ) -> Self {
        let log = folder.join(format!("{}.log", program.name.replace(' ', "-")));
        let output = File::create(&log).expect("the folder can be written to");
        let errors = output.try_clone().expect("a file can be opened twice");
        let mut command = Command::new(&program.path);
        command
            .args(&program.arguments)
            .env_clear()
            .envs(lambda(api))
            .envs(variables.iter().cloned());
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let started = Instant::now();
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.path.display()));
        let clock = clock_getcpuclockid(pid(&child)).expect("a running child has a clock");
        Self {
            child,
            started,
            clock,
            log,
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        pid(&self.child)
    }

    /// Processor time of all its threads, user and system, so far.
    pub(crate) fn cpu(&self) -> Duration {
        Duration::from(self.clock.now().expect("a running child has a clock"))
    }

    /// Its peak resident memory, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes =
            line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kilobytes.expect("the kernel reports the memory of a running child") * 1024
    }

    /// Sends SIGTERM, and waits until the process has ended.
    pub(crate) fn stop(mut self) {
        kill(self.pid(), Signal::SIGTERM).expect("a running child accepts a signal");
        self.child.wait().expect("the child ends");
    }

    /// The end of its output, for error messages.
    pub(crate) fn last_output(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(2000)..]).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().try_into().expect("process numbers are small"))
}

/// The variables that Lambda sets for every function, as far as programs read them.
fn lambda(api: SocketAddr) -> Vec<(&'static str, String)> {
    [
        ("AWS_ACCESS_KEY_ID", "ASIAEXAMPLEEXAMPLE01"),
        (
            "AWS_SECRET_ACCESS_KEY",
            "example/secret/access/key/example/01",
        ),
        (
            "AWS_SESSION_TOKEN",
            "IQoJb3JpZ2luX2VjEXAMPLETOKENEXAMPLETOKENEXAMPLETOKENEXAMPLETOKENEXAMPLETOKENEXAMPLE",
        ),
        ("AWS_REGION", "eu-west-2"),
        ("AWS_DEFAULT_REGION", "eu-west-2"),
        ("AWS_EXECUTION_ENV", "AWS_Lambda_rust"),
        ("AWS_LAMBDA_FUNCTION_NAME", "pillarbox-receive"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/pillarbox-receive"),
        (
            "AWS_LAMBDA_LOG_STREAM_NAME",
            "2026/01/01/[$LATEST]0123456789abcdef0123456789abcdef",
        ),
        ("LANG", "en_US.UTF-8"),
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("TZ", ":UTC"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .into_iter()
    .chain([("AWS_LAMBDA_RUNTIME_API", api.to_string())])
    .collect()
}
