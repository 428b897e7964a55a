//! What is said about a run: one canonical line a request, an attempt or an invocation, as JSON for
//! machines and readable for people.
//!
//! Bodies, signatures, secrets and personal data are never fields of an event, so they can't be
//! printed here. What a stranger sent is escaped.

mod text;

use std::{
    fmt::{self, Write as _},
    io::Write,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use crate::domain::Clock;
pub use text::{visible, visible_lines};

/// How many lines may wait for a slow reader before further ones are dropped and counted.
const WAITING: usize = 4096;

/// How long a line may wait for others: writing them together costs the receiver far less.
const GATHER: std::time::Duration = std::time::Duration::from_millis(2);

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Time, level, message and fields; in colour if true.
    Readable {
        /// Whether levels are coloured.
        colour: bool,
    },
}

/// A layer that writes every event as one line.
pub struct LogLayer<W> {
    world: Arc<W>,
    format: LogFormat,
    to: LogSink,
}

/// Where lines go, and who waits for that.
enum LogSink {
    /// To a thread that writes them: somebody who stops reading the log must not stop the receiver.
    Thread {
        lines: SyncSender<SinkMessage>,
        dropped: Arc<AtomicU64>,
    },
    /// Out, before whoever says it goes on: a function is frozen once it has answered, and what had not
    /// left it by then would come late, or never.
    Out(Mutex<Box<dyn Write + Send>>),
}

enum SinkMessage {
    Line(String),
    Flush(SyncSender<()>),
}

/// Waits until everything said so far is written, when dropped.
pub struct FlushGuard(SyncSender<SinkMessage>);

impl Drop for FlushGuard {
    fn drop(&mut self) {
        let (done, written) = sync_channel(1);
        if self.0.send(SinkMessage::Flush(done)).is_ok() {
            let _ = written.recv_timeout(std::time::Duration::from_secs(1));
        }
    }
}

impl<W: Clock> LogLayer<W> {
    /// Lines on `out`, written at once.
    pub fn direct(out: impl Write + Send + 'static, format: LogFormat, world: Arc<W>) -> Self {
        Self {
            world,
            format,
            to: LogSink::Out(Mutex::new(Box::new(out))),
        }
    }

    /// Lines on `out`, written from a thread of their own.
    pub fn new(
        out: impl Write + Send + 'static,
        format: LogFormat,
        world: Arc<W>,
    ) -> std::io::Result<(Self, FlushGuard)> {
        let (lines, taken) = sync_channel(WAITING);
        let dropped = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&dropped);
        std::thread::Builder::new()
            .name("lines".to_owned())
            .spawn(move || write_all(out, &taken, &counted))?;
        let to = LogSink::Thread {
            lines: lines.clone(),
            dropped,
        };
        Ok((Self { world, format, to }, FlushGuard(lines)))
    }
}

fn write_all(mut out: impl Write, said: &Receiver<SinkMessage>, dropped: &AtomicU64) {
    let mut text = String::new();
    while let Ok(first) = said.recv() {
        if matches!(first, SinkMessage::Line(_)) {
            std::thread::sleep(GATHER);
        }
        text.clear();
        let mut flushed = None;
        for said in std::iter::once(first).chain(said.try_iter().take(255)) {
            match said {
                SinkMessage::Line(line) => text.push_str(&line),
                SinkMessage::Flush(done) => flushed = Some(done),
            }
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ = writeln!(
                text,
                r#"{{"level":"WARN","message":"log lines dropped: the reader is too slow","lines":{lost}}}"#
            );
        }
        // There is nowhere left to report that the log itself can't be written.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        if let Some(done) = flushed {
            let _ = done.send(());
        }
    }
}

impl<W: Clock, S: Subscriber> Layer<S> for LogLayer<W> {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = LineFormatter {
            text: String::with_capacity(256),
            message: String::new(),
            format: self.format,
        };
        let (level, now) = (*event.metadata().level(), self.world.now());
        match self.format {
            LogFormat::Json => {
                event.record(&mut line);
                let mut head = format!(r#"{{"timestamp":"{now}","level":"{level}","message":"#);
                push_json(&mut head, &line.message);
                line.text.insert_str(0, &head);
                line.text.push_str("}\n");
            }
            LogFormat::Readable { colour } => {
                event.record(&mut line);
                let time = now.to_string();
                let clock = time.get(11..19).unwrap_or(&time);
                let head = format!(
                    "{clock} {} {}",
                    paint(level, colour),
                    visible(&line.message)
                );
                line.text.insert_str(0, &head);
                line.text.push('\n');
            }
        }
        self.to.write(line.text);
    }
}

