//! Parses one HTTP/1.1 response from the bytes received so far. No I/O.

use std::time::Duration;

use httparse::{EMPTY_HEADER, Status};

use super::ExchangeOutcome;
use crate::Timestamp;

/// The part of a body that is kept. Senders ignore bodies; they are only displayed.
pub(super) const BODY_LIMIT: usize = 64 * 1024;
/// The largest head, and the largest overhead of a body's framing.
const FRAMING_LIMIT: usize = 64 * 1024;
const MAX_HEADERS: usize = 100;

/// A receiver's response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverResponse {
    /// The status code.
    pub status: u16,
    /// Names in lower case, in the order received.
    pub headers: Vec<(String, String)>,
    /// The first 64 KiB of the body, without chunk framing and not decompressed.
    pub body: Vec<u8>,
    /// Whether the body was longer.
    pub truncated: bool,
}

impl ReceiverResponse {
    #[cfg(test)]
    pub(super) fn new(status: u16, headers: &[(&str, String)], body: &str) -> Self {
        let headers = super::owned_headers(headers);
        Self {
            status,
            headers,
            body: body.as_bytes().to_vec(),
            truncated: false,
        }
    }

    /// The first header with this name, which must be in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The time that the receiver asks the sender to wait, in seconds or until a date. `None` if
    /// the header is missing or invalid, or the date has passed.
    pub fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        let text = self.header("retry-after")?;
        let wait = match text.parse::<u64>() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => {
                let until = jiff::fmt::rfc2822::DateTimeParser::new()
                    .parse_timestamp(text)
                    .ok()?;
                Timestamp::from_millis(until.as_millisecond()).since(now)
            }
        };
        (!wait.is_zero()).then_some(wait)
    }

    /// The properties that decide the sender's next action.
    pub fn outcome(&self, now: Timestamp) -> ExchangeOutcome {
        ExchangeOutcome::Answered {
            status: self.status,
            location: self.header("location").is_some(),
            retry_after: self.retry_after(now),
        }
    }
}

/// The progress of parsing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ParseProgress {
    /// More bytes are needed.
    Incomplete,
    /// The response is complete, or as much of it as is kept.
    Complete {
        response: ReceiverResponse,
        /// Whether the connection can carry another request.
        reusable: bool,
    },
}

/// The bytes are not a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResponseParseError {
    /// The bytes ended before the response was complete.
    Ended,
    /// The bytes are not HTTP.
    Garbled(&'static str),
}

struct ResponseHead {
    response: ReceiverResponse,
    keeps_alive: bool,
    length: usize,
}

enum BodyFraming {
    Nothing,
    Length(u64),
    Chunks,
    UntilClosed,
}

/// Parses the response to a request from all `bytes` received for it. `ended` means that no more
/// will follow. `to_head` means that the request was a HEAD: its response has no body, whatever
/// its headers say.
pub(super) fn parse(
    bytes: &[u8],
    ended: bool,
    to_head: bool,
) -> Result<ParseProgress, ResponseParseError> {
    let Some(ResponseHead {
        mut response,
        keeps_alive,
        length,
    }) = final_head(bytes)?
    else {
        return if ended {
            Err(ResponseParseError::Ended)
        } else {
            Ok(ParseProgress::Incomplete)
        };
    };
    let rest = &bytes[length..];
    let framing = if to_head {
        BodyFraming::Nothing
    } else {
        framing(&response)?
    };
    let closes = matches!(framing, BodyFraming::UntilClosed);
    let used = match framing {
        BodyFraming::Nothing => Some(0),
        BodyFraming::Length(length) => fixed(rest, length, &mut response),
        BodyFraming::Chunks => chunked(rest, &mut response)?,
        BodyFraming::UntilClosed => until_closed(rest, ended, &mut response),
    };
    match used {
        Some(used) => {
            // Bytes after the response belong to no request, so the connection is not reused.
            let reusable =
                keeps_alive && !closes && !ended && !response.truncated && used == rest.len();
            Ok(ParseProgress::Complete { response, reusable })
        }
        None if ended => Err(ResponseParseError::Garbled("the body ended early")),
        None => Ok(ParseProgress::Incomplete),
    }
}

