//! What it was measured on, and whether anything else was going on there.

use std::{fs, thread, time::Instant};

/// Processor time of the whole machine and of this program with its children, at one instant.
pub(crate) struct Usage {
    at: Instant,
    everyone: u64,
    own: u64,
}

/// Clock ticks a second in the kernel's counters, on every Linux.
const TICKS: f64 = 100.0;

impl Usage {
    pub(crate) fn now() -> Self {
        Self {
            at: Instant::now(),
            everyone: everyone(),
            own: own(),
        }
    }

    /// How many processors everyone else has kept busy since.
    pub(crate) fn of_others(&self) -> f64 {
        let now = Self::now();
        let others = (now.everyone - self.everyone).saturating_sub(now.own - self.own);
        others as f64 / TICKS / (now.at - self.at).as_secs_f64()
    }
}

/// Everything but idling and waiting for a disk.
fn everyone() -> u64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = stat.lines().next().unwrap_or_default();
    // user nice system idle iowait irq softirq steal
    let ticks = first
        .split_whitespace()
        .skip(1)
        .take(8)
        .map(|field| field.parse().unwrap_or(0));
    ticks
        .enumerate()
        .filter(|(at, _)| ![3, 4].contains(at))
        .map(|(_, ticks): (_, u64)| ticks)
        .sum()
}

fn own() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    // utime stime cutime cstime
    after_name
        .split_whitespace()
        .skip(11)
        .take(4)
        .map(|field| field.parse().unwrap_or(0))
        .sum()
}

/// Cores, processor and kernel.
pub(crate) fn describe() -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split(':').nth(1))
        .unwrap_or("unknown");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{cores} cores, {}, {}, Linux {}",
        model.trim(),
        std::env::consts::ARCH,
        kernel.trim()
    )
}
