//! The processor share of a small function: 128 MB get 128 parts in 1,769 of one processor, in
//! periods of 20 ms.
//!
//! Control groups do it as Lambda does. Where none may be made, the program is stopped and
//! continued by signals, which is coarser: it runs for its share of each period, whether it has
//! work then or not.

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

/// A way to hold programs to that share.
pub(crate) enum Throttle {
    Group(Group),
    Signals,
}

/// A control group, removed when dropped.
pub(crate) struct Group {
    folder: PathBuf,
    version: u8,
}

/// Ends the stopping and continuing when dropped.
pub(crate) struct Held {
    over: Arc<AtomicBool>,
    cycle: Option<JoinHandle<()>>,
}

impl Throttle {
    /// Control groups where they can be made, signals elsewhere or if `only_signals`.
    pub(crate) fn choose(only_signals: bool) -> Self {
        if only_signals {
            return Self::Signals;
        }
        Group::version_2()
            .or_else(|_| Group::version_1())
            .map_or(Self::Signals, Self::Group)
    }

    /// Which way it is, for the report.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Group(group) => format!("a control group (v{})", group.version),
            Self::Signals => "stopping and continuing it by signals".to_owned(),
        }
    }

    /// Holds a running program to the share until what is returned is dropped, or longer.
    pub(crate) fn hold(&self, pid: Pid) -> Held {
        let over = Arc::new(AtomicBool::new(false));
        let cycle = match self {
            Self::Group(group) => {
                fs::write(group.folder.join("cgroup.procs"), pid.to_string())
                    .expect("the group takes a child of ours");
                None
            }
            Self::Signals => {
                let over = over.clone();
                Some(thread::spawn(move || {
                    while !over.load(Ordering::Acquire) && cycle(pid).is_ok() {}
                }))
            }
        };
        Held { over, cycle }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        if let Some(cycle) = self.cycle.take() {
            let _ = cycle.join(); // before the program's number can be another's
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

    /// Only what is there already: in a place that is no control group, this would make files.
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
