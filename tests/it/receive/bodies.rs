//! Authentic bodies of every shape and size: read, or held, and always kept whole.

use pillarbox::{domain::State, receive::MAX_BODY_BYTES};
use sender_simulator::{Sender, exchange};
use serde_json::Value;
use url::Url;

use test_support::{
    manual_clock::ManualClock,
    message::{Source, both, hmrc, noise, pay, with, without_secret},
    request::{RawRequest, signature_header},
    server::{NOW, Server},
};

/// A readable message of exactly that many bytes.
fn of_length(source: &Source, id: &str, length: usize) -> String {
    let plain = source.message(id, NOW);
    let padding = length - plain.len() - r#""pad":"","#.len();
    with(
        &plain,
        "{",
        &format!(
            r#"{{"pad":"{}","#,
            "0123456789abcdef".repeat(padding / 16 + 1)[..padding].to_owned()
        ),
    )
}

#[tokio::test]
async fn every_message_of_both_senders_is_recorded_with_its_type_subject_and_bytes() {
    let (server, clock) = (Server::start().await, ManualClock::new());
    for source in both() {
        let (sender, secret) = (source.sender, &source.secrets[0]);
        let url = Url::parse(&format!("http://{}{}", server.address, source.path())).unwrap();
        for event in sender.events() {
            let body = sender.body(Some(event), &*clock).unwrap();
            let request = sender.request(&body, secret, &url);
            let answer = exchange(&request, &url, sender.client_profile()).await;
            let answer = answer.unwrap();
            let status = String::from_utf8_lossy(&answer.body).into_owned();
            let expected = (200, r#"{"status":"recorded"}"#.to_owned());
            assert_eq!((answer.status, status), expected, "{event}");

            let key = format!("{}:{}", source.name, body.id);
            let row = server.row(&key).await.unwrap();
            assert_ne!(row.state, State::Held, "{event}");
            assert_eq!(row.body.as_deref(), Some(body.wire.as_bytes()), "{event}");
            let sent: Value = serde_json::from_str(&body.wire).unwrap();
            let (event_type, subject) = match sender {
                Sender::Hmrc => ("notification", &sent["boxId"]),
                Sender::GovukPay => (sent["event_type"].as_str().unwrap(), &sent["resource_id"]),
            };
            assert_eq!(row.event_type, event_type, "{event}");
            assert_eq!(row.subject.as_deref(), subject.as_str(), "{event}");
        }
    }
}

#[tokio::test]
async fn bodies_of_every_size_up_to_the_cap_come_back_whole() {
    let server = Server::start().await;
    let source = pay();
    for length in [
        1,
        8_191,
        8_192,
        8_193,
        358_399,
        358_400,
        358_401,
        6_000_000,
        MAX_BODY_BYTES,
    ] {
        let body = noise(length);
        server.holds_unreadable(&source, &body).await;
    }
    server.holds_unreadable(&source, "").await;
    for source in both() {
        for length in [8_192, 350_000, 2_100_000, MAX_BODY_BYTES] {
            let body = of_length(&source, &format!("n{length}"), length);
            assert_eq!(body.len(), length);
            server.records(&source, &body, &format!("n{length}")).await;
        }
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_for_every_sender_and_the_refusal_is_received() {
    let server = Server::start().await;
    for length in [MAX_BODY_BYTES + 1, MAX_BODY_BYTES + 4_000_000] {
        let body = noise(length);
        let forged = RawRequest::unsigned(&hmrc(), &body).header("X-Hub-Signature", "0".repeat(40));
        let not_ready = RawRequest::unsigned(&without_secret()[1], &body);
        for request in [RawRequest::post(&pay(), &body), forged, not_ready] {
            for bytes in [request.bytes(), request.chunked(64 * 1024)] {
                let mut client = server.client().await;
                let answer = if length == MAX_BODY_BYTES + 1 {
                    client.write(bytes).await; // to its end, without listening meanwhile
                    client.answer().await.unwrap()
                } else {
                    client.send(bytes).await
                };
                assert_eq!(answer.status, 413, "{length}");
                client.is_closed().await;
            }
        }
    }
    assert!(server.keys().await.is_empty());
    // What is refused before it is sent needs no body at all to be refused.
    let mut client = server.client().await;
    client
        .write(RawRequest::unsigned(&pay(), "").head("Content-Length: 99999999999\r\n"))
        .await;
    client.finish().await;
    assert_eq!(client.answer().await.unwrap().status, 413);
}

#[tokio::test]
async fn authentic_bytes_that_can_not_be_read_are_held() {
    let server = Server::start().await;
    for source in both() {
        let good = source.message("n1", NOW);
        let id_field = if source.name == "pay" {
            "webhook_message_id"
        } else {
            "notificationId"
        };
        let id = format!(r#""{id_field}":"n1""#);
        let with_id =
            |value: &str| with(&good, &id, &format!(r#""{id_field}":{value}"#)).into_bytes();
        let deep = |field: &str| {
            let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
            with(&good, "{", &format!(r#"{{"{field}":{open}{close},"#)).into_bytes()
        };
        let bytes = good.as_bytes();
        let mut bodies = vec![
            [b"\xef\xbb\xbf", bytes].concat(),
            [&bytes[..20], b"\xff", &bytes[20..]].concat(),
            [&bytes[..20], b"\xc3", &bytes[20..]].concat(),
            [&bytes[..20], b"\xed\xa0\x80", &bytes[20..]].concat(),
            [&bytes[..20], b"\0", &bytes[20..]].concat(),
            [bytes, b"\0"].concat(),
            [bytes, b"x"].concat(),
            [bytes, b","].concat(),
            [bytes, b"\n", bytes].concat(),
            bytes[..bytes.len() - 1].to_vec(),
            bytes[1..].to_vec(),
            [b"[", bytes, b"]"].concat(),
            serde_json::to_vec(&good).unwrap(),
            good.replace('"', "'").into_bytes(),
            good.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            with(&good, &id, &format!("{id},{id}")).into_bytes(),
            with(
                &good,
                &id,
                &format!(
                    r#"{id},"\u{:04x}{}":"n2""#,
                    id_field.as_bytes()[0],
                    &id_field[1..]
                ),
            )
            .into_bytes(),
            with(&good, &id, r#""other":"n1""#).into_bytes(),
            deep(id_field),
            deep("unknown"),
            "[".repeat(100_000).into_bytes(),
            r#"{"a":"#.repeat(100_000).into_bytes(),
            b"{}".to_vec(),
            b"null".to_vec(),
            b"[]".to_vec(),
            b"\"\"".to_vec(),
            b"1".to_vec(),
            b" ".to_vec(),
            b"<xml/>".to_vec(),
            b"a=b&c=d".to_vec(),
        ];
        for value in [
            "null",
            "1",
            "1.5",
            "true",
            "[]",
            "{}",
            r#"["n1"]"#,
            r#""""#,
            r#""é""#,
            r#""a\u0000""#,
            r#""\uD83D""#,
        ] {
            bodies.push(with_id(value));
        }
        bodies.push(with_id(&format!(r#""{}""#, "x".repeat(201))));
        bodies.push(with_id("NaN"));

        let mut keys = Vec::new();
        for body in bodies {
            let key = source.unreadable_key(&body);
            server.keeps(&source, &body, "held unreadable", &key).await;
            let again = server.post(&source, &body).await;
            assert_eq!(again.body, r#"{"status":"duplicate"}"#, "{key}");
            keys.push(key);
        }
        let stored = server.keys().await;
        assert!(
            stored
                .iter()
                .filter(|key| key.starts_with(&format!("{}:", source.name)))
                .eq(&keys)
        );
    }
}

#[tokio::test]
async fn unknown_fields_and_event_types_are_recorded() {
    let server = Server::start().await;
    let (hmrc, pay) = both().into();
    let changes = [
        (
            &hmrc,
            r#""status":"PENDING""#,
            r#""status":"SOMETHING_NEW""#,
        ),
        (&hmrc, r#""status":"PENDING""#, r#""status":null"#),
        (&hmrc, r#""status":"PENDING","#, ""),
        (
            &hmrc,
            r#""status":"PENDING""#,
            r#""status":"PENDING","unknown":{"deep":[1,null,1e400]}"#,
        ),
        (&hmrc, r#""status":"PENDING""#, r#""x":1,"x":2,"status":7"#),
        (&hmrc, r#""application/json""#, r#""application/xml""#),
        (&hmrc, r#""application/json""#, "null"),
        (
            &hmrc,
            r#""{\"n\":1}""#,
            r#""<someXml a=\"1\">xmlValue</someXml>""#,
        ),
        (&hmrc, r#""{\"n\":1}""#, "null"),
        (&hmrc, r#""{\"n\":1}""#, r#"{"n":1e400}"#),
        (&hmrc, r#""{\"n\":1}""#, r#""lone \uD83D here""#),
        (&hmrc, r#""{\"n\":1}""#, r#""\uDE00\uD83D""#),
        (&hmrc, r#""{\"n\":1}""#, r#""\u0000\u001f\u2028""#),
        (&hmrc, r#""50dca3fc-c37c-4f03-b719-63571333624c""#, "null"),
        (&hmrc, "{", "\r\n\t {"),
        (
            &pay,
            r#""card_payment_captured""#,
            r#""card_payment_disputed""#,
        ),
        (
            &pay,
            r#""card_payment_captured""#,
            r#""CARD_PAYMENT_CAPTURED""#,
        ),
        (&pay, r#""card_payment_captured""#, "null"),
        (&pay, r#""card_payment_captured""#, "7"),
        (&pay, r#""card_payment_captured""#, r#""notification""#),
        (&pay, r#""event_type":"card_payment_captured","#, ""),
        (&pay, r#""PAYMENT""#, r#""payment""#),
        (&pay, r#""PAYMENT""#, "null"),
        (&pay, r#""PAYMENT""#, r#""AGREEMENT""#),
        (
            &pay,
            r#""api_version":1"#,
            r#""api_version":2,"unknown":[{}]"#,
        ),
        (&pay, "5000", "1e400"),
        (&pay, "5000", "-0.1000000000000000000000000000000001"),
        (&pay, "5000", "99999999999999999999999999"),
        (&pay, "5000", r#""lone \uD83D here""#),
        (&pay, r#"{"amount":5000}"#, "null"),
        (
            &pay,
            r#"{"amount":5000}"#,
            r#"[{"a":{"b":{"c":{"d":null}}}}]"#,
        ),
        (&pay, "resource_id", "resource_ID"),
        (&pay, r#""resource_id":"#, r#""resource_id":null,"other":"#),
        (&pay, r#""resource_id":"#, r#""resource_id":12,"other":"#),
    ];
    for (index, (source, part, other)) in changes.into_iter().enumerate() {
        let body = with(&source.message(&format!("n{index}"), NOW), part, other);
        server.records(source, body, &format!("n{index}")).await;
    }
}

#[tokio::test]
async fn ids_are_opaque() {
    let server = Server::start().await;
    let longest = "x".repeat(200);
    for source in both() {
        for (id, encoded) in [
            ("0", "0"),
            ("a3k5m7p9r1t3v5b7d9f1h3", "a3k5m7p9r1t3v5b7d9f1h3"),
            ("a3k5m7p9r1t3v5b7d9f1h3j", "a3k5m7p9r1t3v5b7d9f1h3j"),
            ("a3k5m7p9r1t3v5b7d9f1h3j5", "a3k5m7p9r1t3v5b7d9f1h3j5"),
            ("a3k5m7p9r1t3v5b7d9f1h3j5l", "a3k5m7p9r1t3v5b7d9f1h3j5l"),
            ("a3k5m7p9r1t3v5b7d9f1h3j5l7", "a3k5m7p9r1t3v5b7d9f1h3j5l7"),
            (
                "1ed5f407-8096-40d1-87ef-9a2a103eeb85",
                "1ed5f407-8096-40d1-87ef-9a2a103eeb85",
            ),
            ("~body:x", "%7Ebody%3Ax"),
            ("n~abababab", "n%7Eabababab"),
            ("../../etc/passwd", "..%2F..%2Fetc%2Fpasswd"),
            ("' OR 1=1 --", "%27%20OR%201%3D1%20--"),
            ("%41", "%2541"),
            (&longest, &longest),
        ] {
            server
                .records(&source, source.message(id, NOW), encoded)
                .await;
        }
        let escaped = source.message(r"\u0061bc", NOW);
        server.records(&source, escaped, "abc").await;
    }
}

#[tokio::test]
async fn a_content_encoding_or_type_changes_nothing() {
    let server = Server::start().await;
    for source in both() {
        for (index, (name, value)) in [
            ("Content-Encoding", "gzip"),
            ("Content-Encoding", "br, deflate"),
            ("Content-Type", "text/plain; charset=iso-8859-1"),
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Content-Type", "multipart/form-data; boundary=x"),
            ("X-HTTP-Method-Override", "GET"),
            ("X-Original-URL", "/pay-too"),
            ("Content-MD5", "wrong"),
            ("Expect", "100-continue"),
            ("Upgrade", "h2c"),
            ("Cookie", "a=b"),
            ("X-Forwarded-Host", "a\"b"),
        ]
        .into_iter()
        .enumerate()
        {
            let (body, key) = (
                source.message(&format!("n{index}"), NOW),
                format!("{}:n{index}", source.name),
            );
            let answer = server
                .send(&RawRequest::post(&source, &body).header(name, value).bytes())
                .await;
            assert_eq!(
                (answer.status, answer.body.as_str()),
                (200, r#"{"status":"recorded"}"#),
                "{name}: {value}"
            );
            server.has(&source, &body, "recorded", &key).await;
        }
        // No body is decompressed: a compressed body is verified as the bytes that were received.
        let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\xae\x05\x00\x43\xbf\xa6\xa3\
            \x02\x00\x00\x00";
        let request = RawRequest::post(&source, gzip).header("Content-Encoding", "gzip");
        assert_eq!(
            server.send(&request.bytes()).await.body,
            r#"{"status":"held"}"#
        );
        server
            .has(
                &source,
                gzip,
                "held unreadable",
                &source.unreadable_key(gzip),
            )
            .await;
        let request = RawRequest::unsigned(&source, gzip)
            .header(signature_header(source.sender), source.sign("{}"));
        assert_eq!(
            server
                .send(&request.header("Content-Encoding", "gzip").bytes())
                .await
                .status,
            401
        );
    }
}