/// The head of the final response. Interim responses (1xx) before it are skipped.
fn final_head(bytes: &[u8]) -> Result<Option<ResponseHead>, ResponseParseError> {
    let mut passed = 0;
    loop {
        match head(&bytes[passed..])? {
            Some(interim)
                if (100..200).contains(&interim.response.status)
                    && interim.response.status != 101 =>
            {
                passed += interim.length;
            }
            Some(head) => {
                return Ok(Some(ResponseHead {
                    length: passed + head.length,
                    ..head
                }));
            }
            None if bytes.len() > FRAMING_LIMIT => {
                return Err(ResponseParseError::Garbled("the headers never end"));
            }
            None => return Ok(None),
        }
    }
}

fn head(bytes: &[u8]) -> Result<Option<ResponseHead>, ResponseParseError> {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let length = match head.parse(bytes) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(ResponseParseError::Garbled("it has over 100 headers"));
        }
        Err(_) => {
            return Err(ResponseParseError::Garbled(
                "it does not start like HTTP/1.1",
            ));
        }
    };
    let headers: Vec<(String, String)> = (head.headers.iter())
        .map(|it| {
            (
                it.name.to_ascii_lowercase(),
                String::from_utf8_lossy(it.value).into_owned(),
            )
        })
        .collect();
    let status = head.code.unwrap_or_default();
    let response = ReceiverResponse {
        status,
        headers,
        body: Vec::new(),
        truncated: false,
    };
    let says_close = tokens(&response, "connection").any(|token| token == "close");
    Ok(Some(ResponseHead {
        keeps_alive: head.version == Some(1) && !says_close,
        response,
        length,
    }))
}

/// The comma-separated words of all headers with one name, in lower case.
fn tokens(response: &ReceiverResponse, name: &'static str) -> impl Iterator<Item = String> {
    let values = response
        .headers
        .iter()
        .filter(move |(known, _)| known == name);
    values
        .flat_map(|(_, value)| value.split(','))
        .map(|word| word.trim().to_ascii_lowercase())
}

fn framing(response: &ReceiverResponse) -> Result<BodyFraming, ResponseParseError> {
    if response.status < 200 || matches!(response.status, 204 | 304) {
        return Ok(BodyFraming::Nothing);
    }
    if let Some(last) = tokens(response, "transfer-encoding").last() {
        return Ok(if last == "chunked" {
            BodyFraming::Chunks
        } else {
            BodyFraming::UntilClosed
        });
    }
    let mut lengths = tokens(response, "content-length");
    let Some(length) = lengths.next() else {
        return Ok(BodyFraming::UntilClosed);
    };
    if lengths.any(|other| other != length) || !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ResponseParseError::Garbled(
            "its content-length is not a number",
        ));
    }
    length
        .parse()
        .map(BodyFraming::Length)
        .map_err(|_| ResponseParseError::Garbled("its content-length is not a number"))
}

/// Reads a body of known length. Returns the number of bytes used, or `None` if more are needed;
/// so do the functions below.
fn fixed(rest: &[u8], length: u64, response: &mut ReceiverResponse) -> Option<usize> {
    let kept = usize::try_from(length).map_or(BODY_LIMIT, |length| length.min(BODY_LIMIT));
    response.body = rest.get(..kept)?.to_vec();
    response.truncated = length > kept as u64;
    Some(kept)
}

fn until_closed(rest: &[u8], ended: bool, response: &mut ReceiverResponse) -> Option<usize> {
    response.truncated = rest.len() > BODY_LIMIT;
    response.body = rest[..rest.len().min(BODY_LIMIT)].to_vec();
    (ended || response.truncated).then_some(rest.len())
}

