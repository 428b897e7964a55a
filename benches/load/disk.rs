//! Measures how often this disk can make a write durable, which limits every receiver.

use std::{
    fs::File,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

/// Flushes a second, after a write of 4 KB and after one of 256 KB.
pub(crate) struct FlushRates {
    pub(crate) small: u64,
    pub(crate) large: u64,
}

pub(crate) fn measure(folder: &Path) -> FlushRates {
    FlushRates {
        small: measure_rate(folder, 4 * 1024),
        large: measure_rate(folder, 256 * 1024),
    }
}

fn measure_rate(folder: &Path, length: usize) -> u64 {
    let path = folder.join("flush");
    let (mut file, block) = (File::create(&path).unwrap(), vec![b'x'; length]);
    let (began, mut count) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(1) {
        file.write_all(&block).unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    std::fs::remove_file(path).unwrap();
    count
}
