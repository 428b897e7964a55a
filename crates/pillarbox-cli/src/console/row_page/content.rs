//! The content of a notification, with its personal fields masked.

use super::{has_message, requested_fields::RequestedFields};
use crate::payload::{self, HEX_BYTES, JsonError, PayloadLine, PrettyPayload};
use pillarbox::inbox::Row;

/// The longest body that is read as JSON for a page. A longer one can be downloaded.
const MAX_JSON_BYTES: usize = 4 * 1024 * 1024;

/// The content, as the page shows it.
pub(super) struct PayloadPanel {
    /// The bytes are erased.
    pub(super) is_erased: bool,
    pub(super) is_damaged: bool,
    pub(super) length: usize,
    /// The numbers of the fields that are shown now.
    pub(super) shown: Vec<String>,
    pub(super) text: PayloadText,
    pub(super) inner: Option<InnerMessage>,
    /// The exact bytes, if a person requested them.
    pub(super) bytes: Option<ShownBytes>,
}

pub(super) enum PayloadText {
    /// JSON, or the part of it before its first error.
    Json {
        lines: Vec<PayloadLine>,
        is_cut: bool,
        error: Option<JsonError>,
    },
    /// Bytes that are not UTF-8 from this offset on.
    NotText { valid_up_to: usize },
    /// Longer than a page reads.
    TooLong,
}

/// The message inside a notification of HMRC.
pub(super) enum InnerMessage {
    Json {
        lines: Vec<PayloadLine>,
        is_cut: bool,
    },
    Text {
        text: String,
        is_cut: bool,
    },
}

pub(super) struct ShownBytes {
    pub(super) text: String,
    pub(super) is_hex: bool,
    pub(super) is_cut: bool,
}

/// The body as text, if it is short enough to be read as JSON.
pub(super) fn json_text(row: &Row) -> Option<&str> {
    let body = row.body.as_ref()?;
    let text = std::str::from_utf8(body).ok()?;
    (text.len() <= MAX_JSON_BYTES).then_some(text)
}

impl PayloadPanel {
    pub(super) fn of(row: &Row, requested: &RequestedFields) -> Self {
        let body = row.body.as_deref().unwrap_or_default();
        let mut panel = Self {
            is_erased: row.body.is_none(),
            is_damaged: row.body.is_some() && row.proven_body().is_err(),
            length: body.len(),
            shown: Vec::new(),
            text: PayloadText::TooLong,
            inner: None,
            bytes: requested.bytes.map(|is_hex| ShownBytes::of(body, is_hex)),
        };
        if let Err(error) = std::str::from_utf8(body) {
            let valid_up_to = error.valid_up_to();
            panel.text = PayloadText::NotText { valid_up_to };
        } else if let Some(text) = json_text(row) {
            panel.read(text, has_message(row), requested);
        }
        panel
    }

    fn read(&mut self, text: &str, has_message: bool, requested: &RequestedFields) {
        let fields = payload::fields(text, has_message);
        let PrettyPayload { lines, is_cut } = payload::pretty(text, &fields, &requested.outer);
        let error = payload::json_error(text);
        self.text = PayloadText::Json {
            lines,
            is_cut,
            error,
        };
        let outer = requested
            .outer
            .iter()
            .filter(|number| **number < fields.len());
        self.shown.extend(outer.map(usize::to_string));
        let Some(message) = requested.message(text, &fields) else {
            return;
        };
        if payload::json_error(&message).is_some() {
            let (text, is_cut) = payload::beginning(&message);
            self.inner = Some(InnerMessage::Text { text, is_cut });
            return;
        }
        let fields = payload::fields(&message, false);
        let inner = requested
            .inner
            .iter()
            .filter(|number| **number < fields.len());
        self.shown.extend(inner.map(|number| format!("m{number}")));
        let PrettyPayload { lines, is_cut } = payload::pretty(&message, &fields, &requested.inner);
        self.inner = Some(InnerMessage::Json { lines, is_cut });
    }
}

impl ShownBytes {
    fn of(body: &[u8], is_hex: bool) -> Self {
        if is_hex {
            return Self {
                text: payload::hex_dump(body),
                is_hex,
                is_cut: body.len() > HEX_BYTES,
            };
        }
        let (text, is_cut) = payload::beginning(&String::from_utf8_lossy(body));
        Self {
            text,
            is_hex,
            is_cut,
        }
    }
}
