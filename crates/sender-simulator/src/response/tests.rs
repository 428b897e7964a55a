use super::*;

/// The status, the body, whether it was truncated, and whether the connection can be reused.
type ResponseOutline = (u16, Vec<u8>, bool, bool);

fn complete(bytes: &[u8], ended: bool) -> Result<Option<ResponseOutline>, ResponseParseError> {
    parsed(ParseRules::default(), bytes, ended)
}

fn parsed(
    rules: ParseRules,
    bytes: &[u8],
    ended: bool,
) -> Result<Option<ResponseOutline>, ResponseParseError> {
    let mut parser = ResponseParser::new(rules);
    parser.received.extend_from_slice(bytes);
    let parsed = parser.advance(ended)?;
    Ok(parsed.map(|ParsedResponse { response, reusable }| {
        (response.status, response.body, response.truncated, reusable)
    }))
}

const WHOLE: [(&str, u16, &str, bool); 12] = [
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        200,
        "ok",
        true,
    ),
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok",
        200,
        "ok",
        true,
    ),
    (
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: Close\r\n\r\nok",
        200,
        "ok",
        false,
    ),
    (
        "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        200,
        "ok",
        false,
    ),
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok and more",
        200,
        "ok",
        false,
    ),
    ("HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n", 200, "", true),
    ("HTTP/1.1 204 No Content\r\n\r\n", 204, "", true),
    (
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n",
        304,
        "",
        true,
    ),
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: \
             chunked\r\n\r\n2;x=y\r\nok\r\nA\r\n0123456789\r\n0\r\n\r\n",
        200,
        "ok0123456789",
        true,
    ),
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nchecksum: \
             1\r\n\r\n",
        200,
        "x",
        true,
    ),
    (
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n",
        503,
        "",
        true,
    ),
    ("HTTP/1.1 101 Switching Protocols\r\n\r\n", 101, "", false),
];

#[test]
fn a_response_is_complete_where_its_framing_ends() {
    for (bytes, status, body, reusable) in WHOLE {
        let expected = Ok(Some((status, body.as_bytes().to_vec(), false, reusable)));
        assert_eq!(complete(bytes.as_bytes(), false), expected, "{bytes}");
        for cut in 0..bytes.find(" and more").unwrap_or(bytes.len()) {
            assert_eq!(
                complete(&bytes.as_bytes()[..cut], false),
                Ok(None),
                "{cut} bytes of {bytes}"
            );
        }
    }
}

#[test]
fn a_body_without_a_length_ends_with_the_connection() {
    for bytes in [
        "HTTP/1.1 200 OK\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nok",
    ] {
        assert_eq!(complete(bytes.as_bytes(), false), Ok(None));
        assert_eq!(
            complete(bytes.as_bytes(), true),
            Ok(Some((200, b"ok".to_vec(), false, false)))
        );
    }
}

#[test]
fn the_response_to_a_head_has_no_body_even_if_its_headers_announce_one() {
    let bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
    assert_eq!(complete(bytes, false), Ok(None));
    let rules = ParseRules {
        to_head: true,
        ..ParseRules::default()
    };
    let expected = Ok(Some((200, Vec::new(), false, true)));
    assert_eq!(parsed(rules, bytes, false), expected);
}

