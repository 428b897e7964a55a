//! What a destination reports about one delivery besides its outcome, for the history of the row.
//!
//! The report is a task-local value of the task that delivers, as the trace is, so a destination
//! that reports nothing needs no code for it. The report survives an attempt that is cancelled.

use std::sync::{Arc, Mutex, PoisonError};

use crate::{inbox::MAX_TEXT_CHARS, text::visible};

tokio::task_local! {
    static CURRENT: Arc<Mutex<DeliveryReport>>;
}

/// How many bytes of an answer are needed for the characters that are stored.
pub(super) const ANSWER_BYTES: usize = 1024;

/// What a destination has reported about one delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryReport {
    /// The name of the destination; `None` for the default one.
    pub destination: Option<String>,
    /// The status of an HTTP answer.
    pub status: Option<u16>,
    /// The beginning of the answer, as one line that is safe to display.
    pub answer: Option<String>,
}

impl DeliveryReport {
    /// Reports the name of the destination.
    pub fn set_destination(name: &str) {
        Self::update(|report| report.destination = Some(name.to_owned()));
    }

    /// Reports the status of an HTTP answer.
    pub fn set_status(status: u16) {
        Self::update(|report| report.status = Some(status));
    }

    /// Reports the first bytes of an answer. They are stored with the notification and not logged.
    pub fn set_answer(bytes: &[u8]) {
        Self::update(|report| report.answer = answer(bytes));
    }

    /// Runs `delivery`. Returns its output and its report.
    pub(crate) async fn collect<T>(delivery: impl Future<Output = T>) -> (T, Self) {
        let report = Arc::new(Mutex::new(Self::default()));
        let output = CURRENT.scope(Arc::clone(&report), delivery).await;
        let report = report.lock().unwrap_or_else(PoisonError::into_inner);
        (output, report.clone())
    }

    fn update(update: impl FnOnce(&mut Self)) {
        // Outside a delivery, as in a test of a destination, no report is needed.
        let _ = CURRENT.try_with(|report| {
            update(&mut report.lock().unwrap_or_else(PoisonError::into_inner));
        });
    }
}

/// The beginning of an answer; `None` if it has no text.
fn answer(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(ANSWER_BYTES)]);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown: String = visible(&line).chars().take(MAX_TEXT_CHARS).collect();
    (!shown.is_empty()).then_some(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_delivery_that_is_cancelled_still_has_its_report() {
        DeliveryReport::set_status(500); // outside a delivery
        let hanging = async {
            DeliveryReport::set_destination("ledger");
            DeliveryReport::set_status(200);
            DeliveryReport::set_answer(b"ok");
            std::future::pending::<()>().await;
        };
        let cancelled = tokio::time::timeout(std::time::Duration::from_millis(1), hanging);
        let (output, report) = DeliveryReport::collect(cancelled).await;
        assert!(output.is_err());
        let expected = DeliveryReport {
            destination: Some("ledger".to_owned()),
            status: Some(200),
            answer: Some("ok".to_owned()),
        };
        assert_eq!(report, expected);
        let ((), next) = DeliveryReport::collect(async {}).await;
        assert_eq!(next, DeliveryReport::default());
    }

    #[test]
    fn an_answer_is_one_short_line_that_is_safe_to_display() {
        let long = "é".repeat(5_000);
        for (bytes, expected) in [
            (&b""[..], None),
            (b" \r\n\t ", None),
            (
                b"{\n  \"error\": \"closed\"\n}\n",
                Some(r#"{ "error": "closed" }"#),
            ),
            (
                "a\u{202e}b\u{1b}[31m".as_bytes(),
                Some(r"a\u{202e}b\u{1b}[31m"),
            ),
            (b"\xff\x00", Some("\u{fffd}\\u{0}")),
            (long.as_bytes(), Some(&long[..2 * MAX_TEXT_CHARS])),
        ] {
            assert_eq!(answer(bytes).as_deref(), expected);
        }
    }
}
