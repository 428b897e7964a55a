//! Reading one HTTP/1.1 answer out of the bytes that have come so far. No I/O.

use std::time::Duration;

use httparse::{EMPTY_HEADER, Status};

use super::Outcome;
use crate::Timestamp;

/// How much of a body is kept; senders ignore bodies, people only look at them.
pub(super) const BODY_LIMIT: usize = 64 * 1024;
/// How much a head may hold, and how much the framing of a body may add to it.
const FRAMING_LIMIT: usize = 64 * 1024;
const MOST_HEADERS: usize = 100;

/// What a receiver answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Names in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
    /// The body's first 64 KiB, freed from its chunks; still compressed if it came so.
    pub body: Vec<u8>,
    /// Whether there was more.
    pub truncated: bool,
}

impl Answer {
    /// The first header of this name, which is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// How long the receiver asks to wait, in seconds or until a date; not at all if that has passed.
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

    /// What the sender makes its decision by.
    pub fn outcome(&self, now: Timestamp) -> Outcome {
        Outcome::Answered {
            status: self.status,
            location: self.header("location").is_some(),
            retry_after: self.retry_after(now),
        }
    }
}

/// How far reading has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More bytes are needed.
    More,
    /// The answer is whole, or as much of it as is kept.
    Whole {
        answer: Answer,
        /// Whether another request may follow on this connection.
        reusable: bool,
    },
}

/// Why bytes are no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// They ended before an answer was whole.
    Ended,
    /// They are not HTTP.
    Garbled(&'static str),
}

struct Head {
    answer: Answer,
    keeps_alive: bool,
    length: usize,
}

enum Framing {
    Nothing,
    Length(u64),
    Chunks,
    UntilClosed,
}

/// Reads the answer to a request from all `bytes` that came for it; `ended` says that no more will.
/// `to_head` says that the request was a HEAD, whose answer has no body whatever its headers say.
pub(super) fn read(bytes: &[u8], ended: bool, to_head: bool) -> Result<Progress, Fault> {
    let Some(Head {
        mut answer,
        keeps_alive,
        length,
    }) = final_head(bytes)?
    else {
        return if ended {
            Err(Fault::Ended)
        } else {
            Ok(Progress::More)
        };
    };
    let rest = &bytes[length..];
    let framing = if to_head {
        Framing::Nothing
    } else {
        framing(&answer)?
    };
    let closes = matches!(framing, Framing::UntilClosed);
    let used = match framing {
        Framing::Nothing => Some(0),
        Framing::Length(length) => fixed(rest, length, &mut answer),
        Framing::Chunks => chunked(rest, &mut answer)?,
        Framing::UntilClosed => until_closed(rest, ended, &mut answer),
    };
    match used {
        Some(used) => {
            // Bytes after the answer belong to nothing that was asked: such a connection is spoiled.
            let reusable =
                keeps_alive && !closes && !ended && !answer.truncated && used == rest.len();
            Ok(Progress::Whole { answer, reusable })
        }
        None if ended => Err(Fault::Garbled("the body ended early")),
        None => Ok(Progress::More),
    }
}

/// The head of the final answer; interim ones (1xx) before it are passed over.
fn final_head(bytes: &[u8]) -> Result<Option<Head>, Fault> {
    let mut passed = 0;
    loop {
        match head(&bytes[passed..])? {
            Some(interim)
                if (100..200).contains(&interim.answer.status) && interim.answer.status != 101 =>
            {
                passed += interim.length;
            }
            Some(head) => {
                return Ok(Some(Head {
                    length: passed + head.length,
                    ..head
                }));
            }
            None if bytes.len() > FRAMING_LIMIT => {
                return Err(Fault::Garbled("the headers never end"));
            }
            None => return Ok(None),
        }
    }
}

fn head(bytes: &[u8]) -> Result<Option<Head>, Fault> {
    let mut headers = [EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(bytes) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Fault::Garbled("it has over 100 headers"));
        }
        Err(_) => return Err(Fault::Garbled("it does not start like HTTP/1.1")),
    };
    let headers: Vec<(String, String)> = (response.headers.iter())
        .map(|it| {
            (
                it.name.to_ascii_lowercase(),
                String::from_utf8_lossy(it.value).into_owned(),
            )
        })
        .collect();
    let status = response.code.unwrap_or_default();
    let answer = Answer {
        status,
        headers,
        body: Vec::new(),
        truncated: false,
    };
    let says_close = tokens(&answer, "connection").any(|token| token == "close");
    Ok(Some(Head {
        keeps_alive: response.version == Some(1) && !says_close,
        answer,
        length,
    }))
}

