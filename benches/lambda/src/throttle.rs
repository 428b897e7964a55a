//! Limits a program to the processor share of a small function: with 128 MB a function gets 128
//! parts in 1,769 of one processor, in periods of 20 ms.
//!
//! A control group limits it as Lambda does. If none can be created, signals stop and continue the
//! program. This is coarser: the program runs for its share of each period, whether it has work
//! then or not.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const PERIOD: Duration = Duration::from_millis(20);
const SHARE: Duration = Duration::from_micros(20_000 * 128 / 1769);

/// A way to limit programs to that share.
pub(crate) enum Throttle {
    Group(Group),
    Signals,
}

/// A control group, removed when dropped.
pub(crate) struct Group {
    folder: PathBuf,
    version: u8,
}

/// Ends the throttling by signals when dropped.
pub(crate) struct ThrottleGuard {
    is_stopped: Arc<AtomicBool>,
    cycle: Option<JoinHandle<()>>,
}

impl Throttle {
    /// A control group if one can be created, otherwise, or if `only_signals`, signals.
    pub(crate) fn choose(only_signals: bool) -> Self {
        if only_signals {
            return Self::Signals;
        }
        Group::version_2()
            .or_else(|_| Group::version_1())
            .map_or(Self::Signals, Self::Group)
    }

    /// The name of this way, for the report.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Group(group) => format!("a control group (v{})", group.version),
            Self::Signals => "stopping and continuing it by signals".to_owned(),
        }
    }

    /// Limits a running program to the share, at least until the guard is dropped.
    pub(crate) fn limit(&self, pid: Pid) -> ThrottleGuard {
        let is_stopped = Arc::new(AtomicBool::new(false));
        let cycle = match self {
            Self::Group(group) => {
                fs::write(group.folder.join("cgroup.procs"), pid.to_string())
                    .expect("a child can be moved to the group");
                None
            }
            Self::Signals => {
                let is_stopped = is_stopped.clone();
                Some(thread::spawn(move || {
                    while !is_stopped.load(Ordering::Acquire) && cycle(pid).is_ok() {}
                }))
            }
        };
        ThrottleGuard { is_stopped, cycle }
    }
}

impl Drop for ThrottleGuard {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Release);
        if let Some(cycle) = self.cycle.take() {
            let _ = cycle.join(); // before the process id can be reused
        }
    }
}

fn cycle(pid: Pid) -> nix::Result<()> {
    kill(pid, Signal::SIGCONT)?;
    thread::sleep(SHARE);
    kill(pid, Signal::SIGSTOP)?;
    thread::sleep(PERIOD - SHARE);
    Ok(())
}

impl Group {
    fn version_2() -> io::Result<Self> {
        let group = Self::create("/sys/fs/cgroup", 2)?;
        group.set(
            "cpu.max",
            &format!("{} {}", SHARE.as_micros(), PERIOD.as_micros()),
        )?;
        Ok(group)
    }

    fn version_1() -> io::Result<Self> {
        let group = Self::create("/sys/fs/cgroup/cpu", 1)?;
        group.set("cpu.cfs_period_us", &PERIOD.as_micros().to_string())?;
        group.set("cpu.cfs_quota_us", &SHARE.as_micros().to_string())?;
        Ok(group)
    }

    fn create(parent: &str, version: u8) -> io::Result<Self> {
        let folder = Path::new(parent).join(format!("pillarbox-bench-{}", std::process::id()));
        fs::create_dir(&folder)?;
        Ok(Self { folder, version })
    }

    /// Writes only to a file that exists: in a folder that is not a control group, a write would
    /// create one.
    fn set(&self, file: &str, value: &str) -> io::Result<()> {
        let path = self.folder.join(file);
        fs::metadata(&path)?;
        fs::write(path, value)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}
