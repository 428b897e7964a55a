//! nginx and haproxy in front of Pillarbox, configured as in docs/deploy-server.md, under hostile
//! clients.
//!
//! `PILLARBOX_TEST_NGINX` and `PILLARBOX_TEST_HAPROXY` name programs that are not on the path.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use pillarbox::config::variable;
use tokio::{task::JoinSet, time::sleep};

use test_support::{
    message::both,
    process::until,
    repository,
    shipped::ServeProcess,
    strangers::{may_open, post_many, stay_silent, trickle},
};

/// The code blocks of a language in docs/deploy-server.md, joined.
fn blocks(language: &str) -> String {
    let page = fs::read_to_string(repository("docs/deploy-server.md")).unwrap();
    let begin = format!("```{language}\n");
    let blocks = page.split(begin.as_str()).skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().unwrap().to_owned());
    blocks.collect::<Vec<_>>().join("\n")
}

/// `text` with its lines that contain `part` replaced.
fn with_line(text: &str, part: &str, line: &str) -> String {
    assert!(text.contains(part), "{part}");
    let lines = text.lines();
    let lines = lines.map(|found| if found.contains(part) { line } else { found });
    lines.collect::<Vec<_>>().join("\n")
}

/// The page's configuration of nginx, without TLS and on free ports.
fn nginx(folder: &Path, at: SocketAddr, to: SocketAddr) -> Command {
    let page = blocks("nginx");
    let (top, http) = page.split_once("upstream").unwrap();
    let http = with_line(
        &format!("upstream{http}"),
        "listen 443",
        &format!("    listen {at} backlog=1024;"),
    );
    let http = with_line(
        &http,
        "server 127.0.0.1:8080;",
        &format!("    server {to};"),
    );
    let http = with_line(&with_line(&http, "ssl_cert", ""), "ssl_protocols", "");
    let path = folder.display();
    let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {path}/{kind};"));
    let configuration = format!(
        "daemon off;\npid {path}/pid;\nerror_log {path}/error.log;\n{top}\n\
         http {{\naccess_log off;\n{}\n{http}\n}}\n",
        paths.join("\n")
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, configuration).unwrap();
    let program = variable("PILLARBOX_TEST_NGINX").unwrap_or_else(|| "nginx".to_owned());
    let mut command = Command::new(program);
    command.arg("-p").arg(folder).arg("-c").arg(file);
    command
}

/// The page's configuration of haproxy, without TLS and on free ports.
fn haproxy(folder: &Path, at: SocketAddr, to: SocketAddr) -> Command {
    let page = blocks("haproxy");
    let page = with_line(&page, "bind :443", &format!("    bind {at} backlog 1024"));
    let server = format!("    server local {to} maxconn 500");
    let page = with_line(&page, "server local", &server);
    haproxy_command(folder, page + "\n")
}

/// haproxy with this configuration, in the foreground.
pub(super) fn haproxy_command(folder: &Path, configuration: String) -> Command {
    let file = folder.join("haproxy.cfg");
    fs::write(&file, configuration).unwrap();
    let program = variable("PILLARBOX_TEST_HAPROXY").unwrap_or_else(|| "haproxy".to_owned());
    let mut command = Command::new(program);
    command.arg("-db").arg("-f").arg(file);
    command
}

/// Starts a proxy and waits until it listens at `at`.
pub(super) fn start_proxy(command: &mut Command, at: SocketAddr) -> RunningProxy {
    let proxy = RunningProxy(command.stdout(Stdio::null()).spawn().unwrap());
    until("the proxy listens", || TcpStream::connect(at).is_ok());
    proxy
}

/// Free addresses on loopback. All are bound at the same time, so that no two are equal.
pub(super) fn free_addresses(count: usize) -> Vec<SocketAddr> {
    let listeners: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind(("127.0.0.1", 0)).unwrap())
        .collect();
    listeners
        .iter()
        .map(|listener| listener.local_addr().unwrap())
        .collect()
}

/// A proxy that runs until this is dropped.
pub(super) struct RunningProxy(Child);

impl Drop for RunningProxy {
    fn drop(&mut self) {
        use rustix::process::{Pid, Signal, kill_process};
        // On SIGTERM nginx also stops its workers; SIGKILL would leave them.
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_is_answered_through_a_proxy_that_strangers_crowd() {
    assert!(may_open(8192), "the test needs 8,192 open files");
    for configure in [nginx, haproxy] {
        let process = ServeProcess::start(&both());
        let folder = tempfile::tempdir().unwrap();
        let at = free_addresses(1)[0];
        let mut command = configure(folder.path(), at, process.address);
        let _proxy = start_proxy(&mut command, at);

        let mut strangers = JoinSet::new();
        for n in 0..2064 {
            if n < 2000 {
                strangers.spawn(stay_silent(at));
            } else {
                strangers.spawn(trickle(at, 2_000_000));
            }
        }
        sleep(Duration::from_secs(3)).await;
        for padding in [0, 120_000] {
            let (late, worst) = post_many(at, 100, padding).await;
            println!("{:?}: slowest answer {worst:?}", command.get_program());
            assert!(late <= 1, "{late} late answers, slowest {worst:?}");
        }
    }
}
