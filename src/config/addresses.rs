//! Where we listen: `listen` for the senders, `console` for people on this machine.

use std::net::SocketAddr;

use super::{
    document_reader::TableReader,
    error::{ConfigError, ConfigLocation},
};

/// What an address has to look like.
pub(super) const MUST: &str = "must be an address and a port, such as 127.0.0.1:8080";

/// An address, and where it was set: nowhere, if it is the default or was judged before.
#[derive(Clone, Debug)]
pub(super) struct AddressSetting {
    pub(super) value: SocketAddr,
    pub(super) place: Option<ConfigLocation>,
}

impl AddressSetting {
    /// An address that nobody set here.
    pub(super) fn unset(value: SocketAddr) -> Self {
        Self { value, place: None }
    }
}

/// The default for the senders.
pub(super) fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8080))
}

/// The default for people.
pub(super) fn default_console() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8081))
}

/// Reads `listen` and `console`.
pub(super) fn read(root: &mut TableReader<'_, '_>) -> Option<(SocketAddr, SocketAddr)> {
    let listen = one(root, "listen", default_listen());
    let console = one(root, "console", default_console());
    let (listen, console) = (listen?, console?);
    check(&listen, &console)
        .into_iter()
        .for_each(|problem| root.report(problem));
    Some((listen.value, console.value))
}

/// What is wrong with two addresses that were read; only what somebody set here can be.
pub(super) fn check(listen: &AddressSetting, console: &AddressSetting) -> Vec<ConfigError> {
    let exposed = console
        .place
        .as_ref()
        .filter(|_| !console.value.ip().to_canonical().is_loopback());
    let exposed = exposed.map(|place| {
        place.problem(
            "is not a loopback address: the console shows personal data and has no login; \
             bind it to 127.0.0.1 and reach it through an SSH tunnel",
        )
    });
    let set = console.place.as_ref().or(listen.place.as_ref());
    let clash = set
        .filter(|_| clash(listen.value, console.value))
        .map(|place| {
            let port = listen.value.port();
            place.problem(format_args!(
                "puts listen and console both on port {port}: give them different ports"
            ))
        });
    exposed.into_iter().chain(clash).collect()
}

/// Whether only one of two listeners could be had. Port 0 is any free one, never the same twice.
fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    let overlap =
        one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && one.port() != 0 && overlap
}

fn one(
    root: &mut TableReader<'_, '_>,
    key: &'static str,
    default: SocketAddr,
) -> Option<AddressSetting> {
    let Some(item) = root.take(key) else {
        return Some(AddressSetting::unset(default));
    };
    let read = item.text(MUST)?.parse().map_err(|_| MUST);
    item.made(read).map(|read| AddressSetting {
        value: read.value,
        place: Some(read.place),
    })
}
