//! Delivers events to names that resolve to this machine, and to endpoints that redirect to it. No
//! connection may be opened.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    thread,
    time::Duration,
};

use pillarbox::{
    config::Config,
    destinations::{Destination, DestinationDeps, Event, LogDestination},
    domain::SystemClock,
    inbox::{MemoryInbox, ReceiveInbox, Row},
    secrets::{FetchedSecrets, SecretSources},
    senders::example,
};
use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};

const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// Names that the configuration accepts. They resolve to this machine or not at all.
const NAMES: [&str; 8] = [
    "localhost.",
    "LocalHost.",
    "localhost.localdomain",
    "ip6-localhost",
    "ip6-loopback",
    "foo.localhost",
    "localhost.localdomain.",
    "loopback.",
];
const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];
/// Longer than a connection to this machine takes. These listeners never answer.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);

/// The attempts, and the connections that were opened.
#[derive(Default)]
pub(super) struct OpenedConnections {
    pub(super) names: usize,
    pub(super) redirects: usize,
    pub(super) connections: usize,
}

/// Delivers an event to each, and counts the connections to the listeners.
pub(super) fn open() -> OpenedConnections {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime of one thread needs nothing");
    let row = runtime.block_on(row());
    let mut opened = OpenedConnections::default();
    let traps = open_trap_listeners();
    for name in names() {
        for trap in &traps {
            opened.names += 1;
            deliver(
                &runtime,
                &row,
                &format!("https://{name}:{}/", trap_port(trap)),
            );
        }
    }
    for status in REDIRECTS {
        for trap in &traps {
            opened.redirects += 1;
            let trap = trap.local_addr().expect("it is bound");
            let target = format!("http://{trap}/latest/meta-data");
            let endpoint = redirecting(status, &target);
            deliver(&runtime, &row, &format!("http://{endpoint}/"));
        }
    }
    opened.connections = traps.iter().map(connections_of).sum();
    opened
}

/// All names of this machine, with its host name if that is known.
fn names() -> Vec<String> {
    let host_name = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let host_name = Some(host_name.trim().to_owned()).filter(|name| !name.is_empty());
    NAMES
        .map(str::to_owned)
        .into_iter()
        .chain(host_name)
        .collect()
}

/// Listeners on the IPv4 and IPv6 loopback addresses, if this machine has them.
fn open_trap_listeners() -> Vec<TcpListener> {
    let addresses = [
        SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
    ];
    let bound = addresses.into_iter().filter_map(|address| {
        let listener = TcpListener::bind(address).ok()?;
        listener.set_nonblocking(true).ok()?;
        Some(listener)
    });
    bound.collect()
}

fn trap_port(trap: &TcpListener) -> u16 {
    trap.local_addr().map_or(0, |address| address.port())
}

fn connections_of(trap: &TcpListener) -> usize {
    std::iter::from_fn(|| trap.accept().ok()).count()
}

/// An endpoint that redirects one request to `target`.
fn redirecting(status: u16, target: &str) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let answer = format!(
        "HTTP/1.1 {status} Moved\r\nLocation: {target}\r\nContent-Length: 0\r\n\
         Connection: close\r\n\r\n"
    );
    thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        let mut request = [0; 64 * 1024];
        let _ = stream.read(&mut request)?;
        stream.write_all(answer.as_bytes())
    });
    address
}

/// A recorded notification.
async fn row() -> Row {
    let inbox = MemoryInbox::default();
    let entry = example::pay("n1", "p1", "card_payment_captured", example::NOW);
    inbox.record(&entry).await.expect("memory does not fail");
    inbox.rows().remove(0)
}

/// Makes one attempt to deliver the row to `url`, which must fail.
fn deliver(runtime: &Runtime, row: &Row, url: &str) {
    let document = format!(
        "[destination]\nkind = \"https\"\nurl = \"{url}\"\nsecret = \"env:WHSEC\"\n\
         [sources.pay]\nkind = \"govuk-pay\"\nsecrets = []\n"
    );
    let secret_sources = SecretSources {
        env: &|name| (name == "WHSEC").then(|| WHSEC.to_owned()),
        file: &|_: &Path| Err(io::ErrorKind::NotFound.into()),
        vault: FetchedSecrets::NOTHING,
    };
    let config = Config::read(&document, "proof").expect("the policy decides at connect time");
    let secrets = config
        .destination_secrets(&secret_sources)
        .expect("a secret");
    let (routes, _) = config.route_settings(&secrets).build(&DestinationDeps {
        aws: None,
        clock: Arc::new(SystemClock),
        secret_sources: &secret_sources,
        log: &|| LogDestination::new(io::sink()),
    });
    let event = Event::of(row).expect("the row is whole");
    let delivery = routes.deliver(&row.key, &event);
    let ended = runtime.block_on(async { timeout(ATTEMPT_TIMEOUT, delivery).await });
    assert!(!matches!(ended, Ok(Ok(_))), "{url} accepted the event");
}
