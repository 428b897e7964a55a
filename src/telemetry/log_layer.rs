//! A `tracing` layer that writes each event as one line: JSON for machines, or readable text.
//!
//! `serve` writes lines from a separate thread, so that a slow reader of the log cannot stall the
//! receiver; lines that do not fit the queue are dropped and counted. Lambda writes each line
//! before the caller continues, because the platform freezes the process once it has answered.

use std::{
    fmt::{self, Write as _},
    io::Write,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    time::Duration,
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use super::metrics::{self, FunctionMetrics};
use crate::{
    domain::{Clock, Timestamp},
    text::{LineWriter, push_json, visible},
};

/// The lines that may wait for a slow reader before further ones are dropped and counted.
const QUEUE_LINES: usize = 4096;
/// The lines that are written together, at most.
const BATCH_LINES: usize = 256;
/// How long the first line of a batch waits for others: one write for many lines costs far less.
const BATCH_DELAY: Duration = Duration::from_millis(2);
/// How long a [`LinePrinter`] waits for the writer.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The format of a line.
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
pub struct LogLayer {
    clock: Arc<dyn Clock>,
    format: LogFormat,
    sink: LogSink,
    function: Option<FunctionMetrics>,
}

enum LogSink {
    /// A thread writes the lines.
    Thread {
        lines: SyncSender<SinkMessage>,
        dropped: Arc<AtomicU64>,
    },
    /// The caller writes the line before it continues.
    Direct(Mutex<LineWriter<Box<dyn Write + Send>>>),
}

enum SinkMessage {
    Line(String),
    Flush(SyncSender<()>),
}

/// Prints lines between those of the log. When dropped, it waits until every earlier line is
/// written, but at most one second.
pub struct LinePrinter(SyncSender<SinkMessage>);

impl LinePrinter {
    /// Prints one line; without effect if too many lines wait for the reader.
    pub fn print(&self, line: &str) {
        let _ = self.0.try_send(SinkMessage::Line(format!("{line}\n")));
    }
}

impl Drop for LinePrinter {
    fn drop(&mut self) {
        let (done, written) = sync_channel(1);
        // A full queue means that the reader has stopped.
        if self.0.try_send(SinkMessage::Flush(done)).is_ok() {
            let _ = written.recv_timeout(FLUSH_TIMEOUT);
        }
    }
}

impl LogLayer {
    /// Writes each line to `out` before the caller continues.
    pub fn direct(
        out: impl Write + Send + 'static,
        format: LogFormat,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            clock,
            format,
            sink: LogSink::Direct(Mutex::new(LineWriter::new(Box::new(out), false))),
            function: None,
        }
    }

    /// Lets an event with a field `metric` count one in that metric of `function`, so that a module
    /// that does not know the function can count a failure where it logs it.
    pub fn with_metrics(self, function: FunctionMetrics) -> Self {
        Self {
            function: Some(function),
            ..self
        }
    }

    /// Writes lines to `out` from another thread.
    pub fn new(
        out: impl Write + Send + 'static,
        format: LogFormat,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<(Self, LinePrinter)> {
        let (lines, queue) = sync_channel(QUEUE_LINES);
        let dropped = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&dropped);
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_queue(out, &queue, &counter))?;
        let sink = LogSink::Thread {
            lines: lines.clone(),
            dropped,
        };
        let layer = Self {
            clock,
            format,
            sink,
            function: None,
        };
        Ok((layer, LinePrinter(lines)))
    }
}

