//! The part of HTTP/1.1 that the two servers need: takes complete requests from received bytes.

use httparse::Status;

/// A complete request.
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// The operation of an AWS service, from `x-amz-target`.
    pub(crate) target: String,
    pub(crate) body: Vec<u8>,
}

/// Takes the first request from `bytes`, if it is complete.
pub(crate) fn take(bytes: &mut Vec<u8>) -> Option<Request> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Request::new(&mut headers);
    let Status::Complete(start) = head.parse(bytes).expect("a client of AWS speaks HTTP/1.1")
    else {
        return None;
    };
    let header = |name: &str| {
        let found = head
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name))?;
        Some(String::from_utf8_lossy(found.value).into_owned())
    };
    let chunked =
        header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    let (body, length) = if chunked {
        unchunked(&bytes[start..])?
    } else {
        let length = header("content-length")
            .map_or(0, |value| value.parse().expect("a length is a number"));
        (bytes.get(start..start + length)?.to_vec(), length)
    };
    let request = Request {
        method: head.method.unwrap_or_default().to_owned(),
        path: head.path.unwrap_or_default().to_owned(),
        target: header("x-amz-target").unwrap_or_default(),
        body,
    };
    bytes.drain(..start + length);
    Some(request)
}

/// The content of the chunks, and the number of bytes that they use.
fn unchunked(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let size = httparse::parse_chunk_size(&bytes[at..]).expect("a chunk begins with its size");
        let Status::Complete((head, size)) = size else {
            return None;
        };
        let (from, size) = (
            at + head,
            usize::try_from(size).expect("a chunk fits into memory"),
        );
        at = from + size + 2; // CRLF ends a chunk
        if bytes.len() < at {
            return None;
        }
        if size == 0 {
            return Some((body, at));
        }
        body.extend_from_slice(&bytes[from..from + size]);
    }
}

/// An answer with JSON.
pub(crate) fn reply(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: \
     {length}\r\n{headers}\r\n{body}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_taken_once_it_is_complete_and_the_following_bytes_stay() {
        let whole = b"POST /a HTTP/1.1\r\nX-Amz-Target: T.Put\r\nContent-Length: 2\r\n\r\nhi";
        let mut bytes = whole[..whole.len() - 1].to_vec();
        assert!(take(&mut bytes).is_none());
        bytes.extend_from_slice(b"iGET");
        let request = take(&mut bytes).unwrap();
        assert_eq!(
            (
                request.method.as_str(),
                request.path.as_str(),
                request.target.as_str()
            ),
            ("POST", "/a", "T.Put")
        );
        assert_eq!(
            (request.body.as_slice(), bytes.as_slice()),
            (&b"hi"[..], &b"GET"[..])
        );
    }

    #[test]
    fn chunks_are_joined() {
        let whole =
            b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n";
        for cut in 1..whole.len() {
            assert!(take(&mut whole[..cut].to_vec()).is_none(), "{cut}");
        }
        assert_eq!(take(&mut whole.to_vec()).unwrap().body, b"hi!");
    }
}
