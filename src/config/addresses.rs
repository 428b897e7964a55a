//! The listening addresses: `listen` for the senders, `console` for people on this machine.

use std::net::SocketAddr;

use super::{
    document_reader::TableReader,
    error::{ConfigError, ConfigLocation},
};

/// The form of an address, for error messages.
pub(super) const MUST: &str = "must be an address and a port, such as 127.0.0.1:8080";

/// An address and where it is set. The location is `None` for a default, and for an address that
/// was already checked.
#[derive(Clone, Debug)]
pub(super) struct AddressSetting {
    pub(super) value: SocketAddr,
    pub(super) location: Option<ConfigLocation>,
}

impl AddressSetting {
    /// An address with no location.
    pub(super) fn unset(value: SocketAddr) -> Self {
        Self {
            value,
            location: None,
        }
    }
}

pub(super) fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8080))
}

pub(super) fn default_console() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8081))
}

/// Reads `listen` and `console`.
pub(super) fn read(root: &mut TableReader<'_, '_>) -> Option<(SocketAddr, SocketAddr)> {
    let listen = read_address(root, "listen", default_listen());
    let console = read_address(root, "console", default_console());
    let (listen, console) = (listen?, console?);
    check(&listen, &console)
        .into_iter()
        .for_each(|problem| root.report_error(problem));
    Some((listen.value, console.value))
}

/// Checks that the console is on a loopback address and that the two addresses differ. Only
/// addresses with a location are reported.
pub(super) fn check(listen: &AddressSetting, console: &AddressSetting) -> Vec<ConfigError> {
    let exposed = console
        .location
        .as_ref()
        .filter(|_| !console.value.ip().to_canonical().is_loopback());
    let exposed = exposed.map(|location| {
        location.problem(
            "is not a loopback address: the console shows personal data and has no login; \
             bind it to 127.0.0.1 and reach it through an SSH tunnel",
        )
    });
    let set = console.location.as_ref().or(listen.location.as_ref());
    let clash = set
        .filter(|_| clashes(listen.value, console.value))
        .map(|location| {
            let port = listen.value.port();
            location.problem(format_args!(
                "puts listen and console both on port {port}: give them different ports"
            ))
        });
    exposed.into_iter().chain(clash).collect()
}

/// Whether the two listeners cannot both bind. Port 0 is any free port, so it never clashes.
fn clashes(listen: SocketAddr, console: SocketAddr) -> bool {
    let overlap = listen.ip() == console.ip()
        || listen.ip().is_unspecified()
        || console.ip().is_unspecified();
    listen.port() == console.port() && listen.port() != 0 && overlap
}

fn read_address(
    root: &mut TableReader<'_, '_>,
    key: &'static str,
    default: SocketAddr,
) -> Option<AddressSetting> {
    let Some(item) = root.take(key) else {
        return Some(AddressSetting::unset(default));
    };
    let read = item.text(MUST)?.parse().map_err(|_| MUST);
    item.located(read).map(|read| AddressSetting {
        value: read.value,
        location: Some(read.location),
    })
}
