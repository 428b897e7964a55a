//! Sends signed, distinct Pay notifications of 1.2 KB to a running `serve` and reports the results.
//!
//! `cargo bench --bench load` starts a `serve` in a new folder on this disk. The same run measures
//! the flush rate of the disk, which limits the result.

#![expect(
    clippy::disallowed_methods,
    clippy::float_arithmetic,
    clippy::print_stdout,
    reason = "a benchmark measures and prints"
)]
#![allow(clippy::unwrap_used, reason = "a panic shows where a benchmark failed")]

mod client;
mod disk;
mod server;

use std::time::{Duration, Instant};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use client::{Load, Outcome};
use server::Server;

/// Sends signed notifications to a new `serve` and measures it
#[derive(Parser)]
struct Options {
    /// How many notifications
    #[arg(long, default_value_t = 200_000)]
    count: u64,
    /// How many connections
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// How many of them are sent a second time afterwards
    #[arg(long, default_value_t = 100_000)]
    duplicates: u64,
    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let options = Options::parse();
    let server = Server::start();
    let disk = disk::measure(server.folder());
    println!(
        "disk: {} flushes a second of 4 KB, {} of 256 KB",
        disk.small, disk.large
    );

    let load = Load::new(server.secret(), server.address(), options.connections);
    let started = Instant::now();
    let firsts = send_with_progress(&load, "firsts", options.count, &server).await;
    report("firsts", &firsts);
    let drained = server
        .wait_until_drained(options.count, Duration::from_secs(600))
        .await;
    let took = started.elapsed().as_secs_f64();
    println!(
        "delivered: all {drained} within {took:.1} s of the first POST, {:.0} a second",
        drained as f64 / took
    );
    let repeats = send_with_progress(
        &load,
        "duplicates",
        options.duplicates.min(options.count),
        &server,
    )
    .await;
    report("duplicates", &repeats);
    let limit = disk.small as f64 * options.connections as f64;
    println!(
        "firsts reach {:.0} % of {limit:.0} a second, which is one 4 KB flush for every {} \
         notifications",
        100.0 * firsts.rate() / limit,
        options.connections
    );
    println!("server memory: {}", server.memory().summary());
}

async fn send_with_progress(
    load: &Load,
    name: &'static str,
    count: u64,
    server: &Server,
) -> Outcome {
    let style =
        ProgressStyle::with_template("{msg:10} {wide_bar} {pos}/{len} {per_sec} {eta}").unwrap();
    let bar = ProgressBar::new(count).with_style(style).with_message(name);
    let watch = async {
        loop {
            bar.set_position(load.done());
            server.memory().sample();
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    };
    let outcome = tokio::select! {
        outcome = load.send(count) => outcome,
        () = watch => unreachable!("the loop has no end"),
    };
    bar.finish_and_clear();
    outcome
}

fn report(name: &str, outcome: &Outcome) {
    println!(
        "{name}: {} in {:.1} s, {:.0} a second; p50 {:.2} ms, p99 {:.2} ms, longest {:.2} ms",
        outcome.count(),
        outcome.took.as_secs_f64(),
        outcome.rate(),
        outcome.percentile(50),
        outcome.percentile(99),
        outcome.percentile(100)
    );
}
