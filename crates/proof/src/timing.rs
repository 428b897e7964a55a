//! Tests whether the time of verification depends on where a signature is wrong: `proof timing`.
//!
//! The method is that of dudect: two classes of requests in random order, and Welch's t of their
//! times. Long times are interruptions, so t is also computed over the times below several
//! percentiles, and the largest t counts. As a control, the same measurement must detect a
//! comparison that stops at the first difference.

use std::{hint::black_box, time::Instant};

use bytes::Bytes;
use pillarbox::{
    domain::Secret,
    senders::{SenderKind, SigningKey, verify},
};
use proof::receiver_under_test::NOW;
use sender_simulator::{Sender, signature::sign};

use crate::{arguments::CommandArguments, simulate::SplitMix64};

/// A larger |t| is a timing leak.
const THRESHOLD: f64 = 4.5;
/// The shortest times that are compared, in thousandths of all times.
const PARTS: [usize; 6] = [1000, 990, 950, 900, 750, 500];
/// The number of requests before the first measured one.
const WARM_UP: u64 = 20_000;
/// The number of samples that are prepared before they are measured.
const BATCH: usize = 1000;
const SECRETS: [&str; 2] = [
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
    "webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu",
];

/// Two positions at which a header is wrong, compared with each other.
struct WrongPositions {
    name: &'static str,
    positions: [WrongPosition; 2],
}

/// The position at which a header is wrong.
#[derive(Clone, Copy)]
enum WrongPosition {
    First,
    Last,
    Everywhere,
}

const COMPARISONS: [WrongPositions; 2] = [
    WrongPositions {
        name: "wrong in the first or in the last digit",
        positions: [WrongPosition::First, WrongPosition::Last],
    },
    WrongPositions {
        name: "wrong in the first digit or everywhere",
        positions: [WrongPosition::First, WrongPosition::Everywhere],
    },
];

/// One measured call. Each message is used once: a processor reads digits faster if it has read
/// them before, and the two classes would differ in that. This reveals nothing to an attacker, who
/// chose the digits.
struct TimedSample {
    class: usize,
    body: Bytes,
    right: Vec<u8>,
    header: Vec<u8>,
}

/// The sender and secret that sign the messages.
struct MessageSigner {
    sender: Sender,
    secret: &'static str,
}

/// The times of one measurement, by class.
type ClassTimes = [Vec<u64>; 2];

/// `proof timing`.
pub(crate) fn command(arguments: &CommandArguments) -> Result<bool, String> {
    arguments.require_known(&["samples", "seed"])?;
    let samples: u64 = arguments.number("samples", 1_000_000)?;
    let seed: u64 = arguments.number("seed", 1)?;
    println!("proof timing --samples {samples} --seed {seed}");
    let mut random = SplitMix64::of(seed, 0);
    let mut is_constant = true;
    for (kind, sender, secret) in [
        (SenderKind::HMRC, Sender::Hmrc, SECRETS[0]),
        (SenderKind::GOVUK_PAY, Sender::GovukPay, SECRETS[1]),
    ] {
        let signer = MessageSigner { sender, secret };
        let keys = [SigningKey::new(kind, "1", &Secret::new(secret.to_owned()))];
        for comparison in COMPARISONS {
            let times = measure(&comparison, &signer, samples, &mut random, |sample| {
                let headers: [&[u8]; 1] = [&sample.header];
                let body = sample.body.clone();
                black_box(verify(kind, &keys, &headers, body, NOW).is_ok());
            });
            let t = largest_t(&times);
            is_constant &= t.abs() < THRESHOLD;
            println!("{:10} {:44} t = {t:6.2}", kind.as_str(), comparison.name);
        }
    }
    let (t, name) = planted_leak(samples, &mut random);
    println!("{:10} {name:44} t = {t:6.2}", "planted");
    let is_found = t.abs() >= THRESHOLD;
    println!("a leak is |t| >= {THRESHOLD}; the planted leak is found: {is_found}");
    Ok(is_constant && is_found)
}

/// The same measurement of a comparison that stops at the first difference.
fn planted_leak(samples: u64, random: &mut SplitMix64) -> (f64, &'static str) {
    let signer = MessageSigner {
        sender: Sender::GovukPay,
        secret: SECRETS[1],
    };
    let times = measure(&COMPARISONS[0], &signer, samples, random, |sample| {
        let mut digits = sample.header.iter().zip(&sample.right);
        black_box(digits.all(|(one, other)| black_box(one) == black_box(other)));
    });
    (
        largest_t(&times),
        "a comparison that ends at the first difference",
    )
}

