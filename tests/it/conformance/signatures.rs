//! Signatures, and the secrets that they are made with.

use base64::{Engine, prelude::BASE64_STANDARD};
use sender_simulator::Sender;

use test_support::{
    fronts::FrontRequest,
    function::{post, unsigned},
    message::{Source, both, hmrc, pay, pay_too, with, without_secret},
    request::{signature, signature_header},
    server::NOW,
};

use super::ConformanceCase;

pub(super) fn sources_without_a_secret() -> Vec<ConformanceCase> {
    let mut cases = Vec::new();
    for (source, signer) in without_secret().iter().zip(both()) {
        let signed = FrontRequest {
            path: source.path(),
            ..post(&signer, signer.message("n1", NOW))
        };
        for request in [signed, unsigned(source, "x"), unsigned(source, "")] {
            cases.push(ConformanceCase::refused(
                "no secret yet",
                request,
                503,
                "no_secret",
            ));
        }
    }
    cases
}

/// The accept set of a signature is one string.
pub(super) fn signature_forms() -> Vec<ConformanceCase> {
    let mut cases = Vec::new();
    for source in both() {
        let body = source.message("n1", NOW);
        let good = source.sign(&body);
        let upper_at_even = |(at, c): (usize, char)| match at % 2 {
            0 => c.to_ascii_uppercase(),
            _ => c,
        };
        let full_width = |c: char| char::from_u32(u32::from(c) + 0xfee0).unwrap();
        let mut forms: Vec<String> = vec![
            String::new(),
            " ".to_owned(),
            "\t \t".to_owned(),
            "v1,".to_owned(),
            format!("v1,{good}"),
            format!("v1={good}"),
            format!("sha1={good}"),
            format!("sha256={good}"),
            format!("0x{good}"),
            format!("0x{}", &good[2..]),
            format!("\"{good}\""),
            format!("{good},"),
            format!(",{good}"),
            format!("{good};"),
            format!("{good}\\n"),
            format!("{good}%0a"),
            format!("{good}\u{a0}"),
            format!("\u{a0}{good}"),
            format!("{good}0"),
            format!("{good}00"),
            format!("0{good}"),
            format!("{} {}", &good[..20], &good[20..]),
            format!("{} {}", &good[..20], &good[21..]),
            format!("+f{}", &good[2..]),
            format!("{}+f", &good[..good.len() - 2]),
            format!("-{}", &good[1..]),
            format!("é{}", &good[1..]),
            format!("{}é", &good[..good.len() - 2]),
            format!("{}é{}", &good[..19], &good[21..]),
            format!("{}\u{1f600}{}", &good[..1], &good[1..]),
            format!("g{}", &good[1..]),
            good.to_uppercase(),
            good[..1].to_uppercase() + &good[1..] + "A",
            good.char_indices().map(upper_at_even).collect(),
            good.chars().map(full_width).collect(),
            BASE64_STANDARD.encode(hex::decode(&good).unwrap()),
            "0".repeat(good.len()),
            "z".repeat(good.len()),
            good.chars().rev().collect(),
            good.repeat(2),
        ];
        for length in [39, 40, 41, 63, 64, 65] {
            let other: String = good.chars().cycle().take(length).collect();
            forms.extend((other != good).then_some(other));
        }
        // The right digits, cut to any length; and one digit changed, everywhere.
        forms.extend((0..good.len()).map(|length| good[..length].to_owned()));
        forms.extend((0..good.len()).map(|at| {
            let digit = if &good[at..=at] == "0" { "1" } else { "0" };
            format!("{}{digit}{}", &good[..at], &good[at + 1..])
        }));
        let header = signature_header(source.sender);
        for form in forms {
            let request = unsigned(&source, &body).header(header, &form);
            cases.push(ConformanceCase::refused(
                format!("{header}: {form:?}"),
                request,
                401,
                "signature",
            ));
        }
        let request = unsigned(&source, &body);
        cases.push(ConformanceCase::refused(
            "no signature",
            request,
            401,
            "signature",
        ));
        let query = FrontRequest {
            query: format!("{header}={good}"),
            ..unsigned(&source, &body)
        };
        cases.push(ConformanceCase::refused(
            "a signature in the query",
            query,
            401,
            "signature",
        ));
    }
    cases
}

