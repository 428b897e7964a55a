//! How many file descriptors the process may open, and how they are shared.
//!
//! Each connection takes one. Those for the inbox and for deliveries are reserved first, the
//! console gets a few, and callbacks get the rest, so that no listener can use up what another part
//! needs.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::ListenerLimits;

/// The descriptors for everything but connections: 128 concurrent deliveries, the inbox, the
/// listeners, the standard streams and reconcile runs.
const RESERVED_DESCRIPTORS: usize = 192;
/// The most connections of senders.
const MAX_CALLBACK_CONNECTIONS: usize = 512;
/// The most connections of browsers.
const MAX_CONSOLE_CONNECTIONS: usize = 40;
/// How long a sender may leave its answer unread. Senders give up long before.
const CALLBACK_FLUSH: Duration = Duration::from_secs(10);
/// How long a browser may take to read a page, which may hold 8 MiB.
const CONSOLE_FLUSH: Duration = Duration::from_secs(60);
/// How long a sender's requests in flight may take once the process stops.
const CALLBACK_DRAIN: Duration = Duration::from_secs(10);
/// The same for a browser's.
const CONSOLE_DRAIN: Duration = Duration::from_secs(5);

/// Raises the number of descriptors that the process may open to the most that the system allows.
/// The lower limit is for programs that use `select`.
pub(crate) fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(reason = %error, "the limit of open files could not be raised");
    }
}

/// The limits of the listener for callbacks and of the console's, from the number of descriptors
/// that the process may open.
pub(crate) fn connection_limits() -> (ListenerLimits, ListenerLimits) {
    let descriptors = getrlimit(Resource::Nofile).current;
    let descriptors = descriptors.map_or(usize::MAX, |most| {
        usize::try_from(most).unwrap_or(usize::MAX)
    });
    let (callback, console) = divide_descriptors(descriptors);
    let callback = ListenerLimits {
        connections: callback,
        flush: CALLBACK_FLUSH,
        drain: CALLBACK_DRAIN,
    };
    let console = ListenerLimits {
        connections: console,
        flush: CONSOLE_FLUSH,
        drain: CONSOLE_DRAIN,
    };
    (callback, console)
}

/// The number of connections for callbacks and for the console, out of `descriptors`.
fn divide_descriptors(descriptors: usize) -> (usize, usize) {
    let reserved = RESERVED_DESCRIPTORS.min(descriptors / 2);
    // Each listener holds one more while it evicts a connection.
    let left = (descriptors - reserved).saturating_sub(2);
    let console = (left / 8).clamp(2, MAX_CONSOLE_CONNECTIONS);
    let callback = left.saturating_sub(console);
    (callback.clamp(8, MAX_CALLBACK_CONNECTIONS), console)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_get_most_of_the_descriptors_and_never_all() {
        for (descriptors, callback, console) in [
            (usize::MAX, 512, 40),
            (1_048_576, 512, 40),
            (1024, 512, 40),
            (512, 279, 39),
            (256, 111, 15),
            (64, 27, 3),
            (32, 12, 2),
        ] {
            assert_eq!(
                divide_descriptors(descriptors),
                (callback, console),
                "{descriptors}"
            );
            assert!(callback + console + 2 < descriptors);
        }
    }

    #[test]
    fn the_limit_is_raised_to_the_most_that_the_system_allows() {
        raise_descriptor_limit();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
