//! What makes `lambda_http` panic, or refuse an event without saying why: a 400, and the next is
//! answered.

use serde_json::{Value, json};

use test_support::{
    fronts::LambdaFront,
    function::{DeployedFunction, post},
    message::pay,
    server::NOW,
};

fn genuine(front: LambdaFront) -> Value {
    front.invocation(&post(&pay(), pay().message("n1", NOW)), NOW)
}

/// Sets a header in each map the front has.
fn set(event: &mut Value, name: &str, value: &str) {
    let is_rest = event["multiValueHeaders"].is_object();
    let name = if is_rest {
        name.to_owned()
    } else {
        name.to_lowercase()
    };
    if is_rest {
        event["multiValueHeaders"][&name] = json!([value]);
    }
    event["headers"][&name] = json!(value);
}

#[tokio::test]
async fn an_invalid_host_is_refused_and_a_forwarded_protocol_never_is() {
    let deployed = DeployedFunction::new();
    for front in LambdaFront::ALL {
        for host in [
            "%zz",
            "a b",
            "[::1",
            "",
            " ",
            "é.example",
            "a/b",
            "a?b",
            "a#b",
            "a@b",
            "a:b",
            "a:99999",
            "xn--a",
            "1.2.3.4.5",
            "256.256.256.256",
            "[::g]",
            "a\\b",
            "<",
            "a,b",
            "a\tb",
            &"a".repeat(10_000),
        ] {
            let mut event = genuine(front);
            set(&mut event, "Host", host);
            assert_eq!(
                deployed.answer(&event).await.status,
                400,
                "{front:?} Host: {host:.20}"
            );
        }
        for host in [
            "localhost",
            "localhost:9000",
            "127.0.0.1",
            "[::1]:443",
            "callbacks.example.gov.uk",
            "xn--caf-dma.example",
        ] {
            let mut event = genuine(front);
            set(&mut event, "Host", host);
            assert_eq!(
                deployed.answer(&event).await.status,
                200,
                "{front:?} Host: {host}"
            );
        }
        for protocol in [
            "",
            "%",
            "1http",
            "https,http",
            "https,https",
            "HTTPS",
            "ftp",
            "javascript",
            "é",
            "https:",
        ] {
            let mut event = genuine(front);
            set(&mut event, "X-Forwarded-Proto", protocol);
            assert_eq!(
                deployed.answer(&event).await.status,
                200,
                "{front:?} X-Forwarded-Proto: {protocol} is not part of what is signed"
            );
        }
        for (domain, status) in [
            ("%zz", 400),
            ("", 400),
            ("a b", 400),
            ("example.gov.uk", 200),
        ] {
            let mut event = genuine(front);
            for headers in ["headers", "multiValueHeaders"] {
                for name in ["Host", "host"] {
                    event[headers]
                        .as_object_mut()
                        .map(|headers| headers.remove(name));
                }
            }
            event["requestContext"]["domainName"] = json!(domain);
            assert_eq!(
                deployed.answer(&event).await.status,
                status,
                "{front:?} domain {domain}"
            );
        }
    }
}

#[tokio::test]
async fn a_query_that_is_none_is_refused() {
    let deployed = DeployedFunction::new();
    for front in [LambdaFront::HttpApi, LambdaFront::FunctionUrl] {
        for query in [
            "<",
            "a\"b",
            "a b",
            "a\r\nb",
            "\0",
            "\u{7f}",
            &"a".repeat(70_000),
        ] {
            let mut event = genuine(front);
            event["rawQueryString"] = json!(query);
            assert_eq!(
                deployed.answer(&event).await.status,
                400,
                "{front:?} {query:.20}"
            );
        }
        for query in ["", "a=b&c", "%", "%zz", "?", "é", "a|b^c`{}", "#", "a[]=\\"] {
            let mut event = genuine(front);
            event["rawQueryString"] = json!(query);
            assert!(
                [200, 400].contains(&deployed.answer(&event).await.status),
                "{front:?} {query}"
            );
        }
    }
    for (name, value, status) in [("<", "\" \r\n\0é😀", 200), ("a", &"b".repeat(70_000), 400)] {
        let mut event = genuine(LambdaFront::Rest);
        event["queryStringParameters"] = json!({name: value});
        event["multiValueQueryStringParameters"] = json!({name: [value, value]});
        assert_eq!(deployed.answer(&event).await.status, status, "{name}");
    }
}

