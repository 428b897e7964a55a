//! Whether the time of verification depends on where a signature is wrong: `proof timing`.
//!
//! As dudect does it: requests of two classes in random order, the time of each, and Welch's t of
//! both. Long times are interruptions, so t is also computed over the times below some
//! percentiles; the largest t counts. The same measurement of a comparison that stops at the first
//! difference must find it, or it would find nothing in the product either.

use std::{hint::black_box, time::Instant};

use bytes::Bytes;
use pillarbox::{
    domain::Secret,
    senders::{SenderKind, SigningKey, verify},
};
use proof::attacked::NOW;
use sender_simulator::{Sender, signature::sign};

use crate::{arguments::Arguments, simulate::Random};

/// A larger |t| is a leak.
const THRESHOLD: f64 = 4.5;
/// The parts of the times that are compared, in thousandths from the shortest.
const PARTS: [usize; 6] = [1000, 990, 950, 900, 750, 500];
/// The requests before the first that is measured.
const WARM_UP: u64 = 20_000;
/// The headers of each class: so many that no class is one place in memory.
const HEADERS: usize = 64;
const SECRETS: [&str; 2] = [
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
    "webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu",
];

/// Two classes of headers, each wrong somewhere else.
struct HeaderClasses {
    name: &'static str,
    headers: [Vec<Vec<u8>>; 2],
}

/// The times of one measurement, by class.
type ClassTimes = [Vec<u64>; 2];

/// `proof timing`.
pub(crate) fn command(arguments: &Arguments) -> Result<bool, String> {
    arguments.only(&["samples", "seed"])?;
    let samples: u64 = arguments.number("samples", 1_000_000)?;
    let seed: u64 = arguments.number("seed", 1)?;
    println!("proof timing --samples {samples} --seed {seed}");
    let mut random = Random::of(seed, 0);
    let mut is_constant = true;
    for (kind, sender, secret) in [
        (SenderKind::HMRC, Sender::Hmrc, SECRETS[0]),
        (SenderKind::GOVUK_PAY, Sender::GovukPay, SECRETS[1]),
    ] {
        let body = Bytes::from_static(b"{\"n\":1}");
        let right = sign(sender, secret, &body).into_bytes();
        let keys = [SigningKey::new(kind, "1", &Secret::new(secret.to_owned()))];
        for classes in classes(&right, &mut random) {
            let times = measure(&classes, samples, &mut random, |header| {
                let headers: [&[u8]; 1] = [header];
                black_box(verify(kind, &keys, &headers, body.clone(), NOW).is_ok());
            });
            let t = largest_t(&times);
            is_constant &= t.abs() < THRESHOLD;
            println!("{:10} {:44} t = {t:6.2}", kind.as_str(), classes.name);
        }
    }
    let (t, name) = planted_leak(samples, &mut random);
    println!("{:10} {name:44} t = {t:6.2}", "planted");
    let is_found = t.abs() >= THRESHOLD;
    println!("a leak is |t| >= {THRESHOLD}; the planted one is found: {is_found}");
    Ok(is_constant && is_found)
}

/// The same measurement of a comparison that stops where the texts differ.
fn planted_leak(samples: u64, random: &mut Random) -> (f64, &'static str) {
    let right = sign(Sender::GovukPay, SECRETS[1], b"{}").into_bytes();
    let [first_or_last, ..] = classes(&right, random);
    let times = measure(&first_or_last, samples, random, |header| {
        let mut digits = header.iter().zip(&right);
        black_box(digits.all(|(one, other)| black_box(one) == black_box(other)));
    });
    (
        largest_t(&times),
        "a comparison that ends at the first difference",
    )
}

/// Wrong in the first byte or in the last; in the first byte or everywhere.
fn classes(right: &[u8], random: &mut Random) -> [HeaderClasses; 2] {
    let last = right.len() - 1;
    let mut wrong_at = |at: usize| {
        let mut header = right.to_vec();
        // Another digit of the same kind, so that reading the digits takes no other path.
        while header[at] == right[at] {
            header[at] = random.pick(b"0123456789abcdef").unwrap_or(b'0');
        }
        header
    };
    let first = (0..HEADERS).map(|_| wrong_at(0)).collect::<Vec<_>>();
    let in_last = (0..HEADERS).map(|_| wrong_at(last)).collect();
    let any = (0..HEADERS).map(|_| {
        let digits = (0..right.len()).map(|_| random.pick(b"0123456789abcdef"));
        digits.map(|digit| digit.unwrap_or(b'0')).collect()
    });
    let any = any.collect();
    [
        HeaderClasses {
            name: "wrong in the first or in the last digit",
            headers: [first.clone(), in_last],
        },
        HeaderClasses {
            name: "wrong in the first digit or everywhere",
            headers: [first, any],
        },
    ]
}

#[expect(
    clippy::disallowed_methods,
    reason = "the time of each call is what is measured"
)]
fn measure(
    classes: &HeaderClasses,
    samples: u64,
    random: &mut Random,
    mut call: impl FnMut(&[u8]),
) -> ClassTimes {
    let mut times = [Vec::new(), Vec::new()];
    for number in 0..WARM_UP + samples {
        let class = usize::from(random.is(500));
        let at = usize::try_from(random.below(HEADERS as u64)).unwrap_or(0);
        // Copied to the same place, so that no class has memory of its own.
        let mut header = [0; 64];
        let length = classes.headers[class][at].len();
        header[..length].copy_from_slice(&classes.headers[class][at]);
        let began = Instant::now();
        call(&header[..length]);
        let took = began.elapsed();
        if number >= WARM_UP {
            times[class].push(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        }
    }
    times
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
        welch(&below(&times[0]), &below(&times[1]))
    });
    let larger = |one: f64, other: f64| if other.abs() > one.abs() { other } else { one };
    values.into_iter().fold(0.0, larger)
}

/// Welch's t of two samples.
fn welch(one: &[u64], other: &[u64]) -> f64 {
    let mean = |times: &[u64]| {
        let sum: f64 = times.iter().map(|time| *time as f64).sum();
        sum / times.len() as f64
    };
    let share = |times: &[u64], mean: f64| {
        let squares: f64 = times.iter().map(|time| (*time as f64 - mean).powi(2)).sum();
        squares / (times.len() as f64 - 1.0) / times.len() as f64
    };
    let (first, second) = (mean(one), mean(other));
    (first - second) / (share(one, first) + share(other, second)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn welch_gives_the_t_of_a_known_example() {
        let t = welch(&[3, 4, 5, 6, 7], &[1, 2, 3, 4, 5]);
        assert!((t - 2.0).abs() < 1e-9, "{t}");
    }

    #[test]
    fn the_classes_are_wrong_where_they_say() {
        let right = vec![b'a'; 64];
        let [first_or_last, first_or_any] = classes(&right, &mut Random::of(1, 1));
        for header in &first_or_last.headers[0] {
            assert!(header[0] != b'a' && header[1..] == right[1..]);
        }
        for header in &first_or_last.headers[1] {
            assert!(header[63] != b'a' && header[..63] == right[..63]);
        }
        assert!(
            first_or_any.headers[1]
                .iter()
                .all(|header| header.len() == 64)
        );
    }
}
