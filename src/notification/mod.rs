//! The words everything else speaks: keys, states and instants. No I/O.

mod key;
mod state;
mod time;

pub use key::{Id, Key, SourceName};
pub use state::{HeldReason, Origin, State};
pub use time::Timestamp;