/// The comma-separated words of all headers of one name, in lower case.
fn tokens(answer: &Answer, name: &'static str) -> impl Iterator<Item = String> {
    let values = answer
        .headers
        .iter()
        .filter(move |(known, _)| known == name);
    values
        .flat_map(|(_, value)| value.split(','))
        .map(|word| word.trim().to_ascii_lowercase())
}

fn framing(answer: &Answer) -> Result<Framing, Fault> {
    if answer.status < 200 || matches!(answer.status, 204 | 304) {
        return Ok(Framing::Nothing);
    }
    if let Some(last) = tokens(answer, "transfer-encoding").last() {
        return Ok(if last == "chunked" {
            Framing::Chunks
        } else {
            Framing::UntilClosed
        });
    }
    let mut lengths = tokens(answer, "content-length");
    let Some(length) = lengths.next() else {
        return Ok(Framing::UntilClosed);
    };
    if lengths.any(|other| other != length) || !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::Garbled("its content-length is no number"));
    }
    length
        .parse()
        .map(Framing::Length)
        .map_err(|_| Fault::Garbled("its content-length is no number"))
}

/// A body of known length. Like its siblings below: how much was used, or `None` while more is needed.
fn fixed(rest: &[u8], length: u64, answer: &mut Answer) -> Option<usize> {
    let kept = usize::try_from(length).map_or(BODY_LIMIT, |length| length.min(BODY_LIMIT));
    answer.body = rest.get(..kept)?.to_vec();
    answer.truncated = length > kept as u64;
    Some(kept)
}

fn until_closed(rest: &[u8], ended: bool, answer: &mut Answer) -> Option<usize> {
    answer.truncated = rest.len() > BODY_LIMIT;
    answer.body = rest[..rest.len().min(BODY_LIMIT)].to_vec();
    (ended || answer.truncated).then_some(rest.len())
}

fn chunked(rest: &[u8], answer: &mut Answer) -> Result<Option<usize>, Fault> {
    let mut at = 0;
    loop {
        let size = match httparse::parse_chunk_size(&rest[at..]) {
            Ok(Status::Complete((start, size))) => {
                at += start;
                size
            }
            Ok(Status::Partial) if rest.len() > BODY_LIMIT + FRAMING_LIMIT => {
                return Err(Fault::Garbled("its chunks never end"));
            }
            Ok(Status::Partial) => return Ok(None),
            Err(_) => return Err(Fault::Garbled("a chunk has no size")),
        };
        if size == 0 {
            return trailers(&rest[at..]).map(|used| used.map(|used| at + used));
        }
        let room = BODY_LIMIT - answer.body.len();
        if size > room as u64 {
            answer.truncated = true;
            let Some(last) = rest.get(at..at + room) else {
                return Ok(None);
            };
            answer.body.extend_from_slice(last);
            return Ok(Some(at + room));
        }
        // It fits in what is left of 64 KiB.
        let size = size as usize;
        let Some(chunk) = rest.get(at..at + size) else {
            return Ok(None);
        };
        answer.body.extend_from_slice(chunk);
        at += size;
        match rest[at..].first_chunk() {
            Some(b"\r\n") => at += 2,
            Some(_) => return Err(Fault::Garbled("a chunk is longer than it says")),
            None => return Ok(None),
        }
    }
}

