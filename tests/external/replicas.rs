//! Three `serve` on one table behind haproxy, under both simulated senders with injected faults,
//! while a replica is killed or frozen every second.
//!
//! `PILLARBOX_TEST_REPLICA_NOTIFICATIONS` sets the number of notifications of each sender, and
//! `PILLARBOX_TEST_PILLARBOX` names another build to measure; the commands are in
//! docs/benchmarks.md.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use pillarbox::config::variable;
use rustix::process::Signal;
use sender_simulator::{Clock, SystemClock};
use serde_json::Value;
use test_support::{
    binary,
    process::{BOTH_SOURCES, CommandResult, FREE_PORTS, ProgramFolder, RunningServe, within},
    table,
};
use tokio::time::Instant;

use super::proxies::{RunningProxy, free_addresses, haproxy_command, start_proxy};

const REPLICAS: usize = 3;
/// Several leases of 150 s, one after the other.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// The attempts that one process makes concurrently.
const MAX_IN_FLIGHT: usize = 128;
/// How much faster the senders' clock runs: Pay's retries after a day and after two days take 72
/// and 144 seconds, HMRC's of six hours take 18.
const TIME_SCALE: &str = "1200";

/// Starts haproxy in front of these replicas, with the health check of docs/deploy-server.md.
fn start_haproxy(folder: &ProgramFolder, at: SocketAddr, replicas: &[SocketAddr]) -> RunningProxy {
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
    let mut command = haproxy_command(folder.path(), configuration);
    start_proxy(command.stderr(Stdio::null()), at)
}

/// Replicas that are killed, frozen and started again. Each process writes its deliveries to a
/// separate file.
struct ReplicaSet<'a> {
    folder: &'a ProgramFolder,
    addresses: &'a [SocketAddr],
    running: Vec<RunningServe>,
    /// The number of processes started so far.
    started: usize,
    /// The file of each running process.
    files: Vec<String>,
    /// The files of the killed processes.
    killed: Vec<String>,
    /// The keys of attempts whose outcome could not be written.
    unwritten: Vec<String>,
}

impl<'a> ReplicaSet<'a> {
    fn start(folder: &'a ProgramFolder, addresses: &'a [SocketAddr]) -> Self {
        let mut replicas = Self {
            folder,
            addresses,
            running: Vec::new(),
            started: 0,
            files: Vec::new(),
            killed: Vec::new(),
            unwritten: Vec::new(),
        };
        for address in addresses {
            let (serve, file) = replicas.spawn(*address);
            replicas.running.push(serve);
            replicas.files.push(file);
        }
        replicas
    }

    fn spawn(&mut self, address: SocketAddr) -> (RunningServe, String) {
        self.started += 1;
        let file = format!("delivered-{}", self.started);
        let out = fs::File::create(self.folder.path().join(&file)).unwrap();
        let listen = address.to_string();
        let arguments = ["serve", "--listen", &listen, "--console", "127.0.0.1:0"];
        let mut command = self.folder.command(&arguments);
        command
            .envs(table::variables())
            .env("PILLARBOX_LOG", "warn");
        let mut serve = RunningServe::spawn_to(&mut command, out);
        serve.await_ready();
        (serve, file)
    }

    fn kill(&mut self, victim: usize) {
        self.running[victim].kill();
        self.unwritten
            .extend(self.running[victim].unwritten_outcomes());
        let (serve, file) = self.spawn(self.addresses[victim]);
        self.running[victim] = serve;
        self.killed
            .push(std::mem::replace(&mut self.files[victim], file));
    }

    fn freeze(&mut self, victim: usize) {
        self.running[victim].signal(Signal::STOP);
        std::thread::sleep(Duration::from_millis(700));
        self.running[victim].signal(Signal::CONT);
    }

    /// Stops all, and returns their deliveries.
    fn stop(mut self) -> DeliveredKeys {
        for serve in &mut self.running {
            assert!(serve.stop(Signal::TERM).success());
            self.unwritten.extend(serve.unwritten_outcomes());
        }
        let mut deliveries = DeliveredKeys::default();
        for file in &self.killed {
            let keys = delivered_keys(self.folder, file);
            let last = keys.iter().rev().take(MAX_IN_FLIGHT).cloned();
            deliveries.in_flight.extend(last);
            deliveries.keys.extend(keys);
        }
        for file in &self.files {
            deliveries.keys.extend(delivered_keys(self.folder, file));
        }
        deliveries.unwritten = self.unwritten;
        deliveries
    }
}

/// The deliveries of all processes.
#[derive(Default)]
struct DeliveredKeys {
    /// The key of each delivery.
    keys: Vec<String>,
    /// The last keys of each killed process, whose outcome may not have been written.
    in_flight: Vec<String>,
    /// The keys whose outcome could not be written, according to the log.
    unwritten: Vec<String>,
}

impl DeliveredKeys {
    /// Counts the events that were delivered more than once, and checks that each repeat follows an
    /// outcome that was not written.
    fn more_than_once(&self) -> usize {
        let times = count(&self.keys);
        let in_flight = count(&self.in_flight);
        let unwritten = count(&self.unwritten);
        for (key, times) in &times {
            let count_in = |counts: &BTreeMap<&str, usize>| counts.get(key).copied().unwrap_or(0);
            let allowed = count_in(&in_flight) + count_in(&unwritten);
            assert!(
                times - 1 <= allowed,
                "{key}: delivered {times} times, {allowed} repeats allowed"
            );
        }
        times.values().filter(|times| **times > 1).count()
    }
}

