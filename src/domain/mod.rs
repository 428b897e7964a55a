//! The words everything else speaks: keys, states and instants. No I/O.

mod clock;
mod key;
mod state;
mod timestamp;

pub use clock::{Clock, SystemClock};
pub use key::{Id, Key, SourceName};
pub use state::{HeldReason, Origin, State};
pub use timestamp::Timestamp;
