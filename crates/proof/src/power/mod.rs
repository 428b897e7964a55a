//! Power losses: `proof power`.
//!
//! The shipped `serve` runs under an interposer (`unsynced.c`) that records every change of its
//! folder, every flush and every answer in a journal, in order. Each prefix of the journal is the
//! state at an instant at which the power may be lost. From a prefix, `disk.rs` creates a disk with
//! all flushed changes and any part of the others. Then the shipped `serve` starts on that disk
//! without the interposer, and the checker checks the history.

mod campaign;
mod commands;
mod disk;
mod folder_content;
mod interposer;
mod journal;
mod messages;
mod observed_history;
mod recording;
mod recovery;
mod served;
mod survival;
#[cfg(test)]
mod tests;
mod totals;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{self, Command},
    thread,
    time::Duration,
};

use tokio::time::Instant;

use crate::arguments::CommandArguments;
use campaign::{CampaignPart, LossCampaign};
use disk::DiskLie;
use interposer::{IS_SUPPORTED, SyncInterposer};
use served::{PillarboxProgram, describe};

/// `proof power`.
pub(crate) fn command(arguments: &CommandArguments) -> Result<bool, String> {
    arguments.require_known(&[
        "times",
        "seed",
        "only",
        "minutes",
        "threads",
        "lie",
        "pillarbox",
        "folder",
    ])?;
    let times: u64 = arguments.number("times", 200)?;
    let seed: u64 = arguments.number("seed", 1)?;
    let minutes: u64 = arguments.number("minutes", 24 * 60)?;
    let available = thread::available_parallelism().map_or(2, usize::from);
    let threads: usize = arguments.number("threads", available)?;
    let part = match arguments.text("only") {
        None => CampaignPart::Everything,
        Some("serve") => CampaignPart::Serve,
        Some("commands") => CampaignPart::Commands,
        Some(_) => return Err("--only takes serve or commands".to_owned()),
    };
    let lie = match arguments.text("lie") {
        None => DiskLie::Honest,
        Some(name) => DiskLie::parse(name).ok_or("--lie takes all, folders, log or file")?,
    };
    if !IS_SUPPORTED {
        return Err("power needs 64-bit Linux and the GNU C library".into());
    }
    println!("proof power --times {times} --seed {seed}");
    let folder = arguments.text("folder").map_or_else(
        || env::temp_dir().join(format!("pillarbox-power-{}", process::id())),
        PathBuf::from,
    );
    let interposer = SyncInterposer::build(&folder.join("interposer"))?;
    let mut campaign = LossCampaign::new(program(arguments)?, interposer, folder.clone());
    campaign.lie = lie;
    campaign.part = part;
    campaign.threads = threads;
    let began = Instant::now();
    campaign.run(times, seed, began + Duration::from_secs(minutes * 60))?;
    let totals = campaign.totals();
    totals.print(began.elapsed());
    if totals.violations == 0 {
        fs::remove_dir_all(&folder).map_err(|error| describe(&folder, &error))?;
    }
    Ok(totals.violations == 0)
}

/// The program under test: that of `--pillarbox`, or the one that Cargo builds.
fn program(arguments: &CommandArguments) -> Result<PillarboxProgram, String> {
    if let Some(path) = arguments.text("pillarbox") {
        let path = fs::canonicalize(path).map_err(|error| describe(Path::new(path), &error))?;
        return Ok(PillarboxProgram(path));
    }
    let proof = env::current_exe().map_err(|error| error.to_string())?;
    let target = proof.ancestors().nth(2).ok_or("unknown target folder")?;
    let mut cargo = Command::new("cargo");
    cargo
        .args([
            "build",
            "--quiet",
            "-p",
            "pillarbox-cli",
            "--bin",
            "pillarbox",
        ])
        .arg("--manifest-path")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml"))
        .arg("--target-dir")
        .arg(target);
    let built = cargo.status().map_err(|error| error.to_string())?;
    if !built.success() {
        return Err("cannot build pillarbox".to_owned());
    }
    Ok(PillarboxProgram(target.join("debug/pillarbox")))
}