fn chunked(
    rest: &[u8],
    response: &mut ReceiverResponse,
) -> Result<Option<usize>, ResponseParseError> {
    let mut at = 0;
    loop {
        let size = match httparse::parse_chunk_size(&rest[at..]) {
            Ok(Status::Complete((start, size))) => {
                at += start;
                size
            }
            Ok(Status::Partial) if rest.len() > BODY_LIMIT + FRAMING_LIMIT => {
                return Err(ResponseParseError::Garbled("its chunks never end"));
            }
            Ok(Status::Partial) => return Ok(None),
            Err(_) => return Err(ResponseParseError::Garbled("a chunk has no size")),
        };
        if size == 0 {
            return trailers(&rest[at..]).map(|used| used.map(|used| at + used));
        }
        let room = BODY_LIMIT - response.body.len();
        if size > room as u64 {
            response.truncated = true;
            let Some(last) = rest.get(at..at + room) else {
                return Ok(None);
            };
            response.body.extend_from_slice(last);
            return Ok(Some(at + room));
        }
        // Below 64 KiB, so it fits.
        let size = size as usize;
        let Some(chunk) = rest.get(at..at + size) else {
            return Ok(None);
        };
        response.body.extend_from_slice(chunk);
        at += size;
        match rest[at..].first_chunk() {
            Some(b"\r\n") => at += 2,
            Some(_) => {
                return Err(ResponseParseError::Garbled(
                    "a chunk is longer than it says",
                ));
            }
            None => return Ok(None),
        }
    }
}

/// Reads what follows the last chunk, up to the empty line.
fn trailers(rest: &[u8]) -> Result<Option<usize>, ResponseParseError> {
    match httparse::parse_headers(rest, &mut [EMPTY_HEADER; MAX_HEADERS]) {
        Ok(Status::Complete((used, _))) => Ok(Some(used)),
        Ok(Status::Partial) if rest.len() <= FRAMING_LIMIT => Ok(None),
        _ => Err(ResponseParseError::Garbled("its trailers are invalid")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The status, the body, whether it was truncated, and whether the connection can be reused.
    type ParsedResponse = (u16, Vec<u8>, bool, bool);

    fn complete(bytes: &[u8], ended: bool) -> Result<Option<ParsedResponse>, ResponseParseError> {
        Ok(match parse(bytes, ended, false)? {
            ParseProgress::Incomplete => None,
            ParseProgress::Complete { response, reusable } => {
                Some((response.status, response.body, response.truncated, reusable))
            }
        })
    }

    const COMPLETE: [(&str, u16, &str, bool); 12] = [
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
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", 101, "", true),
    ];

    #[test]
    fn a_response_is_complete_where_its_framing_ends() {
        for (bytes, status, body, reusable) in COMPLETE {
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
    fn the_response_to_a_head_has_no_body_whatever_its_headers_say() {
        let bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
        assert_eq!(parse(bytes, false, false), Ok(ParseProgress::Incomplete));
        assert!(matches!(
            parse(bytes, false, true),
            Ok(ParseProgress::Complete { reusable: true, .. })
        ));
    }

    #[test]
    fn each_invalid_response_has_its_own_error() {
        use ResponseParseError::{Ended, Garbled};
        for (bytes, ended, expected) in [
            ("", true, Ended),
            ("HTTP/1.1 200 OK\r\ncontent-le", true, Ended),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok",
                true,
                Garbled("the body ended early"),
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok",
                true,
                Garbled("the body ended early"),
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
                Garbled("a chunk is longer than it says"),
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
    fn at_most_64_kib_of_a_body_are_kept() {
        let long = "x".repeat(BODY_LIMIT + 1);
        for head in [
            format!("content-length: {}\r\n\r\n", long.len()),
            "content-length: 18446744073709551615\r\n\r\n".to_owned(),
            format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n", long.len()),
            "\r\n".to_owned(),
        ] {
            let bytes = format!("HTTP/1.1 200 OK\r\n{head}{long}");
            let (status, body, truncated, reusable) =
                complete(bytes.as_bytes(), false).unwrap().unwrap();
            assert_eq!(
                (status, body.len(), truncated, reusable),
                (200, BODY_LIMIT, true, false),
                "{head}"
            );
        }
        let exact = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {BODY_LIMIT}\r\n\r\n{}",
            "x".repeat(BODY_LIMIT)
        );
        let (_, _, truncated, reusable) = complete(exact.as_bytes(), false).unwrap().unwrap();
        assert_eq!((truncated, reusable), (false, true));
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
                response.outcome(now),
                ExchangeOutcome::Answered {
                    status: 503,
                    location: false,
                    retry_after: expected
                }
            );
        }
    }
}