#[test]
fn an_interim_response_is_skipped_unless_the_client_takes_it_for_the_final_one() {
    let rules = ParseRules {
        interim_is_final: true,
        ..ParseRules::default()
    };
    let then_200 = |interim: &str| {
        format!("HTTP/1.1 {interim}\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    };
    for (interim, skipped, taken) in [
        ("100 Continue", 200, 200),
        ("102 Processing", 200, 102),
        ("103 Early Hints", 200, 103),
    ] {
        let bytes = then_200(interim);
        for (rules, status) in [(ParseRules::default(), skipped), (rules, taken)] {
            let expected = Ok(Some((status, Vec::new(), false, status == 200)));
            assert_eq!(
                parsed(rules, bytes.as_bytes(), false),
                expected,
                "{interim}"
            );
        }
    }
}

#[test]
fn keep_alive_is_a_number_of_seconds_above_zero() {
    for (value, expected) in [
        ("timeout=2, max=100", Some(2)),
        ("max=100, Timeout=30", Some(30)),
        ("timeout=0", None),
        ("timeout=soon", None),
        ("max=100", None),
    ] {
        let response = ReceiverResponse::new(200, &[("keep-alive", value.to_owned())], "");
        let expected = expected.map(Duration::from_secs);
        assert_eq!(response.keep_alive(), expected, "{value}");
    }
}

#[test]
fn only_an_encoding_of_a_body_that_pays_client_cannot_decode_is_unknown() {
    for (status, headers, expected) in [
        (200, &[("content-encoding", "br")][..], Some("br")),
        (200, &[("content-encoding", "gzip, zstd")], Some("zstd")),
        (503, &[("content-encoding", "BR")], Some("br")),
        (200, &[("content-encoding", "gzip")], None),
        (
            200,
            &[("content-encoding", "X-GZIP, deflate, identity")],
            None,
        ),
        (200, &[("content-encoding", "")], None),
        (
            200,
            &[("content-encoding", "br"), ("content-length", "0")],
            None,
        ),
        (204, &[("content-encoding", "br")], None),
        (200, &[], None),
    ] {
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        let response = ReceiverResponse::new(status, &headers, "");
        let unknown = response.unknown_encoding();
        assert_eq!(unknown.as_deref(), expected, "{status} {headers:?}");
        for sender in Sender::ALL {
            let is_failure = sender == Sender::GovukPay && expected.is_some();
            assert_eq!(
                response.outcome(sender, Timestamp::from_millis(0)),
                ExchangeOutcome::Answered {
                    status,
                    location: false,
                    retry_after: None,
                    unknown_encoding: is_failure,
                }
            );
        }
    }
}

#[test]
fn each_invalid_response_has_a_separate_error() {
    use ResponseParseError::{BodyCutShort, Ended, Garbled};
    for (bytes, ended, expected) in [
        ("", true, Ended),
        ("HTTP/1.1 100 Continue\r\n\r\n", true, Ended),
        (
            "HTTP/1.1 200 OK\r\ncontent-le",
            true,
            Garbled("its headers end early"),
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok",
            true,
            BodyCutShort,
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok",
            true,
            BodyCutShort,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nok",
            false,
            Garbled("its content-length is not a number"),
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: +3\r\n\r\nok",
            false,
            Garbled("its content-length is not a number"),
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            false,
            Garbled("a chunk has no size"),
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nokay",
            false,
            Garbled("a chunk is longer than its size"),
        ),
        (
            "SSH-2.0-OpenSSH_9.6\r\n",
            false,
            Garbled("it does not start like HTTP/1.1"),
        ),
        (
            "\u{15}\u{3}\u{1}",
            false,
            Garbled("it does not start like HTTP/1.1"),
        ),
    ] {
        assert_eq!(complete(bytes.as_bytes(), ended), Err(expected), "{bytes}");
    }
}

#[test]
fn a_long_body_is_read_to_its_end_and_at_most_64_kib_are_kept() {
    let long = "x".repeat(BODY_LIMIT + 1);
    for (head, end) in [
        (format!("content-length: {}\r\n\r\n", long.len()), ""),
        (
            format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n", long.len()),
            "\r\n0\r\n\r\n",
        ),
    ] {
        let bytes = format!("HTTP/1.1 200 OK\r\n{head}{long}{end}");
        let expected = Ok(Some((200, long.as_bytes()[1..].to_vec(), true, true)));
        assert_eq!(complete(bytes.as_bytes(), false), expected, "{head}");
        let cut = &bytes.as_bytes()[..bytes.len() - 1];
        assert_eq!(complete(cut, false), Ok(None), "{head}");
        let expected = Err(ResponseParseError::BodyCutShort);
        assert_eq!(complete(cut, true), expected, "{head}");
    }
    let unframed = format!("HTTP/1.1 200 OK\r\n\r\n{long}");
    let expected = Ok(Some((200, long.as_bytes()[1..].to_vec(), true, false)));
    assert_eq!(complete(unframed.as_bytes(), true), expected);
    let exact = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {BODY_LIMIT}\r\n\r\n{}",
        "x".repeat(BODY_LIMIT)
    );
    let (_, _, truncated, reusable) = complete(exact.as_bytes(), false).unwrap().unwrap();
    assert_eq!((truncated, reusable), (false, true));
}

#[test]
fn a_response_may_arrive_byte_by_byte() {
    for (bytes, status, body, _) in WHOLE {
        let mut parser = ResponseParser::new(ParseRules::default());
        let mut complete = None;
        for byte in bytes.trim_end_matches(" and more").bytes() {
            assert_eq!(complete, None, "{bytes}");
            parser.received.push(byte);
            complete = parser.advance(false).unwrap();
        }
        let response = complete.unwrap().response;
        assert_eq!(
            (response.status, response.body),
            (status, body.as_bytes().to_vec())
        );
    }
}

#[test]
fn an_endless_head_or_framing_is_refused() {
    let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(FRAMING_LIMIT));
    assert_eq!(
        complete(endless.as_bytes(), false),
        Err(ResponseParseError::Garbled("the headers never end"))
    );
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(101));
    assert_eq!(
        complete(many.as_bytes(), false),
        Err(ResponseParseError::Garbled("it has over 100 headers"))
    );
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = format!("{head}1;{}", "y".repeat(BODY_LIMIT + FRAMING_LIMIT));
    assert_eq!(
        complete(chunk.as_bytes(), false),
        Err(ResponseParseError::Garbled("its chunks never end"))
    );
}

#[test]
fn retry_after_is_in_seconds_or_a_date() {
    let now = Timestamp::from_millis(784_111_777_000); // 6 November 1994, 08:49:37 UTC
    for (value, expected) in [
        ("8", Some(Duration::from_secs(8))),
        (
            "Sun, 06 Nov 1994 08:49:47 GMT",
            Some(Duration::from_secs(10)),
        ),
        ("Sun, 06 Nov 1994 08:49:27 GMT", None),
        ("0", None),
        ("-5", None),
        ("soon", None),
    ] {
        let headers = vec![("retry-after".to_owned(), value.to_owned())];
        let response = ReceiverResponse {
            status: 503,
            headers,
            body: Vec::new(),
            truncated: false,
        };
        assert_eq!(response.retry_after(now), expected, "{value}");
        assert_eq!(
            response.outcome(Sender::GovukPay, now),
            ExchangeOutcome::Answered {
                status: 503,
                location: false,
                retry_after: expected,
                unknown_encoding: false,
            }
        );
    }
}
