//! MiniStack, a stand-in for AWS by other authors: a second opinion on our clients.
//!
//! `PILLARBOX_TEST_MINISTACK` names a running one. Without it, each test starts one from the
//! virtual environment that `.ci/run` creates.

use std::{
    env,
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::time::Instant;

use super::repository;

const PROGRAM: &str = "target/tools/ministack/bin/ministack";
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A running MiniStack. If the test started it, it ends when this is dropped.
pub struct MiniStackProcess {
    url: String,
    child: Option<Child>,
}

impl MiniStackProcess {
    /// Uses the named one, or starts one and waits until it accepts connections.
    #[expect(
        clippy::disallowed_methods,
        reason = "a setting of the person who runs the tests"
    )]
    pub fn start() -> Self {
        match env::var("PILLARBOX_TEST_MINISTACK") {
            Ok(url) => Self { url, child: None },
            Err(_) => Self::spawn(false),
        }
    }

    /// Starts one that enforces IAM policies. Its functions reach AWS through it.
    pub fn with_policies() -> Self {
        Self::spawn(true)
    }

    fn spawn(enforces_policies: bool) -> Self {
        assert!(
            repository(PROGRAM).exists(),
            "{PROGRAM} is missing: .ci/run installs it"
        );
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut command = Command::new(repository(PROGRAM));
        command
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"))
            .env("AUTH", enforces_policies.to_string());
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut ministack = Self {
            url: format!("http://127.0.0.1:{port}"),
            child: Some(child),
        };
        let end = Instant::now() + START_TIMEOUT;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(
                !ministack.has_ended() && Instant::now() < end,
                "{PROGRAM} starts in time"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        ministack
    }

    /// Its URL, the value of `AWS_ENDPOINT_URL`.
    pub fn url(&self) -> &str {
        &self.url
    }

    fn has_ended(&mut self) -> bool {
        self.child
            .as_mut()
            .is_some_and(|child| child.try_wait().unwrap().is_some())
    }
}

impl Drop for MiniStackProcess {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
