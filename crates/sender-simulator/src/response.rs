//! Parses one HTTP/1.1 response, part by part as its bytes arrive. No I/O.

use std::time::Duration;

use httparse::{EMPTY_HEADER, Status};

use super::{ExchangeOutcome, Sender, date};
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

    /// The wait that the receiver requests, in seconds or until a date. `None` if the header is
    /// missing or invalid, or the date has passed.
    pub fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        let text = self.header("retry-after")?;
        let wait = match text.parse::<u64>() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => date::parse(text)?.since(now),
        };
        (!wait.is_zero()).then_some(wait)
    }

    /// The properties that decide the next action of `sender`.
    pub fn outcome(&self, sender: Sender, now: Timestamp) -> ExchangeOutcome {
        ExchangeOutcome::Answered {
            status: self.status,
            location: self.header("location").is_some(),
            retry_after: self.retry_after(now),
            unknown_encoding: sender == Sender::GovukPay && self.unknown_encoding().is_some(),
        }
    }

    /// The `timeout` in `Keep-Alive`, if it is above zero.
    pub(super) fn keep_alive(&self) -> Option<Duration> {
        let mut seconds = tokens(self, "keep-alive")
            .filter_map(|word| word.strip_prefix("timeout=")?.trim().parse().ok());
        seconds.next().filter(|n| *n > 0).map(Duration::from_secs)
    }

    /// A content encoding of the body that Pay's client cannot decode.
    pub(super) fn unknown_encoding(&self) -> Option<String> {
        const DECODED: [&str; 4] = ["gzip", "x-gzip", "deflate", "identity"];
        let is_empty = matches!(self.status, 204 | 304)
            || tokens(self, "content-length").any(|length| length == "0");
        let is_unknown =
            |name: &String| !name.is_empty() && !DECODED.iter().any(|known| known == name);
        tokens(self, "content-encoding").find(|name| !is_empty && is_unknown(name))
    }
}

/// A complete response.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ParsedResponse {
    pub(super) response: ReceiverResponse,
    /// Whether the connection can carry another request.
    pub(super) reusable: bool,
}

/// The bytes are not a complete response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResponseParseError {
    /// The connection ended before the first byte.
    Ended,
    /// The connection ended within the body.
    BodyCutShort,
    /// The bytes are not HTTP.
    Garbled(&'static str),
}

/// The properties of a request and its client that the parser depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ParseRules {
    /// The request was a HEAD: its response has no body, even if its headers announce one.
    pub(super) to_head: bool,
    /// An interim response (1xx) other than 100 counts as the final one.
    pub(super) interim_is_final: bool,
}

/// Parses the response to one request. The whole body is consumed, as the senders' clients do, and
/// only its beginning is kept.
pub(super) struct ResponseParser {
    rules: ParseRules,
    /// Bytes that were received and not yet parsed.
    pub(super) received: Vec<u8>,
    head: Option<ResponseHead>,
    body: BodyPosition,
}

struct ResponseHead {
    response: ReceiverResponse,
    keeps_alive: bool,
    /// The length of the head in bytes.
    length: usize,
}

/// The position in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyPosition {
    /// This many bytes are left.
    Length(u64),
    UntilClosed,
    ChunkSize,
    /// This many bytes of a chunk are left.
    ChunkData(u64),
    ChunkEnd,
    Trailers,
}

/// There is no body, or it is complete.
const COMPLETE: BodyPosition = BodyPosition::Length(0);

impl ResponseParser {
    pub(super) fn new(rules: ParseRules) -> Self {
        Self {
            rules,
            received: Vec::new(),
            head: None,
            body: COMPLETE,
        }
    }

    /// Parses the received bytes. `ended` means that no more will follow. Returns `None` if more
    /// bytes are needed.
    pub(super) fn advance(
        &mut self,
        ended: bool,
    ) -> Result<Option<ParsedResponse>, ResponseParseError> {
        if self.head.is_none() && !self.read_head()? {
            return match (ended, self.received.is_empty()) {
                (false, _) => Ok(None),
                (true, true) => Err(ResponseParseError::Ended),
                (true, false) => Err(ResponseParseError::Garbled("its headers end early")),
            };
        }
        while self.body != COMPLETE && self.read_body()? {}
        let until_closed = self.body == BodyPosition::UntilClosed;
        match (self.body == COMPLETE || (until_closed && ended), ended) {
            (true, _) => Ok(self.head.take().map(|head| {
                // Bytes after the response belong to no request, so the connection is not reused.
                let is_last = self.received.is_empty() && head.response.status >= 200;
                ParsedResponse {
                    reusable: head.keeps_alive && !ended && is_last,
                    response: head.response,
                }
            })),
            (false, true) => Err(ResponseParseError::BodyCutShort),
            (false, false) => Ok(None),
        }
    }

