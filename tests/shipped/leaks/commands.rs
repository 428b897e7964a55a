//! Every command that reads, and those that call other services.

use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;
use test_support::{
    canaries::{
        CanaryKind::{Hostile, Secret},
        value,
    },
    message::payment,
    process::{CommandResult, RunningServe, until},
};

use super::serving::{LeakTestServe, variables};

/// The members of an exported line that hold received content.
const RECEIVED: [&str; 3] = ["body_base64", "history_base64", "signature"];

impl LeakTestServe {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.folder.command(arguments);
        command.envs(variables(&self.sources));
        command
    }

    fn run(&self, arguments: &[&str]) -> CommandResult {
        CommandResult::of(&mut self.command(arguments))
    }
}

/// What `find` prints without the service's own reference, which it names.
fn without_meant(command: &str, printed: String) -> String {
    match command {
        "find" => printed.replace(&value("Pay /reference"), ""),
        _ => printed,
    }
}

/// Runs each and searches its output.
pub(super) fn search(served: &LeakTestServe) {
    let canaries = &served.sources.canaries;
    let url = served.serve.url("pay").to_string();
    let reference = value("Pay /reference");
    let (paid, health) = (payment("delivered"), served.address("callback").to_string());
    for arguments in [
        &["list"][..],
        &["list", "--json"],
        &["list", "--state", "held", "--json"],
        &["list", "--source", "pay", "--subject", &paid],
        &["find", &paid],
        &["find", &reference],
        &["find", "pay:refused"],
        &["find", "--ask", &paid],
        &["status"],
        &["status", "--json"],
        &["doctor"],
        &["doctor", "--json"],
        &["stats"],
        &["wait", "--count", "2", "--timeout", "5s"],
        &["audit"],
        &["verify", "--stored"],
        &["verify", "--stored", "--json"],
        &["replay", "--dead", "--dry-run"],
        &["replay", "--held", "--dry-run", "--json"],
        &["discard", "pay:stale", "--erase", "--dry-run"],
        &["reconcile", "pay", "--dry-run"],
        &["reconcile", "pay", "--json"],
        &["send", "pay", "--to", &url],
        &["healthcheck", "--listen", &health],
        &["export", "--nonsense"],
        &["show", "pay:none"],
    ] {
        let ran = served.run(arguments);
        let printed = format!("{}{}", ran.stdout, ran.stderr);
        assert!(
            !printed.is_empty() || arguments[0] == "healthcheck",
            "{arguments:?}"
        );
        let text = without_meant(arguments[0], printed);
        canaries.assert_none(&format!("{arguments:?}"), text);
    }
    tail(served);
    export(served);
    for arguments in [
        &["show", "pay:delivered"][..],
        &["show", "pay:refused"],
        &["show", "pay:retried", "--json"],
        &["show", "hmrc:delivered", "--raw"],
    ] {
        let ran = served.run(arguments);
        assert_eq!(ran.code, 0, "{ran:?}");
        canaries.assert_no(&[Secret, Hostile], &format!("{arguments:?}"), &ran.stdout);
        canaries.assert_none(&format!("{arguments:?}"), &ran.stderr);
    }
    let ran = served.run(&["show", "pay:delivered", "--raw"]);
    canaries.assert_all_personal("Pay", "show --raw", &ran.stdout);
}

/// `tail` shows what arrives, and every change.
fn tail(served: &LeakTestServe) {
    let mut tail = RunningServe::spawn(&mut served.command(&["tail", "--json"]));
    let canaries = &served.sources.canaries;
    let sent = served.run(&["send", "hmrc", "--to", served.serve.url("hmrc").as_str()]);
    canaries.assert_none("send", format!("{}{}", sent.stdout, sent.stderr));
    if served.table.is_none() {
        until("tail shows it", || tail.stdout.find("delivered").is_some());
    }
    tail.signal(Signal::INT);
    tail.kill();
    canaries.assert_none("tail", tail.stdout.all().join("\n"));
    canaries.assert_none("tail", tail.stderr.all().join("\n"));
}

/// `export` has everything that was received, in three members of each line.
fn export(served: &LeakTestServe) {
    let canaries = &served.sources.canaries;
    let ran = served.run(&["export"]);
    canaries.assert_none("export", &ran.stderr);
    canaries.assert_no(&[Secret, Hostile], "export", &ran.stdout);
    canaries.assert_all_personal("Pay", "export", &ran.stdout);
    for line in ran.stdout.lines() {
        let mut row: Value = serde_json::from_str(line).unwrap();
        let members = row.as_object_mut().unwrap();
        members.retain(|name, _| !RECEIVED.contains(&name.as_str()));
        canaries.assert_none("the other members of an exported row", row.to_string());
    }
}