/// Two signatures are refused, even if both are right.
pub(super) fn signatures_twice() -> Vec<ConformanceCase> {
    let mut cases = Vec::new();
    for source in both() {
        let body = source.message("n1", NOW);
        let (good, bad) = (source.sign(&body), source.sign("another body"));
        let name = signature_header(source.sender);
        for (one, two) in [
            (&good, &bad),
            (&bad, &good),
            (&good, &good),
            (&good, &String::new()),
            (&String::new(), &good),
        ] {
            for other_name in [name.to_owned(), name.to_lowercase(), name.to_uppercase()] {
                let request = unsigned(&source, &body)
                    .header(name, one)
                    .header(&other_name, two);
                let case = format!("{name}: {one:?}, {other_name}: {two:?}");
                cases.push(ConformanceCase::refused(case, request, 401, "signature"));
            }
            for joint in [",", ", ", ";", " "] {
                // Behind a space, an empty part leaves the other part alone.
                if joint == " " && (one.is_empty() || two.is_empty()) {
                    continue;
                }
                let joined = [one.as_str(), two].join(joint);
                let request = unsigned(&source, &body).header(name, &joined);
                cases.push(ConformanceCase::refused(
                    format!("{name}: {joined}"),
                    request,
                    401,
                    "signature",
                ));
            }
        }
    }
    cases
}

/// A signature counts only under the header, the algorithm and the key of its source.
pub(super) fn signatures_of_others() -> Vec<ConformanceCase> {
    let mut cases = Vec::new();
    let mut refuse = |source: &Source, header: &str, value: String| {
        let request = unsigned(source, source.message("n1", NOW)).header(header, &value);
        cases.push(ConformanceCase::refused(
            format!("{header}: {value}"),
            request,
            401,
            "signature",
        ));
    };
    for (source, other) in [(hmrc(), pay()), (pay(), hmrc()), (pay(), pay_too())] {
        let body = source.message("n1", NOW);
        let (own, foreign) = (
            signature_header(source.sender),
            signature_header(other.sender),
        );
        let by = |secret: &str| signature(source.sender, secret, &body);
        let swapped = signature(other.sender, &source.secrets[0], &body);
        if own != foreign {
            refuse(&source, foreign, source.sign(&body)); // in the other's header
            refuse(&source, own, swapped.clone()); // by the other's algorithm
            refuse(&source, foreign, swapped); // both
        }
        refuse(&source, own, other.sign(&body)); // all the other's
        refuse(&source, foreign, other.sign(&body)); // and in its header
        refuse(&source, own, by(&other.secrets[0])); // by the other's key
        refuse(&source, own, by("")); // by no key
        refuse(&source, own, by(&format!("{}\n", source.secrets[0])));
        refuse(&source, "X-Signature", source.sign(&body));
        for suffix in ["-256", "s", "_"] {
            refuse(&source, &format!("{own}{suffix}"), source.sign(&body));
        }
    }
    let body = hmrc().message("n1", NOW);
    let lower_case = hmrc().secrets[0].to_lowercase();
    refuse(
        &hmrc(),
        "X-Hub-Signature",
        signature(Sender::Hmrc, &lower_case, body),
    );
    let (body, secret) = (pay().message("n1", NOW), &pay().secrets[0]);
    for other in [
        with(secret, "webhook_test_", ""),
        with(secret, "_test_", "_live_"),
        secret.to_uppercase(),
    ] {
        refuse(
            &pay(),
            "Pay-Signature",
            signature(Sender::GovukPay, &other, &body),
        );
    }
    cases
}

/// Only the signed bytes count, not similar ones.
pub(super) fn bodies_that_were_not_signed() -> Vec<ConformanceCase> {
    let mut cases = Vec::new();
    for source in both() {
        let text = with(
            &source.message("n1", NOW),
            "\"n1\"",
            "\"n1\",\"x\":\"café £\"",
        );
        let body = text.as_bytes();
        let parsed: serde_json::Value = serde_json::from_slice(body).unwrap();
        for (what, sent) in [
            (
                "Latin-1",
                text.chars()
                    .map(|c| u8::try_from(u32::from(c)).unwrap())
                    .collect(),
            ),
            ("a byte order mark", [b"\xef\xbb\xbf", body].concat()),
            ("a newline after it", [body, b"\n"].concat()),
            ("a space before it", [b" ", body].concat()),
            ("its end cut off", body[..body.len() - 1].to_vec()),
            ("nothing", Vec::new()),
            ("serialised again", serde_json::to_vec(&parsed).unwrap()),
            ("escaped", text.replace('é', "\\u00e9").into_bytes()),
            ("base64", BASE64_STANDARD.encode(body).into_bytes()),
            ("twice", body.repeat(2)),
        ] {
            let header = signature_header(source.sender);
            let request = unsigned(&source, sent).header(header, source.sign(body));
            cases.push(ConformanceCase::refused(what, request, 401, "signature"));
        }
    }
    cases
}
