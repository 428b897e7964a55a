//! Searches all lines that the product logs in a history, at every level, for secrets and personal
//! data.

use std::{
    cell::{Cell, RefCell},
    fmt::{Debug, Write},
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use super::{reconciler::CLIENT_SECRET, senders::PAY_API_KEY};
use crate::checker::Violation;

/// Parts of the senders' secrets, and of every simulated message.
const CANARIES: [&str; 12] = [
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "webhook_test_",
    PAY_API_KEY,
    CLIENT_SECRET,
    "a.tester@example.com",
    "A Tester",
    "1 High Street",
    "LS1 1AA",
    "someXml",
    "smile",
    "café",
    "PILLARBOX-TEST-",
];

thread_local! {
    static LEAKED: RefCell<Option<Violation>> = const { RefCell::new(None) };
    static LINES: Cell<u64> = const { Cell::new(0) };
}

/// Searches all lines that this process logs from now on.
pub(super) fn watch() {
    // In tests, an earlier call may have set it.
    let _ = tracing::subscriber::set_global_default(SearchedLog);
}

/// The number of lines that this thread has logged since the last call, and the first leak.
pub(super) fn take_result() -> (u64, Option<Violation>) {
    (LINES.take(), LEAKED.take())
}

struct SearchedLog;

impl Subscriber for SearchedLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("pillarbox")
    }

    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        search(|line| attributes.record(line));
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        search(|line| values.record(line));
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        search(|line| event.record(line));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// The fields of a line.
#[derive(Default)]
struct LoggedLine(String);

impl Visit for LoggedLine {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, "{}={value:?} ", field.name()); // writing to a String cannot fail
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = write!(self.0, "{}={value} ", field.name());
    }
}

fn search(record: impl FnOnce(&mut LoggedLine)) {
    let mut line = LoggedLine::default();
    record(&mut line);
    LINES.set(LINES.get() + 1);
    if CANARIES.iter().any(|canary| line.0.contains(canary)) {
        let leaked = Violation {
            rule: "I13",
            text: line.0,
        };
        LEAKED.with_borrow_mut(|first| *first = first.take().or(Some(leaked)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_a_part_of_a_message_is_a_leak() {
        let logged = |reason: &str| {
            tracing::subscriber::with_default(SearchedLog, || {
                tracing::trace!(target: "pillarbox::delivery", reason, "delivery failed");
                tracing::error!(target: "another", reason, "is not the product's");
            });
            take_result()
        };
        assert_eq!(logged("status 503"), (1, None));
        let (lines, leaked) = logged("<someXml>");
        assert_eq!(lines, 1);
        let text = leaked.unwrap().text;
        assert!(text.contains("reason=<someXml>"), "{text}");
    }
}
