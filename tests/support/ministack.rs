//! MiniStack, a stand-in for AWS that is not ours: the second opinion on what our clients say.
//!
//! `PILLARBOX_TEST_MINISTACK` names one that runs; without it, one is started for each test from
//! the virtual environment that `.ci/run` makes.

use std::{
    env,
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::time::Instant;

use super::repository;

/// Where `.ci/run` puts it.
const PROGRAM: &str = "target/tools/ministack/bin/ministack";
/// The time limit for its start. Only a failing test waits this long.
const LONG: Duration = Duration::from_secs(60);

/// One that runs; ours ends when this is dropped.
pub struct MiniStackProcess {
    url: String,
    child: Option<Child>,
}

impl MiniStackProcess {
    /// The one that is named, or one of our own, once it takes connections.
    #[expect(
        clippy::disallowed_methods,
        reason = "a person who runs the tests says where it is"
    )]
    pub fn start() -> Self {
        match env::var("PILLARBOX_TEST_MINISTACK") {
            Ok(url) => Self { url, child: None },
            Err(_) => Self::spawn(false),
        }
    }

    /// One of our own that enforces IAM policies and runs functions, which reach AWS through it.
    pub fn with_policies() -> Self {
        Self::spawn(true)
    }

    fn spawn(enforces_policies: bool) -> Self {
        assert!(
            repository(PROGRAM).exists(),
            "{PROGRAM} is not there: .ci/run installs it"
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
        let end = Instant::now() + LONG;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(
                !ministack.has_ended() && Instant::now() < end,
                "{PROGRAM} does not start"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        ministack
    }

    /// Where it is reached: what `AWS_ENDPOINT_URL` is set to.
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
