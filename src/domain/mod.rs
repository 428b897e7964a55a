//! The types that every other module uses: keys, states, timestamps, secrets and configuration
//! locations. No I/O.

mod clock;
mod key;
mod located;
mod secret;
mod state;
mod timestamp;

pub use clock::{Clock, SystemClock};
pub use key::{Key, NotificationId, SourceName};
pub use located::{ConfigError, ConfigLocation, LocatedValue};
pub use secret::Secret;
pub use state::{HeldReason, Origin, State};
pub use timestamp::Timestamp;
