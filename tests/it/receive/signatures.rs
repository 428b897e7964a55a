//! The accept set of a signature is one string in one header.

use base64::{Engine, prelude::BASE64_STANDARD};
use sender_simulator::Sender;

use test_support::{
    client::CheckedResponse,
    message::{Source, both, hmrc, hmrc_too, pay, pay_too, with},
    request::{Request, signature, signature_header},
    server::{Away, NOW, Server},
    vectors::{SignatureVector, vectors},
};

fn refused(answer: &CheckedResponse, why: impl std::fmt::Debug) {
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (401, r#"{"error":"signature"}"#),
        "{why:?}"
    );
}

#[tokio::test]
async fn a_signature_of_any_other_form_is_refused() {
    let server = Server::start().await;
    for source in both() {
        let body = source.message("n1", NOW);
        let good = source.sign(&body);
        let mixed: String = good
            .chars()
            .enumerate()
            .map(|(at, c)| {
                if at % 2 == 0 {
                    c.to_ascii_uppercase()
                } else {
                    c
                }
            })
            .collect();
        let full_width: String = good
            .chars()
            .map(|c| char::from_u32(u32::from(c) + 0xfee0).unwrap())
            .collect();
        let mut forms: Vec<Vec<u8>> = [
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
            format!("{}é", &good[..good.len() - 2]),
            format!("{}é{}", &good[..19], &good[21..]),
            format!("g{}", &good[1..]),
            good.to_uppercase(),
            mixed,
            full_width,
            BASE64_STANDARD.encode(hex::decode(&good).unwrap()),
            "0".repeat(good.len()),
            "z".repeat(good.len()),
            good.chars().rev().collect(),
            good.repeat(2),
        ]
        .map(String::into_bytes)
        .into();
        for length in [39, 40, 41, 63, 64, 65] {
            let other: String = good.chars().cycle().take(length).collect();
            forms.extend((other != good).then(|| other.into_bytes()));
        }
        // The right digits, cut to any length, to the byte and to the nibble; and the raw MAC.
        forms.extend((0..good.len()).map(|length| good.as_bytes()[..length].to_vec()));
        forms.push([good.as_bytes(), b"\xa0"].concat());
        forms.push([&good.as_bytes()[..good.len() - 1], b"\xff"].concat());
        // One digit changed, everywhere.
        forms.extend((0..good.len()).map(|at| {
            let mut other = good.clone().into_bytes();
            other[at] = if other[at] == b'0' { b'1' } else { b'0' };
            other
        }));

        let mut client = server.client().await;
        for form in forms {
            let request =
                Request::unsigned(&source, &body).header(signature_header(source.sender), &form);
            refused(
                &client.ask(request.bytes()).await,
                String::from_utf8_lossy(&form),
            );
        }
        refused(
            &client.ask(Request::unsigned(&source, &body).bytes()).await,
            "no header",
        );

        // A newline ends the header, and the one behind it the head: the body is another one then.
        let mut raw =
            Request::unsigned(&source, &body).head(&format!("Content-Length: {}\r\n", body.len()));
        raw.truncate(raw.len() - 2);
        raw.extend(
            format!(
                "{}: {good}\n\r\n\r\n{body}",
                signature_header(source.sender)
            )
            .into_bytes(),
        );
        refused(&server.ask(&raw).await, "a newline behind it");
    }
    assert!(server.keys().await.is_empty());
}

#[tokio::test]
async fn spaces_around_a_header_value_are_no_part_of_it() {
    let server = Server::start().await;
    for source in both() {
        let body = source.message("n1", NOW);
        for (name, value) in [
            (
                signature_header(source.sender).to_owned(),
                format!("  {}\t ", source.sign(&body)),
            ),
            (
                signature_header(source.sender).to_uppercase(),
                source.sign(&body),
            ),
            (
                signature_header(source.sender).to_lowercase(),
                source.sign(&body),
            ),
        ] {
            let answer = server
                .ask(
                    &Request::unsigned(&source, &body)
                        .header(&name, value)
                        .bytes(),
                )
                .await;
            assert_eq!(answer.status, 200, "{name}");
        }
        server
            .has(&source, &body, "recorded", &format!("{}:n1", source.name))
            .await;
    }
}

