//! Concurrent senders in one thread, each with one persistent connection.

use std::{
    cell::Cell,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A message of Pay. Every notification is this message with other ids and another date.
const MESSAGE: &str = include_str!("../../tests/fixtures/pay/card_payment_captured.json");
const MESSAGE_ID: &str = "9d3h7l1p5t9b2f6j0n4r8v1q5";
const PAYMENT: &str = "7k2m9vq0d4r6t8b1n3p5h0j2e4";

/// The load on one receiver, and its progress.
pub(crate) struct Load {
    key: Hmac<Sha256>,
    address: SocketAddr,
    connections: usize,
    pieces: Vec<&'static str>,
    created: String,
    run: u64,
    done: Rc<Cell<u64>>,
}

/// The duration of the load, and of each exchange.
pub(crate) struct Outcome {
    pub(crate) took: Duration,
    micros: Vec<u32>,
}

impl Load {
    pub(crate) fn new(secret: &str, address: SocketAddr, connections: usize) -> Self {
        let now = jiff::Timestamp::now();
        Self {
            key: Hmac::new_from_slice(secret.as_bytes()).unwrap(),
            address,
            connections,
            pieces: MESSAGE.trim_end().split(PAYMENT).collect(),
            created: format!("{now:.3}"),
            run: now.as_nanosecond() as u64,
            done: Rc::default(),
        }
    }

    /// The number of answers so far.
    pub(crate) fn done(&self) -> u64 {
        self.done.get()
    }

    /// Sends notifications number 0 to `count`, the same ones in every call.
    pub(crate) async fn send(&self, count: u64) -> Outcome {
        self.done.set(0);
        let next = Cell::new(0);
        let began = Instant::now();
        let connections = (0..self.connections).map(|_| self.run_connection(&next, count));
        let micros = futures_util::future::join_all(connections).await.concat();
        Outcome {
            took: began.elapsed(),
            micros,
        }
    }

    async fn run_connection(&self, next: &Cell<u64>, count: u64) -> Vec<u32> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (mut request, mut answer) = (Vec::with_capacity(2048), vec![0; 1024]);
        let mut micros = Vec::new();
        loop {
            let number = next.get();
            if number == count {
                return micros;
            }
            next.set(number + 1);
            self.write_request(number, &mut request);
            let began = Instant::now();
            stream.write_all(&request).await.unwrap();
            let length = stream.read(&mut answer).await.unwrap();
            assert!(
                answer[..length].starts_with(b"HTTP/1.1 200 "),
                "{}",
                String::from_utf8_lossy(&answer[..length])
            );
            micros.push(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX));
            self.done.set(self.done.get() + 1);
        }
    }

    /// The id with this number. Ids are as random as real ones, so that consecutive ids are far
    /// apart in an index.
    fn id(&self, number: u64, length: usize) -> String {
        const ALPHABET: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
        let mut state = self.run ^ number;
        let mut next = || {
            // SplitMix64
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        };
        let words = [next(), next(), next()];
        let digit =
            |at: usize| char::from(ALPHABET[(words[at / 12] >> (5 * (at % 12))) as usize % 32]);
        (0..length).map(digit).collect()
    }

    fn write_request(&self, number: u64, request: &mut Vec<u8>) {
        let (payment, id) = (self.id(number, 26), self.id(!number, 25));
        let body = self
            .pieces
            .join(&payment)
            .replacen(MESSAGE_ID, &id, 1)
            .replacen("2026-03-02T10:16:20.512Z", &self.created, 1);
        let signature = hex::encode(self.key.clone().chain_update(&body).finalize().into_bytes());
        request.clear();
        request.extend_from_slice(
            format!(
                "POST /pay HTTP/1.1\r\nContent-Type: application/json\r\nPay-Signature: \
                 {signature}\r\n\
                 Accept-Encoding: gzip, deflate, x-gzip\r\nHost: {}\r\nContent-Length: {}\r\n\
                 Connection: keep-alive\r\nUser-Agent: Apache-HttpClient/5.6.4 \
                  (Java/25.0.1)\r\n\r\n{body}",
                self.address,
                body.len(),
            )
            .as_bytes(),
        );
    }
}

impl Outcome {
    pub(crate) fn count(&self) -> usize {
        self.micros.len()
    }

    pub(crate) fn rate(&self) -> f64 {
        self.count() as f64 / self.took.as_secs_f64()
    }

    /// The milliseconds within which `percent` of the exchanges ended.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.micros.clone();
        sorted.sort_unstable();
        let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
        f64::from(sorted.get(at).copied().unwrap_or(0)) / 1000.0
    }
}
