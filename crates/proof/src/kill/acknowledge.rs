//! Stub.
use super::Outcome;
pub(crate) async fn lane(_: u64, _: u64) -> Outcome { Outcome::default() }
