//! Three `serve` on one table behind haproxy, under both simulated senders with injected faults,
//! while a replica is killed or frozen every second.
//!
//! `PILLARBOX_TEST_REPLICA_NOTIFICATIONS` sets the number of notifications of each sender; the
//! command of the long run is in docs/benchmarks.md.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    time::Duration,
};

use pillarbox::config::variable;
use rustix::process::{Pid, Signal, kill_process};
use sender_simulator::{Clock, SystemClock};
use serde_json::Value;
use test_support::{
    process::{BOTH_SOURCES, Folder, Ran, Serve, until, within},
    table,
};
use tokio::time::Instant;

const REPLICAS: usize = 3;
/// Leases of 150 s, more than once.
const DRAINED: Duration = Duration::from_secs(15 * 60);

/// Addresses that are free.
fn free_addresses(count: usize) -> Vec<SocketAddr> {
    let held: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind(("127.0.0.1", 0)).unwrap())
        .collect();
    held.iter().map(|free| free.local_addr().unwrap()).collect()
}

/// haproxy before these replicas, which it checks as docs/deploy-server.md has it.
fn haproxy(folder: &Folder, at: SocketAddr, replicas: &[SocketAddr]) -> Child {
    let servers: Vec<String> = replicas
        .iter()
        .enumerate()
        .map(|(nth, address)| {
            format!("    server r{nth} {address} maxconn 500 check inter 1s fall 2")
        })
        .collect();
    let configuration = format!(
        "global\n    maxconn 8192\ndefaults\n    mode http\n    timeout connect 1s\n    timeout \
         client 30s\n    timeout server 10s\nfrontend callbacks\n    bind {at}\n    \
         default_backend pillarbox\nbackend pillarbox\n    balance roundrobin\n    http-reuse \
         safe\n    retries 0\n    option httpchk GET /-/readyz\n{}\n",
        servers.join("\n")
    );
    let file = folder.write("haproxy.cfg", configuration);
    let program = variable("PILLARBOX_TEST_HAPROXY").unwrap_or_else(|| "haproxy".to_owned());
    let mut command = Command::new(program);
    command.arg("-db").arg("-f").arg(file);
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The replica that listens on `address`, with what it delivers in a file.
fn replica(folder: &Folder, address: SocketAddr, delivered: &str) -> Serve {
    let out = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.path().join(delivered))
        .unwrap();
    let listen = address.to_string();
    let mut command = folder.command(&["serve", "--listen", &listen, "--console", "127.0.0.1:0"]);
    command
        .envs(table::variables())
        .env("PILLARBOX_LOG", "warn");
    let mut serve = Serve::spawn_to(&mut command, out);
    serve.await_ready();
    serve
}

fn open(folder: &Folder) -> usize {
    let listing = ["list", "--json", "--state", "open"];
    let ran = Ran::of(folder.command(&listing).envs(table::variables()));
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.stdout.lines().count()
}

/// The keys of everything that was delivered, one for each time.
fn delivered_keys(folder: &Folder) -> Vec<String> {
    let texts = (0..REPLICAS).map(|nth| folder.read(&format!("delivered-{nth}")));
    let key = |line: &str| {
        let event: Value = serde_json::from_str(line).ok()?; // a kill may tear the last line
        Some(event["id"].as_str()?.to_owned())
    };
    texts
        .flat_map(|text| text.lines().filter_map(key).collect::<Vec<_>>())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_behind_haproxy_lose_nothing_while_one_is_killed_or_frozen_every_second() {
    let count = variable("PILLARBOX_TEST_REPLICA_NOTIFICATIONS");
    let count = count.map_or(300, |count| count.parse::<usize>().unwrap());
    let table = table::fresh("behind-haproxy").await;
    let name = table.table();
    let folder = Folder::with(&format!(
        "{BOTH_SOURCES}[inbox]\nkind = \"dynamodb\"\ntable = \"{name}\"\n"
    ));
    let addresses = free_addresses(REPLICAS + 1);
    let (at, replicas) = (addresses[REPLICAS], &addresses[..REPLICAS]);
    let start = |nth: usize| replica(&folder, replicas[nth], &format!("delivered-{nth}"));
    let mut running: Vec<Serve> = (0..REPLICAS).map(start).collect();
    let mut proxy = haproxy(&folder, at, replicas);
    until("haproxy listens", || {
        std::net::TcpStream::connect(at).is_ok()
    });

    let began = Instant::now();
    let (pay, hmrc) = (format!("http://{at}/pay"), format!("http://{at}/hmrc"));
    let (count, inbox) = (count.to_string(), format!("dynamodb:{name}"));
    let simulate = [
        "simulate",
        "pay",
        "hmrc",
        "--to",
        &pay,
        "--to",
        &hmrc,
        "--count",
        &count,
        "--quiet",
        "--scenario",
        "hostile",
        "--time-scale",
        "60",
        "--limit",
        "60m",
        "--inbox",
        &inbox,
    ];
    let mut simulating = folder
        .command(&simulate)
        .envs(table::variables())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut kills, mut freezes) = (0, 0);
    while simulating.try_wait().unwrap().is_none() {
        let victim = usize::try_from(SystemClock.random() % REPLICAS as u64).unwrap();
        if (kills + freezes) % 2 == 0 {
            kills += 1;
            running[victim].kill();
            running[victim] = start(victim);
        } else {
            freezes += 1;
            running[victim].signal(Signal::STOP);
            std::thread::sleep(Duration::from_millis(700));
            running[victim].signal(Signal::CONT);
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    let sent = began.elapsed();
    let output = simulating.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    within(DRAINED, "everything is delivered", || {
        std::thread::sleep(Duration::from_secs(1));
        open(&folder) == 0
    });
    let drained = began.elapsed();
    for serve in &mut running {
        assert!(serve.stop(Signal::TERM).success());
    }
    kill_process(Pid::from_child(&proxy), Signal::TERM).unwrap();
    proxy.wait().unwrap();

    let mut keys = delivered_keys(&folder);
    let attempts = keys.len();
    keys.sort_unstable();
    keys.dedup();
    println!(
        "{said}\n{kills} kills, {freezes} freezes in {} s, everything delivered after {} s; {} \
         events, {} delivered more than once",
        sent.as_secs(),
        drained.as_secs(),
        keys.len(),
        attempts - keys.len(),
    );
    // The simulation has compared what was acknowledged with the inbox.
    assert!(output.status.success(), "{said}");
    assert!(
        attempts - keys.len() <= kills * 128,
        "twice only around a kill"
    );
    let proven = Ran::of(
        folder
            .command(&["verify", "--stored"])
            .envs(table::variables()),
    );
    assert_eq!(proven.code, 0, "{proven:?}");
}