/// What follows the last chunk, up to the empty line.
fn trailers(rest: &[u8]) -> Result<Option<usize>, Fault> {
    match httparse::parse_headers(rest, &mut [EMPTY_HEADER; MOST_HEADERS]) {
        Ok(Status::Complete((used, _))) => Ok(Some(used)),
        Ok(Status::Partial) if rest.len() <= FRAMING_LIMIT => Ok(None),
        _ => Err(Fault::Garbled("its trailers are none")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The status, the body, whether it was cut, and whether the connection is fit for more.
    type Read = (u16, Vec<u8>, bool, bool);

    fn whole(bytes: &[u8], ended: bool) -> Result<Option<Read>, Fault> {
        Ok(match read(bytes, ended, false)? {
            Progress::More => None,
            Progress::Whole { answer, reusable } => {
                Some((answer.status, answer.body, answer.truncated, reusable))
            }
        })
    }

    #[test]
    fn an_answer_is_whole_where_its_framing_ends() {
        for (bytes, status, body, reusable) in [
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
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nok\r\nA\r\n0123456789\r\n0\r\n\r\n",
                200,
                "ok0123456789",
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nchecksum: 1\r\n\r\n",
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
        ] {
            let expected = Ok(Some((status, body.as_bytes().to_vec(), false, reusable)));
            assert_eq!(whole(bytes.as_bytes(), false), expected, "{bytes}");
            for cut in 0..bytes.find(" and more").unwrap_or(bytes.len()) {
                assert_eq!(
                    whole(&bytes.as_bytes()[..cut], false),
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
            assert_eq!(whole(bytes.as_bytes(), false), Ok(None));
            assert_eq!(
                whole(bytes.as_bytes(), true),
                Ok(Some((200, b"ok".to_vec(), false, false)))
            );
        }
    }

    #[test]
    fn the_answer_to_a_head_has_no_body_whatever_it_says() {
        let bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
        assert_eq!(read(bytes, false, false), Ok(Progress::More));
        assert!(matches!(
            read(bytes, false, true),
            Ok(Progress::Whole { reusable: true, .. })
        ));
    }

    #[test]
    fn what_is_no_answer_is_named() {
        let garbled = |why| Err(Fault::Garbled(why));
        for (bytes, ended, expected) in [
            ("", true, Err(Fault::Ended)),
            ("HTTP/1.1 200 OK\r\ncontent-le", true, Err(Fault::Ended)),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok",
                true,
                garbled("the body ended early"),
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok",
                true,
                garbled("the body ended early"),
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nok",
                false,
                garbled("its content-length is no number"),
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: +3\r\n\r\nok",
                false,
                garbled("its content-length is no number"),
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
                false,
                garbled("a chunk has no size"),
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nokay",
                false,
                garbled("a chunk is longer than it says"),
            ),
            (
                "SSH-2.0-OpenSSH_9.6\r\n",
                false,
                garbled("it does not start like HTTP/1.1"),
            ),
            (
                "\u{15}\u{3}\u{1}",
                false,
                garbled("it does not start like HTTP/1.1"),
            ),
        ] {
            assert_eq!(whole(bytes.as_bytes(), ended), expected, "{bytes}");
        }
    }

    #[test]
    fn no_more_than_64_kib_of_a_body_is_kept() {
        let long = "x".repeat(BODY_LIMIT + 1);
        for head in [
            format!("content-length: {}\r\n\r\n", long.len()),
            "content-length: 18446744073709551615\r\n\r\n".to_owned(),
            format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n", long.len()),
            "\r\n".to_owned(),
        ] {
            let bytes = format!("HTTP/1.1 200 OK\r\n{head}{long}");
            let (status, body, truncated, reusable) =
                whole(bytes.as_bytes(), false).unwrap().unwrap();
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
        let (_, _, truncated, reusable) = whole(exact.as_bytes(), false).unwrap().unwrap();
        assert_eq!((truncated, reusable), (false, true));
    }

    #[test]
    fn a_head_or_a_framing_without_end_is_given_up_on() {
        let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(FRAMING_LIMIT));
        assert_eq!(
            whole(endless.as_bytes(), false),
            Err(Fault::Garbled("the headers never end"))
        );
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(101));
        assert_eq!(
            whole(many.as_bytes(), false),
            Err(Fault::Garbled("it has over 100 headers"))
        );
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let chunk = format!("{head}1;{}", "y".repeat(BODY_LIMIT + FRAMING_LIMIT));
        assert_eq!(
            whole(chunk.as_bytes(), false),
            Err(Fault::Garbled("its chunks never end"))
        );
    }

    #[test]
    fn waiting_is_asked_for_in_seconds_or_until_a_date() {
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
            let answer = Answer {
                status: 503,
                headers,
                body: Vec::new(),
                truncated: false,
            };
            assert_eq!(answer.retry_after(now), expected, "{value}");
            assert_eq!(
                answer.outcome(now),
                Outcome::Answered {
                    status: 503,
                    location: false,
                    retry_after: expected
                }
            );
        }
    }
}
