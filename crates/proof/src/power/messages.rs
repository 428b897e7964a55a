//! Creates notifications and posts them.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sender_simulator::{
    Clock, MessageBody, Sender, SystemClock, Timestamp,
    hmrc::{self, HmrcMessage},
};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use url::Url;

use super::served::{HMRC_SECRET, PAY_SECRET};
use crate::{
    history::Sha256Digest,
    simulate::{SplitMix64, random::SharedRandom, receivers::source_of},
    sync::{into_inner, lock},
};

/// The number of concurrent requests.
pub(super) const CONNECTIONS: usize = 6;
/// Longer than any answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A notification of a sender.
#[derive(Clone)]
pub(super) struct PostedMessage {
    sender: Sender,
    body: MessageBody,
    /// Identifies the content in a history.
    pub(super) content: u64,
}

/// The lengths of the bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyLengths {
    /// Mostly the senders' samples.
    Usual,
    /// Many of several hundred kilobytes, so that SQLite checkpoints and restarts its log.
    Long,
}

impl PostedMessage {
    /// A new message.
    pub(super) fn new(random: &mut SplitMix64, lengths: BodyLengths, content: u64) -> Self {
        let clock = ContentClock(SharedRandom::new(SplitMix64::of(random.next(), content)));
        let is_long = match lengths {
            BodyLengths::Usual => random.is(60),
            BodyLengths::Long => random.is(600),
        };
        let sender = if is_long || random.is(500) {
            Sender::Hmrc
        } else {
            Sender::GovukPay
        };
        let body = if is_long {
            let bytes = random.between(9_000, 600_000) as usize;
            let message = if random.is(300) {
                HmrcMessage::long_json(bytes, &clock)
            } else {
                HmrcMessage::json(noise(random, bytes))
            };
            hmrc::body(&message, hmrc::SAMPLE_BOX, &clock)
        } else {
            let event = random.pick(sender.events());
            sender
                .body(Some(event), &clock)
                .expect("the event is known")
        };
        Self {
            sender,
            body,
            content,
        }
    }

    /// The name of its source.
    pub(super) fn source(&self) -> &'static str {
        source_of(self.sender)
    }

    pub(super) fn id(&self) -> &str {
        &self.body.id
    }

    pub(super) fn key(&self) -> String {
        format!("{}:{}", self.source(), self.body.id)
    }

    /// The digest of the sent bytes.
    pub(super) fn digest(&self) -> Sha256Digest {
        Sha256::digest(&self.body.wire).into()
    }

    /// The request in bytes. `base` is any callback URL of the receiver.
    fn request(&self, base: &Url) -> Vec<u8> {
        let mut url = base.clone();
        url.set_path(self.source());
        let secret = match self.sender {
            Sender::Hmrc => HMRC_SECRET,
            Sender::GovukPay => PAY_SECRET,
        };
        let request = self.sender.request(&self.body, secret, &url);
        let mut bytes = format!("{} {} HTTP/1.1\r\n", request.method, url.path());
        for (name, value) in &request.headers {
            bytes.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut bytes = (bytes + "\r\n").into_bytes();
        bytes.extend_from_slice(&request.body);
        bytes
    }
}

/// Text that does not compress well.
fn noise(random: &mut SplitMix64, bytes: usize) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(bytes + 10);
    while text.len() < bytes {
        let number = random.next();
        let letter = |part: u64| char::from(LETTERS[(number >> (6 * part) & 63) as usize]);
        text.extend((0..10).map(letter));
    }
    text
}

/// The system's time, with seeded random numbers.
struct ContentClock(SharedRandom);

impl Clock for ContentClock {
    fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    fn random(&self) -> u64 {
        self.0.draw(SplitMix64::next)
    }
}

/// The outcome of one request for its sender.
#[derive(Clone, Debug)]
pub(super) struct PostOutcome {
    /// The index of its message.
    pub(super) message: usize,
    /// The sender's port, and the number of earlier requests from that port.
    pub(super) answer: (u16, usize),
    /// `None` if there was no answer.
    pub(super) status: Option<u16>,
    pub(super) took: Duration,
}

