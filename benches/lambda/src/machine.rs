//! Describes the machine of a measurement, and how busy other processes kept it.

use std::{fs, thread, time::Instant};

/// Processor time of the whole machine, and of this program with its children, at one instant.
pub(crate) struct Usage {
    at: Instant,
    machine: u64,
    program: u64,
}

/// Clock ticks a second in the kernel's counters, on every Linux.
const TICKS: f64 = 100.0;

impl Usage {
    pub(crate) fn now() -> Self {
        Self {
            at: Instant::now(),
            machine: machine_ticks(),
            program: program_ticks(),
        }
    }

    /// The number of processors that other programs have kept busy since.
    pub(crate) fn of_others(&self) -> f64 {
        let now = Self::now();
        let program = now.program - self.program;
        let others = (now.machine - self.machine).saturating_sub(program);
        others as f64 / TICKS / (now.at - self.at).as_secs_f64()
    }
}

/// Without the time in which processors idle or wait for a disk.
fn machine_ticks() -> u64 {
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

fn program_ticks() -> u64 {
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