fn count(keys: &[String]) -> BTreeMap<&str, usize> {
    let mut times = BTreeMap::new();
    for key in keys {
        *times.entry(key.as_str()).or_insert(0) += 1;
    }
    times
}

/// The keys that one process delivered. A kill can cut the last line.
fn delivered_keys(folder: &ProgramFolder, file: &str) -> Vec<String> {
    let key = |line: &str| {
        let event: Value = serde_json::from_str(line).ok()?;
        Some(event["id"].as_str()?.to_owned())
    };
    folder.read(file).lines().filter_map(key).collect()
}

/// The keys of the rows in this state.
fn keys_of(folder: &ProgramFolder, state: &str) -> BTreeSet<String> {
    let listing = ["list", "--json", "--state", state];
    let ran = CommandResult::of(folder.command(&listing).envs(table::variables()));
    assert_eq!(ran.code, 0, "{ran:?}");
    let rows = ran.stdout.lines();
    rows.map(|row| {
        let row: Value = serde_json::from_str(row).unwrap();
        row["key"].as_str().unwrap().to_owned()
    })
    .collect()
}

/// The number of notifications of each sender.
fn notifications() -> String {
    variable("PILLARBOX_TEST_REPLICA_NOTIFICATIONS").unwrap_or_else(|| "300".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_behind_haproxy_lose_nothing_while_one_is_killed_or_frozen_every_second() {
    let table = table::fresh("behind-haproxy").await;
    let name = table.table();
    let folder = ProgramFolder::on_table(name);
    let addresses = free_addresses(REPLICAS + 1);
    let (at, replicas) = (addresses[REPLICAS], &addresses[..REPLICAS]);
    let mut replicas = ReplicaSet::start(&folder, replicas);
    let proxy = start_haproxy(&folder, at, replicas.addresses);

    let began = Instant::now();
    let (pay, hmrc) = (format!("http://{at}/pay"), format!("http://{at}/hmrc"));
    let (count, inbox) = (notifications(), format!("dynamodb:{name}"));
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
        "--duplicate",
        "--concurrent",
        "--second-id",
        "--reorder",
        "--time-scale",
        TIME_SCALE,
        "--limit",
        "90m",
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
        if kills == freezes {
            kills += 1;
            replicas.kill(victim);
        } else {
            freezes += 1;
            replicas.freeze(victim);
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    let sent = began.elapsed();
    let output = simulating.wait_with_output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    within(DRAIN_TIMEOUT, "everything is delivered", || {
        std::thread::sleep(Duration::from_secs(1));
        keys_of(&folder, "open").is_empty()
    });
    let drained = began.elapsed();
    let deliveries = replicas.stop();
    drop(proxy);

    let more_than_once = deliveries.more_than_once();
    let delivered: BTreeSet<String> = deliveries.keys.into_iter().collect();
    println!(
        "{stdout}\n{kills} kills, {freezes} freezes in {} s, everything delivered after {} s; {} \
         events, {more_than_once} delivered more than once; {} outcomes could not be written",
        sent.as_secs(),
        drained.as_secs(),
        delivered.len(),
        deliveries.unwritten.len(),
    );
    // The simulator compares the acknowledged notifications with the inbox.
    assert!(output.status.success(), "{stdout}");
    assert!(
        delivered == keys_of(&folder, "delivered"),
        "the rows marked delivered are those that were delivered"
    );
    let verified = CommandResult::of(
        folder
            .command(&["verify", "--stored"])
            .envs(table::variables()),
    );
    assert_eq!(verified.code, 0, "{verified:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_delivers_a_calm_run_completely_on_a_file_and_on_a_table() {
    let table = table::fresh("calm").await;
    let count = notifications();
    let build = variable("PILLARBOX_TEST_PILLARBOX");
    let program = build.map_or_else(|| binary("pillarbox-under-test"), PathBuf::from);
    let on_table = format!("kind = \"dynamodb\"\ntable = \"{}\"\n", table.table());
    for (name, inbox) in [
        ("file", "kind = \"sqlite\"\npath = \"inbox.db\"\n"),
        ("table", &on_table),
    ] {
        let folder = ProgramFolder::with(&format!("{BOTH_SOURCES}[inbox]\n{inbox}"));
        let command = |arguments: &[&str]| {
            let mut command = folder.command_of(&program, arguments);
            command
                .envs(table::variables())
                .env("PILLARBOX_LOG", "warn");
            command
        };
        let out = fs::File::create(folder.path().join("delivered")).unwrap();
        let mut serve =
            RunningServe::spawn_to(&mut command(&[&["serve"], FREE_PORTS].concat()), out);
        serve.await_ready();
        let idle = serve.processor_time();
        let (to, began) = (serve.url("pay").to_string(), Instant::now());
        let simulate = ["simulate", "pay", "--to", &to, "--count", &count, "--quiet"];
        let ran = CommandResult::of(&mut command(&[&simulate[..], &["--limit", "60m"]].concat()));
        assert_eq!(ran.code, 0, "{ran:?}");
        let keys = || delivered_keys(&folder, "delivered");
        within(DRAIN_TIMEOUT, "everything is delivered", || {
            std::thread::sleep(Duration::from_millis(250));
            keys().len().to_string() == count
        });
        let (took, busy) = (began.elapsed(), serve.processor_time() - idle);
        assert!(serve.stop(Signal::TERM).success());
        assert_eq!(self::count(&keys()).len().to_string(), count);
        println!(
            "{name}: {count} in {} ms, {} ms of processor time",
            took.as_millis(),
            busy.as_millis()
        );
    }
}
