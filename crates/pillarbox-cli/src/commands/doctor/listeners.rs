//! The findings about `serve`: whether it runs, and whether its addresses are free.

use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use tokio::time::timeout;

use super::{CheckHealth, DoctorFinding, finding, fine};
use crate::{commands::local_request, sqlite::ServeLock};
use pillarbox::config::Config;

/// How long a response may take on this machine.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// The largest number of bytes read of a response.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;

/// A path of `serve`, and a part of its response.
type KnownAnswer = (&'static str, &'static str);

const HEALTH: KnownAnswer = ("/-/healthz", "\r\n\r\nok");
const FIRST_PAGE: KnownAnswer = ("/", "Pillarbox");

/// The findings about the addresses of serve, and about serve if its inbox exists.
pub(super) async fn findings(config: &Config) -> Vec<DoctorFinding> {
    let serve_runs = config.inbox.file().is_some_and(ServeLock::is_held);
    let mut findings = vec![
        address("listen", config.listen, HEALTH, serve_runs).await,
        address("console", config.console, FIRST_PAGE, serve_runs).await,
    ];
    findings.extend(config.inbox.file().filter(|path| path.exists()).map(|_| {
        if serve_runs {
            fine("serve", "runs on this inbox")
        } else {
            let found = "does not run on this inbox: senders get no answer until it is started";
            finding(CheckHealth::Look, "serve", found)
        }
    }));
    findings
}

/// Checks that serve listens on `address`, or can.
async fn address(
    name: &str,
    address: SocketAddr,
    known: KnownAnswer,
    serve_runs: bool,
) -> DoctorFinding {
    let warning = |found| finding(CheckHealth::Look, name, found);
    match (TcpListener::bind(address), serve_runs) {
        (Ok(_), false) => fine(name, format!("{address} is free")),
        (Ok(_), true) => warning(format!(
            "{address} is free, and serve runs: it was started with another --{name}"
        )),
        (Err(_), true) if answers(address, known).await => {
            fine(name, format!("the running serve answers at {address}"))
        }
        (Err(_), true) => finding(
            CheckHealth::Wrong,
            name,
            format!(
                "serve runs, but does not answer at {address}: another program has the address, or \
                 serve hangs"
            ),
        )
        .with_clause(format!("serve does not answer at {address}")),
        (Err(error), false) => warning(format!(
            "cannot listen on {address} ({error}): stop the program that uses it, or choose \
             another with --{name}"
        )),
    }
}

/// Whether `address` responds as serve does.
async fn answers(address: SocketAddr, (path, mark): KnownAnswer) -> bool {
    let request = local_request::get(address, path, MAX_ANSWER_BYTES);
    let answer = timeout(ANSWER_TIMEOUT, request).await;
    matches!(answer, Ok(Ok(answer)) if answer.contains(mark))
}
