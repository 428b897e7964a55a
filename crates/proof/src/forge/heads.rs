//! Changes of a request's headers, path, method and query.

use proof::{receiver_under_test::SOURCES, second_verifier::SigningSender};

use super::genuine::{GenuineRequest, SIGNATURE};
use crate::simulate::SplitMix64;

pub(super) fn several_headers(genuine: &mut GenuineRequest, random: &mut SplitMix64) {
    let good = genuine.request.headers[SIGNATURE].clone();
    let bad = vec![b'0'; good.1.len()];
    let other_case = good.0.to_ascii_lowercase();
    let headers = &mut genuine.request.headers;
    match random.below(7) {
        0 => headers.push((good.0, bad)),
        1 => headers.insert(SIGNATURE, (good.0, bad)),
        2 => headers.push(good),
        3 => headers.push((other_case, Vec::new())),
        4 => headers.push((other_case, good.1)),
        5 => headers[SIGNATURE].1 = [&good.1[..], b",", &good.1].concat(),
        _ => headers[SIGNATURE].1 = [&good.1[..], b", ", &bad].concat(),
    }
}

pub(super) fn no_header(genuine: &mut GenuineRequest, random: &mut SplitMix64) {
    match random.is(500) {
        true => drop(genuine.request.headers.remove(SIGNATURE)),
        false => genuine.request.headers[SIGNATURE].1.clear(),
    }
}

/// Another letter case is still the same name; the other names are not.
pub(super) fn other_name(genuine: &mut GenuineRequest, random: &mut SplitMix64) {
    const NAMES: [&str; 9] = [
        "Pay-Signature",
        "X-Hub-Signature",
        "pay-signature",
        "X-HUB-SIGNATURE",
        "x-hub-signature-256",
        "Pay_Signature",
        "X-Pay-Signature",
        "Signature",
        "Authorization",
    ];
    genuine.request.headers[SIGNATURE].0 = random.pick(&NAMES).to_owned();
}

pub(super) fn other_source(genuine: &mut GenuineRequest, random: &mut SplitMix64) {
    let source = random.pick(&SOURCES);
    genuine.request.path = format!("/{}", source.name);
    if random.is(500) {
        genuine.request.headers[SIGNATURE].0 = source.sender.header().to_owned();
    }
}

pub(super) fn other_path(genuine: &mut GenuineRequest, random: &mut SplitMix64) {
    let name = genuine.source.name;
    let path = match random.below(16) {
        0 => format!("/{name}/"),
        1 => format!("//{name}"),
        2 => format!("/{}", name.to_uppercase()),
        3 => format!("/%{:02x}{}", name.as_bytes()[0], &name[1..]),
        4 => format!("/{name}%2f"),
        5 => format!("/{name}%00"),
        6 => format!("/{name};x"),
        7 => format!("/./{name}"),
        8 => format!("/x/../{name}"),
        9 => format!("/prod/{name}"),
        10 => name.to_owned(),
        11 => format!("/{name} "),
        12 => format!("/{name}?"),
        13 => format!("/{name}#"),
        14 => String::new(),
        _ => "/unknown".to_owned(),
    };
    genuine.request.path = path;
}

pub(super) fn other_method(genuine: &mut GenuineRequest, random: &mut SplitMix64) {
    const METHODS: [&str; 11] = [
        "GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "post", "Post",
        "QUERY",
    ];
    genuine.request.method = random.pick(&METHODS).to_owned();
    if random.is(300) {
        challenge(genuine, random);
    }
    if random.is(100) {
        let monitors = ["/-/healthz", "/-/readyz", "/-/", "/-/healthz/"];
        genuine.request.path = random.pick(&monitors).to_owned();
    }
}

/// A query that looks like a challenge, on a GET or on the POST itself.
pub(super) fn challenge(genuine: &mut GenuineRequest, random: &mut SplitMix64) {
    const QUERIES: [&str; 26] = [
        "challenge=1ed5f407-8096-40d1-87ef-9a2a103eeb85",
        "challenge=A-z0",
        "team=7&challenge=abc",
        "challenge=%31ab",
        "%63hallenge=abc",
        "challenge=a&x=b&&",
        "",
        "challenge",
        "challenge=",
        "Challenge=abc",
        "challenge=a&challenge=b",
        "challenge=a&%63hallenge=b",
        "challenge=a&challenge",
        "challenge=%3Cscript%3E",
        "challenge=a%0d%0aSet-Cookie:x",
        "challenge=%22",
        "challenge=a'b",
        "challenge=%C3%A9",
        "challenge=%ff",
        "challenge=a%00",
        "challenge=a+b",
        "challenge=a_b",
        "challenge=a%",
        "challenge=a%2",
        "challenge[]=a",
        "challenge=a;challenge=b",
    ];
    let mut query = random.pick(&QUERIES).to_owned();
    if random.is(200) {
        let length = usize::try_from(random.between(120, 136)).unwrap_or(128);
        query = format!("challenge={}", "a".repeat(length));
    }
    genuine.request.query = query;
    if random.is(800) {
        "GET".clone_into(&mut genuine.request.method);
        if random.is(700) {
            let hmrc = SOURCES
                .iter()
                .filter(|source| source.sender == SigningSender::Hmrc);
            let names: Vec<&str> = hmrc.map(|source| source.name).collect();
            genuine.request.path = format!("/{}", random.pick(&names));
        }
    }
}
