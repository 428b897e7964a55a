//! A request reader for the servers of the tests that depends on no HTTP library.

use tokio::{io::AsyncReadExt, net::TcpStream};

/// One received request.
pub struct HttpRequest {
    /// The first line and the headers.
    pub head: String,
    pub body: Vec<u8>,
}

impl HttpRequest {
    /// The first line, without the version.
    pub fn target(&self) -> &str {
        let line = self.head.lines().next().unwrap_or_default();
        line.trim_end_matches(" HTTP/1.1")
    }

    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let lines = self.head.lines().skip(1);
        let headers = lines.filter_map(|line| line.split_once(':'));
        headers.map(|(name, value)| (name, value.trim()))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    }
}

/// Reads one request, up to its content length; `None` once the connection has ended.
pub async fn read_request(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<HttpRequest> {
    loop {
        if let Some(end) = unread.windows(4).position(|four| four == b"\r\n\r\n") {
            let mut request = HttpRequest {
                head: String::from_utf8_lossy(&unread[..end]).into_owned(),
                body: Vec::new(),
            };
            let length = request.header("content-length").unwrap_or("0");
            let length: usize = length.parse().unwrap();
            let body = end + 4;
            if unread.len() >= body + length {
                request.body = unread[body..body + length].to_vec();
                unread.drain(..body + length);
                return Some(request);
            }
        }
        if stream.read_buf(unread).await.ok()? == 0 {
            return None;
        }
    }
}