#[tokio::test]
async fn two_signature_headers_are_refused_even_if_both_are_right() {
    let server = Server::start().await;
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
            let unsigned = Request::unsigned(&source, &body);
            let lines = unsigned
                .clone()
                .header(name, one)
                .header(&name.to_lowercase(), two);
            refused(&server.ask(&lines.bytes()).await, "on two lines");
            for joint in [",", ", ", ";", " "] {
                let joined = unsigned
                    .clone()
                    .header(name, [one.as_str(), two].join(joint));
                // One empty part beside a space is the other part alone, spaces trimmed.
                if joint != " " || !(one.is_empty() || two.is_empty()) {
                    refused(&server.ask(&joined.bytes()).await, joint);
                }
            }
        }
    }
    assert!(server.keys().await.is_empty());
}

#[tokio::test]
async fn a_signature_counts_only_under_its_own_header_source_and_key() {
    let server = Server::start().await;
    let empty = |sender| Source::new("nobody", sender, &[""]);
    for (source, other) in [(hmrc(), pay()), (pay(), hmrc())] {
        let body = source.message("n1", NOW);
        let (own, foreign) = (
            signature_header(source.sender),
            signature_header(other.sender),
        );
        let swapped = signature(other.sender, &source.secrets[0], &body);
        for (name, value) in [
            (foreign, source.sign(&body)), // in the other's header
            (own, swapped.clone()),        // by the other's algorithm
            (foreign, swapped),            // both
            (own, other.sign(&body)),      // all the other's
            (foreign, other.sign(&body)),  // and in its header
            (own, signature(source.sender, &other.secrets[0], &body)), // by the other's key
            (own, empty(source.sender).sign(&body)), // by no key
            (
                own,
                signature(source.sender, &source.secrets[0].to_lowercase(), &body),
            ), // in another case
            (
                own,
                signature(source.sender, &format!("{}\n", source.secrets[0]), &body),
            ),
        ] {
            if source.secrets[0] == source.secrets[0].to_lowercase()
                && value == source.sign(&body)
                && name == own
            {
                continue; // Pay's secret is in lower case already
            }
            let request = Request::unsigned(&source, &body).header(name, &value);
            refused(&server.ask(&request.bytes()).await, (name, value));
        }
        for suffix in ["-256", "s", "_"] {
            let request = Request::unsigned(&source, &body)
                .header(&format!("{own}{suffix}"), source.sign(&body));
            refused(&server.ask(&request.bytes()).await, suffix);
        }
    }
    let body = pay().message("n1", NOW);
    let without_prefix = with(&pay().secrets[0], "webhook_test_", "");
    for secret in [
        &pay_too().secrets[0],
        &without_prefix,
        &with(&pay().secrets[0], "_test_", "_live_"),
    ] {
        let signature = signature(Sender::GovukPay, secret, &body);
        refused(
            &server
                .ask(
                    &Request::unsigned(&pay(), &body)
                        .header("Pay-Signature", signature)
                        .bytes(),
                )
                .await,
            secret,
        );
    }
    assert!(server.keys().await.is_empty());
}

#[tokio::test]
async fn every_active_secret_is_tried_and_the_one_that_matched_is_kept() {
    let server = Server::start().await;
    let source = hmrc();
    for (index, secret) in source.secrets.iter().enumerate() {
        let body = source.message(&format!("n{index}"), NOW);
        let signature = signature(source.sender, secret, &body);
        let request = Request::unsigned(&source, &body).header("X-Hub-Signature", &signature);
        assert_eq!(
            server.ask(&request.bytes()).await.body,
            r#"{"status":"recorded"}"#
        );
        let row = server.row(&format!("hmrc:n{index}")).await.unwrap();
        assert_eq!(row.signature, Some(signature));
        assert_eq!(row.key_label, Some(format!("{}:env:TEST", index + 1)));
    }
    // The second box of the same application has the same secret, and a row of its own.
    server
        .keeps(
            &hmrc_too(),
            source.message("n0", NOW),
            "recorded",
            "hmrc-too:n0",
        )
        .await;
}

