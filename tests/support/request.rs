//! Requests as bytes: valid by default, and invalid wherever a test makes them so.

use sender_simulator::{Sender, signature};

use super::message::Source;

/// A request. Its head has a content length unless it is sent in chunks.
#[derive(Clone, Debug)]
pub struct RawRequest {
    line: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl RawRequest {
    pub fn new(method: &str, target: &str) -> Self {
        Self::from_line(&format!("{method} {target} HTTP/1.1"))
    }

    pub fn from_line(line: &str) -> Self {
        Self {
            line: line.to_owned(),
            headers: vec![("Host".into(), b"localhost".into())],
            body: Vec::new(),
        }
    }

    /// A POST of `body` to the source, without a signature.
    pub fn unsigned(source: &Source, body: impl AsRef<[u8]>) -> Self {
        Self::new("POST", &source.path()).body(body)
    }

    /// A POST of `body` to the source, as its sender would sign it.
    pub fn post(source: &Source, body: impl AsRef<[u8]>) -> Self {
        let signature = source.sign(&body);
        Self::unsigned(source, body).header(signature_header(source.sender), signature)
    }

    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Replaces the request line.
    pub fn line(mut self, line: &str) -> Self {
        line.clone_into(&mut self.line);
        self
    }

    /// The bytes of the request, with a content length.
    pub fn bytes(&self) -> Vec<u8> {
        [
            self.head(&format!("Content-Length: {}\r\n", self.body.len())),
            self.body.clone(),
        ]
        .concat()
    }

    /// The bytes of the request, in chunks of at most `size` bytes.
    pub fn chunked(&self, size: usize) -> Vec<u8> {
        let mut bytes = self.head("Transfer-Encoding: chunked\r\n");
        for chunk in self.body.chunks(size) {
            bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
            bytes.extend([chunk, b"\r\n"].concat());
        }
        bytes.extend(b"0\r\n\r\n");
        bytes
    }

    /// The head, with `framing` in place of the header that frames the body.
    pub fn head(&self, framing: &str) -> Vec<u8> {
        let mut head = format!("{}\r\n", self.line).into_bytes();
        for (name, value) in &self.headers {
            head.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        head.extend([framing.as_bytes(), b"\r\n"].concat());
        head
    }
}

/// The header of the sender's signature, in the sender's case.
pub fn signature_header(sender: Sender) -> &'static str {
    match sender {
        Sender::Hmrc => "X-Hub-Signature",
        Sender::GovukPay => "Pay-Signature",
    }
}

/// The signature of `body` by `sender` with `secret`.
pub fn signature(sender: Sender, secret: &str, body: impl AsRef<[u8]>) -> String {
    signature::sign(sender, secret, body.as_ref())
}
