//! This process as the holder of locks in an inbox.

use std::fs;

use rustix::{
    io::Errno,
    process::{Pid, getpid, test_kill_process},
    system::uname,
};

use pillarbox::{config::InboxConfig, inbox::LockHolder};

/// The identifier of the initial process namespace of every Linux kernel.
const INITIAL_NAMESPACE: &str = "4026531836";

/// This process.
pub(crate) struct LocalProcess {
    /// Whether all processes that use the inbox run on this machine.
    is_local_inbox: bool,
}

impl LocalProcess {
    /// A process that uses `inbox`. The processes that use an SQLite file share memory, so they run
    /// on one machine.
    pub(crate) fn new(inbox: &InboxConfig) -> Self {
        Self {
            is_local_inbox: matches!(inbox, InboxConfig::Sqlite { .. }),
        }
    }

    /// A process whose inbox is shared with other machines.
    pub(crate) fn of_shared_inbox() -> Self {
        Self {
            is_local_inbox: false,
        }
    }
}

impl LockHolder for LocalProcess {
    fn name(&self) -> String {
        name_of(getpid().as_raw_pid())
    }

    fn has_died(&self, name: &str) -> bool {
        self.is_local_inbox
            && process_in(name)
                .is_some_and(|process| test_kill_process(process) == Err(Errno::SRCH))
    }
}

/// The name of a process of this host and process namespace.
fn name_of(process: i32) -> String {
    let host = uname();
    let host = host.nodename().to_string_lossy();
    match namespace() {
        Some(namespace) => format!("process {process} on {host} in namespace {namespace}"),
        None => format!("process {process} on {host}"),
    }
}

/// The process namespace of this process, if it is not the initial one. Each container has its own
/// namespace, even if it has the name of its host.
fn namespace() -> Option<String> {
    let link = fs::read_link("/proc/self/ns/pid").ok()?;
    let id = link.to_str()?.strip_prefix("pid:[")?.strip_suffix(']')?;
    (id != INITIAL_NAMESPACE).then(|| id.to_owned())
}

/// The process of that name, if it belongs to this host and process namespace.
fn process_in(name: &str) -> Option<Pid> {
    let (process, _) = name.strip_prefix("process ")?.split_once(' ')?;
    let process: i32 = process.parse().ok()?;
    if process <= 0 || name != name_of(process) {
        return None;
    }
    Pid::from_raw(process)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn only_a_process_of_this_machine_that_no_longer_exists_has_died() {
        let mut child = Command::new("true").spawn().unwrap();
        let exited = i32::try_from(child.id()).unwrap();
        child.wait().unwrap();
        let (exited, living) = (name_of(exited), name_of(getpid().as_raw_pid()));
        let local = LocalProcess {
            is_local_inbox: true,
        };
        for (name, has_died) in [
            (exited.as_str(), true),
            (&living, false),
            (&name_of(1), false),
            (&format!("{exited}-2"), false),
            (&exited.replace("process ", "process +"), false),
            ("process -1 on a-host", false),
            ("the function pillarbox-Reconciler-1", false),
            ("", false),
        ] {
            assert_eq!(local.has_died(name), has_died, "{name}");
            assert!(!LocalProcess::of_shared_inbox().has_died(name), "{name}");
        }
        assert_eq!(local.name(), living);
    }
}