impl LogSink {
    fn write(&self, line: String) {
        match self {
            Self::Thread { lines, dropped } => {
                if let Err(TrySendError::Full(_)) = lines.try_send(SinkMessage::Line(line)) {
                    dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
            Self::Out(out) => {
                let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
                // There is nowhere left to report that the log itself can't be written.
                let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
            }
        }
    }
}

fn paint(level: Level, colour: bool) -> String {
    let code = match level {
        Level::ERROR => "31",
        Level::WARN => "33",
        Level::INFO => "32",
        _ => "2",
    };
    if colour {
        format!("\x1b[{code}m{level:>5}\x1b[0m")
    } else {
        format!("{level:>5}")
    }
}

/// Gathers an event's fields behind each other.
struct LineFormatter {
    text: String,
    message: String,
    format: LogFormat,
}

impl LineFormatter {
    fn name(&mut self, field: &Field) {
        match self.format {
            LogFormat::Json => {
                self.text.push(',');
                push_json(&mut self.text, field.name());
                self.text.push(':');
            }
            LogFormat::Readable { .. } => {
                let _ = write!(self.text, " {}=", field.name());
            }
        }
    }

    fn plain(&mut self, field: &Field, value: impl fmt::Display) {
        self.name(field);
        let _ = write!(self.text, "{value}");
    }
}

impl Visit for LineFormatter {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
            return;
        }
        self.name(field);
        match self.format {
            LogFormat::Json => push_json(&mut self.text, value),
            LogFormat::Readable { .. } => self.text.push_str(&visible(value)),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field, value);
    }
}

fn push_json(out: &mut String, text: &str) {
    match serde_json::to_string(text) {
        Ok(json) => out.push_str(&json),
        Err(_) => out.push_str("null"),
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::prelude::*;

    use super::*;
    use crate::domain::Timestamp;

    struct FixedClock;
    impl Clock for FixedClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(1_772_446_531_480)
        }
        fn random(&self) -> u64 {
            0
        }
    }

    #[derive(Clone, Default)]
    struct LineBuffer(Arc<Mutex<Vec<u8>>>);
    impl Write for LineBuffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn said(format: LogFormat, speak: impl FnOnce()) -> String {
        let kept = LineBuffer::default();
        let (layer, guard) = LogLayer::new(kept.clone(), format, Arc::new(FixedClock)).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), speak);
        drop(guard);
        String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_line_is_one_json_object_whatever_is_in_it() {
        let hostile = "a\"b\r\n\u{1b}[31m\u{2028}\u{202e}";
        let line = said(LogFormat::Json, || {
            tracing::warn!(source = hostile, bytes = 7_u64, ok = true, "refused")
        });
        assert_eq!(line.lines().count(), 1);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["source"], hostile);
        assert_eq!(
            (&read["level"], &read["message"], &read["bytes"]),
            (&"WARN".into(), &"refused".into(), &7.into())
        );
        assert_eq!(read["timestamp"], "2026-03-02T10:15:31.480Z");
    }

    /// On Lambda, the platform reads both, and takes the level from nowhere else.
    #[test]
    fn a_direct_line_is_out_before_whoever_said_it_goes_on() {
        let kept = LineBuffer::default();
        let layer = LogLayer::direct(kept.clone(), LogFormat::Json, Arc::new(FixedClock));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            for count in 1..=3 {
                tracing::info!(requestId = "r1", "recorded");
                let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
                assert_eq!(
                    text,
                    "{\"timestamp\":\"2026-03-02T10:15:31.480Z\",\"level\":\"INFO\",\
                     \"message\":\"recorded\",\"requestId\":\"r1\"}\n"
                        .repeat(count)
                );
            }
        });
    }

    #[test]
    fn a_readable_line_holds_no_control_characters() {
        let line = said(LogFormat::Readable { colour: false }, || {
            tracing::info!(source = "a\r\n\u{1b}[31m\u{202e}b", "recorded")
        });
        assert_eq!(
            line,
            "10:15:31  INFO recorded source=a\\u{d}\\u{a}\\u{1b}[31m\\u{202e}b\n"
        );
    }
}