fn write_queue(out: impl Write, queue: &Receiver<SinkMessage>, dropped: &AtomicU64) {
    let mut out = LineWriter::new(out, false);
    let mut text = String::new();
    while let Ok(first) = queue.recv() {
        if matches!(first, SinkMessage::Line(_)) {
            std::thread::sleep(BATCH_DELAY);
        }
        text.clear();
        let mut flushed = None;
        for message in std::iter::once(first).chain(queue.try_iter().take(BATCH_LINES - 1)) {
            match message {
                SinkMessage::Line(line) => text.push_str(&line),
                SinkMessage::Flush(done) => flushed = Some(done),
            }
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ = writeln!(
                text,
                concat!(
                    r#"{{"level":"WARN","message":"log lines dropped: the reader is too slow","#,
                    r#""lines":{}}}"#
                ),
                lost
            );
        }
        // A failed write cannot be logged.
        let _ = out.write(text.as_bytes());
        if let Some(done) = flushed {
            let _ = done.send(());
        }
    }
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let now = self.clock.now();
        let mut line = LineFormatter {
            text: String::with_capacity(256),
            message: String::new(),
            format: self.format,
            function: self.function.as_ref(),
            now,
        };
        let level = *event.metadata().level();
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
        self.sink.write(line.text);
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
            Self::Direct(out) => {
                let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
                // A failed write cannot be logged.
                let _ = out.write(line.as_bytes());
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

/// Formats an event's fields in the order in which they were recorded.
struct LineFormatter<'a> {
    text: String,
    message: String,
    format: LogFormat,
    function: Option<&'a FunctionMetrics>,
    now: Timestamp,
}

impl LineFormatter<'_> {
    fn push_name(&mut self, field: &Field) {
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

    fn push_metrics(&mut self, open_members: &str) {
        if self.format == LogFormat::Json {
            let _ = write!(self.text, ",{}", metrics::close(open_members, self.now));
        }
    }

    fn push_plain(&mut self, field: &Field, value: impl fmt::Display) {
        self.push_name(field);
        let _ = write!(self.text, "{value}");
    }
}

impl Visit for LineFormatter<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
            return;
        }
        if field.name() == metrics::FIELD {
            self.push_metrics(value);
            return;
        }
        if field.name() == metrics::COUNTED_FIELD {
            let function = self.function;
            if let Some(members) = function.and_then(|of| metrics::count_one(value, of)) {
                self.push_metrics(&members);
            }
            return;
        }
        self.push_name(field);
        match self.format {
            LogFormat::Json => push_json(&mut self.text, value),
            LogFormat::Readable { .. } => self.text.push_str(&visible(value)),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push_plain(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push_plain(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push_plain(field, value);
    }
}

#[cfg(test)]
pub(crate) mod test_support {
    use tracing_subscriber::prelude::*;

    use super::*;

    pub(crate) struct FixedClock;
    impl Clock for FixedClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(1_772_446_531_480)
        }
        fn random(&self) -> u64 {
            0
        }
    }

    #[derive(Clone, Default)]
    pub(crate) struct LineBuffer(pub(crate) Arc<Mutex<Vec<u8>>>);
    impl Write for LineBuffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is logged while `log` runs.
    pub(in crate::telemetry) fn logged(format: LogFormat, log: impl FnOnce()) -> String {
        let buffer = LineBuffer::default();
        let (layer, guard) = LogLayer::new(buffer.clone(), format, Arc::new(FixedClock)).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        drop(guard);
        String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::prelude::*;

    use super::{
        test_support::{FixedClock, LineBuffer, logged},
        *,
    };

    use crate::text::test_support::StuckPipe;

    #[test]
    fn a_line_with_hostile_text_is_one_json_object() {
        let hostile = "a\"b\r\n\u{1b}[31m\u{2028}\u{202e}";
        let line = logged(LogFormat::Json, || {
            tracing::warn!(source = hostile, body_bytes = 7_u64, ok = true, "refused")
        });
        assert_eq!(line.lines().count(), 1);
        assert!(
            line.is_ascii(),
            "every control character is escaped: {line}"
        );
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["source"], hostile);
        assert_eq!(
            (&read["level"], &read["message"], &read["body_bytes"]),
            (&"WARN".into(), &"refused".into(), &7.into())
        );
        assert_eq!(read["timestamp"], "2026-03-02T10:15:31.480Z");
    }

    /// Lambda takes the level and the timestamp only from the line.
    #[test]
    fn a_direct_line_is_written_before_the_caller_continues() {
        let buffer = LineBuffer::default();
        let layer = LogLayer::direct(buffer.clone(), LogFormat::Json, Arc::new(FixedClock));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            for count in 1..=3 {
                tracing::info!(request_id = "r1", "recorded");
                let text = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
                assert_eq!(
                    text,
                    "{\"timestamp\":\"2026-03-02T10:15:31.480Z\",\"level\":\"INFO\",\
                     \"message\":\"recorded\",\"request_id\":\"r1\"}\n"
                        .repeat(count)
                );
            }
        });
    }

    #[test]
    fn a_stalled_reader_delays_neither_a_line_nor_the_shutdown() {
        let (pipe, _stuck) = StuckPipe::new();
        let (layer, printer) = LogLayer::new(pipe, LogFormat::Json, Arc::new(FixedClock)).unwrap();
        let began = tokio::time::Instant::now();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            for _ in 0..2 * QUEUE_LINES {
                tracing::info!("recorded");
                printer.print("Stopped.");
            }
        });
        drop(printer);
        assert!(began.elapsed() < std::time::Duration::from_secs(30));
    }

    #[test]
    fn a_readable_line_holds_no_control_characters() {
        let line = logged(LogFormat::Readable { colour: false }, || {
            tracing::info!(source = "a\r\n\u{1b}[31m\u{202e}b", "recorded")
        });
        assert_eq!(
            line,
            "10:15:31  INFO recorded source=a\\u{d}\\u{a}\\u{1b}[31m\\u{202e}b\n"
        );
    }
}