/// Makes the header wrong at this position.
fn write_wrong_header(
    right: &[u8],
    position: WrongPosition,
    random: &mut SplitMix64,
    header: &mut [u8],
) {
    header.copy_from_slice(right);
    let at = match position {
        WrongPosition::First => 0..1,
        WrongPosition::Last => right.len() - 1..right.len(),
        WrongPosition::Everywhere => 0..right.len(),
    };
    for at in at {
        while header[at] == right[at] {
            header[at] = random.pick(b"0123456789abcdef");
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the time of each call is what is measured"
)]
fn measure(
    comparison: &WrongPositions,
    signer: &MessageSigner,
    samples: u64,
    random: &mut SplitMix64,
    mut call: impl FnMut(&TimedSample),
) -> ClassTimes {
    let mut times = [Vec::new(), Vec::new()];
    let mut number = 0;
    while number < WARM_UP + samples {
        // The whole batch is prepared before the measurements, so that preparing a sample does not
        // affect its time.
        for sample in prepare(comparison, signer, random) {
            let began = Instant::now();
            call(&sample);
            let took = began.elapsed();
            if number >= WARM_UP {
                times[sample.class].push(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
            }
            number += 1;
        }
    }
    times
}

fn prepare(
    comparison: &WrongPositions,
    signer: &MessageSigner,
    random: &mut SplitMix64,
) -> Vec<TimedSample> {
    let mut one = || {
        let class = usize::from(random.is(500));
        let body = Bytes::from(format!("{{\"n\":\"{:016x}\"}}", random.next()));
        let right = sign(signer.sender, signer.secret, &body).into_bytes();
        let mut header = right.clone();
        write_wrong_header(&right, comparison.positions[class], random, &mut header);
        TimedSample {
            class,
            body,
            right,
            header,
        }
    };
    (0..BATCH).map(|_| one()).collect()
}

/// The t with the largest absolute value over all parts of the times.
fn largest_t(times: &ClassTimes) -> f64 {
    let mut all: Vec<u64> = times.iter().flatten().copied().collect();
    all.sort_unstable();
    let values = PARTS.map(|part| {
        let limit = all[(all.len() * part / 1000).max(1) - 1];
        let below = |times: &[u64]| -> Vec<u64> {
            let times = times.iter().copied();
            times.filter(|time| *time <= limit).collect()
        };
        welch_t(&below(&times[0]), &below(&times[1]))
    });
    let larger = |one: f64, other: f64| if other.abs() > one.abs() { other } else { one };
    values.into_iter().fold(0.0, larger)
}

/// Welch's t of two samples.
fn welch_t(one: &[u64], other: &[u64]) -> f64 {
    let mean = |times: &[u64]| {
        let sum: f64 = times.iter().map(|time| *time as f64).sum();
        sum / times.len() as f64
    };
    let squared_error = |times: &[u64], mean: f64| {
        let squares: f64 = times.iter().map(|time| (*time as f64 - mean).powi(2)).sum();
        squares / (times.len() as f64 - 1.0) / times.len() as f64
    };
    let (first, second) = (mean(one), mean(other));
    (first - second) / (squared_error(one, first) + squared_error(other, second)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn welch_computes_the_t_of_a_known_example() {
        let t = welch_t(&[3, 4, 5, 6, 7], &[1, 2, 3, 4, 5]);
        assert!((t - 2.0).abs() < 1e-9, "{t}");
    }

    #[test]
    fn a_header_is_wrong_exactly_at_the_given_position() {
        let (right, mut random) = (vec![b'a'; 40], SplitMix64::of(1, 1));
        let mut header = vec![0; 40];
        write_wrong_header(&right, WrongPosition::First, &mut random, &mut header);
        assert!(header[0] != b'a' && header[1..] == right[1..]);
        write_wrong_header(&right, WrongPosition::Last, &mut random, &mut header);
        assert!(header[39] != b'a' && header[..39] == right[..39]);
        write_wrong_header(&right, WrongPosition::Everywhere, &mut random, &mut header);
        assert!(!header.contains(&b'a'));
    }
}