    /// Reads the head of the final response, and skips interim ones before it.
    fn read_head(&mut self) -> Result<bool, ResponseParseError> {
        while let Some(head) = head(&self.received)? {
            self.received.drain(..head.length);
            if !self.is_interim(head.response.status) {
                self.body = if self.rules.to_head {
                    COMPLETE
                } else {
                    body_position(&head.response)?
                };
                self.head = Some(head);
                return Ok(true);
            }
        }
        if self.received.len() > FRAMING_LIMIT {
            return Err(ResponseParseError::Garbled("the headers never end"));
        }
        Ok(false)
    }

    fn is_interim(&self, status: u16) -> bool {
        match status {
            100 => true,
            101 => false,
            status => status < 200 && !self.rules.interim_is_final,
        }
    }

    /// Reads one part of the body. Returns whether there was a whole part.
    fn read_body(&mut self) -> Result<bool, ResponseParseError> {
        match self.body {
            BodyPosition::Length(left) => {
                let used = self.keep(left);
                self.body = BodyPosition::Length(left - used);
                Ok(used > 0)
            }
            BodyPosition::UntilClosed => Ok(self.keep(u64::MAX) > 0),
            BodyPosition::ChunkData(0) => {
                self.body = BodyPosition::ChunkEnd;
                Ok(true)
            }
            BodyPosition::ChunkData(left) => {
                let used = self.keep(left);
                self.body = BodyPosition::ChunkData(left - used);
                Ok(used > 0)
            }
            BodyPosition::ChunkSize => self.read_chunk_size(),
            BodyPosition::ChunkEnd => match self.received.first_chunk() {
                Some(b"\r\n") => Ok(self.skip(2, BodyPosition::ChunkSize)),
                Some(_) => Err(ResponseParseError::Garbled(
                    "a chunk is longer than its size",
                )),
                None => Ok(false),
            },
            BodyPosition::Trailers => self.read_trailers(),
        }
    }

    fn read_chunk_size(&mut self) -> Result<bool, ResponseParseError> {
        match httparse::parse_chunk_size(&self.received) {
            Ok(Status::Complete((start, 0))) => Ok(self.skip(start, BodyPosition::Trailers)),
            Ok(Status::Complete((start, size))) => {
                Ok(self.skip(start, BodyPosition::ChunkData(size)))
            }
            Ok(Status::Partial) if self.received.len() > FRAMING_LIMIT => {
                Err(ResponseParseError::Garbled("its chunks never end"))
            }
            Ok(Status::Partial) => Ok(false),
            Err(_) => Err(ResponseParseError::Garbled("a chunk has no size")),
        }
    }

    /// Reads the trailers after the last chunk, up to the empty line.
    fn read_trailers(&mut self) -> Result<bool, ResponseParseError> {
        match httparse::parse_headers(&self.received, &mut [EMPTY_HEADER; MAX_HEADERS]) {
            Ok(Status::Complete((used, _))) => Ok(self.skip(used, COMPLETE)),
            Ok(Status::Partial) if self.received.len() <= FRAMING_LIMIT => Ok(false),
            _ => Err(ResponseParseError::Garbled("its trailers are invalid")),
        }
    }

    /// Skips bytes of the framing, and goes to the next position.
    fn skip(&mut self, bytes: usize, next: BodyPosition) -> bool {
        self.received.drain(..bytes);
        self.body = next;
        true
    }

    /// Takes up to `at_most` bytes of the body, and returns how many there were.
    fn keep(&mut self, at_most: u64) -> u64 {
        let used = usize::try_from(at_most).map_or(self.received.len(), |at_most| {
            at_most.min(self.received.len())
        });
        if let Some(head) = &mut self.head {
            let response = &mut head.response;
            let kept = used.min(BODY_LIMIT - response.body.len());
            response.body.extend_from_slice(&self.received[..kept]);
            response.truncated |= kept < used;
        }
        self.received.drain(..used);
        used as u64
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

/// The position at the beginning of a body.
fn body_position(response: &ReceiverResponse) -> Result<BodyPosition, ResponseParseError> {
    if response.status < 200 || matches!(response.status, 204 | 304) {
        return Ok(COMPLETE);
    }
    if let Some(last) = tokens(response, "transfer-encoding").last() {
        return Ok(if last == "chunked" {
            BodyPosition::ChunkSize
        } else {
            BodyPosition::UntilClosed
        });
    }
    let mut lengths = tokens(response, "content-length");
    let Some(length) = lengths.next() else {
        return Ok(BodyPosition::UntilClosed);
    };
    let invalid = ResponseParseError::Garbled("its content-length is not a number");
    if lengths.any(|other| other != length) || !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid);
    }
    length
        .parse()
        .map(BodyPosition::Length)
        .map_err(|_| invalid)
}

#[cfg(test)]
mod tests;
