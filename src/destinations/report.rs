//! What a destination reports of one delivery besides its outcome, for the history of the row.
//!
//! Like the trace, it belongs to the task that delivers, so that a destination that reports nothing
//! need not know it. What was reported remains when the attempt is given up.

use std::sync::{Arc, Mutex, PoisonError};

use crate::{inbox::MAX_TEXT_CHARS, text::visible};

tokio::task_local! {
    static CURRENT: Arc<Mutex<DeliveryReport>>;
}

/// How many bytes of an answer are enough for the characters that are kept.
pub(super) const ANSWER_BYTES: usize = 1024;

/// What is known of one delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryReport {
    /// The name of the destination; `None` for the default one.
    pub destination: Option<String>,
    /// The status of an HTTP answer.
    pub status: Option<u16>,
    /// The beginning of the answer in one line, in which nothing steers a display.
    pub answer: Option<String>,
}

impl DeliveryReport {
    /// Reports which destination it is.
    pub fn set_destination(name: &str) {
        Self::change(|report| report.destination = Some(name.to_owned()));
    }

    /// Reports the status of an HTTP answer.
    pub fn set_status(status: u16) {
        Self::change(|report| report.status = Some(status));
    }

    /// Reports the first bytes of an answer. They are stored with the notification and not logged.
    pub fn set_answer(bytes: &[u8]) {
        Self::change(|report| report.answer = answer(bytes));
    }

    /// Runs `delivery`, and returns what was reported meanwhile, too.
    pub(crate) async fn collect<T>(delivery: impl Future<Output = T>) -> (T, Self) {
        let report = Arc::new(Mutex::new(Self::default()));
        let done = CURRENT.scope(Arc::clone(&report), delivery).await;
        let report = report.lock().unwrap_or_else(PoisonError::into_inner);
        (done, report.clone())
    }

    fn change(change: impl FnOnce(&mut Self)) {
        // Outside a delivery, as in a test of a destination, no report is needed.
        let _ = CURRENT.try_with(|report| {
            change(&mut report.lock().unwrap_or_else(PoisonError::into_inner));
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
    async fn a_delivery_reports_what_it_saw_even_if_it_is_given_up() {
        DeliveryReport::set_status(500); // outside a delivery
        let hanging = async {
            DeliveryReport::set_destination("ledger");
            DeliveryReport::set_status(200);
            DeliveryReport::set_answer(b"ok");
            std::future::pending::<()>().await;
        };
        let given_up = tokio::time::timeout(std::time::Duration::from_millis(1), hanging);
        let (ended, report) = DeliveryReport::collect(given_up).await;
        assert!(ended.is_err());
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
    fn an_answer_is_one_short_line_in_which_nothing_steers_a_display() {
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
