//! Lambda's Runtime API on loopback: the program under measurement requests events and posts its
//! answers.
//!
//! The thread of the connection takes every instant, next to the bytes that it belongs to, so that
//! no measurement includes other work of the harness, such as signing the next event.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::http::{self, Request};

/// The time limit for a program's next call. The slowest takes a second.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// The time until the deadline of an invocation.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// The Runtime API of one program.
pub(crate) struct RuntimeApi {
    address: SocketAddr,
    events: Sender<String>,
    calls: Receiver<RuntimeCall>,
    is_stopped: Arc<AtomicBool>,
}

/// An invocation, from the first byte of its event to the last byte of its answer.
pub(crate) struct Exchange {
    pub(crate) given: Instant,
    pub(crate) answered: Instant,
    pub(crate) answer: Vec<u8>,
}

enum RuntimeCall {
    Next(Instant),
    EventSent(Instant),
    Response(Instant, Vec<u8>),
    Error(String),
}

impl RuntimeApi {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let (events, waiting) = mpsc::channel();
        let (call_sender, calls) = mpsc::channel();
        let is_stopped = Arc::new(AtomicBool::new(false));
        let (waiting, stop) = (Arc::new(Mutex::new(waiting)), is_stopped.clone());
        thread::spawn(move || {
            for stream in listener
                .incoming()
                .flatten()
                .take_while(|_| !stop.load(Ordering::Acquire))
            {
                let session = Session {
                    stream,
                    waiting: waiting.clone(),
                    calls: call_sender.clone(),
                };
                thread::spawn(move || session.serve());
            }
        });
        Self {
            address,
            events,
            calls,
            is_stopped,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Queues `event` for the next request of the program.
    pub(crate) fn queue(&self, event: String) {
        self.events
            .send(event)
            .expect("the server outlives its handle");
    }

    /// Waits until the program requests an event.
    pub(crate) fn await_next(&self) -> Result<Instant, String> {
        match self.next_call()? {
            RuntimeCall::Next(at) => Ok(at),
            _ => Err("the program answered without an event".to_owned()),
        }
    }

    /// Waits for the answer to the event.
    pub(crate) fn await_response(&self) -> Result<Exchange, String> {
        match (self.next_call()?, self.next_call()?) {
            (RuntimeCall::EventSent(given), RuntimeCall::Response(answered, answer)) => {
                Ok(Exchange {
                    given,
                    answered,
                    answer,
                })
            }
            _ => Err("the program requested an event before it answered".to_owned()),
        }
    }

    fn next_call(&self) -> Result<RuntimeCall, String> {
        match self.calls.recv_timeout(CALL_TIMEOUT) {
            Ok(RuntimeCall::Error(error)) => Err(error),
            Ok(call) => Ok(call),
            Err(_) => Err(format!("no call for {} s", CALL_TIMEOUT.as_secs())),
        }
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.address); // wakes the thread that accepts
    }
}

/// One connection of the program.
struct Session {
    stream: TcpStream,
    waiting: Arc<Mutex<Receiver<String>>>,
    calls: Sender<RuntimeCall>,
}

impl Session {
    fn serve(mut self) {
        // An error here is not an error of the program: a killed program leaves its connection in
        // any state.
        let _ = self.stream.set_nodelay(true);
        let (mut bytes, mut block) = (Vec::new(), vec![0; 64 * 1024]);
        while let Ok(length @ 1..) = self.stream.read(&mut block) {
            bytes.extend_from_slice(&block[..length]);
            let now = Instant::now();
            while let Some(request) = http::take(&mut bytes) {
                if self.reply(request, now).is_err() {
                    return;
                }
            }
        }
    }

    fn reply(&mut self, request: Request, now: Instant) -> io::Result<()> {
        let last = request.path.rsplit('/').next().unwrap_or_default();
        match (request.method.as_str(), last) {
            ("GET", "next") => {
                self.report(RuntimeCall::Next(now))?;
                let event = self
                    .waiting
                    .lock()
                    .expect("no thread panics while holding the lock")
                    .recv()
                    .map_err(io::Error::other)?;
                let reply = http::reply("200 OK", &invocation_headers(), &event);
                self.report(RuntimeCall::EventSent(Instant::now()))?;
                self.stream.write_all(&reply)
            }
            ("POST", "response") => {
                self.report(RuntimeCall::Response(now, request.body))?;
                self.accept()
            }
            _ => {
                let body = String::from_utf8_lossy(&request.body);
                self.report(RuntimeCall::Error(format!(
                    "{} {}: {body}",
                    request.method, request.path
                )))?;
                self.accept()
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        self.stream
            .write_all(&http::reply("202 Accepted", "", r#"{"status":"OK"}"#))
    }

    fn report(&self, call: RuntimeCall) -> io::Result<()> {
        self.calls
            .send(call)
            .map_err(|_| io::Error::other("the measurement has ended"))
    }
}

fn invocation_headers() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("it is later than 1970");
    let deadline = (since_1970 + TIME_LIMIT).as_millis();
    format!(
        "Lambda-Runtime-Aws-Request-Id: 8476a536-e9f4-11e8-9739-{number:012x}\r\n\
         Lambda-Runtime-Deadline-Ms: {deadline}\r\n\
         Lambda-Runtime-Invoked-Function-Arn: \
          arn:aws:lambda:eu-west-2:123456789012:function:pillarbox-receive\r\n\
         Lambda-Runtime-Trace-Id: \
          Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0\r\n"
    )
}