/// A connection for one request after another.
pub(super) struct PostConnection<'a> {
    base: &'a Url,
    stream: TcpStream,
    port: u16,
    sent: usize,
}

impl<'a> PostConnection<'a> {
    pub(super) fn open(base: &'a Url) -> io::Result<Self> {
        let address = base.socket_addrs(|| None)?;
        let stream = TcpStream::connect(&*address)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.set_nodelay(true)?;
        let port = stream.local_addr()?.port();
        Ok(Self {
            base,
            stream,
            port,
            sent: 0,
        })
    }

    /// Posts the message with this index.
    pub(super) fn post(&mut self, index: usize, message: &PostedMessage) -> PostOutcome {
        let request = message.request(self.base);
        let began = Instant::now();
        let answer = (self.port, self.sent);
        self.sent += 1;
        let status = self.stream.write_all(&request).and_then(|()| self.status());
        PostOutcome {
            message: index,
            answer,
            status: status.ok(),
            took: began.elapsed(),
        }
    }

    /// Reads one answer with a content length. Returns its status.
    fn status(&mut self) -> io::Result<u16> {
        let (mut bytes, mut buffer) = (Vec::new(), [0; 1024]);
        loop {
            let read = self.stream.read(&mut buffer)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            bytes.extend_from_slice(&buffer[..read]);
            let text = String::from_utf8_lossy(&bytes);
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            let head = head.to_ascii_lowercase();
            let length = head
                .split_once("content-length: ")
                .map_or("0", |(_, rest)| rest);
            let digits: String = length.chars().take_while(char::is_ascii_digit).collect();
            if body.len() >= digits.parse().unwrap_or(0) {
                let status = head.get(9..12).and_then(|digits| digits.parse().ok());
                return status.ok_or_else(|| io::ErrorKind::InvalidData.into());
            }
        }
    }
}

/// Makes `posts` requests in random order from several connections, some messages twice, as long as
/// the receiver answers. Returns the messages and all outcomes.
pub(super) fn post_all(
    base: &Url,
    random: &mut SplitMix64,
    lengths: BodyLengths,
    posts: u64,
    contents: &AtomicU64,
) -> (Vec<PostedMessage>, Vec<PostOutcome>) {
    let posted = Mutex::new((Vec::<PostedMessage>::new(), Vec::new()));
    let left = AtomicU64::new(posts);
    std::thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            let mut random = SplitMix64::of(random.next(), connection as u64);
            let (left, posted) = (&left, &posted);
            scope.spawn(move || {
                let Ok(mut connection) = PostConnection::open(base) else {
                    return;
                };
                let take = |left: u64| left.checked_sub(1);
                while left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
                    .is_ok()
                {
                    // The lock is released before the post.
                    let (index, message) =
                        next_message(&mut lock(posted).0, &mut random, |random| {
                            let content = contents.fetch_add(1, Ordering::Relaxed);
                            PostedMessage::new(random, lengths, content)
                        });
                    let outcome = connection.post(index, &message);
                    let is_broken = outcome.status.is_none();
                    lock(posted).1.push(outcome);
                    if is_broken {
                        return;
                    }
                }
            });
        }
    });
    into_inner(posted)
}

/// A new message, or a recent one that may still be in progress.
fn next_message(
    messages: &mut Vec<PostedMessage>,
    random: &mut SplitMix64,
    new: impl FnOnce(&mut SplitMix64) -> PostedMessage,
) -> (usize, PostedMessage) {
    const RECENT: usize = 8;
    let known = messages.len();
    if known > 0 && random.is(150) {
        let index = known - 1 - random.index(known.min(RECENT));
        return (index, messages[index].clone());
    }
    let message = new(random);
    messages.push(message.clone());
    (known, message)
}