#[tokio::test]
async fn other_bytes_than_the_signed_ones_are_refused() {
    let server = Server::start().await;
    for source in both() {
        let text = with(
            &source.message("n1", NOW),
            "\"n1\"",
            "\"n1\",\"x\":\"café £\"",
        );
        let latin_1: Vec<u8> = text
            .chars()
            .map(|c| u8::try_from(u32::from(c)).unwrap())
            .collect();
        let body = text.as_bytes();
        for (what, sent) in [
            ("Latin-1", latin_1),
            ("a byte order mark", [b"\xef\xbb\xbf", body].concat()),
            ("a newline behind", [body, b"\n"].concat()),
            ("a space before", [b" ", body].concat()),
            ("no end", body[..body.len() - 1].to_vec()),
            ("nothing", Vec::new()),
            (
                "written again",
                serde_json::to_vec(&serde_json::from_slice::<serde_json::Value>(body).unwrap())
                    .unwrap(),
            ),
            ("escaped", text.replace('é', "\\u00e9").into_bytes()),
            ("base64", BASE64_STANDARD.encode(body).into_bytes()),
            ("twice", body.repeat(2)),
        ] {
            let request = Request::unsigned(&source, &sent)
                .header(signature_header(source.sender), source.sign(body));
            refused(&server.ask(&request.bytes()).await, what);
        }
        server
            .keeps(&source, body, "recorded", &format!("{}:n1", source.name))
            .await;
    }
}

#[tokio::test]
async fn every_vector_is_answered_as_marked() {
    let vectors = vectors();
    let source = |(index, vector): (usize, &SignatureVector)| {
        let sender = if vector.scheme == "hmrc-sha1" {
            Sender::Hmrc
        } else {
            Sender::GovukPay
        };
        Source::new(&format!("vector-{index}"), sender, &[&vector.secret])
    };
    let sources: Vec<Source> = vectors.iter().enumerate().map(source).collect();
    let server = Server::with(&sources, Away).await;
    for (source, vector) in sources.iter().zip(&vectors) {
        let body = vector.body();
        let request = Request::unsigned(source, &body)
            .header(signature_header(source.sender), &vector.signature);
        let answer = server.ask(&request.bytes()).await;
        assert_eq!(
            answer.status,
            if vector.valid { 200 } else { 401 },
            "{}",
            vector.name
        );
    }
    let valid = vectors.iter().filter(|vector| vector.valid).count();
    assert_eq!(server.keys().await.len(), valid);
}

#[tokio::test]
async fn hmrcs_signed_form_of_characters_beyond_the_bmp_counts_and_the_sent_bytes_are_kept() {
    let server = Server::start().await;
    let source = hmrc();
    let body = |id: &str, name: &str| {
        with(
            &source.message(id, NOW),
            r#"\"n\":1"#,
            &format!(r#"\"n\":\"{name}\""#),
        )
    };
    for (id, sent, signed) in [
        ("escaped", r"\uD83D\uDE00", "😀"),
        ("lower-case", r"\ud83d\ude00", "😀"),
        ("as-sent", r"\uD83D\uDE00", r"\uD83D\uDE00"),
        ("never-escaped", "😀", "😀"),
        ("text-about-an-escape", r"\\ud83d\\ude00", r"\\ud83d\\ude00"),
        ("both", r"\\ud83d\\ude00 \uD83D\uDE00", r"\\ud83d\\ude00 😀"),
    ] {
        let (sent, signature) = (body(id, sent), source.sign(body(id, signed)));
        let request = Request::unsigned(&source, &sent).header("X-Hub-Signature", signature);
        let answer = server.ask(&request.bytes()).await;
        assert_eq!(answer.body, r#"{"status":"recorded"}"#, "{id}");
        server
            .has(&source, sent, "recorded", &format!("hmrc:{id}"))
            .await;
    }
    for (id, sent, signed) in [
        ("text-rewritten", r"\\ud83d\\ude00", "😀"),
        (
            "half-rewritten",
            r"\uD83D\uDE00 \uD83D\uDE00",
            r"😀 \uD83D\uDE00",
        ),
        ("in-the-bmp", r"\u00e9", "é"),
        ("other-way-round", "😀", r"\uD83D\uDE00"),
    ] {
        let signature = source.sign(body(id, signed));
        let request =
            Request::unsigned(&source, body(id, sent)).header("X-Hub-Signature", signature);
        refused(&server.ask(&request.bytes()).await, id);
    }
    let pays = |name: &str| {
        with(
            &pay().message("n1", NOW),
            "5000",
            &format!(r#"5000,"x":"{name}""#),
        )
    };
    let signature = pay().sign(pays("😀"));
    let request =
        Request::unsigned(&pay(), pays(r"\uD83D\uDE00")).header("Pay-Signature", signature);
    refused(
        &server.ask(&request.bytes()).await,
        "Pay signs what it sends",
    );
}
