//! A request as `receive` sees it, independent of any HTTP server.

use std::{borrow::Cow, future::Future, time::Duration};

use bytes::Bytes;

use super::Refusal;
use crate::domain::Timestamp;

/// The longest body that is accepted.
pub const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;
/// The time for verifying and recording: an answer is due 2.5 s after the last byte of the body,
/// because Pay hangs up after 3 s.
pub const RECORD_TIMEOUT: Duration = Duration::from_millis(2_300);

/// One request. `serve` and every front of Lambda adapt theirs to this.
pub trait HttpRequest: Send {
    /// The method.
    fn method(&self) -> &str;

    /// The path as it was sent, without a prefix that a front added.
    fn path(&self) -> &str;

    /// The query, empty if there is none.
    fn query(&self) -> Cow<'_, str>;

    /// Every value of a header. The case of its name does not matter.
    fn header_values(&self, name: &str) -> Vec<&[u8]>;

    /// Reads the exact bytes of the body, once. Called only for a POST to a source.
    fn body(&mut self) -> impl Future<Output = Result<Bytes, Refusal>> + Send;

    /// The time for verifying and recording a body that was read to its end at `received_at`.
    fn time_left(&self, received_at: Timestamp) -> Duration {
        let _ = received_at;
        RECORD_TIMEOUT
    }
}
