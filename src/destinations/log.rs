//! Writes one JSON line per event: the envelope without `data`, so that a log contains no personal
//! data.
//!
//! An event counts as delivered once its whole line is written. If a write fails, the events whose
//! lines are incomplete or not written are retried, and the next line begins after a newline.

use std::{
    fs::File,
    io::{self, Write},
    os::{fd::AsFd, unix::fs::FileExt},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{DeliveryError, Destination, Event};
use crate::{
    domain::Key,
    text::{LineWriter, visible_json},
};

/// How many lines may wait for a reader that has stopped. Further attempts fail immediately.
const QUEUE_LINES: usize = 1024;
/// The most lines that are written together.
const BATCH_LINES: usize = 256;

/// Writes lines on a separate thread, because a reader that stops must not stop the receiver.
/// Clones share the thread.
#[derive(Clone)]
pub struct LogDestination {
    lines: SyncSender<EventLine>,
}

struct EventLine {
    text: Bytes,
    written: oneshot::Sender<Result<(), io::ErrorKind>>,
}

impl LogDestination {
    /// A log on `out`, which must not buffer.
    pub fn new(out: impl Write + Send + 'static) -> io::Result<Self> {
        Self::start(LineWriter::new(out, false))
    }

    /// A log on standard output, without the buffer of the standard library.
    pub fn on_stdout() -> io::Result<Self> {
        let out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let is_torn = ends_with_incomplete_line(&out);
        Self::start(LineWriter::new(out, is_torn))
    }

    fn start<W: Write + Send + 'static>(out: LineWriter<W>) -> io::Result<Self> {
        let (lines, queue) = sync_channel(QUEUE_LINES);
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_all(out, &queue))?;
        Ok(Self { lines })
    }
}

impl Destination for LogDestination {
    async fn deliver(&self, _key: &Key, event: &Event) -> Result<(), DeliveryError> {
        let stopped = || DeliveryError::Unavailable("log: the reader has stopped".to_owned());
        let (written, done) = oneshot::channel();
        let line = EventLine {
            text: event.envelope().clone(),
            written,
        };
        self.lines.try_send(line).map_err(|_| stopped())?;
        let written = done.await.map_err(|_| stopped())?;
        written.map_err(|error| DeliveryError::Unavailable(format!("log: {error}")))
    }
}

/// Writes the queued lines, flushes once, and then reports the outcome of each.
fn write_all<W: Write>(mut out: LineWriter<W>, lines: &Receiver<EventLine>) {
    let mut text = Vec::new();
    while let Ok(first) = lines.recv() {
        text.clear();
        let mut waiting = Vec::new();
        for line in std::iter::once(first).chain(lines.try_iter().take(BATCH_LINES - 1)) {
            // An attempt that timed out is retried, so its line would be written twice.
            if line.written.is_closed() {
                continue;
            }
            text.extend_from_slice(&visible(&line.text));
            text.push(b'\n');
            waiting.push((line.written, text.len()));
        }
        let outcome = out.write(&text);
        for (written, end) in waiting {
            let outcome = match &outcome {
                Err((whole, error)) if end > *whole => Err(error.kind()),
                _ => Ok(()),
            };
            // An attempt that timed out no longer waits.
            let _ = written.send(outcome);
        }
    }
}

/// The line, safe to display.
fn visible(json: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(json) {
        Ok(json) => visible_json(json).into_owned().into_bytes(),
        Err(_) => json.to_vec(),
    }
}

/// Whether `out` is a file whose last byte is not a newline, because a process was killed while it
/// wrote. `false` if `out` cannot be read, such as a pipe.
fn ends_with_incomplete_line(out: &File) -> bool {
    let lacks_newline = || -> io::Result<bool> {
        let length = out.metadata()?.len();
        if !out.metadata()?.is_file() || length == 0 {
            return Ok(false);
        }
        // `out` is open for writing only. This name opens the same file for reading.
        let readable = File::open("/dev/stdout")?;
        let mut last = [0];
        readable.read_exact_at(&mut last, length - 1)?;
        Ok(last != *b"\n")
    };
    lacks_newline().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::{
        destinations::example,
        senders::example as entries,
        text::test_support::{SmallDisk, StuckPipe},
    };

    #[tokio::test]
    async fn an_event_counts_as_delivered_only_with_its_whole_line() {
        let row = example::row(&entries::hmrc("n1", "{}"));
        let event = Event::of(&row).unwrap();
        let line = event.envelope().len() + 1;
        for room in [0, 1, line - 1, line, line + 1, 2 * line - 1, 2 * line] {
            let disk = SmallDisk::with_room(room);
            let log = LogDestination::new(disk.clone()).unwrap();
            let mut delivered = 0;
            for _ in 0..3 {
                delivered += usize::from(log.deliver(&row.key, &event).await.is_ok());
            }
            assert_eq!(delivered, room / line);
            disk.make_room(10 * line);
            log.deliver(&row.key, &event).await.unwrap();
            let text = disk.text();
            let whole = text
                .lines()
                .filter(|text| text.as_bytes() == event.envelope());
            assert!(
                whole.count() > delivered,
                "the next line is incomplete: {text:?}"
            );
        }
    }

    #[test]
    fn a_limited_number_of_lines_waits_for_a_reader_that_has_stopped() {
        let row = example::row(&entries::hmrc("n1", "{}"));
        let event = Event::of(&row).unwrap();
        let (pipe, _stuck) = StuckPipe::new();
        let log = LogDestination::new(pipe).unwrap();
        let attempts = 2 * (QUEUE_LINES + BATCH_LINES);
        // The attempts keep waiting, because a line whose attempt has ended leaves the queue.
        let mut attempts: Vec<_> = (0..attempts)
            .map(|_| Box::pin(log.deliver(&row.key, &event)))
            .collect();
        let refused = attempts
            .iter_mut()
            .filter_map(|attempt| attempt.now_or_never())
            .filter(Result::is_err);
        assert!(refused.count() >= QUEUE_LINES);
    }
}