#[tokio::test]
async fn a_header_that_can_not_have_been_sent_is_refused() {
    let deployed = DeployedFunction::new();
    for front in LambdaFront::ALL {
        for (name, value, status) in [
            ("X-Other", "a\r\nSet-Cookie: b", 400),
            ("X-Other", "\0", 400),
            ("X-Other", "\u{1b}[31m", 400),
            ("X-Other", "\u{7f}", 400),
            ("X-Other", "\u{85}é", 200),
            ("X-Other", "a\tb", 200),
            ("X-Other", "", 200),
            ("X Other", "a", 400),
            ("", "a", 400),
            ("X-Other\n", "a", 400),
            ("X-Other", &"a".repeat(20_000), 431),
            ("X-Other", &"a".repeat(1_000_000), 431),
            (&"x".repeat(20_000), "a", 431),
        ] {
            let mut event = genuine(front);
            set(&mut event, name, value);
            assert_eq!(
                deployed.answer(&event).await.status,
                status,
                "{front:?} {name:.20}: {value:.20}"
            );
        }
        let mut event = genuine(front);
        (0..40_000).for_each(|n| set(&mut event, &format!("x{n}"), ""));
        assert_eq!(
            deployed.answer(&event).await.status,
            431,
            "more than any map of headers holds"
        );
    }
}

#[tokio::test]
async fn fields_of_another_kind_are_refused() {
    let deployed = DeployedFunction::new();
    for front in LambdaFront::ALL {
        for (pointer, value) in [
            ("/headers", json!([])),
            ("/headers", json!({"host": 7})),
            ("/headers", json!({"host": null})),
            ("/headers", json!({"host": ["localhost"]})),
            ("/isBase64Encoded", json!("true")),
            ("/isBase64Encoded", json!(1)),
            ("/body", json!(7)),
            ("/body", json!({})),
            ("/body", json!(["x"])),
            ("/requestContext/stage", json!("a b")),
            ("/requestContext/stage", json!("a/../b")),
            ("/requestContext/stage", json!("a".repeat(70_000))),
            ("/requestContext/domainName", json!(7)),
        ] {
            let mut event = genuine(front);
            *event.pointer_mut(pointer).unwrap() = value.clone();
            let answer = deployed.answer(&event).await;
            let value = value.to_string();
            assert_eq!(
                (answer.status, answer.body.as_str()),
                (400, r#"{"error":"malformed"}"#),
                "{front:?} {pointer} {value:.30}"
            );
        }
        let (path, times) = match front {
            LambdaFront::Rest => ("/path", "/requestContext/requestTimeEpoch"),
            _ => ("/rawPath", "/requestContext/timeEpoch"),
        };
        for value in [json!(7), json!([]), json!({})] {
            let mut event = genuine(front);
            *event.pointer_mut(path).unwrap() = value;
            assert_eq!(
                deployed.answer(&event).await.status,
                400,
                "{front:?} {path}"
            );
        }
        let mut event = genuine(front);
        *event.pointer_mut(times).unwrap() = json!("soon");
        assert_eq!(
            deployed.answer(&event).await.status,
            400,
            "{front:?} {times}"
        );
        let mut event = genuine(front);
        event["body"] = serde_json::from_str(r#""x""#).unwrap();
        event["isBase64Encoded"] = json!(null);
        assert!([400, 401].contains(&deployed.answer(&event).await.status));
    }
}

/// A JSON string with half a surrogate pair, which a Rust string cannot contain.
#[tokio::test]
async fn half_a_surrogate_pair_in_an_invocation_is_refused() {
    let deployed = DeployedFunction::new();
    for front in LambdaFront::ALL {
        let text = genuine(front).to_string().replace("192.0.2.10", r"\ud800");
        let raw: Box<serde_json::value::RawValue> = serde_json::from_str(&text).unwrap();
        let invocation = pillarbox::lambda::Invocation {
            id: "r1".to_owned(),
            deadline: NOW.plus(std::time::Duration::from_secs(5)),
            trace_header: None,
        };
        let reply = deployed.function.handle(&raw, &invocation).await.unwrap();
        assert_eq!(serde_json::to_value(reply).unwrap()["statusCode"], 400);
    }
}
