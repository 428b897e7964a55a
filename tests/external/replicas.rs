//! Three `serve` on one table behind haproxy, under both simulated senders with injected faults,
//! while a replica is killed or frozen every second.
//!
//! `PILLARBOX_TEST_REPLICA_NOTIFICATIONS` sets the number of notifications of each sender, and
//! `PILLARBOX_TEST_PILLARBOX` names another build to measure; the commands are in
//! docs/benchmarks.md.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use pillarbox::config::variable;
use rustix::process::{Pid, Signal, kill_process};
use sender_simulator::{Clock, SystemClock};
use serde_json::Value;
use test_support::{
    binary,
    process::{
        BOTH_SOURCES, CommandResult, FREE_PORTS, ProgramFolder, RunningServe, until, within,
    },
    table,
};
use tokio::time::Instant;

const REPLICAS: usize = 3;
/// Leases of 150 s, more than once.
const DRAINED: Duration = Duration::from_secs(15 * 60);
/// The attempts that one process makes concurrently.
const MOST_IN_FLIGHT: usize = 128;
/// The factor by which the senders' clock is faster: Pay's retries after a day and after two days
/// take 72 and 144 seconds, HMRC's of six hours take 18.
const TIME_SCALE: &str = "1200";

/// Addresses that are free.
fn free_addresses(count: usize) -> Vec<SocketAddr> {
    let held: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind(("127.0.0.1", 0)).unwrap())
        .collect();
    held.iter().map(|free| free.local_addr().unwrap()).collect()
}

/// haproxy before these replicas, with the health check of docs/deploy-server.md.
fn haproxy(folder: &ProgramFolder, at: SocketAddr, replicas: &[SocketAddr]) -> Child {
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

/// Replicas that are killed, frozen and started again. Each process writes what it delivers to a
/// separate file.
struct ReplicaSet<'a> {
    folder: &'a ProgramFolder,
    addresses: &'a [SocketAddr],
    running: Vec<RunningServe>,
    /// The number of processes started so far.
    started: usize,
    /// The file of each replica that runs.
    files: Vec<String>,
    /// The files of those that were killed.
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
            let last = keys.iter().rev().take(MOST_IN_FLIGHT).cloned();
            deliveries.cut_off.extend(last);
            deliveries.keys.extend(keys);
        }
        for file in &self.files {
            deliveries.keys.extend(delivered_keys(self.folder, file));
        }
        deliveries.unwritten = self.unwritten;
        deliveries
    }
}

/// What all processes delivered.
#[derive(Default)]
struct DeliveredKeys {
    /// The key of each delivery.
    keys: Vec<String>,
    /// Of these, the last of each process that was killed: their outcome may not be written.
    cut_off: Vec<String>,
    /// Of these, those whose outcome could not be written, as the log says.
    unwritten: Vec<String>,
}

impl DeliveredKeys {
    /// The number of events that were delivered more than once, which they are only after an
    /// outcome that was not written.
    fn more_than_once(&self) -> usize {
        let (times, cut_off) = (count(&self.keys), count(&self.cut_off));
        let unwritten = count(&self.unwritten);
        for (key, times) in &times {
            let count_in = |some: &BTreeMap<&str, usize>| some.get(key).copied().unwrap_or(0);
            let excused = count_in(&cut_off) + count_in(&unwritten);
            assert!(
                times - 1 <= excused,
                "{key}: {times} times, {excused} excused"
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

/// The keys in what one process delivered. A kill may tear the last line.
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
    let folder = ProgramFolder::with(&format!(
        "{BOTH_SOURCES}[inbox]\nkind = \"dynamodb\"\ntable = \"{name}\"\n"
    ));
    let addresses = free_addresses(REPLICAS + 1);
    let (at, replicas) = (addresses[REPLICAS], &addresses[..REPLICAS]);
    let mut replicas = ReplicaSet::start(&folder, replicas);
    let mut proxy = haproxy(&folder, at, replicas.addresses);
    until("haproxy listens", || {
        std::net::TcpStream::connect(at).is_ok()
    });

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
    within(DRAINED, "everything is delivered", || {
        std::thread::sleep(Duration::from_secs(1));
        keys_of(&folder, "open").is_empty()
    });
    let drained = began.elapsed();
    let deliveries = replicas.stop();
    kill_process(Pid::from_child(&proxy), Signal::TERM).unwrap();
    proxy.wait().unwrap();

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
    // The simulation has compared the acknowledged notifications with the inbox.
    assert!(output.status.success(), "{stdout}");
    assert!(
        delivered == keys_of(&folder, "delivered"),
        "a row is marked without its delivery"
    );
    let proven = CommandResult::of(
        folder
            .command(&["verify", "--stored"])
            .envs(table::variables()),
    );
    assert_eq!(proven.code, 0, "{proven:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_delivers_all_of_a_calm_run_as_one_process_on_a_file_does() {
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
        within(DRAINED, "everything is delivered", || {
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
