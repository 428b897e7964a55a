//! Time and chance, which enter everywhere as an argument, so that a whole run can be repeated.

use crate::notification::Timestamp;

/// Where a run takes its time and its chance from.
///
/// The real one reads the system clock and the operating system's random source; tests bring one
/// of their own and decide both.
pub trait Clock: Send + Sync + 'static {
    /// The instant it is now.
    fn now(&self) -> Timestamp;

    /// 64 fresh random bits.
    fn random(&self) -> u64;
}
