//! One JSON line an event, on whatever the process was given to write to: the envelope without
//! `data`, so that nothing personal lands in a log.

use std::{
    io::{self, Write},
    sync::mpsc::{self, Receiver, Sender},
};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{DeliveryError, Destination, Event};
use crate::domain::Key;

/// Writes lines from a thread of its own: a reader that stops reading must not stop the receiver.
pub struct LogDestination {
    lines: Sender<EventLine>,
}

struct EventLine {
    text: Bytes,
    written: oneshot::Sender<Result<(), io::ErrorKind>>,
}

impl LogDestination {
    /// A log on `out`. Every line is flushed before its event counts as delivered.
    pub fn new(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (lines, taken) = mpsc::channel();
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_all(out, &taken))?;
        Ok(Self { lines })
    }
}

impl Destination for LogDestination {
    async fn deliver(&self, _key: &Key, event: &Event) -> Result<(), DeliveryError> {
        let stopped = || DeliveryError::Unavailable("log: the writer has stopped".to_owned());
        let (written, done) = oneshot::channel();
        self.lines
            .send(EventLine {
                text: event.envelope().clone(),
                written,
            })
            .map_err(|_| stopped())?;
        let written = done.await.map_err(|_| stopped())?;
        written.map_err(|error| DeliveryError::Unavailable(format!("log: {error}")))
    }
}

/// Writes what has gathered, flushes once, and then tells everyone.
fn write_all(mut out: impl Write, lines: &Receiver<EventLine>) {
    let mut text = Vec::new();
    while let Ok(first) = lines.recv() {
        text.clear();
        let mut waiting = Vec::new();
        for line in std::iter::once(first).chain(lines.try_iter().take(255)) {
            text.extend_from_slice(&line.text);
            text.push(b'\n');
            waiting.push(line.written);
        }
        let outcome = out.write_all(&text).and_then(|()| out.flush());
        for written in waiting {
            // an attempt that timed out no longer waits
            let _ = written.send(outcome.as_ref().copied().map_err(io::Error::kind));
        }
    }
}
