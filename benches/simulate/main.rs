//! Measures how many signed requests the simulator sends on one core, and whether its memory grows
//! with their number.
//!
//! `cargo bench --bench simulate` simulates Pay and HMRC against a receiver in this process that
//! answers 200 immediately and checks nothing. The baseline, in the same run, posts one ready-made
//! request over the same number of connections. The difference is the cost of building, signing
//! and recording requests.

#![expect(
    clippy::float_arithmetic,
    clippy::print_stdout,
    reason = "a benchmark measures and prints"
)]
#![allow(clippy::unwrap_used, reason = "a panic shows where a benchmark failed")]

mod receiver;

use std::{future::pending, time::Duration};

use clap::Parser;
use futures_util::future::join_all;
use rustix::time::{ClockId, clock_gettime};
use sender_simulator::{
    Clock, ReceiverConnection, Sender, SystemClock,
    run::{RunEvent, RunPlan, run},
};
use url::Url;

/// Simulates both senders and measures the simulator
#[derive(Parser)]
struct Options {
    /// How many notifications
    #[arg(long, default_value_t = 200_000)]
    count: u64,
    /// How many connections
    #[arg(long, default_value_t = 20)]
    threads: usize,
    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let options = Options::parse();
    let url = receiver::start();
    let bare = measure_baseline(&url, &options).await;
    println!("bare      {}", bare.line(None));
    for sender in Sender::ALL {
        let mut memory = Vec::new();
        for count in [options.count / 4, options.count / 2, options.count] {
            let mut plan = RunPlan::new(
                sender,
                url.clone(),
                "webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu".to_owned(),
                7,
                SystemClock.now(),
            );
            (plan.count, plan.threads, plan.limit) =
                (count, options.threads, Duration::from_secs(3600));
            let began = Spent::now();
            let summary = run(&plan, &|_: RunEvent<'_>| {}, pending()).await.unwrap();
            assert!(summary.faults.is_empty(), "{:?}", summary.faults_by_name);
            let spent = Spent::now().since(&began, summary.requests);
            memory.push(resident_mb());
            if count == options.count {
                let p99 = summary.response_times.value_at_quantile(0.99);
                println!(
                    "{:<9} {}, p99 {p99} µs, resident {memory:?} MB at a quarter, half, all",
                    sender.as_str(),
                    spent.line(Some(&bare))
                );
            }
        }
    }
}

/// Posts one ready-made request repeatedly.
async fn measure_baseline(url: &Url, options: &Options) -> Cost {
    let body = Sender::GovukPay.body(None, &SystemClock).unwrap();
    let request = Sender::GovukPay.request(&body, "secret", url);
    let (each, began) = (options.count / options.threads as u64, Spent::now());
    join_all((0..options.threads).map(|_| async {
        let mut connection = ReceiverConnection::open(url, Sender::GovukPay.client_profile())
            .await
            .unwrap();
        for _ in 0..each {
            assert_eq!(connection.send(&request).await.unwrap().status, 200);
        }
    }))
    .await;
    Spent::now().since(&began, each * options.threads as u64)
}

/// Wall time, and processor time of this thread.
struct Spent {
    wall: Duration,
    core: Duration,
}

struct Cost {
    requests: u64,
    wall: Duration,
    core: Duration,
}

impl Spent {
    fn now() -> Self {
        let read = |clock| {
            let time = clock_gettime(clock);
            Duration::new(
                time.tv_sec.try_into().unwrap(),
                time.tv_nsec.try_into().unwrap(),
            )
        };
        Self {
            wall: read(ClockId::Monotonic),
            core: read(ClockId::ThreadCPUTime),
        }
    }

    fn since(&self, began: &Self, requests: u64) -> Cost {
        Cost {
            requests,
            wall: self.wall - began.wall,
            core: self.core - began.core,
        }
    }
}

impl Cost {
    fn a_core_second(&self) -> f64 {
        self.requests as f64 / self.core.as_secs_f64()
    }

    fn line(&self, baseline: Option<&Self>) -> String {
        let ratio = baseline.map_or_else(String::new, |bare| {
            format!(
                " ({:.2} × bare)",
                self.a_core_second() / bare.a_core_second()
            )
        });
        let a_second = self.requests as f64 / self.wall.as_secs_f64();
        format!(
            "{} requests, {a_second:.0} a second, {:.0} a second of one core{ratio}",
            self.requests,
            self.a_core_second()
        )
    }
}

fn resident_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| {
        line.trim()
            .trim_end_matches(" kB")
            .trim()
            .parse::<u64>()
            .ok()
    })
    .unwrap_or(0)
        / 1024
}
